"""Privacy over HTTP: what is known about one, her erasure, her consents, and retention rules."""

from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, post, put
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody

from serai.contexts.identity.contract import SELF, SignedIn
from serai.contexts.identity.contract.credentials import AssertionBody, Proof
from serai.contexts.privacy import handlers
from serai.contexts.privacy.contract import (
    CONSENTS_TOLD_MAX,
    HOW_CHARS_MAX,
    PURPOSE_CHARS_MAX,
    READ,
    TEXT_VERSION_CHARS_MAX,
    WRITE,
    ConsentView,
    ErasureView,
    PersonExport,
    RetentionRuleView,
)
from serai.contexts.privacy.handlers import Counter
from serai.kernel import ids
from serai.kernel.failure import NotFound
from serai.kernel.person import DAYS_MAX, DAYS_MIN, Somebody
from serai.kernel.text import Email, Line, Text
from serai.kernel.web import (
    KEYLESS,
    MissingScope,
    Page,
    answer_with,
    cause_of,
    holds,
    json_body,
    principal_of,
    requires,
    send,
    send_view,
)

TAGS: Final = ["privacy"]
SECRET_CHARS_MAX: Final = 1024

Purpose = Annotated[Line, msgspec.Meta(min_length=1, max_length=PURPOSE_CHARS_MAX)]
TextVersion = Annotated[Line, msgspec.Meta(min_length=1, max_length=TEXT_VERSION_CHARS_MAX)]
How = Annotated[Line, msgspec.Meta(min_length=1, max_length=HOW_CHARS_MAX)]
Days = Annotated[int, msgspec.Meta(ge=DAYS_MIN, le=DAYS_MAX)]


class OwnErasureBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who she is once more: a passkey, or her password, with a code where she has a second factor.

    Who has neither a passkey nor a password sends nothing, and has to have just signed in.
    """

    current_password: (
        Annotated[Text, msgspec.Meta(min_length=1, max_length=SECRET_CHARS_MAX)] | None
    ) = None
    code: Annotated[Line, msgspec.Meta(min_length=6, max_length=32)] | None = None
    passkey: AssertionBody | None = None

    def read(self) -> Proof:
        """As identity takes it."""
        passkey = None if self.passkey is None else self.passkey.read()
        return Proof(self.current_password, self.code, passkey)


class PersonBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A customer, or whoever bought under an address."""

    customer_id: UUID | None = None
    email: Email | None = None


class ConsentBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one agrees to or takes back: for which purpose, by which text, and by which way."""

    purpose: Purpose
    text_version: TextVersion
    is_given: bool
    how: How


class RetentionBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For how many days something is kept; null: as Serai would."""

    days: Days | None


async def _who(request: Request[Any, Any, Any], counter: Counter) -> tuple[SignedIn, Somebody]:
    """The customer who is signed in; the staff has its own way out."""
    who = principal_of(request)
    if not isinstance(who, SignedIn) or who.actor.kind != "customer":
        raise MissingScope("this is for a customer who signed in")
    async with counter.database.transaction(who.home, (who.tenant_id,)) as tx:
        found = await counter.people.find_by_account(who.tenant_id, who.actor.id, tx=tx)
    if found is None:
        raise NotFound("this account is gone")
    return who, found


