"""What a tenant's name and an API key look like, and whether a key is valid now."""

import hashlib
import hmac
import re
from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from serai.contexts.tenancy.contract import (
    KEYS_MAX,
    NAME_CHARS_MAX,
    ORIGIN_CHARS_MAX,
    SCOPES,
    OriginUnfit,
    ScopeNotHeld,
    SignerUnfit,
    TenantNameUnfit,
    TenantSuspended,
    TenantUnproven,
    Tier,
    TooManyKeys,
    UnknownScope,
)
from serai.contexts.tenancy.contract.domains import (
    CHALLENGE_LABEL,
    DOMAIN_CHARS_MAX,
    DOMAIN_MISSES_MAX,
    DOMAINS_MAX,
    DomainTaken,
    DomainUnfit,
    DomainUnproven,
    TooManyDomains,
)
from serai.kernel.failure import Refused
from serai.kernel.tenant import MAIN, POOLED, Home

SECRET_BYTES = 32
UNPROVEN = "unproven"
"""The state of a tenant whose owner has not followed her mail yet."""
EXPIRED = "expired"
"""The state of one whose owner never did; it is about to be swept away."""
KEY_CHARS = 115

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", re.ASCII)
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_ORIGIN = re.compile(
    rf"(?:https://{_LABEL}(?:\.{_LABEL})*|http://(?:localhost|127\.0\.0\.1))(?::[1-9][0-9]{{0,4}})?",
    re.ASCII,
)
# A last label of digits only would be an address.
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)+(?![0-9]+$){_LABEL}", re.ASCII)
_PORT = re.compile(r":[0-9]{1,5}$", re.ASCII)
_KEY = re.compile(r"serai_([0-9a-f]{32})_([0-9a-f]{32})_[A-Za-z0-9_-]{43}", re.ASCII)


class Domain(msgspec.Struct, frozen=True):
    """A domain that a tenant claims or has proven."""

    tenant_id: UUID
    name: str
    token: str
    created_at: datetime
    expires_at: datetime
    proven_at: datetime | None = None
    checked_at: datetime | None = None
    misses: int = 0
    suspended_at: datetime | None = None

    @property
    def record_name(self) -> str:
        return f"{CHALLENGE_LABEL}.{self.name}"

    @property
    def record_value(self) -> str:
        return f"serai-domain={self.token}"


class KeyAddress(msgspec.Struct, frozen=True):
    """Which key a text claims to be. The tenant is in it, so that the look-up stays in its wall."""

    tenant_id: UUID
    key_id: UUID


class KeyRecord(msgspec.Struct, frozen=True):
    """An API key as it is kept."""

    tenant_id: UUID
    key_id: UUID
    home: Home
    digest: bytes
    scopes: frozenset[str]
    revoked_at: datetime | None
    state: str = "active"
    signer: bytes | None = None


def check_name(name: str) -> None:
    """Refuses a name that is no slug; it goes into addresses and commands as it is."""
    if len(name) > NAME_CHARS_MAX or _NAME.fullmatch(name) is None:
        raise TenantNameUnfit(
            f"a tenant's name has 1 to {NAME_CHARS_MAX} small letters, digits and dashes, and "
            "neither begins nor ends with a dash"
        )


def choose_domain(wanted: str) -> str:
    """A domain as it is kept: in small letters; refuses what no browser would ask for by name."""
    domain = wanted.lower()
    if len(domain) > DOMAIN_CHARS_MAX or _DOMAIN.fullmatch(domain) is None:
        raise DomainUnfit(
            "a domain is like shop.example.com: letters, digits and dashes, at least one dot; "
            "write others as their `xn--` form"
        )
    return domain


def domain_of_host(host: str) -> str | None:
    """The domain that a `Host` header names, without its port; None where it can be nobody's."""
    domain = host.lower().rpartition(":")[0] if _PORT.search(host) else host.lower()
    if len(domain) > DOMAIN_CHARS_MAX or _DOMAIN.fullmatch(domain) is None:
        return None
    return domain


def refuse_claim(name: str, *, had: Collection[str], is_taken: bool) -> Refused | None:
    """Why a tenant that has these domains cannot claim another one."""
    if is_taken:
        return DomainTaken("a tenant of this installation has proven that this domain is its own")
    if name not in had and len(had) >= DOMAINS_MAX:
        return TooManyDomains(f"a tenant may have {DOMAINS_MAX} domains; remove one first")
    return None


def find_unproven(domain: Domain, texts: Collection[str]) -> DomainUnproven | None:
    """Why what the DNS says does not prove a domain; None where it does."""
    if domain.record_value in texts:
        return None
    return DomainUnproven(
        f"put a TXT record at {domain.record_name} with the value {domain.record_value}, wait "
        "until the DNS shows it, and try again",
        record_name=domain.record_name, record_value=domain.record_value, found=len(texts),
    )  # fmt: skip


