"""HTTP of tenancy: who am I, and the tenant's API keys."""

import secrets
from collections.abc import Callable
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, post, put
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody

from serai.contexts.tenancy import handlers, model
from serai.contexts.tenancy.contract import (
    LABEL_CHARS_MAX,
    ORIGIN_CHARS_MAX,
    ORIGINS_MAX,
    SCOPES,
    SIGNER_CHARS_MAX,
    CreateKey,
    IssuedKeyView,
    KeyView,
    NewKey,
    OriginsView,
    ReplaceSigner,
    RevokeKey,
    WhoView,
)
from serai.contexts.tenancy.contract.domains import (
    DOMAIN_CHARS_MAX,
    DomainNames,
    DomainsView,
    DomainView,
)
from serai.contexts.tenancy.ports import TenantOrigins, Tenants
from serai.kernel import ids
from serai.kernel.db import Database
from serai.kernel.failure import NotFound, Refused
from serai.kernel.tenant import DIRECTORY, POOLED
from serai.kernel.text import Line, Text
from serai.kernel.web import (
    KEYLESS,
    Page,
    answer_with,
    cause_of,
    decode_cursor,
    encode_cursor,
    json_body,
    page_size,
    principal_of,
    requires,
    send,
    send_view,
)

TAGS = ["tenancy"]


class CreateKeyBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An API key that is wanted."""

    scopes: Annotated[list[str], msgspec.Meta(min_length=1, max_length=len(SCOPES))]
    label: Annotated[Line, msgspec.Meta(max_length=LABEL_CHARS_MAX)] = ""
    signer: Annotated[Text, msgspec.Meta(max_length=SIGNER_CHARS_MAX)] | None = None


class SignerBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An Ed25519 public key in PEM."""

    signer: Annotated[Text, msgspec.Meta(max_length=SIGNER_CHARS_MAX)]


class OriginsBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Origins like https://shop.example; each exactly as a browser sends it."""

    origins: Annotated[
        list[Annotated[Line, msgspec.Meta(max_length=ORIGIN_CHARS_MAX)]],
        msgspec.Meta(max_length=ORIGINS_MAX),
    ]


class DomainBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A domain that is wanted, like shop.example.com."""

    domain: Annotated[Line, msgspec.Meta(min_length=1, max_length=DOMAIN_CHARS_MAX)]


def reading_routes(database: Database, tenants: Tenants) -> list[Any]:
    """What tells and changes nothing."""

    @get(
        "/v1/tenant", guards=[requires("tenancy:read")], return_dto=None, tags=TAGS,
        responses={200: ResponseSpec(data_container=WhoView)}, summary="Tell who asks",
    )  # fmt: skip
    async def show_tenant(request: Request[Any, Any, Any]) -> Response[bytes]:
        """The tenant, and the scopes of the API key in use."""
        who = principal_of(request)
        async with database.transaction(POOLED, (who.tenant_id,), is_read_only=True) as tx:
            tenant = await tenants.find_tenant(tx, who.tenant_id)
        if tenant is None:
            raise NotFound("there is no such tenant")
        return send_view(WhoView(tenant, who.actor.id, sorted(who.scopes)))

    @get(
        "/v1/api-keys", guards=[requires("tenancy:read")], return_dto=None, tags=TAGS,
        responses={200: ResponseSpec(data_container=Page[KeyView])}, summary="List API keys",
    )  # fmt: skip
    async def list_api_keys(
        request: Request[Any, Any, Any],
        limit: FromQuery[int | None] = None,
        cursor: FromQuery[str | None] = None,
    ) -> Response[bytes]:
        """The tenant's keys without their secrets, newest first, revoked ones too."""
        who = principal_of(request)
        size = page_size(limit)
        position = decode_cursor(cursor, tuple[UUID])
        before = position[0] if position else None
        async with database.transaction(POOLED, (who.tenant_id,), is_read_only=True) as tx:
            found = await tenants.list_keys(tx, who.tenant_id, before=before, limit=size + 1)
        has_more = len(found) > size
        following = encode_cursor([found[size - 1].id]) if has_more else None
        return send_view(Page(found[:size], following))

    return [show_tenant, list_api_keys]


