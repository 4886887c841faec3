"""A backlog of mail: when the sender goes on at once, and what is late of it."""

from datetime import timedelta

from serai.contexts.notifications import handlers
from serai.contexts.notifications import module as notifications
from serai.contexts.notifications.handlers import sending
from serai.kernel.db import Database
from serai.kernel.tenant import POOLED
from tests.integration.fulfilment_shop import PLACES, NoTokens, SomeHomes, surroundings
from tests.integration.test_notifications_sending import A, B, House, house

__all__ = ["house"]


async def test_a_backlog_goes_on_at_once_and_neither_a_drop_nor_what_is_put_off_does(
    house: House,
) -> None:
    chunk = handlers.SEND_CHUNK
    await house.put(A, *range(1, 4 * chunk + 1))
    assert await house.go_round() == sending.Round(chunk, is_pressing=False)
    house.clock.advance(handlers.HURRY_AFTER)
    assert await house.go_round() == sending.Round(chunk, is_pressing=True)
    house.postman.is_out = True
    assert await house.go_round() == sending.Round(0, is_pressing=False)
    house.postman.is_out = False
    await house.put(B, 1)
    claimed = await house.claim(A, limit=2)
    assert await house.go_round() == sending.Round(chunk - 1, is_pressing=False)
    assert len(claimed) == 2


async def test_the_job_says_full_only_where_the_next_round_may_follow_at_once(
    database: Database, house: House
) -> None:
    chunk = handlers.SEND_CHUNK
    await house.put(A, *range(1, 2 * chunk + 51))
    s = surroundings(database, tenants=[A], clock=house.clock)
    job, _ = notifications.build(s, tokens=NoTokens(), **PLACES).jobs
    done = [await job.run(database, POOLED, house.clock)]
    house.clock.advance(handlers.HURRY_AFTER)
    done += [await job.run(database, POOLED, house.clock) for _ in range(3)]
    assert [count >= job.chunk for count in done] == [False, True, False, False]
    assert done == [chunk - 1, chunk, 50, 0]


async def test_nothing_is_late_that_could_not_be_sent_and_a_sender_that_is_stuck_hides_nothing(
    database: Database, house: House
) -> None:
    s = surroundings(database, tenants=[A], clock=house.clock)
    (check,) = notifications.build(s, tokens=NoTokens(), **PLACES).checks
    database.clock = house.clock

    async def late() -> int:
        async with database.transaction(POOLED, (A,), is_read_only=True) as tx:
            return len(await check.run(tx, A))

    async def work(minutes: int) -> None:
        for _ in range(minutes):
            await house.send()
            house.clock.advance(timedelta(minutes=1))

    await house.put(A, 1)
    house.clock.advance(timedelta(hours=2))
    assert await late() == 1, "nobody has ever been there to send"
    await work(90)
    await house.put(A, *range(2, 400))
    assert await late() == 100, "due since before, while somebody was there: stuck"
    # Shut for a night; then opened with a queue that is too long for its first minutes.
    house.clock.advance(timedelta(hours=9))
    assert await late() == 100, "nobody is back yet: as many as a check tells"
    await house.send()
    assert await late() == 0
    house.homes = SomeHomes([B])
    await work(59)
    assert await late() == 0
    await work(2)
    assert await late() == 100, "an hour after it came back it is late again"
    # A process that is started anew within minutes was not away.
    house.clock.advance(handlers.AWAY_AFTER - timedelta(minutes=6))
    await house.send()
    assert await late() == 100
