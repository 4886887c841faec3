"""Product files of all three layouts, uploaded or sent by `serai import`, on a real PostgreSQL."""

import gzip
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest

from serai.cli import import_file
from serai.cli.console import UNAVAILABLE, Failure
from serai.cli.import_file import ImportReport, import_catalog
from serai.contexts.catalog.contract import RowProblem
from serai.kernel.db import Database
from tests.integration.catalog_house import CatalogHouse, create, keyed, leaf, product

VENDURE = Path(__file__).parents[3] / "shared/data/catalogs/vendure/products.csv"
HEADER = "handle,title,status,categories,facets,option:Size,sku,price:USD,stock\n"
GOOD = (
    "tent,Dune tent,published,Camp > Tents,colour:sand,Small,T-S,129.00,8\n"
    ",,,,,Large,T-L,169.00,3\n"
    "lamp,Lamp,,Camp,,,LAMP,12.50,\n"
)
MIXED = (
    HEADER + GOOD + "rope,Rope,,,,,ROPE,1.999,5\n"  # row 5: too many digits
    "mug,Mug,sold,,,,MUG,5,1\n"  # row 6: no such status
    ",,,,,,MUG-2,5,1\n"  # row 7: the product's first row was refused
    "pan,Pan,,,,,T-S,5,1\n"  # row 8: the SKU stands above
    "pot,Pot,,,,,POT,5,2\n"
)


def quiet(_done: int, _total: int) -> None:
    """Nobody looks at the progress."""


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_file, "RETRY_WAIT_S", 0.0)


async def bring_in(
    client: httpx.AsyncClient, path: Path, content: str | bytes, **more: Any
) -> ImportReport:
    """Writes the file and imports it."""
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(data)
    said = {"layout": "auto", "currency": "USD", "stock_location": "main", "progress": quiet}
    return await import_catalog(path, client=client, **{**said, **more})


async def stock_of(client: httpx.AsyncClient) -> dict[str, int]:
    items = await leaf(client, "/v1/stock-items", limit="200")
    return {item["sku"]: item["available"] for item in items}


async def goods_of(client: httpx.AsyncClient) -> dict[str, tuple[str, int, list[str]]]:
    """Status, version and SKUs of each product by its handle."""
    answer = await client.get("/v1/products?status=all&include=variants&sort=title")
    return {
        item["handle"]: (item["status"], item["version"], [v["sku"] for v in item["variants"]])
        for item in answer.json()["items"]
    }


async def test_good_rows_are_imported_and_bad_ones_listed(
    database: Database, tenant: UUID, tmp_path: Path
) -> None:
    house = CatalogHouse(database)
    seen: list[tuple[int, int]] = []
    async with house.client(tenant) as client:
        await create(client, product("Pot taken", sku="POT"))
        report = await bring_in(
            client, tmp_path / "goods.csv", MIXED,
            progress=lambda done, total: seen.append((done, total)),
        )  # fmt: skip
        assert (report.created, report.updated, report.unchanged, report.refused) == (2, 0, 0, 1)
        assert (report.variants, report.stock_rows, report.stock_units) == (3, 2, 11)
        assert [(p.row, p.column, p.code) for p in report.problems] == [
            (5, "price:USD", "fractional_price"),
            (6, "status", "bad_status"),
            (7, None, "product_row_refused"),
            (8, "sku", "duplicate_sku"),
            (9, "sku", "sku_taken"),
        ]
        assert all(problem.detail for problem in report.problems)
        assert await goods_of(client) == {
            "tent": ("published", 1, ["T-S", "T-L"]),
            "lamp": ("published", 1, ["LAMP"]),
            "pot-taken": ("published", 1, ["POT"]),
        }
        assert await stock_of(client) == {"T-S": 8, "T-L": 3}
        assert seen == [(len(MIXED), len(MIXED))] * 2
        assert msgspec.json.decode(msgspec.json.encode(report))["problems_left_out"] == 0
    assert await house.check(tenant) == []


async def test_the_same_file_again_changes_nothing(
    database: Database, tenant: UUID, tmp_path: Path
) -> None:
    house = CatalogHouse(database)
    async with house.client(tenant) as client:
        first = await bring_in(client, tmp_path / "a.csv", MIXED)
        goods = await goods_of(client)
        again = await bring_in(client, tmp_path / "a.csv", MIXED)
        assert (again.created, again.unchanged, again.problems) == (0, 3, first.problems)
        assert (again.stock_rows, again.stock_rows_left) == (0, first.stock_rows)
        assert await goods_of(client) == goods
        assert await stock_of(client) == {"T-S": 8, "T-L": 3, "POT": 2}


