"""The scheduler role: does what is due every so often."""

from typing import NoReturn

from serai.kernel.scheduler import run_jobs
from serai.roles import process
from serai.roles.process import Process
from serai.settings import Settings


def main(
    settings: Settings, *, has_lifeline: bool = False, has_json_logs: bool | None = None
) -> NoReturn:
    """Does jobs until the process is told to stop."""
    process.run([run_scheduler], settings, has_lifeline=has_lifeline, has_json_logs=has_json_logs)


async def run_scheduler(own: Process) -> None:
    """Does every job at its pace; at the end the one at hand is finished."""
    composition = own.composition
    await run_jobs(
        composition.jobs,
        database=composition.database,
        homes=composition.homes,
        clock=composition.clock,
        stop=own.stop,
        ears=own.ears,
    )
