"""A shop in which people live, and who has a copy of its database and every key to be had."""

import itertools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import asyncpg
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from serai.contexts.identity import contract as identity
from serai.contexts.orders.contract import ORDER_EMAIL
from serai.contexts.payments.gateways import sandbox_cards as cards
from serai.kernel import idempotency, sealed
from serai.kernel.failure import Unavailable
from serai.kernel.sealed import MisplacedError, Sealed
from serai.kernel.seals import rotation, subjects
from serai.kernel.seals.roots import Root
from serai.kernel.seals.wrapping import LocalWrapping
from serai.kernel.tenant import POOLED
from tests.integration.audited_shop import AuditedShop
from tests.integration.identity_shop import PASSWORD

EMAIL: Final = "wilhelmina@underhill.example"
NAME: Final = "Wilhelmina Underhill"
GUEST: Final = "guest.of.honour@inn.example"
TOKENS: Final = re.compile(r"s1:[A-Za-z0-9+/]{22}:[A-Za-z0-9+/=]+")
PLACES: Final = (
    ORDER_EMAIL, identity.ACCOUNT_EMAIL, identity.ACCOUNT_NAME, identity.MAILED_EMAIL,
    identity.MAILED_NAME, idempotency.PLACE,
)  # fmt: skip
Dump = dict[str, list[dict[str, Any]]]
HOUSE = {"Serai_Tenant": "house"}


OF_ACCOUNT = """
INSERT INTO identity.second_factors (tenant_id, account_id, sealed_secret, last_step, spares,
  created_at)
  VALUES ($1, $2, 'x', 0, '{}', now());
INSERT INTO identity.passkeys (tenant_id, id, account_id, credential_id, public_key, rp_id,
  sign_count, is_backed_up, name, created_at)
  VALUES ($1, $2, $2, 'x', 'x', 'shop', 0, false, 'hers', now());
INSERT INTO identity.passkey_challenges (tenant_id, id, account_id, challenge, origin, rp_id,
  expires_at) VALUES ($1, $2, $2, 'x', 'https://shop', 'shop', now());
INSERT INTO identity.provider_links (tenant_id, kind, issuer, subject, account_id, created_at)
  VALUES ($1, 'customer', 'https://else', 'hers', $2, now());
INSERT INTO identity.consents (tenant_id, account_id, app_id, scopes, given_at)
  VALUES ($1, $2, $2, '{}', now());
INSERT INTO identity.codes (tenant_id, digest, app_id, account_id, redirect_uri, challenge, scopes,
  signed_in_at, expires_at)
  VALUES ($1, sha256('c'), $2, $2, 'https://app', 'x', '{}', now(), now());
INSERT INTO identity.devices (tenant_id, digest, user_code, app_id, scopes, interval_s, expires_at,
  account_id) VALUES ($1, sha256('d'), sha256('u'), $2, '{}', 5, now(), $2)
"""
"""A row of hers in each table that names an account, by the tenant and the account."""


async def dump(url: str) -> Dump:
    """Every row of every table."""
    connection = await asyncpg.connect(url)
    try:
        names = await connection.fetch(
            "SELECT n.nspname || '.' || c.relname AS name FROM pg_class c "
            "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' "
            "AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
        )
        return {
            row["name"]: [dict(r) for r in await connection.fetch(f"SELECT * FROM {row['name']}")]
            for row in names
        }
    finally:
        await connection.close()


def texts_of(copy: Dump) -> str:
    """All that stands in a copy, bytes as the text that they may be."""
    values = (value for rows in copy.values() for row in rows for value in row.values())
    return "\n".join(v.decode("latin-1") if isinstance(v, bytes) else str(v) for v in values)


async def roots_of(copy: Dump, folder: Path) -> list[Root]:
    """What the key file, as it is now, unwraps of a copy's root keys."""
    wrapping = LocalWrapping(keys="", folder=folder)
    found = []
    for row in copy["kernel.root_keys"]:
        bound = b"serai: root key" + row["number"].to_bytes(8, "big")
        try:
            raw = await wrapping.unwrap(row["wrapped"], bound)
        except Unavailable:
            continue
        found.append(Root(row["number"], AESGCM(raw), row["created_at"]))
    return found


def keys_of(copy: Dump, roots: Iterable[Root]) -> list[tuple[bytes, AESGCM]]:
    """What root keys unwrap of a copy's data keys, whatever is written beside them."""
    found = []
    for row, root in itertools.product(copy["kernel.data_keys"], roots):
        whose = (row["tenant_id"], row["subject"])
        try:
            raw = subjects.unwrap(root, whose, row["serial"], row["wrapped"])
        except Unavailable:
            continue
        found.append((row["serial"], AESGCM(raw)))
    return found


def break_open(copy: Dump, keys: list[tuple[bytes, AESGCM]], tenant: UUID) -> str:
    """Everything that some key opens of what stands sealed anywhere in a copy."""
    found = []
    for text in set(TOKENS.findall(texts_of(copy))):
        for (serial, key), place in itertools.product(keys, PLACES):
            try:
                found.append(sealed.reveal(key, serial, Sealed(tenant, place, text)) or "")
            except (MisplacedError, InvalidTag):
                continue
    return "\n".join(found)


async def live(shop: AuditedShop) -> tuple[str, dict[str, str]]:
    """A customer who orders twice, and a guest; her account's id and her headers."""
    body = {"email": EMAIL, "password": PASSWORD, "name": NAME}
    await shop.do("POST", "/v1/customers", body, **HOUSE)
    token = await shop.house.composition.identity.find_mail_token(shop.house.tenant, EMAIL)
    shown = {"token": token, "password": PASSWORD}
    account = await shop.do("POST", "/v1/customers/verifications", shown, **HOUSE)
    given = await shop.do("POST", "/v1/sessions", {"email": EMAIL, "password": PASSWORD}, **HOUSE)
    headers = {"authorization": f"Bearer {given['access_token']}"}
    order = {
        "currency": "USD", "lines": [{"sku": "tent", "quantity": 1}],
        "payment": {"card": cards.APPROVED},
    }  # fmt: skip
    await shop.do("POST", "/v1/orders", {**order, "email": EMAIL}, **headers)
    await shop.do("POST", "/v1/orders", {**order, "email": EMAIL.upper()})
    await shop.do("POST", "/v1/orders", {**order, "email": GUEST})
    await shop.do("POST", "/v1/password-resets", {"email": EMAIL}, **HOUSE)
    return account["id"], headers


def wrapping_of(shop: AuditedShop) -> LocalWrapping:
    folder = Path(shop.house.composition.surroundings.settings.data_dir)
    return LocalWrapping(keys="", folder=folder)


async def rotate(shop: AuditedShop, wait: Any = None) -> rotation.Rotated:
    async def pass_by(_: float) -> None:
        """The clock stands."""

    house = shop.house.composition
    return await rotation.rotate(
        house.seals.roots, database=house.database, homes=house.homes, clock=house.clock,
        wait=wait or pass_by,
    )  # fmt: skip


async def run_job(shop: AuditedShop, name: str) -> int:
    house = shop.house.composition
    (job,) = [job for job in house.jobs if job.name == name]
    return await job.run(house.database, POOLED, house.clock)
