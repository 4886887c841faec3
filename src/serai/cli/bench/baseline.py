"""The careful baseline: the same orders over the same HTTP framework, one transaction for each.

It is what a good engineer writes without batches: keys are idempotent, prices are the catalog's,
stock is locked in SKU order and never goes negative, what happened is in an outbox, and every
statement is prepared and set-based. It is spared the walls between tenants and the whole saga that
follows an order, which makes it quicker than a service that did the same work would be.

Its own process (`python -m serai.cli.bench.baseline FILE`): reads a Setting as JSON from the file,
makes its tables in an empty database and serves until SIGTERM or the end of its standard input.
"""

import asyncio
import gc
import hashlib
import os
import signal
import sys
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import asyncpg
import msgspec
import uvloop
from litestar import Litestar, Request, Response, get, post
from litestar.datastructures import State
from litestar.params import JSONBody

from serai.contexts.catalog.contract import Quote, Sku
from serai.contexts.inventory.contract import OutOfStock
from serai.contexts.orders.contract import (
    LINES_MAX,
    QUANTITY_MAX,
    OrderedLine,
    OrderPlaced,
    OrderView,
    UnknownSku,
)
from serai.kernel import ids, money, queries
from serai.kernel.actor import Actor
from serai.kernel.edge import edge
from serai.kernel.failure import IdempotencyKeyReused, Invalid
from serai.kernel.idempotency import Answer, Claim
from serai.kernel.problems import EXCEPTION_HANDLERS
from serai.kernel.tenant import POOLED
from serai.kernel.text import END, Email
from serai.kernel.web import (
    Principal,
    Unauthenticated,
    answer_with,
    claim_of,
    json_body,
    principal_of,
    requires,
    send,
)
from serai.roles.server import serve_app

POOL_CONNECTIONS = 20
KEY_VALID_S = 2.0
"""How long a key that was looked up is not looked up again."""
COMMAND_TIMEOUT_S = 10.0
SCOPES = ["orders:write"]

_SQL = queries.load("serai.cli.bench")
_TABLES = (
    _SQL.create_schema, _SQL.create_api_keys, _SQL.create_variants, _SQL.create_prices,
    _SQL.create_stock_items, _SQL.create_idempotency_keys, _SQL.create_orders, _SQL.create_lines,
    _SQL.create_outbox,
)  # fmt: skip
_encode = msgspec.json.Encoder(decimal_format="string").encode
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(Answer).decode


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """Where the baseline keeps its rows, where it listens and what it sells."""

    database_url: str
    host: str
    port: int
    api_key: str
    skus: tuple[str, ...]
    units: int
    """How many units of each SKU there are."""
    currency: str
    unit_price: Decimal


class LineBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line as the shop's own API takes it, but for prices given by staff."""

    sku: Sku
    quantity: Annotated[int, msgspec.Meta(ge=1, le=QUANTITY_MAX)]


class PaymentBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the order is paid with."""

    card: Annotated[
        str, msgspec.Meta(min_length=1, max_length=32, pattern=rf"^[A-Za-z0-9_-]+{END}")
    ]


class PlaceOrderBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An order as the shop's own API takes it."""

    currency: Annotated[str, msgspec.Meta(pattern=rf"^[A-Z]{{3}}{END}")]
    lines: Annotated[tuple[LineBody, ...], msgspec.Meta(min_length=1, max_length=LINES_MAX)]
    payment: PaymentBody
    email: Email


class Priced(msgspec.Struct, frozen=True):
    """The lines of an order at the catalog's prices, as columns."""

    skus: list[str]
    quantities: list[int]
    unit_prices: list[Decimal]
    amounts_minor: list[int]
    total_minor: int


def price_lines(body: PlaceOrderBody, quotes: dict[str, Quote]) -> Priced:
    """Prices an order, or refuses it as the shop would."""
    prices: list[Decimal] = []
    for line in body.lines:
        quote = quotes.get(line.sku)
        if quote is None or quote.status != "published" or quote.unit_price is None:
            raise UnknownSku("the catalog does not sell this SKU", sku=line.sku)
        prices.append(quote.unit_price)
    amounts = [
        money.extend(price, line.quantity, body.currency)
        for line, price in zip(body.lines, prices, strict=True)
    ]
    return Priced(
        [line.sku for line in body.lines],
        [line.quantity for line in body.lines],
        prices,
        amounts,
        sum(amounts),
    )


