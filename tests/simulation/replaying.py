"""Replays a recorded history on a real PostgreSQL and finds where a twin said something else."""

import asyncio
import re
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg

from serai.kernel.pool import WalledConnection, session_settings
from tests.simulation import twins
from tests.simulation.recording import Recorded, Recorder, Rows, Spoken
from tests.simulation.rows import Row

HORIZON_TRIES_MAX = 500
HORIZON_PAUSE_S = 0.01
SHOWN_MAX = 3
"""Rows that a disagreement shows of each side."""

_NESTED = re.compile(r"\([^()]*\)")
_TIED = {
    "serai.kernel.list_due_flows", "serai.kernel.list_due_letters", "serai.kernel.list_letters",
    "serai.contexts.notifications.check_overdue", "serai.contexts.payments.check_open",
}  # fmt: skip
"""Those whose order is by something that several rows may share."""
_UNLIKE = {
    # Nobody wrote these down: they are as old as what runs on the server.
    "oldest_transaction_s",
}
_COUNTED = ("inventory.movements ALTER COLUMN id", "kernel.outbox ALTER COLUMN seq")
_CLOCK = """
CREATE SCHEMA told;
GRANT USAGE ON SCHEMA told TO serai_app;
CREATE FUNCTION told.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
AS $$ SELECT current_setting('told.clock')::timestamptz $$;
"""
"""The server's clock, as the statements find it: what the history's clock said."""


class Disagreement(Exception):
    """A twin answered what its statement does not."""


