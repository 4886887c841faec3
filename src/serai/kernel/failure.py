"""Three failures, never mixed: Refused is theirs, Unavailable the world's, any other is ours."""

import re
from typing import Any, ClassVar

_WORD_BREAK = re.compile(r"(?<!^)(?=[A-Z])")


class Refused(Exception):
    """A decision against the caller (4xx). Nothing has been changed when it is raised or returned.

    A subclass is one situation; its `code` is its name in snake_case and never changes.
    """

    status: ClassVar[int] = 409
    code: ClassVar[str] = "refused"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.code = _WORD_BREAK.sub("_", cls.__name__).lower()

    def __init__(self, detail: str = "", **facts: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.facts = facts


class Invalid(Refused):
    """The request does not have the form that the API asks for."""

    status = 400


class Unprocessable(Refused):
    """The request is well formed, and something it names does not fit."""

    status = 422


class NotFound(Refused):
    """Nothing of this tenant has that id; also the answer for what belongs to another tenant."""

    status = 404


class IllegalState(Refused):
    """The thing is in a state from which this step does not lead on."""


class StaleVersion(Refused):
    """`If-Match` names a version that is no longer the current one."""

    status = 412


def find_stale(expected: int | None, current: int) -> StaleVersion | None:
    """Why a change does not go with the current version; without an expected one any will do."""
    if expected is None or expected == current:
        return None
    return StaleVersion("it was changed meanwhile; read it again", current_version=current)


class VersionRequired(Refused):
    """The change needs `If-Match`, so that no one overwrites what she has not seen."""

    status = 428


class IdempotencyKeyReused(Refused):
    """The idempotency key was used before for another request."""

    status = 422


class IdempotencyKeyMissing(Refused):
    """The operation moves goods or money and needs an `Idempotency-Key`."""

    status = 400


class Throttled(Refused):
    """Too many tries in too short a time; `retry_after_s` says when the next one may come."""

    status = 429

    def __init__(self, detail: str = "", *, retry_after_s: int = 1) -> None:
        super().__init__(detail, retry_after_s=retry_after_s)


class Unavailable(Exception):
    """The world failed, not the caller (503): try again after `retry_after_s` seconds."""

    code: ClassVar[str] = "unavailable"

    def __init__(self, detail: str = "", *, retry_after_s: int = 1) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after_s = retry_after_s


class LostLease(Exception):
    """Another worker owns this partition now; what was being done must not be committed."""
