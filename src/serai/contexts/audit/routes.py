"""The audit trail over HTTP: read only."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, FromQuery

from serai.contexts.audit.contract import AuditEntryView
from serai.contexts.audit.model import Linked
from serai.contexts.audit.ports import Trail, Wanted
from serai.kernel.actor import ActorKind
from serai.kernel.db import Database
from serai.kernel.events import correlation_of
from serai.kernel.failure import Invalid, NotFound
from serai.kernel.web import (
    BIGINT_MAX,
    OptionalQueryLine,
    Page,
    decode_cursor,
    encode_cursor,
    page_size,
    principal_of,
    requires,
    send_view,
)

TAGS = ["audit"]


class _Detail(msgspec.Struct, frozen=True):
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


_decode_detail = msgspec.json.Decoder(_Detail).decode


def view_of(linked: Linked) -> AuditEntryView:
    """An entry as the API shows it."""
    entry, detail = linked.entry, _decode_detail(linked.entry.detail)
    return AuditEntryView(
        entry.seq,
        entry.recorded_at,
        entry.action,
        entry.actor_kind,
        entry.actor_id,
        entry.address,
        entry.subject_kind,
        entry.subject_id,
        entry.request_id,
        entry.correlation_id,
        entry.causation_id,
        detail.before,
        detail.after,
        linked.previous.hex(),
        linked.hash.hex(),
    )


def routes(database: Database, trail: Trail) -> list[Any]:
    """Entries: searched, and one by its number."""
    guards = [requires("audit:read")]

    @get("/v1/audit-entries", guards=guards, tags=TAGS, summary="Search the audit trail",
         responses={200: ResponseSpec(data_container=Page[AuditEntryView])})  # fmt: skip
    async def search_entries(
        request: Request[Any, Any, Any],
        *,
        actor_kind: FromQuery[ActorKind | None] = None,
        actor_id: FromQuery[UUID | None] = None,
        action: OptionalQueryLine = None,
        subject_kind: OptionalQueryLine = None,
        subject_id: OptionalQueryLine = None,
        request_id: OptionalQueryLine = None,
        since: OptionalQueryLine = None,
        until: OptionalQueryLine = None,
        cursor: FromQuery[str | None] = None,
        limit: FromQuery[int | None] = None,
    ) -> Response[bytes]:
        """Who changed what, newest first; filters narrow together.

        `request_id` is what the answer to a request bore as `X-Request-Id`; what the platform did
        because of that request is found by it too. `since` and `until` are times of RFC 3339; an
        entry at `until` is left out. A page may hold fewer than `limit` and still have a `next`.
        """
        who, size = principal_of(request), page_size(limit)
        position = decode_cursor(cursor, tuple[int])
        wanted = Wanted(
            actor_kind, actor_id, action, subject_kind, subject_id,
            None if request_id is None else correlation_of(request_id),
            _moment("since", since), _moment("until", until),
        )  # fmt: skip
        async with database.transaction(who.home, (who.tenant_id,), is_read_only=True) as tx:
            found = await trail.search(
                who.tenant_id, wanted, before=position[0] if position else BIGINT_MAX,
                limit=size, tx=tx,
            )  # fmt: skip
        more = None if found.before is None else encode_cursor([found.before])
        return send_view(Page([view_of(linked) for linked in found.entries], more))

    @get("/v1/audit-entries/{seq:int}", guards=guards, tags=TAGS, summary="Read an audit entry",
         responses={200: ResponseSpec(data_container=AuditEntryView)})  # fmt: skip
    async def read_entry(request: Request[Any, Any, Any], seq: FromPath[int]) -> Response[bytes]:
        """With the hash it has and the one it follows."""
        who = principal_of(request)
        found = None
        if 0 < seq <= BIGINT_MAX:
            async with database.transaction(who.home, (who.tenant_id,), is_read_only=True) as tx:
                found = await trail.find(who.tenant_id, seq, tx=tx)
        if found is None:
            raise NotFound("the audit trail has no entry of this number")
        return send_view(view_of(found))

    return [search_entries, read_entry]


def _moment(name: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = msgspec.convert(text, datetime, strict=False)
        if moment.tzinfo is None:
            raise Invalid(f"`{name}` lacks its time zone, such as a Z at its end")
        return moment.astimezone(UTC)
    except (msgspec.ValidationError, OverflowError) as error:
        raise Invalid(f"`{name}` is a time of RFC 3339, such as 2026-11-27T09:00:00Z") from error
