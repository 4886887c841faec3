"""The sandbox's journal: a restarted book is the same book, whatever the crash left behind."""

from pathlib import Path

import pytest

from serai.contexts.payments.gateways import sandbox_cards as cards
from serai.contexts.payments.gateways.sandbox_book import SandboxBook
from serai.contexts.payments.gateways.sandbox_journal import (
    Journal,
    JournalBrokenError,
    JournalInUseError,
)
from serai.contexts.payments.ports import Capture, Charge, Refund


def open_book(path: Path) -> SandboxBook:
    return SandboxBook(journal=Journal(path), callback_delay_s=1.0, late_delay_s=10.0)


def make_charge(key: str, card: str = cards.APPROVED) -> Charge:
    return Charge(key, 500, "EUR", card, "order-1")


def fill(book: SandboxBook) -> None:
    book.charge([make_charge("a"), make_charge("b", cards.NO_FUNDS)], capture=True, now=1.0)
    book.charge([make_charge("c"), make_charge("d")], capture=False, now=2.0)
    book.charge([make_charge("e", cards.LATE_APPROVED)], capture=True, now=3.0)
    book.capture([Capture("c", 200)], now=4.0)
    book.void(["d", "unseen"], now=5.0)
    book.refund([Refund("r", "a", 120, "EUR")], now=6.0)


KEYS = ["a", "b", "c", "d", "e", "r", "unseen", "absent"]


@pytest.mark.parametrize("now", [6.0, 20.0])
def test_a_restarted_book_gives_the_answers_of_the_old_one(tmp_path: Path, now: float) -> None:
    book = open_book(tmp_path / "journal")
    fill(book)
    book.close()
    again = open_book(tmp_path / "journal")
    assert again.look_up(KEYS, now=now) == book.look_up(KEYS, now=now)
    assert again.page(after=0, limit=100, now=now) == book.page(after=0, limit=100, now=now)
    assert again.imbalance("EUR") == 0
    again.close()


def test_what_was_answered_is_in_the_file_before_the_answer(tmp_path: Path) -> None:
    book = open_book(tmp_path / "journal")
    book.charge([make_charge("a"), make_charge("b")], capture=True, now=1.0)
    assert (tmp_path / "journal").read_bytes().count(b"\n") == 2
    book.charge([make_charge("a")], capture=True, now=1.0)
    book.look_up(["a"], now=1.0)
    assert (tmp_path / "journal").read_bytes().count(b"\n") == 2
    book.close()


@pytest.mark.parametrize("lost_bytes", [1, 2, 40])
def test_a_last_line_cut_short_is_dropped_and_the_file_goes_on(
    tmp_path: Path, lost_bytes: int
) -> None:
    path = tmp_path / "journal"
    book = open_book(path)
    book.charge([make_charge("a"), make_charge("b")], capture=True, now=1.0)
    book.close()
    path.write_bytes(path.read_bytes()[:-lost_bytes])
    again = open_book(path)
    outcomes = [verdict.outcome for verdict in again.look_up(["a", "b"], now=1.0)]
    assert outcomes == ["captured", "absent"]
    again.charge([make_charge("b")], capture=True, now=2.0)
    again.close()
    third = open_book(path)
    outcomes = [verdict.outcome for verdict in third.look_up(["a", "b"], now=2.0)]
    assert outcomes == ["captured", "captured"]
    third.close()


def test_a_line_that_cannot_be_read_stops_the_start_and_is_named(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    book = open_book(path)
    book.charge([make_charge("a"), make_charge("b")], capture=True, now=1.0)
    book.close()
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + b'{"did":"opened"}\n' + second)
    journal = Journal(path)
    with pytest.raises(JournalBrokenError, match="line 2"):
        SandboxBook(journal=journal)
    journal.close()


def test_two_books_cannot_share_a_journal(tmp_path: Path) -> None:
    book = open_book(tmp_path / "journal")
    with pytest.raises(JournalInUseError, match="held by another process"):
        Journal(tmp_path / "journal")
    book.close()
    Journal(tmp_path / "journal").close()


def test_news_that_was_not_delivered_is_told_again_after_a_restart(tmp_path: Path) -> None:
    book = open_book(tmp_path / "journal")
    charges = [make_charge("a", cards.LATE_APPROVED), make_charge("b", cards.TOLD_TWICE)]
    book.charge(charges, capture=True, now=1.0)
    assert [key for key, _ in book.take_due(20.0)] == ["b", "a"]
    book.mark_told("b", now=20.0)
    book.close()
    again = open_book(tmp_path / "journal")
    assert [key for key, _ in again.take_due(20.0)] == ["a"]
    again.close()
