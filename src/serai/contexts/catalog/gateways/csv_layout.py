"""What a layout must say of its columns and rows, and the shapes that it reads them into.

A layout names each column by one of Serai's own keys, so that the reader can tell rows of one
product from the next in the same way whatever the file calls its columns.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec

from serai.contexts.catalog.contract import (
    CATEGORIES_PER_PRODUCT_MAX,
    FACET_VALUES_PER_PRODUCT_MAX,
    OPTION_NAME_CHARS_MAX,
    OPTION_VALUE_CHARS_MAX,
    OPTIONS_PER_PRODUCT_MAX,
    ProductStatus,
    RowProblem,
)
from serai.contexts.catalog.gateways.csv_cells import CellRefused, read_line
from serai.contexts.catalog.gateways.product_rows import ProductRow, VariantRow

Cells = Mapping[str, str]
"""The cells of one row by the key of their column, in the order of the file's header."""


class ProductDraft(msgspec.Struct, kw_only=True):
    """A product whose rows are still being read. `media` carries each address's position."""

    row: int
    cells: Cells
    handle: str
    title: str
    description: str
    status: ProductStatus = "published"
    categories: tuple[str, ...] = ()
    facets: dict[str, list[str]] = {}
    media: list[tuple[int, str]] = []
    option_names: tuple[str, ...] = ()
    variants: list[VariantRow] = []
    notes: list[RowProblem] = []

    def add_facets(self, pairs: Iterable[tuple[str, str]], *, column: str) -> None:
        """Adds each value once, or nothing at all when there would be too many."""
        new = [pair for pair in dict.fromkeys(pairs) if pair[1] not in self.facets.get(pair[0], [])]
        if sum(map(len, self.facets.values())) + len(new) > FACET_VALUES_PER_PRODUCT_MAX:
            raise CellRefused(
                column, "too_many_facets", f"{FACET_VALUES_PER_PRODUCT_MAX} facet values fit."
            )
        for name, value in new:
            self.facets.setdefault(name, []).append(value)

    def finish(self) -> ProductRow:
        """The product as read, its media by position and then in the order of the file."""
        placed = sorted(self.media, key=lambda placed: placed[0])
        return ProductRow(
            row=self.row,
            handle=self.handle,
            title=self.title,
            description=self.description,
            status=self.status,
            categories=self.categories,
            facets={name: tuple(values) for name, values in self.facets.items()},
            media=tuple(dict.fromkeys(url for _, url in placed)),
            option_names=self.option_names,
            variants=tuple(self.variants),
            notes=tuple(self.notes),
        )


class VariantReading(msgspec.Struct, kw_only=True):
    """What a row adds to its product: a variant (None on a row of pictures only) and the rest."""

    variant: VariantRow | None
    facets: list[tuple[str, str]] = []
    media: list[tuple[int, str]] = []
    notes: list[RowProblem] = []


class Layout(Protocol):
    """One way to write products in a CSV file."""

    required: Mapping[str, str]
    """Keys without which no product can be read, and what the layout calls their columns."""
    product_keys: frozenset[str]
    """Keys of cells that belong to the product: on its other rows they are blank or the same."""
    is_closed: bool
    """Whether an unknown column stops the reading, since a misspelt one would lose its data."""

    def key_of(self, column: str) -> str | None:
        """The key of a column; empty for one that is known and not read; None for an unknown."""

    def check(self, keys: Iterable[str]) -> None:
        """Refuses a header in which keys are missing that depend on one another."""

    def read_product(self, row: int, cells: Cells) -> ProductDraft:
        """The product's own cells of its first row."""

    def read_variant(self, row: int, cells: Cells, product: ProductDraft) -> VariantReading:
        """The variant's cells of any row."""


def read_option_names(texts: Iterable[str], *, column: str) -> tuple[str, ...]:
    """Names of a product's options, each once."""
    names = tuple(read_line(text, column=column, chars_max=OPTION_NAME_CHARS_MAX) for text in texts)
    if not all(names) or len(set(names)) != len(names):
        raise CellRefused(column, "bad_option_name", "Give each option one name of its own.")
    if len(names) > OPTIONS_PER_PRODUCT_MAX:
        raise CellRefused(
            column, "too_many_options", f"A product has {OPTIONS_PER_PRODUCT_MAX} options at most."
        )
    return names


def read_option_value(text: str, *, name: str, column: str) -> str:
    """The variant's value of one option of its product."""
    value = read_line(text, column=column, chars_max=OPTION_VALUE_CHARS_MAX)
    if not value:
        raise CellRefused(
            column,
            "missing_option_value",
            f"Say which {name} this variant is, as its product asks.",
        )
    return value


def keep_category_bound(categories: Iterable[str], *, column: str) -> tuple[str, ...]:
    """The categories, each once, if they are not too many."""
    paths = tuple(dict.fromkeys(categories))
    if len(paths) > CATEGORIES_PER_PRODUCT_MAX:
        raise CellRefused(
            column, "too_many_categories", f"{CATEGORIES_PER_PRODUCT_MAX} categories fit."
        )
    return paths
