"""What a mail proves: that an address is hers, so that she may register or choose a password."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from serai.contexts.identity.contract import (
    AccountExists,
    AccountKind,
    AccountView,
    CustomerRegistered,
    MailTokenUnfit,
    PasswordChanged,
    PasswordResetRequested,
    RegistrationRequested,
    WrongCredentials,
)
from serai.contexts.identity.handlers.desk import Desk
from serai.contexts.identity.handlers.signing_in import login_bucket, login_buckets
from serai.contexts.identity.model import accounts, passwords, roles, throttle, tokens
from serai.contexts.identity.model.accounts import Account, email_key
from serai.contexts.identity.model.throttle import Allowance
from serai.contexts.identity.model.tokens import MailPurpose
from serai.contexts.identity.ports import ACCOUNT, MailToken, SealedAddress
from serai.kernel import ids
from serai.kernel.actor import Actor
from serai.kernel.changes import describe
from serai.kernel.db import Tx
from serai.kernel.events import Cause
from serai.kernel.tenant import Home

REGISTRATION_TTL: Final = timedelta(hours=24)
RESET_TTL: Final = timedelta(hours=1)
INVITATION_TTL: Final = timedelta(days=7)
"""How long the token in each kind of mail can be used."""


class Register(msgspec.Struct, frozen=True):
    """Someone wants to become a customer."""

    tenant_id: UUID
    email: str
    name: str
    password: str
    shop: str
    """The name or host that she knows the tenant by: no password is made of it."""
    address: str | None
    cause: Cause


class RequestReset(msgspec.Struct, frozen=True):
    """Someone says that she has forgotten the password of an account."""

    tenant_id: UUID
    kind: AccountKind
    email: str
    address: str | None
    cause: Cause


async def request_registration(command: Register, *, desk: Desk, home: Home) -> None:
    """Sends a mail to the address. There is an account only when its token comes back.

    Whether there is an account already is not looked at, so nothing can tell it.
    """
    tenant_id = command.tenant_id
    fault = passwords.find_fault(command.password, email=command.email, shop=command.shop)
    if fault is not None:
        raise fault
    async with desk.open(home, tenant_id) as tx:
        wanted = _mail_buckets(desk, command.email, command.address)
        await desk.spend(tenant_id, wanted, tx=tx)
    hashed = await desk.hashing.hash(passwords.normalize(command.password))
    async with desk.open(home, tenant_id) as tx:
        token = _mail_token(tenant_id, "registration", command.email, now=tx.now)
        token = msgspec.structs.replace(token, name=command.name, password_hash=hashed)
        rests = await desk.sessions.insert_mail_token(token, tx=tx)
        event = RegistrationRequested(token.id, rests.email, rests.name)
        tx.announce(tenant_id, event, command.cause)


async def confirm_registration(
    tenant_id: UUID, text: str, password: str, *, desk: Desk, home: Home, cause: Cause
) -> AccountView:  # fmt: skip
    """The account of whoever read the mail; refuses a second one for the same address.

    Whoever registered must be who read it, so the password is asked for: mails of several
    registrations look alike, and one of them may be of someone who waits for her to follow it.
    """
    token_id = await _read_text(tenant_id, text, desk=desk)
    async with desk.open(home, tenant_id) as tx:
        begun = await desk.sessions.read_mail_token(
            tenant_id, token_id, "registration", now=tx.now, tx=tx
        )
        if begun is None:
            raise _unfit()
        # The tries of this mail: nobody else can use them up.
        bucket = throttle.bucket_of("registration", str(token_id))
        await desk.spend(tenant_id, {bucket: throttle.LOGINS_OF_ACCOUNT}, tx=tx)
    if not await desk.hashing.verify(begun.password_hash, passwords.normalize(password)):
        raise WrongCredentials(
            "this is not the password of the registration that this mail is about: follow the mail "
            "of your own"
        )
    async with desk.open(home, tenant_id) as tx:
        token = await desk.sessions.use_mail_token(
            tenant_id, token_id, "registration", now=tx.now, tx=tx
        )
        if token is None:
            raise _unfit()
        account = Account(
            tenant_id, ids.new_id(), "customer", token.email, token.name, token.password_hash,
            (roles.CUSTOMER,), 1, tx.now,
        )  # fmt: skip
        rests = await desk.accounts.insert(account, tx=tx)
        if rests is None:
            raise AccountExists(
                "there is an account with this address: sign in, or reset its password"
            )
        announce_customer(account, rests, cause, by="password", tx=tx)
    return accounts.view_of(account)


def announce_customer(
    account: Account, rests: SealedAddress, cause: Cause, *, by: str, tx: Tx
) -> None:
    """Says that there is a customer who was none before; it was she who did it."""
    herself = msgspec.structs.replace(
        cause, actor=Actor(account.kind, account.id, cause.actor.address)
    )
    event = CustomerRegistered(account.id, rests.email, rests.name)
    tx.announce(account.tenant_id, event, cause)
    told = {**accounts.trace_of(account), "by": by}
    change = describe("identity.customer_registered", ("account", account.id), herself, after=told)
    tx.record(account.tenant_id, change)


async def request_reset(command: RequestReset, *, desk: Desk, home: Home) -> None:
    """Sends a mail where there is such an account; where not, all but the mail is the same."""
    tenant_id = command.tenant_id
    async with desk.open(home, tenant_id) as tx:
        wanted = _mail_buckets(desk, command.email, command.address)
        await desk.spend(tenant_id, wanted, tx=tx)
        account = await desk.accounts.find_named(
            tenant_id, command.kind, email_key(command.email), tx=tx
        )
        is_there = account is not None and account.suspended_at is None
        email = account.email if account is not None and is_there else command.email
        token = _mail_token(tenant_id, "password", email, now=tx.now)
        token = msgspec.structs.replace(token, kind=command.kind)
        if account is not None and is_there:
            token = msgspec.structs.replace(token, account_id=account.id)
        rests = await desk.sessions.insert_mail_token(token, tx=tx)
        event = PasswordResetRequested(token.id, rests.email if is_there else None)
        tx.announce(tenant_id, event, command.cause)


async def reset_password(
    tenant_id: UUID, text: str, password: str, *, shop: str, desk: Desk, home: Home, cause: Cause
) -> None:
    """A new password for whoever read the mail; every session of the account ends."""
    token_id = await _read_text(tenant_id, text, desk=desk)
    async with desk.open(home, tenant_id) as tx:
        token = await desk.sessions.read_mail_token(
            tenant_id, token_id, "password", now=tx.now, tx=tx
        )
    if token is None or token.account_id is None:
        raise _unfit()
    fault = passwords.find_fault(password, email=token.email, shop=shop)
    if fault is not None:
        raise fault
    hashed = await desk.hashing.hash(passwords.normalize(password))
    async with desk.open(home, tenant_id) as tx:
        used = await desk.sessions.use_mail_token(
            tenant_id, token_id, "password", now=tx.now, tx=tx
        )
        account = await desk.accounts.lock(tenant_id, token.account_id, tx=tx)
        if used is None or account is None or account.suspended_at is not None:
            raise _unfit()
        await _put_password(account, hashed, desk=desk, tx=tx, keep=None, cause=cause)
    await desk.spread(ACCOUNT, account.id, home=home)


async def change_password(
    tenant_id: UUID, account_id: UUID, session_id: UUID, *, current: str, password: str,
    shop: str, address: str | None, desk: Desk, home: Home, cause: Cause,
) -> None:  # fmt: skip
    """A new password for who knows the old one; her other sessions end."""
    async with desk.open(home, tenant_id) as tx:
        account = await desk.accounts.find(tenant_id, account_id, tx=tx)
        if account is None:
            raise WrongCredentials("the password is wrong")
        wanted = login_buckets(desk, account.kind, account.email, address)
        await desk.spend(tenant_id, wanted, tx=tx)
    fault = passwords.find_fault(password, email=account.email, shop=shop)
    if fault is not None:
        raise fault
    if not await desk.hashing.verify(account.password_hash, passwords.normalize(current)):
        raise WrongCredentials("the password is wrong")
    hashed = await desk.hashing.hash(passwords.normalize(password))
    async with desk.open(home, tenant_id) as tx:
        locked = await desk.accounts.lock(tenant_id, account_id, tx=tx)
        if locked is None or locked.password_hash != account.password_hash:
            raise WrongCredentials("the password is wrong")
        await _put_password(locked, hashed, desk=desk, tx=tx, keep=session_id, cause=cause)
    await desk.spread(ACCOUNT, account_id, home=home)


async def write_invitation(
    account: Account, *, desk: Desk, tx: Tx
) -> tuple[MailToken, SealedAddress]:
    """A token by which an account's password can be chosen for the first time, and whose it is."""
    token = _mail_token(
        account.tenant_id, "password", account.email, now=tx.now, ttl=INVITATION_TTL
    )
    token = msgspec.structs.replace(
        token, account_id=account.id, name=account.name, kind=account.kind
    )
    return token, await desk.sessions.insert_mail_token(token, tx=tx)


