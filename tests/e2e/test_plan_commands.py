"""`serai plan` as an operator uses it, on a real database: what it says, and its exit codes."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from serai.kernel.embedded import EmbeddedPostgres
from tests.e2e.processes import Done, serai

PLANS = [
    {"name": "small", "currency": "EUR", "monthly_minor": 1900, "orders_per_month": 500,
     "skus": 5, "staff": 1, "devices": 2},
    {"name": "open", "currency": "EUR", "monthly_minor": 9900, "per_order_minor": 2},
    {"name": "dollars", "currency": "USD", "monthly_minor": 100},
]  # fmt: skip

Run = Callable[..., Done]


@pytest.fixture
def run(postgres: EmbeddedPostgres, database_name: str, tmp_path: Path) -> Run:
    """Runs a command of ours where there is a tenant `acme`, and plans unless said otherwise."""
    url = postgres.admin_url(database_name)
    plans = tmp_path / "plans.json"
    plans.write_text(json.dumps(PLANS))

    def call(*words: str, **changed: str) -> Done:
        given = {"plans": str(plans), "data_dir": str(tmp_path / "data"), **changed}
        return serai(*words, cwd=tmp_path, database_url=url, **given)

    assert call("tenant", "create", "acme").code == 0
    return call


def test_plans_are_listed_as_they_are_set(run: Run) -> None:
    listed = run("plan", "list", "--json")
    assert (listed.code, listed.err) == (0, "")
    assert [plan["name"] for plan in listed.document["plans"]] == ["small", "open", "dollars"]
    assert listed.document["plans"][0] == {
        **PLANS[0], "per_order_minor": 0, "requests_per_second": None,
    }  # fmt: skip
    shown = run("plan", "list")
    assert shown.code == 0
    for text in ("small", "1900", "500", "Prices are in minor units."):
        assert text in shown.out
    ready = run("plan", "list", "--json", plans="ready-made").document["plans"]
    assert [plan["name"] for plan in ready] == ["free", "starter", "growth", "metered"]
    assert run("plan", "list", "--json", plans="").document == {"plans": []}


def test_a_tenant_is_put_on_a_plan_shown_and_taken_off_it(run: Run) -> None:
    nothing = run("plan", "show", "acme")
    assert (nothing.code, "acme has no plan" in nothing.out) == (0, True)
    assert run("plan", "show", "acme", "--json").document == {"subscription": None}

    said = run("plan", "assign", "acme", "small", "--time-zone", "Europe/Berlin")
    assert said.code == 0, said.err
    assert "acme is on small since" in said.out
    assert "(Europe/Berlin)" in said.out
    for line in ("orders this month: 0 of 500", "SKUs: 0 of 5", "staff: 0 of 1", "devices: 0 of 2"):
        assert line in said.out
    view = run("plan", "show", "acme", "--json").document["subscription"]
    assert (view["plan"]["name"], view["time_zone"], view["has_card"]) == (
        "small", "Europe/Berlin", False,
    )  # fmt: skip
    assert view["usage"]["staff"] == {"used": 0, "limit": 1, "added_metered": 0}

    # The operator's own commands are held to the plan as everyone is.
    assert run("tenant", "staff", "acme", "one@example.org").code == 0
    full = run("tenant", "staff", "acme", "two@example.org", "--json")
    assert (full.code, full.document["error"]["code"]) == (1, "quota_exceeded")
    assert run("tenant", "staff", "acme", "one@example.org").code == 0, "she is there already"

    changed = run("plan", "assign", "acme", "open", "--json")
    assert changed.document["subscription"]["usage"]["staff"]["limit"] is None
    assert changed.document["subscription"]["time_zone"] == "Europe/Berlin"
    assert "staff: 1\n" in run("plan", "show", "acme").out

    ended = run("plan", "end", "acme", "--json")
    assert (ended.code, ended.document) == (0, {"subscription": None})
    assert "acme has no plan" in run("plan", "end", "acme").out


@pytest.mark.parametrize(
    ("words", "code", "word", "said"),
    [
        (("assign", "acme", "huge"), 1, "unknown_plan", "there are: small, open, dollars"),
        (("assign", "acme", "small", "--time-zone", "Mars"), 1, "unknown_zone", "Europe/Berlin"),
        (("assign", "nobody", "small"), 1, "failed", "there is no tenant named nobody"),
        (("show", "nobody"), 1, "failed", "there is no tenant named nobody"),
        (("end", "nobody"), 1, "failed", "there is no tenant named nobody"),
        (("assign", "acme"), 2, "", "Missing argument"),
        (("show",), 2, "", "Missing argument"),
        (("raise", "acme"), 2, "", "No such command"),
        (("list", "--nope"), 2, "", "No such option"),
    ],
)
def test_what_does_not_fit_is_said(
    run: Run, words: tuple[str, ...], code: int, word: str, said: str
) -> None:
    done = run("plan", *words)
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert "Traceback" not in done.err
    if word:
        document = run("plan", *words, "--json")
        assert (document.code, document.document["error"]["code"]) == (code, word)


def test_a_plan_in_another_currency_waits_for_the_next_month(run: Run) -> None:
    assert run("plan", "assign", "acme", "small").code == 0
    refused = run("plan", "assign", "acme", "dollars", "--json")
    assert (refused.code, refused.document["error"]["code"]) == (1, "currency_fixed")
    assert run("plan", "show", "acme", "--json").document["subscription"]["plan"]["name"] == "small"


def test_without_plans_none_can_be_given(run: Run) -> None:
    refused = run("plan", "assign", "acme", "small", plans="")
    assert refused.code == 1
    assert "SERAI_PLANS is not set" in refused.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no list of plans"),
        ('[{"name": "a"}]', "is no list of plans"),
        ('[{"name": "a", "currency": "EUR", "monthly_minor": 1, "seats": 2}]', "is no list"),
        ('[{"name": "a", "currency": "EUR", "monthly_minor": -1}]', "is out of bounds"),
        ('[{"name": "a", "currency": "EUR", "monthly_minor": 1, "staff": -1}]', "out of bounds"),
        (json.dumps([PLANS[0], PLANS[0]]), "two plans have one name"),
        (None, "cannot be read"),
    ],
)
def test_a_file_of_plans_that_cannot_be_used_is_a_wrong_setting(
    run: Run, tmp_path: Path, text: str | None, said: str
) -> None:
    file = tmp_path / "wrong.json"
    if text is not None:
        file.write_text(text)
    done = run("plan", "list", plans=str(file))
    assert (done.code, done.out) == (2, "")
    assert "SERAI_PLANS" in done.err
    assert said in done.err


def test_an_installation_that_is_not_there_is_not_available(tmp_path: Path) -> None:
    for words in (("list",), ("show", "acme"), ("assign", "acme", "free"), ("end", "acme")):
        done = serai("plan", *words, cwd=tmp_path, data_dir=str(tmp_path / "none"))
        assert (done.code, "start one with `serai run`" in done.err) == (3, True), words
