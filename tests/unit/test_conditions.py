"""What narrows a scope: each condition decides, and what cannot be decided is denied."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from serai.kernel import conditions, ids
from serai.kernel.actor import Actor
from serai.kernel.conditions import (
    ConditionNotMet,
    ConditionUnfit,
    Limit,
    Terms,
    Ways,
    are_within,
    choose,
    condition,
    postpone,
    read,
    refuse,
    split,
)

NOW = datetime(2026, 11, 27, 9, 30, tzinfo=UTC)
"""A Friday."""
SUMMER, WINTER = (datetime(2026, month, 1, 6, 30, tzinfo=UTC) for month in (7, 12))
STAFF = Actor("staff", ids.new_id(), "10.1.2.3")


def decide(
    name: str, data: Any, *, now: datetime = NOW, actor: Actor = STAFF, **facts: Any
) -> bool:
    limit = Limit("payments:write", name, data)
    refusal = refuse([limit], actor=actor, facts=facts, now=now)
    assert refusal is None or isinstance(refusal, ConditionNotMet)
    return refusal is None


def hours(begin: str, end: str, zone: str = "UTC", **more: Any) -> Limit:
    data = {"begin": begin, "end": end, "zone": zone, **more}
    return Limit("payments:write", "within_hours", data)


@pytest.mark.parametrize(
    ("amount", "currency", "is_allowed"),
    [(0, "USD", True), (5000, "USD", True), (5001, "USD", False), (-1, "USD", False),
     (1, "EUR", False)],
)  # fmt: skip
def test_an_amount_is_allowed_up_to_that_of_its_currency(
    amount: int,
    currency: str,
    is_allowed: bool,  # noqa: FBT001
) -> None:
    decided = decide("amount_up_to", {"USD": 5000}, amount_minor=amount, currency=currency)
    assert decided is is_allowed


@pytest.mark.parametrize(
    ("data", "moment", "is_allowed"),
    [
        ({"begin": "09:30", "end": "17:00"}, NOW, True),
        ({"begin": "09:31", "end": "17:00"}, NOW, False),
        ({"begin": "08:00", "end": "09:30"}, NOW, False),
        ({"begin": "08:00", "end": "17:00", "days": [1, 2, 3, 4]}, NOW, False),
        ({"begin": "08:00", "end": "09:00", "zone": "Atlantic/Azores"}, NOW, True),
        # The clocks of the place know its summer: at 6:30 UTC it is 8:30 there, in winter 7:30.
        ({"begin": "08:00", "end": "09:00", "zone": "Europe/Berlin"}, SUMMER, True),
        ({"begin": "08:00", "end": "09:00", "zone": "Europe/Berlin"}, WINTER, False),
        # Friday's night shift lasts into Saturday, and no other day's.
        ({"begin": "22:00", "end": "06:00", "days": [5]}, NOW.replace(hour=22), True),
        ({"begin": "22:00", "end": "06:00", "days": [5]}, NOW.replace(day=28, hour=5), True),
        ({"begin": "22:00", "end": "06:00", "days": [5]}, NOW.replace(hour=5), False),
        ({"begin": "22:00", "end": "06:00", "days": [7]}, NOW.replace(day=30, hour=5), True),
    ],
)
def test_hours_are_those_of_their_days(
    data: dict[str, Any],
    moment: datetime,
    is_allowed: bool,  # noqa: FBT001
) -> None:
    assert decide("within_hours", {"zone": "UTC", **data}, now=moment) is is_allowed


@pytest.mark.parametrize(
    ("address", "is_allowed"),
    [("10.1.2.3", True), ("10.2.0.1", False), (None, False), ("nonsense", False), ("::1", False)],
)
def test_only_known_networks_are_let_in(
    address: str | None,
    is_allowed: bool,  # noqa: FBT001
) -> None:
    actor = Actor("staff", STAFF.id, address)
    assert decide("from_networks", ["192.168.0.0/16", "10.1.0.0/16"], actor=actor) is is_allowed


@pytest.mark.parametrize(
    ("name", "data", "facts"),
    [
        ("no_such_condition", {}, {}),
        ("amount_up_to", {"USD": 5000}, {}),
        ("amount_up_to", {"USD": 5000}, {"amount_minor": 1}),
        ("amount_up_to", {"USD": "much"}, {"amount_minor": 1, "currency": "USD"}),
        ("amount_up_to", None, {"amount_minor": 1, "currency": "USD"}),
        ("amount_up_to", {"USD": 5000}, {"amount_minor": None, "currency": "USD"}),
        ("within_hours", {}, {}),
        ("within_hours", {"zone": "UTC", "begin": "00:00", "end": "23:59", "more": 1}, {}),
        ("within_hours", {"zone": "No/Where", "begin": "00:00", "end": "23:59"}, {}),
        ("from_device", {"factor_age_min": 60}, {}),
        ("from_networks", ["nowhere"], {}),
    ],
)
def test_what_cannot_be_decided_is_denied(name: str, data: Any, facts: dict[str, Any]) -> None:
    assert decide(name, data, **facts) is False


def test_a_condition_that_breaks_or_does_not_say_yes_denies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(conditions, "_KNOWN", {})

    @condition("breaks", data=Any)
    def breaks(data: Any, *, actor: Actor, facts: Mapping[str, Any], now: datetime) -> bool:
        raise RuntimeError("broken")

    @condition("mumbles", data=Any)
    def mumbles(data: Any, *, actor: Actor, facts: Mapping[str, Any], now: datetime) -> bool:
        return "yes"  # type: ignore[return-value]

    assert [decide(name, {}) for name in ("breaks", "mumbles")] == [False, False]
    with pytest.raises(ValueError, match="already"):
        condition("breaks", data=Any)(breaks)


def test_every_limit_must_allow() -> None:
    day, night = hours("09:00", "17:00"), hours("22:00", "06:00")
    facts: dict[str, Any] = {}
    assert refuse([day], actor=STAFF, facts=facts, now=NOW) is None
    refusal = refuse([day, night], actor=STAFF, facts=facts, now=NOW)
    assert refusal is not None
    assert refusal.facts == {"scope": "payments:write", "condition": "within_hours"}


def test_only_what_a_route_will_know_waits_for_it() -> None:
    amount = Limit("payments:write", "amount_up_to", {"USD": 1})
    day = hours("09:00", "17:00")
    unknown = Limit("payments:write", "no_such_condition", {})
    limits = (amount, day, unknown)
    assert split(limits, {"amount_minor", "currency"}) == ((day, unknown), (amount,))
    assert split(limits, {"amount_minor"}) == (limits, ())


def test_of_several_ways_one_is_enough_and_each_is_judged_whole() -> None:
    small, large = (Limit("s", "amount_up_to", {"USD": most}) for most in (500, 2000))
    night, day = hours("22:00", "06:00"), hours("09:00", "17:00")
    facts, judges = {"currency": "USD"}, {"amount_minor", "currency"}

    def ask(ways: Ways, amount: int) -> bool:
        try:
            chosen = choose(ways, judges, actor=STAFF, facts={}, now=NOW)
        except ConditionNotMet:
            return False
        terms = Terms(STAFF, postpone(chosen, judges))
        return not terms.ways or terms.refuse(NOW, amount_minor=amount, **facts) is None

    assert [ask(((small,), (large,)), amount) for amount in (500, 2000, 2001)] == [
        True,
        True,
        False,
    ]
    # By day the large sum of the night is out of reach, and without a way there is none.
    assert [ask(((small,), (large, night)), amount) for amount in (500, 501)] == [True, False]
    assert ask(((large, day),), 2000)
    assert ask(((large, night), (day,)), 9000), "who may all that by day is asked for no sum"
    assert not ask(((large, night),), 1)
    assert not ask((), 1)


def limit(name: str, data: Any) -> Limit:
    return Limit("payments:write", name, data)


@pytest.mark.parametrize(
    ("one", "other", "is_within"),
    [
        (limit("amount_up_to", {"USD": 20}), limit("amount_up_to", {"USD": 20, "EUR": 1}), True),
        (limit("amount_up_to", {"USD": 21}), limit("amount_up_to", {"USD": 20}), False),
        (limit("amount_up_to", {"EUR": 0}), limit("amount_up_to", {"USD": 20}), False),
        (hours("09:00", "12:00", days=[1]), hours("09:00", "12:00"), True),
        (hours("09:00", "12:01"), hours("09:00", "12:00"), False),
        (hours("09:00", "12:00"), hours("09:00", "12:00", days=[1]), False),
        (hours("09:00", "12:00"), hours("09:00", "12:00", "Europe/Berlin"), False),
        (hours("23:00", "05:00", days=[7]), hours("22:00", "06:00"), True),
        (hours("01:00", "05:00", days=[1]), hours("22:00", "06:00", days=[7]), True),
        (hours("01:00", "05:00", days=[7]), hours("22:00", "06:00", days=[7]), False),
        (hours("22:00", "00:00"), hours("21:00", "00:00"), True),
        (hours("22:00", "23:59"), hours("22:00", "00:00"), True),
        (hours("22:00", "00:00"), hours("22:00", "23:59"), False),
        (limit("from_networks", ["10.1.0.0/16"]), limit("from_networks", ["10.0.0.0/8"]), True),
        (limit("from_networks", ["10.0.0.0/8"]), limit("from_networks", ["10.1.0.0/16"]), False),
        (limit("from_networks", ["::/0"]), limit("from_networks", ["0.0.0.0/0"]), False),
        (limit("from_device", {"factor_age_min": 5}), limit("from_device", {"factor_age_min": 9}),
         True),
        (limit("from_device", {"factor_age_min": 9}), limit("from_device", {"factor_age_min": 5}),
         False),
        (limit("from_device", {"factor_age_min": 5}), limit("amount_up_to", {"USD": 5}), False),
        (limit("unknown", 1), limit("unknown", 1), False),
    ],
)  # fmt: skip
def test_one_condition_is_within_another_or_it_is_not(
    one: Limit,
    other: Limit,
    is_within: bool,  # noqa: FBT001
) -> None:
    assert are_within(((one,),), ((other,),)) is is_within
    # More conditions are narrower, fewer wider; one of several ways is enough to be within.
    extra = limit("from_device", {"factor_age_min": 1})
    assert are_within(((one, extra),), ((other,),)) is (
        is_within or other.condition == "from_device"
    )
    assert not are_within(((one,),), ((other, limit("no_such", 1)),))
    assert are_within(((one,),), ((limit("no_such", 1),), (other,))) is is_within
    assert not are_within((), ((other,),))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("no_such_condition", {}), ("amount_up_to", {}), ("amount_up_to", {"USD": -1}),
        ("amount_up_to", {"USD": 10**15 + 1}), ("amount_up_to", {"USD": 1.5}),
        ("amount_up_to", {"USD": float("nan")}), ("amount_up_to", {"USD": True}),
        ("amount_up_to", {"usd": 1}), ("amount_up_to", {"XXX": 1}), ("amount_up_to", ["USD"]),
        ("within_hours", {"begin": "09:00", "end": "17:00"}),
        ("within_hours", {"begin": "09:00", "end": "09:00", "zone": "UTC"}),
        ("within_hours", {"begin": "09:00Z", "end": "17:00Z", "zone": "UTC"}),
        ("within_hours", {"begin": "09:00:00", "end": "17:00", "zone": "UTC"}),
        ("within_hours", {"begin": "09:00\n", "end": "17:00", "zone": "UTC"}),
        ("within_hours", {"begin": "25:00", "end": "17:00", "zone": "UTC"}),
        ("within_hours", {"begin": "09:00", "end": "17:00", "zone": "UTC", "days": []}),
        ("within_hours", {"begin": "09:00", "end": "17:00", "zone": "UTC", "days": [8]}),
        ("within_hours", {"begin": "09:00", "end": "17:00", "zone": "UTC", "utc_offset_min": 1}),
        *(("within_hours", {"begin": "09:00", "end": "17:00", "zone": zone})
          for zone in ("", "Berlin", "../../etc/passwd", "/etc/passwd", "Europe", "\0", "x" * 65)),
        ("from_networks", []), ("from_networks", "10.0.0.0/8"), ("from_networks", ["10.0.0.1/8"]),
        ("from_networks", ["10.0.0.0/33"]), ("from_networks", ["example.org"]),
        ("from_networks", [1]), ("from_networks", ["10.0.0.0/8"] * 21),
        ("from_device", {}), ("from_device", {"factor_age_min": 0}),
        ("from_device", {"factor_age_min": 10**9}), ("from_device", {"factor_age_min": 1, "x": 1}),
    ],
)  # fmt: skip
def test_what_is_no_condition_is_refused_when_it_is_set(name: str, data: Any) -> None:
    with pytest.raises(ConditionUnfit) as refused:
        read(name, data)
    assert refused.value.facts["condition"] == name


def test_what_is_read_is_kept_as_json_has_it() -> None:
    data = {"begin": "09:00", "end": "17:00", "zone": "Europe/Berlin", "days": (1,)}
    assert read("within_hours", data) == data
    assert read("amount_up_to", {"USD": 0}) == {"USD": 0}
    assert read("from_networks", ["::/0", "10.1.2.3"]) == ("::/0", "10.1.2.3")
    assert read("from_device", {"factor_age_min": 1}) == {"factor_age_min": 1}


@pytest.mark.parametrize(
    ("age_s", "is_allowed"), [(0, True), (299, True), (300, False), (-1, False)]
)
def test_a_device_is_known_for_so_long(age_s: int, is_allowed: bool) -> None:  # noqa: FBT001
    at = NOW - timedelta(seconds=age_s)
    assert decide("from_device", {"factor_age_min": 5}, factor_at=at) is is_allowed
