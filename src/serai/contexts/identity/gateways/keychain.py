"""The installation's signing keys in this process: what signs, what verifies, what is published."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from serai.contexts.identity.gateways.safe import Safe
from serai.contexts.identity.model import keys as model
from serai.contexts.identity.model import tokens
from serai.contexts.identity.model.keys import PLATFORM, SIGNS_AFTER, SigningKey
from serai.contexts.identity.model.protocol import IdClaims, IdHeader
from serai.contexts.identity.model.tokens import ALGORITHM, TYPE, Claims, Header
from serai.contexts.identity.ports import KEYS, Keys, Sessions
from serai.kernel import ids
from serai.kernel.clock import Clock
from serai.kernel.db import Database
from serai.kernel.everywhere import record_everywhere
from serai.kernel.failure import Invalid, Unavailable
from serai.kernel.strict_json import decode_json
from serai.kernel.tenant import POOLED

READ_S: Final = 30.0
"""How old what is known of the keys may be; a rotation is told, so this is the net below."""
UNKNOWN_READ_S: Final = 1.0
"""How often a key that nobody has heard of may make us look."""
TRIES_MAX: Final = 3

_encode = msgspec.json.Encoder().encode
_header = msgspec.json.Decoder(Header)
_claims = msgspec.json.Decoder(Claims)
_id_header = msgspec.json.Decoder(IdHeader)
_id_claims = msgspec.json.Decoder(IdClaims)
_NOTHING: Final[tuple[SigningKey, ...]] = ()


class Keychain:
    """The port Signing, and what access tokens are verified by."""

    def __init__(
        self, database: Database, keys: Keys, sessions: Sessions, safe: Safe, clock: Clock, *,
        issuer: str, app_issuers: str, now: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._database = database
        self._keys = keys
        self._sessions = sessions
        self._safe = safe
        self._clock = clock
        self._issuer = issuer
        self._app_issuers = app_issuers
        self._now = now
        self._known: tuple[SigningKey, ...] = _NOTHING
        self._public: dict[UUID, OKPKey] = {}
        self._private: dict[UUID, OKPKey] = {}
        self._read_at = -READ_S
        self._lock = asyncio.Lock()

    async def prepare(self, token_type: str = TYPE) -> Callable[[msgspec.Struct], str]:
        key = await self._find_signing()
        private = self._private.get(key.id)
        if private is None:
            private = OKPKey.import_key(
                msgspec.json.decode(await self._safe.unseal(key.sealed_key))
            )
            self._private[key.id] = private
        header = {"alg": ALGORITHM, "kid": str(key.id), "typ": token_type}

        def sign(claims: msgspec.Struct) -> str:
            return jws.serialize_compact(header, _encode(claims), private, algorithms=[ALGORITHM])

        return sign

    async def verify(self, token: str) -> Claims | None:
        """What a token says, if it is ours, for us and good now; None for any other text."""
        claims: Claims | None = await self._read_signed(token, _header, _claims)
        if claims is None:
            return None
        is_timely = tokens.is_timely(
            claims, issuer=self._issuer, app_issuers=self._app_issuers, now=self._clock.now()
        )
        return claims if is_timely and tokens.is_whole(claims) else None

    async def read_hint(self, token: str) -> IdClaims | None:
        """What an ID token of ours says, whether or not its time is over."""
        claims: IdClaims | None = await self._read_signed(token, _id_header, _id_claims)
        return claims

    async def _read_signed(
        self, token: str, headers: msgspec.json.Decoder[Any], claims: msgspec.json.Decoder[Any]
    ) -> Any:
        text = tokens.header_text(token)
        if text is None:
            return None
        try:
            public = await self._find_public(decode_json(headers, text).kid)
            if public is None:
                return None
            signed = jws.deserialize_compact(token, public, algorithms=[ALGORITHM])
            return decode_json(claims, signed.payload)
        except (Invalid, JoseError, ValueError):
            return None

    async def publish(self) -> list[dict[str, Any]]:
        """The public halves of all keys whose tokens may be good, as JWKs (RFC 7517)."""
        await self._find_signing()
        published = model.list_published(self._known, now=self._clock.now())
        return [msgspec.json.decode(key.public_key) for key in published]

    def forget(self) -> None:
        """Makes the next one who asks look."""
        self._read_at = self._now() - READ_S
        self._known, self._public, self._private = _NOTHING, {}, {}

    async def rotate(self, *, is_compromised: bool, tenants: list[UUID]) -> SigningKey:
        """Makes a new key, which signs when others had time to hear of it, or at once.

        It stands in the audit trail of each of the tenants, for whom it will sign.
        """
        for _ in range(TRIES_MAX):
            number = max((key.number for key in await self._read()), default=0) + 1
            made = await self._make(number, is_first=number == 1 or is_compromised)
            async with self._database.transaction(POOLED, (PLATFORM,), is_transport=True) as tx:
                if is_compromised:
                    await self._keys.revoke(now=tx.now, tx=tx)
                kept = {k.number for k in model.list_published(self._known, now=tx.now)}
                gone = [k.number for k in self._known if k.number not in kept]
                await self._keys.delete_old(gone, tx=tx)
                is_added = await self._keys.add(made, tx=tx)
                await self._sessions.tell(KEYS, PLATFORM, tx=tx)
                if is_added:
                    await record_everywhere(
                        "identity.signing_key_rotated", ("signing_key", made.id),
                        {"number": number, "is_compromised": is_compromised},
                        tenants=tenants, tx=tx,
                    )  # fmt: skip
            if is_added:
                self.forget()
                return made
        raise Unavailable("others rotate the keys at the same time")

    async def _find_signing(self) -> SigningKey:
        for _ in range(TRIES_MAX):
            await self._refresh(READ_S)
            key = model.find_signing(self._known, now=self._clock.now())
            if key is not None:
                return key
            await self._add_first()
        raise Unavailable("there is no key to sign with")

    async def _find_public(self, key_id: UUID) -> OKPKey | None:
        await self._refresh(READ_S)
        if key_id not in {key.id for key in self._known}:
            await self._refresh(UNKNOWN_READ_S)
        published = model.list_published(self._known, now=self._clock.now())
        found = next((key for key in published if key.id == key_id), None)
        if found is None:
            return None
        public = self._public.get(key_id)
        if public is None:
            public = OKPKey.import_key(msgspec.json.decode(found.public_key))
            self._public[key_id] = public
        return public

    async def _refresh(self, age_s: float) -> None:
        if self._now() - self._read_at < age_s:
            return
        async with self._lock:
            if self._now() - self._read_at >= age_s:
                await self._read()

    async def _read(self) -> tuple[SigningKey, ...]:
        began = self._now()
        async with self._database.transaction(POOLED, (PLATFORM,), is_read_only=True) as tx:
            self._known = tuple(await self._keys.list_all(tx=tx))
        self._read_at = began
        return self._known

    async def _add_first(self) -> None:
        number = max((key.number for key in self._known), default=0) + 1
        made = await self._make(number, is_first=True)
        async with self._database.transaction(POOLED, (PLATFORM,)) as tx:
            await self._keys.add(made, tx=tx)
        self._read_at = self._now() - READ_S

    async def _make(self, number: int, *, is_first: bool) -> SigningKey:
        key_id = ids.new_id()
        key = OKPKey.generate_key("Ed25519", {"kid": str(key_id), "alg": ALGORITHM, "use": "sig"})
        now = self._clock.now()
        return SigningKey(
            number,
            key_id,
            _encode(key.as_dict(private=False)).decode(),
            await self._safe.seal(_encode(key.as_dict(private=True))),
            now,
            now if is_first else now + SIGNS_AFTER,
        )
