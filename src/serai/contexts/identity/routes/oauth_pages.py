"""The provider's pages as HTML: to sign in, to allow an app, to let a device in. No script at all.

All that is put into one is escaped here. A page may show its own style, post to its own origin and
to nowhere but the app that waits for the answer, and stands in no frame.
"""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Final
from urllib.parse import urlsplit

from litestar import MediaType, Response
from litestar.datastructures import Cookie

_TEMPLATE: Final = Template(
    files("serai.contexts.identity").joinpath("templates", "provider.html").read_text("utf-8")
)
_STYLE: Final = re.search(r"<style>(.*?)</style>", _TEMPLATE.template, re.DOTALL)
assert _STYLE is not None, "the page has its style"
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE[1].encode()).digest()).decode()

MEANINGS: Final[Mapping[str, str]] = {
    "openid": "know you again by a number of yours",
    "profile": "know your name",
    "email": "know your e-mail address",
    "offline_access": "do so while you are away, until you take it back",
    "catalog:read": "see the shop's goods and prices as you do",
    "orders:own": "see, place, pay and cancel orders of yours",
}
"""What a scope means to whoever is asked; another one is named by its word."""


def answer(
    title: str, body: str, *, status: int = 200, target: str | None = None,
    cookie: Cookie | None = None, headers: Mapping[str, str] | None = None,
) -> Response[str]:  # fmt: skip
    """A page; after its form a browser may be sent on to the `target`."""
    policy = (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action {_targets(target)}; "
        "base-uri 'none'; frame-ancestors 'none'"
    )
    return Response(
        _TEMPLATE.substitute(title=escape(title), body=body),
        status_code=status,
        media_type=MediaType.HTML,
        cookies=[] if cookie is None else [cookie],
        headers={
            "Content-Security-Policy": policy,
            "X-Frame-Options": "DENY",
            "Cross-Origin-Opener-Policy": "same-origin",
            **(headers or {}),
        },
    )


def _targets(target: str | None) -> str:
    """Where a form may lead: browsers hold each redirect after it to this too."""
    if target is None:
        return "'self'"
    parts = urlsplit(target)
    if parts.scheme in {"https", "http"}:
        return f"'self' {parts.scheme}://{parts.netloc}"
    return f"'self' {parts.scheme}:"


def sign_in(
    *, action: str, hidden: Mapping[str, str], asks: str | None, email: str = "", error: str = ""
) -> str:
    """The form for who is not signed in; `asks` is the app that waits for her."""
    why = "" if asks is None else f"<p>to go on to <strong>{escape(asks)}</strong></p>"
    return f"""<h1>Sign in</h1>
{why}{_error(error)}
<form method="post" action="{escape(action)}">{_hidden(hidden)}
<label for="email">E-mail address</label>
<input id="email" name="email" type="email" autocomplete="username" required maxlength="254"
 value="{escape(email)}">
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required
 maxlength="1024">
<label for="code">Code of your authenticator <span class="hint">(only if you have set one up)</span>
</label>
<input id="code" name="code" autocomplete="one-time-code" inputmode="text" maxlength="32">
<button type="submit">Sign in</button>
</form>"""


def consent(
    *, action: str, hidden: Mapping[str, str], sign_out: str, app: str, email: str,
    scopes: Sequence[str], warning: str = "",
) -> str:  # fmt: skip
    """What an app asks for, to be allowed or not."""
    items = "".join(f"<li>{escape(meaning_of(scope))}</li>" for scope in scopes)
    warned = f"<p><strong>{escape(warning)}</strong></p>" if warning else ""
    return f"""<h1>Allow {escape(app)}?</h1>
<p>You are signed in as <strong>{escape(email)}</strong>. {escape(app)} wants to:</p>
<ul>{items}</ul>
{warned}<form method="post" action="{escape(action)}">{_hidden(hidden)}
<button type="submit" name="decision" value="allow">Allow</button>
<button type="submit" name="decision" value="deny" class="second">Do not allow</button>
</form>
<form method="post" action="{escape(sign_out)}">{_hidden(hidden)}
<button type="submit" class="second">This is not me: sign out</button>
</form>"""


def device(*, action: str, hidden: Mapping[str, str], typed: str, error: str = "") -> str:
    """The form for the code that a device shows."""
    return f"""<h1>Let a device in</h1>
<p>Type the code that the device shows. Go on only if you have just begun this yourself.</p>
{_error(error)}
<form method="post" action="{escape(action)}">{_hidden(hidden)}
<label for="user_code">Code</label>
<input id="user_code" name="user_code" autocomplete="off" autocapitalize="characters"
 spellcheck="false" required maxlength="20" value="{escape(typed)}">
<button type="submit">Go on</button>
</form>"""


def notice(title: str, text: str, *, is_error: bool = False) -> str:
    """A page that says one thing."""
    said = _error(text) if is_error else f"<p>{escape(text)}</p>"
    return f"<h1>{escape(title)}</h1>\n{said}"


def meaning_of(scope: str) -> str:
    """A scope in words for whoever is asked."""
    return MEANINGS.get(scope, f"do in your name what the shop calls {scope}")


def _error(text: str) -> str:
    return f'<p class="error" role="alert">{escape(text)}</p>' if text else ""


def _hidden(fields: Mapping[str, str]) -> str:
    return "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in fields.items()
    )
