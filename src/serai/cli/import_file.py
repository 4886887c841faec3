"""Imports a product file of any size through the public API, in steps that can be repeated.

The file is read here, cut into chunks always at the same places, and each chunk is sent under a key
made from the file's digest and the chunk's number. So an import that was killed, or is run again,
does each chunk once: the API answers what it answered before.

The stock of a file is opening stock: it is received for SKUs that never had any at the location,
and left alone for the others: a corrected file that is imported again must not double what is
there.
"""

import asyncio
import hashlib
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple
from urllib.parse import quote

import httpx
import msgspec

from serai.cli.console import UNAVAILABLE, Failure
from serai.contexts.catalog.contract import Fault, LayoutName, RowProblem, SavedBatch, SavedItem
from serai.contexts.catalog.module import FileProduct, explain, read_file
from serai.kernel.money import is_currency
from serai.kernel.web import PAGE_MAX, REPEATED, Page

CHUNK_PRODUCTS_MAX: Final = 200
CHUNK_VARIANTS_MAX: Final = 1_000
CHUNK_BYTES_MAX: Final = 1024 * 1024
CHUNK_FINDINGS_MAX: Final = 2_000
"""Products and problems between two signs of life, in a file that is mostly broken."""
MOVES_PER_CALL_MAX: Final = 500
PROBLEMS_KEPT_MAX: Final = 10_000
RETRIES_MAX: Final = 8
RETRY_WAIT_S: Final = 0.2
RETRY_WAIT_S_MAX: Final = 5.0

_CUT_VERSION: Final = "1"
"""Part of every key: a release that cuts files at other places must change it."""
_LAYOUTS: Final[dict[str, LayoutName | None]] = {
    "auto": None,
    "serai": "serai",
    "vendure": "vendure",
    "shopify": "shopify",
}
_BUSY: Final = frozenset({429, 502, 503, 504})
_NOT_ALLOWED: Final = frozenset({401, 403})
_TOO_LARGE: Final = 413


class _StockItem(msgspec.Struct, frozen=True):
    sku: str


_encode: Final = msgspec.json.Encoder().encode
_decode_stock: Final = msgspec.json.Decoder(Page[_StockItem]).decode
_decode_saved: Final = msgspec.json.Decoder(SavedBatch).decode

Progress = Callable[[int, int], None]
"""Told how many bytes of the file are done, of how many."""


class ImportReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a file: every row was imported or is among the problems.

    The counts are of products, by what this run did: what an earlier run of the same file had done
    is unchanged. `variants` are those of the products that were taken. `stock_rows`
    and `stock_units` were received now, `stock_rows_left` name SKUs that had stock before.
    `problems_left_out` counts what the lists had no room for.
    """

    file: str
    created: int
    updated: int
    unchanged: int
    refused: int
    variants: int
    stock_rows: int
    stock_units: int
    stock_rows_left: int
    problems: list[RowProblem]
    notes: list[RowProblem]
    problems_left_out: int


class _Chunk(msgspec.Struct):
    """Part of the file, and how far into the file it reaches."""

    products: list[FileProduct]
    bodies: list[bytes]
    problems: list[RowProblem]
    notes: list[RowProblem]
    bytes_done: int = 0

    @property
    def is_empty(self) -> bool:
        return not (self.products or self.problems)


class _Answered(NamedTuple):
    """What the API answered; `is_old` where it was asked the same by an earlier run."""

    content: bytes
    is_old: bool


class _Refused(Exception):
    """The API refused a request for what is in it."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail


async def import_catalog(
    path: Path,
    *,
    client: httpx.AsyncClient,
    layout: str,
    currency: str,
    stock_location: str | None,
    progress: Progress,
) -> ImportReport:
    """Imports a CSV file, plain or gzip; good rows are saved, bad ones are in the report.

    `client` knows the API's address and carries the key. `currency` is that of prices whose column
    names none. Stock is received at `stock_location`; with None it is left alone. Raises Failure
    where the file cannot be read or the API cannot be used at all.
    """
    if layout not in _LAYOUTS:
        raise Failure(f"there is no layout {layout!r}; known: {', '.join(_LAYOUTS)}")
    if not is_currency(currency):
        raise Failure(f"{currency!r} is not an ISO 4217 currency code such as USD")
    try:
        digest, total = await asyncio.to_thread(_digest, path)
        with path.open("rb") as stream:
            sent_as = f"{_CUT_VERSION}|{digest}|{layout}|{currency}|{stock_location}"
            transfer = _Transfer(path.name, client, sent_as, stock_location)
            chunks = _cut(stream, _LAYOUTS[layout], currency)
            while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
                await transfer.carry(chunk)
                progress(chunk.bytes_done, total)
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror or error}") from error
    progress(total, total)
    return transfer.report()


