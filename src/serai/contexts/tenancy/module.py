"""Wires tenancy: the directory of homes, the keyring, the routes and what it offers."""

from serai.contexts.tenancy.gateways.directory import Directory
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
from serai.contexts.tenancy.store import (
    PostgresDomains,
    PostgresMoves,
    PostgresOrigins,
    PostgresTenants,
)
from serai.kernel.db import Database, Tx
from serai.kernel.module import Module, Surroundings
from serai.kernel.tenant import POOLED, Home, Homes


def build_homes(database: Database) -> Homes:
    """The directory of homes; it is part of what every module is built with, hence apart."""
    directory = Directory(database, PostgresTenants())
    database.on_moved.append(directory.forget)
    return directory


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
    standings = Standings(s.database, store)
    s.database.on_moved += [keyring.forget_tenant, standings.forget]
    return Module(
        name="tenancy",
        routes=[
            *reading_routes(s.database, store),
            *writing_routes(s.database, store, forget=keyring.forget),
            *origin_routes(s.database, store, PostgresOrigins(), forget=origins.forget),
            *domain_routes(s.database, store, PostgresDomains(), records, forget=domains.forget),
        ],
        offers=Register(
            s.database,
            store,
            authenticator=keyring,
            news=KeyNews(s.database, keyring, standings),
            standings=standings,
            origins=origins,
            moves=PostgresMoves(),
            domains=domains,
            newcomers=DirectoryNewcomers(s.database, store),
        ),
    )
