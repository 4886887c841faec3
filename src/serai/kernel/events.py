"""Events: facts of a context, as versioned, registered structures, and the envelope they travel in.

Attributes follow CloudEvents 1.0 (id, source, type, subject, time) plus tenant, correlation id,
causation id and traceparent.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID, uuid5

import msgspec

from serai.kernel.actor import SYSTEM, Actor

PARTITIONS = 8
"""How many partitions a topic has; the key decides, so that one key's events keep their order."""

E = TypeVar("E", bound=type[msgspec.Struct])


class EventType(msgspec.Struct, frozen=True):
    """What the registry knows of an event: its wire name, topic, and the field that orders it."""

    name: str
    topic: str
    key: str
    model: Any
    decoder: Any


class _Registry:
    def __init__(self) -> None:
        self.by_name: dict[str, EventType] = {}
        self.by_model: dict[type, EventType] = {}


_registry = _Registry()
_encoder = msgspec.json.Encoder(decimal_format="string")


def event(*, topic: str, key: str, version: int = 1) -> Callable[[E], E]:
    """Registers a Struct as the event `topic.snake_name.vN`, ordered by the UUID in field `key`."""

    def register(model: E) -> E:
        snake = "".join("_" + c.lower() if c.isupper() else c for c in model.__name__).lstrip("_")
        name = f"{topic}.{snake}.v{version}"
        if name in _registry.by_name:
            raise ValueError(f"event {name} is registered twice")
        entry = EventType(name, topic, key, model, msgspec.json.Decoder(model))
        _registry.by_name[name] = entry
        _registry.by_model[model] = entry
        return model

    return register


def type_of(model: type) -> EventType:
    """The registry's entry of an event class; KeyError where it was not declared with `@event`."""
    return _registry.by_model[model]


def type_named(name: str) -> EventType:
    """The registry's entry by wire name; KeyError for a name nobody declared."""
    return _registry.by_name[name]


def all_types() -> list[EventType]:
    """Every registered event, by name."""
    return [_registry.by_name[name] for name in sorted(_registry.by_name)]


class Cause(msgspec.Struct, frozen=True):
    """Why something happens: the request or event it follows from, and who asked for it.

    What follows from an event is the platform's own doing: its actor is `SYSTEM`, its causation is
    the event, and by its correlation it is found beside the request that all began with.
    """

    correlation_id: UUID
    causation_id: UUID | None = None
    traceparent: str | None = None
    actor: Actor = SYSTEM
    request_id: str | None = None

    @property
    def is_asked(self) -> bool:
        """Whether someone asked for it; what nobody asked for the platform does by itself."""
        return self.actor.kind != "system"


_REQUESTS: Final = UUID("0f0b5a3e-6a5c-5b0e-9d0a-7e2f4c1d8b36")
_HEX_CHARS = 32


def correlation_of(request_id: str) -> UUID:
    """The correlation id of a request, by its `X-Request-Id`: one is found from the other.

    The ids that we give are UUIDs in hexadecimal and are taken as they are; of any other text it is
    the UUID that RFC 9562 makes of a name (version 5).
    """
    if len(request_id) == _HEX_CHARS:
        try:
            return UUID(hex=request_id)
        except ValueError:
            pass
    return uuid5(_REQUESTS, request_id)


class Announcement(msgspec.Struct, frozen=True):
    """An event on its way into the outbox."""

    event_id: UUID
    tenant_id: UUID
    type: EventType
    key: UUID
    event: msgspec.Struct
    cause: Cause

    def data(self) -> bytes:
        """The payload as JSON."""
        return _encoder.encode(self.event)


class Delivery(msgspec.Struct):
    """An event that came out of the log for one consumer group."""

    event_id: UUID
    tenant_id: UUID
    type: EventType
    key: UUID
    partition: int
    position: tuple[int, int]
    occurred_at: datetime
    correlation_id: UUID
    traceparent: str | None
    data: bytes
    event: Any = None

    @property
    def cause(self) -> Cause:
        """What announcements that follow from this event carry."""
        return Cause(self.correlation_id, self.event_id, self.traceparent)

    def decode(self) -> Any:
        """The payload; raises msgspec.ValidationError where it does not fit its type."""
        if self.event is None:
            self.event = self.type.decoder.decode(self.data)
        return self.event
