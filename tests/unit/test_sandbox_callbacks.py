"""Callbacks: whose signature they bear, and how often they are sent."""

import asyncio
import hashlib
import hmac
from pathlib import Path

import msgspec
import pytest

from serai.contexts.payments.gateways import sandbox_callbacks
from serai.contexts.payments.gateways import sandbox_cards as cards
from serai.contexts.payments.gateways.sandbox_book import SandboxBook
from serai.contexts.payments.gateways.sandbox_callbacks import (
    DELIVERIES_MAX,
    SIGNATURE_HEADER,
    CallbackRefusedError,
    HttpCallbacks,
    deliver_callbacks,
    sign,
    verify_signature,
)
from serai.contexts.payments.gateways.sandbox_journal import Journal
from serai.contexts.payments.gateways.sandbox_wire import Callback
from serai.contexts.payments.ports import Charge

BODY = b'{"id":"cb_1"}'


def test_the_signature_is_hmac_sha256_over_time_and_body() -> None:
    digest = hmac.new(b"secret", b"1700000000." + BODY, hashlib.sha256).hexdigest()
    assert sign("secret", BODY, at=1_700_000_000.9) == f"t=1700000000,v1={digest}"


@pytest.mark.parametrize("now", [699.0, 700.0, 1_000.0, 1_300.0, 1_301.0])
def test_a_signature_holds_within_the_tolerance_on_either_side(now: float) -> None:
    header = sign("secret", BODY, at=1_000.0)
    assert verify_signature("secret", header, BODY, now, 300.0) is (700.0 <= now <= 1_300.0)


def test_another_secret_or_another_body_does_not_fit() -> None:
    header = sign("secret", BODY, at=1_000.0)
    assert verify_signature("secret", header, BODY, 1_000.0, 300.0)
    assert not verify_signature("other", header, BODY, 1_000.0, 300.0)
    assert not verify_signature("secret", header, BODY + b" ", 1_000.0, 300.0)
    assert not verify_signature("secret", header.replace("t=1000", "t=1001"), BODY, 1_000.0, 300.0)


def test_one_of_several_signatures_is_enough_while_a_secret_changes() -> None:
    old, new = sign("old", BODY, at=1_000.0), sign("new", BODY, at=1_000.0)
    header = f"{old},{new.partition(',')[2]}"
    assert verify_signature("old", header, BODY, 1_000.0, 300.0)
    assert verify_signature("new", header, BODY, 1_000.0, 300.0)
    assert not verify_signature("none", header, BODY, 1_000.0, 300.0)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "nonsense",
        "t=,v1=",
        "t=1000",
        "t=1000,v1=",
        "t=1000,v1=\ud800",
        "t=1000,v1=\u00e9",
        "t=-1000,v1=00",
        "t=1e3,v1=00",
        "t=\u0661\u0660\u0660\u0660,v1=00",
        "t=" + "9" * 400 + ",v1=00",
        "t=1000," + "v1=00," * 200,
    ],
)
def test_a_header_that_cannot_be_read_is_no_signature(header: str) -> None:
    assert not verify_signature("secret", header, BODY, 1_000.0, 300.0)


def open_book(path: Path) -> SandboxBook:
    return SandboxBook(journal=Journal(path), callback_delay_s=0.0, late_delay_s=0.0)


async def test_delivered_news_is_not_told_again_after_a_restart_and_lost_news_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox_callbacks, "RETRY_PAUSE_S", 0.0)
    told: list[str] = []
    all_told = asyncio.Event()

    async def deliver(callback: Callback) -> None:
        told.append(callback.key)
        if len(told) == DELIVERIES_MAX + 1:
            all_told.set()
        if callback.key == "lost":
            raise CallbackRefusedError("nobody at home")

    book = open_book(tmp_path / "journal")
    charges = [Charge(key, 5, "EUR", cards.LATE_APPROVED, "order-1") for key in ("lost", "told")]
    telling = asyncio.create_task(deliver_callbacks(book, deliver, now=lambda: 1.0))
    await asyncio.sleep(0)
    book.charge(charges, capture=True, now=1.0)
    await all_told.wait()
    # A task runs on until it waits: one more turn and the last delivery has been written down.
    await asyncio.sleep(0)
    telling.cancel()
    await asyncio.wait({telling})
    book.close()
    assert (told.count("lost"), told.count("told")) == (DELIVERIES_MAX, 1)
    again = open_book(tmp_path / "journal")
    assert [key for key, _ in again.take_due(1.0)] == ["lost"]
    again.close()


async def test_a_forgery_is_sent_once_and_bears_no_signature_of_the_provider() -> None:
    heard: list[tuple[str, bool]] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in head)
        }
        body = await reader.readexactly(int(headers["content-length"]))
        signature = headers[SIGNATURE_HEADER.lower()]
        status = msgspec.json.decode(body)["status"]
        heard.append((status, verify_signature("secret", signature, body, 1.0, 300.0)))
        writer.write(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    book = SandboxBook(callback_delay_s=0.0)
    book.charge([Charge("key", 5, "EUR", cards.FORGED_FIRST, "order-1")], capture=True, now=1.0)
    [(_, [forged, true])] = book.take_due(1.0)
    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        callbacks = HttpCallbacks(f"http://127.0.0.1:{port}", secret="secret", now=lambda: 1.0)
        await callbacks.deliver(forged)
        with pytest.raises(CallbackRefusedError):
            await callbacks.deliver(true)
        await callbacks.aclose()
    assert heard == [("declined", False), ("captured", True)]
