"""A mail as a mail server gets it: composed of a message, and refused where it is unsafe."""

import re
from datetime import datetime
from email.utils import parseaddr
from uuid import UUID

import msgspec

from serai.contexts.notifications.contract import SUBJECT_CHARS_MAX
from serai.contexts.notifications.model.templates import Words
from serai.kernel.text import EMAIL_CHARS_MAX, EMAIL_PATTERN

_ADDRESS = re.compile(EMAIL_PATTERN)
_LINE_END = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")


class Sender(msgspec.Struct, frozen=True):
    """Whom mails come from."""

    name: str
    address: str


class Mail(msgspec.Struct, frozen=True):
    """One mail to one customer. `message_id` is the same whenever the same mail is tried again."""

    message_id: str
    sender: Sender
    recipient: str
    subject: str
    text: str
    html: str
    written_at: datetime


def is_address(text: str) -> bool:
    """Whether mail can be sent there without quoting anything."""
    return len(text) <= EMAIL_CHARS_MAX and _ADDRESS.search(text) is not None


def parse_sender(text: str) -> Sender | None:
    """A sender from `shop@example.org` or `A Shop <shop@example.org>`; None where it is neither."""
    name, address = parseaddr(text)
    if _LINE_END.search(text) or not is_address(address):
        return None
    try:
        domain_of(address)
    except UnicodeError:
        return None
    return Sender(name, address)


def domain_of(address: str) -> str:
    """The domain of an address in its ASCII form; UnicodeError where it has none."""
    return address.rpartition("@")[2].encode("idna").decode()


def find_fault(mail: Mail) -> str | None:
    """Why a mail must not be handed to any server; None where nothing is wrong with it."""
    if not is_address(mail.recipient):
        return "the recipient is no address that mail can be sent to"
    if not is_address(mail.sender.address) or _LINE_END.search(mail.sender.name):
        return "the sender is no address that mail can come from"
    if _LINE_END.search(mail.subject) or _LINE_END.search(mail.message_id):
        return "a header would hold a line break or another control character"
    return None


def compose(
    words: Words,
    *,
    message: UUID,
    round_no: int,
    sender: Sender,
    recipient: str,
    now: datetime,
) -> Mail:
    """The mail that a rendered message becomes."""
    return Mail(
        f"<{message}.{round_no}@{domain_of(sender.address)}>",
        sender,
        recipient,
        words.subject[:SUBJECT_CHARS_MAX],
        words.text,
        words.html,
        now,
    )
