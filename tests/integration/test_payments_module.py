"""Which provider the settings name, and the sandbox's book that outlives its process."""

from pathlib import Path

import pytest

from serai.contexts.payments.gateways import sandbox_cards as cards
from serai.contexts.payments.gateways.sandbox_client import HttpSandbox
from serai.contexts.payments.module import SANDBOX_JOURNAL, SandboxOnDisk, choose_provider
from serai.contexts.payments.ports import Answer, Capture, Charge, Refund
from serai.kernel.clock import SystemClock
from serai.kernel.failure import Unavailable
from serai.settings import Settings, SettingsError

CHARGE = Charge("k", 500, "EUR", cards.APPROVED, "order")
CLOCK = SystemClock()


async def test_the_provider_is_what_the_settings_name(tmp_path: Path) -> None:
    direct = choose_provider(Settings(data_dir=str(tmp_path)), CLOCK)
    http = choose_provider(Settings(payment_provider="http://127.0.0.1:9"), CLOCK)
    assert isinstance(direct, SandboxOnDisk)
    assert isinstance(http, HttpSandbox)
    await http.aclose()
    with pytest.raises(SettingsError, match="SERAI_PAYMENT_PROVIDER is 'stripe'"):
        choose_provider(Settings(payment_provider="stripe"), CLOCK)


async def test_the_book_is_opened_by_the_first_question_and_outlives_its_process(
    tmp_path: Path,
) -> None:
    journal = tmp_path / "made" / SANDBOX_JOURNAL
    first = SandboxOnDisk(journal, CLOCK)
    assert not journal.exists()
    captured = Answer("k", "captured", "ch_000000001", None, 500)
    assert await first.charge([CHARGE]) == [captured]
    await first.aclose()
    second = SandboxOnDisk(journal, CLOCK)
    assert await second.look_up(["k"]) == [captured]
    assert await second.charge([CHARGE]) == [captured]
    (refunded,) = await second.refund([Refund("r", "k", 200, "EUR")])
    assert refunded.status == "refunded"
    (held,) = await second.authorise([Charge("m", 5, "EUR", cards.APPROVED, "other")])
    (taken,) = await second.capture([Capture("m", 2)])
    (voided,) = await second.void(["unseen"])
    assert [held.status, taken.status, voided.status] == ["authorised", "captured", "voided"]
    await second.aclose()
    await second.aclose()


async def test_a_second_process_waits_until_the_first_has_ended(tmp_path: Path) -> None:
    journal = tmp_path / SANDBOX_JOURNAL
    first, second = SandboxOnDisk(journal, CLOCK), SandboxOnDisk(journal, CLOCK)
    await first.charge([CHARGE])
    with pytest.raises(Unavailable, match="SERAI_PAYMENT_PROVIDER"):
        await second.look_up(["k"])
    await first.aclose()
    assert [answer.status for answer in await second.look_up(["k"])] == ["captured"]
    await second.aclose()
