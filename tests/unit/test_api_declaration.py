"""How the API is declared to Litestar: in its present words, and each route with what it takes."""

from serai.kernel.db import Database
from serai.roles.api import build_app
from serai.roles.composition import compose
from serai.settings import Settings


def test_the_whole_api_is_declared_without_a_deprecated_word() -> None:
    # Warnings are errors here: a parameter without its marker would fail this very call.
    settings = Settings()
    app = build_app(settings, compose(settings, Database("", pool_max=settings.pool_max)))
    paths = app.openapi_schema.paths or {}
    assert {"/v1/orders", "/v1/stock-items", "/v1/products", "/v1/payments"} <= set(paths)
