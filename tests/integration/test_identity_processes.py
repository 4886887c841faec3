"""Several processes on one database: what ends in one ends in all; the deaf trust nothing."""

import asyncio
import base64
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import httpx
import pytest

from serai.contexts.identity.gateways import guard as guard_module
from serai.contexts.identity.gateways import keychain as keychain_module
from serai.contexts.identity.gateways import news as news_module
from serai.kernel.db import Database
from serai.kernel.embedded import EmbeddedPostgres
from tests.integration.identity_shop import NEXT_PASSWORD, PASSWORD, Shop, code_of, open_shop

EMAIL = "buyer@example.com"
HEARD_WITHIN_S = 5.0
FOR_EVER_S = 3600.0


class Two(NamedTuple):
    """Two processes, and a session that both know."""

    here: Shop
    there: Shop
    given: dict[str, Any]


@pytest.fixture
async def two(
    postgres: EmbeddedPostgres, database_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Two]:
    """Nothing is forgotten because its time is up: only being told can end it here."""
    monkeypatch.setattr(guard_module, "ROLES_TRUSTED_S", FOR_EVER_S)
    monkeypatch.setattr(keychain_module, "READ_S", FOR_EVER_S)
    async with contextlib.AsyncExitStack() as stack:
        shops = []
        for _ in range(2):
            pool = Database(postgres.app_url(database_name), pool_max=4)
            await pool.open()
            stack.push_async_callback(pool.close)
            shops.append(await stack.enter_async_context(open_shop(pool, tmp_path)))
        here, there = shops
        await here.add_tenant("acme")
        there.tenants, there.keys = here.tenants, here.keys
        await here.register(EMAIL)
        given = await here.sign_in(EMAIL)
        for shop in shops:
            assert (await me(shop, given)).status_code == 200
        yield Two(here, there, given)


async def me(shop: Shop, given: dict[str, Any]) -> httpx.Response:
    return await shop.call("GET", "/v1/me", given["access_token"])


async def until(shop: Shop, given: dict[str, Any], status: int) -> None:
    """Waits, within a bound, until a token is answered so."""
    async with asyncio.timeout(HEARD_WITHIN_S):
        while (await me(shop, given)).status_code != status:
            await asyncio.sleep(0.01)


async def test_signing_out_everywhere_is_heard_everywhere(two: Two) -> None:
    other = await two.there.sign_in(EMAIL)
    assert (await me(two.here, other)).status_code == 200
    gone = await two.here.call("DELETE", "/v1/sessions", two.given["access_token"])
    assert gone.status_code == 204
    for given in (two.given, other):
        assert (await me(two.here, given)).status_code == 401
        await until(two.there, given, 401)
        answer = await two.there.post(
            "/v1/sessions/refresh", {"refresh_token": given["refresh_token"]}
        )
        assert code_of(answer) == (401, "session_over")
    await until(two.there, await two.here.sign_in(EMAIL), 200)


async def test_reuse_of_a_refresh_token_is_heard_everywhere(two: Two) -> None:
    body = {"refresh_token": two.given["refresh_token"]}
    assert (await two.here.post("/v1/sessions/refresh", body)).status_code == 201
    assert (await me(two.there, two.given)).status_code == 200
    assert (await two.here.post("/v1/sessions/refresh", body)).status_code == 401
    await until(two.there, two.given, 401)


async def test_one_refresh_token_at_the_same_time_in_two_processes_is_good_once(two: Two) -> None:
    body = {"refresh_token": two.given["refresh_token"]}
    answers = await asyncio.gather(
        *(shop.post("/v1/sessions/refresh", body) for shop in (two.here, two.there) * 3)
    )
    assert sorted(answer.status_code for answer in answers) == [201, 401, 401, 401, 401, 401]


async def test_a_new_password_is_heard_everywhere(two: Two) -> None:
    other = await two.there.sign_in(EMAIL)
    body = {"current_password": PASSWORD, "password": NEXT_PASSWORD}
    done = await two.here.call("PUT", "/v1/me/password", two.given["access_token"], body)
    assert done.status_code == 204
    await until(two.there, other, 401)
    assert (await me(two.there, two.given)).status_code == 200


async def test_a_suspended_account_is_out_everywhere(two: Two) -> None:
    account = two.given["account_id"]
    path = f"/v1/customers/{account}"
    done = await two.here.call("PATCH", path, two.here.keys["acme"], {"is_suspended": True})
    assert done.status_code == 200
    await until(two.there, two.given, 401)
    refused = await two.there.post("/v1/sessions", {"email": EMAIL, "password": PASSWORD})
    assert code_of(refused) == (401, "wrong_credentials")
    await two.there.call("PATCH", path, two.there.keys["acme"], {"is_suspended": False})
    await two.here.sign_in(EMAIL)


