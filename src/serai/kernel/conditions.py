"""Conditions that narrow a scope: how much, when, from where. What cannot be decided is denied.

A role says its conditions as data (`Limit`); what each means is code, registered here by name. A
route says by its `Rule` which facts it lays before them. Who holds a scope under a condition that
is unknown, that breaks, or whose facts the route does not know, is refused: a condition never
widens anything. Who holds a scope by several roles passes in the way of any of them.
"""

import contextlib
import functools
import ipaddress
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any, Final, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import structlog

from serai.kernel.actor import Actor
from serai.kernel.failure import Refused, Unprocessable
from serai.kernel.money import AMOUNT_MINOR_MAX, is_currency

NETWORKS_MAX: Final = 20
CURRENCIES_MAX: Final = 20
FACTOR_AGE_MIN_MAX: Final = 180 * 24 * 60
"""No session lasts longer."""
ZONE_CHARS_MAX: Final = 64
FACTOR_AT: Final = "factor_at"
"""The fact that comes with who asks: when her session has seen her second factor."""
_ZONES_KNOWN_MAX: Final = 700
_NETWORKS_KNOWN_MAX: Final = 4_096

_log = structlog.get_logger(__name__)


class ConditionNotMet(Refused):
    """Who asks holds the scope under a condition, and it does not hold now or for this."""

    status = 403


class ConditionUnfit(Unprocessable):
    """There is no such condition, or this is not what it is made of."""


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


Way = tuple[Limit, ...]
"""How one role holds a scope: all of these must allow."""
Ways = tuple[Way, ...]
"""How several do: one of these is enough."""


class Terms(msgspec.Struct, frozen=True):
    """Who acts, and the ways that wait for facts: for whoever will have these, under a lock."""

    actor: Actor
    ways: Ways

    def refuse(self, now: datetime, **facts: Any) -> ConditionNotMet | None:
        """Why not, with the facts at hand; None where all limits of a way allow it."""
        refusals = [refuse(way, actor=self.actor, facts=facts, now=now) for way in self.ways]
        return None if None in refusals else refusals[0]


class _Known(msgspec.Struct, frozen=True):
    decide: Condition
    data: Any
    needs: frozenset[str]
    is_within: Callable[[Any, Any], bool]
    check: Callable[[Any], object]


_KNOWN: Final[dict[str, _Known]] = {}


def condition(
    name: str, *, data: Any, needs: Collection[str] = (),
    is_within: Callable[[Any, Any], bool] = lambda one, other: bool(one == other),
    check: Callable[[Any], object] = lambda data: data,
) -> Callable[[Condition], Condition]:  # fmt: skip
    """Registers a condition: the type of its data, and the facts without which it cannot decide.

    `is_within` tells whether one's data allows nothing that another's does not; `check` raises
    ValueError for what the type alone lets pass.
    """

    def register(decide: Condition) -> Condition:
        if name in _KNOWN:
            raise ValueError(f"there is a condition named {name} already")
        _KNOWN[name] = _Known(decide, data, frozenset(needs), is_within, check)
        return decide

    return register


def read(name: str, data: Any) -> Any:
    """The data of a condition as it is kept; refuses an unknown one, and what is none of its."""
    known = _KNOWN.get(name)
    if known is None:
        raise ConditionUnfit(
            f"the conditions are {', '.join(_KNOWN)}", condition=name, known=list(_KNOWN)
        )
    try:
        found = msgspec.convert(data, known.data)
        known.check(found)
    except ValueError as error:
        raise ConditionUnfit(f"{name} does not fit: {error}", condition=name) from error
    return msgspec.to_builtins(found)


def learn(limits: Iterable[Ways]) -> None:
    """Reads what conditions need of the disk, once, so that judging by them never does."""
    for limit in (limit for ways in limits for way in ways for limit in way):
        with contextlib.suppress(ConditionUnfit):
            read(limit.condition, limit.data)


def are_within(ways: Ways, others: Ways) -> bool:
    """Whether each of these ways is one of the others, or narrower than it."""
    return bool(ways) and all(any(_narrows(way, other) for other in others) for way in ways)


def _narrows(way: Way, other: Way) -> bool:
    return all(any(_is_within(mine, limit) for mine in way) for limit in other)


def _is_within(one: Limit, other: Limit) -> bool:
    known = _KNOWN.get(one.condition)
    if known is None or one.condition != other.condition:
        return False
    mine, wider = (msgspec.convert(limit.data, known.data) for limit in (one, other))
    return known.is_within(mine, wider)


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


def choose(
    ways: Ways, judges: Collection[str], *, actor: Actor, facts: Mapping[str, Any], now: datetime
) -> Ways:
    """The ways that are open now, as far as can be told; refuses who has none."""
    refusals = [
        refuse(split(way, judges)[0], actor=actor, facts=facts, now=now) for way in ways
    ]  # fmt: skip
    if None not in refusals:
        raise next(iter(refusals), None) or ConditionNotMet("no way to hold this scope is open")
    return tuple(way for way, refusal in zip(ways, refusals, strict=True) if refusal is None)


def postpone(ways: Ways, judges: Collection[str]) -> Ways:
    """What is left to judge of ways that are open; none where one of them waits for nothing."""
    later = tuple(split(way, judges)[1] for way in ways)
    return later if all(later) else ()


