"""The outermost layer: gives each request its id, measures it, and guards how browsers use answers.

What it adds to every answer is computed once. Browsers of other origins are let in by tenant
(CORS): an origin reads an answer only where the tenant of the request names it, and never with
credentials of the browser's own, so that no cookie is ever sent along for another site.
"""

import functools
import time
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any, Final, Protocol
from uuid import UUID

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from serai.kernel import ids, observe
from serai.kernel.failure import Unavailable
from serai.kernel.proxies import Network, Proxies

REQUEST_ID_CHARS_MAX = 64
ORIGIN_CHARS_MAX = 255
PREFLIGHT_KEPT_S: Final = 600
HSTS_S: Final = 365 * 86_400
PRIVATE: Final = "is_private"
"""Set in the scope of a request whose answer is for its asker only, though anyone may ask."""
OF_TENANT: Final = "tenant_id"
"""Where a request's scope says whose it is, once that is known: its pages may read the answer."""

Pairs = tuple[tuple[bytes, bytes], ...]

_ALWAYS: Final[Pairs] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"vary", b"Origin"),
)
_OPEN: Final[Pairs] = ((b"cross-origin-resource-policy", b"cross-origin"),)
"""What anyone may read, any page may show, such as a shop's pictures."""
_PRIVATE: Final[Pairs] = (
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
_HSTS: Final[Pairs] = ((b"strict-transport-security", f"max-age={HSTS_S}".encode()),)
_EXPOSED: Final = b"ETag, Location, Idempotency-Replayed, Retry-After, X-Request-Id"
_TAKEN: Final = (
    b"Authorization, Content-Type, Idempotency-Key, If-Match, Prefer, Serai-Tenant, Traceparent, "
    b"X-Request-Id"
)
PREFLIGHT: Final[Pairs] = (
    (b"access-control-allow-methods", b"GET, POST, PUT, PATCH, DELETE"),
    (b"access-control-allow-headers", _TAKEN),
    (b"access-control-max-age", str(PREFLIGHT_KEPT_S).encode()),
)
_READS: Final = {"GET", "HEAD"}


class Origins(Protocol):
    """Which web pages of other origins may read a tenant's answers."""

    async def allows(self, origin: str, tenant_id: UUID | None) -> bool:
        """Whether the tenant names the origin; without one, whether any tenant does."""
        ...


class Edge:
    """Wraps an application. HSTS is sent only where TLS is known to be spoken before us.

    Behind `proxies`, the client that everything further in sees is the one who called them.
    """

    def __init__(
        self,
        *,
        has_tls: bool = False,
        origins: Origins | None = None,
        proxies: Sequence[Network] = (),
    ) -> None:
        self._proxies = Proxies(proxies) if proxies else None
        always = (*_ALWAYS, *_HSTS) if has_tls else _ALWAYS
        self._open: Pairs = (*always, *_OPEN)
        self._private: Pairs = (*always, *_PRIVATE)
        self._origins = origins

    def __call__(self, app: ASGIApp) -> ASGIApp:
        async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != ScopeType.HTTP:
                await app(scope, receive, send)
                return
            began = time.perf_counter()
            request_id, origin, is_preflight = _read(scope["headers"], ids.new_id().hex)
            scope["request_id"] = request_id  # type: ignore[typeddict-unknown-key]
            peer = scope.get("client")
            if self._proxies is not None and peer is not None:
                # The port is the proxy's, and nobody asks for it.
                scope["client"] = (self._proxies.find_caller(peer[0], scope["headers"]), peer[1])
            status = 500

            async def send_with_headers(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                    is_open = (
                        status < HTTPStatus.BAD_REQUEST
                        and scope["method"] in _READS
                        and scope.get("user") is None
                        and not scope.get(PRIVATE)
                    )
                    headers = [
                        *message.get("headers", ()),
                        (b"x-request-id", request_id.encode()),
                        *(self._open if is_open else self._private),
                    ]
                    if origin is not None:
                        headers.extend(await self._let_in(origin, scope, is_preflight=False))
                    message["headers"] = headers
                await send(message)

            try:
                if origin is not None and is_preflight and scope["method"] == "OPTIONS":
                    await self._answer_preflight(origin, scope, send)
                    status = 204
                else:
                    await app(scope, receive, send_with_headers)
            finally:
                route = str(scope.get("path_template") or "unmatched")
                _stopwatch(route, status).observe(time.perf_counter() - began)

        return middleware

    async def _answer_preflight(self, origin: bytes, scope: Scope, send: Send) -> None:
        """A browser asks before it asks. It sends no key then, so any tenant's origin will do."""
        headers = [*self._private, *await self._let_in(origin, scope, is_preflight=True)]
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _let_in(self, origin: bytes, scope: Scope, *, is_preflight: bool) -> Pairs:
        """What lets a page of this origin read the answer; nothing where it may not."""
        tenant_id: UUID | None = scope.get(OF_TENANT)  # type: ignore[assignment]
        if self._origins is None or len(origin) > ORIGIN_CHARS_MAX or not origin.isascii():
            return ()
        try:
            if not await self._origins.allows(origin.decode(), tenant_id):
                return ()
        except Unavailable:
            return ()
        allowed = (b"access-control-allow-origin", origin)
        if is_preflight:
            return (allowed, *PREFLIGHT)
        return (allowed, (b"access-control-expose-headers", _EXPOSED))


edge: Final = Edge()
"""The edge of an application that no browser of another origin may read."""


@functools.cache
def _stopwatch(route: str, status: int) -> Any:
    """The histogram of a route's answers of one status; the API has so many, and no more."""
    return observe.HTTP_SECONDS.labels(route, str(status))


def _read(headers: Iterable[tuple[bytes, bytes]], new_id: str) -> tuple[str, bytes | None, bool]:
    """The request's id (its own, or the new one), its origin, and whether it may be a preflight."""
    origin: bytes | None = None
    is_preflight = False
    for name, value in headers:
        if name == b"x-request-id":
            if len(value) <= REQUEST_ID_CHARS_MAX and value.isalnum():
                new_id = value.decode("ascii", "replace")
        elif name == b"origin":
            origin = value
        elif name == b"access-control-request-method":
            is_preflight = True
    return new_id, origin, is_preflight