async def test_a_corrected_file_adds_what_was_missing_and_doubles_no_stock(
    database: Database, tenant: UUID, tmp_path: Path
) -> None:
    house = CatalogHouse(database)
    async with house.client(tenant) as client:
        await bring_in(client, tmp_path / "a.csv", MIXED)
        corrected = MIXED.replace("1.999", "1.99").replace("sold", "draft")
        report = await bring_in(client, tmp_path / "a.csv", corrected)
        assert (report.created, report.updated, report.unchanged) == (2, 0, 3)
        assert [(p.row, p.code) for p in report.problems] == [
            (7, "duplicate_options"),
            (8, "duplicate_sku"),
        ]
        assert (report.stock_rows, report.stock_rows_left) == (2, 3)
        assert await stock_of(client) == {"T-S": 8, "T-L": 3, "POT": 2, "ROPE": 5, "MUG": 1}
        dearer = await bring_in(client, tmp_path / "a.csv", corrected.replace("129.00", "139.00"))
        assert (dearer.created, dearer.updated, dearer.unchanged) == (0, 1, 4)
        assert (await goods_of(client))["tent"] == ("published", 2, ["T-S", "T-L"])


async def test_stock_at_a_place_that_there_is_not_is_told_by_row(
    database: Database, tenant: UUID, tmp_path: Path
) -> None:
    house = CatalogHouse(database)
    async with house.client(tenant) as client:
        said = await bring_in(client, tmp_path / "a.csv", HEADER + GOOD, stock_location="attic")
        assert (said.created, said.stock_units) == (2, 0)
        assert {(p.column, p.code) for p in said.problems} == {("stock", "unknown_location")}
        made = await client.post("/v1/locations", json={"code": "attic", "name": "Attic"})
        assert made.is_success, made.text
        said = await bring_in(client, tmp_path / "a.csv", HEADER + GOOD, stock_location="attic")
        assert (said.stock_units, said.problems) == (11, [])


async def test_stock_is_left_alone_where_no_location_is_named(
    database: Database, tenant: UUID, tmp_path: Path
) -> None:
    house = CatalogHouse(database)
    async with house.client(tenant) as client:
        report = await bring_in(client, tmp_path / "a.csv", HEADER + GOOD, stock_location=None)
        assert (report.created, report.stock_rows, report.stock_rows_left) == (2, 0, 0)
        assert await stock_of(client) == {}


