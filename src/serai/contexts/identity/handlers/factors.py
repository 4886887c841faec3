"""The second factor: asked for after the password, set up and taken away by who knows both."""

import base64
import secrets
from datetime import timedelta
from typing import Final
from uuid import UUID

from serai.contexts.identity.contract import (
    ERASURE_FRESH_S,
    FactorSetUpView,
    ProofRequired,
    SecondFactorExists,
    SecondFactorRequired,
    SecondFactorUnfit,
    SignedIn,
    SpareCodesView,
    WrongCredentials,
)
from serai.contexts.identity.contract.credentials import Proof
from serai.contexts.identity.contract.passkeys import SignInTooLongAgo
from serai.contexts.identity.handlers import demanding, passkeys
from serai.contexts.identity.handlers.desk import Desk
from serai.contexts.identity.handlers.signing_in import login_buckets
from serai.contexts.identity.model import factors, passwords
from serai.contexts.identity.model.accounts import Account
from serai.contexts.identity.model.passkeys import Passkey
from serai.contexts.identity.ports import ACCOUNT
from serai.kernel.changes import describe
from serai.kernel.db import Tx
from serai.kernel.events import Cause
from serai.kernel.failure import NotFound
from serai.kernel.tenant import Home

SECRET_BYTES: Final = 20
"""What RFC 4226 recommends, and every authenticator takes."""


async def check(
    account: Account, code: str | None, *, shown: Passkey | None, desk: Desk, tx: Tx
) -> bool:
    """Refuses an account with a second factor without a passkey of it, or a code that is good.

    Tells whether one was shown; who has none has not.
    """
    if shown is not None:
        if await desk.passkeys.lock(account.tenant_id, shown.id, account.id, tx=tx) is None:
            raise WrongCredentials("the passkey was not accepted: ask for a new challenge")
        return True
    factor = await desk.factors.lock(account.tenant_id, account.id, tx=tx)
    if factor is None or factor.confirmed_at is None:
        if await desk.passkeys.list_of(account.tenant_id, account.id, tx=tx):
            raise SecondFactorRequired("show a `passkey` too")
        return False
    if code is None:
        raise SecondFactorRequired(
            "send a `code` of the authenticator, or a spare one, or show a `passkey` too"
        )
    secret = (await desk.seals.unseal(factor.sealed_secret)).decode()
    used = factors.use(factor, secret, code, now=tx.now)
    if used is None:
        raise WrongCredentials("the code is wrong, or was used before")
    await desk.factors.update(account.tenant_id, used, tx=tx)
    return True


async def begin(
    tenant_id: UUID, account_id: UUID, *, password: str, address: str | None, cause: Cause,
    desk: Desk, home: Home,
) -> FactorSetUpView:  # fmt: skip
    """A secret for an authenticator; it is asked for once a code has shown that it is there."""
    account = await _show(tenant_id, account_id, password, address, desk=desk, home=home)
    secret = base64.b32encode(secrets.token_bytes(SECRET_BYTES)).decode()
    sealed = await desk.seals.seal(secret.encode())
    async with desk.database.transaction(home, (tenant_id,)) as tx:
        if not await desk.factors.save(tenant_id, account_id, sealed, now=tx.now, tx=tx):
            raise SecondFactorExists("there is one already: take it away first")
        _record("identity.second_factor_begun", tenant_id, account_id, cause, tx=tx)
    uri = factors.write_uri(secret, email=account.email, issuer=desk.issuer)
    return FactorSetUpView(secret, uri)


async def confirm(
    tenant_id: UUID, account_id: UUID, *, code: str, cause: Cause, desk: Desk, home: Home
) -> SpareCodesView:
    """From now on a code is asked for; the spare codes are shown this once."""
    spares = [_spare() for _ in range(factors.SPARES)]
    async with desk.database.transaction(home, (tenant_id,)) as tx:
        factor = await desk.factors.lock(tenant_id, account_id, tx=tx)
        if factor is None:
            raise NotFound("nobody has begun to set one up")
        if factor.confirmed_at is not None:
            raise SecondFactorExists("it is confirmed already")
        secret = (await desk.seals.unseal(factor.sealed_secret)).decode()
        used = factors.use(factor, secret, code, now=tx.now)
        if used is None:
            raise SecondFactorUnfit("this is not the code that the authenticator shows now")
        confirmed = factors.confirm(used, spares, now=tx.now)
        await desk.factors.update(tenant_id, confirmed, tx=tx)
        await desk.sessions.tell(ACCOUNT, account_id, tx=tx)
        _record("identity.second_factor_confirmed", tenant_id, account_id, cause, tx=tx)
    await desk.spread(ACCOUNT, account_id, home=home)
    return SpareCodesView(spares)


