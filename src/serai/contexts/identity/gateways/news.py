"""Hears, on a connection of its own, whose session or rights were changed elsewhere.

The database tells it with the commit of the change. That the line is up is asked every so often: a
line that is down and does not say so must not pass for one on which nothing is said.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

import structlog

from serai.contexts.identity.gateways.guard import Guard
from serai.contexts.identity.gateways.keychain import Keychain
from serai.contexts.identity.ports import ACCOUNT, TENANT
from serai.kernel import queries
from serai.kernel.db import Database
from serai.kernel.failure import Unavailable

_log = structlog.get_logger(__name__)
SQL = queries.load("serai.contexts.identity")

CHANNEL: Final = "serai_identity"
"""As it stands in the statement `tell_change`."""
RECONNECT_S: Final = 0.5
BEAT_S: Final = 1.0
BEAT_TIMEOUT_S: Final = 2.0
DEAF_S: Final = 3.0
"""How long after the last answer a process still believes that it is told of everything."""


class News:
    """Tells a process's memory of tokens and keys what others have changed."""

    def __init__(self, database: Database, *, now: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._now = now
        self._heard_at = now() - DEAF_S
        self._guard: Guard | None = None
        self._keychain: Keychain | None = None
        self.is_listening = asyncio.Event()

    def connect(self, guard: Guard, keychain: Keychain) -> None:
        """Says who is told."""
        self._guard, self._keychain = guard, keychain

    def is_told(self) -> bool:
        """Whether everything that was changed a moment ago has been heard here."""
        return self._now() - self._heard_at < DEAF_S

    async def run(self) -> None:
        """Listens until it is cancelled; comes back after every loss."""
        while True:
            try:
                await self._listen()
            except Unavailable as error:
                _log.warning("identity_news_lost", action="identity_news_lost", reason=error.detail)
            await asyncio.sleep(RECONNECT_S)

    async def _listen(self) -> None:
        lost = asyncio.Event()
        try:
            async with self._database.session() as connection:
                connection.add_termination_listener(lambda _connection: lost.set())
                await connection.add_listener(CHANNEL, self._hear)
                self._forget_everything()
                while not lost.is_set():
                    began = self._now()
                    async with asyncio.timeout(BEAT_TIMEOUT_S):
                        await connection.fetchval(SQL.read_clock.text(""))
                    self._heard_at = began
                    self.is_listening.set()
                    await asyncio.sleep(BEAT_S)
        finally:
            self._heard_at = self._now() - DEAF_S
            self.is_listening.clear()

    def _forget_everything(self) -> None:
        if self._keychain is not None:
            self._keychain.forget()
        if self._guard is not None:
            self._guard.forget_all()

    def _hear(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        what, _, of = str(payload).partition(" ")
        if self._guard is not None and what == ACCOUNT:
            self._guard.forget(UUID(of))
        elif self._guard is not None and what == TENANT:
            self._guard.forget_tenant(UUID(of))
        else:
            self._forget_everything()
