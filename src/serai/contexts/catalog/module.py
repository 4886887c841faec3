"""Wiring of the catalog. It also hands the command line what reads product files."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from serai.contexts.catalog.contract import (
    CategoryView,
    ProductInput,
    ProductView,
    SavedBatch,
    VariantView,
)
from serai.contexts.catalog.gateways.product_file import read_file, read_upload
from serai.contexts.catalog.handlers import changing, saving
from serai.contexts.catalog.handlers.commands import CreateProduct, SaveProducts
from serai.contexts.catalog.model.products import NewIds
from serai.contexts.catalog.ports import FileProduct
from serai.contexts.catalog.routes import imports, reading, writing
from serai.contexts.catalog.routes.imports import explain
from serai.contexts.catalog.store import soundness
from serai.contexts.catalog.store.prices import PostgresPrices
from serai.contexts.catalog.store.products import PostgresProducts
from serai.contexts.catalog.store.showcase import PostgresShowcase
from serai.kernel import ids
from serai.kernel.batch import Batch
from serai.kernel.db import Tx
from serai.kernel.events import Cause
from serai.kernel.idempotency import Answer
from serai.kernel.module import Check, Module, Surroundings
from serai.kernel.web import answer_with

__all__ = ["FileProduct", "build", "explain", "read_file"]


def build(s: Surroundings) -> Module:
    """The catalog over PostgreSQL; its offers are the contract's `Prices` and `Goods`."""
    store = PostgresProducts()
    showcase = PostgresShowcase()
    make = partial(Batch, database=s.database, queue_max=s.settings.queue_max)

    def queue(name: str, handler: Any, answer: Any, **more: Any) -> Batch[Any, Any]:
        return make(f"catalog.{name}", partial(handler, store=store), answer, **more)

    writers = writing.Writers(
        create=queue("create_products", saving.create_products, _created, weigh=_weigh_product),
        save=queue("save_products", saving.save_products, _saved, weigh=_weigh_batch),
        revise=queue("revise_products", changing.revise_products, _product),
        move=queue("move_products", changing.move_products, _product),
        add_variant=queue("add_variants", changing.add_variants, _added),
        revise_variant=queue("revise_variants", changing.revise_variants, _variant),
        set_prices=queue("set_prices", changing.set_prices, _variant),
        create_category=queue("create_categories", changing.create_categories, _category),
    )
    return Module(
        name="catalog",
        routes=[
            *writing.product_routes(writers),
            *writing.step_routes(writers),
            *writing.variant_routes(writers),
            *writing.category_routes(writers),
            *imports.routes(writers.save, read_upload),
            *reading.product_routes(s.database, showcase),
            *reading.variant_routes(s.database, showcase),
            *reading.category_routes(s.database, showcase),
        ],
        batches=[getattr(writers, name) for name in writers.__struct_fields__],
        checks=[
            Check(
                "catalog.for_sale",
                "Every published product has a variant with a price.",
                soundness.find_unsellable,
            ),
            Check(
                "catalog.variants",
                "Every variant belongs to a product, and every price to a variant of that product.",
                soundness.find_strays,
            ),
            Check(
                "catalog.indexes",
                "What lists and searches go by is what the products say of themselves.",
                soundness.find_stale_indexes,
            ),
        ],
        offers=Offers(store),
    )


class Offers(PostgresPrices):
    """The contract's Protocols Prices and Goods."""

    def __init__(self, store: PostgresProducts) -> None:
        super().__init__()
        self._store = store

    async def add_products(
        self,
        tenant_id: UUID,
        products: Sequence[ProductInput],
        cause: Cause,
        *,
        tx: Tx,
        now: datetime,
    ) -> None:
        commands = [
            CreateProduct(
                tenant_id,
                NewIds(ids.new_id(), tuple(ids.new_id() for _ in product.variants)),
                product,
                cause,
            )
            for product in products
        ]
        await saving.create_products(commands, tx=tx, now=now, store=self._store)


def _weigh_product(command: CreateProduct) -> int:
    return 1 + len(command.body.variants)


def _weigh_batch(command: SaveProducts) -> int:
    return sum(1 + len(item[1].variants) for item in command.items if isinstance(item, tuple))


def _created(view: ProductView) -> Answer:
    return answer_with(view, status=201, location=_address(view.id), version=view.version)


def _address(product_id: UUID) -> str:
    return f"/v1/products/{product_id}"


def _saved(report: SavedBatch) -> Answer:
    return answer_with(report)


def _product(view: ProductView) -> Answer:
    return answer_with(view, version=view.version)


def _added(view: VariantView) -> Answer:
    return answer_with(view, status=201, location=f"/v1/variants/{view.id}", version=view.version)


def _variant(view: VariantView) -> Answer:
    return answer_with(view, version=view.version)


def _category(view: CategoryView) -> Answer:
    return answer_with(view, status=201)
