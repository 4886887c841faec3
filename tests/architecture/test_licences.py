"""Every distribution that is installed may be used and passed on, by what it says of itself."""

from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import pytest

from tests.architecture.test_requirements import PIN

ROOT = Path(__file__).parents[2]

PERMISSIVE = {
    "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "PSF-2.0",
}  # fmt: skip
FILE_COPYLEFT = {"MPL-2.0"}
"""Binds changes to its own files, and nothing that merely uses them."""
ONLY_HERE = {
    "pglast": "GPL-3.0-or-later; parses our SQL in a test, and is never shipped nor imported by us",
    "dnslib": "BSD of two clauses, of which it says BSD only; the DNS of a test",
    "forbiddenfruit": "GPL or MIT at our choice: MIT; a test's",
}
"""What tests and checks may use and a running shop may not, and why."""
WORDS = {
    "Apache 2.0": "Apache-2.0", "Apache Software License": "Apache-2.0",
    "BSD 2-Clause License": "BSD-2-Clause", "BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC", "ISC License": "ISC", "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}  # fmt: skip
"""How older metadata calls the same."""


def licences_of(about: metadata.PackageMetadata) -> set[str]:
    """The licences that a distribution names: by expression, else in words, else by classifier."""
    expression, words = (
        (about.get_all(field) or [""])[0] for field in ("License-Expression", "License")
    )
    if expression:
        return {word for word in expression.split() if word not in {"AND", "OR", "WITH"}}
    classifiers = [
        name.rsplit(" :: ", 1)[-1]
        for name in about.get_all("Classifier") or ()
        if name.startswith("License :: ") and name != "License :: OSI Approved"
    ]
    words = words.strip().partition("\n")[0].strip()
    found = [words] if words and not classifiers else classifiers
    return {WORDS.get(name, name) for name in found}


def licence_faults(
    installed: Iterable[tuple[str, set[str]]], *, run: set[str]
) -> list[tuple[str, set[str]]]:
    """Those whose licence is not one that we may use where they are used."""
    return [
        (name, licences)
        for name, licences in installed
        if not (licences and licences <= PERMISSIVE | FILE_COPYLEFT)
        and (name in run or name not in ONLY_HERE)
    ]


def pins(file: str) -> set[str]:
    return set(PIN.findall((ROOT / "requirements" / file).read_text("utf-8")))


def name_of(about: metadata.PackageMetadata) -> str:
    return about["Name"].lower().replace("_", "-")


def test_every_licence_is_one_that_we_may_use() -> None:
    installed = [
        (name_of(one.metadata), licences_of(one.metadata)) for one in metadata.distributions()
    ]
    known = dict(installed)
    pinned = pins("dev.txt")
    assert len(pinned & known.keys()) > 50
    ours = [(name, licences) for name, licences in installed if name in pinned]
    assert licence_faults(ours, run=pins("run.txt")) == []


def test_nothing_is_installed_that_no_file_pins() -> None:
    """What checks the code was chosen by hash; pip itself came with Python."""
    brought = {"pip", "setuptools", "serai"}
    installed = {name_of(one.metadata) for one in metadata.distributions()}
    assert installed - pins("dev.txt") - brought == set()


@pytest.mark.parametrize(
    ("name", "licences", "is_fault"),
    [
        ("new", {"GPL-3.0-or-later"}, True),
        ("new", {"MIT", "AGPL-3.0"}, True),
        ("new", set(), True),
        ("new", {"MIT", "MPL-2.0"}, False),
        ("pglast", {"GPL-3.0-or-later"}, False),
        ("shipped", {"GPL-3.0-or-later"}, True),
    ],
)
def test_the_licence_check_sees_a_planted_fault(
    name: str,
    licences: set[str],
    is_fault: bool,  # noqa: FBT001
) -> None:
    assert bool(licence_faults([(name, licences)], run={"shipped"})) is is_fault
    assert licence_faults([("pglast", {"GPL-3.0-or-later"})], run={"pglast"}) != []
