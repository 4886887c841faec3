"""An order that she placed by her account is hers, whatever address she gave with it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from serai.contexts.payments.gateways import sandbox_cards as cards
from serai.kernel.db import Database
from serai.kernel.embedded import EmbeddedPostgres
from tests.integration.audited_shop import AuditedShop, open_shop
from tests.integration.copied_shop import EMAIL, GUEST, dump, live, run_job, texts_of
from tests.integration.identity_shop import PASSWORD

OTHER = "wilhelmina.at.work@mill.example"
WORDS = "for Wilhelmina, second floor"
KEPT = {"kernel.idempotency_keys"}
WHY = "too dark, says Wilhelmina"
HOW = "said by Wilhelmina on the phone"


@pytest.fixture
async def shop(database: Database, tmp_path: Path) -> AsyncIterator[AuditedShop]:
    async for opened in open_shop(database, tmp_path):
        yield opened


@pytest.fixture
def admin_url(postgres: EmbeddedPostgres, database_name: str) -> str:
    return postgres.admin_url(database_name)


async def order(shop: AuditedShop, email: str, reference: str, **headers: str) -> dict[str, Any]:
    body = {
        "currency": "USD", "lines": [{"sku": "lamp", "quantity": 1}], "email": email,
        "payment": {"card": cards.APPROVED}, "reference": reference,
    }  # fmt: skip
    placed: dict[str, Any] = await shop.do("POST", "/v1/orders", body, **headers)
    return placed


async def mailed(shop: AuditedShop) -> dict[str, set[str | None]]:
    """Whom the shop sees that mails went to, by the order."""
    found: dict[str, set[str | None]] = {}
    for item in (await shop.do("GET", "/v1/notifications?limit=100"))["items"]:
        found.setdefault(item["order_id"], set()).add(item["email"])
    return found


async def test_what_went_to_another_address_of_hers_is_told_and_erased(
    shop: AuditedShop, admin_url: str
) -> None:
    _, headers = await live(shop)
    hers = await order(shop, OTHER, WORDS, **headers)
    guests = await order(shop, GUEST, "till 4")
    said = {"purpose": "news", "text_version": "1", "is_given": True, "how": HOW}
    await shop.do("POST", "/v1/me/consents", said, **headers)
    told = await shop.do("GET", "/v1/me/personal-data", **headers)
    about = [m for m in told["contexts"]["notifications"] if m["order_id"] == hers["id"]]
    assert [(m["kind"], m["email"]) for m in about] == [("order_confirmed", OTHER)]
    every = [message["id"] for message in told["contexts"]["notifications"]]
    assert len(every) == len(set(every)), "each is told once"
    assert (await mailed(shop))[hers["id"]] == {OTHER}

    await shop.do("POST", f"/v1/orders/{hers['id']}/dispatch", {})
    back = {"order_id": hers["id"], "lines": [{"line_no": 1, "quantity": 1}], "reason": WHY}
    await shop.do("POST", "/v1/returns", back)
    begun = await shop.do("POST", "/v1/me/erasure", {"current_password": PASSWORD}, **headers)
    while await run_job(shop, "privacy.erase"):
        pass
    done = await shop.do("GET", f"/v1/erasures/{begun['id']}")
    assert (done["state"], done["erased"]["privacy"]) == ("done", 1)
    after = await mailed(shop)
    assert after[hers["id"]] == {None}
    assert after[guests["id"]] == {GUEST}
    listed = {o["id"]: o for o in (await shop.do("GET", "/v1/orders"))["items"]}
    assert [listed[hers["id"]][field] for field in ("email", "customer", "reference")] == [None] * 3
    assert listed[guests["id"]]["reference"] == "till 4", "the words of the shop stay"
    copy = await dump(admin_url)
    texts = texts_of({name: rows for name, rows in copy.items() if name != "kernel.outbox"})
    assert [word for word in (EMAIL, OTHER, WORDS, HOW) if word in texts] == []
    # What was answered about a return is kept for a week, as it was answered.
    assert {name for name, rows in copy.items() if WHY in texts_of({name: rows})} <= KEPT
    (consent,) = copy["privacy.consents"]
    assert (consent["is_given"], consent["purpose"], consent["how"]) == (True, "news", "")
    assert await shop.house.findings() == []


async def test_an_order_that_is_confirmed_after_the_erasure_brings_no_address_back(
    shop: AuditedShop, admin_url: str
) -> None:
    _, headers = await live(shop)
    body = {
        "currency": "USD", "lines": [{"sku": "lamp", "quantity": 1}], "email": OTHER,
        "payment": {"card": cards.APPROVED},
    }  # fmt: skip
    answer = await shop.send("POST", "/v1/orders", body, **headers)
    await shop.house.rest(without={"notifications"})
    await shop.send("POST", "/v1/me/erasure", {"current_password": PASSWORD}, **headers)
    while await run_job(shop, "privacy.erase"):
        pass
    await shop.rest()
    assert (await mailed(shop))[answer.json()["id"]] == {None}
    contacts = (await dump(admin_url))["notifications.contacts"]
    (kept,) = [row for row in contacts if str(row["order_id"]) == answer.json()["id"]]
    assert kept["email"] == ""
