"""Which passwords will not do: too short, too long, known to everybody, or told by the address.

Length comes first (NIST SP 800-63B): no letters, digits or signs are asked for. The list of what
everybody tries is made here, of the words that such passwords are made of and of the ways in which
people lengthen them.
"""

import re
import unicodedata
from itertools import chain
from typing import Final

from serai.contexts.identity.contract import PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN, PasswordUnfit

OWN_REST_MIN: Final = 6
"""Characters that must be left of a password when the address is taken out of it."""
PERIOD_MAX: Final = 4
"""A password that repeats so few characters over and over is no longer than these."""
_REST_MIN: Final = 4
"""Characters beside a known word that make it another password, if they are no usual ending."""

_WORDS: Final = tuple(
    """
    password passwort passwd pass parola contrasena motdepasse wachtwoord senha haslo salasana
    admin administrator root user guest login welcome willkommen bienvenue hello hallo letmein
    changeme secret geheim default master system server computer internet network office company
    test testing tester temp temporary demo example sample shop store market customer
    qwerty qwertz azerty qwertyuiop qwertzuiop azertyuiop asdfghjkl asdfgh zxcvbnm yxcvbnm
    qazwsx qazwsxedc onetwothree abcdef abcdefgh abcdefghij abcabc
    iloveyou ichliebedich jetaime tequiero loveyou lovely love darling sweetheart honey baby angel
    princess prince queen king sunshine rainbow flower butterfly dragon monkey tiger lion panda
    eagle dolphin wolf bear puppy kitty kitten chocolate cookie banana orange cherry strawberry
    peanut pepper ginger summer winter spring autumn sommer fruehling herbst january february march
    april june july august september october november december monday tuesday wednesday thursday
    friday saturday sunday football fussball baseball basketball soccer hockey tennis golf liverpool
    arsenal chelsea barcelona realmadrid juventus bayern batman superman spiderman starwars pokemon
    minecraft matrix naruto gandalf mickey michael michelle jennifer jessica ashley andrew daniel
    thomas charlie george jordan anthony robert william nicole samantha amanda joshua matthew
    diamond silver golden purple yellow black white green orange freedom liberty america england
    london paris berlin newyork california texas canada mexico germany deutschland france espana
    trustno whatever nothing forever family friends friend mother father brother sister computer
    samsung iphone google facebook amazon apple windows linux android microsoft
    hunter ranger soldier warrior killer shadow phantom ninja mustang ferrari porsche mercedes
    harley corvette yankees cowboys lakers steelers jesus christ blessed heaven church
    """.split()  # noqa: SIM905 - a list of words is read as text
)
_ENDINGS: Final = (
    "", "1", "12", "123", "1234", "12345", "123456", "1234567", "12345678", "123456789",
    "1234567890", "0", "00", "000", "007", "01", "11", "111", "1111", "22", "69", "77", "88", "99",
    "321", "4321", "54321", "666", "777", "999", "abc", "qwe", "!", "!!", "!!!", "?", ".", "*", "#",
)  # fmt: skip
_ROWS: Final = (
    "1234567890", "qwertyuiop", "qwertzuiop", "azertyuiop", "asdfghjkl", "zxcvbnm", "yxcvbnm",
    "abcdefghijklmnopqrstuvwxyz", "qazwsxedcrfvtgbyhnujmikolp", "1qaz2wsx3edc4rfv5tgb6yhn7ujm",
    "1q2w3e4r5t6y7u8i9o0p", "q1w2e3r4t5y6u7i8o9p0", "a1b2c3d4e5f6g7h8i9j0",
)  # fmt: skip
_DISGUISES: Final = str.maketrans("01345$@!7", "oleassait")
_EDGE: Final = re.compile(r"^[\W\d_]+|[\W\d_]+$")


def _list_common() -> frozenset[str]:
    """The known words and their doubles, with every usual ending, where that is long enough."""
    stems = {*_WORDS, *(word + word for word in _WORDS), *(f"my{word}" for word in _WORDS)}
    made = (stem + ending for stem in stems for ending in _ENDINGS)
    years = (stem + str(year) for stem in _WORDS for year in range(1980, 2031))
    return frozenset(text for text in chain(made, years) if len(text) >= PASSWORD_CHARS_MIN)


COMMON: Final = _list_common()
"""Some thousand passwords that everybody tries first, in small letters."""
_KNOWN: Final = frozenset(_WORDS)


def find_fault(password: str, *, email: str) -> PasswordUnfit | None:
    """Why a password will not do for the account of an address."""
    if len(password) < PASSWORD_CHARS_MIN:
        return PasswordUnfit(
            f"a password has at least {PASSWORD_CHARS_MIN} characters; a few words make a good one",
            reason="too_short",
        )
    if len(password) > PASSWORD_CHARS_MAX:
        return PasswordUnfit(
            f"a password has at most {PASSWORD_CHARS_MAX} characters", reason="too_long"
        )
    folded = normalize(password).casefold()
    if _is_common(folded):
        return PasswordUnfit("this is one of the passwords that are tried first", reason="common")
    if _is_told_by(folded, email):
        return PasswordUnfit("this password is made of the address", reason="address")
    return None


def normalize(password: str) -> str:
    """A password as it is hashed: the same text, whichever keyboard wrote its accents."""
    return unicodedata.normalize("NFKC", password)


def _is_common(folded: str) -> bool:
    if any(_is_repeated(folded, period) for period in range(1, PERIOD_MAX + 1)):
        return True
    plain = folded.translate(_DISGUISES)
    for text in (folded, folded[::-1], plain):
        if text in COMMON or _is_walk(text):
            return True
        stem = _EDGE.sub("", text)
        if stem in _KNOWN or (not stem and _is_counted(text)):
            return True
    # A known word with a usual ending, in disguise: the ending is not to be read as letters.
    stem = _EDGE.sub("", folded).translate(_DISGUISES)
    return stem in _KNOWN or any(
        stem.startswith(word) and len(stem) - len(word) < _REST_MIN for word in _LONG_WORDS
    )


_LONG_WORDS: Final = tuple(word for word in _WORDS if len(word) >= 8)  # noqa: PLR2004 - a long word


def _is_repeated(text: str, period: int) -> bool:
    return text == (text[:period] * (len(text) // period + 1))[: len(text)]


def _is_walk(text: str) -> bool:
    """Whether it goes along a row of keys or the alphabet, either way, round and round."""
    return any(text in row * 3 or text[::-1] in row * 3 for row in _ROWS)


def _is_counted(text: str) -> bool:
    """Whether it is digits and signs only, of few kinds: a date, a number, a row of zeros."""
    return len(set(text)) <= 5 or (text.isdecimal() and len(text) <= 12)  # noqa: PLR2004 - see above


def _is_told_by(folded: str, email: str) -> bool:
    name, _, domain = email.casefold().partition("@")
    rest = folded
    for part in (email.casefold(), name, domain, domain.partition(".")[0]):
        if len(part) >= _REST_MIN:
            rest = rest.replace(part, "")
    return rest != folded and len(rest) < OWN_REST_MIN
