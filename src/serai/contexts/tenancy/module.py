"""Wires tenancy: the directory of homes, the keyring, the routes and what it offers."""

from datetime import timedelta
from typing import Final

from serai.contexts.tenancy.gateways.directory import Directory
from serai.contexts.tenancy.gateways.domain_desk import DUE_MAX, DomainDesk
from serai.contexts.tenancy.gateways.domain_records import DnsRecords, parse_servers
from serai.contexts.tenancy.gateways.key_news import KeyNews
from serai.contexts.tenancy.gateways.keyring import Keyring
from serai.contexts.tenancy.gateways.known_domains import KnownDomains
from serai.contexts.tenancy.gateways.newcomers import DirectoryNewcomers
from serai.contexts.tenancy.gateways.origins import KnownOrigins
from serai.contexts.tenancy.gateways.register import Register
from serai.contexts.tenancy.gateways.standings import Standings
from serai.contexts.tenancy.model import KeyAddress, KeyRecord
from serai.contexts.tenancy.routes import (
    domain_routes,
    origin_routes,
    reading_routes,
    writing_routes,
)
from serai.contexts.tenancy.store import PostgresDomains, PostgresOrigins, PostgresTenants
from serai.kernel.db import Database, Tx
from serai.kernel.module import Job, Module, Surroundings
from serai.kernel.tenant import POOLED, Home, Homes

LOOK_EVERY: Final = timedelta(minutes=5)
"""How often it is looked for domains that are to be checked."""


def build_homes(database: Database) -> Homes:
    """The directory of homes; it is part of what every module is built with, hence apart."""
    return Directory(database, PostgresTenants())


async def list_homes(tx: Tx) -> list[Home]:
    """Every home in which someone lives, for who migrates them."""
    return await PostgresTenants().list_homes(tx)


def build(s: Surroundings) -> Module:
    """Tenancy; its offers are a `Tenancy`."""
    store = PostgresTenants()

    async def look_up(address: KeyAddress) -> KeyRecord | None:
        async with s.database.transaction(POOLED, (address.tenant_id,), is_read_only=True) as tx:
            return await store.find_key(tx, address)

    keyring = Keyring(look_up)
    origins = KnownOrigins(s.database, PostgresOrigins())
    domains = KnownDomains(s.database, PostgresDomains())
    records = DnsRecords(parse_servers(s.settings.dns_servers))
    names = DomainDesk(s.database, store, PostgresDomains(), records, known=domains)
    standings = Standings(s.database, store)
    return Module(
        name="tenancy",
        routes=[
            *reading_routes(s.database, store),
            *writing_routes(s.database, store, forget=keyring.forget),
            *origin_routes(s.database, store, PostgresOrigins(), forget=origins.forget),
            *domain_routes(names),
        ],
        jobs=[Job("tenancy.check_domains", LOOK_EVERY, names.check_due, chunk=DUE_MAX)],
        offers=Register(
            s.database,
            store,
            authenticator=keyring,
            news=KeyNews(s.database, keyring, standings),
            standings=standings,
            origins=origins,
            known=domains,
            domains=names,
            newcomers=DirectoryNewcomers(s.database, store),
        ),
    )
