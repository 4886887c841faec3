"""The mailer of a shop that has no mail server yet: it says in the log that a mail was due."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from serai.contexts.notifications.model.mails import Mail, find_fault
from serai.contexts.notifications.model.messages import Outcome
from serai.kernel.clock import Clock

_log = structlog.get_logger(__name__)

LINES_PER_S = 20
"""Mails that are named in the log each second; of the others it only tells how many they were."""
_WINDOW = timedelta(seconds=1)
_SENT = Outcome("sent")


class ConsoleMailer:
    """Writes one log line for a mail, by its id alone: a log is no place for an address."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began: datetime | None = None
        self._printed = 0
        self._unnamed = 0

    async def send(self, mails: Sequence[Mail]) -> list[Outcome]:
        outcomes = []
        for mail in mails:
            fault = find_fault(mail)
            if fault is None:
                self._print(mail)
            outcomes.append(_SENT if fault is None else Outcome("refused", fault))
        return outcomes

    def _print(self, mail: Mail) -> None:
        now = self._clock.now()
        if self._began is None or now - self._began >= _WINDOW:
            if self._unnamed:
                _log.info("mails_printed", action="mails_printed", count=self._unnamed)
            self._began, self._printed, self._unnamed = now, 0, 0
        if self._printed == LINES_PER_S:
            self._unnamed += 1
            return
        self._printed += 1
        _log.info("mail_printed", action="mail_printed", message_id=mail.message_id)