def want_units(priced: Priced) -> dict[str, int]:
    """The units of each SKU; one that stands on two lines is wanted once."""
    wants: dict[str, int] = {}
    for sku, quantity in zip(priced.skus, priced.quantities, strict=True):
        wants[sku] = wants.get(sku, 0) + quantity
    return wants


class Keys:
    """`Authenticator` over the baseline's own table, with a short memory like the shop's."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._known: dict[bytes, tuple[Principal, float]] = {}

    async def authenticate(self, token: str) -> Principal:
        """Whose key this is; refuses any other."""
        digest = hashlib.sha256(token.encode()).digest()
        known = self._known.get(digest)
        if known is not None and time.monotonic() < known[1]:
            return known[0]
        row = await self._pool.fetchrow(_SQL.find_api_key.text(""), digest)
        if row is None:
            raise Unauthenticated("this API key is not valid")
        actor = Actor("key", row["key_id"])
        who = Principal(row["tenant_id"], POOLED, actor, frozenset(row["scopes"]))
        self._known[digest] = (who, time.monotonic() + KEY_VALID_S)
        return who


class Till:
    """Places orders, one transaction for each."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def place(self, tenant_id: UUID, body: PlaceOrderBody, claim: Claim) -> Answer:
        """The whole order or none of it; under a known key, what was answered before."""
        now = datetime.now(UTC)
        async with self._pool.acquire() as connection, connection.transaction():
            mine = await connection.fetchval(
                _SQL.claim_key.text(""), tenant_id, claim.key, claim.fingerprint, now
            )
            if mine is None:
                return await self._repeat(connection, tenant_id, claim)
            priced = await self._price(connection, tenant_id, body)
            await self._reserve(connection, tenant_id, want_units(priced))
            view = await self._write(connection, tenant_id, body, priced, now)
            answer = answer_with(view, status=201, location=f"/v1/orders/{view.id}", version=1)
            await connection.execute(
                _SQL.store_answer.text(""), tenant_id, claim.key, _pack(answer)
            )
            return answer

    async def _repeat(self, connection: Any, tenant_id: UUID, claim: Claim) -> Answer:
        row = await connection.fetchrow(_SQL.find_answer.text(""), tenant_id, claim.key)
        if row["fingerprint"] != claim.fingerprint:
            raise IdempotencyKeyReused("this key was used for another request")
        return _unpack(row["answer"])

    async def _price(self, connection: Any, tenant_id: UUID, body: PlaceOrderBody) -> Priced:
        skus = [line.sku for line in body.lines]
        rows = await connection.fetch(_SQL.list_quotes.text(""), tenant_id, skus, body.currency)
        quotes = {
            row["sku"]: Quote(status=row["status"], title="", unit_price=row["unit_price"])
            for row in rows
        }
        return price_lines(body, quotes)

    async def _reserve(self, connection: Any, tenant_id: UUID, wants: dict[str, int]) -> None:
        rows = await connection.fetch(_SQL.lock_stock_items.text(""), tenant_id, list(wants))
        available = {row["sku"]: row["available"] for row in rows}
        for sku, quantity in wants.items():
            if available.get(sku, 0) < quantity:
                raise OutOfStock("not every line can be filled", sku=sku)
        await connection.execute(
            _SQL.reserve_stock.text(""), tenant_id, list(wants), list(wants.values())
        )

    async def _write(
        self, connection: Any, tenant_id: UUID, body: PlaceOrderBody, priced: Priced, now: datetime
    ) -> OrderView:
        order_id, card, total = ids.new_id(), body.payment.card, priced.total_minor
        await connection.execute(
            _SQL.insert_order.text(""), tenant_id, order_id, body.currency, total, card, body.email,
            now,
        )  # fmt: skip
        numbers = list(range(1, len(priced.skus) + 1))
        await connection.execute(
            _SQL.insert_lines.text(""), tenant_id, order_id, numbers, priced.skus,
            priced.quantities, priced.unit_prices, priced.amounts_minor,
        )  # fmt: skip
        goods = tuple(map(OrderedLine, numbers, priced.skus, priced.quantities))
        placed = OrderPlaced(order_id, body.currency, total, card, False, goods)  # noqa: FBT003
        await connection.execute(
            _SQL.append_event.text(""), tenant_id, ids.new_id(), order_id, now,
            _encode(placed).decode(),
        )  # fmt: skip
        return OrderView(
            order_id, "placed", None, body.currency, total, 0, 0, None, None, body.email, now, None,
            1,
        )  # fmt: skip


