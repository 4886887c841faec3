"""The commands as scripts use them: one JSON document, exit codes, errors that say what to do."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from serai.kernel import ids
from serai.kernel.embedded import EmbeddedPostgres
from tests.e2e.processes import Done, ask, environment, free_ports, serai, wait_until
from tests.integration.signing_shop import pem_of

Run = Callable[..., Done]


@pytest.fixture
def on_database(postgres: EmbeddedPostgres, database_name: str, tmp_path: Path) -> Run:
    """Runs commands on a migrated database, of which only a superuser's URL is known."""
    url = postgres.admin_url(database_name)

    def run(*words: str) -> Done:
        return serai(*words, cwd=tmp_path, database_url=url, data_dir=str(tmp_path / "data"))

    return run


def test_a_new_database_is_migrated_once_and_says_so(
    postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    name = f"fresh_{ids.new_id().hex}"
    postgres.create_database(name)
    settings = {"database_url": postgres.owner_url(name)}
    before = serai("tenant", "list", cwd=tmp_path, database_url=postgres.admin_url(name))
    assert before.code == 3
    assert "serai migrate up" in before.err

    early = serai("migrate", "status", "--json", cwd=tmp_path, **settings)
    assert early.code == 1
    assert {m["state"] for m in early.document["migrations"]} == {"missing"}

    first = serai("migrate", "up", "--phase", "pre", "--json", cwd=tmp_path, **settings)
    assert first.code == 0, first.err
    applied = first.document["applied"]
    assert {"context": "kernel", "name": "0001_pre_kernel.sql"} in applied
    assert len(applied) == len([m for m in early.document["migrations"] if "_pre_" in m["name"]])
    serai("migrate", "up", cwd=tmp_path, **settings)
    again = serai("migrate", "up", "--json", cwd=tmp_path, **settings)
    assert (again.code, again.document) == (0, {"applied": [], "homes": []})

    late = serai("migrate", "status", "--json", cwd=tmp_path, **settings)
    assert (late.code, late.document["is_current"]) == (0, True)


def test_a_tenant_is_made_once_and_listed(on_database: Run) -> None:
    made = on_database(
        "tenant", "create", "acme", "--scopes", "orders:read, orders:write", "--json"
    )
    assert made.code == 0, made.err
    assert made.document["tenant"]["name"] == "acme"
    assert made.document["key"]["scopes"] == ["orders:read", "orders:write"]
    assert made.document["key"]["key"].startswith("serai_")

    twice = on_database("tenant", "create", "acme", "--json")
    assert (twice.code, twice.document["error"]["code"]) == (1, "tenant_exists")
    wrong = on_database("tenant", "create", "Acme Ltd")
    assert (wrong.code, "small letters" in wrong.err) == (1, True)
    unknown = on_database("tenant", "create", "other", "--scopes", "orders:eat")
    assert (unknown.code, "orders:read" in unknown.err) == (1, True)

    listed = on_database("tenant", "list", "--json")
    assert [tenant["name"] for tenant in listed.document["tenants"]] == ["acme"]
    assert made.document["tenant"]["id"] in on_database("tenant", "list").out

    key = on_database("tenant", "key", "acme", "--label", "till")
    assert key.code == 0
    [line] = [line for line in key.out.splitlines() if line.startswith("key")]
    assert len(line.split()[1]) == 115, "never broken into two lines"
    assert on_database("tenant", "key", "nobody").code == 1


def test_a_key_is_given_a_signer_and_listed(on_database: Run, tmp_path: Path) -> None:
    on_database("tenant", "create", "acme")
    first, second = (pem_of(Ed25519PrivateKey.generate()) for _ in range(2))
    file = tmp_path / "signer.pub"
    file.write_text(first)
    made = on_database("tenant", "key", "acme", "--signer", str(file), "--json")
    assert (made.code, made.document["signer"]) == (0, first), made.err
    key_id = made.document["id"]
    file.write_text(second)
    changed = on_database("tenant", "signer", "acme", key_id, str(file), "--json")
    assert (changed.code, changed.document["signer"]) == (0, second), changed.err
    listed = on_database("tenant", "keys", "acme", "--json").document["keys"]
    assert (listed[0]["id"], listed[0]["signer"]) == (key_id, second)
    assert [one["signer"] for one in listed[1:]] == [None]
    assert made.document["key"] not in on_database("tenant", "keys", "acme").out

    private = tmp_path / "signer.key"
    private.write_bytes(Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    ))  # fmt: skip
    refused = on_database("tenant", "signer", "acme", key_id, str(private), "--json")
    assert (refused.code, refused.document["error"]["code"]) == (1, "signer_unfit")
    for words in (("acme", str(ids.new_id())), ("nobody", key_id)):
        assert on_database("tenant", "signer", *words, str(file)).code == 1
    assert on_database("tenant", "keys", "acme", "--json").document["keys"] == listed


