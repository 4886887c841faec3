"""What must be refused over HTTP: a stable code, a sentence that helps, and nothing changed."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from serai.kernel import ids
from serai.kernel.embedded import EmbeddedPostgres
from tests.e2e.processes import wait_until
from tests.e2e.shop import Shop, furnish, keyed, order_of, product_of, stock_of


@pytest.fixture(scope="module")
def shop(
    postgres: EmbeddedPostgres, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    name = "refusals"
    postgres.create_database(name, template=template)
    opened = Shop(
        Path(tmp_path_factory.mktemp("shop")),
        owner_url=postgres.owner_url(name),
        app_url=postgres.app_url(name),
    )
    opened.open("strict")
    opened.start("all")
    with opened.client() as client:
        furnish(client, {"tent": 10, "lamp": 10})
        for body in (product_of("draft-1", status="draft"), product_of("gone-1")):
            answer = client.post("/v1/products", json=body, headers=keyed())
            assert answer.status_code == 201, answer.text
        gone = client.post(f"/v1/products/{answer.json()['id']}/archive", headers=keyed())
        assert gone.status_code == 200, gone.text
    yield opened
    opened.stop()


@pytest.fixture
def client(shop: Shop) -> Iterator[httpx.Client]:
    """A client; after the test, nothing that was there before has changed."""
    with shop.client() as opened:
        before = state(opened)
        yield opened
        assert state(opened) == before


def state(client: httpx.Client) -> list[Any]:
    """What a refusal must leave as it was."""
    return [
        client.get("/v1/order-totals").json(),
        client.get("/v1/stock-items").json(),
        client.get("/v1/payments").json(),
        client.get("/v1/shipments").json(),
        client.get("/v1/returns").json(),
    ]


def refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Asserts a problem (RFC 9457) with this status and code."""
    assert answer.headers["content-type"].startswith("application/problem+json"), answer.text
    problem: dict[str, Any] = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code), answer.text
    assert problem["status"] == status
    assert problem["detail"]
    assert "Traceback" not in answer.text
    return problem


def post_order(client: httpx.Client, body: Any) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.post(
        "/v1/orders", content=content, headers=keyed(**{"Content-Type": "application/json"})
    )


def with_line(**line: Any) -> dict[str, Any]:
    return {"currency": "USD", "lines": [{"sku": "tent", "quantity": 1, **line}]}


def with_lines(count: int) -> dict[str, Any]:
    return {"currency": "USD", "lines": [{"sku": "tent", "quantity": 1}] * count}


BODIES: list[tuple[str, Any, int, str]] = [
    ("unknown sku", order_of("ghost"), 422, "unknown_sku"),
    ("draft product", order_of("draft-1"), 422, "product_not_for_sale"),
    ("archived product", order_of("gone-1"), 422, "product_not_for_sale"),
    ("zero", order_of("tent", 0), 400, "invalid"),
    ("negative", order_of("tent", -1), 400, "invalid"),
    ("fractional", with_line(quantity=1.5), 400, "invalid"),
    ("huge", order_of("tent", 10**30), 400, "invalid"),
    ("above the bound", order_of("tent", 1_000_001), 400, "invalid"),
    ("text for a number", with_line(quantity="1"), 400, "invalid"),
    ("true for a number", with_line(quantity=True), 400, "invalid"),
    ("null", with_line(quantity=None), 400, "invalid"),
    ("no lines", {"currency": "USD", "lines": []}, 400, "invalid"),
    ("unknown field", order_of("tent", coupon="X"), 400, "invalid"),
    ("unknown field in a line", with_line(colour="red"), 400, "invalid"),
    ("mixed currencies", with_line(currency="EUR"), 400, "invalid"),
    ("no price in it", {**order_of("tent"), "currency": "EUR"}, 422, "currency_not_offered"),
    ("no currency at all", {**order_of("tent"), "currency": "XXX"}, 400, "invalid"),
    ("lower case", {**order_of("tent"), "currency": "usd"}, 400, "invalid"),
    ("control character", with_line(sku="te\x00nt"), 400, "invalid"),
    ("bad email", order_of("tent", email="nobody"), 400, "invalid"),
    ("two emails", order_of("tent", email="a@b.example,c@d.example"), 400, "invalid"),
    ("email and line break", order_of("tent", email="a@b.example\n"), 400, "invalid"),
    ("reference and line break", order_of("tent", reference="A-1\n"), 400, "invalid"),
    ("customer and line break", order_of("tent", customer="C-1\n"), 400, "invalid"),
    ("sku and line break", with_line(sku="tent\n"), 400, "invalid"),
    ("negative price", with_line(unit_price="-1"), 400, "invalid"),
    ("NaN price", with_line(unit_price="NaN"), 400, "invalid"),
    ("price as a number", with_line(unit_price=1.5), 400, "invalid"),
    ("10,001 lines", with_lines(10_001), 400, "invalid"),
    ("NaN", b'{"currency":"USD","lines":[{"sku":"tent","quantity":NaN}]}', 400, "invalid"),
    ("invalid UTF-8", b'{"currency":"USD","lines":[{"sku":"\xff","quantity":1}]}', 400, "invalid"),
    ("not JSON", b"{", 400, "invalid"),
    ("nothing", b"", 400, "invalid"),
    ("a list", b"[]", 400, "invalid"),
    ("deep", b"[" * 100_000, 400, "invalid"),
    ("1e400", b'{"currency":"USD","lines":[{"sku":"tent","quantity":1e400}]}', 400, "invalid"),
    ("a lone surrogate", b'{"currency":"USD","lines":[{"sku":"\\ud800","quantity":1}]}', 400,
     "invalid"),
    ("a NUL", b'{"currency":"USD","lines":[{"sku":"\\u0000","quantity":1}]}', 400, "invalid"),
    ("a key twice in a line",
     b'{"currency":"USD","lines":[{"sku":"tent","quantity":1,"quantity":2}]}', 400,
     "duplicate_key"),
    ("a key twice", b'{"currency":"USD","currency":"USD","lines":[{"sku":"a","quantity":1}]}', 400,
     "duplicate_key"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "status", "code"), [b[1:] for b in BODIES], ids=[b[0] for b in BODIES]
)
def test_a_body_that_does_not_fit_is_refused(
    client: httpx.Client, body: Any, status: int, code: str
) -> None:
    refused(post_order(client, body), status, code)


