"""Opens the demo shop: its tenant and key, and through the public API its goods and their stock.

Safe to repeat: what is there already stays as it is, whatever became of it since.
"""

import asyncio
import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import msgspec
from msgspec import UnsetType

from serai.cli.demo.api import Api
from serai.cli.demo.goods import Goods, demo_goods
from serai.contexts.catalog.contract import ProductInput, SavedBatch, SaveMode
from serai.contexts.tenancy.contract import SCOPES, Tenancy
from serai.kernel.failure import Unavailable

TENANT: Final = "demo"
KEY_LABEL: Final = "demo board"
KEY_FILE: Final = "demo.json"
HEADER_FILE: Final = "demo.header"
"""The key as an HTTP header, for `curl -H @file`: a command that fits into a line."""
OWNERS_ONLY: Final = 0o600
PRODUCTS_A_CALL: Final = 100
MOVES_A_CALL: Final = 250
UNAUTHENTICATED: Final = 401


class Credentials(msgspec.Struct, frozen=True):
    """The demo tenant and a key of it, as they are kept in the data folder."""

    tenant_id: UUID
    key: str


class DemoShop(msgspec.Struct, frozen=True):
    """An open demo shop."""

    tenant_id: UUID
    key: str
    api: Api
    goods: tuple[Goods, ...]
    header_path: Path


async def create_demo_shop(
    tenancy: Tenancy, *, api_url: str, data_path: Path, stop: asyncio.Event
) -> DemoShop:
    """Makes what is missing of the demo shop; the shop comes with a client that has its key."""
    own = await _find_or_issue(tenancy, api_url=api_url, data_path=data_path, stop=stop)
    api = Api(api_url, own.key, stop=stop)
    try:
        goods = demo_goods(api_url)
        await _fill_catalog(api, goods)
        await _fill_shelves(api, goods)
    except BaseException:
        await api.close()
        raise
    return DemoShop(own.tenant_id, own.key, api, goods, data_path / HEADER_FILE)


async def _find_or_issue(
    tenancy: Tenancy, *, api_url: str, data_path: Path, stop: asyncio.Event
) -> Credentials:
    """The key that was kept, if it still opens the shop; else a new one, which is kept."""
    tenant = await tenancy.find_tenant(TENANT)
    if tenant is None:
        issued = await tenancy.create_tenant(TENANT, scopes=SCOPES)
        own = Credentials(issued.tenant.id, issued.key.key)
    else:
        kept = read_credentials(data_path)
        if kept is not None and await _opens(kept, tenant.id, api_url, stop):
            own = kept
        else:
            key = await tenancy.create_key(tenant.id, label=KEY_LABEL, scopes=SCOPES)
            own = Credentials(tenant.id, key.key)
    keep_credentials(data_path, own)
    return own


async def _opens(kept: Credentials, tenant_id: UUID, api_url: str, stop: asyncio.Event) -> bool:
    if kept.tenant_id != tenant_id:
        return False
    api = Api(api_url, kept.key, stop=stop)
    try:
        await api.get("/v1/tenant")
    except httpx.HTTPStatusError as error:
        if error.response.status_code != UNAUTHENTICATED:
            raise
        return False
    else:
        return True
    finally:
        await api.close()


def read_credentials(data_path: Path) -> Credentials | None:
    """What was kept; None where there is nothing, or nothing of use."""
    try:
        return msgspec.json.decode((data_path / KEY_FILE).read_bytes(), type=Credentials)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def keep_credentials(data_path: Path, own: Credentials) -> None:
    """Keeps the key for the next run and for curl; only the owner of the files may read them."""
    _write(data_path / KEY_FILE, msgspec.json.format(msgspec.json.encode(own), indent=2))
    _write(data_path / HEADER_FILE, f"Authorization: Bearer {own.key}\n".encode())


def _write(path: Path, content: bytes) -> None:
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, OWNERS_ONLY), "wb") as file:
        file.write(content)
    new.replace(path)


async def _fill_catalog(api: Api, goods: Sequence[Goods]) -> None:
    """Adds the products that are not there, and moves our pictures to where we answer now."""
    there = {item["handle"]: item for item in await api.get_all("/v1/products", status="all")}
    missing = [ware.product for ware in goods if ware.handle not in there]
    moved = [
        ProductInput(
            title=there[ware.handle]["title"], handle=ware.handle, media=ware.product.media
        )
        for ware in goods
        if ware.handle in there and _has_moved(there[ware.handle]["picture"], ware.product.media)
    ]
    await _save(api, missing, mode="create")
    await _save(api, moved, mode="upsert")


def _has_moved(picture: str | None, media: list[str] | UnsetType) -> bool:
    """Whether a picture of ours stands at an address of a run on another port."""
    if not media or picture is None or picture == media[0]:
        return False
    return urlsplit(picture).path == urlsplit(media[0]).path


async def _save(api: Api, products: Sequence[ProductInput], *, mode: SaveMode) -> None:
    for part in _chunks(products, PRODUCTS_A_CALL):
        answer = await api.post(f"/v1/products:batch?mode={mode}", {"products": part})
        saved = _accepted(answer, SavedBatch)
        refused = [item for item in saved.items if item.status == "refused"]
        if refused:
            raise Unavailable(f"the catalog refused {refused[0].handle}: {refused[0].errors}")


async def _fill_shelves(api: Api, goods: Sequence[Goods]) -> None:
    """Receives the first stock of every SKU that never had any."""
    known = {item["sku"] for item in await api.get_all("/v1/stock-items")}
    moves = [
        {"sku": sku, "quantity": units, "reason": "opening"}
        for ware in goods
        for sku, units in ware.stock.items()
        if sku not in known
    ]
    for part in _chunks(moves, MOVES_A_CALL):
        _accepted(await api.post("/v1/stock-receipts", {"moves": part}), dict[str, Any])


def _accepted(answer: httpx.Response, shape: Any) -> Any:
    if not answer.is_success:
        raise Unavailable(f"the demo shop cannot be filled: {answer.text[:500]}")
    return msgspec.json.decode(answer.content, type=shape)


def _chunks(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    rest = iter(items)
    while chunk := list(itertools.islice(rest, size)):
        yield chunk
