"""A made-up run in which every promise held, to be broken by tests one promise at a time."""

import json
from typing import Any

import msgspec

from serai.cli.check import Outcome, Report
from serai.cli.prove.history import Attempt, Deed, History, ProbeSight, Sight, Story, Strike
from serai.cli.prove.invariants import Case
from serai.cli.prove.plan import Buyer, Fault, Goods, Plan, Wanted
from serai.cli.prove.witness import (
    ChargeSeen,
    Evidence,
    MessageSeen,
    OrderSeen,
    PaymentSeen,
    Remains,
    ReturnedUnits,
    ReturnSeen,
    ShipmentSeen,
    StockSeen,
)

PRICE = 1000
BOUGHT, REFUSED, HELD, UNDONE, LEFT = "o-bought", "o-refused", "o-held", "o-undone", "o-left"


def attempt(status: int = 201, said: Any = None, **changes: Any) -> Attempt:
    text = said if isinstance(said, str) else json.dumps(said)
    return msgspec.structs.replace(Attempt(1.0, 0.1, "api-1", status, text), **changes)


def placed(order_id: str) -> Attempt:
    return attempt(said={"id": order_id, "status": "placed"})


def story(number: int, order_id: str | None, *deeds: Deed, **buyer: Any) -> Story:
    """A buyer of one lamp whose order was placed, and what else she did."""
    wants = buyer.pop("lines", (Wanted("lamp", 1),))
    first = [] if order_id is None else [placed(order_id)]
    place = Deed("place", f"place-{number}", first)
    return Story(
        Buyer(number=number, at_s=1.0, lines=wants, **buyer), [place, *deeds], [], order_id
    )


def order(number: int, order_id: str, status: str, **changes: Any) -> OrderSeen:
    seen = OrderSeen(order_id, status, None, PRICE, 0, 0, f"buyer-{number:05d}")
    return msgspec.structs.replace(seen, **changes)


def charge(order_id: str, *, captured: int = PRICE, refunded: int = 0, **more: Any) -> ChargeSeen:
    seen = ChargeSeen(f"k-{order_id}", order_id, "captured", PRICE, captured, refunded)
    return msgspec.structs.replace(seen, **more)


def a_plan() -> Plan:
    return Plan(7, 60.0, (Goods("lamp", PRICE, 3),), (), ())


def a_history() -> History:
    """Three lamps: one sent back, one captured by hand, one cancelled, one for who hung up."""
    kill = Fault(number=0, at_s=2.0, kind="api_killed", target="api-1", for_s=0.5)
    bought = story(
        0, BOUGHT, Deed("return", "return-0", [attempt(said={"id": "r-1"})]), returns_units=1
    )
    bought.sights.append(Sight(1.5, "confirmed"))
    refused = story(1, REFUSED, twins=2)
    refused.deeds[0].attempts.append(placed(REFUSED))
    held = story(
        2, HELD, Deed("capture", "capture-2", [attempt(202, {"id": HELD})]), is_manual=True
    )
    undone = story(3, UNDONE, Deed("cancel", "cancel-3", [attempt(202, {"id": UNDONE})]))
    left = story(4, None, leaves="for_good")
    left.deeds[0].attempts.append(attempt(0, "the buyer hung up"))
    probe = story(5, None, is_probe=True)
    return History(
        [bought, refused, held, undone, left, probe],
        [Strike(kill, 2.01, "process 1")],
        [],
        [ProbeSight("api-1", 2.5, 2.6), ProbeSight("api-2", 2.5, 2.6)],
    )


def evidence() -> Evidence:
    """What is so at the end of that run."""
    confirmed = [(BOUGHT, 0), (HELD, 2), (LEFT, 4)]
    returned = ReturnSeen("r-1", BOUGHT, "refunded", PRICE, True, [ReturnedUnits("lamp", 1)])  # noqa: FBT003 - a row
    return Evidence(
        orders=[
            *(order(number, order_id, "confirmed") for order_id, number in confirmed),
            order(1, REFUSED, "cancelled", reason="out_of_stock"),
            order(3, UNDONE, "cancelled", reason="requested"),
        ],
        payments=[PaymentSeen(BOUGHT, "captured", PRICE, 0, PRICE)],
        returns=[returned],
        stock=[StockSeen("lamp", 3, 1, 0, 2, 0)],
        messages=[
            *(MessageSeen(order_id, "order_confirmed") for order_id, _ in confirmed),
            MessageSeen(BOUGHT, "refund_settled"),
            MessageSeen(REFUSED, "order_cancelled"),
            MessageSeen(UNDONE, "order_cancelled"),
        ],
        shipments=[
            *(ShipmentSeen(f"s-{order_id}", order_id, "pending") for order_id, _ in confirmed),
            ShipmentSeen("s-undone", UNDONE, "cancelled"),
        ],
        book=[
            charge(BOUGHT, refunded=PRICE),
            charge(HELD),
            charge(UNDONE, refunded=PRICE),
            charge(LEFT),
        ],
        remains=Remains(),
        repeated=[],
        check=Report(is_clean=True, tenants=1, checks=[Outcome("orders", "orders", "Sums.", [])]),
    )


def a_case(history: History | None = None, **changes: Any) -> Case:
    """The run, with some of its evidence changed."""
    seen = msgspec.structs.replace(evidence(), **changes)
    return Case(a_plan(), history or a_history(), seen)
