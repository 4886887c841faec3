"""The whole API in this process with a staff key, and what each of its writing routes is asked."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from serai.contexts.audit.contract import HeadView, Verified
from serai.contexts.payments.gateways import sandbox_cards as cards
from serai.contexts.tenancy.contract import SCOPES
from serai.kernel import ids
from serai.kernel.db import Database
from serai.kernel.tenant import DIRECTORY, POOLED, Home
from serai.roles.api import build_app
from serai.settings import Settings
from tests.integration.dns_zone import Zone, serve_zone
from tests.integration.house import House
from tests.integration.signing_shop import pem_of

PEER = "192.0.2.7"
RESTS_MAX = 200


class AuditedShop:
    """Asks over HTTP, lets the house come to rest, and reads the audit trail over HTTP."""

    def __init__(self, house: House, http: httpx.AsyncClient, key: str, key_id: UUID) -> None:
        self.house = house
        self.http = http
        self.key = key
        self.key_id = key_id
        self.people: dict[str, tuple[str, str]] = {}
        """Kind and account of who comes with an authorization that is not the staff key's."""
        self.zone = Zone()
        """What the DNS says that the house asks."""
        self.secrets: list[str] = []
        """What was shown or sent, and must not be in the trail."""
        self.stack = contextlib.AsyncExitStack()
        """What runs for a scenario, until the shop closes."""

    def actor_of(self, headers: Mapping[str, str]) -> tuple[str, str]:
        """Kind and id of who asks with these headers."""
        return self.people.get(headers.get("authorization", ""), ("key", str(self.key_id)))

    async def send(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> httpx.Response:
        """A request with a new idempotency key."""
        content = body if isinstance(body, bytes) else b"" if body is None else _encode(body)
        return await self.http.request(
            method,
            path,
            content=content,
            headers={
                "authorization": f"Bearer {self.key}",
                "content-type": "application/json",
                "idempotency-key": ids.new_id().hex,
                **{name.replace("_", "-"): value for name, value in headers.items()},
            },
        )

    async def do(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """A request that must be answered 2xx; the house rests after it."""
        answer = await self.send(method, path, body, **headers)
        assert answer.is_success, f"{method} {path}: {answer.text}"
        await self.rest()
        return answer.json() if answer.content else None

    async def rest(self) -> None:
        """Lets the house come to rest, and the log's horizon pass what was written."""
        for _ in range(RESTS_MAX):
            before = await self._log()
            await self.house.rest()
            if (before["above"], before) != (0, await self._log()):
                # Some other transaction of the server runs; what is above it is not readable yet.
                await asyncio.sleep(0.005)
                continue
            waiting = await self.house.rows(
                "SELECT 1 FROM kernel.outbox o WHERE o.topic = 'audit' AND NOT EXISTS "
                "(SELECT 1 FROM kernel.inbox i WHERE i.event_id = o.event_id)"
            )
            if not waiting and await self._has_heard_the_directory():
                return
            await asyncio.sleep(0.02)
        raise AssertionError("the audit trail does not take in what was recorded")

    async def _log(self) -> dict[str, Any]:
        """How many events there are, and how many of them nobody can read yet."""
        (counts,) = await self.house.rows(
            "SELECT count(*) AS events, count(*) FILTER "
            "(WHERE xid >= pg_snapshot_xmin(pg_current_snapshot())) AS above FROM kernel.outbox"
        )
        return counts

    async def _has_heard_the_directory(self) -> bool:
        """Whether what was changed in the directory has come to the tenant's home."""
        if self.house.home == POOLED:
            return True
        async with self.house.database.transaction(DIRECTORY, (self.house.tenant,)) as tx:
            events = await tx.connection.fetch(
                "SELECT event_id FROM kernel.outbox WHERE topic = 'audit'"
            )
        heard = await self.house.rows("SELECT event_id FROM kernel.inbox")
        return {row["event_id"] for row in events} <= {row["event_id"] for row in heard}

    async def entries(self, **query: Any) -> list[dict[str, Any]]:
        """The newest entries that a query finds."""
        answer = await self.http.get(
            "/v1/audit-entries", params=query, headers={"Authorization": f"Bearer {self.key}"}
        )
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["items"]
        return found


def _encode(body: Any) -> bytes:
    return json.dumps(body).encode()


async def open_shop(
    database: Database, folder: Path, home: Home = POOLED
) -> AsyncIterator[AuditedShop]:
    """A shop with goods on its shelves."""
    zone = Zone()
    with serve_zone(zone) as port:
        house = House(
            database, folder, home=home, dns_servers=f"127.0.0.1#{port}", argon2_memory_kib=8192,
            argon2_passes=1,
        )  # fmt: skip
        await house.open()
        await house.offer("tent", "lamp")
        await house.receive(tent=50, lamp=50)
        issued = await house.composition.tenancy.create_key(
            house.tenant, label="staff", scopes=SCOPES
        )
        app: Any = build_app(Settings(), house.composition)
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False, client=(PEER, 4711))
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as http:
            shop = AuditedShop(house, http, issued.key, issued.id)
            shop.zone = zone
            try:
                async with shop.stack:
                    yield shop
            finally:
                await house.composition.close()


async def verdict_of(shop: AuditedShop, held: HeadView | None = None) -> Verified:
    async for _, _, verdict in shop.house.composition.audit.verify(shop.house.tenant, held=held):
        if verdict is not None:
            found: Verified = verdict
            return found
    raise AssertionError("verifying has no end")


async def make_products(shop: AuditedShop, count: int) -> list[dict[str, Any]]:
    made = []
    for number in range(count):
        variant = {"sku": f"ROPE-{number}", "prices": [{"currency": "USD", "amount_minor": 700}]}
        body = {"title": f"Rope {number}", "variants": [variant]}
        made.append(await shop.do("POST", "/v1/products", body))
    return made


async def _order(shop: AuditedShop, **more: Any) -> dict[str, Any]:
    body = {"currency": "USD", "lines": [{"sku": "tent", "quantity": 2}], **more}
    placed: dict[str, Any] = await shop.do("POST", "/v1/orders", body)
    return placed


async def _paid(shop: AuditedShop) -> dict[str, Any]:
    return await _order(shop, payment={"card": cards.APPROVED}, email="buyer@example.com")


async def _product(shop: AuditedShop) -> dict[str, Any]:
    sku = f"S-{ids.new_id().hex[-8:]}"
    body = {
        "title": f"Rope {sku}",
        "variants": [{"sku": sku, "prices": [{"currency": "USD", "amount_minor": 700}]}],
    }
    made: dict[str, Any] = await shop.do("POST", "/v1/products", body)
    return made


async def _shipped(shop: AuditedShop) -> tuple[dict[str, Any], str]:
    order = await _paid(shop)
    sent = await shop.do("POST", f"/v1/orders/{order['id']}/dispatch", {})
    return order, sent["id"]


Asked = tuple[str, Any, dict[str, str]]
"""The path of a request, its body and its headers."""
Scenario = Callable[[AuditedShop], Awaitable[Asked]]


async def _state(shop: AuditedShop, word: str) -> Asked:
    made = await _product(shop)
    if word == "draft":
        await shop.do("POST", f"/v1/products/{made['id']}/publish", if_match="*")
    return f"/v1/products/{made['id']}/{word}", None, {"if_match": "*"}


async def post_product(_: AuditedShop) -> Asked:
    return "/v1/products", {"title": "Rope", "variants": [{"sku": "ROPE", "prices": []}]}, {}


async def post_products(_: AuditedShop) -> Asked:
    item = {"title": "Peg", "variants": [{"sku": "PEG", "prices": []}]}
    return "/v1/products:batch", {"products": [item]}, {}


async def post_import(_: AuditedShop) -> Asked:
    text = b"handle,title,status,sku,price\nmat,Mat,draft,MAT,9.00\n"
    return "/v1/imports?currency=USD&layout=serai", text, {"content_type": "text/csv"}


async def patch_product(shop: AuditedShop) -> Asked:
    made = await _product(shop)
    return f"/v1/products/{made['id']}", {"title": "Thick rope"}, {"if_match": '"1"'}


async def post_variant(shop: AuditedShop) -> Asked:
    made = await shop.do(
        "POST", "/v1/products",
        {"title": "Bag", "option_names": ["size"],
         "variants": [{"sku": "bag", "options": {"size": "S"}, "prices": []}]},
    )  # fmt: skip
    body = {"sku": "bag-l", "options": {"size": "L"}, "prices": []}
    return f"/v1/products/{made['id']}/variants", body, {}


async def patch_variant(shop: AuditedShop) -> Asked:
    made = await _product(shop)
    variant = made["variants"][0]
    path = f"/v1/variants/{variant['id']}"
    return path, {"barcode": "4006381333931"}, {"if_match": f'"{variant["version"]}"'}


async def put_prices(shop: AuditedShop) -> Asked:
    variant = (await _product(shop))["variants"][0]
    body = {"prices": [{"currency": "USD", "amount_minor": 650}]}
    return f"/v1/variants/{variant['id']}/prices", body, {"if_match": f'"{variant["version"]}"'}


async def post_category(_: AuditedShop) -> Asked:
    return "/v1/categories", {"path": "Camp > Ropes"}, {}


async def post_receipt(_: AuditedShop) -> Asked:
    return "/v1/stock-receipts", {"moves": [{"sku": "tent", "quantity": 5}]}, {}


async def post_write_off(_: AuditedShop) -> Asked:
    return "/v1/stock-write-offs", {"moves": [{"sku": "tent", "quantity": 1}]}, {}


async def post_transfer(shop: AuditedShop) -> Asked:
    await shop.do("POST", "/v1/locations", {"code": "attic", "name": "Attic"})
    body = {"sku": "lamp", "quantity": 3, "from_location": "main", "to_location": "attic"}
    return "/v1/stock-transfers", body, {}


async def post_location(_: AuditedShop) -> Asked:
    return "/v1/locations", {"code": "cellar", "name": "Cellar"}, {}


async def post_reservation(_: AuditedShop) -> Asked:
    return "/v1/reservations", {"wants": [{"sku": "lamp", "quantity": 1}]}, {}


async def delete_reservation(shop: AuditedShop) -> Asked:
    made = await shop.do("POST", "/v1/reservations", {"wants": [{"sku": "lamp", "quantity": 1}]})
    return f"/v1/reservations/{made['id']}", None, {}


async def post_order(_: AuditedShop) -> Asked:
    lines = [{"sku": "tent", "quantity": 1}]
    payment = {"card": cards.APPROVED}
    body = {"currency": "USD", "lines": lines, "payment": payment, "email": "buyer@example.com"}
    return "/v1/orders", body, {}


async def post_cancel(shop: AuditedShop) -> Asked:
    order = await _paid(shop)
    return f"/v1/orders/{order['id']}/cancel", None, {}


async def post_payment(shop: AuditedShop) -> Asked:
    order = await _order(shop)
    return f"/v1/orders/{order['id']}/payment", {"card": cards.APPROVED}, {}


async def post_capture(shop: AuditedShop) -> Asked:
    order = await _order(shop, payment={"card": cards.APPROVED, "capture": "manual"})
    return f"/v1/payments/{order['id']}/captures", {}, {}


async def post_refund(shop: AuditedShop) -> Asked:
    order = await _paid(shop)
    return f"/v1/payments/{order['id']}/refunds", {"amount_minor": 5, "reason": "scratch"}, {}


async def post_dispatch(shop: AuditedShop) -> Asked:
    order = await _paid(shop)
    found = await shop.do("GET", f"/v1/shipments?order_id={order['id']}")
    return f"/v1/shipments/{found['items'][0]['id']}/dispatch", {}, {}


async def post_order_dispatch(shop: AuditedShop) -> Asked:
    order = await _paid(shop)
    return f"/v1/orders/{order['id']}/dispatch", {}, {}


async def post_tracking(shop: AuditedShop) -> Asked:
    _, shipment_id = await _shipped(shop)
    body = {"status": "in_transit", "occurred_at": "2026-11-21T12:00:00Z"}
    return f"/v1/shipments/{shipment_id}/tracking-events", body, {}


async def post_return(shop: AuditedShop) -> Asked:
    order, _ = await _shipped(shop)
    lines = [{"line_no": 1, "quantity": 1}]
    return "/v1/returns", {"order_id": order["id"], "lines": lines, "reason": "cracked"}, {}


async def post_resend(shop: AuditedShop) -> Asked:
    paid = await _paid(shop)
    found = await shop.do("GET", f"/v1/notifications?order_id={paid['id']}")
    message = found["items"][0]["id"]
    async with shop.house.database.transaction(shop.house.home, (shop.house.tenant,)) as tx:
        await tx.connection.execute(
            f"UPDATE {tx.prefix}notifications.messages SET status = 'failed' WHERE id = $1",
            UUID(message),
        )
    return f"/v1/notifications/{message}/resend", None, {}


async def put_template(_: AuditedShop) -> Asked:
    body = {"subject": "Yes: {order_id}", "text": "It is yours."}
    return "/v1/notification-templates/order_confirmed", body, {"if_match": "*"}


async def post_key(_: AuditedShop) -> Asked:
    return "/v1/api-keys", {"scopes": ["orders:read"], "label": "till"}, {}


async def delete_key(shop: AuditedShop) -> Asked:
    made = await shop.do("POST", "/v1/api-keys", {"scopes": ["orders:read"]})
    return f"/v1/api-keys/{made['id']}", None, {}


async def put_signer(shop: AuditedShop) -> Asked:
    made = await shop.do("POST", "/v1/api-keys", {"scopes": ["orders:read"]})
    body = {"signer": pem_of(Ed25519PrivateKey.generate())}
    return f"/v1/api-keys/{made['id']}/signer", body, {}


SCENARIOS: dict[tuple[str, str], Scenario] = {
    ("POST", "/v1/products"): post_product,
    ("POST", "/v1/products:batch"): post_products,
    ("POST", "/v1/imports"): post_import,
    ("PATCH", "/v1/products/{product_id}"): patch_product,
    ("POST", "/v1/products/{product_id}/publish"): lambda shop: _state(shop, "publish"),
    ("POST", "/v1/products/{product_id}/archive"): lambda shop: _state(shop, "archive"),
    ("POST", "/v1/products/{product_id}/draft"): lambda shop: _state(shop, "draft"),
    ("POST", "/v1/products/{product_id}/variants"): post_variant,
    ("PATCH", "/v1/variants/{variant_id}"): patch_variant,
    ("PUT", "/v1/variants/{variant_id}/prices"): put_prices,
    ("POST", "/v1/categories"): post_category,
    ("POST", "/v1/stock-receipts"): post_receipt,
    ("POST", "/v1/stock-write-offs"): post_write_off,
    ("POST", "/v1/stock-transfers"): post_transfer,
    ("POST", "/v1/locations"): post_location,
    ("POST", "/v1/reservations"): post_reservation,
    ("DELETE", "/v1/reservations/{reservation_id}"): delete_reservation,
    ("POST", "/v1/orders"): post_order,
    ("POST", "/v1/orders/{order_id}/cancel"): post_cancel,
    ("POST", "/v1/orders/{order_id}/payment"): post_payment,
    ("POST", "/v1/payments/{intent_id}/captures"): post_capture,
    ("POST", "/v1/payments/{intent_id}/refunds"): post_refund,
    ("POST", "/v1/shipments/{shipment_id}/dispatch"): post_dispatch,
    ("POST", "/v1/orders/{order_id}/dispatch"): post_order_dispatch,
    ("POST", "/v1/shipments/{shipment_id}/tracking-events"): post_tracking,
    ("POST", "/v1/returns"): post_return,
    ("POST", "/v1/notifications/{notification_id}/resend"): post_resend,
    ("PUT", "/v1/notification-templates/{kind}"): put_template,
    ("POST", "/v1/api-keys"): post_key,
    ("DELETE", "/v1/api-keys/{key_id}"): delete_key,
    ("PUT", "/v1/api-keys/{key_id}/signer"): put_signer,
}
"""What is asked of each route so that it changes something; a route that writes is in it."""
