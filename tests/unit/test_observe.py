"""A log has lines of one form, whoever writes them."""

import json
import subprocess
import sys

SAYS = """
import logging
from serai.kernel import observe
observe.configure_logs({level!r}, is_json=True)
observe.structlog.get_logger("serai").warning("order_lost", action="order_lost")
try:
    raise ConnectionRefusedError("the server is away")
except ConnectionRefusedError:
    logging.getLogger("asyncpg.pool").exception("failed to restore %d of %d", 1, 2)
logging.getLogger("asyncpg.pool").info("nothing of note")
"""


def log_of(level: str) -> list[dict[str, str]]:
    done = subprocess.run(
        [sys.executable, "-c", SAYS.format(level=level)],
        capture_output=True,
        check=True,
        timeout=60,
    )
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_what_a_library_says_is_a_line_like_ours() -> None:
    ours, theirs = log_of("info")
    assert (ours["action"], ours["level"]) == ("order_lost", "warning")
    assert {name: theirs[name] for name in ("action", "level", "library", "said")} == {
        "action": "library_said",
        "level": "error",
        "library": "asyncpg.pool",
        "said": "failed to restore 1 of 2",
    }
    assert "ConnectionRefusedError: the server is away" in theirs["exception"]
    assert set(ours) <= set(theirs)


def test_a_quiet_log_is_quiet_about_libraries_too() -> None:
    (theirs,) = log_of("error")
    assert theirs["action"] == "library_said"
