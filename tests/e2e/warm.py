"""Starts commands in processes that have loaded everything already: each is a fork of this one.

To load it takes a command longer than what it does, and the tests run hundreds. The command is the
last thing that its process does, so its end is the interpreter's as ever. What a fork cannot tell,
whether each command loads what it needs by itself, test_cli_words.py asks.
"""

import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
from typing import Any

ORDER_BYTES_MAX = 1 << 17


def serve() -> None:
    """Forks a process for every order; returns in that process, ready to be the command."""
    app: Any = importlib.import_module("serai.cli.app")
    for name in app.COMMANDS:
        app.load_command(name)
    gc.freeze()  # what is never looked through again is never copied
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who wait
    orders = socket.socket(fileno=0)
    while True:
        order, files, _, _ = socket.recv_fds(orders, ORDER_BYTES_MAX, 3)
        if not order:
            sys.exit()
        if os.fork() == 0:
            orders.detach()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _become(json.loads(order), *files)
            return
        for file in files:
            os.close(file)


def _become(order: dict[str, Any], told: int, out: int, err: int) -> None:
    """Waits for a fork of this process and tells how it ended; returns in the fork."""
    child = os.fork()
    if child:
        os.write(told, f"{child}\n".encode())
        _, status = os.waitpid(child, 0)
        os.write(told, f"{os.waitstatus_to_exitcode(status)}\n".encode())
        os._exit(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.closerange(3, max(told, out, err) + 1)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.path[0] = order["cwd"]
    sys.argv[1:] = order["words"]


if __name__ == "__main__":
    serve()
    runpy.run_module("serai", run_name="__main__", alter_sys=True)
