"""Signing in and staying in: a password for a session, a refresh token for the next two tokens."""

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, Protocol
from uuid import UUID

import msgspec

from serai.contexts.identity.contract import (
    ACCESS_S,
    SESSIONS_MAX,
    AccountKind,
    SessionOver,
    SessionReused,
    TokensView,
    WrongCredentials,
)
from serai.contexts.identity.handlers.desk import Desk
from serai.contexts.identity.model import passwords, sessions, throttle, tokens
from serai.contexts.identity.model.accounts import Account, email_key
from serai.contexts.identity.model.passkeys import Passkey
from serai.contexts.identity.model.sessions import RefreshToken, Session
from serai.contexts.identity.model.throttle import Allowance
from serai.contexts.identity.ports import ACCOUNT
from serai.kernel import ids
from serai.kernel.actor import Actor
from serai.kernel.changes import describe
from serai.kernel.db import Tx
from serai.kernel.events import Cause
from serai.kernel.tenant import Home

_WRONG: Final = "the address or the password is wrong"
_OVER: Final = "this refresh token is no good any more: sign in again"


class CheckFactor(Protocol):
    """Refuses an account whose second factor is not shown; tells whether one was."""

    async def __call__(
        self, account: Account, code: str | None, *, shown: Passkey | None, desk: Desk, tx: Tx
    ) -> bool: ...


class SignIn(msgspec.Struct, frozen=True):
    """Someone says who she is, and shows it by a password."""

    tenant_id: UUID
    kind: AccountKind
    email: str
    password: str
    address: str | None
    """Where she comes from, as far as the edge can know."""
    code: str | None
    """Of her second factor, where she has one."""
    shown: Passkey | None
    """The passkey that she has shown, in place of a code."""
    cause: Cause
    app_id: UUID | None = None
    """`PAGES` for a session with the provider's pages; None: the shop itself."""


def login_bucket(kind: AccountKind, email: str) -> bytes:
    """The tries of an account, whether or not there is one."""
    return throttle.bucket_of("login", kind, email_key(email))


def login_buckets(
    desk: Desk, kind: AccountKind, email: str, address: str | None
) -> dict[bytes, Allowance]:
    """What a try to show a password takes from."""
    wanted = {login_bucket(kind, email): throttle.LOGINS_OF_ACCOUNT}
    return wanted | address_buckets(desk, address)


def address_buckets(desk: Desk, address: str | None) -> dict[bytes, Allowance]:
    """What a try to come in takes from the tries of a network address, where they are counted."""
    if address is None or not desk.logins_per_address:
        return {}
    allowance = Allowance(desk.logins_per_address, throttle.LOGIN_REFILL)
    return {throttle.bucket_of("address", address): allowance}


async def sign_in(
    command: SignIn, *, desk: Desk, home: Home, check_factor: CheckFactor
) -> TokensView:
    """A new session. Whatever is wrong, the answer and the time that it takes are the same."""
    tenant_id, password = command.tenant_id, passwords.normalize(command.password)
    async with desk.open(home, tenant_id) as tx:
        wanted = login_buckets(desk, command.kind, command.email, command.address)
        await desk.spend(tenant_id, wanted, tx=tx)
        account = await desk.accounts.find_named(
            tenant_id, command.kind, email_key(command.email), tx=tx
        )
    known = None if account is None else account.password_hash
    is_right = await desk.hashing.verify(known, password)
    if account is None or known is None or not is_right or not account.may_sign_in:
        raise WrongCredentials(_WRONG)
    renewed = await desk.hashing.hash(password) if desk.hashing.is_outdated(known) else known
    sign = await desk.signing.prepare()
    async with desk.open(home, tenant_id) as tx:
        current = await desk.accounts.lock(tenant_id, account.id, tx=tx)
        if current is None or not current.may_sign_in or current.password_hash != known:
            raise WrongCredentials(_WRONG)
        has_shown = await check_factor(current, command.code, shown=command.shown, desk=desk, tx=tx)
        if renewed != known:
            await desk.accounts.update(
                msgspec.structs.replace(current, password_hash=renewed), tx=tx
            )
        await desk.throttles.fill(tenant_id, login_bucket(command.kind, command.email), tx=tx)
        return await open_session(
            current, sign=sign, by="password", cause=command.cause, desk=desk, tx=tx,
            app_id=command.app_id, has_shown_factor=has_shown,
        )  # fmt: skip


