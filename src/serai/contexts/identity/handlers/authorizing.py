"""A person and an app: who she is on the provider's pages, what she allows, and the code for it."""

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from serai.contexts.identity.handlers.provider import Place, Provider, find_app
from serai.contexts.identity.model import apps, grants, protocol, roles, sessions, throttle
from serai.contexts.identity.model.accounts import Account
from serai.contexts.identity.model.apps import App
from serai.contexts.identity.model.grants import Code, Device
from serai.contexts.identity.model.protocol import CODE_S, AuthorizeRequest, InvalidRequest
from serai.contexts.identity.model.sessions import PAGES, Session
from serai.contexts.identity.model.throttle import Allowance
from serai.contexts.identity.ports import ACCOUNT
from serai.kernel.changes import describe
from serai.kernel.db import Tx
from serai.kernel.events import Cause
from serai.kernel.failure import Unprocessable

CODE_BYTES: Final = 32


class NoSuchDevice(Unprocessable):
    """No device waits for an answer under this code."""


class Visitor(msgspec.Struct, frozen=True):
    """Who is signed in on the provider's pages, and what she may do herself."""

    account: Account
    session: Session
    scopes: frozenset[str]

    @property
    def signed_in_at(self) -> datetime:
        return self.session.created_at


class Farewell(msgspec.Struct, frozen=True):
    """What an app asks for that wants her signed out (OpenID RP-Initiated Logout)."""

    app: App | None
    target: str | None
    """Where she goes then."""
    state: str | None
    account_id: UUID | None
    """Whom the ID token means that the app has shown."""


async def open_request(
    fields: Mapping[str, str], *, provider: Provider, place: Place
) -> tuple[App, str]:
    """The app of a request and where it is called back; before both fit, nobody is sent there."""
    async with provider.desk.open(place.home, place.tenant_id) as tx:
        app = await find_app(fields.get("client_id"), provider=provider, place=place, tx=tx)
    return app, protocol.check_redirect(app, fields.get("redirect_uri"))


async def find_visitor(cookie: str | None, *, provider: Provider, place: Place) -> Visitor | None:
    """Who is signed in in this browser."""
    token = sessions.read_refresh(cookie or "")
    if token is None or token.tenant_id != place.tenant_id:
        return None
    desk = provider.desk
    async with desk.open(place.home, place.tenant_id) as tx:
        session = await desk.sessions.lock(place.tenant_id, token.session_id, tx=tx)
        if session is None or sessions.judge(session, token, app_id=PAGES, now=tx.now) != "good":
            return None
        account = await desk.accounts.find(place.tenant_id, session.account_id, tx=tx)
        if account is None or not account.may_sign_in:
            return None
        own = {r.name: r for r in await desk.roles.list_own(place.tenant_id, tx=tx)}
    return Visitor(account, session, roles.scopes_of(account.roles, own))


def is_fresh(request: AuthorizeRequest, visitor: Visitor, *, now: datetime) -> bool:
    """Whether she has signed in lately enough for what the app asks."""
    if request.prompts & {"login", "select_account"}:
        return False
    if request.max_age_s is None:
        return True
    return now - visitor.signed_in_at < timedelta(seconds=request.max_age_s)


async def may_skip(
    request: AuthorizeRequest, visitor: Visitor, *, provider: Provider, place: Place
) -> bool:
    """Whether she has allowed as much before, and need not be asked.

    A public app that is called back at no address of its own (RFC 8252, 8.6) is always asked for.
    """
    is_told_apart = not request.app.is_public or request.redirect_uri.startswith("https:")
    if "consent" in request.prompts or not is_told_apart:
        return False
    async with provider.desk.open(place.home, place.tenant_id) as tx:
        known = await provider.apps.find_consent(
            place.tenant_id, visitor.account.id, request.app.id, tx=tx
        )
    return set(apps.narrow(request.scopes, person=visitor.scopes)) <= set(known)


async def issue_code(
    request: AuthorizeRequest, visitor: Visitor, *, is_asked: bool, cause: Cause,
    provider: Provider, place: Place,
) -> str:  # fmt: skip
    """The code for what she allows; with `is_asked` that she did is written down."""
    text = secrets.token_urlsafe(CODE_BYTES)
    scopes = apps.narrow(request.scopes, person=visitor.scopes)
    async with provider.desk.open(place.home, place.tenant_id) as tx:
        if is_asked:
            await _consent(request.app, visitor, scopes, cause, provider=provider, tx=tx)
        code = Code(
            apps.digest_of(text), request.app.id, visitor.account.id, request.redirect_uri,
            request.challenge, scopes, request.nonce, visitor.signed_in_at,
            tx.now + timedelta(seconds=CODE_S),
        )  # fmt: skip
        await provider.handovers.insert_code(place.tenant_id, code, tx=tx)
    return text


