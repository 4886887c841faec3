"""Parked messages: a group could not handle them, or they wait behind one that it could not."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from serai.kernel import queries
from serai.kernel.db import Tx
from serai.kernel.events import Delivery

LETTER_PAUSE_S: Final = 0.5
LETTER_PAUSE_MAX_S: Final = 300.0
_SQL = queries.load("serai.kernel")


def letter_pause(tries: int) -> timedelta:
    """How long a parked message rests after its n-th failed try."""
    return timedelta(seconds=min(LETTER_PAUSE_S * 2**tries, LETTER_PAUSE_MAX_S))


async def write_letters(
    group: str, deliveries: Sequence[Delivery], next_at: datetime, tries: int, error: str, *, tx: Tx
) -> None:
    """Parks messages of a group until `next_at`, each with what happened."""
    await tx.execute(
        _SQL.park_letters,
        group,
        [d.tenant_id for d in deliveries],
        [d.event_id for d in deliveries],
        [d.type.topic for d in deliveries],
        [d.partition for d in deliveries],
        [str(d.position[0]) for d in deliveries],
        [d.position[1] for d in deliveries],
        [d.type.name for d in deliveries],
        [d.key for d in deliveries],
        [d.occurred_at for d in deliveries],
        [d.correlation_id for d in deliveries],
        [d.traceparent for d in deliveries],
        tries,
        next_at,
        error,
        tx.now,
        [d.data for d in deliveries],
    )
