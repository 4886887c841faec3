"""What a search looks for: words and how near they may be, facets, prices and an order."""

from collections.abc import Sequence
from typing import Final, Literal, get_args

import msgspec

from serai.contexts.catalog.contract import (
    CATEGORY_CHARS_MAX,
    CONTROL,
    FACET_CHARS_MAX,
    ProductStatus,
)
from serai.contexts.catalog.model import text
from serai.contexts.catalog.model.fields import tidy_path
from serai.contexts.catalog.model.products import Product
from serai.kernel.failure import Invalid
from serai.kernel.money import AMOUNT_MINOR_MAX, is_currency

QUERY_CHARS_MAX: Final = 200
TERMS_MAX: Final = 8
FACET_FILTERS_MAX: Final = 20
WORDS_PER_PRODUCT_MAX: Final = 400
NUMBER_BOUND: Final = 10**17
"""Beyond every number that a list is sorted by: prices in minor units, points of a search."""

EXACT_FACTOR: Final = 12
BEGUN_FACTOR: Final = 7
NEAR_FACTORS: Final = {1: 4, 2: 2}
"""What a word counts for when it was met by its beginning, or with so many slips."""

_TITLE_WEIGHT, _CODE_WEIGHT, _VALUE_WEIGHT, _CATEGORY_WEIGHT, _DESCRIPTION_WEIGHT = 8, 6, 4, 3, 1

Sort = Literal["relevance", "newest", "title", "price", "-price"]
Source = Literal["words", "category", "facet", "price", "all"]


class Term(msgspec.Struct, frozen=True, kw_only=True):
    """What the index knows of one word that was searched for.

    `begun` are the stems of words that begin with it; `near` are words that look like it, each
    with its stem.
    """

    word: str
    stem: str
    is_stop: bool = False
    is_known: bool = False
    begun: tuple[str, ...] = ()
    near: tuple[tuple[str, str], ...] = ()


class Hunt(msgspec.Struct, frozen=True):
    """A stem to find for the n-th term, and what it counts for."""

    term: int
    stem: str
    factor: int


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of products is asked for. A facet's values are alternatives; facets add up."""

    statuses: tuple[ProductStatus, ...]
    words: tuple[str, ...] | None
    category: str | None
    facets: dict[str, tuple[str, ...]]
    currency: str | None
    price_min_minor: int | None
    price_max_minor: int | None
    sort: Sort
    is_counted: bool

    @property
    def is_filtered(self) -> bool:
        """Whether it asks for less than everything in its states."""
        return not self.is_plain or self.category is not None

    @property
    def is_plain(self) -> bool:
        """Whether nothing but its states and perhaps a category tell what it asks for."""
        return self.words is None and not self.facets and not self.is_priced and not self.is_counted

    @property
    def is_priced(self) -> bool:
        """Whether only prices within bounds will do."""
        return self.price_min_minor is not None or self.price_max_minor is not None

    @property
    def source(self) -> Source:
        """The narrowest of the filters: the others are asked of what it gives.

        A facet that is filtered by is counted without itself, so then it cannot be the source.
        """
        if self.words is not None:
            return "words"
        if self.category is not None:
            return "category"
        if self.facets and not self.is_counted:
            return "facet"
        return "price" if self.is_priced or self.sort in {"price", "-price"} else "all"


def make_wish(
    *,
    statuses: tuple[ProductStatus, ...],
    q: str | None,
    category: str | None,
    facets: Sequence[str],
    currency: str | None,
    price_min_minor: int | None,
    price_max_minor: int | None,
    sort: str | None,
    is_counted: bool,
) -> Wish:
    """The wish that a request's words say; refuses what says nothing."""
    query = q.strip() if q is not None else ""
    if len(query) > QUERY_CHARS_MAX:
        raise Invalid(f"`q` has {len(query)} characters; {QUERY_CHARS_MAX} fit")
    words = tuple(dict.fromkeys(text.split_words(query)))[:TERMS_MAX] if query else None
    path = tidy_path(category) if category is not None else None
    if path is not None and (not path or len(path) > CATEGORY_CHARS_MAX or CONTROL.search(path)):
        raise Invalid("`category` is a path such as Camp > Light")
    wish = Wish(
        statuses=statuses,
        words=words,
        category=path,
        facets=_facets(facets),
        currency=currency,
        price_min_minor=price_min_minor,
        price_max_minor=price_max_minor,
        sort=_sort(sort, is_searched=words is not None),
        is_counted=is_counted,
    )
    _check_prices(wish)
    return wish


