"""Changing accounts and roles: nobody gives, or takes from another, what she may not do herself."""

import asyncio
from collections.abc import Collection, Sequence
from functools import partial
from uuid import UUID

import msgspec

from serai.contexts.identity.contract import (
    ROLES_MAX,
    AccountChanged,
    AccountExists,
    AccountKind,
    AccountView,
    Conditions,
    LastOwner,
    ReadyMadeRole,
    RoleInUse,
    RoleView,
    StaffInvited,
    TooManyRoles,
)
from serai.contexts.identity.handlers.desk import Desk
from serai.contexts.identity.handlers.proving import write_invitation
from serai.contexts.identity.model import accounts, roles
from serai.contexts.identity.model.accounts import Account, email_key
from serai.contexts.identity.model.passkeys import NOBODY
from serai.contexts.identity.model.roles import Powers
from serai.contexts.identity.ports import ACCOUNT, TENANT
from serai.kernel import ids
from serai.kernel.changes import describe
from serai.kernel.db import Tx
from serai.kernel.events import Cause
from serai.kernel.failure import NotFound, find_stale
from serai.kernel.person import Somebody
from serai.kernel.tenant import Home

Own = dict[str, RoleView]


class InviteStaff(msgspec.Struct, frozen=True):
    """Someone becomes a member of the staff."""

    tenant_id: UUID
    email: str
    name: str
    roles: tuple[str, ...]
    held: Powers | None
    """What whoever invites may do; None for the operator, who may give any."""
    cause: Cause


class ChangeAccount(msgspec.Struct, frozen=True):
    """Gives an account other roles, suspends it or lets it in again; what is None stays."""

    tenant_id: UUID
    account_id: UUID
    kind: AccountKind
    roles: tuple[str, ...] | None
    is_suspended: bool | None
    held: Powers
    expected: int | None
    cause: Cause


async def invite_staff(
    command: InviteStaff, *, desk: Desk, home: Home, is_again: bool
) -> tuple[Account, UUID]:
    """A member of the staff without a password, and the token of the mail to choose one by.

    With `is_again` one who is there is given the roles and a new token instead of a refusal, and
    is asked for no second factor; her passkeys and links to providers are gone.
    """
    tenant_id = command.tenant_id
    async with desk.database.transaction(home, (tenant_id,)) as tx:
        await desk.roles.lock_all(tenant_id, tx=tx)
        own = await _read_own(tenant_id, desk=desk, tx=tx)
        _check_roles(command.roles, kind="staff", own=own, held=command.held)
        account = Account(
            tenant_id, ids.new_id(), "staff", command.email, command.name, None,
            tuple(dict.fromkeys(command.roles)), 1, tx.now,
        )  # fmt: skip
        there: Account | None = None
        if await desk.accounts.insert(account, tx=tx) is None:
            there = await desk.accounts.find_named(
                tenant_id, "staff", email_key(command.email), tx=tx
            )
            if there is None or not is_again:
                raise AccountExists("there is a member of the staff with this address")
            account = accounts.change(there, roles=command.roles, is_suspended=False, now=tx.now)
            await desk.accounts.update(account, tx=tx)
            await _drop_factors(account, command.cause, desk=desk, tx=tx)
            await desk.providers.delete_links(tenant_id, account.id, tx=tx)
            await desk.sessions.tell(ACCOUNT, account.id, tx=tx)
        takes_seat = there is None or there.suspended_at is not None
        if takes_seat:
            await _take_seat(tenant_id, desk=desk, tx=tx)
        token, rests = await write_invitation(account, desk=desk, tx=tx)
        event = StaffInvited(account.id, token.id, rests.email, rests.name, takes_seat)
        tx.announce(tenant_id, event, command.cause)
        _record("identity.staff_invited", there, account, command.cause, tx=tx)
    await desk.spread(ACCOUNT, account.id, home=home)
    return account, token.id


