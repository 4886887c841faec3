"""Shows a person which step a long command is at; a script sees nothing of it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from serai.cli import console

REFRESHES_A_SECOND = 2
"""Drawing costs processor time, and what is measured shares the processor."""


class Steps:
    """A list of steps with their times; the bar of a step with a known length fills with time."""

    def __init__(self, *, is_shown: bool) -> None:
        self.prefix = ""
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            console=console.err,
            disable=not is_shown,
            refresh_per_second=REFRESHES_A_SECOND,
        )

    @contextlib.asynccontextmanager
    async def shown(self) -> AsyncIterator["Steps"]:
        """Takes the end of the terminal as long as the command runs."""
        with self._progress:
            yield self

    @contextlib.asynccontextmanager
    async def step(self, text: str, seconds: float | None = None) -> AsyncIterator[None]:
        """One step; `seconds` is how long it is going to take, where that is known."""
        shown = self._progress.add_task(f"{self.prefix}{text}", total=seconds)
        filling = asyncio.create_task(self._fill(shown)) if seconds else None
        try:
            yield
        finally:
            if filling is not None:
                filling.cancel()
        self._progress.update(shown, total=seconds or 1, completed=seconds or 1)

    async def _fill(self, shown: TaskID) -> None:
        began = time.monotonic()
        while True:
            await asyncio.sleep(1 / REFRESHES_A_SECOND)
            self._progress.update(shown, completed=time.monotonic() - began)
