"""The payment provider: the product's own sandbox book, behind a wire that the adversary holds."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

from serai.contexts.payments.gateways.sandbox import DirectSandbox
from serai.contexts.payments.gateways.sandbox_book import SandboxBook
from serai.contexts.payments.ports import Answer, Capture, Charge, Refund
from tests.simulation.loop import Owner

Thing = TypeVar("Thing", Charge, Capture, Refund, str)
Do = Callable[[Sequence[Thing]], Coroutine[Any, Any, list[Answer]]]

VENDOR_TIMEOUT_S = 0.5
"""How long a call waits for an answer that does not come."""


class VendorFate(Protocol):
    """What the adversary decides about a call to the provider."""

    def latency_s(self) -> float:
        """How long a message is on its way."""
        ...

    def at(self, place: str, owner: Owner) -> str | None:
        """Kills the one who stands at a place, where that is due."""
        ...

    def of_call(self) -> tuple[str, float]:
        """`heard`; `late`: carried out so much later; `lost`: never; `silent`: done, not told."""
        ...


class SimProvider:
    """`PaymentProvider` of one process. The book is one for all, and outlives them."""

    def __init__(
        self,
        book: SandboxBook,
        owner: Owner,
        fate: VendorFate,
        *,
        outside: Owner,
        now: Callable[[], float],
    ) -> None:
        self._sandbox = DirectSandbox(book, now=now)
        self._owner = owner
        self._fate = fate
        self._outside = outside

    async def charge(self, charges: Sequence[Charge]) -> list[Answer]:
        return await self._call(charges, self._sandbox.charge, [charge.key for charge in charges])

    async def authorise(self, charges: Sequence[Charge]) -> list[Answer]:
        return await self._call(
            charges, self._sandbox.authorise, [charge.key for charge in charges]
        )

    async def capture(self, captures: Sequence[Capture]) -> list[Answer]:
        return await self._call(
            captures, self._sandbox.capture, [capture.key for capture in captures]
        )

    async def void(self, keys: Sequence[str]) -> list[Answer]:
        return await self._call(keys, self._sandbox.void, keys)

    async def refund(self, refunds: Sequence[Refund]) -> list[Answer]:
        return await self._call(refunds, self._sandbox.refund, [refund.key for refund in refunds])

    async def look_up(self, keys: Sequence[str]) -> list[Answer]:
        return await self._call(keys, self._sandbox.look_up, keys)

    async def aclose(self) -> None:
        """Holds nothing."""

    async def _call(
        self, things: Sequence[Thing], do: Do[Thing], keys: Sequence[str]
    ) -> list[Answer]:
        await asyncio.sleep(self._fate.latency_s())
        self._fate.at("before_vendor", self._owner)
        kind, delay_s = self._fate.of_call()
        if kind == "heard":
            answers = await do(things)
            self._fate.at("after_vendor", self._owner)
            await asyncio.sleep(self._fate.latency_s())
            return answers
        loop = asyncio.get_running_loop()
        if kind == "late":
            # The question is on its way, whatever becomes of the one who asked it.
            loop.call_later(delay_s, self._arrive, do, things, context=self._outside.context)
        elif kind == "silent":
            await do(things)
        await asyncio.sleep(VENDOR_TIMEOUT_S)
        return [Answer(key, "unknown", None, "timeout", 0) for key in keys]

    def _arrive(self, do: Do[Thing], things: Sequence[Thing]) -> None:
        asyncio.get_running_loop().create_task(do(things), context=self._outside.context)
