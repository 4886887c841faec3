import collections

from serai.cli.prove import plan as planning
from serai.cli.prove.plan import FAULTY, KINDS, LINKS, Plan, make_plan
from serai.contexts.payments.gateways import sandbox_cards as cards

FAULTS_MIN, KINDS_MIN, SECONDS = 60, 8, 120.0


def test_the_same_seed_plans_the_same_faults_and_orders_and_another_seed_others() -> None:
    assert make_plan(7, 30) == make_plan(7, 30)
    other = make_plan(8, 30)
    assert (make_plan(7, 30).faults, make_plan(7, 30).buyers) != (other.faults, other.buyers)


def test_two_minutes_hold_enough_faults_of_enough_kinds_whatever_the_seed() -> None:
    for seed in range(40):
        faults = make_plan(seed, SECONDS).faults
        assert len(faults) >= FAULTS_MIN
        counts = collections.Counter(fault.kind for fault in faults)
        assert set(counts) == set(KINDS)
        assert max(counts.values()) - min(counts.values()) <= 1
        assert all(0 < fault.at_s < SECONDS for fault in faults)
        assert [fault.at_s for fault in faults] == sorted(fault.at_s for fault in faults)


def test_a_short_run_has_as_many_kinds_as_it_has_faults() -> None:
    faults = make_plan(3, 15).faults
    assert len(faults) >= KINDS_MIN
    assert len({fault.kind for fault in faults}) == min(len(faults), len(KINDS))


def test_every_link_is_struck_sooner_or_later() -> None:
    struck = {f.target for seed in range(20) for f in make_plan(seed, SECONDS).faults}
    assert set(LINKS) <= struck


def every_buyer() -> list[tuple[Plan, planning.Buyer]]:
    return [(plan, b) for seed in range(5) for plan in [make_plan(seed, 60)] for b in plan.buyers]


def test_buyers_do_everything_that_is_promised_to_be_tried() -> None:
    buyers = [buyer for _, buyer in every_buyer()]
    assert any(buyer.twins > 1 for buyer in buyers)
    assert any(len(buyer.lines) >= planning.LINES[0] for buyer in buyers)
    assert {buyer.leaves for buyer in buyers} == {"never", "for_good", "and_returns"}
    assert any(buyer.cancels_after_s is not None for buyer in buyers)
    assert any(buyer.returns_units for buyer in buyers)
    assert any(buyer.is_manual for buyer in buyers)
    assert any(buyer.card is None and buyer.pays_with is None for buyer in buyers)
    assert any(buyer.card is None and buyer.pays_with for buyer in buyers)
    # Staff capture only what is confirmed, and what was not captured cannot be refunded.
    assert not any(buyer.is_manual and buyer.returns_units for buyer in buyers)


def test_every_drop_is_wanted_by_more_than_it_has_units_for() -> None:
    for plan, _ in every_buyer()[:1]:
        wanted: collections.Counter[str] = collections.Counter()
        for buyer in plan.buyers:
            for line in buyer.lines:
                wanted[line.sku] += line.quantity
        drops = [goods for goods in plan.goods if goods.sku.startswith("drop-")]
        assert drops
        assert all(wanted[goods.sku] > goods.units for goods in drops)


def test_numbers_and_skus_are_unique_and_only_goods_are_wanted() -> None:
    plan = make_plan(1, 60)
    assert [buyer.number for buyer in plan.buyers] == list(range(len(plan.buyers)))
    skus = [goods.sku for goods in plan.goods]
    assert len(set(skus)) == len(skus)
    assert {line.sku for buyer in plan.buyers for line in buyer.lines} <= set(skus)


def test_the_provider_misbehaves_by_the_cards_that_its_scripts_say() -> None:
    named = {
        "provider_silent": (cards.SILENT_APPROVED,),
        "provider_down": (cards.DOWN_BRIEFLY, cards.DOWN_LONG),
        "provider_repeats": (cards.ANSWERED_TWICE, cards.TOLD_TWICE),
        "provider_late": (cards.LATE_APPROVED, cards.LATE_DECLINED),
        "provider_out_of_order": (cards.TOLD_OUT_OF_ORDER,),
        "provider_forged": (cards.FORGED_FIRST,),
    }
    assert named == FAULTY
    assert cards.APPROVED == planning.APPROVED
    assert all(cards.script_of(card).decline_reason for card in planning.DECLINED)
    plan = make_plan(2, SECONDS)
    moody = [fault for fault in plan.faults if fault.kind in FAULTY]
    for fault in moody:
        here = [b for b in plan.buyers if 0 <= b.at_s - fault.at_s < fault.for_s and b.card]
        assert any(buyer.card in FAULTY[fault.kind] for buyer in here), fault
