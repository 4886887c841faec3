"""`serai replay` with real processes: every figure agrees, whatever is killed on the way."""

import gzip
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serai.cli.replay.figures import figures_of, read_expectations
from serai.cli.replay.plan import Planner
from serai.cli.replay.reader import read_rows
from tests.e2e.processes import ROOT, Done, ask, environment, free_ports, serai, wait_until

DATA = ROOT.parent / "shared" / "data" / "online-retail"
HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
STOP_TIMEOUT_S = 60.0
CHAOS_ORDERS = 1_200
CHAOS_SKUS = 40

ROWS = """\
1001,85123A,WHITE HANGING HEART,6,2010-12-01 08:26:00,2.55,17850,United Kingdom
1001,85123a,white hanging heart,2,2010-12-01 08:26:00,0.125,17850,United Kingdom
1001,85123A,WHITE HANGING HEART,4,2010-12-01 08:26:00,2.10,17850,United Kingdom
1002,BANK CHARGES,"BIG ""RED"", LAMP £40",3,2010-12-01 08:28:00,10,,Côte d'Ivoire
1003,22423,,-20,2010-12-01 08:30:00,0,,United Kingdom
1004,22423,found,12,2010-12-01 08:31:00,0.00,,United Kingdom
1005,22423,REGENCY CAKESTAND,1,2010-12-01 08:32:00,0,17850,United Kingdom
1006,71053,LANTERN,seven,2010-12-01 08:33:00,3.39,17850,United Kingdom
1006,71053,LANTERN,7,2010-12-01 08:33:00,free,17850,United Kingdom
1006,71053,LANTERN
C1007,85123A,WHITE HANGING HEART,-7,2010-12-02 08:26:00,2.55,17850,United Kingdom
C1007,85123A,WHITE HANGING HEART,-9,2010-12-02 08:26:00,2.55,17850,United Kingdom
C1007,85123a,white hanging heart,-1,2010-12-02 08:26:00,0.125,17850,United Kingdom
C1008,22423,REGENCY CAKESTAND,-1,2010-12-02 08:26:00,1,99,United Kingdom
C1009,22423,REGENCY CAKESTAND,-1,2010-12-02 08:26:00,1,,United Kingdom
A1010,B,Adjust bad debt,1,2010-12-02 08:26:00,-11062.06,,United Kingdom
"""
# Worked out by hand: 6 x 2.55 + 2 x 0.125 + 4 x 2.10 = 15.30 + 0.25 + 8.40 for order 1001, 30.00
# for 1002 and nothing for 1005. Seven units come back as 6 at 2.55 and 1 at 2.10, then the 3 at
# 2.10 that are left of the nine that are asked for, and one at 0.125, which is rounded up.
EXPECTED = {
    "skus": 5,
    "orders": 3,
    "order_lines": 5,
    "customers": 1,
    "guest_orders": 1,
    "units_sold": 16,
    "revenue_minor": 5395,
    "received_units": 12,
    "written_off_units": 20,
    "skipped_rows": 1,
    "returns": {
        "full": 2,
        "partial": 1,
        "unmatched": 1,
        "without_customer": 1,
        "units_returned": 11,
        "refund_minor": 2383,
    },
    "top_skus": [["85123A", 10], ["BANK CHARGES", 3], ["85123a", 2], ["22423", 1]],
    "movements_sha256": "bb81321819c40f33ee29a623b560a6c4c3e5c22a30e05a6570c6b356d5af85d4",
}


