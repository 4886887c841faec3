"""Roles that ask for a second factor: they give nothing to an account that has none."""

from collections.abc import Sequence
from uuid import UUID

from serai.contexts.identity.contract import UnknownRole
from serai.contexts.identity.contract.passkeys import FactorRolesView, LastSecondFactor
from serai.contexts.identity.handlers.desk import Desk
from serai.contexts.identity.model import accounts, roles
from serai.contexts.identity.model.accounts import Account
from serai.contexts.identity.ports import TENANT
from serai.kernel.changes import describe
from serai.kernel.db import Tx
from serai.kernel.events import Cause
from serai.kernel.tenant import Home


async def has_factor(account: Account, *, desk: Desk, tx: Tx) -> bool:
    """Whether an account is asked for a second factor."""
    factor = await desk.factors.lock(account.tenant_id, account.id, tx=tx)
    if factor is not None and factor.confirmed_at is not None:
        return True
    return bool(await desk.passkeys.list_of(account.tenant_id, account.id, tx=tx))


async def keep_a_factor(account: Account, *, desk: Desk, tx: Tx) -> None:
    """Refuses what has taken away the last second factor of whose role asks for one."""
    demanding = set(await desk.passkeys.list_demanding(account.tenant_id, tx=tx))
    if demanding & set(account.roles) and not await has_factor(account, desk=desk, tx=tx):
        raise LastSecondFactor("a role of yours asks for one: set up another first")


async def save_roles(
    tenant_id: UUID, names: Sequence[str], *, held: frozenset[str], cause: Cause, desk: Desk,
    home: Home,
) -> FactorRolesView:  # fmt: skip
    """Says which roles ask for a second factor, at once; only who holds what a role gives may."""
    async with desk.database.transaction(home, (tenant_id,)) as tx:
        await desk.roles.lock_all(tenant_id, tx=tx)
        own = {r.name: tuple(r.scopes) for r in await desk.roles.list_own(tenant_id, tx=tx)}
        unknown = sorted(set(names) - set(own) - set(roles.READY_MADE))
        if unknown:
            raise UnknownRole("the tenant has no such roles", unknown=unknown)
        before = await desk.passkeys.list_demanding(tenant_id, tx=tx)
        after = sorted(set(names))
        changed = set(before) ^ set(after)
        scopes = {scope for name in changed for scope in roles.READY_MADE.get(name, ())}
        scopes.update(scope for name in changed for scope in own.get(name, ()))
        refusal = accounts.refuse_more_powerful(scopes, held=held)
        if refusal is not None:
            raise refusal
        await desk.passkeys.save_demanding(tenant_id, after, tx=tx)
        await desk.sessions.tell(TENANT, tenant_id, tx=tx)
        if changed:
            subject = ("tenant", tenant_id)
            change = describe(
                "identity.factor_roles_changed", subject, cause,
                before={"roles": before}, after={"roles": after},
            )  # fmt: skip
            tx.record(tenant_id, change)
    await desk.spread(TENANT, tenant_id, home=home)
    return FactorRolesView(after)
