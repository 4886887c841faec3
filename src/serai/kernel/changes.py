"""Changes on their way into the audit trail: who did what to what, and what it was like before.

A change is recorded in the transaction that makes it true and leaves by the outbox like any event.
All changes of a tenant in one transaction travel in one event, so that a batch of hundreds of
commands costs the log one row. No secret and nothing of a person gets into it: values under such
names are taken out here, before anything is written.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from serai.kernel import ids
from serai.kernel.actor import Actor
from serai.kernel.events import Announcement, Cause, event, type_of

CHANGES_MAX: Final = 250
"""Changes that one event carries."""
SNAPSHOT_BYTES_MAX: Final = 4_096
"""What is kept of a thing before, and of it after; of more a digest is."""
DEPTH_MAX: Final = 8
FIELDS_MAX: Final = 32
NAME_CHARS_MAX: Final = 64

SECRETS: Final = frozenset({
    "card", "secret", "password", "token", "key", "digest", "authorization", "signature",
    "current_password", "password_hash", "access_token", "refresh", "refresh_token", "totp",
    "sealed_secret", "spares", "spare_codes",
})  # fmt: skip
"""Names under which a secret may stand; of what they hold only that it was there is kept."""
PERSONAL: Final = frozenset({
    "email", "email_key", "customer", "phone", "address", "recipient", "full_name", "given_name",
    "family_name",
})  # fmt: skip
"""Names under which stands what is about a person: it must be possible to erase it, and a chain
forgets nothing."""
REDACTED: Final = "[secret]"
WITHHELD: Final = "[personal]"
TOO_DEEP: Final = "[too deep]"


class Change(msgspec.Struct, frozen=True):
    """What was done to one thing. `before` and `after` hold what differs, where that is known."""

    action: str
    subject_kind: str
    subject_id: str
    actor: Actor
    correlation_id: UUID
    causation_id: UUID | None = None
    request_id: str | None = None
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


@event(topic="audit", key="tenant_id")
class ChangesRecorded(msgspec.Struct, frozen=True):
    """What one transaction changed of a tenant's things; its key keeps a tenant's in one order."""

    tenant_id: UUID
    changes: tuple[Change, ...]


def describe(
    action: str,
    subject: tuple[str, UUID | str],
    cause: Cause,
    *,
    before: Any = None,
    after: Any = None,
) -> Change:
    """A change, ready to be recorded: without secrets, of what differs only, and bounded.

    `before` and `after` are structs or mappings, or None where the thing was or is not there.
    """
    was, became = (None if it is None else redact(it) for it in (before, after))
    if was is not None and became is not None:
        was, became = narrow(was, became)
    return Change(
        action,
        subject[0],
        str(subject[1]),
        cause.actor,
        cause.correlation_id,
        cause.causation_id,
        cause.request_id,
        _bound(was),
        _bound(became),
    )


def redact(thing: Any) -> dict[str, Any]:
    """A thing as JSON would have it, without what its names say is secret or about a person."""
    plain = msgspec.to_builtins(thing, str_keys=True)
    assert isinstance(plain, dict), "a thing has fields"
    return {name: _redact(name, value, 1) for name, value in plain.items()}


def _redact(name: str, value: Any, depth: int) -> Any:
    if value is None:
        return None
    if name in SECRETS:
        return REDACTED
    if name in PERSONAL:
        return WITHHELD
    if depth >= DEPTH_MAX:
        return TOO_DEEP
    if isinstance(value, dict):
        return {key: _redact(key, part, depth + 1) for key, part in value.items()}
    if isinstance(value, list):
        return [_redact("", part, depth + 1) for part in value]
    return value


def narrow(was: dict[str, Any], became: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both without what they have in common, field within field."""
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for name in dict.fromkeys((*was, *became)):
        old, new = was.get(name), became.get(name)
        if old == new and (name in was) == (name in became):
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            old, new = narrow(old, new)
        if name in was:
            before[name] = old
        if name in became:
            after[name] = new
    return before, after


def _bound(snapshot: dict[str, Any] | None) -> dict[str, Any] | None:
    if snapshot is None or _length(snapshot) <= SNAPSHOT_BYTES_MAX:
        return snapshot
    # Field by field, the short ones first, so that one long text does not hide the rest.
    room = SNAPSHOT_BYTES_MAX
    kept: dict[str, Any] = {}
    for name in sorted(snapshot, key=lambda name: _length(snapshot[name])):
        room -= _length(snapshot[name]) + len(name)
        kept[name[:NAME_CHARS_MAX]] = snapshot[name] if room > 0 else _digest(snapshot[name])
        if len(kept) == FIELDS_MAX:
            break
    return kept


def _digest(value: Any) -> str:
    """What stands for a value that is too long: enough to tell whether it was this one."""
    return f"[too long: sha256 {hashlib.sha256(msgspec.json.encode(value)).hexdigest()}]"


def _length(value: Any) -> int:
    return len(msgspec.json.encode(value))


def gather(recorded: Sequence[tuple[UUID, Change]]) -> Iterator[Announcement]:
    """A transaction's changes as its audit events: one a tenant, cut where it would be too long."""
    by_tenant: dict[UUID, list[Change]] = {}
    for tenant_id, change in recorded:
        by_tenant.setdefault(tenant_id, []).append(change)
    entry = type_of(ChangesRecorded)
    for tenant_id, changes in by_tenant.items():
        for start in range(0, len(changes), CHANGES_MAX):
            chunk = tuple(changes[start : start + CHANGES_MAX])
            cause = Cause(chunk[0].correlation_id, chunk[0].causation_id)
            told = ChangesRecorded(tenant_id, chunk)
            yield Announcement(ids.new_id(), tenant_id, entry, tenant_id, told, cause)
