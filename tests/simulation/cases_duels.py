"""What two transactions do to each other: waiting, skipping, looking again, finding it gone."""

from collections.abc import Iterator
from uuid import UUID

from tests.simulation.cases_writing import LINES, NOW, PARCEL, A, B, C
from tests.simulation.duels import COMMIT, ROLLBACK, Duel, Step
from tests.simulation.recording import Said

LATER = NOW.replace(year=NOW.year + 1)
FIRST, SECOND = UUID(int=1), UUID(int=2)
"""Two workers."""


def duels(tenant: UUID) -> Iterator[Duel]:
    """Everything that the kernel's and the contexts' locking leans on."""
    yield from _keys(tenant)
    yield from _orders(tenant)
    yield from _stock(tenant)
    yield from _leases()
    yield from _flows(tenant)
    yield from _skipping(tenant)


def _both(said: Said, end: str) -> tuple[Step, ...]:
    return (("a", said), ("b", said), ("a", end), ("b", COMMIT))


def _keys(tenant: UUID) -> Iterator[Duel]:
    claim = ("kernel.claim_keys", [tenant] * 2, ["k1", "k2"], [b"1", b"2"], NOW)
    other = ("kernel.claim_keys", [tenant] * 2, ["k0", "k2"], [b"3", b"4"], NOW)
    release = ("kernel.release_keys", [tenant], ["k1"])
    store = ("kernel.store_answers", [tenant], ["k1"], [b"done"])
    for end in (COMMIT, ROLLBACK):
        yield Duel(f"claim {end}", (), _both(claim, end))
        yield Duel(
            f"claim another {end}", (), (("a", claim), ("b", other), ("a", end), ("b", COMMIT))
        )
        yield Duel(
            f"claim what is given back {end}",
            (claim,),
            (("a", release), ("b", claim), ("a", end), ("b", COMMIT)),
        )
        yield Duel(
            f"claim what is being answered {end}",
            (claim,),
            (("a", store), ("b", claim), ("a", end), ("b", COMMIT)),
        )
    mark = ("kernel.insert_inbox", "orders", [tenant] * 2, [B, A], NOW)
    yield Duel("hear twice", (), _both(mark, COMMIT))
    yield Duel("hear twice, once in vain", (), _both(mark, ROLLBACK))
    location = ("contexts.inventory.insert_location", tenant, "main", "Main", 0, NOW)
    yield Duel("insert or rename", (), _both(location, COMMIT))
    beat = ("kernel.beat_members", ["orders", "checkout"], FIRST)
    yield Duel("beat", (beat,), _both(beat, COMMIT))


def _place(tenant: UUID) -> Said:
    rest = (["EUR"] * 2, [9, 9], [None] * 2, [None] * 2, [None] * 2, [b"[]"] * 2, NOW)
    return "contexts.orders.insert_orders", [tenant] * 2, [A, B], *rest


def _orders(tenant: UUID) -> Iterator[Duel]:
    here = "contexts.orders"
    place, both = _place(tenant), ([tenant] * 2, [A, B])
    confirm = (f"{here}.confirm_orders", *both, [5, 5], NOW)
    cancel = (f"{here}.cancel_orders", *both, ["requested"] * 2, NOW)
    lock = (f"{here}.lock_orders", *both)
    for end in (COMMIT, ROLLBACK):
        for first, second in ((cancel, cancel), (confirm, confirm), (confirm, cancel)):
            yield Duel(
                f"{first[0]} and {second[0]} {end}",
                (place,),
                (("a", first), ("b", second), ("a", end), ("b", COMMIT)),
            )
    yield Duel(
        "lock and then look",
        (place,),
        (("a", lock), ("b", lock), ("a", confirm), ("a", COMMIT), ("b", cancel), ("b", COMMIT)),
    )
    yield Duel(
        "the second looks without waiting",
        (place,),
        (("a", confirm), ("b", (f"{here}.find_statuses", *both)), ("a", COMMIT),
         ("b", (f"{here}.find_statuses", *both)), ("b", COMMIT)),
    )  # fmt: skip
    yield Duel("insert the same", (), _both(place, COMMIT))
    yield Duel("insert the same, once in vain", (), _both(place, ROLLBACK))


