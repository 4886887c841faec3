"""Money of invoices at a provider that times out, is down, or outlives us: taken or owed once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import pytest

from serai.contexts.billing.model import ATTEMPTS_MAX, RETRY_DECLINED, RETRY_UNKNOWN
from serai.contexts.billing.store import PostgresBooks
from serai.contexts.payments.contract import Bill, BillAnswer
from serai.contexts.payments.gateways import sandbox_cards as cards
from serai.contexts.payments.gateways.sandbox_wire import BookLine, BookPage
from serai.contexts.payments.module import Offers
from serai.contexts.tenancy.contract import SCOPES
from serai.kernel.db import Database
from serai.kernel.tenant import POOLED
from serai.roles.api import build_app
from tests.integration.house import House
from tests.ports.payment_settings import SandboxProcess

PLANS: Final = b'[{"name": "dear", "currency": "USD", "monthly_minor": 9100}]'
TOTAL: Final = 6067
"""Twenty days of thirty, by the running sum."""
LATE_S: Final = 0.3
PATIENCE_S: Final = 0.5


class Office:
    """A tenant with one invoice, and the provider that is asked for its money."""

    def __init__(self, house: House, http: httpx.AsyncClient, key: str, url: str) -> None:
        self.house = house
        self.http = http
        self.url = url
        self.headers = {"authorization": f"Bearer {key}"}

    async def put_card(self, card: str) -> None:
        answer = await self.http.put("/v1/billing/card", json={"card": card}, headers=self.headers)
        assert answer.status_code == 204, answer.text

    async def run(self, name: str) -> int:
        (job,) = [job for job in self.house.composition.jobs if job.name == name]
        return await job.run(self.house.database, POOLED, self.house.clock)

    async def collect(self, *, after: timedelta = timedelta(0)) -> dict[str, Any]:
        """What the invoice is after the job has run once more, some time later."""
        self.house.clock.advance(after)
        await self.run("billing.collect")
        return await self.invoice()

    async def invoice(self) -> dict[str, Any]:
        answer = await self.http.get("/v1/billing/invoices", headers=self.headers)
        found: dict[str, Any]
        [found] = answer.json()["items"]
        return found

    async def charges(self) -> list[BookLine]:
        """What the provider's book holds of the invoice."""
        async with httpx.AsyncClient(base_url=self.url, trust_env=False) as client:
            answer = await client.get("/v1/book", params={"limit": 500})
        page = msgspec.json.decode(answer.content, type=BookPage)
        assert page.next_after is None
        own = (await self.invoice())["id"]
        return [line for line in page.charges if line.reference == own]

    async def captured(self) -> list[int]:
        """The charges that took money."""
        return [line.captured_minor for line in await self.charges() if line.captured_minor]


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """The address of a provider that withholds answers for longer than we wait."""
    server = SandboxProcess("--timeout-hold-s", "20", "--late-delay-s", str(LATE_S))
    server.start()
    yield server.url
    server.kill()


@pytest.fixture
async def office(database: Database, tmp_path: Path, provider: str) -> AsyncIterator[Office]:
    plans = tmp_path / "plans.json"
    plans.write_bytes(PLANS)
    house = House(
        database,
        tmp_path,
        plans=str(plans),
        payment_provider=provider,
        payment_timeout_s=PATIENCE_S,
    )
    house.clock.advance(datetime(2026, 11, 11, 12, tzinfo=UTC) - house.clock.now())
    await house.open()
    key = await house.composition.tenancy.create_key(house.tenant, label="", scopes=SCOPES)
    await house.composition.billing.assign_plan(house.tenant, POOLED, plan="dear", zone=None)
    house.clock.advance(datetime(2026, 12, 2, tzinfo=UTC) - house.clock.now())
    app: Any = build_app(house.composition.surroundings.settings, house.composition)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://office.test") as http:
        office = Office(house, http, key.key, provider)
        await office.run("billing.close")
        assert (await office.invoice())["total_minor"] == TOTAL
        yield office
    await house.composition.close()


async def test_a_time_out_that_took_the_money_takes_it_once(office: Office) -> None:
    await office.put_card(cards.SILENT_APPROVED)
    told = await office.collect()
    assert (told["status"], told["reason"]) == ("open", "timeout")
    assert await office.captured() == [TOTAL]
    # Nobody asks before it is time, and then by the same key.
    told = await office.collect(after=RETRY_UNKNOWN - timedelta(seconds=1))
    assert told["status"] == "open"
    told = await office.collect(after=timedelta(seconds=1))
    assert (told["status"], told["reason"]) == ("paid", None)
    assert [line.captured_minor for line in await office.charges()] == [TOTAL]


