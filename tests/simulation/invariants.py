"""What must hold when a history is at rest: tables, the provider's book and the clients' memory.

Written without a look at the product's own checks: the same question asked twice in one way would
get the same wrong answer twice.
"""

import collections
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import msgspec

from serai.contexts.payments.gateways.sandbox_wire import BookLine
from serai.kernel import events
from tests.simulation.buyers import RISE_MINOR, Buyers
from tests.simulation.plan import PRICES_MINOR
from tests.simulation.rows import Row
from tests.simulation.world import World

BOOK_MAX = 10_000
GONE = {"voided", "declined"}
"""How a charge of the provider's book ends without money."""

Finding = tuple[str, str]


def check_all(world: World, buyers: Buyers) -> None:
    """Asks everything; each violation is told to the world."""
    for check in _CHECKS:
        for invariant, detail in check(world, buyers):
            world.find(invariant, detail)


def unrest(world: World) -> str | None:
    """What is still on its way, if anything is."""
    rows = world.storage.rows
    looks: tuple[tuple[str, str, Callable[[Row], bool]], ...] = (
        ("flow", "kernel.flows", lambda r: r["ended_at"] is None),
        ("letter", "kernel.dead_letters", lambda _: True),
        ("order", "orders.orders", lambda r: r["status"] == "placed"),
        ("reservation", "inventory.reservations", lambda r: r["state"] == "reserved"),
        ("refund", "payments.refunds", lambda r: r["status"] in {"requested", "unknown"}),
        ("look", "payments.looks", lambda _: True),
        ("message", "notifications.messages", lambda r: r["status"] in {"queued", "sending"}),
        ("return", "returns.returns", lambda r: r["status"] == "accepted"),
        ("payment", "payments.intents", _is_open_intent),
    )
    for name, table, is_open in looks:
        for row in rows(table):
            if is_open(row):
                return f"{name} {_brief(row)}"
    heard = hearers(world)
    for row in rows("kernel.outbox"):
        for group in heard[row["type"]]:
            if (group, row["event_id"]) not in world.effects:
                return f"{group} has not handled {_brief(row)}"
    return None


def _is_open_intent(row: Row) -> bool:
    if row["status"] == "withdrawn":
        return not row["is_closed"] or row["captured_minor"] != row["refunded_minor"]
    return row["status"] in {"requested", "unknown"} or row["capture_asked_minor"] is not None


def hearers(world: World) -> dict[str, list[str]]:
    """The groups that hear each type of event."""
    heard: dict[str, list[str]] = collections.defaultdict(list)
    for consumer in world.living("api")[0].composition.consumers:
        for model in consumer.hears:
            heard[events.type_of(model).name].append(consumer.group)
    return heard


def _brief(row: Row) -> str:
    shown = ("type", "flow", "kind", "status", "state", "key", "id", "order_id", "event_id", "sku",
             "group_name", "error")  # fmt: skip
    return " ".join(f"{name}={row[name]}" for name in shown if row.get(name) is not None)


# ---------------------------------------------------------------------------------------- orders


def _acknowledged(world: World, buyers: Buyers) -> Iterator[Finding]:
    found: dict[tuple[UUID, str], list[UUID]] = collections.defaultdict(list)
    for row in world.storage.rows("orders.orders"):
        found[row["tenant_id"], row["reference"]].append(row["id"])
        if row["status"] == "placed":
            yield "every order reaches an end", _brief(row)
    for name, told in buyers.orders.items():
        made = found[told.tenant_id, name]
        if told.answers and told.thing_id not in made:
            yield "an acknowledged order exists", f"{name} {told.thing_id} is lost"
        if len(made) > 1:
            yield "an order is placed once", f"{name} is there {len(made)} times"


def _answers(_world: World, buyers: Buyers) -> Iterator[Finding]:
    for told in (*buyers.orders.values(), *buyers.steps.values()):
        # Whether an answer is told for the first time is all that may differ.
        given = {msgspec.structs.replace(answer, is_repeated=False) for answer in told.answers}
        if len(given) > 1:
            yield "one key has one answer", f"{told.key} got {told.answers}"
        if told.answers and told.refusals and told.refusals[-1] == "idempotency_key_reused":
            yield "one key has one answer", f"{told.key} was refused: {told.refusals}"


