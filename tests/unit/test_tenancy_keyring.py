import asyncio
import timeit
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import pytest

from serai.contexts.tenancy import model
from serai.contexts.tenancy.gateways import keyring as keyring_module
from serai.contexts.tenancy.gateways.keyring import REFRESH_S, VALID_S, Keyring
from serai.contexts.tenancy.model import KeyAddress, KeyRecord
from serai.kernel import ids
from serai.kernel.failure import Unavailable
from serai.kernel.tenant import POOLED
from serai.kernel.web import Proof, Unauthenticated

COST_MAX_S = 5e-6
"""What recognising a known key may cost; measured as the best of several rounds."""


class Shelf:
    """Keys in memory, as the database would tell of them; counts how often it was asked."""

    def __init__(self) -> None:
        self.records: dict[KeyAddress, KeyRecord] = {}
        self.asked = 0
        self.at_once = 0
        self.at_once_most = 0
        self.gate: asyncio.Event | None = None
        self.failure: Exception | None = None

    def add(self) -> str:
        tenant_id, key_id = ids.new_id(), ids.new_id()
        text = model.write_key(tenant_id, key_id, f"{len(self.records):043d}")
        digest = model.digest_of(text)
        record = KeyRecord(tenant_id, key_id, POOLED, digest, frozenset({"orders:read"}), None)
        self.records[KeyAddress(tenant_id, key_id)] = record
        return text

    def revoke(self, text: str) -> KeyAddress:
        address = model.address_of(text)
        assert address is not None
        old = self.records[address]
        self.records[address] = KeyRecord(
            old.tenant_id,
            old.key_id,
            old.home,
            old.digest,
            old.scopes,
            datetime(2026, 1, 1, tzinfo=UTC),
        )
        return address

    async def look_up(self, address: KeyAddress) -> KeyRecord | None:
        self.asked += 1
        self.at_once += 1
        self.at_once_most = max(self.at_once_most, self.at_once)
        found = self.records.get(address)
        try:
            await asyncio.sleep(0)
            if self.gate is not None:
                await self.gate.wait()
            if self.failure is not None:
                raise self.failure
        finally:
            self.at_once -= 1
        return found


