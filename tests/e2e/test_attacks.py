"""The attacks: all held off by the shop as it is, and each able to find what it is for."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from serai.cli.prove.attacks.command import Wish, attack
from serai.cli.prove.attacks.registry import ATTACKS
from serai.kernel.embedded import EmbeddedPostgres
from serai.settings import Settings
from tests.e2e.processes import ROOT
from tests.e2e.shop import Shop

FAULTS = Path(__file__).parent / "attack_faults"
SECRET = Settings().callback_secret


@contextmanager
def open_shop(
    postgres: EmbeddedPostgres, database_name: str, folder: Path, *, fault: str = ""
) -> Iterator[tuple[Shop, Wish]]:
    """A shop with two tenants, into whose processes a fault may be planted, and its address."""
    planted = {"ATTACK_FAULT": fault, "PYTHONPATH": f"{FAULTS}:{ROOT / 'src'}"} if fault else {}
    shop = Shop(
        folder,
        owner_url=postgres.owner_url(database_name),
        app_url=postgres.app_url(database_name),
        variables=planted,
    )
    shop.open("foe")
    other_key = shop.key
    shop.open("bait")
    shop.start("api", "worker")
    try:
        yield shop, Wish(
            url=shop.base, key=shop.key, other_key=other_key, callback_secret=SECRET, seed=3,
            rounds=1, as_json=True,
        )  # fmt: skip
    finally:
        shop.stop()


def test_no_attack_succeeds(
    postgres: EmbeddedPostgres,
    database_name: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with open_shop(postgres, database_name, tmp_path) as (shop, wish):
        attack(wish)
        verdict = json.loads(capsys.readouterr().out)
        assert verdict["has_held"]
        assert [outcome["name"] for outcome in verdict["attacks"]] == [a.name for a in ATTACKS]
        for outcome in verdict["attacks"]:
            assert (outcome["rounds"], outcome["lacks"]) == (1, None)
            assert outcome["interleavings"] >= 1
        assert shop.command("check", "--json").code == 0
