"""The edge: decodes strictly, authenticates, hands commands to batches and answers in HTTP."""

import base64
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Generic, Protocol, TypeVar
from uuid import UUID

import msgspec
from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.dto import AbstractDTO
from litestar.handlers import BaseRouteHandler
from litestar.params import QueryParameter

from serai.kernel import conditions, idempotency, ids
from serai.kernel.actor import SYSTEM, Actor
from serai.kernel.batch import Batch
from serai.kernel.conditions import FACTOR_AT, Terms, Ways
from serai.kernel.edge import OF_TENANT
from serai.kernel.events import Cause, correlation_of
from serai.kernel.failure import IdempotencyKeyMissing, Invalid, Refused, StaleVersion
from serai.kernel.idempotency import KEY_CHARS_MAX, Answer, Claim
from serai.kernel.strict_json import decode_json
from serai.kernel.tenant import Home
from serai.kernel.text import LINE_PATTERN

PAGE_DEFAULT = 50
PAGE_MAX = 200
CURSOR_CHARS_MAX = 512
REPEATED: Final = "Idempotency-Replayed"
"""The header that tells an answer given once more, under a key, from the first."""
BIGINT_MAX = 2**63 - 1
QUERY_CHARS_MAX = 255

QueryLine = Annotated[str, QueryParameter(max_length=QUERY_CHARS_MAX, pattern=LINE_PATTERN)]
"""A query parameter that is text of one line."""
OptionalQueryLine = Annotated[
    str | None, QueryParameter(max_length=QUERY_CHARS_MAX, pattern=LINE_PATTERN)
]
"""The same where it may be left out."""

IDEMPOTENCY: Final = "idempotency_key"
VERSION: Final = "if_match"
KEYLESS: Final = {IDEMPOTENCY: False}
"""The `opt=` of a POST that is safe to repeat by itself, or cannot be answered twice."""
VERSION_OPTIONAL: Final = {VERSION: False}
"""The `opt=` of a route that heeds `If-Match` where it is sent."""
VERSION_REQUIRED: Final = {VERSION: True}
"""The `opt=` of a route that does nothing without `If-Match`."""

OF_ACTOR: Final = "\x1f"
"""Stands between an actor and her idempotency key."""
OPEN: Final = "is_open"
"""The `opt` of a route that anyone may call: `opt={OPEN: "why"}`. Every other has a `Rule`."""

METERED: Final = "is_metered"
"""The `opt` of a route whose things are counted: a tenant's plan may refuse it (402)."""

T = TypeVar("T")


class Unauthenticated(Refused):
    """Nothing that proves who asks came with the request, or it is not valid now."""

    status = 401


class MissingScope(Refused):
    """Who asks is known and may not do this."""

    status = 403


class Proof(Protocol):
    """What a key asks of each request beside itself, such as a signature; refuses one without."""

    async def check(self, connection: Any) -> None: ...


class Principal(msgspec.Struct, frozen=True):
    """Who asks: a key, a member of the staff, a customer or an app of a tenant, and its scopes."""

    tenant_id: UUID
    home: Home
    actor: Actor
    scopes: frozenset[str]
    limits: Mapping[str, Ways] = {}
    """The scopes that are held under conditions only, and in which ways."""
    proof: Proof | None = None
    factor_at: datetime | None = None
    """When a second factor opened the session; None where it did not."""

    @property
    def free_scopes(self) -> frozenset[str]:
        """The scopes that are held without a condition: who holds them may pass them on."""
        return self.scopes - self.limits.keys() if self.limits else self.scopes

    def choose(self, ways: Ways, judges: Collection[str], now: datetime) -> Ways:
        """Those of the ways that are open now; refuses who has none."""
        facts = {} if self.factor_at is None else {FACTOR_AT: self.factor_at}
        return conditions.choose(ways, judges, actor=self.actor, facts=facts, now=now)


class Authenticator(Protocol):
    """Turns a bearer token into a principal; raises Unauthenticated for one not valid now."""

    async def authenticate(self, token: str) -> Principal: ...


class Gate(Protocol):
    """Counts the requests of tenants; it is asked before anything is done, and never waits."""

    def admit(self, principal: Principal) -> None:
        """Lets a request pass, or raises Throttled."""
        ...


