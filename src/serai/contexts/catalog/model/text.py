"""Words: how a text is folded for searching and sorting, and how far apart two words are."""

import re
import unicodedata
from typing import Final

from serai.contexts.catalog.contract import HANDLE_CHARS_MAX

WORD_CHARS_MAX: Final = 40
TITLE_KEY_CHARS_MAX: Final = 64
"""What of a title decides its place in a list; short enough to travel in a cursor."""
SHORT_WORD_CHARS: Final = 4

_WORD: Final = re.compile(r"[^\W_]+")
_MARKUP: Final = re.compile(r"<[^<>]{0,1000}>")
_APOSTROPHES: Final = str.maketrans("", "", "'\u2018\u2019\u02bc")


def fold(text: str) -> str:
    """Without case, accents and ligatures, so that `Crème` and `CREME` are one."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    return "".join(char for char in plain if not unicodedata.combining(char))


def split_words(text: str) -> list[str]:
    """The folded words of a text in their order; markup is no word, and `it's` is one."""
    bare = _MARKUP.sub(" ", text).translate(_APOSTROPHES)
    return [word[:WORD_CHARS_MAX] for word in _WORD.findall(fold(bare))]


def make_title_key(title: str) -> str:
    """What a title is sorted by: its folded words, for as far as it matters."""
    return " ".join(split_words(title))[:TITLE_KEY_CHARS_MAX]


def make_handle(title: str) -> str:
    """A handle from a title, by ASCII letters and digits alone; empty when it has none."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode("ascii").lower()
    return re.sub(r"[^a-z0-9]+", "-", plain.replace("'", ""))[:HANDLE_CHARS_MAX].strip("-")


def count_slips(one: str, other: str) -> int:
    """How many letters were left out, put in, mistaken or swapped with their neighbour.

    The optimal string alignment distance: Damerau's four slips, no piece edited twice.
    """
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, start=1):
        before, last, row = row, before, [i]
        for j, wanted in enumerate(other, start=1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != wanted))
            is_swapped = i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted
            row.append(min(cost, last[j - 2] + 1) if is_swapped else cost)
    return row[-1]


def slips_allowed(word: str) -> int:
    """One slip in a short word, two in a longer one."""
    return 1 if len(word) <= SHORT_WORD_CHARS else 2
