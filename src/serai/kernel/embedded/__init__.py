"""Runs a real PostgreSQL in a folder of its own, so that one command is enough to start a shop.

It owns the data folder, the private socket folder and the server process; it does not own tables
or connections. Everything here blocks: call it at process start, or through `asyncio.to_thread`.
Processes that start the same folder at once are put in a row: the first starts the server, the
others attach to it. The server outlives us on purpose: after a kill -9 the next start finds it.
"""

from serai.kernel.embedded.account import EmbeddedError
from serai.kernel.embedded.binaries import Binaries, find_binaries, fsync_microseconds
from serai.kernel.embedded.rights import APP_ROLE, DATABASE, OWNER_ROLE
from serai.kernel.embedded.server import EmbeddedPostgres, reachable_data_dir

__all__ = [
    "APP_ROLE",
    "DATABASE",
    "OWNER_ROLE",
    "Binaries",
    "EmbeddedError",
    "EmbeddedPostgres",
    "find_binaries",
    "fsync_microseconds",
    "reachable_data_dir",
]
