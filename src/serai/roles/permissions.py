"""What every route asks of who comes, read from the routes themselves: the one table of it."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from litestar import Litestar
from litestar.routes import HTTPRoute

from serai.kernel.web import OPEN, Rule

SCHEMA_ROOT: Final = "/schema"
"""Where Litestar itself serves the description; its routes are not ours to mark."""
_SCHEMA_WHY: Final = "to be read by anyone"
_PARAMETER: Final = re.compile(r"{(\w+):\w+}")
_HEAD: Final = """# Permissions

What each route needs of who calls it. Written by `serai openapi --permissions` from the routes
themselves, and a test fails when this page and they differ: do not edit it by hand.

A *scope* is what an API key, a role of the staff, a customer or an app holds. Who holds the *own
scope* instead passes to her own things only; anything of someone else is answered as if it were
absent. A route without a scope says why it is open. Every other request is refused: 401 without a
valid key or token, 403 without the scope.

A role may hold a scope [under conditions](../howto/limit-a-role.md) (an amount, hours, networks, a
device), which narrow it and never widen it. Where a condition needs to know more than who asks and
when, the last column names the facts that the route lays before it; every other route refuses who
is so limited.

| method | path | what it does | scope | own scope | judges |
|---|---|---|---|---|---|
"""


class Permission(msgspec.Struct, frozen=True):
    """One route and what it needs: a scope, perhaps an own one; else `open` says why none."""

    method: str
    path: str
    summary: str
    scope: str | None
    own: str | None
    open: str | None
    judges: tuple[str, ...] = ()


def rule_of(handler: Any) -> Rule | None:
    """The rule that guards a route; None where there is none."""
    return next((guard for guard in handler.resolve_guards() if isinstance(guard, Rule)), None)


def list_permissions(app: Litestar) -> list[Permission]:
    """Every route of the application, by path and method."""
    return sorted(_read(app), key=lambda one: (one.path, one.method))


def _read(app: Litestar) -> Iterator[Permission]:
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            continue
        for handler in route.route_handlers:
            rule, why = rule_of(handler), handler.opt.get(OPEN)
            doc = (handler.fn.__doc__ or "").strip().partition("\n")[0].rstrip(".")
            if route.path.startswith(SCHEMA_ROOT):
                doc, why = "The API's description", _SCHEMA_WHY
            for method in sorted(handler.http_methods - {"OPTIONS"}):
                yield Permission(
                    method,
                    _PARAMETER.sub(r"{\1}", route.path),
                    str(handler.summary or doc),
                    None if rule is None else rule.scope,
                    None if rule is None else rule.own,
                    None if why is None else str(why),
                    () if rule is None else tuple(sorted(rule.judges)),
                )


def write_markdown(permissions: Sequence[Permission]) -> str:
    """The table as a page of the docs."""
    return _HEAD + "".join(_line(one) for one in permissions)


def _line(one: Permission) -> str:
    scope = f"`{one.scope}`" if one.scope else f"open: {one.open or 'NO RULE'}"
    own = f"`{one.own}`" if one.own else ""
    judges = ", ".join(f"`{fact}`" for fact in one.judges)
    return f"| {one.method} | `{one.path}` | {one.summary} | {scope} | {own} | {judges} |\n"
