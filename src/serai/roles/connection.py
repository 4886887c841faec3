"""Finds and opens the database as the walled role."""

from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import asyncpg

from serai.kernel.clock import Clock
from serai.kernel.db import Database
from serai.kernel.failure import Unavailable
from serai.kernel.pool import APP_ROLE
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


async def open_database(url: str, *, pool_max: int, clock: Clock | None = None) -> Database:
    """Connects as the walled role; Unavailable says what stands in the way and what to do."""
    database = Database(url, pool_max=pool_max, clock=clock)
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