def _wishes(world: World, buyers: Buyers) -> Iterator[Finding]:
    orders = {row["id"]: row for row in world.storage.rows("orders.orders")}
    left: dict[UUID, int] = collections.Counter(
        row["order_id"]
        for row in world.storage.rows("shipping.shipments")
        if row["dispatched_at"] is not None
    )
    for name, told in buyers.steps.items():
        kind, _, order = name.partition(" ")
        placed = buyers.orders.get(order)
        if placed is None or placed.thing_id is None or not told.answers:
            continue
        row = orders.get(placed.thing_id)
        if row is None:
            continue
        if kind == "cancel" and row["status"] != "cancelled" and not left[row["id"]]:
            yield "a cancellation that was accepted is carried out", _brief(row)
        if kind == "ship" and not left[row["id"]]:
            yield "a parcel that was sent off is known", _brief(row)
    for row in orders.values():
        if row["status"] != "confirmed" and left[row["id"]]:
            yield "only what is paid for leaves", _brief(row)


# ----------------------------------------------------------------------------------------- goods


def _stock(world: World, buyers: Buyers) -> Iterator[Finding]:
    sold = _units_sold(world)
    received, written_off = _units_moved(buyers)
    for row in world.storage.rows("inventory.stock_items"):
        place = (row["tenant_id"], row["sku"])
        parts = {name: row[name] for name in ("available", "reserved", "sold", "written_off")}
        if min(parts.values()) < 0 or sum(parts.values()) != row["received"]:
            yield "every unit is somewhere", f"{row['sku']} {parts} of {row['received']}"
        if row["reserved"]:
            yield "no reservation is left over", f"{row['sku']} {parts}"
        if row["sold"] != sold[place]:
            yield "what is sold was ordered", f"{row['sku']} {parts}, orders say {sold[place]}"
        if sold[place] > row["received"]:
            yield "nothing is oversold", f"{row['sku']}: {sold[place]} of {row['received']}"
        if row["received"] != received[place] or row["written_off"] != written_off[place]:
            yield (
                "stock moves as it was answered",
                (
                    f"{row['sku']} received {row['received']}, told {received[place]}; "
                    f"written off {row['written_off']}, told {written_off[place]}"
                ),
            )
    statuses = {row["id"]: row["status"] for row in world.storage.rows("orders.orders")}
    for row in world.storage.rows("inventory.reservations"):
        status = statuses.get(row["order_id"])
        if row["state"] == "reserved":
            yield "no reservation is left over", _brief(row)
        elif (row["state"] == "sold") != (status == "confirmed"):
            yield "goods follow their order", f"{_brief(row)} of an order {status}"


def _units_sold(world: World) -> collections.Counter[tuple[UUID, str]]:
    sold: collections.Counter[tuple[UUID, str]] = collections.Counter()
    confirmed = {
        row["id"] for row in world.storage.rows("orders.orders") if row["status"] == "confirmed"
    }
    for row in world.storage.rows("orders.lines"):
        if row["order_id"] in confirmed:
            sold[row["tenant_id"], row["sku"]] += row["quantity"]
    for row in world.storage.rows("returns.returns"):
        if row["is_restocked"] and row["order_id"] in confirmed:
            for line in msgspec.json.decode(row["lines"]):
                sold[row["tenant_id"], line["sku"]] -= line["quantity"]
    return sold


def _units_moved(
    buyers: Buyers,
) -> tuple[collections.Counter[tuple[UUID, str]], collections.Counter[tuple[UUID, str]]]:
    received: collections.Counter[tuple[UUID, str]] = collections.Counter()
    written_off: collections.Counter[tuple[UUID, str]] = collections.Counter()
    for step in buyers.stock_steps():
        told = buyers.steps.get(step.name)
        if told is not None and told.answers:
            moved = received if step.kind == "receive" else written_off
            moved[told.tenant_id, step.sku] += step.quantity
    return received, written_off


# ----------------------------------------------------------------------------------------- money


