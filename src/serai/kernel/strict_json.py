"""JSON that means one thing: what could be read in two ways, or is not wholly known, is refused."""

import json
from typing import Any

import msgspec

from serai.kernel.failure import Invalid


class DuplicateKey(Invalid):
    """A JSON object names a key twice, so what it means is anyone's guess."""


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> None:
    if len({key for key, _ in pairs}) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise DuplicateKey(f"the key {key!r} stands twice in one object")
            seen.add(key)


_check_keys = json.JSONDecoder(object_pairs_hook=_refuse_duplicates).decode


def decode_json(decoder: Any, body: bytes) -> Any:
    """Strict JSON: right types, no unknown and no repeated keys, valid UTF-8, no NaN."""
    try:
        value = decoder.decode(body)
        _check_keys(body.decode("utf-8"))
    except msgspec.ValidationError as error:
        raise Invalid(f"the body does not fit: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"the body is not valid JSON in UTF-8: {error}") from error
    return value
