"""Wiring of returns."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from serai.contexts.orders.contract import OrderOwners, Orders
from serai.contexts.returns import handlers, routes
from serai.contexts.returns.contract import ReturnRef
from serai.contexts.returns.model import Return
from serai.contexts.returns.store import PostgresReturns, ReturnsOfOrders
from serai.kernel.batch import Batch
from serai.kernel.db import Tx
from serai.kernel.idempotency import Answer
from serai.kernel.module import Check, Finding, Module, Surroundings
from serai.kernel.web import answer_with

FINDINGS_MAX = 100
SETTLED_WITHIN = timedelta(hours=1)
"""How long a return may wait for its refund, or for word that there is none."""


class Offers:
    """The contract's Protocol Returns."""

    def __init__(self, returns: PostgresReturns) -> None:
        self._returns = returns

    async def settle_returns(self, refs: Sequence[ReturnRef], *, tx: Tx, now: datetime) -> None:
        await handlers.settle_returns(refs, tx=tx, now=now, returns=self._returns)

    async def fail_returns(self, refs: Sequence[ReturnRef], *, tx: Tx, now: datetime) -> None:
        await handlers.fail_returns(refs, tx=tx, now=now, returns=self._returns)


def build(s: Surroundings, *, orders: Orders, owners: OrderOwners) -> Module:
    """Returns over PostgreSQL."""
    returns = PostgresReturns()
    world: dict[str, Any] = {"returns": returns, "orders": orders}
    make = partial(Batch, database=s.database, queue_max=s.settings.queue_max)
    accept: Batch[Any, Any] = make(
        "returns.accept_returns",
        partial(handlers.accept_returns, **world),
        _accepted,
        weigh=lambda command: len(command.lines),
    )
    ask: Batch[Any, Any] = make(
        "returns.ask_for_returns",
        partial(handlers.ask_for_returns, **world),
        _accepted,
        weigh=lambda command: len(command.lines),
    )
    decide: Batch[Any, Any] = make(
        "returns.decide_returns", partial(handlers.decide_returns, **world), _decided
    )
    return Module(
        name="returns",
        routes=[
            *routes.writing_routes(accept, ask, decide),
            *routes.reading_routes(s.database, returns, owners),
        ],
        batches=[accept, ask, decide],
        checks=[
            Check(
                "returns.sums",
                "The lines of every return sum to what is refunded for it.",
                partial(_check_sums, returns),
            ),
            Check(
                "returns.settled",
                "No return waits for its refund for longer than an hour.",
                partial(_check_settled, returns),
            ),
        ],
        of_orders=ReturnsOfOrders(),
        offers=Offers(returns),
    )


def _accepted(accepted: Return) -> Answer:
    return answer_with(routes.view_of(accepted), status=201, location=f"/v1/returns/{accepted.id}")


def _decided(decided: Return) -> Answer:
    return answer_with(routes.view_of(decided), location=f"/v1/returns/{decided.id}")


async def _check_sums(returns: PostgresReturns, tx: Tx, tenant_id: UUID) -> list[Finding]:
    return [
        Finding("returns.sums", f"id={id_}, refund_minor={refund}, lines_minor={lines}")
        for id_, refund, lines in await returns.check_sums(tenant_id, FINDINGS_MAX, tx=tx)
    ]


async def _check_settled(returns: PostgresReturns, tx: Tx, tenant_id: UUID) -> list[Finding]:
    late = tx.now - SETTLED_WITHIN
    return [
        Finding("returns.settled", f"id={id_}, created_at={created_at}")
        for id_, created_at in await returns.check_settled(tenant_id, late, FINDINGS_MAX, tx=tx)
    ]
