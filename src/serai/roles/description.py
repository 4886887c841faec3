"""Completes what Litestar says of the API: its failures, and the headers that handlers read.

A route says by its `opt` what its handler looks for, in the words of `kernel.web`: `KEYLESS`,
`VERSION_OPTIONAL`, `VERSION_REQUIRED`. Every other POST needs an idempotency key.
"""

import inspect
import re
from collections.abc import Callable, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from litestar.openapi import ResponseSpec
from litestar.openapi.spec import OpenAPIType, Operation, Parameter, Schema

from serai.kernel.idempotency import KEY_CHARS_MAX
from serai.kernel.problems import MEDIA_TYPE, Problem
from serai.kernel.web import IDEMPOTENCY, METERED, OPEN, VERSION, Rule

SECURITY: Final = "apiKey"
"""The security scheme of the description; what a requirement lists for it are scopes."""
_FAILURES: Final = {
    400: "The request does not have the form that is described here.",
    401: "Nothing that is valid now says who asks.",
    402: "The tenant's plan allows no more of it; `facts` say how much, and until when.",
    403: "Who asks may not do this.",
    404: "Nothing of this tenant has that id, or is of that name.",
    409: "The state of things does not allow it.",
    412: "It was changed since the version that `If-Match` names.",
    413: "The body is longer than it may be.",
    422: "The request is well formed, and something it names does not fit.",
    428: "`If-Match` is needed, and was not sent.",
    429: "Too many tries, or more requests than the plan allows: wait `Retry-After` seconds.",
    503: "Too busy, or just being restarted: try again after `Retry-After` seconds.",
}
_ANYONE: Final = (503,)
_GUARDED: Final = (401, 403, 429)
_KEY: Final = Parameter(
    name="Idempotency-Key",
    param_in="header",
    required=True,
    schema=Schema(
        type=OpenAPIType.STRING, min_length=1, max_length=KEY_CHARS_MAX, pattern="^[ -~]+$"
    ),
    description="A new one for each intent; a request that is repeated under it is done once.",
)


def describe(routes: Sequence[Any]) -> list[Any]:
    """The same routes, each with all that it may answer and all that it looks for."""
    for route in routes:
        failures = {status: _problem(status) for status in failures_of(route)}
        route.responses = {**failures, **(route.responses or {})}
        for answer in route.responses.values():
            # A description that held random examples could not be kept nor compared.
            answer.generate_examples = False
        # Litestar calls it, so that whatever makes an operation will do.
        route.operation_class = partial(
            _make_operation, route.operation_class, headers_of(route), security_of(route)
        )
    return list(routes)


def failures_of(route: Any) -> list[int]:
    """The statuses of the refusals that a route may answer with."""
    (method,) = route.http_methods
    has_id = any("{" in path for path in route.paths)
    names = set(inspect.signature(route.fn).parameters)
    in_path = {name for path in route.paths for name in re.findall(r"{(\w+)", path)}
    is_written = method in {"POST", "PUT", "PATCH"}
    found = {*_ANYONE, *(() if OPEN in route.opt else _GUARDED)}
    if names - in_path - {"request"} or has_id or is_written:
        found.add(400)
    if OPEN in route.opt and is_written:
        found |= {401, 429}
    if has_id or is_written:
        found.add(404)
    if is_written:
        found |= {409, 422}
    if "data" in names:
        found.add(413)
    if METERED in route.opt:
        found.add(402)
    if VERSION in route.opt:
        found.add(412)
    if route.opt.get(VERSION):
        found.add(428)
    return sorted(found)


def headers_of(route: Any) -> list[Parameter]:
    """The headers that a route's handler reads by itself."""
    (method,) = route.http_methods
    found = []
    if method == "POST" and route.opt.get(IDEMPOTENCY, True):
        found.append(_KEY)
    if VERSION in route.opt:
        found.append(
            Parameter(
                name="If-Match",
                param_in="header",
                required=route.opt[VERSION],
                schema=Schema(type=OpenAPIType.STRING, pattern='^"[0-9]{1,18}"$'),
                description="The ETag that was read: the change is made to that version only.",
            )
        )
    return found


def security_of(route: Any) -> list[dict[str, list[str]]]:
    """What a route needs of who asks: one of these; nothing at all where it is open."""
    rule = next((guard for guard in route.guards or () if isinstance(guard, Rule)), None)
    if rule is None:
        return []
    return [{SECURITY: [scope]} for scope in (rule.scope, rule.own) if scope is not None]


def _problem(status: int) -> ResponseSpec:
    return ResponseSpec(
        Problem,
        description=f"{HTTPStatus(status).phrase}. {_FAILURES[status]}",
        media_type=MEDIA_TYPE,
    )


def _make_operation(
    make: Callable[..., Operation],
    headers: Sequence[Parameter],
    needs: Sequence[dict[str, list[str]]],
    **fields: Any,
) -> Operation:
    """What Litestar found, the headers, and who may."""
    fields["security"] = needs
    fields["parameters"] = [*(fields.get("parameters") or ()), *headers] or None
    return make(**fields)
