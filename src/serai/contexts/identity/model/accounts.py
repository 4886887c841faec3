"""Accounts: how an address is compared, and who may change whom."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from serai.contexts.identity.contract import AccountKind, AccountView, MorePowerful
from serai.kernel import sealed
from serai.kernel.failure import Refused


class Account(msgspec.Struct, frozen=True):
    """An account as it is kept."""

    tenant_id: UUID
    id: UUID
    kind: AccountKind
    email: str
    name: str
    password_hash: str | None
    roles: tuple[str, ...]
    version: int
    created_at: datetime
    suspended_at: datetime | None = None

    @property
    def may_sign_in(self) -> bool:
        """Whether it is let in by what it has shown: a password, a passkey or a provider's word."""
        return self.suspended_at is None


def email_key(email: str) -> str:
    """What an address is compared by: how its letters are written makes no difference."""
    return sealed.normalize(email)


def person_of(tenant_id: UUID, kind: AccountKind, email: str) -> sealed.Person:
    """Whom an address names; the staff are other people than customers, so both can be erased."""
    return sealed.Person(tenant_id, sealed.STAFF if kind == "staff" else sealed.BUYER, email)


def view_of(account: Account) -> AccountView:
    """An account as the API shows it."""
    return AccountView(
        id=account.id,
        kind=account.kind,
        email=account.email,
        name=account.name,
        roles=list(account.roles),
        is_suspended=account.suspended_at is not None,
        has_password=account.password_hash is not None,
        version=account.version,
        created_at=account.created_at,
    )


def trace_of(account: Account) -> dict[str, object]:
    """What the audit trail may know of an account: what it may do, and nothing of whose it is."""
    return {
        "kind": account.kind,
        "roles": list(account.roles),
        "is_suspended": account.suspended_at is not None,
    }


def refuse_more_powerful(scopes: Collection[str], *, held: Collection[str]) -> Refused | None:
    """Why one who holds `held` cannot give, or take from another, these scopes."""
    missing = sorted(set(scopes) - set(held))
    if not missing:
        return None
    return MorePowerful("this takes scopes that you do not hold yourself", missing=missing)


def change(
    account: Account, *, roles: Sequence[str] | None, is_suspended: bool | None, now: datetime
) -> Account:
    """The account with other roles, suspended or let in again; what is None stays."""
    suspended_at = account.suspended_at
    if is_suspended is not None:
        suspended_at = (suspended_at or now) if is_suspended else None
    return msgspec.structs.replace(
        account,
        roles=account.roles if roles is None else tuple(dict.fromkeys(roles)),
        suspended_at=suspended_at,
        version=account.version + 1,
    )
