"""What the command line says: help with examples, and failures that say what to do."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer.testing

from serai.cli import app as command_line
from serai.cli.app import COMMANDS
from tests.e2e.processes import Done, environment, free_ports, serai

HELP_MAX_S = 5.0
"""Far above what help takes; below what it would take if every command were loaded for it."""
GROUPS = {
    "migrate": ["up", "status"],
    "tenant": [
        "create", "key", "keys", "signer", "staff", "list", "suspend", "resume", "move", "moves",
        "export", "erase",
    ],
    "domain": ["list", "add", "verify", "drop"],
    "identity": ["rotate-keys", "mail-token"],
    "dlq": ["list", "show", "replay", "drop"],
    "audit": ["verify", "head"],
    "plan": ["list", "assign", "end", "show"],
    "bench": ["orders"],
    "payment": ["list", "retry"],
    "privacy": ["rotate-key"],
}  # fmt: skip
Say = Callable[..., Done]


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Say:
    """Runs a command in this process, as `serai` does: for those that end before they begin."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for name in os.environ:
        if name.startswith("SERAI_"):
            monkeypatch.delenv(name)

    def run(*words: str, **settings: str) -> Done:
        for name, value in settings.items():
            monkeypatch.setenv(f"SERAI_{name.upper()}", value)
        monkeypatch.setattr(sys, "argv", ["serai", *words])
        with pytest.raises(SystemExit) as ended:
            command_line.main()
        said = capfd.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        return Done(code, said.out, said.err)

    return run


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that the database's user may enter, too; pytest's own are shut."""
    with tempfile.TemporaryDirectory(prefix="serai-cli-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_help_names_every_command_without_loading_it(tmp_path: Path) -> None:
    began = time.monotonic()
    shown = subprocess.run(
        [sys.executable, "-m", "serai", "--help"], cwd=tmp_path, env=environment(),
        stdout=subprocess.PIPE, text=True, check=True, timeout=2 * HELP_MAX_S,
    ).stdout  # fmt: skip
    assert [name for name in COMMANDS if f" {name} " not in shown] == []
    assert time.monotonic() - began < HELP_MAX_S
    assert set(command_line.LazyCommands().commands) == set(COMMANDS)


EACH_ALONE = """
import importlib, os, sys
import asyncpg, cryptography.x509, dns.resolver, litestar, prometheus_client, structlog, webauthn
for name in sys.argv[1:]:
    if os.fork() == 0:
        importlib.import_module("serai.cli.app").load_command(name)
        os._exit(0)
    if os.wait()[1]:
        sys.exit(f"{name} does not load by itself")
