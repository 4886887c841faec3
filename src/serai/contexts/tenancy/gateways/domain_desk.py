"""The domains of tenants for the API, the command line and the job that checks them again.

No transaction is open while the DNS is asked (ADR 0008).
"""

import secrets
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog

from serai.contexts.tenancy import handlers, model
from serai.contexts.tenancy.contract.domains import DomainView
from serai.contexts.tenancy.gateways.known_domains import KnownDomains
from serai.contexts.tenancy.model import Domain
from serai.contexts.tenancy.ports import DomainRecords, Domains, Tenants
from serai.kernel.clock import Clock
from serai.kernel.db import Database
from serai.kernel.events import Cause
from serai.kernel.failure import Unavailable
from serai.kernel.tenant import DIRECTORY, POOLED, Home

DUE_MAX: Final = 100
"""Domains that one run of the job checks."""
TRY_AGAIN: Final = timedelta(minutes=30)
"""When a domain is checked again about which the DNS did not answer; also after a crash."""

_log = structlog.get_logger(__name__)


class DomainDesk:
    """The contract's Protocol DomainNames."""

    def __init__(
        self, database: Database, tenants: Tenants, domains: Domains, records: DomainRecords, *,
        known: KnownDomains,
    ) -> None:  # fmt: skip
        self._database = database
        self._tenants = tenants
        self._domains = domains
        self._records = records
        self._known = known

    async def list_domains(self, tenant_id: UUID) -> list[DomainView]:
        async with self._database.transaction(POOLED, (tenant_id,), is_read_only=True) as tx:
            found = await self._domains.list_of(tx, tenant_id, tx.now)
        return [_view(one) for one in found]

    async def claim_domain(self, tenant_id: UUID, domain: str, cause: Cause) -> DomainView:
        name, token = model.choose_domain(domain), secrets.token_urlsafe(model.SECRET_BYTES)
        async with self._database.transaction(DIRECTORY, (tenant_id,), is_transport=True) as tx:
            claimed = await handlers.claim_domain(
                tenant_id, name, token, cause, tx=tx, tenants=self._tenants, domains=self._domains
            )
        return _view(claimed)

    async def verify_domain(self, tenant_id: UUID, domain: str, cause: Cause) -> DomainView:
        name = model.choose_domain(domain)
        async with self._database.transaction(POOLED, (tenant_id,), is_read_only=True) as tx:
            found = await handlers.find_domain(tenant_id, name, tx=tx, domains=self._domains)
        if found.proven_at is not None:
            return _view(found)
        refusal = model.find_unproven(found, await self._records.find_texts(found.record_name))
        if refusal is not None:
            raise refusal
        async with self._database.transaction(DIRECTORY, (tenant_id,)) as tx:
            found = await handlers.prove_domain(
                tenant_id, name, cause, tx=tx, tenants=self._tenants, domains=self._domains
            )
        self._known.forget(name)
        return _view(found)

    async def remove_domain(self, tenant_id: UUID, domain: str, cause: Cause) -> bool:
        name = model.domain_of_host(domain)
        if name is None:
            return False
        async with self._database.transaction(DIRECTORY, (tenant_id,)) as tx:
            is_gone = await handlers.remove_domain(
                tenant_id, name, cause, tx=tx, domains=self._domains
            )
        self._known.forget(name)
        return is_gone

    async def check_due(self, database: Database, home: Home, clock: Clock) -> int:
        """Looks for the records of proven domains again; how many were due.

        All domains are in the directory, so there is nothing to do in any other home.
        """
        if home != POOLED:
            return 0
        async with database.transaction(POOLED, (), is_transport=True, is_read_only=True) as tx:
            due = await self._domains.list_due(tx, clock.now(), DUE_MAX)
        for tenant_id, name in due:
            await self._check(database, tenant_id, name)
        return len(due)

    async def _check(self, database: Database, tenant_id: UUID, name: str) -> None:
        async with database.transaction(DIRECTORY, (tenant_id,)) as tx:
            taken = await self._domains.take_due(
                tx, tenant_id, name, now=tx.now, until=tx.now + TRY_AGAIN
            )
        if taken is None:
            return
        try:
            texts = await self._records.find_texts(taken.record_name)
        except Unavailable as error:
            # A DNS that does not answer says nothing about whose a domain is.
            _log.warning("domain_unchecked", action="domain_unchecked", reason=error.detail)
            return
        async with database.transaction(DIRECTORY, (tenant_id,)) as tx:
            is_suspended = await handlers.check_domain(taken, texts, tx=tx, domains=self._domains)
        if is_suspended:
            self._known.forget(name)
            _log.warning(
                "domain_suspended", action="domain_suspended", tenant_id=str(tenant_id),
                domain=name,
            )  # fmt: skip


def _view(domain: Domain) -> DomainView:
    is_proven, is_suspended = domain.proven_at is not None, domain.suspended_at is not None
    return DomainView(
        domain.name,
        "proven" if is_proven else "suspended" if is_suspended else "claimed",
        domain.record_name, domain.record_value, domain.created_at,
        None if is_proven or is_suspended else domain.expires_at,
        domain.proven_at, domain.checked_at, domain.misses, domain.suspended_at,
    )  # fmt: skip
