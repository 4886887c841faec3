"""Coming in over HTTP: registering, signing in, staying in, signing out, forgotten passwords."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from serai.contexts.identity.contract import SESSIONS_MAX
from serai.contexts.identity.model.throttle import LOGINS_OF_ACCOUNT
from serai.kernel.db import Database
from serai.kernel.sealed import is_sealed
from serai.kernel.tenant import POOLED
from tests.integration.identity_shop import (
    NEXT_PASSWORD,
    PASSWORD,
    Shop,
    code_of,
    open_shop,
)

EMAIL = "buyer@example.com"


@pytest.fixture
async def shop(database: Database, tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_shop(database, tmp_path) as opened:
        await opened.add_tenant("acme")
        await opened.add_tenant("rival")
        yield opened


async def test_a_customer_registers_shows_her_address_and_signs_in(shop: Shop) -> None:
    account = await shop.register(EMAIL)
    assert (account["kind"], account["email"], account["roles"]) == (
        "customer", EMAIL, ["customer"],
    )  # fmt: skip
    given = await shop.sign_in(EMAIL)
    assert (given["token_type"], given["expires_in"]) == ("Bearer", 900)
    me = await shop.call("GET", "/v1/me", given["access_token"])
    assert me.status_code == 200
    assert me.json()["account"] == account
    assert me.json()["session_id"] == given["session_id"]
    assert me.json()["scopes"] == ["catalog:read", "identity:self", "orders:own"]
    (registered,) = await shop.events("customer_registered")
    assert registered["account_id"] == account["id"]
    assert all(is_sealed(registered[name]) for name in ("email", "name"))


async def test_before_the_mail_is_read_there_is_no_account(shop: Shop) -> None:
    body = {"email": EMAIL, "password": PASSWORD}
    assert (await shop.post("/v1/customers", body)).status_code == 202
    refused = await shop.post("/v1/sessions", body)
    assert code_of(refused) == (401, "wrong_credentials")


async def test_registering_tells_nobody_whether_there_is_an_account(shop: Shop) -> None:
    await shop.register(EMAIL)
    known = await shop.post("/v1/customers", {"email": EMAIL, "password": NEXT_PASSWORD})
    unknown = await shop.post("/v1/customers", {"email": "x@example.com", "password": PASSWORD})
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)
    token = await shop.mailed("registration_requested")
    assert (
        await shop.post("/v1/customers/verifications", {"token": token, "password": PASSWORD})
    ).status_code == 201
    await shop.post("/v1/customers", {"email": EMAIL.upper(), "password": NEXT_PASSWORD})
    token = await shop.mailed("registration_requested")
    again = await shop.post(
        "/v1/customers/verifications", {"token": token, "password": NEXT_PASSWORD}
    )
    assert code_of(again) == (409, "account_exists")
    await shop.sign_in(EMAIL)  # with the password of the first


async def test_a_registration_of_someone_else_is_not_finished_by_who_reads_the_mail(
    shop: Shop,
) -> None:
    path, theirs, hers = "/v1/customers/verifications", "mallory waits for her", PASSWORD
    mails: dict[str, str] = {}
    for password in (theirs, hers, "mallory tries once more"):
        await shop.post("/v1/customers", {"email": EMAIL, "password": password})
        mails[password] = await shop.mailed("registration_requested")
    for password, token in mails.items():
        if password != hers:
            refused = await shop.post(path, {"token": token, "password": hers})
            assert code_of(refused) == (401, "wrong_credentials")
            without = await shop.post(path, {"token": token})
            assert code_of(without) == (400, "invalid")
    assert await shop.events("customer_registered") == []
    made = await shop.post(path, {"token": mails[hers], "password": hers})
    assert made.status_code == 201
    for password, token in mails.items():
        if password != hers:
            late = await shop.post(path, {"token": token, "password": password})
            assert code_of(late) == (409, "account_exists")
            refused = await shop.post("/v1/sessions", {"email": EMAIL, "password": password})
            assert code_of(refused) == (401, "wrong_credentials")
    await shop.sign_in(EMAIL, hers)


async def test_passwords_of_a_registration_are_tried_so_often_only(shop: Shop) -> None:
    await shop.post("/v1/customers", {"email": EMAIL, "password": PASSWORD})
    token = await shop.mailed("registration_requested")
    path, body = "/v1/customers/verifications", {"token": token, "password": NEXT_PASSWORD}
    codes = [code_of(await shop.post(path, body)) for _ in range(LOGINS_OF_ACCOUNT.tries + 1)]
    assert codes[:-1] == [(401, "wrong_credentials")] * LOGINS_OF_ACCOUNT.tries
    assert codes[-1][0] == 429


async def test_a_mailed_token_is_good_once_and_for_its_tenant_only(shop: Shop) -> None:
    await shop.post("/v1/customers", {"email": EMAIL, "password": PASSWORD})
    token = await shop.mailed("registration_requested")
    path = "/v1/customers/verifications"
    elsewhere = await shop.post(path, {"token": token, "password": PASSWORD}, tenant="rival")
    assert code_of(elsewhere) == (422, "mail_token_unfit")
    for wrong in (token[:-1], token[:-1] + ("A" if token[-1] != "A" else "B"), "x" * 64, "é"):
        assert code_of(await shop.post(path, {"token": wrong, "password": PASSWORD})) == (
            422,
            "mail_token_unfit",
        )
    other_purpose = await shop.post(
        "/v1/password-resets/confirmations", {"token": token, "password": NEXT_PASSWORD}
    )
    assert code_of(other_purpose) == (422, "mail_token_unfit")
    assert (await shop.post(path, {"token": token, "password": PASSWORD})).status_code == 201
    assert code_of(await shop.post(path, {"token": token, "password": PASSWORD})) == (
        422,
        "mail_token_unfit",
    )


async def test_a_wrong_password_and_an_unknown_address_are_answered_alike(shop: Shop) -> None:
    await shop.register(EMAIL)
    wrong = await shop.post("/v1/sessions", {"email": EMAIL, "password": "not the one, no"})
    unknown = await shop.post("/v1/sessions", {"email": "no@example.com", "password": PASSWORD})
    staff = await shop.post("/v1/sessions", {"email": EMAIL, "password": PASSWORD, "kind": "staff"})
    rival = await shop.post("/v1/sessions", {"email": EMAIL, "password": PASSWORD}, tenant="rival")
    bodies = []
    for answer in (wrong, unknown, staff, rival):
        assert code_of(answer) == (401, "wrong_credentials")
        body = answer.json()
        del body["request_id"]
        bodies.append(body)
    assert all(body == bodies[0] for body in bodies)


@pytest.mark.parametrize("name", [None, "nobody-here", "NO", "a b", "x" * 64, ""])
async def test_a_tenant_must_be_named_and_be_there(shop: Shop, name: str | None) -> None:
    headers = {} if name is None else {"Serai-Tenant": name}
    body = {"email": EMAIL, "password": PASSWORD}
    answer = await shop.http.post("/v1/sessions", json=body, headers=headers)
    assert answer.status_code in {400, 404}


async def test_tries_of_an_account_run_out_whether_or_not_it_is_there(shop: Shop) -> None:
    await shop.register(EMAIL)
    for email in (EMAIL, "nobody@example.com"):
        for _ in range(10):
            answer = await shop.post("/v1/sessions", {"email": email, "password": "wrong again!"})
            assert answer.status_code == 401
        for password in ("wrong again!", PASSWORD):
            answer = await shop.post("/v1/sessions", {"email": email, "password": password})
            assert code_of(answer) == (429, "throttled")
            assert 1 <= int(answer.headers["retry-after"]) <= 180
    # Another customer's tries are her own.
    await shop.register("other@example.com")
    await shop.sign_in("other@example.com")


async def test_tries_are_counted_over_all_processes(
    shop: Shop, database: Database, tmp_path: Path
) -> None:
    async with open_shop(database, tmp_path) as second:
        for number in range(10):
            process = (shop, second)[number % 2]
            await process.post("/v1/sessions", {"email": EMAIL, "password": "wrong again!"})
        for process in (shop, second):
            answer = await process.post("/v1/sessions", {"email": EMAIL, "password": PASSWORD})
            assert code_of(answer) == (429, "throttled")


async def test_a_success_gives_the_tries_back(shop: Shop) -> None:
    await shop.register(EMAIL)
    for _ in range(3):
        for _ in range(9):
            await shop.post("/v1/sessions", {"email": EMAIL, "password": "wrong again!"})
        await shop.sign_in(EMAIL)


async def test_tries_of_an_address_run_out(database: Database, tmp_path: Path) -> None:
    async with open_shop(database, tmp_path, logins_per_address=5) as shop:
        await shop.add_tenant("acme")
        answers = [
            await shop.post("/v1/sessions", {"email": f"a{n}@example.com", "password": PASSWORD})
            for n in range(7)
        ]
        assert [a.status_code for a in answers[:5]] == [401] * 5
        assert answers[-1].status_code == 429


async def tries(shop: Shop, forwarded: str, count: int) -> list[int]:
    """How tries to sign in are answered that came with these addresses."""
    answers = [
        await shop.http.post(
            "/v1/sessions", json={"email": f"b{n}@example.com", "password": PASSWORD},
            headers={"Serai-Tenant": "acme", "X-Forwarded-For": forwarded.format(n)},
        )
        for n in range(count)
    ]  # fmt: skip
    return [answer.status_code for answer in answers]


async def test_tries_are_those_of_whoever_called_our_proxy(
    database: Database, tmp_path: Path
) -> None:
    given: dict[str, Any] = {"logins_per_address": 3, "trusted_proxies": "10.0.0.0/8"}
    async with open_shop(database, tmp_path, peer="10.1.2.3", **given) as shop:
        await shop.add_tenant("acme")
        assert await tries(shop, "198.51.100.{}, 203.0.113.9", 5) == [401] * 3 + [429] * 2
        assert await tries(shop, "203.0.113.9, 203.0.113.10", 1) == [401], "another caller's"
        shop.http.headers["X-Forwarded-For"] = "198.51.100.7, 203.0.113.20"
        await shop.register(EMAIL)
        await shop.sign_in(EMAIL)
        async with database.transaction(POOLED, (shop.tenants["acme"],)) as tx:
            trail = await tx.connection.fetch(
                "SELECT data::text FROM kernel.outbox WHERE topic = 'audit' ORDER BY xid, seq"
            )
        assert "203.0.113.20" in trail[-1]["data"], "the trail names her too"
        assert "198.51.100.7" not in trail[-1]["data"]


async def test_who_is_no_proxy_of_ours_has_one_address_whatever_she_says(
    database: Database, tmp_path: Path
) -> None:
    given: dict[str, Any] = {"logins_per_address": 3, "trusted_proxies": "10.0.0.0/8"}
    async with open_shop(database, tmp_path, peer="203.0.113.9", **given) as shop:
        await shop.add_tenant("acme")
        assert await tries(shop, "198.51.100.{}", 5) == [401] * 3 + [429] * 2
        assert await tries(shop, "198.51.100.{}, 10.0.0.1", 1) == [429]
    async with open_shop(database, tmp_path, peer="203.0.113.11", logins_per_address=3) as shop:
        assert await tries(shop, "198.51.100.{}", 5) == [401] * 3 + [429] * 2, "nobody is trusted"


async def test_a_refresh_token_is_good_once_and_reuse_ends_the_family(shop: Shop) -> None:
    await shop.register(EMAIL)
    first = await shop.sign_in(EMAIL)
    other = await shop.sign_in(EMAIL)
    path = "/v1/sessions/refresh"
    answer = await shop.post(path, {"refresh_token": first["refresh_token"]})
    assert answer.status_code == 201
    second = answer.json()
    assert second["session_id"] == first["session_id"]
    assert second["refresh_token"] != first["refresh_token"]
    assert (await shop.call("GET", "/v1/me", second["access_token"])).status_code == 200
    reused = await shop.post(path, {"refresh_token": first["refresh_token"]})
    assert code_of(reused) == (401, "session_over")
    # Neither the thief's nor the owner's tokens are good after that; another session is.
    assert code_of(await shop.post(path, {"refresh_token": second["refresh_token"]})) == (
        401, "session_over",
    )  # fmt: skip
    assert (await shop.call("GET", "/v1/me", second["access_token"])).status_code == 401
    assert (await shop.call("GET", "/v1/me", other["access_token"])).status_code == 200
    assert [e["session_id"] for e in await shop.events("session_reused")] == [first["session_id"]]


async def test_a_made_up_refresh_token_does_no_harm(shop: Shop) -> None:
    await shop.register(EMAIL)
    given = await shop.sign_in(EMAIL)
    text = given["refresh_token"]
    made_up = [
        text[:-86] + "A" * 86,  # a session's id is no secret: it must not be enough to end it
        text[:-86] + "A" * 43 + text[-43:],
        "refresh_" + "0" * 32 + text[40:],
        text + "A", text[:-1], "x", given["access_token"],
    ]  # fmt: skip
    for wrong in made_up:
        answer = await shop.post("/v1/sessions/refresh", {"refresh_token": wrong})
        assert code_of(answer) == (401, "session_over"), wrong
    good = await shop.post("/v1/sessions/refresh", {"refresh_token": text})
    assert good.status_code == 201


async def test_signing_out_ends_this_session_only(shop: Shop) -> None:
    await shop.register(EMAIL)
    one, two = await shop.sign_in(EMAIL), await shop.sign_in(EMAIL)
    listed = (await shop.call("GET", "/v1/sessions", one["access_token"])).json()["items"]
    assert [(s["id"], s["is_current"]) for s in listed] == [
        (two["session_id"], False),
        (one["session_id"], True),
    ]
    gone = await shop.call("DELETE", "/v1/sessions/current", one["access_token"])
    assert gone.status_code == 204
    assert (await shop.call("GET", "/v1/me", one["access_token"])).status_code == 401
    answer = await shop.post("/v1/sessions/refresh", {"refresh_token": one["refresh_token"]})
    assert code_of(answer) == (401, "session_over")
    assert (await shop.call("GET", "/v1/me", two["access_token"])).status_code == 200


async def test_nobody_ends_the_session_of_another(shop: Shop) -> None:
    await shop.register(EMAIL)
    await shop.register("other@example.com")
    mine, hers = await shop.sign_in(EMAIL), await shop.sign_in("other@example.com")
    path = f"/v1/sessions/{hers['session_id']}"
    assert code_of(await shop.call("DELETE", path, mine["access_token"])) == (404, "not_found")
    assert (await shop.call("GET", "/v1/me", hers["access_token"])).status_code == 200


async def test_with_one_session_too_many_the_oldest_ends(shop: Shop) -> None:
    await shop.register(EMAIL)
    given = [await shop.sign_in(EMAIL) for _ in range(SESSIONS_MAX + 1)]
    assert (await shop.call("GET", "/v1/me", given[0]["access_token"])).status_code == 401
    assert (await shop.call("GET", "/v1/me", given[1]["access_token"])).status_code == 200


async def test_a_password_is_reset_by_mail_and_every_session_ends(shop: Shop) -> None:
    await shop.register(EMAIL)
    given = await shop.sign_in(EMAIL)
    known = await shop.post("/v1/password-resets", {"email": EMAIL})
    unknown = await shop.post("/v1/password-resets", {"email": "nobody@example.com"})
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)
    assert known.status_code == 202
    events = await shop.events("password_reset_requested")
    assert [is_sealed(event["email"]) for event in events if event.get("email")] == [True]
    assert len(events) == 2
    nobody = await shop.mailed("password_reset_requested")
    path = "/v1/password-resets/confirmations"
    body = {"token": nobody, "password": NEXT_PASSWORD}
    assert code_of(await shop.post(path, body)) == (422, "mail_token_unfit")
    await shop.post("/v1/password-resets", {"email": EMAIL})
    token = await shop.mailed("password_reset_requested")
    weak = await shop.post(path, {"token": token, "password": "password123"})
    assert code_of(weak) == (422, "password_unfit")
    done = await shop.post(path, {"token": token, "password": NEXT_PASSWORD})
    assert done.status_code == 204
    again = await shop.post(path, {"token": token, "password": NEXT_PASSWORD})
    assert code_of(again) == (422, "mail_token_unfit")
    assert (await shop.call("GET", "/v1/me", given["access_token"])).status_code == 401
    old = await shop.post("/v1/sessions", {"email": EMAIL, "password": PASSWORD})
    assert code_of(old) == (401, "wrong_credentials")
    await shop.sign_in(EMAIL, NEXT_PASSWORD)


async def test_mails_to_an_address_run_out(shop: Shop) -> None:
    answers = [await shop.post("/v1/password-resets", {"email": EMAIL}) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [202, 202, 202, 429]


async def test_a_password_is_changed_by_who_knows_it(shop: Shop) -> None:
    await shop.register(EMAIL)
    here, there = await shop.sign_in(EMAIL), await shop.sign_in(EMAIL)
    body = {"current_password": "not this one!", "password": NEXT_PASSWORD}
    wrong = await shop.call("PUT", "/v1/me/password", here["access_token"], body)
    assert code_of(wrong) == (401, "wrong_credentials")
    body["current_password"] = PASSWORD
    done = await shop.call("PUT", "/v1/me/password", here["access_token"], body)
    assert done.status_code == 204
    assert (await shop.call("GET", "/v1/me", here["access_token"])).status_code == 200
    assert (await shop.call("GET", "/v1/me", there["access_token"])).status_code == 401
    await shop.sign_in(EMAIL, NEXT_PASSWORD)


@pytest.mark.parametrize("password", ["short", "password123", "buyer@example.com", "x" * 129])
async def test_a_weak_password_is_refused_before_anything_is_written(
    shop: Shop, password: str
) -> None:
    answer = await shop.post("/v1/customers", {"email": EMAIL, "password": password})
    assert code_of(answer) == (422, "password_unfit")
    assert await shop.events("registration_requested") == []


async def test_with_other_parameters_a_password_is_hashed_anew_when_it_is_used(
    shop: Shop, database: Database, tmp_path: Path
) -> None:
    account = await shop.register(EMAIL)

    async def read_hash() -> str:
        tenant = shop.tenants["acme"]
        async with database.transaction(POOLED, (tenant,)) as tx:
            return str(
                await tx.connection.fetchval(
                    "SELECT password_hash FROM identity.accounts WHERE id = $1::text::uuid",
                    account["id"],
                )
            )

    assert "$argon2id$v=19$m=8192,t=1,p=1$" in await read_hash()
    async with open_shop(database, tmp_path, argon2_passes=2) as stricter:
        await stricter.sign_in(EMAIL)
    assert "$argon2id$v=19$m=8192,t=2,p=1$" in await read_hash()
    await shop.sign_in(EMAIL)