def build_app(pool: Any) -> Litestar:
    """The baseline over HTTP: the shop's own edge, problems and strict decoding."""
    till = Till(pool)

    @get("/readyz")
    async def read_readiness() -> Response[bytes]:
        return Response(b"{}", media_type="application/json")

    @post(
        "/v1/orders",
        guards=[requires("orders:write")],
        dto=json_body(PlaceOrderBody),
        return_dto=None,
    )
    async def place_order(
        request: Request[Any, Any, Any], data: JSONBody[PlaceOrderBody]
    ) -> Response[bytes]:
        claim = claim_of(request, await request.body())
        if claim is None or not money.is_currency(data.currency):
            raise Invalid(f"{data.currency} is not an active ISO 4217 currency")
        return send(await till.place(principal_of(request).tenant_id, data, claim))

    return Litestar(
        route_handlers=[read_readiness, place_order],
        middleware=[edge],
        exception_handlers=EXCEPTION_HANDLERS,
        openapi_config=None,
        state=State({"authenticator": Keys(pool)}),
    )


async def furnish(connection: Any, setting: Setting) -> UUID:
    """Makes the tables and fills them for one tenant; returns its id."""
    tenant_id = ids.new_id()
    digest = hashlib.sha256(setting.api_key.encode()).digest()
    skus = list(setting.skus)
    async with connection.transaction():
        for statement in _TABLES:
            await connection.execute(statement.text(""))
        await connection.execute(
            _SQL.insert_api_key.text(""), digest, ids.new_id(), tenant_id, SCOPES
        )
        await connection.execute(_SQL.insert_variants.text(""), tenant_id, skus)
        await connection.execute(
            _SQL.insert_prices.text(""), tenant_id, skus, setting.currency, setting.unit_price
        )
        await connection.execute(_SQL.insert_stock_items.text(""), tenant_id, skus, setting.units)
    return tenant_id


async def _keep_as_is(_connection: Any) -> None:
    """No session state outside a transaction, so a reset would be a wasted trip."""


async def serve(setting: Setting) -> None:
    """Furnishes the database and serves until SIGTERM."""
    async with asyncpg.create_pool(
        setting.database_url,
        min_size=POOL_CONNECTIONS,
        max_size=POOL_CONNECTIONS,
        command_timeout=COMMAND_TIMEOUT_S,
        max_inactive_connection_lifetime=0,
        reset=_keep_as_is,
        server_settings={"jit": "off"},
    ) as pool:
        async with pool.acquire() as connection:
            await furnish(connection, setting)
        # What was imported and built lives as long as we do, as in the shop's own processes.
        gc.collect()
        gc.freeze()
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        # Whoever started us holds the other end: when that closes, nobody is left to stop us.
        loop.add_reader(sys.stdin.fileno(), stop.set)
        await serve_app(build_app(pool), host=setting.host, port=setting.port, stop=stop)


async def count_oversold(database_url: str) -> int:
    """The units that the baseline promised and did not have."""
    connection = await asyncpg.connect(database_url)
    try:
        oversold: int = await connection.fetchval(_SQL.count_oversold.text(""))
        return oversold
    finally:
        await connection.close()


def main() -> None:
    """Reads the Setting that is named and serves."""
    setting = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Setting)
    uvloop.run(serve(setting))
    # Threads of the HTTP server outlive it by a moment; tearing the interpreter down under them
    # would abort the process.
    os._exit(0)


if __name__ == "__main__":
    main()
