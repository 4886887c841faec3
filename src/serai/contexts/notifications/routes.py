"""Notifications over HTTP."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post, put
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody

from serai.contexts.notifications.contract import (
    ACCOUNT_KINDS,
    BODY_CHARS_MAX,
    KINDS,
    SUBJECT_CHARS_MAX,
    Kind,
    MessageStatus,
    NotificationTemplateView,
    NotificationView,
)
from serai.contexts.notifications.handlers import (
    ReplaceTemplate,
    ResendMessage,
    check_words,
)
from serai.contexts.notifications.model.templates import (
    DEFAULT_VERSION,
    PLACEHOLDERS,
    StoredWords,
    Words,
)
from serai.contexts.notifications.ports import Addressed, MessageLists, Places, Templates
from serai.kernel.batch import Batch
from serai.kernel.db import Database
from serai.kernel.failure import NotFound
from serai.kernel.text import Line, Text
from serai.kernel.web import (
    VERSION_OPTIONAL,
    Page,
    carry_out,
    cause_of,
    decode_cursor,
    encode_cursor,
    expected_version,
    json_body,
    page_size,
    principal_of,
    requires,
    send_view,
)

NEWEST = UUID(int=(1 << 128) - 1)

Subject = Annotated[Line, msgspec.Meta(min_length=1, max_length=SUBJECT_CHARS_MAX)]
Plain = Annotated[Text, msgspec.Meta(min_length=1, max_length=BODY_CHARS_MAX)]
Html = Annotated[Text, msgspec.Meta(max_length=BODY_CHARS_MAX)]


class TemplateBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tenant's own words; without `html` the mail is plain text."""

    subject: Subject
    text: Plain
    html: Html = ""


def view_of(addressed: Addressed) -> NotificationView:
    """A message as the API shows it."""
    message, contact = addressed.message, addressed.contact
    return NotificationView(
        id=message.id,
        order_id=None if message.kind in ACCOUNT_KINDS else message.order_id,
        kind=message.kind,
        status=message.status,
        email=None if contact is None else contact.email,
        attempts=message.attempts,
        error=message.error,
        created_at=message.created_at,
        due_at=message.due_at,
        sent_at=message.sent_at,
    )


def template_view_of(stored: StoredWords) -> NotificationTemplateView:
    """The words of a kind as the API shows them."""
    return NotificationTemplateView(
        kind=stored.kind,
        subject=stored.words.subject,
        text=stored.words.text,
        html=stored.words.html,
        is_default=stored.version == DEFAULT_VERSION,
        version=stored.version,
        placeholders=list(PLACEHOLDERS[stored.kind]),
        updated_at=stored.updated_at,
    )


def message_routes(
    resend: Batch[ResendMessage, Addressed], database: Database, messages: MessageLists
) -> list[Any]:
    """Messages to customers: listed, sent again."""
    listed = {200: ResponseSpec(data_container=Page[NotificationView])}
    resent = {202: ResponseSpec(data_container=NotificationView)}

    @get("/v1/notifications", guards=[requires("notifications:read")], responses=listed,
         tags=["notifications"], summary="List notifications")  # fmt: skip
    async def list_notifications(
        request: Request[Any, Any, Any],
        order_id: FromQuery[UUID | None] = None,
        status: FromQuery[MessageStatus | None] = None,
        cursor: FromQuery[str | None] = None,
        limit: FromQuery[int | None] = None,
    ) -> Response[bytes]:
        """Newest first, about one order or in one status."""
        who, size = principal_of(request), page_size(limit)
        (before,) = decode_cursor(cursor, tuple[UUID]) or (NEWEST,)
        async with database.transaction(who.home, (who.tenant_id,), is_read_only=True) as tx:
            found = await messages.list_page(
                who.tenant_id, order_id=order_id, status=status, before=before, limit=size + 1,
                tx=tx,
            )  # fmt: skip
        more = encode_cursor([found[size - 1].message.id]) if len(found) > size else None
        return send_view(Page([view_of(addressed) for addressed in found[:size]], more))

    @post("/v1/notifications/{notification_id:uuid}/resend", status_code=202, responses=resent,
          guards=[requires("notifications:write")], tags=["notifications"],
          summary="Send a notification again")  # fmt: skip
    async def resend_notification(
        request: Request[Any, Any, Any], notification_id: FromPath[UUID]
    ) -> Response[bytes]:
        """One that was sent, given up or skipped; the words are those of today."""
        who = principal_of(request)
        command = ResendMessage(who.tenant_id, notification_id, cause_of(request))
        return await carry_out(request, resend, command)

    return [list_notifications, resend_notification]


def template_routes(
    replace: Batch[ReplaceTemplate, StoredWords],
    database: Database,
    templates: Templates,
    places: Places,
) -> list[Any]:
    """The words of messages: shown, and replaced by a tenant's own."""
    shown = {200: ResponseSpec(data_container=NotificationTemplateView)}

    @get("/v1/notification-templates/{kind:str}", guards=[requires("notifications:read")],
         responses=shown, tags=["notifications"], summary="Get a template")  # fmt: skip
    async def get_template(request: Request[Any, Any, Any], kind: FromPath[str]) -> Response[bytes]:
        """The tenant's own words for a kind of message, or those that come with Serai."""
        who, known = principal_of(request), _kind_of(kind)
        async with database.transaction(who.home, (who.tenant_id,), is_read_only=True) as tx:
            found = await templates.find([(who.tenant_id, known)], is_locked=False, tx=tx)
        stored = found[who.tenant_id, known]
        return send_view(template_view_of(stored), version=stored.version)

    @put("/v1/notification-templates/{kind:str}", guards=[requires("notifications:write")],
         dto=json_body(TemplateBody), return_dto=None, responses=shown, tags=["notifications"],
         opt=VERSION_OPTIONAL, summary="Replace a template")  # fmt: skip
    async def replace_template(
        request: Request[Any, Any, Any], kind: FromPath[str], data: JSONBody[TemplateBody]
    ) -> Response[bytes]:
        """Own words replace own words only under `If-Match`; the first ones need none.

        Words of a mail about an account take every scope, and send its `$token` to no foreign page.
        """
        who, known = principal_of(request), _kind_of(kind)
        words = Words(data.subject, data.text, data.html)
        await check_words(who.tenant_id, known, words, held=who.scopes, places=places)
        command = ReplaceTemplate(
            who.tenant_id,
            known,
            words,
            expected_version(request),
            "if-match" in request.headers,
            cause_of(request),
        )
        return await carry_out(request, replace, command, is_keyed=False)

    return [get_template, replace_template]


def _kind_of(text: str) -> Kind:
    for kind in KINDS:
        if kind == text:
            return kind
    raise NotFound(f"there is no such kind of message; there are {', '.join(KINDS)}")
