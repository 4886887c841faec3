"""The demo's pictures over HTTP."""

from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from serai.cli.demo.goods import demo_goods
from serai.cli.demo.media import KEPT_BY_CLIENTS_S, media_routes
from serai.cli.demo.pictures import picture
from serai.kernel.problems import EXCEPTION_HANDLERS


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient[Any]]:
    app = Litestar(media_routes(), exception_handlers=EXCEPTION_HANDLERS, logging_config=None)
    with TestClient(app) as client:
        yield client


def test_every_product_names_an_address_that_serves_its_picture(client: TestClient[Any]) -> None:
    for goods in demo_goods("http://shop.example"):
        assert isinstance(goods.product.media, list)
        [address] = goods.product.media
        answer = client.get(address.removeprefix("http://shop.example"))
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "image/svg+xml"
        assert answer.content == picture(
            goods.handle, title=goods.title, category=goods.category, colours=goods.colours
        )


def test_a_picture_is_kept_by_who_has_it(client: TestClient[Any]) -> None:
    first = client.get("/media/demo/dune-tent-for-two.svg")
    assert first.headers["cache-control"] == f"public, max-age={KEPT_BY_CLIENTS_S}"
    tag = first.headers["etag"]
    again = client.get("/media/demo/dune-tent-for-two.svg", headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)


@pytest.mark.parametrize(
    "name", ["no-such-thing.svg", "dune-tent-for-two", "dune-tent-for-two.png"]
)
def test_what_is_no_picture_is_a_404_problem(client: TestClient[Any], name: str) -> None:
    answer = client.get(f"/media/demo/{name}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "not_found"
