"""`serai run` with real processes: what dies comes back, and the end is clean."""

import os
import signal
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import psutil
import pytest

from tests.e2e.installation import Installation
from tests.e2e.processes import free_ports, serai, wait_until


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="serai-run-") as name:
        Path(name).chmod(0o755)  # the server of a test run as root is another user's
        yield Path(name)


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[Installation]:
    installation = Installation(folder)
    installation.start()
    yield installation
    installation.stop()


@pytest.fixture(scope="module")
def key(running: Installation) -> str:
    done = serai("tenant", "create", "acme", "--json", cwd=running.folder, **running.settings)
    assert done.code == 0, done.err
    text: str = done.document["key"]["key"]
    return text


def test_everything_answers_once_it_says_so(running: Installation) -> None:
    assert running.is_ready()
    assert running.api("/livez").json == {"status": "alive"}
    assert b"Serai" in running.api("/").body
    docs = running.api("/docs")
    assert docs.status == 200
    assert b"http://" not in docs.body.replace(b"http://www.w3.org", b"")
    assert b"https://" not in docs.body, "the docs need no network"
    schema = running.api("/schema/openapi.json").json
    assert schema["openapi"] == "3.1.0"
    assert "/v1/orders" in schema["paths"]
    for metrics in (running.api("/metrics"), running.worker("/metrics")):
        assert metrics.headers["content-type"].startswith("text/plain")
        assert b"# TYPE serai_batch_size histogram" in metrics.body
    assert running.api("/nope").json["code"] == "not_found"


def test_the_runtime_file_tells_other_commands_where_it_is(running: Installation) -> None:
    path = running.data / "runtime.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    runtime = running.runtime()
    assert running.process is not None
    assert runtime["pid"] == running.process.pid
    assert runtime["api_url"] == f"http://127.0.0.1:{running.port}"
    assert runtime["worker_url"] == f"http://127.0.0.1:{running.worker_port}"
    for part in ("api_pid", "worker_pid", "postgres_pid"):
        assert _lives(runtime[part]), part
    assert runtime["owner_url"].startswith("postgresql://serai_owner@")
    assert runtime["app_url"].startswith("postgresql://serai_app@")


def test_a_tenants_first_key_opens_the_api(running: Installation, key: str) -> None:
    who = running.api("/v1/tenant", key=key)
    assert who.status == 200
    assert who.json["tenant"]["name"] == "acme"
    assert "orders:write" in who.json["scopes"]
    assert running.api("/v1/tenant", key=key[:-1]).status == 401
    assert running.api("/v1/tenant").status == 401


def test_a_running_installation_checks_out_clean(running: Installation, key: str) -> None:
    done = serai("check", "--json", cwd=running.folder, **running.settings)
    assert done.code == 0, done.err
    report = done.document
    assert report["is_clean"] is True
    assert report["tenants"] == 1
    assert {check["module"] for check in report["checks"]} >= {"inventory", "orders", "payments"}
    assert [check["violations"] for check in report["checks"]] == [[]] * len(report["checks"])


def test_a_catalog_is_imported_with_its_bad_rows_listed(running: Installation, key: str) -> None:
    good = "handle,title,sku,price:USD,stock\ntent,Tent,TENT,129.00,8\n"
    file = running.folder / "goods.csv"
    file.write_text(good)
    words = ("import", str(file), "--tenant", "acme", "--json")
    done = serai(*words, cwd=running.folder, **running.settings)
    assert done.code == 0, done.err
    report = done.document
    assert (report["created"], report["stock_units"], report["problems"]) == (1, 8, [])
    items = running.api("/v1/stock-items", key=key).json["items"]
    assert [(item["sku"], item["available"]) for item in items] == [("TENT", 8)]

    file.write_text(good + "lamp,Lamp,LAMP,free,1\n")
    done = serai(*words, cwd=running.folder, **running.settings)
    assert done.code == 1, done.err
    assert [problem["row"] for problem in done.document["problems"]] == [3]
    assert done.document["unchanged"] == 1
    keys = running.api("/v1/api-keys", key=key).json["items"]
    assert [one["label"] for one in keys if one["revoked_at"] is None] == ["first key"]


