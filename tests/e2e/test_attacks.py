"""The attacks: all are held off by the shop as it is, and each finds what it is there to find."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
import typer

from serai.cli.console import Failure
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
    """A shop with two tenants, with a fault planted into its processes, and how to attack it."""
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


@pytest.mark.parametrize(
    "case",
    [
        (
            "refunds_under_way_forgotten",
            "refunds-at-once",
            "no more is given back than was taken",
        ),
        (
            "part_of_an_order_is_enough",
            "buyers-outnumber-units",
            "as many orders are confirmed as there are units",
        ),
    ],
)
def test_an_attack_on_a_shop_with_a_fault_succeeds_and_shows_how(
    postgres: EmbeddedPostgres,
    database_name: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    case: tuple[str, str, str],
) -> None:
    fault, name, broken = case
    with open_shop(postgres, database_name, tmp_path, fault=fault) as (_, wish):
        with pytest.raises(typer.Exit) as ended:
            attack(msgspec.structs.replace(wish, names=(name,)))
        assert ended.value.exit_code == 1
        verdict = json.loads(capsys.readouterr().out)
        assert not verdict["has_held"]
        (outcome,) = verdict["attacks"]
        assert (outcome["name"], outcome["rounds_broken"]) == (name, 1)
        first = outcome["violations"][0]
        assert first["broken"] == broken
        assert len({step["who"] for step in first["history"]}) > 1


@pytest.mark.parametrize(
    "wish",
    [
        Wish(url="http://127.0.0.1:1", rounds=1),
        Wish(key="staff", rounds=1),
        Wish(names=("no-such-attack",), rounds=1),
    ],
)
def test_a_wish_that_makes_no_sense_is_wrong_usage(wish: Wish) -> None:
    with pytest.raises(Failure) as refused:
        attack(wish)
    assert refused.value.exit_code == 2


def test_a_shop_that_is_not_there_is_not_available() -> None:
    with pytest.raises(Failure) as refused:
        attack(Wish(url="http://127.0.0.1:1", key="staff", names=("stale-edits",), rounds=1))
    assert refused.value.exit_code == 3


def test_what_needs_more_than_is_known_is_not_tried_and_said_so(
    postgres: EmbeddedPostgres,
    database_name: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with open_shop(postgres, database_name, tmp_path) as (_, wish):
        names = ("tenancy", "callbacks-repeated", "stale-edits")
        attack(msgspec.structs.replace(wish, other_key=None, callback_secret=None, names=names))
        verdict = json.loads(capsys.readouterr().out)
        lacks = {outcome["name"]: outcome["lacks"] for outcome in verdict["attacks"]}
        assert lacks == {
            "callbacks-repeated": "the callback secret",
            "stale-edits": None,
            "foreign-ids": "another tenant",
            "foreign-keys": "another tenant",
            "foreign-stock": "another tenant",
        }