def _stock(tenant: UUID) -> Iterator[Duel]:
    here, one = "contexts.inventory", [tenant]
    create = (f"{here}.create_levels", one, ["wool"], ["main"])
    receive = (f"{here}.change_levels", one, ["wool"], ["main"], [5], [5], [0], [0], [0])
    take = (f"{here}.change_levels", one, ["wool"], ["main"], [0], [-3], [3], [0], [0])
    promise = (
        f"{here}.insert_reservations", one, [A], ["wool"], ["main"], [3], [None], NOW,
    )  # fmt: skip
    sell = (f"{here}.sell_reservations", one, [A], NOW)
    release = (f"{here}.release_reservations", one, [A], NOW)
    lock = (f"{here}.lock_levels", one, ["wool"])
    yield Duel(
        "take from one",
        (create, receive),
        (("a", take), ("b", take), ("a", COMMIT), ("b", ROLLBACK)),
    )
    yield Duel("create what is locked", (create,), (
        ("a", lock), ("b", create), ("a", COMMIT), ("b", COMMIT)
    ))  # fmt: skip
    yield Duel("create what changes", (create,), (
        ("a", receive), ("b", create), ("a", COMMIT), ("b", COMMIT)
    ))  # fmt: skip
    limit = (f"{here}.lock_limited", one, [A])
    back = (f"{here}.return_units", one, [A], ["wool"], ["main"], [1])
    for end in (COMMIT, ROLLBACK):
        for first, second in (
            (sell, release), (release, sell), (release, release), (sell, limit), (sell, back),
        ):  # fmt: skip
            yield Duel(
                f"{first[0]} and {second[0]} {end}",
                (create, receive, take, promise),
                (("a", first), ("b", second), ("a", end), ("b", COMMIT)),
            )


def _leases() -> Iterator[Duel]:
    group = ("kernel.ensure_group", "cases", ["orders.orders"], 4)
    take = ("kernel.claim_leases", "cases", FIRST, 2, -60.0)
    steal = ("kernel.claim_leases", "cases", SECOND, 3, 60.0)
    renew = ("kernel.renew_leases", FIRST, 60.0)
    move = (
        "kernel.move_positions", "cases", FIRST, [0, 1], [1, 1], ["orders.orders"] * 2, [0, 1],
        ["1", "1"], [0, 0],
    )  # fmt: skip
    yield Duel("join a group at once", (), _both(group, COMMIT))
    reader = ("kernel.ensure_places", "reader", ["orders.orders"], 4)
    places = (["orders.orders"] * 2, [1, 0])
    pack = ("kernel.move_places", "reader", *places, ["0"] * 2, [0] * 2, ["1"] * 2, [1] * 2)
    yield Duel("begin to read at once", (), _both(reader, COMMIT))
    yield Duel("pack the same events at once", (reader,), _both(pack, COMMIT))
    yield Duel("claim at once", (group,), (
        ("a", take), ("b", steal), ("a", COMMIT), ("b", COMMIT)
    ))  # fmt: skip
    yield Duel("steal while it moves", (group, take), (
        ("a", move), ("b", steal), ("a", COMMIT), ("b", COMMIT)
    ))  # fmt: skip
    yield Duel("move what is stolen", (group, take), (
        ("b", steal), ("a", move), ("b", COMMIT), ("a", ROLLBACK)
    ))  # fmt: skip
    yield Duel("move what was not stolen", (group, take), (
        ("b", steal), ("a", move), ("b", ROLLBACK), ("a", COMMIT)
    ))  # fmt: skip
    yield Duel("renew what is stolen", (group, take), (
        ("b", steal), ("a", renew), ("b", COMMIT), ("a", COMMIT)
    ))  # fmt: skip
    drop = ("kernel.drop_absent", ["cases"], SECOND)
    yield Duel("drop who moves", (group, take), (
        ("a", move), ("b", drop), ("a", COMMIT), ("b", COMMIT)
    ))  # fmt: skip
    release = ("kernel.release_leases", FIRST, None, None)
    yield Duel("release what is stolen", (group, take), (
        ("b", steal), ("a", release), ("b", COMMIT), ("a", COMMIT)
    ))  # fmt: skip


