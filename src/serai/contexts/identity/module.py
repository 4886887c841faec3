"""Wiring of identity."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, Final

from serai.contexts.identity.gateways.ceremonies import WebAuthn
from serai.contexts.identity.gateways.guard import Guard
from serai.contexts.identity.gateways.hashing import ArgonHashing
from serai.contexts.identity.gateways.keychain import Keychain
from serai.contexts.identity.gateways.names import RememberedNames
from serai.contexts.identity.gateways.news import News
from serai.contexts.identity.gateways.office import Office
from serai.contexts.identity.gateways.openid import OpenIdProviders
from serai.contexts.identity.gateways.safe import Safe
from serai.contexts.identity.handlers import upkeep
from serai.contexts.identity.handlers.desk import Desk
from serai.contexts.identity.handlers.provider import ISSUERS, Provider
from serai.contexts.identity.model.tokens import Claims
from serai.contexts.identity.ports import FindByHost, FindHome, LiveSession, OldRows
from serai.contexts.identity.routes.apps import app_routes, consent_view_routes, secret_routes
from serai.contexts.identity.routes.coming_in import (
    key_routes,
    registering_routes,
    session_routes,
)
from serai.contexts.identity.routes.edge import Lobby
from serai.contexts.identity.routes.factors import factor_routes
from serai.contexts.identity.routes.oauth import insight_routes, metadata_routes, token_routes
from serai.contexts.identity.routes.oauth_consent import (
    consent_routes,
    device_routes,
    sign_in_routes,
)
from serai.contexts.identity.routes.oauth_edge import Doors
from serai.contexts.identity.routes.others import (
    account_routes,
    lost_factor_routes,
    role_routes,
    staff_routes,
)
from serai.contexts.identity.routes.own import own_account_routes, own_session_routes
from serai.contexts.identity.routes.passkeys import (
    factor_role_routes,
    own_passkey_routes,
    passkey_session_routes,
)
from serai.contexts.identity.routes.providers import provider_routes, provider_session_routes
from serai.contexts.identity.store.accounts import PostgresAccounts, PostgresRoles
from serai.contexts.identity.store.apps import PostgresApps, PostgresHandovers
from serai.contexts.identity.store.factors import PostgresFactors
from serai.contexts.identity.store.keys import PostgresKeys
from serai.contexts.identity.store.passkeys import PostgresPasskeys
from serai.contexts.identity.store.people import PostgresPeople
from serai.contexts.identity.store.providers import PostgresProviders
from serai.contexts.identity.store.sessions import PostgresSessions, PostgresThrottles
from serai.contexts.tenancy.contract import TenantView
from serai.kernel.clock import Clock
from serai.kernel.db import Database
from serai.kernel.edge import Origins
from serai.kernel.module import Job, Module, Surroundings
from serai.kernel.tenant import Home, Homes
from serai.settings import Settings

PRUNE_EVERY: Final = timedelta(minutes=1)


def build(
    s: Surroundings,
    *,
    find_tenant: Callable[[str], Awaitable[TenantView | None]],
    find_home: FindHome,
    find_unproven_home: FindHome,
    find_by_host: FindByHost,
    pages: Origins,
) -> Module:
    """Identity over PostgreSQL; its offers are an `Identity`.

    `find_home` refuses a tenant that is not served now: nobody of it comes in. The other lets one
    in that is unproven, for the mail that proves it. `pages` are those of whose origins a passkey
    may be asked for.
    """
    settings = s.settings
    sessions, passkeys, providers = PostgresSessions(), PostgresPasskeys(), PostgresProviders()
    apps, handovers = PostgresApps(), PostgresHandovers()
    relying = OpenIdProviders(is_at_home=settings.providers_at_home)
    safe = Safe(
        key=settings.identity_key, key_file=settings.identity_key_file, folder=settings.data_path
    )
    keychain = Keychain(
        s.database, PostgresKeys(), sessions, safe, s.clock, issuer=settings.identity_issuer,
        app_issuers=f"{settings.public_address}{ISSUERS}",
    )  # fmt: skip
    hashing = _make_hashing(settings)

    async def look_up(home: Home, claims: Claims) -> LiveSession | None:
        async with s.database.transaction(home, (claims.tenant,), is_read_only=True) as tx:
            rows = sessions if claims.client_id is None else apps
            return await rows.find_live(claims.tenant, claims, now=tx.now, tx=tx)

    news = News(s.database)
    guard = Guard(keychain.verify, look_up, find_home, s.clock, is_told=news.is_told)
    news.connect(guard, keychain)
    people = PostgresPeople()
    desk = Desk(
        database=s.database, accounts=PostgresAccounts(), sessions=sessions,
        throttles=PostgresThrottles(), roles=PostgresRoles(), factors=PostgresFactors(),
        passkeys=passkeys, ceremonies=WebAuthn(), providers=providers, relying=relying,
        hashing=hashing, signing=keychain, mail_key=safe, seals=safe, told=guard, pages=pages,
        issuer=settings.identity_issuer, logins_per_address=settings.logins_per_address,
    )  # fmt: skip
    provider = Provider(
        desk, apps, handovers, keychain.verify, look_up, public_url=settings.public_address
    )
    lobby = Lobby(RememberedNames(find_tenant), find_home, find_unproven_home, find_by_host)

    async def close() -> None:
        hashing.close()
        await relying.close()

    return Module(
        name="identity",
        routes=[
            *_routes(desk, lobby, keychain),
            *_provider_routes(provider, Doors(provider, lobby), guard, s.clock),
        ],
        jobs=[
            _pruning("identity.prune", (sessions, passkeys, providers), s.homes),
            _pruning("identity.prune_apps", (handovers,), s.homes),
        ],
        offers=Office(desk, s.homes, guard=guard, keychain=keychain, news=news, people=people),
        personal=people,
        close=close,
    )


def _make_hashing(settings: Settings) -> ArgonHashing:
    return ArgonHashing(
        memory_kib=settings.argon2_memory_kib,
        passes=settings.argon2_passes,
        lanes=settings.argon2_lanes,
        at_once=settings.password_hashes_max,
    )


def _pruning(name: str, rows: Sequence[OldRows], homes: Homes) -> Job:
    async def prune(database: Database, home: Home, clock: Clock) -> int:
        return await upkeep.prune_old(database, home, clock, homes=homes, rows=rows)

    return Job(name, PRUNE_EVERY, prune, chunk=upkeep.PRUNE_CHUNK)


def _routes(desk: Desk, lobby: Lobby, keychain: Keychain) -> list[Any]:
    return [
        *key_routes(keychain),
        *session_routes(desk, lobby),
        *registering_routes(desk, lobby),
        *own_account_routes(desk),
        *own_session_routes(desk),
        *factor_routes(desk),
        *passkey_session_routes(desk, lobby),
        *own_passkey_routes(desk),
        *factor_role_routes(desk),
        *provider_session_routes(desk, lobby),
        *provider_routes(desk),
        *staff_routes(desk),
        *account_routes(desk, "customer", "/v1/customers"),
        *account_routes(desk, "staff", "/v1/staff"),
        *lost_factor_routes(desk, "customer", "/v1/customers"),
        *lost_factor_routes(desk, "staff", "/v1/staff"),
        *role_routes(desk),
    ]


def _provider_routes(provider: Provider, doors: Doors, guard: Guard, clock: Clock) -> list[Any]:
    return [
        *metadata_routes(doors, provider),
        *consent_routes(doors, provider, clock),
        *sign_in_routes(doors, provider),
        *device_routes(doors, provider),
        *token_routes(doors, provider),
        *insight_routes(doors, provider, guard),
        *app_routes(provider),
        *secret_routes(provider),
        *consent_view_routes(provider),
    ]
