"""Every code that an import can give to a row stands in its reference, and no other does."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from serai.contexts.billing.contract import QuotaExceeded
from serai.contexts.catalog.contract import HandleTaken, NothingToSell, SkuTaken
from serai.contexts.inventory.model import TooMuchStock
from serai.kernel.failure import IllegalState, Invalid

ROOT = Path(__file__).parents[2]
CATALOG = ROOT / "src" / "serai" / "contexts" / "catalog"
REFERENCE = ROOT / "docs" / "reference" / "csv-import.md"

SOURCES = (
    (CATALOG.glob("gateways/csv_*.py"), {"Fault": 0, "CellRefused": 1, "RowProblem": 2}),
    (CATALOG.glob("model/*.py"), {"Fault": 1}),
    (CATALOG.glob("routes/*.py"), {"Fault": 1, "RowProblem": 2}),
)
"""Where codes are written: at which place of which call, and else in assignments to `code`."""
REFUSALS = {
    refusal.code
    for refusal in (
        HandleTaken,
        IllegalState,
        Invalid,
        NothingToSell,
        QuotaExceeded,
        SkuTaken,
        TooMuchStock,
    )
} | {"body_too_large"}
"""What the API refuses a product or its opening stock with, as it is passed on to the row."""
CODE = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*")
TABLE_ROW = re.compile(r"^\| `([a-z0-9_]+)` \|", re.MULTILINE)


MADE = re.compile(r"missing_[a-z_]+")
"""Codes that are made of the column that is blank, by one function of csv_cells."""


def strings(node: ast.expr) -> Iterator[str]:
    """The constant texts of an expression, of both sides where it chooses."""
    if isinstance(node, ast.JoinedStr):
        assert ast.unparse(node) == "f'missing_{column}'", "what can this code be?"
        return
    for inner in ast.walk(node):
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            yield inner.value


def codes_of(source: str, places: dict[str, int]) -> set[str]:
    """The codes that a module gives: an argument of these calls, or what is assigned to `code`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            place = places.get(node.func.id)
            if place is not None and len(node.args) > place:
                found.update(strings(node.args[place]))
        elif isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            if "code" in names:
                found.update(strings(node.value))
    return {code for code in found if CODE.fullmatch(code)}


def given_codes() -> set[str]:
    found = set(REFUSALS)
    for paths, places in SOURCES:
        for path in paths:
            found |= codes_of(path.read_text("utf-8"), places)
    return found


def documented_codes(text: str) -> set[str]:
    return set(TABLE_ROW.findall(text.partition("## Problem codes")[2]))


def test_the_reference_has_every_code_of_a_row_and_no_other() -> None:
    given, documented = given_codes(), documented_codes(REFERENCE.read_text("utf-8"))
    unknown = {code for code in documented - given if not MADE.fullmatch(code)}
    assert (sorted(given - documented), sorted(unknown)) == ([], [])
    assert {"missing_title", "missing_sku"} <= documented


def test_a_code_that_is_written_down_nowhere_is_noticed() -> None:
    source = (
        'def f(x):\n    raise CellRefused("sku", "odd_sku", "Mend it.")\n'
        'def g(x):\n    code = x.code if x else "late_row"\n    return RowProblem(1, None, code)\n'
    )
    assert codes_of(source, {"CellRefused": 1, "RowProblem": 2}) == {"odd_sku", "late_row"}
    assert documented_codes("| `of_before` | x |\n## Problem codes\n| `odd_sku` | x |\n") == {
        "odd_sku"
    }