async def _put_password(
    account: Account, hashed: str, *, desk: Desk, tx: Tx, keep: UUID | None, cause: Cause
) -> None:
    changed = msgspec.structs.replace(account, password_hash=hashed, version=account.version + 1)
    await desk.accounts.update(changed, tx=tx)
    await desk.end_sessions(
        account.tenant_id, account.id, keep=keep, reason="password_changed", cause=cause, tx=tx
    )
    await desk.sessions.void_mail_tokens(account.tenant_id, account.id, now=tx.now, tx=tx)
    await desk.throttles.fill(account.tenant_id, login_bucket(account.kind, account.email), tx=tx)
    tx.announce(account.tenant_id, PasswordChanged(account.id), cause)
    change = describe(
        "identity.password_changed", ("account", account.id), cause,
        before={"has_password": account.password_hash is not None}, after={"has_password": True},
    )  # fmt: skip
    tx.record(account.tenant_id, change)


async def _read_text(tenant_id: UUID, text: str, *, desk: Desk) -> UUID:
    token_id = tokens.read_mail_token(await desk.mail_key.mail_key(), tenant_id, text)
    if token_id is None:
        raise _unfit()
    return token_id


def _mail_buckets(desk: Desk, email: str, address: str | None) -> dict[bytes, Allowance]:
    wanted = {throttle.bucket_of("mail", email_key(email)): throttle.MAILS_TO_ADDRESS}
    if address is not None and desk.logins_per_address:
        allowance = Allowance(desk.logins_per_address, throttle.LOGIN_REFILL)
        wanted[throttle.bucket_of("address", address)] = allowance
    return wanted


_TTL: Final[dict[MailPurpose, timedelta]] = {
    "registration": REGISTRATION_TTL,
    "password": RESET_TTL,
}


def _mail_token(
    tenant_id: UUID, purpose: MailPurpose, email: str, *, now: datetime,
    ttl: timedelta | None = None,
) -> MailToken:  # fmt: skip
    until = now + (ttl or _TTL[purpose])
    return MailToken(tenant_id, ids.new_id(), purpose, None, email, "", None, now, until)


def _unfit() -> MailTokenUnfit:
    return MailTokenUnfit("this token is not one of ours, was used, or its time is over")
