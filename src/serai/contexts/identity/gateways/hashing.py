"""Argon2id (RFC 9106) in a few threads of its own, so that neither the loop nor the shop waits."""

import asyncio
import contextlib
import os
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import argon2
from argon2 import low_level
from argon2.exceptions import InvalidHashError, VerificationError

from serai.kernel.failure import Unavailable

HASHES_WAITING_MAX: Final = 32
"""Passwords that may wait for a thread; the next one is told to come again."""
RETRY_AFTER_S: Final = 2
NICENESS: Final = 10
"""How far these threads stand back: where cores are scarce, orders come before logins."""
MEMORY_KIB_MIN: Final = 8
"""What Argon2 takes for each lane at least."""
_PROBE: Final = secrets.token_urlsafe(16)

T = TypeVar("T")


class ArgonHashing:
    """The port Hashing. A thread is busy with one password at a time and holds its memory."""

    def __init__(self, *, memory_kib: int, passes: int, lanes: int, at_once: int) -> None:
        self._hasher = argon2.PasswordHasher(
            time_cost=passes, memory_cost=memory_kib, parallelism=lanes
        )
        self._threads = ThreadPoolExecutor(
            at_once, thread_name_prefix="argon2", initializer=_stand_back
        )
        self._places = at_once + HASHES_WAITING_MAX
        self._taken = 0
        self._lock = threading.Lock()
        self._decoy: str | None = None

    async def hash(self, password: str) -> str:
        return await self._run(lambda: self._hasher.hash(password))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        return await self._run(lambda: self._verify(password_hash, password))

    def is_outdated(self, password_hash: str) -> bool:
        return self._hasher.check_needs_rehash(password_hash)

    def close(self) -> None:
        """Takes no more work; what is being hashed is let go."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, password_hash: str | None, password: str) -> bool:
        # Made before the first of any kind, so that it makes no difference whose comes first.
        decoy = self._make_decoy()
        try:
            self._hasher.verify(password_hash or decoy, password)
        except (VerificationError, InvalidHashError):
            return False
        finally:
            if password_hash is not None:
                self._make_up_for(password_hash)
        return password_hash is not None

    def _make_up_for(self, password_hash: str) -> None:
        """Works on for as long as a hash of before was cheaper than one of now.

        Else the time would tell that there is an account whose password has not come for long.
        What a hash costs goes by its memory times its passes.
        """
        try:
            had = argon2.extract_parameters(password_hash)
        except InvalidHashError:
            return
        now = self._hasher
        missing = now.memory_cost * now.time_cost - had.memory_cost * had.time_cost
        memory = missing // now.time_cost
        if memory >= MEMORY_KIB_MIN * now.parallelism:
            low_level.hash_secret_raw(
                _PROBE.encode(), _PROBE.encode(), time_cost=now.time_cost, memory_cost=memory,
                parallelism=now.parallelism, hash_len=now.hash_len, type=now.type,
            )  # fmt: skip

    def _make_decoy(self) -> str:
        with self._lock:
            if self._decoy is None:
                self._decoy = self._hasher.hash(_PROBE)
            return self._decoy

    async def _run(self, work: Callable[[], T]) -> T:
        if self._taken >= self._places:
            raise Unavailable("too many passwords are being checked", retry_after_s=RETRY_AFTER_S)
        loop = asyncio.get_running_loop()
        self._taken += 1
        # Counted until the thread is done with it: who hangs up does not make room by that.
        future = self._threads.submit(work)
        future.add_done_callback(lambda _: _tell(loop, self._leave))
        return await asyncio.wrap_future(future)

    def _leave(self) -> None:
        self._taken -= 1


def _tell(loop: asyncio.AbstractEventLoop, done: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended before its threads
        loop.call_soon_threadsafe(done)


def _stand_back() -> None:
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