def test_a_second_run_on_the_same_folder_is_refused_with_what_to_do(running: Installation) -> None:
    other = free_ports(2)
    settings = {**running.settings, "port": str(other[0]), "worker_port": str(other[1])}
    done = serai("run", cwd=running.folder, **settings)
    assert done.code == 3
    assert "runs on" in done.err
    assert "--data-dir" in done.err
    assert running.is_ready()


def test_a_run_on_a_taken_port_is_refused_with_what_to_do(
    running: Installation, tmp_path: Path
) -> None:
    settings = {**running.settings, "data_dir": str(tmp_path / "data")}
    done = serai("run", cwd=tmp_path, **settings)
    assert done.code == 3
    assert f"port {running.port} on 127.0.0.1 is taken" in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "data" / "postgres").exists(), "it looked before it began"


@pytest.mark.parametrize("part", ["api", "worker"])
def test_a_process_that_is_killed_comes_back(running: Installation, key: str, part: str) -> None:
    before = running.runtime()[f"{part}_pid"]
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: running.runtime()[f"{part}_pid"] != before, f"a new {part} process")
    wait_until(running.is_ready, "ready again")
    assert running.api("/v1/tenant", key=key).status == 200
    assert f"{part} died: signal 9" in running.said()


def test_a_database_that_is_killed_comes_back_with_what_was_committed(
    running: Installation, key: str
) -> None:
    before = running.runtime()["postgres_pid"]
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: running.runtime()["postgres_pid"] not in {None, before}, "a new server")
    wait_until(running.is_ready, "ready again")
    wait_until(lambda: running.api("/v1/tenant", key=key).status == 200, "the tenant is there")


def test_it_stops_cleanly_and_starts_again_where_it_was(running: Installation, key: str) -> None:
    runtime = running.runtime()
    assert running.stop() == 0
    assert not (running.data / "runtime.json").exists()
    for part in ("api_pid", "worker_pid", "postgres_pid"):
        assert not _lives(runtime[part]), part
    assert running.api("/livez").status == 0

    document = running.start()
    assert document["api_url"] == f"http://127.0.0.1:{running.port}"
    assert running.is_ready()
    assert running.api("/v1/tenant", key=key).status == 200
    assert running.stop(signal.SIGINT) == 0
    running.start()


def test_when_the_supervisor_is_killed_its_children_end_and_the_next_start_takes_over(
    running: Installation, key: str
) -> None:
    runtime = running.runtime()
    assert running.stop(signal.SIGKILL) == -9
    for part in ("api_pid", "worker_pid"):
        pid = runtime[part]
        wait_until(lambda pid=pid: not _lives(pid), f"{part} ends by itself")  # type: ignore[misc]
    assert _lives(runtime["postgres_pid"]), "the database outlives us on purpose"

    done = serai("tenant", "list", "--json", cwd=running.folder, **running.settings)
    assert [tenant["name"] for tenant in done.document["tenants"]] == ["acme"]

    running.start()
    assert running.runtime()["postgres_pid"] == runtime["postgres_pid"]
    assert running.api("/v1/tenant", key=key).status == 200
    assert running.stop() == 0
    assert not _lives(runtime["postgres_pid"]), "adopted, so it is stopped"
    running.start()


def test_a_revoked_key_is_refused_at_once(running: Installation, key: str) -> None:
    done = serai("tenant", "key", "acme", "--json", cwd=running.folder, **running.settings)
    second = done.document
    assert running.api("/v1/tenant", key=second["key"]).status == 200
    assert running.api(f"/v1/api-keys/{UUID(second['id'])}", key=key, method="DELETE").status == 204
    assert running.api("/v1/tenant", key=second["key"]).status == 401


def _lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
