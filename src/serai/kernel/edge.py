"""The one middleware: gives each request its id and measures it."""

import functools
import time
from typing import Any

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from serai.kernel import ids, observe

REQUEST_ID_CHARS_MAX = 64


def edge(app: ASGIApp) -> ASGIApp:
    """The one middleware: gives each request its id and measures it."""

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        began = time.perf_counter()
        request_id = _request_id(scope)
        scope["request_id"] = request_id  # type: ignore[typeddict-unknown-key]
        status = 500

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = list(message.get("headers", []))
                headers.append((b"x-request-id", request_id.encode()))
                message["headers"] = headers
            await send(message)

        try:
            await app(scope, receive, send_with_id)
        finally:
            route = str(scope.get("path_template") or "unmatched")
            _stopwatch(route, status).observe(time.perf_counter() - began)

    return middleware


@functools.cache
def _stopwatch(route: str, status: int) -> Any:
    """The histogram of a route's answers of one status; the API has so many, and no more."""
    return observe.HTTP_SECONDS.labels(route, str(status))


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and len(value) <= REQUEST_ID_CHARS_MAX and value.isalnum():
            return value.decode("ascii", "replace")
    return ids.new_id().hex
