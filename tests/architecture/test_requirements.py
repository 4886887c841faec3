"""What is installed is pinned by hash, names no address, and holds all that pyproject.toml asks."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PIN = re.compile(r"^([a-z0-9][a-z0-9.-]*)==\S+", re.MULTILINE)
NAME = re.compile(r"[A-Za-z0-9._-]+")


def pin_faults(text: str) -> list[str]:
    """Why pip with --require-hashes would refuse this file, or whose machine it gives away."""
    faults = re.findall(r"(?:https?|file)://\S+|^-.*$", text, re.MULTILINE)
    for block in re.split(r"\n(?=\S)", re.sub(r"^\s*#.*\n?", "", text, flags=re.MULTILINE)):
        if block.strip() and "--hash=sha256:" not in block:
            faults.append(block.split()[0])
    return faults


def pins(file: str) -> set[str]:
    return set(PIN.findall((ROOT / "requirements" / file).read_text("utf-8")))


def asked(extra: str | None) -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = project["optional-dependencies"][extra] if extra else project["dependencies"]
    return {match[0] for line in lines if (match := NAME.match(line))}


@pytest.mark.parametrize("file", ["run.txt", "dev.txt"])
def test_requirements_are_pinned_by_hash_and_name_no_address(file: str) -> None:
    assert pin_faults((ROOT / "requirements" / file).read_text("utf-8")) == []


def test_requirements_hold_what_pyproject_asks_for() -> None:
    assert asked(None) - pins("run.txt") == set()
    assert asked("dev") - pins("dev.txt") == set()
    assert pins("run.txt") - pins("dev.txt") == set()


def test_every_dependency_says_why_it_is_there() -> None:
    reference = (ROOT / "docs" / "reference" / "dependencies.md").read_text("utf-8")
    listed = set(re.findall(r"^\| `([^`]+)`", reference, re.MULTILINE))
    assert listed == asked(None) | asked("dev") | {"flit-core"}


def test_the_pin_check_sees_a_planted_fault() -> None:
    sound = "rich==15.0.0 \\\n    --hash=sha256:ab\n    # via serai\n"
    assert pin_faults(sound) == []
    assert pin_faults("--index-url x\n" + sound)[0] == "--index-url x"
    assert pin_faults(sound + "typer==0.29.2\n") == ["typer==0.29.2"]
    assert "https://x/y" in pin_faults("# from https://x/y\n" + sound)