async def test_a_time_out_that_took_nothing_leaves_one_invoice_open(office: Office) -> None:
    await office.put_card(cards.SILENT_DECLINED)
    assert (await office.collect())["reason"] == "timeout"
    told = await office.collect(after=RETRY_UNKNOWN)
    assert (told["status"], told["reason"]) == ("open", "processing_error")
    assert await office.captured() == []
    told = await office.collect(after=RETRY_DECLINED - timedelta(seconds=1))
    assert len(await office.charges()) == 1
    # Every further attempt times out and turns out to have been declined; then it is given up.
    for _ in range(ATTEMPTS_MAX - 1):
        assert (await office.collect(after=RETRY_DECLINED))["status"] == "open"
        told = await office.collect(after=RETRY_UNKNOWN)
    assert told["status"] == "unpaid"
    assert len(await office.charges()) == ATTEMPTS_MAX
    await office.put_card(cards.APPROVED)
    assert (await office.collect())["status"] == "paid"
    assert await office.captured() == [TOTAL]


@pytest.mark.parametrize(
    ("card", "first", "then", "taken"),
    [
        (cards.LATE_APPROVED, "pending", ("paid", None), [TOTAL]),
        (cards.LATE_DECLINED, "pending", ("open", "do_not_honour"), []),
        (cards.DOWN_LONG, "unavailable", ("paid", None), [TOTAL]),
    ],
)
async def test_what_the_provider_says_later_counts(
    office: Office, card: str, first: str, then: tuple[str, str | None], taken: list[int]
) -> None:
    await office.put_card(card)
    told = await office.collect()
    assert (told["status"], told["reason"]) == ("open", first)
    await asyncio.sleep(2 * LATE_S)
    told = await office.collect(after=RETRY_UNKNOWN)
    assert (told["status"], told["reason"]) == then
    assert await office.captured() == taken


async def test_another_card_while_an_answer_is_out_pays_nothing_twice(office: Office) -> None:
    await office.put_card(cards.SILENT_APPROVED)
    assert (await office.collect())["reason"] == "timeout"
    await office.put_card(cards.APPROVED)
    told = await office.collect()
    assert (told["status"], told["reason"]) == ("paid", None)
    assert await office.captured() == [TOTAL]


async def test_another_card_after_an_answer_that_took_nothing_is_asked_next(
    office: Office,
) -> None:
    await office.put_card(cards.SILENT_DECLINED)
    assert (await office.collect())["reason"] == "timeout"
    await office.put_card(cards.APPROVED)
    assert (await office.collect())["reason"] == "processing_error"
    assert (await office.collect(after=RETRY_DECLINED))["status"] == "paid"
    assert await office.captured() == [TOTAL]


class Killed(BaseException):
    """What ends the process at a point of our choosing; nothing of ours catches it."""


async def _before_it_is_asked(_self: Offers, _bills: list[Bill]) -> list[BillAnswer]:
    raise Killed


async def _after_it_was_asked(self: Offers, bills: list[Bill]) -> list[BillAnswer]:
    await CHARGE(self, bills)
    raise Killed


CHARGE: Final = Offers.charge_bills
UPDATE: Final = PostgresBooks.update_invoice


@pytest.mark.parametrize("ask", [_before_it_is_asked, _after_it_was_asked])
@pytest.mark.parametrize("card", [cards.APPROVED, cards.SILENT_APPROVED])
async def test_a_crash_around_the_question_charges_once(
    office: Office,
    monkeypatch: pytest.MonkeyPatch,
    ask: Callable[[Offers, list[Bill]], Awaitable[list[BillAnswer]]],
    card: str,
) -> None:
    await office.put_card(card)
    monkeypatch.setattr(Offers, "charge_bills", ask)
    with pytest.raises(Killed):
        await office.run("billing.collect")
    monkeypatch.setattr(Offers, "charge_bills", CHARGE)
    assert (await office.invoice())["status"] == "open"
    # Whoever comes meanwhile leaves it alone: it may be asked for now.
    assert (await office.collect())["status"] == "open"
    await office.collect(after=RETRY_UNKNOWN)
    assert (await office.collect(after=RETRY_UNKNOWN))["status"] == "paid"
    assert [line.captured_minor for line in await office.charges()] == [TOTAL]


async def test_a_crash_while_the_answer_is_written_down_charges_once(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []

    async def update(self: PostgresBooks, invoice: Any, *, tx: Any) -> None:
        await UPDATE(self, invoice, tx=tx)
        written.append(invoice.status)
        if invoice.status == "paid":
            raise Killed

    await office.put_card(cards.APPROVED)
    monkeypatch.setattr(PostgresBooks, "update_invoice", update)
    with pytest.raises(Killed):
        await office.run("billing.collect")
    assert written == ["open", "paid"]
    monkeypatch.setattr(PostgresBooks, "update_invoice", UPDATE)
    assert (await office.invoice())["status"] == "open"
    assert (await office.collect(after=RETRY_UNKNOWN))["status"] == "paid"
    assert [line.captured_minor for line in await office.charges()] == [TOTAL]
