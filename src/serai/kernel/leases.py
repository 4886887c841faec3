"""Who serves which partition: leases with fences, shared fairly among the living workers.

A lease alone is not enough: a paused process wakes up believing that it still holds it. Each claim
raises the partition's fence, and a position moves only under the fence it was claimed with.

A lease runs out when its worker is paused or cut off. A worker that is dead need not be waited for:
its session ends with it, and with the session the lock by which the others see that it lives.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from uuid import UUID

import structlog

from serai.kernel import queries
from serai.kernel.db import Database
from serai.kernel.events import PARTITIONS
from serai.kernel.failure import Unavailable
from serai.kernel.tenant import MAIN, POOLED, Home

_log = structlog.get_logger(__name__)
_SQL = queries.load("serai.kernel")

LEASE_S = 2.0
BEAT_S = 0.5
MEMBER_FORGOTTEN_S = 60.0
PRESENCE_RETRY_S = 0.2


class Presence:
    """A session of a worker's own in one database, by whose lock the others see that it lives.

    It only ever speeds things up. Lost while the worker lives, it costs the leases, which others
    then claim under new fences, and never their safety.
    """

    def __init__(self, database: Database, worker: UUID, name: str = MAIN) -> None:
        self._database = database
        self._worker = worker
        self._name = name
        self.is_held = asyncio.Event()

    async def run(self) -> None:
        """Holds the lock until cancelled; takes it again after every loss."""
        while True:
            try:
                await self._hold()
            except Unavailable as error:
                if self.is_held.is_set():
                    _log.warning("presence_lost", action="presence_lost", reason=error.detail)
            self.is_held.clear()
            await asyncio.sleep(PRESENCE_RETRY_S)

    async def _hold(self) -> None:
        async with self._database.session(self._name) as connection:
            lost = asyncio.Event()
            connection.add_termination_listener(lambda _connection: lost.set())
            statement = _SQL.hold_presence.text(POOLED.prefix)
            if not await connection.fetchval(statement, self._worker):
                raise Unavailable("a lost session of this worker lingers, and shows it meanwhile")
            self.is_held.set()
            await lost.wait()
            raise Unavailable("the session was lost")


class Membership:
    """Keeps one worker's leases alive in every group of a home, and claims its fair share.

    With `has_presence` the worker shows that it lives by a `Presence`, and expects the others to.
    """

    def __init__(
        self,
        database: Database,
        home: Home,
        worker: UUID,
        groups: Mapping[str, Sequence[str]],
        *,
        has_presence: bool = False,
    ) -> None:
        self._database = database
        self._home = home
        self._worker = worker
        self._groups = groups
        self._has_presence = has_presence
        self._beat_at = -math.inf
        self.held: dict[str, dict[int, int]] = {group: {} for group in groups}
        self._watchers: list[asyncio.Event] = []

    def watch(self, changed: asyncio.Event) -> None:
        """Sets an event of the caller's whenever what is held has changed."""
        self._watchers.append(changed)

    async def ensure(self) -> None:
        """Creates the leases and positions of groups that are new."""
        async with self._database.transaction(self._home, ()) as tx:
            for group, topics in self._groups.items():
                await tx.execute(_SQL.ensure_group, group, list(topics), PARTITIONS)

    async def run(self) -> None:
        """Beats until cancelled; an unreachable database costs the leases, never their safety."""
        while True:
            try:
                await self.beat()
            except Unavailable as error:
                _log.warning("lease_beat_failed", action="lease_beat_failed", reason=error.detail)
                self._hold({})
            await asyncio.sleep(BEAT_S)

    async def beat(self) -> None:
        """One round: say we live, renew, count the living, claim or give back."""
        names = sorted(self._groups)
        async with self._database.transaction(self._home, ()) as tx:
            await tx.execute(_SQL.beat_members, names, self._worker)
            if self._has_presence:
                await tx.execute(_SQL.drop_absent, names, self._worker)
            await tx.execute(_SQL.renew_leases, self._worker, LEASE_S)
            counts = await tx.fetch(_SQL.count_members, names, LEASE_S)
            members = {row["group_name"]: row["members"] for row in counts}
            for group in names:
                share = math.ceil(PARTITIONS / max(1, members.get(group, 1)))
                held = sorted(self.held[group])
                if len(held) > share:
                    await tx.execute(_SQL.release_leases, self._worker, group, held[share:])
                elif len(held) < share:
                    await tx.execute(
                        _SQL.claim_leases, group, self._worker, share - len(held), LEASE_S
                    )
            rows = await tx.fetch(_SQL.list_leases, self._worker)
        self._beat_at = asyncio.get_running_loop().time()
        self._hold({(row["group_name"], row["partition"]): row["fence"] for row in rows})

    async def obstacle(self) -> str | None:
        """Why some partitions of the home are not served now, or None."""
        if asyncio.get_running_loop().time() - self._beat_at > LEASE_S:
            return "this worker could not renew its leases"
        async with self._database.transaction(self._home, (), is_read_only=True) as tx:
            count = await tx.fetchval(_SQL.count_unserved, sorted(self._groups))
        return f"{count} partitions are served by nobody yet" if count else None

    async def leave(self) -> None:
        """Gives everything back, so that others need not wait for the leases to run out."""
        self._hold({})
        async with self._database.transaction(self._home, ()) as tx:
            await tx.execute(_SQL.release_leases, self._worker, None, None)
            await tx.execute(_SQL.forget_members, self._worker, MEMBER_FORGOTTEN_S)

    def _hold(self, leases: dict[tuple[str, int], int]) -> None:
        before = {group: dict(held) for group, held in self.held.items()}
        for group in self._groups:
            self.held[group] = {p: fence for (g, p), fence in leases.items() if g == group}
        if before != self.held:
            for changed in self._watchers:
                changed.set()
