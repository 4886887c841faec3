"""Sizes and names of files and functions, with no exceptions."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
# Names that say nothing about what is inside, so that anything may be put there.
EMPTY_NAMES = {"base", "common", "core", "helper", "helpers", "manager", "managers", "misc"} | {
    "service",
    "services",
    "shared",
    "util",
    "utils",
}


def size_faults(source: str) -> list[str]:
    """What is too long in a Python source."""
    lines = source.count("\n")
    faults = [f"{lines} lines"] if lines > FILE_LINES_MAX else []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            length = node.end_lineno - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                faults.append(f"{node.name}: {length} lines")
    return faults


def name_faults(path: str) -> list[str]:
    """The parts of a path that name nothing."""
    return [part for part in re.split(r"[/_.]", path) if part in EMPTY_NAMES]


def has_code(source: str) -> bool:
    """Whether a file holds more than its docstring."""
    tree = ast.parse(source)
    return ast.get_docstring(tree) is None or len(tree.body) > 1


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def test_no_file_and_no_function_is_too_long() -> None:
    assert [
        f"{path.relative_to(ROOT)}: {fault}"
        for path in python_files("src", "tests")
        for fault in size_faults(path.read_text("utf-8"))
    ] == []


def test_no_file_of_sql_is_too_long() -> None:
    files = sorted((ROOT / "src").rglob("*.sql"))
    long = {str(p.relative_to(ROOT)): p.read_text("utf-8").count("\n") for p in files}
    assert len(long) > 20
    assert {path: lines for path, lines in long.items() if lines > FILE_LINES_MAX} == {}


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert [
        f"{path.relative_to(ROOT)}: {fault}"
        for path in python_files("src/serai")
        for fault in name_faults(path.relative_to(ROOT / "src/serai").as_posix())
    ] == []


def test_the_front_of_a_context_says_what_it_owns_and_holds_no_code() -> None:
    fronts = sorted((ROOT / "src/serai/contexts").glob("*/__init__.py"))
    assert [str(path) for path in fronts if has_code(path.read_text("utf-8"))] == []


@pytest.mark.parametrize(
    ("source", "faults"),
    [
        ("x = 1\n" * FILE_LINES_MAX, []),
        ("x = 1\n" * (FILE_LINES_MAX + 1), ["401 lines"]),
        ("def f():\n" + "    x = 1\n" * (FUNCTION_LINES_MAX - 1), []),
        ("async def f():\n" + "    x = 1\n" * FUNCTION_LINES_MAX, ["f: 71 lines"]),
    ],
)
def test_the_size_check_sees_a_planted_fault(source: str, faults: list[str]) -> None:
    assert size_faults(source) == faults


def test_the_name_check_sees_a_planted_fault() -> None:
    assert name_faults("kernel/db_utils.py") == ["utils"]
    assert name_faults("contexts/orders/core/lines.py") == ["core"]
    assert name_faults("kernel/database.py") == []


def test_the_front_check_sees_a_planted_fault() -> None:
    assert has_code('"""Owns orders."""\nimport os\n')
    assert has_code("")
    assert not has_code('"""Owns orders."""\n')
