"""Signed requests (HTTP Message Signatures, RFC 9421), and what a signature has to cover here.

The library reads the two headers, builds the signature base and has the signature checked; what is
decided here is what must be in it, how old it may be, and that the body is the one that was signed
(Content-Digest, RFC 9530). That a signature is used once is up to who asks: `Signed` says which
nonce to keep, and until when.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature as UnfitSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from http_message_signatures import (
    ContentDigest,
    HTTPMessageSignaturesException,
    HTTPMessageVerifier,
    InvalidSignature,
    MappingKeyResolver,
    algorithms,
)

from serai.kernel.web import Unauthenticated

AGE_MAX: Final = timedelta(minutes=5)
"""How old a signature may be."""
AHEAD_MAX: Final = timedelta(seconds=30)
"""How far the signer's clock may be ahead of ours."""
KEPT_LONGER: Final = timedelta(minutes=1)
"""How long a nonce is kept after its signature is over: clocks of our processes differ too."""
NONCE_CHARS_MIN: Final = 16
NONCE_CHARS_MAX: Final = 64
FIELD_CHARS_MAX: Final = 4_096
"""How long `Signature-Input` and `Signature` may each be."""
REASON_CHARS_MAX: Final = 200

_ALWAYS: Final = ("@method", "authorization")
_WHERE: Final = ("@target-uri",)
_WHERE_IN_PARTS: Final = ("@authority", "@path", "@query")
_WHERE_SENT: Final = (
    "content-digest", "content-encoding", "content-type", "idempotency-key", "if-match",
)  # fmt: skip
"""Headers that change what a request means: a signature that leaves one out is not enough."""
_FIELDS: Final = ("signature-input", "signature")
_HOWTO: Final = "see docs/howto/sign-requests.md"


class SignatureMissing(Unauthenticated):
    """The key takes signed requests only, and this one is not signed."""


class SignatureMalformed(Unauthenticated):
    """`Signature-Input` or `Signature` cannot be read, or is not one signature by this key."""


class SignatureInvalid(Unauthenticated):
    """The signature is not one of this request by the key's signer."""


class SignatureIncomplete(Unauthenticated):
    """The signature is right, but does not cover all that it must; `missing` says what."""


class SignatureOutOfTime(Unauthenticated):
    """The signature is right, but too old, over, or of the future."""


class ContentDigestUnfit(Unauthenticated):
    """The body is not the one that `Content-Digest` says, or that header cannot be read."""


class SignatureReplayed(Unauthenticated):
    """A request with this nonce has been here before."""


class Asked(NamedTuple):
    """A request as it came: `headers` are the field lines in their order, in Latin-1."""

    method: str
    url: str
    headers: Sequence[tuple[str, str]]
    body: bytes


class Signed(msgspec.Struct, frozen=True):
    """What a right signature leaves to do: take its nonce, and keep it so long."""

    nonce: str
    until: datetime


class _Lines:
    """Field lines, as the library wants to walk them."""

    def __init__(self, lines: Sequence[tuple[str, str]]) -> None:
        self._lines = lines

    def items(self) -> Sequence[tuple[str, str]]:
        return self._lines


class _Message(NamedTuple):
    method: str
    url: str
    headers: _Lines


class _Verifier(HTTPMessageVerifier):
    """The library's verifier; times are judged after it, by the clock of the house."""

    def validate_created_and_expires(self, sig_input: Any, max_age: Any = None) -> None:
        del sig_input, max_age


def verify(asked: Asked, *, key_id: str, signer: Ed25519PublicKey, now: datetime) -> Signed:
    """Refuses a request that the signer of this key has not signed whole, and just now."""
    fields = [[v for n, v in asked.headers if n == name] for name in _FIELDS]
    if not any(fields):
        raise SignatureMissing(
            "this API key takes signed requests only: send `Signature-Input` and `Signature` "
            f"(RFC 9421, ed25519); {_HOWTO}"
        )
    if any(sum(map(len, values)) > FIELD_CHARS_MAX for values in fields):
        raise SignatureMalformed(
            f"`Signature-Input` and `Signature` have at most {FIELD_CHARS_MAX} characters each"
        )
    found = _check(asked, key_id=key_id, signer=signer)
    covered: dict[str, str] = found.covered_components
    if missing := _find_missing(asked, covered, found.parameters):
        raise SignatureIncomplete(
            f"sign again, and cover {', '.join(missing)} too; {_HOWTO}", missing=missing
        )
    until = _check_time(found.parameters, now)
    digest = covered.get('"content-digest"')
    if digest is not None:
        try:
            ContentDigest.verify(digest, asked.body)
        except InvalidSignature as error:
            raise ContentDigestUnfit(
                "`Content-Digest` must be the sha-256 or sha-512 of the body as it is sent (RFC "
                "9530): make it of the very bytes, and sign again"
            ) from error
    return Signed(str(found.parameters["nonce"]), until)


def _check(asked: Asked, *, key_id: str, signer: Ed25519PublicKey) -> Any:
    """The one signature that is there, after the library has checked it."""
    keys = MappingKeyResolver(public_keys={key_id: signer}, private_keys={})
    verifier = _Verifier(signature_algorithm=algorithms.ED25519, key_resolver=keys)
    message = _Message(asked.method, asked.url, _Lines(asked.headers))
    try:
        [found] = verifier.verify(message, max_age=None)
    except HTTPMessageSignaturesException as error:
        if isinstance(error.__cause__, UnfitSignature):
            raise SignatureInvalid(
                f"the signature does not fit: what reached us is {asked.method} {asked.url}; sign "
                "exactly that, with the private key that belongs to this API key"
            ) from error
        reason = str(error)[:REASON_CHARS_MAX]
        raise SignatureMalformed(
            f"send one signature by ed25519 whose `keyid` is the API key's id {key_id}: {reason}; "
            f"{_HOWTO}"
        ) from error
    return found


def _find_missing(asked: Asked, covered: dict[str, str], parameters: dict[str, Any]) -> list[str]:
    """What a signature leaves out; a component counts as it is, not in part or in another form."""
    sent = {name for name, _ in asked.headers}
    wanted = [*_ALWAYS, *(name for name in _WHERE_SENT if name in sent)]
    if asked.body and "content-digest" not in sent:
        wanted.append("content-digest")
    has_all_parts = all(f'"{name}"' in covered for name in _WHERE_IN_PARTS)
    if not has_all_parts:
        wanted += _WHERE
    missing = [name for name in wanted if f'"{name}"' not in covered]
    if "created" not in parameters:
        missing.append("created")
    if not NONCE_CHARS_MIN <= len(str(parameters.get("nonce", ""))) <= NONCE_CHARS_MAX:
        missing.append(f"nonce (of {NONCE_CHARS_MIN} to {NONCE_CHARS_MAX} characters)")
    return missing


def _check_time(parameters: dict[str, Any], now: datetime) -> datetime:
    """Until when the nonce is to be kept; refuses a signature that is not of just now."""
    present = now.timestamp()
    created: int = parameters["created"]
    expires: int | None = parameters.get("expires")
    if (
        not present - AGE_MAX.total_seconds() <= created <= present + AHEAD_MAX.total_seconds()
        or (expires is not None and expires <= present)
    ):  # fmt: skip
        raise SignatureOutOfTime(
            f"sign again: a signature is good for {AGE_MAX.total_seconds():.0f} seconds, and may "
            f"be {AHEAD_MAX.total_seconds():.0f} seconds ahead; our time is {int(present)}",
            now=int(present),
        )
    return datetime.fromtimestamp(created, UTC) + AGE_MAX + KEPT_LONGER
