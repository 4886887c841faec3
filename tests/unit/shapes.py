"""Makes up values of any of our structures from its types alone."""

import types
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import msgspec
from hypothesis import strategies as st

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
MOMENT = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are given without a zone
SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXT,
    int: st.integers(-(2**62), 2**62),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    bytes: st.binary(max_size=12),
    UUID: st.uuids(),
    datetime: MOMENT,
    date: st.dates(),
    Decimal: st.decimals(allow_nan=False, allow_infinity=False, places=2),
    type(None): st.none(),
    Any: st.none() | st.booleans() | st.integers(-(2**62), 2**62) | TEXT,
}


def shape_of(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a type: one of ours, or what ours are made of."""
    if kind in SIMPLE:
        return SIMPLE[kind]
    origin, given = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        hints = get_type_hints(kind)
        fields = {f.name: shape_of(hints[f.name]) for f in msgspec.structs.fields(kind)}
        return st.builds(kind, **fields)
    if origin is Literal:
        return st.sampled_from(given)
    if origin in {Union, types.UnionType}:
        return st.one_of([shape_of(each) for each in given])
    if origin is tuple and given[-1] is Ellipsis:
        return st.lists(shape_of(given[0]), max_size=3).map(tuple)
    if origin in {list, Sequence}:
        return st.lists(shape_of(given[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(shape_of(given[0]), shape_of(given[1]), max_size=3)
    raise NotImplementedError(f"nobody has said what a {kind} looks like")
