"""The threat model names tests that are there, and has one for each threat."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "explanation" / "security.md"
NAMED = re.compile(r"`(test_\w+)`")
KINDS = ("Spoofing", "Tampering", "Repudiation", "Information disclosure", "Denial of service",
         "Elevation of privilege")  # fmt: skip


def known_tests() -> set[str]:
    """Every test function that there is."""
    return {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)
    }


def threat_faults(text: str, known: set[str]) -> list[str]:
    """Tests that are not there, and threats without a control or a test."""
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
