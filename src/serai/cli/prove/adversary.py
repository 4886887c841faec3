"""Does the faults of the plan, each at its moment, and undoes them all when it is over."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any, Final

import asyncpg
import psutil

from serai.cli.prove.ground import CONNECTIONS_MAX, Ground
from serai.cli.prove.history import Happening, History, Strike
from serai.cli.prove.members import Member
from serai.cli.prove.plan import Fault
from serai.kernel.embedded import EmbeddedError

FIND_TIMEOUT_S: Final = 5.0
"""How long a kill waits for its victim to exist: it may just be resting between two lives."""
FIND_POLL_S: Final = 0.02
CONNECT_TIMEOUT_S: Final = 2.0
DATABASE_TRIES_MAX: Final = 20
DATABASE_PAUSE_S: Final = 0.5

Now = Callable[[], float]


class Adversary:
    """Strikes the ground by plan; what it did, and when, goes into the history."""

    def __init__(self, ground: Ground, history: History, now: Now) -> None:
        self._ground = ground
        self._history = history
        self._now = now
        self._undoing: set[asyncio.Task[None]] = set()

    async def carry_out(self, faults: tuple[Fault, ...]) -> None:
        """Every fault at its moment; one that takes a while does not hold up the next."""
        for fault in faults:
            await asyncio.sleep(max(0.0, fault.at_s - self._now()))
            self._start(self._strike(fault))

    async def relent(self) -> None:
        """Waits for what was begun, heals every link and puts every clock right."""
        await asyncio.gather(*self._undoing)
        for link in self._ground.links.values():
            link.heal()
        skewed = [member for member in self._ground.members.values() if member.is_skewed]
        await asyncio.gather(*(member.renew() for member in skewed))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._undoing.add(task)

    def _note(self, fault: Fault, note: str = "") -> None:
        self._history.strikes.append(Strike(fault, self._now(), note))

    async def _strike(self, fault: Fault) -> None:
        match fault.kind:
            case "api_killed" | "worker_killed":
                await self._kill(fault, self._ground.members[fault.target])
            case "clock_moved":
                member = self._ground.members[fault.target]
                member.clock_offset_s = fault.amount
                await self._kill(fault, member)
            case "worker_frozen":
                await self._freeze(fault, self._ground.members[fault.target])
            case "postgres_killed":
                await self._kill_database(fault)
            case "pool_filled":
                await self._fill_pool(fault)
            case "link_cut" | "link_delayed" | "link_stalled" | "link_half_closed":
                await self._disturb(fault)
            case _:
                self._note(fault)  # the cards of the orders of this moment are the fault

    async def _kill(self, fault: Fault, member: Member) -> None:
        pid = await _find(lambda: member.pid)
        if pid is not None and member.kill(fault.for_s) is not None:
            offset = f", clock {fault.amount:+.1f} s" if fault.kind == "clock_moved" else ""
            self._note(fault, f"process {pid}, back after {fault.for_s:.1f} s{offset}")

    async def _freeze(self, fault: Fault, member: Member) -> None:
        if await _find(lambda: member.pid) is None:
            return
        pid = member.freeze()
        self._note(fault, f"process {pid} for {fault.for_s:.1f} s")
        try:
            await asyncio.sleep(fault.for_s)
        finally:
            member.thaw(pid)

    async def _disturb(self, fault: Fault) -> None:
        link = self._ground.links[fault.target]
        held = f"{link.open_connections} connections"
        match fault.kind:
            case "link_cut":
                link.cut(fault.for_s)
                self._note(fault, f"{held}, none anew for {fault.for_s:.1f} s")
            case "link_delayed":
                link.delay(fault.amount, fault.for_s)
                self._note(fault, f"{fault.amount * 1000:.0f} ms for {fault.for_s:.1f} s")
            case "link_stalled":
                link.stall(fault.for_s)
                self._note(fault, f"{held}, for {fault.for_s:.1f} s")
            case _:
                closed = link.half_close(fault.direction)
                self._note(fault, f"the way {fault.direction} of {closed} connections")
                await asyncio.sleep(fault.for_s)
                link.heal()

    async def _kill_database(self, fault: Fault) -> None:
        """The postmaster and its backends die at once; a supervisor starts it again."""
        postgres = self._ground.postgres
        async with self._ground.database_lock:
            pid = await asyncio.to_thread(lambda: postgres.pid)
            if pid is None:
                return
            backends = _children(pid)
            os.kill(pid, signal.SIGKILL)
            for backend in backends:
                with contextlib.suppress(psutil.NoSuchProcess):
                    backend.kill()
            self._note(fault, f"process {pid} and {len(backends)} backends")
            await asyncio.sleep(fault.for_s)
            await self._start_database()

    async def _start_database(self) -> None:
        for _ in range(DATABASE_TRIES_MAX):
            try:
                await asyncio.to_thread(self._ground.postgres.start, adopt=True)
            except EmbeddedError as error:
                self._tell("postgres", f"did not start: {error}")
                await asyncio.sleep(DATABASE_PAUSE_S)
            else:
                self._tell("postgres", "answers again")
                return
        raise EmbeddedError(f"PostgreSQL does not start after {DATABASE_TRIES_MAX} tries")

    async def _fill_pool(self, fault: Fault) -> None:
        """Takes every connection that PostgreSQL has left, and holds on to them."""
        held: list[Any] = []
        try:
            for _ in range(CONNECTIONS_MAX):
                try:
                    url = self._ground.postgres.app_url()
                    held.append(await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_S))
                except (asyncpg.PostgresError, OSError, TimeoutError, EmbeddedError):
                    break
            self._note(fault, f"{len(held)} connections for {fault.for_s:.1f} s")
            await asyncio.sleep(fault.for_s)
        finally:
            for connection in held:
                connection.terminate()

    def _tell(self, part: str, what: str) -> None:
        self._history.happenings.append(Happening(self._now(), part, what))


async def _find(pid_of: Callable[[], int | None]) -> int | None:
    for _ in range(int(FIND_TIMEOUT_S / FIND_POLL_S)):
        if pid_of() is not None:
            break
        await asyncio.sleep(FIND_POLL_S)
    return pid_of()


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
