"""A tenant's providers, made, changed and deleted by staff.

Whoever sets up a provider decides whom it signs in. So one for staff takes all that any of the
staff may do, and one for customers takes `identity:write`.
"""

from uuid import UUID

import msgspec

from serai.contexts.identity.contract import AccountKind
from serai.contexts.identity.contract.providers import (
    PROVIDERS_MAX,
    ProviderExists,
    ProviderUnfit,
    ProviderView,
    TooManyProviders,
)
from serai.contexts.identity.handlers.desk import Desk
from serai.contexts.identity.model import accounts
from serai.contexts.identity.model import providers as model
from serai.contexts.identity.model.providers import Provider
from serai.contexts.tenancy.contract import SCOPES
from serai.kernel import ids
from serai.kernel.changes import describe
from serai.kernel.db import Tx
from serai.kernel.events import Cause
from serai.kernel.failure import NotFound, Unavailable, find_stale
from serai.kernel.tenant import Home


class Staff(msgspec.Struct, frozen=True):
    """Who asks, for which tenant, and what she may do."""

    tenant_id: UUID
    held: frozenset[str]
    home: Home
    cause: Cause


class AddProvider(msgspec.Struct, frozen=True):
    """Customers, or staff, may come in by a provider from now on."""

    staff: Staff
    kind: AccountKind
    name: str
    issuer: str
    client_id: str
    client_secret: str | None
    email_domains: tuple[str, ...]


class ChangeProvider(msgspec.Struct, frozen=True):
    """Changes a provider; what is None stays."""

    staff: Staff
    provider_id: UUID
    name: str | None
    client_id: str | None
    client_secret: str | None
    email_domains: tuple[str, ...] | None
    is_enabled: bool | None
    expected: int | None


async def add(command: AddProvider, *, desk: Desk) -> ProviderView:
    """The provider. It is asked what it publishes, so that a wrong issuer is found now."""
    staff, tenant_id = command.staff, command.staff.tenant_id
    _check_power(command.kind, held=staff.held)
    domains = model.check_domains(command.email_domains, kind=command.kind)
    fault = desk.relying.find_fault(command.issuer)
    if fault is not None:
        raise ProviderUnfit(f"the issuer is no address to go to: {fault}")
    try:
        await desk.relying.discover(command.issuer)
    except Unavailable as error:
        raise ProviderUnfit(error.detail) from error
    secret = command.client_secret
    sealed = None if secret is None else await desk.seals.seal(secret.encode())
    async with desk.database.transaction(staff.home, (tenant_id,)) as tx:
        await desk.roles.lock_all(tenant_id, tx=tx)
        if len(await desk.providers.list_all(tenant_id, tx=tx)) >= PROVIDERS_MAX:
            raise TooManyProviders(f"a tenant may have {PROVIDERS_MAX} providers; delete one first")
        provider = Provider(
            ids.new_id(), command.kind, command.name, command.issuer, command.client_id, sealed,
            domains, True, 1, tx.now,  # noqa: FBT003 - it is enabled
        )  # fmt: skip
        if not await desk.providers.insert(tenant_id, provider, tx=tx):
            raise ProviderExists("there is a provider of this kind with this issuer")
        _record("identity.provider_added", None, provider, staff, tx=tx)
    return model.view_of(provider)


async def change(command: ChangeProvider, *, desk: Desk) -> ProviderView:
    """The provider as it is then; sessions that were opened by it stay."""
    staff, tenant_id = command.staff, command.staff.tenant_id
    secret = command.client_secret
    sealed = None if secret is None else await desk.seals.seal(secret.encode())
    async with desk.database.transaction(staff.home, (tenant_id,)) as tx:
        provider = await _access(staff, command.provider_id, desk=desk, tx=tx)
        stale = find_stale(command.expected, provider.version)
        if stale is not None:
            raise stale
        domains = provider.email_domains
        if command.email_domains is not None:
            domains = model.check_domains(command.email_domains, kind=provider.kind)
        is_enabled = provider.is_enabled if command.is_enabled is None else command.is_enabled
        changed = msgspec.structs.replace(
            provider,
            name=provider.name if command.name is None else command.name,
            client_id=provider.client_id if command.client_id is None else command.client_id,
            sealed_secret=provider.sealed_secret if sealed is None else sealed,
            email_domains=domains,
            is_enabled=is_enabled,
            version=provider.version + 1,
        )
        await desk.providers.update(tenant_id, changed, tx=tx)
        _record("identity.provider_changed", provider, changed, staff, tx=tx)
    return model.view_of(changed)


async def delete(staff: Staff, provider_id: UUID, *, desk: Desk) -> None:
    """Nobody comes in by it any more. Whom it meant is kept, for the same issuer set up again."""
    async with desk.database.transaction(staff.home, (staff.tenant_id,)) as tx:
        provider = await _access(staff, provider_id, desk=desk, tx=tx)
        await desk.providers.delete(staff.tenant_id, provider.id, tx=tx)
        _record("identity.provider_deleted", provider, None, staff, tx=tx)


async def _access(staff: Staff, provider_id: UUID, *, desk: Desk, tx: Tx) -> Provider:
    provider = await desk.providers.lock(staff.tenant_id, provider_id, tx=tx)
    if provider is None:
        raise NotFound("the tenant has no such provider")
    _check_power(provider.kind, held=staff.held)
    return provider


def _check_power(kind: AccountKind, *, held: frozenset[str]) -> None:
    refusal = accounts.refuse_more_powerful(SCOPES if kind == "staff" else (), held=held)
    if refusal is not None:
        raise refusal


def _record(
    action: str, before: Provider | None, after: Provider | None, staff: Staff, *, tx: Tx
) -> None:
    one = after or before
    assert one is not None, "something was or is there"
    was, became = (None if it is None else _trace(it) for it in (before, after))
    change = describe(action, ("provider", one.id), staff.cause, before=was, after=became)
    tx.record(staff.tenant_id, change)


def _trace(provider: Provider) -> dict[str, object]:
    """What the audit trail may know of a provider: all but its secret."""
    return {
        "kind": provider.kind, "name": provider.name, "issuer": provider.issuer,
        "client_id": provider.client_id, "email_domains": list(provider.email_domains),
        "is_enabled": provider.is_enabled, "sealed_secret": provider.sealed_secret,
    }  # fmt: skip
