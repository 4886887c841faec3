"""Checks what was sent, field by field: everything that is wrong is told at once."""

import re
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import urlsplit

from msgspec import UNSET, UnsetType

from serai.contexts.catalog.contract import (
    BARCODE_CHARS_MAX,
    CATEGORIES_PER_PRODUCT_MAX,
    CATEGORY_CHARS_MAX,
    CONTROL,
    DESCRIPTION_CHARS_MAX,
    FACET_CHARS_MAX,
    FACET_VALUES_PER_PRODUCT_MAX,
    HANDLE_CHARS_MAX,
    MEDIA_PER_PRODUCT_MAX,
    MEDIA_PER_VARIANT_MAX,
    OPTION_NAME_CHARS_MAX,
    OPTION_VALUE_CHARS_MAX,
    OPTIONS_PER_PRODUCT_MAX,
    PRICE_MINOR_MAX,
    PRICES_PER_VARIANT_MAX,
    SKU_CHARS_MAX,
    TITLE_CHARS_MAX,
    URL_CHARS_MAX,
    VARIANTS_PER_PRODUCT_MAX,
    Fault,
    Price,
    ProductInput,
    ProductPatch,
    VariantInput,
    VariantPatch,
)
from serai.contexts.catalog.model.text import make_handle
from serai.kernel.money import is_currency

HANDLE: Final = re.compile(r"[a-z0-9]+(?:[-_]+[a-z0-9]+)*")
_URL_CHARS: Final = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
_STEP: Final = ">"


def is_media_address(url: str) -> bool:
    """Whether it is a whole http or https address with a host, in the characters of RFC 3986."""
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in {"http", "https"}
            and bool(parts.hostname)
            and "@" not in parts.netloc
            and parts.port != 0
            and _URL_CHARS.fullmatch(url) is not None
        )
    except ValueError:
        return False


def tidy_path(path: str) -> str:
    """A category's path with its steps written one way; empty where a step is empty."""
    steps = [step.strip() for step in path.split(_STEP)]
    return f" {_STEP} ".join(steps) if all(steps) else ""


def list_ancestors(path: str) -> list[str]:
    """A path and every path above it, the root first."""
    steps = path.split(f" {_STEP} ")
    return [f" {_STEP} ".join(steps[: depth + 1]) for depth in range(len(steps))]


def find_product_faults(body: ProductInput) -> list[Fault]:
    """All that does not fit in a product, before it is compared with any other."""
    faults = _line("title", body.title, TITLE_CHARS_MAX)
    faults += _handle(body)
    faults += _details(body)
    if not isinstance(body.option_names, UnsetType):
        faults += _option_names(body.option_names)
    if len(body.variants) > VARIANTS_PER_PRODUCT_MAX:
        detail = f"A product has {VARIANTS_PER_PRODUCT_MAX} at most."
        return [*faults, Fault("variants", "too_many_variants", detail)]
    seen: set[str] = set()
    for index, variant in enumerate(body.variants):
        faults += find_variant_faults(variant, at=f"variants[{index}].")
        if variant.sku in seen:
            faults.append(
                Fault(f"variants[{index}].sku", "duplicate_sku", "Give each variant its own.")
            )
        seen.add(variant.sku)
    return faults


def find_patch_faults(patch: ProductPatch) -> list[Fault]:
    """All that does not fit in a change of a product."""
    faults = [] if patch.title is UNSET else _line("title", patch.title, TITLE_CHARS_MAX)
    return faults + _details(patch)


def find_variant_faults(body: VariantInput, *, at: str = "") -> list[Fault]:
    """All that does not fit in a variant by itself."""
    faults = _line(f"{at}sku", body.sku, SKU_CHARS_MAX)
    if body.sku != body.sku.strip():
        faults.append(Fault(f"{at}sku", "padded_sku", "Remove the blanks around it."))
    faults += _variant_details(body, at=at)
    return faults + find_price_faults(body.prices, at=at)


def find_variant_patch_faults(patch: VariantPatch) -> list[Fault]:
    """All that does not fit in a change of a variant."""
    return _variant_details(patch, at="")


def find_price_faults(prices: Sequence[Price], *, at: str = "") -> list[Fault]:
    """All that does not fit in a variant's prices."""
    faults = []
    if len(prices) > PRICES_PER_VARIANT_MAX:
        detail = f"A variant has {PRICES_PER_VARIANT_MAX} at most."
        return [Fault(f"{at}prices", "too_many_prices", detail)]
    seen: set[str] = set()
    for index, price in enumerate(prices):
        field = f"{at}prices[{index}]"
        if not is_currency(price.currency):
            faults.append(
                Fault(f"{field}.currency", "bad_currency", "Write an ISO 4217 code such as USD.")
            )
        if price.currency in seen:
            faults.append(
                Fault(f"{field}.currency", "duplicate_currency", "Give each currency one price.")
            )
        seen.add(price.currency)
        if price.amount_minor < 0:
            faults.append(
                Fault(f"{field}.amount_minor", "negative_price", "A price is zero or more.")
            )
        if price.amount_minor > PRICE_MINOR_MAX:
            detail = f"A price is {PRICE_MINOR_MAX:,} minor units at most."
            faults.append(Fault(f"{field}.amount_minor", "price_too_large", detail))
    return faults


def find_category_faults(path: str) -> list[Fault]:
    """All that does not fit in the path of a category."""
    return _categories([path])


