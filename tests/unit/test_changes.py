"""What of a change gets into the audit trail: what differs, and nothing secret."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serai.contexts.audit import model
from serai.contexts.audit.model import Linked
from serai.kernel import changes, ids
from serai.kernel.actor import SYSTEM, Actor
from serai.kernel.changes import ChangesRecorded, describe
from serai.kernel.db import Tx
from serai.kernel.events import Cause, correlation_of
from serai.kernel.tenant import POOLED

NOW = datetime(2026, 11, 27, 2, 0, tzinfo=UTC)
KEY = Actor("key", ids.new_id(), "192.0.2.7")
CAUSE = Cause(ids.new_id(), None, None, KEY, "abc")
TENANT = ids.new_id()

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
THINGS = st.dictionaries(st.text(max_size=3), PLAIN, max_size=4)


def test_only_what_differs_is_kept() -> None:
    change = describe(
        "catalog.prices_set", ("product", UUID(int=5)), CAUSE,
        before={"title": "a", "prices": {"USD": 1, "EUR": 2}, "gone": 1},
        after={"title": "a", "prices": {"USD": 3, "EUR": 2}, "new": None},
    )  # fmt: skip
    assert change.before == {"prices": {"USD": 1}, "gone": 1}
    assert change.after == {"prices": {"USD": 3}, "new": None}
    assert (change.actor, change.request_id, change.subject_id) == (KEY, "abc", str(UUID(int=5)))


@given(THINGS, THINGS)
def test_what_was_narrowed_still_tells_one_from_the_other(
    was: dict[str, Any], became: dict[str, Any]
) -> None:
    before, after = changes.narrow(was, became)
    assert (before == after == {}) == (was == became)
    assert changes.narrow(before, after) == (before, after)


@given(THINGS)
def test_under_a_secret_s_name_nothing_is_kept_however_deep(thing: dict[str, Any]) -> None:
    hidden = {"a": [{"card": "4111", "email": "x@example.com", "more": thing}], "token": {"b": 1}}
    kept = changes.redact({"deep": hidden})
    (first,) = kept["deep"]["a"]
    assert (first["card"], first["email"]) == (changes.REDACTED, changes.WITHHELD)
    assert kept["deep"]["token"] == changes.REDACTED
    assert "4111" not in msgspec.json.encode(kept).decode()


def test_a_long_value_is_replaced_by_its_digest_and_hides_no_other() -> None:
    change = describe(
        "x.y", ("z", "1"), CAUSE, after={"text": "t" * 100_000, "subject": "short", "n": 3}
    )
    assert change.after is not None
    assert (change.after["subject"], change.after["n"]) == ("short", 3)
    assert change.after["text"].startswith("[too long: sha256 ")
    many = describe("x.y", ("z", "1"), CAUSE, after={f"{n}" * 100: "v" * 99 for n in range(999)})
    assert many.after is not None
    assert len(msgspec.json.encode(many.after)) < 3 * changes.SNAPSHOT_BYTES_MAX


def test_a_transaction_s_changes_travel_in_one_event_a_tenant_up_to_a_bound() -> None:
    other = ids.new_id()
    told = [(TENANT, describe("x.y", ("z", str(n)), CAUSE)) for n in range(600)]
    told.insert(3, (other, describe("x.y", ("z", "other"), CAUSE)))
    made = list(changes.gather(told))
    assert [(a.tenant_id, a.key, len(a.event.changes)) for a in made] == [  # type: ignore[attr-defined]
        (TENANT, TENANT, 250), (TENANT, TENANT, 250), (TENANT, TENANT, 100), (other, other, 1),
    ]  # fmt: skip
    order = [c.subject_id for a in made[:3] for c in a.event.changes]  # type: ignore[attr-defined]
    assert order == [str(n) for n in range(600)]


def test_what_is_recorded_is_not_announced_to_contexts() -> None:
    tx = Tx(None, POOLED, NOW)
    tx.record(TENANT, describe("x.y", ("z", "1"), CAUSE))
    assert (list(tx.announced), len(tx.recorded)) == ([], 1)


@pytest.mark.parametrize("text", ["019a0000000070008000000000000004", "F" * 32])
def test_our_own_request_ids_are_their_correlation_ids(text: str) -> None:
    assert correlation_of(text) == UUID(hex=text)


def test_any_other_request_id_has_one_correlation_id_of_its_own() -> None:
    assert correlation_of("support42") == correlation_of("support42")
    found = {correlation_of(text) for text in ("support42", "support43", "g" * 32, "")}
    assert len(found) == 4


def test_what_follows_from_an_event_is_the_platforms_own_doing() -> None:
    assert Cause(ids.new_id()).actor is SYSTEM
    assert not Cause(ids.new_id()).is_asked
    assert CAUSE.is_asked


# ------------------------------------------------------------------------------------- the chain


def chain_of(count: int) -> list[Linked]:
    told = [
        (ids.new_id(), NOW, [describe("x.y", ("z", str(n)), CAUSE, after={"n": n})])
        for n in range(count)
    ]
    return model.link(model.START, TENANT, told)


def test_a_chain_is_the_same_however_it_was_cut_into_events() -> None:
    whole = chain_of(5)
    head, broken = model.verify(model.START, whole)
    assert (head.seq, head.hash, broken) == (5, whole[-1].hash, None)
    middle, _ = model.verify(model.START, whole[:3])
    assert model.verify(middle, whole[3:]) == (head, None)


@given(st.integers(0, 5), st.data())
def test_no_entry_can_be_changed_removed_doubled_or_swapped_unseen(
    index: int, data: st.DataObject
) -> None:
    whole = chain_of(7)
    entry = whole[index].entry
    other = data.draw(st.sampled_from(["action", "subject_id", "address", "request_id", "seq"]))
    value: Any = 99 if other == "seq" else "else"
    changed = msgspec.structs.replace(entry, **{other: value})
    forged = msgspec.structs.replace(whole[index], entry=changed)
    rehashed = msgspec.structs.replace(forged, hash=model.hash_of(whole[index].previous, changed))
    swapped = [*whole[:index], whole[index + 1], whole[index], *whole[index + 2 :]]
    for broken_chain in (
        [*whole[:index], forged, *whole[index + 1 :]],
        [*whole[:index], rehashed, *whole[index + 1 :]],
        [*whole[:index], *whole[index + 1 :]],
        [*whole[: index + 1], *whole[index:]],
        swapped,
    ):
        _, broken = model.verify(model.START, broken_chain)
        assert broken is not None
        assert broken.seq in {index + 1, index + 2}


def test_the_event_is_ordered_by_its_tenant() -> None:
    event = ChangesRecorded(TENANT, ())
    assert event.tenant_id == TENANT
