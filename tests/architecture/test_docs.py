"""A doc may not name a path that does not exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
# A path in backticks is read from the root of the repository or, as the docs speak of the code,
# from src/serai. Ours are told from others by their first part.
FROM_THE_ROOT = {".ci", "deploy", "docs", "requirements", "src", "tests"}
FROM_SERAI = {"cli", "contexts", "flows", "kernel", "roles"}
FILE_AT_THE_ROOT = re.compile(r"[A-Z][A-Za-z]*\.md|pyproject\.toml|LICENSE|Makefile")
CODE_BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
BACKTICKED = re.compile(r"`([^`\s]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")


def missing_paths(text: str, folder: Path) -> list[str]:
    """The paths in backticks and links that a doc in `folder` names and that are not there."""
    prose = CODE_BLOCK.sub("", text)
    missing = []
    for name in BACKTICKED.findall(prose):
        first = name.split("/")[0]
        if (first in FROM_THE_ROOT and "/" in name) or FILE_AT_THE_ROOT.fullmatch(name):
            start = ROOT
        elif first in FROM_SERAI and "/" in name:
            start = ROOT / "src" / "serai"
        else:
            continue
        if not re.search(r"[<{…]", name) and not any(start.glob(name.rstrip("/"))):
            missing.append(name)
    for target in LINK.findall(prose):
        path = target.split("#")[0]
        if path and "://" not in path and not (folder / path).exists():
            missing.append(target)
    return missing


def docs() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def test_a_doc_names_only_paths_that_exist() -> None:
    assert [
        f"{doc.relative_to(ROOT)}: {name}"
        for doc in docs()
        for name in missing_paths(doc.read_text("utf-8"), doc.parent)
    ] == []


def test_the_path_check_sees_a_planted_fault() -> None:
    text = (
        "`tests/architecture/test_docs.py`, `tests/gone/`, `kernel/gone.py`, `kernel/*.py`, "
        "`docs/adr/<number>.md`, `/v1/orders`, `GONE.md`, `Makefile`, [a](gone.md), "
        "[b](../../README.md#top)\n```\n`docs/in_a_block.md`\n```\n"
    )
    assert missing_paths(text, ROOT / "docs" / "adr") == [
        "tests/gone/",
        "kernel/gone.py",
        "GONE.md",
        "gone.md",
    ]
