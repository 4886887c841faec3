"""Passkeys on the provider's pages: the script that asks for them, and a page to make one."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath

from serai.contexts.identity.contract.credentials import MadeCredential
from serai.contexts.identity.contract.passkeys import (
    FRESH_S,
    LastSecondFactor,
    PasskeyExists,
    PasskeyUnfit,
    SignInTooLongAgo,
    TooManyPasskeys,
)
from serai.contexts.identity.handlers import passkeys
from serai.contexts.identity.handlers.authorizing import Visitor
from serai.contexts.identity.handlers.desk import Desk
from serai.contexts.identity.handlers.passkeys import AddPasskey, Owner
from serai.contexts.identity.handlers.provider import Provider
from serai.contexts.identity.model import protocol
from serai.contexts.identity.model.passkeys import view_of
from serai.contexts.identity.routes import oauth_pages as pages
from serai.contexts.identity.routes.edge import TAGS, address_of
from serai.contexts.identity.routes.oauth_edge import (
    FORM_VALUE_CHARS_MAX,
    PAGE,
    Doors,
    FormForged,
    read_form,
)
from serai.contexts.identity.routes.oauth_visit import HOW, Visit, go, words_of
from serai.contexts.identity.routes.passkeys import LABEL_CHARS_MAX, Label
from serai.kernel.clock import Clock
from serai.kernel.failure import Invalid, NotFound, Refused
from serai.kernel.strict_json import decode_json
from serai.kernel.web import OPEN, send_view

SCRIPT_KEPT_S: Final = 31_536_000
_made: Final = msgspec.json.Decoder(MadeCredential)
_REFUSED: Final = (
    Invalid, LastSecondFactor, NotFound, PasskeyExists, PasskeyUnfit, TooManyPasskeys,
)  # fmt: skip
"""What is told on the page, above the form."""


def script_routes(doors: Doors, provider: Provider) -> list[Any]:
    """What the script is, and what it asks."""

    @get(pages.SCRIPTS + "/{name:str}", opt={OPEN: "to be read by anyone"},
         include_in_schema=False, tags=TAGS, summary="Show the script of the pages")  # fmt: skip
    async def show_script(name: FromPath[str]) -> Response[str]:
        """For passkeys. Of another release's page it is not here, and that page asks for none."""
        if name != pages.SCRIPT_NAME:
            raise NotFound("there is no such script")
        kept = {"Cache-Control": f"public, max-age={SCRIPT_KEPT_S}, immutable"}
        return Response(pages.SCRIPT, media_type="text/javascript", headers=kept)

    @post("/t/{tenant:str}/oauth/passkey-challenges", opt=PAGE, include_in_schema=False,
          tags=TAGS, summary="Ask for a passkey on the pages")  # fmt: skip
    async def ask(request: Request[Any, Any, Any], tenant: FromPath[str]) -> Response[bytes]:
        """A challenge for any passkey; with `makes`, for a new one of who is signed in."""
        visit = Visit(request, await doors.find(request, tenant), provider)
        form = await read_form(request)
        visit.browser.check(form)
        place, origin = visit.place, provider.public_url
        if "makes" not in form:
            view = await passkeys.begin_sign_in(
                place.tenant_id, origin, address=address_of(request), desk=provider.desk,
                home=place.home,
            )  # fmt: skip
            return send_view(view)
        visitor = await visit.visitor()
        if visitor is None:
            raise FormForged("you are not signed in any more: load the page again")
        owner = _owner(visit, visitor)
        return send_view(
            await passkeys.begin_adding(owner, origin, shop=place.name, desk=provider.desk)
        )

    return [show_script, ask]


