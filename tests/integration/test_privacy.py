"""What is personal rests sealed, can be told and erased, and rules and consents hold."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from serai.contexts.identity import contract as identity
from serai.contexts.notifications import store as notifications_store
from serai.contexts.orders import store as orders_store
from serai.contexts.orders.contract import ORDER_EMAIL
from serai.kernel import sealed
from serai.kernel.clock import ManualClock
from serai.kernel.db import Database
from serai.kernel.embedded import EmbeddedPostgres
from serai.kernel.sealed import MisplacedError, Sealed
from serai.kernel.seals import rotation, subjects
from serai.kernel.seals.roots import Roots
from serai.kernel.tenant import POOLED
from tests.integration.audited_shop import AuditedShop, open_shop
from tests.integration.copied_shop import (
    EMAIL,
    GUEST,
    HOUSE,
    NAME,
    OF_ACCOUNT,
    break_open,
    dump,
    keys_of,
    live,
    roots_of,
    rotate,
    run_job,
    texts_of,
    wrapping_of,
)
from tests.integration.identity_shop import PASSWORD


@pytest.fixture
async def shop(database: Database, tmp_path: Path) -> AsyncIterator[AuditedShop]:
    async for opened in open_shop(database, tmp_path):
        yield opened


@pytest.fixture
def admin_url(postgres: EmbeddedPostgres, database_name: str) -> str:
    return postgres.admin_url(database_name)


async def test_nothing_personal_rests_in_clear(shop: AuditedShop, admin_url: str) -> None:
    await live(shop)
    whole = texts_of(await dump(admin_url)).lower()
    assert [word for word in (EMAIL, NAME.lower(), GUEST) if word in whole] == []
    copy = await dump(admin_url)
    folder = Path(shop.house.composition.surroundings.settings.data_dir)
    opened = break_open(copy, keys_of(copy, await roots_of(copy, folder)), shop.house.tenant)
    assert EMAIL in opened
    assert NAME in opened
    assert GUEST in opened


async def test_who_is_erased_is_in_no_dump_and_no_older_copy(
    shop: AuditedShop, admin_url: str
) -> None:
    _, headers = await live(shop)
    older = await dump(admin_url)
    certificate = await shop.do("POST", "/v1/me/erasure", {"current_password": PASSWORD}, **headers)
    assert certificate["state"] == "running"
    assert await run_job(shop, "privacy.erase") > 0
    assert await run_job(shop, "privacy.erase") == 0
    present = await dump(admin_url)
    folder = Path(shop.house.composition.surroundings.settings.data_dir)
    keys = keys_of(present, await roots_of(present, folder))
    for copy in (present, older):
        opened = break_open(copy, keys, shop.house.tenant)
        assert GUEST in opened, "others stay readable"
        assert EMAIL not in opened.lower()
        assert NAME not in opened
    # Her rows are gone, her orders stay as what was sold.
    assert present["identity.accounts"] == []
    assert [row["email"] is None for row in present["orders.orders"]].count(True) == 2
    assert {row["customer"] for row in present["orders.orders"]} == {None}
    assert len([row for row in present["notifications.contacts"] if row["email"]]) == 1
    (row,) = present["privacy.erasures"]
    assert (row["keys_erased"], row["finished_at"] is not None) == (1, True)
    answer = await shop.send("GET", "/v1/me", **headers)
    assert answer.status_code == 401
    assert await shop.house.findings() == []


async def test_nothing_that_hangs_on_her_account_outlives_it(
    shop: AuditedShop, admin_url: str
) -> None:
    account_id, _ = await live(shop)
    connection = await asyncpg.connect(admin_url)
    for statement in OF_ACCOUNT.split(";"):
        await connection.execute(statement, shop.house.tenant, UUID(account_id))
    tables = [
        row["table_name"]
        for row in await connection.fetch(
            "SELECT table_name FROM information_schema.columns "
            "WHERE table_schema = 'identity' AND column_name = 'account_id' ORDER BY 1"
        )
    ]
    count = "SELECT count(*) FROM identity.{} WHERE account_id = $1"
    had = {t: await connection.fetchval(count.format(t), UUID(account_id)) for t in tables}
    assert min(had.values()) > 0, "each table that names an account has a row of hers"
    await shop.do("POST", "/v1/erasures", {"customer_id": account_id})
    assert await run_job(shop, "privacy.erase") > 0
    left = {t: await connection.fetchval(count.format(t), UUID(account_id)) for t in tables}
    await connection.close()
    assert left == dict.fromkeys(tables, 0)


async def test_a_rotation_ends_what_an_older_copy_could_be_opened_by(
    shop: AuditedShop, admin_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "CHUNK", 2)
    account_id, _ = await live(shop)
    older = await dump(admin_url)
    folder = Path(shop.house.composition.surroundings.settings.data_dir)
    await shop.do("POST", "/v1/erasures", {"customer_id": account_id})
    own_keys = keys_of(older, await roots_of(older, folder))
    assert EMAIL in break_open(older, own_keys, shop.house.tenant), "until the next rotation"
    done = await rotate(shop)
    assert (done.root, done.ended, done.is_retired) == (2, 1, True)
    assert await roots_of(older, folder) == []
    present = await dump(admin_url)
    assert done.rewrapped == len(present["kernel.data_keys"]) > 0
    assert {row["root"] for row in present["kernel.data_keys"]} == {2}
    # Rows were not touched, and whoever was not erased is read as before.
    assert present["orders.orders"] == (await dump(admin_url))["orders.orders"]
    listed = await shop.do("GET", "/v1/orders")
    assert {order["email"] for order in listed["items"]} == {None, GUEST}


@pytest.mark.parametrize("dies_at", ["wait", "rewrap", "end"])
async def test_a_rotation_that_was_killed_is_gone_on_with(
    shop: AuditedShop, dies_at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await live(shop)

    class KilledError(Exception):
        pass

    async def die(*_: Any, **__: Any) -> None:
        raise KilledError

    with monkeypatch.context() as patched:
        if dies_at == "rewrap":
            patched.setattr(rotation, "_rewrap", die)
        if dies_at == "end":
            patched.setattr(Roots, "keep_only", die)
        with pytest.raises(KilledError):
            await rotate(shop, wait=die if dies_at == "wait" else None)
    listed = await shop.do("GET", "/v1/orders")
    assert {order["email"] for order in listed["items"]} == {EMAIL, EMAIL.upper(), GUEST}
    assert (await rotate(shop)).root == 2
    # Another process, which has only what rests, reads all of it.
    other = subjects.Seals(Roots(shop.house.database, wrapping_of(shop)))
    shop.house.database.seals = other
    listed = await shop.do("GET", "/v1/orders")
    assert {order["email"] for order in listed["items"]} == {EMAIL, EMAIL.upper(), GUEST}


async def test_an_erasure_that_was_killed_is_gone_on_with(
    shop: AuditedShop, admin_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    account_id, _ = await live(shop)
    monkeypatch.setattr(orders_store, "CHUNK", 1)
    monkeypatch.setattr(notifications_store, "CHUNK", 1)
    begun = await shop.do("POST", "/v1/erasures", {"customer_id": account_id})
    again = await shop.do("POST", "/v1/erasures", {"email": EMAIL})
    assert (begun["keys_erased"], again["keys_erased"]) == (1, 0)
    rounds = 0
    while await run_job(shop, "privacy.erase"):
        rounds += 1
    assert 3 <= rounds <= 10
    for erasure in (begun, again):
        done = await shop.do("GET", f"/v1/erasures/{erasure['id']}")
        assert done["state"] == "done"
    first = await shop.do("GET", f"/v1/erasures/{begun['id']}")
    second = await shop.do("GET", f"/v1/erasures/{again['id']}")
    assert first["erased"]["orders"] + second["erased"]["orders"] == 2
    whole = await dump(admin_url)
    assert [row["email"] is None for row in whole["orders.orders"]].count(True) == 2


async def test_she_must_show_her_password_again(shop: AuditedShop) -> None:
    _, headers = await live(shop)
    answer = await shop.send("POST", "/v1/me/erasure", {"current_password": "no"}, **headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "wrong_credentials")
    me = await shop.do("GET", "/v1/me", **headers)
    assert me["account"]["email"] == EMAIL
    staff = await shop.send("POST", "/v1/me/erasure", {"current_password": PASSWORD})
    assert staff.status_code == 403


async def test_an_export_says_everything_and_is_hers_only(shop: AuditedShop) -> None:
    _, headers = await live(shop)
    told = await shop.do("GET", "/v1/me/personal-data", **headers)
    assert told["is_complete"] is True
    account = told["contexts"]["identity"][0]
    assert (account["email"], account["name"]) == (EMAIL, NAME)
    assert "password" not in str(told).replace("has_password", "").replace("password_reset", "")
    emails = [order["email"] for order in told["contexts"]["orders"]]
    assert emails == [EMAIL, EMAIL.upper()]
    kinds = {message["kind"] for message in told["contexts"]["notifications"]}
    assert kinds == {"order_confirmed", "registration_requested", "password_reset"}
    assert GUEST not in str(told)
    assert [payment["status"] for payment in told["contexts"]["payments"]] == ["captured"] * 2
    assert len(told["contexts"]["shipping"]) == 2
    assert told["contexts"]["returns"] == []
    guest = await shop.do("POST", "/v1/personal-data-exports", {"email": GUEST.upper()})
    assert [order["email"] for order in guest["contexts"]["orders"]] == [GUEST]
    assert EMAIL not in str(guest)
    both = {"email": GUEST, "customer_id": account["id"]}
    for body in ({}, both):
        refused = await shop.send("POST", "/v1/personal-data-exports", body)
        assert refused.json()["code"] == "person_unnamed"


async def test_a_repeated_order_is_answered_as_before_until_she_is_erased(
    shop: AuditedShop,
) -> None:
    body = {"currency": "USD", "lines": [{"sku": "tent", "quantity": 1}], "email": GUEST}
    key = {"idempotency_key": "once"}
    first = await shop.send("POST", "/v1/orders", body, **key)
    again = await shop.send("POST", "/v1/orders", body, **key)
    assert first.json()["email"] == GUEST
    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
    await shop.do("POST", "/v1/erasures", {"email": GUEST})
    late = await shop.send("POST", "/v1/orders", body, **key)
    assert (late.status_code, late.json()["code"]) == (422, "idempotency_key_reused")


async def test_who_comes_back_has_a_new_key_and_nothing_of_before(shop: AuditedShop) -> None:
    body = {"currency": "USD", "lines": [{"sku": "tent", "quantity": 1}], "email": GUEST}
    before = await shop.do("POST", "/v1/orders", body)
    await shop.do("POST", "/v1/erasures", {"email": GUEST})
    after = await shop.do("POST", "/v1/orders", body)
    told = await shop.do("POST", "/v1/personal-data-exports", {"email": GUEST})
    assert [order["id"] for order in told["contexts"]["orders"]] == [after["id"]]
    assert (await shop.do("GET", f"/v1/orders/{before['id']}"))["email"] is None


async def test_consents_are_added_to_and_never_changed(shop: AuditedShop) -> None:
    _, headers = await live(shop)
    said = {"purpose": "newsletter", "text_version": "2026-11", "how": "account page"}
    for is_given in (True, False):
        await shop.do("POST", "/v1/me/consents", {**said, "is_given": is_given}, **headers)
    listed = await shop.do("GET", "/v1/me/consents", **headers)
    assert [consent["is_given"] for consent in listed["items"]] == [False, True]
    told = await shop.do("GET", "/v1/me/personal-data", **headers)
    assert len(told["contexts"]["privacy"]) == 2
    async with shop.house.database.transaction(POOLED, (shop.house.tenant,)) as tx:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await tx.connection.execute("UPDATE privacy.consents SET is_given = true")


async def test_rules_take_out_what_is_too_old_and_no_more(
    shop: AuditedShop, admin_url: str
) -> None:
    rules = await shop.do("GET", "/v1/retention-rules")
    assert [(rule["name"], rule["is_default"]) for rule in rules["items"]] == [
        ("notifications.contacts", True), ("orders.email", True),
    ]  # fmt: skip
    await live(shop)
    await shop.do("PUT", "/v1/retention-rules/orders.email", {"days": 30})
    clock = shop.house.clock
    assert isinstance(clock, ManualClock)
    await run_job(shop, "privacy.retain")
    whole = await dump(admin_url)
    assert None not in {row["email"] for row in whole["orders.orders"]}
    clock.advance(timedelta(days=4_000))
    while await run_job(shop, "privacy.retain"):
        pass
    whole = await dump(admin_url)
    assert {row["email"] for row in whole["orders.orders"]} == {None}
    assert whole["notifications.contacts"] == []
    for days in (0, 3_654):
        refused = await shop.send("PUT", "/v1/retention-rules/orders.email", {"days": days})
        assert refused.status_code == 400
    unknown = await shop.send("PUT", "/v1/retention-rules/orders.lines", {"days": 3})
    assert unknown.json()["code"] == "unknown_rule"


async def test_a_key_that_was_rolled_back_is_not_used_again(shop: AuditedShop) -> None:
    plain = sealed.Plain(shop.house.tenant, UUID(int=5), ORDER_EMAIL, "a@b.example")

    async def die() -> None:
        async with shop.house.database.transaction(POOLED, (shop.house.tenant,)) as tx:
            await tx.seal([plain])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await die()
    async with shop.house.database.transaction(POOLED, (shop.house.tenant,)) as tx:
        (text,) = await tx.seal([plain])
    shop.house.database.seals = subjects.Seals(Roots(shop.house.database, wrapping_of(shop)))
    async with shop.house.database.transaction(POOLED, (shop.house.tenant,)) as tx:
        rests = Sealed(shop.house.tenant, ORDER_EMAIL, text)
        assert await tx.unseal([rests]) == ["a@b.example"]
        with pytest.raises(MisplacedError):
            await tx.unseal([Sealed(shop.house.tenant, identity.ACCOUNT_EMAIL, text)])
        other = sealed.prefix_of(UUID(int=6)) + text.rpartition(":")[2]
        assert await tx.unseal([Sealed(shop.house.tenant, ORDER_EMAIL, other)]) == [None]


async def test_what_was_written_in_clear_before_is_found_and_sealed(
    shop: AuditedShop, admin_url: str
) -> None:
    account_id, _ = await live(shop)
    connection = await asyncpg.connect(admin_url)
    await connection.execute(
        "UPDATE identity.accounts SET email = $1, email_key = $1, name = $2", EMAIL, NAME
    )
    await connection.execute("UPDATE orders.orders SET email = $1", EMAIL)
    await connection.execute("UPDATE notifications.contacts SET email = $1", EMAIL)
    await connection.close()
    credentials = {"email": EMAIL, "password": PASSWORD}
    await shop.do("POST", "/v1/sessions", credentials, **HOUSE)
    before = await shop.do("GET", "/v1/notifications")
    assert {item["email"] for item in before["items"]} == {EMAIL}
    assert await run_job(shop, "privacy.seal") == 5
    assert await run_job(shop, "privacy.seal") == 0
    assert EMAIL not in texts_of(await dump(admin_url))
    await shop.do("POST", "/v1/sessions", credentials, **HOUSE)
    assert (await shop.do("GET", "/v1/notifications"))["items"] == before["items"]
    listed = await shop.do("GET", "/v1/orders")
    assert [order["email"] for order in listed["items"]] == [EMAIL] * 3
    shown = await shop.do("GET", f"/v1/customers/{account_id}")
    assert (shown["email"], shown["name"]) == (EMAIL, NAME)
