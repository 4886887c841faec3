"""`python -m serai.cli.understudy`: loads everything that a role needs, then waits for its part.

The part is one line on standard input, which stays the lifeline after it. When that closes before
there was a part, nobody needs it any more.
"""

import os
import sys
from typing import Final

import msgspec

from serai.cli import app
from serai.cli.processes import Part

PARTS: Final = ("serve", "worker")


def main() -> None:
    """Becomes what the line says."""
    for name in PARTS:
        app.load_command(name)
    line = sys.stdin.buffer.readline()
    if not line:
        return
    part = msgspec.json.decode(line, type=Part)
    if part.log is not None:
        log = os.open(part.log, os.O_WRONLY | os.O_APPEND)
        os.dup2(log, sys.stdout.fileno())
        os.dup2(log, sys.stderr.fileno())
        os.close(log)
    sys.argv[1:] = part.words
    app.main()


if __name__ == "__main__":
    main()
