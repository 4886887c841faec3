"""The second factor: asked for after the password, set up and taken away by who knows both."""

import base64
import secrets
from typing import Final
from uuid import UUID

from serai.contexts.identity.contract import (
    FactorSetUpView,
    SecondFactorExists,
    SecondFactorRequired,
    SecondFactorUnfit,
    SpareCodesView,
    WrongCredentials,
)
from serai.contexts.identity.handlers import demanding
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
) -> None:
    """Refuses an account with a second factor without a passkey of it, or a code that is good."""
    if shown is not None:
        if await desk.passkeys.lock(account.tenant_id, shown.id, account.id, tx=tx) is None:
            raise WrongCredentials("the passkey was not accepted: ask for a new challenge")
        return
    factor = await desk.factors.lock(account.tenant_id, account.id, tx=tx)
    if factor is None or factor.confirmed_at is None:
        if await desk.passkeys.list_of(account.tenant_id, account.id, tx=tx):
            raise SecondFactorRequired("show a `passkey` too")
        return
    if code is None:
        raise SecondFactorRequired(
            "send a `code` of the authenticator, or a spare one, or show a `passkey` too"
        )
    secret = (await desk.seals.unseal(factor.sealed_secret)).decode()
    used = factors.use(factor, secret, code, now=tx.now)
    if used is None:
        raise WrongCredentials("the code is wrong, or was used before")
    await desk.factors.update(account.tenant_id, used, tx=tx)


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
    tenant_id: UUID, account_id: UUID, *, password: str, code: str | None, address: str | None,
    desk: Desk, home: Home,
) -> None:  # fmt: skip
    """Refuses who is signed in and does not show once more who she is."""
    account = await _show(tenant_id, account_id, password, address, desk=desk, home=home)
    async with desk.database.transaction(home, (tenant_id,)) as tx:
        await check(account, code, shown=None, desk=desk, tx=tx)


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
