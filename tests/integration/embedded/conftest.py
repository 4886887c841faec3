"""Embedded servers: one to look at, one folder to take over from each other, one all new."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from serai.kernel.embedded import EmbeddedPostgres
from tests.integration.embedded.ground import Make, folder, made_in


@pytest.fixture
def ground() -> Iterator[Path]:
    """A folder of the test's own."""
    with folder() as place:
        yield place


@pytest.fixture
def make_new(ground: Path) -> Iterator[Make]:
    """Makes servers where nothing is yet."""
    with made_in(ground) as build:
        yield build


@pytest.fixture(scope="session")
def lived_in() -> Iterator[Path]:
    """A folder with a database that tests take over from each other: it saves each an initdb."""
    with folder() as place:
        first = EmbeddedPostgres(place / "pg", durable=False)
        first.start()
        first.stop()
        yield place


@pytest.fixture
def make(lived_in: Path) -> Iterator[Make]:
    """Makes servers where a database is that others have used before; none runs."""
    with made_in(lived_in) as build:
        yield build


@pytest.fixture(scope="session")
def running() -> Iterator[EmbeddedPostgres]:
    """One durable server for the tests that leave it as it was."""
    with folder() as place:
        postgres = EmbeddedPostgres(place / "pg")
        postgres.start()
        yield postgres
        postgres.stop()
