"""The only way to publish: an announcement is written in the transaction that made it true.

With PostgreSQL as the carrier this table is the log itself; with Kafka a relay reads it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from serai.kernel import queries
from serai.kernel.events import PARTITIONS, Announcement

CHANNEL = "serai_log"
_SQL = queries.load("serai.kernel")


def partition_of(key: UUID) -> int:
    """A key's partition: its random low bits, so that keys spread and one key stays in order."""
    return key.int % PARTITIONS


def append_events(
    announcements: Sequence[Announcement], now: datetime, prefix: str
) -> tuple[queries.Statement, tuple[Any, ...]]:
    """The one statement that writes a transaction's announcements in order, and its arguments."""
    return _SQL.append_events, (
        [a.type.topic for a in announcements],
        [partition_of(a.key) for a in announcements],
        [a.tenant_id for a in announcements],
        [a.event_id for a in announcements],
        [a.type.name for a in announcements],
        [a.key for a in announcements],
        now,
        [a.cause.correlation_id for a in announcements],
        [a.cause.causation_id for a in announcements],
        [a.cause.traceparent for a in announcements],
        [a.data() for a in announcements],
        sorted({a.type.name for a in announcements}),
        prefix,
    )
