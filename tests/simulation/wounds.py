"""The faults that strike at once, as the world suffers them, and how each is undone."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Protocol

from serai.kernel.pool import IDLE_IN_TRANSACTION_TIMEOUT_MS
from tests.simulation.adversary import Adversary
from tests.simulation.database import Server
from tests.simulation.house import Process
from tests.simulation.loop import Owner
from tests.simulation.plan import GROUPS, Fault
from tests.simulation.storage import Storage

OUTAGE_SHARE = 0.25
"""How long the database is away, as a share of the fault's length."""
STALL_SHARE = 0.25
JUMP_FACTOR = 4
DAYS = timedelta(days=2)
AFTER_DAYS_S = 0.5
REWIND_POLL_S = 0.001


class Wounded(Protocol):
    """What of the world can be struck."""

    skew: timedelta
    server: Server
    storage: Storage
    adversary: Adversary

    def note(self, kind: str, detail: str) -> None: ...

    def living(self, kind: str) -> list[Process]: ...

    def crash(self, owner: Owner, after_s: float) -> None: ...

    def wake(self, process: Process) -> None: ...

    def after(self, delay_s: float, do: Callable[..., object], *args: Any) -> None: ...


class Wounds:
    """Strikes one world."""

    def __init__(self, world: Wounded) -> None:
        self._world = world
        self._strikes: dict[str, Callable[[Fault], None]] = {
            "crash_api": self._crash,
            "crash_worker": self._crash,
            "freeze_api": self._freeze,
            "freeze_worker": self._freeze,
            "stall": self._stall,
            "db_crash": self._crash_server,
            "notices_lost": self._lose_notices,
            "clock_jump": self._move_clock,
            "days_pass": self._let_days_pass,
            "rewind": lambda fault: self._rewind(GROUPS[fault.target % len(GROUPS)]),
        }

    def strike(self, fault: Fault) -> None:
        """Carries out a fault that does not lie in wait."""
        self._strikes[fault.kind](fault)

    def crash(self, owner: Owner, after_s: float) -> None:
        """Kills a process, which is started anew after a while."""
        self._world.crash(owner, after_s)

    def freeze(self, owner: Owner, length_s: float) -> None:
        """Stops a process for a while; what it holds in the database it may lose meanwhile."""
        if not isinstance(owner, Process) or owner.is_frozen or owner.is_dead:
            return
        owner.is_frozen = True
        self._world.after(IDLE_IN_TRANSACTION_TIMEOUT_MS / 1000, self._end_idle, owner)
        self._world.after(length_s, self._world.wake, owner)

    def _end_idle(self, owner: Process) -> None:
        if owner.is_frozen:
            for connection in list(self._world.server.connections):
                if connection.owner is owner:
                    connection.end_idle()

    def _victim(self, fault: Fault) -> Process | None:
        living = self._world.living(fault.kind.rpartition("_")[2])
        return living[fault.target % len(living)] if living else None

    def _crash(self, fault: Fault) -> None:
        victim = self._victim(fault)
        if victim is not None:
            self._world.note(fault.kind, victim.name)
            self.crash(victim, fault.length_s)

    def _freeze(self, fault: Fault) -> None:
        victim = self._victim(fault)
        if victim is not None:
            self._world.note(fault.kind, victim.name)
            self.freeze(victim, fault.length_s)

    def _stall(self, fault: Fault) -> None:
        """Nobody works for a while, so that what waits is handled by the heap."""
        self._world.note("stall", "")
        for worker in self._world.living("worker"):
            self.freeze(worker, fault.length_s * STALL_SHARE)

    def _crash_server(self, fault: Fault) -> None:
        server = self._world.server
        if server.is_down:
            return
        length_s = fault.length_s * OUTAGE_SHARE
        self._world.note("db_crash", f"for {length_s:.2f} s")
        server.crash()
        self._world.after(length_s, self._return_server)

    def _return_server(self) -> None:
        self._world.note("db_returned", "")
        self._world.server.is_down = False

    def _lose_notices(self, fault: Fault) -> None:
        self._world.note("notices_lost", "")
        self._world.adversary.are_notices_lost = True
        self._world.after(fault.length_s, self._return_notices)

    def _return_notices(self) -> None:
        self._world.adversary.are_notices_lost = False

    def _move_clock(self, fault: Fault) -> None:
        step = timedelta(seconds=fault.length_s * JUMP_FACTOR)
        self._world.note("clock_jump", f"by {step.total_seconds():.1f} s")
        self._world.skew += step

    def _let_days_pass(self, fault: Fault) -> None:
        """Two days later everybody is started anew, and the log is carried again to a group."""
        self._world.note("days_pass", "")
        self._world.skew += DAYS
        for worker in self._world.living("worker"):
            self.crash(worker, 0.0)
        group = GROUPS[fault.target % len(GROUPS)]
        self._world.after(AFTER_DAYS_S, self._rewind, group)

    def _rewind(self, group: str) -> None:
        """The log is carried again from its start for one group, as after a restored position."""
        if self._world.server.is_down:
            return
        storage = self._world.storage
        places = ("kernel.positions", "kernel.leases")
        if any(table in places and key[0] == group for table, key in storage.locks):
            self._world.after(REWIND_POLL_S, self._rewind, group)
            return
        self._world.note("rewind", group)
        for row in storage.rows("kernel.positions"):
            if row["group_name"] == group:
                self._overwrite("kernel.positions", {**row, "xid": 0, "seq": 0})
        for row in storage.rows("kernel.leases"):
            if row["group_name"] == group:
                changed = {**row, "owner": None, "fence": row["fence"] + 1}
                self._overwrite("kernel.leases", changed)

    def _overwrite(self, table: str, row: dict[str, Any]) -> None:
        storage = self._world.storage
        storage.committed[table].put(storage.tables[table].key_of(row), row)
