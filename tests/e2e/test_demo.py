"""`serai run --demo` as a user starts it: real processes, a real database, the public API."""

import contextlib
import fcntl
import json
import os
import pty
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 90.0
WAIT_TIMEOUT_S = 60.0
POLL_S = 0.1
OPEN = "The demo shop is open"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(what: str, is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_TIMEOUT_S
    while not is_so():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {WAIT_TIMEOUT_S:g} s: {what}")
        time.sleep(POLL_S)


class Demo:
    """A running demo: its process, what it wrote, and its API with the key that it keeps."""

    def __init__(self, folder: Path, *words: str, output: int | None = None) -> None:
        self.folder = folder
        self.written = folder / "output.txt"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        ports = ("--port", str(self.port), "--worker-port", str(free_port()))
        with self.written.open("ab") as file:
            self.process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "serai", "run", "--demo", *ports, *words],
                env={
                    **os.environ,
                    "SERAI_DATA_DIR": str(folder),
                    "PYTHONPATH": str(ROOT / "src"),
                    "TERM": "xterm-256color",
                },
                stdin=subprocess.DEVNULL,
                stdout=file if output is None else output,
                stderr=file if output is None else output,
                start_new_session=True,
            )

    def text(self) -> str:
        return self.written.read_text("utf-8", "replace")

    def wait_open(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while OPEN not in self.text():
            if self.process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the demo did not open:\n{self.text()}")
            time.sleep(POLL_S)

    def kept(self) -> dict[str, str]:
        kept: dict[str, str] = json.loads((self.folder / "demo.json").read_bytes())
        return kept

    def runtime(self) -> dict[str, Any]:
        runtime: dict[str, Any] = json.loads((self.folder / "runtime.json").read_bytes())
        return runtime

    def get(self, path: str, **query: str | int) -> Any:
        headers = {"Authorization": f"Bearer {self.kept()['key']}"}
        answer = httpx.get(f"{self.url}{path}", params=query, headers=headers, timeout=10)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def orders(self) -> dict[str, int]:
        """Orders by status; none while the API is away."""
        try:
            return {row["status"]: row["orders"] for row in self.get("/v1/order-totals")}
        except httpx.TransportError:
            return {}

    def stop(self) -> int:
        """Ends it as Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(START_TIMEOUT_S)

    def end(self) -> None:
        """Ends it for good, whatever became of the test."""
        if self.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.stop()
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    with tempfile.TemporaryDirectory(prefix="serai-demo-") as folder:
        running = Demo(Path(folder))
        try:
            running.wait_open()
            yield running
        finally:
            running.end()


def test_the_shop_has_goods_stock_and_a_key_for_its_owner_only(demo: Demo) -> None:
    products = demo.get("/v1/products", limit=200, facets="true")
    assert len(products["items"]) == 62
    stock = demo.get("/v1/stock-items", limit=200)["items"]
    assert len(stock) == 119
    assert demo.get("/v1/tenant")["tenant"]["name"] == "demo"
    for name in ("demo.json", "demo.header"):
        assert stat.S_IMODE((demo.folder / name).stat().st_mode) == 0o600
    header = (demo.folder / "demo.header").read_text()
    assert header == f"Authorization: Bearer {demo.kept()['key']}\n"
    assert f"try: curl -H @{os.path.relpath(demo.folder)}" in demo.text() or (
        f"try: curl -H @{demo.folder}" in demo.text()
    )


def test_every_product_shows_a_picture_that_the_api_serves(demo: Demo) -> None:
    for item in demo.get("/v1/products", limit=200)["items"]:
        answer = httpx.get(item["picture"])
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/svg+xml")
    unknown = httpx.get(f"{demo.url}/media/demo/nothing.svg")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")


def test_buyers_keep_it_busy_and_every_unit_is_accounted_for(demo: Demo) -> None:
    wait_for("30 confirmed orders", lambda: demo.orders().get("confirmed", 0) >= 30)
    wait_for("a line about them", lambda: "oversold 0; API up, worker up" in demo.text())
    for item in demo.get("/v1/stock-items", limit=200)["items"]:
        units = [item[name] for name in ("available", "reserved", "sold", "written_off")]
        assert sum(units) == item["received"]
        assert min(units) >= 0


def test_buyers_come_back_after_the_api_and_the_worker_were_killed(demo: Demo) -> None:
    wait_for("a first order", lambda: demo.orders().get("confirmed", 0) > 0)
    before = demo.orders()
    runtime = demo.runtime()
    os.kill(runtime["api_pid"], signal.SIGKILL)
    os.kill(runtime["worker_pid"], signal.SIGKILL)
    wait_for(
        "20 more confirmed orders",
        lambda: demo.orders().get("confirmed", 0) >= before["confirmed"] + 20,
    )
    wait_for("a line about the restarts", lambda: "API up (restarts: 1)" in demo.text())
    assert demo.process.poll() is None


def test_a_second_run_finds_the_shop_as_it_was_left() -> None:
    with tempfile.TemporaryDirectory(prefix="serai-demo-") as name:
        folder = Path(name)
        first = Demo(folder, "--no-traffic")
        try:
            first.wait_open()
            kept = first.kept()
            order = {
                "currency": "EUR",
                "lines": [{"sku": "MAP-WELLS", "quantity": 1}],
                "payment": {"card": "4000009901000003"},
            }
            headers = {"Authorization": f"Bearer {kept['key']}", "Idempotency-Key": "one"}
            posted = httpx.post(f"{first.url}/v1/orders", json=order, headers=headers)
            assert posted.status_code == 201, posted.text
            wait_for("its confirmation", lambda: first.orders() == {"confirmed": 1})
            assert first.stop() == 0
            assert "placed 1, confirmed 1, cancelled 0; in flight 0" in first.text()
        finally:
            first.end()
        board = see_board(folder)
        assert json.loads((folder / "demo.json").read_bytes()) == kept
        # The order is of all time, and not of this run.
        assert "placed          0          1" in board
        assert "confirmed          0          1" in board
        assert "oversold units       0" in board


def see_board(folder: Path) -> str:
    """Runs the demo on a terminal of 80 x 24 until its board is drawn; the last board's text."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    second = Demo(folder, "--no-traffic", output=theirs)
    os.close(theirs)
    os.set_blocking(ours, False)
    seen = b""

    def sees_board() -> bool:
        nonlocal seen
        with contextlib.suppress(BlockingIOError):
            seen += os.read(ours, 1 << 16)
        return plain(seen).count("oversold units       0") > 1

    try:
        wait_for("a board", sees_board)
        assert second.orders() == {"confirmed": 1}
        os.set_blocking(ours, True)
        second.process.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):  # EIO: the last one that had the terminal has closed it
            while more := os.read(ours, 1 << 16):
                seen += more
        assert second.process.wait(START_TIMEOUT_S) == 0
    finally:
        second.end()
        os.close(ours)
    # The board had a screen of its own, and what stood on the terminal before is back.
    assert seen.count(b"\x1b[?1049h") == seen.count(b"\x1b[?1049l") == 1
    return plain(seen)


def plain(raw: bytes) -> str:
    """What was written to a terminal, without its colours and with single frames left out."""
    text = raw.decode("utf-8", "replace")
    parts = text.split("\x1b[")
    bare = [parts[0], *(part.lstrip("0123456789;?")[1:] for part in parts[1:])]
    return "".join(bare)
