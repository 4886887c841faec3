"""Failures become RFC 9457 problem details with a stable `code`."""

from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import (
    HTTPException,
    MethodNotAllowedException,
    NotFoundException,
    ValidationException,
)

from serai.kernel.failure import Refused, Throttled, Unavailable

_log = structlog.get_logger(__name__)
MEDIA_TYPE = "application/problem+json"


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """An RFC 9457 problem. `code` is stable; `detail` is for people and says what to do."""

    type: str
    title: str
    status: int
    code: str
    detail: str = ""
    errors: list[dict[str, Any]] | None = None
    facts: dict[str, Any] | None = None
    request_id: str = ""


_encode = msgspec.json.Encoder(decimal_format="string").encode


def respond(
    status: int,
    code: str,
    detail: str,
    *,
    request_id: str = "",
    facts: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> Response[bytes]:
    """A response that carries a problem."""
    errors = facts.pop("errors", None) if facts else None
    problem = Problem(
        type=f"urn:serai:problem:{code}",
        title=code.replace("_", " "),
        status=status,
        code=code,
        detail=detail,
        errors=errors,
        facts=facts or None,
        request_id=request_id,
    )
    return Response(_encode(problem), status_code=status, media_type=MEDIA_TYPE, headers=headers)


def on_refused(request: Request[Any, Any, Any], error: Refused) -> Response[bytes]:
    """Theirs: 4xx, with the code of the situation."""
    headers = None
    if isinstance(error, Throttled):
        headers = {"Retry-After": str(error.facts["retry_after_s"])}
    elif error.status == 401:  # noqa: PLR2004 - the one status that names its scheme
        headers = {"WWW-Authenticate": 'Bearer realm="serai"'}
    return respond(
        error.status, error.code, error.detail,
        request_id=request_id(request), facts=dict(error.facts), headers=headers,
    )  # fmt: skip


def on_unavailable(request: Request[Any, Any, Any], error: Unavailable) -> Response[bytes]:
    """The world's: 503, with when to try again."""
    return respond(
        503, error.code, error.detail or "try again shortly",
        request_id=request_id(request), headers={"Retry-After": str(error.retry_after_s)},
    )  # fmt: skip


_CODES = {
    401: "unauthenticated",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "unsupported_media_type",
}


def on_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Litestar's own refusals, in the same form as ours."""
    code = _CODES.get(error.status_code, "bad_request")
    detail = error.detail
    facts: dict[str, Any] | None = None
    if isinstance(error, NotFoundException):
        detail = "there is nothing at this address; see /docs for those there are"
    elif isinstance(error, MethodNotAllowedException):
        detail = "this address does not take this method; see /docs"
    elif isinstance(error, ValidationException):
        code = "invalid"
        detail = "the request does not fit; see errors"
        facts = {"errors": error.extra if isinstance(error.extra, list) else []}
    if error.status_code >= 500:  # noqa: PLR2004
        return on_bug(request, error)
    return respond(error.status_code, code, detail, request_id=request_id(request), facts=facts)


def on_bug(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Ours: 500, with nothing of the inside told but the id under which it was logged."""
    _log.error(
        "request_failed", action="request_failed", path=request.url.path,
        request_id=request_id(request), exc_info=error,
    )  # fmt: skip
    return respond(500, "internal_error", "our mistake; it was logged under the request id",
                   request_id=request_id(request))  # fmt: skip


def request_id(request: Request[Any, Any, Any]) -> str:
    """The id of this request, as the middleware set it."""
    return str(request.scope.get("request_id", ""))


EXCEPTION_HANDLERS: dict[Any, Any] = {
    Refused: on_refused,
    Unavailable: on_unavailable,
    HTTPException: on_http,
    Exception: on_bug,
}
