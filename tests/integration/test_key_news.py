"""An API key that one process ends is over in every other, at once and not when its time is up."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from serai.contexts.tenancy.contract import SCOPES
from serai.contexts.tenancy.gateways import keyring as keyring_module
from serai.kernel.db import Database
from serai.kernel.embedded import EmbeddedPostgres
from serai.kernel.web import Unauthenticated
from serai.roles.api import build_app
from serai.roles.composition import Composition, compose
from serai.settings import Settings
from tests.integration.signing_shop import client_of, pem_of

HEARD_WITHIN_S = 5.0
FOR_EVER_S = 3600.0


@pytest.fixture(autouse=True)
def _long_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key is forgotten because its time is up: only being told can end it here."""
    monkeypatch.setattr(keyring_module, "VALID_S", FOR_EVER_S)
    monkeypatch.setattr(keyring_module, "REFRESH_S", FOR_EVER_S)


@pytest.fixture
async def houses(
    postgres: EmbeddedPostgres, database_name: str, tmp_path: Path
) -> AsyncIterator[tuple[Composition, Composition]]:
    """Two processes' worth of the house, each with a pool of its own, on one database."""
    pools = [Database(postgres.app_url(database_name), pool_max=4) for _ in range(2)]
    for pool in pools:
        await pool.open()
    here, there = (compose(Settings(data_dir=str(tmp_path)), pool) for pool in pools)
    watching = asyncio.create_task(there.tenancy.watch_keys())
    yield here, there
    watching.cancel()
    for pool in pools:
        await pool.close()


async def until_refused(house: Composition, key: str) -> None:
    """Waits, within a bound, until a key is not let in any more."""
    async with asyncio.timeout(HEARD_WITHIN_S):
        while True:
            try:
                await house.tenancy.authenticator.authenticate(key)
            except Unauthenticated:
                return
            await asyncio.sleep(0.01)


async def test_a_key_that_is_ended_in_one_process_ends_in_the_others(
    houses: tuple[Composition, Composition],
) -> None:
    here, there = houses
    issued = await here.tenancy.create_tenant("caravan", scopes=SCOPES)
    tenant = issued.tenant.id
    kept = await here.tenancy.create_key(tenant, label="kept", scopes=SCOPES)
    await there.tenancy.watching.wait()
    for key in (issued.key.key, kept.key):
        await there.tenancy.authenticator.authenticate(key)
    await here.tenancy.revoke_key(tenant, issued.key.id)
    await until_refused(there, issued.key.key)
    assert (await there.tenancy.authenticator.authenticate(kept.key)).actor.id == kept.id


async def test_what_was_said_while_the_line_was_down_is_made_up_for(
    houses: tuple[Composition, Composition], postgres: EmbeddedPostgres, database_name: str
) -> None:
    here, there = houses
    issued = await here.tenancy.create_tenant("caravan", scopes=SCOPES)
    await there.tenancy.watching.wait()
    await there.tenancy.authenticator.authenticate(issued.key.key)
    # The line is a session of the walled role, which only the same role may cut.
    other = await asyncpg.connect(postgres.app_url(database_name))
    try:
        cut = await other.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE query LIKE 'LISTEN%' AND datname = current_database()"
        )
        assert len(cut) == 1
    finally:
        await other.close()
    await here.tenancy.revoke_key(issued.tenant.id, issued.key.id)
    await until_refused(there, issued.key.key)


async def test_a_key_that_is_given_a_signer_takes_no_bare_request_in_the_others(
    houses: tuple[Composition, Composition],
) -> None:
    here, there = houses
    issued = await here.tenancy.create_tenant("caravan", scopes=SCOPES)
    await asyncio.wait_for(there.tenancy.watching.wait(), HEARD_WITHIN_S)
    known = await there.tenancy.authenticator.authenticate(issued.key.key)
    assert known.proof is None
    answer = await client_of(build_app(Settings(), here)).put(
        f"/v1/api-keys/{issued.key.id}/signer",
        headers={"Authorization": f"Bearer {issued.key.key}"},
        json={"signer": pem_of(Ed25519PrivateKey.generate())},
    )
    assert answer.status_code == 200, answer.text
    async with asyncio.timeout(HEARD_WITHIN_S):
        while (await there.tenancy.authenticator.authenticate(issued.key.key)).proof is None:
            await asyncio.sleep(0.01)