def test_a_body_over_the_limit_is_refused(client: httpx.Client) -> None:
    body = b'{"currency":"' + b"A" * (3 * 1024 * 1024) + b'"}'
    try:
        answer = post_order(client, body)
    except httpx.TransportError:
        return  # The server may close before all was sent; it has read no more than its bound.
    refused(answer, 413, "body_too_large")


def test_an_idempotency_key_is_needed_and_belongs_to_one_request(client: httpx.Client) -> None:
    refused(client.post("/v1/orders", json=order_of("tent")), 400, "idempotency_key_missing")
    for key in ("", "x" * 256, "k\u00e9y"):
        answer = client.post(
            "/v1/orders", json=order_of("tent"), headers={b"Idempotency-Key": key.encode()}
        )
        refused(answer, 400, "invalid")


def test_an_idempotency_key_that_was_used_for_something_else_is_refused(shop: Shop) -> None:
    with shop.client() as client:
        key = keyed(Prefer="wait=20")
        first = client.post("/v1/orders", json=order_of("tent"), headers=key)
        assert first.status_code == 201, first.text
        of_it = {"order_id": first.json()["id"]}
        wait_until(
            lambda: client.get("/v1/shipments", params=of_it).json()["items"],
            "its shipment is there",
        )
        before = state(client)
        for path, body in (
            ("/v1/orders", order_of("tent", 2)),
            ("/v1/orders", order_of("lamp")),
            ("/v1/stock-receipts", {"moves": [{"sku": "tent", "quantity": 1}]}),
        ):
            refused(client.post(path, json=body, headers=key), 422, "idempotency_key_reused")
        again = client.post("/v1/orders", json=order_of("tent"), headers=key)
        assert (again.status_code, again.json()["id"]) == (201, first.json()["id"])
        assert state(client) == before


def test_only_a_valid_key_with_the_scope_gets_in(shop: Shop, client: httpx.Client) -> None:
    made = client.post("/v1/api-keys", json={"label": "reader", "scopes": ["orders:read"]}).json()
    with shop.client(made["key"]) as reader:
        assert reader.get("/v1/orders").status_code == 200
        refused(
            reader.post("/v1/orders", json=order_of("tent"), headers=keyed()), 403, "missing_scope"
        )
        assert client.delete(f"/v1/api-keys/{made['id']}").status_code in {200, 204}
        refused(reader.get("/v1/orders"), 401, "unauthenticated")
    head, _, secret = shop.key.rpartition("_")
    for key in ("nonsense", f"{head}_{secret[::-1]}", f"{head}_", shop.key + "x", shop.key[:-1]):
        with shop.client(key) as stranger:
            refused(
                stranger.post("/v1/orders", json=order_of("tent"), headers=keyed()),
                401,
                "unauthenticated",
            )
    refused(httpx.get(f"{shop.base}/v1/orders"), 401, "unauthenticated")