def split(limits: Collection[Limit], judges: Collection[str]) -> tuple[Way, Way]:
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


@functools.lru_cache(maxsize=_ZONES_KNOWN_MAX)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


@functools.lru_cache(maxsize=_NETWORKS_KNOWN_MAX)
def _network(text: str) -> IPv4Network | IPv6Network:
    return ipaddress.ip_network(text)


Moment = Annotated[str, msgspec.Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", max_length=5)]
"""A time of day, such as 09:30; as text they are in the order of the day."""
MIDNIGHT: Final = "00:00"


class Hours(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Hours of weekdays (1 is Monday) by the clocks of a place; the end is not part of it."""

    begin: Moment
    end: Moment
    zone: Annotated[str, msgspec.Meta(min_length=1, max_length=ZONE_CHARS_MAX)]
    days: Annotated[
        tuple[Annotated[int, msgspec.Meta(ge=1, le=7)], ...],
        msgspec.Meta(min_length=1, max_length=7),
    ] = (1, 2, 3, 4, 5, 6, 7)

    def parts(self) -> list[tuple[int, str, str | None]]:
        """The stretches of each day, up to a time or, None, to the end of the day."""
        if self.begin < self.end:
            return [(day, self.begin, self.end) for day in self.days]
        found: list[tuple[int, str, str | None]] = [(day, self.begin, None) for day in self.days]
        if self.end > MIDNIGHT:
            found += [(day % 7 + 1, MIDNIGHT, self.end) for day in self.days]
        return found


def _check_hours(data: Hours) -> None:
    if data.begin == data.end:
        raise ValueError("`begin` and `end` are the same: that is no time at all")
    try:
        _zone(data.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("`zone` is no time zone, such as Europe/Berlin") from error


def _are_hours_within(one: Hours, other: Hours) -> bool:
    """Each stretch of one lies in a stretch of the other, by the same clocks."""
    return one.zone == other.zone and all(
        any(
            day == that and start <= begin and (stop is None or (end is not None and end <= stop))
            for that, start, stop in other.parts()
        )
        for day, begin, end in one.parts()
    )


@condition("within_hours", data=Hours, is_within=_are_hours_within, check=_check_hours)
def within_hours(data: Hours, *, actor: Actor, facts: Mapping[str, Any], now: datetime) -> bool:
    """The time of day; hours that pass midnight belong to the day on which they began."""
    del actor, facts
    local = now.astimezone(_zone(data.zone))
    moment, day = f"{local.hour:02}:{local.minute:02}", local.isoweekday()
    if data.begin <= data.end:
        return data.begin <= moment < data.end and day in data.days
    if moment >= data.begin:
        return day in data.days
    return moment < data.end and (day - 2) % 7 + 1 in data.days


Amount = Annotated[int, msgspec.Meta(ge=0, le=AMOUNT_MINOR_MAX)]


Amounts = Annotated[dict[str, Amount], msgspec.Meta(min_length=1, max_length=CURRENCIES_MAX)]


def _check_amounts(data: dict[str, int]) -> None:
    if not all(is_currency(name) for name in data):
        raise ValueError("a currency is a code of ISO 4217 that is in use, such as EUR")


def _are_amounts_within(one: dict[str, int], other: dict[str, int]) -> bool:
    return all(most <= other.get(name, -1) for name, most in one.items())


@condition(
    "amount_up_to", data=Amounts, needs=("amount_minor", "currency"),
    is_within=_are_amounts_within, check=_check_amounts,
)  # fmt: skip
def amount_up_to(
    data: dict[str, int], *, actor: Actor, facts: Mapping[str, Any], now: datetime
) -> bool:
    """An amount by currency, in minor units; a currency that is not named has none."""
    del actor, now
    most = data.get(facts["currency"])
    return most is not None and 0 <= facts["amount_minor"] <= most


Networks = Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=NETWORKS_MAX)]


def _check_networks(data: tuple[str, ...]) -> None:
    for text in data:
        _network(text)


def _are_networks_within(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    return all(any(_is_inside(text, wider) for wider in other) for text in one)


def _is_inside(text: str, wider: str) -> bool:
    inner, outer = _network(text), _network(wider)
    if isinstance(inner, IPv4Network):
        return isinstance(outer, IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, IPv6Network) and inner.subnet_of(outer)


@condition("from_networks", data=Networks, is_within=_are_networks_within, check=_check_networks)
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
    return any(address in _network(text) for text in data)


class Device(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For how long a device is known on which a second factor was shown."""

    factor_age_min: Annotated[int, msgspec.Meta(ge=1, le=FACTOR_AGE_MIN_MAX)]


@condition(
    "from_device", data=Device, needs=(FACTOR_AT,),
    is_within=lambda one, other: bool(one.factor_age_min <= other.factor_age_min),
)  # fmt: skip
def from_device(data: Device, *, actor: Actor, facts: Mapping[str, Any], now: datetime) -> bool:
    """A device whose session was opened with a second factor, and not too long ago."""
    del actor
    age: timedelta = now - facts[FACTOR_AT]
    return timedelta() <= age < timedelta(minutes=data.factor_age_min)
