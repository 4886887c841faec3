"""What a shop that signs up may begin with: a few goods of ours, to look at and throw away."""

from typing import Final

from serai.contexts.catalog.contract import Price, ProductInput, VariantInput
from serai.contexts.inventory.contract import Want

PREFIX: Final = "SAMPLE-"
UNITS: Final = 25
"""Units of each SKU on the shelf."""


def _product(code: str, title: str, category: str, usd_minor: int, text: str) -> ProductInput:
    prices = [Price("USD", usd_minor), Price("EUR", usd_minor * 92 // 100)]
    return ProductInput(
        title=title, description=text, status="published", categories=[category],
        facets={"sample": ["yes"]}, variants=[VariantInput(sku=f"{PREFIX}{code}", prices=prices)],
    )  # fmt: skip


PRODUCTS: Final = (
    _product("KETTLE", "Sample: travelling kettle", "Kitchen", 4_900,
             "Tin-lined copper with a folding handle. It sings before it boils."),
    _product("LANTERN", "Sample: brass lantern", "Camp", 6_500,
             "Four panes and a ring to hang it by. Burns a night on a cup of oil."),
    _product("BLANKET", "Sample: saddle blanket", "Road", 8_200,
             "Felted wool in two colours, folded double under a saddle or a guest."),
    _product("FLASK", "Sample: water flask", "Road", 2_800,
             "Leather outside, glass inside, and a stopper on a cord."),
    _product("TEA", "Sample: pressed tea", "Kitchen", 1_450,
             "A brick for forty pots. Break off a corner, and keep the rest dry."),
)  # fmt: skip
STOCK: Final = tuple(
    Want(variant.sku, UNITS) for product in PRODUCTS for variant in product.variants
)
