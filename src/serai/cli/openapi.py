"""`serai openapi`: the API's description, from the code."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from litestar import Litestar
from litestar.serialization import encode_json

from serai import settings
from serai.cli.console import EXIT_CODES, AsJson, say
from serai.kernel.db import Database
from serai.roles.api import build_app
from serai.roles.composition import compose
from serai.roles.permissions import list_permissions, write_markdown

app = typer.Typer(add_completion=False)


@app.command(epilog=f"Example: serai openapi --out openapi.json. {EXIT_CODES}")
def openapi(
    out: Annotated[Path | None, typer.Option(help="A file to write; else standard output.")] = None,
    permissions: Annotated[
        bool, typer.Option(help="What each route needs instead: a page, or with --json its data.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write the API's description (OpenAPI 3.1). Needs no database."""
    own = settings.load()
    built = build_app(own, compose(own, Database("", pool_max=own.pool_max)))
    text = _permissions(built, as_json=as_json) if permissions else _description(built)
    if out is None:
        typer.echo(text, nl=False)
    else:
        out.write_text(text, "utf-8")
        say(f"written to {out}")


def _description(built: Litestar) -> str:
    return _indented(encode_json(built.openapi_schema.to_schema()))


def _permissions(built: Litestar, *, as_json: bool) -> str:
    found = list_permissions(built)
    return _indented(msgspec.json.encode(found)) if as_json else write_markdown(found)


def _indented(encoded: bytes) -> str:
    return msgspec.json.format(encoded, indent=2).decode() + "\n"
