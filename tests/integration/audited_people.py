"""What each writing route of accounts, and of what customers ask for, is asked; people sign in."""

from typing import Any
from uuid import UUID

import pyotp

from serai.contexts.billing.store import PostgresBooks
from serai.contexts.identity.store.apps import PostgresApps
from serai.contexts.payments.gateways import sandbox_cards as cards
from serai.kernel import ids
from tests.integration.audited_shop import Asked, AuditedShop, Scenario
from tests.integration.identity_shop import NEXT_PASSWORD, PASSWORD
from tests.integration.openid_house import CLIENT, SECRET, run_liar
from tests.integration.soft_authenticator import SoftAuthenticator

NAME = "Wilhelmina Underhill"
TENANT = {"Serai_Tenant": "house"}
SECRET_NAMES = ("secret", "uri", "access_token", "refresh_token", "email")


def keep_secrets(shop: AuditedShop, answer: dict[str, Any]) -> None:
    """Notes what an answer shows that must not be in the trail."""
    shop.secrets += [answer[name] for name in SECRET_NAMES if name in answer]
    shop.secrets += answer.get("spare_codes", [])


def _address() -> str:
    return f"p{ids.new_id().hex}@example.com"


async def _sign_in(shop: AuditedShop, kind: str, email: str) -> tuple[str, dict[str, str]]:
    """Someone's account id, and the headers that she comes with from then on."""
    body = {"email": email, "password": PASSWORD, "kind": kind}
    given = await shop.do("POST", "/v1/sessions", body, **TENANT)
    keep_secrets(shop, given)
    shop.secrets += [email, NAME, PASSWORD, NEXT_PASSWORD]
    headers = {"authorization": f"Bearer {given['access_token']}"}
    shop.people[headers["authorization"]] = (kind, given["account_id"])
    return given["account_id"], headers


async def _customer(shop: AuditedShop) -> tuple[str, dict[str, str]]:
    """A customer who has registered and signed in."""
    email = _address()
    body = {"email": email, "password": PASSWORD, "name": NAME}
    await shop.do("POST", "/v1/customers", body, **TENANT)
    token = await shop.house.composition.identity.find_mail_token(shop.house.tenant, email)
    shown = {"token": token, "password": PASSWORD}
    await shop.do("POST", "/v1/customers/verifications", shown, **TENANT)
    return await _sign_in(shop, "customer", email)


async def _member(shop: AuditedShop, role: str = "support") -> tuple[str, dict[str, str]]:
    """A member of the staff who has chosen a password and signed in."""
    email = _address()
    invited = await shop.house.composition.identity.invite_staff(
        shop.house.tenant, email=email, name=NAME, roles=(role,)
    )
    shop.secrets.append(invited.token)
    body = {"token": invited.token, "password": PASSWORD}
    await shop.do("POST", "/v1/password-resets/confirmations", body, **TENANT)
    return await _sign_in(shop, "staff", email)


def _code(shop: AuditedShop, secret: str, steps: int = 0) -> str:
    """What an authenticator shows, so many steps from now."""
    return pyotp.TOTP(secret).at(shop.house.clock.now(), counter_offset=steps)


async def _begun(shop: AuditedShop) -> tuple[dict[str, str], str]:
    _, headers = await _member(shop)
    body = {"current_password": PASSWORD}
    begun = await shop.do("POST", "/v1/me/totp", body, **headers)
    keep_secrets(shop, begun)
    return headers, begun["secret"]


async def post_staff(shop: AuditedShop) -> Asked:
    email = _address()
    shop.secrets.append(email)
    return "/v1/staff", {"email": email, "name": NAME, "roles": ["support"]}, {}


async def patch_staff(shop: AuditedShop) -> Asked:
    account_id, _ = await _member(shop)
    return f"/v1/staff/{account_id}", {"roles": ["auditor"]}, {}


async def delete_staff_sessions(shop: AuditedShop) -> Asked:
    account_id, _ = await _member(shop)
    return f"/v1/staff/{account_id}/sessions", None, {}


async def patch_customer(shop: AuditedShop) -> Asked:
    account_id, _ = await _customer(shop)
    _, headers = await _member(shop, "owner")
    return f"/v1/customers/{account_id}", {"is_suspended": True}, headers


async def delete_customer_sessions(shop: AuditedShop) -> Asked:
    account_id, _ = await _customer(shop)
    return f"/v1/customers/{account_id}/sessions", None, {}


