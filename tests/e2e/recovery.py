"""An installation whose parts are made to die, and how long it takes to serve again after each.

`python -m tests.e2e.recovery` measures it, as docs/reference/benchmarks.md says under Recovery.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil

from serai.cli.processes import UNDERSTUDY
from serai.kernel.embedded import EmbeddedPostgres, reachable_data_dir
from serai.kernel.embedded.postmaster import find_live_postmaster
from tests.e2e.installation import Installation
from tests.e2e.processes import READY_TIMEOUT_S, ask, environment, free_ports, serai, wait_until
from tests.e2e.shop import bearer, furnish
from tests.e2e.traffic import SKU, Traffic, carried_after

UNITS = 1_000_000
BEFORE_S = 1.0
"""Traffic before the fault, so that everything is warm and something is in flight."""
LOOK_S = 0.005
AFTER_S = 6.0
PAUSED_S = 4.0


class Patient:
    """An installation with a shop, whose parts are made to die."""

    def __init__(self, folder: Path) -> None:
        # Several workers need a payment sandbox that all of them can ask.
        (port,) = free_ports(1)
        self.installation = Installation(folder, "--sandbox-port", str(port))
        self.key = ""
        self._workers: list[Any] = []

    def start(self) -> None:
        """Starts it, with goods on the shelf."""
        here = self.installation
        here.start()
        done = serai("tenant", "create", "acme", "--json", cwd=here.folder, **here.settings)
        self.key = done.document["key"]["key"]
        with httpx.Client(base_url=self.base, headers=bearer(self.key), timeout=30) as client:
            furnish(client, {SKU: UNITS})

    def stop(self) -> int:
        """Ends everything; the exit code of `serai run`."""
        for worker in self._workers:
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()
                worker.wait(10)
        self._workers = []
        return self.installation.stop()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.installation.port}"

    def pid(self, part: str) -> int:
        """The process id of a part, or of `serai run` itself, as it is now."""
        pid: int = self.installation.runtime()[f"{part}_pid" if part else "pid"]
        return pid

    def add_worker(self) -> psutil.Popen:
        """One more worker, whom nobody restarts."""
        here = self.installation
        (port,) = free_ports(1)
        runtime = here.runtime()
        own = {
            "worker_port": str(port),
            "database_app_url": runtime["app_url"],
            "payment_provider": runtime["sandbox_url"],
        }
        with (here.folder / "second.log").open("ab") as log:
            worker = psutil.Popen(
                [sys.executable, "-m", "serai", "worker"],
                env=environment(**{**here.settings, **own}), cwd=here.folder,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self._workers.append(worker)
        url = f"http://127.0.0.1:{port}/readyz"
        wait_until(lambda: ask(url).status == 200, "the second worker is ready")
        return worker

    def understudy(self) -> int | None:
        """The process that stands by for whichever dies first."""
        run = psutil.Process(self.pid(""))
        taken = {self.pid("api"), self.pid("worker")}
        for process in run.children():
            if process.pid not in taken and UNDERSTUDY[-1] in process.cmdline():
                return process.pid
        return None

    def postgres(self) -> EmbeddedPostgres:
        """The server as somebody sees it who neither starts nor stops it."""
        return EmbeddedPostgres(reachable_data_dir(self.installation.data / "postgres"))

    async def fetch(self, text: str) -> list[Any]:
        """What the superuser reads, whom no wall stops."""
        connection = await asyncpg.connect(self.postgres().admin_url("serai"))
        try:
            return list(await connection.fetch(text))
        finally:
            await connection.close()

    def check(self) -> Any:
        """What `serai check` says."""
        here = self.installation
        return serai("check", "--json", cwd=here.folder, **here.settings)


Figures = dict[str, float]
Fault = Callable[[Patient, Traffic], Coroutine[Any, Any, Figures]]


async def kill_only_worker(patient: Patient, traffic: Traffic) -> Figures:
    """The one worker dies, and is started again."""
    async with traffic.flowing():
        await asyncio.sleep(BEFORE_S)
        at = kill(patient.pid("worker"))
        await asyncio.sleep(traffic.after_s)
    return {"served_again_s": carried_after(at, await traffic.settled())}


async def kill_one_of_two_workers(patient: Patient, traffic: Traffic) -> Figures:
    """One of two workers dies and stays dead; the other takes over."""
    second = await asyncio.to_thread(patient.add_worker)
    async with traffic.flowing():
        await asyncio.sleep(BEFORE_S)
        at = kill(second.pid)
        await asyncio.to_thread(second.wait, 10)
        await asyncio.sleep(traffic.after_s)
    return {"served_again_s": carried_after(at, await traffic.settled())}


async def stop_one_of_two_workers(patient: Patient, traffic: Traffic) -> Figures:
    """One of two workers is paused beyond its leases, and wakes believing that it has them."""
    second = await asyncio.to_thread(patient.add_worker)
    async with traffic.flowing():
        await asyncio.sleep(BEFORE_S)
        at = time.time()
        second.send_signal(signal.SIGSTOP)
        await asyncio.sleep(PAUSED_S)
        second.send_signal(signal.SIGCONT)
        await asyncio.sleep(traffic.after_s)
    second.terminate()
    await asyncio.to_thread(second.wait, 20)
    return {"served_again_s": carried_after(at, await traffic.settled())}


async def kill_api(patient: Patient, traffic: Traffic) -> Figures:
    """The API dies, and is started again."""
    before = patient.pid("api")
    async with traffic.flowing():
        await asyncio.sleep(BEFORE_S)
        at = kill(before)
        await changed(lambda: patient.pid("api"), before)
        started_at = time.time()
        await traffic.go_on(started_at)
    await traffic.settled()
    return {
        "answers_again_s": traffic.flows_after(at),
        "answers_after_its_start_s": traffic.flows_after(started_at),
    }


async def kill_postmaster(patient: Patient, traffic: Traffic) -> Figures:
    """PostgreSQL dies at once and altogether; nothing else is started again."""
    others = [patient.pid("api"), patient.pid("worker")]
    before = patient.pid("postgres")
    async with traffic.flowing():
        await asyncio.sleep(BEFORE_S)
        at = kill(before)
        await asyncio.to_thread(_await_server, patient, before)
        back_at = time.time()
        await traffic.go_on(back_at)
    return await _outage(patient, traffic, others, at, back_at)


async def kill_all_but_the_supervisor(patient: Patient, traffic: Traffic) -> Figures:
    """PostgreSQL, API and worker die in the same instant."""
    before = patient.pid("postgres")
    async with traffic.flowing():
        await asyncio.sleep(BEFORE_S)
        for part in ("api", "worker", "postgres"):
            at = kill(patient.pid(part))
        await asyncio.to_thread(_await_server, patient, before)
        back_at = time.time()
        await traffic.go_on(back_at)
    settled = await traffic.settled()
    return {
        "back_s": back_at - at,
        "answers_again_s": traffic.flows_after(back_at),
        "served_again_s": carried_after(back_at, settled),
    }


async def kill_backend(patient: Patient, traffic: Traffic) -> Figures:
    """One backend dies, so PostgreSQL throws everyone out and recovers by itself."""
    others = [patient.pid("api"), patient.pid("worker")]
    (victim,) = await patient.fetch(
        "SELECT pid FROM pg_stat_activity WHERE usename = 'serai_app' LIMIT 1"
    )
    async with traffic.flowing():
        await asyncio.sleep(BEFORE_S)
        at = kill(victim["pid"])
        await asyncio.sleep(LOOK_S)
        while True:
            with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await patient.fetch("SELECT 1")
                break
            await asyncio.sleep(LOOK_S)
        back_at = time.time()
        await traffic.go_on(back_at)
    return await _outage(patient, traffic, others, at, back_at)


async def _outage(
    patient: Patient, traffic: Traffic, others: list[int], at: float, back_at: float
) -> Figures:
    settled = await traffic.settled()
    assert others == [patient.pid("api"), patient.pid("worker")], "nothing else was restarted"
    refused = [s for s in traffic.sent if s.began_at >= at and s.status != 201]
    assert all(s.status == 503 and s.has_retry_after for s in refused), refused
    return {
        "back_s": back_at - at,
        "answers_again_s": traffic.flows_after(back_at),
        "served_again_s": carried_after(back_at, settled),
        "slowest_refusal_s": max((s.ended_at - s.began_at for s in refused), default=0.0),
    }


async def kill_supervisor(patient: Patient, traffic: Traffic) -> Figures:
    """`serai run` itself dies, and is started again at once."""
    async with traffic.flowing():
        await asyncio.sleep(BEFORE_S)
        at = time.time()
        await asyncio.to_thread(patient.installation.stop, signal.SIGKILL)
        await asyncio.to_thread(patient.installation.start)
        ready_at = time.time()
        await traffic.go_on(ready_at)
    return {
        "ready_again_s": ready_at - at,
        "answers_again_s": traffic.flows_after(ready_at),
        "served_again_s": carried_after(at, await traffic.settled()),
    }


FAULTS: dict[str, Fault] = {
    fault.__name__: fault
    for fault in (
        kill_only_worker, kill_one_of_two_workers, stop_one_of_two_workers, kill_api,
        kill_postmaster, kill_backend, kill_all_but_the_supervisor, kill_supervisor,
    )
}  # fmt: skip


def kill(pid: int) -> float:
    """Ends a process at once; when."""
    at = time.time()
    os.kill(pid, signal.SIGKILL)
    return at


async def changed(look: Callable[[], Any], before: Any) -> Any:
    """What `look` sees once that is something else than before."""
    async with asyncio.timeout(READY_TIMEOUT_S):
        while (now := look()) in {None, before}:
            await asyncio.sleep(LOOK_S)
    return now


def _await_server(patient: Patient, before: int) -> None:
    folder = patient.postgres().data_dir
    deadline = time.monotonic() + READY_TIMEOUT_S
    while True:
        found = find_live_postmaster(folder)
        if found is not None and found.pid != before and found.is_ready:
            return
        assert time.monotonic() < deadline, "PostgreSQL does not come back"
        time.sleep(LOOK_S)


def main() -> None:
    """Lets each part die some times, and prints how long it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=f"of {', '.join(FAULTS)}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args()
    seen: dict[str, list[Figures]] = {name: [] for name in wanted.faults or FAULTS}
    with tempfile.TemporaryDirectory(prefix="serai-recovery-") as folder:
        Path(folder).chmod(0o755)  # the server of one who is root is another user's
        patient = Patient(Path(folder))
        patient.start()
        try:
            for name, rounds in seen.items():
                for _ in range(wanted.rounds):
                    traffic = Traffic(patient.base, patient.key, after_s=AFTER_S)
                    rounds.append(asyncio.run(FAULTS[name](patient, traffic)))
                    print(name, {k: round(v, 3) for k, v in rounds[-1].items()}, file=sys.stderr)  # noqa: T201
            assert patient.check().code == 0
        except BaseException:
            print(patient.installation.said(), file=sys.stderr)  # noqa: T201
            raise
        finally:
            patient.stop()
    figures = {
        f"{name}.{figure}": {
            "p50": round(statistics.median(r[figure] for r in rounds), 2),
            "max": round(max(r[figure] for r in rounds), 2),
        }
        for name, rounds in seen.items()
        for figure in rounds[0]
    }
    if wanted.json:
        print(json.dumps(figures, indent=2))  # noqa: T201
    else:
        for name, figure in figures.items():
            print(f"{name:48} p50 {figure['p50']:6.2f}  max {figure['max']:6.2f}")  # noqa: T201


if __name__ == "__main__":
    main()
