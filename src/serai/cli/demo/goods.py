"""Makes the demo shop's goods out of its list of wares: prices, stock and variants included."""

import hashlib
import itertools
import re
from collections.abc import Iterator
from typing import Final

import msgspec

from serai.cli.demo.wares import CAMP, KITCHEN, Ware
from serai.cli.demo.wares_road import HOME, ROAD
from serai.contexts.catalog.contract import Price, ProductInput, VariantInput

PLENTY_UNITS_MIN: Final = 24
PLENTY_UNITS_MAX: Final = 160
SCARCE_UNITS_MIN: Final = 1
SCARCE_UNITS_MAX: Final = 6

# Made-up rates, as a shop sets list prices: units of the currency's minor unit per 1,000 US cents,
# and the step that prices are rounded to.
_PRICE_LISTS: Final = (("USD", 1_000, 1), ("EUR", 920, 50), ("GBP", 790, 50), ("JPY", 1_500, 10))


class Goods(msgspec.Struct, frozen=True):
    """One product: what its picture is drawn from, how the API takes it, and its stock.

    `stock` tells for each SKU how many units a full shelf holds.
    """

    handle: str
    title: str
    category: str
    colours: tuple[str, ...]
    product: ProductInput
    stock: dict[str, int]


def demo_goods(media_root: str) -> tuple[Goods, ...]:
    """The demo shop's goods, always the same; pictures are at `media_root`/media/demo/.

    `media_root` is the http(s) address that the shop is reached by, without a slash at its end.
    """
    wares = (*CAMP, *KITCHEN, *ROAD, *HOME)
    return tuple(_make_goods(ware, media_root) for ware in wares)


def is_scarce(units: int) -> bool:
    """Whether a full shelf of so many units is one that a rush empties."""
    return units <= SCARCE_UNITS_MAX


def _make_goods(ware: Ware, media_root: str) -> Goods:
    handle = _slug(ware.title)
    variants = list(_make_variants(ware))
    product = ProductInput(
        handle=handle,
        title=ware.title,
        description=ware.description,
        status="published",
        categories=[ware.category],
        facets={
            "material": list(ware.material),
            "colour": list(ware.colour),
            "origin": [ware.origin],
        },
        media=[f"{media_root}/media/demo/{handle}.svg"],
        option_names=list(ware.options),
        variants=variants,
    )
    stock = {v.sku: _stock(v.sku, is_plenty=not ware.is_scarce) for v in variants}
    return Goods(handle, ware.title, ware.category, ware.colour, product, stock)


def _make_variants(ware: Ware) -> Iterator[VariantInput]:
    for values in itertools.product(*(prices.items() for prices in ware.options.values())):
        usd_minor = ware.usd_minor + sum(more for _, more in values)
        yield VariantInput(
            sku="-".join([ware.code, *(_slug(value).upper() for value, _ in values)]),
            options={name: value for name, (value, _) in zip(ware.options, values, strict=True)},
            prices=[
                Price(currency, _list_price(usd_minor, rate, step))
                for currency, rate, step in _PRICE_LISTS
            ],
        )


def _slug(text: str) -> str:
    """What stands in addresses and SKUs: letters and digits, with dashes for all else."""
    return re.sub("[^a-z0-9]+", "-", text.lower().replace("'", "")).strip("-")


def _list_price(usd_minor: int, rate: int, step: int) -> int:
    """The price in the list's own minor units, rounded to its step and never to nothing."""
    return max(step, (usd_minor * rate + 500 * step) // (1_000 * step) * step)


def _stock(sku: str, *, is_plenty: bool) -> int:
    """Units by the SKU's hash: different for each, the same on every run."""
    low, high = (
        (PLENTY_UNITS_MIN, PLENTY_UNITS_MAX) if is_plenty else (SCARCE_UNITS_MIN, SCARCE_UNITS_MAX)
    )
    number = int.from_bytes(hashlib.sha256(sku.encode()).digest()[:4], "big")
    return low + number % (high - low + 1)