def plan_hunt(terms: Sequence[Term]) -> list[Hunt] | None:
    """The words to find, None where a term has no word that could meet it.

    A term that the index does not know, and no word begins with, may be a slip of the pen. Words
    such as `the` are looked for only where there is nothing else.
    """
    meant = [term for term in terms if not term.is_stop] or list(terms)
    hunts: list[Hunt] = []
    for number, term in enumerate(meant):
        found = dict.fromkeys(term.begun, BEGUN_FACTOR)
        if term.is_known:
            found[term.stem] = EXACT_FACTOR
        found = found or _forgive(term)
        if not found:
            return None
        hunts.extend(Hunt(number, stem, factor) for stem, factor in sorted(found.items()))
    return hunts or None


def _forgive(term: Term) -> dict[str, int]:
    """The stems of the words that the fewest slips lead to, if those are few enough."""
    slips = {near: text.count_slips(term.word, near) for near, _ in term.near}
    fewest = min(slips.values(), default=0)
    if not 0 < fewest <= text.slips_allowed(term.word):
        return {}
    return {stem: NEAR_FACTORS[fewest] for near, stem in term.near if slips[near] == fewest}


def weigh_words(product: Product) -> dict[str, int]:
    """The words by which a product is found, each with the weight of its weightiest place."""
    codes = [code for v in product.variants for code in (v.sku, v.barcode) if code]
    values = [value for found in product.facets.values() for value in found]
    values += [value for variant in product.variants for value in variant.options.values()]
    places = (
        (_TITLE_WEIGHT, [product.title]),
        (_CODE_WEIGHT, codes),
        (_VALUE_WEIGHT, values),
        (_CATEGORY_WEIGHT, product.categories),
        (_DESCRIPTION_WEIGHT, [product.description]),
    )
    weights: dict[str, int] = {}
    for weight, texts in places:
        for part in dict.fromkeys(texts):
            for word in text.split_words(part):
                if len(weights) >= WORDS_PER_PRODUCT_MAX:
                    return weights
                weights.setdefault(word, weight)
    return weights


def _facets(filters: Sequence[str]) -> dict[str, tuple[str, ...]]:
    if len(filters) > FACET_FILTERS_MAX:
        raise Invalid(f"{FACET_FILTERS_MAX} `facet` filters fit")
    found: dict[str, list[str]] = {}
    for each in filters:
        name, colon, value = each.partition(":")
        if not (colon and name and value) or len(each) > 2 * FACET_CHARS_MAX + 1 or "\0" in each:
            raise Invalid("`facet` is a name and a value such as material:wool")
        found.setdefault(name, []).append(value)
    return {name: tuple(dict.fromkeys(values)) for name, values in found.items()}


def _sort(sort: str | None, *, is_searched: bool) -> Sort:
    if sort is None:
        return "relevance" if is_searched else "newest"
    for known in get_args(Sort):
        if sort == known and (is_searched or sort != "relevance"):
            order: Sort = known
            return order
    raise Invalid("`sort` is newest, title, price or -price, and with `q` relevance too")


def _check_prices(wish: Wish) -> None:
    if wish.currency is not None and not is_currency(wish.currency):
        raise Invalid("`currency` is an ISO 4217 code such as USD")
    if wish.currency is None and (wish.is_priced or wish.sort in {"price", "-price"}):
        raise Invalid("prices are compared in one `currency`: name it")
    for bound in (wish.price_min_minor, wish.price_max_minor):
        if bound is not None and not 0 <= bound <= AMOUNT_MINOR_MAX:
            raise Invalid(f"a price bound is within 0 and {AMOUNT_MINOR_MAX} minor units")