class Rule(msgspec.Struct, frozen=True):
    """What a route asks of who comes; `own` is the scope that opens one's own things only.

    `judges` are the facts that the route itself lays before the limits of who comes (`terms_of`).
    """

    scope: str
    own: str | None = None
    judges: frozenset[str] = frozenset()

    async def __call__(
        self, connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler
    ) -> None:
        header = connection.headers.get("authorization", "")
        kind, _sep, token = header.partition(" ")
        if kind.lower() != "bearer" or not token:
            raise Unauthenticated("say who you are: `Authorization: Bearer <API key or token>`")
        authenticator: Authenticator = connection.app.state.authenticator
        principal = await authenticator.authenticate(token.strip())
        connection.scope[OF_TENANT] = principal.tenant_id  # type: ignore[typeddict-unknown-key]
        if principal.proof is not None:
            await principal.proof.check(connection)
        if self.scope not in principal.scopes and self.own not in principal.scopes:
            raise MissingScope(f"this needs the scope {self.scope}", scope=self.scope)
        gate: Gate | None = connection.app.state.get("gate")
        if gate is not None:
            gate.admit(principal)
        if principal.limits:
            actor = principal.actor.at(connection.scope.get("client"))
            principal = msgspec.structs.replace(principal, actor=actor)
            principal = self._weigh(principal, connection.app.state.clock.now())
        if b"%00" in connection.scope["query_string"]:
            raise Invalid("the query holds a NUL character, which nothing of ours does")
        connection.scope["user"] = principal

    def terms_of(self, principal: Principal) -> Terms | None:
        """The limits that wait for the facts which this rule says will be laid before them."""
        ways = conditions.postpone(principal.limits.get(self._used(principal), ()), self.judges)
        return Terms(principal.actor, ways) if ways else None

    def _weigh(self, principal: Principal, now: datetime) -> Principal:
        """Who asks, with the ways alone that are open to her now."""
        used = self._used(principal)
        ways = principal.limits.get(used)
        if ways is None:
            return principal
        limits = {**principal.limits, used: principal.choose(ways, self.judges, now)}
        return msgspec.structs.replace(principal, limits=limits)

    def _used(self, principal: Principal) -> str:
        return self.scope if self.scope in principal.scopes else self.own or self.scope


def requires(scope: str, *, own: str | None = None, judges: Collection[str] = ()) -> Rule:
    """A guard: only who holds `scope` passes; who holds `own` passes too, to what is theirs.

    A route with `own` must ask `owner_of` whose things it may touch, and one that judges facts must
    hand `Rule.terms_of` to whoever has them.
    """
    return Rule(scope, own, frozenset(judges))


def owner_of(request: Request[Any, Any, Any], scope: str) -> UUID | None:
    """Whose things alone the asker may touch; None where it holds `scope` and may touch all."""
    principal = principal_of(request)
    return None if scope in principal.scopes else principal.actor.id


def holds(request: Request[Any, Any, Any], scope: str) -> bool:
    """Whether the asker holds a scope beside the route's own: freely, or in a way open just now."""
    who = principal_of(request)
    ways = who.limits.get(scope)
    if ways is None or scope not in who.scopes:
        return scope in who.scopes
    try:
        return bool(who.choose(ways, (), request.app.state.clock.now()))
    except conditions.ConditionNotMet:
        return False


def principal_of(request: Request[Any, Any, Any]) -> Principal:
    """Who the guard let in."""
    principal: Principal = request.scope["user"]
    return principal


def cause_of(request: Request[Any, Any, Any]) -> Cause:
    """The cause of what this request does: who asks, where from, and by which `X-Request-Id`."""
    scope: Any = request.scope
    request_id: str = scope.get("request_id") or ids.new_id().hex
    principal: Principal | None = scope.get("user")
    actor = (SYSTEM if principal is None else principal.actor).at(scope.get("client"))
    traceparent = request.headers.get("traceparent")
    return Cause(correlation_of(request_id), None, traceparent, actor, request_id)


class _JsonBody(AbstractDTO[Any], Generic[T]):
    """Decodes a body by one msgspec decoder, built once; Litestar documents the model as it is."""

    _decoder: Any

    @classmethod
    def generate_field_definitions(cls, model_type: Any) -> Any:
        del model_type  # Litestar gives more than is needed here, and gives it by name.
        return iter(())

    @classmethod
    def detect_nested_field(cls, field_definition: Any) -> bool:
        del field_definition
        return False

    @classmethod
    def create_for_field_definition(
        cls,
        field_definition: Any,
        handler_id: str,
        backend_cls: Any = None,
    ) -> None:
        del handler_id, backend_cls
        cls._decoder = msgspec.json.Decoder(field_definition.annotation)

    @classmethod
    def create_openapi_schema(
        cls,
        field_definition: Any,
        handler_id: str,
        schema_creator: Any,
    ) -> Any:
        del handler_id
        return schema_creator.for_field_definition(field_definition)

    def decode_bytes(self, value: bytes) -> Any:
        return decode_json(self._decoder, value)

    def decode_builtins(self, value: dict[str, Any]) -> Any:
        del value
        raise Invalid("send the body as application/json")

    def data_to_encodable_type(self, data: Any) -> Any:
        return data


