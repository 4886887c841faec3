"""Every command that writes leaves an entry for the audit trail: the operator, and what she did."""

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import typer.testing
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from serai.cli import app as command_line
from serai.cli.app import COMMANDS
from serai.kernel import ids
from serai.kernel.db import Tx
from serai.kernel.embedded import EmbeddedPostgres
from serai.kernel.seals import rotation
from tests.integration.dns_zone import Zone, serve_zone
from tests.integration.signing_shop import pem_of

SHOP, OTHER, MAIL, DOMAIN = "acme", "other", "me@example.org", "shop.example.com"
RECORDS = "SELECT data FROM kernel.outbox WHERE topic = 'audit' ORDER BY event_id"


class Desk:
    """Where an operator types commands, in this process, and what they have recorded so far."""

    def __init__(self, url: str, zone: Zone, folder: Path) -> None:
        self.pem = folder / "signer.pub"
        self._url = url
        self.zone = zone

    def run(self, *words: str) -> Any:
        """Runs a command that must end well; its document."""
        done = typer.testing.CliRunner().invoke(command_line.app, [*words, "--json"])
        assert done.exit_code == 0, f"{words}: {done.output} {done.exception!r}"
        # The DNS of the test talks on the same standard output.
        document, _ = json.JSONDecoder().raw_decode(done.stdout[done.stdout.index("{\n") :])
        return document

    def ask(self, text: str, *args: Any) -> list[Any]:
        """Runs SQL as the database's administrator."""

        async def fetch() -> list[Any]:
            connection = await asyncpg.connect(self._url)
            try:
                return list(await connection.fetch(text, *args))
            finally:
                await connection.close()

        return asyncio.run(fetch())

    def changes(self) -> list[dict[str, Any]]:
        """Every change that is on its way into a trail, with its tenant."""
        told = [json.loads(row[0]) for row in self.ask(RECORDS)]
        return [{**c, "tenant": one["tenant_id"]} for one in told for c in one["changes"]]

    @property
    def tenant(self) -> UUID:
        [row] = self.ask("SELECT tenant_id FROM tenancy.tenants WHERE name = $1", SHOP)
        found: UUID = row[0]
        return found


def signer_of(desk: Desk) -> list[str]:
    key = desk.run("tenant", "key", SHOP)["id"]
    desk.pem.write_text(pem_of(Ed25519PrivateKey.generate()))
    return ["tenant", "signer", SHOP, key, str(desk.pem)]


def proof_of(desk: Desk) -> list[str]:
    claim = desk.run("domain", "add", SHOP, DOMAIN)
    desk.zone.texts[claim["record_name"]] = [[claim["record_value"]]]
    return ["domain", "verify", SHOP, DOMAIN]


def retry_of(desk: Desk) -> list[str]:
    desk.ask("INSERT INTO payments.looks VALUES ($1, 'intent', $2, 20, 'infinity')",
             desk.tenant, ids.new_id())  # fmt: skip
    return ["payment", "retry", "--all"]


def letter_of(desk: Desk, word: str) -> list[str]:
    event = ids.new_id()
    desk.ask(
        """INSERT INTO kernel.dead_letters (tenant_id, group_name, event_id, topic, partition, xid,
             seq, type, key, occurred_at, correlation_id, data, state, attempts, next_at, error,
             parked_at)
           VALUES ($1, 'orders', $2, 'orders', 0, '1', 1, 'orders.order_placed.v1', $2, now(), $2,
             '{}', 'dead', 8, now(), 'Boom', now())""",
        desk.tenant, event,
    )  # fmt: skip
    return ["dlq", word, str(event)]


def same(*words: str) -> Callable[[Desk], list[str]]:
    return lambda _: list(words)


