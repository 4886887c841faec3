"""What each writing route is asked in earnest, asked by a stranger, as if nothing were there."""

import json
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from serai.contexts.tenancy.contract import SCOPES
from serai.kernel import estate, ids
from serai.kernel.db import Database
from serai.kernel.tenant import POOLED
from tests.integration import audited_people, audited_shop
from tests.integration.audited_shop import AuditedShop, open_shop
from tests.integration.test_homes import SCHEMAS, TOLD_BY_ID, UUIDS

SCENARIOS = {**audited_shop.SCENARIOS, **audited_people.SCENARIOS}
ASKED_MIN = 40
"""Routes whose question names something of the tenant; the others have nothing foreign to name."""


class Asked(NamedTuple):
    """A request, whole."""

    method: str
    path: str
    body: str
    headers: Mapping[str, str]


@pytest.fixture
async def shop(database: Database, tmp_path: Path) -> AsyncIterator[AuditedShop]:
    async for opened in open_shop(database, tmp_path):
        yield opened


async def everything(shop: AuditedShop) -> list[str]:
    """Every row of the shop's tenant."""
    return [
        f"{table} {row}"
        for table in await estate.list_tables(shop.house.database, POOLED, SCHEMAS)
        async for row in estate.read_rows(shop.house.database, POOLED, shop.house.tenant, table)
    ]


def made_up(asked: Asked, skus: list[str]) -> tuple[Asked, dict[str, str]]:
    """The same request about what nobody has, and which name stands for which."""
    names = {known: str(ids.new_id()) for known in UUIDS.findall(asked.path + asked.body)}
    for number, sku in enumerate(skus):
        if f'"{sku}"' in asked.body or sku in re.split("[/?=&]", asked.path):
            names[sku] = f"nothing-{number}"
    return Asked(asked.method, swap(asked.path, names), swap(asked.body, names), {}), names


def swap(text: str, names: Mapping[str, str]) -> str:
    """A text with each name, standing by itself, replaced by the other."""
    for known, other in names.items():
        text = re.sub(rf"(?<![\w-]){re.escape(known)}(?![\w-])", other, text)
    return text


async def tell(shop: AuditedShop, asked: Asked, key: str) -> tuple[int, str]:
    """What a stranger is answered."""
    body = asked.body.encode() if asked.body else None
    headers = {**asked.headers, "authorization": f"Bearer {key}"}
    answer = await shop.send(asked.method, asked.path, body, **headers)
    return answer.status_code, TOLD_BY_ID.sub("", answer.text)


async def find_difference(shop: AuditedShop, route: tuple[str, str], key: str) -> str | None:
    """Asks a route as a stranger about what is there and about what is not; "" where it is alike.

    None where the question names nothing of the tenant.
    """
    path, body, headers = await SCENARIOS[route](shop)
    if isinstance(body, bytes):
        return None
    text = "" if body is None else json.dumps(body)
    rows = await shop.house.rows("SELECT sku FROM catalog.variants")
    asked = Asked(route[0], path, text, headers)
    other, names = made_up(asked, sorted(row["sku"] for row in rows))
    if not names:
        return None
    await shop.rest()
    before = await everything(shop)
    got = await tell(shop, asked, key)
    told = await tell(shop, other._replace(headers=headers), key)
    if got[0] != told[0]:
        return f"{route}: {got} where {told} is told of what is not there"
    if got[0] >= 400 and swap(got[1], names) != swap(told[1], names):
        return f"{route}: {got}, {told}"
    await shop.rest()
    changed = set(before).symmetric_difference(await everything(shop))
    return f"{route}: wrote {sorted(changed)}" if changed else ""


async def add_stranger(shop: AuditedShop) -> str:
    """Another tenant's key that may do everything there."""
    issued = await shop.house.composition.tenancy.create_tenant("stranger", scopes=SCOPES)
    return str(issued.key.key)


async def test_what_is_another_s_is_answered_as_what_is_not_there(shop: AuditedShop) -> None:
    stranger = await add_stranger(shop)
    found = {route: await find_difference(shop, route, stranger) for route in sorted(SCENARIOS)}
    asked = [difference for difference in found.values() if difference is not None]
    assert [difference for difference in asked if difference] == []
    assert len(asked) >= ASKED_MIN


async def test_who_may_see_it_is_answered_otherwise(shop: AuditedShop) -> None:
    routes = [route for route in sorted(SCENARIOS) if route[1].startswith("/v1/products/{")]
    for route in routes[:3]:
        assert await find_difference(shop, route, shop.key), route
