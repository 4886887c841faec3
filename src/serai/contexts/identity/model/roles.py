"""Roles: named sets of scopes. Some come with Serai; a tenant may have others of its own."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from serai.contexts.identity.contract import (
    ROLE_CHARS_MAX,
    SELF,
    AccountKind,
    Conditions,
    MorePowerful,
    ReadyMadeRole,
    RoleNameUnfit,
    RoleView,
    UnknownRole,
)
from serai.contexts.tenancy.contract import SCOPES, UnknownScope
from serai.kernel import conditions
from serai.kernel.conditions import ConditionUnfit, Limit, Ways
from serai.kernel.failure import Refused

OWNER: Final = "owner"
CUSTOMER: Final = "customer"
_READS: Final = tuple(scope for scope in SCOPES if scope.endswith(":read"))

OWNERS_ONLY: Final = frozenset({"tenancy:write", "identity:write", "billing:write"})

READY_MADE: Final[Mapping[str, tuple[str, ...]]] = {
    CUSTOMER: ("catalog:read", "orders:own"),
    "vendor": (
        "catalog:read", "catalog:write", "inventory:read", "inventory:write", "orders:read",
        "shipping:read", "shipping:write",
    ),
    "support": (
        "catalog:read", "inventory:read", "orders:read", "orders:write", "orders:cancel",
        "payments:read", "shipping:read", "returns:read", "returns:write", "notifications:read",
        "notifications:write", "identity:read",
    ),
    "manager": tuple(scope for scope in SCOPES if scope not in OWNERS_ONLY),
    OWNER: SCOPES,
    "auditor": _READS,
}  # fmt: skip
"""The roles that every tenant has. `customer` is every customer's; the others are for staff."""

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", re.ASCII)


def check_name(name: str) -> None:
    """Refuses a name that no role of a tenant's own can have."""
    if name in READY_MADE:
        raise ReadyMadeRole(f"{name} comes with Serai and is the same for every tenant")
    if len(name) > ROLE_CHARS_MAX or _NAME.fullmatch(name) is None:
        raise RoleNameUnfit(
            f"a role's name has 1 to {ROLE_CHARS_MAX} small letters, digits and dashes, and "
            "neither begins nor ends with a dash"
        )


def choose_scopes(wanted: Sequence[str]) -> tuple[str, ...]:
    """The scopes of a role in their usual order; refuses unknown ones."""
    unknown = sorted(set(wanted) - set(SCOPES))
    if unknown:
        raise UnknownScope(f"a role is made of these scopes: {', '.join(SCOPES)}", unknown=unknown)
    return tuple(scope for scope in SCOPES if scope in set(wanted))


def find_fault(wanted: Sequence[str], *, kind: AccountKind, own: Collection[str]) -> Refused | None:
    """Why an account of this kind cannot have these roles."""
    unknown = sorted(set(wanted) - set(own) - set(READY_MADE))
    misplaced = sorted(
        name for name in wanted if name in READY_MADE and (name == CUSTOMER) != (kind == "customer")
    )
    if not unknown and not misplaced:
        return None
    return UnknownRole(
        f"these are no roles for {'a customer' if kind == 'customer' else 'staff'}",
        unknown=unknown, misplaced=misplaced,
    )  # fmt: skip


class Powers(msgspec.Struct, frozen=True):
    """What somebody may do: scopes, and the ways in which some of them are held."""

    scopes: frozenset[str]
    limits: Mapping[str, Ways] = {}


def choose_conditions(wanted: Conditions, scopes: Collection[str]) -> Conditions:
    """The conditions of a role as they are kept; refuses what does not fit it."""
    beyond = sorted(set(wanted) - set(scopes))
    if beyond:
        raise ConditionUnfit("a condition is for a scope that the role has", scopes=beyond)
    found = {
        scope: {name: conditions.read(name, data) for name, data in sorted(wanted[scope].items())}
        for scope in sorted(wanted)
    }
    if not all(found.values()):
        raise ConditionUnfit("a scope without a condition is not named among the conditions")
    return found


def powers_of(roles: Iterable[str], own: Mapping[str, RoleView]) -> Powers:
    """What accounts with these roles may do. A role that is gone allows nothing.

    A scope that one role gives without a condition is held without; of two that give it with some,
    each is a way.
    """
    free, limits = {SELF}, dict[str, Ways]()
    for name in roles:
        free.update(READY_MADE.get(name, ()))
        role = own.get(name)
        if role is None or name in READY_MADE:
            continue
        for scope in role.scopes:
            way = tuple(Limit(scope, *one) for one in role.conditions.get(scope, {}).items())
            if way:
                limits[scope] = (*limits.get(scope, ()), way)
            else:
                free.add(scope)
    held = {scope: ways for scope, ways in limits.items() if scope not in free}
    return Powers(frozenset(free | held.keys()), held)


def scopes_of(roles: Iterable[str], own: Mapping[str, RoleView]) -> frozenset[str]:
    """What accounts with these roles may do, under conditions or without."""
    return powers_of(roles, own).scopes


def refuse_wider(wanted: Powers, *, held: Powers) -> Refused | None:
    """Why one who holds so much cannot give, or take from another, what is wanted."""
    missing = sorted(wanted.scopes - held.scopes - {SELF})
    wider = sorted(
        scope
        for scope in wanted.scopes & held.limits.keys()
        if not conditions.are_within(wanted.limits.get(scope, ()), held.limits[scope])
    )
    if missing:
        return MorePowerful("this takes scopes that you do not hold yourself", missing=missing)
    if wider:
        return MorePowerful("you hold these scopes under narrower conditions", wider=wider)
    return None
