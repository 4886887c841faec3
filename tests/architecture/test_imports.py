"""Who may import whom: the contracts of pyproject.toml, and contexts only by their contract."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
LINT_TIMEOUT_S = 60

# Which rooms of a context each floor may look into. A context sees all of its own.
ROOMS_SEEN_FROM = {
    "contexts": {"contract"},
    "flows": {"contract"},
    "roles": {"module"},
    "cli": {"contract", "module"},
}


def room_faults(imports: Iterable[tuple[str, str]]) -> list[str]:
    """The imports that look into a context past the rooms that their floor may see."""
    faults = []
    for importer, imported in imports:
        match imported.split("."):
            case ["serai", "contexts", context, *rooms]:
                room = rooms[0] if rooms else "__init__"
            case _:
                continue
        floor = importer.split(".")[1:3]
        if floor == ["contexts", context]:
            continue
        if not floor or room not in ROOMS_SEEN_FROM.get(floor[0], set()):
            faults.append(f"{importer} imports {imported}")
    return sorted(faults)


def lint(root: Path) -> tuple[int, str]:
    """Exit code and output of import-linter with the contracts that lie in `root`."""
    run = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root / "src"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=LINT_TIMEOUT_S,
        check=False,
    )
    return run.returncode, run.stdout + run.stderr


def plant(root: Path, **modules: str) -> None:
    """A tiny house under `root` with this project's contracts; `__` in a name is a dot."""
    shutil.copy(ROOT / "pyproject.toml", root)
    for name, source in modules.items():
        path = root / "src" / "serai" / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, "utf-8")
    for folder in (root / "src" / "serai").rglob("*"):
        if folder.is_dir():
            (folder / "__init__.py").touch()
    (root / "src" / "serai" / "__init__.py").touch()


SOUND_HOUSE = {
    "kernel__money": "",
    "kernel__clock": "from serai.kernel import money",
    "contexts__orders__contract": "from serai.kernel import money",
    "contexts__orders__model": "from serai.contexts.orders import contract",
    "contexts__orders__handlers": "from serai.contexts.orders import model",
    "contexts__orders__store": "import asyncpg\nfrom serai.contexts.orders import handlers",
    "contexts__orders__routes": "from serai.contexts.orders import handlers",
    "contexts__orders__module": "from serai.contexts.orders import routes, store",
    "flows__checkout": "from serai.contexts.orders import contract",
    "roles__all": "from serai.contexts.orders import module",
    "cli__serve": "from serai.roles import all",
}


def test_the_import_contracts_hold() -> None:
    code, output = lint(ROOT)
    assert code == 0, output


def test_a_context_is_known_only_by_its_contract() -> None:
    graph = grimp.build_graph("serai", cache_dir=None)
    edges = [
        (importer, imported)
        for importer in graph.modules
        for imported in graph.find_modules_directly_imported_by(importer)
    ]
    assert room_faults(edges) == []


def test_no_contract_has_an_ignore_list() -> None:
    assert not re.search(r"^\s*(exhaustive_ignores|ignore_imports)", read_pyproject(), re.MULTILINE)


def read_pyproject() -> str:
    return (ROOT / "pyproject.toml").read_text("utf-8")


def test_a_sound_house_keeps_every_contract(tmp_path: Path) -> None:
    plant(tmp_path, **SOUND_HOUSE)
    code, output = lint(tmp_path)
    assert code == 0, output
    assert f"Contracts: {read_pyproject().count('[[tool.importlinter.contracts]]')} kept" in output


@pytest.mark.parametrize(
    ("module", "source", "said"),
    [
        ("utils", "", "- serai.utils"),
        ("contexts__utils", "", "- serai.contexts.utils"),
        ("contexts__orders__services", "", "- serai.contexts.orders.services"),
        (
            "kernel__money",
            "import serai.contexts.orders.contract",
            "serai.kernel is not allowed to import serai.contexts",
        ),
        (
            "flows__checkout",
            "import serai.roles.all",
            "serai.flows is not allowed to import serai.roles",
        ),
        (
            "contexts__orders__model",
            "import serai.contexts.orders.store",
            "serai.contexts.orders.model is not allowed to import serai.contexts.orders.store",
        ),
        (
            "contexts__orders__routes",
            "import serai.contexts.orders.store",
            "serai.contexts.orders.routes is not allowed to import serai.contexts.orders.store",
        ),
        (
            "contexts__orders__model",
            "import time",
            "serai.contexts.orders.model is not allowed to import time",
        ),
        (
            "kernel__money",
            "import serai.kernel.clock",
            "No circles inside the kernel or the command line BROKEN",
        ),
    ],
)
def test_import_linter_sees_a_planted_fault(
    tmp_path: Path, module: str, source: str, said: str
) -> None:
    plant(tmp_path, **{**SOUND_HOUSE, module: source})
    code, output = lint(tmp_path)
    assert code == 1, output
    assert said in output


@pytest.mark.parametrize(
    ("importer", "imported", "allowed"),
    [
        ("serai.contexts.orders.store", "serai.contexts.orders.model", True),
        ("serai.contexts.orders.handlers", "serai.contexts.inventory.contract", True),
        ("serai.contexts.orders.handlers", "serai.contexts.inventory.contract.events", True),
        ("serai.contexts.orders.handlers", "serai.contexts.inventory.store", False),
        ("serai.contexts.orders.handlers", "serai.contexts.inventory", False),
        ("serai.contexts.orders.module", "serai.contexts.orders_archive.module", False),
        ("serai.flows.checkout", "serai.contexts.orders.contract", True),
        ("serai.flows.checkout", "serai.contexts.orders.handlers", False),
        ("serai.roles.all", "serai.contexts.orders.module", True),
        ("serai.roles.all", "serai.contexts.orders.routes", False),
        ("serai.cli.serve", "serai.contexts.orders.store", False),
        ("serai.settings", "serai.contexts.orders.contract", False),
        ("serai.contexts.orders.store", "serai.kernel.db", True),
    ],
)
def test_the_room_check_tells_right_from_wrong(
    importer: str, imported: str, *, allowed: bool
) -> None:
    faults = [] if allowed else [f"{importer} imports {imported}"]
    assert room_faults([(importer, imported)]) == faults
