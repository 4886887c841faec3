"""Reads a product file into what the catalog takes, for an upload and for `serai import` alike."""

import io
import os
from collections.abc import Iterator
from typing import BinaryIO, Final

from serai.contexts.catalog.contract import (
    LayoutName,
    Price,
    ProductInput,
    RowProblem,
    VariantInput,
)
from serai.contexts.catalog.gateways.csv_rows import read_products
from serai.contexts.catalog.gateways.product_rows import ProductRow
from serai.contexts.catalog.ports import FileProduct, FileReading

UPLOAD_BYTES_MAX: Final = 8 * 1024 * 1024
"""What an uploaded file may unpack to; a larger one goes through `serai import`."""
UPLOAD_FINDINGS_MAX: Final = 20_000
"""Products and problems that one uploaded file may have."""


def read_upload(data: bytes, *, layout: LayoutName | None, currency: str) -> FileReading:
    """All of an uploaded file, within bounds."""
    products: list[FileProduct] = []
    problems: list[RowProblem] = []
    notes: list[RowProblem] = []
    found = read_file(
        io.BytesIO(data), layout=layout, currency=currency, bytes_max=UPLOAD_BYTES_MAX
    )
    for count, (each, about) in enumerate(found):
        if count >= UPLOAD_FINDINGS_MAX:
            row = each.row
            detail = "An upload has no room for what comes after. Use `serai import`."
            problems.append(RowProblem(row, None, "too_many_rows", detail))
            break
        notes += about
        if isinstance(each, RowProblem):
            problems.append(each)
        else:
            products.append(each)
    return FileReading(products, problems, notes)


def read_file(
    source: BinaryIO | str | os.PathLike[str],
    *,
    layout: LayoutName | None,
    currency: str,
    bytes_max: int | None = None,
) -> Iterator[tuple[FileProduct | RowProblem, tuple[RowProblem, ...]]]:
    """Each product or problem of a file, with the notes about what a product leaves out."""
    rows = read_products(
        source, layout=layout or "auto", default_currency=currency, bytes_max=bytes_max
    )
    for row in rows:
        yield (row, ()) if isinstance(row, RowProblem) else (_take(row), row.notes)


def _take(row: ProductRow) -> FileProduct:
    body = ProductInput(
        title=row.title,
        handle=row.handle,
        description=row.description,
        status=row.status,
        categories=list(row.categories),
        facets={name: list(values) for name, values in row.facets.items()},
        media=list(row.media),
        option_names=list(row.option_names),
        variants=[
            VariantInput(
                sku=variant.sku,
                options=variant.options,
                prices=[Price(price.currency, price.amount_minor) for price in variant.prices],
                barcode=variant.barcode,
                media=list(variant.media),
            )
            for variant in row.variants
        ],
    )
    return FileProduct(
        row=row.row,
        body=body,
        variant_rows=tuple(variant.row for variant in row.variants),
        stock=tuple(variant.stock for variant in row.variants),
    )
