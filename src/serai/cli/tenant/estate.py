"""A tenant's whole estate: written to a file, or erased with a certificate."""

import asyncio
import getpass
import hashlib
import os
import socket
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec
from rich.progress import Progress

from serai.cli.console import Failure, err
from serai.contexts.identity import contract as identity
from serai.contexts.orders.contract import ORDER_EMAIL
from serai.contexts.tenancy.contract import Standing
from serai.kernel import estate, idempotency, ids
from serai.kernel.actor import operator
from serai.kernel.changes import describe
from serai.kernel.events import Cause
from serai.kernel.failure import Unavailable
from serai.kernel.seals.opening import Opening
from serai.kernel.tenant import POOLED, Home
from serai.roles.composition import Composition
from serai.roles.schemas import PACKAGES

FORMAT: Final = "serai.tenant/2"
PLACES: Final = (
    ORDER_EMAIL, identity.ACCOUNT_EMAIL, identity.ACCOUNT_NAME, identity.MAILED_EMAIL,
    identity.MAILED_NAME, idempotency.PLACE,
)  # fmt: skip
"""What values are sealed for: an export looks which it is."""
MODE: Final = 0o600
SETTLE_S: Final = 2.0
"""How long an erasure waits for what was at work when it began."""
PASSES_MAX: Final = 30
TAIL_BYTES: Final = 64 * 1024 * 1024


class Exported(msgspec.Struct, frozen=True):
    """An export that is whole."""

    file: str
    tenant: str
    tables: int
    rows: int
    is_sealed: bool
    left_sealed: int
    """Values that look sealed and open nowhere: they were changed, or moved in the database."""


class Certificate(msgspec.Struct, frozen=True):
    """What was erased, when and by whom; the digest is over everything before it."""

    tenant_id: UUID
    name: str
    tier: str
    home: str
    erased_at: datetime
    operator: str
    tables: dict[str, int]
    rows: int
    kept: list[str]
    """Tables whose rows stay: those of the audit trail, which holds ids and network addresses."""
    digest: str = ""


class Line(msgspec.Struct, frozen=True):
    """One row in an export: in which home's table it was, and what it held."""

    home: str
    table: str
    row: msgspec.Raw


async def export(
    house: Composition, tenant: Standing, file: Path, *, is_sealed: bool, is_quiet: bool
) -> Exported:
    """Writes every row; goes on after the last whole line that an interrupted export left.

    What is personal is opened by the keys that this process has, unless it is to stay sealed.
    """
    part = file.with_name(f"{file.name}.part")
    if await asyncio.to_thread(file.exists):
        raise Failure(f"{file} is there already; remove it or choose another name")
    opening = None if is_sealed else await _opening(house, tenant)
    handle, last, rows = await asyncio.to_thread(_reopen, part, tenant, is_sealed=is_sealed)
    if last is None:
        await _record(house, tenant, is_sealed=is_sealed)
    everywhere = await _tables(house, tenant)
    # In a copy in clear there is nothing for the keys to open.
    places = [(home, table) for home, tables in everywhere.items() for table in tables
              if is_sealed or table != estate.KEYS]  # fmt: skip
    names = [(home.name, table) for home, table in places]
    start = 0 if last is None else names.index((last.home, last.table))
    try:
        with Progress(console=err, transient=True, disable=is_quiet) as progress:
            bar = progress.add_task("Exporting", total=len(places), completed=start)
            for number, (home, table) in enumerate(places[start:]):
                progress.update(bar, description=table)
                after = None if last is None or number else bytes(last.row).decode()
                head = f'{{"home":{_quote(home.name)},"table":"{table}","row":'
                async for chunk in estate.read_chunks(
                    house.database, home, tenant.id, table, after=after, opening=opening
                ):
                    text = "".join(f"{head}{row}}}\n" for row in chunk)
                    await asyncio.to_thread(handle.write, text.encode())
                    rows += len(chunk)
                progress.advance(bar)
        await asyncio.to_thread(_sync, handle)
    finally:
        handle.close()
    await asyncio.to_thread(part.replace, file)
    left = 0 if opening is None else opening.left
    return Exported(str(file), tenant.name, len(places), rows, is_sealed, left)


async def _opening(house: Composition, tenant: Standing) -> Opening:
    """What opens the rows of a tenant; says what to do where the key is not to be had."""
    try:
        await house.seals.roots.refresh(house.clock.now())
    except Unavailable as error:
        raise Failure(f"{error.detail}; or write a copy that stays closed by --sealed") from error
    return Opening(house.seals, tenant.id, PLACES)