def writing_routes(
    database: Database, tenants: Tenants, *, forget: Callable[[UUID], None]
) -> list[Any]:
    """What changes keys. `forget` tells this process's memory of keys that one was changed."""

    @post(
        "/v1/api-keys", guards=[requires("tenancy:write")], dto=json_body(CreateKeyBody),
        return_dto=None, status_code=201, tags=TAGS, summary="Create an API key", opt=KEYLESS,
        responses={201: ResponseSpec(data_container=IssuedKeyView)},
    )  # fmt: skip
    async def create_api_key(
        request: Request[Any, Any, Any], data: JSONBody[CreateKeyBody]
    ) -> Response[bytes]:
        """Makes a key with some or all of the scopes of the key in use.

        With a `signer` it takes signed requests only (RFC 9421, by that Ed25519 key). The answer is
        the one time that `key` is shown. It takes no `Idempotency-Key`: to answer a
        repetition alike, the secret would have to be kept.
        """
        who = principal_of(request)
        scopes = model.choose_scopes(data.scopes, held=who.free_scopes)
        signer = None if data.signer is None else model.read_signer(data.signer)
        key_id = ids.new_id()
        text = model.write_key(who.tenant_id, key_id, secrets.token_urlsafe(model.SECRET_BYTES))
        command = CreateKey(
            who.tenant_id,
            NewKey(key_id, data.label, model.digest_of(text), scopes, signer),
            cause_of(request),
        )
        async with database.transaction(DIRECTORY, (who.tenant_id,)) as tx:
            [made] = await handlers.create_keys([command], tx=tx, now=tx.now, tenants=tenants)
            if isinstance(made, Refused):
                raise made
        view = IssuedKeyView(made.id, made.label, made.scopes, made.created_at, text, made.signer)
        return send(answer_with(view, status=201, location=f"/v1/api-keys/{made.id}"))

    @delete(
        "/v1/api-keys/{key_id:uuid}", guards=[requires("tenancy:write")], status_code=204,
        tags=TAGS, summary="Revoke an API key",
    )  # fmt: skip
    async def revoke_api_key(request: Request[Any, Any, Any], key_id: FromPath[UUID]) -> None:
        """Ends a key for good, in every process at once; harmless twice.

        It may have no scope that whoever asks has not.
        """
        who = principal_of(request)
        async with database.transaction(DIRECTORY, (who.tenant_id,)) as tx:
            [ended] = await handlers.revoke_keys(
                [RevokeKey(who.tenant_id, key_id, who.scopes, cause_of(request))],
                tx=tx, now=tx.now, tenants=tenants,
            )  # fmt: skip
            if isinstance(ended, Refused):
                raise ended
        forget(key_id)

    return [create_api_key, revoke_api_key]


def signer_routes(
    database: Database, tenants: Tenants, *, forget: Callable[[UUID], None]
) -> list[Any]:
    """By whom requests with a key are signed. `forget` is told as above."""

    @put(
        "/v1/api-keys/{key_id:uuid}/signer", guards=[requires("tenancy:write")],
        dto=json_body(SignerBody), return_dto=None, tags=TAGS, summary="Ask for signed requests",
        responses={200: ResponseSpec(data_container=KeyView)},
    )  # fmt: skip
    async def replace_signer(
        request: Request[Any, Any, Any], key_id: FromPath[UUID], data: JSONBody[SignerBody]
    ) -> Response[bytes]:
        """From now on a key takes requests only that this Ed25519 key has signed (RFC 9421).

        It may give no scope that whoever asks has not. There is no way back: make another key.
        """
        who = principal_of(request)
        signer = model.read_signer(data.signer)
        command = ReplaceSigner(who.tenant_id, key_id, signer, who.free_scopes, cause_of(request))
        async with database.transaction(DIRECTORY, (who.tenant_id,)) as tx:
            view = await handlers.replace_signer(command, tx=tx, tenants=tenants)
        forget(key_id)
        return send_view(view)

    return [replace_signer]


