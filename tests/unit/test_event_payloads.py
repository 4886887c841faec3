"""Events are an API: what was written once is read for ever, and what is written is read back."""

from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serai.kernel import events
from serai.kernel.events import Announcement, Cause, EventType
from serai.roles import composition
from tests.unit.shapes import shape_of

EXAMPLES = Path(__file__).parent / "event_examples"
"""A payload of each event as its first version wrote it. Files are added, never changed."""
assert composition.__name__, "what composes the house has imported all events by now"
# Other tests declare events of their own in the same process.
TYPES = [e for e in events.all_types() if e.model.__module__.startswith("serai.")]
NAMES = [entry.name for entry in TYPES]


def payload_of(entry: EventType, event: msgspec.Struct) -> bytes:
    key = UUID(int=7)
    return Announcement(key, key, entry, key, event, Cause(key)).data()


def test_every_event_has_an_example_and_every_example_an_event() -> None:
    assert sorted(path.stem for path in EXAMPLES.iterdir()) == NAMES


@pytest.mark.parametrize("entry", TYPES, ids=NAMES)
def test_a_payload_of_old_is_still_read_and_written_the_same(entry: EventType) -> None:
    old = (EXAMPLES / f"{entry.name}.json").read_bytes()
    event = entry.decoder.decode(old)
    assert isinstance(getattr(event, entry.key), UUID)
    known: dict[str, Any] = msgspec.json.decode(old)
    written: dict[str, Any] = msgspec.json.decode(payload_of(entry, event))
    assert {name: written[name] for name in known} == known


@pytest.mark.parametrize("entry", TYPES, ids=NAMES)
def test_a_field_of_days_to_come_is_passed_over(entry: EventType) -> None:
    old: dict[str, Any] = msgspec.json.decode((EXAMPLES / f"{entry.name}.json").read_bytes())
    newer = msgspec.json.encode({**old, "of_days_to_come": {"a": 1}})
    assert entry.decoder.decode(newer) == entry.decoder.decode(msgspec.json.encode(old))


@pytest.mark.parametrize("entry", TYPES, ids=NAMES)
def test_a_payload_that_lacks_what_it_must_have_is_not_read(entry: EventType) -> None:
    with pytest.raises(msgspec.ValidationError):
        entry.decoder.decode(b"{}")
    with pytest.raises(msgspec.ValidationError):
        entry.decoder.decode(b"[]")


@given(st.data())
def test_whatever_is_announced_is_heard_as_it_was_said(data: st.DataObject) -> None:
    entry = data.draw(st.sampled_from(TYPES))
    event = data.draw(shape_of(entry.model))
    assert entry.decoder.decode(payload_of(entry, event)) == event
