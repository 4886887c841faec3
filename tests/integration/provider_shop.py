"""The provider for apps: a shop with one, an app of it, and a browser that a customer sits at."""

import base64
import contextlib
import hashlib
import json
import secrets
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
from authlib.integrations.httpx_client import AsyncOAuth2Client  # type: ignore[import-untyped]

from serai.contexts.identity.model.apps import CODE, DEVICE, OWN, REFRESH
from serai.kernel.db import Database
from serai.kernel.tenant import POOLED
from tests.integration.identity_shop import PASSWORD, Shop, open_shop

BASE = "http://shop.test"
ISSUER = f"{BASE}/t/acme"
CALLED = "https://app.example/cb"
EMAIL = "buyer@example.com"
SCOPE = "openid profile email offline_access orders:own catalog:read"


class AnApp(NamedTuple):
    """An app as its owner knows it."""

    id: str
    secret: str | None
    tenant: str = "acme"


class Form(NamedTuple):
    """A form of a page: where it goes, and what it holds."""

    action: str
    fields: dict[str, str]
    buttons: list[tuple[str, str]]


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        if tag == "form":
            assert known["method"] == "post"
            self.forms.append(Form(known["action"], {}, []))
        elif tag == "input":
            self.forms[-1].fields[known["name"]] = known.get("value", "")
        elif tag == "button" and "name" in known:
            self.forms[-1].buttons.append((known["name"], known["value"]))


def forms_of(page: httpx.Response) -> list[Form]:
    """The forms of a page."""
    parser = _Forms()
    parser.feed(page.text)
    return parser.forms


class Browser:
    """What a browser does: keeps cookies, follows our own redirects, says where a form is from."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def open(self, address: str) -> httpx.Response:
        """A page, or the redirect that leads out of the shop."""
        return await self._follow(await self.http.get(address))

    async def submit(
        self, page: httpx.Response, number: int = 0, *, headers: dict[str, str] | None = None,
        **typed: str,
    ) -> httpx.Response:  # fmt: skip
        """A form, filled in and sent as browsers send one of the same origin."""
        form = forms_of(page)[number]
        own = {"Origin": BASE, "Sec-Fetch-Site": "same-origin"} if headers is None else headers
        return await self._follow(
            await self.http.post(form.action, data={**form.fields, **typed}, headers=own)
        )

    async def sign_in(
        self, page: httpx.Response, email: str = EMAIL, *, code: str = ""
    ) -> httpx.Response:
        """The form to sign in, filled in."""
        return await self.submit(page, email=email, password=PASSWORD, code=code)

    async def _follow(self, answer: httpx.Response) -> httpx.Response:
        while answer.is_redirect:
            there = answer.headers["location"]
            if not there.startswith("/t/"):
                return answer
            answer = await self.http.get(there)
        return answer


class Ground:
    """A shop with the provider."""

    def __init__(self, shop: Shop, transport: httpx.ASGITransport) -> None:
        self.shop = shop
        self.transport = transport

    async def make(self, *, tenant: str = "acme", **given: Any) -> AnApp:
        """An app; a confidential one with all grants unless said otherwise."""
        body = {
            "name": "Picnic planner", "grants": [CODE, REFRESH, DEVICE, OWN],
            "redirect_uris": [CALLED], "scopes": SCOPE.split(), **given,
        }  # fmt: skip
        answer = await self.shop.call("POST", "/v1/apps", self.shop.keys[tenant], body)
        assert answer.status_code == 201, answer.text
        made = answer.json()
        return AnApp(made["app"]["id"], made["secret"], tenant)

    async def make_public(self, **given: Any) -> AnApp:
        """An app that can keep no secret."""
        return await self.make(is_public=True, grants=[CODE, REFRESH, DEVICE], **given)

    async def change(self, app: AnApp, **body: Any) -> httpx.Response:
        """A change by who may."""
        key = self.shop.keys[app.tenant]
        return await self.shop.call("PATCH", f"/v1/apps/{app.id}", key, body)

    @contextlib.asynccontextmanager
    async def client(self, app: AnApp, **given: Any) -> AsyncIterator[Any]:
        """Authlib's client, as the app would use it."""
        async with AsyncOAuth2Client(
            app.id, app.secret, transport=self.transport, redirect_uri=CALLED, scope=SCOPE,
            code_challenge_method="S256",
            token_endpoint_auth_method="client_secret_basic" if app.secret else "none", **given,
        ) as client:  # fmt: skip
            yield client

    @contextlib.asynccontextmanager
    async def browser(self) -> AsyncIterator[Browser]:
        """A browser without a cookie."""
        async with httpx.AsyncClient(transport=self.transport, base_url=BASE) as http:
            yield Browser(http)

    async def ask(self, path: str, app: AnApp, **fields: str) -> httpx.Response:
        """A request of an app that shows what it can, by hand."""
        data = {"client_id": app.id, **fields}
        if app.secret is not None:
            data["client_secret"] = app.secret
        return await self.shop.http.post(f"/t/{app.tenant}/oauth/{path}", data=data)

    async def allow(self, app: AnApp, *, browser: Browser, **changed: str) -> tuple[str, str]:
        """A code that a customer allows, and its verifier."""
        verifier = secrets.token_urlsafe(48)
        page = await browser.open(authorize_url(app, verifier, **changed))
        if not page.is_redirect and "password" in page.text:
            page = await browser.sign_in(page)
        if not page.is_redirect:
            page = await browser.submit(page, decision="allow")
        return answered(page)["code"], verifier

    async def redeem(self, app: AnApp, code: str, verifier: str, **changed: str) -> httpx.Response:
        """A code for tokens."""
        fields = {
            "grant_type": CODE, "code": code, "code_verifier": verifier, "redirect_uri": CALLED,
            **changed,
        }  # fmt: skip
        return await self.ask("token", app, **fields)

    async def tokens(self, app: AnApp, **changed: str) -> dict[str, Any]:
        """The tokens of a customer who allows everything."""
        async with self.browser() as browser:
            code, verifier = await self.allow(app, browser=browser, **changed)
        answer = await self.redeem(app, code, verifier)
        assert answer.status_code == 200, answer.text
        given: dict[str, Any] = answer.json()
        return given

    async def use(self, token: str, path: str = "/v1/orders") -> int:
        """How the API answers a token."""
        return (await self.shop.call("GET", path, token)).status_code

    async def rows(self, query: str, *, tenant: str = "acme") -> list[Any]:
        """What is kept."""
        tenant_id = self.shop.tenants[tenant]
        async with self.shop.house.database.transaction(POOLED, (tenant_id,)) as tx:
            return list(await tx.connection.fetch(query))

    async def changes(self) -> list[dict[str, Any]]:
        """What is on its way into the audit trail, oldest first."""
        rows = await self.rows(
            "SELECT data FROM kernel.outbox WHERE type = 'audit.changes_recorded.v1' "
            "ORDER BY xid, seq"
        )
        return [change for row in rows for change in json.loads(row["data"])["changes"]]

    async def change_rows(self, statement: str, *, tenant: str = "acme") -> str:
        """Changes what is kept, as time would."""
        tenant_id = self.shop.tenants[tenant]
        async with self.shop.house.database.transaction(POOLED, (tenant_id,)) as tx:
            return str(await tx.connection.execute(statement))


