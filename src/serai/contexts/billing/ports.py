"""What billing needs of the world: its own rows. Money is asked for through payments' contract."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Protocol
from uuid import UUID

from serai.contexts.billing.model import Account, Invoice, Segment, Terms
from serai.kernel.db import Tx


class Meters(Protocol):
    """What tenants use and may; every call is part of the given transaction."""

    async def list_terms(self, tenant_ids: Sequence[UUID], *, tx: Tx) -> dict[UUID, Terms]:
        """The plans that tenants have now; absent where none."""
        ...

    async def take(
        self, wanted: Mapping[UUID, tuple[date, int, int]], *, tx: Tx
    ) -> dict[UUID, int]:
        """Takes orders of months' quotas: of each tenant's month and most, so many; what it got."""
        ...

    async def seed(self, tenant_id: UUID, period: date, count: int, *, tx: Tx) -> None:
        """Makes what was placed before there was a quota count against it."""
        ...

    async def find_taken(self, tenant_id: UUID, period: date, *, tx: Tx) -> int:
        """What was taken of a month's quota."""
        ...

    async def count(self, counts: Mapping[tuple[UUID, datetime], int], *, tx: Tx) -> None:
        """Adds orders to tenants' quarters of an hour."""
        ...

    async def sum_orders(self, tenant_id: UUID, since: datetime, until: datetime, *, tx: Tx) -> int:
        """Orders from one moment up to another."""
        ...


class Books(Protocol):
    """Accounts, plans and invoices; every call is part of the given transaction."""

    async def open_account(self, tenant_id: UUID, zone: str, *, tx: Tx) -> None:
        """Makes a tenant's account where there is none."""
        ...

    async def lock_account(self, tenant_id: UUID, *, tx: Tx) -> Account | None:
        """A tenant's account, kept from a change by anyone else."""
        ...

    async def find_account(self, tenant_id: UUID, *, tx: Tx) -> Account | None:
        """A tenant's account."""
        ...

    async def update_account(self, account: Account, *, tx: Tx) -> None:
        """Writes a locked account down."""
        ...

    async def list_segments(self, tenant_id: UUID, day: date, *, tx: Tx) -> list[Segment]:
        """The plans that were in force on a day or after it, in their order."""
        ...

    async def last_segment(self, tenant_id: UUID, *, tx: Tx) -> int:
        """The number of the latest days on a plan; 0 where there are none."""
        ...

    async def save_segment(self, tenant_id: UUID, segment: Segment, *, tx: Tx) -> None:
        """Adds days on a plan, or writes over those of that number."""
        ...

    async def delete_segment(self, tenant_id: UUID, number: int, *, tx: Tx) -> None:
        """Removes days on a plan that were none."""
        ...

    async def list_due_accounts(self, now: datetime, limit: int, *, tx: Tx) -> list[UUID]:
        """Tenants whose month is to be closed; across tenants."""
        ...

    async def insert_invoice(self, invoice: Invoice, *, tx: Tx) -> bool:
        """Adds a month's invoice; False where there is one."""
        ...

    async def list_due_invoices(
        self, now: datetime, limit: int, *, tx: Tx
    ) -> list[tuple[UUID, UUID]]:
        """Tenants and their invoices whose money is to be asked for; across tenants."""
        ...

    async def lock_invoice(self, tenant_id: UUID, invoice_id: UUID, *, tx: Tx) -> Invoice | None:
        """An invoice, kept from a change by anyone else."""
        ...

    async def update_invoice(self, invoice: Invoice, *, tx: Tx) -> None:
        """Writes down how far the money of a locked invoice has come."""
        ...

    async def revive_invoices(self, tenant_id: UUID, now: datetime, *, tx: Tx) -> None:
        """Has the money of all that is not paid asked for at once."""
        ...

    async def find_invoice(self, tenant_id: UUID, invoice_id: UUID, *, tx: Tx) -> Invoice | None:
        """An invoice."""
        ...

    async def list_invoices(
        self, tenant_id: UUID, *, before: UUID, limit: int, tx: Tx
    ) -> list[Invoice]:
        """Invoices with an id below `before`, newest first."""
        ...

    async def check_invoices(
        self, tenant_id: UUID, limit: int, *, tx: Tx
    ) -> list[tuple[UUID, int]]:
        """Invoices whose lines do not add up to their total, with that."""
        ...
