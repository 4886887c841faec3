"""Erasures step by step, and for how long something is kept."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec

from serai.contexts.privacy.contract import ErasureView, RetentionRuleView
from serai.kernel.person import FIRST, Step


class Erasure(msgspec.Struct, frozen=True):
    """An erasure; `places` says where each context goes on, and has none that is done."""

    tenant_id: UUID
    id: UUID
    subject: UUID
    account_id: UUID | None
    asked_at: datetime
    asked_by: str
    keys_erased: int
    places: dict[str, UUID]
    erased: dict[str, int]
    finished_at: datetime | None = None

    def view(self) -> ErasureView:
        """As the API shows it."""
        return ErasureView(
            self.id, "running" if self.finished_at is None else "done", self.asked_at,
            self.asked_by, self.keys_erased, self.erased, self.finished_at,
        )  # fmt: skip


def begin(contexts: list[str]) -> dict[str, UUID]:
    """Where each context begins."""
    return dict.fromkeys(contexts, FIRST)


def advance(
    erasure: Erasure, steps: Mapping[str, Step], *, keys_erased: int, now: datetime
) -> Erasure:
    """The erasure after a step of each context that had something left."""
    places = {name: step.after for name, step in steps.items() if step.after is not None}
    counts = {name: erasure.erased.get(name, 0) + step.count for name, step in steps.items()}
    return msgspec.structs.replace(
        erasure,
        keys_erased=erasure.keys_erased + keys_erased,
        places=places,
        erased={**erasure.erased, **counts},
        finished_at=None if places else now,
    )


def view_rules(
    defaults: Mapping[str, int], own: Mapping[str, int | None]
) -> list[RetentionRuleView]:
    """Every rule by name, as it holds for a tenant."""
    return [
        RetentionRuleView(name, own.get(name) or days, is_default=own.get(name) is None)
        for name, days in sorted(defaults.items())
    ]