async def change_account(command: ChangeAccount, *, desk: Desk, home: Home) -> AccountView:
    """The account as it is then. Who is suspended is out at once; other roles hold at once."""
    tenant_id = command.tenant_id
    async with desk.database.transaction(home, (tenant_id,)) as tx:
        await desk.roles.lock_all(tenant_id, tx=tx)
        account = await desk.accounts.lock(tenant_id, command.account_id, tx=tx)
        if account is None or account.kind != command.kind:
            raise NotFound("no account of this kind has this id")
        stale = find_stale(command.expected, account.version)
        if stale is not None:
            raise stale
        own = await _read_own(tenant_id, desk=desk, tx=tx)
        _check_power(account.roles, own=own, held=command.held)
        if command.roles is not None:
            _check_roles(command.roles, kind=account.kind, own=own, held=command.held)
        changed = accounts.change(
            account, roles=command.roles, is_suspended=command.is_suspended, now=tx.now
        )
        await _keep_an_owner(account, changed, desk=desk, tx=tx)
        await desk.accounts.update(changed, tx=tx)
        is_back = account.suspended_at is not None and changed.suspended_at is None
        takes_seat = is_back and account.kind == "staff"
        if takes_seat:
            await _take_seat(tenant_id, desk=desk, tx=tx)
        if changed.suspended_at is not None:
            await desk.end_sessions(
                tenant_id, account.id, reason="suspended", cause=command.cause, tx=tx
            )
        else:
            await desk.sessions.tell(ACCOUNT, account.id, tx=tx)
        event = AccountChanged(
            account.id, account.kind, changed.roles, changed.suspended_at is not None, takes_seat
        )
        tx.announce(tenant_id, event, command.cause)
        if accounts.trace_of(changed) != accounts.trace_of(account):
            _record("identity.account_changed", account, changed, command.cause, tx=tx)
    await desk.spread(ACCOUNT, account.id, home=home)
    return accounts.view_of(changed)


async def end_sessions_of(
    tenant_id: UUID, account_id: UUID, kind: AccountKind, *, held: Powers, cause: Cause,
    desk: Desk, home: Home,
) -> None:  # fmt: skip
    """Ends every session of another's account."""
    async with desk.database.transaction(home, (tenant_id,)) as tx:
        account = await desk.accounts.find(tenant_id, account_id, tx=tx)
        if account is None or account.kind != kind:
            raise NotFound("no account of this kind has this id")
        own = await _read_own(tenant_id, desk=desk, tx=tx)
        _check_power(account.roles, own=own, held=held)
        await desk.end_sessions(tenant_id, account_id, reason="ended_by_staff", cause=cause, tx=tx)
    await desk.spread(ACCOUNT, account_id, home=home)


async def drop_factors_of(
    tenant_id: UUID, account_id: UUID, kind: AccountKind, *, held: Powers, cause: Cause,
    desk: Desk, home: Home,
) -> None:  # fmt: skip
    """Takes every second factor of another's account away, for who has lost hers; she is out."""
    async with desk.database.transaction(home, (tenant_id,)) as tx:
        account = await desk.accounts.lock(tenant_id, account_id, tx=tx)
        if account is None or account.kind != kind:
            raise NotFound("no account of this kind has this id")
        own = await _read_own(tenant_id, desk=desk, tx=tx)
        _check_power(account.roles, own=own, held=held)
        await _drop_factors(account, cause, desk=desk, tx=tx)
        await desk.end_sessions(tenant_id, account_id, reason="factors_lost", cause=cause, tx=tx)
    await desk.spread(ACCOUNT, account_id, home=home)


async def check_power(
    tenant_id: UUID, account_id: UUID, *, held: frozenset[str], desk: Desk, tx: Tx
) -> None:
    """Refuses who would take from an account what she may not do, and not every customer may."""
    account = await desk.accounts.find(tenant_id, account_id, tx=tx)
    if account is not None:
        own = await _read_own(tenant_id, desk=desk, tx=tx)
        everyone = frozenset(roles.READY_MADE[roles.CUSTOMER])
        _check_power(account.roles, own=own, held=Powers(held | everyone))


async def let_go(
    tenant_id: UUID, account_id: UUID, *, held: frozenset[str], desk: Desk, tx: Tx
) -> Somebody:
    """Who a member of the staff is, for who erases her in this transaction."""
    await desk.roles.lock_all(tenant_id, tx=tx)
    account = await desk.accounts.lock(tenant_id, account_id, tx=tx)
    if account is None or account.kind != "staff":
        raise NotFound("no member of the staff has this id")
    own = await _read_own(tenant_id, desk=desk, tx=tx)
    _check_power(account.roles, own=own, held=Powers(held))
    gone = accounts.change(account, roles=None, is_suspended=True, now=tx.now)
    await _keep_an_owner(account, gone, desk=desk, tx=tx)
    person = accounts.person_of(tenant_id, "staff", account.email)
    (subject,) = await tx.find_subjects([person])
    return Somebody(tenant_id, subject, account.id)


