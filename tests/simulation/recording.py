"""Records a history statement by statement, with its transactions one after the other.

A transaction begins only when the one before has ended, so that the same statements in the same
order, on a real server, must give the same rows.
"""

import contextlib
import dataclasses
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any
from unittest import mock
from uuid import UUID

import asyncpg

from serai.kernel import queries
from serai.kernel.tenant import POOLED
from tests.simulation import database, twins
from tests.simulation.plan import Plan
from tests.simulation.rows import Row
from tests.simulation.run import run_plan
from tests.simulation.storage import Session, Storage

Rows = dict[str, list[Row]]
"""All rows of all tables."""
Said = tuple[Any, ...]
"""A statement's name (`kernel.list_leases`) and its arguments."""

_answer = twins.answer

OUTSIDE_OF_STATEMENTS = {"rewind", "reprice"}
"""What in a plan overwrites rows without a statement."""


@dataclasses.dataclass
class Spoken:
    """One statement, what it was given, and what its twin answered."""

    text: str
    args: tuple[Any, ...]
    clock: datetime
    answer: twins.Answer | None = None
    error: type[BaseException] | None = None
    xid: int | None = None


@dataclasses.dataclass
class Recorded:
    """One transaction from its BEGIN to its end; or what happened on a connection of its own."""

    begin: str
    statements: list[Spoken] = dataclasses.field(default_factory=list)
    is_committed: bool = False
    alone: object = None
    """The connection on which a statement was said that is no part of a transaction."""
    is_lost: bool = False
    """That connection has ended."""


class Recorder:
    """What happened in a history, and what its tables held before and after."""

    def __init__(self) -> None:
        self.transactions: list[Recorded] = []
        self.storage: Storage | None = None
        self.before: Rows = {}
        self._open: dict[int, Recorded] = {}

    @property
    def after(self) -> Rows:
        """What the tables hold now."""
        assert self.storage is not None, "nothing was recorded"
        return rows_of(self.storage)

    def began(self, session: Session, begin: str) -> None:
        """A transaction has begun."""
        if self.storage is None:
            self.storage = session.storage
            self.before = rows_of(session.storage)
        assert self.storage is session.storage, "a recorder records one history"
        assert not self._open, "transactions overlap"
        recorded = self._open[session.number] = Recorded(begin)
        self.transactions.append(recorded)

    async def answer(self, session: Session, text: str, args: tuple[Any, ...]) -> twins.Answer:
        """Has the twin answer, and writes down what it said."""
        spoken = Spoken(text, args, session.clock_timestamp())
        self._of(session).statements.append(spoken)
        try:
            spoken.answer = await _answer(session, text, args)
        except asyncpg.PostgresError as error:
            spoken.error = type(error)
            raise
        finally:
            # Whether it has an id; the question must not give it one.
            spoken.xid = next((x for x, s in session.storage.running.items() if s is session), None)
        return spoken.answer

    def _of(self, session: Session) -> Recorded:
        if session.number in self._open:
            return self._open[session.number]
        recorded = Recorded("", alone=session.backend)
        self.transactions.append(recorded)
        return recorded

    def lost(self, connection: object) -> None:
        """A connection has ended on which something was said outside a transaction."""
        if any(recorded.alone is connection for recorded in self.transactions):
            self.transactions.append(Recorded("", alone=connection, is_lost=True))

    def ended(self, session: Session, *, is_committed: bool) -> None:
        """A transaction has ended, one way or the other."""
        self._open.pop(session.number).is_committed = is_committed


def rows_of(storage: Storage) -> Rows:
    """The committed rows of every table."""
    return {name: storage.rows(name) for name in storage.tables}


def record(plan: Plan) -> Recorder:
    """The history of a plan, without what overwrites rows behind the statements' back."""
    recorder = Recorder()
    plan = dataclasses.replace(
        plan,
        faults=tuple(f for f in plan.faults if f.kind not in OUTSIDE_OF_STATEMENTS),
        steps=tuple(s for s in plan.steps if s.kind not in OUTSIDE_OF_STATEMENTS),
    )
    with recording(recorder):
        run_plan(plan, is_serial=True)
    return recorder


@contextlib.contextmanager
def recording(recorder: Recorder) -> Iterator[None]:
    """While it lasts, every connection's transactions are recorded."""

    class RecordedConnection(database.SimConnection):
        async def _begin(self, text: str) -> None:
            await super()._begin(text)
            assert self.session is not None
            recorder.began(self.session, text)

        def _end(self, *, is_commit: bool) -> None:
            session = self.session
            is_committed = is_commit and session is not None and session.is_open
            super()._end(is_commit=is_commit)
            if session is not None:
                recorder.ended(session, is_committed=is_committed)

        def lose(self) -> None:
            if self.is_alone and not self.is_closed():
                recorder.lost(self)
            super().lose()

    with (
        mock.patch.object(database, "SimConnection", RecordedConnection),
        mock.patch.object(twins, "answer", recorder.answer),
    ):
        yield


class Speaker:
    """Says single statements to a storage, recorded like those of a history."""

    def __init__(self, recorder: Recorder, storage: Storage) -> None:
        self._recorder = recorder
        self._storage = storage

    async def say(
        self,
        tenants: Collection[UUID],
        *said: Said,
        is_transport: bool = False,
        is_read_only: bool = False,
    ) -> list[twins.Answer]:
        """One transaction of the given statements; their answers. A failure undoes it."""
        begin = ["BEGIN READ ONLY" if is_read_only else "BEGIN"]
        begin.append(f"SET LOCAL serai.tenants = '{{{','.join(map(str, tenants))}}}'")
        if is_transport:
            begin.append("SET LOCAL serai.transport = 'on'")
        session = self._storage.begin(
            tenants, is_transport=is_transport, is_read_only=is_read_only, backend=self
        )
        self._recorder.began(session, "; ".join(begin))
        answers = []
        try:
            for name, *args in said:
                package, _, short = name.rpartition(".")
                text = queries.load(f"serai.{package}").statements[short].text(POOLED.prefix)
                answers.append(await self._recorder.answer(session, text, tuple(args)))
        except asyncpg.PostgresError:
            session.abort()
            self._recorder.ended(session, is_committed=False)
            return answers
        session.commit()
        self._recorder.ended(session, is_committed=True)
        return answers
