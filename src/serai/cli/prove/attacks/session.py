"""The HTTP sessions of one tenant's attackers: as many connections as there are attackers."""

import asyncio
from typing import Any, Final

import httpx
import msgspec

from serai.kernel import ids

CONNECTIONS_MAX: Final = 64
ANSWER_TIMEOUT_S: Final = 40.0
TRIES_MAX: Final = 20
PAUSE_S: Final = 0.1
BUSY: Final = (429, 503)


class TargetGone(Exception):
    """The API did not answer, so nothing can be said about it."""


class Reply(msgspec.Struct, frozen=True):
    """What a request was answered; `code` is that of a problem, else empty."""

    status: int
    body: Any
    code: str = ""
    etag: str = ""

    @property
    def is_done(self) -> bool:
        """Whether it was accepted."""
        return self.status < 300  # noqa: PLR2004 - the class of success


class Session:
    """Sends requests with an API key. A busy shop is asked again, with the very same request.

    That is safe where the request carries an idempotency key or changes nothing; any other is sent
    once, unless it was answered that nothing was done.
    """

    def __init__(self, url: str, key: str) -> None:
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=ANSWER_TIMEOUT_S,
            limits=httpx.Limits(
                max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX
            ),
            trust_env=False,
        )
        self.requests = 0

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def read(self, path: str, **query: str | int) -> Reply:
        """Asks for what is at a path."""
        return await self._send("GET", path, query=query, is_repeatable=True)

    async def post(self, path: str, body: Any = None, *, key: str | None = None) -> Reply:
        """Posts under an idempotency key, a new one unless it is given."""
        headers = {"Idempotency-Key": key or new_key()}
        return await self._send("POST", path, body=body, headers=headers, is_repeatable=True)

    async def change(self, method: str, path: str, body: Any = None, *, version: str = "") -> Reply:
        """Changes or deletes what is at a path, if it is still of the version named."""
        headers = {"If-Match": version} if version else {}
        return await self._send(method, path, body=body, headers=headers, is_repeatable=False)

    async def post_raw(self, path: str, content: bytes, headers: dict[str, str]) -> Reply:
        """Posts bytes as they are."""
        return await self._send("POST", path, content=content, headers=headers, is_repeatable=True)

    async def _send(
        self,
        method: str,
        path: str,
        *,
        is_repeatable: bool,
        body: Any = None,
        content: bytes | None = None,
        query: dict[str, str | int] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        if body is not None:
            content = msgspec.json.encode(body)
            headers = {**(headers or {}), "Content-Type": "application/json"}
        said = "nothing"
        for _ in range(TRIES_MAX):
            self.requests += 1
            try:
                answer = await self._http.request(
                    method, path, params=query, content=content, headers=headers
                )
            except httpx.TransportError as error:
                said = f"{type(error).__name__} {error}"
                if not is_repeatable:
                    break
            else:
                if answer.status_code not in BUSY:
                    return _reply_of(answer)
                said = f"status {answer.status_code}"
            await asyncio.sleep(PAUSE_S)
        raise TargetGone(f"{method} {path} was not answered: {said}")


def new_key() -> str:
    """An idempotency key that nobody else has."""
    return f"attack-{ids.new_id()}"


def _reply_of(answer: httpx.Response) -> Reply:
    try:
        body = msgspec.json.decode(answer.content) if answer.content else None
    except msgspec.DecodeError:
        body = answer.text
    code = body.get("code", "") if isinstance(body, dict) and not answer.is_success else ""
    return Reply(answer.status_code, body, code, answer.headers.get("etag", ""))
