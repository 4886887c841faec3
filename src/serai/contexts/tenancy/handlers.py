"""Carries out commands about tenants and keys: load, decide, save, announce."""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from serai.contexts.tenancy import model
from serai.contexts.tenancy.contract import (
    CreateKey,
    CreateTenant,
    KeyView,
    NewKey,
    OpenTenant,
    ReplaceSigner,
    RevokeKey,
    TakeNonce,
    TenantCreated,
    TenantExists,
    TenantView,
)
from serai.contexts.tenancy.contract.domains import CLAIM_TTL, DOMAIN_CHECK_EVERY, DomainSuspended
from serai.contexts.tenancy.model import Domain
from serai.contexts.tenancy.ports import Domains, Nonces, TenantOrigins, Tenants
from serai.kernel import ids
from serai.kernel.changes import describe
from serai.kernel.db import Tx
from serai.kernel.events import Cause
from serai.kernel.failure import NotFound, Refused
from serai.kernel.signatures import SignatureReplayed
from serai.kernel.tenant import POOLED


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
        TenantView(c.tenant_id, c.name, c.home.name, now) if c.tenant_id in made else _taken(c.name)
        for c in commands
    ]


async def open_tenants(
    commands: Sequence[OpenTenant], *, tx: Tx, now: datetime, tenants: Tenants
) -> list[TenantView | Refused]:
    """Makes unproven tenants without a key; a name that is taken is refused, others are made."""
    made = await tenants.insert_unproven(tx, commands, now)
    for command in commands:
        if command.tenant_id not in made:
            continue
        tx.announce(
            command.tenant_id, TenantCreated(command.tenant_id, command.name), command.cause
        )
        made_of = {"name": command.name, "home": POOLED.name, "state": model.UNPROVEN}
        subject = ("tenant", command.tenant_id)
        change = describe("tenancy.tenant_created", subject, command.cause, after=made_of)
        tx.record(command.tenant_id, change)
    return [
        TenantView(c.tenant_id, c.name, POOLED.name, now) if c.tenant_id in made else _taken(c.name)
        for c in commands
    ]


async def prove_tenants(
    tenant_ids: Sequence[UUID], cause: Cause, *, tx: Tx, tenants: Tenants
) -> None:
    """Lets unproven tenants in, and records it."""
    for tenant_id in sorted(await tenants.prove(tx, tenant_ids)):
        change = describe(
            "tenancy.tenant_proven", ("tenant", tenant_id), cause,
            before={"state": model.UNPROVEN}, after={"state": "active"},
        )  # fmt: skip
        tx.record(tenant_id, change)


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
        signer = None if key.signer is None else model.write_signer(key.signer)
        results.append(KeyView(key.key_id, key.label, list(key.scopes), now, None, signer))
    await tenants.insert_keys(tx, accepted, now)
    return results


async def revoke_keys(
    commands: Sequence[RevokeKey], *, tx: Tx, now: datetime, tenants: Tenants
) -> list[KeyView | Refused]:
    """Ends keys, and tells every process; one that has ended stays as it is."""
    refused = {
        command.key_id: refusal
        for command in sorted(commands, key=lambda c: (c.tenant_id, c.key_id))
        if (refusal := await _refuse_ending(command, tx=tx, tenants=tenants)) is not None
    }
    ended = await tenants.revoke_keys(tx, [c for c in commands if c.key_id not in refused], now)
    await tenants.tell_changes(tx, ended.keys())
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
        refused.get(command.key_id)
        or ended.get(command.key_id)
        or NotFound("this tenant has no such API key")
        for command in commands
    ]


async def _refuse_ending(command: RevokeKey, *, tx: Tx, tenants: Tenants) -> Refused | None:
    """Why nobody ends a key that may do more than she; one that has ended is harmless."""
    if command.held is None:
        return None
    had = await tenants.lock_key(tx, command.tenant_id, command.key_id)
    return None if had is None else model.refuse_stronger(had.scopes, held=command.held)


async def replace_signer(command: ReplaceSigner, *, tx: Tx, tenants: Tenants) -> KeyView:
    """Says by whom requests with a key must be signed, and tells every process."""
    had = await tenants.lock_key(tx, command.tenant_id, command.key_id)
    if had is None:
        raise NotFound("this tenant has no such API key that is valid")
    if refusal := model.refuse_stronger(had.scopes, held=command.held):
        raise refusal
    view = msgspec.structs.replace(had, signer=model.write_signer(command.signer))
    if view != had:
        await tenants.set_signer(tx, command.tenant_id, command.key_id, command.signer)
        await tenants.tell_changes(tx, (command.key_id,))
        change = describe(
            "tenancy.signer_replaced", ("api_key", command.key_id), command.cause,
            before={"signer": had.signer}, after={"signer": view.signer},
        )  # fmt: skip
        tx.record(command.tenant_id, change)
    return view


