"""How the API is declared to Litestar: in its present words, and each route with what it takes."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from litestar import Litestar, get
from msgspec import inspect

from serai.contexts.identity.contract import SELF
from serai.contexts.tenancy.contract import SCOPES
from serai.kernel import text
from serai.kernel.db import Database
from serai.kernel.web import OPEN
from serai.roles.api import build_app
from serai.roles.composition import compose
from serai.roles.permissions import list_permissions, write_markdown
from serai.settings import Settings

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def app() -> Litestar:
    settings = Settings()
    return build_app(settings, compose(settings, Database("", pool_max=settings.pool_max)))


def test_the_whole_api_is_declared_without_a_deprecated_word(app: Litestar) -> None:
    # Warnings are errors here: a parameter without its marker would fail this very call.
    paths = app.openapi_schema.paths or {}
    assert {"/v1/orders", "/v1/stock-items", "/v1/products", "/v1/payments"} <= set(paths)


def test_every_route_says_what_it_needs_of_who_asks(app: Litestar) -> None:
    assert unruled(app) == []


def unruled(app: Litestar) -> list[tuple[str, str]]:
    """Routes that anyone may call although nobody said why, or that are both open and ruled."""
    return [
        (one.method, one.path)
        for one in list_permissions(app)
        if (one.scope is None) == (one.open is None)
    ]


def test_the_rule_check_sees_a_route_without_one() -> None:
    @get("/v1/planted", sync_to_thread=False)
    def planted() -> None: ...

    @get("/v1/said", opt={OPEN: "a test"}, sync_to_thread=False)
    def said() -> None: ...

    assert unruled(Litestar([planted, said], openapi_config=None)) == [("GET", "/v1/planted")]


def test_every_scope_that_a_route_asks_for_can_be_given(app: Litestar) -> None:
    asked = {scope for one in list_permissions(app) for scope in (one.scope, one.own) if scope}
    assert asked - set(SCOPES) == {SELF}, "everyone who is signed in has that one"
    assert set(SCOPES) - asked == {"orders:price"}, "a scope that opens nothing"


def test_the_page_of_permissions_is_what_the_routes_ask(app: Litestar) -> None:
    page = (ROOT / "docs" / "reference" / "permissions.md").read_text("utf-8")
    assert page == write_markdown(list_permissions(app)), (
        "write it anew: serai openapi --permissions --out docs/reference/permissions.md"
    )


def test_the_description_tells_what_each_operation_needs(app: Litestar) -> None:
    paths: dict[str, Any] = app.openapi_schema.to_schema()["paths"]
    for one in list_permissions(app):
        if one.path not in paths:
            continue
        needed = [{"apiKey": [scope]} for scope in (one.scope, one.own) if scope]
        assert paths[one.path][one.method.lower()]["security"] == needed, one


def test_every_check_is_named_by_its_module_and_once() -> None:
    settings = Settings()
    checks = list(compose(settings, Database("", pool_max=settings.pool_max)).checks())
    names = [check.name for _, check in checks]
    assert len(names) == len(set(names)) > 10
    assert [name for (module, _), name in zip(checks, names, strict=True)
            if re.fullmatch(rf"{re.escape(module)}\.[a-z_]+", name) is None] == []  # fmt: skip


def list_patterns(kind: inspect.Type) -> Iterator[str]:
    """Every pattern that a type checks text by, at any depth."""
    if isinstance(kind, inspect.StrType) and kind.pattern is not None:
        yield kind.pattern
    for name in kind.__struct_fields__:
        value: Any = getattr(kind, name)
        parts = value if isinstance(value, tuple) else (value,)
        for part in parts:
            inner = part.type if isinstance(part, inspect.Field) else part
            if isinstance(inner, inspect.Type):
                yield from list_patterns(inner)


def test_no_pattern_of_a_body_lets_a_last_line_break_through(app: Litestar) -> None:
    bodies = {
        handler.parsed_data_field.annotation
        for route in app.routes
        for handler in getattr(route, "route_handlers", ())
        if handler.parsed_data_field is not None
    }
    patterns = {pattern for body in bodies for pattern in list_patterns(inspect.type_info(body))}
    assert len(patterns) > 5
    assert [p for p in patterns if p != text.TEXT_PATTERN and not p.endswith(text.END)] == []


@pytest.mark.parametrize("last", ["\n", "\0", "\t", "\x7f", "\x85"])
def test_a_line_holds_no_control_character(last: str) -> None:
    assert msgspec.convert("a b\u00e9", text.Line) == "a b\u00e9"
    for unfit in (f"a{last}", f"{last}a", last):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(unfit, text.Line)


def test_text_holds_anything_but_nul() -> None:
    assert msgspec.convert("a\nb\n", text.Text) == "a\nb\n"
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert("a\0", text.Text)


@pytest.mark.parametrize(
    "address",
    ["a@b.example\n", "<a@b.example>", "a@b.example,c@d.example", "a@b.example;c", "a b@c.example",
     "a@b@c.example", "a\0@b.example", "nobody", "@b.example", "a@", '"a"@b.example'],
)  # fmt: skip
def test_an_address_is_one_and_needs_no_quoting(address: str) -> None:
    assert msgspec.convert("o'neil+shop@mail.example", text.Email)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(address, text.Email)