class Replay:
    """One database and how its transaction ids stand to the simulated ones."""

    def __init__(self, owner: Any, app: Any, app_url: str) -> None:
        self._owner = owner
        self._app = app
        self._app_url = app_url
        self._alone: dict[int, Any] = {}
        self._xids: dict[int, int] = {0: 0}
        self._told_xids: dict[int, int] = {0: 0}
        self._horizons: dict[int, int] = {}
        self._told_horizons: dict[int, int] = {}
        self._prepared: dict[str, Any] = {}
        self.compared: dict[str, int] = {}
        """How often each statement was compared."""

    @classmethod
    async def open(cls, owner_url: str, app_url: str) -> "Replay":
        """Connects to a migrated database that is empty."""
        owner = await asyncpg.connect(owner_url)
        await owner.execute(_CLOCK)
        await _carry_json_as_bytes(owner)
        return cls(owner, await connect_app(app_url), app_url)

    async def close(self) -> None:
        for connection in (self._owner, self._app, *self._alone.values()):
            await connection.close()

    async def fill(self, rows: Rows) -> None:
        """Lays down what the tables held before the history."""
        for table, found in rows.items():
            for row in found:
                places = ", ".join(f"${n}" for n in range(1, len(row) + 1))
                await self._owner.execute(
                    f"INSERT INTO {table} ({', '.join(row)}) OVERRIDING SYSTEM VALUE "
                    f"VALUES ({places})",
                    *row.values(),
                )

    async def empty(self, tables: Sequence[str]) -> None:
        """Leaves nothing in the tables, the last first; much faster than to truncate so many."""
        gone = [f"DELETE FROM {table}" for table in reversed(tables)]
        anew = [f"ALTER TABLE {name} RESTART" for name in _COUNTED]
        await self._owner.execute("; ".join(gone + anew))

    async def follow(self, recorder: Recorder) -> None:
        """Does what was recorded, and compares every answer and what is left in the tables."""
        await self.fill(recorder.before)
        for recorded in recorder.transactions:
            await self.repeat(recorded)
        await self.compare_tables(recorder.after)

    async def repeat(self, recorded: Recorded) -> None:
        """One transaction, or what happened on a connection of its own."""
        if recorded.alone is not None:
            await self._repeat_alone(recorded)
            return
        await self._app.execute(recorded.begin)
        try:
            for spoken in recorded.statements:
                await self._ask(spoken)
        finally:
            await self._app.execute("COMMIT" if recorded.is_committed else "ROLLBACK")

    async def _repeat_alone(self, recorded: Recorded) -> None:
        """A lock of a session is held as long as its connection lives."""
        place = id(recorded.alone)
        if recorded.is_lost:
            await self._alone.pop(place).close()
            return
        connection = self._alone.get(place) or await connect_app(self._app_url)
        self._alone[place] = connection
        for spoken in recorded.statements:
            statement = await connection.prepare(spoken.text)
            rows = [dict(row) for row in await statement.fetch(*spoken.args)]
            self._compare(twins.name_of(spoken.text), spoken, rows, len(rows))

    async def _ask(self, spoken: Spoken) -> None:
        name = twins.name_of(spoken.text)
        if "clock_timestamp()" in spoken.text:
            await self._set_clock(spoken.clock)
        args = self._told_args(name, spoken.args)
        try:
            statement = await self._prepare(spoken.text)
            rows = [dict(row) for row in await statement.fetch(*args)]
        except asyncpg.PostgresError as error:
            if type(error) is not spoken.error:
                raise Disagreement(f"{name}: {error!r}, the twin {_shown(spoken)}") from error
            self._count(name)
            return
        if spoken.error is not None:
            raise Disagreement(f"{name}: no error, the twin {_shown(spoken)}")
        if name == "serai.kernel.read_horizon":
            rows = [{"pg_snapshot_xmin": await self._see_horizon(spoken, statement)}]
        await self._compare_xid(name, spoken)
        count = int(statement.get_statusmsg().rpartition(" ")[2])
        self._compare(name, spoken, rows, count)
        self._count(name)

    async def _prepare(self, text: str) -> Any:
        if text not in self._prepared:
            self._prepared[text] = await self._app.prepare(text)
        return self._prepared[text]

    def _count(self, name: str) -> None:
        self.compared[name] = self.compared.get(name, 0) + 1

    async def _set_clock(self, clock: datetime) -> None:
        await self._app.execute(f"SET LOCAL told.clock = '{clock.isoformat()}'")

    # -------------------------------------------------------------------------- transaction ids

    async def _compare_xid(self, name: str, spoken: Spoken) -> None:
        """An id is what holds the horizon back: both sides have one from the same moment on."""
        told = await self._app.fetchval("SELECT pg_current_xact_id_if_assigned()::text::bigint")
        if (told is None) != (spoken.xid is None):
            raise Disagreement(f"{name}: transaction id {told}, the twin has {spoken.xid}")
        if told is not None and spoken.xid is not None:
            self._xids[spoken.xid] = told
            self._told_xids[told] = spoken.xid

    async def _see_horizon(self, spoken: Spoken, statement: Any) -> int:
        """The horizon in the history's numbers.

        Nothing of ours runs beside it, but the server's own housekeeping takes ids as well.
        """
        assert isinstance(spoken.answer, list)
        simulated: int = spoken.answer[0]["pg_snapshot_xmin"]
        below = max((told for xid, told in self._xids.items() if xid < simulated), default=0)
        for _ in range(HORIZON_TRIES_MAX):
            told: int = (await statement.fetch())[0][0]
            if told > below:
                break
            await asyncio.sleep(HORIZON_PAUSE_S)
        else:
            raise Disagreement(f"the horizon stays at {told}, {below} has ended")
        above = min((t for xid, t in self._xids.items() if xid >= simulated), default=None)
        if above is not None and told > above:
            raise Disagreement(f"the horizon is at {told}, {above} still runs")
        self._horizons[simulated] = told
        self._told_horizons[told] = simulated
        return simulated

    def _told_args(self, name: str, args: Sequence[Any]) -> list[Any]:
        """The arguments with the server's transaction ids in place of the history's."""
        told = list(args)
        if name == "serai.kernel.fetch_events":
            told[2] = self._told_positions(args[2], args[3])
            told[6] = str(self._horizons.get(int(args[6])) or self._xids[int(args[6])])
        elif name == "serai.kernel.move_positions":
            told[6] = self._told_positions(args[6], args[7])
        elif name == "serai.kernel.gather_facts":
            told[2] = self._told_positions(args[2], args[3])
            told[5] = str(self._horizons.get(int(args[5])) or self._xids[int(args[5])])
        elif name == "serai.kernel.move_places":
            told[3] = self._told_positions(args[3], args[4])
            told[5] = self._told_positions(args[5], args[6])
        elif name == "serai.kernel.park_letters":
            told[5] = self._told_positions(args[5], args[6])
        return told

    def _told_positions(self, xids: Sequence[str], seqs: Sequence[int]) -> list[str]:
        # A position with the sequence 0 is a horizon, which may be the id of nobody yet.
        return [
            str((self._xids if seq or xid == "0" else self._horizons)[int(xid)])
            for xid, seq in zip(xids, seqs, strict=True)
        ]

    def _in_our_numbers(self, row: Row) -> Row:
        if "xid" not in row:
            return row
        xid = int(row["xid"])
        numbers = self._told_xids if row["seq"] or xid == 0 else self._told_horizons
        return row | {"xid": numbers.get(xid, xid)}

    # -------------------------------------------------------------------------------- comparing

    def _compare(self, name: str, spoken: Spoken, rows: list[Row], count: int) -> None:
        if isinstance(spoken.answer, int):
            if spoken.answer != count:
                raise Disagreement(f"{name}: {count} rows, the twin {_shown(spoken)}")
            return
        assert spoken.answer is not None
        answered = [{**row} for row in spoken.answer]
        told = [self._in_our_numbers(row) for row in rows]
        if answered and told and list(answered[0]) != list(told[0]):
            raise Disagreement(f"{name}: columns {list(told[0])}, the twin {list(answered[0])}")
        is_ordered = "ORDER BY" in _outermost(spoken.text) and name not in _TIED
        left, right = _lines(told), _lines(answered)
        if not is_ordered:
            left, right = sorted(left), sorted(right)
        if left != right:
            raise Disagreement(f"{name}: {left}, the twin {right}, asked {spoken.args}")

    async def compare_tables(self, rows: Rows) -> None:
        """What is left in the tables."""
        for table, found in rows.items():
            told = [
                self._in_our_numbers(dict(row))
                for row in await self._owner.fetch(f"SELECT * FROM {table}")
            ]
            left, right = _lines(told), _lines(found)
            if sorted(left) != sorted(right):
                there = sorted(set(left) - set(right))[:SHOWN_MAX]
                here = sorted(set(right) - set(left))[:SHOWN_MAX]
                raise Disagreement(f"{table}: only there {there}, only here {here}")


