"""Where the token of a mail about an account may stand: who reads it can take the account over.

It stands alone, to be copied, or in a link to a page of the tenant's own. Mail clients read HTML as
they please, so that the HTML of such a mail is made of few tags, written in one way only, which no
two of them read differently: nothing is left open that could swallow a token, and no style looks at
one.
"""

import re
from typing import Final

from serai.contexts.notifications.contract import Kind, TokenMisplaced
from serai.contexts.notifications.model.templates import PLACEHOLDERS, Words, render

_HERE: Final = "\ue000"
"""Stands for the token: a character that means nothing in any alphabet."""
_TAG: Final = re.compile(
    r'<(/?)([a-z][a-z0-9]*)((?:\s+[a-z-]+="[^"<>]*")*)\s*/?>', re.IGNORECASE | re.ASCII
)
_ATTRIBUTE: Final = re.compile(r'([a-z-]+)="([^"<>]*)"', re.IGNORECASE | re.ASCII)
_LINK: Final = re.compile(r"(https?://[a-z0-9.-]+(?::[0-9]{1,5})?)[/?#][^\s\\]*", re.ASCII)
_RUN: Final = re.compile(rf"[^ \t\r\n]*{_HERE}[^ \t\r\n]*")
_AROUND: Final = ".,;:!?()[]<>\"'*_"
"""What may stand beside a token or a link that is in a sentence."""
TAGS: Final = frozenset(
    {
        "a", "b", "blockquote", "br", "center", "code", "div", "em", "font", "h1", "h2", "h3", "h4",
        "h5", "h6", "hr", "i", "img", "li", "ol", "p", "pre", "small", "span", "strong", "table",
        "tbody", "td", "tfoot", "th", "thead", "tr", "u", "ul",
    }
)  # fmt: skip


def find_origins(kind: Kind, words: Words) -> set[str]:
    """The origins that words send a token to; TokenMisplaced where it stands elsewhere."""
    values = {name: _HERE if name == "token" else "x" for name in PLACEHOLDERS[kind]}
    shown = render(words, values)
    if _HERE in shown.subject:
        raise TokenMisplaced("`subject` must not hold `$token`: it is read by who does not open it")
    found = _origins_of_text(shown.text, part="text")
    if _HERE in shown.html:
        found |= _origins_of_html(shown.html)
    return found


def _origins_of_text(text: str, *, part: str) -> set[str]:
    found: set[str] = set()
    for run in _RUN.findall(text):
        bare = run.strip(_AROUND)
        if bare == _HERE:
            continue
        found.add(_origin_of(bare, part=part))
    return found


def _origins_of_html(html: str) -> set[str]:
    found: set[str] = set()
    for _, name, attributes in _TAG.findall(html):
        if name.lower() not in TAGS:
            raise TokenMisplaced(
                f"`html` with `$token` must not hold the tag {name}", part="html",
                tags=sorted(TAGS),
            )  # fmt: skip
        for attribute, value in _ATTRIBUTE.findall(attributes):
            if _HERE not in value:
                continue
            if (name.lower(), attribute.lower()) != ("a", "href"):
                raise TokenMisplaced(
                    f"`html` must not hold `$token` in {attribute} of the tag {name}", part="html"
                )
            found.add(_origin_of(value, part="html"))
    text = _TAG.sub(" ", html)
    if "<" in text or ">" in text:
        raise TokenMisplaced(
            '`html` with `$token` must hold tags like <a href="..."> only, and no other < or >',
            part="html",
        )
    return found | _origins_of_text(text, part="html")


def _origin_of(text: str, *, part: str) -> str:
    link = _LINK.fullmatch(text)
    if link is None:
        raise TokenMisplaced(
            f"`$token` in `{part}` must stand alone between spaces, or in a link that begins with "
            "an origin of yours, as https://shop.example/reset?token=$token does",
            part=part,
        )
    return link[1]
