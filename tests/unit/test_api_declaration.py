"""How the API is declared to Litestar: in its present words, and each route with what it takes."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute
from msgspec import inspect

from serai.kernel import text
from serai.kernel.db import Database
from serai.kernel.web import OPEN, Rule
from serai.roles.api import build_app
from serai.roles.composition import compose
from serai.settings import Settings


@pytest.fixture(scope="module")
def app() -> Litestar:
    settings = Settings()
    return build_app(settings, compose(settings, Database("", pool_max=settings.pool_max)))


def test_the_whole_api_is_declared_without_a_deprecated_word(app: Litestar) -> None:
    # Warnings are errors here: a parameter without its marker would fail this very call.
    paths = app.openapi_schema.paths or {}
    assert {"/v1/orders", "/v1/stock-items", "/v1/products", "/v1/payments"} <= set(paths)


def test_every_route_says_what_it_needs_of_who_asks(app: Litestar) -> None:
    unruled = [
        (method, path)
        for route in app.routes
        if isinstance(route, HTTPRoute) and not route.path.startswith("/schema")
        for handler in route.route_handlers
        for method in handler.http_methods - {"OPTIONS"}
        for path in handler.paths
        if OPEN not in handler.opt
        and not any(isinstance(guard, Rule) for guard in handler.resolve_guards())
    ]
    assert unruled == []


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
