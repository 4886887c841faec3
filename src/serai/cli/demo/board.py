"""Runs the demo: opens its shop, lets buyers in, and shows a live board until told to stop."""

import asyncio
import logging
import os
import shlex
import time
from pathlib import Path
from random import Random
from typing import Final

import httpx
from rich.console import Console, RenderableType
from rich.live import Live

from serai.cli.children import Child
from serai.cli.console import err, out
from serai.cli.demo.api import Api, GivenUp, rest
from serai.cli.demo.buyers import Crowd
from serai.cli.demo.panels import draw, tell
from serai.cli.demo.scene import Addresses, PartRow, Scene, Standing
from serai.cli.demo.shop import DemoShop, create_demo_shop
from serai.cli.demo.tally import Tally
from serai.cli.demo.traffic import Traffic
from serai.cli.demo.watch import Watcher
from serai.cli.supervise import Supervisor
from serai.kernel.clock import SystemClock
from serai.kernel.db import Database
from serai.kernel.failure import Unavailable
from serai.roles.composition import compose
from serai.roles.connection import open_database

DRAW_EVERY_S: Final = 0.5
TELL_EVERY_S: Final = 5.0
POOL_MAX: Final = 2
LOOK_TRIES_MAX: Final = 3
TITLE: Final = "demo shop"
NO_TRAFFIC: Final = "no buyers: the shop is yours"
_TITLES: Final = {"api": "API"}


class Board:
    """The running demo as a scene of each moment."""

    def __init__(
        self, supervisor: Supervisor, shop: DemoShop, watcher: Watcher, traffic: Traffic | None
    ) -> None:
        self._supervisor = supervisor
        self._shop = shop
        self._watcher = watcher
        self._traffic = traffic
        self._began = time.monotonic()
        self._addresses = Addresses(
            api=supervisor.api_url,
            docs=f"{supervisor.api_url}/docs",
            metrics=f"{supervisor.worker_url}/metrics",
            curl=f"curl -H @{shlex.quote(_shortest(shop.header_path))} "
            f"{supervisor.api_url}/v1/order-totals",
        )

    def scene(self) -> Scene:
        """What is to be seen now."""
        watcher, tally, traffic = self._watcher, self._watcher.tally, self._traffic
        return Scene(
            title=TITLE,
            addresses=self._addresses,
            up_s=time.monotonic() - self._began,
            parts=self._parts(),
            this_run=tally.standing,
            all_time=watcher.all_time,
            reasons=dict(tally.reasons),
            in_flight=watcher.in_flight,
            orders_per_s=tuple(watcher.orders.rates),
            events_per_s=tuple(watcher.events.rates),
            answer_ms=self._shop.api.answer_ms,
            dead_letters=watcher.dead_letters,
            oversold_units=watcher.oversold_units,
            shipped=tally.shipped,
            returned=tally.returned,
            buyers=NO_TRAFFIC if traffic is None else traffic.tell(),
            stock=watcher.stock,
            sold_out=watcher.sold_out,
            orders=tally.last_orders(SystemClock().now()),
            note=watcher.note or ("" if traffic is None else traffic.trouble),
        )

    def _parts(self) -> tuple[PartRow, ...]:
        parts = [
            PartRow(_TITLES.get(child.name, child.name), _standing(child), child.restarts)
            for child in self._supervisor.children.values()
        ]
        return (*parts, PartRow("database", "up" if self._watcher.hears else "not ready"))


async def run_demo(
    supervisor: Supervisor, *, traffic: bool, stop: asyncio.Event, console: Console = out
) -> None:
    """Opens the demo shop on a running installation and shows it until `stop` is set."""
    assert supervisor.urls is not None, "the installation is started first"
    _log_to(supervisor.log_path("board"))
    database = await open_database(supervisor.urls.app_url, pool_max=POOL_MAX)
    try:
        tenancy = compose(supervisor.settings, database).tenancy
        with err.status("Opening the demo shop ..."):
            shop = await create_demo_shop(
                tenancy,
                api_url=supervisor.api_url,
                data_path=supervisor.settings.data_path,
                stop=stop,
            )
        await _keep_open(supervisor, shop, database, traffic=traffic, stop=stop, console=console)
    except (GivenUp, httpx.HTTPStatusError) as error:
        if not stop.is_set():
            raise Unavailable(f"the demo shop cannot be opened: {error}") from error
    finally:
        await database.close()


async def _keep_open(
    supervisor: Supervisor,
    shop: DemoShop,
    database: Database,
    *,
    traffic: bool,
    stop: asyncio.Event,
    console: Console,
) -> None:
    shelves = {sku: units for ware in shop.goods for sku, units in ware.stock.items()}
    titles = {sku: ware.title for ware in shop.goods for sku in ware.stock}
    # The board looks again soon anyway, so its own calls do not insist for long.
    eyes = Api(supervisor.api_url, shop.key, stop=stop, tries_max=LOOK_TRIES_MAX)
    watcher = Watcher(
        api=eyes,
        worker_url=supervisor.worker_url,
        database=database,
        tally=Tally(shop.tenant_id, titles),
        shelves=shelves,
    )
    chance = Random()  # noqa: S311 - it makes up buyers, not secrets
    crowd = Traffic(shop.api, Crowd(shop.goods, chance), shelves, chance=chance)
    board = Board(supervisor, shop, watcher, crowd if traffic else None)
    try:
        await watcher.begin()
        async with asyncio.TaskGroup() as group:
            group.create_task(watcher.watch(stop))
            group.create_task(run_board(board, console=console, stop=stop))
            if traffic:
                group.create_task(crowd.run(stop))
        await watcher.end()
        console.print(tell(board.scene()), soft_wrap=True, highlight=False)
    finally:
        await eyes.close()
        await shop.api.close()


async def run_board(board: Board, *, console: Console, stop: asyncio.Event) -> None:
    """Draws the board on a terminal, twice a second; elsewhere says a line every five seconds."""
    if not console.is_terminal or console.is_dumb_terminal:
        await _tell_lines(board, console, stop)
        return

    def drawn() -> RenderableType:
        return draw(board.scene(), width=console.width, height=console.height)

    # Drawn by us and not by Rich's thread: what is drawn changes between two steps of this loop.
    with Live(drawn(), console=console, screen=True, auto_refresh=False) as live:
        while not stop.is_set():
            live.update(drawn(), refresh=True)
            await rest(DRAW_EVERY_S, stop)


async def _tell_lines(board: Board, console: Console, stop: asyncio.Event) -> None:
    addresses = board.scene().addresses
    for line in (
        f"The demo shop is open: {addresses.api}",
        f"docs: {addresses.docs}  metrics: {addresses.metrics}",
        f"try: {addresses.curl}",
    ):
        console.print(line, soft_wrap=True, highlight=False)
    while not stop.is_set():
        await rest(TELL_EVERY_S, stop)
        if not stop.is_set():
            console.print(tell(board.scene()), soft_wrap=True, highlight=False)


def _log_to(path: Path) -> None:
    """Lets libraries warn in a file: the terminal is drawn on."""
    path.parent.mkdir(exist_ok=True)
    handler = logging.FileHandler(path, delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    handler.setLevel(logging.WARNING)
    logging.getLogger().addHandler(handler)


def _standing(child: Child) -> Standing:
    if child.is_ready:
        return "up"
    return "restarting" if child.pid is None else "not ready"


def _shortest(path: Path) -> str:
    """The path as it is typed from where we are, if that is shorter."""
    near = os.path.relpath(path)
    return near if len(near) < len(str(path)) else str(path)
