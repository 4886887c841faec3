"""A child's lifeline: standard input, whose other end whoever started it holds for life.

It closes when the holder ends, however the holder ends, so nobody is left behind to hold a port.
"""

import asyncio
import os
import sys
from collections.abc import Callable
from typing import Final

READ_BYTES: Final = 64


def watch_lifeline(on_end: Callable[[], object]) -> None:
    """Calls `on_end`, once, when standard input closes; what comes through it is of no interest."""
    loop = asyncio.get_running_loop()
    lifeline = sys.stdin.fileno()

    def look() -> None:
        if not os.read(lifeline, READ_BYTES):
            loop.remove_reader(lifeline)
            on_end()

    loop.add_reader(lifeline, look)