async def save_role(
    tenant_id: UUID, name: str, wanted: Sequence[str], under: Conditions, *, held: Powers,
    cause: Cause, desk: Desk, home: Home,
) -> RoleView:  # fmt: skip
    """Makes a role of the tenant's own, or gives it other scopes: at once, for all who have it."""
    roles.check_name(name)
    scopes = roles.choose_scopes(wanted)
    # In a thread, since a time zone lies on the disk.
    conditions = await asyncio.to_thread(roles.choose_conditions, under, scopes)
    role = RoleView(name, list(scopes), is_ready_made=False, version=0, conditions=conditions)
    async with desk.database.transaction(home, (tenant_id,)) as tx:
        await desk.roles.lock_all(tenant_id, tx=tx)
        own = await _read_own(tenant_id, desk=desk, tx=tx)
        for given in (own, {name: role}):
            _check_power([name], own=given, held=held)
        if name not in own and len(own) >= ROLES_MAX:
            raise TooManyRoles(f"a tenant may have {ROLES_MAX} roles of its own; delete one first")
        saved = await desk.roles.save(tenant_id, name, scopes, conditions, now=tx.now, tx=tx)
        await desk.sessions.tell(TENANT, tenant_id, tx=tx)
        before = _trace_role(own[name]) if name in own else None
        after = _trace_role(saved)
        if before != after:
            action = "identity.role_changed" if name in own else "identity.role_created"
            change = describe(action, ("role", name), cause, before=before, after=after)
            tx.record(tenant_id, change)
    await desk.spread(TENANT, tenant_id, home=home)
    return saved


async def delete_role(
    tenant_id: UUID, name: str, *, held: Powers, cause: Cause, desk: Desk, home: Home
) -> None:
    """Deletes a role of the tenant's own that nobody has."""
    if name in roles.READY_MADE:
        raise ReadyMadeRole(f"{name} comes with Serai and stays")
    async with desk.database.transaction(home, (tenant_id,)) as tx:
        await desk.roles.lock_all(tenant_id, tx=tx)
        own = await _read_own(tenant_id, desk=desk, tx=tx)
        if name not in own:
            raise NotFound("this tenant has no such role")
        _check_power([name], own=own, held=held)
        if await desk.accounts.count_with_role(
            tenant_id, name, is_everyone=True, but=NOBODY, tx=tx
        ):
            raise RoleInUse("someone has this role; give her another one first")
        await desk.roles.delete(tenant_id, name, tx=tx)
        await desk.sessions.tell(TENANT, tenant_id, tx=tx)
        gone = _trace_role(own[name])
        change = describe("identity.role_deleted", ("role", name), cause, before=gone)
        tx.record(tenant_id, change)
    await desk.spread(TENANT, tenant_id, home=home)


async def _take_seat(tenant_id: UUID, *, desk: Desk, tx: Tx) -> None:
    """Refuses one more of the staff, who is there already, beyond the plan; roles are locked."""
    count = partial(desk.accounts.count_seats, tenant_id, tx=tx)
    await desk.refuse_beyond_plan("staff", tenant_id, count, tx=tx)


async def _drop_factors(account: Account, cause: Cause, *, desk: Desk, tx: Tx) -> None:
    had_codes = await desk.factors.delete(account.tenant_id, account.id, tx=tx)
    had = await desk.passkeys.delete_all(account.tenant_id, account.id, tx=tx)
    told = {"had_codes": had_codes, "passkeys": had}
    subject = ("account", account.id)
    change = describe("identity.second_factor_removed", subject, cause, before=told)
    tx.record(account.tenant_id, change)


def _record(action: str, before: Account | None, after: Account, cause: Cause, *, tx: Tx) -> None:
    was = None if before is None else accounts.trace_of(before)
    became = accounts.trace_of(after)
    change = describe(action, ("account", after.id), cause, before=was, after=became)
    tx.record(after.tenant_id, change)


def _trace_role(role: RoleView) -> dict[str, object]:
    return {"scopes": list(role.scopes), "conditions": role.conditions}


async def _read_own(tenant_id: UUID, *, desk: Desk, tx: Tx) -> Own:
    return {role.name: role for role in await desk.roles.list_own(tenant_id, tx=tx)}


def _check_roles(
    wanted: Collection[str], *, kind: AccountKind, own: Own, held: Powers | None
) -> None:
    fault = roles.find_fault(tuple(wanted), kind=kind, own=own)
    if fault is not None:
        raise fault
    if held is not None:
        _check_power(wanted, own=own, held=held)


def _check_power(names: Collection[str], *, own: Own, held: Powers) -> None:
    refusal = roles.refuse_wider(roles.powers_of(names, own), held=held)
    if refusal is not None:
        raise refusal


async def _keep_an_owner(before: Account, after: Account, *, desk: Desk, tx: Tx) -> None:
    was = before.may_sign_in and roles.OWNER in before.roles
    if not was or (after.may_sign_in and roles.OWNER in after.roles):
        return
    others = await desk.accounts.count_with_role(
        before.tenant_id, roles.OWNER, is_everyone=False, but=before.id, tx=tx
    )
    if not others:
        raise LastOwner("this is the last owner who can sign in: make another one first")
