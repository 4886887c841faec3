"""A renewed certificate is taken up by a server that runs, and no request is lost by it."""

import asyncio
import hashlib
import shutil
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from serai.roles import server
from tests.e2e.certificates import make_certificate
from tests.e2e.processes import free_ports

LOOK_S = 0.05
TRIES_MAX = 200
BUYERS = 4
ASK = b"GET /%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class Renewed:
    """A server over TLS, whose files are replaced while it runs."""

    def __init__(self, folder: Path) -> None:
        (self.port,) = free_ports(1)
        self.stop = asyncio.Event()
        self.release = asyncio.Event()
        self.pairs = [make_certificate(folder, name=name) for name in ("first", "second")]
        self.tls = (folder / "tls.pem", folder / "tls.key")
        self.put(0)

    def put(self, number: int) -> None:
        for source, place in zip(self.pairs[number], self.tls, strict=True):
            new = place.with_suffix(".new")
            shutil.copyfile(source, new)
            new.replace(place)

    async def app(self, scope: Any, _receive: Any, send: Any) -> None:
        if scope["path"] == "/slow":
            await self.release.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"well"})

    async def ask(self, path: bytes = b"") -> bytes:
        """Which certificate answered a request on a connection of its own."""
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # Both say that they are the same one: which it is, their digests say.
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=trust)
        shown: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.write(ASK % path)
        assert (await reader.read()).endswith(b"well")
        writer.close()
        return hashlib.sha256(shown).digest()

    def digest(self, number: int) -> bytes:
        text = self.pairs[number][0].read_text()
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(text)).digest()


@pytest.fixture
async def renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Renewed]:
    monkeypatch.setattr(server, "CERTIFICATE_LOOK_S", LOOK_S)
    one = Renewed(tmp_path)
    serving = asyncio.create_task(
        server.serve_app(one.app, host="127.0.0.1", port=one.port, stop=one.stop, tls=one.tls)
    )
    for _ in range(TRIES_MAX):
        try:
            await one.ask()
        except ConnectionError:
            await asyncio.sleep(LOOK_S)
        else:
            break
    yield one
    one.release.set()
    one.stop.set()
    await serving


async def test_a_renewed_certificate_is_shown_and_what_was_asked_is_answered(
    renewed: Renewed,
) -> None:
    first, second = (renewed.digest(number) for number in range(2))
    assert await renewed.ask() == first
    slow = asyncio.create_task(renewed.ask(b"slow"))
    await asyncio.sleep(LOOK_S)
    renewed.put(1)
    shown = []
    for _ in range(TRIES_MAX):
        shown.append(await renewed.ask())
        if shown[-20:] == [second] * 20:
            break
        await asyncio.sleep(LOOK_S)
    assert shown[0] == first
    assert shown[-1] == second
    assert not slow.done()
    renewed.release.set()
    assert await slow == first, "the server before answers what it took"


async def test_no_connection_is_lost_while_a_certificate_is_renewed(renewed: Renewed) -> None:
    """Each has a connection of its own; without `prefer_newest` about one a renewal was lost."""
    over = asyncio.Event()

    async def buy() -> set[bytes]:
        shown = set()
        while not over.is_set():
            shown.add(await renewed.ask())
        return shown

    buyers = [asyncio.create_task(buy()) for _ in range(BUYERS)]
    for number in (1, 0, 1):
        renewed.put(number)
        await asyncio.sleep(server.OVERLAP_S * 2.5)
    over.set()
    for shown in await asyncio.gather(*buyers):
        assert shown == {renewed.digest(0), renewed.digest(1)}
    assert await renewed.ask() == renewed.digest(1)


@pytest.mark.parametrize("fault", ["key", "text", "gone"])
async def test_files_that_cannot_be_used_leave_the_old_certificate_in_force(
    renewed: Renewed, fault: str
) -> None:
    with structlog.testing.capture_logs() as said:
        if fault == "key":
            shutil.copyfile(renewed.pairs[1][1], renewed.tls[1])
        elif fault == "text":
            renewed.tls[0].write_text("no certificate")
        else:
            renewed.tls[0].unlink()
        for _ in range(TRIES_MAX):
            if said:
                break
            await asyncio.sleep(LOOK_S)
        await asyncio.sleep(LOOK_S * 4)
    assert [one["action"] for one in said] == ["certificate_unfit"], "it is said once"
    assert said[0]["log_level"] == "error"
    assert "PRIVATE KEY" not in str(said)
    assert await renewed.ask() == renewed.digest(0)

    renewed.put(1)
    for _ in range(TRIES_MAX):
        if await renewed.ask() == renewed.digest(1):
            return
        await asyncio.sleep(LOOK_S)
    raise AssertionError("it never took up the one that can be used")
