"""Products over HTTP on a real PostgreSQL: written, read, changed, refused."""

from uuid import UUID

from serai.kernel.db import Database
from tests.integration.catalog_house import CatalogHouse, create, keyed, post, product


async def test_a_product_is_created_and_read_back(database: Database, tenant: UUID) -> None:
    house = CatalogHouse(database)
    async with house.client(tenant) as client:
        made = await create(
            client, product("Dune tent", categories=["Camp > Tents"], facets={"colour": ["sand"]})
        )
        answer = await client.get(f"/v1/products/{made['id']}")
        assert answer.status_code == 200
        assert answer.json() == made
        for q in (
            "/v1/products",
            "/v1/products?q=dune",
            "/v1/products?q=tnet",
            "/v1/products?q=tents&facets=true&facet=colour:sand&facet=colour:x",
            "/v1/products?category=Camp&include=variants",
            "/v1/products?sort=price&currency=USD",
            "/v1/products?sort=-price&currency=USD",
            "/v1/products?sort=title",
            "/v1/variants",
            "/v1/variants?sku=DUNE-TENT",
            "/v1/categories",
            "/v1/categories?parent=",
        ):
            print(q, (await client.get(q)).text)
    assert await house.check(tenant) == []
