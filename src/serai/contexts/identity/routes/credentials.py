"""What a browser's `PublicKeyCredential` is as JSON, in the bodies that hold one."""

from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec

from serai.contexts.identity.handlers.passkeys import Assertion
from serai.kernel.text import END

ID_CHARS_MAX: Final = 1400
SIGNED_CHARS_MAX: Final = 8192
MADE_CHARS_MAX: Final = 32_768

_BASE64URL: Final = rf"^[A-Za-z0-9_-]*{END}"
Id = Annotated[str, msgspec.Meta(max_length=ID_CHARS_MAX, pattern=_BASE64URL)]
Bytes = Annotated[str, msgspec.Meta(max_length=SIGNED_CHARS_MAX, pattern=_BASE64URL)]
LongBytes = Annotated[str, msgspec.Meta(max_length=MADE_CHARS_MAX, pattern=_BASE64URL)]


class SignedResponse(msgspec.Struct, frozen=True):
    """An `AuthenticatorAssertionResponse` as JSON; what browsers add to it is not looked at."""

    client_data_json: Bytes = msgspec.field(name="clientDataJSON")
    authenticator_data: Bytes = msgspec.field(name="authenticatorData")
    signature: Bytes
    user_handle: Id | None = msgspec.field(name="userHandle", default=None)


class SignedCredential(msgspec.Struct, frozen=True):
    """A `PublicKeyCredential` as JSON (`toJSON()`) that `navigator.credentials.get` gave."""

    id: Id
    raw_id: Id = msgspec.field(name="rawId")
    type: Literal["public-key"]
    response: SignedResponse


class MadeResponse(msgspec.Struct, frozen=True):
    """An `AuthenticatorAttestationResponse` as JSON; what browsers add to it is not looked at."""

    client_data_json: Bytes = msgspec.field(name="clientDataJSON")
    attestation_object: LongBytes = msgspec.field(name="attestationObject")


class MadeCredential(msgspec.Struct, frozen=True):
    """A `PublicKeyCredential` as JSON (`toJSON()`) that `navigator.credentials.create` gave."""

    id: Id
    raw_id: Id = msgspec.field(name="rawId")
    type: Literal["public-key"]
    response: MadeResponse


class AssertionBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A passkey's answer to a challenge."""

    challenge_id: UUID
    credential: SignedCredential

    def read(self) -> Assertion:
        """As the handlers take it."""
        return Assertion(self.challenge_id, msgspec.to_builtins(self.credential))
