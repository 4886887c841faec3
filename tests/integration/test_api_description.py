"""What the API says of itself is so: whatever is sent is answered as its description says."""

import asyncio
import base64
import os
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from serai.contexts.tenancy.contract import SCOPES
from serai.kernel import ids
from serai.kernel.db import Database
from serai.kernel.embedded import EmbeddedPostgres
from serai.kernel.web import encode_cursor
from serai.roles.api import build_app
from serai.roles.composition import compose
from serai.settings import Settings
from tests.e2e.shop import order_of, product_of
from tests.integration.house import QUICK

EXAMPLES = int(os.environ.get("API_EXAMPLES", "4"))
"""Requests of each operation, of those that fit and of those that do not. By hand: more of them,
and other ones each time (`API_EXAMPLES=50 make test ARGS=tests/integration/...`)."""
IS_REPEATED = "API_EXAMPLES" not in os.environ
CHECKS: list[CheckFunction] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
PASSED_ON = ("method", "url", "params", "json")
ANSWER_TIMEOUT_S = 30.0

T = TypeVar("T")


class Api:
    """The whole API in this process on a real database, on a loop of its own, with a staff key."""

    def __init__(self, url: str, folder: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        own = Settings(data_dir=str(folder), **QUICK)
        self._database = Database(url, pool_max=6)
        self._house = compose(own, self._database)
        self.app = build_app(own, self._house)
        self._client = self._run(self._open())

    def send(self, case: schemathesis.Case[Any]) -> httpx.Response:
        """Sends what was made up."""
        made = case.as_transport_kwargs(base_url="http://shop")
        known = {name: made[name] for name in PASSED_ON if made.get(name) is not None}
        headers = {name: str(value) for name, value in (made.get("headers") or {}).items()}
        data = made.get("data")
        content = data.encode() if isinstance(data, str) else data
        raw = {name: value.encode("latin-1", "replace") for name, value in headers.items()}
        return self._run(self._client.request(**known, content=content, headers=raw))

    def get(self, path: str) -> httpx.Response:
        return self._run(self._client.get(path))

    def post(self, path: str, body: Any) -> Any:
        """Makes something that ids can name."""
        answer = self._run(
            self._client.post(path, json=body, headers={"Idempotency-Key": ids.new_id().hex})
        )
        assert answer.is_success, answer.text
        return answer.json()

    def post_raw(self, path: str, body: bytes) -> httpx.Response:
        headers = {"Idempotency-Key": ids.new_id().hex, "Content-Type": "application/json"}
        return self._run(self._client.post(path, content=body, headers=headers))

    def close(self) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(ANSWER_TIMEOUT_S)

    async def _open(self) -> httpx.AsyncClient:
        await self._database.open()
        issued = await self._house.tenancy.create_tenant("described", scopes=SCOPES)
        transport = httpx.ASGITransport(app=cast("Any", self.app), raise_app_exceptions=False)
        return httpx.AsyncClient(
            transport=transport,
            base_url="http://shop",
            headers={"Authorization": f"Bearer {issued.key.key}"},
        )

    async def _close(self) -> None:
        await self._client.aclose()
        await self._house.close()
        await self._database.close()


@pytest.fixture(scope="module")
def api(
    postgres: EmbeddedPostgres, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    postgres.create_database("described", template=template)
    opened = Api(postgres.app_url("described"), tmp_path_factory.mktemp("described"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def known_ids(api: Api) -> dict[str, Any]:
    """Ids of things that are there, by the name that paths give them."""
    product = api.post("/v1/products", product_of("tent", "lamp"))
    api.post("/v1/stock-receipts", {"moves": [{"sku": "tent", "quantity": 100}]})
    order = api.post("/v1/orders", order_of("tent"))
    held = api.post("/v1/reservations", {"wants": [{"sku": "tent", "quantity": 1}]})
    return {
        "product_id": product["id"],
        "variant_id": product["variants"][0]["id"],
        "order_id": order["id"],
        "reservation_id": held["id"],
        "kind": "order_confirmed",
    }


def fault_of(api: Api, case: schemathesis.Case[Any]) -> str | None:
    """How an answer differs from the description; None where it is as described."""
    response = api.send(case)
    try:
        case.validate_response(response, checks=CHECKS)
    except FailureGroup as found:
        said = "; ".join(failure.title for failure in found.exceptions)
        return f"{said}\n  {case.as_curl_command()[:500]}\n  {response.text[:500]}"
    return None


def try_operation(
    api: Api, operation: Any, mode: GenerationMode, known: dict[str, Any]
) -> dict[str, str]:
    """The faults of one operation by the status that was answered."""
    named = {name: value for name, value in known.items() if f"{{{name}}}" in operation.path}
    ways = [operation.as_strategy(mode)]
    if named and mode is GenerationMode.POSITIVE:
        ways.append(operation.as_strategy(mode, path_parameters=named))
    faults: dict[str, str] = {}

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck), derandomize=IS_REPEATED,
    )  # fmt: skip
    @given(case=st.one_of(ways))
    def try_case(case: schemathesis.Case[Any]) -> None:
        if mode is GenerationMode.POSITIVE and "Idempotency-Key" in (case.headers or {}):
            # Keys of one character would meet again; that each is new is what fits.
            case.headers["Idempotency-Key"] = ids.new_id().hex
        fault = fault_of(api, case)
        if fault is not None:
            faults.setdefault(
                f"{operation.label} ({mode.value}): {fault.partition(chr(10))[0]}", fault
            )

    try_case()
    return faults


def takes_anything(operation: Any) -> bool:
    """Whether a request of it holds more than its path and who asks."""
    places = (operation.path_parameters, operation.query, operation.headers, operation.body)
    is_open = operation.definition.raw.get("security") == []
    return any(list(place) for place in places) or not is_open


def test_every_answer_is_as_the_description_says(api: Api, known_ids: dict[str, Any]) -> None:
    schema = schemathesis.openapi.from_dict(api.app.openapi_schema.to_schema())
    faults: dict[str, str] = {}
    tried = 0
    for found in schema.get_all_operations():
        operation = cast("Any", found).ok()
        for mode in MODES:
            if mode is GenerationMode.NEGATIVE and not takes_anything(operation):
                continue  # nothing in it could be wrong
            faults |= try_operation(api, operation, mode, known_ids)
        tried += 1
    assert tried > 50
    assert faults == {}, "\n".join(f"{name}\n{fault}" for name, fault in faults.items())


LONE = rb'["\ud800"]  '
"""Half of a character, which JSON can write and UTF-8 cannot."""
NUL_CURSOR = encode_cursor(["a\0", "b\0"])
ODD = [
    "/v1/orders?reference=a%00b",
    "/v1/orders?customer=%00",
    "/v1/stock-items?sku=%00",
    "/v1/stock-items?location=%00",
    f"/v1/stock-items?cursor={NUL_CURSOR}",
    "/v1/stock-movements?sku=%00",
    f"/v1/stock-movements?sku=tent&cursor={encode_cursor([10**30])}",
    f"/v1/stock-movements?sku=tent&cursor={encode_cursor([-(2**63) - 1])}",
    f"/v1/stock-totals?cursor={encode_cursor(['%00'])}",
    f"/v1/stock-totals?cursor={encode_cursor(['a' + chr(0)])}",
    f"/v1/stock-totals?cursor={base64.urlsafe_b64encode(LONE).decode()}",
    "/v1/products?q=%00",
    "/v1/products?handle=%00",
    "/v1/products?category=%00",
    "/v1/products?facet=a%00:b",
    "/v1/products?currency=%00",
    f"/v1/products?price_min_minor={10**30}&currency=USD",
    f"/v1/products?limit={10**30}",
    "/v1/categories?parent=%00",
    "/v1/variants?sku=%00",
    "/v1/notification-templates/%00",
    "/v1/orders?reference=%ED%A0%80",
    "/v1/orders?cursor=%FF",
    "/v1/orders?cursor=%00",
]


@pytest.mark.parametrize("path", ODD)
def test_odd_words_in_an_address_are_no_fault_of_ours(api: Api, path: str) -> None:
    answer = api.get(path)
    assert answer.status_code in {200, 400, 404}, answer.text


def test_half_a_character_in_a_body_is_no_fault_of_ours(api: Api) -> None:
    for path, body in (
        ("/v1/orders", rb'{"currency":"USD","lines":[{"sku":"\ud800","quantity":1}]}'),
        ("/v1/categories", rb'{"path":"\udfff"}'),
        ("/v1/reservations", rb'{"wants":[{"sku":"\ud800","quantity":1}]}'),
    ):
        answer = api.post_raw(path, body)
        assert answer.status_code == 400, answer.text
