"""The two ends of a move: sessions of the schemas' owner in the old home and in the new one."""

import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, NamedTuple
from uuid import UUID

import asyncpg

from serai.kernel.clock import Clock
from serai.kernel.db import Tx
from serai.kernel.failure import Unavailable
from serai.kernel.pool import (
    CONNECT_TIMEOUT_S,
    OUTAGES,
    WalledConnection,
    prepare_connection,
    session_settings,
)
from serai.kernel.tenant import Home

STATEMENT_TIMEOUT_MS: Final = 600_000
IDLE_TIMEOUT_MS: Final = 60_000
"""How long the snapshot may rest in its transaction while rows are written elsewhere."""


class Ends(NamedTuple):
    """Each statement of `source` and `snapshot` stands alone, but within a `moment`."""

    source: Tx
    snapshot: Tx
    target: Tx

    def moment(self) -> AbstractAsyncContextManager[Any]:
        """In it `snapshot` sees the old home as it is at one moment.

        It has no transaction id, so it holds up no reader of the log.
        """
        moment: AbstractAsyncContextManager[Any] = self.snapshot.connection.transaction(
            isolation="repeatable_read", readonly=True
        )
        return moment


class Place(NamedTuple):
    """A home, and how its schemas' owner reaches it."""

    home: Home
    url: str


@contextlib.asynccontextmanager
async def meet(tenant_id: UUID, source: Place, target: Place, clock: Clock) -> AsyncIterator[Ends]:
    """Sessions of the owner at both ends, which see this tenant only."""
    try:
        async with contextlib.AsyncExitStack() as stack:
            sides = [
                await stack.enter_async_context(session(tenant_id, place, clock))
                for place in (source, source, target)
            ]
            yield Ends(*sides)
    except OUTAGES as error:
        raise Unavailable(f"a database did not answer: {type(error).__name__}: {error}") from error


@contextlib.asynccontextmanager
async def session(tenant_id: UUID, place: Place, clock: Clock) -> AsyncIterator[Tx]:
    """A session of the owner in one home."""
    connection: Any = await asyncpg.connect(
        place.url,
        timeout=CONNECT_TIMEOUT_S,
        connection_class=WalledConnection,
        server_settings={
            **session_settings(),
            "application_name": "serai move",
            "statement_timeout": str(STATEMENT_TIMEOUT_MS),
            "idle_in_transaction_session_timeout": str(IDLE_TIMEOUT_MS),
        },
    )
    try:
        await prepare_connection(connection)
        await connection.execute(
            f"SET serai.tenants = '{{{UUID(int=tenant_id.int)}}}'; SET serai.transport = 'on'"
        )
        yield Tx(connection, place.home, clock.now())
    finally:
        connection.terminate()
