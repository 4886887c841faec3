"""What every mailer promises, on the console and by SMTP to a real server in this process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import structlog
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from serai.contexts.notifications.gateways import console, smtp
from serai.contexts.notifications.gateways.console import ConsoleMailer
from serai.contexts.notifications.gateways.smtp import SmtpMailer, SmtpServer, parse_smtp_url
from serai.contexts.notifications.model.mails import Mail, Sender
from serai.contexts.notifications.model.messages import Outcome
from serai.kernel.clock import ManualClock
from serai.kernel.failure import Unavailable
from serai.settings import SettingsError
from tests.ports.mail_settings import (
    HOST,
    NOW,
    ConsoleSetting,
    Inbox,
    Setting,
    SmtpSetting,
    serve_smtp,
)

SENT = Outcome("sent")
NO_ADDRESS = Outcome("refused", "the recipient is no address that mail can be sent to")
BROKEN_HEADER = Outcome("refused", "a header would hold a line break or another control character")
MAIL = Mail(
    "<m1.1@example.org>", Sender("Lädchen, & Söhne", "shop@example.org"), "ada@example.org",
    "Ihre Bestellung für 5 €", "Grüße 👋\nzweite Zeile\n", "<p>Grüße</p>", NOW,
)  # fmt: skip


Serve = Callable[..., Awaitable[SmtpServer]]


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
async def serve(inbox: Inbox) -> AsyncIterator[Serve]:
    """Starts aiosmtpd on a free port; `settings` are the server's."""
    servers: list[asyncio.Server] = []

    async def start(**settings: Any) -> SmtpServer:
        server, place = await serve_smtp(inbox, **settings)
        servers.append(server)
        return place

    yield start
    inbox.silence.set()
    for server in servers:
        server.close()
        await server.wait_closed()


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    """What is logged."""
    with structlog.testing.capture_logs() as captured:
        yield captured


@pytest.fixture(params=["console", "smtp"])
async def setting(
    request: pytest.FixtureRequest, lines: list[Any], serve: Serve, inbox: Inbox
) -> Setting:
    if request.param == "console":
        return ConsoleSetting(lines)
    return SmtpSetting(await serve(), inbox)


def to(recipient: str, number: int = 1, **changes: Any) -> Mail:
    changes = {"message_id": f"<m{number}.1@example.org>", **changes}
    return msgspec.structs.replace(MAIL, recipient=recipient, **changes)


# ------------------------------------------------------------------ every mailer


async def test_each_mail_has_its_outcome_in_order(setting: Setting) -> None:
    mails = [to(f"c{n}@example.org", n) for n in range(10)]
    mails[3] = to("nobody", 3)
    outcomes = await setting.mailer.send(mails)
    assert outcomes == [SENT, SENT, SENT, NO_ADDRESS, SENT, SENT, SENT, SENT, SENT, SENT]
    assert setting.count() == 9


async def test_no_mails_are_no_work(setting: Setting) -> None:
    assert await setting.mailer.send([]) == []
    assert setting.count() == 0


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"recipient": "ada@example.org\r\nBcc: eve@example.org"}, NO_ADDRESS),
        ({"recipient": "ada@example.org>\r\nRCPT TO:<eve@example.org"}, NO_ADDRESS),
        ({"recipient": "ada@example.org, eve@example.org"}, NO_ADDRESS),
        ({"recipient": "Ada <ada@example.org>"}, NO_ADDRESS),
        ({"subject": "Hello\r\nBcc: eve@example.org"}, BROKEN_HEADER),
        ({"subject": "Hello\nX-Evil: yes"}, BROKEN_HEADER),
        ({"subject": "Hello\x00"}, BROKEN_HEADER),
        ({"subject": "Hello\u2028Bcc: eve@example.org"}, BROKEN_HEADER),
        ({"message_id": "<m>\r\nBcc: eve@example.org"}, BROKEN_HEADER),
        (
            {"sender": Sender("Shop\r\nBcc: eve@example.org", "shop@example.org")},
            Outcome("refused", "the sender is no address that mail can come from"),
        ),
    ],
)
async def test_an_injected_header_is_refused_and_others_go(
    setting: Setting, changes: dict[str, Any], outcome: Outcome
) -> None:
    bad = msgspec.structs.replace(MAIL, **changes)
    assert await setting.mailer.send([bad, MAIL]) == [outcome, SENT]
    assert setting.count() == 1


async def test_no_log_line_names_an_address(setting: Setting, lines: list[Any]) -> None:
    await setting.mailer.send([MAIL, to("nobody@@example.org")])
    assert "@example.org'" not in repr(lines).replace("m1.1@example.org>'", "")
    assert "ada" not in repr(lines)


# ------------------------------------------------------------------ the console


