"""`serai serve`, `serai worker` and `serai scheduler`: this process becomes a role."""

from enum import StrEnum
from typing import Annotated

import typer

from serai import settings
from serai.cli.console import EXIT_CODES
from serai.cli.demo.media import media_routes
from serai.roles import all as every_role
from serai.roles import api, scheduler, worker

serve_app = typer.Typer(add_completion=False)
worker_app = typer.Typer(add_completion=False)
scheduler_app = typer.Typer(add_completion=False)

Host = Annotated[str | None, typer.Option(help="Address to listen on. [SERAI_HOST]")]
Port = Annotated[int | None, typer.Option(help="Port of the API. [SERAI_PORT]")]
WorkerPort = Annotated[
    int | None, typer.Option(help="Port of the worker's probes and metrics. [SERAI_WORKER_PORT]")
]
JsonLogs = Annotated[bool, typer.Option("--json", help="Log JSON lines on a terminal too.")]
Lifeline = Annotated[
    bool, typer.Option("--lifeline", hidden=True, help="Stop when standard input closes.")
]
DemoPictures = Annotated[
    bool,
    typer.Option("--demo-pictures", hidden=True, help="Serve the demo shop's pictures (role api)."),
]


class Role(StrEnum):
    """What a process may be."""

    ALL = "all"
    API = "api"
    WORKER = "worker"
    SCHEDULER = "scheduler"


@serve_app.command(epilog=f"Example: serai serve --role api --port 8080. {EXIT_CODES}")
def serve(  # noqa: PLR0917 - an option is named on the command line
    role: Annotated[Role, typer.Option(help="Which part to be.")] = Role.ALL,
    host: Host = None,
    port: Port = None,
    worker_port: WorkerPort = None,
    json_logs: JsonLogs = False,
    lifeline: Lifeline = False,
    demo_pictures: DemoPictures = False,
) -> None:
    """Run one role, or all of them, as this process.

    It needs a database that is migrated (SERAI_DATABASE_URL or SERAI_DATABASE_APP_URL), and ends
    cleanly on SIGTERM: what was accepted is answered first.
    """
    own = settings.load_with(host=host, port=port, worker_port=worker_port)
    is_json = json_logs or None
    match role:
        case Role.ALL:
            every_role.main(own, has_lifeline=lifeline, has_json_logs=is_json)
        case Role.API:
            more = media_routes() if demo_pictures else []
            api.main(own, has_lifeline=lifeline, has_json_logs=is_json, more_routes=more)
        case Role.WORKER:
            worker.main(own, has_lifeline=lifeline, has_json_logs=is_json)
        case Role.SCHEDULER:
            scheduler.main(own, has_lifeline=lifeline, has_json_logs=is_json)


@worker_app.command(epilog=f"Example: serai worker --worker-port 8001. {EXIT_CODES}")
def run_worker(
    host: Host = None,
    worker_port: WorkerPort = None,
    with_scheduler: Annotated[
        bool, typer.Option("--with-scheduler", help="Do recurring jobs too.")
    ] = False,
    json_logs: JsonLogs = False,
    lifeline: Lifeline = False,
) -> None:
    """Hear events and ring timers as this process.

    Any number of workers share the work; one that stops gives its share back at once.
    """
    own = settings.load_with(host=host, worker_port=worker_port)
    worker.main(
        own,
        has_scheduler=with_scheduler,
        has_lifeline=lifeline,
        has_json_logs=json_logs or None,
    )


@scheduler_app.command(epilog=f"Example: serai scheduler. {EXIT_CODES}")
def run_scheduler(json_logs: JsonLogs = False, lifeline: Lifeline = False) -> None:
    """Do recurring jobs as this process: expiry, reconciliation, pruning, measuring."""
    scheduler.main(settings.load(), has_lifeline=lifeline, has_json_logs=json_logs or None)
