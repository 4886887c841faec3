"""What shows that it is she who erases herself: a password, a passkey, a provider just now."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from serai.contexts.identity.contract import ERASURE_FRESH_S
from serai.kernel.db import Database
from serai.kernel.tenant import POOLED
from tests.integration.identity_shop import PASSWORD, Shop, code_of, open_shop
from tests.integration.openid_house import BACK, CLIENT, PAGE, SECRET, run_liar
from tests.integration.soft_authenticator import SoftAuthenticator

EMAIL = "buyer@example.com"


@pytest.fixture
async def shop(database: Database, tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_shop(database, tmp_path, providers_at_home=True) as opened:
        await opened.add_tenant("acme")
        body = {"origins": [PAGE]}
        await opened.call("PUT", "/v1/tenant/origins", opened.keys["acme"], body)
        yield opened


async def erase(shop: Shop, token: str, **proof: Any) -> httpx.Response:
    return await shop.call("POST", "/v1/me/erasure", token, proof)


async def add_passkey(shop: Shop, token: str) -> SoftAuthenticator:
    """An authenticator with a passkey of hers."""
    begun = await shop.call("POST", "/v1/me/passkey-challenges", token, {"origin": PAGE})
    device = SoftAuthenticator(PAGE)
    credential = device.make(begun.json()["public_key"])
    body = {"challenge_id": begun.json()["challenge_id"], "credential": credential, "name": "Mine"}
    assert (await shop.call("POST", "/v1/me/passkeys", token, body)).status_code == 201
    return device


async def show(shop: Shop, device: SoftAuthenticator) -> dict[str, Any]:
    """What a device answers to a new challenge."""
    asked = (await shop.post("/v1/sessions/passkey-challenges", {"origin": PAGE})).json()
    return {"challenge_id": asked["challenge_id"], "credential": device.sign(asked["public_key"])}


async def change_rows(shop: Shop, statement: str) -> None:
    async with shop.house.database.transaction(POOLED, (shop.tenants["acme"],)) as tx:
        await tx.connection.execute(statement)


async def come_by_provider(shop: Shop) -> dict[str, str]:
    """The tokens of a customer who has neither a password nor a passkey."""
    async with run_liar() as liar:
        liar.claims |= {"email": EMAIL, "email_verified": True}
        body = {"kind": "customer", "name": "P", "issuer": liar.issuer, "client_id": CLIENT}
        made = await shop.call(
            "POST", "/v1/identity-providers", shop.keys["acme"], {**body, "client_secret": SECRET}
        )
        body = {"provider_id": made.json()["id"], "redirect_uri": BACK}
        begun = (await shop.post("/v1/sessions/provider-sign-ins", body)).json()
        liar.nonce = parse_qs(urlsplit(begun["authorization_url"]).query)["nonce"][0]
        body = {"state": begun["state"], "binding": begun["binding"], "code": "a code"}
        given = await shop.post("/v1/sessions/providers", body)
    assert given.status_code == 201, given.text
    tokens: dict[str, str] = given.json()
    return tokens


async def is_there(shop: Shop, token: str) -> bool:
    return (await shop.call("GET", "/v1/me", token)).status_code == 200


async def test_a_passkey_is_enough_once_and_hers_only(shop: Shop) -> None:
    await shop.register(EMAIL)
    await shop.register("other@example.com")
    hers = str((await shop.sign_in(EMAIL))["access_token"])
    theirs = str((await shop.sign_in("other@example.com"))["access_token"])
    device, stranger = await add_passkey(shop, hers), await add_passkey(shop, theirs)
    # She may have no password at all: a passkey does not ask.
    await change_rows(shop, "UPDATE identity.accounts SET password_hash = NULL")
    used = await show(shop, device)
    assert (await shop.post("/v1/sessions/passkeys", used)).status_code == 201
    for proof, wanted in (
        ({}, (401, "proof_required")),
        ({"code": "123456"}, (401, "proof_required")),
        ({"passkey": used}, (401, "wrong_credentials")),
        ({"passkey": await show(shop, stranger)}, (401, "wrong_credentials")),
        ({"passkey": await show(shop, SoftAuthenticator(PAGE))}, (401, "wrong_credentials")),
        ({"current_password": PASSWORD}, (401, "wrong_credentials")),
    ):
        assert code_of(await erase(shop, hers, **proof)) == wanted, proof
        assert await is_there(shop, hers)
    assert (await erase(shop, hers, passkey=await show(shop, device))).status_code == 202
    assert not await is_there(shop, hers)
    assert await is_there(shop, theirs)


async def test_a_challenge_whose_time_is_over_erases_nobody(shop: Shop) -> None:
    await shop.register(EMAIL)
    hers = str((await shop.sign_in(EMAIL))["access_token"])
    passkey = await show(shop, await add_passkey(shop, hers))
    await change_rows(shop, "UPDATE identity.passkey_challenges SET expires_at = now()")
    assert code_of(await erase(shop, hers, passkey=passkey)) == (401, "wrong_credentials")
    assert await is_there(shop, hers)


async def test_who_has_a_password_and_a_passkey_shows_either_the_key_or_both(shop: Shop) -> None:
    await shop.register(EMAIL)
    hers = str((await shop.sign_in(EMAIL))["access_token"])
    device = await add_passkey(shop, hers)
    refused = await erase(shop, hers, current_password=PASSWORD)
    assert code_of(refused) == (401, "second_factor_required")
    wrong = await erase(shop, hers, current_password="no", passkey=await show(shop, device))
    assert code_of(wrong) == (401, "wrong_credentials")
    both = {"current_password": PASSWORD, "passkey": await show(shop, device)}
    assert (await erase(shop, hers, **both)).status_code == 202


async def test_who_comes_by_a_provider_only_has_to_have_just_come_in(shop: Shop) -> None:
    given = await come_by_provider(shop)
    hers = given["access_token"]
    assert code_of(await erase(shop, hers, current_password=PASSWORD)) == (
        401, "wrong_credentials",
    )  # fmt: skip
    late = f"created_at - interval '{ERASURE_FRESH_S} seconds'"
    await change_rows(shop, f"UPDATE identity.sessions SET created_at = {late}")
    assert code_of(await erase(shop, hers)) == (403, "sign_in_too_long_ago")
    assert await is_there(shop, hers)
    body = {"refresh_token": given["refresh_token"]}
    refreshed = await shop.post("/v1/sessions/refresh", body)
    hers = refreshed.json()["access_token"]
    assert code_of(await erase(shop, hers)) == (403, "sign_in_too_long_ago"), "that is no sign-in"
    near = f"created_at + interval '{ERASURE_FRESH_S - 60} seconds'"
    await change_rows(shop, f"UPDATE identity.sessions SET created_at = {near}")
    assert (await erase(shop, hers)).status_code == 202
    assert not await is_there(shop, hers)


async def test_a_session_of_a_moment_ago_is_not_enough_for_who_has_a_password(shop: Shop) -> None:
    await shop.register(EMAIL)
    hers = str((await shop.sign_in(EMAIL))["access_token"])
    assert code_of(await erase(shop, hers)) == (401, "proof_required")
    assert await is_there(shop, hers)
