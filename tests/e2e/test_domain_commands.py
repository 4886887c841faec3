"""`serai domain` as an operator uses it, on a real database and against a real DNS server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from serai.kernel.embedded import EmbeddedPostgres
from tests.e2e.processes import Done, serai
from tests.integration.dns_zone import Zone, serve_zone

DOMAIN = "shop.example.com"


class Operator:
    """Runs commands against one database, with a DNS of ours."""

    def __init__(self, folder: Path, url: str, zone: Zone, port: int) -> None:
        self._folder = folder
        self.zone = zone
        self._settings = {
            "database_url": url, "data_dir": str(folder / "data"),
            "dns_servers": f"127.0.0.1#{port}",
        }  # fmt: skip

    def run(self, *words: str) -> Done:
        return serai(*words, cwd=self._folder, **self._settings)


@pytest.fixture
def operator(postgres: EmbeddedPostgres, database_name: str, tmp_path: Path) -> Iterator[Operator]:
    zone = Zone()
    with serve_zone(zone) as port:
        yield Operator(tmp_path, postgres.admin_url(database_name), zone, port)


def test_a_domain_is_claimed_proven_listed_and_dropped(operator: Operator) -> None:
    run = operator.run
    assert run("tenant", "create", "acme").code == 0
    said = run("domain", "add", "acme", "Shop.Example.com")
    assert said.code == 0, said.err
    assert f"{DOMAIN} is claimed" in said.out
    claimed = run("domain", "add", "acme", DOMAIN, "--json").document
    assert claimed["record_name"] in said.out
    assert claimed["record_value"] in said.out
    refused = run("domain", "verify", "acme", DOMAIN)
    assert (refused.code, claimed["record_name"] in refused.err) == (1, True)
    refused = run("domain", "verify", "acme", DOMAIN, "--json")
    assert (refused.code, refused.document["error"]["code"]) == (1, "domain_unproven")
    operator.zone.is_broken = True
    assert run("domain", "verify", "acme", DOMAIN).code == 3
    operator.zone.is_broken = False

    operator.zone.texts[claimed["record_name"]] = [[claimed["record_value"]]]
    assert run("domain", "verify", "acme", DOMAIN).out == f"{DOMAIN} is proven\n"
    assert run("domain", "verify", "acme", DOMAIN, "--json").document["state"] == "proven"
    assert run("tenant", "create", "other").code == 0
    for words in ((), ("acme",)):
        listed = run("domain", "list", *words, "--json").document["tenants"]
        found = {one["tenant"]: [d["domain"] for d in one["domains"]] for one in listed}
        assert found == {"acme": [DOMAIN], **({} if words else {"other": []})}
    shown = run("domain", "list").out
    assert DOMAIN in shown
    assert "proven" in shown
    taken = run("domain", "add", "other", DOMAIN, "--json")
    assert (taken.code, taken.document["error"]["code"]) == (1, "domain_taken")

    assert run("domain", "drop", "acme", DOMAIN, "--json").document == {"dropped": DOMAIN}
    gone = run("domain", "drop", "acme", DOMAIN)
    assert (gone.code, "has no domain" in gone.err) == (1, True)
    assert run("domain", "list", "acme", "--json").document["tenants"][0]["domains"] == []
    trail = run("audit", "verify", "--tenant", "acme")
    assert trail.code == 0, trail.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("add", "nobody", DOMAIN), 1, "there is no tenant named nobody"),
        (("list", "nobody"), 1, "there is no tenant named nobody"),
        (("add", "acme", "no domain"), 1, "at least one dot"),
        (("verify", "acme", DOMAIN), 1, "no such domain"),
        (("add", "acme"), 2, "Missing argument"),
        (("prove", "acme", DOMAIN), 2, "No such command"),
    ],
)
def test_what_does_not_fit_is_said(
    operator: Operator, words: tuple[str, ...], code: int, said: str
) -> None:
    assert operator.run("tenant", "create", "acme").code == 0
    done = operator.run("domain", *words)
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert "Traceback" not in done.err
