"""What others may know of privacy: views, refusals and bounds."""

from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from serai.kernel.failure import Unprocessable

READ: Final = "privacy:read"
WRITE: Final = "privacy:write"
PURPOSE_CHARS_MAX: Final = 64
TEXT_VERSION_CHARS_MAX: Final = 64
HOW_CHARS_MAX: Final = 64
EXPORT_FACTS_MAX: Final = 20_000
"""Facts that an export holds; what is beyond is told to be missing."""
CONSENTS_TOLD_MAX: Final = 1_000

ErasureState = Literal["running", "done"]


class PersonUnnamed(Unprocessable):
    """Name a customer or an address, and not both."""


class UnknownRule(Unprocessable):
    """No context keeps anything under this retention rule."""


class ErasureView(msgspec.Struct, frozen=True):
    """An erasure and, once it is done, its certificate: what was taken out where, and no name."""

    id: UUID
    state: ErasureState
    asked_at: datetime
    asked_by: str
    keys_erased: int
    erased: dict[str, int]
    finished_at: datetime | None


class PersonExport(msgspec.Struct, frozen=True):
    """Everything that is known about a person, by the context that knows it."""

    made_at: datetime
    subject: UUID
    is_complete: bool
    contexts: dict[str, list[dict[str, Any]]]


class ConsentView(msgspec.Struct, frozen=True):
    """A consent that was given or withdrawn; the latest of a purpose is the one that holds."""

    id: UUID
    purpose: str
    text_version: str
    is_given: bool
    how: str
    at: datetime


class RetentionRuleView(msgspec.Struct, frozen=True):
    """For how many days something personal is kept."""

    name: str
    days: int
    is_default: bool