def test_another_tenant_s_things_are_as_if_absent(shop: Shop) -> None:
    issued = shop.command("tenant", "create", f"other-{uuid4().hex[:8]}", "--json").document
    with shop.client() as own, shop.client(issued["key"]["key"]) as stranger:
        order = own.post(
            "/v1/orders", json=order_of("tent"), headers=keyed(Prefer="wait=20")
        ).json()
        wait_until(lambda: own.get("/v1/shipments").json()["items"], "a shipment is there")
        shipment = own.get("/v1/shipments").json()["items"][0]["id"]
        payment = own.get("/v1/payments").json()["items"][0]["id"]
        product = own.get("/v1/products").json()["items"][0]["id"]
        for path in (
            f"/v1/orders/{order['id']}", f"/v1/shipments/{shipment}", f"/v1/payments/{payment}",
            f"/v1/products/{product}",
        ):  # fmt: skip
            absent = path.rsplit("/", 1)[0] + f"/{ids.new_id()}"
            mine, theirs, nobodys = own.get(path), stranger.get(path), stranger.get(absent)
            assert mine.status_code == 200, path
            refused(theirs, 404, "not_found")
            assert theirs.json() | {"request_id": ""} == nobodys.json() | {"request_id": ""}
        refused(
            stranger.post(f"/v1/orders/{order['id']}/cancel", headers=keyed()), 404, "not_found"
        )
        lines = [{"line_no": 1, "quantity": 1}]
        body = {"order_id": order["id"], "lines": lines}
        refused(stranger.post("/v1/returns", json=body, headers=keyed()), 404, "not_found")
        before = [state(own), own.get(f"/v1/products/{product}").json()]
        for path, body in (
            (f"/v1/orders/{order['id']}/dispatch", {}),
            (f"/v1/orders/{order['id']}/payment", {"card": "4000009901000003"}),
            (f"/v1/shipments/{shipment}/dispatch", {}),
            (
                f"/v1/shipments/{shipment}/tracking-events",
                {"status": "delivered", "occurred_at": "2026-01-01T00:00:00Z"},
            ),
            (f"/v1/payments/{payment}/captures", {}),
            (f"/v1/payments/{payment}/refunds", {"amount_minor": 1}),
            (f"/v1/products/{product}/archive", {}),
        ):
            answer = stranger.post(path, json=body, headers=keyed(**{"If-Match": '"1"'}))
            refused(answer, 404, "not_found")
        patched = stranger.patch(
            f"/v1/products/{product}", json={"title": "Mine"}, headers={"If-Match": '"1"'}
        )
        refused(patched, 404, "not_found")
        assert [state(own), own.get(f"/v1/products/{product}").json()] == before
        for path in (
            "/v1/orders",
            "/v1/shipments",
            "/v1/payments",
            "/v1/products",
            "/v1/stock-items",
        ):
            assert stranger.get(path).json()["items"] == [], path


def test_what_an_order_s_state_does_not_allow_is_refused(shop: Shop) -> None:
    with shop.client() as client:
        order = client.post(
            "/v1/orders", json=order_of("lamp", 2), headers=keyed(Prefer="wait=20")
        ).json()
        assert order["status"] == "confirmed"
        path = f"/v1/orders/{order['id']}"
        wait_until(lambda: client.get("/v1/shipments", params={"order_id": order["id"]})
                   .json()["items"], "its shipment is there")  # fmt: skip
        before = state(client)
        too_many = {"order_id": order["id"], "lines": [{"line_no": 1, "quantity": 3}]}
        refused(
            client.post("/v1/returns", json=too_many, headers=keyed()), 422, "return_not_possible"
        )
        intent = client.get("/v1/payments", params={"order_id": order["id"]}).json()["items"][0]
        too_much = {"amount_minor": intent["amount_minor"] + 1}
        answer = client.post(f"/v1/payments/{intent['id']}/refunds", json=too_much, headers=keyed())
        refused(answer, 422, "refund_too_large")
        answer = client.post(f"/v1/payments/{intent['id']}/captures", json={}, headers=keyed())
        refused(answer, 422, "payment_not_capturable")
        assert state(client) == before
        assert client.post(f"{path}/cancel", headers=keyed()).status_code == 202
        wait_until(lambda: client.get(path).json()["status"] == "cancelled", "it is cancelled")
        wait_until(lambda: stock_of(client, "lamp")["available"] == 10, "the goods are back")
        wait_until(lambda: client.get(path).json()["refunded_minor"] == 2000, "the money is back")
        before = state(client)
        answer = client.post(f"{path}/dispatch", json={"carrier": "caravan"}, headers=keyed())
        refused(answer, 409, "illegal_state")
        refused(client.post(f"{path}/cancel", headers=keyed()), 409, "order_not_cancellable")
        one = {"order_id": order["id"], "lines": [{"line_no": 1, "quantity": 1}]}
        refused(client.post("/v1/returns", json=one, headers=keyed()), 422, "return_not_possible")
        answer = client.post(
            f"/v1/payments/{intent['id']}/refunds", json={"amount_minor": 1}, headers=keyed()
        )
        refused(answer, 422, "refund_too_large")
        assert state(client) == before