async def _record(house: Composition, tenant: Standing, *, is_sealed: bool) -> None:
    """Puts it into the trail before the first row leaves."""
    cause = Cause(ids.new_id(), actor=operator())
    change = describe(
        "tenancy.tenant_exported", ("tenant", tenant.id), cause, after={"is_sealed": is_sealed}
    )
    async with house.database.transaction(tenant.home, (tenant.id,)) as tx:
        tx.record(tenant.id, change)


async def erase(
    house: Composition, tenant: Standing, place: Path, *, is_quiet: bool
) -> Certificate:
    """Deletes every row, pass after pass until one finds nothing; then the certificate, then it."""
    if tenant.state != "erasing":
        await house.tenancy.change_state(tenant.id, "erasing")
    everywhere = await _tables(house, tenant)
    kept = sorted(
        {t for tables in everywhere.values() for t, erasable in tables.items() if not erasable}
    )
    places = [(home, table) for home, tables in everywhere.items()
              for table in estate.in_order_of_erasure(tables)]  # fmt: skip
    places.sort(key=lambda p: p[1] not in estate.FIRST)
    with Progress(console=err, transient=True, disable=is_quiet) as progress:
        for number in range(PASSES_MAX):
            bar = progress.add_task(f"Erasing, pass {number + 1}", total=len(places))
            count = 0
            for home, table in places:
                count += await estate.erase_table(house.database, home, tenant.id, table)
                progress.advance(bar)
            if not count and number:
                break
            await asyncio.sleep(SETTLE_S)
        else:
            raise Failure("rows still come; see what writes them, then run it again")
    tables: dict[str, int] = {}
    for home in _homes(tenant):
        found = await estate.list_erased(house.database, home, tenant.id)
        tables |= {table: tables.get(table, 0) + n for table, n in found.items()}
    certificate = _certify(tenant, tables, kept, house.clock.now())
    await asyncio.to_thread(_write, place, msgspec.json.format(msgspec.json.encode(certificate)))
    await house.tenancy.delete_tenant(tenant.id)
    return certificate


def _certify(
    tenant: Standing, tables: dict[str, int], kept: list[str], now: datetime
) -> Certificate:
    certificate = Certificate(
        tenant.id, tenant.name, tenant.tier, tenant.home.name, now,
        f"{getpass.getuser()}@{socket.gethostname()}",
        dict(sorted(tables.items())), sum(tables.values()), kept,
    )  # fmt: skip
    digest = hashlib.sha256(msgspec.json.encode(certificate)).hexdigest()
    return msgspec.structs.replace(certificate, digest=f"sha256:{digest}")


def _homes(tenant: Standing) -> list[Home]:
    """Where a tenant has rows: its home, and the pooled one, which holds the directory."""
    return list(dict.fromkeys((POOLED, tenant.home)))


async def _tables(house: Composition, tenant: Standing) -> dict[Home, dict[str, bool]]:
    schemas = [package.rsplit(".", 1)[-1] for package in PACKAGES]
    return {
        home: await estate.list_tables(house.database, home, schemas) for home in _homes(tenant)
    }


def _quote(text: str) -> str:
    return msgspec.json.encode(text).decode()


def _reopen(part: Path, tenant: Standing, *, is_sealed: bool) -> tuple[Any, Line | None, int]:
    """The file to go on with, its last whole line, and how many rows it has."""
    head = {
        "format": FORMAT, "tenant_id": str(tenant.id), "name": tenant.name, "tier": tenant.tier,
        "sealed": is_sealed,
    }  # fmt: skip
    first = msgspec.json.encode(head) + b"\n"
    handle = os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT, MODE), "r+b")
    if handle.readline() != first:
        handle.seek(0)
        handle.truncate()
        handle.write(first)
        return handle, None, 0
    rows, last, end = 0, b"", handle.tell()
    for line in handle:
        if not line.endswith(b"\n"):
            break
        rows, last, end = rows + 1, line, end + len(line)
    handle.seek(end)
    handle.truncate()
    return handle, msgspec.json.decode(last, type=Line) if last else None, rows


def _sync(handle: Any) -> None:
    handle.flush()
    os.fsync(handle.fileno())


def _write(place: Path, text: bytes) -> None:
    new = place.with_name(f"{place.name}.new")
    with os.fdopen(os.open(new, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, MODE), "wb") as file:
        file.write(text + b"\n")
        _sync(file)
    new.replace(place)
