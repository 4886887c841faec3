"""A short way to routes that are asked by the thousand: the route's own parts, nothing between.

A route that says `opt=EXPRESS` is declared, documented and answered by Litestar like any other.
What asks for it in the plainest form (its exact path, JSON of a known length) goes past the
framework's resolving of parameters, which costs more than all that the route itself does. Its
guards, its decoder, its function and its failures are called in the same order, so the answers
are the same. Everything else takes the long way.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec
from litestar import Litestar, Response
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from serai.kernel.edge import Edge, edge
from serai.kernel.problems import EXCEPTION_HANDLERS
from serai.kernel.strict_json import decode_json

EXPRESS: Final[Mapping[str, Any]] = {"is_express": True}
"""The `opt` of a route that takes the request and its JSON body, and nothing from its path."""
EDGE: Final = "edge"
"""Where an application's state holds its edge."""
_JSON: Final = b"application/json"


class _Url(NamedTuple):
    path: str


class _Gone(Exception):
    """The client left before the end of its body: there is nobody to answer."""


class Call:
    """A request, as far as guards, routes and failures of ours look at it."""

    __slots__ = ("_content", "_receive", "app", "headers", "scope")

    def __init__(self, scope: Any, app: Litestar, receive: Receive) -> None:
        self.scope = scope
        self.app = app
        self._receive = receive
        # The first of several headers of one name counts, as it does on the long way.
        self.headers = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in reversed(list(scope["headers"]))
        }
        self._content: bytes | None = None

    @property
    def method(self) -> str:
        return str(self.scope["method"])

    @property
    def url(self) -> _Url:
        return _Url(self.scope["path"])

    async def body(self) -> bytes:
        """All of the body; taken in when it is first asked for."""
        if self._content is None:
            self._content = await self._read()
        return self._content

    async def _read(self) -> bytes:
        pieces: list[bytes] = []
        while True:
            message = await self._receive()
            if message["type"] != "http.request":
                raise _Gone
            pieces.append(message.get("body", b""))
            if not message.get("more_body", False):
                return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class _Lane:
    """The parts of one route."""

    __slots__ = ("_app", "_decoder", "_function", "_guards", "_handler")

    def __init__(self, app: Litestar, handler: Any) -> None:
        self._app = app
        self._handler = handler
        self._guards = tuple(handler.resolve_guards())
        self._decoder = msgspec.json.Decoder(handler.parsed_data_field.annotation)
        self._function = handler.fn

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = Call(scope, self._app, receive)
        try:
            for guard in self._guards:
                await guard(call, self._handler)
            data = decode_json(self._decoder, await call.body())
            response = await self._function(request=call, data=data)
        except _Gone:
            return
        except Exception as error:  # noqa: BLE001 - each has its handler, the last one for our mistakes
            response = _handler_of(error)(call, error)
        await _send(response, send)


def shorten(app: Litestar, *, body_bytes_max: int) -> ASGIApp:
    """The application with a short way to its express routes; larger bodies take the long way."""
    around: Edge = app.state.get(EDGE, edge)
    lanes: dict[tuple[str, str], ASGIApp] = {
        (method, path): around(_Lane(app, handler))
        for route in app.routes
        for handler in getattr(route, "route_handlers", ())
        if handler.opt.get("is_express")
        for path in handler.paths
        for method in handler.http_methods
    }

    async def shortened(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP:
            lane = lanes.get((scope["method"], scope["path"]))
            if lane is not None and _is_plain(scope["headers"], body_bytes_max):
                scope["path_template"] = scope["path"]
                await lane(scope, receive, send)
                return
        await app(scope, receive, send)

    return shortened


def _is_plain(headers: Any, body_bytes_max: int) -> bool:
    """Whether a body comes that is JSON, not empty, not encoded and not too large."""
    is_json = False
    length = 0
    for name, value in headers:
        if name == b"content-type":
            is_json = value.partition(b";")[0] == _JSON
        elif name == b"content-length":
            length = int(value) if value.isdigit() else 0
        elif name in {b"transfer-encoding", b"content-encoding"}:
            return False
    return is_json and 0 < length <= body_bytes_max


def _handler_of(error: Exception) -> Any:
    return next(
        EXCEPTION_HANDLERS[kind] for kind in type(error).__mro__ if kind in EXCEPTION_HANDLERS
    )


async def _send(response: Response[bytes], send: Send) -> None:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1"))
               for name, value in response.headers.items()]  # fmt: skip
    headers.append((b"content-type", str(response.media_type).encode("latin-1")))
    headers.append((b"content-length", str(len(response.content)).encode("latin-1")))
    await send({"type": "http.response.start", "status": response.status_code or 200,
                "headers": headers})  # fmt: skip
    await send({"type": "http.response.body", "body": response.content, "more_body": False})
