"""Hears, on a connection of its own, that a key was changed elsewhere, so that it ends here too.

The database tells it with the commit of the change. What is said while the connection is down is
made up for by forgetting everything at the next one; and the keyring's short memory is the net
below this one.
"""

import asyncio
from typing import Any, Final
from uuid import UUID

import structlog

from serai.contexts.tenancy.gateways.keyring import Keyring
from serai.contexts.tenancy.gateways.standings import Standings
from serai.kernel.db import Database
from serai.kernel.failure import Unavailable

_log = structlog.get_logger(__name__)

CHANNEL: Final = "serai_keys"
"""As it stands in the statement `tell_changes`; its payload is the id of the key."""
TENANTS_CHANNEL: Final = "serai_tenants"
"""As it stands in the statement `tell_standing`; its payload is the id of the tenant."""
RECONNECT_S: Final = 0.5


class KeyNews:
    """Tells a process's keyring of the keys that others have ended."""

    def __init__(self, database: Database, keyring: Keyring, standings: Standings) -> None:
        self._database = database
        self._keyring = keyring
        self._standings = standings
        self.is_listening = asyncio.Event()

    async def run(self) -> None:
        """Listens until it is cancelled; comes back after every loss."""
        while True:
            try:
                await self._listen()
            except Unavailable as error:
                _log.warning("key_news_lost", action="key_news_lost", reason=error.detail)
            await asyncio.sleep(RECONNECT_S)

    async def _listen(self) -> None:
        lost = asyncio.Event()
        try:
            async with self._database.session() as connection:
                connection.add_termination_listener(lambda _connection: lost.set())
                await connection.add_listener(CHANNEL, self._hear)
                await connection.add_listener(TENANTS_CHANNEL, self._hear_standing)
                self._keyring.forget_all()
                self._standings.forget_all()
                self.is_listening.set()
                await lost.wait()
        finally:
            self.is_listening.clear()

    def _hear(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        self._keyring.forget(UUID(str(payload)))

    def _hear_standing(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        tenant_id = UUID(str(payload))
        self._keyring.forget_tenant(tenant_id)
        self._standings.forget(tenant_id)
