"""Runs an existing test as a plain function, with fixtures of its own, and says how it failed.

A planted fault is caught when a test that is there anyway fails. Running that test through pytest
again would start a server each time; here it shares the run's, on a database of its own.
"""

import asyncio
import contextlib
import importlib
import inspect
import itertools
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
import structlog.testing

from serai.kernel import migrate
from serai.kernel.embedded import EmbeddedPostgres
from serai.kernel.tenant import POOLED
from serai.roles.schemas import find_migrations

CHECK_TIMEOUT_S = 20.0
"""A check that a fault brings to a standstill is ended, which is a failure too."""
OWN_DATABASE = "planted"
_numbers = itertools.count()


class Ground(msgspec.Struct, frozen=True):
    """What checks run on: a server with a migrated template, and a folder."""

    postgres: EmbeddedPostgres
    template: str
    folder: Path

    def clone(self, *, migrates: bool) -> str:
        """A new database: a copy of the template, or migrated afresh where a fault lies there."""
        name = f"{OWN_DATABASE}_{next(_numbers)}"
        if migrates:
            self.postgres.create_database(name)
            asyncio.run(migrate.apply(self.postgres.owner_url(name), POOLED, find_migrations()))
        else:
            self.postgres.create_database(name, template=self.template)
        return name


def run_check(
    path: str, given: Mapping[str, Any], ground: Ground, *, migrates: bool = False
) -> BaseException | None:
    """Runs the test `file::name` with `given` parameters; what it failed with, or None."""
    file, name = path.split("::")
    module = importlib.import_module(file.removesuffix(".py").replace("/", "."))
    known = dict(given)
    wanted = _wants(vars(module)[name], module)
    if wanted & {"postgres", "database_name"}:
        known |= {"postgres": ground.postgres, "database_name": ground.clone(migrates=migrates)}
    known["tmp_path"] = ground.folder / f"{name}-{next(_numbers)}"
    known["tmp_path"].mkdir()
    try:
        # Captured, for to draw the traceback of a planted fault costs more than to run the check.
        with structlog.testing.capture_logs():
            asyncio.run(_run(vars(module)[name], module, known))
    except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - whatever it is, it is told
        return error
    return None


def _wants(function: Any, module: ModuleType) -> set[str]:
    """The fixtures that a test needs, and those that they need."""
    names = set(inspect.signature(function).parameters)
    for name in list(names):
        fixture = _find_fixture(name, module)
        if fixture is not None:
            names |= _wants(fixture, module)
    return names


def _find_fixture(name: str, module: ModuleType) -> Any:
    for place in (module, importlib.import_module("tests.conftest")):
        found = vars(place).get(name)
        if isinstance(found, pytest.FixtureDef | type(_sample_fixture)):
            return inspect.unwrap(found)  # type: ignore[arg-type]
    return None


@pytest.fixture
def _sample_fixture() -> None:
    """Tells what pytest makes of a fixture function."""


async def _run(test: Any, module: ModuleType, known: dict[str, Any]) -> None:
    async with asyncio.timeout(CHECK_TIMEOUT_S), contextlib.AsyncExitStack() as stack:
        arguments = {
            name: await _make(name, module, known, stack)
            for name in inspect.signature(test).parameters
        }
        outcome = test(**arguments)
        if inspect.isawaitable(outcome):
            await outcome


async def _make(
    name: str, module: ModuleType, known: dict[str, Any], stack: contextlib.AsyncExitStack
) -> Any:
    """The value of a fixture, made once a run and undone at its end."""
    if name not in known:
        fixture = _find_fixture(name, module)
        assert fixture is not None, f"{module.__name__} wants {name}, which nobody makes"
        arguments = {
            wanted: await _make(wanted, module, known, stack)
            for wanted in inspect.signature(fixture).parameters
        }
        made = fixture(**arguments)
        if inspect.isasyncgen(made):
            made = await stack.enter_async_context(_opened(made))
        elif inspect.isawaitable(made):
            made = await made
        known[name] = made
    return known[name]


@contextlib.asynccontextmanager
async def _opened(steps: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """A fixture that yields once. Its last assertions count, but the test's own failure first."""
    value = await anext(steps)
    try:
        yield value
    except BaseException:
        with contextlib.suppress(Exception):
            await anext(steps)
        raise
    with contextlib.suppress(StopAsyncIteration):
        await anext(steps)
