"""The script of the sandbox: which test card makes the provider behave in which way.

The numbers are our own and pass the Luhn check: `4000 0099`, the row, `00000`, a check digit.

| card             | constant           | what happens to a charge or an authorisation             |
|------------------|--------------------|----------------------------------------------------------|
| 4000009901000003 | APPROVED           | approved at once                                         |
| 4000009902000002 | NO_FUNDS           | declined, `insufficient_funds`                           |
| 4000009903000001 | NOT_HONOURED       | declined, `do_not_honour`                                |
| 4000009904000000 | SILENT_APPROVED    | approved, but the answer is withheld: the caller times   |
|                  |                    | out and learns the truth by look-up or a repeat          |
| 4000009905000009 | SILENT_DECLINED    | declined, `processing_error`; the answer is withheld     |
| 4000009906000008 | ANSWERED_TWICE     | approved at once, then called back with the same news    |
| 4000009907000007 | LATE_APPROVED      | pending; approved and called back after the long delay   |
| 4000009908000006 | LATE_DECLINED      | pending; declined, `do_not_honour`, and called back      |
|                  |                    | after the long delay                                     |
| 4000009909000005 | TOLD_TWICE         | pending; approved after the short delay, and the same    |
|                  |                    | callback is sent twice                                   |
| 4000009910000002 | TOLD_OUT_OF_ORDER  | pending; approved after the short delay, and the callback|
|                  |                    | `captured` comes before the callback `authorised`        |
| 4000009911000001 | DOWN_BRIEFLY       | 503 for the first 2 attempts per key, then approved      |
| 4000009912000000 | DOWN_LONG          | 503 for the first 6 attempts per key, then approved      |
| 4000009913000009 | FORGED_FIRST       | pending; approved after the short delay, and before the  |
|                  |                    | callback comes another that says `declined` under a      |
|                  |                    | signature that is not the provider's                     |

Any other number that passes the Luhn check is approved at once. Anything else is declined with
`invalid_card`. Captures, voids, refunds and look-ups are always answered at once.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

APPROVED = "4000009901000003"
NO_FUNDS = "4000009902000002"
NOT_HONOURED = "4000009903000001"
SILENT_APPROVED = "4000009904000000"
SILENT_DECLINED = "4000009905000009"
ANSWERED_TWICE = "4000009906000008"
LATE_APPROVED = "4000009907000007"
LATE_DECLINED = "4000009908000006"
TOLD_TWICE = "4000009909000005"
TOLD_OUT_OF_ORDER = "4000009910000002"
DOWN_BRIEFLY = "4000009911000001"
DOWN_LONG = "4000009912000000"
FORGED_FIRST = "4000009913000009"

CARD_DIGITS_MIN = 12
CARD_DIGITS_MAX = 19


class Script(msgspec.Struct, frozen=True, gc=False):
    """How the provider behaves towards one card.

    `decides` says when the book is settled: at once, or after the short or the long delay.
    `tells` lists the callbacks in the order they are sent: `outcome` is the final state,
    `authorised` the step before a capture, `forgery` a lie of somebody who is not the provider.
    """

    decline_reason: str | None = None
    decides: Literal["at_once", "soon", "late"] = "at_once"
    is_answer_withheld: bool = False
    tells: tuple[Literal["outcome", "authorised", "forgery"], ...] = ()
    failures: int = 0


PLAIN = Script()
INVALID = Script(decline_reason="invalid_card")

SCRIPTS: Mapping[str, Script] = {
    APPROVED: PLAIN,
    NO_FUNDS: Script(decline_reason="insufficient_funds"),
    NOT_HONOURED: Script(decline_reason="do_not_honour"),
    SILENT_APPROVED: Script(is_answer_withheld=True),
    SILENT_DECLINED: Script(is_answer_withheld=True, decline_reason="processing_error"),
    ANSWERED_TWICE: Script(tells=("outcome",)),
    LATE_APPROVED: Script(decides="late", tells=("outcome",)),
    LATE_DECLINED: Script(decides="late", decline_reason="do_not_honour", tells=("outcome",)),
    TOLD_TWICE: Script(decides="soon", tells=("outcome", "outcome")),
    TOLD_OUT_OF_ORDER: Script(decides="soon", tells=("outcome", "authorised")),
    DOWN_BRIEFLY: Script(failures=2),
    DOWN_LONG: Script(failures=6),
    FORGED_FIRST: Script(decides="soon", tells=("forgery", "outcome")),
}


def script_of(card: str) -> Script:
    """The behaviour of a card number, spaces allowed; a malformed one is declined."""
    digits = card.replace(" ", "")
    script = SCRIPTS.get(digits)
    if script is not None:
        return script
    return PLAIN if is_well_formed(digits) else INVALID


def is_well_formed(digits: str) -> bool:
    """Whether these are digits in a card's length that pass the Luhn check (ISO/IEC 7812-1)."""
    if not (CARD_DIGITS_MIN <= len(digits) <= CARD_DIGITS_MAX):
        return False
    if not (digits.isascii() and digits.isdigit()):
        return False
    checksum = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit)
        if place % 2 == 1:
            value = value * 2 - 9 if value > 4 else value * 2  # noqa: PLR2004 (two digits from 5 on)
        checksum += value
    return checksum % 10 == 0
