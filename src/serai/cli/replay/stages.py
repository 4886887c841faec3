"""Shows how far a replay is, and remembers how long each of its steps took."""

import time
from types import TracebackType
from typing import Final, Self

import msgspec
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from serai.cli.console import err

NAME_WIDTH: Final = 10
BAR_WIDTH: Final = 24


class Stage(msgspec.Struct, frozen=True):
    """A step that is over."""

    step: str
    parts: int
    seconds: float


class _Rate(ProgressColumn):
    """Parts a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed else "")


class Stages:
    """One bar for each step while it runs; where there is no terminal, a line when it is over."""

    def __init__(self, *, is_quiet: bool) -> None:
        self.stages: list[Stage] = []
        self._is_quiet = is_quiet
        self._has_bars = err.is_terminal and not is_quiet
        self._bars = Progress(
            TextColumn(f"{{task.description:<{NAME_WIDTH}}}"),
            BarColumn(bar_width=BAR_WIDTH), MofNCompleteColumn(),
            _Rate(), TimeElapsedColumn(), TimeRemainingColumn(),
            console=err, disable=not self._has_bars,
        )  # fmt: skip
        self._step = ""
        self._total = 0
        self._began = 0.0
        self._bar = self._bars.add_task("", visible=False)

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

    def start(self, step: str, total: int | None = None) -> None:
        """A step begins, of so many parts if that is known, and the one before it is over."""
        self._end()
        self._step, self._total, self._began = step, total or 0, time.monotonic()
        self._bar = self._bars.add_task(step, total=total)

    def advance(self, parts: int = 1) -> None:
        """Parts of the step are done."""
        self._bars.advance(self._bar, parts)

    def reach(self, done: int) -> None:
        """So many parts of the step are done."""
        self._bars.update(self._bar, completed=done)

    def _end(self) -> None:
        if not self._step:
            return
        seconds = time.monotonic() - self._began
        self.stages.append(Stage(self._step, self._total, round(seconds, 3)))
        self._bars.update(self._bar, total=self._total, completed=self._total)
        if not self._has_bars and not self._is_quiet:
            err.print(f"{self._step:<{NAME_WIDTH}} {self._total:>7,} in {seconds:,.1f} s")
        self._step = ""
