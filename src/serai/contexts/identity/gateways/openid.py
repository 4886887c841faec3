"""Talks to OpenID Connect providers over HTTPS, and checks what they have signed.

A tenant names the issuer, so an address is nothing to be trusted: it is https, its host has public
addresses only, no redirect is followed, and no more than so much is read within so many seconds.
What providers publish is remembered for a while, and so much of it.
"""

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec
from joserfc import jwk, jws
from joserfc.errors import JoseError

from serai.contexts.identity.model import providers as model
from serai.contexts.identity.model.providers import ALGORITHMS, IdClaims, Metadata, Provider
from serai.kernel.failure import Invalid, Unavailable
from serai.kernel.outside import is_outside
from serai.kernel.strict_json import decode_json

PHASE_S: Final = 5.0
"""How long each phase of a call may take: to connect, to send, to wait for the next bytes."""
CALL_S: Final = 10.0
"""How long a call may take in all."""
BODY_BYTES_MAX: Final = 256 * 1024
KEPT_S: Final = 600.0
"""How long what a provider publishes is gone by."""
AGAIN_S: Final = 30.0
"""How often a key that nobody has heard of may make us ask for a provider's keys again."""
ISSUERS_MAX: Final = 200
"""Providers that one process remembers; the one that was read the longest ago makes room."""
KEYS_MAX: Final = 50
CONNECTIONS_MAX: Final = 16
TOKEN_CHARS_MAX: Final = 16_384
DISCOVERY: Final = "/.well-known/openid-configuration"

V = TypeVar("V")
Key = tuple[str | None, frozenset[str], Any]

_metadata = msgspec.json.Decoder(Metadata)
_claims = msgspec.json.Decoder(IdClaims)


class _KeySet(msgspec.Struct, frozen=True):
    keys: list[dict[str, Any]]


class _Tokens(msgspec.Struct, frozen=True):
    id_token: str


class _Header(msgspec.Struct, frozen=True):
    alg: str
    kid: str | None = None


_key_set = msgspec.json.Decoder(_KeySet)
_tokens = msgspec.json.Decoder(_Tokens)


