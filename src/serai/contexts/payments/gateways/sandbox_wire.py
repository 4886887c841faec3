"""The words of the sandbox's HTTP interface, spoken by its server and its client alike.

They are the provider's own, not the port's; `answer_of` translates. Bodies are JSON, strictly
typed; an unknown field in a request is refused.
"""

from typing import Annotated, Literal

import msgspec

from serai.contexts.payments.ports import Answer, Charge

BATCH_ITEMS_MAX = 500
PAGE_ITEMS_MAX = 500
PAGE_ITEMS = 100
BODY_BYTES_MAX = 512 * 1024

State = Literal["pending", "authorised", "captured", "declined", "voided"]
Outcome = Literal[
    "authorised",
    "captured",
    "declined",
    "refunded",
    "voided",
    "pending",
    "withheld",
    "refused",
    "unavailable",
    "absent",
]
News = Literal["authorised", "captured", "declined"]


class ChargeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One charge; with `capture` false the money is only held."""

    charge: Charge
    capture: bool


class BatchRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Up to `BATCH_ITEMS_MAX` charges, each answered on its own."""

    charges: Annotated[list[Charge], msgspec.Meta(max_length=BATCH_ITEMS_MAX)]
    capture: bool


class CaptureRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much of the held money to take."""

    amount_minor: int


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What the provider says of one request.

    `declined` is the bank's no and stays with the key; `refused` is the provider's, and nothing
    was recorded. `withheld` means decided but not to be told in time; it never travels: a batch
    says `pending` in its place, a single request gets no answer.
    """

    key: str
    outcome: Outcome
    provider_ref: str | None = None
    reason: str | None = None
    amount_minor: int = 0


class BatchReply(msgspec.Struct, frozen=True):
    """One verdict for each charge of the batch, in its order."""

    verdicts: list[Verdict]


class Callback(msgspec.Struct, frozen=True, gc=False):
    """News of a charge. A repeat has the same `id`; `sequence` orders the news of one key."""

    id: str
    key: str
    reference: str
    status: News
    sequence: int
    provider_ref: str
    reason: str | None
    amount_minor: int
    decided_at: float


class Forgery(Callback, frozen=True, gc=False):
    """News that somebody made up: it looks like a callback and is signed under another secret."""


class BookLine(msgspec.Struct, frozen=True, gc=False):
    """One charge as the book holds it."""

    key: str
    reference: str
    currency: str
    status: State
    reason: str | None
    authorised_minor: int
    captured_minor: int
    refunded_minor: int


class Totals(msgspec.Struct, frozen=True, gc=False):
    """The money of one currency that was ever taken, and how much of it was given back."""

    captured_minor: int
    refunded_minor: int


class BookPage(msgspec.Struct, frozen=True):
    """Totals of the whole book by currency, and some of its charges in the order they came.

    `next_after` is the cursor of the next page, absent on the last one.
    """

    totals: dict[str, Totals]
    charges: list[BookLine]
    next_after: int | None


class Problem(msgspec.Struct, frozen=True):
    """Why a request was not understood (RFC 9457)."""

    title: str
    status: int
    code: str
    detail: str


_UNKNOWN_REASONS: dict[Outcome, str] = {
    "pending": "pending",
    "withheld": "timeout",
    "unavailable": "unavailable",
    "absent": "absent",
}


def answer_of(verdict: Verdict) -> Answer:
    """The verdict in the words of the port: whatever is not certain is `unknown`."""
    match verdict.outcome:
        case "authorised" | "captured" | "declined" | "refunded" | "voided" as status:
            return Answer(
                verdict.key, status, verdict.provider_ref, verdict.reason, verdict.amount_minor
            )
        case "refused":
            return Answer(verdict.key, "declined", verdict.provider_ref, verdict.reason, 0)
        case uncertain:
            reason = _UNKNOWN_REASONS[uncertain]
            return Answer(verdict.key, "unknown", verdict.provider_ref, reason, 0)
