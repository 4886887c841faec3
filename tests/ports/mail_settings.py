"""Mailers under test: the console, and SMTP to a real server that answers as it is told."""

# ruff: noqa: ARG002 - the server's hooks are given more than they need

import asyncio
import email
import email.policy
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any, Protocol

import msgspec
from aiosmtpd.smtp import SMTP, Envelope, Session

from serai.contexts.notifications.gateways.console import ConsoleMailer
from serai.contexts.notifications.gateways.smtp import SmtpMailer, SmtpServer, parse_smtp_url
from serai.contexts.notifications.ports import Mailer
from serai.kernel.clock import ManualClock

HOST = "127.0.0.1"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Received(msgspec.Struct):
    """A mail as the server has got it."""

    sender: str
    recipients: list[str]
    mail: EmailMessage
    is_known: bool
    """Whether the client has shown a password."""


class Inbox:
    """The handler of the real server: keeps what arrives, and answers as it is told."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answers: dict[str, str] = {}
        self.silence = asyncio.Event()
        self.silent_for: set[str] = set()
        self.hang_up_after: int | None = None
        self.connections = 0

    async def handle_EHLO(  # noqa: N802 - the server's name for it
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, replies: list[str]
    ) -> list[str]:
        self.connections += 1
        session.host_name = hostname
        return replies

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.silent_for:
            await self.silence.wait()
        answer = self.answers.get(address, "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.hang_up_after is not None and len(self.received) >= self.hang_up_after:
            self.hang_up_after = None
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
            return "421 gone"
        content = envelope.content
        assert isinstance(content, bytes)
        parsed = email.message_from_bytes(content, policy=email.policy.default)
        assert isinstance(parsed, EmailMessage)
        assert isinstance(envelope.mail_from, str)
        self.received.append(
            Received(
                envelope.mail_from, list(envelope.rcpt_tos), parsed, bool(session.authenticated)
            )
        )
        return "250 OK"


async def serve_smtp(inbox: Inbox, **settings: Any) -> tuple[asyncio.Server, SmtpServer]:
    """Starts aiosmtpd on a free port, and says where; `settings` are the server's."""
    loop = asyncio.get_running_loop()
    settings = {"enable_SMTPUTF8": True, "timeout": 30, **settings}
    server = await loop.create_server(
        lambda: SMTP(inbox, hostname="mail.example.org", loop=loop, **settings), HOST, 0
    )
    port = server.sockets[0].getsockname()[1]
    return server, parse_smtp_url(f"smtp://{HOST}:{port}?starttls=never")


class Setting(Protocol):
    """A mailer, and how many mails have come through it."""

    mailer: Mailer

    def count(self) -> int: ...


class ConsoleSetting:
    def __init__(self, lines: list[Any]) -> None:
        self.mailer: Mailer = ConsoleMailer(ManualClock(NOW))
        self._lines = lines

    def count(self) -> int:
        return len(self._lines)


class SmtpSetting:
    def __init__(self, server: SmtpServer, inbox: Inbox) -> None:
        self.mailer: Mailer = SmtpMailer(server)
        self._inbox = inbox

    def count(self) -> int:
        return len(self._inbox.received)