def json_body(model: type) -> type[AbstractDTO[Any]]:
    """The `dto=` of a route whose `data` is a `model` (a Struct with forbid_unknown_fields)."""
    return type(f"Json{model.__name__}", (_JsonBody,), {})


def claim_of(
    request: Request[Any, Any, Any], body: bytes, *, is_required: bool = True
) -> Claim | None:
    """The request's idempotency key with its fingerprint; refuses a missing or malformed one."""
    key = request.headers.get("idempotency-key")
    if key is None:
        if is_required:
            raise IdempotencyKeyMissing(
                "send an `Idempotency-Key` header, a new one for each intent"
            )
        return None
    if not 1 <= len(key) <= KEY_CHARS_MAX or not key.isprintable() or not key.isascii():
        raise Invalid(f"`Idempotency-Key` must be 1 to {KEY_CHARS_MAX} printable ASCII characters")
    who: Principal | None = request.scope.get("user")
    if who is not None and who.actor.kind != "key":
        # Of one tenant's people each has keys of her own: what another was answered is not hers to
        # see, nor is that it was. No key that is sent holds the character between.
        key = f"{who.actor.id.hex}{OF_ACTOR}{key}"
    query = request.scope["query_string"].decode("latin-1")
    operation = f"{request.method} {request.scope['path']}?{query}"
    return Claim(key, idempotency.fingerprint(operation, body))


async def carry_out(
    request: Request[Any, Any, Any], batch: Batch[Any, Any], command: Any, *, is_keyed: bool = True
) -> Response[bytes]:
    """Hands a command to its batch and sends the answer; the usual last line of a writing route."""
    claim = claim_of(request, await request.body(), is_required=is_keyed)
    answer = await batch.submit(command, home=principal_of(request).home, claim=claim)
    return send(answer)


def send(answer: Answer) -> Response[bytes]:
    """An answer as a response."""
    headers: dict[str, str] = {}
    if answer.location:
        headers["Location"] = answer.location
    if answer.etag:
        headers["ETag"] = answer.etag
    if answer.is_repeated:
        headers[REPEATED] = "true"
    return Response(
        answer.body,
        status_code=answer.status,
        media_type="application/json",
        headers=headers or None,
    )


_encode = msgspec.json.Encoder(decimal_format="string").encode


def answer_with(
    view: Any, *, status: int = 200, location: str = "", version: int | None = None,
    buyer: str | None = None,
) -> Answer:  # fmt: skip
    """An answer whose body is a view as JSON; it is kept under the key of the buyer it is about."""
    tag = "" if version is None else etag(version)
    return Answer(status, _encode(view), location, tag, buyer=buyer)


def send_view(view: Any, *, version: int | None = None) -> Response[bytes]:
    """A view as JSON, with its version as ETag."""
    return send(answer_with(view, version=version))


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list; `next` is the cursor of the following page, or null at the end."""

    items: list[T]
    next: str | None


def page_size(limit: int | None) -> int:
    """How many items a page gets; refuses what is out of bounds."""
    if limit is None:
        return PAGE_DEFAULT
    if not 1 <= limit <= PAGE_MAX:
        raise Invalid(f"`limit` must be within 1 and {PAGE_MAX}")
    return limit


def encode_cursor(position: list[Any]) -> str:
    """An opaque cursor for a position in a sorted list."""
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).rstrip(b"=").decode()


def decode_cursor(cursor: str | None, types: Any) -> Any:
    """The position of a cursor as a tuple of `types`, or None; refuses what we did not make."""
    if cursor is None:
        return None
    try:
        if len(cursor) > CURSOR_CHARS_MAX:
            raise ValueError("too long")
        raw = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        position = msgspec.json.decode(raw, type=types)
        if not all(_is_storable(part) for part in position):
            raise ValueError("no position in any list")
        return position
    except (ValueError, msgspec.DecodeError) as error:
        raise Invalid("this cursor is not one of ours; begin again without it") from error


def _is_storable(part: object) -> bool:
    """Whether PostgreSQL can compare its values with it: no text holds a NUL, no number is huge."""
    if isinstance(part, str):
        return "\0" not in part
    return not isinstance(part, int) or abs(part) <= BIGINT_MAX


def etag(version: int) -> str:
    """The entity tag of a version number."""
    return f'"{version}"'


def expected_version(request: Request[Any, Any, Any]) -> int | None:
    """The version that `If-Match` names; None where the header is absent or `*`."""
    header = request.headers.get("if-match")
    if header is None or header.strip() == "*":
        return None
    text = header.strip().strip('"')
    if not text.isdecimal() or len(text) > 18:  # noqa: PLR2004 - what a bigint holds
        raise StaleVersion("`If-Match` names a version that this resource never had")
    return int(text)
