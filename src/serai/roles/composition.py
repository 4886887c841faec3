"""The list of modules: every context and flow, built and connected by what they offer."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from serai.contexts.audit import module as audit_module
from serai.contexts.billing import module as billing_module
from serai.contexts.catalog import module as catalog_module
from serai.contexts.identity import module as identity_module
from serai.contexts.inventory import module as inventory_module
from serai.contexts.notifications import module as notifications_module
from serai.contexts.orders import module as orders_module
from serai.contexts.payments import module as payments_module
from serai.contexts.privacy import module as privacy_module
from serai.contexts.returns import module as returns_module
from serai.contexts.shipping import module as shipping_module
from serai.contexts.tenancy import module as tenancy_module
from serai.flows import agreement
from serai.flows import cancellation as cancellation_flow
from serai.flows import checkout as checkout_flow
from serai.flows import returns as returns_flow
from serai.flows import signup as signup_flow
from serai.kernel import soundness
from serai.kernel.clock import Clock, SystemClock
from serai.kernel.db import Database
from serai.kernel.migrated import Migrated
from serai.kernel.module import Check, Consumer, Job, Module, Surroundings, Timer
from serai.kernel.seals import building as sealing
from serai.kernel.seals.subjects import Seals
from serai.kernel.tenant import Homes
from serai.kernel.web import Authenticator, Principal
from serai.roles.schemas import SCHEMAS, list_needed
from serai.settings import Settings

KEY_PREFIX: Final = "serai_"
"""How every API key begins; no token of another kind does."""


class Authenticators:
    """`Authenticator` over two: API keys say so by their first letters, all else is a token."""

    def __init__(self, keys: Authenticator, tokens: Authenticator) -> None:
        self._keys = keys
        self._tokens = tokens

    async def authenticate(self, token: str) -> Principal:
        chosen = self._keys if token.startswith(KEY_PREFIX) else self._tokens
        return await chosen.authenticate(token)


@dataclasses.dataclass(frozen=True)
class Composition:
    """The whole house on one database; a role runs the parts that it is for."""

    surroundings: Surroundings
    modules: Sequence[Module]
    tenancy: Any
    """The `Tenancy` that the tenancy context offers."""
    identity: Any
    """The `Identity` that the identity context offers."""
    look_ups: Any
    """The `LookUps` that the payments context offers."""
    audit: Any
    """The `Audit` that the audit context offers."""
    billing: Any
    """The `Billing` that the billing context offers."""
    gate: Any
    """What counts the requests of tenants with a plan; None where there are no plans."""
    seals: Seals
    """What seals personal data."""

    @property
    def database(self) -> Database:
        return self.surroundings.database

    @property
    def homes(self) -> Homes:
        return self.surroundings.homes

    @property
    def clock(self) -> Clock:
        return self.surroundings.clock

    @property
    def authenticator(self) -> Authenticator:
        """Tells who asks: by an API key, or by an access token."""
        return Authenticators(self.tenancy.authenticator, self.identity.authenticator)

    @property
    def routes(self) -> list[Any]:
        return [route for module in self.modules for route in module.routes]

    @property
    def batches(self) -> list[Any]:
        return [batch for module in self.modules for batch in module.batches]

    @property
    def consumers(self) -> list[Consumer]:
        return [consumer for module in self.modules for consumer in module.consumers]

    @property
    def timers(self) -> list[Timer]:
        return [timer for module in self.modules for timer in module.timers]

    @property
    def jobs(self) -> list[Job]:
        return [job for module in self.modules for job in module.jobs]

    async def close(self) -> None:
        """Lets every module give back what it holds outside the database."""
        for module in self.modules:
            if module.close is not None:
                await module.close()
        await self.seals.roots.wrapping.close()

    def checks(self) -> Iterator[tuple[str, Check]]:
        """Each invariant with the name of the module that holds it."""
        for module in self.modules:
            for check in module.checks:
                yield module.name, check


def compose(settings: Settings, database: Database, *, clock: Clock | None = None) -> Composition:
    """Builds every module once; nothing is started and nothing is read."""
    s = Surroundings(
        database=database,
        homes=tenancy_module.build_homes(database),
        clock=clock or SystemClock(),
        settings=settings,
    )
    seals = sealing.build(settings, database)
    database.seals = seals
    database.migrated = Migrated(list_needed)
    tenancy = tenancy_module.build(s)
    gate = billing_module.build_gate(s)
    identity = identity_module.build(
        s, find_tenant=tenancy.offers.find_tenant, find_home=tenancy.offers.access_home,
        pages=tenancy.offers.origins,
        find_unproven_home=tenancy.offers.access_unproven_home,
        find_by_host=tenancy.offers.find_by_host, quotas=gate,
    )  # fmt: skip
    catalog = catalog_module.build(s, quotas=gate)
    inventory = inventory_module.build(s)
    orders = orders_module.build(s, catalog.offers, quotas=gate)
    payments = payments_module.build(s, orders=orders.offers)
    shipping = shipping_module.build(s, orders=orders.offers, owners=orders.offers)
    returns = returns_module.build(s, orders=orders.offers, owners=orders.offers)
    notifications = notifications_module.build(
        s, tokens=identity.offers, pages=tenancy.offers.origins,
        find_by_host=tenancy.offers.find_by_host,
    )  # fmt: skip
    audit = audit_module.build(s)
    billing = billing_module.build(
        s, till=payments.offers, gate=gate, held=(catalog.offers, identity.offers)
    )
    knowing = [
        module.personal
        for module in (identity, orders, notifications)
        if module.personal is not None
    ]
    privacy = privacy_module.build(
        s, people=identity.offers, keys=seals, knowing=knowing,
        of_orders=[
            module.of_orders
            for module in (payments, shipping, returns, notifications)
            if module.of_orders is not None
        ],
    )  # fmt: skip
    contexts = (
        tenancy, identity, catalog, inventory, orders, payments, shipping, returns, notifications,
        audit, billing, privacy,
    )  # fmt: skip
    modules = (*contexts, *_build_flows(s, {module.name: module.offers for module in contexts}))
    consumers = [consumer for module in modules for consumer in module.consumers]
    return Composition(
        s,
        (*modules, soundness.build(consumers)),
        tenancy.offers,
        identity.offers,
        payments.operated,
        audit.operated,
        billing.operated,
        gate,
        seals,
    )


def _build_flows(s: Surroundings, offers: Mapping[str, Any]) -> tuple[Module, ...]:
    """The flows, over what the contexts offer under their names."""
    lead = {name: offers[name] for name in ("orders", "inventory", "payments")}
    shipping = offers["shipping"]
    return (
        checkout_flow.build(s, **lead, shipping=shipping),
        cancellation_flow.build(s, **lead, shipping=shipping),
        returns_flow.build(s, **lead, returns=offers["returns"]),
        signup_flow.build(
            s,
            tenancy=offers["tenancy"].newcomers,
            identity=offers["identity"].owners,
            goods=offers["catalog"],
            receiving=offers["inventory"],
            schemas=SCHEMAS,
        ),
        agreement.build(s, **lead, shipping=shipping, notifications=offers["notifications"]),
    )
