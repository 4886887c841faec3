"""`serai tenant key`, `keys` and `signer`: the API keys of tenants, and who must sign with them."""

from pathlib import Path
from typing import Annotated, Final
from uuid import UUID

import typer
from rich.table import Column, Table

from serai import settings
from serai.cli.console import AsJson, Failure, out, print_json, run_async, say
from serai.cli.inside import find_tenants, go_inside
from serai.contexts.tenancy.contract import SCOPES, SIGNER_CHARS_MAX, IssuedKeyView, KeyView

LISTED: Final = 50

Name = Annotated[str, typer.Argument(help="The tenant's name.")]
Scopes = Annotated[
    list[str] | None,
    typer.Option("--scopes", help="What the key may do: scopes with commas between. [all]"),
]


def key(
    name: Name,
    scopes: Scopes = None,
    label: Annotated[str, typer.Option(help="What the key is for.")] = "",
    signer: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False,
            help="A file with an Ed25519 public key in PEM: requests must be signed by it.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Make another API key for a tenant, for instance when the last one was lost."""
    pem = None if signer is None else read_pem(signer)
    issued = run_async(_create(name, label, choose(scopes), pem))
    if as_json:
        print_json(issued)
        return
    show(issued)
    if issued.signer is not None:
        say(f"id      {issued.id}, the `keyid` of its signatures")


def list_all(
    name: Name,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = LISTED,
    as_json: AsJson = False,
) -> None:
    """List the API keys of a tenant, newest first, without their secrets."""
    found = run_async(_list(name, limit))
    if as_json:
        print_json({"keys": found})
        return
    table = Table(Column("id", no_wrap=True), "label", "state", "signed", "created at", "scopes")
    for one in found:
        table.add_row(
            str(one.id), one.label.replace("[", r"\["), "revoked" if one.revoked_at else "valid",
            "no" if one.signer is None else "yes", f"{one.created_at:%Y-%m-%d %H:%M:%S}",
            "all" if set(SCOPES) <= set(one.scopes) else ", ".join(one.scopes),
        )  # fmt: skip
    out.print(table)


def signer(
    name: Name,
    key_id: Annotated[UUID, typer.Argument(help="The key's id, as `serai tenant keys` tells it.")],
    file: Annotated[
        Path,
        typer.Argument(exists=True, dir_okay=False, help="An Ed25519 public key in PEM."),
    ],
    as_json: AsJson = False,
) -> None:
    """Say by whom requests with an API key must be signed from now on, in every process at once.

    There is no way back: a key that asks for signatures asks for them until it is revoked.
    """
    view = run_async(_replace(name, key_id, read_pem(file)))
    if as_json:
        print_json(view)
    else:
        say(f"{view.id} takes requests only that are signed by {file}")


def show(issued: IssuedKeyView) -> None:
    """A key at the one time when its text is shown."""
    say(f"key     {issued.key}")
    say("Keep the key: it is not stored and cannot be shown again.")


def choose(scopes: list[str] | None) -> tuple[str, ...]:
    """The scopes that were named, or all."""
    if not scopes:
        return SCOPES
    return tuple(scope.strip() for part in scopes for scope in part.split(",") if scope.strip())


def read_pem(file: Path) -> str:
    """The text of a file; no key is as long as the bound."""
    with file.open("rb") as content:
        raw = content.read(SIGNER_CHARS_MAX + 1)
    if len(raw) > SIGNER_CHARS_MAX or not raw.isascii():
        raise Failure(f"{file} is no Ed25519 public key in PEM, as `openssl pkey -pubout` makes")
    return raw.decode("ascii")


async def _create(name: str, label: str, scopes: tuple[str, ...], pem: str | None) -> IssuedKeyView:
    async with go_inside(settings.load()) as house:
        [tenant] = await find_tenants(house, name)
        issued: IssuedKeyView = await house.tenancy.create_key(
            tenant.id, label=label, scopes=scopes, signer=pem
        )
        return issued


async def _list(name: str, limit: int) -> list[KeyView]:
    async with go_inside(settings.load()) as house:
        [tenant] = await find_tenants(house, name)
        return list(await house.tenancy.list_keys(tenant.id, limit=limit))


async def _replace(name: str, key_id: UUID, pem: str) -> KeyView:
    async with go_inside(settings.load()) as house:
        [tenant] = await find_tenants(house, name)
        view: KeyView = await house.tenancy.replace_signer(tenant.id, key_id, pem)
        return view
