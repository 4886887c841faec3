"""What every handler of identity works with, and the narrow door to the database of the open ones.

Anyone may call the open routes. However many do at once, only a few of them hold a connection.
"""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from serai.contexts.identity.model import throttle
from serai.contexts.identity.model.throttle import Allowance
from serai.contexts.identity.ports import (
    ACCOUNT,
    TENANT,
    Accounts,
    Factors,
    Hashing,
    MailKey,
    Roles,
    Seals,
    Sessions,
    Signing,
    Throttles,
    Told,
)
from serai.contexts.identity.ports.passkeys import Ceremonies, Passkeys
from serai.contexts.identity.ports.providers import Providers, Relying
from serai.kernel.changes import describe
from serai.kernel.db import Database, Tx
from serai.kernel.edge import Origins
from serai.kernel.events import Cause
from serai.kernel.failure import Throttled, Unavailable
from serai.kernel.tenant import POOLED, Home

AT_ONCE_MAX: Final = 3
"""Transactions for calls that nobody has vouched for, at the same time in one process."""
WAITING_MAX: Final = 200


class Turnstile:
    """Lets few through at once and few wait; the next one is told to come again."""

    def __init__(self, at_once: int = AT_ONCE_MAX, waiting: int = WAITING_MAX) -> None:
        self._slots = asyncio.Semaphore(at_once)
        self._places = at_once + waiting
        self._taken = 0

    @contextlib.asynccontextmanager
    async def pass_through(self) -> AsyncIterator[None]:
        """A place of few. Unavailable where too many wait."""
        if self._taken >= self._places:
            raise Unavailable("too many are at the door")
        self._taken += 1
        try:
            async with self._slots:
                yield
        finally:
            self._taken -= 1


@dataclasses.dataclass(frozen=True)
class Desk:
    """The adapters of identity's ports, and what is set."""

    database: Database
    accounts: Accounts
    sessions: Sessions
    throttles: Throttles
    roles: Roles
    factors: Factors
    passkeys: Passkeys
    ceremonies: Ceremonies
    providers: Providers
    relying: Relying
    hashing: Hashing
    signing: Signing
    mail_key: MailKey
    seals: Seals
    told: Told
    pages: Origins
    """Of which origins the pages are that a tenant names."""
    issuer: str
    logins_per_address: int
    """Tries to sign in that one network address has at once; 0: they are not counted."""
    turnstile: Turnstile = dataclasses.field(default_factory=Turnstile)

    @contextlib.asynccontextmanager
    async def open(self, home: Home, tenant_id: UUID) -> AsyncIterator[Tx]:
        """A transaction for someone who has not shown who she is."""
        async with (
            self.turnstile.pass_through(),
            self.database.transaction(home, (tenant_id,)) as tx,
        ):
            yield tx

    async def spend(self, tenant_id: UUID, wanted: Mapping[bytes, Allowance], *, tx: Tx) -> None:
        """Takes a try of each bucket, or refuses and takes none."""
        full = await self.throttles.lock(tenant_id, wanted.keys(), now=tx.now, tx=tx)
        after: dict[bytes, datetime] = {}
        for bucket, allowance in wanted.items():
            spent = throttle.spend(full[bucket], allowance=allowance, now=tx.now)
            if isinstance(spent, Throttled):
                raise spent
            after[bucket] = spent
        await self.throttles.update(tenant_id, after, tx=tx)

    async def end_sessions(
        self, tenant_id: UUID, account_id: UUID, *, reason: str, cause: Cause, tx: Tx,
        only: UUID | None = None, keep: UUID | None = None,
    ) -> int:  # fmt: skip
        """Ends sessions of an account, records it, and tells every process with the commit."""
        ended = await self.sessions.end(
            tenant_id, account_id, only=only, keep=keep, reason=reason, now=tx.now, tx=tx
        )
        await self.sessions.tell(ACCOUNT, account_id, tx=tx)
        if ended:
            told = {"reason": reason, "ended": ended, "session_id": only}
            subject = ("account", account_id)
            tx.record(tenant_id, describe("identity.sessions_ended", subject, cause, after=told))
        return ended

    async def spread(self, what: str, of: UUID, *, home: Home) -> None:
        """Makes this process forget at once what a committed change was about.

        Processes listen on the main database. Where the tenant lives in another, what the change
        itself has told there is told here once more.
        """
        if what == TENANT:
            self.told.forget_tenant(of)
        else:
            self.told.forget(of)
        if home.database != POOLED.database:
            async with self.database.transaction(POOLED, ()) as tx:
                await self.sessions.tell(what, of, tx=tx)