def challenge_of(verifier: str) -> str:
    """What goes along with a request for a code."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def authorize_url(app: AnApp, verifier: str, **changed: str) -> str:
    """Where an app sends her; a field that is empty is left out."""
    fields = {
        "client_id": app.id, "redirect_uri": CALLED, "response_type": "code", "scope": SCOPE,
        "state": "s-1", "code_challenge": challenge_of(verifier), "code_challenge_method": "S256",
        **changed,
    }  # fmt: skip
    query = urlencode({name: value for name, value in fields.items() if value})
    return f"/t/{app.tenant}/oauth/authorize?{query}"


def answered(answer: httpx.Response, at: str = CALLED) -> dict[str, str]:
    """What an app is called back with."""
    assert answer.status_code == 303, answer.text
    location = answer.headers["location"]
    assert location.startswith(f"{at}?"), location
    return {name: value for name, (value,) in parse_qs(urlsplit(location).query).items()}


def error_of(answer: httpx.Response) -> tuple[int, str]:
    """Status and error of a refusal of the protocol, which says why, too."""
    body = answer.json()
    assert set(body) == {"error", "error_description"}, body
    assert answer.headers["cache-control"] == "no-store"
    return answer.status_code, str(body["error"])


@contextlib.asynccontextmanager
async def open_ground(database: Database, folder: Path, **given: Any) -> AsyncIterator[Ground]:
    """A shop with a customer, reached at http://shop.test."""
    settings = {"public_url": BASE, "logins_per_address": 0, **given}
    async with open_shop(database, folder, **settings) as shop:
        await shop.add_tenant("acme")
        await shop.register(EMAIL)
        transport: Any = shop.http._transport  # noqa: SLF001 - one application, several clients
        yield Ground(shop, transport)
