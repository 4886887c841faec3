"""Sign-up: how a shop comes to be without an operator, from the form to its first signed-in owner.

    proving ── the owner has chosen her password ──► open      the tenant is let in, with samples
                                                               if they were asked for
            └─ deadline ─► expired                             swept away, and its name is free

One request makes the tenant and its owner, and mails her the token that every invited member of the
staff gets. The tenant opens nothing before she has used it: no key, no sign-in, no order. So an
address that nobody reads has cost a few rows and one mail, and nobody can trade in another's name.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal
from uuid import UUID, uuid5

import msgspec
from litestar import Request, Response, post
from litestar.openapi import ResponseSpec
from litestar.params import JSONBody

from serai.contexts.catalog.contract import Goods
from serai.contexts.identity.contract import Owners, PasswordChanged
from serai.contexts.inventory.contract import Receiving
from serai.contexts.tenancy.contract import NAME_CHARS_MAX, Newcomers, OpenTenant, TenantView
from serai.flows import samples
from serai.kernel import estate, ids
from serai.kernel.batch import Batch
from serai.kernel.clock import Clock
from serai.kernel.db import Database, Tx
from serai.kernel.events import Cause, Delivery
from serai.kernel.failure import Refused
from serai.kernel.flow import Flow, Instance, Start
from serai.kernel.idempotency import Answer
from serai.kernel.module import Consumer, Job, Module, Surroundings, Timer
from serai.kernel.problems import MEDIA_TYPE, Problem
from serai.kernel.tenant import POOLED, Home
from serai.kernel.text import Email, Line
from serai.kernel.web import OPEN, answer_with, cause_of, claim_of, json_body, send

PROVEN_WITHIN: Final = timedelta(days=7, hours=2)
"""A little longer than the token in the mail is good for, and one that is asked for at its end."""
SWEEP_EVERY: Final = timedelta(minutes=10)
SWEPT_MAX: Final = 20
"""Tenants that one run of the sweeper takes away."""
PASSES_MAX: Final = 30
SIGN_UPS: Final = UUID("5d1f0b52-6f3c-5c5e-9a55-2f1e6c0a7d11")
PLAIN: Final = "proving"
WITH_SAMPLES: Final = "proving_with_samples"
WAITING: Final = (PLAIN, WITH_SAMPLES)
FLOW: Final = Flow("signup", ends=("open", "expired"))


class SignUpClosed(Refused):
    """Tenants are made by hand on this installation."""

    status = 403


class SignUpBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A shop that is wanted, and whose it is to be."""

    name: Annotated[Line, msgspec.Meta(min_length=1, max_length=NAME_CHARS_MAX)]
    email: Email
    sample_data: bool = False


class SignUpView(msgspec.Struct, frozen=True):
    """A shop that waits for its owner to follow the mail."""

    tenant_id: UUID
    name: str
    state: Literal["unproven"]
    prove_by: datetime


class SignUp(msgspec.Struct, frozen=True):
    """Makes a tenant and its owner; the ids were made at the edge."""

    tenant_id: UUID
    owner_id: UUID
    name: str
    email: str
    has_samples: bool
    cause: Cause


class SigningUp:
    """The steps of the flow, each over a batch, each within one transaction."""

    def __init__(
        self, tenancy: Newcomers, identity: Owners, goods: Goods, receiving: Receiving
    ) -> None:
        self._tenancy = tenancy
        self._identity = identity
        self._goods = goods
        self._receiving = receiving

    async def sign_up(
        self, commands: Sequence[SignUp], *, tx: Tx, now: datetime
    ) -> list[SignUpView | Refused]:
        """Makes tenants, their owners and the flows that wait for them; a taken name is refused."""
        made = await self._tenancy.open_tenants(
            [OpenTenant(c.tenant_id, c.name, c.cause) for c in commands], tx=tx, now=now
        )
        fresh = [c for c, one in zip(commands, made, strict=True) if isinstance(one, TenantView)]
        for command in fresh:
            await self._identity.invite_owner(
                command.tenant_id, command.owner_id, command.email, command.cause, tx=tx
            )
        deadline = now + PROVEN_WITHIN
        await FLOW.start(
            [
                Start(c.tenant_id, c.owner_id, WITH_SAMPLES if c.has_samples else PLAIN, deadline)
                for c in fresh
            ],
            tx=tx,
            now=now,
        )
        return [
            one if isinstance(one, Refused) else SignUpView(one.id, one.name, "unproven", deadline)
            for one in made
        ]

    async def on_password_changed(
        self, deliveries: Sequence[Delivery], *, tx: Tx, now: datetime
    ) -> None:
        """The owner has read her mail: the tenant is let in. Of all others it is nothing new."""
        refs = [(d.tenant_id, d.key) for d in deliveries]
        states = await FLOW.find(refs, tx=tx)
        waiting = [ref for ref in refs if states.get(ref[1]) in WAITING]
        moved = await FLOW.move(waiting, states=WAITING, to="open", tx=tx, now=now)
        for delivery in deliveries:
            if delivery.key not in moved:
                continue
            moved.discard(delivery.key)
            tenant_id, cause = delivery.tenant_id, delivery.cause
            await self._tenancy.prove_tenants([tenant_id], cause, tx=tx)
            if states[delivery.key] == WITH_SAMPLES:
                await self._goods.add_products(tenant_id, samples.PRODUCTS, cause, tx=tx, now=now)
                await self._receiving.receive_stock(tenant_id, samples.STOCK, cause, tx=tx, now=now)

    async def ring(self, due: Sequence[Instance], *, tx: Tx, now: datetime) -> None:
        """Nobody has followed the mail: the tenant is given up, and the sweeper takes it away."""
        refs = [(instance.tenant_id, instance.key) for instance in due]
        moved = await FLOW.move(refs, states=WAITING, to="expired", tx=tx, now=now)
        given_up = sorted({tenant for tenant, key in refs if key in moved})
        if given_up:
            await self._tenancy.expire_tenants(given_up, tx=tx)


