"""Pages that are whole in themselves, and may run and show nothing that is not their own."""

import base64
import hashlib
import re
from typing import Final

_INSIDE: Final = re.compile(rb"<(script|style)>(.*?)</\1>", re.DOTALL)


def policy_of(page: bytes) -> str:
    """The Content-Security-Policy of a page: its own script and style by their hashes, its API."""
    hashes: dict[bytes, list[str]] = {b"script": [], b"style": []}
    for kind, content in _INSIDE.findall(page):
        digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
        hashes[kind].append(f"'sha256-{digest}'")
    return "; ".join(
        (
            "default-src 'none'",
            *(f"{kind.decode()}-src {' '.join(own)}" for kind, own in hashes.items() if own),
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )
