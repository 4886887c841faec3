"""The promises, each as a pure check of what was seen: the buyers' history against the evidence."""

import collections
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from serai.cli.prove.history import BUG, History, Story, tell
from serai.cli.prove.plan import DECLINED, PLENTY, Plan
from serai.cli.prove.witness import ChargeSeen, Evidence, OrderSeen, is_open

ENDED: Final = ("confirmed", "cancelled")


class Violation(msgspec.Struct, frozen=True):
    """A promise that was broken, and the history that shows it."""

    invariant: str
    detail: str
    history: list[str]
    count: int = 1
    """How much of it there is: units oversold, for one."""


class Case:
    """One run: its plan, what the buyers were answered, and what is true at the end."""

    def __init__(self, plan: Plan, history: History, evidence: Evidence) -> None:
        self.plan = plan
        self.history = history
        self.evidence = evidence
        self.orders = {order.id: order for order in evidence.orders}
        self.by_reference: dict[str | None, list[OrderSeen]] = collections.defaultdict(list)
        for order in evidence.orders:
            self.by_reference[order.reference].append(order)
        self.charges: dict[str, list[ChargeSeen]] = collections.defaultdict(list)
        for charge in evidence.book:
            self.charges[charge.reference].append(charge)
        self.stories = {story.buyer.reference: story for story in history.stories}

    def story_of(self, order_id: str) -> Story | None:
        """The buyer of an order."""
        order = self.orders.get(order_id)
        return self.stories.get(order.reference or "") if order is not None else None

    def show(self, order_id: str) -> list[str]:
        """The history of an order in lines."""
        story = self.story_of(order_id)
        if story is None:
            story = next((s for s in self.history.stories if s.order_id == order_id), None)
        lines = [] if story is None else tell(story, self.history.strikes)
        lines += [f"at the end: {self.orders[order_id]}"] if order_id in self.orders else []
        return lines + [f"in the provider's book: {c}" for c in self.charges.get(order_id, ())]

    def ended_in(self, status: str) -> Iterator[OrderSeen]:
        """The orders that ended so."""
        return (order for order in self.evidence.orders if order.status == status)


Findings = Iterator[tuple[str, list[str], int]]


class Invariant(NamedTuple):
    """A promise in a sentence, and what finds the breaches of it."""

    name: str
    sentence: str
    find: Callable[[Case], Findings]


def acknowledged_orders_exist_once(case: Case) -> Findings:
    """Of every order: one if its buyer was told so, and never two."""
    for story in case.history.stories:
        found = case.by_reference[story.buyer.reference]
        shown = tell(story, case.history.strikes)
        if story.is_acknowledged and [o.id for o in found] != [story.order_id]:
            ids = [order.id for order in found] or "nothing"
            detail = f"{story.buyer.reference} was told of order {story.order_id}; there is {ids}"
            yield detail, shown, 1
        elif len(found) > 1:
            yield f"{story.buyer.reference} placed one order; there are {len(found)}", shown, 1
    for reference, found in case.by_reference.items():
        if reference not in case.stories:
            yield f"an order of nobody: {found[0]}", [], 1


def orders_end(case: Case) -> Findings:
    """No order is left on its way."""
    for order in case.evidence.orders:
        if order.status not in ENDED:
            yield f"order {order.id} is still {order.status}", case.show(order.id), 1


def reasons_are_true(case: Case) -> Findings:
    """Who is undone for want of goods wanted scarce ones, for want of money has a bad card."""
    scarce = {goods.sku for goods in case.plan.goods if goods.units < PLENTY}
    for order in case.ended_in("cancelled"):
        story = case.story_of(order.id)
        if story is None:
            continue
        buyer = story.buyer
        is_true = {
            "out_of_stock": any(line.sku in scarce for line in buyer.lines),
            "payment_declined": buyer.card in DECLINED or buyer.pays_with in DECLINED,
            "requested": any(deed.what == "cancel" for deed in story.deeds),
            "expired": True,  # under attack anybody's money may come too late
        }
        if not is_true.get(order.reason or "", False):
            yield f"order {order.id} was undone: {order.reason}", case.show(order.id), 1


def seen_confirmed_stays(case: Case) -> Findings:
    """Whoever saw her order confirmed has it, unless she herself cancelled it."""
    for story in case.history.stories:
        order = case.orders.get(story.order_id or "")
        if order is None or story.seen_confirmed_s is None or order.status == "confirmed":
            continue
        if not any(deed.what == "cancel" for deed in story.deeds):
            yield (
                f"order {order.id} was seen confirmed and is {order.status}",
                [*case.show(order.id)],
                1,
            )


def nothing_is_oversold(case: Case) -> Findings:
    """By SKU: the units of confirmed orders, less what came back, are no more than there were."""
    sold: collections.Counter[str] = collections.Counter()
    buyers: dict[str, list[str]] = collections.defaultdict(list)
    for story in case.history.stories:
        confirmed = [o for o in case.by_reference[story.buyer.reference] if o.status == "confirmed"]
        for line in story.buyer.lines:
            sold[line.sku] += line.quantity * len(confirmed)
            buyers[line.sku] += [o.id for o in confirmed]
    for one in case.evidence.returns:
        if one.is_restocked:
            sold.subtract({line.sku: line.quantity for line in one.lines})
    for goods in case.plan.goods:
        over = sold[goods.sku] - goods.units
        if over > 0:
            shown = [line for order_id in buyers[goods.sku] for line in case.show(order_id)]
            yield f"{goods.sku}: {sold[goods.sku]} sold of {goods.units}", shown, over


def stock_agrees(case: Case) -> Findings:
    """What the shelves say is what the buyers bought and nothing else."""
    received = {goods.sku: goods.units for goods in case.plan.goods}
    sold: collections.Counter[str] = collections.Counter()
    for order in case.ended_in("confirmed"):
        story = case.story_of(order.id)
        for line in story.buyer.lines if story is not None else ():
            sold[line.sku] += line.quantity
    for one in case.evidence.returns:
        if one.is_restocked:
            sold.subtract({line.sku: line.quantity for line in one.lines})
    for item in case.evidence.stock:
        if item.received != received.get(item.sku) or item.sold != sold[item.sku]:
            yield (
                (
                    f"{item}; the buyers know of {received.get(item.sku)} received and "
                    f"{sold[item.sku]} sold"
                ),
                [],
                1,
            )


def nothing_stays_reserved(case: Case) -> Findings:
    """Nobody's order is on its way, so nothing is held for anybody."""
    for item in case.evidence.stock:
        if item.reserved:
            yield f"{item.reserved} units of {item.sku} are held for no order", [], 1


def orders_are_charged_once(case: Case) -> Findings:
    """At most one charge of an order ever took money."""
    for order_id, charges in case.charges.items():
        taken = [charge for charge in charges if charge.captured_minor]
        if len(taken) > 1:
            yield f"order {order_id} was charged {len(taken)} times", case.show(order_id), 1


def money_is_for_goods(case: Case) -> Findings:
    """The provider holds no money of an order that is undone, and none of one that is not there."""
    for order_id, charges in case.charges.items():
        order = case.orders.get(order_id)
        if order is not None and order.status == "confirmed":
            continue
        kept = sum(charge.captured_minor - charge.refunded_minor for charge in charges)
        held = sum(c.authorised_minor for c in charges if c.status == "authorised")
        if kept or held:
            state = order.status if order is not None else "not there"
            detail = f"order {order_id} is {state}: {kept} minor units kept, {held} held"
            yield detail, case.show(order_id), 1


def confirmed_orders_are_paid(case: Case) -> Findings:
    """The provider took, or holds where staff capture by hand, the whole price of the order."""
    for order in case.ended_in("confirmed"):
        charges = case.charges.get(order.id, [])
        story = case.story_of(order.id)
        is_manual = story is not None and story.buyer.is_manual
        paid = sum(charge.captured_minor for charge in charges)
        if is_manual and story is not None and not story.is_done("capture"):
            paid += sum(c.authorised_minor for c in charges if c.status == "authorised")
        if paid != order.total_minor:
            yield (
                (f"order {order.id} is confirmed for {order.total_minor} and {paid} was paid"),
                case.show(order.id),
                1,
            )


def refunds_are_exact(case: Case) -> Findings:
    """What the provider gave back of a confirmed order is what its returns come to."""
    owed: collections.Counter[str] = collections.Counter()
    for one in case.evidence.returns:
        owed[one.order_id] += one.refund_minor
    for order in case.ended_in("confirmed"):
        given = sum(charge.refunded_minor for charge in case.charges.get(order.id, ()))
        if given != owed[order.id]:
            yield (
                f"order {order.id}: {owed[order.id]} owed back, {given} given",
                [*case.show(order.id)],
                1,
            )


def deeds_are_carried_out(case: Case) -> Findings:
    """A cancellation, a capture, a return that was answered with success has happened."""
    returned = collections.Counter(one.order_id for one in case.evidence.returns)
    for story in case.history.stories:
        order = case.orders.get(story.order_id or "")
        if order is None:
            continue
        if story.is_done("cancel") and order.status != "cancelled":
            yield f"order {order.id} was cancelled and is {order.status}", case.show(order.id), 1
        expected = int(story.is_done("return"))
        deed = story.deed("return")
        is_known = deed is None or deed.success is not None or deed.refusal is not None
        if is_known and returned[order.id] != expected:
            yield (
                (f"order {order.id} has {returned[order.id]} returns; {expected} were answered"),
                case.show(order.id),
                1,
            )


def payments_are_settled(case: Case) -> Findings:
    """No payment, refund or return waits for the provider any more, and none was given up."""
    for payment in case.evidence.payments:
        if is_open(payment):
            yield f"open: {payment}", case.show(payment.order_id), 1
    for one in case.evidence.returns:
        if one.status != "refunded":
            yield f"the return {one.id} is {one.status}", case.show(one.order_id), 1


def events_are_handled(case: Case) -> Findings:
    """Every group has handled every event that it hears; nothing is parked."""
    for event in case.evidence.remains.unhandled:
        detail = f"{event.group} has not handled {event.type} {event.event_id} of {event.key}"
        yield detail, case.show(str(event.key)), 1
    for letter in case.evidence.remains.parked:
        yield f"parked: {letter}", [], 1


def events_have_one_effect(case: Case) -> Findings:
    """One announcement of each thing that happens once, one shipment, one message of each kind."""
    for event in case.evidence.repeated:
        detail = f"{event.type} was announced {event.times} times of {event.key}"
        yield detail, case.show(str(event.key)), event.times - 1
    shipments = collections.Counter(
        s.order_id for s in case.evidence.shipments if s.status != "cancelled"
    )
    mails = collections.Counter((m.order_id, m.kind) for m in case.evidence.messages)
    returns = collections.Counter(one.order_id for one in case.evidence.returns)
    for order in case.evidence.orders:
        if order.status not in ENDED:
            continue
        is_confirmed = order.status == "confirmed"
        ended_by = "order_confirmed" if is_confirmed else "order_cancelled"
        if shipments[order.id] != int(is_confirmed):
            yield f"order {order.id} has {shipments[order.id]} shipments", case.show(order.id), 1
        if mails[order.id, ended_by] != 1 or mails[order.id, "order_confirmed"] > 1:
            told = {kind: n for (of, kind), n in mails.items() if of == order.id}
            yield (
                f"order {order.id} is {order.status} and its mails are {told}",
                [*case.show(order.id)],
                1,
            )
        if is_confirmed and mails[order.id, "refund_settled"] != returns[order.id]:
            told_of = mails[order.id, "refund_settled"]
            detail = f"order {order.id}: {returns[order.id]} returns, {told_of} mails of a refund"
            yield detail, case.show(order.id), 1


def flows_end(case: Case) -> Findings:
    """No saga runs any more."""
    for flow in case.evidence.remains.flows:
        yield f"{flow.flow} of {flow.key} is {flow.state}", case.show(str(flow.key)), 1


def equal_keys_are_answered_equally(case: Case) -> Findings:
    """Of requests with one key: the same order, and byte for byte the same answer."""
    for story in case.history.stories:
        for deed in story.deeds:
            told = [attempt for attempt in deed.attempts if 200 <= attempt.status < 300]  # noqa: PLR2004
            plain = {attempt.said for attempt in told if not attempt.is_waiting}
            ids = {msgspec.json.decode(attempt.said)["id"] for attempt in told}
            if len(plain) > 1 or len(ids) > 1:
                detail = f"{deed.key} was answered in {max(len(plain), len(ids))} ways: "
                yield detail + " / ".join(sorted(plain)), tell(story, case.history.strikes), 1


def nothing_ends_in_a_bug(case: Case) -> Findings:
    """No request is answered with 500: faults of the world are 503."""
    for story in case.history.stories:
        for deed in story.deeds:
            bugs = [attempt for attempt in deed.attempts if attempt.status == BUG]
            if bugs:
                yield f"{deed.key} was answered with 500", tell(story, case.history.strikes), 1


def orders_are_accepted(case: Case) -> Findings:
    """Every order of the plan can be placed, so none may be refused."""
    for story in case.history.stories:
        deed = story.deed("place")
        if deed is not None and deed.refusal is not None:
            refusal = deed.refusal
            detail = f"{deed.key} was refused: {refusal.status} {refusal.said}"
            yield detail, tell(story, case.history.strikes), 1


def check_is_clean(case: Case) -> Findings:
    """`serai check` finds nothing."""
    for outcome in case.evidence.check.checks:
        for violation in outcome.violations:
            yield f"{outcome.module}.{outcome.check}: {violation.detail}", [], 1


INVARIANTS: Final[Sequence[Invariant]] = (
    Invariant("acknowledged", "Every acknowledged order exists exactly once.",
              acknowledged_orders_exist_once),
    Invariant("ended", "Every order reached an end.", orders_end),
    Invariant("reasons", "No order was undone for a reason that is not true.", reasons_are_true),
    Invariant("kept", "An order that was seen confirmed stays so, unless its buyer cancels it.",
              seen_confirmed_stays),
    Invariant("oversold", "No unit was sold twice, by the buyers' own history.",
              nothing_is_oversold),
    Invariant("stock", "The shelves agree with what the buyers bought.", stock_agrees),
    Invariant("reserved", "No reservation leaked.", nothing_stays_reserved),
    Invariant("charged_once", "No order was charged twice, by the provider's book.",
              orders_are_charged_once),
    Invariant("charged_for_goods", "No order was charged without goods.", money_is_for_goods),
    Invariant("paid", "No order was confirmed without its money.", confirmed_orders_are_paid),
    Invariant("refunded", "What came back was refunded, to the unit and once.",
              refunds_are_exact),
    Invariant("carried_out", "Cancellations and returns that were answered happened.",
              deeds_are_carried_out),
    Invariant("settled", "No payment, refund or return is left open.", payments_are_settled),
    Invariant("handled", "Every event was handled by every group that hears it.",
              events_are_handled),
    Invariant("once", "Every event had its effect once.", events_have_one_effect),
    Invariant("flows", "Every saga ended.", flows_end),
    Invariant("equal_keys", "Every request with an equal key got the same answer.",
              equal_keys_are_answered_equally),
    Invariant("bugs", "No request was answered with 500.", nothing_ends_in_a_bug),
    Invariant("accepted", "No order was refused that could be placed.", orders_are_accepted),
    Invariant("check", "`serai check` is clean.", check_is_clean),
)  # fmt: skip


def judge(case: Case) -> list[Violation]:
    """Every breach of every promise."""
    return [
        Violation(invariant.name, detail, history, count)
        for invariant in INVARIANTS
        for detail, history, count in invariant.find(case)
    ]
