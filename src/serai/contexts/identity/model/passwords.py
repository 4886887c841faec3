"""Which passwords will not do: too short, too long, known to everybody, or told by the address.

Length comes first (NIST SP 800-63B): no letters, digits or signs are asked for. A password is read
as whoever guesses it would write it: as few words, walks over the keys, numbers and signs as it can
be made of. One of few such pieces is among those that are tried first, however long it is.
"""

import re
import unicodedata
from collections.abc import Iterable
from itertools import pairwise
from typing import Final

from serai.contexts.identity.contract import PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN, PasswordUnfit
from serai.contexts.identity.model.familiar import FILLERS, WORDS

OWN_REST_MIN: Final = 6
"""Characters that must be left of a password when the address is taken out of it."""
PERIOD_MAX: Final = 6
"""A password that repeats so few characters over and over is no longer than these."""
PIECES_MIN: Final = 4.0
"""What a password must cost whoever puts it together: three words and a little more."""
EDGE_MAX: Final = 3
"""Signs before and after a password that do not make it another one."""
WALK_MIN: Final = 3
"""Keys that make a walk."""
SIGN_COST: Final = 0.5
FILLER_COST: Final = 0.5
OWN_COST: Final = 0.5
"""Of a word of her own address, or of the shop's name."""
OWN_CHARS_MAX: Final = 64
NUMBER_COST: Final = 1.0
DATE_COST: Final = 1.5
DATE_DIGITS_MAX: Final = 8
YEAR_DIGITS_MAX: Final = 4
_REST_MIN: Final = 4
"""Characters that a part of an address must have to be told by it."""

_EDGE: Final = re.compile(r"^[\W_]+|[\W_]+$")
_KNOWN: Final = frozenset(word for word in WORDS if len(word) >= WALK_MIN)
_KNOWN_EITHER_WAY: Final = _KNOWN | {word[::-1] for word in _KNOWN}
_WORD_CHARS_MAX: Final = max(map(len, _KNOWN))
_KEYBOARDS: Final = (
    ("1234567890-=", "qwertyuiop[]", "asdfghjkl;'", "zxcvbnm,./"),
    ("1234567890ß", "qwertzuiopü+", "asdfghjklöä#", "yxcvbnm,.-"),
    ("1234567890", "azertyuiop^$", "qsdfghjklmù*", "wxcvbn,;:!"),
)
_UNSHIFTED: Final = str.maketrans('!@#$%^&*()_+{}:"<>?~', "1234567890-=[];',./`")
_DISGUISES: Final = (
    str.maketrans("01345$@!789", "oleassaitbg"), str.maketrans("01345$@!|", "oieassaii"),
)  # fmt: skip


