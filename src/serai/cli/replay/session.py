"""Where a replay takes place: a shop that runs or one started for it, and a tenant in it."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, TypeVar

import msgspec

from serai.cli.check import Report, check_tenants
from serai.cli.console import Failure
from serai.cli.inside import go_inside
from serai.cli.installation import read_runtime
from serai.cli.supervise import Supervisor
from serai.contexts.tenancy.contract import SCOPES, TenantView
from serai.kernel.failure import Unavailable
from serai.roles.composition import Composition
from serai.settings import Settings

KEY_LABEL: Final = "replay"
DATABASE_PATIENCE_S: Final = 20.0
DATABASE_PAUSE_S: Final = 0.5

T = TypeVar("T")


class Shop(msgspec.Struct, frozen=True):
    """A tenant's shop and the staff key that a replay uses there."""

    settings: Settings
    api_url: str
    tenant: TenantView
    key: str
    key_id: str


@contextlib.asynccontextmanager
async def find_installation(own: Settings) -> AsyncIterator[tuple[str, Settings]]:
    """The address of the running installation and the way to its database; else one of our own."""
    runtime = read_runtime(own.data_path)
    if runtime is not None:
        if runtime.api_url.startswith("https:"):
            raise Failure(
                "the shop that runs speaks TLS, and a replay does not: choose another data folder "
                "(--data-dir), or run that shop without a certificate meanwhile"
            )
        walled = msgspec.structs.replace(own, database_url="", database_app_url=runtime.app_url)
        yield runtime.api_url, walled
        return
    port, worker_port = _free_ports()
    ours = msgspec.structs.replace(
        own, host="127.0.0.1", port=port, worker_port=worker_port, tls_certificate="", tls_key=""
    )
    supervisor = Supervisor(ours, has_log_files=True)
    try:
        await supervisor.start()
        assert supervisor.urls is not None
        walled = msgspec.structs.replace(
            own, database_url="", database_app_url=supervisor.urls.app_url
        )
        yield supervisor.api_url, walled
    finally:
        await supervisor.stop()


async def enter_shop(api_url: str, walled: Settings, name: str) -> Shop:
    """The tenant of that name with a new staff key; the tenant is made where there is none."""

    async def enter(house: Composition) -> Shop:
        tenant = await house.tenancy.find_tenant(name)
        if tenant is None:
            issued = await house.tenancy.create_tenant(name, scopes=SCOPES)
            tenant, key = issued.tenant, issued.key
        else:
            key = await house.tenancy.create_key(tenant.id, label=KEY_LABEL, scopes=SCOPES)
        return Shop(walled, api_url, tenant, key.key, str(key.id))

    return await _inside(walled, enter)


async def check_shop(shop: Shop) -> Report:
    """Every invariant of the house for the tenant: what `serai check --tenant` does."""

    async def check(house: Composition) -> Report:
        return await check_tenants(house, [shop.tenant], is_quiet=True)

    return await _inside(shop.settings, check)


async def _inside(walled: Settings, work: Callable[[Composition], Awaitable[T]]) -> T:
    """Works on the database itself, again if it is just being restarted."""
    deadline = time.monotonic() + DATABASE_PATIENCE_S
    while True:
        try:
            async with go_inside(walled) as house:
                return await work(house)
        except Unavailable:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(DATABASE_PAUSE_S)


def _free_ports() -> tuple[int, int]:
    """Two ports that nobody listens on, for a shop that nobody else is told of."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1]), int(other.getsockname()[1])
