"""Makes the demo shop's products out of its list of wares: prices, stock and variants included."""

import hashlib
import itertools
from typing import Final

from serai.cli.demo.wares import CAMP, KITCHEN, Ware
from serai.cli.demo.wares_road import HOME, ROAD
from serai.contexts.catalog.gateways.product_rows import PriceRow, ProductRow, VariantRow
from serai.contexts.catalog.model.text import make_handle

PLENTY_UNITS_MIN: Final = 24
PLENTY_UNITS_MAX: Final = 160
SCARCE_UNITS_MIN: Final = 1
SCARCE_UNITS_MAX: Final = 6

# Made-up rates, as a shop sets list prices: units of the currency's minor unit per 1,000 US cents,
# and the step that prices are rounded to.
_PRICE_LISTS: Final = (("USD", 1_000, 1), ("EUR", 920, 50), ("GBP", 790, 50), ("JPY", 1_500, 10))


def demo_products(media_root: str) -> tuple[ProductRow, ...]:
    """The demo shop's products, always the same; pictures are at `media_root`/media/demo/.

    `media_root` is the http(s) address that the shop is reached by, without a slash at its end.
    """
    wares = (*CAMP, *KITCHEN, *ROAD, *HOME)
    return tuple(_make_product(row, ware, media_root) for row, ware in enumerate(wares, start=1))


def _make_product(row: int, ware: Ware, media_root: str) -> ProductRow:
    handle = make_handle(ware.title)
    return ProductRow(
        row=row,
        handle=handle,
        title=ware.title,
        description=ware.description,
        status="published",
        categories=(ware.category,),
        facets={"material": ware.material, "colour": ware.colour, "origin": (ware.origin,)},
        media=(f"{media_root}/media/demo/{handle}.svg",),
        option_names=tuple(ware.options),
        variants=tuple(_make_variants(row, ware)),
    )


def _make_variants(row: int, ware: Ware) -> list[VariantRow]:
    variants = []
    for values in itertools.product(*(prices.items() for prices in ware.options.values())):
        sku = "-".join([ware.code, *(make_handle(value).upper() for value, _ in values)])
        usd_minor = ware.usd_minor + sum(more for _, more in values)
        variants.append(
            VariantRow(
                row=row,
                sku=sku,
                options={
                    name: value for name, (value, _) in zip(ware.options, values, strict=True)
                },
                prices=tuple(
                    PriceRow(currency, _list_price(usd_minor, rate, step))
                    for currency, rate, step in _PRICE_LISTS
                ),
                stock=_stock(sku, is_scarce=ware.is_scarce),
            )
        )
    return variants


def _list_price(usd_minor: int, rate: int, step: int) -> int:
    """The price in the list's own minor units, rounded to its step and never to nothing."""
    return max(step, (usd_minor * rate + 500 * step) // (1_000 * step) * step)


def _stock(sku: str, *, is_scarce: bool) -> int:
    """Units by the SKU's hash: different for each, the same on every run."""
    low, high = (
        (SCARCE_UNITS_MIN, SCARCE_UNITS_MAX) if is_scarce else (PLENTY_UNITS_MIN, PLENTY_UNITS_MAX)
    )
    number = int.from_bytes(hashlib.sha256(sku.encode()).digest()[:4], "big")
    return low + number % (high - low + 1)
