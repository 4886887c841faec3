"""`serai replay`: a real shop's trade through the public API, reconciled to the penny."""

import asyncio
import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from serai import settings
from serai.cli.console import FAILED, UNAVAILABLE, USAGE, AsJson, Failure, print_json, run_async
from serai.cli.replay import outcome
from serai.cli.replay.client import Client, ShopGone
from serai.cli.replay.figures import Figures, figures_of, read_expectations
from serai.cli.replay.plan import Plan, Planner
from serai.cli.replay.reader import FileFault, examine, read_rows
from serai.cli.replay.reads import Reads
from serai.cli.replay.session import check_shop, enter_shop, find_installation
from serai.cli.replay.stages import Stages
from serai.cli.replay.steps import Steps
from serai.cli.replay.verdict import Judgement, ScarceSeen, Seen, judge, judge_scarce
from serai.settings import Settings

app = typer.Typer(add_completion=False)

CLIENTS: Final = 32
CLIENTS_MAX: Final = 512
ROWS_PER_LOOK: Final = 10_000
DIGEST_SHOWN_CHARS: Final = 10


class Wish(msgspec.Struct, frozen=True):
    """What was asked for on the command line."""

    file: Path
    expect: Path | None
    scarce: Decimal | None
    tenant: str | None
    clients: int
    is_quiet: bool


@app.command(
    epilog=(
        "Example: serai replay online_retail.csv.gz --expect expected.json. Exit codes: 0 all "
        "figures agree, 1 something does not, 2 the file cannot be replayed, 3 no shop answers."
    )
)
def replay(  # noqa: PLR0917 - an option is named on the command line
    file: Annotated[Path, typer.Argument(help="A retail file: CSV in UTF-8, plain or gzipped.")],
    expect: Annotated[
        Path | None,
        typer.Option(help="The figures it must end with; else those of the file's own plan."),
    ] = None,
    scarce: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Supply only this share of the units asked for."),
    ] = None,
    tenant: Annotated[
        str | None, typer.Option(help="The shop to replay into; else one made for this file.")
    ] = None,
    clients: Annotated[
        int, typer.Option(min=1, max=CLIENTS_MAX, help="Requests under way at a time.")
    ] = CLIENTS,
    data_dir: Annotated[
        str | None, typer.Option(help="The installation's data folder. [SERAI_DATA_DIR]")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Replay a retail file through the public API, and compare each figure with the database.

    It uses the shop that runs (`serai run`), or starts one for as long as it needs it. A replay
    that was interrupted goes on where it stopped when it is begun again.
    """
    if expect is not None and scarce is not None:
        raise Failure("--expect tells of a shop that lacks nothing: leave --scarce out",
                      code="usage", exit_code=USAGE)  # fmt: skip
    share = None if scarce is None else Decimal(str(scarce))
    wish = Wish(file, expect, share, tenant, clients, as_json)
    own = settings.load_with(data_dir=data_dir)
    try:
        found = run_async(_replay(wish, own))
    except FileFault as fault:
        raise Failure(str(fault), code="bad_file", exit_code=USAGE) from fault
    except ShopGone as gone:
        raise Failure(str(gone), code="shop_gone", exit_code=UNAVAILABLE) from gone
    if as_json:
        print_json(found)
    else:
        outcome.show(found)
    if not found.is_ok:
        raise typer.Exit(FAILED)


async def _replay(wish: Wish, own: Settings) -> outcome.Outcome:
    expected = None if wish.expect is None else read_expectations(wish.expect)
    with Stages(is_quiet=wish.is_quiet) as stages:
        digest, plan = await asyncio.to_thread(_read, wish.file, stages)
        stages.start("entering")
        async with find_installation(own) as (api_url, walled):
            shop = await enter_shop(api_url, walled, wish.tenant or _tenant_name(digest, wish))
            client = Client(api_url, shop.key, connections=wish.clients)
            try:
                steps = Steps(
                    client, plan, seed=f"{digest}|{shop.tenant.id}", scarce=wish.scarce,
                    progress=stages,
                )  # fmt: skip
                await _carry_out(steps)
                stages.start("verdict")
                judgements = await _judge(client, steps, plan, expected, wish)
                await client.delete(f"/v1/api-keys/{shop.key_id}")
            finally:
                client.close()
            stages.start("check")
            report = await check_shop(shop)
    return outcome.Outcome(
        is_ok=all(j.is_met for j in judgements) and report.is_clean,
        file=str(wish.file),
        sha256=digest,
        tenant=shop.tenant.name,
        rows=plan.rows,
        problems=plan.problems,
        figures=[outcome.line_of(j) for j in judgements],
        counts=steps.counts() if wish.scarce is not None else {},
        refusals=steps.refusals,
        check=report,
        stages=stages.stages,
        requests=client.requests,
        repeats=client.repeats,
    )


def _read(path: Path, stages: Stages) -> tuple[str, Plan]:
    """The file's digest and its plan."""
    stages.start("reading")
    content = examine(path)
    stages.start("planning", content.lines)
    planner = Planner()
    for number, row in enumerate(read_rows(path), 1):
        planner.take(row)
        if number % ROWS_PER_LOOK == 0:
            stages.reach(number)
    return content.sha256, planner.plan


async def _carry_out(steps: Steps) -> None:
    await steps.look_around()
    await steps.offer_goods()
    await steps.receive_stock()
    await steps.write_off()
    await steps.place_orders()
    await steps.await_orders()
    await steps.dispatch_orders()
    await steps.take_back()


async def _judge(
    client: Client, steps: Steps, plan: Plan, expected: Figures | None, wish: Wish
) -> list[Judgement]:
    reads = Reads(client)
    totals, returns, skus = (
        await reads.sum_orders(), await reads.list_returns(), await reads.list_skus()
    )  # fmt: skip
    orders, placed = await reads.list_orders(), steps.placed()
    if wish.scarce is None:
        whole = [
            await reads.read_order(order_id)
            for order_id, order in placed.items()
            if order.is_resale or len(order.lines) > order.rows
        ]
        seen = Seen(totals, orders, whole, await reads.total_stock(), returns, skus)
        return judge(expected or figures_of(plan), seen, plan.unsent)
    scarce = ScarceSeen(totals, orders, await reads.list_stock(), returns, skus)
    return judge_scarce(plan, steps.supply_of, placed, scarce)


def _tenant_name(digest: str, wish: Wish) -> str:
    """A shop of its own for each content, and for each share that is supplied."""
    name = f"replay-{digest[:DIGEST_SHOWN_CHARS]}"
    if wish.scarce is None:
        return name
    return f"{name}-scarce-{re.sub('[^0-9a-z]+', '-', f'{wish.scarce:f}')}"