def origin_routes(
    database: Database, tenants: Tenants, origins: TenantOrigins, *, forget: Callable[[UUID], None]
) -> list[Any]:
    """Which web pages may read the tenant's answers in a browser."""
    shown = {200: ResponseSpec(data_container=OriginsView)}

    @get("/v1/tenant/origins", guards=[requires("tenancy:read")], tags=TAGS, responses=shown,
         summary="List the origins that browsers may ask from")  # fmt: skip
    async def list_origins(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Web pages of these origins read the tenant's answers; of others, browsers keep them."""
        who = principal_of(request)
        async with database.transaction(POOLED, (who.tenant_id,), is_read_only=True) as tx:
            return send_view(OriginsView(await origins.list_of(tx, who.tenant_id)))

    @put("/v1/tenant/origins", guards=[requires("tenancy:write")], dto=json_body(OriginsBody),
         return_dto=None, tags=TAGS, responses=shown,
         summary="Replace the origins that browsers may ask from")  # fmt: skip
    async def replace_origins(
        request: Request[Any, Any, Any], data: JSONBody[OriginsBody]
    ) -> Response[bytes]:
        """All of them at once; in force within five seconds in every process."""
        who = principal_of(request)
        chosen = model.choose_origins(data.origins)
        async with database.transaction(DIRECTORY, (who.tenant_id,)) as tx:
            await handlers.replace_origins(
                who.tenant_id, chosen, cause_of(request), tx=tx, tenants=tenants, origins=origins
            )
        forget(who.tenant_id)
        return send_view(OriginsView(list(chosen)))

    return [list_origins, replace_origins]


def domain_routes(names: DomainNames) -> list[Any]:
    """The domains that a tenant is known by."""
    shown = {201: ResponseSpec(data_container=DomainView)}

    @get("/v1/tenant/domains", guards=[requires("tenancy:read")], return_dto=None, tags=TAGS,
         responses={200: ResponseSpec(data_container=DomainsView)},
         summary="List the tenant's domains")  # fmt: skip
    async def list_domains(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Proven ones, by which open routes know the tenant, claims, and those suspended."""
        return send_view(DomainsView(await names.list_domains(principal_of(request).tenant_id)))

    @post("/v1/tenant/domains", guards=[requires("tenancy:write")], dto=json_body(DomainBody),
          return_dto=None, status_code=201, tags=TAGS, summary="Claim a domain", opt=KEYLESS,
          responses=shown)  # fmt: skip
    async def claim_domain(
        request: Request[Any, Any, Any], data: JSONBody[DomainBody]
    ) -> Response[bytes]:
        """Says which TXT record proves it. One that is there is shown again; it lasts a week."""
        tenant_id = principal_of(request).tenant_id
        view = await names.claim_domain(tenant_id, data.domain, cause_of(request))
        return send(answer_with(view, status=201, location=f"/v1/tenant/domains/{view.domain}"))

    @post("/v1/tenant/domains/{domain:str}/verifications", guards=[requires("tenancy:write")],
          return_dto=None, status_code=200, tags=TAGS, summary="Prove a domain", opt=KEYLESS,
          responses={200: ResponseSpec(data_container=DomainView)})  # fmt: skip
    async def verify_domain(
        request: Request[Any, Any, Any], domain: FromPath[str]
    ) -> Response[bytes]:
        """Asks the DNS for the record. Of several who claim a domain, the first to prove has it.

        The record must stay: it is looked for again every six hours, and after four checks in a row
        without it the domain is suspended, until it is proven here anew.
        """
        tenant_id = principal_of(request).tenant_id
        return send_view(await names.verify_domain(tenant_id, domain, cause_of(request)))

    @delete("/v1/tenant/domains/{domain:str}", guards=[requires("tenancy:write")], return_dto=None,
            status_code=204, tags=TAGS, summary="Give a domain up")  # fmt: skip
    async def remove_domain(request: Request[Any, Any, Any], domain: FromPath[str]) -> None:
        """Within five seconds no process knows the tenant by it any more; harmless twice."""
        await names.remove_domain(principal_of(request).tenant_id, domain, cause_of(request))

    return [list_domains, claim_domain, verify_domain, remove_domain]
