"""A tenant's shop in the words that attackers use: each is one request of the public API."""

from collections.abc import Mapping
from typing import Any, Final

from serai.cli.prove.attacks.session import Reply, Session

CURRENCY: Final = "USD"
PRICE_MINOR: Final = 1_000
APPROVED: Final = "4000009901000003"
"""The sandbox's card that is approved at once; what each card does stands in its own table."""
LATE: Final = "4000009907000007"
"""The card whose charge is decided later, so that the callback comes before the look-up."""
MAIN: Final = "main"

Moves = list[dict[str, Any]]


class Shop:
    """What the sessions of one tenant do and see."""

    def __init__(self, session: Session) -> None:
        self.session = session

    # ------------------------------------------------------------------------------- what they do

    async def offer(self, skus: Mapping[str, int], *, price_minor: int = PRICE_MINOR) -> Reply:
        """Publishes a product with a variant for each SKU, and receives its units."""
        first = next(iter(skus))
        variants = [
            {
                "sku": sku,
                "options": {"kind": sku},
                "prices": [{"currency": CURRENCY, "amount_minor": price_minor}],
            }
            for sku in skus
        ]
        product = {
            "title": f"Bait {first}",
            "handle": first.lower(),
            "status": "published",
            "option_names": ["kind"],
            "variants": variants,
        }
        made = await self.session.post("/v1/products", product)
        moves = [{"sku": sku, "quantity": units} for sku, units in skus.items() if units]
        if made.is_done and moves:
            await self.session.post("/v1/stock-receipts", {"moves": moves})
        return made

    async def place(
        self,
        wants: Mapping[str, int],
        *,
        card: str | None = APPROVED,
        is_manual: bool = False,
        reference: str | None = None,
        key: str | None = None,
    ) -> Reply:
        """Places an order; without a card it waits for one."""
        lines = [{"sku": sku, "quantity": units} for sku, units in wants.items()]
        body: dict[str, Any] = {"currency": CURRENCY, "lines": lines, "reference": reference}
        if card is not None:
            body["payment"] = {"card": card, "capture": "manual" if is_manual else "automatic"}
        return await self.session.post("/v1/orders", body, key=key)

    async def pay(self, order_id: str, card: str = APPROVED) -> Reply:
        return await self.session.post(f"/v1/orders/{order_id}/payment", {"card": card})

    async def cancel(self, order_id: str) -> Reply:
        return await self.session.post(f"/v1/orders/{order_id}/cancel")

    async def dispatch(self, order_id: str, units: int | None = None) -> Reply:
        """Sends what waits for an order, or so many units of its first line."""
        lines = None if units is None else [{"line_no": 1, "quantity": units}]
        return await self.session.post(f"/v1/orders/{order_id}/dispatch", {"lines": lines})

    async def take_back(self, order_id: str, units: int, *, line_no: int = 1) -> Reply:
        lines = [{"line_no": line_no, "quantity": units}]
        return await self.session.post("/v1/returns", {"order_id": order_id, "lines": lines})

    async def refund(self, order_id: str, amount_minor: int) -> Reply:
        body = {"amount_minor": amount_minor}
        return await self.session.post(f"/v1/payments/{order_id}/refunds", body)

    async def capture(self, order_id: str, amount_minor: int | None = None) -> Reply:
        body = {"amount_minor": amount_minor}
        return await self.session.post(f"/v1/payments/{order_id}/captures", body)

    async def receive(self, sku: str, units: int) -> Reply:
        moves = [{"sku": sku, "quantity": units}]
        return await self.session.post("/v1/stock-receipts", {"moves": moves})

    async def write_off(self, sku: str, units: int) -> Reply:
        moves = [{"sku": sku, "quantity": units}]
        return await self.session.post("/v1/stock-write-offs", {"moves": moves})

    async def open_location(self, code: str) -> Reply:
        return await self.session.post("/v1/locations", {"code": code, "name": code})

    async def transfer(self, sku: str, units: int, *, to: str) -> Reply:
        body = {"sku": sku, "quantity": units, "from_location": MAIN, "to_location": to}
        return await self.session.post("/v1/stock-transfers", body)

    async def reserve(self, *wants: tuple[str, int]) -> Reply:
        body = {"wants": [{"sku": sku, "quantity": units} for sku, units in wants]}
        return await self.session.post("/v1/reservations", body)

    async def release(self, reservation_id: str) -> Reply:
        return await self.session.change("DELETE", f"/v1/reservations/{reservation_id}")

    async def retitle(self, product_id: str, title: str, *, version: str) -> Reply:
        body = {"title": title}
        return await self.session.change(
            "PATCH", f"/v1/products/{product_id}", body, version=version
        )

    async def reprice(self, variant_id: str, price_minor: int, *, version: str) -> Reply:
        body = {"prices": [{"currency": CURRENCY, "amount_minor": price_minor}]}
        return await self.session.change(
            "PUT", f"/v1/variants/{variant_id}/prices", body, version=version
        )

    async def archive(self, product_id: str) -> Reply:
        return await self.session.post(f"/v1/products/{product_id}/archive")

    # ------------------------------------------------------------------------------ what they see

    async def order(self, order_id: str) -> dict[str, Any]:
        return await self._body(f"/v1/orders/{order_id}")

    async def payment(self, order_id: str) -> dict[str, Any]:
        """The payment of an order; empty where there is none yet."""
        reply = await self.session.read(f"/v1/payments/{order_id}")
        return reply.body if reply.is_done else {}

    async def product(self, product_id: str) -> dict[str, Any]:
        return await self._body(f"/v1/products/{product_id}")

    async def orders_of(self, reference: str) -> list[dict[str, Any]]:
        return await self._items("/v1/orders", reference=reference)

    async def shipments_of(self, order_id: str) -> list[dict[str, Any]]:
        return await self._items("/v1/shipments", order_id=order_id)

    async def returns_of(self, order_id: str) -> list[dict[str, Any]]:
        return await self._items("/v1/returns", order_id=order_id)

    async def stock(self, sku: str) -> dict[str, int]:
        """The units of a SKU by where they are, over all locations."""
        items = await self._items("/v1/stock-items", sku=sku)
        names = ("received", "available", "reserved", "sold", "written_off")
        return {name: sum(item[name] for item in items) for name in names}

    async def _items(self, path: str, **query: str | int) -> list[dict[str, Any]]:
        return list((await self._body(path, **query))["items"])

    async def _body(self, path: str, **query: str | int) -> dict[str, Any]:
        reply = await self.session.read(path, **query)
        assert reply.is_done, f"GET {path} was answered {reply.status}: {reply.body}"
        body: dict[str, Any] = reply.body
        return body
