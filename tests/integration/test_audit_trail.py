"""The audit trail: it only grows, it shows what was done to it, and it is found again."""

import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from serai.contexts.audit.store import SQL, PostgresEntries
from serai.contexts.payments.gateways import sandbox_cards as cards
from serai.kernel import ids
from serai.kernel.db import Database
from serai.kernel.embedded import EmbeddedPostgres
from serai.kernel.tenant import POOLED
from tests.integration.audited_shop import (
    PEER,
    AuditedShop,
    make_products,
    open_shop,
    verdict_of,
)
from tests.integration.fulfilment_shop import assert_plans


@pytest.fixture
async def shop(database: Database, tmp_path: Path) -> AsyncIterator[AuditedShop]:
    async for opened in open_shop(database, tmp_path):
        await opened.rest()
        yield opened


@pytest.fixture
async def owner(postgres: EmbeddedPostgres, database_name: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(postgres.admin_url(database_name))
    yield connection
    await connection.close()


# ------------------------------------------------------------------------------------ what it says


async def test_an_entry_says_who_from_where_what_and_what_it_was_like_before(
    shop: AuditedShop,
) -> None:
    (product,) = await make_products(shop, 1)
    variant = product["variants"][0]
    prices = {"prices": [{"currency": "USD", "amount_minor": 650}]}
    await shop.do(
        "PUT", f"/v1/variants/{variant['id']}/prices", prices,
        if_match=f'"{variant["version"]}"', x_request_id="support42",
    )  # fmt: skip
    (entry,) = await shop.entries(request_id="support42")
    assert {name: entry[name] for name in entry if name not in {"hash", "previous", "seq"}} == {
        "recorded_at": "2026-11-21T12:00:00Z",
        "action": "catalog.prices_set",
        "actor_kind": "key",
        "actor_id": str(shop.key_id),
        "address": PEER,
        "subject_kind": "product",
        "subject_id": product["id"],
        "request_id": "support42",
        "correlation_id": entry["correlation_id"],
        "causation_id": None,
        "before": {"version": 1, "variants": {"ROPE-0": {"prices": {"USD": 700}}}},
        "after": {"version": 2, "variants": {"ROPE-0": {"prices": {"USD": 650}}}},
    }
    answer = await shop.send("GET", f"/v1/audit-entries/{entry['seq']}")
    assert answer.json() == entry
    for seq in ("0", "99999", "9" * 30):
        assert (await shop.send("GET", f"/v1/audit-entries/{seq}")).status_code == 404


async def test_the_operator_is_named_by_account_and_machine(shop: AuditedShop) -> None:
    created = await shop.entries(action="tenancy.tenant_created")
    assert [(e["actor_kind"], e["subject_id"]) for e in created] == [
        ("operator", str(shop.house.tenant))
    ]
    assert "@" in created[0]["address"]
    assert created[0]["after"] == {"name": "house", "home": "pooled"}


async def test_a_refused_request_records_nothing(shop: AuditedShop) -> None:
    before = await shop.entries()
    refused = [
        await shop.send("POST", "/v1/products", {"title": "tent", "variants": []}),
        await shop.send(
            "POST", "/v1/stock-write-offs", {"moves": [{"sku": "tent", "quantity": 999}]}
        ),
        await shop.send("POST", f"/v1/orders/{ids.new_id()}/cancel"),
        await shop.send("DELETE", f"/v1/api-keys/{ids.new_id()}"),
    ]
    assert all(400 <= answer.status_code < 500 for answer in refused)
    await shop.rest()
    assert await shop.entries() == before


async def test_a_repeated_request_is_recorded_once(shop: AuditedShop) -> None:
    body = {"moves": [{"sku": "tent", "quantity": 2}]}
    for _ in range(3):
        await shop.do("POST", "/v1/stock-receipts", body, idempotency_key="once")
    made = await shop.do("POST", "/v1/api-keys", {"scopes": ["orders:read"]})
    for _ in range(2):
        shop.house.clock.advance(timedelta(seconds=1))
        await shop.do("DELETE", f"/v1/api-keys/{made['id']}")
    assert len(await shop.entries(action="inventory.stock_received", actor_kind="key")) == 1
    assert len(await shop.entries(action="tenancy.key_revoked")) == 1


async def test_nothing_secret_and_nothing_of_a_person_is_in_it(
    shop: AuditedShop, owner: Any
) -> None:
    made = await shop.do("POST", "/v1/api-keys", {"scopes": ["orders:read"], "label": "till"})
    order = await shop.do(
        "POST", "/v1/orders",
        {"currency": "USD", "lines": [{"sku": "tent", "quantity": 1}], "email": "buyer@example.com",
         "customer": "Zelda Quux"},
    )  # fmt: skip
    await shop.do("POST", f"/v1/orders/{order['id']}/payment", {"card": cards.APPROVED})
    rows = await owner.fetch("SELECT e::text AS text FROM audit.entries e")
    rows += await owner.fetch(
        "SELECT o.data::text AS text FROM kernel.outbox o WHERE topic='audit'"
    )
    (paid,) = await shop.entries(action="payments.payment_requested")
    assert paid["after"]["card"] == "[secret]"
    said = "\n".join(row["text"] for row in rows)
    assert "till" in said
    for secret in (shop.key, shop.key[-43:], made["key"], made["key"][-43:], cards.APPROVED,
                   "buyer@example.com", "Zelda"):  # fmt: skip
        assert secret not in said, secret


# --------------------------------------------------------------------------------- how it is found


async def test_filters_narrow_together_and_pages_hold_each_entry_once(shop: AuditedShop) -> None:
    products = await make_products(shop, 5)
    everything = await shop.entries(limit=200)
    assert [e["seq"] for e in everything] == list(range(len(everything), 0, -1))
    seen: list[int] = []
    cursor: str | None = None
    while True:
        query = {"limit": "3", **({"cursor": cursor} if cursor else {})}
        answer = await shop.http.get(
            "/v1/audit-entries", params=query, headers={"Authorization": f"Bearer {shop.key}"}
        )
        page = answer.json()
        seen += [e["seq"] for e in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == [e["seq"] for e in everything]
    one = await shop.entries(subject_id=products[2]["id"], subject_kind="product")
    assert [e["action"] for e in one] == ["catalog.product_created"]
    assert await shop.entries(subject_id=products[2]["id"], subject_kind="order") == []
    own = await shop.entries(actor_id=str(shop.key_id), action="catalog.product_created")
    assert len(own) == 5
    assert await shop.entries(actor_id=str(ids.new_id())) == []
    assert len(await shop.entries(since="2026-11-21T12:00:00Z", limit=200)) == len(everything)
    assert await shop.entries(until="2026-11-21T12:00:00Z") == []
    assert await shop.entries(since="2026-11-21T12:00:01Z") == []
    for wrong in ({"since": "yesterday"}, {"until": "2026-11-21T12:00:00"}, {"actor_kind": "cat"}):
        answer = await shop.http.get(
            "/v1/audit-entries", params=wrong, headers={"Authorization": f"Bearer {shop.key}"}
        )
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid"), wrong


async def test_a_time_is_sought_by_halves(shop: AuditedShop) -> None:
    await make_products(shop, 3)
    shop.house.clock.advance(timedelta(hours=1))
    await shop.do("POST", "/v1/categories", {"path": "Later"})
    later = await shop.entries(since="2026-11-21T12:30:00Z")
    assert [e["subject_id"] for e in later] == ["Later"]
    earlier = await shop.entries(until="2026-11-21T12:30:00Z", limit=200)
    assert len(earlier) == len(await shop.entries(limit=200)) - 1


async def test_another_tenant_sees_nothing_and_a_key_needs_the_scope(shop: AuditedShop) -> None:
    other = await shop.house.composition.tenancy.create_tenant("other", scopes=["audit:read"])
    blind = await shop.house.composition.tenancy.create_key(
        shop.house.tenant, label="", scopes=["orders:read"]
    )
    await shop.rest()
    for key, expected in ((other.key.key, 200), (blind.key, 403)):
        answer = await shop.http.get(
            "/v1/audit-entries", headers={"Authorization": f"Bearer {key}"}
        )
        assert answer.status_code == expected
    answer = await shop.http.get(
        "/v1/audit-entries", headers={"Authorization": f"Bearer {other.key.key}"}
    )
    assert {e["subject_id"] for e in answer.json()["items"]} == {
        str(other.tenant.id), str(other.key.id)
    }  # fmt: skip


async def test_every_search_goes_through_its_own_index(
    postgres: EmbeddedPostgres, database_name: str
) -> None:
    wanted: dict[str, Sequence[str]] = {
        "list_of_subject": ["subject_id = "],
        "list_of_request": ["correlation_id = "],
        "list_of_actor": ["actor_id = "],
        "list_of_action": ["action = "],
        "list_entries": ["entries_pkey"],
        "read_piece": ["entries_pkey"],
    }
    await assert_plans(postgres.owner_url(database_name), SQL, wanted)


async def test_the_end_of_a_chain_is_one_step_away_whatever_the_planner_believes(
    shop: AuditedShop,
) -> None:
    entries, tenant = PostgresEntries(), shop.house.tenant
    await make_products(shop, 30)
    read = (
        "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables "
        "WHERE relid = 'audit.entries'::regclass"
    )
    async with shop.house.database.transaction(POOLED, (tenant,)) as tx:
        await tx.connection.execute("SET LOCAL enable_indexscan = off; DISCARD PLANS")
        before = await tx.connection.fetchval(read)
        assert (await entries.find_heads([tenant], tx=tx))[tenant].seq > 30
        assert await tx.connection.fetchval(read) - before == 1


# ------------------------------------------------------------------------------ what it withstands


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit.entries SET action = 'nothing'",
        "DELETE FROM audit.entries",
        "TRUNCATE audit.entries",
        "UPDATE audit.anchors SET seq = 1",
        "DELETE FROM audit.anchors",
        "INSERT INTO audit.anchors SELECT tenant_id, 1, hash, 1, now() FROM audit.entries LIMIT 1",
        "ALTER TABLE audit.entries DISABLE TRIGGER ALL",
        "DROP TABLE audit.entries",
        "CREATE OR REPLACE FUNCTION audit.kept_days() RETURNS integer LANGUAGE sql AS 'SELECT 0'",
    ],
)
async def test_the_application_s_role_can_change_and_delete_nothing(
    shop: AuditedShop, statement: str
) -> None:
    async with shop.house.database.transaction(POOLED, (shop.house.tenant,)) as tx:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await tx.connection.execute(statement)
        await tx.connection.execute("ROLLBACK; BEGIN")
    assert (await verdict_of(shop)).broken is None


