"""Mail by SMTP (RFC 5321), one mail for one recipient, over a few connections at a time."""

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import Sequence
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

import aiosmtplib
import msgspec

from serai.contexts.notifications.model.mails import Mail, domain_of, find_fault
from serai.contexts.notifications.model.messages import Outcome
from serai.kernel.failure import Unavailable
from serai.settings import SettingsError

CONNECTIONS_MAX = 4
MAILS_PER_CONNECTION = 10
"""Below so many mails a further connection costs more than it saves."""
COMMAND_TIMEOUT_S = 10.0
QUIT_TIMEOUT_S = 2.0
SEND_TIMEOUT_S = 60.0
"""For all mails of one call; what has no outcome by then is deferred."""
_PERMANENT = 500
_TOO_LARGE = 552
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PORTS = {"smtp": 25, "smtps": 465}
_START_TLS: dict[str, bool | None] = {"auto": None, "always": True, "never": False}

Todo = deque[tuple[int, Mail]]


class SmtpServer(msgspec.Struct, frozen=True):
    """Where a mail server is and how to speak to it."""

    host: str
    port: int
    username: str | None
    password: str | None
    is_tls: bool
    start_tls: bool | None
    """None: where the server offers it."""


def parse_smtp_url(url: str) -> SmtpServer:
    """Reads `smtp://user:password@host:port` or `smtps://…`; raises SettingsError.

    `?starttls=auto|always|never` says whether the connection must be encrypted. A password travels
    in the clear only if it says `never`, or never leaves this machine.
    """
    parts = urlsplit(url)
    options = parse_qs(parts.query, keep_blank_values=True)
    wanted = options.pop("starttls", [""])[-1]
    try:
        port = parts.port
    except ValueError as error:
        raise SettingsError("SERAI_SMTP_URL has a port that is none") from error
    if parts.scheme not in _PORTS or not parts.hostname or options or parts.path not in ("", "/"):
        raise SettingsError(
            "SERAI_SMTP_URL must be smtp://[user:password@]host[:port] or smtps://..., with "
            "?starttls=auto, always or never where it matters"
        )
    if wanted and (wanted not in _START_TLS or parts.scheme == "smtps"):
        raise SettingsError("SERAI_SMTP_URL: starttls is auto, always or never, and not for smtps")
    is_exposed = bool(parts.password) and parts.hostname not in _LOOPBACK
    default: Literal["always", "auto"] = "always" if is_exposed else "auto"
    return SmtpServer(
        parts.hostname,
        port or _PORTS[parts.scheme],
        unquote(parts.username) if parts.username else None,
        unquote(parts.password) if parts.password else None,
        parts.scheme == "smtps",
        False if parts.scheme == "smtps" else _START_TLS[wanted or default],
    )


class SmtpMailer:
    """Hands mails to one server; what the server says decides, and silence only defers."""

    def __init__(
        self,
        server: SmtpServer,
        *,
        command_timeout_s: float = COMMAND_TIMEOUT_S,
        send_timeout_s: float = SEND_TIMEOUT_S,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._server = server
        self._command_timeout_s = command_timeout_s
        self._send_timeout_s = send_timeout_s
        self._tls = tls or ssl.create_default_context()

    async def send(self, mails: Sequence[Mail]) -> list[Outcome]:
        outcomes: dict[int, Outcome] = {}
        todo: Todo = deque()
        for index, mail in enumerate(mails):
            fault = find_fault(mail)
            if fault is None:
                todo.append((index, mail))
            else:
                outcomes[index] = Outcome("refused", fault)
        if todo:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._send_timeout_s):
                    await self._send_all(todo, outcomes)
        late = Outcome("deferred", "the mail server took too long or went away")
        return [outcomes.get(index, late) for index in range(len(mails))]

    async def _send_all(self, todo: Todo, outcomes: dict[int, Outcome]) -> None:
        first = await self._connect()
        others = min(CONNECTIONS_MAX, len(todo) // MAILS_PER_CONNECTION) - 1
        async with asyncio.TaskGroup() as group:
            group.create_task(self._work(first, todo, outcomes))
            for _ in range(others):
                group.create_task(self._work(None, todo, outcomes))

    async def _work(
        self, client: aiosmtplib.SMTP | None, todo: Todo, outcomes: dict[int, Outcome]
    ) -> None:
        """Sends what is to be sent over one connection, and over a new one where it breaks."""
        try:
            while todo:
                if client is None:
                    try:
                        client = await self._connect()
                    except Unavailable:
                        return
                index, mail = todo.popleft()
                outcomes[index] = await _deliver(client, mail)
                if not client.is_connected:
                    client = None
        except asyncio.CancelledError:
            if client is not None:
                client.close()
            raise
        if client is not None:
            await _leave(client)

    async def _connect(self) -> aiosmtplib.SMTP:
        server = self._server
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            use_tls=server.is_tls,
            start_tls=server.start_tls,
            tls_context=self._tls,
            # Not the machine's own name: finding that out asks a name server, and blocks.
            local_hostname="localhost",
            timeout=self._command_timeout_s,
        )
        try:
            await client.connect()
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            client.close()
            raise Unavailable(f"no mail server to talk to: {type(error).__name__}") from error
        return client


