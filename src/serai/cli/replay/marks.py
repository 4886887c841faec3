"""Bundles returned pieces into returns, each marked with the lines of the C invoice it is made of.

The mark travels as the return's reason: `3:12:2,4:1:1 C536379` says that the first two lines of the
return are for line 3 of invoice C536379, which asked for 12 units, and the next for its line 4,
which asked for one. So the shop's own returns tell which cancellations were covered in full.
"""

import collections
from collections.abc import Iterable
from typing import Final

import msgspec

from serai.cli.replay.plan import Plan
from serai.cli.replay.reads import ReturnSeen
from serai.contexts.orders.contract import LINES_MAX
from serai.contexts.returns.contract import REASON_CHARS_MAX

MARK_CHARS_MAX: Final = 32


class ReturnPiece(msgspec.Struct, frozen=True, gc=False):
    """Units of an order line that come back, as the API takes it."""

    line_no: int
    quantity: int


class Bundle(msgspec.Struct):
    """A return: pieces of one order for one C invoice."""

    order: int
    invoice: str
    pieces: list[ReturnPiece] = []
    marks: list[str] = []

    @property
    def reason(self) -> str:
        """The mark."""
        return f"{','.join(self.marks)} {self.invoice}"

    def takes(self, pieces: list[ReturnPiece]) -> bool:
        """Whether these fit in: a return names each line once, so each piece is rounded alone."""
        taken = {piece.line_no for piece in self.pieces}
        return (
            len(self.reason) + MARK_CHARS_MAX <= REASON_CHARS_MAX
            and len(self.pieces) + len(pieces) <= LINES_MAX
            and taken.isdisjoint(piece.line_no for piece in pieces)
        )


class Covered(msgspec.Struct):
    """A line of a C invoice: what it asked for, and what came back for it."""

    wanted: int
    units: int = 0


def bundle(plan: Plan) -> list[Bundle]:
    """The returns of a plan, in file order."""
    bundles: list[Bundle] = []
    open_ones: dict[tuple[str, int], Bundle] = {}
    for comeback in plan.comebacks:
        by_order: dict[int, list[ReturnPiece]] = {}
        for piece in comeback.pieces:
            pieces = by_order.setdefault(piece.order, [])
            pieces.append(ReturnPiece(piece.line_no, piece.quantity))
        for order, pieces in by_order.items():
            key = (comeback.invoice, order)
            current = open_ones.get(key)
            if current is None or not current.takes(pieces):
                current = open_ones[key] = Bundle(order, comeback.invoice)
                bundles.append(current)
            current.pieces += pieces
            current.marks.append(f"{comeback.number}:{comeback.wanted}:{len(pieces)}")
    return bundles


def read_marks(returns: Iterable[ReturnSeen]) -> dict[tuple[str, int], Covered]:
    """What came back for each line of each C invoice; ValueError for a return that is not ours."""
    covered: dict[tuple[str, int], Covered] = {}
    for seen in returns:
        marks, _, invoice = seen.reason.partition(" ")
        lines = collections.deque(seen.lines)
        for mark in marks.split(","):
            number, wanted, count = (int(part) for part in mark.split(":"))
            line = covered.setdefault((invoice, number), Covered(wanted))
            for _ in range(count):
                line.units += lines.popleft().quantity if lines else 0
        if lines:
            raise ValueError(f"the return for {seen.reason} has lines that no mark names")
    return covered