async def take_nonces(
    commands: Sequence[TakeNonce], *, tx: Tx, nonces: Nonces
) -> list[Refused | None]:
    """Uses nonces up; of those that are equal, in one batch too, only the first is let in."""
    fresh = await nonces.take(tx, commands)
    results: list[Refused | None] = []
    for command in commands:
        mark = (command.key_id, command.nonce)
        results.append(None if mark in fresh else _replayed())
        fresh.discard(mark)
    return results


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


async def claim_domain(
    tenant_id: UUID, name: str, token: str, cause: Cause, *, tx: Tx, tenants: Tenants,
    domains: Domains,
) -> Domain:  # fmt: skip
    """Claims a domain for a tenant, which is locked first; the claim that is there stays."""
    await tenants.lock_tenants(tx, (tenant_id,))
    had = {one.name: one for one in await domains.list_of(tx, tenant_id, tx.now)}
    owner = await domains.find_owner(tx, name)
    is_taken = owner not in {None, tenant_id}
    if refusal := model.refuse_claim(name, had=had, is_taken=is_taken):
        raise refusal
    if name in had:
        return had[name]
    claimed = Domain(tenant_id, name, token, tx.now, tx.now + CLAIM_TTL)
    await domains.claim(tx, claimed)
    _record_domain("claimed", tenant_id, name, cause, tx=tx)
    return claimed


async def find_domain(tenant_id: UUID, name: str, *, tx: Tx, domains: Domains) -> Domain:
    """A domain of a tenant; refuses one that it has not, or has not any more."""
    found = [one for one in await domains.list_of(tx, tenant_id, tx.now) if one.name == name]
    if not found:
        raise NotFound("this tenant has no such domain; a claim is good for seven days")
    return found[0]


async def prove_domain(
    tenant_id: UUID, name: str, cause: Cause, *, tx: Tx, tenants: Tenants, domains: Domains
) -> Domain:
    """Makes a claim proven, of which the DNS has said that it is the tenant's."""
    await tenants.lock_tenants(tx, (tenant_id,))
    claimed = await find_domain(tenant_id, name, tx=tx, domains=domains)
    if claimed.proven_at is not None:
        return claimed
    await domains.prove(tx, tenant_id, name, now=tx.now, check_at=tx.now + DOMAIN_CHECK_EVERY)
    _record_domain("proven", tenant_id, name, cause, tx=tx)
    return msgspec.structs.replace(
        claimed, proven_at=tx.now, checked_at=tx.now, misses=0, suspended_at=None
    )


async def remove_domain(
    tenant_id: UUID, name: str, cause: Cause, *, tx: Tx, domains: Domains
) -> bool:
    """Ends a tenant's claim or its proof; harmless twice. Whether it was there."""
    is_gone = await domains.delete(tx, tenant_id, name)
    if is_gone:
        _record_domain("removed", tenant_id, name, cause, tx=tx)
    return is_gone


async def check_domain(asked: Domain, texts: Collection[str], *, tx: Tx, domains: Domains) -> bool:
    """Writes down what the DNS said of a proven domain; whether it is suspended by it.

    Of one that was given up, or proven anew, while the DNS was asked, nothing is said.
    """
    domain = await domains.lock(tx, asked.tenant_id, asked.name)
    if domain is None or domain.proven_at is None or domain.proven_at != asked.proven_at:
        return False
    after = model.judge_check(domain, texts, tx.now)
    await domains.save_check(tx, after, tx.now + DOMAIN_CHECK_EVERY)
    if after.suspended_at is None:
        return False
    cause = Cause(ids.new_id())
    tx.announce(
        domain.tenant_id, DomainSuspended(domain.tenant_id, domain.name, after.misses), cause
    )
    change = describe(
        "tenancy.domain_suspended", ("domain", domain.name), cause,
        before={"domain": domain.name, "state": "proven"},
        after={"domain": domain.name, "state": "suspended", "misses": after.misses},
    )  # fmt: skip
    tx.record(domain.tenant_id, change)
    return True


def _record_domain(what: str, tenant_id: UUID, name: str, cause: Cause, *, tx: Tx) -> None:
    change = describe(f"tenancy.domain_{what}", ("domain", name), cause, after={"domain": name})
    tx.record(tenant_id, change)


def _replayed() -> SignatureReplayed:
    return SignatureReplayed(
        "this signature was used before: sign each attempt anew, with a new nonce; what the "
        "`Idempotency-Key` stands for is done once all the same"
    )


def _taken(name: str) -> TenantExists:
    return TenantExists(f"there is a tenant named {name} already; choose another name")


def _record_key(tenant_id: UUID, key: NewKey, cause: Cause, *, tx: Tx) -> None:
    given: dict[str, Any] = {"label": key.label, "scopes": list(key.scopes)}
    if key.signer is not None:
        given["signer"] = model.write_signer(key.signer)
    tx.record(
        tenant_id, describe("tenancy.key_created", ("api_key", key.key_id), cause, after=given)
    )
