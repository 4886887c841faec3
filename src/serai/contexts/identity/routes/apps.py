"""A tenant's apps, for its staff; and what a customer lets apps do, for herself."""

from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, patch, post
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody

from serai.contexts.identity.contract import SELF
from serai.contexts.identity.handlers import apps
from serai.contexts.identity.handlers.apps import ChangeApp, CreateApp
from serai.contexts.identity.handlers.provider import Provider
from serai.contexts.identity.model.apps import (
    APP_NAME_CHARS_MAX,
    APP_SCOPES,
    GRANTS,
    OLD_SECRET_MAX,
    REDIRECT_CHARS_MAX,
    REDIRECTS_MAX,
    AppView,
    ConsentView,
    Grant,
    IssuedAppView,
    view_of,
)
from serai.contexts.identity.routes.edge import TAGS, refuse_nothing_to_change, signed_in
from serai.kernel.failure import NotFound
from serai.kernel.text import Line
from serai.kernel.web import (
    KEYLESS,
    VERSION_OPTIONAL,
    Page,
    answer_with,
    cause_of,
    expected_version,
    json_body,
    principal_of,
    requires,
    send,
    send_view,
)

OLD_SECRET_S_MAX: Final = int(OLD_SECRET_MAX.total_seconds())
AppName = Annotated[Line, msgspec.Meta(min_length=1, max_length=APP_NAME_CHARS_MAX)]
Redirects = Annotated[
    tuple[Annotated[Line, msgspec.Meta(min_length=1, max_length=REDIRECT_CHARS_MAX)], ...],
    msgspec.Meta(max_length=REDIRECTS_MAX),
]
Grants = Annotated[tuple[Grant, ...], msgspec.Meta(min_length=1, max_length=len(GRANTS))]
Scopes = Annotated[tuple[Line, ...], msgspec.Meta(min_length=1, max_length=len(APP_SCOPES))]


class NewAppBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An app: where it is called back, how it may come, what it may do at most."""

    name: AppName
    grants: Grants
    scopes: Scopes
    redirect_uris: Redirects = ()
    is_public: bool = False
    post_logout_redirect_uris: Redirects = ()


class AppBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What changes of an app; what is left out stays."""

    name: AppName | None = None
    redirect_uris: Redirects | None = None
    grants: Grants | None = None
    scopes: Scopes | None = None
    is_disabled: bool | None = None
    post_logout_redirect_uris: Redirects | None = None


class RotationBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long the secret before the new one goes on being good."""

    keep_old_s: Annotated[int, msgspec.Meta(ge=0, le=OLD_SECRET_S_MAX)]


def app_routes(provider: Provider) -> list[Any]:
    """Apps: listed, shown, changed."""
    reads, writes = [requires("identity:read")], [requires("identity:write")]
    shown = {200: ResponseSpec(data_container=AppView)}
    database = provider.desk.database

    @get("/v1/apps", guards=reads, responses={200: ResponseSpec(data_container=Page[AppView])},
         tags=TAGS, summary="List apps")  # fmt: skip
    async def list_apps(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Oldest first; there are never more than one page."""
        who = principal_of(request)
        async with database.transaction(who.home, (who.tenant_id,), is_read_only=True) as tx:
            found = await provider.apps.list_all(who.tenant_id, tx=tx)
        return send_view(Page([view_of(app) for app in found], None))

    @get("/v1/apps/{app_id:uuid}", guards=reads, responses=shown, tags=TAGS,
         summary="Show an app")  # fmt: skip
    async def show_app(request: Request[Any, Any, Any], app_id: FromPath[UUID]) -> Response[bytes]:
        """The app, without its secret."""
        who = principal_of(request)
        async with database.transaction(who.home, (who.tenant_id,), is_read_only=True) as tx:
            app = await provider.apps.find(who.tenant_id, app_id, tx=tx)
        if app is None:
            raise NotFound("no app has this id")
        return send_view(view_of(app), version=app.version)

    @patch("/v1/apps/{app_id:uuid}", guards=writes, dto=json_body(AppBody), return_dto=None,
           responses=shown, opt=VERSION_OPTIONAL, tags=TAGS, summary="Change an app")  # fmt: skip
    async def change_app(
        request: Request[Any, Any, Any], app_id: FromPath[UUID], data: JSONBody[AppBody]
    ) -> Response[bytes]:
        """What it may no more holds at once; a disabled app and its tokens are out at once."""
        refuse_nothing_to_change(
            data.name, data.redirect_uris, data.grants, data.scopes, data.is_disabled,
            data.post_logout_redirect_uris,
        )  # fmt: skip
        who = principal_of(request)
        command = ChangeApp(
            who.tenant_id, app_id, data.name, data.redirect_uris, data.grants, data.scopes,
            data.is_disabled, who.free_scopes, expected_version(request), cause_of(request),
            data.post_logout_redirect_uris,
        )  # fmt: skip
        view = await apps.change_app(command, provider=provider, home=who.home)
        return send_view(view, version=view.version)

    @delete("/v1/apps/{app_id:uuid}", guards=writes, status_code=204, tags=TAGS,
            summary="Delete an app")  # fmt: skip
    async def delete_app(request: Request[Any, Any, Any], app_id: FromPath[UUID]) -> None:
        """One that is disabled, with all that customers let it do. There is no way back."""
        who = principal_of(request)
        await apps.delete_app(
            who.tenant_id, app_id, held=who.scopes, cause=cause_of(request), provider=provider,
            home=who.home,
        )  # fmt: skip

    return [list_apps, show_app, change_app, delete_app]


