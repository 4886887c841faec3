"""Sign-in by a provider: begun, carried on at the provider, and ended by what it has signed."""

import hmac
from base64 import urlsafe_b64encode
from datetime import timedelta
from hashlib import sha256
from secrets import token_urlsafe
from typing import Final
from urllib.parse import urlencode
from uuid import UUID

import msgspec
import structlog

from serai.contexts.identity.contract import TokensView
from serai.contexts.identity.contract.passkeys import OriginUnknown
from serai.contexts.identity.contract.providers import (
    TRY_S,
    AccountNotLinked,
    ProviderAnswerUnfit,
    ProviderDeclined,
    ProviderSignInView,
    SignInUnfit,
)
from serai.contexts.identity.handlers.desk import Desk, Turnstile
from serai.contexts.identity.handlers.factors import check
from serai.contexts.identity.handlers.proving import announce_customer
from serai.contexts.identity.handlers.signing_in import address_buckets, open_session
from serai.contexts.identity.model import providers as model
from serai.contexts.identity.model import roles
from serai.contexts.identity.model.accounts import Account, email_key
from serai.contexts.identity.model.passkeys import Passkey
from serai.contexts.identity.model.providers import IdClaims, Metadata, Provider, Sealed, Try
from serai.kernel import ids
from serai.kernel.changes import describe
from serai.kernel.db import Tx
from serai.kernel.events import Cause
from serai.kernel.failure import NotFound, Refused
from serai.kernel.tenant import Home

_log = structlog.get_logger(__name__)

SECRET_BYTES: Final = 32
CALLS_AT_ONCE_MAX: Final = 8
CALLS_WAITING_MAX: Final = 50
SCOPE: Final = "openid email profile"
_DOOR: Final = Turnstile(CALLS_AT_ONCE_MAX, CALLS_WAITING_MAX)
"""Few calls to providers at once: anyone may begin a sign-in."""

_decode = msgspec.json.Decoder(Sealed).decode


class Begin(msgspec.Struct, frozen=True):
    """Somebody wants to come in by a provider, and back to a page of the tenant's."""

    tenant_id: UUID
    provider_id: UUID
    redirect_uri: str
    address: str | None


class Complete(msgspec.Struct, frozen=True):
    """She is back, with what the provider gave her and what her browser has kept."""

    tenant_id: UUID
    state: str
    binding: str
    code: str | None
    issuer: str | None
    """The parameter `iss` of the answer, where there is one."""
    factor_code: str | None
    shown: Passkey | None
    address: str | None
    cause: Cause


async def begin(command: Begin, *, desk: Desk, home: Home) -> ProviderSignInView:
    """Where her browser goes. The binding stays with it: whoever else comes back is refused."""
    tenant_id = command.tenant_id
    if not await desk.pages.allows(model.origin_of(command.redirect_uri), tenant_id):
        raise OriginUnknown("the tenant names no page of this origin")
    async with desk.open(home, tenant_id) as tx:
        await desk.spend(tenant_id, address_buckets(desk, command.address), tx=tx)
        provider = await desk.providers.find(tenant_id, command.provider_id, tx=tx)
    if provider is None or not provider.is_enabled:
        raise NotFound("the tenant has no such provider")
    async with _DOOR.pass_through():
        metadata = await desk.relying.discover(provider.issuer)
    state, binding, nonce, verifier = (token_urlsafe(SECRET_BYTES) for _ in range(4))
    sealed = await desk.seals.seal(msgspec.json.encode(Sealed(nonce, verifier)))
    async with desk.open(home, tenant_id) as tx:
        tried = Try(
            provider.id, model.digest_of(binding), sealed, command.redirect_uri,
            tx.now + timedelta(seconds=TRY_S),
        )  # fmt: skip
        await desk.providers.add_try(
            tenant_id, model.digest_of(state), tried, kept=model.TRIES_MAX, tx=tx
        )
    asked = {
        "response_type": "code", "client_id": provider.client_id, "scope": SCOPE,
        "redirect_uri": command.redirect_uri, "state": state, "nonce": nonce,
        "code_challenge": _challenge_of(verifier), "code_challenge_method": "S256",
    }  # fmt: skip
    endpoint = metadata.authorization_endpoint
    url = f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"
    return ProviderSignInView(url, state, binding, TRY_S)