async def test_the_console_names_so_many_mails_a_second_and_counts_the_others(
    lines: list[Any],
) -> None:
    clock = ManualClock(NOW)
    mailer = ConsoleMailer(clock)
    mails = [to("ada@example.org", n) for n in range(console.LINES_PER_S + 5)]
    assert await mailer.send(mails) == [SENT] * len(mails)
    clock.advance(timedelta(seconds=1))
    assert await mailer.send([to("ada@example.org", 99)]) == [SENT]
    printed = [
        {"event": "mail_printed", "action": "mail_printed", "log_level": "info",
         "message_id": f"<m{n}.1@example.org>"}
        for n in [*range(console.LINES_PER_S), 99]
    ]  # fmt: skip
    counted = {
        "event": "mails_printed", "action": "mails_printed", "log_level": "info", "count": 5
    }  # fmt: skip
    assert lines == [*printed[:-1], counted, printed[-1]]


# ------------------------------------------------------------------ SMTP


async def test_a_mail_arrives_as_it_was_written(inbox: Inbox, serve: Serve) -> None:
    assert await SmtpMailer(await serve()).send([MAIL]) == [SENT]
    (received,) = inbox.received
    assert (received.sender, received.recipients) == ("shop@example.org", ["ada@example.org"])
    mail = received.mail
    assert mail["Subject"] == "Ihre Bestellung für 5 €"
    assert mail["From"].addresses[0].display_name == "Lädchen, & Söhne"
    assert mail["From"].addresses[0].addr_spec == "shop@example.org"
    assert (mail["To"], mail["Message-ID"]) == ("ada@example.org", "<m1.1@example.org>")
    assert mail["Date"].datetime == NOW
    assert mail["Auto-Submitted"] == "auto-generated"
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text.get_content().replace("\r\n", "\n") == "Grüße 👋\nzweite Zeile\n"
    assert html.get_content().strip() == "<p>Grüße</p>"


async def test_a_mail_without_html_is_plain_text(inbox: Inbox, serve: Serve) -> None:
    text = "a" * 2000 + "\r\n.\r\nRCPT TO:<eve@example.org>\n"
    plain = msgspec.structs.replace(MAIL, html="", text=text)
    assert await SmtpMailer(await serve()).send([plain]) == [SENT]
    (received,) = inbox.received
    assert received.mail.get_content_type() == "text/plain"
    assert received.mail.get_content().splitlines() == text.splitlines()


async def test_an_international_address_goes_where_the_server_can(
    inbox: Inbox, serve: Serve
) -> None:
    able, unable = await serve(), await serve(enable_SMTPUTF8=False)
    mails = [to("ada@exämple.de"), to("jürgen@exämple.de"), to("bob@example.org")]
    assert await SmtpMailer(able).send(mails) == [SENT, SENT, SENT]
    assert [r.recipients for r in inbox.received] == [
        ["ada@xn--exmple-cua.de"], ["jürgen@xn--exmple-cua.de"], ["bob@example.org"],
    ]  # fmt: skip
    inbox.received.clear()
    no = Outcome("refused", "SMTPUTF8 is not supported by this server")
    assert await SmtpMailer(unable).send(mails) == [SENT, no, SENT]
    assert [r.recipients for r in inbox.received] == [
        ["ada@xn--exmple-cua.de"],
        ["bob@example.org"],
    ]


async def test_the_server_decides_on_each_recipient(inbox: Inbox, serve: Serve) -> None:
    inbox.answers = {
        "gone@example.org": "550 5.1.1 no such user",
        "full@example.org": "452 4.2.2 mailbox full",
    }
    mails = [to("gone@example.org"), to("full@example.org"), to("ada@example.org")]
    assert await SmtpMailer(await serve()).send(mails) == [
        Outcome("refused", "550 5.1.1 no such user"),
        Outcome("deferred", "452 4.2.2 mailbox full"),
        SENT,
    ]
    assert ([r.recipients for r in inbox.received], inbox.connections) == ([["ada@example.org"]], 1)


async def test_a_mail_that_is_too_large_for_the_server_is_refused(
    inbox: Inbox, serve: Serve
) -> None:
    big = msgspec.structs.replace(MAIL, text="word " * 5000)
    refused, sent = await SmtpMailer(await serve(data_size_limit=10_000)).send([big, MAIL])
    assert (refused.status, sent) == ("refused", SENT)
    assert len(inbox.received) == 1


async def test_many_mails_share_a_few_connections(inbox: Inbox, serve: Serve) -> None:
    mails = [to(f"c{n}@example.org", n) for n in range(100)]
    assert await SmtpMailer(await serve()).send(mails) == [SENT] * 100
    assert inbox.connections == smtp.CONNECTIONS_MAX
    assert sorted(r.mail["Message-ID"] for r in inbox.received) == sorted(
        m.message_id for m in mails
    )


async def test_a_broken_connection_defers_its_mail_and_the_others_go_over_a_new_one(
    inbox: Inbox, serve: Serve
) -> None:
    inbox.hang_up_after = 1
    mails = [to(f"c{n}@example.org", n) for n in range(3)]
    first, second, third = await SmtpMailer(await serve()).send(mails)
    assert (first, second.status, third) == (SENT, "deferred", SENT)
    assert second.reason.startswith("the mail server went away: ")
    assert [r.recipients for r in inbox.received] == [["c0@example.org"], ["c2@example.org"]]
    assert inbox.connections == 2