def _outermost(text: str) -> str:
    """A statement without everything that stands in parentheses."""
    before = ""
    while before != text:
        before, text = text, _NESTED.sub("", text)
    return text


def _lines(rows: Collection[Row]) -> list[str]:
    """Rows as text that tells the same values from others, whatever their Python type."""
    return [
        repr([(name, _plain(value)) for name, value in sorted(row.items()) if name not in _UNLIKE])
        for row in rows
    ]


def _plain(value: Any) -> str:
    # asyncpg's infinite times know no zone.
    return value.replace(tzinfo=UTC).isoformat() if isinstance(value, datetime) else str(value)


def _shown(spoken: Spoken) -> str:
    return f"{spoken.answer or spoken.error}, asked {spoken.args}"


async def connect_app(url: str) -> Any:
    """A connection like the product's, for which the server's clock is what it is told."""
    # What stands before pg_catalog on the path is found before it.
    settings = session_settings() | {"search_path": "told, pg_catalog"}
    connection = await asyncpg.connect(
        url, server_settings=settings, connection_class=WalledConnection
    )
    await _carry_json_as_bytes(connection)
    return connection


async def _carry_json_as_bytes(connection: Any) -> None:
    """As the product's own connections do it."""
    for name, prefix in (("json", b""), ("jsonb", b"\x01")):
        cut = len(prefix)
        await connection.set_type_codec(
            name,
            schema="pg_catalog",
            format="binary",
            encoder=lambda value, prefix=prefix: prefix + value,
            decoder=lambda value, cut=cut: bytes(value)[cut:],
        )
