"""Passkeys over HTTP: made, shown alone and after a password, attacked, managed, demanded."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pyotp
import pytest

from serai.contexts.identity.contract.passkeys import PASSKEYS_MAX
from serai.contexts.identity.model import passkeys as model
from serai.kernel.clock import ManualClock, SystemClock
from serai.kernel.db import Database
from serai.kernel.tenant import POOLED
from tests.integration.identity_shop import PASSWORD, Shop, code_of, open_shop
from tests.integration.soft_authenticator import BACKED_UP, PRESENT, SoftAuthenticator, decode

EMAIL = "buyer@example.com"
PAGE = "https://shop.example"
OTHER_PAGE = "https://www.shop.example"
WRONG = (401, "wrong_credentials")


@pytest.fixture
async def shop(database: Database, tmp_path: Path) -> AsyncIterator[Shop]:
    database.clock = ManualClock(SystemClock().now())
    async with open_shop(database, tmp_path) as opened:
        for name in ("acme", "other"):
            await opened.add_tenant(name)
            body = {"origins": [PAGE, OTHER_PAGE]}
            told = await opened.call("PUT", "/v1/tenant/origins", opened.keys[name], body)
            assert told.status_code == 200, told.text
        await opened.register(EMAIL)
        yield opened


async def ask_to_make(shop: Shop, token: str, page: str = PAGE) -> dict[str, Any]:
    begun = await shop.call("POST", "/v1/me/passkey-challenges", token, {"origin": page})
    assert begun.status_code == 201, begun.text
    view: dict[str, Any] = begun.json()
    return view


async def send_made(
    shop: Shop, token: str, asked: dict[str, Any], credential: dict[str, Any]
) -> httpx.Response:
    body = {"challenge_id": asked["challenge_id"], "credential": credential, "name": "My phone"}
    return await shop.call("POST", "/v1/me/passkeys", token, body)


async def add(shop: Shop, token: str, device: SoftAuthenticator) -> str:
    """A passkey on a device; its id."""
    asked = await ask_to_make(shop, token, device.origin)
    made = await send_made(shop, token, asked, device.make(asked["public_key"]))
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def ask_to_sign(shop: Shop, *, tenant: str = "acme", page: str = PAGE) -> dict[str, Any]:
    asked = await shop.post("/v1/sessions/passkey-challenges", {"origin": page}, tenant=tenant)
    assert asked.status_code == 201, asked.text
    view: dict[str, Any] = asked.json()
    return view


async def send_signed(
    shop: Shop, asked: dict[str, Any], credential: dict[str, Any], *, tenant: str = "acme",
    kind: str = "customer",
) -> httpx.Response:  # fmt: skip
    body = {"challenge_id": asked["challenge_id"], "credential": credential, "kind": kind}
    return await shop.post("/v1/sessions/passkeys", body, tenant=tenant)


async def come_in(shop: Shop, device: SoftAuthenticator, **lies: Any) -> httpx.Response:
    asked = await ask_to_sign(shop, page=device.origin)
    return await send_signed(shop, asked, device.sign(asked["public_key"], **lies))


async def token_of(shop: Shop, **more: Any) -> str:
    return str((await shop.sign_in(EMAIL, **more))["access_token"])


async def recorded(shop: Shop, action: str) -> list[dict[str, Any]]:
    """What was put into the audit trail under an action, oldest first."""
    tenant_id = shop.tenants["acme"]
    async with shop.house.database.transaction(POOLED, (tenant_id,)) as tx:
        rows = await tx.connection.fetch(
            "SELECT c FROM kernel.outbox, json_array_elements(data::json -> 'changes') c "
            "WHERE type = 'audit.changes_recorded.v1' AND c ->> 'action' = $1 ORDER BY xid, seq",
            action,
        )
    return [dict(row) for row in rows]


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
async def test_a_passkey_is_made_and_signs_in_alone(shop: Shop, algorithm: str) -> None:
    device = SoftAuthenticator(PAGE, algorithm=algorithm)
    token = await token_of(shop)
    asked = await ask_to_make(shop, token)
    options = asked["public_key"]
    assert options["rp"]["id"] == "shop.example"
    assert options["authenticatorSelection"] == {
        "residentKey": "required", "requireResidentKey": True, "userVerification": "required",
    }  # fmt: skip
    assert len(decode(options["challenge"])) == 32
    made = await send_made(shop, token, asked, device.make(options))
    assert (made.status_code, made.json()["name"]) == (201, "My phone")
    asked = await ask_to_sign(shop)
    assert asked["public_key"]["allowCredentials"] == []
    assert asked["public_key"]["userVerification"] == "required"
    given = await send_signed(shop, asked, device.sign(asked["public_key"]))
    assert given.status_code == 201, given.text
    me = await shop.call("GET", "/v1/me", given.json()["access_token"])
    assert me.json()["account"]["email"] == EMAIL
    assert me.json()["has_second_factor"] is True
    (listed,) = (await shop.call("GET", "/v1/me/passkeys", token)).json()["items"]
    assert listed["used_at"] is not None
    assert len(await recorded(shop, "identity.passkey_added")) == 1
    told = await recorded(shop, "identity.signed_in")
    account_id = me.json()["account"]["id"]
    assert [json.loads(one["c"])["after"]["by"] for one in told] == ["password", "passkey"]
    assert {json.loads(one["c"])["actor"]["id"] for one in told} == {account_id}


async def test_a_passkey_of_one_page_is_good_on_the_other_of_the_same_site(shop: Shop) -> None:
    device = SoftAuthenticator(OTHER_PAGE, counts=False)
    await add(shop, await token_of(shop), device)
    assert (await come_in(shop, device)).status_code == 201
    device.origin = PAGE
    assert (await come_in(shop, device)).status_code == 201
    for unknown in ("https://evil.example", "https://shop.example.evil.example", "shop.example"):
        asked = await shop.post("/v1/sessions/passkey-challenges", {"origin": unknown})
        assert code_of(asked) == (422, "origin_unknown")


LIES: list[tuple[str, dict[str, Any]]] = [
    ("another origin", {"origin": "https://evil.example"}),
    ("the other page", {"origin": OTHER_PAGE}),
    ("the page without TLS", {"origin": "http://shop.example"}),
    ("another site", {"rp_id": "evil.example"}),
    ("another challenge", {"challenge": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}),
    ("a user who was not verified", {"flags": PRESENT}),
    ("a user who was not there", {"flags": 4}),
    ("flags that cannot be", {"flags": 5 | BACKED_UP}),
    ("a page in a frame of another", {"cross_origin": True}),
    ("the other ceremony", {"type": "webauthn.other"}),
]


@pytest.mark.parametrize(("name", "lies"), LIES)
async def test_an_answer_that_does_not_fit_is_refused(
    shop: Shop, name: str, lies: dict[str, Any]
) -> None:
    device = SoftAuthenticator(PAGE)
    token = await token_of(shop)
    asked = await ask_to_make(shop, token)
    refused = await send_made(shop, token, asked, device.make(asked["public_key"], **lies))
    assert code_of(refused) == (422, "passkey_unfit"), name
    again = await send_made(shop, token, asked, device.make(asked["public_key"]))
    assert code_of(again) == (422, "passkey_unfit"), "the challenge was used up"
    await add(shop, token, device)
    assert code_of(await come_in(shop, device, **lies)) == WRONG, name
    assert (await come_in(shop, device)).status_code == 201


async def test_an_answer_is_good_once_and_not_for_long(shop: Shop) -> None:
    device = SoftAuthenticator(PAGE, counts=False)
    await add(shop, await token_of(shop), device)
    asked = await ask_to_sign(shop)
    signed = device.sign(asked["public_key"])
    answers = await asyncio.gather(*(send_signed(shop, asked, signed) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 401, 401, 401]
    assert code_of(await send_signed(shop, asked, signed)) == WRONG
    asked = await ask_to_sign(shop)
    clock: Any = shop.house.database.clock
    clock.advance(timedelta(seconds=301))
    assert code_of(await send_signed(shop, asked, device.sign(asked["public_key"]))) == WRONG


async def test_a_tampered_signature_and_bytes_of_any_kind_are_refused(shop: Shop) -> None:
    device = SoftAuthenticator(PAGE)
    await add(shop, await token_of(shop), device)
    for field in ("signature", "authenticatorData", "clientDataJSON"):
        for at in (0, 3, 32, -1):
            asked = await ask_to_sign(shop)
            signed = device.sign(asked["public_key"])
            raw = bytearray(decode(signed["response"][field]))
            raw[at] ^= 1
            changed = base64.urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode()
            signed["response"][field] = changed
            assert code_of(await send_signed(shop, asked, signed)) == WRONG, (field, at)
    for rubbish in ("", "A", "AAAA", "_" * 200):
        asked = await ask_to_sign(shop)
        signed = device.sign(asked["public_key"])
        signed["response"] |= dict.fromkeys(("authenticatorData", "clientDataJSON"), rubbish)
        assert code_of(await send_signed(shop, asked, signed)) == WRONG, rubbish
    assert (await come_in(shop, device)).status_code == 201


async def test_a_counter_that_goes_back_is_refused_and_recorded(shop: Shop) -> None:
    device = SoftAuthenticator(PAGE)
    passkey_id = await add(shop, await token_of(shop), device)
    device.counter = 10
    assert (await come_in(shop, device)).status_code == 201
    for before in (4, 10):  # it signs with 5, and with the 11 that is kept
        device.counter = before
        assert code_of(await come_in(shop, device)) == WRONG
    told = await recorded(shop, "identity.passkey_counter_went_back")
    assert len(told) == 2
    assert passkey_id in str(told[0])
    device.counter = 11
    assert (await come_in(shop, device)).status_code == 201


async def test_another_s_passkey_is_refused_like_an_unknown_one(shop: Shop) -> None:
    mine, hers = SoftAuthenticator(PAGE), SoftAuthenticator(PAGE)
    await add(shop, await token_of(shop), mine)
    await shop.register("berta@example.com")
    her_token = (await shop.sign_in("berta@example.com"))["access_token"]
    her_id = await add(shop, her_token, hers)
    await shop.register(EMAIL, tenant="other")
    foreign = SoftAuthenticator(PAGE)
    token = (await shop.sign_in(EMAIL, tenant="other"))["access_token"]
    await add(shop, token, foreign)
    unknown = SoftAuthenticator(PAGE)
    answers = [
        await come_in(shop, foreign),
        await come_in(shop, unknown),
        await come_in(shop, hers, user_handle=mine.user_handle),
    ]
    asked = await ask_to_sign(shop, tenant="other")
    answers.append(await send_signed(shop, asked, foreign.sign(asked["public_key"])))
    asked = await ask_to_sign(shop)
    answers.append(await send_signed(shop, asked, mine.sign(asked["public_key"]), kind="staff"))
    assert [code_of(answer) for answer in answers] == [WRONG] * 5
    assert len({answer.json()["detail"] for answer in answers}) == 1
    # As a second factor hers does not open mine either.
    assert code_of(await try_password(shop, hers)) == WRONG
    for method, body in (("PATCH", {"name": "x"}), ("DELETE", None)):
        path = f"/v1/me/passkeys/{her_id}"
        gone = await shop.call(method, path, await token_with(shop, mine), body)
        assert code_of(gone) == (404, "not_found")
    assert (await come_in(shop, hers)).status_code == 201


async def token_with(shop: Shop, device: SoftAuthenticator) -> str:
    given = await come_in(shop, device)
    assert given.status_code == 201, given.text
    return str(given.json()["access_token"])


async def try_password(
    shop: Shop, device: SoftAuthenticator | None, password: str = PASSWORD
) -> httpx.Response:
    """A password, and a passkey beside it."""
    body: dict[str, Any] = {"email": EMAIL, "password": password}
    if device is not None:
        asked = await ask_to_sign(shop)
        signed = device.sign(asked["public_key"])
        body["passkey"] = {"challenge_id": asked["challenge_id"], "credential": signed}
    return await shop.post("/v1/sessions", body)


async def test_a_passkey_is_asked_for_after_the_password_beside_codes(shop: Shop) -> None:
    device = SoftAuthenticator(PAGE)
    token = await token_of(shop)
    passkey_id = await add(shop, token, device)
    assert code_of(await try_password(shop, None)) == (401, "second_factor_required")
    assert code_of(await try_password(shop, device, "not the one, no")) == WRONG
    assert (await try_password(shop, device)).status_code == 201
    begun = await shop.call("POST", "/v1/me/totp", token, {"current_password": PASSWORD})
    secret = begun.json()["secret"]
    code = {"code": pyotp.TOTP(secret).at(shop.house.database.clock.now())}
    done = await shop.call("POST", "/v1/me/totp/confirmations", token, code)
    assert done.status_code == 201
    assert (await try_password(shop, device)).status_code == 201
    spare = {"email": EMAIL, "password": PASSWORD, "code": done.json()["spare_codes"][0]}
    assert (await shop.post("/v1/sessions", spare)).status_code == 201
    asked = await ask_to_sign(shop)
    signed = {"challenge_id": asked["challenge_id"], "credential": device.sign(asked["public_key"])}
    body = {"current_password": PASSWORD, "passkey": signed}
    assert (await shop.call("POST", "/v1/me/totp/removals", token, body)).status_code == 204
    assert code_of(await try_password(shop, None)) == (401, "second_factor_required")
    gone = await shop.call("DELETE", f"/v1/me/passkeys/{passkey_id}", token)
    assert gone.status_code == 204
    assert (await try_password(shop, None)).status_code == 201
    assert code_of(await come_in(shop, device)) == WRONG


async def test_who_signed_in_long_ago_neither_adds_nor_removes(shop: Shop) -> None:
    device = SoftAuthenticator(PAGE)
    token = await token_of(shop)
    passkey_id = await add(shop, token, device)
    asked = await ask_to_make(shop, token)
    clock: Any = shop.house.database.clock
    clock.advance(timedelta(seconds=299))
    made = await send_made(shop, token, asked, SoftAuthenticator(PAGE).make(asked["public_key"]))
    assert made.status_code == 201
    clock.advance(timedelta(seconds=302))
    path = f"/v1/me/passkeys/{passkey_id}"
    for method, at, body in (
        ("POST", "/v1/me/passkey-challenges", {"origin": PAGE}), ("DELETE", path, None),
    ):  # fmt: skip
        refused = await shop.call(method, at, token, body)
        assert code_of(refused) == (403, "sign_in_too_long_ago")
    renamed = await shop.call("PATCH", path, token, {"name": "Old phone"})
    assert renamed.json()["name"] == "Old phone"


async def test_passkeys_and_challenges_of_an_account_have_a_bound(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "OPEN_CHALLENGES_MAX", 3)
    token = await token_of(shop)
    first = await ask_to_make(shop, token)
    for _ in range(model.OWN_CHALLENGES_MAX):
        await ask_to_make(shop, token)
    device = SoftAuthenticator(PAGE)
    late = await send_made(shop, token, first, device.make(first["public_key"]))
    assert code_of(late) == (422, "passkey_unfit")
    for _ in range(PASSKEYS_MAX):
        await add(shop, token, device := SoftAuthenticator(PAGE))
    more = await shop.call("POST", "/v1/me/passkey-challenges", token, {"origin": PAGE})
    assert code_of(more) == (409, "too_many_passkeys")
    asked = [await ask_to_sign(shop) for _ in range(4)]
    oldest, newest = asked[0], asked[-1]
    assert code_of(await send_signed(shop, oldest, device.sign(oldest["public_key"]))) == WRONG
    given = await send_signed(shop, newest, device.sign(newest["public_key"]))
    assert given.status_code == 201


async def test_a_known_credential_is_not_made_twice(shop: Shop) -> None:
    device = SoftAuthenticator(PAGE)
    token = await token_of(shop)
    await add(shop, token, device)
    asked = await ask_to_make(shop, token)
    assert asked["public_key"]["excludeCredentials"][0]["type"] == "public-key"
    twice = await send_made(shop, token, asked, device.make(asked["public_key"]))
    assert code_of(twice) == (409, "passkey_exists")


async def test_a_role_that_asks_for_a_factor_gives_nothing_without_and_keeps_the_last(
    shop: Shop,
) -> None:
    email = "owner@example.com"
    token = await shop.hire(email, "owner")
    assert (await shop.call("GET", "/v1/roles", token)).status_code == 200
    body = {"roles": ["owner"]}
    told = await shop.call("PUT", "/v1/second-factor-roles", token, body)
    assert (told.status_code, told.json()) == (200, body)
    assert code_of(await shop.call("GET", "/v1/roles", token)) == (403, "missing_scope")
    device = SoftAuthenticator(PAGE)
    passkey_id = await add(shop, token, device)
    assert (await shop.call("GET", "/v1/roles", token)).status_code == 200
    kept = await shop.call("DELETE", f"/v1/me/passkeys/{passkey_id}", token)
    assert code_of(kept) == (409, "last_second_factor")
    other_id = await add(shop, token, SoftAuthenticator(PAGE))
    gone = await shop.call("DELETE", f"/v1/me/passkeys/{other_id}", token)
    assert gone.status_code == 204
    unknown = await shop.call("PUT", "/v1/second-factor-roles", token, {"roles": ["no-such"]})
    assert code_of(unknown) == (422, "unknown_role")


async def test_codes_are_kept_too_where_a_role_asks_for_a_factor(shop: Shop) -> None:
    token = await shop.hire("owner@example.com", "owner")
    begun = await shop.call("POST", "/v1/me/totp", token, {"current_password": PASSWORD})
    code = {"code": pyotp.TOTP(begun.json()["secret"]).at(shop.house.database.clock.now())}
    done = await shop.call("POST", "/v1/me/totp/confirmations", token, code)
    await shop.call("PUT", "/v1/second-factor-roles", token, {"roles": ["owner"]})
    body = {"current_password": PASSWORD, "code": done.json()["spare_codes"][0]}
    kept = await shop.call("POST", "/v1/me/totp/removals", token, body)
    assert code_of(kept) == (409, "last_second_factor")
    # What was refused used no spare code up.
    again = {"email": "owner@example.com", "password": PASSWORD, "kind": "staff"}
    given = await shop.post("/v1/sessions", again | {"code": body["code"]})
    assert given.status_code == 201


async def test_staff_help_who_has_lost_her_factors(shop: Shop) -> None:
    device = SoftAuthenticator(PAGE)
    token = await token_of(shop)
    await add(shop, token, device)
    account_id = (await shop.call("GET", "/v1/me", token)).json()["account"]["id"]
    support = await shop.hire("support@example.com", "support")
    path = f"/v1/customers/{account_id}/second-factors"
    assert code_of(await shop.call("DELETE", path, support)) == (403, "missing_scope")
    foreign = await shop.call("DELETE", path, shop.keys["other"])
    assert code_of(foreign) == (404, "not_found")
    assert (await shop.call("DELETE", path, shop.keys["acme"])).status_code == 204
    assert (await shop.call("GET", "/v1/me", token)).status_code == 401
    assert (await try_password(shop, None)).status_code == 201
    assert code_of(await come_in(shop, device)) == WRONG