def secret_routes(provider: Provider) -> list[Any]:
    """Apps: made, and given another secret; what has one shows it here and nowhere else."""
    writes = [requires("identity:write")]
    issued = {201: ResponseSpec(data_container=IssuedAppView)}

    @post("/v1/apps", guards=writes, dto=json_body(NewAppBody), return_dto=None, opt=KEYLESS,
          responses=issued, tags=TAGS, summary="Make an app")  # fmt: skip
    async def create_app(
        request: Request[Any, Any, Any], data: JSONBody[NewAppBody]
    ) -> Response[bytes]:
        """Shows the secret this once. Nobody gives an app more than she holds herself."""
        who = principal_of(request)
        command = CreateApp(
            who.tenant_id, data.name, data.is_public, data.redirect_uris, data.grants, data.scopes,
            who.free_scopes, cause_of(request), data.post_logout_redirect_uris,
        )  # fmt: skip
        view = await apps.create_app(command, provider=provider, home=who.home)
        return send(answer_with(view, status=201, location=f"/v1/apps/{view.app.id}"))

    @post("/v1/apps/{app_id:uuid}/secrets", guards=writes, dto=json_body(RotationBody),
          return_dto=None, opt=KEYLESS, responses=issued, tags=TAGS,
          summary="Give an app another secret")  # fmt: skip
    async def rotate_secret(
        request: Request[Any, Any, Any], app_id: FromPath[UUID], data: JSONBody[RotationBody]
    ) -> Response[bytes]:
        """Shows it this once. The one before is good for `keep_old_s` more seconds: 0 for none."""
        who = principal_of(request)
        view = await apps.rotate_secret(
            who.tenant_id, app_id, keep_old_s=data.keep_old_s, held=who.free_scopes,
            cause=cause_of(request), provider=provider, home=who.home,
        )  # fmt: skip
        return send(answer_with(view, status=201, location=f"/v1/apps/{app_id}"))

    return [create_app, rotate_secret]


def consent_view_routes(provider: Provider) -> list[Any]:
    """What I let apps do."""
    guards = [requires(SELF)]

    @get("/v1/me/apps", guards=guards, tags=TAGS, summary="List what I let apps do",
         responses={200: ResponseSpec(data_container=Page[ConsentView])})  # fmt: skip
    async def list_consents(request: Request[Any, Any, Any]) -> Response[bytes]:
        """By app; there are never more than one page."""
        who = signed_in(request)
        async with provider.desk.database.transaction(
            who.home, (who.tenant_id,), is_read_only=True
        ) as tx:
            found = await provider.apps.list_consents(who.tenant_id, who.actor.id, tx=tx)
        return send_view(Page(found, None))

    @delete("/v1/me/apps/{app_id:uuid}", guards=guards, status_code=204, tags=TAGS,
            summary="Take back what I let an app do")  # fmt: skip
    async def revoke_consent(request: Request[Any, Any, Any], app_id: FromPath[UUID]) -> None:
        """The app's tokens are over in every process at once, and it has to ask again."""
        who = signed_in(request)
        await apps.revoke_consent(
            who.tenant_id, who.actor.id, app_id, cause=cause_of(request), provider=provider,
            home=who.home,
        )  # fmt: skip

    return [list_consents, revoke_consent]
