"""What identity knows about a person, for her export and her erasure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from serai.contexts.identity.contract import ACCOUNT_EMAIL, ACCOUNT_NAME
from serai.contexts.identity.model.accounts import email_key, person_of
from serai.contexts.identity.ports import ACCOUNT
from serai.contexts.identity.store.accounts import seal_address
from serai.kernel import queries
from serai.kernel.db import Record, Tx
from serai.kernel.person import Somebody, Step, Told
from serai.kernel.sealed import Sealed

SQL = queries.load("serai.contexts.identity")
SESSIONS_TOLD_MAX = 1_000
OF_ACCOUNT = (
    SQL.delete_factor, SQL.delete_passkeys, SQL.erase_challenges, SQL.delete_links,
    SQL.erase_consents, SQL.erase_codes, SQL.erase_devices, SQL.erase_sessions, SQL.erase_customer,
)  # fmt: skip
"""What deletes all that is kept by a customer's account, and the account at last."""


class PostgresPeople:
    """The kernel's Protocol Personal, and whom an account or an address is."""

    holds = "identity"
    rules: Mapping[str, int] = {}

    async def find_by_account(
        self, tenant_id: UUID, account_id: UUID, *, tx: Tx
    ) -> Somebody | None:
        """The customer of an account."""
        row = await tx.fetchrow(SQL.find_customer, tenant_id, account_id)
        if row is None:
            return None
        (email,) = await tx.unseal([Sealed(tenant_id, ACCOUNT_EMAIL, row["email"])])
        return None if email is None else await self.find_by_email(tenant_id, email, tx=tx)

    async def find_by_email(self, tenant_id: UUID, email: str, *, tx: Tx) -> Somebody:
        """The buyer of an address, with an account or as a guest."""
        (subject,) = await tx.find_subjects([person_of(tenant_id, "customer", email)])
        keys = [subject.hex, email_key(email)]
        account_id = await tx.fetchval(SQL.find_customer_id, tenant_id, keys)
        return Somebody(tenant_id, subject, account_id)

    async def tell(self, who: Somebody, *, after: UUID, tx: Tx) -> Told:
        del after
        if who.account_id is None:
            return Told([], None)
        row = await tx.fetchrow(SQL.find_customer, who.tenant_id, who.account_id)
        if row is None:
            return Told([], None)
        sessions = await tx.fetch(
            SQL.list_sessions_of_account, who.tenant_id, who.account_id, SESSIONS_TOLD_MAX
        )
        return Told([await _account(row, tx=tx), *map(_session, sessions)], None)

    async def erase(self, who: Somebody, *, after: UUID, tx: Tx) -> Step:
        del after
        count = await tx.execute(SQL.erase_mail_tokens, who.tenant_id, who.account_id, who.subject)
        if who.account_id is None:
            return Step(count, None)
        for statement in OF_ACCOUNT:
            count += await tx.execute(statement, who.tenant_id, who.account_id)
        await tx.execute(SQL.tell_change, f"{ACCOUNT} {who.account_id}")
        return Step(count, None)

    async def seal_clear(self, tenants: Sequence[UUID], *, limit: int, tx: Tx) -> int:
        rows = await tx.fetch(SQL.lock_clear_accounts, tenants, limit)
        sealed = [
            await seal_address(
                person_of(row["tenant_id"], row["kind"], row["email"]), row["name"],
                places=(ACCOUNT_EMAIL, ACCOUNT_NAME), tx=tx,
            )
            for row in rows
        ]  # fmt: skip
        if rows:
            await tx.execute(
                SQL.seal_accounts,
                [row["tenant_id"] for row in rows],
                [row["id"] for row in rows],
                [rests.email for _, rests in sealed],
                [subject.hex for subject, _ in sealed],
                [rests.name for _, rests in sealed],
            )
        return len(rows)

    async def expire(
        self, tenant_id: UUID, rule: str, *, before: datetime, after: UUID, tx: Tx
    ) -> Step:
        del before, after, tx
        raise LookupError(f"identity has no retention rule {rule} of {tenant_id}")


async def _account(row: Record, *, tx: Tx) -> dict[str, Any]:
    email, name = await tx.unseal([
        Sealed(row["tenant_id"], ACCOUNT_EMAIL, row["email"]),
        Sealed(row["tenant_id"], ACCOUNT_NAME, row["name"]),
    ])  # fmt: skip
    return {
        "what": "account", "id": row["id"], "email": email, "name": name, "roles": row["roles"],
        "created_at": row["created_at"], "has_password": row["password_hash"] is not None,
        "suspended_at": row["suspended_at"],
    }  # fmt: skip


def _session(row: Record) -> dict[str, Any]:
    return {"what": "session", **dict(row)}
