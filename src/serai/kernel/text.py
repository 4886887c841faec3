"""What text may hold where it comes in; a body says it by one of these types.

The patterns mean the same to Python, which checks by them, and to a reader of the API's
description, who has ECMAScript's: both search, and neither knows the other's anchors.
"""

from typing import Annotated, Final

import msgspec

END: Final = r"$(?!\n)"
"""The end of a text: `$` alone is also the place before a last line break."""

CONTROL_CHARS: Final = r"\x00-\x1f\x7f-\x9f"
"""The control characters of Unicode, as they stand in a class of characters; a tab is one."""
LINE_PATTERN: Final = rf"^[^{CONTROL_CHARS}]*{END}"
TEXT_PATTERN: Final = r"^[^\x00]*$"
# Narrower than RFC 5321 on purpose: one address, nothing that needs quoting, nothing that begins
# another address or another header.
EMAIL_PATTERN: Final = (
    rf"^[^\s@<>()\[\]\\,;:\"{CONTROL_CHARS}]{{1,64}}@(?:[\w-]{{1,63}}\.)*[\w-]{{1,63}}{END}"
)
EMAIL_CHARS_MAX: Final = 254

Line = Annotated[str, msgspec.Meta(pattern=LINE_PATTERN)]
"""Text of one line: no control character, so neither a line break nor a NUL."""
Text = Annotated[str, msgspec.Meta(pattern=TEXT_PATTERN)]
"""Text of any lines: all but NUL, which PostgreSQL cannot hold."""
Email = Annotated[
    str, msgspec.Meta(min_length=3, max_length=EMAIL_CHARS_MAX, pattern=EMAIL_PATTERN)
]
"""One address that mail can go to: a name of up to 64 characters, an @, a domain."""
