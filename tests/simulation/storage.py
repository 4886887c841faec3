"""PostgreSQL as far as Serai leans on it: rows, read committed, row locks, deadlocks and walls.

A statement sees what was committed when it reads, and what its own transaction wrote. A row that is
handed out is never changed in place: a change writes a new one. Nothing here waits but for a lock.
"""

import collections
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from tests.simulation.locks import Holder, Lock, Place
from tests.simulation.rows import Key, Row, Rows, Table, merged


class Storage:
    """One database: committed rows, locks, transaction ids, sequences and notifications."""

    def __init__(self, tables: Iterable[Table], *, clock: Callable[[], datetime]) -> None:
        self.tables = {table.name: table for table in tables}
        self.committed = {name: Rows(table) for name, table in self.tables.items()}
        self.clock = clock
        self.locks: dict[Place, Lock] = {}
        self.running: dict[int, Session] = {}
        """Open transactions that have a transaction id, oldest first."""
        self.sessions: dict[int, Session] = {}
        self.sequences: collections.Counter[str] = collections.Counter()
        self.next_xid = 1000
        self.presences: dict[UUID, object] = {}
        """Which connection shows that a worker lives: locks of a session, not of a transaction."""
        self.counts: collections.Counter[str] = collections.Counter()
        self.on_notify: Callable[[str, str], None] = lambda _channel, _payload: None
        self._session_no = 0

    def begin(
        self,
        tenants: Collection[UUID],
        *,
        is_transport: bool = False,
        is_read_only: bool = False,
        backend: object = None,
    ) -> "Session":
        """A new transaction that sees the rows of `tenants` only, on a connection."""
        self._session_no += 1
        session = Session(
            self, self._session_no, tenants, is_transport=is_transport, is_read_only=is_read_only
        )
        session.backend = backend or session
        self.sessions[session.number] = session
        return session

    def leave(self, backend: object) -> None:
        """A connection has ended, and what it showed with it."""
        for worker in [w for w, holder in self.presences.items() if holder is backend]:
            del self.presences[worker]

    @property
    def xmin(self) -> int:
        """The oldest transaction id that still runs, or the next one."""
        return next(iter(self.running)) if self.running else self.next_xid

    def rows(self, table: str) -> list[Row]:
        """All committed rows of a table, whoever's they are: for checks, not for statements."""
        return list(self.committed[table].rows.values())


