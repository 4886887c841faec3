"""The list of attacks: each by a name of its own, chosen by name or family, and described."""

import re
from pathlib import Path

import pytest

from serai.cli.prove.attacks.registry import ATTACKS
from serai.cli.prove.attacks.runner import choose

DOC = Path(__file__).parents[2] / "docs" / "reference" / "attacks.md"


def test_every_attack_has_a_name_of_its_own_and_a_row_in_the_docs() -> None:
    rows = re.findall(
        r"^\| (\w+) \| `([a-z-]+)` \| (\w+) \| (.+?) \|", DOC.read_text(), re.MULTILINE
    )
    assert rows == [(a.family, a.name, a.anomaly, a.sentence) for a in ATTACKS]
    assert len({a.name for a in ATTACKS} | {a.family for a in ATTACKS}) == len(ATTACKS) + 5


def test_attacks_are_chosen_by_name_and_by_family() -> None:
    assert choose(()) == list(ATTACKS)
    assert [a.name for a in choose(("stale-edits", "opposite-orders"))] == [
        "opposite-orders",
        "stale-edits",
    ]
    assert {a.family for a in choose(("tenancy",))} == {"tenancy"}
    with pytest.raises(KeyError):
        choose(("tenancy", "no-such-attack"))
