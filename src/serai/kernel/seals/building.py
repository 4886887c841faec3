"""Which seals a process has, by its settings."""

from serai.kernel.db import Database
from serai.kernel.seals.roots import Roots
from serai.kernel.seals.subjects import Seals
from serai.kernel.seals.transit import TransitWrapping
from serai.kernel.seals.wrapping import LocalWrapping, Wrapping
from serai.settings import Settings


def build(settings: Settings, database: Database) -> Seals:
    """Seals whose root keys are wrapped by Vault where one is set, else by a key of our own."""
    wrapping: Wrapping
    if settings.privacy_vault_url:
        wrapping = TransitWrapping(
            url=settings.privacy_vault_url,
            key=settings.privacy_vault_key,
            token=settings.privacy_vault_token,
        )
    else:
        wrapping = LocalWrapping(keys=settings.privacy_key, folder=settings.data_path)
    return Seals(Roots(database, wrapping))
