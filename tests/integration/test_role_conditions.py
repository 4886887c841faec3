"""Conditions of roles over HTTP: set, read, told, given on, and judged at the door."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pyotp
import pytest

from serai.contexts.identity.model.factors import STEP_S
from serai.contexts.tenancy.contract import SCOPES
from serai.kernel import ids
from serai.kernel.conditions import ConditionNotMet
from serai.kernel.db import Database
from serai.roles.api import build_app
from serai.settings import Settings
from tests.integration.fulfilment_shop import code_of
from tests.integration.house import QUICK, House

PASSWORD = "seven brass lanterns"
OFFICE, ELSEWHERE = "10.1.2.3", "203.0.113.9"
REFUNDS = "payments:write"
CAREFUL: dict[str, Any] = {
    "amount_up_to": {"USD": 2000},
    "within_hours": {"begin": "08:00", "end": "20:00", "zone": "Europe/Berlin"},
    "from_networks": ["10.1.0.0/16"],
    "from_device": {"factor_age_min": 480},
}
"""Refunds up to 20.00 dollars, by day in Berlin, from the office, from a device that is known."""


class World:
    """A house at noon in November, and calls to it from a network."""

    def __init__(self, house: House, key: str) -> None:
        self.house, self.key = house, key
        self.app: Any = build_app(Settings(), house.composition)
        self.spares: dict[str, list[str]] = {}

    async def call(
        self, method: str, path: str, token: str = "", body: Any = None, *, peer: str = OFFICE
    ) -> httpx.Response:
        """One call, by the owner's key where no token is given."""
        transport = httpx.ASGITransport(self.app, client=(peer, 40_000))
        headers = {"Authorization": f"Bearer {token or self.key}", "Serai-Tenant": "house"}
        if method == "POST" and "refunds" in path:
            headers["Idempotency-Key"] = ids.new_id().hex
        if path in ("/v1/sessions", "/v1/sessions/refresh"):
            headers.pop("Authorization")
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as http:
            return await http.request(method, path, json=body, headers=headers)

    async def save_role(self, name: str, *scopes: str, token: str = "", **under: Any) -> Any:
        """Makes a role with conditions for the scope of refunds."""
        conditions = {REFUNDS: under} if under else {}
        body = {"scopes": list(scopes or (REFUNDS,)), "conditions": conditions}
        return await self.call("PUT", f"/v1/roles/{name}", token, body)

    async def hire(self, email: str, *roles: str) -> str:
        """A member of the staff with a password, signed in by it."""
        invited = await self.house.composition.identity.invite_staff(
            self.house.tenant, email=email, name="", roles=roles
        )
        body = {"token": invited.token, "password": PASSWORD}
        done = await self.call("POST", "/v1/password-resets/confirmations", "-", body)
        assert done.status_code == 204, done.text
        return str((await self.sign_in(email))["access_token"])

    async def sign_in(self, email: str, code: str | None = None) -> dict[str, Any]:
        """Her two tokens."""
        body = {"email": email, "password": PASSWORD, "kind": "staff", "code": code}
        answer = await self.call("POST", "/v1/sessions", "-", body)
        assert answer.status_code == 201, answer.text
        tokens: dict[str, Any] = answer.json()
        return tokens

    async def add_factor(self, email: str, token: str) -> None:
        """Sets an authenticator up; its spare codes are kept."""
        begun = await self.call("POST", "/v1/me/totp", token, {"current_password": PASSWORD})
        at = int(self.house.clock.now().timestamp()) // STEP_S
        code = pyotp.TOTP(begun.json()["secret"]).generate_otp(at)
        done = await self.call("POST", "/v1/me/totp/confirmations", token, {"code": code})
        self.spares[email] = done.json()["spare_codes"]

    async def known(self, email: str) -> str:
        """An access token of a session that a second factor opened."""
        return str((await self.sign_in(email, self.spares[email].pop()))["access_token"])

    async def pay(self) -> str:
        """Where 2500.00 dollars that were paid are refunded."""
        order_id = await self.house.place(("tent", 250))
        await self.house.rest()
        return f"/v1/payments/{order_id}/refunds"

    async def refund(self, path: str, token: str, minor: int, *, peer: str = OFFICE) -> Any:
        """What is said to a refund: its status and, of a condition, its name."""
        answer = await self.call("POST", path, token, {"amount_minor": minor}, peer=peer)
        if answer.status_code == 201:
            return 201
        assert code_of(answer) == (ConditionNotMet.status, "condition_not_met"), answer.text
        assert answer.json()["facts"]["scope"] == REFUNDS
        return answer.json()["facts"]["condition"]


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> AsyncIterator[World]:
    house = await House(database, tmp_path, **QUICK).open()
    await house.offer("tent")
    await house.receive(tent=1000)
    key = await house.composition.tenancy.create_key(house.tenant, label="", scopes=SCOPES)
    yield World(house, key.key)
    await house.rest()
    # Hours pass in a moment here, and no mail is sent meanwhile.
    assert [f for f in await house.findings() if f.check != "notifications.overdue"] == []
    await house.composition.close()


