"""The table of planted faults in docs/reference/proof.md is the list of planted faults."""

import re
from pathlib import Path

from tests.faults.catches import CATCHES
from tests.faults.registry import FAULTS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "proof.md"
HEAD = "| fault | what it would do | caught by | simulation |"
ROW = re.compile(r"^\| `(\w+)` \| (.+?) \| `([^`]+)` `(\w+)` \| (.+?) \|$")


def rows_of(text: str) -> list[tuple[str, str, str]]:
    """Fault, sentence and test of each row; a line of the table that is no row is an error."""
    lines = text.split(HEAD)[1].strip().splitlines()[1:]
    table = lines[: next((n for n, line in enumerate(lines) if not line), len(lines))]
    found = [ROW.match(line) for line in table]
    assert all(found), [line for line, row in zip(table, found, strict=True) if row is None]
    return [(row[1], row[2], f"{row[3]}::{row[4]}") for row in found if row is not None]


def test_every_planted_fault_stands_in_the_table_with_the_check_that_catches_it() -> None:
    expected = [(name, fault.sentence, CATCHES[name].test) for name, fault in FAULTS.items()]
    assert rows_of(PAGE.read_text("utf-8")) == expected


def test_the_table_is_read_row_by_row() -> None:
    text = (
        f"before\n\n{HEAD}\n|---|---|---|---|\n| `a` | It breaks. | `tests/x.py` `y` | 3 |\n\nafter"
    )
    assert rows_of(text) == [("a", "It breaks.", "tests/x.py::y")]
