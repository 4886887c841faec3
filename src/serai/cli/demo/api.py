"""A client of the shop's public API that is patient: it waits out restarts and busy moments.

Everything that moves something carries an idempotency key, so it is simply sent again when nobody
knows whether it arrived.
"""

import asyncio
import contextlib
import time
from collections import deque
from statistics import median
from typing import Any, Final

import httpx
import msgspec

from serai.kernel import ids

ANSWER_TIMEOUT_S: Final = 10.0
TRIES_MAX: Final = 8
PAUSE_FIRST_S: Final = 0.2
PAUSE_MAX_S: Final = 4.0
CONNECTIONS_MAX: Final = 40
ANSWERS_MEASURED: Final = 200
PAGE: Final = 200
PAGES_MAX: Final = 20
BUSY: Final = (429, 502, 503, 504)


async def rest(seconds: float, stop: asyncio.Event) -> None:
    """Sleeps, but not longer than until `stop` is set."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


class GivenUp(Exception):
    """The API did not answer in all the tries that a call has, or the end has come."""


class Api:
    """Calls the API with a key. A pause that one call was told of holds for all of them."""

    def __init__(
        self, url: str, key: str, *, stop: asyncio.Event, tries_max: int = TRIES_MAX
    ) -> None:
        self.url = url
        self._tries_max = tries_max
        self._stop = stop
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=ANSWER_TIMEOUT_S,
            limits=httpx.Limits(max_connections=CONNECTIONS_MAX),
            trust_env=False,  # the shop is next door: no proxy leads there
        )
        self._paused_until = 0.0
        self._failures = 0
        self._answers_ms: deque[float] = deque(maxlen=ANSWERS_MEASURED)

    @property
    def is_backing_off(self) -> bool:
        """Whether calls wait because the API was busy or away a moment ago."""
        return time.monotonic() < self._paused_until

    @property
    def answer_ms(self) -> float | None:
        """The median time of the last answers to what was posted."""
        return median(self._answers_ms) if self._answers_ms else None

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def get(self, path: str, **query: str | int) -> Any:
        """The JSON at a path; httpx.HTTPStatusError where it is refused."""
        answer = await self._carry_through("GET", path, query=query)
        answer.raise_for_status()
        return msgspec.json.decode(answer.content)

    async def get_all(self, path: str, **query: str | int) -> list[Any]:
        """The items of all pages of a list, up to a bound."""
        items: list[Any] = []
        cursor: dict[str, str] = {}
        for _ in range(PAGES_MAX):
            page = await self.get(path, limit=PAGE, **query, **cursor)
            items += page["items"]
            if page["next"] is None:
                break
            cursor = {"cursor": page["next"]}
        return items

    async def post(self, path: str, body: Any, *, key: str | None = None) -> httpx.Response:
        """Posts JSON under an idempotency key (a new one if none is given); refusals come back."""
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": key or f"demo-{ids.new_id()}",
        }
        return await self._carry_through(
            "POST", path, content=msgspec.json.encode(body), headers=headers
        )

    async def _carry_through(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str | int] | None = None,
        content: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        for _ in range(self._tries_max):
            await self._wait_out()
            began = time.perf_counter()
            try:
                answer = await self._http.request(
                    method, path, params=query, content=content, headers=headers
                )
            except httpx.TransportError:
                self._back_off(None)
                continue
            if answer.status_code in BUSY:
                self._back_off(answer.headers.get("retry-after"))
                continue
            self._failures = 0
            if method == "POST":
                self._answers_ms.append((time.perf_counter() - began) * 1_000)
            return answer
        raise GivenUp(f"{method} {path} was not answered")

    async def _wait_out(self) -> None:
        """Waits until the pause is over; gives up at once when the end has come."""
        if self._stop.is_set():
            raise GivenUp("the end has come")
        while (left_s := self._paused_until - time.monotonic()) > 0:
            await rest(left_s, self._stop)
            if self._stop.is_set():
                raise GivenUp("the end has come")

    def _back_off(self, told: str | None) -> None:
        """Pauses for as long as the API says, else for twice the last time, within a bound."""
        # Calls that fail together are one failure: the pause grows by rounds, not by calls.
        if not self.is_backing_off:
            self._failures += 1
        pause_s = PAUSE_FIRST_S * 2 ** min(self._failures - 1, 10)
        if told is not None and told.isdecimal():
            pause_s = max(pause_s, float(told))
        until = time.monotonic() + min(pause_s, PAUSE_MAX_S)
        self._paused_until = max(self._paused_until, until)
