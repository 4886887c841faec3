"""OpenID Connect providers for tests: a real one as a process, and one that lies as it is told."""

import asyncio
import contextlib
import fcntl
import json
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit, urlunsplit

import httpx
from joserfc import jwk, jws

FOLDER = Path(__file__).parent / "openid_provider"
INSTALL_S = 180
START_S = 30
HOPS_MAX = 12
PAGE = "https://shop.example"
BACK = f"{PAGE}/back"
CLIENT = "serai"
SECRET = "a client secret of forty and some characters"
CLIENTS = [
    {"client_id": CLIENT, "client_secret": SECRET, "redirect_uris": [BACK]},
    {"client_id": "another", "client_secret": SECRET, "redirect_uris": [BACK]},
]


def install() -> None:
    """Installs the provider by its lock, once. Without Node.js its tests fail: they do not skip."""
    npm = shutil.which("npm")
    assert npm is not None, "these tests need Node.js 20 or newer, with npm, on the PATH"
    with (FOLDER / ".installing").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = FOLDER / "node_modules" / ".package-lock.json"
        wanted = (FOLDER / "package-lock.json").stat().st_mtime
        if done.exists() and done.stat().st_mtime >= wanted:
            return
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(command, cwd=FOLDER, check=True, timeout=INSTALL_S)
        done.touch()


@contextlib.contextmanager
def run_provider(people: dict[str, dict[str, Any]]) -> Iterator[str]:
    """A process of the npm package `oidc-provider`; its issuer."""
    install()
    told, node = json.dumps({"clients": CLIENTS, "people": people}), shutil.which("node")
    assert node is not None, "npm is there, and node is not"
    process = subprocess.Popen(
        [node, "provider.mjs", told], cwd=FOLDER, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        issuer = process.stdout.readline().strip()
        assert issuer.startswith("http://127.0.0.1:"), f"it did not start: {process.poll()}"
        yield issuer
    finally:
        process.terminate()
        process.wait(START_S)
        if process.stdout is not None:
            process.stdout.close()


async def visit(url: str, *, as_who: str, **changed: str) -> dict[str, str]:
    """What a browser brings back from the provider, signed in there as someone."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query)) | {"login_hint": as_who} | changed
    url = urlunsplit(parts._replace(query=urlencode(query)))
    async with httpx.AsyncClient(trust_env=False) as browser:
        for _ in range(HOPS_MAX):
            answer = await browser.get(url)
            assert answer.is_redirect, answer.text
            url = str(httpx.URL(url).join(answer.headers["location"]))
            if url.startswith(BACK):
                return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    raise AssertionError("the provider sends the browser round and round")


class Liar:
    """A provider that publishes and signs what a test says; `claims` None: what is right."""

    def __init__(self) -> None:
        self.issuer = ""
        self.key = jwk.RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
        self.published: dict[str, Any] = {}
        self.claims: dict[str, Any] = {}
        self.header: dict[str, Any] = {"alg": "RS256", "kid": "one"}
        self.signs_with: Any = self.key
        self.token: str | None = None
        self.answers: dict[str, tuple[str, bytes]] = {}
        self.asked: list[str] = []
        self.nonce = ""

    def sign(self) -> str:
        """An id token, good but for what the test has said."""
        if self.token is not None:
            return self.token
        now = int(time.time())
        claims = {
            "iss": self.issuer, "sub": "her", "aud": CLIENT, "iat": now, "exp": now + 60,
            "nonce": self.nonce, "email": "her@shop.example", "email_verified": True,
        } | self.claims  # fmt: skip
        claims = {name: value for name, value in claims.items() if value is not None}
        payload = json.dumps(claims).encode()
        return jws.serialize_compact(
            self.header, payload, self.signs_with, algorithms=[self.header["alg"]]
        )

    def answer(self, path: str) -> tuple[str, bytes]:
        """Status line with headers, and body."""
        if path in self.answers:
            return self.answers[path]
        found = {
            "/.well-known/openid-configuration": {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/auth",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/jwks",
            } | self.published,
            "/jwks": {"keys": [self.key.as_dict(private=False)]},
            "/token": {"access_token": "x", "token_type": "Bearer"},
        }[path]  # fmt: skip
        if path == "/token":
            found["id_token"] = self.sign()
        return "200 OK", json.dumps(found).encode()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split(" ")[1]
        self.asked.append(path)
        status, body = self.answer(path)
        length = f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        with contextlib.suppress(ConnectionError):
            writer.write(f"HTTP/1.1 {status}\r\n{length}".encode() + body)
            await writer.drain()
            writer.close()


@contextlib.asynccontextmanager
async def run_liar() -> AsyncIterator[Liar]:
    """A lying provider on this machine."""
    liar = Liar()
    server = await asyncio.start_server(liar._serve, "127.0.0.1", 0)  # noqa: SLF001 - its own file
    liar.issuer = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield liar
    finally:
        server.close()
