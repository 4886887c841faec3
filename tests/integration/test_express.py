"""The short way answers as the long way does: same status, headers, words and effect."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from serai.contexts.tenancy.contract import SCOPES
from serai.kernel import express
from serai.kernel.db import Database
from serai.roles.api import build_app
from serai.settings import Settings
from tests.integration.house import House

PATH = "/v1/orders"
BODY_BYTES_MAX = 4096
# What differs between any two requests: ids, the moment, and the id of the request itself.
FLEETING = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}"
    r"|\d{4}-\d\d-\d\dT[\d:.]+Z"
)
GOOD = (
    '{"currency":"USD","lines":[{"sku":"tent","quantity":1}],"payment":{"card":"4000009901000003"}}'
)

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Ways:
    """The same application, asked both ways."""

    def __init__(self, house: House, keys: dict[str, str]) -> None:
        app = build_app(Settings(body_bytes_max=BODY_BYTES_MAX), house.composition)
        self.keys = keys
        self.short_app: Any = express.shorten(app, body_bytes_max=BODY_BYTES_MAX)
        self.long = self._client(app)
        self.short = self._client(self.short_app)

    def _client(self, app: Any) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://shop.test")

    async def ask(
        self, client: httpx.AsyncClient, body: bytes, headers: dict[str, str]
    ) -> httpx.Response:
        return await client.post(PATH, content=body, headers=headers)


@pytest.fixture
async def ways(database: Database, tmp_path: Path) -> AsyncIterator[Ways]:
    house = await House(database, tmp_path).open()
    await house.offer("tent")
    await house.receive(tent=100)
    tenancy = house.composition.tenancy
    full = await tenancy.create_key(house.tenant, label="all", scopes=SCOPES)
    poor = await tenancy.create_key(house.tenant, label="reader", scopes=["orders:read"])
    yield Ways(house, {"full": full.key, "poor": poor.key})
    await house.composition.close()


def headers_of(ways: Ways, number: int, **changes: str | None) -> dict[str, str]:
    """The headers of a good request, changed; None leaves one out."""
    given: dict[str, str | None] = {
        "authorization": f"Bearer {ways.keys['full']}",
        "content-type": "application/json",
        "idempotency-key": f"key-{number}",
    }
    given |= {name.replace("_", "-"): value for name, value in changes.items()}
    return {name: value for name, value in given.items() if value is not None}


def told(answer: httpx.Response) -> tuple[int, list[tuple[str, str]], str]:
    """What an answer says, without what no two answers share."""
    headers = sorted((name, FLEETING.sub("*", value)) for name, value in answer.headers.items())
    return answer.status_code, headers, FLEETING.sub("*", answer.text)


CASES: dict[str, tuple[str | bytes, dict[str, str | None], int]] = {
    "good": (GOOD, {}, 201),
    "waits": (GOOD, {"prefer": "wait=0"}, 201),
    "traced": (
        GOOD,
        {"traceparent": TRACE},
        201,
    ),
    "no key": (GOOD, {"authorization": None}, 401),
    "foreign key": (GOOD, {"authorization": "Bearer serai_nobody"}, 401),
    "basic": (GOOD, {"authorization": "Basic abc"}, 401),
    "no idempotency key": (GOOD, {"idempotency_key": None}, 400),
    "odd idempotency key": (GOOD, {"idempotency_key": "x" * 300}, 400),
    "not json": ("{", {}, 400),
    "nan": (GOOD.replace("1}", "NaN}"), {}, 400),
    "not utf-8": (b'{"currency":"\xff"}', {}, 400),
    "duplicate key": ('{"currency":"USD",' + GOOD[1:], {}, 400),
    "unknown field": ('{"zzz":1,' + GOOD[1:], {}, 400),
    "wrong type": (GOOD.replace("1}", '"1"}'), {}, 400),
    "unknown sku": (GOOD.replace("tent", "tant"), {}, 422),
    "unknown currency": (GOOD.replace("USD", "XQX"), {}, 400),
    "empty": ("", {}, 400),
    "too large": (GOOD + " " * BODY_BYTES_MAX, {}, 413),
    "text": (GOOD, {"content_type": "text/plain"}, 201),
    "charset": (GOOD, {"content_type": "application/json; charset=utf-8"}, 201),
}


@pytest.mark.parametrize("name", CASES)
async def test_both_ways_say_the_same(ways: Ways, name: str) -> None:
    body, changes, status = CASES[name]
    raw = body if isinstance(body, bytes) else body.encode()
    answers = [
        await ways.ask(client, raw, headers_of(ways, number, **changes))
        for number, client in enumerate((ways.long, ways.short))
    ]
    assert told(answers[0]) == told(answers[1])
    assert answers[1].status_code == status


async def test_a_key_that_lacks_the_scope_is_refused_on_both(ways: Ways) -> None:
    headers = headers_of(ways, 1, authorization=f"Bearer {ways.keys['poor']}")
    answers = [await ways.ask(client, GOOD.encode(), headers) for client in (ways.long, ways.short)]
    assert told(answers[0]) == told(answers[1])
    assert answers[0].json()["code"] == "missing_scope"


async def test_a_request_repeated_the_other_way_gets_the_very_same_answer(ways: Ways) -> None:
    first = await ways.ask(ways.short, GOOD.encode(), headers_of(ways, 7))
    again = await ways.ask(ways.long, GOOD.encode(), headers_of(ways, 7))
    other = await ways.ask(ways.short, GOOD.replace("1}", "2}").encode(), headers_of(ways, 7))
    assert first.status_code == 201
    assert (again.content, again.headers["location"]) == (first.content, first.headers["location"])
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_the_short_way_is_taken_and_reports_a_bug_as_one(
    ways: Ways, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*_args: object) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(express, "decode_json", break_down)
    answer = await ways.ask(ways.short, GOOD.encode(), headers_of(ways, 1))
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "planted" not in answer.text
    assert (await ways.ask(ways.long, GOOD.encode(), headers_of(ways, 1))).status_code == 201


async def test_a_client_that_leaves_early_is_not_answered(ways: Ways) -> None:
    sent: list[Any] = []
    raw = [(n.encode(), v.encode()) for n, v in headers_of(ways, 1, content_length="90").items()]
    scope = {"type": "http", "method": "POST", "path": PATH, "query_string": b"", "headers": raw}

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await ways.short_app(scope, receive, send)
    assert sent == []