def own_page_routes(doors: Doors, provider: Provider, clock: Clock) -> list[Any]:
    """The page with her passkeys, for who signed in a moment ago."""

    @get("/t/{tenant:str}/account", summary="Show my passkeys on a page", **HOW)
    async def show(request: Request[Any, Any, Any], tenant: FromPath[str]) -> Response[Any]:
        """Hers, and a form to make another one."""
        visit = Visit(request, await doors.find(request, tenant), provider)
        visitor = await visit.visitor()
        if visitor is None or (clock.now() - visitor.signed_in_at).total_seconds() > FRESH_S:
            return visit.ask_to_sign_in("account", "", app=None, target=None)
        return await _show(visit, visitor)

    @post("/t/{tenant:str}/account/passkeys", summary="Make a passkey on a page", **HOW)
    async def add(request: Request[Any, Any, Any], tenant: FromPath[str]) -> Response[Any]:
        """What the browser made in answer to the script."""
        visit = Visit(request, await doors.find(request, tenant), provider)
        return await _change(visit, _add)

    @post("/t/{tenant:str}/account/passkeys/removals",
          summary="Take a passkey away on a page", **HOW)  # fmt: skip
    async def remove(request: Request[Any, Any, Any], tenant: FromPath[str]) -> Response[Any]:
        """At once."""
        visit = Visit(request, await doors.find(request, tenant), provider)
        return await _change(visit, _remove)

    return [show, add, remove]


async def _change(
    visit: Visit, carry_out: Callable[[Owner, Mapping[str, str], Desk], Awaitable[None]]
) -> Response[Any]:
    """What a form of the page asks for; then the page anew, or why not."""
    form = await read_form(visit.request, value_chars_max=FORM_VALUE_CHARS_MAX)
    visit.browser.check(form)
    visitor = await visit.visitor()
    if visitor is None:
        return visit.ask_to_sign_in("account", "", app=None, target=None)
    try:
        await carry_out(_owner(visit, visitor), form, visit.provider.desk)
    except SignInTooLongAgo as error:
        return visit.ask_to_sign_in("account", "", app=None, target=None, error=error)
    except _REFUSED as error:
        return await _show(visit, visitor, error=error)
    return go(visit.after("account", {}))


async def _add(owner: Owner, form: Mapping[str, str], desk: Desk) -> None:
    """By what the script has put into the form, under the name that she typed."""
    challenge_id = protocol.read_id(form.get("challenge_id"))
    if challenge_id is None or "credential" not in form:
        raise PasskeyUnfit("this was not asked for here: try again")
    try:
        name = msgspec.convert(form.get("name", "").strip(), Label)
    except msgspec.ValidationError as error:
        raise Invalid(f"a passkey has a name of 1 to {LABEL_CHARS_MAX} characters") from error
    credential = msgspec.to_builtins(decode_json(_made, form["credential"].encode()))
    await passkeys.add(AddPasskey(owner, challenge_id, credential, name), desk=desk)


async def _remove(owner: Owner, form: Mapping[str, str], desk: Desk) -> None:
    passkey_id = protocol.read_id(form.get("passkey_id"))
    if passkey_id is None:
        raise NotFound("you have no passkey of this id")
    await passkeys.remove(owner, passkey_id, desk=desk)


async def _show(visit: Visit, visitor: Visitor, *, error: Refused | None = None) -> Response[str]:
    place, desk = visit.place, visit.provider.desk
    async with desk.database.transaction(place.home, (place.tenant_id,), is_read_only=True) as tx:
        found = await desk.passkeys.list_of(place.tenant_id, visitor.account.id, tx=tx)
    body = pages.account(
        base=visit.base, hidden=visit.carried(""), asking=visit.asking,
        email=visitor.account.email, passkeys=[view_of(passkey) for passkey in found],
        error="" if error is None else words_of(error),
    )  # fmt: skip
    title, status = ("Your passkeys", 200) if error is None else ("Error: Passkeys", error.status)
    return pages.answer(title, body, status=status, asking=visit.asking)


def _owner(visit: Visit, visitor: Visitor) -> Owner:
    return Owner(
        visit.place.tenant_id, visitor.account.id, visitor.session.id, visit.place.home,
        visit.cause(visitor),
    )  # fmt: skip
