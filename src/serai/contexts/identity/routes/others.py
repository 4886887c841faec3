"""Accounts of others, and roles, for staff who may see or change them."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, patch, post, put
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody

from serai.contexts.identity.contract import (
    ACCOUNT_ROLES_MAX,
    ROLE_CHARS_MAX,
    AccountKind,
    AccountView,
    Conditions,
    RoleView,
)
from serai.contexts.identity.handlers import changing
from serai.contexts.identity.handlers.changing import ChangeAccount, InviteStaff
from serai.contexts.identity.handlers.desk import Desk
from serai.contexts.identity.model import roles as model
from serai.contexts.identity.model.accounts import view_of
from serai.contexts.identity.routes.edge import TAGS, PersonName, refusal, refuse_nothing_to_change
from serai.contexts.tenancy.contract import SCOPES
from serai.kernel.failure import NotFound
from serai.kernel.text import Email, Line
from serai.kernel.web import (
    KEYLESS,
    METERED,
    VERSION_OPTIONAL,
    Page,
    Principal,
    answer_with,
    cause_of,
    decode_cursor,
    encode_cursor,
    expected_version,
    json_body,
    page_size,
    principal_of,
    requires,
    send,
    send_view,
)

NEWEST = UUID(int=(1 << 128) - 1)
RoleNames = Annotated[
    tuple[Annotated[Line, msgspec.Meta(min_length=1, max_length=ROLE_CHARS_MAX)], ...],
    msgspec.Meta(min_length=1, max_length=ACCOUNT_ROLES_MAX),
]


class StaffBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who becomes a member of the staff, with which roles."""

    email: Email
    roles: RoleNames
    name: PersonName = ""


class AccountBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What changes of an account; what is left out stays."""

    roles: RoleNames | None = None
    is_suspended: bool | None = None


class RoleBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a role allows, and under which conditions."""

    scopes: Annotated[tuple[Line, ...], msgspec.Meta(max_length=len(SCOPES))]
    conditions: Conditions = {}
    """For each scope that is narrowed, the data of each condition by its name."""


def _powers_of(who: Principal) -> model.Powers:
    return model.Powers(who.scopes, who.limits)


def account_routes(desk: Desk, kind: AccountKind, path: str) -> list[Any]:
    """Accounts of one kind: listed, shown, changed, signed out."""
    shown = {200: ResponseSpec(data_container=AccountView)}
    listed = {200: ResponseSpec(data_container=Page[AccountView])}
    word = "customer" if kind == "customer" else "member of the staff"

    @get(path, guards=[requires("identity:read")], responses=listed, tags=TAGS,
         operation_id=f"List{kind.title()}", summary=f"List {path[4:]}")  # fmt: skip
    async def list_accounts(
        request: Request[Any, Any, Any],
        cursor: FromQuery[str | None] = None,
        limit: FromQuery[int | None] = None,
    ) -> Response[bytes]:
        """Newest first."""
        who, size = principal_of(request), page_size(limit)
        (before,) = decode_cursor(cursor, tuple[UUID]) or (NEWEST,)
        async with desk.database.transaction(who.home, (who.tenant_id,), is_read_only=True) as tx:
            found = await desk.accounts.list_page(
                who.tenant_id, kind, before=before, limit=size + 1, tx=tx
            )
        following = encode_cursor([found[size - 1].id]) if len(found) > size else None
        return send_view(Page([view_of(account) for account in found[:size]], following))

    @get(f"{path}/{{account_id:uuid}}", guards=[requires("identity:read")], responses=shown,
         tags=TAGS, operation_id=f"Show{kind.title()}", summary=f"Show a {word}")  # fmt: skip
    async def show_account(
        request: Request[Any, Any, Any], account_id: FromPath[UUID]
    ) -> Response[bytes]:
        """The account, without anything that could be used to come in."""
        who = principal_of(request)
        async with desk.database.transaction(who.home, (who.tenant_id,), is_read_only=True) as tx:
            account = await desk.accounts.find(who.tenant_id, account_id, tx=tx)
        if account is None or account.kind != kind:
            raise NotFound("no account of this kind has this id")
        return send_view(view_of(account), version=account.version)

    @patch(f"{path}/{{account_id:uuid}}", guards=[requires("identity:write")],
           dto=json_body(AccountBody), return_dto=None, responses=shown,
           opt={**VERSION_OPTIONAL, **({METERED: True} if kind == "staff" else {})},
           tags=TAGS, operation_id=f"Change{kind.title()}",
           summary=f"Change a {word}")  # fmt: skip
    async def change_account(
        request: Request[Any, Any, Any], account_id: FromPath[UUID], data: JSONBody[AccountBody]
    ) -> Response[bytes]:
        """Other roles hold at once, and who is suspended is out at once, in every process."""
        refuse_nothing_to_change(data.roles, data.is_suspended)
        who = principal_of(request)
        command = ChangeAccount(
            who.tenant_id, account_id, kind, data.roles, data.is_suspended, _powers_of(who),
            expected_version(request), cause_of(request),
        )  # fmt: skip
        view = await changing.change_account(command, desk=desk, home=who.home)
        return send_view(view, version=view.version)

    @delete(f"{path}/{{account_id:uuid}}/sessions", guards=[requires("identity:write")],
            status_code=204, tags=TAGS, operation_id=f"SignOut{kind.title()}",
            summary=f"Sign a {word} out everywhere")  # fmt: skip
    async def end_sessions(request: Request[Any, Any, Any], account_id: FromPath[UUID]) -> None:
        """Ends all sessions of the account, in every process at once."""
        who = principal_of(request)
        await changing.end_sessions_of(
            who.tenant_id, account_id, kind, held=_powers_of(who), cause=cause_of(request),
            desk=desk, home=who.home,
        )  # fmt: skip

    return [list_accounts, show_account, change_account, end_sessions]


