"""A member of the staff is erased: her address and her name are gone, what she did stays."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from serai.kernel.db import Database
from serai.kernel.embedded import EmbeddedPostgres
from tests.integration.audited_shop import AuditedShop, open_shop
from tests.integration.copied_shop import (
    GUEST,
    HOUSE,
    NAME,
    break_open,
    dump,
    keys_of,
    live,
    roots_of,
    run_job,
    texts_of,
)
from tests.integration.identity_shop import PASSWORD

EMAIL = "matilda@underhill.example"


@pytest.fixture
async def shop(database: Database, tmp_path: Path) -> AsyncIterator[AuditedShop]:
    async for opened in open_shop(database, tmp_path):
        yield opened


@pytest.fixture
def admin_url(postgres: EmbeddedPostgres, database_name: str) -> str:
    return postgres.admin_url(database_name)


async def hire(shop: AuditedShop, email: str, role: str) -> tuple[str, dict[str, str]]:
    """A member's id, and the headers that she comes with."""
    body = {"email": email, "name": NAME, "roles": [role]}
    made = await shop.do("POST", "/v1/staff", body)
    token = await shop.house.composition.identity.find_mail_token(shop.house.tenant, email)
    chosen = {"token": token, "password": PASSWORD}
    await shop.do("POST", "/v1/password-resets/confirmations", chosen, **HOUSE)
    body = {"email": email, "password": PASSWORD, "kind": "staff"}
    given = await shop.do("POST", "/v1/sessions", body, **HOUSE)
    return made["id"], {"authorization": f"Bearer {given['access_token']}"}


async def test_her_address_and_name_are_in_no_dump_and_what_she_did_is_in_the_trail(
    shop: AuditedShop, admin_url: str
) -> None:
    _, customers = await live(shop)
    member, hers = await hire(shop, EMAIL, "manager")
    # The same person is a customer too, which is another account, with another key.
    body = {"email": EMAIL, "password": PASSWORD, "name": NAME}
    await shop.do("POST", "/v1/customers", body, **HOUSE)
    await shop.do("POST", "/v1/categories", {"path": "lamps"}, **hers)
    older = await dump(admin_url)
    begun = await shop.do("DELETE", f"/v1/staff/{member}")
    assert begun["keys_erased"] == 1
    assert (await shop.send("GET", "/v1/me", **hers)).status_code == 401
    while await run_job(shop, "privacy.erase"):
        pass
    present = await dump(admin_url)
    assert member not in {str(row["id"]) for row in present["identity.accounts"]}
    assert [r for r in present["identity.sessions"] if str(r["account_id"]) == member] == []
    folder = Path(shop.house.composition.surroundings.settings.data_dir)
    roots = await roots_of(present, folder)
    keys = keys_of(present, roots)
    was = {"identity.accounts": [r for r in older["identity.accounts"] if str(r["id"]) == member]}
    assert EMAIL in break_open(was, keys_of(older, roots), shop.house.tenant)
    assert break_open(was, keys, shop.house.tenant).strip() == ""
    assert GUEST in break_open(present, keys, shop.house.tenant), "others stay readable"
    assert EMAIL not in texts_of(present)
    entries = await shop.entries(actor_id=member, limit=100)
    assert "catalog.category_created" in {entry["action"] for entry in entries}
    (told,) = await shop.entries(action="privacy.person_erased")
    assert EMAIL not in str(told)
    assert (await shop.send("GET", "/v1/me", **customers)).status_code == 200
    done = await shop.do("GET", f"/v1/erasures/{begun['id']}")
    assert done["state"] == "done"
    assert await shop.house.findings() == []
    # Whoever is invited again under the address is a new member.
    again, _ = await hire(shop, EMAIL, "support")
    assert again != member


async def test_nobody_erases_the_last_owner_one_more_powerful_or_a_customer(
    shop: AuditedShop,
) -> None:
    customer, _ = await live(shop)
    owner, hers = await hire(shop, EMAIL, "owner")
    support, _ = await hire(shop, "support@underhill.example", "support")
    keys = {}
    for name, scopes in (
        ("privacy", ("privacy:write",)),
        ("identity", ("identity:write",)),
        ("both", ("identity:write", "privacy:write")),
    ):
        issued = await shop.house.composition.tenancy.create_key(
            shop.house.tenant, label=name, scopes=scopes
        )
        keys[name] = {"authorization": f"Bearer {issued.key}"}
    for account_id, headers, wanted in (
        (owner, hers, (409, "last_owner")),
        (owner, {}, (409, "last_owner")),
        (support, keys["both"], (403, "more_powerful")),
        (support, keys["privacy"], (403, "missing_scope")),
        (support, keys["identity"], (403, "missing_scope")),
        (customer, {}, (404, "not_found")),
    ):
        refused = await shop.send("DELETE", f"/v1/staff/{account_id}", **headers)
        assert (refused.status_code, refused.json()["code"]) == wanted
    rows = await shop.house.rows("SELECT count(*) AS n FROM identity.accounts")
    assert rows[0]["n"] == 3
    assert await shop.house.rows("SELECT 1 FROM privacy.erasures") == []
    await hire(shop, "second@underhill.example", "owner")
    await shop.do("DELETE", f"/v1/staff/{owner}", None, **hers)


async def test_nobody_erases_a_customer_who_may_do_more(shop: AuditedShop) -> None:
    customer, _ = await live(shop)
    issued = await shop.house.composition.tenancy.create_key(
        shop.house.tenant, label="privacy", scopes=("privacy:write",)
    )
    weak = {"authorization": f"Bearer {issued.key}"}
    await shop.do("PUT", "/v1/roles/helper", {"scopes": ["orders:read"]})
    await shop.do("PATCH", f"/v1/customers/{customer}", {"roles": ["customer", "helper"]})
    email = (await shop.do("GET", f"/v1/customers/{customer}"))["email"]
    for body in ({"customer_id": customer}, {"email": email}):
        refused = await shop.send("POST", "/v1/erasures", body, **weak)
        assert (refused.status_code, refused.json()["code"]) == (403, "more_powerful")
        assert refused.json()["facts"]["missing"] == ["orders:read"]
    assert await shop.house.rows("SELECT 1 FROM privacy.erasures") == []
    await shop.do("PATCH", f"/v1/customers/{customer}", {"roles": ["customer"]})
    await shop.do("POST", "/v1/erasures", {"customer_id": customer}, **weak)