class _Transfer:
    """Sends chunks in their order and keeps count."""

    def __init__(
        self, file: str, client: httpx.AsyncClient, sent_as: str, stock_location: str | None
    ) -> None:
        self._file = file
        self._client = client
        self._key = hashlib.sha256(sent_as.encode()).hexdigest()[:40]
        self._stock_location = stock_location
        self._number = 0
        self._statuses: list[str] = []
        self._variants = 0
        self._stock_rows = 0
        self._stock_units = 0
        self._stock_rows_left = 0
        self._stocked: set[str] | None = None
        self._problems: list[RowProblem] = []
        self._notes: list[RowProblem] = []
        self._left_out = 0

    async def carry(self, chunk: _Chunk) -> None:
        """Saves the products of a chunk, then receives the stock of those that were taken."""
        self._keep(self._problems, chunk.problems)
        self._keep(self._notes, chunk.notes)
        if chunk.products:
            self._number += 1
            saved = await self._save(f"{self._number}", chunk.products, chunk.bodies)
            await self._receive(saved)

    def report(self) -> ImportReport:
        """What became of the file so far, problems in the order of its rows."""
        return ImportReport(
            file=self._file,
            created=self._statuses.count("created"),
            updated=self._statuses.count("updated"),
            unchanged=self._statuses.count("unchanged"),
            refused=self._statuses.count("refused"),
            variants=self._variants,
            stock_rows=self._stock_rows,
            stock_units=self._stock_units,
            stock_rows_left=self._stock_rows_left,
            problems=sorted(self._problems, key=lambda problem: problem.row),
            notes=self._notes,
            problems_left_out=self._left_out,
        )

    async def _save(
        self, step: str, products: Sequence[FileProduct], bodies: Sequence[bytes]
    ) -> list[FileProduct]:
        """Saves products; those that were taken. What one request cannot hold goes by halves."""
        content = b'{"products":[' + b",".join(bodies) + b"]}"
        try:
            answer = await self._ask(
                "POST", "/v1/products:batch?mode=upsert", content, f"products-{step}"
            )
        except _Refused as refused:
            if refused.status == _TOO_LARGE and len(products) > 1:
                middle = len(products) // 2
                first = await self._save(f"{step}.1", products[:middle], bodies[:middle])
                return first + await self._save(f"{step}.2", products[middle:], bodies[middle:])
            for product in products:
                self._count(product, _refusal(product, refused))
            return []
        items = _decode_saved(answer.content).items
        if answer.is_old:
            items = [item if item.status == "refused" else _unchanged(item) for item in items]
        for product, item in zip(products, items, strict=True):
            self._count(product, item)
        return [
            product
            for product, item in zip(products, items, strict=True)
            if item.status != "refused"
        ]

    def _count(self, product: FileProduct, item: SavedItem) -> None:
        self._statuses.append(item.status)
        self._variants += item.variants
        self._keep(self._problems, explain(product, item))

    async def _receive(self, products: Sequence[FileProduct]) -> None:
        if self._stock_location is None:
            return
        wanted = [
            (row, variant.sku, units)
            for product in products
            for row, variant, units in zip(
                product.variant_rows, product.body.variants, product.stock, strict=True
            )
            if units
        ]
        if wanted and self._stocked is None:
            self._stocked = await self._list_stocked()
        fresh = [each for each in wanted if each[1] not in (self._stocked or ())]
        self._stock_rows_left += len(wanted) - len(fresh)
        for start in range(0, len(fresh), MOVES_PER_CALL_MAX):
            part = fresh[start : start + MOVES_PER_CALL_MAX]
            content = _encode({"moves": [self._move(sku, units) for _, sku, units in part]})
            # Which rows are left depends on what was there, so the key is made from those sent.
            step = f"stock-{hashlib.sha256(content).hexdigest()[:40]}"
            try:
                await self._ask("POST", "/v1/stock-receipts", content, step)
            except _Refused as refused:
                self._keep(
                    self._problems,
                    [RowProblem(row, "stock", refused.code, refused.detail) for row, _, _ in part],
                )
            else:
                self._stock_rows += len(part)
                self._stock_units += sum(units for _, _, units in part)

    def _move(self, sku: str, units: int) -> dict[str, Any]:
        return {
            "sku": sku,
            "quantity": units,
            "location": self._stock_location,
            "reason": "import",
            "reference": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self._key}|{sku}")),
        }

    async def _list_stocked(self) -> set[str]:
        """The SKUs that have or had stock at the location."""
        skus: set[str] = set()
        query = f"location={quote(self._stock_location or '')}&limit={PAGE_MAX}"
        cursor: str | None = ""
        while cursor is not None:
            more = f"&cursor={cursor}" if cursor else ""
            try:
                answer = await self._ask("GET", f"/v1/stock-items?{query}{more}", b"", "")
            except _Refused as refused:
                raise Failure(
                    f"stock at {self._stock_location!r} cannot be read: {refused.detail}",
                    code=refused.code,
                ) from refused
            page = _decode_stock(answer.content)
            skus.update(item.sku for item in page.items)
            cursor = page.next
        return skus

    async def _ask(self, method: str, path: str, content: bytes, step: str) -> _Answered:
        """A good answer. The key makes it safe to ask again until there is one."""
        headers = {
            "content-type": "application/json",
            "idempotency-key": f"import-{self._key}-{step}",
        }
        for attempt in range(RETRIES_MAX + 1):
            wait_s = min(RETRY_WAIT_S * 2**attempt, RETRY_WAIT_S_MAX)
            try:
                answer = await self._client.request(method, path, content=content, headers=headers)
            except httpx.TransportError as error:
                told = f"the API does not answer: {error!r}"
            else:
                if answer.is_success:
                    # Told again after a try of our own, it is still what this run did.
                    return _Answered(answer.content, not attempt and REPEATED in answer.headers)
                if answer.status_code not in _BUSY:
                    raise _told(answer)
                told = f"the API is busy: it answered {answer.status_code}"
                wait_s = max(wait_s, _retry_after_s(answer))
            if attempt < RETRIES_MAX:
                await asyncio.sleep(wait_s)
        again = "run the same command again: it goes on where it stopped"
        raise Failure(f"{told}; {again}", code="unavailable", exit_code=UNAVAILABLE)

    def _keep(self, kept: list[RowProblem], found: Sequence[RowProblem]) -> None:
        room = max(0, PROBLEMS_KEPT_MAX - len(kept))
        kept.extend(found[:room])
        self._left_out += max(0, len(found) - room)