def judge_check(domain: Domain, texts: Collection[str], now: datetime) -> Domain:
    """A proven domain after what the DNS said at a check; suspended by one miss too many."""
    is_there = domain.record_value in texts
    misses = 0 if is_there else domain.misses + 1
    checked = msgspec.structs.replace(domain, misses=misses, checked_at=now)
    if misses < DOMAIN_MISSES_MAX:
        return checked
    return msgspec.structs.replace(checked, proven_at=None, suspended_at=now)


def choose_origins(wanted: Sequence[str]) -> tuple[str, ...]:
    """A tenant's origins, each once and sorted; refuses what no browser sends as one."""
    unfit = [
        origin
        for origin in wanted
        if _ORIGIN.fullmatch(origin) is None or len(origin) > ORIGIN_CHARS_MAX
    ]
    if unfit:
        raise OriginUnfit(
            "an origin is like https://shop.example or https://shop.example:8443, in small "
            "letters; http only for localhost",
            unfit=unfit,
        )
    return tuple(sorted(set(wanted)))


def choose_scopes(wanted: Sequence[str], *, held: Collection[str]) -> tuple[str, ...]:
    """The scopes of a new key in their usual order; refuses unknown ones and those not held."""
    unknown = sorted(set(wanted) - set(SCOPES))
    if unknown or not wanted:
        raise UnknownScope(
            f"name at least one of these scopes: {', '.join(SCOPES)}", unknown=unknown
        )
    missing = sorted(set(wanted) - set(held))
    if missing:
        raise ScopeNotHeld("a key can only give what it holds itself", missing=missing)
    return tuple(scope for scope in SCOPES if scope in set(wanted))


def refuse_stronger(scopes: Collection[str], *, held: Collection[str]) -> Refused | None:
    """Why who holds these scopes may not end a key, nor say by whom its requests are signed.

    Nobody takes what she may not do herself; and whoever names a signer can use the key, once she
    has its text: it must give her nothing new.
    """
    missing = sorted(set(scopes) - set(held))
    if not missing:
        return None
    return ScopeNotHeld("this key may do what you may not", missing=missing)


def refuse_too_many(valid: int) -> Refused | None:
    """Why a tenant with this many valid keys gets no further one."""
    if valid < KEYS_MAX:
        return None
    return TooManyKeys(f"a tenant may have {KEYS_MAX} valid API keys; revoke one first")


def read_signer(pem: str) -> bytes:
    """The raw public key of a signer; refuses what is none, and what is private."""
    try:
        key = serialization.load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise SignerUnfit(
            "a signer is an Ed25519 public key in PEM, as `openssl pkey -pubout` writes it; keep "
            "the private key where you sign"
        )
    return key.public_bytes_raw()


def write_signer(signer: bytes) -> str:
    """A signer's public key in PEM."""
    key = Ed25519PublicKey.from_public_bytes(signer)
    pem = key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return pem.decode()


def write_key(tenant_id: UUID, key_id: UUID, secret: str) -> str:
    """The text of a key; whoever has it may use it."""
    return f"serai_{tenant_id.hex}_{key_id.hex}_{secret}"


def address_of(text: str) -> KeyAddress | None:
    """Which key a text claims to be; None for a text that cannot be one of ours."""
    if len(text) != KEY_CHARS:
        return None
    match = _KEY.fullmatch(text)
    if match is None:
        return None
    return KeyAddress(UUID(hex=match.group(1)), UUID(hex=match.group(2)))


def digest_of(text: str) -> bytes:
    """What is kept of a key. One plain hash will do: the secret has 256 bits of chance."""
    return hashlib.sha256(text.encode()).digest()


def is_valid(record: KeyRecord | None, digest: bytes) -> bool:
    """Whether the text behind `digest` is this key and may still be used."""
    if record is None or not hmac.compare_digest(record.digest, digest):
        return False
    return record.revoked_at is None


def refuse_standing(state: str) -> Refused | None:
    """Why a tenant in this state is not served; None for an active one."""
    if state == "active":
        return None
    if state in {UNPROVEN, EXPIRED}:
        return TenantUnproven("this tenant opens when its owner has followed the mail")
    return TenantSuspended("this tenant is suspended: its keys open nothing until it is resumed")


def home_for(name: str, tier: Tier, *, database: str = "") -> Home:
    """The home of a tenant of this name; always the same, so that a half-made one is found again.

    A schema's name has 63 bytes at most and a tenant's has as many, so of that only the beginning
    is in it, for people, and a digest, which tells two apart.
    """
    if tier == "pooled":
        return POOLED
    mark = hashlib.sha256(name.encode()).hexdigest()[:8]
    short = f"{name[:20].replace('-', '_')}_{mark}"
    if tier == "schema":
        return Home(f"schema:{name}", prefix=f"h_{short}_")
    return Home(f"database:{name}", database or f"serai_{short}")


def tier_of(home: Home) -> Tier:
    """What kind of home it is."""
    if home.database != MAIN:
        return "database"
    return "schema" if home.prefix else "pooled"
