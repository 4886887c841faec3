"""Known faults of the log and of those who hear it: what is lost, heard twice or out of order."""

import contextlib
from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from serai.kernel import consumer, inbox, scheduler
from serai.kernel.consumer import GroupRunner
from serai.kernel.db import Database, Tx
from serai.kernel.events import Delivery
from serai.kernel.failure import LostLease, Unavailable
from serai.kernel.log import postgres
from serai.kernel.log.postgres import Cursors
from serai.kernel.module import Consumer
from serai.kernel.stages import Stage
from serai.kernel.tenant import Home
from tests.faults.plant import Fault, planting

XID_MAX = 2**62
"""Above every transaction id: no transaction that runs is below it."""


def _admit_all(_original: Any) -> Any:
    async def admit(
        group: str, deliveries: Sequence[Delivery], *, tx: Tx, now: datetime
    ) -> set[UUID]:
        del group, tx, now
        return {delivery.event_id for delivery in deliveries}

    return admit


def _forget_announcements(_original: Any) -> Any:
    async def flush(self: Tx) -> None:
        self._announcements = []

    return flush


def _move_first(original: Any) -> Any:
    async def carry(self: GroupRunner, deliveries: Sequence[Delivery]) -> None:
        async with self._database.transaction(self._home, ()) as tx:
            await self._move(deliveries, tx=tx)
        await original(self, deliveries)

    return carry


def _believe_in_the_lease(original: Any) -> Any:
    async def move_to(self: GroupRunner, newest: Any, *, tx: Tx) -> None:
        with contextlib.suppress(LostLease):
            await original(self, newest, tx=tx)

    return move_to


def _never_park(_original: Any) -> Any:
    async def park(self: GroupRunner, delivery: Delivery, error: Exception) -> None:
        del self, delivery
        raise Unavailable("the message is tried again until it succeeds") from error

    return park


def _nothing_is_blocked(_original: Any) -> Any:
    async def admit(self: GroupRunner, deliveries: Sequence[Delivery], *, tx: Tx) -> set[UUID]:
        group = self._consumer.group
        return await inbox.admit(group, deliveries, tx=tx, now=tx.now)

    return admit


class _Tenantless:
    """A database whose transactions were opened without the tenants they are for."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextlib.asynccontextmanager
    async def transaction(self, home: Home, tenants: Collection[UUID]) -> AsyncIterator[Tx]:
        del tenants
        async with self._database.transaction(home, (), is_transport=True) as tx:
            yield tx


def _lose_the_tenant(original: Any) -> Any:
    async def retry(self: GroupRunner, delivery: Delivery, tries: int) -> None:
        database = self._database
        self._database = _Tenantless(database)  # type: ignore[assignment]
        try:
            await original(self, delivery, tries)
        finally:
            self._database = database

    return retry


def _read_what_is_there(_original: Any) -> Any:
    """Fetches whatever is committed, also above a transaction that still runs."""

    async def fetch_events(
        database: Database, home: Home, cursors: Cursors, types: Sequence[str], *, limit: int
    ) -> tuple[list[Delivery], int]:
        places = list(cursors)
        sql = postgres._SQL  # noqa: SLF001 - the fault is in this very module
        async with database.transaction(home, (), is_transport=True, is_read_only=True) as tx:
            horizon: int = await tx.fetchval(sql.read_horizon)
            rows = await tx.fetch(
                sql.fetch_events,
                [topic for topic, _ in places],
                [partition for _, partition in places],
                [str(cursors[place][0]) for place in places],
                [cursors[place][1] for place in places],
                limit,
                types,
                str(XID_MAX),
            )
        deliveries = [postgres.read_delivery(row) for row in rows]
        return sorted(deliveries, key=lambda delivery: delivery.position), horizon

    return fetch_events


def _one_run_a_type(_original: Any) -> Any:
    def plan_stages(deliveries: Sequence[Delivery], own: Consumer) -> list[Stage]:
        runs: dict[str, Stage] = {}
        for delivery in deliveries:
            hear = own.hears[delivery.type.model]
            runs.setdefault(delivery.type.name, (hear, []))[1].append(delivery)
        return list(runs.values())

    return plan_stages


def _skip_whatever_was_not_fetched(original: Any) -> Any:
    def skip_to(self: GroupRunner, horizon: int, fetched: Sequence[Delivery], _limit: int) -> None:
        original(self, horizon, fetched, len(fetched) + 1)

    return skip_to


MESSAGE_FAULTS = (
    Fault(
        "inbox_skipped",
        "A message that is delivered again is handled again: goods leave twice, money is booked "
        "twice.",
        planting(inbox, "admit", _admit_all),
    ),
    Fault(
        "outbox_insert_dropped",
        "What was committed is never announced: orders are answered 202 and nobody carries them "
        "out.",
        planting(Tx, "flush", _forget_announcements),
    ),
    Fault(
        "position_moved_in_another_transaction",
        "A group's position is committed before its work: a crash between the two loses messages.",
        planting(GroupRunner, "_carry", _move_first),
    ),
    Fault(
        "lease_without_fencing",
        "A worker that was paused beyond its lease still commits: two workers handle one "
        "partition, and a key's events lose their order.",
        planting(GroupRunner, "_move_to", _believe_in_the_lease),
    ),
    Fault(
        "poison_blocks_its_partition",
        "A message that cannot be handled is tried for ever: every order behind it in the "
        "partition waits.",
        planting(GroupRunner, "_park", _never_park),
    ),
    Fault(
        "followers_overtake_a_parked_message",
        "Later events of a key are handled before an earlier one that is parked.",
        planting(GroupRunner, "_admit", _nothing_is_blocked),
    ),
    Fault(
        "retry_loses_the_tenant",
        "A parked message is tried again without its tenant: it sees no row, changes nothing and "
        "counts as handled, so its order never ends.",
        planting(GroupRunner, "_retry", _lose_the_tenant),
    ),
    Fault(
        "full_fetch_skips_the_rest",
        "A fetch that was full counts as having seen everything: what it had no room for is "
        "skipped for ever.",
        planting(GroupRunner, "_skip_to", _skip_whatever_was_not_fetched),
    ),
    Fault(
        "reader_passes_running_transactions",
        "The reader does not stop below the oldest running transaction: what that one announces "
        "is skipped for ever.",
        planting(postgres, "fetch_events", _read_what_is_there),
    ),
    Fault(
        "stages_ignore_the_order_of_keys",
        "A batch is cut by type alone: an order's payment can be heard before its placing.",
        planting(consumer, "plan_stages", _one_run_a_type),
    ),
    Fault(
        "inbox_pruned_before_the_events",
        "Inbox marks are deleted while their events can still be read: a replay handles them "
        "again.",
        planting(scheduler, "INBOX_KEPT", lambda _kept: timedelta(days=1)),
    ),
)