"""
"""Forks, so that what is not ours, which takes most of the time, is loaded once for all."""


def test_every_command_loads_what_it_needs_by_itself() -> None:
    words = [sys.executable, "-c", EACH_ALONE, *COMMANDS]
    done = subprocess.run(
        words, env=environment(), stderr=subprocess.PIPE, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_has_help_with_an_example_json_and_exit_codes(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    for words in [[name, word] for word in GROUPS.get(name, [])] or [[name]]:
        done = typer.testing.CliRunner().invoke(command_line.app, [*words, "--help"])
        assert done.exit_code == 0, done.output
        shown = " ".join(done.output.split())
        assert f"Example: serai {' '.join(words)}" in shown
        assert "--json" in shown
        assert "Exit codes: 0 " in shown


@pytest.mark.parametrize("name", list(GROUPS))
def test_every_word_of_a_group_is_tested_for_its_help(name: str) -> None:
    assert sorted(command_line.load_command(name).commands) == sorted(GROUPS[name])


@pytest.mark.parametrize(
    ("words", "settings", "code", "said"),
    [
        (["chekc"], {}, 2, "Did you mean 'check'?"),
        (["check", "--nope"], {}, 2, "No such option"),
        (["serve", "--role", "king"], {}, 2, "king"),
        (["dlq", "show", "no-id"], {}, 2, "valid UUID"),
        (["dlq", "replay"], {}, 2, "--all"),
        (["payment", "retry"], {}, 2, "--all"),
        (["check"], {"port": "many"}, 2, "the environment does not fit"),
        (["check"], {"nonsense": "1"}, 2, "SERAI_NONSENSE is not a setting"),
        (["check"], {"payment_provider": "cash"}, 2, "SERAI_PAYMENT_PROVIDER"),
        (["check"], {"log_level": "loud"}, 2, "SERAI_LOG_LEVEL"),
        (["run", "--port", "70000"], {}, 2, "SERAI_PORT is 70000"),
        (["import", __file__], {}, 2, "--tenant"),
        (["import", __file__, "--tenant", "acme"], {}, 3, "serai run"),
        (["serve"], {}, 2, "SERAI_DATABASE_URL"),
        (["run", "--port", "18001", "--worker-port", "18001"], {}, 3, "cannot both listen"),
        (["run", "--host", "203.0.113.7"], {}, 3, "cannot listen on 203.0.113.7"),
        (["tenant", "list"], {}, 3, "start one with `serai run`"),
        (["check"], {}, 3, "start one with `serai run`"),
        (["tenant", "list"], {"database_url": "postgresql://a:b@127.0.0.1:1/c"}, 3, "DATABASE_URL"),
        (["migrate", "up"], {"database_url": "postgresql://a:b@127.0.0.1:1/c"}, 3, "DATABASE_URL"),
        (["migrate", "status"], {"database_url": "nonsense://x"}, 3, "DATABASE_URL"),
    ],
)
def test_an_expected_failure_says_what_to_do(
    say: Say, words: list[str], settings: dict[str, str], code: int, said: str
) -> None:
    done = say(*words, **settings)
    assert done.code == code, done.err
    assert said in done.err
    assert "Traceback" not in done.err
    assert done.out == ""


@pytest.mark.parametrize("words", [(), ("--demo",), ("--sandbox-port", "1")])
def test_run_refuses_tls_that_it_cannot_speak(
    say: Say, tmp_path: Path, words: tuple[str, ...]
) -> None:
    for name in ("pem", "key"):
        (tmp_path / name).write_text("x")
    files = {"tls_certificate": str(tmp_path / "pem"), "tls_key": str(tmp_path / "key")}
    done = say("run", *words, **files)
    assert (done.code, done.out) == (2, "")
    assert "SERAI_TLS_CERTIFICATE" in done.err
    assert "Traceback" not in done.err


def test_a_failure_is_one_json_document_for_a_script(say: Say) -> None:
    done = say("tenant", "list", "--json")
    assert done.code == 3
    assert list(done.document) == ["error"]
    assert done.document["error"]["code"] == "unavailable"
    assert "serai run" in done.document["error"]["detail"]


def test_a_folder_of_another_major_version_is_refused_untouched(
    say: Say, open_folder: Path
) -> None:
    folder = open_folder / "postgres"
    folder.mkdir()
    (folder / "PG_VERSION").write_text("9\n")
    ports = [str(port) for port in free_ports(2)]
    done = say("run", "--data-dir", str(open_folder), "--port", ports[0], "--worker-port", ports[1])
    assert done.code == 3
    assert "was made by PostgreSQL 9" in done.err
    assert [path.name for path in folder.iterdir()] == ["PG_VERSION"]


def test_the_apis_description_needs_no_database(tmp_path: Path) -> None:
    done = serai("openapi", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    schema = json.loads(done.out)
    assert schema["openapi"] == "3.1.0"
    assert schema["components"]["securitySchemes"]["apiKey"]["scheme"] == "bearer"
    assert "/livez" not in schema["paths"]
    permissions = json.loads(serai("openapi", "--permissions", "--json", cwd=tmp_path).out)
    (cancel,) = [one for one in permissions if one["path"] == "/v1/orders/{order_id}/cancel"]
    assert (cancel["method"], cancel["scope"]) == ("POST", "orders:cancel")
    written = serai("openapi", "--out", "openapi.json", cwd=tmp_path)
    assert written.code == 0
    assert (tmp_path / "openapi.json").read_text() == done.out, "the same each time"
