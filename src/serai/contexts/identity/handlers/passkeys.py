"""Passkeys: made and managed by who is signed in, and shown to come in, alone or after a password.

A challenge is used up in a transaction of its own before anything is checked, so that no answer to
it can be tried twice; and the use of a passkey is written down before the session that it opens.
"""

import secrets
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec

from serai.contexts.identity.contract import AccountKind, TokensView, WrongCredentials
from serai.contexts.identity.contract.credentials import Assertion
from serai.contexts.identity.contract.passkeys import (
    CHALLENGE_S,
    FRESH_S,
    PASSKEYS_MAX,
    ChallengeView,
    OriginUnknown,
    PasskeyExists,
    PasskeyUnfit,
    PasskeyView,
    SignInTooLongAgo,
    TooManyPasskeys,
)
from serai.contexts.identity.handlers import demanding
from serai.contexts.identity.handlers.desk import Desk
from serai.contexts.identity.handlers.signing_in import address_buckets, open_session
from serai.contexts.identity.model import passkeys as model
from serai.contexts.identity.model.accounts import Account
from serai.contexts.identity.model.passkeys import NOBODY, Challenge, Passkey
from serai.contexts.identity.ports import ACCOUNT
from serai.kernel import ids
from serai.kernel.changes import describe
from serai.kernel.db import Tx
from serai.kernel.events import Cause
from serai.kernel.failure import NotFound
from serai.kernel.tenant import Home

_WRONG = "the passkey was not accepted: ask for a new challenge"


class Owner(msgspec.Struct, frozen=True):
    """Who is signed in, by which session, and what she asks this for."""

    tenant_id: UUID
    account_id: UUID
    session_id: UUID
    home: Home
    cause: Cause


class AddPasskey(msgspec.Struct, frozen=True):
    """What an authenticator made, and what its owner calls it."""

    owner: Owner
    challenge_id: UUID
    credential: dict[str, Any]
    name: str


async def begin_sign_in(
    tenant_id: UUID, origin: str, *, address: str | None, desk: Desk, home: Home
) -> ChallengeView:
    """A challenge for any passkey of the site; whose it will be is not known."""
    rp_id = await _find_site(tenant_id, origin, desk=desk)
    challenge_id = ids.new_id()
    async with desk.open(home, tenant_id) as tx:
        await desk.spend(tenant_id, address_buckets(desk, address), tx=tx)
        challenge = _challenge(origin, rp_id, tx=tx)
        await desk.passkeys.add_challenge(
            tenant_id, challenge_id, NOBODY, challenge, kept=model.OPEN_CHALLENGES_MAX, tx=tx
        )
    return ChallengeView(challenge_id, CHALLENGE_S, desk.ceremonies.ask_to_sign(challenge))


async def show(
    tenant_id: UUID, assertion: Assertion, *, desk: Desk, home: Home, cause: Cause
) -> Passkey:
    """The passkey that has signed the challenge; whatever is wrong, the answer is the same.

    A counter that went back is recorded: the key is in two places, or was copied.
    """
    credential_id = desk.ceremonies.read_id(assertion.credential)
    async with desk.open(home, tenant_id) as tx:
        challenge = await desk.passkeys.take_challenge(
            tenant_id, assertion.challenge_id, NOBODY, now=tx.now, tx=tx
        )
        found = await desk.passkeys.find(tenant_id, credential_id or b"", tx=tx)
    if challenge is None or found is None or found.rp_id != challenge.rp_id:
        raise WrongCredentials(_WRONG)
    signed = desk.ceremonies.read_signed(assertion.credential, challenge, found)
    if signed is None:
        raise WrongCredentials(_WRONG)
    is_copied = False
    async with desk.open(home, tenant_id) as tx:
        locked = await desk.passkeys.lock(tenant_id, found.id, found.account_id, tx=tx)
        if locked is None:
            raise WrongCredentials(_WRONG)
        if model.went_back(locked.sign_count, signed.sign_count):
            is_copied = True
            counts = {"kept": locked.sign_count}, {"told": signed.sign_count}
            _record("identity.passkey_counter_went_back", locked, counts, cause, tenant_id, tx=tx)
        else:
            used = msgspec.structs.replace(
                locked, sign_count=signed.sign_count, is_backed_up=signed.is_backed_up,
                used_at=tx.now,
            )  # fmt: skip
            await desk.passkeys.update(tenant_id, used, tx=tx)
    if is_copied:
        raise WrongCredentials(_WRONG)
    return found


