"""The threat model names tests that are there and can fail, and has one for each threat.

That a test would fail for its threat no check can tell: who changes the page reads it.
"""

import ast
import collections
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "explanation" / "security.md"
NAMED = re.compile(r"`(test_\w+)`")
KINDS = ("Spoofing", "Tampering", "Repudiation", "Information disclosure", "Denial of service",
         "Elevation of privilege")  # fmt: skip


def read_tests() -> list[tuple[str, bool]]:
    """Every test function that there is, and whether it can fail by more than an accident."""
    return [
        (found.name, can_fail(found))
        for path in (ROOT / "tests").rglob("test_*.py")
        for found in ast.parse(path.read_text("utf-8")).body
        if isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef)
        and found.name.startswith("test_")
    ]


def can_fail(function: ast.AST) -> bool:
    """Whether it asserts something, or waits for a refusal."""
    return any(
        isinstance(node, ast.Assert) or (isinstance(node, ast.Attribute) and node.attr == "raises")
        for node in ast.walk(function)
    )


def known_tests() -> set[str]:
    """The tests that a threat may name: each there once, so that nobody asks which is meant."""
    counts = collections.Counter(name for name, can in read_tests() if can)
    return {name for name, count in counts.items() if count == 1}


def threat_faults(text: str, known: set[str]) -> list[str]:
    """Tests that are not there or cannot fail, and threats without a control or a test."""
    faults = [name for name in NAMED.findall(text) if name not in known]
    for line in text.splitlines():
        if line.startswith("|") and not line.startswith(("| threat", "|---")):
            threat, control, shown = (cell.strip() for cell in line.strip("|").split("|"))
            if not control or not NAMED.search(shown):
                faults.append(threat)
    return faults


def test_every_threat_has_its_control_and_tests_that_exist() -> None:
    text = PAGE.read_text("utf-8")
    assert threat_faults(text, known_tests()) == []
    assert [kind for kind in KINDS if f"\n## {kind}: " not in text] == []
    assert len(NAMED.findall(text)) > 40


def test_the_look_at_the_threat_model_sees_a_planted_fault() -> None:
    head = "| threat | control | shown by |\n|---|---|---|\n"
    assert threat_faults(head + "| a | b | `test_there` |\n", {"test_there"}) == []
    assert threat_faults(head + "| a | b | `test_gone` |\n", {"test_there"}) == ["test_gone"]
    assert threat_faults(head + "| a | b | a promise |\n", {"test_there"}) == ["a"]
    assert threat_faults(head + "| a |  | `test_there` |\n", {"test_there"}) == ["a"]


def test_a_test_that_asserts_nothing_shows_nothing() -> None:
    tree = ast.parse("async def test_a():\n    await go()\ndef test_b():\n    assert go()\n").body
    assert [can_fail(function) for function in tree] == [False, True]
