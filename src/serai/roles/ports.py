"""Whether a port is free, asked before a server is put on it."""

import contextlib
import ctypes
import errno
import socket
import struct
from typing import Any, Final

from serai.kernel.failure import Unavailable

ATTACH_REUSEPORT_CBPF: Final = 51
"""SO_ATTACH_REUSEPORT_CBPF of Linux, which the library does not name (socket(7))."""
BPF_RETURN: Final = 0x06


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


def prefer_newest(host: str, port: int) -> None:
    """Lets who listens on a port last have its new connections, as long as there are two.

    Else the kernel spreads them over both, and the elder cannot end without dropping some. To be
    called when both listen. The program (classic BPF: return 1) names the second of those who do;
    where there is one only it counts for nothing. A kernel without it goes on to spread them.
    """
    family, kind, protocol, _, address = _resolve(host, port)
    with socket.socket(family, kind, protocol) as guest, contextlib.suppress(OSError):
        guest.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        guest.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        guest.bind(address)
        instruction = ctypes.create_string_buffer(struct.pack("HBBI", BPF_RETURN, 0, 0, 1))
        program = struct.pack("HP", 1, ctypes.addressof(instruction))
        # A guest for the few microseconds in which it says so for all who listen there.
        guest.listen()
        guest.setsockopt(socket.SOL_SOCKET, ATTACH_REUSEPORT_CBPF, program)
