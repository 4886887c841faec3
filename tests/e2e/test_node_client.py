"""The npm openid-client, in a Node process, against a real API process.

It needs Node 20 and npm. Where they are not to be had, say so by SERAI_TESTS_WITHOUT_NODE=1, and
it is skipped; nothing else skips it, so that it cannot fall silent by itself.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from serai.contexts.identity.model.apps import CODE, DEVICE, OWN, REFRESH
from serai.kernel.embedded import EmbeddedPostgres
from tests.e2e.shop import Shop

SOURCE = Path(__file__).parent / "node_client"
WITHOUT_NODE = "SERAI_TESTS_WITHOUT_NODE"
NODE_TIMEOUT_S = 120.0
EMAIL, PASSWORD = "buyer@example.com", "seven brass lanterns"
CALLED = "https://app.example/cb"
SCOPE = "openid profile email offline_access orders:own"

needs_node = pytest.mark.skipif(
    os.environ.get(WITHOUT_NODE) == "1", reason=f"{WITHOUT_NODE}=1 says that Node is not here"
)


@pytest.fixture
def client_folder(tmp_path: Path) -> Path:
    """The app, with what it needs installed as its lock file says."""
    for program in ("node", "npm"):
        assert shutil.which(program), (
            f"this test needs Node 20 and npm, and there is no {program}; "
            f"{WITHOUT_NODE}=1 leaves it out"
        )
    folder = tmp_path / "client"
    shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns("node_modules"))
    run(folder, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    return folder


def run(folder: Path, *words: str, **variables: str) -> str:
    """A program's output, once it has ended well."""
    done = subprocess.run(
        list(words), cwd=folder, env={**os.environ, **variables}, capture_output=True, text=True,
        timeout=NODE_TIMEOUT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{words}: {done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture
def shop(postgres: EmbeddedPostgres, database_name: str, tmp_path: Path) -> Iterator[Shop]:
    opened = Shop(
        tmp_path,
        owner_url=postgres.owner_url(database_name),
        app_url=postgres.app_url(database_name),
    )
    opened.settings |= {"argon2_memory_kib": "8192", "argon2_passes": "1"}
    opened.start("api")
    opened.open("acme")
    yield opened
    opened.stop()


def register(shop: Shop, http: httpx.Client) -> None:
    """A customer, by the mail that nobody sends here."""
    tenant = {"Serai-Tenant": "acme"}
    body = {"email": EMAIL, "password": PASSWORD, "name": "A Buyer"}
    assert http.post("/v1/customers", json=body, headers=tenant).status_code == 202
    found = shop.command("identity", "mail-token", "acme", EMAIL, "--json").document
    shown = {**found, "password": PASSWORD}
    answer = http.post("/v1/customers/verifications", json=shown, headers=tenant)
    assert answer.status_code == 201, answer.text


def make(http: httpx.Client, *, is_public: bool) -> dict[str, Any]:
    """An app."""
    body = {
        "name": "Node app", "is_public": is_public, "redirect_uris": [CALLED],
        "grants": [CODE, REFRESH, DEVICE] + ([] if is_public else [OWN]),
        "scopes": [*SCOPE.split(), "catalog:read"],
    }  # fmt: skip
    answer = http.post("/v1/apps", json=body)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    return {"id": made["app"]["id"], "secret": made["secret"]}


@needs_node
def test_the_npm_client_signs_in_comes_alone_and_lets_a_device_in(
    shop: Shop, client_folder: Path
) -> None:
    with shop.client() as http:
        register(shop, http)
        given = {
            "issuer": f"{shop.base}/t/acme", "email": EMAIL, "password": PASSWORD,
            "called": CALLED, "confidential": make(http, is_public=False),
            "public": make(http, is_public=True),
        }  # fmt: skip
    told = json.loads(run(client_folder, "node", "client.mjs", GIVEN=json.dumps(given)))
    sub = told["confidential"]["sub"]
    assert told == {
        "confidential": {"sub": sub, "scope": SCOPE, "rotated": True},
        "public": {"sub": sub, "scope": SCOPE, "rotated": True},
        "alone": {"active": True, "scope": "catalog:read", "refused": "invalid_scope"},
        "device": {"scope": "openid orders:own"},
    }


def test_the_lock_file_names_no_address() -> None:
    lock = json.loads((SOURCE / "package-lock.json").read_text("utf-8"))
    found = {name: set(one) for name, one in lock["packages"].items() if name}
    assert {"node_modules/openid-client", "node_modules/oauth4webapi", "node_modules/jose"} == set(
        found
    )
    assert all("integrity" in fields and "resolved" not in fields for fields in found.values())
