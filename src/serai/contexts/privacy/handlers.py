"""What privacy does: tells a person everything, erases her, keeps her word, and applies rules."""

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from serai.contexts.identity.contract import People
from serai.contexts.privacy import model
from serai.contexts.privacy.contract import (
    CONSENTS_TOLD_MAX,
    EXPORT_FACTS_MAX,
    ConsentView,
    ErasureView,
    PersonExport,
    PersonUnnamed,
    RetentionRuleView,
    UnknownRule,
)
from serai.contexts.privacy.model import Erasure
from serai.contexts.privacy.ports import Keys, Records
from serai.kernel import ids
from serai.kernel.changes import describe
from serai.kernel.clock import Clock
from serai.kernel.db import Database, Tx
from serai.kernel.events import Cause
from serai.kernel.failure import NotFound
from serai.kernel.person import FIRST, OfOrders, Personal, Somebody, Step
from serai.kernel.tenant import Home, Homes

CONSENTS: Final = "privacy"
"""What consents are called in an export and on a certificate."""
TENANTS_MAX: Final = 200
"""Tenants that one transaction looks at."""
SEAL_CHUNK: Final = 500
"""Rows that one transaction seals."""
ORDERS_MAX: Final = 500
"""Orders of a person that one statement tells of."""
RUNNING_MAX: Final = 50
"""Erasures that one round of the job goes on with."""


@dataclasses.dataclass(frozen=True)
class Counter:
    """What every handler of privacy works with."""

    database: Database
    people: People
    records: Records
    keys: Keys
    knowing: Sequence[Personal]
    """The contexts that know something about people."""
    of_orders: Sequence[OfOrders]
    """Those that know something about their orders."""

    @property
    def defaults(self) -> dict[str, int]:
        """Every retention rule, with its days where a tenant says nothing."""
        return {name: days for one in self.knowing for name, days in one.rules.items()}


async def find_person(
    tenant_id: UUID, *, customer_id: UUID | None, email: str | None, counter: Counter, tx: Tx
) -> Somebody:
    """Whom a member of the staff means: a customer, or whoever bought under an address."""
    if email is not None and customer_id is None:
        return await counter.people.find_by_email(tenant_id, email, tx=tx)
    if customer_id is None or email is not None:
        raise PersonUnnamed("name `customer_id` or `email`, and not both")
    found = await counter.people.find_by_account(tenant_id, customer_id, tx=tx)
    if found is None:
        raise NotFound("no customer has this id")
    return found


async def export_person(
    who: Somebody, *, cause: Cause, counter: Counter, home: Home
) -> PersonExport:
    """Everything about a person, read a chunk a transaction; that it was told is recorded."""
    told: dict[str, list[dict[str, Any]]] = {}
    left = EXPORT_FACTS_MAX
    for one in counter.knowing:
        facts = told[one.holds] = []
        after: UUID | None = FIRST
        while after is not None and left > 0:
            async with counter.database.transaction(home, (who.tenant_id,)) as tx:
                part = await one.tell(who, after=after, tx=tx)
            facts += part.facts[:left]
            left -= len(part.facts)
            after = part.after
    hers = [fact["id"] for facts in told.values() for fact in facts if fact["what"] == "order"]
    for other in counter.of_orders:
        facts = told.setdefault(other.holds, [])
        known = {fact["id"] for fact in facts}
        for start in range(0, len(hers), ORDERS_MAX):
            async with counter.database.transaction(home, (who.tenant_id,)) as tx:
                some = hers[start : start + ORDERS_MAX]
                of_orders = await other.tell_of(who.tenant_id, some, tx=tx)
            facts += [fact for fact in of_orders if fact.get("id") not in known]
    async with counter.database.transaction(home, (who.tenant_id,)) as tx:
        consents = await counter.records.list_consents(
            who.tenant_id, who.subject, limit=CONSENTS_TOLD_MAX, tx=tx
        )
        told[CONSENTS] = [
            {"what": "consent", "purpose": c.purpose, "text_version": c.text_version,
             "is_given": c.is_given, "how": c.how, "at": c.at}
            for c in consents
        ]  # fmt: skip
        change = describe("privacy.person_exported", ("person", who.subject), cause)
        tx.record(who.tenant_id, change)
        return PersonExport(tx.now, who.subject, left > 0, told)


