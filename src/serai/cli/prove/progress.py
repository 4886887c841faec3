"""Shows how a run goes while it goes: the step, the time, the faults and the orders so far."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from serai.cli.console import err
from serai.cli.prove.history import History

REFRESH_S: Final = 0.5
NAME_WIDTH: Final = 11


class Board:
    """One line for each step on a terminal; where there is none, a line when it begins."""

    def __init__(self, *, is_quiet: bool) -> None:
        self._is_quiet = is_quiet
        self._has_bars = err.is_terminal and not is_quiet
        self._bars = Progress(
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn(f"{{task.description:<{NAME_WIDTH}}}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=err,
            disable=not self._has_bars,
            refresh_per_second=1 / REFRESH_S,
        )
        self._bar = self._bars.add_task("", total=1, note="", visible=False)
        self._total = 1.0

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._end()
        self._bars.stop()

    def start(self, step: str, seconds: float | None = None, note: str = "") -> None:
        """A step begins; the bar of one whose length is known fills with time."""
        self._end()
        self._total = seconds or 1.0
        self._bar = self._bars.add_task(step, total=seconds, note=note)
        if not self._has_bars and not self._is_quiet:
            err.print(f"{step} {note}".rstrip())

    async def follow(self, history: History, now: Callable[[], float]) -> None:
        """Keeps the line true until cancelled."""
        while True:
            self._bars.update(self._bar, completed=min(now(), self._total), note=describe(history))
            await asyncio.sleep(REFRESH_S)

    def _end(self) -> None:
        self._bars.update(self._bar, total=self._total, completed=self._total)


def describe(history: History) -> str:
    """Where a run stands, in a line."""
    acknowledged = sum(1 for _ in history.acknowledged())
    last = history.strikes[-1].fault if history.strikes else None
    what = f"; {last.kind} {last.target}" if last is not None else ""
    return f"{len(history.strikes)} faults, {acknowledged:,} orders acknowledged{what}"