CSV_HEAD = "handle,title,option:Size,sku,price:USD\n"
CSV_ROWS = (
    "csv-a,Good,S,csv-a,1.00\n"
    "csv-b,No price,S,csv-b,cheap\n"
    "csv-c,Good too,S,csv-c,2.00\n"
    "csv-d,Negative,S,csv-d,-1\n"
    "csv-e,One taken,S,csv-e,1.00\n"
    ",,L,tent,1.00\n"
    "csv-f,One bad and one taken,S,csv-f,cheap\n"
    ",,L,lamp,1.00\n"
)


def upload(client: httpx.Client, content: bytes, media_type: str) -> httpx.Response:
    return client.post(
        "/v1/imports",
        params={"currency": "USD"},
        content=content,
        headers=keyed(**{"Content-Type": media_type}),
    )


def test_of_a_csv_the_good_rows_are_imported_and_the_bad_ones_listed(shop: Shop) -> None:
    with shop.client() as client:
        before = state(client)
        answer = upload(client, (CSV_HEAD + CSV_ROWS).encode(), "text/csv")
        assert answer.status_code == 200, answer.text
        report = answer.json()
        assert (report["created"], report["updated"]) == (2, 0), answer.text
        listed = [(problem["row"], problem["code"]) for problem in report["problems"]]
        assert listed == [
            (3, "bad_price"), (5, "negative_price"), (6, "product_refused"), (7, "sku_taken"),
            (8, "bad_price"), (9, "sku_taken"),
        ]  # fmt: skip
        assert all(problem["detail"] for problem in report["problems"])
        known = client.get("/v1/variants", params={"sku": ["csv-a", "csv-b", "csv-c", "csv-e"]})
        assert sorted(v["sku"] for v in known.json()["items"]) == ["csv-a", "csv-c"]
        assert state(client) == before, "no order, no stock and no money"


def test_a_truncated_gzip_changes_nothing(shop: Shop) -> None:
    rows = "".join(f"gz-{n},Good {n},S,gz-{n},{n}.00\n" for n in range(1, 400))
    packed = gzip.compress((CSV_HEAD + rows).encode())
    with shop.client() as client:
        before = state(client)
        for cut in (len(packed) // 2, len(packed) - 1, 6):
            answer = upload(client, packed[:cut], "application/gzip")
            assert answer.status_code == 422, answer.text
            assert answer.json()["code"] in {"truncated_file", "corrupt_file"}
            assert state(client) == before
        assert upload(client, packed, "application/gzip").json()["created"] == 399


def test_a_stale_version_is_refused(client: httpx.Client) -> None:
    product = client.get("/v1/products").json()["items"][0]["id"]
    path = f"/v1/products/{product}"
    for stale in ('"999"', "nonsense"):
        answer = client.patch(path, json={"title": "New"}, headers={"If-Match": stale})
        refused(answer, 412, "stale_version")
    refused(client.patch(path, json={"title": "New"}), 428, "version_required")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/nowhere", 404, "not_found"),
        ("/v1/orders/not-an-id", 404, "not_found"),
        ("/v1/orders?limit=0", 400, "invalid"),
        ("/v1/orders?limit=100000", 400, "invalid"),
        ("/v1/orders?cursor=nonsense", 400, "invalid"),
        ("/v1/orders?status=lost", 400, "invalid"),
        ("/v1/orders?reference=A%0A", 400, "invalid"),
        ("/v1/orders?customer=%00", 400, "invalid"),
        ("/v1/stock-items?sku=%00", 400, "invalid"),
        ("/v1/stock-items?location=%00", 400, "invalid"),
        ("/v1/stock-movements?sku=%00", 400, "invalid"),
        (f"/v1/stock-movements?sku={'x' * 256}", 400, "invalid"),
    ],
)
def test_an_address_that_does_not_fit_is_refused(
    client: httpx.Client, path: str, status: int, code: str
) -> None:
    refused(client.get(path), status, code)