async def test_other_roles_hold_everywhere_at_once(two: Two) -> None:
    token = await two.here.hire("staff@example.com", "support")
    assert (await two.there.call("GET", "/v1/roles", token)).status_code == 200
    who = (await two.there.call("GET", "/v1/me", token)).json()["account"]
    changed = await two.here.call(
        "PATCH", f"/v1/staff/{who['id']}", two.here.keys["acme"], {"roles": ["vendor"]}
    )
    assert changed.status_code == 200
    async with asyncio.timeout(HEARD_WITHIN_S):
        while (await two.there.call("GET", "/v1/roles", token)).status_code != 403:
            await asyncio.sleep(0.01)
    assert (await two.there.call("GET", "/v1/me", token)).status_code == 200


async def test_another_set_of_scopes_holds_for_all_who_have_the_role(two: Two) -> None:
    key = two.here.keys["acme"]
    await two.here.call("PUT", "/v1/roles/clerk", key, {"scopes": ["identity:read"]})
    token = await two.here.hire("staff@example.com", "clerk")
    assert (await two.there.call("GET", "/v1/roles", token)).status_code == 200
    await two.here.call("PUT", "/v1/roles/clerk", key, {"scopes": ["orders:read"]})
    assert (await two.here.call("GET", "/v1/roles", token)).status_code == 403
    async with asyncio.timeout(HEARD_WITHIN_S):
        while (await two.there.call("GET", "/v1/roles", token)).status_code != 403:
            await asyncio.sleep(0.01)


async def test_what_was_said_while_the_line_was_down_is_made_up_for(
    two: Two, postgres: EmbeddedPostgres, database_name: str
) -> None:
    other = await asyncpg.connect(postgres.app_url(database_name))
    try:
        cut = await other.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE query LIKE '%read_clock%' AND datname = current_database() "
            "AND pid <> pg_backend_pid()"
        )
        assert len(cut) == 2
    finally:
        await other.close()
    await two.here.call("DELETE", "/v1/sessions", two.given["access_token"])
    await until(two.there, two.given, 401)


async def test_who_is_not_told_goes_by_what_it_has_read_for_a_moment_only(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that never listens, and one whose line stays silent, fail closed in time."""
    monkeypatch.setattr(guard_module, "UNTOLD_S", 0.3)
    async with (
        open_shop(database, tmp_path) as here,
        open_shop(database, tmp_path, is_watching=False) as deaf,
    ):
        await here.add_tenant("acme")
        await here.register(EMAIL)
        given = await here.sign_in(EMAIL)
        assert (await me(deaf, given)).status_code == 200
        await here.call("DELETE", "/v1/sessions", given["access_token"])
        began = time.monotonic()
        await until(deaf, given, 401)
        assert time.monotonic() - began < HEARD_WITHIN_S


async def test_a_line_that_is_up_and_silent_is_noticed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = 0.0
    news = news_module.News(database, now=lambda: at)
    assert not news.is_told()
    monkeypatch.setattr(news_module, "BEAT_S", FOR_EVER_S)  # one answer, and no other
    task = asyncio.create_task(news.run())
    await asyncio.wait_for(news.is_listening.wait(), 5)
    assert news.is_told()
    at = news_module.DEAF_S - 0.1
    assert news.is_told()
    at = news_module.DEAF_S
    assert not news.is_told()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_rotation_signs_nobody_out(two: Two) -> None:
    before = [key["kid"] for key in await published(two.there)]
    new = str(await two.here.house.identity.rotate_keys(is_compromised=False))
    async with asyncio.timeout(HEARD_WITHIN_S):
        while [key["kid"] for key in await published(two.there)] != [new, *before]:
            await asyncio.sleep(0.01)
    # It is published, and does not sign yet.
    fresh = await two.there.sign_in(EMAIL)
    assert kid_of(fresh["access_token"]) == before[0]
    for shop in two[:2]:
        assert (await me(shop, two.given)).status_code == 200
        assert (await me(shop, fresh)).status_code == 200


async def test_a_compromised_key_ends_its_tokens_and_no_session(two: Two) -> None:
    new = str(await two.here.house.identity.rotate_keys(is_compromised=True))
    assert (await me(two.here, two.given)).status_code == 401
    await until(two.there, two.given, 401)
    answer = await two.there.post(
        "/v1/sessions/refresh", {"refresh_token": two.given["refresh_token"]}
    )
    assert answer.status_code == 201
    assert kid_of(answer.json()["access_token"]) == new
    for shop in two[:2]:
        assert (await me(shop, answer.json())).status_code == 200
        assert [key["kid"] for key in await published(shop)] == [new]


async def test_processes_that_start_at_the_same_time_agree_on_one_key(
    database: Database, tmp_path: Path
) -> None:
    async with (
        open_shop(database, tmp_path) as a,
        open_shop(database, tmp_path) as b,
        open_shop(database, tmp_path) as c,
    ):
        sets = await asyncio.gather(*(published(shop) for shop in (a, b, c)))
        assert len(sets[0]) == 1
        assert sets[0] == sets[1] == sets[2]
    assert ((tmp_path / "identity.key").stat().st_mode & 0o777) == 0o600


async def published(shop: Shop) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await shop.http.get("/.well-known/jwks.json")).json()["keys"]
    return found


def kid_of(token: str) -> str:
    head = token.partition(".")[0]
    return str(json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"])
