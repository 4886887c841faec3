"""The sandbox's book: what becomes of each charge, and the money that moves. None of it is real.

The book decides by the script of the card (the table is at the head of `sandbox_cards`), once per
idempotency key, and keeps double entry over three accounts: what left the cards, what the merchant
took, what the merchant gave back. It is synchronous and the time is passed in, in Unix seconds. It
lives in one process.
"""

import heapq
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Literal

from serai.contexts.payments.gateways.sandbox_cards import Script, script_of
from serai.contexts.payments.gateways.sandbox_entry import (
    Entry,
    callbacks_of,
    capture_obstacle,
    fault_in,
    is_key,
    line_of,
    refund_obstacle,
    verdict_of,
)
from serai.contexts.payments.gateways.sandbox_journal import (
    Journal,
    Opened,
    Record,
    Repaid,
    Taken,
    Told,
    Voided,
)
from serai.contexts.payments.gateways.sandbox_wire import (
    BookLine,
    BookPage,
    Callback,
    Totals,
    Verdict,
)
from serai.contexts.payments.ports import Capture, Charge, Refund

# About 700 bytes a key, so that a full book stays under a gigabyte.
KEYS_MAX = 1_000_000
CALLBACK_DELAY_S = 0.05
LATE_DELAY_S = 5.0

Account = Literal["cards", "taken", "repaid"]


