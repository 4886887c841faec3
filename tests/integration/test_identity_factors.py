"""The second factor over HTTP: set up, asked for, each code good once, spare codes, taken away."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pyotp
import pytest

from serai.contexts.identity.model.factors import SPARES, STEP_S
from serai.kernel.clock import SystemClock
from serai.kernel.db import Database
from serai.kernel.tenant import POOLED
from tests.integration.identity_shop import PASSWORD, Shop, code_of, open_shop

EMAIL = "buyer@example.com"


@pytest.fixture
async def shop(database: Database, tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_shop(database, tmp_path) as opened:
        await opened.add_tenant("acme")
        await opened.register(EMAIL)
        yield opened


def code_at(secret: str, steps: int = 0) -> str:
    """What the authenticator shows, so many steps from now."""
    return pyotp.TOTP(secret).generate_otp(int(SystemClock().now().timestamp()) // STEP_S + steps)


async def try_in(shop: Shop, code: str | None) -> httpx.Response:
    body: dict[str, Any] = {"email": EMAIL, "password": PASSWORD, "code": code}
    return await shop.post("/v1/sessions", body)


async def set_up(shop: Shop, token: str) -> tuple[str, list[str]]:
    """A confirmed factor; its secret and spare codes. The code of now is used up."""
    begun = await shop.call("POST", "/v1/me/totp", token, {"current_password": PASSWORD})
    assert begun.status_code == 201
    secret = begun.json()["secret"]
    assert begun.json()["uri"] == (
        f"otpauth://totp/serai:buyer%40example.com?secret={secret}&issuer=serai"
    )
    wrong = await shop.call("POST", "/v1/me/totp/confirmations", token, {"code": "000000x"})
    assert code_of(wrong) == (422, "second_factor_unfit")
    # Until it is confirmed nobody is asked for it.
    assert (await try_in(shop, None)).status_code == 201
    done = await shop.call("POST", "/v1/me/totp/confirmations", token, {"code": code_at(secret)})
    assert done.status_code == 201
    spares = done.json()["spare_codes"]
    assert len(set(spares)) == SPARES
    return secret, spares


async def test_a_code_is_asked_for_after_the_password_and_good_once(shop: Shop) -> None:
    token = (await shop.sign_in(EMAIL))["access_token"]
    secret, _ = await set_up(shop, token)
    me = await shop.call("GET", "/v1/me", token)
    assert me.json()["has_second_factor"] is True
    assert code_of(await try_in(shop, None)) == (401, "second_factor_required")
    wrong = await shop.post("/v1/sessions", {"email": EMAIL, "password": "not the one, no"})
    assert code_of(wrong) == (401, "wrong_credentials")
    for code in ("000000x", code_at(secret, -5), code_at(secret, 5), code_at(secret, -2)):
        assert code_of(await try_in(shop, code)) == (401, "wrong_credentials")
    code = code_at(secret, 1)
    assert (await try_in(shop, code)).status_code == 201
    assert code_of(await try_in(shop, code)) == (401, "wrong_credentials")
    # The code of a step before one that was used is over too.
    assert code_of(await try_in(shop, code_at(secret, -1))) == (401, "wrong_credentials")


async def test_a_spare_code_is_good_once(shop: Shop) -> None:
    token = (await shop.sign_in(EMAIL))["access_token"]
    _, spares = await set_up(shop, token)
    assert (await try_in(shop, spares[0].lower().replace("-", " "))).status_code == 201
    assert code_of(await try_in(shop, spares[0])) == (401, "wrong_credentials")
    assert (await try_in(shop, spares[1])).status_code == 201


async def test_guesses_of_a_code_run_out(shop: Shop) -> None:
    token = (await shop.sign_in(EMAIL))["access_token"]
    await set_up(shop, token)
    answers = [await try_in(shop, f"{number:06}x") for number in range(12)]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429] * 2


async def test_it_is_taken_away_by_who_has_both(shop: Shop, database: Database) -> None:
    token = (await shop.sign_in(EMAIL))["access_token"]
    _, spares = await set_up(shop, token)
    again = await shop.call("POST", "/v1/me/totp", token, {"current_password": PASSWORD})
    assert code_of(again) == (409, "second_factor_exists")
    path = "/v1/me/totp/removals"
    for body in (
        {"current_password": "not the one, no", "code": spares[0]},
        {"current_password": PASSWORD, "code": "000000x"},
    ):
        refused = await shop.call("POST", path, token, body)
        assert code_of(refused) == (401, "wrong_credentials")
    async with database.transaction(POOLED, (shop.tenants["acme"],)) as tx:
        stored = await tx.connection.fetchval("SELECT f::text FROM identity.second_factors f")
    assert not any(spare.replace("-", "") in stored for spare in spares)
    body = {"current_password": PASSWORD, "code": spares[0]}
    assert (await shop.call("POST", path, token, body)).status_code == 204
    assert (await try_in(shop, None)).status_code == 201


async def test_of_two_sign_ins_with_one_code_at_the_same_time_one_is_let_in(shop: Shop) -> None:
    token = (await shop.sign_in(EMAIL))["access_token"]
    _, spares = await set_up(shop, token)
    answers = await asyncio.gather(*(try_in(shop, spares[0]) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 401, 401, 401]