WRITES: dict[str, tuple[str, Callable[[Desk], list[str]]]] = {
    "tenant create": ("tenancy.tenant_created", same("tenant", "create", "third")),
    "tenant key": ("tenancy.key_created", same("tenant", "key", SHOP)),
    "tenant signer": ("tenancy.signer_replaced", signer_of),
    "tenant staff": ("identity.staff_invited", same("tenant", "staff", SHOP, MAIL)),
    "tenant suspend": ("tenancy.state_changed", same("tenant", "suspend", SHOP)),
    "tenant resume": ("tenancy.state_changed", same("tenant", "resume", SHOP)),
    "plan assign": ("billing.plan_assigned", same("plan", "assign", SHOP, "growth")),
    "plan end": ("billing.plan_assigned", same("plan", "end", SHOP)),
    "domain add": ("tenancy.domain_claimed", same("domain", "add", SHOP, DOMAIN)),
    "domain verify": ("tenancy.domain_proven", proof_of),
    "domain drop": ("tenancy.domain_removed", same("domain", "drop", SHOP, DOMAIN)),
    "identity mail-token": (
        "identity.mail_token_shown", same("identity", "mail-token", SHOP, MAIL)
    ),
    "identity rotate-keys": (
        "identity.signing_key_rotated", same("identity", "rotate-keys", "--compromised")
    ),
    "privacy rotate-key": ("privacy.root_key_rotated", same("privacy", "rotate-key")),
    "payment retry": ("payments.look_up_retried", retry_of),
    "dlq replay": ("kernel.letter_replayed", lambda desk: letter_of(desk, "replay")),
    "dlq drop": ("kernel.letter_dropped", lambda desk: letter_of(desk, "drop")),
}  # fmt: skip
"""What each command records, and how it is asked; in an order in which one may follow another."""
ELSEWHERE = {
    "tenant move": "in the new home, with the change-over: tests/integration/test_moving.py",
    "tenant erase": "the rows of its outbox go with all others; its certificate names the operator",
    "migrate up": "no tenant's things are changed; kernel.migrations says what was applied when",
    "import": "the API records it, by a key that is made and ended as `tenant key` makes one",
    "run": "what it serves is recorded by who asks; the demo shop is made as any tenant",
    "serve": "what it serves is recorded by who asks",
    "worker": "what follows from events is sealed into the trail by itself",
    "scheduler": "what jobs do is announced, and sealed into the trail by itself",
    "replay": "the API records it; the shop is made as any tenant",
    "prove": "it works on an installation of its own, which it throws away",
    "bench orders": "it works on a database of its own",
}
"""Commands that write and are not asked here, and where they leave their traces."""
READS = {
    "tenant list", "tenant keys", "tenant moves", "tenant export", "plan list", "plan show",
    "domain list", "check", "dlq list", "dlq show", "payment list", "audit verify", "audit head",
    "migrate status", "openapi",
}  # fmt: skip
"""Commands that change nothing in the database."""
EVERYWHERE = {"identity.signing_key_rotated", "privacy.root_key_rotated"}
"""What concerns every tenant, and is in the trail of each."""


@pytest.fixture
def desk(
    postgres: EmbeddedPostgres, database_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Desk]:
    zone = Zone()
    url = postgres.admin_url(database_name)
    monkeypatch.setattr(rotation, "SETTLE", timedelta(0))
    with serve_zone(zone) as port:
        for name, value in (
            ("DATABASE_URL", url), ("DATA_DIR", str(tmp_path)), ("PLANS", "ready-made"),
            ("DNS_SERVERS", f"127.0.0.1#{port}"),
        ):  # fmt: skip
            monkeypatch.setenv(f"SERAI_{name}", value)
        desk = Desk(url, zone, tmp_path)
        for shop in (SHOP, OTHER):
            desk.run("tenant", "create", shop)
        yield desk


def list_commands() -> set[str]:
    """Every command that there is, by its words."""
    found = set()
    for name in COMMANDS:
        inner = getattr(command_line.load_command(name), "commands", None)
        found |= {f"{name} {word}" for word in inner} if inner else {name}
    return found


def leave_no_trace(desk: Desk, name: str) -> str | None:
    """Runs a command; what is wrong with its traces on their way into the trail."""
    action, ask = WRITES[name]
    words = ask(desk)
    before = len(desk.changes())
    desk.run(*words)
    made = [one for one in desk.changes()[before:] if one["action"] == action]
    if not made:
        return f"{name}: nothing is recorded"
    for one in made:
        if one["actor"]["kind"] != "operator" or "@" not in one["actor"]["address"]:
            return f"{name}: by {one['actor']}"
        if not (one["subject_kind"] and one["subject_id"]):
            return f"{name}: {one}"
    if action in EVERYWHERE and len({one["tenant"] for one in made}) != 3:
        return f"{name}: not in every trail"
    return None


def test_every_command_is_known_to_write_or_to_read() -> None:
    known = [set(WRITES), set(ELSEWHERE), READS]
    assert list_commands() == set.union(*known), "say of a new command what it records"
    assert sum(map(len, known)) == len(set.union(*known))


def test_every_command_that_writes_leaves_an_entry(desk: Desk) -> None:
    wrong = [leave_no_trace(desk, name) for name in WRITES]
    assert [fault for fault in wrong if fault] == []
    assert MAIL not in json.dumps(desk.changes())


def test_a_command_that_records_nothing_is_found(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tx, "record", lambda *_: None)
    assert leave_no_trace(desk, "tenant key") == "tenant key: nothing is recorded"
