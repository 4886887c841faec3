"""A tenant's apps as its staff changes them, and what a customer takes back from one."""

import secrets
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

import msgspec

from serai.contexts.identity.handlers.provider import Provider
from serai.contexts.identity.model import accounts, apps
from serai.contexts.identity.model.apps import (
    APPS_MAX,
    OPENID_SCOPES,
    App,
    AppUnfit,
    AppView,
    Grant,
    IssuedAppView,
    TooManyApps,
)
from serai.contexts.identity.model.passkeys import NOBODY
from serai.contexts.identity.ports import ACCOUNT, TENANT
from serai.kernel import ids
from serai.kernel.changes import describe
from serai.kernel.db import Tx
from serai.kernel.events import Cause
from serai.kernel.failure import IllegalState, NotFound, find_stale
from serai.kernel.tenant import Home

CONSENTS_CHUNK: Final = 2_000
"""Consents that one transaction deletes."""


class CreateApp(msgspec.Struct, frozen=True):
    """An app that is new."""

    tenant_id: UUID
    name: str
    is_public: bool
    redirect_uris: tuple[str, ...]
    grants: tuple[Grant, ...]
    scopes: tuple[str, ...]
    held: frozenset[str]
    """The scopes of whoever makes it: an app gets no other ones."""
    cause: Cause
    post_logout_redirect_uris: tuple[str, ...] = ()


class ChangeApp(msgspec.Struct, frozen=True):
    """Changes an app; what is None stays."""

    tenant_id: UUID
    app_id: UUID
    name: str | None
    redirect_uris: tuple[str, ...] | None
    grants: tuple[Grant, ...] | None
    scopes: tuple[str, ...] | None
    is_disabled: bool | None
    held: frozenset[str]
    expected: int | None
    cause: Cause
    post_logout_redirect_uris: tuple[str, ...] | None = None


async def create_app(command: CreateApp, *, provider: Provider, home: Home) -> IssuedAppView:
    """An app, and its secret this once."""
    secret = None if command.is_public else secrets.token_urlsafe(apps.SECRET_BYTES)
    async with provider.desk.database.transaction(home, (command.tenant_id,)) as tx:
        app = App(
            command.tenant_id, ids.new_id(), command.name, command.is_public,
            command.redirect_uris, _in_order(command.grants), apps.choose_scopes(command.scopes),
            None if secret is None else apps.digest_of(secret), 1, tx.now,
            post_logout_redirect_uris=command.post_logout_redirect_uris,
        )  # fmt: skip
        _check(app, held=command.held)
        await provider.apps.lock_all(command.tenant_id, tx=tx)
        if len(await provider.apps.list_all(command.tenant_id, tx=tx)) >= APPS_MAX:
            raise TooManyApps(
                f"a tenant may have {APPS_MAX} apps: disable one that nobody needs and delete it"
            )
        await provider.apps.insert(app, tx=tx)
        _record("identity.app_created", None, app, command.cause, tx=tx)
    return IssuedAppView(apps.view_of(app), secret)


async def change_app(command: ChangeApp, *, provider: Provider, home: Home) -> AppView:
    """The app as it is then: what it may no more holds at once, and a disabled one is out."""
    tenant_id = command.tenant_id
    async with provider.desk.database.transaction(home, (tenant_id,)) as tx:
        app = await _lock(tenant_id, command.app_id, command.expected, provider=provider, tx=tx)
        given = {
            "name": command.name,
            "redirect_uris": command.redirect_uris,
            "post_logout_redirect_uris": command.post_logout_redirect_uris,
            "grants": None if command.grants is None else _in_order(command.grants),
            "scopes": None if command.scopes is None else apps.choose_scopes(command.scopes),
        }
        changed = msgspec.structs.replace(
            app, version=app.version + 1, **{k: v for k, v in given.items() if v is not None}
        )
        if command.is_disabled is not None:
            disabled_at = (app.disabled_at or tx.now) if command.is_disabled else None
            changed = msgspec.structs.replace(changed, disabled_at=disabled_at)
        _check(app, held=command.held)
        _check(changed, held=command.held)
        await provider.apps.update(changed, tx=tx)
        await provider.desk.sessions.tell(TENANT, tenant_id, tx=tx)
        if apps.trace_of(changed) != apps.trace_of(app):
            _record("identity.app_changed", app, changed, command.cause, tx=tx)
    await provider.desk.spread(TENANT, tenant_id, home=home)
    return apps.view_of(changed)