async def erase_person(who: Somebody, *, cause: Cause, counter: Counter, home: Home) -> ErasureView:
    """Erases her key at once, and what rows hold a chunk of each context now, the rest by a job."""
    async with counter.database.transaction(home, (who.tenant_id,)) as tx:
        erasure = await _begin(who, cause=cause, counter=counter, tx=tx)
    if who.account_id is not None:
        await counter.people.spread(who.account_id, home=home)
    return erasure.view()


async def erase_staff(
    tenant_id: UUID, account_id: UUID, *, held: frozenset[str], cause: Cause, counter: Counter,
    home: Home,
) -> ErasureView:  # fmt: skip
    """The same for a member of the staff. What she did stays in the audit trail, by her id."""
    async with counter.database.transaction(home, (tenant_id,)) as tx:
        who = await counter.people.let_go(tenant_id, account_id, held=held, tx=tx)
        erasure = await _begin(who, cause=cause, counter=counter, tx=tx)
    await counter.people.spread(account_id, home=home)
    return erasure.view()


async def _begin(who: Somebody, *, cause: Cause, counter: Counter, tx: Tx) -> Erasure:
    begun = Erasure(
        who.tenant_id, ids.new_id(), who.subject, who.account_id, tx.now, cause.actor.kind, 0,
        model.begin([one.holds for one in counter.knowing]), {},
    )  # fmt: skip
    await counter.records.insert_erasure(begun, tx=tx)
    erasure = await _go_on(begun, counter=counter, tx=tx)
    kept = {"keys_erased": erasure.keys_erased, "account_id": who.account_id}
    change = describe("privacy.person_erased", ("erasure", erasure.id), cause, after=kept)
    tx.record(who.tenant_id, change)
    return erasure


async def _go_on(erasure: Erasure, *, counter: Counter, tx: Tx) -> Erasure:
    """One step of every context that has something left.

    The key goes once more with each: an order that was placed meanwhile has given her a new one.
    """
    who = Somebody(erasure.tenant_id, erasure.subject, erasure.account_id)
    steps = {
        one.holds: await one.erase(who, after=erasure.places[one.holds], tx=tx)
        for one in counter.knowing
        if one.holds in erasure.places
    }
    hers = [order for step in steps.values() for order in step.orders]
    for other in counter.of_orders if hers else ():
        step = steps.get(other.holds, Step(0, None))
        count = await other.erase_of(who.tenant_id, hers, tx=tx)
        steps[other.holds] = Step(step.count + count, step.after)
    count = await counter.records.empty_consents(who.tenant_id, who.subject, tx=tx)
    steps[CONSENTS] = Step(count, None)
    gone = await counter.keys.erase(erasure.tenant_id, [erasure.subject], tx=tx)
    after = model.advance(erasure, steps, keys_erased=gone, now=tx.now)
    await counter.records.update_erasure(after, tx=tx)
    return after


async def go_on_erasing(
    database: Database, home: Home, clock: Clock, *, homes: Homes, counter: Counter
) -> int:
    """Another step of the erasures of a home that are not done; how many there were."""
    del clock
    count = 0
    tenants = sorted(await homes.tenants_of(home))
    for start in range(0, len(tenants), TENANTS_MAX):
        some = tenants[start : start + TENANTS_MAX]
        async with database.transaction(home, some, is_read_only=True) as tx:
            running = await counter.records.list_running(some, limit=RUNNING_MAX, tx=tx)
        for tenant_id, erasure_id in running:
            async with database.transaction(home, (tenant_id,)) as tx:
                erasure = await counter.records.lock_erasure(tenant_id, erasure_id, tx=tx)
                if erasure is not None:
                    await _go_on(erasure, counter=counter, tx=tx)
        count += len(running)
    return count


async def find_erasure(
    tenant_id: UUID, erasure_id: UUID, *, counter: Counter, home: Home
) -> ErasureView:
    """How far an erasure is, and at its end its certificate."""
    async with counter.database.transaction(home, (tenant_id,), is_read_only=True) as tx:
        found = await counter.records.find_erasure(tenant_id, erasure_id, tx=tx)
    if found is None:
        raise NotFound("no erasure has this id")
    return found.view()


