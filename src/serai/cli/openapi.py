"""`serai openapi`: the API's description, from the code."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from litestar.serialization import encode_json

from serai import settings
from serai.cli.console import EXIT_CODES, AsJson, say
from serai.kernel.db import Database
from serai.roles.api import build_app
from serai.roles.composition import compose

app = typer.Typer(add_completion=False)


@app.command(epilog=f"Example: serai openapi --out openapi.json. {EXIT_CODES}")
def openapi(
    out: Annotated[Path | None, typer.Option(help="A file to write; else standard output.")] = None,
    as_json: AsJson = False,  # noqa: ARG001 - it is JSON either way
) -> None:
    """Write the API's description (OpenAPI 3.1). Needs no database."""
    own = settings.load()
    house = compose(own, Database("", pool_max=own.pool_max))
    schema = encode_json(build_app(own, house).openapi_schema.to_schema())
    text = msgspec.json.format(schema, indent=2).decode() + "\n"
    if out is None:
        typer.echo(text, nl=False)
    else:
        out.write_text(text, "utf-8")
        say(f"written to {out}")