def _list_steps() -> frozenset[tuple[str, str]]:
    """Pairs of keys that lie beside each other on a keyboard, or follow in the alphabet."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    steps = {*pairwise(letters), *pairwise(letters[::-1]), *pairwise("9876543210")}
    for rows in _KEYBOARDS:
        at = {
            key: (row, column) for row, keys in enumerate(rows) for column, key in enumerate(keys)
        }
        steps |= {
            (one, other)
            for one, (row, column) in at.items()
            for other, (other_row, other_column) in at.items()
            if abs(row - other_row) <= 1 and abs(column - other_column) <= 1
        }
    return frozenset(steps)


_STEPS: Final = _list_steps()


def find_fault(password: str, *, email: str, shop: str) -> PasswordUnfit | None:
    """Why a password will not do for the account of an address at a shop of this name or host."""
    if len(password) < PASSWORD_CHARS_MIN:
        return PasswordUnfit(
            f"a password has at least {PASSWORD_CHARS_MIN} characters; a few words make a good one",
            reason="too_short",
        )
    if len(password) > PASSWORD_CHARS_MAX:
        return PasswordUnfit(
            f"a password has at most {PASSWORD_CHARS_MAX} characters", reason="too_long"
        )
    folded = normalize(password).casefold()[:PASSWORD_CHARS_MAX]
    if _is_common(folded, ()):
        return PasswordUnfit("this is one of the passwords that are tried first", reason="common")
    if _is_told_by(folded, email) or _is_common(folded, _parts_of(email)):
        return PasswordUnfit("this password is made of the address", reason="address")
    if _is_common(folded, _parts_of(email) | _parts_of(shop)):
        return PasswordUnfit("this password is made of the shop's name", reason="shop")
    return None


def normalize(password: str) -> str:
    """A password as it is hashed: the same text, whichever keyboard wrote its accents."""
    return unicodedata.normalize("NFKC", password)


def _is_common(folded: str, own: Iterable[str]) -> bool:
    parts = frozenset(own)
    core = _EDGE.sub("", folded)
    return _is_made_up(folded, parts) or (
        0 < len(folded) - len(core) <= EDGE_MAX and _is_made_up(core, parts)
    )


def _is_made_up(folded: str, own: frozenset[str]) -> bool:
    """Whether it is made of too few pieces."""
    unit = _unit_of(folded)
    if len(unit) <= PERIOD_MAX or _is_counted(folded):
        return True
    unshifted = unit.translate(_UNSHIFTED)
    walks = max(_walks_of(unit), _walks_of(unshifted), key=_walked)
    if _walked(walks) >= len(unit) - 1 or _is_two_walks(unshifted):
        return True
    return _cost_of(unit, walks, own) < PIECES_MIN


def _unit_of(text: str) -> str:
    """What a text repeats, to its end or cut off there; itself where it repeats nothing."""
    for period in range(1, len(text) // 2 + 1):
        if text == (text[:period] * (len(text) // period + 1))[: len(text)]:
            return text[:period]
    return text


def _walks_of(text: str) -> list[int]:
    """The lengths of the walks that a text is made of, one after the other."""
    walks = [1]
    for step in pairwise(text):
        if step in _STEPS or step[0] == step[1]:
            walks[-1] += 1
        else:
            walks.append(1)
    return walks


def _walked(walks: list[int]) -> int:
    """Characters in walks that are worth the name."""
    return sum(length for length in walks if length >= WALK_MIN)


def _is_two_walks(text: str) -> bool:
    """Whether two walks take turns: 1a2s3d4f5g."""
    return all(len(_walks_of(text[start::2])) == 1 for start in (0, 1))


def _cost_of(text: str, walks: list[int], own: frozenset[str]) -> float:
    """How many pieces the text takes at least; a letter that belongs to none is one too."""
    longest = max(_WORD_CHARS_MAX, *map(len, own)) if own else _WORD_CHARS_MAX
    plain = [text, *(text.translate(disguise) for disguise in _DISGUISES)]
    walk_ends = [end for length in walks for end in range(length, 0, -1)]
    costs = [0.0] * (len(text) + 1)
    for at in range(len(text) - 1, -1, -1):
        best = costs[at + 1] + (1.0 if text[at].isalnum() else SIGN_COST)
        # A walk may be left at any key: what follows may be a word that goes on beside it.
        for length in range(WALK_MIN, walk_ends[at] + 1):
            best = min(best, 1.0 + costs[at + length])
        for length in range(WALK_MIN, min(longest, len(text) - at) + 1):
            spelt = {one[at : at + length] for one in plain}
            if not own.isdisjoint(spelt):
                best = min(best, OWN_COST + costs[at + length])
            elif not _KNOWN_EITHER_WAY.isdisjoint(spelt):
                best = min(best, 1.0 + costs[at + length])
        for filler in FILLERS:
            if text.startswith(filler, at):
                best = min(best, FILLER_COST + costs[at + len(filler)])
        digits = 0
        while (
            at + digits < len(text) and digits < DATE_DIGITS_MAX and text[at + digits].isdecimal()
        ):
            digits += 1
            cost = NUMBER_COST if digits <= YEAR_DIGITS_MAX else DATE_COST
            best = min(best, cost + costs[at + digits])
        costs[at] = best
    return costs[0]


def _is_counted(text: str) -> bool:
    """Whether it is digits and signs only, of few kinds: a date, a number, a row of zeros."""
    if any(character.isalpha() for character in text):
        return False
    return len(set(text)) <= 5 or (text.isdecimal() and len(text) <= 12)  # noqa: PLR2004 - see above


def _parts_of(name: str) -> set[str]:
    """The words of an address, or of a name."""
    parts = re.split(r"[\W\d_]+", name.casefold())
    return {part for part in parts if WALK_MIN <= len(part) <= OWN_CHARS_MAX}


def _is_told_by(folded: str, email: str) -> bool:
    name, _, domain = email.casefold().partition("@")
    rest = folded
    for part in (email.casefold(), name, domain, domain.partition(".")[0]):
        if len(part) >= _REST_MIN:
            rest = rest.replace(part, "")
    return rest != folded and len(rest) < OWN_REST_MIN
