"""What an app gets tokens for: a code, a device's code, a refresh token, or by itself."""

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final
from uuid import UUID

import msgspec

from serai.contexts.identity.contract import ACCESS_S, DeviceAdmitted, SessionReused
from serai.contexts.identity.handlers.provider import Credentials, Place, Provider, recognise
from serai.contexts.identity.handlers.signing_in import begin_session
from serai.contexts.identity.model import apps, grants, protocol, sessions, throttle, tokens
from serai.contexts.identity.model.accounts import Account
from serai.contexts.identity.model.apps import CODE, DEVICE, OFFLINE, OWN, REFRESH, App
from serai.contexts.identity.model.grants import Device
from serai.contexts.identity.model.protocol import (
    ID_TYPE,
    IdClaims,
    InvalidGrant,
    InvalidScope,
    ProtocolRefused,
    TokenAnswer,
    UnauthorizedClient,
    UnsupportedGrantType,
)
from serai.contexts.identity.model.sessions import Session
from serai.contexts.identity.ports import ACCOUNT
from serai.kernel import ids
from serai.kernel.db import Tx
from serai.kernel.events import Cause
from serai.kernel.failure import Throttled

_NO_GOOD: Final = "this is not good, was used, or was not given to this app"
TRIES_MAX: Final = 5
"""User codes that are made up for a device until one is free; the second is as good as never."""

Sign = Callable[[msgspec.Struct], str]


class Signs(msgspec.Struct, frozen=True):
    """Both pens, fetched before a transaction is opened."""

    access: Sign
    identity: Sign


class Granted(msgspec.Struct, frozen=True):
    """What is written into the tokens of a person's session with an app."""

    account_id: UUID
    session_id: UUID
    scopes: tuple[str, ...]
    signed_in_at: datetime | None = None
    nonce: str | None = None


class Outcome(msgspec.Struct, frozen=True):
    """What a transaction came to: an answer or a refusal, and whose sessions it has ended.

    A refusal is returned, not raised, where something must stay written of it.
    """

    answer: TokenAnswer | None = None
    refusal: ProtocolRefused | None = None
    ended: UUID | None = None


class DeviceAnswer(msgspec.Struct, frozen=True):
    """What a device is told to show and to do (RFC 8628, 3.2)."""

    device_code: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_in: int
    interval: int


async def grant(
    fields: Mapping[str, str], given: Credentials, *, provider: Provider, place: Place,
    cause: Cause,
) -> TokenAnswer:  # fmt: skip
    """The tokens that an app asks for (RFC 6749, 3.2)."""
    kind = protocol.need(fields, "grant_type")
    carry_out = _GRANTS.get(kind)
    if carry_out is None:
        raise UnsupportedGrantType("this grant is not given here")
    signs = Signs(
        await provider.desk.signing.prepare(), await provider.desk.signing.prepare(ID_TYPE)
    )
    async with provider.desk.open(place.home, place.tenant_id) as tx:
        app = await recognise(given, provider=provider, place=place, tx=tx)
        if kind not in app.grants:
            raise UnauthorizedClient("this app has not this grant")
        came = await carry_out(
            fields, app, signs=signs, provider=provider, place=place, cause=cause, tx=tx
        )
    if came.ended is not None:
        await provider.desk.spread(ACCOUNT, came.ended, home=place.home)
    if came.answer is None:
        raise came.refusal or InvalidGrant(_NO_GOOD)
    return came.answer


async def begin_device(
    fields: Mapping[str, str], given: Credentials, *, address: str | None, provider: Provider,
    place: Place,
) -> DeviceAnswer:  # fmt: skip
    """Two codes: one that the device keeps, one that it shows (RFC 8628, 3.1)."""
    desk = provider.desk
    scopes = protocol.read_scopes(protocol.need(fields, "scope"))
    text = secrets.token_urlsafe(grants.DEVICE_BYTES)
    async with desk.open(place.home, place.tenant_id) as tx:
        app = await recognise(given, provider=provider, place=place, tx=tx)
        if DEVICE not in app.grants:
            raise UnauthorizedClient("this app has not the grant for devices")
        _refuse_beyond(scopes, app.scopes)
        if address is not None and desk.logins_per_address:
            bucket = throttle.bucket_of("device", address)
            await desk.spend(place.tenant_id, {bucket: grants.DEVICES_OF_ADDRESS}, tx=tx)
        waiting = await provider.handovers.count_devices(
            place.tenant_id, app.id, now=tx.now, most=grants.DEVICES_MAX, tx=tx
        )
        if waiting >= grants.DEVICES_MAX:
            raise Throttled("too many devices of this app wait", retry_after_s=grants.POLL_S)
        device = Device(
            apps.digest_of(text), app.id, scopes, grants.POLL_S, tx.now + grants.DEVICE_TTL
        )
        shown = await _show_device(device, provider=provider, place=place, tx=tx)
    address_of_page = f"{place.issuer}/device"
    return DeviceAnswer(
        text, shown, address_of_page, f"{address_of_page}?user_code={shown}",
        int(grants.DEVICE_TTL.total_seconds()), grants.POLL_S,
    )  # fmt: skip


