"""`serai run --demo` as a user starts it: real processes, a real database, the public API."""

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.processes import Answer, ask, environment, free_ports, serai, wait_until
from tests.e2e.shop import bearer, keyed, order_of

STOP_TIMEOUT_S = 60.0
DATA = ".serai"
GOODS = 62
SKUS = 119
TERMINAL_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Demo:
    """A `serai run --demo` in a folder of its own; told what it wrote, and asked over its API."""

    def __init__(self, folder: Path, *words: str, terminal: int | None = None) -> None:
        self.folder = folder
        self.data = folder / DATA
        self.written = folder / "output.txt"
        port, worker_port = free_ports(2)
        self.url = f"http://127.0.0.1:{port}"
        own = environment(data_dir=DATA, port=str(port), worker_port=str(worker_port))
        # A terminal has a size of its own, which the environment must not gainsay.
        own = {**own, "TERM": "xterm-256color"}
        del own["COLUMNS"]
        with self.written.open("ab") as file:
            output = file if terminal is None else terminal
            self.process = subprocess.Popen(
                [sys.executable, "-m", "serai", "run", "--demo", *words],
                cwd=folder, env=own, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip

    def wait_for(self, words: str) -> None:
        """Waits until it has written these words; fails at once when it has ended."""

        def is_there() -> bool:
            return words in self.text() or self.process.poll() is not None

        wait_until(is_there, f"{words!r} in what it writes")
        assert words in self.text(), f"it ended:\n{self.text()}"

    def text(self) -> str:
        return self.written.read_text("utf-8", "replace")

    @property
    def kept(self) -> dict[str, str]:
        """The tenant and the key that it keeps for its next run."""
        kept: dict[str, str] = json.loads((self.data / "demo.json").read_bytes())
        return kept

    def ask(self, path: str) -> Answer:
        return ask(f"{self.url}{path}", key=self.kept["key"])

    def orders(self) -> dict[str, int]:
        """Orders by status; none while the API is away."""
        answer = self.ask("/v1/order-totals")
        return {row["status"]: row["orders"] for row in answer.json} if answer.status else {}

    def stop(self) -> int:
        """Ends it as Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(STOP_TIMEOUT_S)

    def end(self) -> None:
        """Ends it for good, whatever became of the test."""
        if self.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.stop()
            self.process.kill()
            self.process.wait()


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short and open to the user that PostgreSQL runs as, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="serai-demo-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    """A busy demo shop, shared by the tests that only look or do no lasting harm."""
    with tempfile.TemporaryDirectory(prefix="serai-demo-") as name:
        Path(name).chmod(0o755)
        running = Demo(Path(name))
        try:
            running.wait_for("try: curl")
            yield running
        finally:
            running.end()


def test_the_shop_has_goods_stock_and_a_key_for_its_owner_only(demo: Demo) -> None:
    assert len(demo.ask("/v1/products?limit=200").json["items"]) == GOODS
    assert len(demo.ask("/v1/stock-items?limit=200").json["items"]) == SKUS
    assert demo.ask("/v1/tenant").json["tenant"]["name"] == "demo"
    for name in ("demo.json", "demo.header"):
        assert stat.S_IMODE((demo.data / name).stat().st_mode) == 0o600


def test_the_command_that_it_shows_works_as_it_stands(demo: Demo) -> None:
    assert f"try: curl -H @{DATA}/demo.header {demo.url}/v1/order-totals\n" in demo.text()
    header = (demo.data / "demo.header").read_text("ascii")
    assert header == f"Authorization: Bearer {demo.kept['key']}\n"


def test_every_product_shows_a_picture_that_the_api_serves(demo: Demo) -> None:
    for item in demo.ask("/v1/products?limit=200").json["items"]:
        answer = ask(item["picture"])
        assert (answer.status, answer.headers["content-type"]) == (200, "image/svg+xml")
    unknown = ask(f"{demo.url}/media/demo/nothing.svg")
    assert (unknown.status, unknown.json["code"]) == (404, "not_found")


def test_buyers_keep_it_busy_and_every_unit_is_accounted_for(demo: Demo) -> None:
    wait_until(lambda: demo.orders().get("confirmed", 0) >= 30, "30 confirmed orders")
    demo.wait_for("dead letters 0, oversold 0; API up")
    for item in demo.ask("/v1/stock-items?limit=200").json["items"]:
        units = [item[name] for name in ("available", "reserved", "sold", "written_off")]
        assert sum(units) == item["received"]
        assert min(units) >= 0
    check = serai("check", "--json", cwd=demo.folder, data_dir=DATA)
    assert check.code == 0, check.out


def test_buyers_come_back_after_the_api_and_the_worker_were_killed(demo: Demo) -> None:
    wait_until(lambda: demo.orders().get("confirmed", 0) > 0, "a first order")
    before = demo.orders()["confirmed"]
    runtime: dict[str, Any] = json.loads((demo.data / "runtime.json").read_bytes())
    os.kill(runtime["api_pid"], signal.SIGKILL)
    os.kill(runtime["worker_pid"], signal.SIGKILL)
    wait_until(lambda: demo.orders().get("confirmed", 0) >= before + 20, "20 more orders")
    demo.wait_for("API up (restarts: 1)")
    assert demo.process.poll() is None


def test_a_second_run_finds_the_shop_as_it_was_left(folder: Path) -> None:
    first = Demo(folder, "--no-traffic")
    try:
        first.wait_for("try: curl")
        kept = first.kept
        order = order_of("MAP-WELLS")
        headers = {**bearer(kept["key"]), **keyed()}
        posted = httpx.post(f"{first.url}/v1/orders", json=order, headers=headers)
        assert posted.status_code == 201, posted.text
        wait_until(lambda: first.orders() == {"confirmed": 1}, "its confirmation")
        assert first.stop() == 0
        assert "placed 1, confirmed 1, cancelled 0; in flight 0" in first.text()
    finally:
        first.end()
    board = see_board(folder)
    assert json.loads((folder / DATA / "demo.json").read_bytes()) == kept
    # The order is of all time, and not of this run; and nothing is sold twice or received anew.
    for words in ("placed 0 1", "confirmed 0 1", "cancelled 0 0", "oversold units 0"):
        assert words in board


def see_board(folder: Path) -> str:
    """Runs the demo on a terminal of 80 x 24 until its board knows all; what was drawn."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    os.set_blocking(ours, False)
    second = Demo(folder, "--no-traffic", terminal=theirs)
    os.close(theirs)
    drawn = bytearray()

    def reads() -> str:
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(ours, 1 << 16):
                drawn.extend(piece)
        return plain(drawn)

    try:
        wait_until(lambda: "oversold units 0" in reads(), "a board that knows the stock")
        assert second.orders() == {"confirmed": 1}
        items = second.ask("/v1/products?limit=200").json["items"]
        assert len(items) == GOODS
        # Its ports are others than the first run's, and the pictures have moved with it.
        assert {item["picture"].startswith(second.url) for item in items} == {True}
        stock = second.ask("/v1/stock-items?sku=MAP-WELLS").json["items"]
        assert [item["sold"] for item in stock] == [1]
        second.process.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):  # EIO: whoever had the terminal is gone
            wait_until(lambda: bool(reads()) and second.process.poll() is not None, "its end")
            reads()
        assert second.process.wait(STOP_TIMEOUT_S) == 0
    finally:
        second.end()
        os.close(ours)
    # The board had a screen of its own; what stood on the terminal before is back.
    assert drawn.count(b"\x1b[?1049h") == drawn.count(b"\x1b[?1049l") == 1
    return plain(drawn)


def plain(drawn: bytearray) -> str:
    """What was drawn, without colours and frames, and with single spaces."""
    text = TERMINAL_SEQUENCE.sub(" ", drawn.decode("utf-8", "replace"))
    return " ".join(text.replace("│", " ").split())
