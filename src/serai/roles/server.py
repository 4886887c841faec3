"""One HTTP server in this process: Granian, on the process's own event loop."""

import asyncio
from pathlib import Path
from typing import Any, Final

from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.server.embed import Server

from serai.kernel.failure import Unavailable
from serai.roles.certificate import check_pair
from serai.roles.ports import refuse_taken_port

BACKLOG: Final = 1024


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
    plain HTTP.

    For `notice_s` after `stop` it still accepts, while /readyz says that it will not for long.
    """
    refuse_taken_port(host, port)
    if tls is not None:
        check_pair(tls)
    server = Server(
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
    serving = asyncio.create_task(server.serve())
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
            raise Unavailable(f"the HTTP server on {host}:{port} ended by itself")
        if notice_s:
            await asyncio.sleep(notice_s)
        server.stop()  # type: ignore[no-untyped-call]
        await serving
    finally:
        stopped.cancel()
        serving.cancel()