async def find_device(
    typed: str, visitor: Visitor, *, address: str | None, provider: Provider, place: Place
) -> tuple[Device, App]:
    """The device that shows this code. Each look takes one of few tries."""
    await _spend_try(visitor, address, provider=provider, place=place)
    async with provider.desk.open(place.home, place.tenant_id) as tx:
        return await _lock_device(typed, provider=provider, place=place, tx=tx)


async def answer_device(
    typed: str, visitor: Visitor, *, is_allowed: bool, address: str | None, cause: Cause,
    provider: Provider, place: Place,
) -> None:  # fmt: skip
    """Lets a device in, or not."""
    await _spend_try(visitor, address, provider=provider, place=place)
    async with provider.desk.open(place.home, place.tenant_id) as tx:
        device, app = await _lock_device(typed, provider=provider, place=place, tx=tx)
        scopes = apps.narrow(device.scopes, person=visitor.scopes)
        if is_allowed:
            await _consent(app, visitor, scopes, cause, provider=provider, tx=tx)
        answered = msgspec.structs.replace(
            device, answer="allowed" if is_allowed else "denied", scopes=scopes,
            account_id=visitor.account.id, signed_in_at=visitor.signed_in_at,
        )  # fmt: skip
        await provider.handovers.update_device(place.tenant_id, answered, tx=tx)


async def open_farewell(fields: Mapping[str, str], *, provider: Provider, place: Place) -> Farewell:
    """What an app asks for that wants her signed out; refuses an address that is not its own.

    An ID token that cannot be read, as after a rotation of keys, is none: she is asked.
    """
    hint = None
    if "id_token_hint" in fields:
        hint = await provider.read_hint(fields["id_token_hint"])
    if hint is not None and hint.iss != place.issuer:
        hint = None
    named = fields.get("client_id", None if hint is None else str(hint.aud))
    if hint is not None and str(hint.aud) != named:
        raise InvalidRequest("client_id is not the app that the id_token_hint was given to")
    app = None
    if named is not None:
        async with provider.desk.open(place.home, place.tenant_id) as tx:
            app = await find_app(named, provider=provider, place=place, tx=tx)
    target = protocol.check_after_sign_out(app, fields)
    return Farewell(app, target, fields.get("state"), None if hint is None else hint.sub)


async def sign_out(visitor: Visitor, *, cause: Cause, provider: Provider, place: Place) -> None:
    """Ends the session of this browser with the pages."""
    desk, account_id = provider.desk, visitor.account.id
    async with desk.open(place.home, place.tenant_id) as tx:
        await desk.end_sessions(
            place.tenant_id, account_id, only=visitor.session.id, reason="signed_out",
            cause=cause, tx=tx,
        )  # fmt: skip
    await desk.spread(ACCOUNT, account_id, home=place.home)


async def _consent(
    app: App, visitor: Visitor, scopes: tuple[str, ...], cause: Cause, *, provider: Provider,
    tx: Tx,
) -> None:  # fmt: skip
    tenant_id, account_id = app.tenant_id, visitor.account.id
    known = await provider.apps.find_consent(tenant_id, account_id, app.id, tx=tx)
    together = tuple(s for s in apps.APP_SCOPES if s in {*known, *scopes})
    await provider.apps.save_consent(tenant_id, account_id, app.id, together, now=tx.now, tx=tx)
    if together != known:
        told = {"app_id": app.id, "scopes": list(together)}
        change = describe("identity.consent_given", ("account", account_id), cause, after=told)
        tx.record(tenant_id, change)


async def _lock_device(
    typed: str, *, provider: Provider, place: Place, tx: Tx
) -> tuple[Device, App]:
    digest = grants.digest_of_user_code(typed)
    device = None
    if digest is not None:
        device = await provider.handovers.lock_answerable(place.tenant_id, digest, tx=tx)
    if device is None or not device.is_waiting(tx.now):
        raise NoSuchDevice("no device waits under this code: look whether it is still shown")
    app = await provider.apps.find(place.tenant_id, device.app_id, tx=tx)
    if app is None or app.disabled_at is not None:
        raise NoSuchDevice("the app of this device is not let in")
    return device, app


async def _spend_try(
    visitor: Visitor, address: str | None, *, provider: Provider, place: Place
) -> None:
    """A transaction of its own: a try is spent whatever comes of it."""
    desk, of = provider.desk, str(visitor.account.id)
    wanted: dict[bytes, Allowance] = {
        throttle.bucket_of("user code", of): grants.USER_CODES_OF_ACCOUNT
    }
    if address is not None and desk.logins_per_address:
        allowance = Allowance(desk.logins_per_address, throttle.LOGIN_REFILL)
        wanted[throttle.bucket_of("address", address)] = allowance
    async with desk.open(place.home, place.tenant_id) as tx:
        await desk.spend(place.tenant_id, wanted, tx=tx)
