"""Tokens of apps that are not for who brings them, and what the protocol takes at all."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from serai.contexts.identity.model import tokens
from serai.contexts.identity.model.apps import OWN
from serai.kernel.db import Database
from tests.integration.provider_shop import BASE, EMAIL, ISSUER, Ground, error_of, open_ground


@pytest.fixture
async def ground(database: Database, tmp_path: Path) -> AsyncIterator[Ground]:
    async with open_ground(database, tmp_path) as opened:
        yield opened


async def forge(ground: Ground, token: str, typ: str = tokens.TYPE, **changed: Any) -> str:
    """A token by our own key whose claims are others."""
    keychain = ground.shop.house.identity._keychain  # noqa: SLF001 - the key is what a test has
    claims = await keychain.verify(token)
    sign = await keychain.prepare(typ)
    return str(sign(msgspec.structs.replace(claims, **changed)))


async def test_a_token_that_is_for_someone_else_is_refused_by_the_api(ground: Ground) -> None:
    app, other = await ground.make(), await ground.make()
    given = await ground.tokens(app)
    good = given["access_token"]
    assert await ground.use(await forge(ground, good)) == 200
    assert await ground.use(given["id_token"]) == 401
    alone = (await ground.ask("token", app, grant_type=OWN)).json()["access_token"]
    hers = (await ground.shop.sign_in(EMAIL))["access_token"]
    app_id, other_id = UUID(app.id), UUID(other.id)
    for token, changed in (
        (good, {"aud": "another-api"}),
        (good, {"aud": app.id}),
        (good, {"iss": "https://evil.example/t/acme"}),
        (good, {"iss": "serai"}),
        (good, {"client_id": other_id}),
        (good, {"client_id": None}),
        (good, {"client_id": None, "scope": "", "iss": "serai"}),
        (good, {"kind": "staff"}),
        (good, {"kind": "app"}),
        (good, {"sid": None}),
        (good, {"tenant": other_id}),
        (alone, {"client_id": other_id}),
        (alone, {"sub": other_id}),
        (alone, {"kind": "customer"}),
        (alone, {"client_id": None, "iss": "serai"}),
        (hers, {"client_id": app_id, "iss": ISSUER, "scope": "orders:own"}),
        (hers, {"sid": None}),
        (hers, {"iss": ISSUER}),
    ):
        assert await ground.use(await forge(ground, token, **changed)) == 401, changed
    for typ in ("JWT", "jwt", "at+JWT"):
        assert await ground.use(await forge(ground, good, typ)) == 401


async def test_a_stranger_learns_nothing_of_a_token_and_ends_none(ground: Ground) -> None:
    app, other, public = await ground.make(), await ground.make(), await ground.make_public()
    given = await ground.tokens(app)
    for token in (given["access_token"], given["refresh_token"]):
        answer = await ground.ask("introspect", other, token=token)
        assert (answer.status_code, answer.json()) == (200, {"active": False})
        revoked = await ground.ask("revoke", other, token=token)
        assert (revoked.status_code, revoked.json()) == (200, {})
    assert (await ground.ask("introspect", app, token=given["access_token"])).json()["active"]
    for one in (public, app._replace(secret=None)):
        answer = await ground.ask("introspect", one, token=given["access_token"])
        assert error_of(answer) == (401, "invalid_client")
    alone = (await ground.ask("token", app, grant_type=OWN)).json()["access_token"]
    assert error_of(await ground.ask("revoke", app, token=alone)) == (
        400, "unsupported_token_type",
    )  # fmt: skip


async def test_userinfo_is_for_apps_that_she_lets_know_her(ground: Ground) -> None:
    app = await ground.make()
    path = "/t/acme/oauth/userinfo"
    without = await ground.tokens(app, scope="orders:own")
    assert "id_token" not in without
    refused = await ground.shop.call("GET", path, without["access_token"])
    assert error_of(refused) == (403, "insufficient_scope")
    assert 'error="insufficient_scope"' in refused.headers["www-authenticate"]
    only = await ground.tokens(app, scope="openid")
    told = (await ground.shop.call("POST", path, only["access_token"])).json()
    assert set(told) == {"sub"}
    alone = (await ground.ask("token", app, grant_type=OWN)).json()["access_token"]
    hers = (await ground.shop.sign_in(EMAIL))["access_token"]
    for token, wanted in (
        ("nonsense", (401, "invalid_token")),
        (alone, (401, "invalid_token")),
        (only["id_token"], (401, "invalid_token")),
        (ground.shop.keys["acme"], (401, "invalid_token")),
        (hers, (403, "insufficient_scope")),
    ):
        answer = await ground.shop.call("GET", path, token)
        assert error_of(answer) == wanted
    await ground.shop.add_tenant("other")
    elsewhere = await ground.shop.call("GET", "/t/other/oauth/userinfo", only["access_token"])
    assert error_of(elsewhere) == (401, "invalid_token")
    nobody = await ground.shop.http.get(path)
    assert (nobody.status_code, nobody.headers["www-authenticate"]) == (
        401, 'Bearer realm="serai"',
    )  # fmt: skip


async def test_a_body_that_is_no_form_is_refused(ground: Ground) -> None:
    app = await ground.make()
    for content, kind in (
        (b"{}", "application/json"),
        (b"grant_type=\xff", "application/x-www-form-urlencoded"),
        (b"grant_type=%ff", "application/x-www-form-urlencoded"),
        (b"grant_type=%00", "application/x-www-form-urlencoded"),
        (b"grant_type", "application/x-www-form-urlencoded"),
        (b"&".join(b"a%d=1" % n for n in range(41)), "application/x-www-form-urlencoded"),
        (b"code=" + b"a" * 2049, "application/x-www-form-urlencoded"),
        (b"code=" + b"a" * 20_000, "application/x-www-form-urlencoded"),
    ):
        for path in ("token", "introspect", "revoke", "device_authorization"):
            answer = await ground.shop.http.post(
                f"/t/acme/oauth/{path}", content=content, headers={"Content-Type": kind},
                auth=(app.id, str(app.secret)),
            )  # fmt: skip
            assert error_of(answer) == (400, "invalid_request"), content[:40]


async def test_what_is_stored_of_apps_opens_nothing(ground: Ground) -> None:
    app = await ground.make()
    begun = (await ground.ask("device_authorization", app, scope="openid")).json()
    async with ground.browser() as browser:
        code, _ = await ground.allow(app, browser=browser)
        (cookie,) = [value for name, value in browser.http.cookies.items() if name]
    given = await ground.tokens(app)
    secrets_of = [
        app.secret, code, cookie, begun["device_code"], begun["user_code"],
        begun["user_code"].replace("-", ""), given["access_token"], given["refresh_token"],
        given["refresh_token"][-43:],
    ]  # fmt: skip
    kept = []
    for table in ("identity.apps", "identity.codes", "identity.devices", "identity.sessions",
                  "identity.consents", "kernel.outbox"):  # fmt: skip
        kept += [row["line"] for row in await ground.rows(f"SELECT t::text AS line FROM {table} t")]
    whole = "\n".join(kept)
    assert len(kept) > 6
    assert [secret for secret in secrets_of if secret is None or secret in whole] == []
    assert BASE not in whole