async def put_role(_: AuditedShop) -> Asked:
    return "/v1/roles/packer", {"scopes": ["shipping:read", "shipping:write"]}, {}


async def delete_role(shop: AuditedShop) -> Asked:
    await shop.do("PUT", "/v1/roles/courier", {"scopes": ["shipping:read"]})
    return "/v1/roles/courier", None, {}


async def put_password(shop: AuditedShop) -> Asked:
    _, headers = await _customer(shop)
    body = {"current_password": PASSWORD, "password": NEXT_PASSWORD}
    return "/v1/me/password", body, headers


async def delete_sessions(shop: AuditedShop) -> Asked:
    _, headers = await _customer(shop)
    return "/v1/sessions", None, headers


async def delete_current_session(shop: AuditedShop) -> Asked:
    _, headers = await _member(shop)
    return "/v1/sessions/current", None, headers


async def delete_session(shop: AuditedShop) -> Asked:
    _, headers = await _customer(shop)
    (session,) = (await shop.do("GET", "/v1/sessions", **headers))["items"]
    return f"/v1/sessions/{session['id']}", None, headers


async def post_factor(shop: AuditedShop) -> Asked:
    _, headers = await _customer(shop)
    return "/v1/me/totp", {"current_password": PASSWORD}, headers


async def post_factor_confirmation(shop: AuditedShop) -> Asked:
    headers, secret = await _begun(shop)
    return "/v1/me/totp/confirmations", {"code": _code(shop, secret)}, headers


async def post_factor_removal(shop: AuditedShop) -> Asked:
    headers, secret = await _begun(shop)
    body = {"code": _code(shop, secret)}
    keep_secrets(shop, await shop.do("POST", "/v1/me/totp/confirmations", body, **headers))
    # The code of now is used up: the next one.
    body = {"current_password": PASSWORD, "code": _code(shop, secret, 1)}
    return "/v1/me/totp/removals", body, headers


PAGE = "https://shop.example"


async def _begun_passkey(
    shop: AuditedShop,
) -> tuple[dict[str, str], SoftAuthenticator, dict[str, Any]]:
    await shop.do("PUT", "/v1/tenant/origins", {"origins": [PAGE]})
    _, headers = await _customer(shop)
    begun = await shop.do("POST", "/v1/me/passkey-challenges", {"origin": PAGE}, **headers)
    shop.secrets.append(begun["public_key"]["challenge"])
    return headers, SoftAuthenticator(PAGE), begun


async def _passkey(shop: AuditedShop) -> tuple[dict[str, str], str]:
    headers, device, begun = await _begun_passkey(shop)
    credential = device.make(begun["public_key"])
    shop.secrets.append(credential["id"])
    body = {"challenge_id": begun["challenge_id"], "credential": credential, "name": NAME}
    made = await shop.do("POST", "/v1/me/passkeys", body, **headers)
    return headers, f"/v1/me/passkeys/{made['id']}"


async def post_passkey_challenge(shop: AuditedShop) -> Asked:
    await shop.do("PUT", "/v1/tenant/origins", {"origins": [PAGE]})
    _, headers = await _customer(shop)
    return "/v1/me/passkey-challenges", {"origin": PAGE}, headers


async def post_passkey(shop: AuditedShop) -> Asked:
    headers, device, begun = await _begun_passkey(shop)
    credential = device.make(begun["public_key"])
    body = {"challenge_id": begun["challenge_id"], "credential": credential, "name": NAME}
    return "/v1/me/passkeys", body, headers


async def patch_passkey(shop: AuditedShop) -> Asked:
    headers, path = await _passkey(shop)
    return path, {"name": f"{NAME}'s"}, headers


async def delete_passkey(shop: AuditedShop) -> Asked:
    headers, path = await _passkey(shop)
    return path, None, headers


async def delete_factors(shop: AuditedShop, kind: str) -> Asked:
    account_id, _ = await (_customer(shop) if kind == "customers" else _member(shop))
    return f"/v1/{kind}/{account_id}/second-factors", None, {}


async def put_factor_roles(_: AuditedShop) -> Asked:
    return "/v1/second-factor-roles", {"roles": ["auditor"]}, {}


def _provider_body(issuer: str) -> dict[str, str]:
    secrets = {"client_id": CLIENT, "client_secret": SECRET}
    return {"kind": "customer", "name": "A provider", "issuer": issuer, **secrets}


