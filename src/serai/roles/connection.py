"""Finds the databases by their names, and opens them as the walled role."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import asyncpg
import msgspec

from serai.kernel.clock import Clock
from serai.kernel.db import Database
from serai.kernel.failure import Unavailable
from serai.kernel.pool import APP_ROLE
from serai.kernel.tenant import MAIN
from serai.settings import Settings, SettingsError

# What a server answers that is there and will not have us as we come; it stays so until a person
# mends the URL or the database. A server that is not there is an OSError.
_REFUSALS = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError)
_AWAY = (OSError, asyncpg.CannotConnectNowError, asyncpg.PostgresConnectionError)


class Away(Unavailable):
    """No server answers there yet, or it is just starting: it may be there in a moment."""


def app_url(settings: Settings) -> str:
    """The URL of the walled role; derived from the owner's where only that is known."""
    if settings.database_app_url:
        return settings.database_app_url
    if settings.database_url:
        return walled(settings.database_url)
    raise SettingsError(
        "there is no database: set SERAI_DATABASE_URL, or start everything with `serai run`"
    )


def walled(url: str) -> str:
    """The same URL, whose sessions take on the walled role from their first statement on."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    options = [query.pop("options", ""), f"-c role={APP_ROLE}"]
    query["options"] = " ".join(option for option in options if option)
    return urlunsplit(parts._replace(query=urlencode(query, quote_via=quote)))


class Address(msgspec.Struct, frozen=True):
    """The two URLs of one database."""

    owner: str
    app: str = ""


class Addresses:
    """Where each database is, for one of the two roles.

    `named` is the setting SERAI_DATABASES, read anew at each question, so that a database that is
    added to the file is found by processes that run. What it does not name stands beside the main
    database, on the same server.
    """

    def __init__(self, main_url: str, named: str, *, is_owner: bool) -> None:
        self._main_url = main_url
        self._named = named
        self._is_owner = is_owner

    def url_of(self, name: str) -> str:
        """The URL of a database; it may hold a secret."""
        if name == MAIN:
            return self._main_url
        given = self.named().get(name)
        if given is None:
            return urlunsplit(urlsplit(self._main_url)._replace(path=f"/{quote(name, safe='')}"))
        return given.owner if self._is_owner else given.app or walled(given.owner)

    def named(self) -> dict[str, Address]:
        """The databases that the setting names."""
        if not self._named:
            return {}
        try:
            is_text = self._named.lstrip().startswith("{")
            raw = self._named.encode() if is_text else Path(self._named).read_bytes()
            read = msgspec.json.decode(raw, type=dict[str, str | Address])
        except (OSError, msgspec.DecodeError) as error:
            # Nothing of its text is told: it holds passwords.
            raise SettingsError(
                f"SERAI_DATABASES is no JSON object from names to URLs, nor a file with one "
                f"({type(error).__name__})"
            ) from None
        return {k: Address(v) if isinstance(v, str) else v for k, v in read.items()}


@dataclasses.dataclass(frozen=True)
class Databases:
    """Every database of an installation, as its owner and as the walled role reach it."""

    owner: Addresses
    app: Addresses
    create: Callable[[str], None] | None = None
    """Makes a database on an embedded server; None where the owner has to be asked."""


def databases_at(
    owner_url: str, app_url: str, named: str, create: Callable[[str], None] | None = None
) -> Databases:
    """The databases of an installation whose main one has these URLs."""
    return Databases(
        Addresses(owner_url, named, is_owner=True),
        Addresses(app_url, named, is_owner=False),
        create,
    )


async def open_database(
    url: str, *, pool_max: int, clock: Clock | None = None, settings: Settings | None = None
) -> Database:
    """Connects as the walled role; Unavailable says what stands in the way and what to do."""
    settings = settings or Settings()
    addresses = Addresses(url, settings.databases, is_owner=False)
    database = Database(
        url, pool_max=pool_max, clock=clock, address_of=addresses.url_of,
        connections_max=settings.connections_max,
    )  # fmt: skip
    try:
        await database.open()
    except _REFUSALS as error:
        await database.close()
        failure = Away if isinstance(error, _AWAY) else Unavailable
        raise failure(
            f"the database does not let us in: {str(error) or type(error).__name__}. Look at "
            "SERAI_DATABASE_URL and SERAI_DATABASE_APP_URL, and whether the server runs; a new "
            "database needs `serai migrate up` first"
        ) from error
    return database