def _handle(body: ProductInput) -> list[Fault]:
    if body.handle is None:
        if make_handle(body.title) or not body.title.strip():
            return []
        detail = "No handle can be made from the title. Write one of a-z, 0-9 and hyphens."
        return [Fault("handle", "missing_handle", detail)]
    if len(body.handle) > HANDLE_CHARS_MAX:
        return [_too_long("handle", body.handle, HANDLE_CHARS_MAX)]
    if HANDLE.fullmatch(body.handle) is None:
        detail = "Use a-z and 0-9, with single words joined by hyphens."
        return [Fault("handle", "bad_handle", detail)]
    return []


def _details(body: ProductInput | ProductPatch) -> list[Fault]:
    """What a product and its change have in common."""
    faults: list[Fault] = []
    if not isinstance(body.description, UnsetType):
        faults += _text("description", body.description, DESCRIPTION_CHARS_MAX)
    if not isinstance(body.categories, UnsetType):
        faults += _categories(body.categories)
    if not isinstance(body.facets, UnsetType):
        faults += _facets(body.facets)
    if not isinstance(body.media, UnsetType):
        faults += _media("media", body.media, MEDIA_PER_PRODUCT_MAX)
    return faults


def _variant_details(body: VariantInput | VariantPatch, *, at: str) -> list[Fault]:
    """What a variant and its change have in common."""
    faults: list[Fault] = []
    if not isinstance(body.options, UnsetType):
        if len(body.options) > OPTIONS_PER_PRODUCT_MAX:
            detail = f"A product has {OPTIONS_PER_PRODUCT_MAX} options at most."
            return [Fault(f"{at}options", "too_many_options", detail)]
        for name, value in body.options.items():
            faults += _line(f"{at}options", name, OPTION_NAME_CHARS_MAX)
            faults += _line(f"{at}options", value, OPTION_VALUE_CHARS_MAX)
    if isinstance(body.barcode, str):
        faults += _line(f"{at}barcode", body.barcode, BARCODE_CHARS_MAX)
    if not isinstance(body.media, UnsetType):
        faults += _media(f"{at}media", body.media, MEDIA_PER_VARIANT_MAX)
    return faults


def _option_names(names: Sequence[str]) -> list[Fault]:
    if len(names) > OPTIONS_PER_PRODUCT_MAX:
        detail = f"A product has {OPTIONS_PER_PRODUCT_MAX} options at most."
        return [Fault("option_names", "too_many_options", detail)]
    faults = [
        fault for name in names for fault in _line("option_names", name, OPTION_NAME_CHARS_MAX)
    ]
    if len(set(names)) != len(names):
        faults.append(
            Fault("option_names", "bad_option_name", "Give each option one name of its own.")
        )
    return faults


def _categories(paths: Sequence[str]) -> list[Fault]:
    if len(paths) > CATEGORIES_PER_PRODUCT_MAX:
        detail = f"{CATEGORIES_PER_PRODUCT_MAX} categories fit."
        return [Fault("categories", "too_many_categories", detail)]
    faults: list[Fault] = []
    for path in paths:
        found = _line("categories", path, CATEGORY_CHARS_MAX)
        if not found and not tidy_path(path):
            found = [Fault("categories", "bad_category", "Write a path such as Camp > Light.")]
        elif not found and len(tidy_path(path)) > CATEGORY_CHARS_MAX:
            found = [_too_long("categories", tidy_path(path), CATEGORY_CHARS_MAX)]
        faults += found
    return faults


def _facets(facets: dict[str, list[str]]) -> list[Fault]:
    if sum(len(values) for values in facets.values()) > FACET_VALUES_PER_PRODUCT_MAX or (
        len(facets) > FACET_VALUES_PER_PRODUCT_MAX
    ):
        detail = f"{FACET_VALUES_PER_PRODUCT_MAX} facet values fit."
        return [Fault("facets", "too_many_facets", detail)]
    return [
        fault
        for name, values in facets.items()
        for text in (name, *values)
        for fault in _line("facets", text, FACET_CHARS_MAX)
    ]


def _media(field: str, urls: Sequence[str], count_max: int) -> list[Fault]:
    if len(urls) > count_max:
        return [Fault(field, "too_many_media", f"Give {count_max} addresses at most.")]
    faults = []
    for index, url in enumerate(urls):
        if len(url) > URL_CHARS_MAX:
            faults.append(_too_long(f"{field}[{index}]", url, URL_CHARS_MAX))
        elif not is_media_address(url):
            detail = "Give a whole http:// or https:// address, other characters percent-encoded."
            faults.append(Fault(f"{field}[{index}]", "bad_url", detail))
    return faults


def _line(field: str, text: str, chars_max: int) -> list[Fault]:
    """One line of text that says something."""
    if not text.strip():
        return [Fault(field, "empty_field", "Write something in it.")]
    if len(text) > chars_max:
        return [_too_long(field, text, chars_max)]
    if CONTROL.search(text):
        detail = "Remove the line break or control character inside it."
        return [Fault(field, "control_character", detail)]
    return []


def _text(field: str, text: str, chars_max: int) -> list[Fault]:
    """Text of any lines; PostgreSQL holds every character but NUL."""
    if len(text) > chars_max:
        return [_too_long(field, text, chars_max)]
    if "\0" in text:
        return [Fault(field, "nul_byte", "Remove the zero byte, which text cannot hold.")]
    return []


def _too_long(field: str, text: str, chars_max: int) -> Fault:
    return Fault(field, "field_too_long", f"It has {len(text):,} characters; {chars_max:,} fit.")


def tidy_categories(paths: Iterable[str]) -> tuple[str, ...]:
    """Paths written one way, each once, in their order."""
    return tuple(dict.fromkeys(tidy_path(path) for path in paths))
