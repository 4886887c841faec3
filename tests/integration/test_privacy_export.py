"""The export of a person tells of every table that names her, or it is said why not."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from serai.kernel.db import Database
from serai.kernel.embedded import EmbeddedPostgres
from tests.integration.audited_shop import AuditedShop, open_shop
from tests.integration.copied_shop import OF_ACCOUNT, live

NAMES_A_PERSON = "account|actor|card|customer|email|person|subject"
TOLD = {
    "identity.accounts": ("identity", "account"),
    "identity.sessions": ("identity", "session"),
    "identity.passkeys": ("identity", "passkey"),
    "identity.provider_links": ("identity", "provider_link"),
    "identity.consents": ("identity", "app_consent"),
    "identity.second_factors": ("identity", "second_factor"),
    "orders.orders": ("orders", "order"),
    "payments.intents": ("payments", "payment"),
    "notifications.contacts": ("notifications", "message"),
    "privacy.consents": ("privacy", "consent"),
}
"""Where a table that names a person is in her export."""
UNTOLD = {
    "audit.entries": "the tenant's book of who did what, by ids; who may read it is told",
    "billing.accounts": "the card of the tenant, which is no person",
    "billing.invoices": "the same",
    "identity.codes": "gone after a minute; what came of one is a session",
    "identity.devices": "kept while its session lives; that is told, and the consent",
    "identity.mail_tokens": "repeats the address and the name; the mail itself is told",
    "identity.passkey_challenges": "bytes of chance, for five minutes",
    "identity.providers": "domains of addresses, which name nobody",
    "kernel.data_keys": "keys, which name nobody",
    "notifications.templates": "the subject of a mail is a line of text",
    "privacy.erasures": "of who was erased nothing is left to tell",
}
"""Which are not, and why."""
APP = """
INSERT INTO identity.apps
  (tenant_id, id, name, is_public, redirect_uris, grants, scopes, created_at)
VALUES ($1, $2, 'Picnic planner', true, '{}', '{}', '{}', now())
"""


@pytest.fixture
async def shop(database: Database, tmp_path: Path) -> AsyncIterator[AuditedShop]:
    async for opened in open_shop(database, tmp_path):
        yield opened


@pytest.fixture
async def admin(postgres: EmbeddedPostgres, database_name: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(postgres.admin_url(database_name))
    yield connection
    await connection.close()


async def naming(admin: Any) -> set[str]:
    """The tables with a column that sounds like a person."""
    rows = await admin.fetch(
        "SELECT DISTINCT table_schema || '.' || table_name AS name FROM information_schema.columns "
        "WHERE table_schema NOT IN ('pg_catalog', 'information_schema') "
        f"AND column_name ~ '({NAMES_A_PERSON})'"
    )
    return {row["name"] for row in rows}


async def test_every_table_that_names_a_person_is_told_or_it_is_said_why_not(
    admin: Any,
) -> None:
    assert await naming(admin) == {*TOLD, *UNTOLD}
    assert set(TOLD) & set(UNTOLD) == set()
    await admin.execute("CREATE TABLE orders.wishes (customer_id uuid)")
    assert await naming(admin) - {*TOLD, *UNTOLD} == {"orders.wishes"}


async def test_an_export_tells_each_of_them_without_what_lets_anyone_in(
    shop: AuditedShop, admin: Any
) -> None:
    account_id, headers = await live(shop)
    for statement in (APP, *OF_ACCOUNT.split(";")):
        await admin.execute(statement, shop.house.tenant, UUID(account_id))
    said = {"purpose": "news", "text_version": "1", "is_given": True, "how": "sign-up"}
    await shop.do("POST", "/v1/me/consents", said, **headers)
    told = await shop.do("GET", "/v1/me/personal-data", **headers)
    by_staff = await shop.do("POST", "/v1/personal-data-exports", {"customer_id": account_id})
    assert by_staff["contexts"] == told["contexts"]
    facts = {
        (context, fact["what"]): fact for context, some in told["contexts"].items() for fact in some
    }
    assert set(TOLD.values()) - set(facts) == set()
    hers = {what: fact for (context, what), fact in facts.items() if context == "identity"}
    assert {what: set(fact) - {"what"} for what, fact in hers.items()} == {
        "account": {"id", "email", "name", "roles", "created_at", "has_password", "suspended_at"},
        "session": {
            "id",
            "app_id",
            "created_at",
            "used_at",
            "expires_at",
            "factor_at",
            "ended_at",
            "reason",
        },
        "passkey": {"id", "name", "rp_id", "is_backed_up", "created_at", "used_at"},
        "provider_link": {"provider", "issuer", "subject", "created_at"},
        "app_consent": {"app_id", "name", "scopes", "given_at"},
        "second_factor": {"created_at", "confirmed_at", "spare_codes"},
    }
    assert (hers["passkey"]["name"], hers["passkey"]["rp_id"]) == ("hers", "shop")
    link = hers["provider_link"]
    assert (link["provider"], link["issuer"], link["subject"]) == (None, "https://else", "hers")
    assert hers["app_consent"]["name"] == "Picnic planner"