async def note_consent(
    who: Somebody, consent: ConsentView, *, cause: Cause, counter: Counter, home: Home
) -> None:
    """Writes down what she has agreed to, or taken back; nothing that was said is changed."""
    async with counter.database.transaction(home, (who.tenant_id,)) as tx:
        await counter.records.insert_consent(who.tenant_id, who.subject, consent, tx=tx)
        said = {
            "purpose": consent.purpose, "text_version": consent.text_version,
            "is_given": consent.is_given,
        }  # fmt: skip
        change = describe("privacy.consent_noted", ("consent", consent.id), cause, after=said)
        tx.record(who.tenant_id, change)


async def list_rules(tenant_id: UUID, *, counter: Counter, home: Home) -> list[RetentionRuleView]:
    """Every retention rule, as it holds for a tenant."""
    async with counter.database.transaction(home, (tenant_id,), is_read_only=True) as tx:
        known = await counter.records.list_rules([tenant_id], tx=tx)
    own = {name: days for (_, name), (days, _) in known.items()}
    return model.view_rules(counter.defaults, own)


async def save_rule(
    tenant_id: UUID, name: str, days: int | None, *, cause: Cause, counter: Counter, home: Home
) -> RetentionRuleView:
    """For how long something is kept from now on; what is older goes with the next round."""
    if name not in counter.defaults:
        known = ", ".join(sorted(counter.defaults))
        raise UnknownRule(f"there are these retention rules: {known}")
    async with counter.database.transaction(home, (tenant_id,)) as tx:
        was = (await counter.records.list_rules([tenant_id], tx=tx)).get((tenant_id, name))
        await counter.records.save_rule(tenant_id, name, days, tx=tx)
        change = describe(
            "privacy.retention_changed", ("retention_rule", name), cause,
            before={"days": None if was is None else was[0]}, after={"days": days},
        )  # fmt: skip
        tx.record(tenant_id, change)
    (view,) = model.view_rules({name: counter.defaults[name]}, {name: days})
    return view


async def apply_rules(
    database: Database, home: Home, clock: Clock, *, homes: Homes, counter: Counter
) -> int:
    """One chunk of every tenant's every rule; the most rows that one of them looked at took."""
    most = 0
    tenants = sorted(await homes.tenants_of(home))
    for start in range(0, len(tenants), TENANTS_MAX):
        some = tenants[start : start + TENANTS_MAX]
        async with database.transaction(home, some, is_read_only=True) as tx:
            known = await counter.records.list_rules(some, tx=tx)
        for tenant_id in some:
            async with database.transaction(home, (tenant_id,)) as tx:
                most = max(
                    most, await _apply(tenant_id, known, counter=counter, clock=clock, tx=tx)
                )
    return most


async def _apply(
    tenant_id: UUID, known: Mapping[tuple[UUID, str], tuple[int | None, UUID]], *,
    counter: Counter, clock: Clock, tx: Tx,
) -> int:  # fmt: skip
    moved = 0
    for one in counter.knowing:
        for name, default in one.rules.items():
            days, place = known.get((tenant_id, name), (None, FIRST))
            before = clock.now() - timedelta(days=days or default)
            step = await one.expire(tenant_id, name, before=before, after=place, tx=tx)
            if step.after is not None:
                await counter.records.move_rule(tenant_id, name, step.after, tx=tx)
                moved += 1
    return moved


async def seal_clear(
    database: Database, home: Home, clock: Clock, *, homes: Homes, counter: Counter
) -> int:
    """Seals a chunk of what was written before it rested sealed; how many rows at most at once."""
    del clock
    most = 0
    tenants = sorted(await homes.tenants_of(home))
    for start in range(0, len(tenants), TENANTS_MAX):
        some = tenants[start : start + TENANTS_MAX]
        for one in counter.knowing:
            async with database.transaction(home, some) as tx:
                most = max(most, await one.seal_clear(some, limit=SEAL_CHUNK, tx=tx))
    return most
