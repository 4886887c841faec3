"""Roles: named sets of scopes. Some come with Serai; a tenant may have others of its own."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from serai.contexts.identity.contract import (
    ROLE_CHARS_MAX,
    SELF,
    AccountKind,
    ReadyMadeRole,
    RoleNameUnfit,
    UnknownRole,
)
from serai.contexts.tenancy.contract import SCOPES, UnknownScope
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


def find_fault(
    wanted: Sequence[str], *, kind: AccountKind, own: Mapping[str, tuple[str, ...]]
) -> Refused | None:
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


def scopes_of(roles: Iterable[str], own: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    """What accounts with these roles may do. A role that is gone allows nothing."""
    found = {SELF}
    for name in roles:
        found.update(READY_MADE.get(name) or own.get(name, ()))
    return frozenset(found)
