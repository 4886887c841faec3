"""Changes to say to both sides: what histories rarely do, what is forbidden, what comes twice."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

from tests.simulation.cases_reading import FIRST, LAST, LATER, LONG_AGO, NOBODY, Case, Scene
from tests.simulation.recording import Rows, Said

NOW = LATER - timedelta(days=1)
WORKER = UUID(int=99)
LINES = b'[{"line_no":1,"refund_minor":5}]'
PARCEL = b'[{"quantity":2},{"quantity":3}]'


def writing_cases(rows: Rows) -> Iterator[Case]:
    """Every statement that writes; what fails stands alone, for it undoes its transaction."""
    scene = Scene(rows)
    tenant, other = (*scene.tenants, NOBODY)[:2]
    for said in (*_kernel(scene), *_orders(tenant), *_stock(tenant), *_money(tenant)):
        yield Case(scene.tenants, (said,))
    for said in (*_parcels(tenant), *_messages(tenant)):
        yield Case(scene.tenants, (said,))
    for said in _letters(scene):
        yield Case(scene.tenants, (said,), is_transport=True)
    yield from _behind_the_wall(tenant, other)


def new(name: str) -> UUID:
    """An id that only the cases use."""
    return uuid5(NOBODY, name)


A, B, C = new("a"), new("b"), new("c")
"""Orders that only the cases know."""


def _behind_the_wall(tenant: UUID, other: UUID) -> Iterator[Case]:
    """What a transaction may not write, or does not see."""
    strange = ("kernel.insert_inbox", "orders", [other], [new("strange")], NOW)
    yield Case((tenant,), (strange,))
    yield Case((), (strange,))
    yield Case((other,), (strange,))
    # Another tenant's mark is not seen, and stands in the way all the same.
    yield Case((tenant,), (("kernel.insert_inbox", "orders", [tenant], [new("strange")], NOW),))
    yield Case((), (("kernel.drop_letters", None, new("strange"), NOW),))
    yield Case((tenant,), (strange,), is_read_only=True)
    yield Case((other,), (("contexts.orders.keep_orders", [tenant], [A]),))
    yield Case((tenant,), (("contexts.orders.lock_orders", [tenant], [A]),), is_read_only=True)
    yield Case((tenant,), (("kernel.delete_letter", "orders", NOBODY),), is_read_only=True)


def _kernel(scene: Scene) -> Iterator[Said]:
    tenant = scene.tenants[0]
    yield "kernel.ensure_group", "cases", ["orders.orders", "payments.payments"], 4
    yield "kernel.ensure_group", "cases", ["orders.orders", "shipping.shipments"], 5
    yield "kernel.beat_members", ["orders", "cases"], WORKER
    yield "kernel.beat_members", ["cases"], WORKER
    yield "kernel.claim_leases", "cases", WORKER, 2, 2.0
    yield "kernel.claim_leases", "cases", WORKER, 2, 0.0
    yield "kernel.claim_leases", "cases", NOBODY, 9, 2.0
    yield "kernel.renew_leases", WORKER, 2.0
    for group, places in (("cases", [0]), ("cases", None), (None, None)):
        yield "kernel.release_leases", NOBODY, group, places
    yield "kernel.claim_leases", "cases", WORKER, 3, 2.0
    places, fences = [0, 1, 2, 3], [2, 2, 9, 3]
    topics = ["orders.orders", "orders.orders", "payments.payments", "nothing"]
    seqs = [3, 4, 5, 6]
    xids = [str(row["xid"]) for row in scene.rows["kernel.outbox"][:4]]
    yield "kernel.move_positions", "cases", WORKER, places, fences, topics, places, xids, seqs
    yield "kernel.move_positions", "cases", WORKER, places, fences, topics, places, xids, seqs
    yield "kernel.move_positions", "cases", NOBODY, places, fences, topics, places, xids, seqs
    reader = ["orders.orders", "orders.orders", "nothing"], [0, 3, 0]
    begin, later = (["0"] * 3, [0] * 3), (xids[:3], [3, 4, 5])
    for _ in range(2):
        yield "kernel.ensure_places", "reader", ["orders.orders", "payments.payments"], 4
        yield "kernel.move_places", "reader", *reader, *begin, *later
    yield "kernel.move_places", "reader", *reader, *later, *later
    for worker in (WORKER, NOBODY):
        yield "kernel.claim_leases", "cases", worker, 9, 0.0
        yield "kernel.drop_absent", ["cases"], worker
    yield "kernel.hold_presence", WORKER
    yield "kernel.hold_presence", WORKER
    yield "kernel.claim_leases", "cases", WORKER, 9, 0.0
    yield "kernel.beat_members", ["cases", "orders"], NOBODY
    yield "kernel.drop_absent", ["cases", "nobody"], new("another worker")
    yield "kernel.forget_members", NOBODY, 0.001
    yield "kernel.forget_members", WORKER, 60.0
    yield from _log(tenant)
    yield from _flows(tenant)
    yield from _keys(tenant)


def _log(tenant: UUID) -> Iterator[Said]:
    nothing = [None, None]
    yield (
        "kernel.append_events", ["orders.orders"] * 2, [1, 2], [tenant] * 2, [A, B],
        ["OrderPlaced"] * 2, [A, B], NOW, [C, C], [None, A], nothing, [b"{}", b'{"a":1}'],
        ["OrderPlaced"], "",
    )  # fmt: skip
    yield "kernel.insert_inbox", "cases", [tenant] * 3, [B, A, B], NOW
    yield "kernel.insert_inbox", "cases", [tenant] * 2, [C, A], NOW
    yield "kernel.insert_inbox", "orders", [tenant], [A], LONG_AGO


def _flows(tenant: UUID) -> Iterator[Said]:
    deadlines = [NOW, None, LONG_AGO, NOW]
    yield (
        "kernel.start_flows", "cases", [tenant] * 4, [C, A, B, A], ["x", "x", "y", "z"],
        deadlines, [None, b"{}", None, None], NOW, [False, False, True, False],
    )  # fmt: skip
    yield "kernel.move_flows", "cases", [tenant] * 3, [C, A, C], ["x"], "y", NOW, NOW, False
    yield "kernel.move_flows", "cases", [tenant] * 3, [C, A, B], ["x"], "z", None, NOW, True
    for key in (A, B, NOBODY):
        yield "kernel.delay_flow", "cases", tenant, key, LATER
    yield "kernel.move_flows", "cases", [tenant] * 3, [C, A, B], ["y", "x"], "z", None, NOW, True
    yield "kernel.find_flows", "cases", [tenant] * 3, [C, A, A]


def _keys(tenant: UUID) -> Iterator[Said]:
    three = [tenant] * 3
    yield "kernel.claim_keys", three, ["k2", "k1", "k2"], [b"1", b"2", b"3"], LONG_AGO
    yield "kernel.claim_keys", three, ["k2", "k3", "k4"], [b"1", b"2", b"3"], LONG_AGO
    yield "kernel.store_answers", three, ["k2", "k2", "nothing"], [b"first", b"second", b""]
    yield "kernel.find_answers", three, ["k2", "k1", "k2"]
    yield "kernel.release_keys", three, ["k2", "k2", "nothing"]
    yield "kernel.prune_keys", NOW, 2
    yield "kernel.prune_keys", LONG_AGO, 2


def _letters(scene: Scene) -> Iterator[Said]:
    tenant = scene.tenants[0]
    # The ids stand in the order in which the letters are due.
    times = [NOW, NOW + timedelta(seconds=1), NOW - timedelta(seconds=1)]
    events = scene.rows["kernel.outbox"][:3]
    for at, event in zip(times, events, strict=True):
        yield (
            "kernel.park_letters", "cases", [tenant], [event["event_id"]], [event["topic"]],
            [event["partition"]], [str(event["xid"])], [event["seq"]], [event["type"]], [A],
            [NOW], [C], [None], 1, at, "why", NOW, [event["data"]],
        )  # fmt: skip
    first, second, third = (event["event_id"] for event in events)
    for limit in (1, 9):
        yield "kernel.list_due_letters", "cases", LATER, limit, [0, 1, 2, 3, 4, 5, 6, 7]
    yield "kernel.list_letters", None, None, None, 2
    yield "kernel.list_letters", "cases", None, second, 2
    yield "kernel.list_blocked_keys", "cases", [A, A, B]
    yield "kernel.delay_letter", "cases", second, "retrying", LATER, "again"
    yield "kernel.delay_letter", "cases", third, "dead", LATER, "at last"
    for event_id in (first, third, NOBODY):
        yield "kernel.lock_letter", "cases", event_id
    yield ("kernel.count_running_flows",)
    yield "kernel.revive_letters", "cases", third, NOW, [NOBODY]
    yield "kernel.revive_letters", "cases", second, LATER, [tenant]
    yield "kernel.revive_letters", None, None, NOW, []
    yield "kernel.delete_letter", "cases", second
    yield "kernel.delete_letter", "cases", second
    yield "kernel.drop_letters", None, third, NOW
    yield "kernel.drop_letters", "nobody", first, NOW
    yield "kernel.drop_letters", "cases", first, NOW
    yield "kernel.prune_inbox", NOW, 3
    yield "kernel.prune_inbox", LONG_AGO, 3
    yield "kernel.prune_outbox", NOW, 2
    yield "kernel.prune_outbox", LONG_AGO, 2


def _orders(tenant: UUID) -> Iterator[Said]:
    here, two, three = "contexts.orders", [tenant] * 2, [tenant] * 3
    placed: tuple[Any, ...] = (
        ["EUR"] * 3, [100, 200, 300], ["order-0", None, "order-0"], ["order-1", None, "order-1"],
        [None, "b@example.com", None], [b"[]"] * 3, NOW,
    )  # fmt: skip
    yield f"{here}.insert_orders", three, [A, B, C], *placed
    yield f"{here}.insert_orders", three, [A, B, C], *placed
    for total, word in ((-1, None), (1, "a\0b")):
        yield (
            f"{here}.insert_orders", [tenant], [new("d")], ["EUR"], [total], [None], [word], [None],
            [b"[]"], NOW,
        )  # fmt: skip
    prices = [Decimal("0.0000005"), Decimal("1.23456749")]
    for quantity in (0, 2):
        yield (
            f"{here}.insert_lines", two, [A, A], [1, 2], ["anvil", "bell"], [quantity, 3], prices,
            [40, 60],
        )  # fmt: skip
    keys = (three, [B, A, B])
    yield f"{here}.keep_orders", three, [A, B, NOBODY]
    yield f"{here}.confirm_orders", *keys, [500, 1, 2], NOW
    yield f"{here}.confirm_orders", *keys, [150, 100, 2], NOW
    yield f"{here}.confirm_orders", *keys, [150, 100, 2], NOW
    yield f"{here}.request_cancellations", three, [B, B, NOBODY]
    yield f"{here}.keep_orders", three, [B, B, C]
    for units in ([1, 1], [2, 2]):
        yield f"{here}.ship_lines", two, [A, A], [1, 1], units
        yield f"{here}.return_lines", two, [A, A], [2, 1], units, [20, 30]
    yield f"{here}.return_lines", two, [A, A], [1, 2], [0, 1], [0, 41]
    yield f"{here}.return_lines", two, [A, A], [2, 2], [1, 1], [1, 1]
    yield f"{here}.mark_unpaid", three, [B, C, B]
    yield f"{here}.mark_unpaid", three, [B, A, B]
    yield f"{here}.record_captures", two, [B, B], [20, 30]
    yield f"{here}.record_captures", two, [B, B], [20, 30]
    yield f"{here}.record_refunds", two, [B, B], [7, 8]
    yield f"{here}.record_refunds", two, [C, C], [7, 8]
    yield f"{here}.record_refunds", two, [C, C], [700, 8]
    yield f"{here}.cancel_orders", three, [C, B, C], ["expired", "requested", "requested"], NOW
    yield f"{here}.cancel_orders", three, [C, A, C], ["expired", "nonsense", "requested"], NOW


def _stock(tenant: UUID) -> Iterator[Said]:
    here, two, three = "contexts.inventory", [tenant] * 2, [tenant] * 3
    yield f"{here}.insert_location", tenant, "main", "Main", 1, NOW
    yield f"{here}.insert_location", tenant, "attic", "Attic", 1, NOW
    yield f"{here}.insert_location", tenant, "main", "Main house", 0, LATER
    skus, places = ["yarn", "wool", "yarn"], ["main", "main", "main"]
    yield f"{here}.create_levels", three, skus, places
    yield f"{here}.create_levels", three, skus, ["attic", "main", "attic"]
    ten, none = [10, 10, 10], [0, 0, 0]
    yield f"{here}.change_levels", three, skus, places, ten, ten, none, none, none
    yield f"{here}.change_levels", three, skus, places, none, [-11, 0, 0], [11, 0, 0], none, none
    yield f"{here}.change_levels", three, skus, places, ten, none, none, none, none
    yield f"{here}.change_levels", three, skus, places, none, [-4] * 3, [4] * 3, none, none
    held = (["yarn", "wool"], ["main", "main"], [3, 4], [None, NOW])
    yield f"{here}.insert_reservations", two, [A, A], *held, NOW
    yield f"{here}.insert_reservations", two, [A, A], *held, NOW
    yield f"{here}.insert_reservations", two, [B, B], *held[:2], [1, 0], [None, None], NOW
    yield f"{here}.insert_reservations", two, [B, B], *held[:2], [1, 1], [None, None], NOW
    yield f"{here}.insert_reservations", two, [C, C], *held[:2], [9, 1], [None, None], NOW
    yield f"{here}.lock_limited", two, [C, A]
    for order in (A, C):
        yield f"{here}.sell_reservations", three, [B, order, B], NOW
    for units in (9, 1):
        yield f"{here}.return_units", two, [B, A], ["wool", "yarn"], ["main"] * 2, [1, units]
    yield f"{here}.return_units", two, [A, A], ["yarn"] * 2, ["main"] * 2, [0, 1]
    yield f"{here}.list_sold", two, [A, B]
    yield f"{here}.tell_stock", tenant, FIRST, LAST
    yield f"{here}.release_reservations", two, [A, A], NOW
    yield f"{here}.release_reservations", two, [A, NOBODY], NOW
    yield f"{here}.release_reservations", [tenant], [A], NOW
    for kind in ("receipt", "nonsense"):
        yield (
            f"{here}.insert_movements", two, ["yarn", "wool"], ["main"] * 2, ["write_off", kind],
            [1, 2], ["moths", ""], [None, A], NOW,
        )  # fmt: skip


def _money(tenant: UUID) -> Iterator[Said]:
    here, two, three = "contexts.payments", [tenant] * 2, [tenant] * 3
    rest = ([False, True, False], three, [NOW] * 3, [NOW, None, NOW], [None, None, NOW])
    intents = ([100, 200, 300], ["EUR"] * 3, ["tok", "tok", "tok"], *rest)
    statuses = ["requested", "awaiting", "captured"]
    yield f"{here}.insert_intents", three, [C, A, B], ["unheard"] * 3, *intents
    yield f"{here}.insert_intents", three, [C, A, C], statuses, *intents
    yield f"{here}.insert_intents", three, [A, B, C], statuses, *intents
    yield f"{here}.list_requested", three, [A, C, C]
    words = (
        ["captured", "unknown", "declined"],
        [100, 0, 0],
        ["ch", None, None],
        [None, "?", "no"],
    )
    yield f"{here}.settle_requested", three, [C, A, C], ["captured"] * 3, [101] * 3, *words[2:], NOW
    yield f"{here}.settle_requested", three, [C, A, C], *words, NOW
    yield (
        f"{here}.save_intents", two, [A, B], ["authorised", "captured"], [None, None],
        [NOW, LONG_AGO], [None, NOW], [50, None], [0, 250], [0, 5], [0, 7], [False, True],
        ["ch_a", None], [None, "why"], [2, 3],
    )  # fmt: skip
    refunds = ([5, 9], ["EUR"] * 2, ["why", None], [True, False], [A, B], [NOW, NOW])
    for status in ("nonsense", "requested"):
        yield f"{here}.insert_refunds", two, [C, A], [B, C], [status, "settled"], *refunds
    yield f"{here}.save_refunds", two, [C, A], ["unknown", "failed"], [None, NOW], [None, "lost"]
    for kind in ("intent", "refund", "nonsense"):
        yield f"{here}.add_looks", kind, three, [C, A, C], NOW
    yield f"{here}.move_looks", three, ["intent"] * 3, [A, A, B], [None, NOW, NOW]
    for limit in (1, 9):
        yield f"{here}.take_due_looks", [tenant, NOBODY], NOW, LATER, limit
    looks = ["intent", "intent", "refund", "refund"]
    yield f"{here}.move_looks", [tenant] * 4, looks, [A, C, A, C], [None] * 4
    for after in (None, min(A, C)):
        yield f"{here}.list_given_up", tenant, after, 3
    for order in (NOBODY, C, B):
        yield f"{here}.retry_looks", tenant, order, NOW, 9
    yield f"{here}.move_looks", [tenant] * 4, looks, [A, C, A, C], [None] * 4
    for limit in (2, 9):
        yield f"{here}.retry_looks", tenant, None, LONG_AGO, limit
    yield f"{here}.end_looks", three, ["refund", "refund", "intent"], [A, A, NOBODY]


def _parcels(tenant: UUID) -> Iterator[Said]:
    here, two, three = "contexts.shipping", [tenant] * 2, [tenant] * 3
    made = ([1, 2, 2], ["pending"] * 3, [PARCEL] * 3, [NOW] * 3)
    yield f"{here}.insert_shipments", three, [A, B, C], [A, A, A], *made
    yield f"{here}.insert_shipments", three, [A, B, C], [B, B, B], *made
    yield f"{here}.insert_shipments", [tenant], [new("e")], [C], [1], ["pending"], [b"[]"], [NOW]
    yield f"{here}.insert_shipments", [tenant], [new("e")], [C], [1], ["cancelled"], [b"[]"], [NOW]
    for carrier in (None, "post"):
        yield (
            f"{here}.update_shipments", two, [A, A], ["delivered", "cancelled"], [PARCEL] * 2,
            [carrier, None], ["track", None], [NOW, None], [NOW, None], [2, 3], [1, 2],
        )  # fmt: skip
    yield (
        f"{here}.update_shipments", [tenant], [C], ["cancelled"], [b"[]"], [None], [None], [None],
        [None], [2], [0],
    )  # fmt: skip
    happened = (["seen", "here"], ["", "depot"], [NOW, LONG_AGO])
    yield f"{here}.insert_tracking_events", two, [A, NOBODY], [B, C], *happened
    yield f"{here}.insert_tracking_events", two, [A, A], [B, C], *happened
    yield f"{here}.insert_tracking_events", two, [A, A], [B, C], *happened
    here = "contexts.returns"
    told = (["too big", ""], ["EUR"] * 2, [5, 6], [True, False])
    for lines in (b"[]", LINES):
        yield (
            f"{here}.insert_returns", two, [B, A], [A, A], ["accepted"] * 2, *told, [lines] * 2,
            [NOW] * 2,
        )  # fmt: skip
    yield f"{here}.move_returns", two, [B, B], "refund_failed", ["accepted"], NOW
    yield f"{here}.move_returns", two, [B, A], "nonsense", ["accepted", "refund_failed"], NOW
    yield f"{here}.move_returns", two, [B, A], "refunded", ["accepted", "refund_failed"], NOW


def _messages(tenant: UUID) -> Iterator[Said]:
    here, two, three = "contexts.notifications", [tenant] * 2, [tenant] * 3
    emails = ["b@example.com", "a@example.com", "c@example.com"]
    yield f"{here}.insert_contacts", three, [B, A, B], emails, ["EUR"] * 3, [1, 2, 3]
    yield f"{here}.insert_contacts", two, [B, C], emails[:2], ["EUR"] * 2, [1, 2]
    due = [NOW, LONG_AGO, NOW]
    queued = ([A, NOBODY, A], ["order_confirmed"] * 3, [b"{}"] * 3, [NOW] * 3, due)
    yield f"{here}.insert_messages", three, [B, A, B], *queued
    yield f"{here}.claim_messages", [tenant, NOBODY], NOW, LATER, 1, ["queued"]
    yield f"{here}.claim_messages", [tenant], NOW, LATER, 9, ["queued", "sending"]
    yield f"{here}.claim_messages", [tenant], LATER, LATER, 9, ["queued"]
    word = ([LATER, LATER], ["", "lost"])
    for sent in ([None, None], [NOW, None]):
        yield (
            f"{here}.record_messages", two, [A, B], [1, 1], [1, 2], ["sent", "failed"], *word,
            sent, "sending",
        )  # fmt: skip
    yield f"{here}.lock_messages", three, [B, A, NOBODY]
    for number in (0, 2):
        yield f"{here}.requeue_messages", two, [A, A], [NOW, LATER], [number, 3]
    ended = [tenant, NOBODY, tenant], ["failed", "sent", "skipped"]
    for below, before, limit in ((LAST, LONG_AGO, 9), (min(A, B), LATER, 9), (LAST, LATER, 1)):
        yield f"{here}.prune_messages", *ended, below, before, limit
    for moment in (NOW, LATER):
        yield (f"{here}.find_sender",)
        yield f"{here}.mark_sender", moment, LONG_AGO
        yield f"{here}.mark_sender", moment, LATER
    yield (f"{here}.find_sender",)
    words = (["subject"] * 3, ["text"] * 3, ["html"] * 3, [1, 1, 1], [NOW] * 3)
    kinds = ["order_confirmed", "order_cancelled", "order_confirmed"]
    yield f"{here}.insert_templates", three, kinds, *words
    yield f"{here}.insert_templates", three, kinds, *words
    for version in (0, 2):
        yield (
            f"{here}.update_templates", two, kinds[:2], ["s"] * 2, ["t"] * 2, ["h"] * 2,
            [2, version], [LATER] * 2,
        )  # fmt: skip
    yield f"{here}.find_templates", two, kinds[:2]
    yield f"{here}.lock_templates", two, kinds[:2]
    yield (
        "contexts.tenancy.insert_tenants", [A, B, C], ["shop-x", "shop-0", "shop-x"],
        ["pooled"] * 3, ["main"] * 3, [""] * 3, NOW,
    )  # fmt: skip
