"""Apps, consents, codes and devices in PostgreSQL."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from serai.contexts.identity.model import apps
from serai.contexts.identity.model.apps import APPS_MAX, App, ConsentView
from serai.contexts.identity.model.grants import Code, Device
from serai.contexts.identity.model.tokens import Claims
from serai.contexts.identity.ports import LiveSession
from serai.contexts.identity.store.accounts import open_powers
from serai.kernel import queries
from serai.kernel.db import Record, Tx

SQL = queries.load("serai.contexts.identity")


class PostgresApps:
    """The port Apps."""

    async def lock_all(self, tenant_id: UUID, *, tx: Tx) -> None:
        await tx.execute(SQL.lock_apps, tenant_id)

    async def insert(self, app: App, *, tx: Tx) -> None:
        await tx.execute(
            SQL.insert_app, app.tenant_id, app.id, app.name, app.is_public,
            list(app.redirect_uris), list(app.grants), list(app.scopes), app.secret,
            app.created_at, list(app.post_logout_redirect_uris),
        )  # fmt: skip

    async def find(self, tenant_id: UUID, app_id: UUID, *, tx: Tx) -> App | None:
        row = await tx.fetchrow(SQL.find_app, tenant_id, app_id)
        return None if row is None else _app(row)

    async def list_all(self, tenant_id: UUID, *, tx: Tx) -> list[App]:
        return [_app(row) for row in await tx.fetch(SQL.list_apps, tenant_id, APPS_MAX)]

    async def update(self, app: App, *, tx: Tx) -> None:
        await tx.execute(
            SQL.update_app, app.tenant_id, app.id, app.name, list(app.redirect_uris),
            list(app.grants), list(app.scopes), app.secret, app.old_secret, app.old_secret_until,
            app.version, app.disabled_at, list(app.post_logout_redirect_uris),
        )  # fmt: skip

    async def delete(self, tenant_id: UUID, app_id: UUID, *, tx: Tx) -> None:
        await tx.execute(SQL.delete_app, tenant_id, app_id)

    async def delete_consents(
        self, tenant_id: UUID, app_id: UUID, *, after: UUID, limit: int, tx: Tx
    ) -> UUID | None:
        last: UUID | None = await tx.fetchval(
            SQL.delete_consents_of_app, tenant_id, app_id, after, limit
        )
        return last

    async def find_live(
        self, tenant_id: UUID, claims: Claims, *, now: datetime, tx: Tx
    ) -> LiveSession | None:
        if claims.client_id is None:
            return None
        asked = claims.scope.split()
        if claims.kind == "app":
            app = await self.find(tenant_id, claims.client_id, tx=tx)
            if app is None or app.disabled_at is not None or apps.OWN not in app.grants:
                return None
            if await tx.fetchval(SQL.is_revoked, tenant_id, app.id, claims.jti):
                return None
            return LiveSession(app.id, "app", apps.scopes_alone(app) & frozenset(asked))
        row = await tx.fetchrow(
            SQL.find_live_grant, tenant_id, claims.sid, claims.sub, claims.client_id, now
        )
        if row is None or row["kind"] != claims.kind:
            return None
        person = await open_powers(tenant_id, row, tx=tx)
        opened = apps.effective(asked, row["granted"], row["allowed"], person=person.scopes)
        # What she may do under conditions, an app of hers may do under the same.
        return LiveSession(claims.sub, "customer", opened, person.limits)

    async def revoke_token(self, claims: Claims, *, most: int, tx: Tx) -> bool:
        tenant_id, app_id = claims.tenant, claims.client_id
        if await tx.fetchval(SQL.count_revoked, tenant_id, app_id, tx.now, most) >= most:
            return False
        over_at = datetime.fromtimestamp(claims.exp, UTC)
        await tx.fetchval(SQL.insert_revoked, tenant_id, app_id, claims.jti, over_at)
        return True

    async def list_consents(
        self, tenant_id: UUID, account_id: UUID, *, tx: Tx
    ) -> list[ConsentView]:
        rows = await tx.fetch(SQL.list_consents, tenant_id, account_id, APPS_MAX)
        return [ConsentView(r["app_id"], r["name"], list(r["scopes"]), r["given_at"]) for r in rows]

    async def find_consent(
        self, tenant_id: UUID, account_id: UUID, app_id: UUID, *, tx: Tx
    ) -> tuple[str, ...]:
        found = await tx.fetchval(SQL.find_consent, tenant_id, account_id, app_id)
        return tuple(found or ())

    async def save_consent(
        self, tenant_id: UUID, account_id: UUID, app_id: UUID, scopes: Sequence[str], *,
        now: datetime, tx: Tx,
    ) -> None:  # fmt: skip
        await tx.execute(SQL.save_consent, tenant_id, account_id, app_id, list(scopes), now)

    async def delete_consent(
        self, tenant_id: UUID, account_id: UUID, app_id: UUID, *, now: datetime, tx: Tx
    ) -> bool:
        gone = await tx.execute(SQL.delete_consent, tenant_id, account_id, app_id)
        ended = await tx.execute(SQL.end_app_sessions, tenant_id, account_id, app_id, now)
        return gone + ended > 0


class PostgresHandovers:
    """The ports Handovers and OldRows."""

    async def insert_code(self, tenant_id: UUID, code: Code, *, tx: Tx) -> None:
        await tx.execute(
            SQL.insert_code, tenant_id, code.digest, code.app_id, code.account_id,
            code.redirect_uri, code.challenge, list(code.scopes), code.nonce, code.signed_in_at,
            code.expires_at,
        )  # fmt: skip

    async def lock_code(self, tenant_id: UUID, digest: bytes, *, tx: Tx) -> Code | None:
        row = await tx.fetchrow(SQL.lock_code, tenant_id, digest)
        if row is None:
            return None
        return Code(
            digest, row["app_id"], row["account_id"], row["redirect_uri"], row["challenge"],
            tuple(row["scopes"]), row["nonce"], row["signed_in_at"], row["expires_at"],
            row["session_id"],
        )  # fmt: skip

    async def use_code(self, tenant_id: UUID, digest: bytes, session_id: UUID, *, tx: Tx) -> None:
        await tx.execute(SQL.use_code, tenant_id, digest, session_id)

    async def count_devices(
        self, tenant_id: UUID, app_id: UUID, *, now: datetime, most: int, tx: Tx
    ) -> int:
        found: int = await tx.fetchval(SQL.count_devices, tenant_id, app_id, now, most)
        return found

    async def insert_device(
        self, tenant_id: UUID, device: Device, user_code: bytes, *, tx: Tx
    ) -> bool:
        found = await tx.fetchval(
            SQL.insert_device, tenant_id, device.digest, user_code, device.app_id,
            list(device.scopes), device.interval_s, device.expires_at,
        )  # fmt: skip
        return found is not None

    async def lock_device(self, tenant_id: UUID, digest: bytes, *, tx: Tx) -> Device | None:
        return _device(await tx.fetchrow(SQL.lock_device, tenant_id, digest))

    async def lock_answerable(self, tenant_id: UUID, user_code: bytes, *, tx: Tx) -> Device | None:
        return _device(await tx.fetchrow(SQL.lock_device_by_user_code, tenant_id, user_code))

    async def update_device(self, tenant_id: UUID, device: Device, *, tx: Tx) -> None:
        await tx.execute(
            SQL.update_device, tenant_id, device.digest, list(device.scopes), device.interval_s,
            device.polled_at, device.answer, device.account_id, device.signed_in_at,
            device.session_id, device.expires_at,
        )  # fmt: skip

    async def lock_admitted(self, tenant_id: UUID, *, tx: Tx) -> None:
        await tx.execute(SQL.lock_admitted, tenant_id)

    async def count_admitted(self, tenant_id: UUID, *, tx: Tx) -> int:
        found: int = await tx.fetchval(SQL.count_admitted, tenant_id, tx.now)
        return found

    async def prune(
        self, tenants: Sequence[UUID], *, before: datetime, now: datetime, limit: int, tx: Tx
    ) -> int:
        del now
        return max(
            await tx.execute(SQL.prune_codes, tenants, before, limit),
            await tx.execute(SQL.prune_devices, tenants, before, limit),
            await tx.execute(SQL.prune_revoked, tenants, before, limit),
        )


def _app(row: Record) -> App:
    return App(
        tenant_id=row["tenant_id"], id=row["id"], name=row["name"], is_public=row["is_public"],
        redirect_uris=tuple(row["redirect_uris"]), grants=tuple(row["grants"]),
        scopes=tuple(row["scopes"]), secret=row["secret"], version=row["version"],
        created_at=row["created_at"], old_secret=row["old_secret"],
        old_secret_until=row["old_secret_until"], disabled_at=row["disabled_at"],
        post_logout_redirect_uris=tuple(row["post_logout_redirect_uris"]),
    )  # fmt: skip


def _device(row: Record | None) -> Device | None:
    if row is None:
        return None
    return Device(
        row["digest"], row["app_id"], tuple(row["scopes"]), row["interval_s"], row["expires_at"],
        row["polled_at"], row["answer"], row["account_id"], row["signed_in_at"],
        row["session_id"],
    )  # fmt: skip