@pytest.mark.parametrize(
    ("spoil", "code"),
    [(lambda whole: whole[: len(whole) // 2], "truncated_file"),
     (lambda whole: whole[:-1], "truncated_file"),
     (lambda whole: whole + b"rubbish", "corrupt_file"),
     (lambda whole: whole[:-5] + b"00000", "corrupt_file")],
    ids=["half", "all_but_a_byte", "rubbish_after_it", "wrong_checksum"],
)  # fmt: skip
async def test_an_archive_that_is_cut_off_or_damaged_changes_nothing(
    database: Database,
    tenant: UUID,
    tmp_path: Path,
    spoil: Callable[[bytes], bytes],
    code: str,
) -> None:
    rows = HEADER + "".join(f"p-{n},Product {n},,,,,SKU-{n},1.00,1\n" for n in range(2000))
    whole = gzip.compress(rows.encode(), mtime=0)
    house = CatalogHouse(database)
    async with house.client(tenant) as client:
        cut = await bring_in(client, tmp_path / "a.csv.gz", spoil(whole))
        assert (cut.created, cut.stock_units) == (0, 0)
        assert [p.code for p in cut.problems] == [code]
        answer = await upload(client, spoil(whole))
        assert (answer.status_code, answer.json()["code"]) == (422, code)
        assert (await goods_of(client), await stock_of(client)) == ({}, {})
        good = await bring_in(client, tmp_path / "a.csv.gz", whole)
        assert (good.created, good.stock_units) == (2000, 2000)


class Faulty(httpx.AsyncBaseTransport):
    """A way to the application on which `fails(number of the request)` says what goes wrong."""

    def __init__(self, house: CatalogHouse, fails: Callable[[int], str]) -> None:
        self._inner = house.transport()
        self._fails = fails
        self.count = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.count += 1
        match self._fails(self.count):
            case "lost":
                raise httpx.ConnectError("nobody is there")
            case "busy":
                return httpx.Response(503, headers={"retry-after": "0"})
            case "unanswered":
                await self._inner.handle_async_request(request)
                raise httpx.ReadTimeout("the answer did not come")
            case _:
                return await self._inner.handle_async_request(request)


MANY = HEADER + "".join(f"p-{n},Product {n},,,,,SKU-{n},1.00,{n % 3}\n" for n in range(700))


@pytest.mark.parametrize("alive", [0, 1, 2, 3, 5, 8])
async def test_an_import_that_died_goes_on_where_it_stopped(
    database: Database, tenant: UUID, tmp_path: Path, alive: int
) -> None:
    house = CatalogHouse(database)
    dying = Faulty(house, lambda number: "" if number <= alive else "lost")
    async with house.client(tenant, transport=dying) as client:
        with pytest.raises(Failure, match="goes on where it stopped") as failure:
            await bring_in(client, tmp_path / "a.csv", MANY)
        assert failure.value.exit_code == UNAVAILABLE
    async with house.client(tenant) as client:
        report = await bring_in(client, tmp_path / "a.csv", MANY)
        assert (report.created + report.unchanged, report.problems) == (700, [])
        assert bool(report.unchanged) == bool(alive)
        variants = await leaf(client, "/v1/variants", limit="200")
        assert {v["sku"] for v in variants} == {f"SKU-{n}" for n in range(700)}
        assert {v["version"] for v in variants} == {1}
        assert await stock_of(client) == {f"SKU-{n}": n % 3 for n in range(700) if n % 3}
    assert await house.check(tenant) == []


@pytest.mark.parametrize("fault", ["busy", "unanswered", "lost"])
async def test_what_is_asked_again_is_done_once(
    database: Database, tenant: UUID, tmp_path: Path, fault: str
) -> None:
    house = CatalogHouse(database)
    shaky = Faulty(house, lambda number: fault if number % 2 else "")
    async with house.client(tenant, transport=shaky) as client:
        report = await bring_in(client, tmp_path / "a.csv", MANY)
    async with house.client(tenant) as client:
        stock = await stock_of(client)
    assert (report.created, report.updated, report.unchanged, report.problems) == (700, 0, 0, [])
    assert report.stock_units == sum(n % 3 for n in range(700))
    assert sum(stock.values()) == report.stock_units


async def test_what_one_request_cannot_hold_goes_by_halves(
    database: Database, tenant: UUID, tmp_path: Path
) -> None:
    house = CatalogHouse(database, body_bytes_max=20_000)
    rows = "handle,title,description,sku,price\n" + "".join(
        f"p-{n},Product {n},{'x' * (30_000 if n == 7 else 700)},SKU-{n},1\n" for n in range(100)
    )
    async with house.client(tenant) as client:
        report = await bring_in(client, tmp_path / "a.csv", rows)
        assert (report.created, report.refused) == (99, 1)
        assert [(p.row, p.code) for p in report.problems] == [(9, "body_too_large")]


async def test_an_import_that_cannot_begin_says_why(
    database: Database, tenant: UUID, tmp_path: Path
) -> None:
    house = CatalogHouse(database)
    async with house.client(tenant, "r") as shopper, house.client(tenant) as client:
        with pytest.raises(Failure, match="needs the scope catalog:write"):
            await bring_in(shopper, tmp_path / "a.csv", MIXED)
        with pytest.raises(Failure, match="no layout 'magento'"):
            await bring_in(client, tmp_path / "a.csv", MIXED, layout="magento")
        with pytest.raises(Failure, match="not an ISO 4217"):
            await bring_in(client, tmp_path / "a.csv", MIXED, currency="dollars")
        with pytest.raises(Failure, match="cannot be read"):
            await import_catalog(
                tmp_path / "gone.csv", client=client, layout="auto", currency="USD",
                stock_location=None, progress=quiet,
            )  # fmt: skip
        empty = await bring_in(client, tmp_path / "a.csv", b"")
        assert [(p.row, p.code) for p in empty.problems] == [(1, "empty_file")]
        assert await goods_of(client) == {}


async def test_vendure_s_own_catalog_is_imported(
    database: Database, tenant: UUID, tmp_path: Path
) -> None:
    if not VENDURE.exists():
        pytest.skip(f"the real file is not there: {VENDURE}")
    house = CatalogHouse(database)
    async with house.client(tenant) as client:
        report = await bring_in(client, tmp_path / "products.csv", VENDURE.read_bytes())
        assert (report.created, report.refused, report.variants) == (54, 0, 86)
        assert [p.code for p in report.problems] == ["duplicate_sku", "duplicate_sku"]
        assert {note.code for note in report.notes} == {"asset_without_address"}
        found = await client.get("/v1/products?q=labtop&include=variants&limit=50")
        assert [item["title"] for item in found.json()["items"]] == ["Laptop"]
        counted = await client.get("/v1/products?q=camera&facets=true")
        assert counted.json()["count"] >= 4
    assert await house.check(tenant) == []


async def upload(
    client: httpx.AsyncClient, data: bytes, query: str = "currency=USD", **headers: str
) -> httpx.Response:
    sent = keyed(**{"content-type": "text/csv", **headers})
    return await client.post(f"/v1/imports?{query}", content=data, headers=sent)


async def test_an_upload_is_answered_with_what_became_of_each_row(
    database: Database, tenant: UUID
) -> None:
    house = CatalogHouse(database)
    async with house.client(tenant) as client:
        answer = await upload(
            client, gzip.compress(MIXED.encode()), **{"content-type": "application/gzip"}
        )
        assert answer.status_code == 200
        report = answer.json()
        problems = msgspec.convert(report.pop("problems"), list[RowProblem])
        assert [(p.row, p.code) for p in problems] == [
            (5, "fractional_price"), (6, "bad_status"), (7, "product_row_refused"),
            (8, "duplicate_sku"),
        ]  # fmt: skip
        assert report == {
            "created": 3, "updated": 0, "unchanged": 0, "refused": 0, "variants": 4, "notes": [],
            "problems_left_out": 0, "stock_rows_passed_over": 3,
        }  # fmt: skip
        again = await upload(client, MIXED.encode())
        assert [again.json()[k] for k in ("created", "unchanged")] == [0, 3]
        assert await stock_of(client) == {}
    assert await house.check(tenant) == []


async def test_an_upload_under_the_same_key_is_done_once(database: Database, tenant: UUID) -> None:
    house = CatalogHouse(database)
    async with house.client(tenant) as client:
        data, key = MANY.encode(), {"idempotency-key": "import-1"}
        first = await upload(client, data, **key)
        assert first.json()["created"] == 700
        assert (await upload(client, data, **key)).content == first.content
        other = await upload(client, data, "currency=EUR", **key)
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
        bare = await client.post(
            "/v1/imports?currency=USD", content=data, headers={"content-type": "text/csv"}
        )
        assert (bare.status_code, bare.json()["code"]) == (400, "idempotency_key_missing")


async def test_an_upload_that_is_no_product_file_is_refused(
    database: Database, tenant: UUID
) -> None:
    house = CatalogHouse(database)
    async with house.client(tenant) as client:
        for query, headers, status, code in (
            ("currency=USD", {"content-type": "application/json"}, 415, "unsupported_media_type"),
            ("currency=XXX", {}, 400, "invalid"),
            ("", {}, 400, "invalid"),
            ("currency=USD&layout=magento", {}, 400, "invalid"),
        ):
            answer = await upload(client, MIXED.encode(), query, **headers)
            assert (answer.status_code, answer.json()["code"]) == (status, code)
        large = await upload(client, b"x" * (2 * 1024 * 1024 + 1))
        assert (large.status_code, large.json()["code"]) == (413, "body_too_large")
        for data, code in (
            (b"", "empty_file"),
            (b"a;b;c\n1;2;3\n", "wrong_delimiter"),
            (b"a,b,c\n1,2,3\n", "unknown_layout"),
        ):
            answer = await upload(client, data)
            assert answer.status_code == 200
            assert answer.json()["problems"][-1]["code"] == code
        grown = await upload(client, bomb())
        assert (grown.status_code, grown.json()["code"]) == (413, "file_too_large")


def bomb() -> bytes:
    """Sixteen megabytes of blank lines in a few kilobytes."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as file:
        file.write(HEADER.encode())
        for _ in range(16):
            file.write(b"\n" * 1024 * 1024)
    return packed.getvalue()


async def test_shopify_s_layout_is_told_by_its_header(database: Database, tenant: UUID) -> None:
    data = (
        "Handle,Title,Body (HTML),Vendor,Type,Tags,Published,Option1 Name,Option1 Value,"
        "Variant SKU,Variant Price,Image Src,Status\n"
        'mug,Mug,<p>Holds <b>tea</b>.</p>,Sefar,Kitchen,"clay, blue",true,Size,Small,MUG-S,9.50,'
        "https://x.example/mug.png,active\n"
        "mug,,,,,,,,Large,MUG-L,12.00,,\n"
    )
    house = CatalogHouse(database)
    async with house.client(tenant) as client:
        report = (await upload(client, data.encode(), "currency=EUR&layout=shopify")).json()
        assert (report["created"], report["variants"], report["problems"]) == (1, 2, [])
        [item] = (await client.get("/v1/products?q=holds+tea&facet=tag:clay")).json()["items"]
        assert (item["handle"], item["status"]) == ("mug", "published")
        assert item["prices"] == [{"currency": "EUR", "low_minor": 950, "high_minor": 1200}]
