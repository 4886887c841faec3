"""Saves products as they were sent, one or many: whole, or not at all."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from serai.contexts.billing.contract import Quotas
from serai.contexts.catalog.contract import (
    HANDLE_CHARS_MAX,
    Fault,
    HandleTaken,
    ProductChanged,
    ProductInput,
    ProductView,
    SavedBatch,
    SavedItem,
    SaveMode,
    SkuTaken,
)
from serai.contexts.catalog.handlers.commands import CreateProduct, SaveProducts
from serai.contexts.catalog.handlers.counting import Shelves, open_shelves
from serai.contexts.catalog.model import fields, products, snapshots
from serai.contexts.catalog.model.products import Change, NewIds, Product
from serai.contexts.catalog.ports import HandleKey, Products, SkuKey
from serai.kernel.changes import describe
from serai.kernel.db import Tx
from serai.kernel.events import Cause
from serai.kernel.failure import Refused


class _Draft(msgspec.Struct, frozen=True):
    """One product that is to be saved, whichever command it came with."""

    tenant_id: UUID
    mode: SaveMode
    new: NewIds
    body: ProductInput
    cause: Cause

    @property
    def key(self) -> HandleKey:
        return self.tenant_id, products.handle_of(self.body)


class _Outcome(msgspec.Struct, frozen=True):
    change: Change
    status: Literal["created", "updated", "unchanged"]


async def create_products(
    commands: Sequence[CreateProduct], *, tx: Tx, now: datetime, store: Products,
    quotas: Quotas | None = None,
) -> list[ProductView | Refused]:  # fmt: skip
    """Adds products; refuses a handle or SKU that is taken, and SKUs beyond the plan."""
    drafts = [_Draft(c.tenant_id, "create", c.new, c.body, c.cause) for c in commands]
    outcomes = await _save(drafts, tx=tx, now=now, store=store, quotas=quotas)
    return [
        outcome if isinstance(outcome, Refused) else products.view_of(outcome.change.new)
        for outcome in outcomes
    ]


async def save_products(
    commands: Sequence[SaveProducts], *, tx: Tx, now: datetime, store: Products,
    quotas: Quotas | None = None,
) -> list[SavedBatch | Refused]:  # fmt: skip
    """Saves each product of each command by itself; one that is refused leaves no trace."""
    drafts = [
        _Draft(command.tenant_id, command.mode, *item, command.cause)
        for command in commands
        for item in command.items
        if not isinstance(item, SavedItem)
    ]
    outcomes = iter(await _save(drafts, tx=tx, now=now, store=store, quotas=quotas))
    results: list[SavedBatch | Refused] = []
    for command in commands:
        items = [
            item if isinstance(item, SavedItem) else _report(item[1], next(outcomes))
            for item in command.items
        ]
        counts = Counter(item.status for item in items)
        results.append(
            SavedBatch(
                created=counts["created"],
                updated=counts["updated"],
                unchanged=counts["unchanged"],
                refused=counts["refused"],
                items=items,
            )
        )
    return results


async def _save(
    drafts: Sequence[_Draft], *, tx: Tx, now: datetime, store: Products, quotas: Quotas | None
) -> list[_Outcome | Refused]:
    """Saves drafts in their order, each as if those before it were there already."""
    faults = [fields.find_product_faults(draft.body) for draft in drafts]
    sound = [draft for draft, found in zip(drafts, faults, strict=True) if not found]
    growing = {draft.tenant_id for draft in sound if draft.body.variants}
    shelves = await open_shelves(growing, tx=tx, store=store, quotas=quotas)
    known = dict(await store.lock_by_handle(list({draft.key for draft in sound}), tx=tx))
    skus = {(draft.tenant_id, v.sku) for draft in sound for v in draft.body.variants}
    owners = dict(await store.find_sku_owners(list(skus), tx=tx)) if skus else {}
    before = dict(known)
    outcomes: list[_Outcome | Refused] = []
    for draft, found in zip(drafts, faults, strict=True):
        if found:
            outcomes.append(products.refuse_faults(found, what="product"))
            continue
        try:
            outcome = _decide(draft, known.get(draft.key), owners, shelves, now=now)
        except Refused as refusal:
            outcomes.append(refusal)
            continue
        known[draft.key] = outcome.change.new
        outcomes.append(outcome)
        if outcome.status != "unchanged":
            new = outcome.change.new
            old = outcome.change.old
            added = len(new.variants) - (0 if old is None else len(old.variants))
            event = ProductChanged(new.product_id, new.handle, new.status, new.version, added)
            tx.announce(new.tenant_id, event, draft.cause)
            change = describe(
                f"catalog.product_{outcome.status}", ("product", new.product_id), draft.cause,
                before=None if old is None else snapshots.snapshot(old),
                after=snapshots.snapshot(new),
            )  # fmt: skip
            tx.record(new.tenant_id, change)
    changes = [
        Change(before.get(key), new) for key, new in known.items() if new is not before.get(key)
    ]
    if changes:
        await store.save_products(changes, tx=tx)
    return outcomes


def _decide(
    draft: _Draft, known: Product | None, owners: dict[SkuKey, UUID], shelves: Shelves, *,
    now: datetime,
) -> _Outcome:  # fmt: skip
    if known is not None and draft.mode == "create":
        raise HandleTaken(f"the handle {known.handle} is taken", handle=known.handle)
    product_id = draft.new.product_id if known is None else known.product_id
    for index, variant in enumerate(draft.body.variants):
        owner = owners.get((draft.tenant_id, variant.sku))
        if owner is not None and owner != product_id:
            field = f"variants[{index}].sku"
            raise SkuTaken(f"the SKU {variant.sku} is taken", field=field)
    if known is None:
        new = products.make_product(draft.body, draft.new, draft.tenant_id, now)
    else:
        new = products.merge_product(known, draft.body, draft.new, now)
    had = {variant.sku for variant in known.variants} if known is not None else set()
    fresh = [f"variants[{i}].sku" for i, v in enumerate(draft.body.variants) if v.sku not in had]
    shelves.add(draft.tenant_id, fresh)
    for variant in draft.body.variants:
        owners[draft.tenant_id, variant.sku] = product_id
    if known is None:
        return _Outcome(Change(None, new), "created")
    return _Outcome(Change(known, new), "unchanged" if new is known else "updated")


def _report(body: ProductInput, outcome: _Outcome | Refused) -> SavedItem:
    if isinstance(outcome, Refused):
        handle = products.handle_of(body)[:HANDLE_CHARS_MAX]
        return SavedItem(handle=handle, status="refused", errors=_faults_of(outcome))
    new = outcome.change.new
    return SavedItem(
        handle=new.handle,
        status=outcome.status,
        id=new.product_id,
        version=new.version,
        variants=len(body.variants),
    )


def _faults_of(refusal: Refused) -> list[Fault]:
    if errors := refusal.facts.get("errors"):
        return [Fault(**error) for error in errors]
    if places := refusal.facts.get("fields"):
        return [Fault(place, refusal.code, refusal.detail) for place in places]
    return [Fault(str(refusal.facts.get("field", "")), refusal.code, refusal.detail)]
