"""One HTTP server in this process: Granian, on the process's own event loop."""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog
from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.server.embed import Server

from serai.kernel.failure import Unavailable
from serai.roles.certificate import Renewal, check_pair
from serai.roles.ports import prefer_newest, refuse_taken_port

BACKLOG: Final = 1024
CERTIFICATE_LOOK_S: Final = 5.0
"""How often the files of the certificate are looked at."""
OVERLAP_S: Final = 1.0
"""How long a new server may take to listen, and how long the old one still answers after that."""

_log = structlog.get_logger(__name__)


async def serve_app(
    app: Any,
    *,
    host: str,
    port: int,
    stop: asyncio.Event,
    notice_s: float = 0.0,
    tls: tuple[Path, Path] | None = None,
) -> None:
    """Answers requests until `stop` is set; then takes no more, and ends with the last answer.

    `tls` are the files of the certificate and its key: then it speaks TLS 1.2 or newer, and no
    plain HTTP. When they are renewed, it goes on with the new ones.

    For `notice_s` after `stop` it still accepts, while /readyz says that it will not for long.
    """
    refuse_taken_port(host, port)
    renewal = None
    if tls is not None:
        renewal = await asyncio.to_thread(Renewal, tls)
        check_pair(tls)
    serving = _Serving(partial(_make_server, app, host, port, tls))
    stopped = asyncio.create_task(stop.wait())
    try:
        while not stopped.done():
            look_s = None if renewal is None else CERTIFICATE_LOOK_S
            await asyncio.wait({serving.task, stopped}, return_when="FIRST_COMPLETED",
                               timeout=look_s)  # fmt: skip
            if serving.task.done():
                serving.task.result()
                raise Unavailable(f"the HTTP server on {host}:{port} ended by itself")
            if renewal is not None and await asyncio.to_thread(renewal.look):
                await serving.renew(partial(prefer_newest, host, port))
        if notice_s:
            await asyncio.sleep(notice_s)
        await serving.end()
    finally:
        stopped.cancel()
        serving.cancel()


class _Serving:
    """The server that takes connections, and those before it that still answer what they took."""

    def __init__(self, make: Callable[[], Server]) -> None:
        self._make = make
        self._server, self.task = self._start()
        self._leaving: set[asyncio.Task[None]] = set()

    async def renew(self, prefer: Callable[[], None]) -> None:
        """Listens with what the files hold now, beside the server that is there, which then ends.

        Granian reads a certificate when it starts, and lets several listen on one port. If the new
        one does not come to life, the old one stays. The old one ends when it has had no new
        connection for a while, so that each that it took has asked what it came for.
        """
        server, task = self._start()
        await asyncio.wait({task}, timeout=OVERLAP_S)
        if task.done():
            why = None if task.cancelled() else task.exception()
            _log.error("certificate_unfit", action="certificate_unfit", reason=str(why))
            return
        prefer()
        await asyncio.sleep(OVERLAP_S)
        self._server.stop()  # type: ignore[no-untyped-call]
        self._leaving.add(self.task)
        self.task.add_done_callback(self._leaving.discard)
        self._server, self.task = server, task
        _log.info("certificate_renewed", action="certificate_renewed")

    async def end(self) -> None:
        """Takes no more, and returns with the last answer."""
        self._server.stop()  # type: ignore[no-untyped-call]
        await asyncio.gather(self.task, *self._leaving)

    def cancel(self) -> None:
        for task in (self.task, *self._leaving):
            task.cancel()

    def _start(self) -> tuple[Server, asyncio.Task[None]]:
        server = self._make()
        return server, asyncio.create_task(server.serve())


def _make_server(app: Any, host: str, port: int, tls: tuple[Path, Path] | None) -> Server:
    return Server(
        app,
        address=host,
        port=port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        websockets=False,
        runtime_threads=1,
        backlog=BACKLOG,
        log_enabled=False,
        log_access=False,
        ssl_cert=tls[0] if tls else None,
        ssl_key=tls[1] if tls else None,
        ssl_protocol_min=SSLProtocols.tls12,
    )
