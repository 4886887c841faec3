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
    NewKey,
    RevokeKey,
    TenantCreated,
    TenantExists,
    TenantView,
)
from serai.contexts.tenancy.ports import TenantOrigins, Tenants
from serai.kernel.changes import describe
from serai.kernel.db import Tx
from serai.kernel.events import Cause
from serai.kernel.failure import NotFound, Refused


async def create_tenants(
    commands: Sequence[CreateTenant], *, tx: Tx, now: datetime, tenants: Tenants
) -> list[TenantView | Refused]:
    """Makes tenants with their first key; a name that is taken is refused, the others are made."""
    made = await tenants.insert_tenants(tx, commands, now)
    fresh = [command for command in commands if command.tenant_id in made]
    await tenants.insert_keys(tx, [CreateKey(c.tenant_id, c.key, c.cause) for c in fresh], now)
    for command in fresh:
        tx.announce(
            command.tenant_id, TenantCreated(command.tenant_id, command.name), command.cause
        )
        made_of = {"name": command.name, "home": command.home.name}
        subject = ("tenant", command.tenant_id)
        change = describe("tenancy.tenant_created", subject, command.cause, after=made_of)
        tx.record(command.tenant_id, change)
        _record_key(command.tenant_id, command.key, command.cause, tx=tx)
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
        _record_key(command.tenant_id, key, command.cause, tx=tx)
        results.append(KeyView(key.key_id, key.label, list(key.scopes), now, None))
    await tenants.insert_keys(tx, accepted, now)
    return results


async def revoke_keys(
    commands: Sequence[RevokeKey], *, tx: Tx, now: datetime, tenants: Tenants
) -> list[KeyView | Refused]:
    """Ends keys, and tells every process; one that has ended stays as it is."""
    ended = await tenants.revoke_keys(tx, commands, now)
    await tenants.tell_revocations(tx, ended.keys())
    for command in commands:
        view = ended.get(command.key_id)
        # One that had ended before keeps its time, and nothing has changed.
        if view is not None and view.revoked_at == now:
            before = {"label": view.label, "scopes": view.scopes, "revoked_at": None}
            change = describe(
                "tenancy.key_revoked", ("api_key", command.key_id), command.cause,
                before=before, after={**before, "revoked_at": now},
            )  # fmt: skip
            tx.record(command.tenant_id, change)
    return [
        ended.get(command.key_id) or NotFound("this tenant has no such API key")
        for command in commands
    ]


async def replace_origins(
    tenant_id: UUID, chosen: Sequence[str], cause: Cause, *, tx: Tx, tenants: Tenants,
    origins: TenantOrigins,
) -> None:  # fmt: skip
    """Gives a tenant these origins and no others; the tenant is locked first."""
    await tenants.lock_tenants(tx, (tenant_id,))
    had = await origins.list_of(tx, tenant_id)
    await origins.replace(tx, tenant_id, chosen)
    if list(had) != list(chosen):
        before, after = {"origins": list(had)}, {"origins": list(chosen)}
        subject = ("tenant", tenant_id)
        change = describe("tenancy.origins_changed", subject, cause, before=before, after=after)
        tx.record(tenant_id, change)


def _record_key(tenant_id: UUID, key: NewKey, cause: Cause, *, tx: Tx) -> None:
    given = {"label": key.label, "scopes": list(key.scopes)}
    tx.record(
        tenant_id, describe("tenancy.key_created", ("api_key", key.key_id), cause, after=given)
    )