async def test_support_refunds_20_and_not_2000_not_at_night_nor_from_elsewhere_or_unknown(
    world: World,
) -> None:
    saved = await world.save_role("refunds", **CAREFUL)
    assert saved.status_code == 200, saved.text
    stranger = await world.hire("s@example.com", "support", "refunds")
    path = await world.pay()
    assert await world.refund(path, stranger, 2000) == "from_device"
    await world.add_factor("s@example.com", stranger)
    assert await world.refund(path, stranger, 2000) == "from_device", "this session has shown none"
    token = await world.known("s@example.com")
    assert await world.refund(path, token, 200_000) == "amount_up_to"
    assert await world.refund(path, token, 2001) == "amount_up_to"
    assert await world.refund(path, token, 2000, peer=ELSEWHERE) == "from_networks"
    world.house.clock.advance(timedelta(hours=8))
    night = await world.known("s@example.com")
    assert await world.refund(path, night, 2000) == "within_hours"
    world.house.clock.advance(timedelta(hours=16))
    assert await world.refund(path, await world.known("s@example.com"), 2000) == 201
    # What she gives back of one payment counts together, and nothing was given back before.
    assert await world.refund(path, await world.known("s@example.com"), 1) == "amount_up_to"
    await world.house.rest()
    rows = await world.house.rows("SELECT amount_minor FROM payments.refunds")
    assert rows == [{"amount_minor": 2000}]
    # Everything else that she may do she does without.
    assert (await world.call("GET", "/v1/payments", stranger)).status_code == 401, "it is over"
    token = await world.known("s@example.com")
    assert (await world.call("GET", "/v1/payments", token, peer=ELSEWHERE)).status_code == 200


async def test_a_device_is_known_for_so_long_however_often_its_session_is_renewed(
    world: World,
) -> None:
    await world.save_role("refunds", from_device={"factor_age_min": 30})
    stranger = await world.hire("s@example.com", "refunds")
    path = await world.pay()
    await world.add_factor("s@example.com", stranger)
    tokens = await world.sign_in("s@example.com", world.spares["s@example.com"].pop())
    for minutes, expected in ((0, 201), (29, 201), (1, "from_device")):
        world.house.clock.advance(timedelta(minutes=minutes))
        body = {"refresh_token": tokens["refresh_token"]}
        tokens = (await world.call("POST", "/v1/sessions/refresh", "-", body)).json()
        assert await world.refund(path, tokens["access_token"], 10 + minutes) == expected