class Session(Holder):
    """One open transaction."""

    def __init__(
        self,
        storage: Storage,
        number: int,
        tenants: Collection[UUID],
        *,
        is_transport: bool,
        is_read_only: bool,
    ) -> None:
        super().__init__(number, storage.locks, storage.counts)
        self.storage = storage
        self.tenants = frozenset(tenants)
        self.is_transport = is_transport
        self.is_read_only = is_read_only
        self.backend: object = self
        self.now = storage.clock()
        self._xid: int | None = None
        self._own: dict[str, dict[Key, Row | None]] = {}
        self._notices: dict[tuple[str, str], None] = {}

    @property
    def xid(self) -> int:
        """The transaction's id; it gets one when it first asks or writes."""
        if self._xid is None:
            self._xid = self.storage.next_xid
            self.storage.next_xid += 1
            self.storage.running[self._xid] = self
        return self._xid

    @property
    def xmin(self) -> int:
        """The oldest transaction id that still runs: pg_snapshot_xmin(pg_current_snapshot())."""
        return self.storage.xmin

    def clock_timestamp(self) -> datetime:
        """The present, also in the middle of a transaction."""
        return self.storage.clock()

    def next_value(self, sequence: str) -> int:
        """The next number of a sequence; it is not given back where the transaction fails."""
        self.storage.sequences[sequence] += 1
        return self.storage.sequences[sequence]

    def notify(self, channel: str, payload: str) -> None:
        """Tells listeners when this transaction commits; the same words are told once."""
        self._notices[channel, payload] = None

    # ------------------------------------------------------------------------------------ reading

    def get(self, table: str, key: Key) -> Row | None:
        """The newest committed or own version of a row that this session may see."""
        own = self._own.get(table)
        rows = self.storage.committed[table]
        row = own[key] if own is not None and key in own else rows.rows.get(key)
        return row if row is not None and self._sees(rows.table, row) else None

    def scan(
        self,
        table: str,
        where: Callable[[Row], Any] | None = None,
        order: Callable[[Row], Any] | None = None,
        limit: int | None = None,
    ) -> list[Row]:
        """The visible rows for which `where` holds, in the order of `order`."""
        rows = self.storage.committed[table]
        return self._pick(rows.table, rows.rows, where, order, limit)

    def find(
        self,
        table: str,
        columns: tuple[str, ...],
        values: Key,
        *,
        where: Callable[[Row], Any] | None = None,
        order: Callable[[Row], Any] | None = None,
        limit: int | None = None,
    ) -> list[Row]:
        """Like `scan` over the rows whose `columns` are `values`; `columns` must be an index."""
        rows = self.storage.committed[table]
        found = rows.indexes[columns].get(values, {})

        def matches(row: Row) -> bool:
            return tuple([row[column] for column in columns]) == values and (
                where is None or bool(where(row))
            )

        own = self._own.get(table)
        return self._pick(rows.table, found, matches if own else where, order, limit)

    def _pick(
        self,
        table: Table,
        found: Mapping[Key, Row],
        where: Callable[[Row], Any] | None,
        order: Callable[[Row], Any] | None,
        limit: int | None,
    ) -> list[Row]:
        own = self._own.get(table.name)
        rows: Iterable[Row] = found.values() if not own else merged(found, own)
        if table.is_walled:
            rows = [row for row in rows if self._sees(table, row)]
        picked = list(rows) if where is None else [row for row in rows if where(row)]
        if order is not None:
            picked.sort(key=order)
        return picked if limit is None else picked[:limit]

    def _sees(self, table: Table, row: Row) -> bool:
        return (
            not table.is_walled
            or row["tenant_id"] in self.tenants
            or (self.is_transport and table.is_transport)
        )

    # ------------------------------------------------------------------------------------ writing

    async def lock(self, table: str, key: Key, *, skip_locked: bool = False) -> Row | None:
        """FOR UPDATE: waits for the one who holds the row, then reads it anew."""
        row = self.get(table, key)
        if row is None:
            return None
        self._will_write()
        place = (table, key)
        lock = self.storage.locks.get(place)
        if lock is not None and lock.holder is self:
            return row
        if lock is None:
            self.stand()
            self.storage.locks[place] = Lock(self)
            self.held[place] = None
            return row
        if skip_locked:
            self.storage.counts["skipped_locked"] += 1
            return None
        await self.take(place)
        return self.get(table, key)

    async def insert(self, table: str, row: Row) -> bool:
        """ON CONFLICT DO NOTHING: False where the key or a unique key exists already."""
        return await self._insert(table, row) is None

    async def insert_new(self, table: str, row: Row) -> None:
        """A plain INSERT: UniqueViolationError where the key or a unique key exists already."""
        broken = await self._insert(table, row)
        if broken is not None:
            raise asyncpg.UniqueViolationError(
                f'duplicate key value violates unique constraint "{broken}"'
            )

    async def update(self, table: str, key: Key, **changes: Any) -> bool:
        """Locks a row and writes it; False where there is none that this session may see."""
        before = await self.lock(table, key)
        if before is None:
            return False
        after = {**before, **changes}
        self.check(table, after)
        self.write(table, key, after)
        return True

    def write(self, table: str, key: Key, row: Row) -> None:
        """Writes a row that this session has locked and checked."""
        own = self._own.get(table)
        if own is None:
            own = self._own[table] = {}
        own[key] = row

    async def delete(self, table: str, key: Key) -> bool:
        """Locks a row and takes it away; False where there is none that this session may see."""
        if await self.lock(table, key) is None:
            return False
        self._own.setdefault(table, {})[key] = None
        return True

    async def _insert(self, table: str, row: Row) -> str | None:
        """Writes a new row; the name of the key that forbids it, if one does.

        A row that stands in the way is neither locked, nor does it cost a transaction id.
        """
        self._may_write()
        definition = self.storage.tables[table]
        self._check(definition, row)
        key = definition.key_of(row)
        if await self._meets(
            table, (table, key), lambda: key if self._exists(table, key) else None
        ):
            return f"{table}_pkey"
        for label, columns in definition.unique.items():
            values = tuple([row[column] for column in columns])
            if None not in values and await self._meets(
                table,
                (f"{table}:{label}", values),
                lambda label=label, columns=columns, values=values: self._owner_of(  # type: ignore[misc]
                    table, label, columns, values
                ),
            ):
                return label
        self._will_write()
        self._own.setdefault(table, {})[key] = row
        return None

    async def _meets(self, table: str, place: Place, find: Callable[[], Key | None]) -> bool:
        """Whether a row stands at a place; where none does, the place is this session's now.

        Waits for who inserts there, or changes the row that stands there; not for who locks it.
        """
        while True:
            standing = find()
            if standing is not None and not self._is_being_changed(table, standing):
                return True
            wanted = place if standing is None else (table, standing)
            is_new = wanted not in self.held
            await self.take(wanted)
            if standing is None and find() is None:
                return False
            if is_new:
                self.release(wanted)

    def _is_being_changed(self, table: str, key: Key) -> bool:
        lock = self.storage.locks.get((table, key))
        return lock is not None and lock.holder is not self and lock.holder.has_changed(table, key)

    def has_changed(self, table: str, key: Key) -> bool:
        """Whether this session has written a row."""
        return key in self._own.get(table, {})

    def _exists(self, table: str, key: Key) -> bool:
        own = self._own.get(table)
        if own is not None and key in own:
            return own[key] is not None
        return key in self.storage.committed[table].rows

    def _owner_of(
        self, table: str, label: str, columns: tuple[str, ...], values: Key
    ) -> Key | None:
        """The key of the row that has these values, which only one row may have."""
        own = self._own.get(table, {})
        holder = self.storage.committed[table].unique[label].get(values)
        if holder is not None and holder not in own:
            return holder
        for key, row in own.items():
            if row is not None and tuple([row[column] for column in columns]) == values:
                return key
        return None

    def _may_write(self) -> None:
        if self.is_read_only:
            raise asyncpg.ReadOnlySQLTransactionError("cannot write in a read-only transaction")

    def _will_write(self) -> None:
        self._may_write()
        if self._xid is None:
            _ = self.xid

    def check(self, table: str, row: Row) -> None:
        """Fails as writing this row would: a broken CHECK, or another tenant's row."""
        self._check(self.storage.tables[table], row)

    def _check(self, table: Table, row: Row) -> None:
        if table.is_walled and not self._sees(table, row):
            raise asyncpg.InsufficientPrivilegeError(
                f'new row violates row-level security policy for table "{table.name}"'
            )
        for name, holds in table.checks.items():
            if not holds(row):
                raise asyncpg.CheckViolationError(
                    f'new row for "{table.name}" violates check constraint "{name}": {row}'
                )

    # -------------------------------------------------------------------------------------- locks

    # ---------------------------------------------------------------------------------------- end

    @property
    def has_written(self) -> bool:
        """Whether a commit of this session changes anything."""
        return bool(self._own)

    def commit(self) -> None:
        """Makes what was written the truth, tells the listeners and lets the waiting go on."""
        for table, own in self._own.items():
            rows = self.storage.committed[table]
            for key, row in own.items():
                rows.put(key, row)
        notices = list(self._notices)
        self._end()
        for channel, payload in notices:
            self.storage.on_notify(channel, payload)

    def abort(self) -> None:
        """Forgets what was written and lets the waiting go on. A second end does nothing."""
        if not self.is_open:
            return
        self._end()
        if self.waits_in is not None and not self.waits_in.done():
            self.waits_in.set_exception(
                asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of it")
            )

    def _end(self) -> None:
        self.is_open = False
        self._own = {}
        self.storage.sessions.pop(self.number, None)
        if self._xid is not None:
            del self.storage.running[self._xid]
        for place in list(self.held):
            self.release(place)
