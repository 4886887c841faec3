"""What narrows a scope: each condition decides, and what cannot be decided is denied."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from serai.kernel import conditions, ids
from serai.kernel.actor import Actor
from serai.kernel.conditions import ConditionNotMet, Limit, condition, refuse, split

NOW = datetime(2026, 11, 27, 9, 30, tzinfo=UTC)
"""A Friday."""
STAFF = Actor("staff", ids.new_id(), "10.1.2.3")


def decide(
    name: str, data: Any, *, now: datetime = NOW, actor: Actor = STAFF, **facts: Any
) -> bool:
    limit = Limit("payments:write", name, data)
    refusal = refuse([limit], actor=actor, facts=facts, now=now)
    assert refusal is None or isinstance(refusal, ConditionNotMet)
    return refusal is None


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
        ({"begin": "09:30:00", "end": "17:00:00"}, NOW, True),
        ({"begin": "09:31:00", "end": "17:00:00"}, NOW, False),
        ({"begin": "08:00:00", "end": "09:30:00"}, NOW, False),
        ({"begin": "08:00:00", "end": "17:00:00", "days": [1, 2, 3, 4]}, NOW, False),
        ({"begin": "08:00:00", "end": "09:00:00", "utc_offset_min": -60}, NOW, True),
        # Friday's night shift lasts into Saturday, and no other day's.
        ({"begin": "22:00:00", "end": "06:00:00", "days": [5]}, NOW.replace(hour=22), True),
        ({"begin": "22:00:00", "end": "06:00:00", "days": [5]}, NOW.replace(day=28, hour=5), True),
        ({"begin": "22:00:00", "end": "06:00:00", "days": [5]}, NOW.replace(hour=5), False),
        ({"begin": "22:00:00", "end": "06:00:00", "days": [7]}, NOW.replace(day=30, hour=5), True),
    ],
)
def test_hours_are_those_of_their_days(
    data: dict[str, Any],
    moment: datetime,
    is_allowed: bool,  # noqa: FBT001
) -> None:
    assert decide("within_hours", data, now=moment) is is_allowed


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
        ("within_hours", {"begin": "00:00:00", "end": "23:59:00", "more": 1}, {}),
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
    day = Limit("payments:write", "within_hours", {"begin": "09:00:00", "end": "17:00:00"})
    night = Limit("payments:write", "within_hours", {"begin": "22:00:00", "end": "06:00:00"})
    facts: dict[str, Any] = {}
    assert refuse([day], actor=STAFF, facts=facts, now=NOW) is None
    refusal = refuse([day, night], actor=STAFF, facts=facts, now=NOW)
    assert refusal is not None
    assert refusal.facts == {"scope": "payments:write", "condition": "within_hours"}


def test_only_what_a_route_will_know_waits_for_it() -> None:
    amount = Limit("payments:write", "amount_up_to", {"USD": 1})
    hours = Limit("payments:write", "within_hours", {"begin": "09:00:00", "end": "17:00:00"})
    unknown = Limit("payments:write", "no_such_condition", {})
    limits = (amount, hours, unknown)
    assert split(limits, {"amount_minor", "currency"}) == ((hours, unknown), (amount,))
    assert split(limits, {"amount_minor"}) == (limits, ())
