"""Reads the plans that the settings name: those that come with Serai, or a file."""

from pathlib import Path
from typing import Final

import msgspec

from serai.contexts.billing import model
from serai.contexts.billing.contract import Plan
from serai.settings import FILE_BYTES_MAX, SettingsError

READY_MADE: Final = "ready-made"


def read_plans(setting: str) -> tuple[Plan, ...]:
    """The plans; none where billing is off."""
    if not setting:
        return ()
    if setting == READY_MADE:
        return model.READY_MADE
    try:
        with Path(setting).open("rb") as file:
            plans = msgspec.json.decode(file.read(FILE_BYTES_MAX), type=tuple[Plan, ...])
    except OSError as error:
        raise SettingsError(f"SERAI_PLANS: the file cannot be read: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise SettingsError(f"SERAI_PLANS: the file is no list of plans: {error}") from error
    if fault := model.find_fault(plans):
        raise SettingsError(f"SERAI_PLANS: {fault}")
    return plans
