"""Whatever is asked of the sandbox in whatever order, its money adds up."""

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from serai.contexts.payments.gateways import sandbox_cards as cards
from serai.contexts.payments.gateways.sandbox_book import SandboxBook
from serai.contexts.payments.gateways.sandbox_journal import Journal
from serai.contexts.payments.ports import Capture, Charge, Refund

# Few keys and small amounts, so that requests meet each other.
KEYS = st.sampled_from(["a", "b", "c", "d"])
AMOUNTS = st.integers(min_value=-1, max_value=6)
CURRENCIES = st.sampled_from(["EUR", "JPY"])


class SandboxTrade(RuleBasedStateMachine):
    """A merchant who asks anything, a clock that moves, and a server that is killed at will."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.now = 0.0
        self.captures: dict[str, int] = {}
        self.closed: set[str] = set()
        self.open_book()

    def open_book(self) -> None:
        journal = Journal(Path(self.folder.name) / "journal")
        self.book = SandboxBook(journal=journal, callback_delay_s=1.0, late_delay_s=3.0)

    def teardown(self) -> None:
        self.book.close()
        self.folder.cleanup()

    @rule(
        key=KEYS,
        amount=AMOUNTS,
        currency=CURRENCIES,
        card=st.sampled_from(list(cards.SCRIPTS)),
        capture=st.booleans(),
    )
    def charge(self, *, key: str, amount: int, currency: str, card: str, capture: bool) -> None:
        asked = [Charge(key, amount, currency, card, f"order-{key}")]
        first = self.book.charge(asked, capture=capture, now=self.now)
        if first[0].outcome not in {"withheld", "unavailable"}:
            assert self.book.charge(asked, capture=capture, now=self.now) == first

    @rule(key=KEYS, amount=AMOUNTS)
    def capture(self, key: str, amount: int) -> None:
        self.book.capture([Capture(key, amount)], now=self.now)

    @rule(key=KEYS)
    def void(self, key: str) -> None:
        (verdict,) = self.book.void([key], now=self.now)
        if verdict.outcome == "voided":
            self.closed.add(key)

    @rule(key=st.sampled_from(["a", "r", "s", "t"]), of=KEYS, amount=AMOUNTS, currency=CURRENCIES)
    def refund(self, key: str, of: str, amount: int, currency: str) -> None:
        self.book.refund([Refund(key, of, amount, currency)], now=self.now)

    @rule(seconds=st.sampled_from([0.5, 1.0, 3.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def tell(self) -> None:
        for key, _ in self.book.take_due(self.now):
            self.book.mark_told(key, now=self.now)

    @rule()
    def kill_and_restart(self) -> None:
        before = self.book.page(after=0, limit=100, now=self.now)
        self.book.close()
        self.open_book()
        assert self.book.page(after=0, limit=100, now=self.now) == before

    @invariant()
    def money_adds_up(self) -> None:
        lines = self.book.page(after=0, limit=100, now=self.now).charges
        for line in lines:
            assert 0 <= line.refunded_minor <= line.captured_minor <= line.authorised_minor
        for currency in ("EUR", "JPY"):
            own = [line for line in lines if line.currency == currency]
            assert self.book.captured_total(currency) == sum(line.captured_minor for line in own)
            assert self.book.refunded_total(currency) == sum(line.refunded_minor for line in own)
            assert self.book.imbalance(currency) == 0

    @invariant()
    def a_key_is_captured_once_and_never_after_it_was_voided(self) -> None:
        for line in self.book.page(after=0, limit=100, now=self.now).charges:
            if line.captured_minor:
                assert self.captures.setdefault(line.key, line.captured_minor) == (
                    line.captured_minor
                )
                assert line.key not in self.closed


SandboxTrade.TestCase.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, derandomize=True
)
TestSandboxTrade = SandboxTrade.TestCase
