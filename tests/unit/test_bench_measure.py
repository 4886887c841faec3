import os
import subprocess
import sys
from pathlib import Path

from serai.cli.bench import measure

# Burns a little, lets a child burn more, and tells when both are done.
TREE = (
    "import subprocess, sys, time\n"
    "burn = 'import time\\nwhile time.process_time() < 0.3: pass'\n"
    "subprocess.run([sys.executable, '-c', burn], check=True)\n"
    "print('done', flush=True)\n"
    "sys.stdin.read()\n"
)


def test_the_time_and_memory_of_a_process_hold_those_of_its_ended_children() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", TREE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"done\n"
        roots = {"tree": process.pid}
        assert 0.3 <= measure.cpu_seconds(roots)["tree"] < 2.0
        assert 1.0 < measure.memory_mb(roots)["tree"] < 100.0
        process.communicate(b"")
    assert measure.cpu_seconds(roots) == {}
    assert measure.memory_mb(roots) == {}


def test_living_children_count_with_their_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        found = measure.trees({"us": os.getpid()})
        assert process.pid in {child.pid for child in found["us"]}
        process.communicate(b"\n")


def test_the_machine_is_described(tmp_path: Path) -> None:
    machine = measure.describe_machine(tmp_path, "18.6")
    assert machine.cores == len(os.sched_getaffinity(0))
    assert machine.memory_mb > 100
    assert machine.python == ".".join(map(str, sys.version_info[:3]))
    assert machine.postgres == "18.6"
    assert machine.cpu
    assert machine.file_system != "unknown"