async def open_session(
    account: Account, *, sign: Callable[[tokens.Claims], str], by: str, cause: Cause, desk: Desk,
    tx: Tx, has_shown_factor: bool, app_id: UUID | None = None,
) -> TokensView:  # fmt: skip
    """A new session of an account that has shown what it has to, and its first two tokens."""
    session, refresh = await begin_session(
        account, desk=desk, tx=tx, app_id=app_id,
        lasts=None if app_id is None else sessions.PAGES_TTL,
        factor_at=tx.now if has_shown_factor else None,
    )  # fmt: skip
    told = {"session_id": session.id, "by": by}
    herself = msgspec.structs.replace(
        cause, actor=Actor(account.kind, account.id, cause.actor.address)
    )
    change = describe("identity.signed_in", ("account", account.id), herself, after=told)
    tx.record(account.tenant_id, change)
    return _tokens(sign(_claim(desk, account, session.id, tx=tx)), refresh, session)


async def begin_session(
    account: Account, *, desk: Desk, tx: Tx, app_id: UUID | None = None,
    scopes: tuple[str, ...] = (), lasts: timedelta | None = None,
    factor_at: datetime | None = None,
) -> tuple[Session, str]:  # fmt: skip
    """A new session of an account, and its first refresh token; the oldest make room."""
    family, fresh = _half(), _half()
    session = Session(
        id=ids.new_id(),
        account_id=account.id,
        family=sessions.digest_of(family),
        fresh=sessions.digest_of(fresh),
        created_at=tx.now,
        used_at=tx.now,
        expires_at=sessions.expiry(tx.now, tx.now) if lasts is None else tx.now + lasts,
        app_id=app_id,
        scopes=scopes,
        factor_at=factor_at,
    )
    ended = await desk.sessions.end_oldest(
        account.tenant_id, account.id, app_id=app_id, kept=SESSIONS_MAX - 1, now=tx.now, tx=tx
    )
    if ended:
        await desk.sessions.tell(ACCOUNT, account.id, tx=tx)
    await desk.sessions.insert(account.tenant_id, session, tx=tx)
    return session, sessions.write_refresh(account.tenant_id, session.id, family, fresh)


async def refresh(
    text: str, token: RefreshToken, *, desk: Desk, home: Home, cause: Cause
) -> TokensView:
    """The next two tokens of a session; a token that was used before ends the whole family."""
    sign = await desk.signing.prepare()
    fresh = _half()
    answer: TokensView | None = None
    async with desk.open(home, token.tenant_id) as tx:
        session = await desk.sessions.lock(token.tenant_id, token.session_id, tx=tx)
        verdict = sessions.judge(session, token, now=tx.now)
        if session is not None and verdict == "used":
            await desk.end_sessions(
                token.tenant_id, session.account_id, only=session.id, reason="reused",
                cause=cause, tx=tx,
            )  # fmt: skip
            tx.announce(token.tenant_id, SessionReused(session.account_id, session.id), cause)
        if session is not None and verdict == "good":
            account = await desk.accounts.find(token.tenant_id, session.account_id, tx=tx)
            if account is not None and account.may_sign_in:
                rotated = msgspec.structs.replace(
                    session,
                    fresh=sessions.digest_of(fresh),
                    used_at=tx.now,
                    expires_at=sessions.expiry(session.created_at, tx.now),
                )
                await desk.sessions.rotate(token.tenant_id, rotated, tx=tx)
                following = sessions.write_refresh(
                    token.tenant_id, session.id, sessions.family_half(text), fresh
                )
                claims = _claim(desk, account, session.id, tx=tx)
                answer = _tokens(sign(claims), following, rotated)
    if session is not None and verdict == "used":
        await desk.spread(ACCOUNT, session.account_id, home=home)
    if answer is None:
        raise SessionOver(_OVER)
    return answer


async def end_sessions(
    tenant_id: UUID, account_id: UUID, *, desk: Desk, home: Home, only: UUID | None, reason: str,
    cause: Cause,
) -> int:  # fmt: skip
    """Ends one session or all, in every process at once; how many there were."""
    async with desk.database.transaction(home, (tenant_id,)) as tx:
        ended = await desk.end_sessions(
            tenant_id, account_id, only=only, reason=reason, cause=cause, tx=tx
        )
    await desk.spread(ACCOUNT, account_id, home=home)
    return ended


def read_refresh(text: str) -> RefreshToken:
    """What a text claims to be; refuses what cannot be a refresh token."""
    token = sessions.read_refresh(text)
    if token is None:
        raise SessionOver(_OVER)
    return token


def over() -> SessionOver:
    """The one answer to every refresh token that is no good."""
    return SessionOver(_OVER)


def _claim(desk: Desk, account: Account, session_id: UUID, *, tx: Tx) -> tokens.Claims:
    return tokens.claim(
        issuer=desk.issuer, account_id=account.id, tenant_id=account.tenant_id,
        kind=account.kind, session_id=session_id, roles=account.roles, token_id=ids.new_id(),
        now=tx.now,
    )  # fmt: skip


def _tokens(access: str, refresh_text: str, session: Session) -> TokensView:
    return TokensView(access, "Bearer", ACCESS_S, refresh_text, session.id, session.account_id)


def _half() -> str:
    return secrets.token_urlsafe(sessions.HALF_BYTES)
