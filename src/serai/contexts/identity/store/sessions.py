"""Sessions, mailed tokens and buckets of tries in PostgreSQL."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from serai.contexts.identity.contract import MAILED_EMAIL, MAILED_NAME, AccountKind
from serai.contexts.identity.model.accounts import person_of
from serai.contexts.identity.model.sessions import Session
from serai.contexts.identity.model.tokens import Claims, MailPurpose
from serai.contexts.identity.ports import LiveSession, MailToken, SealedAddress
from serai.contexts.identity.store.accounts import open_powers, seal_address
from serai.kernel import queries
from serai.kernel.db import Record, Tx
from serai.kernel.sealed import Sealed

SQL = queries.load("serai.contexts.identity")


class PostgresSessions:
    """The ports Sessions and OldRows."""

    async def insert(self, tenant_id: UUID, session: Session, *, tx: Tx) -> None:
        await tx.execute(
            SQL.insert_session, tenant_id, session.id, session.account_id, session.family,
            session.fresh, session.created_at, session.used_at, session.expires_at,
            session.app_id, list(session.scopes), session.factor_at,
        )  # fmt: skip

    async def lock(self, tenant_id: UUID, session_id: UUID, *, tx: Tx) -> Session | None:
        row = await tx.fetchrow(SQL.lock_session, tenant_id, session_id)
        return None if row is None else _session(row)

    async def rotate(self, tenant_id: UUID, session: Session, *, tx: Tx) -> None:
        await tx.execute(
            SQL.rotate_session, tenant_id, session.id, session.fresh, session.used_at,
            session.expires_at,
        )  # fmt: skip

    async def end(
        self, tenant_id: UUID, account_id: UUID, *, only: UUID | None, keep: UUID | None,
        reason: str, now: datetime, tx: Tx,
    ) -> int:  # fmt: skip
        return await tx.execute(SQL.end_sessions, tenant_id, account_id, only, keep, now, reason)

    async def end_oldest(
        self, tenant_id: UUID, account_id: UUID, *, app_id: UUID | None, kept: int,
        now: datetime, tx: Tx,
    ) -> int:  # fmt: skip
        return await tx.execute(SQL.end_oldest_sessions, tenant_id, account_id, kept, now, app_id)

    async def list_living(
        self, tenant_id: UUID, account_id: UUID, *, now: datetime, limit: int, tx: Tx
    ) -> list[Session]:
        rows = await tx.fetch(SQL.list_living_sessions, tenant_id, account_id, now, limit)
        return [_session(row) for row in rows]

    async def find_live(
        self, tenant_id: UUID, claims: Claims, *, now: datetime, tx: Tx
    ) -> LiveSession | None:
        row = await tx.fetchrow(SQL.find_live_session, tenant_id, claims.sid, claims.sub, now)
        if row is None or row["kind"] != claims.kind:
            return None
        powers = await open_powers(tenant_id, row, tx=tx)
        return LiveSession(claims.sub, row["kind"], powers.scopes, powers.limits, row["factor_at"])

    async def tell(self, what: str, of: UUID, *, tx: Tx) -> None:
        await tx.execute(SQL.tell_change, f"{what} {of}")

    async def insert_mail_token(self, token: MailToken, *, tx: Tx) -> SealedAddress:
        person = person_of(token.tenant_id, token.kind, token.email)
        subject, rests = await seal_address(
            person, token.name, places=(MAILED_EMAIL, MAILED_NAME), tx=tx
        )
        await tx.execute(
            SQL.insert_mail_token, token.tenant_id, token.id, token.purpose, token.account_id,
            rests.email, rests.name, token.password_hash, token.created_at, token.expires_at,
            subject,
        )  # fmt: skip
        return rests

    async def use_mail_token(
        self, tenant_id: UUID, token_id: UUID, purpose: MailPurpose, *, now: datetime, tx: Tx
    ) -> MailToken | None:
        row = await tx.fetchrow(SQL.use_mail_token, tenant_id, token_id, purpose, now)
        return await _token(row, tx=tx)

    async def read_mail_token(
        self, tenant_id: UUID, token_id: UUID, purpose: MailPurpose, *, now: datetime, tx: Tx
    ) -> MailToken | None:
        row = await tx.fetchrow(SQL.find_mail_token, tenant_id, token_id, purpose, now)
        return await _token(row, tx=tx)

    async def find_latest_mail_token(
        self, tenant_id: UUID, email: str, *, now: datetime, tx: Tx
    ) -> MailToken | None:
        kinds: tuple[AccountKind, ...] = ("customer", "staff")
        subjects = await tx.find_subjects([person_of(tenant_id, kind, email) for kind in kinds])
        row = await tx.fetchrow(SQL.find_latest_mail_token, tenant_id, subjects, now)
        return await _token(row, tx=tx)

    async def void_mail_tokens(
        self, tenant_id: UUID, account_id: UUID, *, now: datetime, tx: Tx
    ) -> None:
        await tx.execute(SQL.void_mail_tokens, tenant_id, account_id, now)

    async def prune(
        self, tenants: Sequence[UUID], *, before: datetime, now: datetime, limit: int, tx: Tx
    ) -> int:
        gone = [
            await tx.execute(SQL.prune_sessions, tenants, before, limit),
            await tx.execute(SQL.prune_mail_tokens, tenants, before, limit),
            await tx.execute(SQL.prune_throttles, tenants, now, limit),
        ]
        return max(gone)


class PostgresThrottles:
    """The port Throttles."""

    async def lock(
        self, tenant_id: UUID, buckets: Collection[bytes], *, now: datetime, tx: Tx
    ) -> dict[bytes, datetime]:
        rows = await tx.fetch(SQL.lock_throttles, tenant_id, list(buckets), now)
        return {row["bucket"]: row["full_at"] for row in rows}

    async def update(self, tenant_id: UUID, full: Mapping[bytes, datetime], *, tx: Tx) -> None:
        await tx.execute(SQL.update_throttles, tenant_id, list(full), list(full.values()))

    async def fill(self, tenant_id: UUID, bucket: bytes, *, tx: Tx) -> None:
        await tx.execute(SQL.fill_throttle, tenant_id, bucket)


def _session(row: Record) -> Session:
    return Session(
        row["id"], row["account_id"], row["family"], row["fresh"], row["created_at"],
        row["used_at"], row["expires_at"], row["ended_at"], row["app_id"], tuple(row["scopes"]),
    )  # fmt: skip


async def _token(row: Record | None, *, tx: Tx) -> MailToken | None:
    if row is None:
        return None
    email, name = await tx.unseal([
        Sealed(row["tenant_id"], MAILED_EMAIL, row["email"]),
        Sealed(row["tenant_id"], MAILED_NAME, row["name"]),
    ])  # fmt: skip
    if email is None or name is None:
        return None
    return MailToken(
        row["tenant_id"], row["id"], row["purpose"], row["account_id"], email, name,
        row["password_hash"], row["created_at"], row["expires_at"], row["used_at"],
    )  # fmt: skip