async def test_a_server_that_is_not_there_is_unavailable(serve: Serve) -> None:
    async with await asyncio.start_server(lambda _r, w: w.close(), HOST, 0) as gone:
        port = gone.sockets[0].getsockname()[1]
    mailer = SmtpMailer(parse_smtp_url(f"smtp://{HOST}:{port}"))
    with pytest.raises(Unavailable, match="no mail server to talk to: SMTPConnectError"):
        await mailer.send([MAIL])
    assert await mailer.send([to("nobody")]) == [NO_ADDRESS]


async def test_a_silent_server_is_unavailable_in_bounded_time() -> None:
    over = asyncio.Event()

    async def say_nothing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await over.wait()
            writer.close()

    server = await asyncio.start_server(say_nothing, HOST, 0)
    port = server.sockets[0].getsockname()[1]
    mailer = SmtpMailer(parse_smtp_url(f"smtp://{HOST}:{port}"), command_timeout_s=0.05)
    try:
        with pytest.raises(Unavailable, match=r"SMTP(Connect|Read)?TimeoutError"):
            await asyncio.wait_for(mailer.send([MAIL]), 5)
    finally:
        over.set()
        server.close()
        await server.wait_closed()


async def test_a_server_that_falls_silent_defers_what_it_was_asked(
    inbox: Inbox, serve: Serve
) -> None:
    inbox.silent_for = {"slow@example.org"}
    mails = [to("ada@example.org"), to("slow@example.org"), to("bob@example.org")]
    mailer = SmtpMailer(await serve(), command_timeout_s=0.2)
    first, slow, last = await asyncio.wait_for(mailer.send(mails), 5)
    assert (first, slow.status, last) == (SENT, "deferred", SENT)
    assert [r.recipients for r in inbox.received] == [["ada@example.org"], ["bob@example.org"]]


async def test_all_mails_together_have_their_time(inbox: Inbox, serve: Serve) -> None:
    inbox.silent_for = {"slow@example.org"}
    mails = [to("ada@example.org"), to("slow@example.org"), to("bob@example.org")]
    mailer = SmtpMailer(await serve(), send_timeout_s=0.3)
    late = Outcome("deferred", "the mail server took too long or went away")
    assert await asyncio.wait_for(mailer.send(mails), 5) == [SENT, late, late]


def check_login(
    server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
) -> AuthResult:
    is_known = isinstance(data, LoginPassword) and data.password == b"p@ss/w:rd"
    return AuthResult(success=is_known, handled=False)


async def test_a_password_is_used_and_a_wrong_one_is_the_shops_matter(
    inbox: Inbox, serve: Serve
) -> None:
    server = await serve(authenticator=check_login, auth_require_tls=False)
    place = f"{server.host}:{server.port}?starttls=never"
    right = SmtpMailer(parse_smtp_url(f"smtp://shop:p%40ss%2Fw%3Ard@{place}"))
    assert await right.send([MAIL]) == [SENT]
    wrong = SmtpMailer(parse_smtp_url(f"smtp://shop:guess@{place}"))
    with pytest.raises(Unavailable, match="SMTPAuthenticationError"):
        await wrong.send([MAIL])
    assert [r.is_known for r in inbox.received] == [True]


async def test_a_password_does_not_travel_in_the_clear(inbox: Inbox, serve: Serve) -> None:
    server = await serve()
    demanding = msgspec.structs.replace(server, username="u", password="p", start_tls=True)
    with pytest.raises(Unavailable, match="no mail server to talk to"):
        await SmtpMailer(demanding).send([MAIL])
    assert inbox.received == []


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.example.org", (25, None, None, False, None)),
        ("smtp://a%40b:c%3Ad@mail.example.org:587/", (587, "a@b", "c:d", False, True)),
        ("smtp://u:p@127.0.0.1:2525", (2525, "u", "p", False, None)),
        ("smtp://u:p@mail.example.org?starttls=never", (25, "u", "p", False, False)),
        ("smtp://u@mail.example.org?starttls=always", (25, "u", None, False, True)),
        ("smtps://u:p@mail.example.org", (465, "u", "p", True, False)),
    ],
)
def test_a_server_is_read_from_its_address(url: str, expected: tuple[object, ...]) -> None:
    server = parse_smtp_url(url)
    assert server.host == ("127.0.0.1" if "127" in url else "mail.example.org")
    assert msgspec.structs.astuple(server)[1:] == expected


@pytest.mark.parametrize(
    "url",
    [
        "mail.example.org", "http://mail.example.org", "smtp://", "smtp://h:99999", "smtp://h:x",
        "smtp://h?tls=on", "smtp://h?starttls=maybe", "smtps://h?starttls=always", "smtp://h/path",
    ],
)  # fmt: skip
def test_an_address_of_no_server_stops_the_start(url: str) -> None:
    with pytest.raises(SettingsError, match="SERAI_SMTP_URL"):
        parse_smtp_url(url)
