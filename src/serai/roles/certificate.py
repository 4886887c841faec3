"""Whether the files for TLS can be used, asked before a server is made with them."""

import ssl
from pathlib import Path

from serai.settings import SettingsError


def check_pair(tls: tuple[Path, Path]) -> None:
    """Refuses files of a certificate and a key that do not belong together or cannot be read."""
    certificate, key = tls
    try:
        # A key that asks for a password would ask the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=str)
    except (OSError, ValueError) as error:
        raise SettingsError(
            "SERAI_TLS_CERTIFICATE and SERAI_TLS_KEY must be a certificate in PEM (with those "
            f"between it and its root) and its own key, without a password: {error}"
        ) from error