class Sweeper:
    """Takes away what tenants have that were given up, row by row, and them last; may be killed."""

    def __init__(self, tenancy: Newcomers, schemas: Sequence[str]) -> None:
        self._tenancy = tenancy
        self._schemas = schemas

    async def sweep(self, database: Database, home: Home, _clock: Clock) -> int:
        """How many tenants were taken away."""
        if home != POOLED:
            return 0
        found = await self._tenancy.list_expired(limit=SWEPT_MAX)
        if not found:
            return 0
        tables = await estate.list_tables(database, home, self._schemas)
        erasable = estate.in_order_of_erasure(tables)
        swept = 0
        for tenant_id in found:
            if await _erase(database, home, tenant_id, erasable):
                await self._tenancy.delete_expired(tenant_id)
                swept += 1
        return swept


async def _erase(database: Database, home: Home, tenant_id: UUID, tables: Sequence[str]) -> bool:
    """Whether nothing is left; else it is gone on with at the next run."""
    for _ in range(PASSES_MAX):
        gone = [await estate.erase_table(database, home, tenant_id, table) for table in tables]
        if not any(gone):
            return True
    return False


def build(
    s: Surroundings,
    *,
    tenancy: Newcomers,
    identity: Owners,
    goods: Goods,
    receiving: Receiving,
    schemas: Sequence[str],
) -> Module:
    """Sign-up over the contexts it leads; closed unless the settings open it."""
    flow = SigningUp(tenancy, identity, goods, receiving)
    batch: Batch[Any, Any] = Batch(
        "signup.sign_up", flow.sign_up, _accepted,
        database=s.database, queue_max=s.settings.queue_max,
    )  # fmt: skip
    return Module(
        name="signup",
        routes=_routes(batch, tenancy, identity, is_open=s.settings.sign_up),
        batches=[batch],
        consumers=[Consumer("signup", {PasswordChanged: flow.on_password_changed})],
        timers=[Timer(FLOW.name, flow.ring)],
        jobs=[Job("signup.sweep", SWEEP_EVERY, Sweeper(tenancy, schemas).sweep, chunk=SWEPT_MAX)],
    )


def _accepted(view: SignUpView) -> Answer:
    return answer_with(view, status=202)


def _routes(
    batch: Batch[Any, Any], tenancy: Newcomers, identity: Owners, *, is_open: bool
) -> list[Any]:
    closed = ResponseSpec(
        Problem, description="Forbidden. This installation takes no sign-ups.",
        media_type=MEDIA_TYPE,
    )  # fmt: skip

    @post("/v1/sign-ups", opt={OPEN: "who comes has no shop yet; few may try"},
          dto=json_body(SignUpBody), return_dto=None, status_code=202, tags=["tenancy"],
          responses={202: ResponseSpec(data_container=SignUpView), 403: closed},
          summary="Sign up a shop", security=[])  # fmt: skip
    async def sign_up(
        request: Request[Any, Any, Any], data: JSONBody[SignUpBody]
    ) -> Response[bytes]:
        """Makes a shop and mails its owner, who opens it by choosing her password.

        Until then nothing of it can be used; within seven days, or its name is free again. A name
        that is taken is refused; of addresses nothing can be told. Needs `SERAI_SIGN_UP`.
        """
        if not is_open:
            raise SignUpClosed("this installation makes its tenants by hand; ask its operator")
        tenancy.check_name(data.name)
        claim = claim_of(request, await request.body())
        assert claim is not None, "it is required"
        address = None if request.client is None else request.client.host
        await identity.admit(email=data.email, address=address)
        # The same request finds the same tenant, and with it the answer that was kept for its key.
        # No other address can come upon it by a key that two have chosen alike.
        tenant_id = uuid5(SIGN_UPS, f"{data.email.casefold()}\0{claim.key}")
        command = SignUp(
            tenant_id, ids.new_id(), data.name, data.email, data.sample_data, cause_of(request)
        )
        return send(await batch.submit(command, home=POOLED, claim=claim))

    return [sign_up]
