"""The route that takes a product file: good rows are saved, bad ones are listed."""

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from litestar import Request, Response, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import (
    OpenAPIFormat,
    OpenAPIMediaType,
    OpenAPIType,
    Operation,
    RequestBody,
    Schema,
)
from litestar.params import FromQuery

from serai.contexts.catalog.contract import (
    CorruptFile,
    FileTooLarge,
    ImportView,
    LayoutName,
    RowProblem,
    SavedBatch,
    SavedItem,
    TruncatedFile,
)
from serai.contexts.catalog.handlers.commands import SaveProducts
from serai.contexts.catalog.ports import FileProduct, FileReading, ReadFile
from serai.contexts.catalog.routes.bodies import WRITE, UnsupportedMediaType, new_ids
from serai.kernel.batch import Batch
from serai.kernel.failure import Invalid, Refused
from serai.kernel.idempotency import Claim, fingerprint
from serai.kernel.money import is_currency
from serai.kernel.problems import MEDIA_TYPE, Problem
from serai.kernel.web import cause_of, claim_of, principal_of, requires, send_view

TAGS = ["catalog"]
MEDIA_TYPES: Final = frozenset(
    {"text/csv", "application/gzip", "application/x-gzip", "application/octet-stream"}
)
CHUNK_PRODUCTS_MAX: Final = 250
CHUNK_VARIANTS_MAX: Final = 1_000
PROBLEMS_LISTED_MAX: Final = 1_000
REFUSED: Final = {
    413: ResponseSpec(Problem, description="The file is too long.", media_type=MEDIA_TYPE),
    415: ResponseSpec(Problem, description="The file is of another kind.", media_type=MEDIA_TYPE),
}
_LAYOUTS: Final[dict[str, LayoutName | None]] = {
    "auto": None,
    "serai": "serai",
    "vendure": "vendure",
    "shopify": "shopify",
}
_DAMAGES: Final[dict[str, type[Refused]]] = {
    kind.code: kind for kind in (TruncatedFile, CorruptFile, FileTooLarge)
}
_decode_saved: Final = msgspec.json.Decoder(SavedBatch).decode


@dataclass
class FileOperation(Operation):
    """Describes a body that the handler reads as it comes, of which Litestar knows nothing."""

    def __post_init__(self) -> None:
        file = OpenAPIMediaType(Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY))
        self.request_body = RequestBody(dict.fromkeys(sorted(MEDIA_TYPES), file), required=True)


def routes(save: Batch[SaveProducts, SavedBatch], read_file: ReadFile) -> list[Any]:
    """The import of product files."""

    @post("/v1/imports", guards=[requires(WRITE)], tags=TAGS, status_code=200,
          responses={200: ResponseSpec(data_container=ImportView), **REFUSED},
          operation_class=FileOperation, summary="Import a product file")  # fmt: skip
    async def import_file(
        request: Request[Any, Any, Any], currency: FromQuery[str], layout: FromQuery[str] = "auto"
    ) -> Response[bytes]:
        """Saves the products of a CSV file in Serai's, Vendure's or Shopify's layout.

        The body is the file, as text/csv or application/gzip. `currency` is that of prices
        whose column names none. Every row is saved or listed with what to do about it. Stock is
        passed over: it is inventory's. Sent again under the same key, it goes on where it stopped.
        A file that is cut off or damaged is refused whole.
        """
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in MEDIA_TYPES:
            raise UnsupportedMediaType("send the file as text/csv or application/gzip")
        if layout not in _LAYOUTS:
            raise Invalid(f"`layout` is one of {', '.join(_LAYOUTS)}")
        if not is_currency(currency):
            raise Invalid("`currency` is an ISO 4217 code such as USD")
        body = await request.body()
        claim = claim_of(request, b"")
        # Reading is work for the processor: in a thread, so that others are answered meanwhile.
        reading = await asyncio.to_thread(
            read_file, body, layout=_LAYOUTS[layout], currency=currency
        )
        for problem in reading.problems:
            if (damage := _DAMAGES.get(problem.code)) is not None:
                raise damage(problem.detail, row=problem.row)
        digest = hashlib.sha256(body).hexdigest()
        saved: list[tuple[FileProduct, SavedItem]] = []
        for number, chunk in enumerate(cut_chunks(reading.products)):
            items = tuple((new_ids(product.body), product.body) for product in chunk)
            who = principal_of(request)
            command = SaveProducts(who.tenant_id, "upsert", items, cause_of(request))
            operation = f"{request.method} {request.url.path} {layout} {currency} {digest}"
            answer = await save.submit(
                command, home=who.home, claim=_chunk_claim(claim, operation, number)
            )
            saved += zip(chunk, _decode_saved(answer.body).items, strict=True)
        return send_view(report(reading, saved))

    return [import_file]


def cut_chunks(products: Sequence[FileProduct]) -> Iterator[list[FileProduct]]:
    """Products by the transaction, always cut at the same places."""
    chunk: list[FileProduct] = []
    variants = 0
    for product in products:
        more = len(product.body.variants)
        if chunk and (len(chunk) >= CHUNK_PRODUCTS_MAX or variants + more > CHUNK_VARIANTS_MAX):
            yield chunk
            chunk, variants = [], 0
        chunk.append(product)
        variants += more
    if chunk:
        yield chunk


def report(reading: FileReading, saved: Sequence[tuple[FileProduct, SavedItem]]) -> ImportView:
    """What became of every row, in the order of the file."""
    problems = list(reading.problems)
    for product, item in saved:
        problems += explain(product, item)
    problems.sort(key=lambda problem: problem.row)
    statuses = [item.status for _, item in saved]
    return ImportView(
        created=statuses.count("created"),
        updated=statuses.count("updated"),
        unchanged=statuses.count("unchanged"),
        refused=statuses.count("refused"),
        variants=sum(item.variants for _, item in saved),
        problems=problems[:PROBLEMS_LISTED_MAX],
        notes=reading.notes[:PROBLEMS_LISTED_MAX],
        problems_left_out=max(0, len(problems) - PROBLEMS_LISTED_MAX),
        stock_rows_passed_over=sum(
            units is not None for product in reading.products for units in product.stock
        ),
    )


def explain(product: FileProduct, item: SavedItem) -> list[RowProblem]:
    """Why a product was refused, at the rows of its variants: every row has its end.

    A first row whose variant is none of them was bad by itself, and is listed already.
    """
    problems = []
    blamed = set()
    for fault in item.errors:
        row, column = place_of(product, fault.field)
        blamed.add(row)
        problems.append(RowProblem(row, column, fault.code, fault.detail))
    if item.status == "refused":
        detail = "It belongs to a product that was refused for another row. Correct that one."
        problems += [
            RowProblem(row, None, "product_refused", detail)
            for row in dict.fromkeys(product.variant_rows)
            if row not in blamed
        ]
    return problems


def place_of(product: FileProduct, field: str) -> tuple[int, str | None]:
    """The row and the column of a field such as `variants[2].sku`."""
    head, bracket, rest = field.partition("[")
    index = rest.partition("]")[0]
    if head == "variants" and bracket and index.isdecimal():
        column = rest.partition("].")[2].partition("[")[0]
        return product.variant_rows[int(index)], column or None
    return product.row, head or None


def _chunk_claim(claim: Claim | None, operation: str, number: int) -> Claim | None:
    """A key for each chunk, made from the request's: a repeated import goes on where it stopped."""
    if claim is None:
        return None
    key = hashlib.sha256(claim.key.encode()).hexdigest()
    return Claim(f"import:{key}:{number}", fingerprint(f"{operation} {number}", b""))
