"""What a run ends with: its figures, its document and its page."""

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
import typer

from serai.cli.console import Failure
from serai.cli.prove import charts
from serai.cli.prove.command import end
from serai.cli.prove.history import ProbeSight, Sight
from serai.cli.prove.invariants import INVARIANTS, judge
from serai.cli.prove.outcome import outcome_of, show
from serai.cli.prove.page import page_of, write_report
from serai.cli.prove.probes import Spread, spread, unavailable_by_kind
from serai.cli.prove.session import Proof
from tests.unit.prove_case import LEFT, a_case, a_history, charge, evidence, placed, story

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


class Outline(HTMLParser):
    """The elements of a page, which must be closed as they were opened."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def a_proof(*, is_clean: bool = True) -> Proof:
    book = evidence().book if is_clean else [*evidence().book, charge(LEFT, key="<again>")]
    case = a_case(book=book)
    return Proof(case, judge(case), 4.2)


def read(proof: Proof) -> Outline:
    outline = Outline()
    outline.feed(page_of(proof, outcome_of(proof), NOW))
    outline.close()
    assert outline.open == []
    return outline


def test_the_document_has_what_scripts_ask_for() -> None:
    found = outcome_of(a_proof(is_clean=False))
    document = msgspec.json.decode(msgspec.json.encode(found))
    assert document["seed"] == 7
    assert document["seconds"] == 60
    assert document["faults"] == {"api_killed": 1}
    assert (document["acknowledged"], document["confirmed"], document["cancelled"]) == (4, 2, 2)
    assert (document["lost"], document["oversold_units"], document["stuck"]) == (0, 0, 0)
    assert (document["double_charges"], document["charged_without_order"]) == (1, 0)
    assert document["is_clean"] is False
    assert document["unavailable_ms"]["api_killed"]["max"] == pytest.approx(590)
    assert {v["invariant"] for v in document["violations"]} == {"charged_once", "paid"}
    assert set(document["invariants"]) == {invariant.name for invariant in INVARIANTS}


def test_a_fault_is_timed_to_the_first_success_of_what_was_begun_after_it() -> None:
    history = a_history()
    probe = story(6, "o-probe", is_probe=True)
    probe.deeds[0].attempts = [msgspec.structs.replace(placed("o-probe"), at_s=2.2)]
    probe.sights.append(Sight(3.01, "confirmed"))
    # Whoever was answered before the fault saw nothing of it, however late the end was seen.
    history.stories[0].sights = [Sight(2.5, "confirmed")]
    history.stories.append(probe)
    # It was asked before the fault and answered after it, so it tells nothing of the fault.
    history.answers.append(ProbeSight("api-1", 2.0, 2.05))
    figure = unavailable_by_kind(history)["api_killed"]
    assert figure.answers == Spread(590.0, 590.0)
    assert figure.confirms == Spread(1000.0, 1000.0)
    assert (figure.p50, figure.max) == (1000.0, 1000.0)


def test_a_fault_of_one_api_is_timed_by_that_api() -> None:
    history = a_history()
    history.answers = [ProbeSight("api-2", 2.1, 2.2), ProbeSight("api-1", 3.0, 3.01)]
    assert unavailable_by_kind(history)["api_killed"].answers == Spread(1000.0, 1000.0)


def test_the_spread_is_the_middle_and_the_worst_of_what_ended() -> None:
    assert spread([]) is None
    assert spread([float("inf")]) is None
    assert spread([0.3, 0.1, 0.2, float("inf")]) == Spread(200.0, 300.0)


def test_the_page_is_whole_and_holds_the_figures() -> None:
    outline = read(a_proof())
    words = " ".join(" ".join(outline.words).split())
    assert "Every promise held." in words
    assert "Seed 7" in words
    assert "1 faults in 60 seconds" in words
    assert "api killed" in words
    assert all(invariant.sentence in words for invariant in INVARIANTS)
    assert [attributes["class"] for tag, attributes in outline.seen if tag == "circle"] == ["fault"]
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in (
        outline.seen
    )


def test_the_page_asks_for_nothing_from_elsewhere() -> None:
    proof = a_proof()
    page = page_of(proof, outcome_of(proof), NOW)
    assert not re.search(r"https?://|url\(|@import|<script|<link|<img", page)
    assert "prefers-color-scheme: dark" in page


def test_the_page_shows_what_was_broken_and_takes_no_text_for_markup() -> None:
    proof = a_proof(is_clean=False)
    page = page_of(proof, outcome_of(proof), NOW)
    assert "<again>" not in page
    words = " ".join(" ".join(read(proof).words).split())
    assert "2 violations." in words
    assert f"order {LEFT} was charged 2 times" in words
    assert "<again>" in words


def test_the_report_is_one_file(tmp_path: Path) -> None:
    proof = a_proof()
    folder = tmp_path / "new" / "proof"
    path = write_report(folder, proof, outcome_of(proof))
    assert [entry.name for entry in folder.iterdir()] == [path.name]


def test_moments_are_counted_by_the_second() -> None:
    assert charts.per_second([0.0, 0.99, 2.5, 9.0, -1.0], 3) == [2, 0, 1]


def test_people_are_told_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    show(outcome_of(a_proof(is_clean=False)))
    said = capsys.readouterr().out
    assert f"charged_once: order {LEFT} was charged 2 times" in said
    assert "2 violations." in said
    assert "api killed" in said


def test_a_run_ends_with_what_it_found_and_one_without_orders_proves_nothing() -> None:
    clean = msgspec.structs.replace(outcome_of(a_proof(is_clean=True)), acknowledged=1)
    end(clean)
    with pytest.raises(typer.Exit) as broken:
        end(msgspec.structs.replace(clean, is_clean=False, acknowledged=0))
    assert broken.value.exit_code == 1
    with pytest.raises(Failure) as empty:
        end(msgspec.structs.replace(clean, acknowledged=0))
    assert (empty.value.code, empty.value.exit_code) == ("nothing_proved", 3)