class SandboxBook:
    """Every charge the sandbox ever saw, and the money it moved.

    Verbs take a batch and answer each item in order; what they changed is in the journal, if there
    is one, before they return. State changes only in `_apply`, which is also how the journal is
    read back, so a restarted book is the same book.
    """

    def __init__(
        self,
        *,
        journal: Journal | None = None,
        callback_delay_s: float = CALLBACK_DELAY_S,
        late_delay_s: float = LATE_DELAY_S,
        keys_max: int = KEYS_MAX,
    ) -> None:
        self._journal = journal
        self._delays_s = {
            "at_once": callback_delay_s,
            "soon": callback_delay_s,
            "late": late_delay_s,
        }
        self._keys_max = keys_max
        self._entries: dict[str, Entry] = {}
        self._order: list[str] = []
        self._keys_by_reference: dict[str, list[str]] = {}
        self._refunds: dict[str, Refund] = {}
        self._voided_unseen: set[str] = set()
        self._failures: dict[str, int] = {}
        self._accounts: dict[tuple[str, Account], int] = {}
        self._due: list[tuple[float, str]] = []
        self._untold: dict[str, None] = {}
        self._unwritten: list[Record] = []
        self.on_due: Callable[[], None] | None = None
        if journal is not None:
            for record in journal.read():
                self._apply(record)

    # What a merchant may ask.

    def charge(self, charges: Sequence[Charge], *, capture: bool, now: float) -> list[Verdict]:
        """Authorise, and capture if asked, once per key."""
        self._settle_due(now)
        verdicts = [self._charge(charge, capture=capture, now=now) for charge in charges]
        self._write()
        return verdicts

    def capture(self, captures: Sequence[Capture], *, now: float) -> list[Verdict]:
        """Take held money, once per charge."""
        self._settle_due(now)
        verdicts = [self._capture(capture, now=now) for capture in captures]
        self._write()
        return verdicts

    def void(self, keys: Sequence[str], *, now: float) -> list[Verdict]:
        """Close the keys that hold no captured money, those never seen among them."""
        self._settle_due(now)
        verdicts = [self._void(key, now=now) for key in keys]
        self._write()
        return verdicts

    def refund(self, refunds: Sequence[Refund], *, now: float) -> list[Verdict]:
        """Give captured money back, once per key and never more than is left."""
        self._settle_due(now)
        verdicts = [self._refund(refund, now=now) for refund in refunds]
        self._write()
        return verdicts

    def look_up(self, keys: Sequence[str], *, now: float) -> list[Verdict]:
        """What the book holds under these keys, of charges and refunds alike."""
        self._settle_due(now)
        return [self._find(key) or Verdict(key, "absent") for key in keys]

    # What a person or a test may ask.

    def captured_total(self, currency: str) -> int:
        """Minor units ever taken in this currency, refunds not subtracted."""
        return self._accounts.get((currency, "taken"), 0)

    def refunded_total(self, currency: str) -> int:
        """Minor units ever given back in this currency."""
        return -self._accounts.get((currency, "repaid"), 0)

    def imbalance(self, currency: str) -> int:
        """The sum over all accounts, which double entry keeps at zero."""
        return sum(amount for (of, _), amount in self._accounts.items() if of == currency)

    def charges_of(self, reference: str) -> list[BookLine]:
        """The charges made for one order, oldest first."""
        keys = self._keys_by_reference.get(reference, ())
        return [line_of(self._entries[key]) for key in keys]

    def page(self, *, after: int, limit: int, now: float) -> BookPage:
        """Up to `limit` charges after the first `after` ones; `next_after` asks for the next."""
        self._settle_due(now)
        keys = list(islice(self._order, after, after + limit))
        end = after + len(keys)
        currencies = sorted({currency for currency, _ in self._accounts})
        return BookPage(
            totals={
                currency: Totals(self.captured_total(currency), self.refunded_total(currency))
                for currency in currencies
            },
            charges=[line_of(self._entries[key]) for key in keys],
            next_after=end if end < len(self._order) else None,
        )

    # What is owed to the merchant's callback address.

    def next_due_at(self) -> float | None:
        """When the next pending charge is decided or its news is due, if any is."""
        return self._due[0][0] if self._due else None

    def take_due(self, now: float) -> list[tuple[str, list[Callback]]]:
        """The news that is due, by key and in the order to send; each is handed out once.

        It counts as undelivered until `mark_told`: a book read back from its journal hands it out
        again, which is what makes delivery at least once.
        """
        self._settle_due(now)
        keys, self._untold = self._untold, {}
        return [(key, callbacks_of(self._entries[key])) for key in keys]

    def mark_told(self, key: str, *, now: float) -> None:
        """The news of this key has arrived."""
        self._unwritten.append(Told(key, now))
        self._write()

    def close(self) -> None:
        """Let go of the journal."""
        if self._journal is not None:
            self._journal.close()

    # Decisions: each reads the book, and records what it changes.

    def _charge(self, charge: Charge, *, capture: bool, now: float) -> Verdict:
        key = charge.key
        reason = fault_in(charge)
        if reason is not None:
            return Verdict(key, "refused", reason=reason)
        if self._is_used(key):
            return self._repeat(charge, capture=capture)
        script = script_of(charge.card)
        if self._is_full() or self._fails_once_more(key, script):
            return Verdict(key, "unavailable")
        due_at = now + self._delays_s[script.decides] if script.tells else None
        self._record(Opened(charge, capture, due_at, script.decides != "at_once", now))
        if script.is_answer_withheld:
            return Verdict(key, "withheld")
        return verdict_of(self._entries[key])

    def _repeat(self, charge: Charge, *, capture: bool) -> Verdict:
        entry = self._entries.get(charge.key)
        if entry is None and charge.key in self._voided_unseen:
            return Verdict(charge.key, "voided")
        if entry is None or entry.charge != charge or entry.capture != capture:
            return Verdict(charge.key, "refused", reason="idempotency_key_reused")
        return verdict_of(entry)

    def _capture(self, capture: Capture, *, now: float) -> Verdict:
        key = capture.key
        entry = self._entries.get(key)
        reason = capture_obstacle(entry, capture)
        if entry is None or reason is not None:
            return Verdict(key, "refused", reason=reason)
        if entry.status == "authorised":
            self._record(Taken(key, capture.amount_minor, now))
        return verdict_of(entry)

    def _void(self, key: str, *, now: float) -> Verdict:
        entry = self._entries.get(key)
        if entry is None:
            return self._void_unseen(key, now=now)
        if entry.status == "captured":
            return Verdict(key, "refused", reason="already_captured")
        if entry.status in {"pending", "authorised"}:
            self._record(Voided(key, now))
        return Verdict(key, "voided", entry.provider_ref)

    def _void_unseen(self, key: str, *, now: float) -> Verdict:
        if not is_key(key):
            return Verdict(key, "refused", reason="invalid_key")
        if key in self._refunds:
            return Verdict(key, "refused", reason="not_a_charge")
        if key not in self._voided_unseen:
            if self._is_full():
                return Verdict(key, "unavailable")
            self._record(Voided(key, now))
        return Verdict(key, "voided")

    def _refund(self, refund: Refund, *, now: float) -> Verdict:
        key = refund.key
        if self._is_used(key):
            if self._refunds.get(key) == refund:
                return _refund_verdict(refund)
            return Verdict(key, "refused", reason="idempotency_key_reused")
        reason = refund_obstacle(self._entries.get(refund.charge_key), refund)
        if reason is not None:
            return Verdict(key, "refused", reason=reason)
        if self._is_full():
            return Verdict(key, "unavailable")
        self._record(Repaid(refund, now))
        return _refund_verdict(refund)

    def _is_used(self, key: str) -> bool:
        return key in self._entries or key in self._refunds or key in self._voided_unseen

    def _is_full(self) -> bool:
        used = len(self._entries) + len(self._refunds) + len(self._voided_unseen)
        return used + len(self._failures) >= self._keys_max

    def _fails_once_more(self, key: str, script: Script) -> bool:
        if script.failures == 0:
            return False
        failed = self._failures.get(key, 0)
        if failed == script.failures:
            del self._failures[key]
            return False
        self._failures[key] = failed + 1
        return True

    # Changes: the only place that touches the state, for news and for the journal read back.

    def _record(self, record: Record) -> None:
        self._apply(record)
        self._unwritten.append(record)

    def _write(self) -> None:
        if self._unwritten:
            if self._journal is not None:
                self._journal.append(self._unwritten)
            self._unwritten = []

    def _apply(self, record: Record) -> None:
        self._settle_due(record.at)
        match record:
            case Opened():
                self._open(record)
            case Taken(key, amount_minor):
                self._take(self._entries[key], amount_minor)
            case Voided(key):
                entry = self._entries.get(key)
                if entry is None:
                    self._voided_unseen.add(key)
                else:
                    entry.status = "voided"
            case Repaid(refund):
                self._refunds[refund.key] = refund
                entry = self._entries[refund.charge_key]
                entry.refunded_minor += refund.amount_minor
                self._post(refund.currency, "cards", refund.amount_minor)
                self._post(refund.currency, "repaid", -refund.amount_minor)
            case Told(key):
                self._untold.pop(key, None)

    def _open(self, opened: Opened) -> None:
        charge = opened.charge
        entry = Entry(
            charge=charge,
            capture=opened.capture,
            provider_ref=f"ch_{len(self._order) + 1:09d}",
            decided_at=opened.due_at if opened.due_at and opened.is_pending else opened.at,
        )
        self._entries[charge.key] = entry
        self._order.append(charge.key)
        self._keys_by_reference.setdefault(charge.reference, []).append(charge.key)
        if not opened.is_pending:
            self._decide(entry)
        if opened.due_at is not None:
            heapq.heappush(self._due, (opened.due_at, charge.key))
            if self.on_due is not None:
                self.on_due()

    def _settle_due(self, now: float) -> None:
        while self._due and self._due[0][0] <= now:
            _, key = heapq.heappop(self._due)
            entry = self._entries[key]
            if entry.status == "voided":
                continue
            if entry.status == "pending":
                self._decide(entry)
            self._untold[key] = None

    def _decide(self, entry: Entry) -> None:
        reason = script_of(entry.charge.card).decline_reason
        if reason is not None:
            entry.status, entry.reason = "declined", reason
        elif entry.capture:
            self._take(entry, entry.charge.amount_minor)
        else:
            entry.status = "authorised"

    def _take(self, entry: Entry, amount_minor: int) -> None:
        entry.status = "captured"
        entry.captured_minor = amount_minor
        self._post(entry.charge.currency, "cards", -amount_minor)
        self._post(entry.charge.currency, "taken", amount_minor)

    def _post(self, currency: str, account: Account, amount_minor: int) -> None:
        slot = (currency, account)
        self._accounts[slot] = self._accounts.get(slot, 0) + amount_minor

    # Views of the state.

    def _find(self, key: str) -> Verdict | None:
        entry = self._entries.get(key)
        if entry is not None:
            return verdict_of(entry)
        refund = self._refunds.get(key)
        if refund is not None:
            return _refund_verdict(refund)
        return Verdict(key, "voided") if key in self._voided_unseen else None


def _refund_verdict(refund: Refund) -> Verdict:
    return Verdict(refund.key, "refunded", f"re_{refund.key}", None, refund.amount_minor)
