"""Opens what is sealed in rows that leave the installation, wherever in a row it stands."""

import re
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from serai.kernel import idempotency, sealed
from serai.kernel.db import Tx
from serai.kernel.sealed import MisplacedError, Sealed
from serai.kernel.seals.subjects import DataKey, Seals

_VALUE: Final = re.compile(r'"(s1:[A-Za-z0-9+/]{22}:[A-Za-z0-9+/=]+)"')
"""A sealed value in JSON: it is the whole of a text, and nothing in it is written by escapes."""
_ANSWER: Final = re.compile(r'"answer":"\\\\x([0-9a-f]+)"')


class Opening:
    """Opens the rows of one tenant; `left` counts what looks sealed and opens at no place."""

    def __init__(self, seals: Seals, tenant_id: UUID, places: Sequence[str]) -> None:
        self._seals = seals
        self._tenant = tenant_id
        self._places = places
        self.left = 0

    async def open_rows(self, lines: Sequence[str], *, tx: Tx) -> list[str]:
        """Rows in clear, as they are otherwise; what was of someone who was erased is null."""
        values = {match[1] for line in lines for match in _VALUE.finditer(line)}
        clear = await self._open(sorted(values), tx=tx)
        return [_VALUE.sub(lambda match: clear[match[1]], line) for line in lines]

    async def open_answers(self, lines: Sequence[str], *, tx: Tx) -> list[str]:
        """The same for answers that were kept beside idempotency keys, which are bytes."""
        found = [_ANSWER.search(line) for line in lines]
        answers = [
            None if m is None else idempotency.read_answer(bytes.fromhex(m[1])) for m in found
        ]
        closed = {a.body.decode() for a in answers if a is not None and a.subject is not None}
        clear = await self._open(sorted(closed), tx=tx)
        out = []
        for line, match, answer in zip(lines, found, answers, strict=True):
            if match is None or answer is None or answer.subject is None:
                out.append(line)
                continue
            text = msgspec.json.decode(clear[answer.body.decode()], type=str | None)
            raw = "null"
            if text is not None:
                opened = msgspec.structs.replace(answer, body=text.encode(), subject=None)
                raw = f'"\\\\x{idempotency.write_answer(opened).hex()}"'
            out.append(f'{line[: match.start()]}"answer":{raw}{line[match.end() :]}')
        return out

    async def _open(self, values: Sequence[str], *, tx: Tx) -> dict[str, str]:
        """What each value reads in clear, as JSON."""
        keys = await self._seals.find_keys(
            [(self._tenant, subject) for v in values if (subject := sealed.subject_of(v))], tx=tx
        )
        out = {}
        for value in values:
            subject = sealed.subject_of(value)
            key = None if subject is None else keys.get((self._tenant, subject))
            text = None if key is None else self._reveal(key, value)
            out[value] = msgspec.json.encode(text).decode()
        return out

    def _reveal(self, key: DataKey, value: str) -> str | None:
        for place in self._places:
            try:
                return sealed.reveal(key.aead, key.serial, Sealed(self._tenant, place, value))
            except MisplacedError:
                continue
        self.left += 1
        return value
