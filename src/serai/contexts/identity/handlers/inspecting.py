"""What is asked about a token that is there: whether it is good, whose it is, and to end it."""

from uuid import UUID

import msgspec

from serai.contexts.identity.contract import SignedIn
from serai.contexts.identity.handlers.provider import Credentials, Place, Provider, recognise
from serai.contexts.identity.model import sessions
from serai.contexts.identity.model.apps import OPENID, App
from serai.contexts.identity.model.protocol import (
    InsufficientScope,
    InvalidClient,
    InvalidToken,
    UnsupportedTokenType,
)
from serai.contexts.identity.model.sessions import RefreshToken, Session
from serai.contexts.identity.model.tokens import Claims
from serai.contexts.identity.ports import ACCOUNT, LiveSession
from serai.kernel.db import Tx
from serai.kernel.events import Cause
from serai.kernel.web import Authenticator, Unauthenticated


class Insight(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What an app learns of a token (RFC 7662, 2.2); of one that is not its own, nothing."""

    active: bool
    scope: str | None = None
    client_id: UUID | None = None
    token_type: str | None = None
    sub: UUID | None = None
    aud: str | None = None
    iss: str | None = None
    exp: int | None = None
    iat: int | None = None
    nbf: int | None = None
    jti: UUID | None = None


class UserInfo(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Who she is, as far as she lets the app know (OpenID Core, 5.3)."""

    sub: UUID
    name: str | None = None
    email: str | None = None
    email_verified: bool | None = None


async def introspect(text: str, given: Credentials, *, provider: Provider, place: Place) -> Insight:
    """Whether a token is good, for the app that it was given to; for any other one it is not."""
    async with provider.desk.open(place.home, place.tenant_id) as tx:
        app = await recognise(given, provider=provider, place=place, tx=tx)
        if app.is_public:
            raise InvalidClient("only an app that has shown a secret may ask")
        session = await _find_session(text, app, provider=provider, place=place, tx=tx)
    if session is not None:
        scopes = [s for s in session.scopes if s in app.scopes]
        return Insight(
            active=True, scope=" ".join(scopes), client_id=app.id, sub=session.account_id,
            iss=place.issuer, exp=int(session.expires_at.timestamp()),
            iat=int(session.created_at.timestamp()),
        )  # fmt: skip
    found = await _find_access(text, app, provider=provider, place=place)
    if found is None:
        return Insight(active=False)
    claims, live = found
    return Insight(
        active=True, scope=" ".join(s for s in claims.scope.split() if s in live.scopes),
        client_id=app.id, token_type="Bearer",  # noqa: S106 - the kind of token, not one
        sub=claims.sub, aud=claims.aud, iss=claims.iss, exp=claims.exp, iat=claims.iat,
        nbf=claims.nbf, jti=claims.jti,
    )  # fmt: skip


async def revoke(
    text: str, given: Credentials, *, cause: Cause, provider: Provider, place: Place
) -> None:
    """Ends what a token was given with, both kinds at once; nothing where it is not the app's.

    The token of an app that came by itself stays what it is: it is over in minutes, and whoever
    must not wait disables the app.
    """
    desk = provider.desk
    async with desk.open(place.home, place.tenant_id) as tx:
        app = await recognise(given, provider=provider, place=place, tx=tx)
        session = await _find_session(text, app, provider=provider, place=place, tx=tx)
    ended = None if session is None else (session.account_id, session.id)
    if ended is None:
        found = await _find_access(text, app, provider=provider, place=place)
        if found is None:
            return
        claims, _ = found
        if claims.sid is None:
            raise UnsupportedTokenType("this token ends by itself, or with its app")
        ended = (claims.sub, claims.sid)
    async with desk.open(place.home, place.tenant_id) as tx:
        await desk.end_sessions(
            place.tenant_id, ended[0], only=ended[1], reason="revoked", cause=cause, tx=tx
        )
    await desk.spread(ACCOUNT, ended[0], home=place.home)


async def tell_user(
    token: str, *, authenticator: Authenticator, provider: Provider, place: Place
) -> UserInfo:
    """Who she is, for an app that she lets know it."""
    try:
        who = await authenticator.authenticate(token)
    except Unauthenticated as error:
        raise InvalidToken("this access token is not good") from error
    if who.tenant_id != place.tenant_id or not isinstance(who, SignedIn):
        raise InvalidToken("this access token is not one of a person of this tenant")
    if OPENID not in who.scopes:
        raise InsufficientScope("this needs the scope openid")
    async with provider.desk.database.transaction(
        who.home, (who.tenant_id,), is_read_only=True
    ) as tx:
        account = await provider.desk.accounts.find(who.tenant_id, who.actor.id, tx=tx)
    if account is None:
        raise InvalidToken("this account is gone")
    tells_email = "email" in who.scopes
    return UserInfo(
        sub=account.id,
        name=(account.name or None) if "profile" in who.scopes else None,
        email=account.email if tells_email else None,
        email_verified=True if tells_email else None,
    )


async def _find_session(
    text: str, app: App, *, provider: Provider, place: Place, tx: Tx
) -> Session | None:
    """The session of a refresh token that is good now and the app's."""
    token: RefreshToken | None = sessions.read_refresh(text)
    if token is None or token.tenant_id != place.tenant_id:
        return None
    session = await provider.desk.sessions.lock(place.tenant_id, token.session_id, tx=tx)
    verdict = sessions.judge(session, token, app_id=app.id, now=tx.now)
    return session if verdict == "good" else None


async def _find_access(
    text: str, app: App, *, provider: Provider, place: Place
) -> tuple[Claims, LiveSession] | None:
    """What an access token that is good now and the app's says, and what it opens."""
    claims = await provider.verify(text)
    if claims is None or (claims.tenant, claims.client_id) != (place.tenant_id, app.id):
        return None
    live = await provider.look_up(place.home, claims)
    return None if live is None else (claims, live)
