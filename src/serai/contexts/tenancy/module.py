"""Wires tenancy: the directory of homes, the keyring, the routes and what it offers."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from serai.contexts.tenancy import handlers
from serai.contexts.tenancy.contract import TakeNonce
from serai.contexts.tenancy.gateways.directory import Directory
from serai.contexts.tenancy.gateways.domain_desk import DUE_MAX, DomainDesk
from serai.contexts.tenancy.gateways.domain_records import DnsRecords, parse_servers
from serai.contexts.tenancy.gateways.key_news import KeyNews
from serai.contexts.tenancy.gateways.keyring import Keyring
from serai.contexts.tenancy.gateways.known_domains import KnownDomains
from serai.contexts.tenancy.gateways.newcomers import DirectoryNewcomers
from serai.contexts.tenancy.gateways.origins import KnownOrigins
from serai.contexts.tenancy.gateways.register import Register
from serai.contexts.tenancy.gateways.signers import Signers
from serai.contexts.tenancy.gateways.standings import Standings
from serai.contexts.tenancy.model import KeyAddress, KeyRecord
from serai.contexts.tenancy.routes import (
    domain_routes,
    origin_routes,
    reading_routes,
    signer_routes,
    writing_routes,
)
from serai.contexts.tenancy.store import (
    PostgresDomains,
    PostgresMoves,
    PostgresNonces,
    PostgresOrigins,
    PostgresTenants,
)
from serai.kernel.batch import Batch
from serai.kernel.clock import Clock
from serai.kernel.db import Database, Tx
from serai.kernel.failure import Refused
from serai.kernel.idempotency import Answer
from serai.kernel.module import Job, Module, Surroundings
from serai.kernel.tenant import POOLED, Home, Homes

LOOK_EVERY: Final = timedelta(minutes=5)
"""How often it is looked for domains that are to be checked."""
DROP_EVERY: Final = timedelta(minutes=1)
DROPPED_MAX: Final = 2_000
"""Nonces that one transaction drops."""


def build_homes(database: Database) -> Homes:
    """The directory of homes; it is part of what every module is built with, hence apart."""
    directory = Directory(database, PostgresTenants())
    database.on_moved.append(directory.forget)
    return directory


async def list_homes(tx: Tx) -> list[Home]:
    """Every home in which someone lives, for who migrates them."""
    return await PostgresTenants().list_homes(tx)


async def _take_nonces(
    commands: Sequence[TakeNonce], *, tx: Tx, now: datetime, nonces: PostgresNonces
) -> Sequence[Refused | None]:
    del now
    return await handlers.take_nonces(commands, tx=tx, nonces=nonces)


def _nothing(_: None) -> Answer:
    return Answer(204, b"")


async def _drop_nonces(database: Database, home: Home, clock: Clock) -> int:
    """The nonces are where the API keys are: in the directory."""
    if home != POOLED:
        return 0
    async with database.transaction(POOLED, (), is_transport=True) as tx:
        return await PostgresNonces().drop_over(tx, clock.now(), DROPPED_MAX)


def build(s: Surroundings) -> Module:
    """Tenancy; its offers are a `Tenancy`."""
    store = PostgresTenants()

    async def look_up(address: KeyAddress) -> KeyRecord | None:
        async with s.database.transaction(POOLED, (address.tenant_id,), is_read_only=True) as tx:
            return await store.find_key(tx, address)

    batch: Batch[TakeNonce, None] = Batch(
        "tenancy.take_nonces", partial(_take_nonces, nonces=PostgresNonces()), _nothing,
        database=s.database, queue_max=s.settings.queue_max,
    )  # fmt: skip
    signers = Signers(batch, s.clock, scheme="https" if s.settings.has_tls else "http")
    keyring = Keyring(look_up, signers.prove)
    origins = KnownOrigins(s.database, PostgresOrigins())
    domains = KnownDomains(s.database, PostgresDomains())
    records = DnsRecords(parse_servers(s.settings.dns_servers))
    names = DomainDesk(s.database, store, PostgresDomains(), records, known=domains)
    standings = Standings(s.database, store)
    s.database.on_moved += [keyring.forget_tenant, standings.forget]
    return Module(
        name="tenancy",
        routes=[
            *reading_routes(s.database, store),
            *writing_routes(s.database, store, forget=keyring.forget),
            *signer_routes(s.database, store, forget=keyring.forget),
            *origin_routes(s.database, store, PostgresOrigins(), forget=origins.forget),
            *domain_routes(names),
        ],
        batches=[batch],
        jobs=[
            Job("tenancy.check_domains", LOOK_EVERY, names.check_due, chunk=DUE_MAX),
            Job("tenancy.drop_nonces", DROP_EVERY, _drop_nonces, chunk=DROPPED_MAX),
        ],
        offers=Register(
            s.database,
            store,
            authenticator=keyring,
            news=KeyNews(s.database, keyring, standings),
            standings=standings,
            origins=origins,
            moves=PostgresMoves(),
            known=domains,
            domains=names,
            newcomers=DirectoryNewcomers(s.database, store),
        ),
    )