async def test_of_several_roles_the_widest_applies_and_each_is_whole(world: World) -> None:
    await world.save_role("small", amount_up_to={"USD": 500})
    night = {"begin": "20:00", "end": "06:00", "zone": "UTC"}
    await world.save_role("large", amount_up_to={"USD": 5000}, within_hours=night)
    token = await world.hire("s@example.com", "small", "large")
    path = await world.pay()
    assert await world.refund(path, token, 501) == "amount_up_to"
    assert await world.refund(path, token, 500) == 201
    world.house.clock.advance(timedelta(hours=10))
    token = str((await world.sign_in("s@example.com"))["access_token"])
    assert await world.refund(path, token, 4501) == "amount_up_to"
    assert await world.refund(path, token, 4500) == 201
    # A role that gives the scope as it is leaves nothing to ask; a change holds at once.
    await world.save_role("large")
    assert await world.refund(path, token, 100_000) == 201
    me = (await world.call("GET", "/v1/me", token)).json()
    assert (REFUNDS in me["scopes"], me["conditions"]) == (True, {})


async def test_conditions_are_shown_told_and_recorded(world: World) -> None:
    saved = (await world.save_role("refunds", **CAREFUL)).json()
    hours = {**CAREFUL["within_hours"], "days": [1, 2, 3, 4, 5, 6, 7]}
    expected = {REFUNDS: {**CAREFUL, "within_hours": hours}}
    assert saved["conditions"] == expected
    listed = (await world.call("GET", "/v1/roles")).json()["items"]
    assert listed[-1] == saved
    assert listed[0]["conditions"] == {}
    token = await world.hire("s@example.com", "support", "refunds")
    me = (await world.call("GET", "/v1/me", token)).json()
    assert me["conditions"] == {REFUNDS: [expected[REFUNDS]]}
    assert REFUNDS in me["scopes"]
    # The same once more changes nothing; without conditions it is another role.
    await world.save_role("refunds", **CAREFUL)
    await world.save_role("refunds")
    await world.house.rest()
    entries = (await world.call("GET", "/v1/audit-entries?limit=200")).json()["items"]
    changes = [
        e for e in entries if e["action"] in ("identity.role_created", "identity.role_changed")
    ]
    assert [(e["before"], e["after"]) for e in changes] == [
        ({"conditions": expected}, {"conditions": {}}),
        (None, {"scopes": [REFUNDS], "conditions": expected}),
    ]


@pytest.mark.parametrize(
    ("conditions", "code"),
    [
        ({"orders:read": {"from_networks": ["10.0.0.0/8"]}}, (422, "condition_unfit")),
        ({"everything": {"from_networks": ["10.0.0.0/8"]}}, (422, "condition_unfit")),
        ({REFUNDS: {}}, (422, "condition_unfit")),
        ({REFUNDS: {"moon_is_full": {}}}, (422, "condition_unfit")),
        ({REFUNDS: {"amount_up_to": {"USD": -1}}}, (422, "condition_unfit")),
        ({REFUNDS: {"amount_up_to": {"USD": 10**16}}}, (422, "condition_unfit")),
        ({REFUNDS: {"amount_up_to": {"USD": 1, "XXX": 1}}}, (422, "condition_unfit")),
        ({REFUNDS: {"within_hours": {"begin": "08:00", "end": "20:00", "zone": "Mars/Base"}}},
         (422, "condition_unfit")),
        ({REFUNDS: {"from_device": {"factor_age_min": 1, "more": 1}}}, (422, "condition_unfit")),
        ({REFUNDS: ["from_device"]}, (400, "invalid")),
        ([], (400, "invalid")),
    ],
)  # fmt: skip
async def test_conditions_that_do_not_fit_are_refused_and_nothing_is_kept(
    world: World, conditions: Any, code: tuple[int, str]
) -> None:
    body = {"scopes": [REFUNDS], "conditions": conditions}
    answer = await world.call("PUT", "/v1/roles/refunds", "", body)
    assert code_of(answer) == code
    assert "refunds" not in (await world.call("GET", "/v1/roles")).text