async def test_what_the_provider_never_told_is_listed_and_asked_about_again(
    on_database: Run, postgres: EmbeddedPostgres, database_name: str
) -> None:
    made = on_database("tenant", "create", "acme", "--json").document["tenant"]["id"]
    on_database("tenant", "create", "other")
    assert on_database("payment", "list", "--json").document == {"given_up": []}
    orders = [ids.new_id(), ids.new_id()]
    connection = await asyncpg.connect(postgres.admin_url(database_name))
    for order in orders:
        await connection.execute(
            """INSERT INTO payments.intents (tenant_id, order_id, status, amount_minor, currency,
                 card, is_capture_manual, correlation_id, created_at, asked_at)
               VALUES ($1, $2, 'unknown', 500, 'EUR', 'x', false, $2, now(), now())""",
            UUID(made),
            order,
        )
        await connection.execute(
            """INSERT INTO orders.orders (tenant_id, id, status, currency, total_minor, goods,
                 placed_at) VALUES ($1, $2, 'placed', 'EUR', 500, '[]', now())""",
            UUID(made),
            order,
        )
        await connection.execute(
            "INSERT INTO orders.lines (tenant_id, order_id, line_no, sku, quantity, unit_price, "
            "amount_minor) VALUES ($1, $2, 1, 'tent', 1, 5, 500)",
            UUID(made),
            order,
        )
        await connection.execute(
            "INSERT INTO payments.looks VALUES ($1, 'intent', $2, 20, 'infinity')",
            UUID(made),
            order,
        )
    listed = on_database("payment", "list", "--json").document["given_up"]
    assert [(m["tenant"], m["given_up"]["order_id"]) for m in listed] == [
        ("acme", str(order)) for order in orders
    ]
    assert str(orders[1]) in on_database("payment", "list").out
    other = on_database("payment", "list", "--tenant", "other")
    assert other.out.strip() == "Nothing was given up."
    assert on_database("check").code == 1, "it is a violation until someone has looked"

    one = on_database("payment", "retry", str(orders[0]), "--json")
    assert (one.code, one.document) == (0, {"retried": 1})
    again = on_database("payment", "retry", str(orders[0]))
    assert (again.code, "serai payment list" in again.err) == (1, True)
    every = on_database("payment", "retry", "--all", "--json")
    assert (every.code, every.document) == (0, {"retried": 1})
    rows = await connection.fetch("SELECT looks, due_at <= now() AS is_due FROM payments.looks")
    await connection.close()
    assert [tuple(row) for row in rows] == [(0, True), (0, True)]
    assert on_database("check").code == 0


async def test_check_finds_what_is_wrong_and_whose_it_is(
    on_database: Run, postgres: EmbeddedPostgres, database_name: str
) -> None:
    tenants = [
        on_database("tenant", "create", name, "--json").document["tenant"]["id"]
        for name in ("sound", "broken")
    ]
    clean = on_database("check", "--json")
    assert (clean.code, clean.document["is_clean"], clean.document["tenants"]) == (0, True, 2)

    connection = await asyncpg.connect(postgres.admin_url(database_name))
    await connection.execute(
        """INSERT INTO catalog.products (tenant_id, product_id, handle, title, title_key,
             description, status, categories, facets, media, option_names, version, created_at,
             updated_at, published_at)
           VALUES ($1, $2, 'x', 'X', 'x', '', 'published', '[]', '{}', '[]', '[]', 1, now(), now(),
             now())""",
        UUID(tenants[1]),
        ids.new_id(),
    )
    await connection.close()

    found = on_database("check", "--json")
    assert (found.code, found.document["is_clean"]) == (1, False)
    broken = [check for check in found.document["checks"] if check["violations"]]
    assert "catalog.for_sale" in {check["check"] for check in broken}
    assert {v["tenant"] for check in broken for v in check["violations"]} == {"broken"}
    table = on_database("check")
    assert table.code == 1
    assert "something is wrong" in table.out
    assert on_database("check", "--tenant", "sound").code == 0
    assert on_database("check", "--tenant", "broken").code == 1
    assert on_database("check", "--tenant", "nobody").code == 1


