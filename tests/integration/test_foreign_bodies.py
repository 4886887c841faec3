"""What each writing route is asked in earnest, asked by a stranger, as if nothing were there."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from serai.contexts.tenancy.contract import SCOPES, Tier
from serai.kernel import estate, ids
from serai.kernel.embedded import EmbeddedPostgres
from serai.kernel.tenant import POOLED
from tests.integration import audited_people, audited_shop
from tests.integration.audited_shop import AuditedShop
from tests.integration.test_homes import SCHEMAS, TOLD_BY_ID, UUIDS
from tests.integration.tiered_shop import TIERS, Ground

SCENARIOS = {**audited_shop.SCENARIOS, **audited_people.SCENARIOS}
ASKED_MIN = 40
"""Routes whose question names something of the tenant; the others have nothing foreign to name."""


class Asked(NamedTuple):
    """A request, whole."""

    method: str
    path: str
    body: str
    headers: Mapping[str, str]


class Question(NamedTuple):
    """What is there, asked as a stranger, and the same about what is not there."""

    route: tuple[str, str]
    asked: Asked
    other: Asked
    names: dict[str, str]


@pytest.fixture
def ground(postgres: EmbeddedPostgres, database_name: str, template: str, tmp_path: Path) -> Ground:
    return Ground(postgres, database_name, template, tmp_path)


async def everything(shop: AuditedShop) -> list[str]:
    """Every row of the shop's tenant, in its home and in the directory."""
    database = shop.house.database
    return [
        f"{table} {row}"
        for home in dict.fromkeys((POOLED, shop.house.home))
        for table in await estate.list_tables(database, home, SCHEMAS)
        async for row in estate.read_rows(database, home, shop.house.tenant, table)
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


async def prepare(shop: AuditedShop) -> list[Question]:
    """What each writing route may be asked in earnest that names something of the tenant."""
    asked = {}
    for route, ask in sorted(SCENARIOS.items()):
        path, body, headers = await ask(shop)
        if not isinstance(body, bytes):
            text = "" if body is None else json.dumps(body)
            asked[route] = Asked(route[0], path, text, headers)
    rows = await shop.house.rows("SELECT sku FROM catalog.variants")
    skus = sorted(row["sku"] for row in rows)
    questions = []
    for route, about in asked.items():
        other, names = made_up(about, skus)
        if names:
            other = other._replace(headers=about.headers)
            questions.append(Question(route, about, other, names))
    return questions


async def find_difference(shop: AuditedShop, question: Question, key: str) -> str | None:
    """How a stranger is answered otherwise about what is there than about what is not."""
    got = await tell(shop, question.asked, key)
    told = await tell(shop, question.other, key)
    if got[0] != told[0]:
        return f"{question.route}: {got} where {told} is told of what is not there"
    if got[0] >= 400 and swap(got[1], question.names) != swap(told[1], question.names):
        return f"{question.route}: {got}, {told}"
    return None


async def add_stranger(shop: AuditedShop) -> str:
    """Another tenant's key that may do everything there; it lives in the same home if it can."""
    home = shop.house.home
    issued = await shop.house.composition.tenancy.create_tenant(
        "stranger", scopes=SCOPES, home=home
    )
    return str(issued.key.key)


@pytest.mark.parametrize("tier", TIERS)
async def test_what_is_another_s_is_answered_as_what_is_not_there(
    ground: Ground, tier: Tier
) -> None:
    async with ground.open_shop(tier) as shop:
        stranger = await add_stranger(shop)
        questions = await prepare(shop)
        assert len(questions) >= ASKED_MIN
        await shop.rest()
        before = await everything(shop)
        found = [await find_difference(shop, question, stranger) for question in questions]
        assert [difference for difference in found if difference] == []
        await shop.rest()
        changed = set(before).symmetric_difference(await everything(shop))
        assert sorted(changed) == [], "nothing of the other was written"


@pytest.mark.parametrize("tier", TIERS)
async def test_who_may_see_it_is_answered_otherwise(ground: Ground, tier: Tier) -> None:
    async with ground.open_shop(tier) as shop:
        questions = await prepare(shop)
        of_products = [q for q in questions if q.route[1].startswith("/v1/products/{")]
        assert len(of_products) >= 3
        for question in of_products[:3]:
            assert await find_difference(shop, question, shop.key), question.route