class Installation:
    """A `serai run`, whose processes are killed at will."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        port, worker_port = free_ports(2)
        self.settings = {
            "data_dir": str(folder / "data"),
            "port": str(port),
            "worker_port": str(worker_port),
        }
        self.base = f"http://127.0.0.1:{port}"
        with (folder / "run.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "serai", "run", "--json"],
                cwd=folder,
                env=environment(**self.settings),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_until(lambda: bool(self.runtime()), "the installation is ready")

    def runtime(self) -> dict[str, Any]:
        """The file by which a running installation is found."""
        path = self.folder / "data" / "runtime.json"
        found: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {}
        return found

    def kill(self, part: str) -> None:
        """Ends a process as kill -9 does; the supervisor starts it again."""
        os.kill(self.runtime()[f"{part}_pid"], signal.SIGKILL)

    def replay(self, *words: str) -> Done:
        """Replays into it, to the end."""
        return serai("replay", *words, "--json", cwd=self.folder, **self.settings)

    def begin(self, *words: str) -> subprocess.Popen[bytes]:
        """Begins a replay into it."""
        return subprocess.Popen(
            [sys.executable, "-m", "serai", "replay", *words],
            cwd=self.folder,
            env=environment(**self.settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(STOP_TIMEOUT_S)


@pytest.fixture(scope="module")
def shop() -> Iterator[Installation]:
    with tempfile.TemporaryDirectory(prefix="serai-replay-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        opened = Installation(folder)
        yield opened
        opened.stop()


def write(path: Path, rows: str = ROWS) -> Path:
    path.write_text(f"{HEADER}\n{rows}", "utf-8")
    return path


def found(done: Done) -> dict[str, Any]:
    """Each figure as it was found, the inner ones of the expectations as they stand there."""
    return {line["figure"]: line["found"] for line in done.document["figures"]}


def flat(expected: dict[str, Any]) -> dict[str, Any]:
    values = dict(expected)
    return values | {f"returns.{name}": n for name, n in values.pop("returns").items()}


def test_a_trade_is_replayed_and_its_broken_rows_are_listed(
    shop: Installation, tmp_path: Path
) -> None:
    file, expect = write(tmp_path / "retail.csv"), tmp_path / "expected.json"
    expect.write_text(json.dumps(EXPECTED))
    done = shop.replay(str(file), "--expect", str(expect), "--tenant", "by-hand")
    assert [line for line in done.document["figures"] if not line["ok"]] == []
    assert done.code == 0, done.err
    assert flat(EXPECTED).items() <= found(done).items()
    assert [(p["row"], p["column"], p["code"]) for p in done.document["problems"]] == [
        (9, "Quantity", "bad_quantity"),
        (10, "UnitPrice", "bad_price"),
        (11, None, "wrong_number_of_fields"),
    ]
    assert done.document["refusals"] == []
    assert done.document["check"]["is_clean"] is True
    again = shop.replay(str(file), "--expect", str(expect), "--tenant", "by-hand")
    assert again.code == 0, again.err
    assert found(again) == found(done)


ODD_LINES = 10_001
ODD_ROWS = (
    """\