def _flows(tenant: UUID) -> Iterator[Duel]:
    start = (
        "kernel.start_flows", "cases", [tenant] * 2, [A, B], ["x"] * 2, [NOW] * 2, [None] * 2, NOW,
        [False] * 2,
    )  # fmt: skip
    move = ("kernel.move_flows", "cases", [tenant] * 2, [B, A], ["x"], "y", None, NOW, True)
    delay = ("kernel.delay_flow", "cases", tenant, A, LATER)
    for end in (COMMIT, ROLLBACK):
        yield Duel(f"start {end}", (), _both(start, end))
        yield Duel(f"move {end}", (start,), _both(move, end))
        yield Duel(
            f"delay what ends {end}",
            (start,),
            (("a", move), ("b", delay), ("a", end), ("b", COMMIT)),
        )
    here = "contexts.returns"
    accept = (
        f"{here}.insert_returns", [tenant], [A], [B], ["accepted"], [""], ["EUR"], [5], [True],
        [LINES], [NOW],
    )  # fmt: skip
    settle = (f"{here}.move_returns", [tenant], [A], "refunded", ["accepted"], NOW)
    yield Duel("settle a return twice", (accept,), _both(settle, COMMIT))
    ship = (
        "contexts.shipping.insert_shipments", [tenant], [A], [A], [1], ["pending"], [PARCEL], [NOW]
    )  # fmt: skip
    again = ("contexts.shipping.insert_shipments", [tenant], [B], *ship[3:])
    for end in (COMMIT, ROLLBACK):
        yield Duel(
            f"number a parcel twice {end}",
            (),
            (("a", ship), ("b", again), ("a", end), ("b", COMMIT)),
        )


def _skipping(tenant: UUID) -> Iterator[Duel]:
    add = ("contexts.payments.add_looks", "intent", [tenant] * 3, [A, B, C], NOW)
    look = ("contexts.payments.take_due_looks", [tenant], NOW, LATER, 2)
    end = ("contexts.payments.end_looks", [tenant], ["intent"], [A])
    yield Duel("look at once", (add,), (
        ("a", end), ("b", look), ("a", look), ("a", COMMIT), ("b", COMMIT)
    ))  # fmt: skip
    retry = ("contexts.payments.retry_looks", tenant, None, NOW, 2)
    give_up = ("contexts.payments.move_looks", [tenant] * 2, ["intent"] * 2, [A, B], [None] * 2)
    yield Duel("retry what is being retried", (add, give_up), _both(retry, COMMIT))
    queue = (
        "contexts.notifications.insert_messages", [tenant] * 2, [A, B], [A, B], ["x"] * 2,
        [b"{}"] * 2, [NOW] * 2, [NOW] * 2,
    )  # fmt: skip
    claim = ("contexts.notifications.claim_messages", [tenant], NOW, LATER, 9, ["queued"])
    lock = ("contexts.notifications.lock_messages", [tenant], [A])
    yield Duel("write at once", (queue,), (
        ("a", lock), ("b", claim), ("a", COMMIT), ("b", COMMIT)
    ))  # fmt: skip
    letter = (
        "kernel.park_letters", "cases", [tenant], [A], ["orders.orders"], [0], ["1"], [1], ["x"],
        [B], [NOW], [C], [None], 0, NOW, "why", NOW, [b"{}"],
    )  # fmt: skip
    take = ("kernel.lock_letter", "cases", A)
    yield Duel("retry at once", (letter,), _both(take, COMMIT))