async def _show_device(device: Device, *, provider: Provider, place: Place, tx: Tx) -> str:
    for _ in range(TRIES_MAX):
        shown = grants.make_user_code(secrets.choice)
        digest = grants.digest_of_user_code(shown)
        assert digest is not None, "what is shown can be typed"
        if await provider.handovers.insert_device(place.tenant_id, device, digest, tx=tx):
            return shown
    raise Throttled("too many devices wait", retry_after_s=grants.POLL_S)


async def _redeem_code(
    fields: Mapping[str, str], app: App, *, signs: Signs, provider: Provider, place: Place,
    cause: Cause, tx: Tx,
) -> Outcome:  # fmt: skip
    digest = apps.digest_of(protocol.need(fields, "code"))
    code = await provider.handovers.lock_code(place.tenant_id, digest, tx=tx)
    verdict = grants.judge_code(
        code, app_id=app.id, redirect_uri=fields.get("redirect_uri"),
        verifier=fields.get("code_verifier"), now=tx.now,
    )  # fmt: skip
    if code is None or verdict == "bad":
        return Outcome(refusal=InvalidGrant(_NO_GOOD))
    if verdict == "used":
        assert code.session_id is not None, "a used code has led to a session"
        await provider.desk.end_sessions(
            place.tenant_id, code.account_id, only=code.session_id, reason="code_reused",
            cause=cause, tx=tx,
        )  # fmt: skip
        return Outcome(refusal=InvalidGrant(_NO_GOOD), ended=code.account_id)
    account = await provider.desk.accounts.find(place.tenant_id, code.account_id, tx=tx)
    if account is None or not await _allows(account, app, code.scopes, provider=provider, tx=tx):
        return Outcome(refusal=InvalidGrant(_NO_GOOD))
    session, refresh = await _begin(app, account, code.scopes, provider=provider, tx=tx)
    await provider.handovers.use_code(place.tenant_id, digest, session.id, tx=tx)
    granted = Granted(account.id, session.id, session.scopes, code.signed_in_at, code.nonce)
    return Outcome(_write(app, granted, refresh, signs=signs, place=place, now=tx.now))


async def _redeem_device(
    fields: Mapping[str, str], app: App, *, signs: Signs, provider: Provider, place: Place,
    cause: Cause, tx: Tx,
) -> Outcome:  # fmt: skip
    digest = apps.digest_of(protocol.need(fields, "device_code"))
    found = await provider.handovers.lock_device(place.tenant_id, digest, tx=tx)
    device, refusal = grants.poll(found, app_id=app.id, now=tx.now)
    if refusal is not None or device is None or device.account_id is None:
        if device is not None:
            await provider.handovers.update_device(place.tenant_id, device, tx=tx)
        return Outcome(refusal=refusal)
    account = await provider.desk.accounts.find(place.tenant_id, device.account_id, tx=tx)
    if account is None or not await _allows(account, app, device.scopes, provider=provider, tx=tx):
        return Outcome(refusal=InvalidGrant(_NO_GOOD))
    session, refresh = await _begin(app, account, device.scopes, provider=provider, tx=tx)
    kept_until = session.expires_at if refresh is None else tx.now + sessions.SESSION_MAX
    used = msgspec.structs.replace(device, session_id=session.id, expires_at=kept_until)
    await provider.handovers.update_device(place.tenant_id, used, tx=tx)
    count = partial(_count_admitted, place.tenant_id, provider=provider, tx=tx)
    await provider.desk.refuse_beyond_plan("devices", place.tenant_id, count, tx=tx)
    tx.announce(place.tenant_id, DeviceAdmitted(session.id, account.id, app.id), cause)
    granted = Granted(account.id, session.id, session.scopes, device.signed_in_at)
    return Outcome(_write(app, granted, refresh, signs=signs, place=place, now=tx.now))


async def _count_admitted(tenant_id: UUID, *, provider: Provider, tx: Tx) -> int:
    # Of two that are in and not committed, the second to lock sees the first.
    await provider.handovers.lock_admitted(tenant_id, tx=tx)
    return await provider.handovers.count_admitted(tenant_id, tx=tx)