class OpenIdProviders:
    """The port Relying. Close it at the process's end."""

    def __init__(self, *, is_at_home: bool, now: Callable[[], float] = time.monotonic) -> None:
        self._is_at_home = is_at_home
        self._now = now
        self._client: httpx.AsyncClient | None = None
        self._opening = asyncio.Lock()
        self._published: dict[str, tuple[float, Metadata]] = {}
        self._keys: dict[str, tuple[float, tuple[Key, ...]]] = {}

    async def close(self) -> None:
        """Closes the connections."""
        if self._client is not None:
            await self._client.aclose()

    def find_fault(self, url: str) -> str | None:
        return model.find_url_fault(url, is_at_home=self._is_at_home)

    async def discover(self, issuer: str) -> Metadata:
        kept = self._published.get(issuer)
        if kept is not None and self._now() - kept[0] < KEPT_S:
            return kept[1]
        status, body = await self._call("GET", issuer.rstrip("/") + DISCOVERY)
        metadata: Metadata | None = _read(_metadata, body) if status == httpx.codes.OK else None
        if metadata is None or metadata.issuer != issuer:
            raise Unavailable("the provider publishes nothing of itself that could be gone by")
        addresses = (metadata.authorization_endpoint, metadata.token_endpoint, metadata.jwks_uri)
        if any(self.find_fault(url) is not None for url in addresses):
            raise Unavailable("the provider publishes an address that nobody goes to")
        self._keep(self._published, issuer, metadata)
        return metadata

    async def redeem(
        self, provider: Provider, metadata: Metadata, *, secret: str | None, code: str,
        redirect_uri: str, verifier: str,
    ) -> str | None:  # fmt: skip
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }  # fmt: skip
        auth = None
        methods = metadata.token_endpoint_auth_methods_supported
        if secret is None or "client_secret_basic" not in methods:
            form["client_id"] = provider.client_id
            if secret is not None:
                form["client_secret"] = secret
        else:
            auth = httpx.BasicAuth(_escape(provider.client_id), _escape(secret))
        status, body = await self._call("POST", metadata.token_endpoint, form=form, auth=auth)
        if status >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise Unavailable("the provider cannot give a token now")
        given: _Tokens | None = _read(_tokens, body) if status == httpx.codes.OK else None
        return None if given is None else given.id_token

    async def read_token(self, token: str, metadata: Metadata) -> IdClaims | None:
        if len(token) > TOKEN_CHARS_MAX:
            return None
        header = _read_header(token)
        if header is None:
            return None
        keys = await self._read_keys(metadata.jwks_uri, KEPT_S)
        fit = _find_keys(keys, header)
        if not fit:
            fit = _find_keys(await self._read_keys(metadata.jwks_uri, AGAIN_S), header)
        if len(fit) != 1:
            return None
        try:
            signed = jws.deserialize_compact(token, fit[0], algorithms=[header.alg])
        except (JoseError, ValueError, TypeError):
            return None
        claims: IdClaims | None = _read(_claims, signed.payload)
        return claims

    async def _read_keys(self, url: str, age_s: float) -> tuple[Key, ...]:
        kept = self._keys.get(url)
        if kept is not None and self._now() - kept[0] < age_s:
            return kept[1]
        status, body = await self._call("GET", url)
        published: _KeySet | None = _read(_key_set, body) if status == httpx.codes.OK else None
        if published is None:
            raise Unavailable("the provider publishes no keys")
        keys = tuple(key for raw in published.keys[:KEYS_MAX] if (key := _import(raw)) is not None)
        self._keep(self._keys, url, keys)
        return keys

    async def _call(
        self, method: str, url: str, *, form: dict[str, str] | None = None,
        auth: httpx.Auth | None = None,
    ) -> tuple[int, bytes]:  # fmt: skip
        if (fault := self.find_fault(url)) is not None:
            raise Unavailable(f"nobody goes to the provider's address: {fault}")
        try:
            async with asyncio.timeout(CALL_S):
                await self._check_host(urlsplit(url).hostname or "")
                client = await self._open()
                async with client.stream(method, url, data=form, auth=auth) as answer:
                    body = bytearray()
                    async for chunk in answer.aiter_bytes():
                        body += chunk
                        if len(body) > BODY_BYTES_MAX:
                            raise Unavailable("the provider answers more than is read")
                    return answer.status_code, bytes(body)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError, UnicodeError) as error:
            name = type(error).__name__
            raise Unavailable(f"the provider does not answer: {name}") from error

    async def _check_host(self, host: str) -> None:
        """Refuses a host inside: what asks from within must not be a way in (SSRF)."""
        if self._is_at_home:
            return
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        if not all(is_outside(str(entry[4][0])) for entry in found):
            raise Unavailable("nobody goes to the provider's address: it is not a public one")

    async def _open(self) -> httpx.AsyncClient:
        async with self._opening:
            if self._client is None:
                self._client = httpx.AsyncClient(
                    # It reads the authorities' certificates from the disk.
                    verify=await asyncio.to_thread(httpx.create_ssl_context, trust_env=False),
                    timeout=PHASE_S,
                    limits=httpx.Limits(max_connections=CONNECTIONS_MAX),
                    headers={"Accept": "application/json"},
                    follow_redirects=False,
                    trust_env=False,
                )
            return self._client

    def _keep(self, memory: dict[str, tuple[float, V]], key: str, found: V) -> None:
        memory.pop(key, None)
        while len(memory) >= ISSUERS_MAX:
            del memory[next(iter(memory))]
        memory[key] = (self._now(), found)


def _read(decoder: Any, body: bytes) -> Any:
    """What a body holds, read strictly; None where it is not that."""
    try:
        return decode_json(decoder, body)
    except Invalid:
        return None


def _read_header(token: str) -> _Header | None:
    try:
        return msgspec.convert(jws.extract_compact(token.encode()).headers(), _Header)
    except (JoseError, ValueError, TypeError):
        return None


def _import(raw: dict[str, Any]) -> Key | None:
    """A public key with the algorithms that it may be used for; None for any other key."""
    algorithms = frozenset(ALGORITHMS.get(str(raw.get("kty")), ()))
    if raw.get("alg") is not None:
        algorithms &= {str(raw["alg"])}
    if not algorithms or raw.get("use", "sig") != "sig":
        return None
    try:
        kid = raw.get("kid")
        return None if kid is None else str(kid), algorithms, jwk.import_key(raw)
    except (JoseError, ValueError, TypeError, KeyError):
        return None


def _find_keys(keys: tuple[Key, ...], header: _Header) -> list[Any]:
    """The keys that a token may be signed by; one without a key id only where there is one key."""
    return [
        key
        for kid, algorithms, key in keys
        if header.alg in algorithms and (header.kid is None or kid == header.kid)
    ]


def _escape(text: str) -> str:
    """As RFC 6749, 2.3.1 asks for it, before it goes into the header."""
    return str(httpx.QueryParams({"": text}))[1:]
