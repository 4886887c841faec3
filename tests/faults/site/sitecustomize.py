"""Plants the fault that SERAI_PLANTED_FAULT names into this process, for as long as it runs.

Python imports a module of this name at its start. With this folder and the root of the repository
in PYTHONPATH a real `serai serve`, `serai worker` or `serai prove` runs with the fault in it:

    SERAI_PLANTED_FAULT=inbox_skipped PYTHONPATH=tests/faults/site:. .venv/bin/serai prove
"""

import contextlib
import os
import sys

GIVEN = "SERAI_PLANTED_FAULT"
INHERITED = "PLANTED_FAULT"
"""Under this name it goes on to children: settings refuse a SERAI_ that they do not know."""
UNKNOWN_FAULT = 2

_planted = contextlib.ExitStack()


def plant_for_good(name: str) -> None:
    """Plants a fault until the process ends; an unknown name ends it at once."""
    from tests.faults.registry import FAULTS, planted  # noqa: PLC0415 - most processes plant nothing

    if name not in FAULTS:
        sys.stderr.write(f"{GIVEN}={name!r} is none of {', '.join(sorted(FAULTS))}\n")
        os._exit(UNKNOWN_FAULT)
    _planted.enter_context(planted(name))


if named := os.environ.pop(GIVEN, "") or os.environ.get(INHERITED, ""):
    os.environ[INHERITED] = named
    plant_for_good(named)