async def sign_in(
    tenant_id: UUID, kind: AccountKind, assertion: Assertion, *, desk: Desk, home: Home,
    cause: Cause, app_id: UUID | None = None,
) -> TokensView:  # fmt: skip
    """A new session for who has shown a passkey, and needs nothing else; of an app, `PAGES`."""
    shown = await show(tenant_id, assertion, desk=desk, home=home, cause=cause)
    sign = await desk.signing.prepare()
    async with desk.open(home, tenant_id) as tx:
        account = await desk.accounts.lock(tenant_id, shown.account_id, tx=tx)
        if account is None or account.kind != kind or account.suspended_at is not None:
            raise WrongCredentials(_WRONG)
        if await desk.passkeys.lock(tenant_id, shown.id, account.id, tx=tx) is None:
            raise WrongCredentials(_WRONG)
        return await open_session(
            account, sign=sign, by="passkey", cause=cause, desk=desk, tx=tx, app_id=app_id,
            has_shown_factor=True,
        )  # fmt: skip


async def begin_adding(owner: Owner, origin: str, *, shop: str, desk: Desk) -> ChallengeView:
    """A challenge for an authenticator that is to make a passkey."""
    tenant_id = owner.tenant_id
    rp_id = await _find_site(tenant_id, origin, desk=desk)
    challenge_id = ids.new_id()
    async with desk.database.transaction(owner.home, (tenant_id,)) as tx:
        account = await _access_fresh(owner, desk=desk, tx=tx)
        has = await desk.passkeys.list_of(tenant_id, account.id, tx=tx)
        _refuse_one_more(has)
        challenge = _challenge(origin, rp_id, tx=tx)
        await desk.passkeys.add_challenge(
            tenant_id, challenge_id, account.id, challenge, kept=model.OWN_CHALLENGES_MAX, tx=tx
        )
        told = describe("identity.passkey_begun", ("account", account.id), owner.cause)
        tx.record(tenant_id, told)
    options = desk.ceremonies.ask_to_make(account, challenge, has=has, shop=shop)
    return ChallengeView(challenge_id, CHALLENGE_S, options)


async def add(command: AddPasskey, *, desk: Desk) -> PasskeyView:
    """A passkey, from now on good to come in by, and asked for after the password."""
    owner = command.owner
    tenant_id = owner.tenant_id
    async with desk.database.transaction(owner.home, (tenant_id,)) as tx:
        challenge = await desk.passkeys.take_challenge(
            tenant_id, command.challenge_id, owner.account_id, now=tx.now, tx=tx
        )
    if challenge is None:
        raise PasskeyUnfit("this challenge was answered, or its time is over")
    made = desk.ceremonies.read_made(command.credential, challenge)
    if made is None:
        raise PasskeyUnfit("the answer is not one to this challenge by a verified user")
    async with desk.database.transaction(owner.home, (tenant_id,)) as tx:
        account = await _access_fresh(owner, desk=desk, tx=tx)
        _refuse_one_more(await desk.passkeys.list_of(tenant_id, account.id, tx=tx))
        passkey = Passkey(
            ids.new_id(), account.id, made.credential_id, made.public_key, challenge.rp_id,
            made.sign_count, made.is_backed_up, command.name, tx.now,
        )  # fmt: skip
        if not await desk.passkeys.insert(tenant_id, passkey, tx=tx):
            raise PasskeyExists("this passkey is known already")
        await desk.sessions.tell(ACCOUNT, account.id, tx=tx)
        traces = None, _trace(passkey)
        _record("identity.passkey_added", passkey, traces, owner.cause, tenant_id, tx=tx)
    await desk.spread(ACCOUNT, owner.account_id, home=owner.home)
    return model.view_of(passkey)


