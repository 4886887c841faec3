"""Every route that writes leaves an entry in the audit trail: who, from where, what and why."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from serai.kernel import ids
from serai.kernel.db import Database, Tx
from serai.kernel.web import Rule
from serai.roles.api import build_app
from serai.settings import Settings
from tests.integration import audited_people, audited_shop
from tests.integration.audited_shop import PEER, AuditedShop, open_shop
from tests.integration.identity_shop import PASSWORD

WRITES = {"POST", "PUT", "PATCH", "DELETE"}
SCENARIOS = {**audited_shop.SCENARIOS, **audited_people.SCENARIOS}


@pytest.fixture
async def shop(database: Database, tmp_path: Path) -> AsyncIterator[AuditedShop]:
    async for opened in open_shop(database, tmp_path):
        yield opened


def writing_routes(shop: AuditedShop) -> set[tuple[str, str]]:
    """Every route of the API that asks for a scope and may change something."""
    app = build_app(Settings(), shop.house.composition)
    return {
        (method, route.path_format)
        for route in app.routes
        for handler in getattr(route, "route_handlers", ())
        for method in handler.http_methods
        if method in WRITES and any(isinstance(g, Rule) for g in handler.resolve_guards())
    }


async def leave_no_trace(shop: AuditedShop, route: tuple[str, str]) -> str | None:
    """Asks a route for a change; what is wrong with its traces in the trail."""
    method, _ = route
    path, body, headers = await SCENARIOS[route](shop)
    request_id = ids.new_id().hex
    answer = await shop.send(method, path, body, X_Request_Id=request_id, **headers)
    if not answer.is_success:
        return f"{route}: it was refused: {answer.status_code} {answer.text}"
    assert answer.headers["x-request-id"] == request_id
    await shop.rest()
    kind, actor_id = shop.actor_of(headers)
    entries = await shop.entries(request_id=request_id, actor_kind=kind)
    if not entries:
        return f"{route}: no entry"
    for entry in entries:
        known = (entry["actor_id"], entry["address"], entry["request_id"])
        if known != (actor_id, PEER, request_id):
            return f"{route}: {known}"
        if not (entry["action"] and entry["subject_kind"] and entry["subject_id"]):
            return f"{route}: {entry}"
    return None


async def test_every_route_that_writes_leaves_an_entry(shop: AuditedShop) -> None:
    assert writing_routes(shop) == set(SCENARIOS), "say in SCENARIOS what a new route is asked"
    wrong = [await leave_no_trace(shop, route) for route in sorted(SCENARIOS)]
    assert [fault for fault in wrong if fault] == []
    assert await shop.house.findings() == []


async def test_a_customer_who_registers_is_in_the_trail_by_her_id(shop: AuditedShop) -> None:
    body = {"email": "new@example.com", "password": PASSWORD}
    await shop.do("POST", "/v1/customers", body, Serai_Tenant="house")
    identity = shop.house.composition.identity
    token = await identity.find_mail_token(shop.house.tenant, body["email"])
    shown = {"token": token, "password": PASSWORD}
    request_id = ids.new_id().hex
    made = await shop.send(
        "POST", "/v1/customers/verifications", shown, Serai_Tenant="house", X_Request_Id=request_id
    )
    await shop.rest()
    (entry,) = await shop.entries(request_id=request_id, actor_kind="customer")
    assert (entry["action"], entry["actor_id"], entry["subject_id"], entry["address"]) == (
        "identity.customer_registered", made.json()["id"], made.json()["id"], PEER,
    )  # fmt: skip
    assert "new@example.com" not in str(entry)


async def test_nothing_secret_or_personal_of_people_gets_into_the_trail(shop: AuditedShop) -> None:
    for route, ask in audited_people.SCENARIOS.items():
        path, body, headers = await ask(shop)
        answer = await shop.send(route[0], path, body, **headers)
        assert answer.is_success, f"{route}: {answer.text}"
        if answer.content:
            audited_people.keep_secrets(shop, answer.json())
    await shop.rest()
    trail = await shop.house.rows("SELECT e::text AS line FROM audit.entries e")
    kept = "\n".join(row["line"] for row in trail)
    assert "identity.second_factor_confirmed" in kept
    assert len(shop.secrets) > len(audited_people.SCENARIOS)
    assert [secret for secret in shop.secrets if secret in kept] == []


async def test_a_route_that_records_nothing_is_found(
    shop: AuditedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forget(*_: Any) -> None:
        return None

    monkeypatch.setattr(Tx, "record", forget)
    route = ("POST", "/v1/categories")
    assert await leave_no_trace(shop, route) == f"{route}: no entry"