async def delete_app(
    tenant_id: UUID, app_id: UUID, *, held: frozenset[str], cause: Cause, provider: Provider,
    home: Home,
) -> None:  # fmt: skip
    """Deletes an app that is disabled, so that nobody is in by it, and what people let it do.

    A consent that is left where this process ends in between is to an app that never comes back.
    """
    database = provider.desk.database
    async with database.transaction(home, (tenant_id,)) as tx:
        app = await _lock(tenant_id, app_id, None, provider=provider, tx=tx)
        _check(app, held=held)
        if app.disabled_at is None:
            raise IllegalState("this app may be in use: disable it first")
        await provider.apps.delete(tenant_id, app_id, tx=tx)
        _record("identity.app_deleted", app, None, cause, tx=tx)
    last: UUID | None = NOBODY
    while last is not None:
        async with database.transaction(home, (tenant_id,)) as tx:
            last = await provider.apps.delete_consents(
                tenant_id, app_id, after=last, limit=CONSENTS_CHUNK, tx=tx
            )


async def rotate_secret(
    tenant_id: UUID, app_id: UUID, *, keep_old_s: int, held: frozenset[str], cause: Cause,
    provider: Provider, home: Home,
) -> IssuedAppView:  # fmt: skip
    """A new secret, shown this once; the one before is good for so long, and others at no time."""
    secret = secrets.token_urlsafe(apps.SECRET_BYTES)
    async with provider.desk.database.transaction(home, (tenant_id,)) as tx:
        app = await _lock(tenant_id, app_id, None, provider=provider, tx=tx)
        if app.is_public:
            raise AppUnfit("a public app has no secret")
        _check(app, held=held)
        changed = msgspec.structs.replace(
            app, secret=apps.digest_of(secret), version=app.version + 1,
            old_secret=app.secret if keep_old_s else None,
            old_secret_until=tx.now + timedelta(seconds=keep_old_s) if keep_old_s else None,
        )  # fmt: skip
        await provider.apps.update(changed, tx=tx)
        told = {"keep_old_s": keep_old_s}
        tx.record(
            tenant_id, describe("identity.app_secret_rotated", ("app", app_id), cause, after=told)
        )
    return IssuedAppView(apps.view_of(changed), secret)


async def revoke_consent(
    tenant_id: UUID, account_id: UUID, app_id: UUID, *, cause: Cause, provider: Provider,
    home: Home,
) -> None:  # fmt: skip
    """What she let an app do is over, and so are its tokens, in every process at once."""
    async with provider.desk.database.transaction(home, (tenant_id,)) as tx:
        if not await provider.apps.delete_consent(tenant_id, account_id, app_id, now=tx.now, tx=tx):
            raise NotFound("you have not let an app of this id do anything")
        await provider.desk.sessions.tell(ACCOUNT, account_id, tx=tx)
        told = {"app_id": app_id}
        subject = ("account", account_id)
        tx.record(tenant_id, describe("identity.consent_revoked", subject, cause, before=told))
    await provider.desk.spread(ACCOUNT, account_id, home=home)


async def _lock(
    tenant_id: UUID, app_id: UUID, expected: int | None, *, provider: Provider, tx: Tx
) -> App:
    await provider.apps.lock_all(tenant_id, tx=tx)
    app = await provider.apps.find(tenant_id, app_id, tx=tx)
    if app is None:
        raise NotFound("no app has this id")
    stale = find_stale(expected, app.version)
    if stale is not None:
        raise stale
    return app


def _check(app: App, *, held: Collection[str]) -> None:
    apps.check_redirects(app.redirect_uris)
    apps.check_redirects(app.post_logout_redirect_uris)
    apps.check_whole(app)
    refusal = accounts.refuse_more_powerful(set(app.scopes) - set(OPENID_SCOPES), held=held)
    if refusal is not None:
        raise refusal


def _in_order(grants: Sequence[Grant]) -> tuple[Grant, ...]:
    return tuple(dict.fromkeys(grants))


def _record(action: str, before: App | None, after: App | None, cause: Cause, *, tx: Tx) -> None:
    one = after or before
    assert one is not None, "something was or is there"
    was, became = (None if it is None else apps.trace_of(it) for it in (before, after))
    change = describe(action, ("app", one.id), cause, before=was, after=became)
    tx.record(one.tenant_id, change)
