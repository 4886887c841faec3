"""A tenant's own domains: claimed, proven by a record in a real DNS, and then known by."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from serai.contexts.tenancy.contract import CLAIM_TTL, DOMAINS_MAX
from serai.contexts.tenancy.gateways.domain_records import DnsRecords, parse_servers
from serai.contexts.tenancy.gateways.known_domains import KnownDomains
from serai.contexts.tenancy.store import PostgresDomains
from serai.kernel.clock import ManualClock
from serai.kernel.db import Database
from serai.kernel.failure import Unavailable
from tests.integration.dns_zone import Zone, serve_zone
from tests.integration.identity_shop import PASSWORD, Shop, code_of, open_shop

DOMAIN = "shop.example.com"


class World:
    """Two tenants on one installation that asks a DNS of ours."""

    def __init__(self, shop: Shop, zone: Zone, clock: ManualClock | None = None) -> None:
        self.shop = shop
        self.zone = zone
        self.clock = clock

    async def call(
        self, method: str, path: str, body: Any = None, who: str = "acme"
    ) -> httpx.Response:
        return await self.shop.call(method, path, self.shop.keys[who], body)

    async def claim(self, domain: str = DOMAIN, who: str = "acme") -> httpx.Response:
        return await self.call("POST", "/v1/tenant/domains", {"domain": domain}, who)

    async def verify(self, domain: str = DOMAIN, who: str = "acme") -> httpx.Response:
        return await self.call("POST", f"/v1/tenant/domains/{domain}/verifications", None, who)

    async def prove(self, domain: str = DOMAIN, who: str = "acme") -> None:
        claimed = (await self.claim(domain, who)).json()
        self.zone.texts[claimed["record_name"]] = [["v=spf1 -all"], [claimed["record_value"]]]
        answer = await self.verify(domain, who)
        assert (answer.status_code, answer.json()["state"]) == (200, "proven"), answer.text

    async def sign_in_at(self, host: str, email: str, tenant: str = "") -> httpx.Response:
        headers = {"host": host, **({"Serai-Tenant": tenant} if tenant else {})}
        body = {"email": email, "password": PASSWORD}
        return await self.shop.http.post("/v1/sessions", json=body, headers=headers)


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> AsyncIterator[World]:
    zone = Zone()
    with serve_zone(zone) as port:
        async with open_shop(database, tmp_path, dns_servers=f"127.0.0.1#{port}") as shop:
            await shop.add_tenant("acme")
            await shop.add_tenant("other")
            yield World(shop, zone)


async def test_a_domain_is_claimed_proven_known_by_and_given_up(world: World) -> None:
    await world.shop.register("buyer@example.com")
    assert code_of(await world.sign_in_at(DOMAIN, "buyer@example.com")) == (400, "invalid")
    claimed = await world.claim("Shop.Example.COM")
    assert claimed.status_code == 201, claimed.text
    view = claimed.json()
    assert view["domain"] == DOMAIN
    assert view["state"] == "claimed"
    assert view["record_name"] == f"_serai-challenge.{DOMAIN}"
    assert (await world.claim()).json() == view

    unproven = await world.verify()
    assert code_of(unproven) == (422, "domain_unproven")
    facts = unproven.json()["facts"]
    assert facts == {
        "record_name": view["record_name"], "record_value": view["record_value"], "found": 0,
    }  # fmt: skip
    world.zone.texts[view["record_name"]] = [[view["record_value"] + "x"]]
    assert (await world.verify()).json()["facts"]["found"] == 1
    assert code_of(await world.sign_in_at(DOMAIN, "buyer@example.com")) == (400, "invalid")

    await world.prove()
    for host in (DOMAIN, f"{DOMAIN}:8443", "SHOP.example.com"):
        answer = await world.sign_in_at(host, "buyer@example.com")
        assert answer.status_code == 201, answer.text
    # A name that is given counts before the domain, and nothing but the whole domain is one.
    assert (await world.sign_in_at(DOMAIN, "buyer@example.com", "other")).status_code == 401
    assert code_of(await world.sign_in_at(f"www.{DOMAIN}", "b@example.com")) == (400, "invalid")
    [listed] = (await world.call("GET", "/v1/tenant/domains")).json()["items"]
    assert (listed["state"], listed["expires_at"]) == ("proven", None)
    assert listed["proven_at"] is not None

    for _ in range(2):
        gone = await world.call("DELETE", f"/v1/tenant/domains/{DOMAIN}")
        assert gone.status_code == 204
    assert code_of(await world.sign_in_at(DOMAIN, "buyer@example.com")) == (400, "invalid")
    assert (await world.call("GET", "/v1/tenant/domains")).json() == {"items": []}


async def test_a_proven_domain_is_refused_to_everyone_else_alike(world: World) -> None:
    await world.shop.add_tenant("third")
    rival = (await world.claim(who="other")).json()
    world.zone.texts[rival["record_name"]] = [[rival["record_value"]]]
    await world.prove()
    # `other` had claimed it before, `third` never: both get the same words.
    refusals = [await world.claim(who=who) for who in ("other", "third")]
    assert [code_of(answer) for answer in refusals] == [(409, "domain_taken")] * 2
    assert refusals[0].json()["detail"] == refusals[1].json()["detail"]
    world.zone.texts[rival["record_name"]].append([rival["record_value"]])
    assert code_of(await world.verify(who="other")) == (409, "domain_taken")
    # What another has of a domain is not there for one who never claimed it.
    assert code_of(await world.verify(who="third")) == (404, "not_found")
    assert (await world.call("DELETE", f"/v1/tenant/domains/{DOMAIN}", who="third")).is_success
    [mine] = (await world.call("GET", "/v1/tenant/domains")).json()["items"]
    assert mine["state"] == "proven"

    await world.call("DELETE", f"/v1/tenant/domains/{DOMAIN}")
    assert (await world.verify(who="other")).json()["state"] == "proven"


async def test_of_two_who_prove_at_once_one_has_it(world: World) -> None:
    for who in ("acme", "other"):
        claimed = (await world.claim(who=who)).json()
        texts = world.zone.texts.setdefault(claimed["record_name"], [])
        texts.append([claimed["record_value"]])
    answers = await asyncio.gather(*(world.verify(who=who) for who in ("acme", "other")))
    assert sorted(a.status_code for a in answers) == [200, 409]
    states = [
        (await world.call("GET", "/v1/tenant/domains", who=who)).json()["items"][0]["state"]
        for who in ("acme", "other")
    ]
    assert sorted(states) == ["claimed", "proven"]


@pytest.mark.parametrize(
    "name",
    ["example", "-a.example.com", "a..example.com", "192.0.2.1", "a_b.example.com", "*.example.com",
     "example.com/x", "example.com:80", "a" * 64 + ".com", "exämple.com"],
)  # fmt: skip
async def test_what_is_no_domain_is_refused(world: World, name: str) -> None:
    assert code_of(await world.claim(name)) == (422, "domain_unfit")


async def test_a_claim_ends_and_frees_its_place(world: World) -> None:
    clock = ManualClock(world.shop.house.clock.now())
    world.shop.house.database.clock = clock
    first = (await world.claim()).json()
    for number in range(DOMAINS_MAX - 1):
        assert (await world.claim(f"n{number}.example.com")).status_code == 201
    assert code_of(await world.claim("late.example.com")) == (409, "too_many_domains")
    clock.advance(CLAIM_TTL - timedelta(seconds=1))
    assert (await world.claim()).json() == first
    clock.advance(timedelta(seconds=1))
    world.zone.texts[first["record_name"]] = [[first["record_value"]]]
    assert code_of(await world.verify()) == (404, "not_found")
    assert (await world.call("GET", "/v1/tenant/domains")).json() == {"items": []}
    assert (await world.claim()).json()["record_value"] != first["record_value"]


async def test_a_dns_that_does_not_answer_decides_nothing(world: World) -> None:
    await world.claim()
    world.zone.is_broken = True
    answer = await world.verify()
    assert code_of(answer) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert (await world.call("GET", "/v1/tenant/domains")).json()["items"][0]["state"] == "claimed"


async def test_records_are_read_as_the_dns_has_them() -> None:
    zone = Zone()
    zone.texts["a.example.com"] = [["one ", "and two"], ["three"]]
    zone.aliases["b.example.com"] = "a.example.com"
    with serve_zone(zone) as port:
        records = DnsRecords(parse_servers(f" 127.0.0.1#{port} "))
        assert sorted(await records.find_texts("a.example.com")) == ["one and two", "three"]
        assert len(await records.find_texts("b.example.com")) == 2
        assert await records.find_texts("c.example.com") == []
    with pytest.raises(Unavailable):
        await DnsRecords(parse_servers("127.0.0.1#9")).find_texts("a.example.com")


async def test_made_up_hosts_cost_one_look_up_each_while_remembered(
    database: Database, world: World
) -> None:
    await world.prove()
    now = [time.monotonic()]
    known = KnownDomains(database, PostgresDomains(), now=lambda: now[0])
    before = database.transactions
    for _ in range(3):
        assert await known.find_by_host("nobody.example.com") is None
        assert await known.find_by_host(f"{DOMAIN}:80") == world.shop.tenants["acme"]
        assert await known.find_by_host("not a host") is None
    assert database.transactions == before + 2
    now[0] += 5.1
    await world.call("DELETE", f"/v1/tenant/domains/{DOMAIN}")
    assert await known.find_by_host(DOMAIN) is None


async def test_a_suspended_tenant_is_not_let_in_by_its_domain(world: World) -> None:
    await world.prove()
    await world.shop.house.tenancy.change_state(world.shop.tenants["acme"], "suspended")
    answer = await world.sign_in_at(DOMAIN, "buyer@example.com")
    assert code_of(answer) == (403, "tenant_suspended")