async def test_the_application_s_role_cannot_add_a_link_that_follows_nothing(
    shop: AuditedShop,
) -> None:
    copy = (
        "INSERT INTO audit.entries SELECT tenant_id, seq + {step}, recorded_at, event_id, action, "
        "actor_kind, actor_id, address, subject_kind, subject_id, correlation_id, causation_id, "
        "request_id, detail, previous, hash FROM audit.entries ORDER BY seq DESC LIMIT 1"
    )
    for step in (1, 2):
        async with shop.house.database.transaction(POOLED, (shop.house.tenant,)) as tx:
            with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="does not follow"):
                await tx.connection.execute(copy.format(step=step))
            await tx.connection.execute("ROLLBACK; BEGIN")


TAMPERED = {
    "a changed payload": (
        "UPDATE audit.entries SET detail = '{\"before\":null,\"after\":null}' WHERE seq = 4", 4
    ),
    "a changed actor": ("UPDATE audit.entries SET actor_id = gen_random_uuid() WHERE seq = 5", 5),
    "a changed time": (
        "UPDATE audit.entries SET recorded_at = recorded_at + interval '1 microsecond' "
        "WHERE seq = 5", 5
    ),
    "a removed row": ("DELETE FROM audit.entries WHERE seq = 3", 3),
    "the first row removed": ("DELETE FROM audit.entries WHERE seq = 1", 1),
    "two swapped rows": (
        "UPDATE audit.entries SET seq = CASE seq WHEN 3 THEN -4 ELSE -3 END WHERE seq IN (3, 4);"
        "UPDATE audit.entries SET seq = -seq WHERE seq < 0", 3
    ),
    "a row inserted": (
        "UPDATE audit.entries SET seq = -(seq + 1) WHERE seq > 3;"
        "UPDATE audit.entries SET seq = -seq WHERE seq < 0;"
        "INSERT INTO audit.entries SELECT tenant_id, 4, recorded_at, event_id, action, actor_kind, "
        "actor_id, address, subject_kind, subject_id, correlation_id, causation_id, request_id, "
        "detail, hash, sha256(hash) FROM audit.entries WHERE seq = 3", 4
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", sorted(TAMPERED))
async def test_what_the_owner_tampers_with_is_found(
    shop: AuditedShop, owner: Any, what: str
) -> None:
    await make_products(shop, 5)
    head = (await verdict_of(shop)).head
    assert head is not None
    assert head.seq >= 10
    statement, seq = TAMPERED[what]
    await owner.execute("SET session_replication_role = replica")
    await owner.execute("ALTER TABLE audit.entries DROP CONSTRAINT entries_seq_check")
    await owner.execute(statement)
    verdict = await verdict_of(shop)
    assert verdict.broken is not None
    assert verdict.broken.seq == seq
    findings = await shop.house.findings()
    assert "audit.chain" in {finding.check for finding in findings}


async def test_a_chain_cut_short_or_rewritten_is_told_by_a_head_that_was_kept(
    shop: AuditedShop, owner: Any
) -> None:
    held = await shop.house.composition.audit.find_head(shop.house.tenant)
    assert (await verdict_of(shop, held)).broken is None
    await make_products(shop, 1)
    assert (await verdict_of(shop, held)).broken is None
    await owner.execute("DELETE FROM audit.entries WHERE seq >= $1", held.seq)
    assert (await verdict_of(shop)).broken is None, "by itself a chain does not tell its end"
    cut = await verdict_of(shop, held)
    assert cut.broken is not None
    assert "the head held was" in cut.broken.what
    missing = [f for f in await shop.house.findings() if f.check == "audit.complete"]
    assert missing, "what was recorded and is not in the trail is missed"


async def test_the_hash_is_what_the_documentation_says(shop: AuditedShop, owner: Any) -> None:
    """Recomputed from the API's own words, without any code of ours."""
    rows = await owner.fetch("SELECT * FROM audit.entries ORDER BY seq LIMIT 3")
    previous = bytes(32)
    for row in rows:
        moment = row["recorded_at"].isoformat().replace("+00:00", "Z")
        entry = {
            name: str(row[name]) if isinstance(row[name], UUID) else row[name]
            for name in ("tenant_id", "seq", "recorded_at", "event_id", "action", "actor_kind",
                         "actor_id", "address", "subject_kind", "subject_id", "correlation_id",
                         "causation_id", "request_id")
        }  # fmt: skip
        entry["recorded_at"] = moment
        text = json.dumps(entry, separators=(",", ":"), ensure_ascii=False)
        text = f'{text[:-1]},"detail":{row["detail"]}}}'
        digest = hashlib.sha256(previous + text.encode()).digest()
        assert (row["previous"], row["hash"]) == (previous, digest)
        previous = digest
