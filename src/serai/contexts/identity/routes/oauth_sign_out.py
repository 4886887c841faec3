"""Where an app sends her that has signed her out (OpenID RP-Initiated Logout 1.0).

Her session with the pages ends; what apps hold of her ends by their own revocation, or its time.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from litestar import Request, Response, get, post
from litestar.params import FromPath

from serai.contexts.identity.handlers import authorizing
from serai.contexts.identity.handlers.authorizing import Farewell, Visitor
from serai.contexts.identity.handlers.provider import Provider
from serai.contexts.identity.model import protocol
from serai.contexts.identity.routes import oauth_pages as pages
from serai.contexts.identity.routes.oauth_edge import (
    FORM_VALUE_CHARS_MAX,
    Doors,
    query_of,
    read_form,
)
from serai.contexts.identity.routes.oauth_visit import HOW, Visit, go

LEAVES = "leave"


def sign_out_routes(doors: Doors, provider: Provider) -> list[Any]:
    """The end-session endpoint."""

    @get("/t/{tenant:str}/oauth/logout", summary="Be signed out by an app", **HOW)
    async def leave(request: Request[Any, Any, Any], tenant: FromPath[str]) -> Response[Any]:
        """At once where the app shows her own ID token; else she is asked."""
        visit = Visit(request, await doors.find(request, tenant), provider)
        return await _leave(visit, protocol.read_fields(query_of(request)))

    @post("/t/{tenant:str}/oauth/logout", summary="Be signed out by an app, or not", **HOW)
    async def answer(request: Request[Any, Any, Any], tenant: FromPath[str]) -> Response[Any]:
        """The same for an app that posts, and the answer of who was asked."""
        visit = Visit(request, await doors.find(request, tenant), provider)
        form = await read_form(request, value_chars_max=FORM_VALUE_CHARS_MAX)
        if "form" not in form:
            return await _leave(visit, form)
        visit.browser.check(form)
        fields = protocol.read_fields(form.get("request", ""))
        asked = await authorizing.open_farewell(fields, provider=provider, place=visit.place)
        if form.get("decision") != LEAVES:
            return pages.answer("Signed in", pages.notice("Signed in", "You stay signed in."))
        return await _go_out(visit, asked, await visit.visitor())

    return [leave, answer]


async def _leave(visit: Visit, fields: Mapping[str, str]) -> Response[Any]:
    asked = await authorizing.open_farewell(fields, provider=visit.provider, place=visit.place)
    visitor = await visit.visitor()
    if visitor is None or visitor.account.id == asked.account_id:
        return await _go_out(visit, asked, visitor)
    body = pages.farewell(
        action=f"{visit.base}/oauth/logout", hidden=visit.carried(urlencode(fields)),
        app=None if asked.app is None else asked.app.name, shop=visit.place.name,
        email=visitor.account.email,
    )  # fmt: skip
    return pages.answer("Sign out?", body, target=asked.target)


async def _go_out(visit: Visit, asked: Farewell, visitor: Visitor | None) -> Response[Any]:
    if visitor is not None:
        await authorizing.sign_out(
            visitor, cause=visit.cause(visitor), provider=visit.provider, place=visit.place
        )
    if asked.target is None:
        text = "You are signed out. You can close this page."
        answer: Response[Any] = pages.answer("Signed out", pages.notice("Signed out", text))
    elif asked.state is None:
        answer = go(asked.target)
    else:
        answer = go(protocol.call_back(asked.target, {"state": asked.state}))
    if visitor is not None:
        answer.cookies.append(visit.browser.leave())
    return answer
