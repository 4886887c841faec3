"""The sandbox's HTTP interface as a `PaymentProvider`.

Charges travel in batches, because a request costs both sides a hundred times what a charge does;
the other verbs fan out over a bounded number of kept-alive connections. What may be repeated is:
a lost connection, 429 and 5xx are tried again under the same key with growing pauses, since the
provider takes money once per key. A time-out is not: the provider may still be at work, and a
second request would wait as long as the first, so the answer is `unknown` and look-up settles it.
"""

import asyncio
import random
from collections.abc import Coroutine, Iterable, Sequence
from types import TracebackType
from typing import Self

import httpx
import msgspec

from serai.contexts.payments.gateways.sandbox import ATTEMPTS_MAX
from serai.contexts.payments.gateways.sandbox_entry import fault_in, is_key
from serai.contexts.payments.gateways.sandbox_wire import (
    BATCH_ITEMS_MAX,
    BatchReply,
    BatchRequest,
    CaptureRequest,
    ChargeRequest,
    Verdict,
    answer_of,
)
from serai.contexts.payments.ports import Answer, Capture, Charge, Refund

TIMEOUT_S = 10.0
CONNECTIONS_MAX = 64
SINGLE_CHARGES_MAX = 4
RETRY_PAUSE_S = 0.05
RETRY_PAUSE_MAX_S = 2.0

TIMED_OUT = "timeout"
UNREADABLE = "unreadable_answer"

_TOO_MANY_REQUESTS = 429
_SERVER_ERRORS_FROM = 500
_VERDICT_STATUSES = frozenset({200, 202, 404, 409})


class _UnavailableError(Exception):
    """The provider was not reached, or said that it cannot answer now."""