class Hand:
    """A clock's hand, moved by the test."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
def keyring(shelf: Shelf, hand: Hand) -> Keyring:
    return Keyring(shelf.look_up, unproved, now=hand)


def unproved(record: KeyRecord) -> Proof | None:
    assert record.signer is None, "these keys are let in without"
    return None


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_valid_key_tells_whose_it_is(keyring: Keyring, shelf: Shelf) -> None:
    text = shelf.add()
    address = model.address_of(text)
    assert address is not None
    principal = await keyring.authenticate(text)
    assert principal.tenant_id == address.tenant_id
    assert principal.actor.id == address.key_id
    assert principal.home == POOLED
    assert principal.scopes == {"orders:read"}


async def test_a_thousand_first_requests_share_one_look_up(keyring: Keyring, shelf: Shelf) -> None:
    text = shelf.add()
    principals = await asyncio.gather(*(keyring.authenticate(text) for _ in range(1000)))
    assert shelf.asked == 1
    assert len({id(p) for p in principals}) == 1


async def test_one_that_gives_up_waiting_does_not_stop_the_others(
    keyring: Keyring, shelf: Shelf
) -> None:
    text = shelf.add()
    shelf.gate = asyncio.Event()
    first = asyncio.create_task(keyring.authenticate(text))
    second = asyncio.create_task(keyring.authenticate(text))
    await settle()
    first.cancel()
    await settle()
    shelf.gate.set()
    assert (await second).scopes == {"orders:read"}
    assert shelf.asked == 1


async def test_a_known_key_costs_no_look_up_until_it_is_read_anew(
    keyring: Keyring, shelf: Shelf, hand: Hand
) -> None:
    text = shelf.add()
    await keyring.authenticate(text)
    hand.now += REFRESH_S - 0.01
    await keyring.authenticate(text)
    assert shelf.asked == 1


async def test_a_key_in_use_is_read_anew_without_anybody_waiting(
    keyring: Keyring, shelf: Shelf, hand: Hand
) -> None:
    text = shelf.add()
    await keyring.authenticate(text)
    hand.now += REFRESH_S
    shelf.gate = asyncio.Event()
    await asyncio.gather(*(keyring.authenticate(text) for _ in range(100)))
    await settle()
    assert shelf.asked == 2
    shelf.gate.set()
    await settle()
    hand.now += VALID_S - REFRESH_S
    await keyring.authenticate(text)
    await settle()
    assert shelf.asked == 3, "what was read anew holds from then on, and is read anew in its turn"


async def test_a_key_that_another_process_revoked_ends_in_time(
    keyring: Keyring, shelf: Shelf, hand: Hand
) -> None:
    text = shelf.add()
    await keyring.authenticate(text)
    shelf.revoke(text)
    hand.now += VALID_S
    with pytest.raises(Unauthenticated):
        await keyring.authenticate(text)


async def test_a_key_that_was_revoked_here_ends_at_once(keyring: Keyring, shelf: Shelf) -> None:
    text, other = shelf.add(), shelf.add()
    await keyring.authenticate(text)
    await keyring.authenticate(other)
    keyring.forget(shelf.revoke(text).key_id)
    with pytest.raises(Unauthenticated):
        await keyring.authenticate(text)
    asked = shelf.asked
    await keyring.authenticate(other)
    assert shelf.asked == asked, "other keys stay known"


async def test_a_look_up_that_was_on_its_way_while_a_key_was_revoked_is_not_remembered(
    keyring: Keyring, shelf: Shelf
) -> None:
    text = shelf.add()
    shelf.gate = asyncio.Event()
    early = asyncio.create_task(keyring.authenticate(text))
    await settle()
    keyring.forget(shelf.revoke(text).key_id)
    late = asyncio.create_task(keyring.authenticate(text))
    await settle()
    shelf.gate.set()
    assert (await early).scopes == {"orders:read"}, "it asked before the key was revoked"
    with pytest.raises(Unauthenticated):
        await late
    with pytest.raises(Unauthenticated):
        await keyring.authenticate(text)


@pytest.mark.parametrize("text", ["", "x", "serai_a_b_c", "é" * 200, "\ud800"[:0] + "serai_" * 40])
async def test_what_cannot_be_a_key_is_refused_without_a_look_up(
    keyring: Keyring, shelf: Shelf, text: str
) -> None:
    with pytest.raises(Unauthenticated):
        await keyring.authenticate(text)
    assert shelf.asked == 0


async def test_an_unknown_key_is_remembered_too_and_forgotten_in_time(
    keyring: Keyring, shelf: Shelf, hand: Hand
) -> None:
    text = model.write_key(ids.new_id(), ids.new_id(), "n" * 43)
    for _ in range(3):
        with pytest.raises(Unauthenticated):
            await keyring.authenticate(text)
    assert shelf.asked == 1
    hand.now += VALID_S
    with pytest.raises(Unauthenticated):
        await keyring.authenticate(text)
    assert shelf.asked == 2


async def test_the_right_address_with_another_secret_is_refused(
    keyring: Keyring, shelf: Shelf
) -> None:
    text = shelf.add()
    with pytest.raises(Unauthenticated):
        await keyring.authenticate(text[:-3] + "zzz")
    assert (await keyring.authenticate(text)).scopes == {"orders:read"}


async def test_a_key_under_another_tenants_address_is_refused(
    keyring: Keyring, shelf: Shelf
) -> None:
    mine, other = shelf.add(), shelf.add()
    forged = other[: other.rindex("_")] + mine[mine.rindex("_") :]
    with pytest.raises(Unauthenticated):
        await keyring.authenticate(forged)


async def test_a_flood_of_unknown_keys_is_bounded_and_pushes_no_valid_one_out(
    keyring: Keyring, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring_module, "UNKNOWN_MAX", 10)
    text = shelf.add()
    await keyring.authenticate(text)
    tenant_id = UUID(int=1)
    flood = [model.write_key(tenant_id, ids.new_id(), "n" * 43) for _ in range(100)]
    results = await asyncio.gather(
        *(keyring.authenticate(one) for one in flood), return_exceptions=True
    )
    assert all(isinstance(result, Unauthenticated) for result in results)
    assert len(keyring._unknown) == 10  # noqa: SLF001 - the bound is what is tested
    assert shelf.at_once_most == keyring_module.LOOK_UPS_MAX
    asked = shelf.asked
    await keyring.authenticate(text)
    assert shelf.asked == asked


async def test_known_keys_are_bounded_too(
    keyring: Keyring, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring_module, "KEYS_MAX", 10)
    texts = [shelf.add() for _ in range(30)]
    for text in texts:
        await keyring.authenticate(text)
    assert len(keyring._known) == 10  # noqa: SLF001 - the bound is what is tested
    asked = shelf.asked
    await keyring.authenticate(texts[-1])
    assert shelf.asked == asked


async def test_while_the_database_is_away_known_keys_work_until_their_time_is_over(
    keyring: Keyring, shelf: Shelf, hand: Hand
) -> None:
    text = shelf.add()
    await keyring.authenticate(text)
    shelf.failure = Unavailable("gone")
    hand.now += REFRESH_S
    await keyring.authenticate(text)
    await settle()
    hand.now += VALID_S - REFRESH_S
    with pytest.raises(Unavailable):
        await keyring.authenticate(text)
    shelf.failure = None
    assert (await keyring.authenticate(text)).scopes == {"orders:read"}


def test_a_known_key_costs_next_to_nothing(shelf: Shelf) -> None:
    text = shelf.add()

    async def measure(keyring: Keyring) -> float:
        await keyring.authenticate(text)
        clock: Callable[[], float] = timeit.default_timer
        best = float("inf")
        for _ in range(20):
            began = clock()
            for _ in range(500):
                await keyring.authenticate(text)
            best = min(best, (clock() - began) / 500)
        return best

    assert asyncio.run(measure(Keyring(shelf.look_up, unproved))) < COST_MAX_S
