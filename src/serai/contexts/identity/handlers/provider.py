"""What the handlers for apps work with beside the desk, and who an app is."""

import dataclasses
from typing import Final
from uuid import UUID

from serai.contexts.identity.handlers.desk import Desk
from serai.contexts.identity.model import apps
from serai.contexts.identity.model.apps import App
from serai.contexts.identity.model.protocol import InvalidClient, read_id
from serai.contexts.identity.ports.apps import Apps, Handovers, LookUp, Verify
from serai.kernel.db import Tx
from serai.kernel.tenant import Home

ISSUERS: Final = "/t/"
"""What stands between the installation's address and a tenant's name in an issuer."""


@dataclasses.dataclass(frozen=True)
class Provider:
    """The provider for the apps of every tenant."""

    desk: Desk
    apps: Apps
    handovers: Handovers
    verify: Verify
    look_up: LookUp
    public_url: str
    """Where browsers and apps reach this installation: scheme and host, no path."""

    def issuer_of(self, name: str) -> str:
        """By what a tenant's apps know who issues their tokens."""
        return f"{self.public_url}{ISSUERS}{name}"


@dataclasses.dataclass(frozen=True)
class Place:
    """The tenant that a request of the provider is for."""

    tenant_id: UUID
    home: Home
    name: str
    issuer: str


@dataclasses.dataclass(frozen=True)
class Credentials:
    """Which app says that it asks, and the secret that it shows."""

    client_id: str | None
    secret: str | None


async def find_app(client_id: str | None, *, provider: Provider, place: Place, tx: Tx) -> App:
    """The app of that id, if it is let in."""
    app_id = read_id(client_id)
    app = None if app_id is None else await provider.apps.find(place.tenant_id, app_id, tx=tx)
    if app is None or app.disabled_at is not None:
        raise InvalidClient("there is no such app, or it is not let in")
    return app


async def recognise(given: Credentials, *, provider: Provider, place: Place, tx: Tx) -> App:
    """The app that asks, once it has shown what it can show."""
    app = await find_app(given.client_id, provider=provider, place=place, tx=tx)
    if not apps.shows_secret(app, given.secret, now=tx.now):
        raise InvalidClient("there is no such app, or it is not let in")
    return app