def _cut(stream: BinaryIO, layout: LayoutName | None, currency: str) -> Iterator[_Chunk]:
    """The file in chunks; where it is cut depends on nothing but what is in it."""
    chunk = _Chunk([], [], [], [])
    size = variants = 0
    for found, notes in read_file(stream, layout=layout, currency=currency):
        if isinstance(found, RowProblem):
            chunk.problems.append(found)
        else:
            body = _encode(found.body)
            more = len(found.body.variants)
            if chunk.products and (
                len(chunk.products) >= CHUNK_PRODUCTS_MAX
                or size + len(body) > CHUNK_BYTES_MAX
                or variants + more > CHUNK_VARIANTS_MAX
            ):
                chunk.bytes_done = stream.tell()
                yield chunk
                chunk = _Chunk([], [], [], [])
                size = variants = 0
            chunk.products.append(found)
            chunk.bodies.append(body)
            chunk.notes.extend(notes)
            size += len(body)
            variants += more
        if len(chunk.problems) >= CHUNK_FINDINGS_MAX:
            chunk.bytes_done = stream.tell()
            yield chunk
            chunk = _Chunk([], [], [], [])
            size = variants = 0
    if not chunk.is_empty:
        chunk.bytes_done = stream.tell()
        yield chunk


def _digest(path: Path) -> tuple[str, int]:
    """What is in the file, in short, and its length."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return digest, os.fstat(stream.fileno()).st_size


def _refusal(product: FileProduct, refused: _Refused) -> SavedItem:
    """A refusal of the whole request, as that of each product in it."""
    fault = Fault("", refused.code, refused.detail)
    return SavedItem(handle=product.body.handle or "", status="refused", errors=[fault])


def _unchanged(item: SavedItem) -> SavedItem:
    return msgspec.structs.replace(item, status="unchanged")


def _told(answer: httpx.Response) -> Exception:
    """What a refusal means: for the request, or where it concerns the key for the whole import."""
    try:
        problem = answer.json()
        code, detail = str(problem["code"]), str(problem["detail"])
    except (ValueError, KeyError, TypeError):
        code, detail = f"http_{answer.status_code}", answer.text[:200]
    if answer.status_code in _NOT_ALLOWED:
        return Failure(f"the API refuses the import: {detail}", code=code)
    return _Refused(answer.status_code, code, detail)


def _retry_after_s(answer: httpx.Response) -> float:
    text = answer.headers.get("retry-after", "")
    return min(float(text), RETRY_WAIT_S_MAX) if text.isdecimal() else 0.0