async def _deliver(client: aiosmtplib.SMTP, mail: Mail) -> Outcome:
    """What the server says of one mail. Its reasons may hold the address: they are not logged."""
    try:
        sender, recipient = _ascii_domain(mail.sender.address), _ascii_domain(mail.recipient)
        # Only a mailbox name beyond ASCII needs a server that can: a domain has an ASCII form.
        is_international = not (sender + recipient).isascii()
        options = ["SMTPUTF8"] if is_international else []
        body = write_mail(mail, sender=sender, recipient=recipient, is_utf8=is_international)
        await client.sendmail(sender, [recipient], body, mail_options=options)
    except aiosmtplib.SMTPRecipientsRefused as error:
        return _judge(error.recipients[0].code, error.recipients[0].message)
    except aiosmtplib.SMTPSenderRefused as error:
        # Not the mail's fault but the shop's: once the sender is put right, it can go. Only its
        # size is its own, and that too is refused here (RFC 1870).
        is_too_large = error.code == _TOO_LARGE
        return Outcome("refused" if is_too_large else "deferred", f"{error.code} {error.message}")
    except aiosmtplib.SMTPResponseException as error:
        return _judge(error.code, error.message)
    except aiosmtplib.SMTPNotSupported as error:
        return Outcome("refused", error.message)
    except (aiosmtplib.SMTPException, OSError) as error:
        client.close()
        return Outcome("deferred", f"the mail server went away: {type(error).__name__}")
    except ValueError as error:
        return Outcome("refused", f"no mail can be made of this: {type(error).__name__}")
    return Outcome("sent")


def _judge(code: int, message: str) -> Outcome:
    return Outcome("refused" if code >= _PERMANENT else "deferred", f"{code} {message}")


def _ascii_domain(address: str) -> str:
    return f"{address.rpartition('@')[0]}@{domain_of(address)}"


def write_mail(mail: Mail, *, sender: str, recipient: str, is_utf8: bool) -> bytes:
    """A mail in the form of RFC 5322, with an HTML alternative where it has one."""
    message = EmailMessage(policy=SMTP_POLICY.clone(utf8=is_utf8))
    message["From"] = _address(sender, mail.sender.name)
    message["To"] = _address(recipient)
    message["Subject"] = mail.subject
    message["Date"] = mail.written_at
    message["Message-ID"] = mail.message_id
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text)
    if mail.html:
        message.add_alternative(mail.html, subtype="html")
    return message.as_bytes()


def _address(address: str, name: str = "") -> Address:
    # Not by `addr_spec`: that one takes no name beyond ASCII before the @.
    username, _, domain = address.rpartition("@")
    return Address(name, username, domain)


async def _leave(client: aiosmtplib.SMTP) -> None:
    with contextlib.suppress(aiosmtplib.SMTPException, OSError):
        await client.quit(timeout=QUIT_TIMEOUT_S)
    client.close()
