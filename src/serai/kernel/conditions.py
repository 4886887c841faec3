"""Conditions that narrow a scope: how much, when, from where. What cannot be decided is denied.

A role says its conditions as data (`Limit`); what each means is code, registered here by name. A
route says by its `Rule` which facts it lays before them. Who holds a scope under a condition that
is unknown, that breaks, or whose facts the route does not know, is refused: a condition never
widens anything.
"""

import ipaddress
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, time, timedelta
from typing import Any, Final, Protocol

import msgspec
import structlog

from serai.kernel.actor import Actor
from serai.kernel.failure import Refused

_log = structlog.get_logger(__name__)


class ConditionNotMet(Refused):
    """Who asks holds the scope under a condition, and it does not hold now or for this."""

    status = 403


class Condition(Protocol):
    """Decides from the role's data, who acts, the facts and the time: pure and at once."""

    def __call__(
        self, data: Any, *, actor: Actor, facts: Mapping[str, Any], now: datetime
    ) -> bool: ...


class Limit(msgspec.Struct, frozen=True):
    """The condition under which a role holds a scope: its name, and its data as JSON has it."""

    scope: str
    condition: str
    data: Any


class Terms(msgspec.Struct, frozen=True):
    """Who acts, and the limits that wait for facts: for whoever will have these, under a lock."""

    actor: Actor
    limits: tuple[Limit, ...]

    def refuse(self, now: datetime, **facts: Any) -> ConditionNotMet | None:
        """Why not, with the facts at hand; None where every limit allows it."""
        return refuse(self.limits, actor=self.actor, facts=facts, now=now)


class _Known(msgspec.Struct, frozen=True):
    decide: Condition
    data: Any
    needs: frozenset[str]


_KNOWN: Final[dict[str, _Known]] = {}


def condition(
    name: str, *, data: Any, needs: Collection[str] = ()
) -> Callable[[Condition], Condition]:
    """Registers a condition: the type of its data, and the facts without which it cannot decide."""

    def register(decide: Condition) -> Condition:
        if name in _KNOWN:
            raise ValueError(f"there is a condition named {name} already")
        _KNOWN[name] = _Known(decide, data, frozenset(needs))
        return decide

    return register


def refuse(
    limits: Collection[Limit], *, actor: Actor, facts: Mapping[str, Any], now: datetime
) -> ConditionNotMet | None:
    """Why not, by the first limit that does not allow it; None where all do."""
    for limit in limits:
        if not _allows(limit, actor=actor, facts=facts, now=now):
            return ConditionNotMet(
                f"{limit.scope} is held under a condition that this does not meet",
                scope=limit.scope, condition=limit.condition,
            )  # fmt: skip
    return None


def split(
    limits: Collection[Limit], judges: Collection[str]
) -> tuple[tuple[Limit, ...], tuple[Limit, ...]]:
    """Those to be judged at once, and those that wait for the facts which a route will have.

    What needs a fact that the route never has is judged at once, without it, and so refused.
    """
    later = tuple(limit for limit in limits if _waits(limit, judges))
    return tuple(limit for limit in limits if limit not in later), later


def _waits(limit: Limit, judges: Collection[str]) -> bool:
    known = _KNOWN.get(limit.condition)
    return known is not None and bool(known.needs) and known.needs <= set(judges)


def _allows(limit: Limit, *, actor: Actor, facts: Mapping[str, Any], now: datetime) -> bool:
    known = _KNOWN.get(limit.condition)
    if known is None or not known.needs <= facts.keys():
        return False
    try:
        data = msgspec.convert(limit.data, known.data)
        return known.decide(data, actor=actor, facts=facts, now=now) is True
    except Exception as error:  # noqa: BLE001 - a condition that breaks allows nothing
        _log.warning(
            "condition_failed", action="condition_failed", condition=limit.condition,
            reason=type(error).__name__,
        )  # fmt: skip
        return False


class Hours(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Hours of weekdays (1 is Monday), at a fixed distance from UTC; the end is not part of it."""

    begin: time
    end: time
    days: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7)
    utc_offset_min: int = 0


@condition("amount_up_to", data=dict[str, int], needs=("amount_minor", "currency"))
def amount_up_to(
    data: dict[str, int], *, actor: Actor, facts: Mapping[str, Any], now: datetime
) -> bool:
    """An amount by currency, in minor units; a currency that is not named has none."""
    del actor, now
    most = data.get(facts["currency"])
    return most is not None and 0 <= facts["amount_minor"] <= most


@condition("within_hours", data=Hours)
def within_hours(data: Hours, *, actor: Actor, facts: Mapping[str, Any], now: datetime) -> bool:
    """The time of day; hours that pass midnight belong to the day on which they began."""
    del actor, facts
    local = now + timedelta(minutes=data.utc_offset_min)
    moment, day = local.time(), local.isoweekday()
    if data.begin <= data.end:
        return data.begin <= moment < data.end and day in data.days
    if moment >= data.begin:
        return day in data.days
    return moment < data.end and (day - 2) % 7 + 1 in data.days


@condition("from_networks", data=tuple[str, ...])
def from_networks(
    data: tuple[str, ...], *, actor: Actor, facts: Mapping[str, Any], now: datetime
) -> bool:
    """The networks that who acts may come from; an address that nobody knows is in none."""
    del facts, now
    if actor.address is None:
        return False
    address = ipaddress.ip_address(actor.address)
    if isinstance(address, ipaddress.IPv6Address):
        # A socket that takes both kinds tells the old one so.
        address = address.ipv4_mapped or address
    return any(address in ipaddress.ip_network(network) for network in data)
