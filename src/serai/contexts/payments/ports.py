"""What payments needs of the world: a provider that moves money and can say what it did.

Every operation takes a batch and answers each item on its own, in order, and never raises for one
item: what went wrong with a charge is part of its answer. A batch is a convenience of transport
and not a transaction; some of its items may succeed while others fail.
"""

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

Status = Literal["authorised", "captured", "declined", "refunded", "voided", "unknown"]


# The structs below hold only strings and integers, so they can be part of no reference cycle:
# `gc=False` keeps hundreds of thousands of them out of the garbage collector's walks.
class Charge(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Money to be taken once: the provider takes it at most once per `key`, however often asked.

    `key` is the payment intent's id and doubles as the idempotency key; `reference` is the order's
    id, by which a person finds the charge in the provider's book. `card` is a token.
    """

    key: str
    amount_minor: int
    currency: str
    card: str
    reference: str


class Capture(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Take `amount_minor` of what was authorised under `key`; the rest is released."""

    key: str
    amount_minor: int


class Refund(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Give back part or all of the captured charge `charge_key`, once per `key`."""

    key: str
    charge_key: str
    amount_minor: int
    currency: str


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What the provider says of one item; the only thing a decision may rest on.

    `declined` promises that what was asked did not happen and changed nothing, `reason` says why.
    `unknown` promises nothing: the money may or may not have moved. It is resolved by `look_up`,
    or by asking again with the same key, which is always safe. Its reason is one of `timeout`,
    `pending` (the provider has not decided), `unavailable` (it could not be reached),
    `unreadable_answer`, `http_…` (a status nobody expects), or, from `look_up` alone, `absent` (it
    never saw the key).

    `amount_minor` is the money that the key stands for now: held when `authorised`, taken when
    `captured`, given back when `refunded`, and 0 otherwise.
    """

    key: str
    status: Status
    provider_ref: str | None
    reason: str | None
    amount_minor: int


class PaymentProvider(Protocol):
    """A vendor that holds buyers' money. Each operation gives one answer per item, in order."""

    async def charge(self, charges: Sequence[Charge]) -> list[Answer]:
        """Authorise and capture in one step."""
        ...

    async def authorise(self, charges: Sequence[Charge]) -> list[Answer]:
        """Hold the money without taking it; `capture` or `void` ends the hold."""
        ...

    async def capture(self, captures: Sequence[Capture]) -> list[Answer]:
        """Take held money, all or part of it, once per charge."""
        ...

    async def void(self, keys: Sequence[str]) -> list[Answer]:
        """Promise that these keys hold no money and never will.

        A key that the provider never saw is voided too: a charge that is still under way when its
        order is given up then finds the door closed. Only captured money cannot be voided; the
        answer is `declined` with `already_captured`, and a refund is the way back.
        """
        ...

    async def refund(self, refunds: Sequence[Refund]) -> list[Answer]:
        """Give captured money back, never more of it than was captured."""
        ...

    async def look_up(self, keys: Sequence[str]) -> list[Answer]:
        """What the provider's book says of these keys, of charges and of refunds alike.

        `unknown` with `absent` means that the provider never saw the key. A charge may still be
        on its way, so the safe steps from there are to charge again with the same key or to void.
        """
        ...