async def test_a_number_that_is_none_is_no_amount(world: World) -> None:
    transport = httpx.ASGITransport(world.app)
    amount = '{"payments:write": {"amount_up_to": {"USD": %s}}}'
    text = '{"scopes": ["payments:write"], "conditions": ' + amount + "}"
    headers = {"Authorization": f"Bearer {world.key}", "Content-Type": "application/json"}
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as http:
        for number in ("NaN", "Infinity", "-Infinity", "1e400", "1e3", "0x10"):
            answer = await http.put("/v1/roles/refunds", content=text % number, headers=headers)
            assert answer.status_code in (400, 422), number
            assert answer.json()["code"] in ("invalid", "condition_unfit")


async def test_nobody_gives_wider_conditions_than_her_own(world: World) -> None:
    mine: dict[str, Any] = {"amount_up_to": {"USD": 2000}, "from_networks": ["10.0.0.0/8"]}
    powers = (REFUNDS, "identity:read", "identity:write", "tenancy:write")
    await world.save_role("lead", *powers, **mine)
    await world.save_role("free")
    lead = await world.hire("lead@example.com", "lead")
    await world.hire("rich@example.com", "free")
    staff = (await world.call("GET", "/v1/staff")).json()["items"]
    rich, me = staff[0]["id"], staff[1]["id"]
    app = {"name": "Desk", "is_public": False, "grants": ["client_credentials"],
           "redirect_uris": [], "scopes": [REFUNDS]}  # fmt: skip
    refused = [
        await world.save_role("mine", token=lead),
        await world.save_role("mine", token=lead, amount_up_to={"USD": 2000}),
        await world.save_role("mine", token=lead, **{**mine, "amount_up_to": {"USD": 2001}}),
        await world.save_role("mine", token=lead, **{**mine, "from_networks": ["0.0.0.0/0"]}),
        await world.save_role("lead", *powers, token=lead),
        await world.save_role("free", token=lead, **mine),
        await world.call("DELETE", "/v1/roles/free", lead),
        await world.call("PATCH", f"/v1/staff/{me}", lead, {"roles": ["lead", "free"]}),
        await world.call("PATCH", f"/v1/staff/{rich}", lead, {"is_suspended": True}),
        await world.call("POST", "/v1/staff", lead, {"email": "a@b.de", "roles": ["free"]}),
        await world.call("POST", "/v1/apps", lead, app),
    ]
    assert [code_of(answer) for answer in refused] == [(403, "more_powerful")] * len(refused)
    # A key has no hours, no device and no network of its own: it takes the scope as it is.
    key = await world.call("POST", "/v1/api-keys", lead, {"label": "", "scopes": [REFUNDS]})
    assert key.status_code == 403
    given = await world.save_role(
        "mine", token=lead, amount_up_to={"USD": 1}, from_networks=["10.9.0.0/16"],
        from_device={"factor_age_min": 5},
    )  # fmt: skip
    assert given.status_code == 200
    for roles in (["mine"], ["lead"], ["mine", "lead"]):
        body = {"email": f"{len(roles)}{roles[0]}@b.de", "roles": roles}
        assert (await world.call("POST", "/v1/staff", lead, body)).status_code == 201


async def test_a_scope_that_a_route_asks_for_beside_its_own_is_held_under_conditions_too(
    world: World,
) -> None:
    night = {"within_hours": {"begin": "20:00", "end": "06:00", "zone": "UTC"}}
    scopes = ["orders:write", "orders:price", "catalog:read", "catalog:write"]
    body = {"scopes": scopes, "conditions": {"orders:price": night, "catalog:write": night}}
    assert (await world.call("PUT", "/v1/roles/clerk", "", body)).status_code == 200
    draft = {"title": "Secret", "status": "draft", "variants": [{"sku": "secret"}]}
    assert (await world.call("POST", "/v1/products", "", draft)).status_code in (200, 201, 400)
    token = await world.hire("clerk@example.com", "clerk")
    assert (await world.call("GET", "/v1/products?status=draft", token)).status_code == 403
    world.house.clock.advance(timedelta(hours=10))
    token = str((await world.sign_in("clerk@example.com"))["access_token"])
    assert (await world.call("GET", "/v1/products?status=draft", token)).status_code == 200