async def _provider(shop: AuditedShop) -> str:
    shop.secrets.append(SECRET)
    async with run_liar() as liar:
        body = _provider_body(liar.issuer)
        made = await shop.do("POST", "/v1/identity-providers", body)
    return f"/v1/identity-providers/{made['id']}"


async def post_provider(shop: AuditedShop) -> Asked:
    shop.secrets.append(SECRET)
    liar = await shop.stack.enter_async_context(run_liar())
    return "/v1/identity-providers", _provider_body(liar.issuer), {}


async def patch_provider(shop: AuditedShop) -> Asked:
    return await _provider(shop), {"client_secret": f"{SECRET}!", "is_enabled": False}, {}


async def delete_provider(shop: AuditedShop) -> Asked:
    return await _provider(shop), None, {}


def _app(**given: Any) -> dict[str, Any]:
    return {
        "name": "Planner", "grants": ["authorization_code"], "scopes": ["openid", "orders:own"],
        "redirect_uris": ["https://app.example/cb"], **given,
    }  # fmt: skip


async def post_app(_: AuditedShop) -> Asked:
    return "/v1/apps", _app(), {}


async def _made(shop: AuditedShop) -> str:
    made = await shop.do("POST", "/v1/apps", _app())
    keep_secrets(shop, made)
    return str(made["app"]["id"])


async def patch_app(shop: AuditedShop) -> Asked:
    return f"/v1/apps/{await _made(shop)}", {"is_disabled": True}, {}


async def delete_app(shop: AuditedShop) -> Asked:
    made = await _made(shop)
    await shop.do("PATCH", f"/v1/apps/{made}", {"is_disabled": True})
    return f"/v1/apps/{made}", None, {}


async def post_app_secret(shop: AuditedShop) -> Asked:
    return f"/v1/apps/{await _made(shop)}/secrets", {"keep_old_s": 60}, {}


async def delete_consent(shop: AuditedShop) -> Asked:
    account_id, headers = await _customer(shop)
    app_id = await _made(shop)
    tenant_id = shop.house.tenant
    async with shop.house.database.transaction(shop.house.home, (tenant_id,)) as tx:
        await PostgresApps().save_consent(
            tenant_id, UUID(account_id), UUID(app_id), ["openid"], now=tx.now, tx=tx
        )
    return f"/v1/me/apps/{app_id}", None, headers


async def put_origins(_: AuditedShop) -> Asked:
    return "/v1/tenant/origins", {"origins": ["https://other.example"]}, {}


async def post_domain(_: AuditedShop) -> Asked:
    return "/v1/tenant/domains", {"domain": "shop.example.com"}, {}


async def post_domain_verification(shop: AuditedShop) -> Asked:
    claimed = await shop.do("POST", "/v1/tenant/domains", {"domain": "second.example.com"})

    shop.zone.texts[claimed["record_name"]] = [[claimed["record_value"]]]
    return "/v1/tenant/domains/second.example.com/verifications", None, {}


async def delete_domain(shop: AuditedShop) -> Asked:
    await shop.do("POST", "/v1/tenant/domains", {"domain": "third.example.com"})
    return "/v1/tenant/domains/third.example.com", None, {}


async def put_card(shop: AuditedShop) -> Asked:
    # It is there where a tenant once had a plan; how it gets one is tested in test_billing.py.
    async with shop.house.database.transaction(shop.house.home, (shop.house.tenant,)) as tx:
        await PostgresBooks().open_account(shop.house.tenant, "UTC", tx=tx)
    shop.secrets.append(cards.NO_FUNDS)
    return "/v1/billing/card", {"card": cards.NO_FUNDS}, {}


async def _decide(shop: AuditedShop, word: str, body: Any) -> Asked:
    """A decision by staff about a return that a customer has asked for."""
    _, hers = await _customer(shop)
    lines = [{"sku": "tent", "quantity": 2}]
    body_of_order = {"currency": "USD", "lines": lines, "payment": {"card": cards.APPROVED}}
    order = await shop.do("POST", "/v1/orders", body_of_order, **hers)
    await shop.do("POST", f"/v1/orders/{order['id']}/dispatch", {})
    wanted = {"order_id": order["id"], "lines": [{"line_no": 1, "quantity": 1}]}
    asked = await shop.do("POST", "/v1/returns", wanted, **hers)
    assert asked["status"] == "requested"
    _, headers = await _member(shop)
    return f"/v1/returns/{asked['id']}/{word}", body, headers


