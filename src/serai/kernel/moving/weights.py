"""How rows are compared between two homes: by their number and the sum of their hashes."""

from typing import NamedTuple


class Doubt(Exception):
    """What is in the new home is not what is in the old one; nothing was changed over."""


class Weight(NamedTuple):
    """How many rows, and the sum of their hashes."""

    rows: int
    total: int


def refuse_difference(what: str, wanted: Weight, found: Weight) -> None:
    """Raises Doubt unless both homes hold the same."""
    if wanted != found:
        raise Doubt(
            f"{what}: {wanted.rows} rows with the sum {wanted.total} in the old home, and "
            f"{found.rows} with {found.total} in the new one"
        )
