"""`serai run`: a whole shop from one command."""

import asyncio
import signal
from typing import Annotated, Final

import typer

from serai import settings
from serai.cli.console import EXIT_CODES, AsJson, Failure, err, out, print_json, run_async
from serai.cli.demo.board import run_demo
from serai.cli.supervise import Happening, Supervisor
from serai.roles.certificate import check_pair
from serai.settings import Settings, SettingsError

app = typer.Typer(add_completion=False)

QUIET: Final = {"started", "ready"}
"""What goes without saying."""


@app.command(epilog=f"Example: serai run --demo --no-traffic. {EXIT_CODES}")
def run(  # noqa: PLR0917 - an option is named on the command line
    demo: Annotated[
        bool, typer.Option("--demo", help="Create a demo shop and show a live board.")
    ] = False,
    traffic: Annotated[
        bool, typer.Option("--traffic/--no-traffic", help="Made-up buyers in the demo shop.")
    ] = True,
    host: Annotated[str | None, typer.Option(help="Address to listen on. [SERAI_HOST]")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the API. [SERAI_PORT]")] = None,
    worker_port: Annotated[
        int | None, typer.Option(help="Port of the worker's probes. [SERAI_WORKER_PORT]")
    ] = None,
    sandbox_port: Annotated[
        int | None, typer.Option(help="Run the payment sandbox as a server there, and use it.")
    ] = None,
    data_dir: Annotated[
        str | None, typer.Option(help="Where everything is kept. [SERAI_DATA_DIR]")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run the whole shop: database, API and worker, supervised.

    What dies is started again. Ctrl-C or SIGTERM ends it cleanly: what was answered is on disk.
    With SERAI_TLS_CERTIFICATE and SERAI_TLS_KEY the API speaks TLS, and no plain HTTP. With --json
    the addresses are printed once everything is ready.
    """
    own = settings.load_with(host=host, port=port, worker_port=worker_port, data_dir=data_dir)
    if own.tls is not None:
        if demo or sandbox_port is not None:
            raise SettingsError(
                "--demo and --sandbox-port are for trying things out, in plain HTTP: leave "
                "SERAI_TLS_CERTIFICATE and SERAI_TLS_KEY away, or them"
            )
        check_pair(own.tls)
    run_async(
        _run(own, is_demo=demo, has_traffic=traffic, sandbox_port=sandbox_port, as_json=as_json)
    )


async def _run(
    own: Settings, *, is_demo: bool, has_traffic: bool, sandbox_port: int | None, as_json: bool
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    supervisor = Supervisor(
        own,
        has_log_files=is_demo,
        has_demo_pictures=is_demo,
        sandbox_port=sandbox_port,
        listener=None if is_demo else _show,
    )
    try:
        if await _start(supervisor, stop):
            if as_json or not is_demo:
                _greet(supervisor, as_json=as_json)
            if is_demo:
                # With --json the board must not draw where the document stands.
                console = err if as_json else out
                await run_demo(supervisor, traffic=has_traffic, stop=stop, console=console)
            else:
                await stop.wait()
    finally:
        with err.status("Stopping ..."):
            is_clean = await supervisor.stop()
    if not is_clean:
        raise Failure("not everything ended by itself in time; what was answered is safe")


async def _start(supervisor: Supervisor, stop: asyncio.Event) -> bool:
    """Starts, unless told to stop before it is done; whether everything is ready."""
    starting = asyncio.create_task(supervisor.start())
    stopped = asyncio.create_task(stop.wait())
    try:
        with err.status("Starting ..."):
            await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            return True
        return False
    finally:
        starting.cancel()
        stopped.cancel()
        await asyncio.gather(starting, stopped, return_exceptions=True)


def _greet(supervisor: Supervisor, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "api_url": supervisor.api_url,
                "docs_url": f"{supervisor.api_url}/docs",
                "worker_url": supervisor.worker_url,
                "data_dir": str(supervisor.settings.data_path),
            }
        )
        return
    err.print(f"Serai is open: [bold]{supervisor.api_url}[/]  docs: {supervisor.api_url}/docs")
    err.print(f"data: {supervisor.settings.data_path}  metrics: {supervisor.worker_url}/metrics")
    err.print("A shop and its key: serai tenant create my-shop. Ctrl-C ends it all.")


def _show(happening: Happening) -> None:
    if happening.what not in QUIET:
        err.print(f"{happening.part} {happening.what}: {happening.detail}".replace("[", r"\["))