async def post_own_erasure(shop: AuditedShop) -> Asked:
    _, headers = await _customer(shop)
    return "/v1/me/erasure", {"current_password": PASSWORD}, headers


async def post_consent(shop: AuditedShop) -> Asked:
    _, headers = await _customer(shop)
    body = {"purpose": "news", "text_version": "1", "is_given": True, "how": "sign-up"}
    return "/v1/me/consents", body, headers


async def post_export(shop: AuditedShop) -> Asked:
    account_id, _ = await _customer(shop)
    return "/v1/personal-data-exports", {"customer_id": account_id}, {}


async def post_erasure(shop: AuditedShop) -> Asked:
    account_id, _ = await _customer(shop)
    return "/v1/erasures", {"customer_id": account_id}, {}


async def delete_staff(shop: AuditedShop) -> Asked:
    account_id, _ = await _member(shop)
    return f"/v1/staff/{account_id}", None, {}


async def put_retention_rule(_: AuditedShop) -> Asked:
    return "/v1/retention-rules/orders.email", {"days": 90}, {}


SCENARIOS: dict[tuple[str, str], Scenario] = {
    ("POST", "/v1/staff"): post_staff,
    ("PATCH", "/v1/staff/{account_id}"): patch_staff,
    ("DELETE", "/v1/staff/{account_id}/sessions"): delete_staff_sessions,
    ("PATCH", "/v1/customers/{account_id}"): patch_customer,
    ("DELETE", "/v1/customers/{account_id}/sessions"): delete_customer_sessions,
    ("PUT", "/v1/roles/{name}"): put_role,
    ("DELETE", "/v1/roles/{name}"): delete_role,
    ("PUT", "/v1/me/password"): put_password,
    ("DELETE", "/v1/sessions"): delete_sessions,
    ("DELETE", "/v1/sessions/current"): delete_current_session,
    ("DELETE", "/v1/sessions/{session_id}"): delete_session,
    ("POST", "/v1/me/totp"): post_factor,
    ("POST", "/v1/me/totp/confirmations"): post_factor_confirmation,
    ("POST", "/v1/me/totp/removals"): post_factor_removal,
    ("POST", "/v1/me/passkey-challenges"): post_passkey_challenge,
    ("POST", "/v1/me/passkeys"): post_passkey,
    ("PATCH", "/v1/me/passkeys/{passkey_id}"): patch_passkey,
    ("DELETE", "/v1/me/passkeys/{passkey_id}"): delete_passkey,
    ("DELETE", "/v1/staff/{account_id}/second-factors"): lambda shop: delete_factors(shop, "staff"),
    ("DELETE", "/v1/customers/{account_id}/second-factors"): lambda shop: delete_factors(
        shop, "customers"
    ),
    ("PUT", "/v1/second-factor-roles"): put_factor_roles,
    ("POST", "/v1/identity-providers"): post_provider,
    ("PATCH", "/v1/identity-providers/{provider_id}"): patch_provider,
    ("DELETE", "/v1/identity-providers/{provider_id}"): delete_provider,
    ("POST", "/v1/apps"): post_app,
    ("PATCH", "/v1/apps/{app_id}"): patch_app,
    ("DELETE", "/v1/apps/{app_id}"): delete_app,
    ("POST", "/v1/apps/{app_id}/secrets"): post_app_secret,
    ("DELETE", "/v1/me/apps/{app_id}"): delete_consent,
    ("PUT", "/v1/tenant/origins"): put_origins,
    ("POST", "/v1/tenant/domains"): post_domain,
    ("PUT", "/v1/billing/card"): put_card,
    ("POST", "/v1/tenant/domains/{domain}/verifications"): post_domain_verification,
    ("DELETE", "/v1/tenant/domains/{domain}"): delete_domain,
    ("POST", "/v1/me/erasure"): post_own_erasure,
    ("POST", "/v1/me/consents"): post_consent,
    ("POST", "/v1/personal-data-exports"): post_export,
    ("POST", "/v1/erasures"): post_erasure,
    ("DELETE", "/v1/staff/{account_id}"): delete_staff,
    ("PUT", "/v1/retention-rules/{name}"): put_retention_rule,
    ("POST", "/v1/returns/{return_id}/accept"): lambda shop: _decide(shop, "accept", {}),
    ("POST", "/v1/returns/{return_id}/decline"): lambda shop: _decide(shop, "decline", None),
}
"""What is asked of each of these routes so that it changes something."""
