"""What all handlers of identity share: the narrow door, and who is told of a change where."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pyotp
import pytest

from serai.contexts.identity.handlers.desk import AT_ONCE_MAX, Desk, Turnstile
from serai.contexts.identity.model import factors
from serai.contexts.identity.model.factors import STEP_S, Factor
from serai.contexts.identity.ports import ACCOUNT, TENANT
from serai.kernel.failure import Unavailable
from serai.kernel.tenant import POOLED, Home

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
WHO = UUID(int=7)
SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"


class Heard:
    """A database, sessions and a memory that only note what they are told."""

    def __init__(self) -> None:
        self.notes: list[tuple[object, ...]] = []

    @contextlib.asynccontextmanager
    async def transaction(self, home: Home, tenants: tuple[UUID, ...]) -> AsyncIterator[Home]:
        assert tenants == ()
        yield home

    async def tell(self, what: str, of: UUID, *, tx: Home) -> None:
        self.notes.append(("told in", tx.database, what, of))

    def forget(self, account_id: UUID) -> None:
        self.notes.append(("forgotten", account_id))

    def forget_tenant(self, tenant_id: UUID) -> None:
        self.notes.append(("forgotten tenant", tenant_id))


def desk_of(heard: Heard) -> Desk:
    stub: Any = heard
    return Desk(
        database=stub, accounts=stub, sessions=stub, throttles=stub, roles=stub, factors=stub,
        passkeys=stub, ceremonies=stub, providers=stub, relying=stub, pages=stub, hashing=stub,
        signing=stub, mail_key=stub, seals=stub, told=stub, issuer="serai",
        logins_per_address=1,
    )  # fmt: skip


async def test_a_change_in_another_database_is_told_where_processes_listen() -> None:
    heard = Heard()
    await desk_of(heard).spread(ACCOUNT, WHO, home=POOLED)
    await desk_of(heard).spread(TENANT, WHO, home=Home("schema", "main", "t_"))
    assert heard.notes == [("forgotten", WHO), ("forgotten tenant", WHO)]
    heard.notes.clear()
    await desk_of(heard).spread(ACCOUNT, WHO, home=Home("far", "elsewhere"))
    assert heard.notes == [("forgotten", WHO), ("told in", "main", ACCOUNT, WHO)]


async def test_few_pass_the_door_at_once_and_few_wait() -> None:
    door, inside, most = Turnstile(waiting=5), 0, 0
    gate = asyncio.Event()

    async def go_through() -> None:
        nonlocal inside, most
        async with door.pass_through():
            inside += 1
            most = max(most, inside)
            await gate.wait()
            inside -= 1

    tasks = [asyncio.create_task(go_through()) for _ in range(AT_ONCE_MAX + 5)]
    for _ in range(5):
        await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await go_through()
    tasks[-1].cancel()  # who hangs up makes room
    await asyncio.sleep(0)
    extra = asyncio.create_task(go_through())
    gate.set()
    await asyncio.gather(*tasks[:-1], extra)
    assert most == AT_ONCE_MAX


def code_at(when: datetime) -> str:
    return pyotp.TOTP(SECRET).generate_otp(int(when.timestamp()) // STEP_S)


def test_a_code_of_an_authenticator_is_good_for_its_step_and_once() -> None:
    factor = Factor(WHO, "", 0, (), NOW)
    for steps, is_good in ((-2, False), (-1, True), (0, True), (1, True), (2, False)):
        code = code_at(NOW + timedelta(seconds=steps * STEP_S))
        used = factors.use(factor, SECRET, code, now=NOW)
        assert (used is not None) is is_good
        if used is not None:
            assert factors.use(used, SECRET, code, now=NOW) is None
            earlier = code_at(NOW + timedelta(seconds=(steps - 1) * STEP_S))
            assert factors.use(used, SECRET, earlier, now=NOW) is None
    assert factors.use(factor, SECRET, "é12345", now=NOW) is None


def test_the_vectors_of_rfc_6238_hold() -> None:
    # Appendix B gives eight digits; the last six are what an authenticator of six shows.
    for seconds, code in ((59, "287082"), (1111111109, "081804"), (1234567890, "005924")):
        at = datetime.fromtimestamp(seconds, UTC)
        assert factors.use(Factor(WHO, "", -1, (), NOW), SECRET, code, now=at) is not None


def test_a_spare_code_is_good_once_however_it_is_written() -> None:
    factor = factors.confirm(Factor(WHO, "", 0, (), None), ["ABCD-EFGH", "QRST-UVWX"], now=NOW)
    used = factors.use(factor, SECRET, "abcd efgh", now=NOW)
    assert used is not None
    assert used.spares == (factors.digest_of("QRSTUVWX"),)
    assert factors.use(used, SECRET, "ABCD-EFGH", now=NOW) is None
