"""How the sandbox's news travels: signed, at least once, and in the order its script says.

A signature is `t=<Unix seconds>,v1=<hex>`, where v1 is HMAC-SHA256 under the shared secret over
the digits of t, a full stop and the body. The time is signed too, so that a recorded callback
cannot be played again later than the receiver's tolerance.
"""

import asyncio
import hashlib
import hmac
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import httpx
import msgspec

from serai.contexts.payments.gateways.sandbox_book import SandboxBook
from serai.contexts.payments.gateways.sandbox_wire import Callback, Forgery

SIGNATURE_HEADER = "Sandbox-Signature"
SIGNATURE_LENGTH_MAX = 512
TIMESTAMP_DIGITS_MAX = 12

CALLBACK_TIMEOUT_S = 5.0
DELIVERIES_MAX = 8
DELIVERIES_IN_FLIGHT_MAX = 16
RETRY_PAUSE_S = 0.1
RETRY_PAUSE_MAX_S = 30.0

_log = logging.getLogger(__name__)


class CallbackRefusedError(Exception):
    """The receiver could not be reached or did not say 2xx; the callback is sent again."""


Deliver = Callable[[Callback], Awaitable[None]]


def sign(secret: str, body: bytes, *, at: float) -> str:
    """The header that `verify_signature` accepts under the same secret."""
    timestamp = str(int(at))
    return f"t={timestamp},v1={_digest(secret, timestamp, body)}"


def verify_signature(secret: str, header: str, body: bytes, now: float, tolerance_s: float) -> bool:
    """Whether this body was signed under this secret within `tolerance_s` of `now`.

    A header may carry several v1, as it does while a secret is being changed; one that fits is
    enough. A header that cannot be read is simply not a signature.
    """
    if len(header) > SIGNATURE_LENGTH_MAX:
        return False
    timestamp = ""
    digests = []
    for part in header.split(","):
        name, _, value = part.strip().partition("=")
        if name == "t" and not timestamp:
            timestamp = value
        elif name == "v1":
            digests.append(value.encode(errors="replace"))
    is_time = timestamp.isascii() and timestamp.isdigit()
    if not is_time or len(timestamp) > TIMESTAMP_DIGITS_MAX:
        return False
    if abs(now - int(timestamp)) > tolerance_s:
        return False
    expected = _digest(secret, timestamp, body).encode()
    return any(hmac.compare_digest(expected, digest) for digest in digests)


def _digest(secret: str, timestamp: str, body: bytes) -> str:
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


class HttpCallbacks:
    """Posts callbacks to one address, signed at the moment of sending."""

    def __init__(self, url: str, *, secret: str, now: Callable[[], float] = time.time) -> None:
        self._url = url
        self._secret = secret
        self._now = now
        self._client = httpx.AsyncClient(timeout=CALLBACK_TIMEOUT_S, trust_env=False)

    async def deliver(self, callback: Callback) -> None:
        """Return once the receiver has said 2xx, else raise `CallbackRefusedError`.

        A forgery is sent once and asks for no answer: whether it was believed shows at the shop.
        """
        is_forged = isinstance(callback, Forgery)
        body = msgspec.json.encode(callback)
        secret = f"not {self._secret}" if is_forged else self._secret
        headers = {
            "Content-Type": "application/json",
            SIGNATURE_HEADER: sign(secret, body, at=self._now()),
        }
        try:
            response = await self._client.post(self._url, content=body, headers=headers)
        except httpx.HTTPError as error:
            raise CallbackRefusedError(str(error)) from error
        if not response.is_success and not is_forged:
            message = f"status {response.status_code}"
            raise CallbackRefusedError(message)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()


async def deliver_callbacks(
    book: SandboxBook, deliver: Deliver, *, now: Callable[[], float] = time.time
) -> None:
    """Hand the book's news to `deliver` as it falls due, until cancelled.

    News of one key goes out one after the other, as its script orders it; keys do not wait for
    each other. A delivery that raises `CallbackRefusedError` is repeated with growing pauses, up
    to `DELIVERIES_MAX` times; after that only look-up tells, and a restart tries once more.
    """
    due = asyncio.Event()
    room = asyncio.Semaphore(DELIVERIES_IN_FLIGHT_MAX)
    book.on_due = due.set
    try:
        async with asyncio.TaskGroup() as deliveries:
            while True:
                due.clear()
                for key, callbacks in book.take_due(now()):
                    await room.acquire()
                    task = deliveries.create_task(_tell(book, key, callbacks, deliver, now=now))
                    task.add_done_callback(lambda _: room.release())
                next_due_at = book.next_due_at()
                pause_s = None if next_due_at is None else max(0.0, next_due_at - now())
                with suppress(TimeoutError):
                    await asyncio.wait_for(due.wait(), pause_s)
    finally:
        book.on_due = None


async def _tell(
    book: SandboxBook,
    key: str,
    callbacks: list[Callback],
    deliver: Deliver,
    *,
    now: Callable[[], float],
) -> None:
    for callback in callbacks:
        if not await _deliver_persistently(callback, deliver):
            return
    book.mark_told(key, now=now())


async def _deliver_persistently(callback: Callback, deliver: Deliver) -> bool:
    reason = ""
    for attempt in range(DELIVERIES_MAX):
        if attempt:
            await asyncio.sleep(min(RETRY_PAUSE_S * 2 ** (attempt - 1), RETRY_PAUSE_MAX_S))
        try:
            await deliver(callback)
        except CallbackRefusedError as error:
            reason = str(error)
        else:
            return True
    _log.warning("callback_given_up id=%s reason=%s", callback.id, reason)
    return False