def lost_factor_routes(desk: Desk, kind: AccountKind, path: str) -> list[Any]:
    """Letting someone in again who has lost her second factors."""
    word = "customer" if kind == "customer" else "member of the staff"

    @delete(f"{path}/{{account_id:uuid}}/second-factors", guards=[requires("identity:write")],
            status_code=204, tags=TAGS, operation_id=f"DropFactors{kind.title()}",
            summary=f"Take the second factors of a {word} away")  # fmt: skip
    async def drop_factors(request: Request[Any, Any, Any], account_id: FromPath[UUID]) -> None:
        """For who has lost hers: authenticator, spare codes and passkeys. Her sessions end."""
        who = principal_of(request)
        await changing.drop_factors_of(
            who.tenant_id, account_id, kind, held=_powers_of(who), cause=cause_of(request),
            desk=desk, home=who.home,
        )  # fmt: skip

    return [drop_factors]


def staff_routes(desk: Desk) -> list[Any]:
    """Making a member of the staff."""

    @post("/v1/staff", guards=[requires("identity:write")], dto=json_body(StaffBody),
          return_dto=None, responses={201: ResponseSpec(data_container=AccountView)},
          opt={**KEYLESS, METERED: True}, tags=TAGS,
          summary="Invite a member of the staff")  # fmt: skip
    async def invite_staff(
        request: Request[Any, Any, Any], data: JSONBody[StaffBody]
    ) -> Response[bytes]:
        """Sends a mail with a token to choose a password by. Nobody gives more than she holds."""
        who = principal_of(request)
        command = InviteStaff(
            who.tenant_id, data.email, data.name, data.roles, _powers_of(who), cause_of(request)
        )
        account, _ = await changing.invite_staff(command, desk=desk, home=who.home, is_again=False)
        view = view_of(account)
        return send(answer_with(view, status=201, location=f"/v1/staff/{account.id}"))

    return [invite_staff]


def role_routes(desk: Desk) -> list[Any]:
    """The roles that come with Serai, and the tenant's own."""
    listed = {200: ResponseSpec(data_container=Page[RoleView])}
    shown = {200: ResponseSpec(data_container=RoleView)}
    held = {409: refusal("It comes with Serai, or someone has it.")}

    @get("/v1/roles", guards=[requires("identity:read")], responses=listed, tags=TAGS,
         summary="List roles")  # fmt: skip
    async def list_roles(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Those that come with Serai first; there are never more than one page."""
        who = principal_of(request)
        async with desk.database.transaction(who.home, (who.tenant_id,), is_read_only=True) as tx:
            own = await desk.roles.list_own(who.tenant_id, tx=tx)
        ready = [
            RoleView(name, list(s), is_ready_made=True, version=0)
            for name, s in model.READY_MADE.items()
        ]
        return send_view(Page([*ready, *own], None))

    @put("/v1/roles/{name:str}", guards=[requires("identity:write")], dto=json_body(RoleBody),
         return_dto=None, responses=shown, tags=TAGS, summary="Make or change a role")  # fmt: skip
    async def save_role(
        request: Request[Any, Any, Any], name: FromPath[str], data: JSONBody[RoleBody]
    ) -> Response[bytes]:
        """Holds at once for all who have the role. Nobody puts more into it than she holds.

        The conditions of a scope have all to be met: `amount_up_to` (minor units by currency),
        `within_hours` (`begin`, `end`, `zone`, `days` from 1, a Monday), `from_networks`, and
        `from_device` (`factor_age_min`: minutes since a second factor opened the session).
        """
        who = principal_of(request)
        view = await changing.save_role(
            who.tenant_id, name, data.scopes, data.conditions, held=_powers_of(who),
            cause=cause_of(request), desk=desk, home=who.home,
        )  # fmt: skip
        return send_view(view)

    @delete("/v1/roles/{name:str}", guards=[requires("identity:write")], status_code=204,
            tags=TAGS, summary="Delete a role", responses=held)  # fmt: skip
    async def delete_role(request: Request[Any, Any, Any], name: FromPath[str]) -> None:
        """Only one that nobody has."""
        who = principal_of(request)
        await changing.delete_role(
            who.tenant_id, name, held=_powers_of(who), cause=cause_of(request),
            desk=desk, home=who.home,
        )  # fmt: skip

    return [list_roles, save_role, delete_role]