def own_routes(counter: Counter) -> list[Any]:
    """What a customer may ask about herself."""
    guards = [requires(SELF)]
    exported = {200: ResponseSpec(data_container=PersonExport)}
    erased = {202: ResponseSpec(data_container=ErasureView)}
    noted = {201: ResponseSpec(data_container=ConsentView)}
    listed = {200: ResponseSpec(data_container=Page[ConsentView])}

    @get("/v1/me/personal-data", guards=guards, responses=exported, tags=TAGS,
         summary="Export what is known about me")  # fmt: skip
    async def export_me(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Everything that any context knows about me, machine-readable."""
        who, person = await _who(request, counter)
        view = await handlers.export_person(
            person, cause=cause_of(request), counter=counter, home=who.home
        )
        return send_view(view)

    @post("/v1/me/erasure", guards=guards, dto=json_body(OwnErasureBody), return_dto=None,
          status_code=202, opt=KEYLESS, responses=erased, tags=TAGS,
          summary="Erase me")  # fmt: skip
    async def erase_me(
        request: Request[Any, Any, Any], data: JSONBody[OwnErasureBody]
    ) -> Response[bytes]:
        """My account and all that names me, for ever. My orders stay, without me."""
        who, person = await _who(request, counter)
        address = None if request.client is None else request.client.host
        cause = cause_of(request)
        await counter.people.show_again(who, data.read(), address=address, cause=cause)
        view = await handlers.erase_person(person, cause=cause, counter=counter, home=who.home)
        return send(answer_with(view, status=202))

    @get("/v1/me/consents", guards=guards, responses=listed, tags=TAGS,
         summary="List my consents")  # fmt: skip
    async def list_my_consents(request: Request[Any, Any, Any]) -> Response[bytes]:
        """All that I have ever said, newest first; the latest of a purpose holds."""
        who, person = await _who(request, counter)
        async with counter.database.transaction(who.home, (who.tenant_id,)) as tx:
            found = await counter.records.list_consents(
                who.tenant_id, person.subject, limit=CONSENTS_TOLD_MAX, tx=tx
            )
        return send_view(Page(found, None))

    @post("/v1/me/consents", guards=guards, dto=json_body(ConsentBody), return_dto=None,
          opt=KEYLESS, responses=noted, tags=TAGS,
          summary="Give or withdraw a consent")  # fmt: skip
    async def note_my_consent(
        request: Request[Any, Any, Any], data: JSONBody[ConsentBody]
    ) -> Response[bytes]:
        """Adds to what I have said; what I said before stays on record."""
        who, person = await _who(request, counter)
        cause = cause_of(request)
        view = ConsentView(
            ids.new_id(), data.purpose, data.text_version, data.is_given, data.how,
            counter.database.clock.now(),
        )  # fmt: skip
        await handlers.note_consent(person, view, cause=cause, counter=counter, home=who.home)
        return send(answer_with(view, status=201))

    return [export_me, erase_me, list_my_consents, note_my_consent]


def staff_routes(counter: Counter) -> list[Any]:
    """What the staff may do for a person who asks, with an account or without."""
    exported = {200: ResponseSpec(data_container=PersonExport)}
    erased = {202: ResponseSpec(data_container=ErasureView)}
    shown = {200: ResponseSpec(data_container=ErasureView)}

    @post("/v1/personal-data-exports", guards=[requires(READ)], dto=json_body(PersonBody),
          return_dto=None, status_code=200, opt=KEYLESS, responses=exported, tags=TAGS,
          summary="Export what is known about a person")  # fmt: skip
    async def export_person(
        request: Request[Any, Any, Any], data: JSONBody[PersonBody]
    ) -> Response[bytes]:
        """Of a customer or of whoever bought under an address; that it was asked is recorded."""
        who = principal_of(request)
        async with counter.database.transaction(who.home, (who.tenant_id,)) as tx:
            person = await handlers.find_person(
                who.tenant_id, customer_id=data.customer_id, email=data.email, counter=counter,
                tx=tx,
            )  # fmt: skip
        view = await handlers.export_person(
            person, cause=cause_of(request), counter=counter, home=who.home
        )
        return send_view(view)

    @post("/v1/erasures", guards=[requires(WRITE)], dto=json_body(PersonBody), return_dto=None,
          status_code=202, opt=KEYLESS, responses=erased, tags=TAGS,
          summary="Erase a person")  # fmt: skip
    async def erase_person(
        request: Request[Any, Any, Any], data: JSONBody[PersonBody]
    ) -> Response[bytes]:
        """A customer or whoever bought under an address. There is no way back.

        It takes all that a role of hers gives beyond what every customer may.
        """
        who = principal_of(request)
        async with counter.database.transaction(who.home, (who.tenant_id,)) as tx:
            person = await handlers.find_person(
                who.tenant_id, customer_id=data.customer_id, email=data.email, counter=counter,
                tx=tx,
            )  # fmt: skip
            if person.account_id is not None:
                await counter.people.check_power(
                    who.tenant_id, person.account_id, held=who.scopes, tx=tx
                )
        view = await handlers.erase_person(
            person, cause=cause_of(request), counter=counter, home=who.home
        )
        return send(answer_with(view, status=202, location=f"/v1/erasures/{view.id}"))

    @get("/v1/erasures/{erasure_id:uuid}", guards=[requires(READ)], responses=shown, tags=TAGS,
         summary="Show an erasure")  # fmt: skip
    async def show_erasure(
        request: Request[Any, Any, Any], erasure_id: FromPath[UUID]
    ) -> Response[bytes]:
        """How far it is; once it is done, this is its certificate."""
        who = principal_of(request)
        view = await handlers.find_erasure(
            who.tenant_id, erasure_id, counter=counter, home=who.home
        )
        return send_view(view)

    return [export_person, erase_person, show_erasure]


def leaving_routes(counter: Counter) -> list[Any]:
    """Erasing a member of the staff."""
    erased = {202: ResponseSpec(data_container=ErasureView)}

    @delete("/v1/staff/{account_id:uuid}", guards=[requires("identity:write")], status_code=202,
            responses=erased, tags=TAGS, summary="Erase a member of the staff")  # fmt: skip
    async def erase_staff(
        request: Request[Any, Any, Any], account_id: FromPath[UUID]
    ) -> Response[bytes]:
        """Takes `privacy:write` too, and all that she may do. The audit trail keeps her id only."""
        who = principal_of(request)
        if not holds(request, WRITE):
            raise MissingScope(f"this needs the scope {WRITE} too", scope=WRITE)
        view = await handlers.erase_staff(
            who.tenant_id, account_id, held=who.free_scopes, cause=cause_of(request),
            counter=counter, home=who.home,
        )  # fmt: skip
        return send(answer_with(view, status=202, location=f"/v1/erasures/{view.id}"))

    return [erase_staff]


def rule_routes(counter: Counter) -> list[Any]:
    """For how long things about people are kept."""
    rules = {200: ResponseSpec(data_container=Page[RetentionRuleView])}
    saved = {200: ResponseSpec(data_container=RetentionRuleView)}

    @get("/v1/retention-rules", guards=[requires(READ)], responses=rules, tags=TAGS,
         summary="List retention rules")  # fmt: skip
    async def list_retention_rules(request: Request[Any, Any, Any]) -> Response[bytes]:
        """How long each thing about people is kept; there is never more than one page."""
        who = principal_of(request)
        found = await handlers.list_rules(who.tenant_id, counter=counter, home=who.home)
        return send_view(Page(found, None))

    @put("/v1/retention-rules/{name:str}", guards=[requires(WRITE)], dto=json_body(RetentionBody),
         return_dto=None, responses=saved, tags=TAGS,
         summary="Change a retention rule")  # fmt: skip
    async def save_retention_rule(
        request: Request[Any, Any, Any], name: FromPath[str], data: JSONBody[RetentionBody]
    ) -> Response[bytes]:
        """What is older is taken out soon after, and does not come back."""
        who = principal_of(request)
        view = await handlers.save_rule(
            who.tenant_id, name, data.days, cause=cause_of(request), counter=counter,
            home=who.home,
        )  # fmt: skip
        return send_view(view)

    return [list_retention_rules, save_retention_rule]
