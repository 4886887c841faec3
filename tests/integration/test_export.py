"""An export can be read by whoever is given it, unless it is to stay closed; it is in the trail."""

import json
from pathlib import Path
from typing import Any

import pytest

from serai.cli.console import Failure
from serai.cli.tenant import estate
from serai.contexts.tenancy.contract import Tier
from serai.kernel.embedded import EmbeddedPostgres
from serai.kernel.seals.wrapping import LocalWrapping
from tests.integration.audited_shop import AuditedShop
from tests.integration.copied_shop import EMAIL, GUEST, NAME, TOKENS, live, run_job
from tests.integration.tiered_shop import TIERS, Ground


@pytest.fixture
def ground(postgres: EmbeddedPostgres, database_name: str, template: str, tmp_path: Path) -> Ground:
    return Ground(postgres, database_name, template, tmp_path)


async def export(
    shop: AuditedShop, file: Path, *, is_sealed: bool = False
) -> tuple[estate.Exported, str]:
    house = shop.house.composition
    tenant = await house.tenancy.find_standing("house")
    assert tenant is not None
    told = await estate.export(house, tenant, file, is_sealed=is_sealed, is_quiet=True)
    return told, file.read_text()


def rows_of(text: str, table: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in text.splitlines()[1:]]
    return [line["row"] for line in lines if line["table"] == table]


@pytest.mark.parametrize("tier", TIERS)
async def test_what_is_personal_is_opened_and_who_was_erased_is_absent(
    ground: Ground, tier: Tier
) -> None:
    async with ground.open_shop(tier) as shop:
        await live(shop)
        await ground.furnish(shop)
        told, text = await export(shop, ground.folder / "all.jsonl")
        assert (told.is_sealed, told.left_sealed) == (False, 0)
        assert TOKENS.findall(text) == []
        assert {EMAIL, GUEST} <= {row["email"] for row in rows_of(text, "orders.orders")}
        assert NAME in {row["name"] for row in rows_of(text, "identity.accounts")}
        assert EMAIL in {row["email"] for row in rows_of(text, "notifications.contacts")}
        answers = [row["answer"] for row in rows_of(text, "kernel.idempotency_keys")]
        assert GUEST.encode().hex() in "".join(answers)
        assert rows_of(text, "kernel.data_keys") == []

        await shop.do("POST", "/v1/erasures", {"email": GUEST})
        _, text = await export(shop, ground.folder / "later.jsonl")
        assert GUEST not in text
        assert TOKENS.findall(text) == []
        events = [row["data"] for row in rows_of(text, "kernel.outbox") if "email" in row["data"]]
        assert None in {data["email"] for data in events}
        await shop.rest()
        entries = await shop.entries(action="tenancy.tenant_exported")
        assert [(e["actor_kind"], e["after"]) for e in entries] == [
            ("operator", {"is_sealed": False})
        ] * 2  # fmt: skip


async def test_a_sealed_copy_holds_nothing_in_clear(ground: Ground) -> None:
    async with ground.open_shop("pooled") as shop:
        await live(shop)
        told, text = await export(shop, ground.folder / "all.jsonl", is_sealed=True)
        assert told.is_sealed
        assert [word for word in (EMAIL, GUEST, NAME) if word in text] == []
        assert rows_of(text, "kernel.data_keys") != []
        assert json.loads(text.splitlines()[0])["sealed"] is True


async def test_without_the_key_it_says_what_to_do_and_writes_nothing(ground: Ground) -> None:
    async with ground.open_shop("pooled") as shop:
        await live(shop)
        assert await run_job(shop, "privacy.erase") == 0
        roots = shop.house.composition.seals.roots
        (ground.folder / "privacy.key").rename(ground.folder / "elsewhere.key")
        roots._known.clear()  # noqa: SLF001 - another process, which has not read it yet
        roots.wrapping = LocalWrapping(keys="", folder=ground.folder)
        with pytest.raises(Failure, match=r"SERAI_PRIVACY_KEY.*--sealed"):
            await export(shop, ground.folder / "all.jsonl")
        assert list(ground.folder.glob("all.jsonl*")) == []
        assert (await export(shop, ground.folder / "all.jsonl", is_sealed=True))[0].rows > 0