async def remove(
    tenant_id: UUID, account_id: UUID, *, password: str, code: str | None, shown: Passkey | None,
    address: str | None, cause: Cause, desk: Desk, home: Home,
) -> None:  # fmt: skip
    """Takes a second factor away, for who has both."""
    account = await _show(tenant_id, account_id, password, address, desk=desk, home=home)
    async with desk.database.transaction(home, (tenant_id,)) as tx:
        locked = await desk.accounts.lock(tenant_id, account_id, tx=tx) or account
        await check(locked, code, shown=shown, desk=desk, tx=tx)
        if not await desk.factors.delete(tenant_id, account_id, tx=tx):
            raise NotFound("there is no second factor")
        await demanding.keep_a_factor(locked, desk=desk, tx=tx)
        await desk.sessions.tell(ACCOUNT, account_id, tx=tx)
        _record("identity.second_factor_removed", tenant_id, account_id, cause, tx=tx)
    await desk.spread(ACCOUNT, account_id, home=home)


async def show_again(
    who: SignedIn, proof: Proof, *, address: str | None, cause: Cause, desk: Desk
) -> None:
    """Refuses who is signed in and does not show once more who she is.

    A passkey is enough, and so is a password, with the second factor where she has one. Who has
    neither is let in by a provider only: that she came in a moment ago stands for both.
    """
    tenant_id, account_id, home = who.tenant_id, who.actor.id, who.home
    shown = None
    if proof.passkey is not None:
        shown = await passkeys.show(tenant_id, proof.passkey, desk=desk, home=home, cause=cause)
        if shown.account_id != account_id:
            raise WrongCredentials("the passkey was not accepted: ask for a new challenge")
    if proof.password is not None:
        account = await _show(tenant_id, account_id, proof.password, address, desk=desk, home=home)
        async with desk.database.transaction(home, (tenant_id,)) as tx:
            await check(account, proof.code, shown=shown, desk=desk, tx=tx)
    elif shown is None:
        await _refuse_long_ago(who, desk=desk)


async def _refuse_long_ago(who: SignedIn, *, desk: Desk) -> None:
    async with desk.database.transaction(who.home, (who.tenant_id,)) as tx:
        account = await desk.accounts.lock(who.tenant_id, who.actor.id, tx=tx)
        session = await desk.sessions.lock(who.tenant_id, who.session_id, tx=tx)
        if account is None or session is None or session.account_id != account.id:
            raise NotFound("this account is gone")
        if account.password_hash is not None:
            raise ProofRequired("send your `current_password`, or show a `passkey`")
        if await desk.passkeys.list_of(account.tenant_id, account.id, tx=tx):
            raise ProofRequired("show a `passkey`")
        if tx.now - session.created_at > timedelta(seconds=ERASURE_FRESH_S):
            raise SignInTooLongAgo(
                f"sign in again: this takes a session of at most {ERASURE_FRESH_S} seconds"
            )


def _record(action: str, tenant_id: UUID, account_id: UUID, cause: Cause, *, tx: Tx) -> None:
    tx.record(tenant_id, describe(action, ("account", account_id), cause))


async def _show(
    tenant_id: UUID, account_id: UUID, password: str, address: str | None, *, desk: Desk,
    home: Home,
) -> Account:  # fmt: skip
    """The account, once its password has been shown."""
    async with desk.open(home, tenant_id) as tx:
        account = await desk.accounts.find(tenant_id, account_id, tx=tx)
        if account is None:
            raise WrongCredentials("the password is wrong")
        wanted = login_buckets(desk, account.kind, account.email, address)
        await desk.spend(tenant_id, wanted, tx=tx)
    if not await desk.hashing.verify(account.password_hash, passwords.normalize(password)):
        raise WrongCredentials("the password is wrong")
    return account


def _spare() -> str:
    text = base64.b32encode(secrets.token_bytes(factors.SPARE_CHARS * 5 // 8)).decode()
    return "-".join(text[at : at + 4] for at in range(0, factors.SPARE_CHARS, 4))