async def test_dead_letters_are_listed_shown_replayed_and_dropped(
    on_database: Run, postgres: EmbeddedPostgres, database_name: str
) -> None:
    assert on_database("dlq", "list", "--json").document == {"letters": []}
    events = [ids.new_id() for _ in range(3)]
    connection = await asyncpg.connect(postgres.admin_url(database_name))
    await park(connection, events)

    listed = on_database("dlq", "list", "--json")
    assert [letter["event_id"] for letter in listed.document["letters"]] == [
        str(event) for event in reversed(events)
    ]
    assert [len(on_database("dlq", "list", "--json", *more).document["letters"]) for more in (
        ("--limit", "2"), ("--group", "orders"), ("--group", "checkout"),
    )] == [2, 3, 0]  # fmt: skip
    table = on_database("dlq", "list").out
    assert all(str(event) in table for event in events), "whole, to be copied from 80 columns"
    for words in (["list"], ["replay", "--all"], ["show", str(events[0])]):
        unknown = on_database("dlq", *words, "--group", "flows.checkout", "--json")
        assert (unknown.code, unknown.document["error"]["code"]) == (2, "unknown_group")
        assert "cancellation, checkout, notifications, orders" in unknown.err

    shown = on_database("dlq", "show", str(events[0]), "--json").document["letters"]
    assert [(one["group"], one["data"], one["state"]) for one in shown] == [
        ("orders", {"order_id": "7"}, "dead")
    ]

    replayed = on_database("dlq", "replay", str(events[0]), "--json")
    assert (replayed.code, replayed.document) == (0, {"replayed": 1})
    assert await states(connection) == {events[0]: "retrying", events[1]: "dead", events[2]: "dead"}
    assert on_database("dlq", "replay", "--all", "--json").document == {"replayed": 3}
    assert set((await states(connection)).values()) == {"retrying"}

    dropped = on_database("dlq", "drop", str(events[1]), "--json")
    assert (dropped.code, dropped.document) == (0, {"dropped": 1})
    assert set(await states(connection)) == {events[0], events[2]}
    kept = await connection.fetchval(
        "SELECT event_id FROM kernel.inbox WHERE group_name = 'orders'"
    )
    assert kept == events[1], "so that no replay brings it back"
    for command in ("show", "replay", "drop"):
        again = on_database("dlq", command, str(events[1]))
        assert (again.code, "no such message" in again.err) == (1, True)
    await connection.close()


def test_one_process_may_be_every_role_on_one_url(
    on_database: Run, postgres: EmbeddedPostgres, database_name: str, tmp_path: Path
) -> None:
    key = on_database("tenant", "create", "acme", "--json").document["key"]["key"]
    [port] = free_ports(1)
    process = subprocess.Popen(
        [sys.executable, "-m", "serai", "serve", "--port", str(port), "--lifeline"],
        cwd=tmp_path,
        env=environment(database_url=postgres.admin_url(database_name), drain_s="5"),
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: ask(f"{url}/readyz").status == 200, "ready")
        assert ask(f"{url}/v1/tenant", key=key).json["tenant"]["name"] == "acme"
        assert b"serai_batch_size" in ask(f"{url}/metrics").body
    finally:
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(30) == 0, "its lifeline closed, so it drained and ended"


def test_a_process_on_a_database_that_is_not_migrated_says_so_and_is_not_ready(
    postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    name = f"fresh_{ids.new_id().hex}"
    postgres.create_database(name)
    [port] = free_ports(1)
    process = subprocess.Popen(
        [sys.executable, "-m", "serai", "serve", "--role", "api", "--port", str(port)],
        cwd=tmp_path,
        env=environment(database_app_url=postgres.app_url(name)),
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: ask(f"{url}/livez").status == 200, "alive")
        answer = ask(f"{url}/readyz")
        assert (answer.status, answer.json["code"]) == (503, "not_ready")
        assert "serai migrate up" in answer.json["detail"]
        assert answer.headers["retry-after"] == "1"
    finally:
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(30) == 0


async def park(connection: Any, events: list[UUID]) -> None:
    """Dead letters of three orders."""
    for number, event in enumerate(events):
        await connection.execute(
            """INSERT INTO kernel.dead_letters (tenant_id, group_name, event_id, topic, partition,
                 xid, seq, type, key, occurred_at, correlation_id, data, state, attempts, next_at,
                 error, parked_at)
               VALUES ($1, 'orders', $2, 'orders', 0, '1', $3, 'orders.order_placed.v1', $4, now(),
                 $4, '{"order_id": "7"}', 'dead', 8, now(), 'Traceback ...' || chr(10) ||
                 'Boom: it broke', now())""",
            ids.new_id(), event, number, ids.new_id(),
        )  # fmt: skip


async def states(connection: Any) -> dict[UUID, str]:
    rows = await connection.fetch("SELECT event_id, state FROM kernel.dead_letters")
    return {row["event_id"]: row["state"] for row in rows}