async def rename(owner: Owner, passkey_id: UUID, name: str, *, desk: Desk) -> PasskeyView:
    """The passkey under another name."""
    tenant_id = owner.tenant_id
    async with desk.database.transaction(owner.home, (tenant_id,)) as tx:
        passkey = await _access(owner, passkey_id, desk=desk, tx=tx)
        renamed = msgspec.structs.replace(passkey, name=name)
        await desk.passkeys.update(tenant_id, renamed, tx=tx)
        traces = _trace(passkey), _trace(renamed)
        _record("identity.passkey_renamed", passkey, traces, owner.cause, tenant_id, tx=tx)
    return model.view_of(renamed)


async def remove(owner: Owner, passkey_id: UUID, *, desk: Desk) -> None:
    """Takes a passkey away; not the last second factor of whose role asks for one."""
    tenant_id = owner.tenant_id
    async with desk.database.transaction(owner.home, (tenant_id,)) as tx:
        account = await _access_fresh(owner, desk=desk, tx=tx)
        passkey = await _access(owner, passkey_id, desk=desk, tx=tx)
        await desk.passkeys.delete(tenant_id, passkey.id, tx=tx)
        await demanding.keep_a_factor(account, desk=desk, tx=tx)
        await desk.sessions.tell(ACCOUNT, account.id, tx=tx)
        traces = _trace(passkey), None
        _record("identity.passkey_removed", passkey, traces, owner.cause, tenant_id, tx=tx)
    await desk.spread(ACCOUNT, owner.account_id, home=owner.home)


async def _access_fresh(owner: Owner, *, desk: Desk, tx: Tx) -> Account:
    """The account, locked, of who signed in a moment ago: a stolen session is not enough."""
    account = await desk.accounts.lock(owner.tenant_id, owner.account_id, tx=tx)
    session = await desk.sessions.lock(owner.tenant_id, owner.session_id, tx=tx)
    if account is None or session is None or session.account_id != account.id:
        raise NotFound("this account is gone")
    if tx.now - session.created_at > timedelta(seconds=FRESH_S):
        raise SignInTooLongAgo(f"sign in again: this takes a session of at most {FRESH_S} seconds")
    return account


async def _access(owner: Owner, passkey_id: UUID, *, desk: Desk, tx: Tx) -> Passkey:
    found = await desk.passkeys.lock(owner.tenant_id, passkey_id, owner.account_id, tx=tx)
    if found is None:
        raise NotFound("you have no passkey of this id")
    return found


async def _find_site(tenant_id: UUID, origin: str, *, desk: Desk) -> str:
    """The topmost domain of an origin that the tenant has a page on: its passkeys are for that.

    The provider's own pages are every tenant's: they run no script but ours.
    """
    if origin != desk.own_page and not await desk.pages.allows(origin, tenant_id):
        raise OriginUnknown("the tenant names no page of this origin")
    for site in model.list_sites(origin):
        if await desk.pages.allows(site, tenant_id):
            return model.host_of(site)
    return model.host_of(origin)


def _refuse_one_more(has: list[Passkey]) -> None:
    if len(has) >= PASSKEYS_MAX:
        raise TooManyPasskeys(f"an account has at most {PASSKEYS_MAX} passkeys")


def _challenge(origin: str, rp_id: str, *, tx: Tx) -> Challenge:
    raw = secrets.token_bytes(model.CHALLENGE_BYTES)
    return Challenge(raw, origin, rp_id, tx.now + timedelta(seconds=CHALLENGE_S))


def _trace(passkey: Passkey) -> dict[str, object]:
    """What the audit trail may know of a passkey: not its name, which its owner has written."""
    return {"account_id": passkey.account_id, "rp_id": passkey.rp_id}


def _record(
    action: str, passkey: Passkey, traces: tuple[Any, Any], cause: Cause, tenant_id: UUID, *, tx: Tx
) -> None:
    subject = ("passkey", passkey.id)
    change = describe(action, subject, cause, before=traces[0], after=traces[1])
    tx.record(tenant_id, change)
