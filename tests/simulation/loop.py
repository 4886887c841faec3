"""An event loop whose time is virtual: it never waits, and it knows whose step it takes.

Each step belongs to the simulated process in whose context it was scheduled. A process that is
frozen keeps its steps until it wakes; time goes on without it.
"""

import asyncio
import collections
import heapq
from asyncio import _set_running_loop
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar, TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


TURN_S = 1e-6
"""What a round of steps takes: time goes on even where nobody waits."""


class StepsExhausted(Exception):
    """A simulation took more steps than any sound one does: something spins."""


class Owner:
    """Whose steps are counted, kept back or cancelled together: a process in the simulation."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_frozen = False
        self.tasks: dict[asyncio.Task[Any], None] = {}
        self.kept: list[Step] = []
        self.context = copy_context()
        self.context.run(OWNER.set, self)


OWNER: ContextVar[Owner | None] = ContextVar("simulated_process", default=None)


class Step(asyncio.TimerHandle):
    """One callback that is to run, at a time or as soon as possible."""

    __slots__ = ("args", "at", "callback", "context", "is_off", "owner")

    def __init__(
        self, at: float, callback: Callable[..., object], args: tuple[Any, ...], context: Context
    ) -> None:
        # Nothing of the parent's is used but its name: it would look for a loop and for debugging.
        self.at = at
        self.callback = callback
        self.args = args
        self.context = context
        self.is_off = False
        self.owner: Owner | None = context.get(OWNER)

    def cancel(self) -> None:
        self.is_off = True

    def cancelled(self) -> bool:
        return self.is_off

    def when(self) -> float:
        return self.at

    def __repr__(self) -> str:
        return f"<Step at {self.at:.6f} {self.callback!r}>"


class SimLoop(asyncio.BaseEventLoop):
    """Steps in the order in which they became ready; when none is, time jumps to the next."""

    def __init__(self, *, steps_max: int) -> None:
        super().__init__()
        self._now = 0.0
        self._queue: collections.deque[Step] = collections.deque()
        self._timers: list[tuple[float, int, Step]] = []
        self._timer_no = 0
        self._steps_left = steps_max
        self.failures: list[tuple[str, BaseException | None]] = []

    def time(self) -> float:
        return self._now

    def call_soon(
        self,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        step = Step(self._now, callback, args, context or copy_context())
        self._queue.append(step)
        return step

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        step = Step(when, callback, args, context or copy_context())
        self._timer_no += 1
        heapq.heappush(self._timers, (when, self._timer_no, step))
        return step

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: object = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        within = context or copy_context()
        task: asyncio.Task[T] = asyncio.Task(
            coro, loop=self, name=None if name is None else str(name), context=within
        )
        owner = within.get(OWNER)
        if owner is not None:
            owner.tasks[task] = None
            task.add_done_callback(owner.tasks.pop)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keeps what nobody caught: a finding, whoever's it is."""
        self.failures.append((str(context.get("message")), context.get("exception")))

    def thaw(self, owner: Owner) -> None:
        """Lets a frozen process go on where it stood."""
        owner.is_frozen = False
        self._queue.extend(owner.kept)
        owner.kept = []

    def run_while(self, is_going: Callable[[], bool]) -> None:
        """Takes steps while the condition holds and there are any."""
        _set_running_loop(self)
        try:
            while is_going() and self._turn():
                pass
        finally:
            _set_running_loop(None)

    def grant(self, steps: int) -> None:
        """Allows so many steps from now on."""
        self._steps_left = steps

    def run_for(self, length_s: float) -> None:
        """Takes the steps of so much virtual time."""
        until = self._now + length_s
        self.run_while(lambda: self._now < until)

    def _turn(self) -> bool:
        """One round: what is ready now, or the jump to the next time. False where nothing is."""
        timers, queue = self._timers, self._queue
        if not queue:
            while timers and timers[0][2].is_off:
                heapq.heappop(timers)
            if not timers:
                return False
            self._now = max(self._now, timers[0][0])
        self._now += TURN_S
        while timers and timers[0][0] <= self._now:
            queue.append(heapq.heappop(timers)[2])
        ready = len(queue)
        self._steps_left -= ready
        if self._steps_left < 0:
            raise StepsExhausted
        take = queue.popleft
        for _ in range(ready):
            step = take()
            if step.is_off:
                continue
            owner = step.owner
            if owner is not None and owner.is_frozen:
                owner.kept.append(step)
                continue
            step.context.run(step.callback, *step.args)
        return True
