"""Reads a file of products row by row, and gives every row to exactly one end.

A file that is cut off or damaged is refused whole: it is read to its end before its first row.

Each row becomes a variant (or a picture) of a product that is given, or one `RowProblem`; a broken
row never takes another product with it. Where a product's first row is bad, its other rows are
bad too, because nothing says what they are variants of.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final, Literal

import msgspec

from serai.contexts.catalog.contract import (
    MEDIA_PER_PRODUCT_MAX,
    VARIANTS_PER_PRODUCT_MAX,
    LayoutName,
    RowProblem,
)
from serai.contexts.catalog.gateways.csv_cells import CellRefused
from serai.contexts.catalog.gateways.csv_layout import Cells, Layout, ProductDraft, VariantReading
from serai.contexts.catalog.gateways.csv_lines import Record, find_damage, read_records
from serai.contexts.catalog.gateways.csv_serai import SeraiLayout, write_products
from serai.contexts.catalog.gateways.csv_shopify import ShopifyLayout
from serai.contexts.catalog.gateways.csv_vendure import VendureLayout
from serai.contexts.catalog.gateways.product_rows import PriceRow, ProductRow, VariantRow
from serai.kernel.money import is_currency

__all__ = [
    "LayoutName",
    "PriceRow",
    "ProductRow",
    "RowProblem",
    "VariantRow",
    "detect_layout",
    "read_products",
    "write_products",
]

ROWS_MAX: Final = 1_000_000
COLUMNS_MAX: Final = 500
COLUMN_CHARS_MAX: Final = 200

_SHOPIFY_MARKS: Final = frozenset(
    {"body (html)", "variant sku", "variant price", "url handle", "option1 name", "option1 value"}
)
_VENDURE_MARKS: Final = frozenset({"optiongroups", "optionvalues", "stockonhand", "trackinventory"})


def read_products(
    source: BinaryIO | str | os.PathLike[str],
    *,
    layout: Literal["auto"] | LayoutName,
    default_currency: str,
    bytes_max: int | None = None,
) -> Iterator[ProductRow | RowProblem]:
    """The products of a file, each after its last row, and the problems of its rows as met.

    `default_currency` is that of prices whose column names none; `bytes_max` bounds the unpacked
    file where the usual bound is too much. It is read twice, so it must be one that can be read
    again from where it stands. A file that cannot be read to its end gives one problem and no
    product; only a missing file or a failing disk raises `OSError`.
    """
    if not is_currency(default_currency):
        message = f"default_currency is not an ISO 4217 code: {default_currency!r}"
        raise ValueError(message)
    return _read(source, layout=layout, default_currency=default_currency, bytes_max=bytes_max)


def detect_layout(header: Sequence[str]) -> LayoutName | None:
    """The layout that a header belongs to, by the columns that no other layout has."""
    names = {name.strip().lower() for name in header}
    if "title" in names and names & _SHOPIFY_MARKS:
        return "shopify"
    if {"name", "sku", "price"} <= names and names & _VENDURE_MARKS:
        return "vendure"
    if {"handle", "title", "sku"} <= names:
        return "serai"
    if {"title", "sku", "price"} <= names:
        return "shopify"
    return "vendure" if {"name", "slug", "sku", "price"} <= names else None


def _read(
    source: BinaryIO | str | os.PathLike[str],
    *,
    layout: Literal["auto"] | LayoutName,
    default_currency: str,
    bytes_max: int | None,
) -> Iterator[ProductRow | RowProblem]:
    if isinstance(source, (str, os.PathLike)):
        with Path(source).open("rb") as stream:
            yield from _read(
                stream, layout=layout, default_currency=default_currency, bytes_max=bytes_max
            )
        return
    start = source.tell()
    damage = find_damage(source, bytes_max=bytes_max)
    if damage is not None and damage.fault is not None:
        yield RowProblem(damage.row, None, damage.fault.code, damage.fault.detail)
        return
    source.seek(start)
    records = read_records(source, bytes_max=bytes_max)
    header = next(records, None)
    if header is None:
        yield RowProblem(1, None, "empty_file", "The file is empty. Its first row names columns.")
        return
    if header.fault is not None:
        yield RowProblem(header.row, None, header.fault.code, header.fault.detail)
        return
    name = detect_layout(header.cells) if layout == "auto" else layout
    if name is None:
        yield _unknown_layout(header)
        return
    reading = _Reading(_build_layout(name, default_currency))
    problems, can_go_on = reading.open(header)
    yield from problems
    if can_go_on:
        for record in records:
            yield from reading.take(record)
            if reading.is_over:
                return
        yield from reading.close_product()


def _build_layout(name: LayoutName, default_currency: str) -> Layout:
    match name:
        case "serai":
            return SeraiLayout(default_currency)
        case "vendure":
            return VendureLayout(default_currency)
        case "shopify":
            return ShopifyLayout(default_currency)


def _unknown_layout(header: Record) -> RowProblem:
    if len(header.cells) == 1 and any(mark in header.cells[0] for mark in ";\t"):
        return RowProblem(
            header.row, None, "wrong_delimiter", "Save the file with commas between its columns."
        )
    return RowProblem(
        header.row,
        None,
        "unknown_layout",
        "The header is not Serai's, Vendure's or Shopify's. Name its columns as documented.",
    )


class _Refusal(msgspec.Struct, frozen=True):
    """A product whose first row was bad, remembered while its other rows pass."""

    row: int
    cells: Cells
    handle: str = ""


class _Reading:
    """The state between rows: the header, the product being read, and what was given before."""

    def __init__(self, layout: Layout) -> None:
        self.is_over = False
        self._layout = layout
        self._keys: list[str | None] = []
        self._columns: dict[str, str] = {}
        self._product: ProductDraft | None = None
        self._refusal: _Refusal | None = None
        self._row_of_sku: dict[str, int] = {}
        self._row_of_handle: dict[str, int] = {}
        self._rows = 0

    def open(self, header: Record) -> tuple[list[RowProblem], bool]:
        """Learns the columns; says what is wrong with them and whether rows can be read."""
        row, names = header.row, header.cells
        if len(names) > COLUMNS_MAX:
            detail = f"The header has {len(names)} columns; {COLUMNS_MAX} fit."
            return [RowProblem(row, None, "too_many_columns", detail)], False
        problems = []
        unknown = []
        for name in names:
            key = self._layout.key_of(name)
            self._keys.append(key)
            shown = name[:COLUMN_CHARS_MAX]
            if key is None:
                detail = "No such column in this layout. Correct its name or remove it."
                unknown.append(RowProblem(row, shown, "unknown_column", detail))
            elif key and key in self._columns:
                detail = f"It says the same as column {self._columns[key]!r}. Remove one of them."
                problems.append(RowProblem(row, shown, "duplicate_column", detail))
            elif key:
                self._columns[key] = shown
        problems.extend(
            RowProblem(row, column, "missing_column", "Add this column to the file.")
            for key, column in self._layout.required.items()
            if key not in self._columns
        )
        try:
            self._layout.check(self._columns)
        except CellRefused as refused:
            problems.append(self._problem(row, refused))
        can_go_on = not problems and not (unknown and self._layout.is_closed)
        return problems + unknown, can_go_on

    def take(self, record: Record) -> Iterator[ProductRow | RowProblem]:
        """Reads one row; gives the product before it if this row begins another."""
        fault = record.fault
        if fault is None and not any(record.cells):
            return
        self._rows += 1
        if (fault is not None and fault.is_end) or self._rows > ROWS_MAX:
            self.is_over = True
            yield from self.close_product()
            code = fault.code if fault else "too_many_rows"
            detail = fault.detail if fault else f"{ROWS_MAX:,} rows fit. Split the file."
            yield RowProblem(record.row, None, code, detail)
            return
        cells = {key: cell for key, cell in zip(self._keys, record.cells, strict=False) if key}
        begins = self._begins_product(cells)
        if begins:
            yield from self.close_product()
        try:
            self._check_record(record)
            if begins:
                self._begin_product(record.row, cells)
        except CellRefused as refused:
            yield self._problem(record.row, refused)
            if begins:
                self._refusal = _Refusal(record.row, cells)
            return
        try:
            self._take_variant(record.row, cells)
        except CellRefused as refused:
            yield self._problem(record.row, refused)

    def close_product(self) -> Iterator[ProductRow]:
        """Gives the product read so far, unless none of its variants was good."""
        product, self._product, self._refusal = self._product, None, None
        if product is not None and product.variants:
            self._row_of_handle[product.handle] = product.row
            yield product.finish()

    def _begins_product(self, cells: Cells) -> bool:
        """A row continues the product above it by a blank or equal handle and title."""
        above = self._product or self._refusal
        handle = cells.get("handle", "").strip().lower()
        title = cells.get("title", "").strip()
        if not handle:
            return bool(title)
        if above is None:
            return True
        handles = {above.cells.get("handle", "").strip().lower(), above.handle}
        return handle not in handles or title not in {"", above.cells.get("title", "").strip()}

    def _check_record(self, record: Record) -> None:
        if record.fault is not None:
            raise CellRefused(None, record.fault.code, record.fault.detail)
        if len(record.cells) != len(self._keys):
            raise CellRefused(
                None,
                "wrong_column_count",
                f"The row has {len(record.cells)} columns; the header has {len(self._keys)}. "
                "Look for a missing or unquoted comma.",
            )

    def _begin_product(self, row: int, cells: Cells) -> None:
        product = self._layout.read_product(row, cells)
        earlier = self._row_of_handle.get(product.handle)
        if earlier is not None:
            raise CellRefused(
                "handle",
                "duplicate_handle",
                f"The product on row {earlier} has this handle. Put the rows of one product "
                "together, under one title, or give this one another handle.",
            )
        self._product = product

    def _take_variant(self, row: int, cells: Cells) -> None:
        if self._refusal is not None:
            raise CellRefused(
                None,
                "product_row_refused",
                f"It belongs to the product of row {self._refusal.row}. Correct that row first.",
            )
        product = self._product
        if product is None:
            raise CellRefused(
                "title", "missing_title", "No product stands above this row. Give it a title."
            )
        if row != product.row:
            self._check_product_cells(cells, product.cells)
        reading = self._layout.read_variant(row, cells, product)
        self._check_variant(reading, product)
        product.add_facets(reading.facets, column="variant_facets")
        product.media.extend(reading.media)
        product.notes.extend(reading.notes)
        if reading.variant is not None:
            self._row_of_sku[reading.variant.sku] = row
            product.variants.append(reading.variant)

    def _check_product_cells(self, cells: Cells, first: Cells) -> None:
        for key in self._layout.product_keys:
            cell = cells.get(key, "").strip()
            if cell and key not in {"handle", "title"} and cell != first.get(key, "").strip():
                raise CellRefused(
                    key,
                    "conflicting_cell",
                    "It differs from the product's first row. Change it there, or empty it here.",
                )

    def _check_variant(self, reading: VariantReading, product: ProductDraft) -> None:
        if len(product.media) + len(reading.media) > MEDIA_PER_PRODUCT_MAX:
            raise CellRefused(
                "image", "too_many_media", f"A product has {MEDIA_PER_PRODUCT_MAX} at most."
            )
        variant = reading.variant
        if variant is None:
            return
        if (earlier := self._row_of_sku.get(variant.sku)) is not None:
            raise CellRefused(
                "sku",
                "duplicate_sku",
                f"Row {earlier} has the SKU {variant.sku!r}. Give each variant its own.",
            )
        if any(other.options == variant.options for other in product.variants):
            raise CellRefused(
                None, "duplicate_options", "Another variant of this product has the same options."
            )
        if len(product.variants) >= VARIANTS_PER_PRODUCT_MAX:
            raise CellRefused(
                None, "too_many_variants", f"A product has {VARIANTS_PER_PRODUCT_MAX} at most."
            )
        if product.status == "published" and not variant.prices:
            raise CellRefused(
                None, "missing_price", "A published product needs a price. Give one, or draft it."
            )

    def _problem(self, row: int, refused: CellRefused) -> RowProblem:
        """The problem in the words of the file: its own name for the column."""
        column = refused.column and self._columns.get(refused.column, refused.column)
        return RowProblem(row, column, refused.code, refused.detail)
