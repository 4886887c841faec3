"""The watch over blocking calls is awake."""

import asyncio
from pathlib import Path

import pytest
from blockbuster import BlockingError

from serai.cli.installation import read_runtime


def test_a_call_of_ours_that_blocks_the_loop_is_caught(tmp_path: Path) -> None:
    (tmp_path / "runtime.json").write_text("{}")

    async def read() -> object:
        return read_runtime(tmp_path)

    with pytest.raises(BlockingError):
        asyncio.run(read())
    assert read_runtime(tmp_path) is None
