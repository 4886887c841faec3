"""Wiring of privacy."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from serai.contexts.identity.contract import People
from serai.contexts.privacy import handlers, routes
from serai.contexts.privacy.handlers import Counter
from serai.contexts.privacy.ports import Keys
from serai.contexts.privacy.store import PostgresRecords
from serai.kernel.clock import Clock
from serai.kernel.db import Database
from serai.kernel.module import Job, Module, Surroundings
from serai.kernel.person import OfOrders, Personal
from serai.kernel.tenant import Home

ERASE_EVERY: Final = timedelta(seconds=10)
SEAL_EVERY: Final = timedelta(minutes=5)
RETAIN_EVERY: Final = timedelta(hours=1)


def build(
    s: Surroundings, *, people: People, keys: Keys, knowing: Sequence[Personal],
    of_orders: Sequence[OfOrders],
) -> Module:  # fmt: skip
    """Privacy over PostgreSQL, leading through the contexts that know something about people."""
    counter = Counter(s.database, people, PostgresRecords(), keys, knowing, of_orders)

    async def erase(database: Database, home: Home, clock: Clock) -> int:
        return await handlers.go_on_erasing(database, home, clock, homes=s.homes, counter=counter)

    async def retain(database: Database, home: Home, clock: Clock) -> int:
        return await handlers.apply_rules(database, home, clock, homes=s.homes, counter=counter)

    async def seal(database: Database, home: Home, clock: Clock) -> int:
        return await handlers.seal_clear(database, home, clock, homes=s.homes, counter=counter)

    return Module(
        name="privacy",
        routes=[
            *routes.own_routes(counter),
            *routes.staff_routes(counter),
            *routes.rule_routes(counter),
        ],
        jobs=[
            # While anything moves they are called again at once.
            Job("privacy.erase", ERASE_EVERY, erase, chunk=1),
            Job("privacy.retain", RETAIN_EVERY, retain, chunk=1),
            Job("privacy.seal", SEAL_EVERY, seal, chunk=handlers.SEAL_CHUNK),
        ],
    )