def _money(world: World, _buyers: Buyers) -> Iterator[Finding]:
    page = world.book.page(after=0, limit=BOOK_MAX, now=world.timestamp())
    by_order: dict[str, list[BookLine]] = collections.defaultdict(list)
    for line in page.charges:
        by_order[line.reference].append(line)
    prices: collections.Counter[UUID] = collections.Counter()
    for row in world.storage.rows("orders.lines"):
        prices[row["order_id"]] += row["amount_minor"]
        each, rest = divmod(row["amount_minor"], row["quantity"])
        if (
            rest
            or each < PRICES_MINOR[row["sku"]]
            or (each - PRICES_MINOR[row["sku"]]) % RISE_MINOR
        ):
            yield "a line costs what the catalog asks", f"{row['sku']} costs {each}"
    intents = {row["order_id"]: row for row in world.storage.rows("payments.intents")}
    for row in world.storage.rows("orders.orders"):
        lines = by_order.pop(str(row["id"]), [])
        if row["total_minor"] != prices[row["id"]]:
            yield "an order costs what its lines cost", _brief(row)
        yield from _money_of(row, lines, intents.get(row["id"]))
    for reference in by_order:
        yield "no money without an order", reference


def _money_of(row: Row, lines: list[BookLine], intent: Row | None) -> Iterator[Finding]:
    live = [line for line in lines if line.status not in GONE]
    captured = sum(line.captured_minor for line in lines)
    refunded = sum(line.refunded_minor for line in lines)
    shown = f"{_brief(row)}: captured {captured}, refunded {refunded}, of {row['total_minor']}"
    if len(live) > 1 or captured > row["total_minor"]:
        yield "no order is charged twice", shown
    if row["status"] == "confirmed":
        if not live or live[0].authorised_minor != row["total_minor"]:
            yield "nothing is confirmed without money", shown
        if (row["captured_minor"], row["refunded_minor"]) != (captured, refunded):
            yield (
                "the order's book is the provider's",
                (f"{shown}; the order says {row['captured_minor']} and {row['refunded_minor']}"),
            )
    elif captured != refunded or any(line.captured_minor == 0 for line in live):
        yield "no order without goods keeps money", shown
    elif row["captured_minor"] != row["refunded_minor"]:
        yield "the order's book is the provider's", f"{shown}; {row['captured_minor']} is kept"
    if intent is not None and (
        (intent["captured_minor"], intent["refunded_minor"]) != (captured, refunded)
    ):
        yield "the payment's book is the provider's", f"{shown}; the payment says {_brief(intent)}"


def _returns(world: World, _buyers: Buyers) -> Iterator[Finding]:
    settled = {
        row["refund_id"]: row["amount_minor"]
        for row in world.storage.rows("payments.refunds")
        if row["status"] == "settled"
    }
    lines = {(r["order_id"], r["line_no"]): r for r in world.storage.rows("orders.lines")}
    for row in world.storage.rows("returns.returns"):
        paid = 0
        for returned in msgspec.json.decode(row["lines"]):
            line = lines[row["order_id"], returned["line_no"]]
            paid += line["amount_minor"] // line["quantity"] * returned["quantity"]
        if row["refund_minor"] != paid:
            yield "a return gives back what was paid", f"{_brief(row)}: {row['refund_minor']}"
        if row["status"] == "refunded" and settled.get(row["id"], 0) != row["refund_minor"]:
            yield "a return's money goes back", _brief(row)


# ---------------------------------------------------------------------------------------- events


def _effects(world: World, _buyers: Buyers) -> Iterator[Finding]:
    heard = hearers(world)
    for row in world.storage.rows("kernel.outbox"):
        for group in heard[row["type"]]:
            times = world.effects.get((group, row["event_id"]), 0)
            if times != 1:
                yield "every event has its effect once", f"{group} {times} times {_brief(row)}"
    for (group, topic, key), positions in world.orders_of_effects.items():
        if positions != sorted(positions):
            yield "a key's events keep their order", f"{group} {topic} {key}: {positions}"


def _ends(world: World, _buyers: Buyers) -> Iterator[Finding]:
    for row in world.storage.rows("kernel.flows"):
        if row["ended_at"] is None:
            yield "every flow ends", _brief(row)
    for row in world.storage.rows("kernel.dead_letters"):
        yield "no letter is dead without a bug", _brief(row)
    for message, error in world.loop.failures:
        yield "nothing fails unseen", f"{message}: {error!r}"
    for place, lock in world.storage.locks.items():
        assert lock.holder.is_open, f"the simulated database keeps a lock: {place}"


_CHECKS: tuple[Callable[[World, Buyers], Iterator[Any]], ...] = (
    _acknowledged, _answers, _wishes, _stock, _money, _returns, _effects, _ends,
)  # fmt: skip
