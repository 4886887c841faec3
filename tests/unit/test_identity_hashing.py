"""How long a password is looked at does not tell whether there is an account."""

from typing import Any

import pytest
from argon2 import low_level

from serai.contexts.identity.gateways.hashing import ArgonHashing

NOW = {"memory_kib": 256, "passes": 4, "lanes": 1}


async def hash_by(given: dict[str, int]) -> str:
    hashing = ArgonHashing(**given, at_once=1)
    try:
        return await hashing.hash("violet umbrella tango")
    finally:
        hashing.close()


@pytest.mark.parametrize(
    ("before", "missing"),
    [
        (NOW, 0),
        ({**NOW, "passes": 1}, 3 * 256),
        ({**NOW, "memory_kib": 64}, 4 * 192),
        ({"memory_kib": 512, "passes": 1, "lanes": 1}, 512),
        ({**NOW, "passes": 5}, 0),
    ],
)
async def test_a_hash_of_before_takes_as_long_as_one_of_now(
    before: dict[str, int], missing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    worked: list[int] = []
    real = low_level.hash_secret_raw

    def hash_secret_raw(*args: Any, **given: Any) -> bytes:
        worked.append(given["memory_cost"] * given["time_cost"])
        return real(*args, **given)

    kept = await hash_by(before)
    hashing = ArgonHashing(**NOW, at_once=1)
    monkeypatch.setattr(low_level, "hash_secret_raw", hash_secret_raw)
    try:
        for password, is_it in (("wrong one", False), ("violet umbrella tango", True)):
            worked.clear()
            assert await hashing.verify(kept, password) is is_it
            assert sum(worked) == missing
        worked.clear()
        assert not await hashing.verify(None, "wrong one")
        assert not await hashing.verify("no hash", "wrong one")
        assert worked == []
    finally:
        hashing.close()