1,A,THING,2,d,3,7,
1,A,THING,1,d,3,8,
1,A,THING,1,d,3,,
2, A,PADDED,4,d,2.00,7,
2,,NAMELESS,3,d,2.00,7,
3,BIG,SCREWS,2500000,d,0.01,7,
C4,A,THING,5,d,3,7,
C4,A,THING,-6,d,3,7,
C4, A,PADDED,-5,d,2,7,
C4,BIG,SCREWS,-1000001,d,0.01,7,
C4,A,THING,-1,d,3,8,
"""
    + "5,MANY,LEAVES,1,d,0.05,9,\n" * ODD_LINES
    + "C6,MANY,LEAVES,-10001,d,0.05,9,\n"
)
# As the rules have it: the five units that C4 takes once more are a return of -5, and of the 7 that
# customer 7 has then, six come back.
ODD_MOVEMENTS = {
    "": (3, 0), " A": (4, 4), "A": (4, 2), "BIG": (2_500_000, 1_000_001),
    "MANY": (ODD_LINES, ODD_LINES),
}  # fmt: skip
ODD_EXPECTED = {
    "skus": 5,
    "orders": 4,
    "order_lines": 6 + ODD_LINES,
    "customers": 3,
    "guest_orders": 1,
    "units_sold": 2_500_011 + ODD_LINES,
    "revenue_minor": 2_502_600 + 5 * ODD_LINES,
    "received_units": 0,
    "written_off_units": 0,
    "skipped_rows": 0,
    "returns": {
        "full": 5,
        "partial": 1,
        "unmatched": 0,
        "without_customer": 0,
        "units_returned": 1_000_007 + ODD_LINES,
        "refund_minor": 1_001_401 + 5 * ODD_LINES,
    },
    "top_skus": [["BIG", 2_500_000], ["MANY", ODD_LINES], [" A", 4], ["A", 4], ["", 3]],
    "movements_sha256": hashlib.sha256(
        "\n".join(f"{c}:{s}:{r}:0:0" for c, (s, r) in ODD_MOVEMENTS.items()).encode()
    ).hexdigest(),
}


def test_a_file_of_odd_rows_is_replayed_by_the_rules(shop: Installation, tmp_path: Path) -> None:
    file, expect = write(tmp_path / "odd.csv", ODD_ROWS), tmp_path / "expected.json"
    expect.write_text(json.dumps(ODD_EXPECTED))
    done = shop.replay(str(file), "--expect", str(expect), "--tenant", "odd")
    assert [line for line in done.document["figures"] if not line["ok"]] == []
    assert (done.document["problems"], done.document["refusals"]) == ([], [])
    assert done.code == 0, done.err
    again = shop.replay(str(file), "--expect", str(expect), "--tenant", "odd")
    assert (again.code, found(again)) == (0, found(done)), again.err
    scarce = shop.replay(str(file), "--scarce", "0.7")
    assert [line for line in scarce.document["figures"] if not line["ok"]] == []
    assert scarce.code == 0, scarce.err


def test_the_odd_rows_are_expected_by_the_given_rules(tmp_path: Path) -> None:
    if not (DATA / "expected.py").exists():
        pytest.skip("the data folder ../shared/data is not there, so its expected.py is not asked")
    file = write(tmp_path / "odd.csv", ODD_ROWS)
    words = [sys.executable, str(DATA / "expected.py"), str(file)]
    told = subprocess.run(words, capture_output=True, check=True, timeout=STOP_TIMEOUT_S)
    assert json.loads(told.stdout) == ODD_EXPECTED


def test_a_figure_that_does_not_agree_is_told(shop: Installation, tmp_path: Path) -> None:
    packed = tmp_path / "retail.csv.gz"
    packed.write_bytes(gzip.compress(write(tmp_path / "retail.csv").read_bytes()))
    expect = tmp_path / "expected.json"
    expect.write_text(json.dumps({**EXPECTED, "orders": 4}))
    done = shop.replay(str(packed), "--expect", str(expect))
    assert done.code == 1
    assert [line for line in done.document["figures"] if not line["ok"]] == [
        {"figure": "orders", "expected": 4, "found": 3, "ok": False, "said_by": "shop"}
    ]


def test_a_shop_of_other_trade_is_left_alone(shop: Installation, tmp_path: Path) -> None:
    one, other = write(tmp_path / "one.csv"), write(tmp_path / "other.csv", "7,Z,x,1,d,1,,UK\n")
    assert shop.replay(str(one), "--tenant", "in-use").code == 0
    done = shop.replay(str(other), "--tenant", "in-use")
    assert (done.code, done.document["error"]["code"]) == (1, "shop_in_use")
    assert found(shop.replay(str(one), "--tenant", "in-use"))["orders"] == 3


def trade(seed: int) -> str:
    """Made-up orders of regular customers, some of whose goods come back."""
    chance = random.Random(seed)  # noqa: S311 - makes up trade, guards nothing
    rows = []
    for number in range(CHAOS_ORDERS):
        customer = chance.choice(["", "1", "2", "3"])
        for _ in range(chance.randint(1, 8)):
            sku, units = f"S{chance.randrange(CHAOS_SKUS)}", chance.randint(1, 9)
            rows.append(
                f"{number},{sku},THING,{units},d,{chance.randint(1, 999) / 100},{customer},"
            )
        if number % 7 == 0:
            sku, units = f"S{chance.randrange(CHAOS_SKUS)}", chance.randint(1, 30)
            rows += [
                f"C{number},{sku},THING,-{units},d,1,{customer},",
                f"{number}W,{sku},,-3,d,0,,",
            ]
    return "".join(f"{row}\n" for row in rows)


def test_a_replay_in_which_everything_is_killed_ends_with_the_same_figures(
    shop: Installation, tmp_path: Path
) -> None:
    file = write(tmp_path / "chaos.csv", trade(1))
    first = shop.begin(str(file), "--tenant", "chaos")
    try:
        key = ""

        def issued() -> bool:
            nonlocal key
            done = serai("tenant", "key", "chaos", "--json", cwd=shop.folder, **shop.settings)
            key = done.document["key"] if done.code == 0 else ""
            return bool(key)

        def placed(at_least: int) -> bool:
            answer = ask(f"{shop.base}/v1/order-totals", key=key)
            return (
                answer.status == 200 and sum(t["orders"] for t in answer.json) >= at_least
            ) or first.poll() is not None

        wait_until(issued, "the tenant is there")
        wait_until(lambda: placed(1), "the first orders are placed")
        shop.kill("api")
        wait_until(lambda: placed(CHAOS_ORDERS // 2), "half of the orders are placed")
        shop.kill("worker")
        shop.kill("api")
    finally:
        first.kill()
        first.wait(STOP_TIMEOUT_S)
    done = shop.replay(str(file), "--tenant", "chaos")
    assert [line for line in done.document["figures"] if not line["ok"]] == []
    assert done.code == 0, done.err
    assert found(done)["orders"] == CHAOS_ORDERS


def test_a_shop_that_lacks_stock_refuses_cleanly(shop: Installation, tmp_path: Path) -> None:
    file = write(tmp_path / "scarce.csv", trade(2))
    done = shop.replay(str(file), "--scarce", "0.7")
    assert [line for line in done.document["figures"] if not line["ok"]] == []
    assert done.code == 0, done.err
    assert found(done)["orders"] == CHAOS_ORDERS
    assert 0 < done.document["counts"]["orders_refused"] < CHAOS_ORDERS


def test_without_a_running_shop_one_is_started_for_the_replay() -> None:
    with tempfile.TemporaryDirectory(prefix="serai-replay-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        file = write(folder / "retail.csv")
        done = serai("replay", str(file), "--json", cwd=folder, data_dir=str(folder / "data"))
        assert done.code == 0, done.err
        assert found(done)["revenue_minor"] == EXPECTED["revenue_minor"]
        assert not (folder / "data" / "runtime.json").exists()
        assert not (folder / "data" / "postgres" / "postmaster.pid").exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (gzip.compress(f"{HEADER}\n{ROWS}".encode() * 9)[:-30], "cut off before its end"),
        (b"", "is empty"),
        (ROWS.encode(), "the header lacks InvoiceNo"),
    ],
)
def test_a_file_that_cannot_be_replayed_is_refused_before_anything_is_started(
    tmp_path: Path, content: bytes, sentence: str
) -> None:
    file = tmp_path / "retail.csv.gz"
    file.write_bytes(content)
    done = serai("replay", str(file), "--json", cwd=tmp_path, data_dir=str(tmp_path / "data"))
    assert done.code == 2
    assert done.document["error"]["code"] == "bad_file"
    assert sentence in done.document["error"]["detail"]
    assert not (tmp_path / "data").exists()


def test_the_plan_of_the_real_file_comes_to_the_given_figures() -> None:
    path = DATA / "online_retail.csv.gz"
    if not path.exists():
        pytest.skip("the data folder ../shared/data is not there, so the real file is not planned")
    planner = Planner()
    for row in read_rows(path):
        planner.take(row)
    assert planner.plan.problems == []
    assert planner.plan.rows == 541_909
    assert figures_of(planner.plan) == read_expectations(DATA / "expected.json")
