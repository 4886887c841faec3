"""What a search means: words folded, slips forgiven, filters understood or refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serai.contexts.catalog.contract import Price, ProductInput, VariantInput
from serai.contexts.catalog.model import search, text
from serai.contexts.catalog.model.products import Product, make_product
from serai.contexts.catalog.model.search import Hunt, Term, Wish
from serai.contexts.catalog.routes.bodies import new_ids
from serai.kernel.failure import Invalid
from tests.unit.catalog_memory import NOW, TENANT

WORDS = st.text(st.sampled_from("abcd"), max_size=8)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("Crème BRÛLÉE", ["creme", "brulee"]),
        ("Merchant's pavilion", ["merchants", "pavilion"]),
        ("Merchant\u2019s", ["merchants"]),
        ("T-LIGHT / red_blue", ["t", "light", "red", "blue"]),
        ("85123A", ["85123a"]),
        ("ﬁne Straße", ["fine", "strasse"]),
        ("<p class='x'>Warm</p><br>wool", ["warm", "wool"]),
        ("2 < 3 > 1", ["2", "1"]),
        ("ﷺ 帳篷", text.split_words("ﷺ 帳篷")),
        ("!?", []),
        ("x" * 50, ["x" * 40]),
    ],
)
def test_words_are_folded(written: str, words: list[str]) -> None:
    assert text.split_words(written) == words


@given(st.text())
def test_any_text_becomes_words_that_an_index_can_hold(written: str) -> None:
    for word in text.split_words(written):
        assert 0 < len(word) <= text.WORD_CHARS_MAX
        assert word.isalnum()
        assert text.split_words(word)[0] == word[: text.WORD_CHARS_MAX]


@given(st.text())
def test_any_title_has_a_key_that_fits_into_a_cursor(title: str) -> None:
    key = text.make_title_key(title)
    assert len(key) <= text.TITLE_KEY_CHARS_MAX
    assert "\0" not in key


@pytest.mark.parametrize(
    ("one", "other", "slips"),
    [
        ("lantern", "lantern", 0),
        ("latern", "lantern", 1),
        ("lantern", "lanttern", 1),
        ("lantren", "lantern", 1),
        ("lantarn", "lantern", 1),
        ("wolo", "wool", 1),
        ("ca", "abc", 3),
        ("", "abc", 3),
    ],
)
def test_slips_are_counted(one: str, other: str, slips: int) -> None:
    assert text.count_slips(one, other) == slips
    assert text.count_slips(other, one) == slips


@given(WORDS, WORDS)
def test_slips_are_a_distance(one: str, other: str) -> None:
    slips = text.count_slips(one, other)
    assert slips == text.count_slips(other, one)
    assert (slips == 0) == (one == other)
    assert abs(len(one) - len(other)) <= slips <= max(len(one), len(other))


@given(WORDS, WORDS, st.sampled_from("abcd"))
def test_one_letter_more_is_one_slip(before: str, after: str, letter: str) -> None:
    assert text.count_slips(before + after, before + letter + after) == 1


def test_a_word_is_hunted_by_its_stem_and_by_what_begins_with_it() -> None:
    terms = [
        Term(word="candles", stem="candl", is_known=True),
        Term(word="lan", stem="lan", begun=("lantern", "lanyard")),
    ]
    assert search.plan_hunt(terms) == [
        Hunt(0, "candl", search.EXACT_FACTOR),
        Hunt(1, "lantern", search.BEGUN_FACTOR),
        Hunt(1, "lanyard", search.BEGUN_FACTOR),
    ]


def test_only_the_words_that_the_fewest_slips_lead_to_are_hunted() -> None:
    near = (("lanterns", "lantern"), ("lantern", "lantern"), ("pattern", "pattern"))
    [hunt] = search.plan_hunt([Term(word="lantren", stem="lantren", near=near)]) or []
    assert hunt == Hunt(0, "lantern", search.NEAR_FACTORS[1])


@pytest.mark.parametrize(
    ("word", "near", "found"),
    [
        ("wolo", "wool", True),
        ("wolo", "wall", False),
        ("botttel", "bottle", True),
        ("bottle", "turtle", False),
        ("xyzzy", "lantern", False),
    ],
)
def test_short_words_forgive_one_slip_and_longer_ones_two(
    word: str, near: str, *, found: bool
) -> None:
    plan = search.plan_hunt([Term(word=word, stem=word, near=((near, near),))])
    assert (plan is not None) == found


def test_a_word_that_nothing_meets_ends_the_search() -> None:
    assert (
        search.plan_hunt([Term(word="a", stem="a", is_known=True), Term(word="b", stem="b")])
        is None
    )
    assert search.plan_hunt([]) is None


def test_stop_words_count_only_where_there_is_nothing_else() -> None:
    the = Term(word="the", stem="the", is_stop=True, is_known=True)
    tent = Term(word="tent", stem="tent", is_known=True)
    assert search.plan_hunt([the, tent]) == [Hunt(0, "tent", search.EXACT_FACTOR)]
    assert search.plan_hunt([the]) == [Hunt(0, "the", search.EXACT_FACTOR)]


def made(body: ProductInput) -> Product:
    return make_product(body, new_ids(body), TENANT, NOW)


def test_a_word_weighs_what_its_weightiest_place_does() -> None:
    body = ProductInput(
        title="Dune tent",
        description="A tent for the desert.",
        categories=["Camp > Tents"],
        facets={"colour": ["sand"]},
        variants=[
            VariantInput(
                sku="TENT-S", options={"Size": "Small"}, prices=[Price("USD", 1)], barcode="4006381"
            )
        ],
    )
    assert search.weigh_words(made(body)) == {
        "dune": 8, "tent": 8, "s": 6, "4006381": 6, "sand": 4, "small": 4, "camp": 3, "tents": 3,
        "a": 1, "for": 1, "the": 1, "desert": 1,
    }  # fmt: skip


def test_a_long_description_does_not_fill_the_index() -> None:
    body = ProductInput(title="Tent", description=" ".join(f"w{n}" for n in range(1000)))
    weights = search.weigh_words(made(body))
    assert len(weights) == search.WORDS_PER_PRODUCT_MAX
    assert weights["tent"] == 8


NOTHING: dict[str, Any] = {
    "statuses": ("published",), "q": None, "category": None, "facets": [], "currency": None,
    "price_min_minor": None, "price_max_minor": None, "sort": None, "is_counted": False,
}  # fmt: skip


def wish(**said: Any) -> Wish:
    return search.make_wish(**{**NOTHING, **said})


@pytest.mark.parametrize(
    ("said", "sort", "source"),
    [
        ({}, "newest", "all"),
        ({"q": "  "}, "newest", "all"),
        ({"q": "tent"}, "relevance", "words"),
        ({"q": "tent", "category": "Camp", "facets": ["a:b"]}, "relevance", "words"),
        ({"category": "Camp", "facets": ["a:b"]}, "newest", "category"),
        ({"facets": ["a:b"], "sort": "title"}, "title", "facet"),
        ({"facets": ["a:b"], "is_counted": True}, "newest", "all"),
        ({"currency": "USD"}, "newest", "all"),
        ({"currency": "USD", "price_max_minor": 5}, "newest", "price"),
        ({"currency": "USD", "sort": "-price"}, "-price", "price"),
    ],
)
def test_a_wish_is_sorted_and_begun_where_it_is_narrowest(
    said: dict[str, Any], sort: str, source: str
) -> None:
    assert (wish(**said).sort, wish(**said).source) == (sort, source)


def test_values_of_one_facet_are_alternatives() -> None:
    said = ["material:wool", "colour:sand", "material:felt", "material:wool", "time:12:30"]
    assert wish(facets=said).facets == {
        "material": ("wool", "felt"), "colour": ("sand",), "time": ("12:30",),
    }  # fmt: skip


def test_a_query_has_so_many_words_and_no_more() -> None:
    assert wish(q="a b c a").words == ("a", "b", "c")
    assert wish(q=" ".join("abcdefghijkl")).words == tuple("abcdefgh")
    assert wish(q="!!").words == ()


@pytest.mark.parametrize(
    "said",
    [
        {"q": "x" * 201},
        {"category": "Camp > "},
        {"category": "a\0"},
        {"category": "x" * 256},
        {"facets": ["wool"]},
        {"facets": [":wool"]},
        {"facets": ["material:"]},
        {"facets": ["a:b\0"]},
        {"facets": ["a:b"] * 21},
        {"sort": "cheapest"},
        {"sort": "relevance"},
        {"sort": "price"},
        {"price_min_minor": 1},
        {"currency": "usd"},
        {"currency": "XXX"},
        {"currency": "USD", "price_min_minor": -1},
        {"currency": "USD", "price_max_minor": 10**16},
    ],
)
def test_a_wish_that_says_nothing_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        wish(**said)
