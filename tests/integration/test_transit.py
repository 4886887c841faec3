"""Root keys wrapped over HTTP by a server that speaks Vault's transit engine, as documented.

It is not Vault: it keeps versioned AES-256-GCM keys in memory and answers the five documented
paths that are asked for, with their shapes, status codes and errors. The sockets and the
cryptography are real.
"""

import base64
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from serai.kernel.clock import SystemClock
from serai.kernel.db import Database
from serai.kernel.failure import Unavailable
from serai.kernel.sealed import Plain, Sealed
from serai.kernel.seals import rotation, transit
from serai.kernel.seals.roots import Roots
from serai.kernel.seals.subjects import Seals
from serai.kernel.seals.transit import TransitWrapping
from serai.kernel.tenant import POOLED, Home
from serai.roles.composition import compose
from serai.settings import Settings

TOKEN: Final = "hvs.a-token-of-the-test"
NONCE: Final = 12


class Transit(ThreadingHTTPServer):
    """One key named `serai`, with its versions."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.versions = [AESGCM.generate_key(256)]
        self.min_decryption_version = 1
        self.asked: list[str] = []
        self.is_silent = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Transit

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        length = int(self.headers["content-length"])
        self._answer(json.loads(self.rfile.read(length)))

    def _answer(self, body: dict[str, Any]) -> None:
        transit_, path = self.server, self.path.removeprefix("/v1/transit")
        transit_.asked.append(f"{self.command} {path}")
        if transit_.is_silent.wait(0):
            threading.Event().wait(1.0)
        if self.headers["x-vault-token"] != TOKEN:
            return self._send(403, {"errors": ["permission denied"]})
        aad = base64.b64decode(body.get("associated_data", ""))
        match f"{self.command} {path}":
            case "POST /encrypt/serai":
                nonce = os.urandom(NONCE)
                plain = base64.b64decode(body["plaintext"])
                sealed = nonce + AESGCM(transit_.versions[-1]).encrypt(nonce, plain, aad)
                text = f"vault:v{len(transit_.versions)}:{base64.b64encode(sealed).decode()}"
                return self._send(200, {"data": {"ciphertext": text, "key_version": 1}})
            case "POST /decrypt/serai":
                _, version, text = body["ciphertext"].split(":")
                number, raw = int(version[1:]), base64.b64decode(text)
                if number < transit_.min_decryption_version:
                    return self._send(
                        400, {"errors": ["ciphertext or signature version is too old"]}
                    )
                try:
                    key = AESGCM(transit_.versions[number - 1])
                    plain = key.decrypt(raw[:NONCE], raw[NONCE:], aad)
                except InvalidTag:
                    return self._send(400, {"errors": ["cipher: message authentication failed"]})
                return self._send(200, {"data": {"plaintext": base64.b64encode(plain).decode()}})
            case "POST /keys/serai/rotate":
                transit_.versions.append(AESGCM.generate_key(256))
                return self._send(204, None)
            case "GET /keys/serai":
                return self._send(200, {"data": {"latest_version": len(transit_.versions)}})
            case "POST /keys/serai/config":
                transit_.min_decryption_version = body["min_decryption_version"]
                return self._send(204, None)
        return self._send(404, {"errors": []})

    def _send(self, status: int, body: Any) -> None:
        raw = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


@pytest.fixture
def vault() -> Iterator[Transit]:
    server = Transit()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


async def test_what_is_wrapped_unwraps_for_the_same_binding_only(vault: Transit) -> None:
    wrapping = TransitWrapping(url=vault.url, key="serai", token=TOKEN)
    wrapped = await wrapping.wrap(b"k" * 32, b"root 1")
    assert wrapped.startswith("vault:v1:")
    assert await wrapping.unwrap(wrapped, b"root 1") == b"k" * 32
    with pytest.raises(Unavailable, match="400"):
        await wrapping.unwrap(wrapped, b"root 2")
    await wrapping.renew()
    assert await wrapping.unwrap(wrapped, b"root 1") == b"k" * 32
    assert await wrapping.retire() is True
    with pytest.raises(Unavailable, match="400"):
        await wrapping.unwrap(wrapped, b"root 1")
    await wrapping.close()


@pytest.mark.parametrize("token", ["", "hvs.another"])
async def test_a_refusal_names_no_secret(vault: Transit, token: str) -> None:
    wrapping = TransitWrapping(url=vault.url, key="serai", token=token)
    with pytest.raises(Unavailable) as refused:
        await wrapping.wrap(b"k" * 32, b"root 1")
    assert refused.value.detail == "Vault refused /encrypt/serai: 403"
    await wrapping.close()


async def test_a_vault_that_is_silent_or_gone_is_unavailable_in_time(
    vault: Transit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transit, "ANSWER_TIMEOUT_S", 0.1)
    vault.is_silent.set()
    slow = TransitWrapping(url=vault.url, key="serai", token=TOKEN)
    with pytest.raises(Unavailable, match="ReadTimeout"):
        await slow.wrap(b"k" * 32, b"")
    gone = TransitWrapping(url="http://127.0.0.1:9", key="serai", token=TOKEN)
    with pytest.raises(Unavailable, match="ConnectError"):
        await gone.unwrap("vault:v1:AAAA", b"")
    await slow.close()
    await gone.close()


class OneHome:
    """The directory of one tenant."""

    def __init__(self, tenant: UUID) -> None:
        self._tenant = tenant

    async def home_of(self, tenant_id: UUID) -> Home:
        assert tenant_id == self._tenant
        return POOLED

    async def all_homes(self) -> list[Home]:
        return [POOLED]

    async def tenants_of(self, home: Home) -> list[UUID]:
        assert home == POOLED
        return [self._tenant]


async def test_a_house_seals_by_vault_and_rotates_there(
    vault: Transit, database: Database, tmp_path: Path, tenant: UUID
) -> None:
    settings = Settings(
        data_dir=str(tmp_path), privacy_vault_url=vault.url, privacy_vault_token=TOKEN
    )
    house = compose(settings, database)
    async with database.transaction(POOLED, (tenant,), is_read_only=True):
        asked = len(vault.asked)
    assert asked == 2
    async with database.transaction(POOLED, (tenant,)) as tx:
        (text,) = await tx.seal([Plain(tenant, UUID(int=5), "a.b.c", "me@example.org")])
    assert len(vault.asked) == asked, "no transaction asks Vault for anything"
    assert not (tmp_path / "privacy.key").exists()

    async def pass_by(_: float) -> None:
        """Nobody else runs."""

    done = await rotation.rotate(
        house.seals.roots, database=database, homes=OneHome(tenant), clock=SystemClock(),
        wait=pass_by,
    )  # fmt: skip
    assert (done.root, done.rewrapped, done.is_retired) == (2, 1, True)
    assert vault.min_decryption_version == 2
    fresh = TransitWrapping(url=vault.url, key="serai", token=TOKEN)
    database.seals = Seals(Roots(database, fresh))
    async with database.transaction(POOLED, (tenant,)) as tx:
        assert await tx.unseal([Sealed(tenant, "a.b.c", text)]) == ["me@example.org"]
    await fresh.close()
    await house.close()
