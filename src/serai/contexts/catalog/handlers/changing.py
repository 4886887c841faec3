"""Changes what is there: products, their states, variants and prices; and adds categories."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol, TypeVar
from uuid import UUID

from serai.contexts.billing.contract import Quotas
from serai.contexts.catalog.contract import (
    CategoryExists,
    CategoryView,
    ProductChanged,
    ProductView,
    SkuTaken,
    VariantView,
)
from serai.contexts.catalog.handlers.commands import (
    AddVariant,
    CreateCategory,
    MoveProduct,
    ReviseProduct,
    ReviseVariant,
    SetPrices,
)
from serai.contexts.catalog.handlers.counting import open_shelves
from serai.contexts.catalog.model import fields, products, snapshots
from serai.contexts.catalog.model.products import Change, Product
from serai.contexts.catalog.ports import ProductKey, Products
from serai.kernel.changes import describe
from serai.kernel.db import Tx
from serai.kernel.events import Cause
from serai.kernel.failure import NotFound, Refused


class _Caused(Protocol):
    """A command that changes something of a product."""

    @property
    def tenant_id(self) -> UUID: ...

    @property
    def cause(self) -> Cause: ...


class _OfProduct(_Caused, Protocol):
    """A command that names a product."""

    @property
    def product_id(self) -> UUID: ...


class _OfVariant(_Caused, Protocol):
    """A command that names a variant."""

    @property
    def variant_id(self) -> UUID: ...


C = TypeVar("C", bound=_Caused)
P = TypeVar("P", bound=_OfProduct)
V = TypeVar("V", bound=_OfVariant)


Name = Callable[[Product], str]
"""What a change is called in the audit trail, by what came of it."""


def _revised(_product: Product) -> str:
    return "catalog.product_revised"


def _moved(product: Product) -> str:
    return f"catalog.product_{'drafted' if product.status == 'draft' else product.status}"


def _variant_added(_product: Product) -> str:
    return "catalog.variant_added"


def _variant_revised(_product: Product) -> str:
    return "catalog.variant_revised"


def _priced(_product: Product) -> str:
    return "catalog.prices_set"


async def revise_products(
    commands: Sequence[ReviseProduct], *, tx: Tx, now: datetime, store: Products
) -> list[ProductView | Refused]:
    """Changes products; refuses a version that is not the current one."""

    def decide(command: ReviseProduct, product: Product) -> Product:
        if faults := fields.find_patch_faults(command.patch):
            raise products.refuse_faults(faults, what="change")
        return products.revise_product(product, command.patch, version=command.version, now=now)

    changed = await _change_products(commands, decide, _revised, tx=tx, store=store)
    return [each if isinstance(each, Refused) else products.view_of(each) for each in changed]


async def move_products(
    commands: Sequence[MoveProduct], *, tx: Tx, now: datetime, store: Products
) -> list[ProductView | Refused]:
    """Publishes, archives and drafts products; refuses a step that is none."""

    def decide(command: MoveProduct, product: Product) -> Product:
        return products.move_product(product, command.status, version=command.version, now=now)

    changed = await _change_products(commands, decide, _moved, tx=tx, store=store)
    return [each if isinstance(each, Refused) else products.view_of(each) for each in changed]


async def add_variants(
    commands: Sequence[AddVariant], *, tx: Tx, now: datetime, store: Products,
    quotas: Quotas | None = None,
) -> list[VariantView | Refused]:  # fmt: skip
    """Adds variants; refuses a SKU that is taken, and one beyond the plan."""
    growing = {command.tenant_id for command in commands}
    shelves = await open_shelves(growing, tx=tx, store=store, quotas=quotas)
    owners = dict(await store.find_sku_owners([(c.tenant_id, c.body.sku) for c in commands], tx=tx))

    def decide(command: AddVariant, product: Product) -> Product:
        if faults := fields.find_variant_faults(command.body):
            raise products.refuse_faults(faults, what="variant")
        if (command.tenant_id, command.body.sku) in owners:
            raise SkuTaken(f"the SKU {command.body.sku} is taken", field="sku")
        larger = products.add_variant(
            product, command.body, command.variant_id, version=command.version, now=now
        )
        shelves.add(command.tenant_id, ["sku"])
        owners[command.tenant_id, command.body.sku] = product.product_id
        return larger

    changed = await _change_products(commands, decide, _variant_added, tx=tx, store=store)
    return _view_variants(commands, changed)


async def revise_variants(
    commands: Sequence[ReviseVariant], *, tx: Tx, now: datetime, store: Products
) -> list[VariantView | Refused]:
    """Changes variants; refuses a version that is not the current one."""

    def decide(command: ReviseVariant, product: Product) -> Product:
        if faults := fields.find_variant_patch_faults(command.patch):
            raise products.refuse_faults(faults, what="change")
        return products.revise_variant(
            product, command.variant_id, command.patch, version=command.version, now=now
        )

    changed = await _change_variants(commands, decide, _variant_revised, tx=tx, store=store)
    return _view_variants(commands, changed)


async def set_prices(
    commands: Sequence[SetPrices], *, tx: Tx, now: datetime, store: Products
) -> list[VariantView | Refused]:
    """Gives variants their prices; refuses to leave a published product without any."""

    def decide(command: SetPrices, product: Product) -> Product:
        if faults := fields.find_price_faults(command.prices):
            raise products.refuse_faults(faults, what="prices")
        return products.set_prices(
            product, command.variant_id, command.prices, version=command.version, now=now
        )

    changed = await _change_variants(commands, decide, _priced, tx=tx, store=store)
    return _view_variants(commands, changed)


async def create_categories(
    commands: Sequence[CreateCategory], *, tx: Tx, now: datetime, store: Products
) -> list[CategoryView | Refused]:
    """Adds categories; refuses a path that is there."""
    faults = [fields.find_category_faults(command.path) for command in commands]
    keys = [(command.tenant_id, fields.tidy_path(command.path)) for command in commands]
    sound = [key for key, found in zip(keys, faults, strict=True) if not found]
    added = await store.insert_categories(sound, tx=tx, now=now)
    results: list[CategoryView | Refused] = []
    for command, key, found in zip(commands, keys, faults, strict=True):
        if found:
            results.append(products.refuse_faults(found, what="category"))
        elif key in added:
            added.remove(key)
            change = describe("catalog.category_created", ("category", key[1]), command.cause)
            tx.record(command.tenant_id, change)
            *_, parent, path = [None, *fields.list_ancestors(key[1])]
            name = key[1].rpartition(" > ")[2]
            results.append(CategoryView(path or key[1], name, parent, now))
        else:
            results.append(CategoryExists("a category with this path is already there"))
    return results


async def _change_products(
    commands: Sequence[P],
    decide: Callable[[P, Product], Product],
    name: Name,
    *,
    tx: Tx,
    store: Products,
) -> list[Product | Refused]:
    """Changes the products that commands name by their own ids."""
    keys = [(command.tenant_id, command.product_id) for command in commands]
    found = await store.lock_products(list(dict.fromkeys(keys)), tx=tx)
    return await _change(
        commands, [found.get(key) for key in keys], decide, name, tx=tx, store=store
    )


async def _change_variants(
    commands: Sequence[V],
    decide: Callable[[V, Product], Product],
    name: Name,
    *,
    tx: Tx,
    store: Products,
) -> list[Product | Refused]:
    """Changes the products that commands name by the ids of variants."""
    keys = [(command.tenant_id, command.variant_id) for command in commands]
    found = await store.lock_by_variant(list(dict.fromkeys(keys)), tx=tx)
    return await _change(
        commands, [found.get(key) for key in keys], decide, name, tx=tx, store=store
    )


async def _change(
    commands: Sequence[C],
    targets: Sequence[Product | None],
    decide: Callable[[C, Product], Product],
    name: Name,
    *,
    tx: Tx,
    store: Products,
) -> list[Product | Refused]:
    """Lets each command change its product as those before it have left it, and saves the ends."""
    before: dict[ProductKey, Product] = {}
    after: dict[ProductKey, Product] = {}
    outcomes: list[Product | Refused] = []
    for command, target in zip(commands, targets, strict=True):
        if target is None:
            outcomes.append(NotFound("there is no such product or variant"))
            continue
        key = (target.tenant_id, target.product_id)
        current = after.get(key, target)
        try:
            changed = decide(command, current)
        except Refused as refusal:
            outcomes.append(refusal)
            continue
        outcomes.append(changed)
        if changed is not current:
            before.setdefault(key, target)
            after[key] = changed
            event = ProductChanged(
                changed.product_id, changed.handle, changed.status, changed.version,
                len(changed.variants) - len(current.variants),
            )  # fmt: skip
            tx.announce(changed.tenant_id, event, command.cause)
            change = describe(
                name(changed), ("product", changed.product_id), command.cause,
                before=snapshots.snapshot(current), after=snapshots.snapshot(changed),
            )  # fmt: skip
            tx.record(changed.tenant_id, change)
    if after:
        changes = [Change(before[key], product) for key, product in after.items()]
        await store.save_products(changes, tx=tx)
    return outcomes


def _view_variants(
    commands: Sequence[_OfVariant], changed: Sequence[Product | Refused]
) -> list[VariantView | Refused]:
    return [
        each
        if isinstance(each, Refused)
        else products.view_variant(each.product_id, products.get_variant(each, command.variant_id))
        for command, each in zip(commands, changed, strict=True)
    ]