async def complete(command: Complete, *, desk: Desk, home: Home) -> TokensView:
    """A new session for whom the provider means. A state is used up, whatever comes of it."""
    tenant_id = command.tenant_id
    async with desk.open(home, tenant_id) as tx:
        await desk.spend(tenant_id, address_buckets(desk, command.address), tx=tx)
        tried = await desk.providers.take_try(
            tenant_id, model.digest_of(command.state), now=tx.now, tx=tx
        )
        provider = None
        if tried is not None:
            provider = await desk.providers.find(tenant_id, tried.provider_id, tx=tx)
    is_hers = tried is not None and hmac.compare_digest(
        tried.binding, model.digest_of(command.binding)
    )
    if tried is None or provider is None or not provider.is_enabled or not is_hers:
        raise SignInUnfit("it was not begun by this browser, was answered, or its time is over")
    async with _DOOR.pass_through():
        metadata = await desk.relying.discover(provider.issuer)
        if (fault := model.find_iss_fault(metadata, command.issuer)) is not None:
            raise _unfit(provider, fault)
        if command.code is None:
            raise ProviderDeclined("the provider did not let you in: begin anew")
        claims = await _redeem(tried, provider, metadata, command.code, desk=desk)
    sign = await desk.signing.prepare()
    async with desk.open(home, tenant_id) as tx:
        account = await _find_account(provider, claims, command, desk=desk, tx=tx)
        has_shown = await check(account, command.factor_code, shown=command.shown, desk=desk, tx=tx)
        return await open_session(
            account, sign=sign, by="provider", cause=command.cause, desk=desk, tx=tx,
            has_shown_factor=has_shown,
        )  # fmt: skip


async def _redeem(
    tried: Try, provider: Provider, metadata: Metadata, code: str, *, desk: Desk
) -> IdClaims:
    """What the provider says of her; refuses a code that it does not take, and what is not hers."""
    kept = _decode(await desk.seals.unseal(tried.sealed))
    secret = None
    if provider.sealed_secret is not None:
        secret = (await desk.seals.unseal(provider.sealed_secret)).decode()
    token = await desk.relying.redeem(
        provider, metadata, secret=secret, code=code, redirect_uri=tried.redirect_uri,
        verifier=kept.verifier,
    )  # fmt: skip
    if token is None:
        raise _unfit(provider, "code")
    claims = await desk.relying.read_token(token, metadata)
    if claims is None:
        raise _unfit(provider, "signature")
    fault = model.find_claims_fault(
        claims, issuer=provider.issuer, client_id=provider.client_id, nonce=kept.nonce,
        now=desk.database.clock.now(),
    )  # fmt: skip
    if fault is not None:
        raise _unfit(provider, fault)
    return claims


async def _find_account(
    provider: Provider, claims: IdClaims, command: Complete, *, desk: Desk, tx: Tx
) -> Account:
    """The account that is linked to the subject, or is to be by its address; locked."""
    tenant_id, kind = command.tenant_id, provider.kind
    linked = await desk.providers.find_link(tenant_id, kind, provider.issuer, claims.sub, tx=tx)
    if linked is not None:
        account = await desk.accounts.lock(tenant_id, linked, tx=tx)
        if account is None or account.kind != kind or account.suspended_at is not None:
            raise SignInUnfit("this account does not come in")
        return account
    email = model.find_email(claims)
    there = None
    if email is not None:
        there = await desk.accounts.find_named(tenant_id, kind, email_key(email), tx=tx)
    chosen = model.choose(provider, email, there)
    if isinstance(chosen, Refused):
        raise chosen
    assert email is not None, "without an address nothing is chosen"
    if there is None:
        account = Account(
            tenant_id, ids.new_id(), kind, email, model.name_of(claims), None, (roles.CUSTOMER,), 1,
            tx.now,
        )  # fmt: skip
        rests = await desk.accounts.insert(account, tx=tx)
        if rests is None:
            raise AccountNotLinked("there is an account with your address: begin anew")
        announce_customer(account, rests, command.cause, by="provider", tx=tx)
    else:
        locked = await desk.accounts.lock(tenant_id, there.id, tx=tx)
        if locked is None or locked.suspended_at is not None:
            raise SignInUnfit("this account does not come in")
        account = locked
    if not await desk.providers.add_link(
        tenant_id, kind, provider.issuer, claims.sub, account.id, tx=tx
    ):
        raise AccountNotLinked("another sign-in was faster: begin anew")
    told = {"provider_id": provider.id, "kind": kind, "is_new": there is None}
    subject = ("account", account.id)
    change = describe("identity.provider_linked", subject, command.cause, after=told)
    tx.record(tenant_id, change)
    return account


def _challenge_of(verifier: str) -> str:
    """The S256 challenge of a verifier (RFC 7636, 4.2)."""
    return urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _unfit(provider: Provider, fault: str) -> ProviderAnswerUnfit:
    """The refusal; what was wrong is for the operator, and no value of the answer is in it."""
    _log.warning(
        "provider_answer_unfit", action="provider_answer_unfit", provider_id=str(provider.id),
        reason=fault,
    )  # fmt: skip
    return ProviderAnswerUnfit("what the provider answered does not show who you are: begin anew")