class _NoAnswerError(Exception):
    """The provider may have acted, and what it did is not known."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class HttpSandbox:
    """`PaymentProvider` over a sandbox server. Close it, or use it as a context manager.

    A call is bounded in time: `timeout_s` for each of `ATTEMPTS_MAX` attempts, and the pauses
    between them, times the rounds that the connections need for the batch.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeout_s: float = TIMEOUT_S,
        retry_pause_s: float = RETRY_PAUSE_S,
    ) -> None:
        self._retry_pause_s = retry_pause_s
        self._room = asyncio.Semaphore(CONNECTIONS_MAX)
        self._client = httpx.AsyncClient(
            base_url=base_url,
            timeout=timeout_s,
            limits=httpx.Limits(
                max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX
            ),
            headers={"Content-Type": "application/json"},
            trust_env=False,
        )
        self._encoder = msgspec.json.Encoder()
        self._verdict_decoder = msgspec.json.Decoder(Verdict)
        self._batch_decoder = msgspec.json.Decoder(BatchReply)

    async def __aenter__(self) -> Self:
        """Nothing is opened before the first request."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def charge(self, charges: Sequence[Charge]) -> list[Answer]:
        """Authorise and capture."""
        return await self._open(charges, capture=True)

    async def authorise(self, charges: Sequence[Charge]) -> list[Answer]:
        """Hold the money."""
        return await self._open(charges, capture=False)

    async def capture(self, captures: Sequence[Capture]) -> list[Answer]:
        """Take held money."""
        return await _all(
            self._ask(
                capture.key,
                "POST",
                f"/v1/charges/{capture.key}/capture",
                CaptureRequest(capture.amount_minor),
            )
            for capture in captures
        )

    async def void(self, keys: Sequence[str]) -> list[Answer]:
        """Close the keys."""
        return await _all(self._ask(key, "POST", f"/v1/charges/{key}/void") for key in keys)

    async def refund(self, refunds: Sequence[Refund]) -> list[Answer]:
        """Give captured money back."""
        return await _all(
            self._ask(refund.key, "POST", "/v1/refunds", refund) for refund in refunds
        )

    async def look_up(self, keys: Sequence[str]) -> list[Answer]:
        """Read the provider's book."""
        return await _all(self._ask(key, "GET", f"/v1/charges/{key}") for key in keys)

    async def _open(self, charges: Sequence[Charge], *, capture: bool) -> list[Answer]:
        answers = [_declined(charge.key, fault_in(charge)) for charge in charges]
        sound = [place for place, charge in enumerate(charges) if fault_in(charge) is None]
        if len(sound) <= SINGLE_CHARGES_MAX:
            answered = await _all(
                self._ask(
                    charges[place].key,
                    "POST",
                    "/v1/charges",
                    ChargeRequest(charges[place], capture),
                )
                for place in sound
            )
        else:
            batches = await asyncio.gather(
                *(
                    self._charge_batch(
                        [charges[place] for place in sound[start : start + BATCH_ITEMS_MAX]],
                        capture=capture,
                    )
                    for start in range(0, len(sound), BATCH_ITEMS_MAX)
                )
            )
            answered = [answer for batch in batches for answer in batch]
        for place, answer in zip(sound, answered, strict=True):
            answers[place] = answer
        return answers

    async def _charge_batch(self, charges: Sequence[Charge], *, capture: bool) -> list[Answer]:
        """Charge these together, then those again for which the provider was down."""
        answers = [_unknown(charge.key, "unavailable") for charge in charges]
        waiting = list(range(len(charges)))
        for attempt in range(ATTEMPTS_MAX):
            await self._pause_before(attempt)
            try:
                verdicts = await self._post_batch(
                    [charges[place] for place in waiting], capture=capture
                )
            except _UnavailableError:
                continue
            except _NoAnswerError as silence:
                for place in waiting:
                    answers[place] = _unknown(charges[place].key, silence.reason)
                break
            for place, verdict in zip(waiting, verdicts, strict=True):
                answers[place] = answer_of(verdict)
            waiting = [
                place
                for place, verdict in zip(waiting, verdicts, strict=True)
                if verdict.outcome == "unavailable"
            ]
            if not waiting:
                break
        return answers

    async def _post_batch(self, charges: list[Charge], *, capture: bool) -> list[Verdict]:
        content = self._encoder.encode(BatchRequest(charges, capture))
        body = await self._exchange("POST", "/v1/charges:batch", content)
        try:
            verdicts = self._batch_decoder.decode(body).verdicts
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _NoAnswerError(UNREADABLE) from error
        if [verdict.key for verdict in verdicts] != [charge.key for charge in charges]:
            raise _NoAnswerError(UNREADABLE)
        return verdicts

    async def _ask(
        self, key: str, method: str, path: str, request: msgspec.Struct | None = None
    ) -> Answer:
        """Ask about one key, as often as it takes within the bound."""
        if not is_key(key):
            return _unknown(key, "absent") if method == "GET" else _declined(key, "invalid_key")
        try:
            content = b"" if request is None else self._encoder.encode(request)
        except UnicodeEncodeError:
            return _declined(key, "unsendable")
        for attempt in range(ATTEMPTS_MAX):
            await self._pause_before(attempt)
            try:
                body = await self._exchange(method, path, content)
                verdict = self._verdict_decoder.decode(body)
            except _UnavailableError:
                continue
            except _NoAnswerError as silence:
                return _unknown(key, silence.reason)
            except (msgspec.DecodeError, UnicodeDecodeError):
                return _unknown(key, UNREADABLE)
            return answer_of(verdict) if verdict.key == key else _unknown(key, UNREADABLE)
        return _unknown(key, "unavailable")

    async def _exchange(self, method: str, path: str, content: bytes) -> bytes:
        """One attempt: the body of a reply that carries verdicts, or why there is none."""
        try:
            async with self._room:
                response = await self._client.request(method, path, content=content)
        except (httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise _UnavailableError from error
        except httpx.TimeoutException as error:
            raise _NoAnswerError(TIMED_OUT) from error
        except httpx.TransportError as error:
            raise _UnavailableError from error
        except httpx.HTTPError as error:
            raise _NoAnswerError(UNREADABLE) from error
        status = response.status_code
        if status == _TOO_MANY_REQUESTS or status >= _SERVER_ERRORS_FROM:
            raise _UnavailableError
        if status not in _VERDICT_STATUSES:
            reason = f"http_{status}"
            raise _NoAnswerError(reason)
        return response.content

    async def _pause_before(self, attempt: int) -> None:
        if attempt == 0:
            return
        longest_s = min(self._retry_pause_s * 2 ** (attempt - 1), RETRY_PAUSE_MAX_S)
        # Half of the pause is chance, so that workers that failed together do not return together.
        await asyncio.sleep(longest_s * (0.5 + random.random() / 2))  # noqa: S311 (no secret)


def _unknown(key: str, reason: str) -> Answer:
    return Answer(key, "unknown", None, reason, 0)


def _declined(key: str, reason: str | None) -> Answer:
    return Answer(key, "declined", None, reason, 0)


async def _all(questions: Iterable[Coroutine[None, None, Answer]]) -> list[Answer]:
    return list(await asyncio.gather(*questions))
