"""Whether the files for TLS can be used, and whether they were renewed since."""

import ssl
from pathlib import Path

import structlog

from serai.settings import SettingsError

_log = structlog.get_logger(__name__)

Stamp = tuple[tuple[int, int, int], ...]
"""What changes about files that are written anew or put in place of others."""


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


class Renewal:
    """Looks whether the files hold another certificate that can be used; each change is said once.

    Blocks for as long as it takes to read two small files.
    """

    def __init__(self, tls: tuple[Path, Path]) -> None:
        self._tls = tls
        self._stamp = _stamp_of(tls)

    def look(self) -> bool:
        """Whether they have changed since the last look, to a pair that belongs together."""
        stamp = _stamp_of(self._tls)
        if stamp == self._stamp:
            return False
        # The stamp is older than what is read: what is written in between is seen at the next look.
        self._stamp = stamp
        try:
            check_pair(self._tls)
        except SettingsError as error:
            _log.error("certificate_unfit", action="certificate_unfit", reason=str(error))
            return False
        return True


def _stamp_of(tls: tuple[Path, Path]) -> Stamp:
    try:
        stats = [file.stat() for file in tls]
    except OSError:
        return ()
    return tuple((stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in stats)
