"""Recognises API keys, out of memory nearly always: a request must not cost a look-up of its own.

The process that revokes a key forgets it at once, and the others as soon as they hear of it. What
a look-up says holds for `VALID_S` at most: so long may a key live on where nobody can be told. A
key in use is read anew before its time is over, so that no request waits for that.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final, TypeVar
from uuid import UUID

import msgspec

from serai.contexts.tenancy import model
from serai.contexts.tenancy.model import KeyAddress, KeyRecord
from serai.contexts.tenancy.ports import LookUp
from serai.kernel.actor import Actor
from serai.kernel.web import Principal, Proof, Unauthenticated

VALID_S: Final = 2.0
REFRESH_S: Final = 1.0
KEYS_MAX: Final = 10_000
UNKNOWN_MAX: Final = 10_000
"""Refused keys that are remembered; apart from the valid ones, so that a flood pushes none out."""
LOOK_UPS_MAX: Final = 4
"""Look-ups at the same time; a flood of made-up keys must leave connections for the shop."""

T = TypeVar("T")


class _Entry(msgspec.Struct, frozen=True):
    principal: Principal
    refresh_at: float
    expires_at: float


class Keyring:
    """`Authenticator` with a memory. Concurrent requests with one key share one look-up."""

    def __init__(
        self,
        look_up: LookUp,
        prove: Callable[[KeyRecord], Proof | None],
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._look_up = look_up
        self._prove = prove
        self._now = now
        self._known: dict[bytes, _Entry] = {}
        self._unknown: dict[bytes, float] = {}
        self._pending: dict[bytes, asyncio.Task[Principal | None]] = {}
        self._slots = asyncio.Semaphore(LOOK_UPS_MAX)
        self._forgotten = 0

    async def authenticate(self, token: str) -> Principal:
        """Whose key this is; refuses any text that is not a valid key now."""
        digest = model.digest_of(token)
        entry = self._known.get(digest)
        if entry is not None:
            now = self._now()
            if now < entry.refresh_at:
                return entry.principal
            if now < entry.expires_at:
                self._begin(digest, token)
                return entry.principal
        elif self._unknown.get(digest, 0.0) > self._now():
            raise _refusal()
        task = self._begin(digest, token)
        principal = None if task is None else await asyncio.shield(task)
        if principal is None:
            raise _refusal()
        return principal

    def forget(self, key_id: UUID) -> None:
        """Drops what is remembered of a key that was changed; also what is being read right now."""
        self._forgotten += 1
        self._pending.clear()
        for digest, entry in list(self._known.items()):
            if entry.principal.actor.id == key_id:
                del self._known[digest]

    def forget_tenant(self, tenant_id: UUID) -> None:
        """Drops what is remembered of a tenant's keys: its standing has changed."""
        self._forgotten += 1
        self._pending.clear()
        for digest, entry in list(self._known.items()):
            if entry.principal.tenant_id == tenant_id:
                del self._known[digest]

    def forget_all(self) -> None:
        """Drops everything, for who may have missed that something was changed."""
        self._forgotten += 1
        self._pending.clear()
        self._known.clear()

    def _begin(self, digest: bytes, token: str) -> asyncio.Task[Principal | None] | None:
        """The look-up of a key, one at a time for each; None for what cannot be a key."""
        task = self._pending.get(digest)
        if task is not None:
            return task
        address = model.address_of(token)
        if address is None:
            return None
        task = asyncio.get_running_loop().create_task(self._read(digest, address))
        self._pending[digest] = task
        task.add_done_callback(lambda done: self._end(digest, done))
        return task

    def _end(self, digest: bytes, task: asyncio.Task[Principal | None]) -> None:
        if self._pending.get(digest) is task:
            del self._pending[digest]
        if not task.cancelled():
            # Looked at here too: a refresh that failed has nobody else who waits for it.
            task.exception()

    async def _read(self, digest: bytes, address: KeyAddress) -> Principal | None:
        async with self._slots:
            began, forgotten = self._now(), self._forgotten
            record = await self._look_up(address)
        is_current = forgotten == self._forgotten
        if record is None or not model.is_valid(record, digest):
            self._known.pop(digest, None)
            if is_current:
                _remember(self._unknown, digest, began + VALID_S, UNKNOWN_MAX)
            return None
        # Not remembered: the next request asks again, and is let in as soon as the tenant is.
        if refusal := model.refuse_standing(record.state):
            self._known.pop(digest, None)
            raise refusal
        actor = Actor("key", record.key_id)
        proof = self._prove(record)
        principal = Principal(record.tenant_id, record.home, actor, record.scopes, proof=proof)
        if is_current:
            entry = _Entry(principal, began + REFRESH_S, began + VALID_S)
            _remember(self._known, digest, entry, KEYS_MAX)
        return principal


def _remember(memory: dict[bytes, T], digest: bytes, what: T, most: int) -> None:
    """Puts an entry last; the first, which was read the longest ago, makes room."""
    memory.pop(digest, None)
    while len(memory) >= most:
        del memory[next(iter(memory))]
    memory[digest] = what


def _refusal() -> Unauthenticated:
    return Unauthenticated("this API key is not valid: it is malformed, unknown or revoked")
