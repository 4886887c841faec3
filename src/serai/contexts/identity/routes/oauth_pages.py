"""The provider's pages as HTML: to sign in, to allow an app, to let a device in, to make passkeys.

All that is put into one is escaped here. A page may show its own style, post to its own origin and
to nowhere but the app that waits for the answer, and stands in no frame. Where passkeys are asked
for it may run one script, a file of ours, which asks one address; without it the rest works.
"""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from litestar import MediaType, Response
from litestar.datastructures import Cookie

from serai.contexts.identity.contract.passkeys import PasskeyView

_TEMPLATE: Final = Template(
    files("serai.contexts.identity").joinpath("templates", "provider.html").read_text("utf-8")
)
_STYLE: Final = re.search(r"<style>(.*?)</style>", _TEMPLATE.template, re.DOTALL)
assert _STYLE is not None, "the page has its style"
SCRIPT: Final = (
    files("serai.contexts.identity").joinpath("templates", "passkeys.js").read_text("utf-8")
)
SCRIPTS: Final = "/oauth/scripts"
SCRIPT_NAME: Final = f"passkeys-{hashlib.sha256(SCRIPT.encode()).hexdigest()[:16]}.js"
"""Another script has another name, so that a browser may keep it for ever."""
SCRIPT_PATH: Final = f"{SCRIPTS}/{SCRIPT_NAME}"
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


class Asking(NamedTuple):
    """Whose page asks for a passkey, and where its script gets a challenge."""

    origin: str
    path: str


def answer(
    title: str, body: str, *, status: int = 200, target: str | None = None,
    cookie: Cookie | None = None, headers: Mapping[str, str] | None = None,
    asking: Asking | None = None,
) -> Response[str]:  # fmt: skip
    """A page; after its form a browser may be sent on to the `target`."""
    policy = (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action {_targets(target)}; "
        "base-uri 'none'; frame-ancestors 'none'"
    )
    if asking is not None:
        scripts, asks = f"{asking.origin}{SCRIPT_PATH}", f"{asking.origin}{asking.path}"
        policy += f"; script-src {scripts}; connect-src {asks}"
        body += f'\n<script src="{SCRIPT_PATH}" defer></script>'
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
    *, action: str, hidden: Mapping[str, str], asks: str | None, asking: Asking, email: str = "",
    error: str = "",
) -> str:  # fmt: skip
    """The forms for who is not signed in; `asks` is the app that waits for her."""
    why = "" if asks is None else f"<p>to go on to <strong>{escape(asks)}</strong></p>"
    told = ' aria-invalid="true" aria-describedby="error"' if error else ""
    at_email, at_password = ("", " autofocus") if email else (" autofocus", "")
    return f"""<h1>Sign in</h1>
{why}{_error(error)}
<form method="post" action="{escape(action)}">{_hidden(hidden)}
<label for="email">E-mail address</label>
<input id="email" name="email" type="email" autocomplete="username" required maxlength="254"
 value="{escape(email)}"{told}{at_email}>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required
 maxlength="1024"{told}{at_password}>
<label for="code">Code of your authenticator <span class="hint">(only if you have set one up)</span>
</label>
<input id="code" name="code" autocomplete="one-time-code" inputmode="text" maxlength="32">
<button type="submit">Sign in</button>
</form>
{_ask(action, hidden, asking)}<button type="submit" class="second">Sign in with a passkey</button>
</form>"""


def account(
    *, base: str, hidden: Mapping[str, str], asking: Asking, email: str,
    passkeys: Sequence[PasskeyView], error: str = "",
) -> str:  # fmt: skip
    """Her passkeys, and forms to make one and to take one away."""
    shown = "".join(_passkey(base, hidden, passkey) for passkey in passkeys)
    listed = f"<ul>{shown}</ul>" if shown else "<p>You have no passkey yet.</p>"
    makes = _ask(f"{base}/account/passkeys", hidden, asking, makes=True)
    return f"""<h1>Your passkeys</h1>
<p>You are signed in as <strong>{escape(email)}</strong>.</p>
{_error(error)}{listed}
<p data-without-passkeys>This browser cannot make passkeys here.</p>
{makes}<label for="name">A name for a new passkey, such as My phone</label>
<input id="name" name="name" autocomplete="off" required maxlength="64">
<button type="submit">Make a passkey</button>
</form>
<form method="post" action="{escape(base)}/oauth/sign-out">{_hidden({**hidden, "to": "account"})}
<button type="submit" class="second">Sign out</button>
</form>"""


def _passkey(base: str, hidden: Mapping[str, str], passkey: PasskeyView) -> str:
    carried = _hidden({**hidden, "passkey_id": str(passkey.id)})
    name = escape(passkey.name)
    return f"""<li><strong>{name}</strong>, for {escape(passkey.rp_id)},
 since {passkey.created_at:%Y-%m-%d}
<form method="post" action="{escape(base)}/account/passkeys/removals">{carried}
<button type="submit" class="second" aria-label="Take away {name}">Take away</button>
</form></li>"""


def _ask(action: str, hidden: Mapping[str, str], asking: Asking, *, makes: bool = False) -> str:
    """The beginning of a form that the script shows, fills in and sends."""
    carried = _hidden({**hidden, "challenge_id": "", "credential": ""})
    return f"""<form method="post" action="{escape(action)}" data-asks-at="{escape(asking.path)}"
 data-makes="{"yes" if makes else ""}" hidden>{carried}
<p role="status" aria-live="polite"></p>
"""


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
    told = ' aria-invalid="true" aria-describedby="error"' if error else ""
    return f"""<h1>Let a device in</h1>
<p>Type the code that the device shows. Go on only if you have just begun this yourself.</p>
{_error(error)}
<form method="post" action="{escape(action)}">{_hidden(hidden)}
<label for="user_code">Code</label>
<input id="user_code" name="user_code" autocomplete="off" autocapitalize="characters"
 spellcheck="false" required maxlength="20" value="{escape(typed)}"{told} autofocus>
<button type="submit">Go on</button>
</form>"""


def farewell(
    *, action: str, hidden: Mapping[str, str], app: str | None, shop: str, email: str
) -> str:
    """Whether she wants to be signed out, as an app says."""
    asked = "" if app is None else f"<p>{escape(app)} asks for it.</p>"
    return f"""<h1>Sign out of {escape(shop)}?</h1>
<p>You are signed in as <strong>{escape(email)}</strong>.</p>
{asked}<form method="post" action="{escape(action)}">{_hidden(hidden)}
<button type="submit" name="decision" value="leave">Sign out</button>
<button type="submit" name="decision" value="stay" class="second">Stay signed in</button>
</form>"""


def notice(title: str, text: str, *, is_error: bool = False) -> str:
    """A page that says one thing."""
    said = _error(text) if is_error else f"<p>{escape(text)}</p>"
    return f"<h1>{escape(title)}</h1>\n{said}"


def meaning_of(scope: str) -> str:
    """A scope in words for whoever is asked."""
    return MEANINGS.get(scope, f"do in your name what the shop calls {scope}")


def _error(text: str) -> str:
    if not text:
        return ""
    return f'<p id="error" class="error" role="alert" aria-live="assertive">{escape(text)}</p>'


def _hidden(fields: Mapping[str, str]) -> str:
    return "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in fields.items()
    )
