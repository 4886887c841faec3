"""Carries out commands about tenants and keys: load, decide, save, announce."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from serai.contexts.tenancy import model
from serai.contexts.tenancy.contract import (
    CreateKey,
    CreateTenant,
    KeyView,
    RevokeKey,
    TenantCreated,
    TenantExists,
    TenantView,
)
from serai.contexts.tenancy.ports import Tenants
from serai.kernel.db import Tx
from serai.kernel.failure import NotFound, Refused


async def create_tenants(
    commands: Sequence[CreateTenant], *, tx: Tx, now: datetime, tenants: Tenants
) -> list[TenantView | Refused]:
    """Makes tenants with their first key; a name that is taken is refused, the others are made."""
    made = await tenants.insert_tenants(tx, commands, now)
    fresh = [command for command in commands if command.tenant_id in made]
    await tenants.insert_keys(tx, [CreateKey(c.tenant_id, c.key) for c in fresh], now)
    for command in fresh:
        tx.announce(
            command.tenant_id, TenantCreated(command.tenant_id, command.name), command.cause
        )
    return [
        TenantView(c.tenant_id, c.name, c.home.name, now)
        if c.tenant_id in made
        else TenantExists(f"there is a tenant named {c.name} already; choose another name")
        for c in commands
    ]


async def create_keys(
    commands: Sequence[CreateKey], *, tx: Tx, now: datetime, tenants: Tenants
) -> list[KeyView | Refused]:
    """Adds keys up to the bound of each tenant, which is exact: the tenants are locked first."""
    wanted = {command.tenant_id for command in commands}
    there = await tenants.lock_tenants(tx, wanted)
    valid: Counter[UUID] = Counter(await tenants.count_keys(tx, there))
    accepted: list[CreateKey] = []
    results: list[KeyView | Refused] = []
    for command in commands:
        if command.tenant_id not in there:
            results.append(NotFound("there is no such tenant"))
            continue
        refusal = model.refuse_too_many(valid[command.tenant_id])
        if refusal is not None:
            results.append(refusal)
            continue
        valid[command.tenant_id] += 1
        accepted.append(command)
        key = command.key
        results.append(KeyView(key.key_id, key.label, list(key.scopes), now, None))
    await tenants.insert_keys(tx, accepted, now)
    return results


async def revoke_keys(
    commands: Sequence[RevokeKey], *, tx: Tx, now: datetime, tenants: Tenants
) -> list[KeyView | Refused]:
    """Ends keys, and tells every process; one that has ended stays as it is."""
    ended = await tenants.revoke_keys(tx, commands, now)
    await tenants.tell_revocations(tx, ended.keys())
    return [
        ended.get(command.key_id) or NotFound("this tenant has no such API key")
        for command in commands
    ]