async def _refresh(
    fields: Mapping[str, str], app: App, *, signs: Signs, provider: Provider, place: Place,
    cause: Cause, tx: Tx,
) -> Outcome:  # fmt: skip
    """Another token for one that is good once, whichever app shows it."""
    desk, text = provider.desk, protocol.need(fields, "refresh_token")
    token = sessions.read_refresh(text)
    if token is None or token.tenant_id != place.tenant_id:
        return Outcome(refusal=InvalidGrant(_NO_GOOD))
    session = await desk.sessions.lock(place.tenant_id, token.session_id, tx=tx)
    verdict = sessions.judge(session, token, app_id=app.id, now=tx.now)
    if session is None or verdict == "bad":
        return Outcome(refusal=InvalidGrant(_NO_GOOD))
    if verdict == "used":
        await desk.end_sessions(
            place.tenant_id, session.account_id, only=session.id, reason="reused", cause=cause,
            tx=tx,
        )  # fmt: skip
        tx.announce(place.tenant_id, SessionReused(session.account_id, session.id), cause)
        return Outcome(refusal=InvalidGrant(_NO_GOOD), ended=session.account_id)
    account = await desk.accounts.find(place.tenant_id, session.account_id, tx=tx)
    if account is None or not account.may_sign_in:
        return Outcome(refusal=InvalidGrant(_NO_GOOD))
    scopes = tuple(s for s in session.scopes if s in app.scopes)
    if "scope" in fields:
        wanted = protocol.read_scopes(fields["scope"])
        _refuse_beyond(wanted, scopes)
        scopes = wanted
    fresh = secrets.token_urlsafe(sessions.HALF_BYTES)
    rotated = msgspec.structs.replace(
        session, fresh=sessions.digest_of(fresh), used_at=tx.now,
        expires_at=sessions.expiry(session.created_at, tx.now),
    )  # fmt: skip
    await desk.sessions.rotate(place.tenant_id, rotated, tx=tx)
    family = sessions.family_half(text)
    text = sessions.write_refresh(place.tenant_id, session.id, family, fresh)
    granted = Granted(account.id, session.id, scopes)
    return Outcome(_write(app, granted, text, signs=signs, place=place, now=tx.now))


async def _come_alone(
    fields: Mapping[str, str], app: App, *, signs: Signs, provider: Provider, place: Place,
    cause: Cause, tx: Tx,
) -> Outcome:  # fmt: skip
    del provider, cause
    allowed = apps.scopes_alone(app)
    wanted = tuple(s for s in app.scopes if s in allowed)
    if "scope" in fields:
        wanted = protocol.read_scopes(fields["scope"])
    _refuse_beyond(wanted, allowed)
    claims = tokens.claim_for_app(
        issuer=place.issuer, app_id=app.id, tenant_id=place.tenant_id, account_id=None,
        session_id=None, scopes=wanted, token_id=ids.new_id(), now=tx.now,
    )  # fmt: skip
    return Outcome(TokenAnswer(signs.access(claims), "Bearer", ACCESS_S, " ".join(wanted)))


async def _allows(
    account: Account, app: App, scopes: Sequence[str], *, provider: Provider, tx: Tx
) -> bool:
    """Whether she still allows what a code on its way was given for."""
    known = await provider.apps.find_consent(account.tenant_id, account.id, app.id, tx=tx)
    return account.may_sign_in and set(scopes) <= set(known)


async def _begin(
    app: App, account: Account, granted: Sequence[str], *, provider: Provider, tx: Tx
) -> tuple[Session, str | None]:
    """A session of a person with an app; with a refresh token where she lets it stay."""
    scopes = tuple(s for s in granted if s in app.scopes)
    stays = REFRESH in app.grants and OFFLINE in scopes
    session, refresh = await begin_session(
        account, desk=provider.desk, tx=tx, app_id=app.id, scopes=scopes,
        lasts=None if stays else timedelta(seconds=ACCESS_S),
    )  # fmt: skip
    return session, refresh if stays else None


def _write(
    app: App, granted: Granted, refresh: str | None, *, signs: Signs, place: Place,
    now: datetime,
) -> TokenAnswer:  # fmt: skip
    claims = tokens.claim_for_app(
        issuer=place.issuer, app_id=app.id, tenant_id=place.tenant_id,
        account_id=granted.account_id, session_id=granted.session_id, scopes=granted.scopes,
        token_id=ids.new_id(), now=now,
    )  # fmt: skip
    access, id_token = signs.access(claims), None
    if granted.signed_in_at is not None and protocol.is_openid(granted.scopes):
        id_token = signs.identity(
            IdClaims(
                iss=place.issuer, sub=granted.account_id, aud=app.id, iat=claims.iat,
                exp=claims.exp, auth_time=int(granted.signed_in_at.timestamp()),
                at_hash=protocol.at_hash(access), nonce=granted.nonce,
            )
        )  # fmt: skip
    return TokenAnswer(access, "Bearer", ACCESS_S, " ".join(granted.scopes), refresh, id_token)


def _refuse_beyond(wanted: Sequence[str], allowed: Sequence[str] | frozenset[str]) -> None:
    if not wanted or set(wanted) - set(allowed):
        raise InvalidScope("name scopes, and only those that the app has, or was given")


_GRANTS: Final[Mapping[str, Callable[..., Awaitable[Outcome]]]] = {
    CODE: _redeem_code,
    REFRESH: _refresh,
    OWN: _come_alone,
    DEVICE: _redeem_device,
}
