"""Whether a port is free, asked before a server is put on it."""

import errno
import socket
from typing import Any

from serai.kernel.failure import Unavailable


def refuse_taken_port(host: str, port: int) -> None:
    """Unavailable if something listens there. Granian itself would share the port in silence."""
    family, kind, protocol, _, address = _resolve(host, port)
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise Unavailable(
                    f"port {port} on {host} is taken by another program: stop that, or choose "
                    "another port (--port, --worker-port)"
                ) from error
            raise Unavailable(f"cannot listen on {host}:{port}: {error.strerror}") from error


def _resolve(host: str, port: int) -> tuple[Any, Any, int, str, Any]:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise Unavailable(f"{host} is no address to listen on: {error.strerror}") from error
