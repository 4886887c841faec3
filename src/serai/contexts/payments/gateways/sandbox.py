"""The sandbox as a provider called in process: no network, no waiting, the same answers.

What the HTTP adapter learns by waiting, this one knows at once: a withheld answer is a time-out
without the time, and a provider that is down is asked again without a pause. The book lives in one
process, so workers in several processes need `sandbox_server`; each would otherwise keep a book of
its own, and reconciliation would find charges absent that another process made.
"""

import time
from collections.abc import Callable, Sequence

from serai.contexts.payments.gateways.sandbox_book import SandboxBook
from serai.contexts.payments.gateways.sandbox_wire import Verdict, answer_of
from serai.contexts.payments.ports import Answer, Capture, Charge, Refund

ATTEMPTS_MAX = 4


class DirectSandbox:
    """`PaymentProvider` over a book in this process. Its callbacks go by `deliver_callbacks`."""

    def __init__(self, book: SandboxBook, *, now: Callable[[], float] = time.time) -> None:
        self._book = book
        self._now = now

    def close(self) -> None:
        """Closes the book."""
        self._book.close()

    async def charge(self, charges: Sequence[Charge]) -> list[Answer]:
        """Authorise and capture."""
        return self._open(charges, capture=True)

    async def authorise(self, charges: Sequence[Charge]) -> list[Answer]:
        """Hold the money."""
        return self._open(charges, capture=False)

    async def capture(self, captures: Sequence[Capture]) -> list[Answer]:
        """Take held money."""
        return [answer_of(verdict) for verdict in self._book.capture(captures, now=self._now())]

    async def void(self, keys: Sequence[str]) -> list[Answer]:
        """Close the keys."""
        return [answer_of(verdict) for verdict in self._book.void(keys, now=self._now())]

    async def refund(self, refunds: Sequence[Refund]) -> list[Answer]:
        """Give captured money back."""
        return [answer_of(verdict) for verdict in self._book.refund(refunds, now=self._now())]

    async def look_up(self, keys: Sequence[str]) -> list[Answer]:
        """Read the book."""
        return [answer_of(verdict) for verdict in self._book.look_up(keys, now=self._now())]

    def _open(self, charges: Sequence[Charge], *, capture: bool) -> list[Answer]:
        verdicts = self._book.charge(charges, capture=capture, now=self._now())
        for _ in range(ATTEMPTS_MAX - 1):
            down = [place for place, verdict in enumerate(verdicts) if _is_down(verdict)]
            if not down:
                break
            again = [charges[place] for place in down]
            repeated = self._book.charge(again, capture=capture, now=self._now())
            for place, verdict in zip(down, repeated, strict=True):
                verdicts[place] = verdict
        return [answer_of(verdict) for verdict in verdicts]


def _is_down(verdict: Verdict) -> bool:
    return verdict.outcome == "unavailable"
