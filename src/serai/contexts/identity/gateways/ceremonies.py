"""Web Authentication by py_webauthn: what authenticators are asked, and what their answers hold.

An answer is good where it was given on the very page that asked, for the site of that page, by
somebody whom the authenticator has verified. Where it is not, why is not told.
"""

from collections.abc import Sequence
from typing import Any, Final

import webauthn
from cryptography.exceptions import UnsupportedAlgorithm
from webauthn.helpers import (
    base64url_to_bytes,
    options_to_json_dict,
    parse_attestation_object,
    parse_client_data_json,
)
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AttestationFormat,
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from serai.contexts.identity.contract.passkeys import CHALLENGE_S
from serai.contexts.identity.model.accounts import Account
from serai.contexts.identity.model.passkeys import Challenge, Made, Passkey, Signed

ALGORITHMS: Final = [
    COSEAlgorithmIdentifier.EDDSA,
    COSEAlgorithmIdentifier.ECDSA_SHA_256,
    COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256,
]
FORMATS: Final = {AttestationFormat.NONE, AttestationFormat.PACKED}
"""No attestation is asked for. A browser may leave one by the passkey's own key (`packed`) in."""
CREDENTIAL_ID_BYTES_MAX: Final = 1023
_UNREADABLE: Final = (
    WebAuthnException, UnsupportedAlgorithm, ValueError, KeyError, TypeError, IndexError,
    AttributeError, OverflowError, RecursionError,
)  # fmt: skip
"""What the library raises on bytes that an attacker has chosen, by its code; each is a refusal."""


class WebAuthn:
    """The port Ceremonies."""

    def ask_to_make(
        self, account: Account, challenge: Challenge, *, has: Sequence[Passkey], shop: str
    ) -> dict[str, Any]:
        options = webauthn.generate_registration_options(
            rp_id=challenge.rp_id,
            rp_name=shop,
            user_name=account.email,
            user_id=account.id.bytes,
            user_display_name=account.name or account.email,
            challenge=challenge.challenge,
            timeout=CHALLENGE_S * 1000,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED,
                user_verification=UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=[PublicKeyCredentialDescriptor(one.credential_id) for one in has],
            supported_pub_key_algs=ALGORITHMS,
        )
        return options_to_json_dict(options)

    def ask_to_sign(self, challenge: Challenge) -> dict[str, Any]:
        options = webauthn.generate_authentication_options(
            rp_id=challenge.rp_id,
            challenge=challenge.challenge,
            timeout=CHALLENGE_S * 1000,
            user_verification=UserVerificationRequirement.REQUIRED,
        )
        return options_to_json_dict(options)

    def read_made(self, credential: dict[str, Any], challenge: Challenge) -> Made | None:
        try:
            response = credential["response"]
            if _is_framed(response):
                return None
            attested = parse_attestation_object(base64url_to_bytes(response["attestationObject"]))
            if attested.fmt not in FORMATS:
                return None
            made = webauthn.verify_registration_response(
                credential=credential,
                expected_challenge=challenge.challenge,
                expected_rp_id=challenge.rp_id,
                expected_origin=challenge.origin,
                require_user_verification=True,
                supported_pub_key_algs=ALGORITHMS,
            )
        except _UNREADABLE:
            return None
        is_its = base64url_to_bytes(credential["rawId"]) == made.credential_id
        if not is_its or len(made.credential_id) > CREDENTIAL_ID_BYTES_MAX:
            return None
        return Made(
            made.credential_id, made.credential_public_key, made.sign_count,
            made.credential_backed_up,
        )  # fmt: skip

    def read_id(self, credential: dict[str, Any]) -> bytes | None:
        try:
            found = base64url_to_bytes(credential["rawId"])
        except ValueError:
            return None
        return found if len(found) <= CREDENTIAL_ID_BYTES_MAX else None

    def read_signed(
        self, credential: dict[str, Any], challenge: Challenge, passkey: Passkey
    ) -> Signed | None:
        try:
            response = credential["response"]
            if _is_framed(response):
                return None
            handle = response.get("userHandle")
            if handle is not None and base64url_to_bytes(handle) != passkey.account_id.bytes:
                return None
            signed = webauthn.verify_authentication_response(
                credential=credential,
                expected_challenge=challenge.challenge,
                expected_rp_id=challenge.rp_id,
                expected_origin=challenge.origin,
                credential_public_key=passkey.public_key,
                # What a counter tells is judged by our model, which has to record it.
                credential_current_sign_count=0,
                require_user_verification=True,
            )
            count = webauthn.helpers.parse_authenticator_data(
                base64url_to_bytes(response["authenticatorData"])
            ).sign_count
        except _UNREADABLE:
            return None
        return Signed(count, signed.credential_backed_up)


def _is_framed(response: dict[str, Any]) -> bool:
    """Whether the page stood in a frame of another origin: we ask from no such page."""
    client_data = parse_client_data_json(base64url_to_bytes(response["clientDataJSON"]))
    return bool(client_data.cross_origin)
