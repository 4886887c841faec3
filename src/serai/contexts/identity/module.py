"""Wiring of identity."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final

from serai.contexts.identity.gateways.guard import Guard
from serai.contexts.identity.gateways.hashing import ArgonHashing
from serai.contexts.identity.gateways.keychain import Keychain
from serai.contexts.identity.gateways.names import RememberedNames
from serai.contexts.identity.gateways.news import News
from serai.contexts.identity.gateways.office import Office
from serai.contexts.identity.gateways.safe import Safe
from serai.contexts.identity.handlers import upkeep
from serai.contexts.identity.handlers.desk import Desk
from serai.contexts.identity.model.tokens import Claims
from serai.contexts.identity.ports import FindHome, LiveSession
from serai.contexts.identity.routes.coming_in import (
    key_routes,
    registering_routes,
    session_routes,
)
from serai.contexts.identity.routes.edge import Lobby
from serai.contexts.identity.routes.factors import factor_routes
from serai.contexts.identity.routes.others import account_routes, role_routes, staff_routes
from serai.contexts.identity.routes.own import own_account_routes, own_session_routes
from serai.contexts.identity.store.accounts import PostgresAccounts, PostgresRoles
from serai.contexts.identity.store.factors import PostgresFactors
from serai.contexts.identity.store.keys import PostgresKeys
from serai.contexts.identity.store.people import PostgresPeople
from serai.contexts.identity.store.sessions import PostgresSessions, PostgresThrottles
from serai.contexts.tenancy.contract import TenantView
from serai.kernel.clock import Clock
from serai.kernel.db import Database
from serai.kernel.module import Job, Module, Surroundings
from serai.kernel.tenant import Home

PRUNE_EVERY: Final = timedelta(minutes=1)


def build(
    s: Surroundings,
    *,
    find_tenant: Callable[[str], Awaitable[TenantView | None]],
    find_home: FindHome,
) -> Module:
    """Identity over PostgreSQL; its offers are an `Identity`.

    `find_home` refuses a tenant that is not served now: nobody of it comes in.
    """
    settings = s.settings
    sessions = PostgresSessions()
    safe = Safe(
        key=settings.identity_key, key_file=settings.identity_key_file, folder=settings.data_path
    )
    keychain = Keychain(
        s.database, PostgresKeys(), sessions, safe, s.clock, issuer=settings.identity_issuer
    )
    hashing = ArgonHashing(
        memory_kib=settings.argon2_memory_kib,
        passes=settings.argon2_passes,
        lanes=settings.argon2_lanes,
        at_once=settings.password_hashes_max,
    )

    async def look_up(home: Home, claims: Claims) -> LiveSession | None:
        async with s.database.transaction(home, (claims.tenant,), is_read_only=True) as tx:
            return await sessions.find_live(claims.tenant, claims, now=tx.now, tx=tx)

    news = News(s.database)
    guard = Guard(keychain.verify, look_up, find_home, s.clock, is_told=news.is_told)
    news.connect(guard, keychain)
    people = PostgresPeople()
    desk = Desk(
        database=s.database,
        accounts=PostgresAccounts(),
        sessions=sessions,
        throttles=PostgresThrottles(),
        roles=PostgresRoles(),
        factors=PostgresFactors(),
        hashing=hashing,
        signing=keychain,
        mail_key=safe,
        seals=safe,
        told=guard,
        issuer=settings.identity_issuer,
        logins_per_address=settings.logins_per_address,
    )
    lobby = Lobby(RememberedNames(find_tenant), find_home)

    async def prune(database: Database, home: Home, clock: Clock) -> int:
        return await upkeep.prune_old(database, home, clock, homes=s.homes, rows=sessions)

    async def close() -> None:
        hashing.close()

    return Module(
        name="identity",
        routes=_routes(desk, lobby, keychain),
        jobs=[
            Job("identity.prune", PRUNE_EVERY, prune, chunk=upkeep.PRUNE_CHUNK),
        ],
        offers=Office(desk, s.homes, guard=guard, keychain=keychain, news=news, people=people),
        personal=people,
        close=close,
    )


def _routes(desk: Desk, lobby: Lobby, keychain: Keychain) -> list[Any]:
    return [
        *key_routes(keychain),
        *session_routes(desk, lobby),
        *registering_routes(desk, lobby),
        *own_account_routes(desk),
        *own_session_routes(desk),
        *factor_routes(desk),
        *staff_routes(desk),
        *account_routes(desk, "customer", "/v1/customers"),
        *account_routes(desk, "staff", "/v1/staff"),
        *role_routes(desk),
    ]
