"""Recognises access tokens, out of memory nearly always: a request must not cost a look-up.

A token is verified once, and its session and roles are read then; what was read holds until this
process is told of a change, and `ROLES_TRUSTED_S` at most. A process that is not told, since its
line to the database is down, goes by what it has read for `UNTOLD_S` only: it fails closed.
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec

from serai.contexts.identity.contract import ROLES_TRUSTED_S, SignedIn
from serai.contexts.identity.model.tokens import TOKEN_CHARS_MAX, Claims
from serai.contexts.identity.ports import FindHome, LiveSession
from serai.kernel.actor import Actor
from serai.kernel.clock import Clock
from serai.kernel.failure import NotFound
from serai.kernel.tenant import Home
from serai.kernel.web import Principal, Unauthenticated

UNTOLD_S: Final = 2.0
KNOWN_MAX: Final = 20_000
"""Tokens that are remembered; the one that was read the longest ago makes room."""
OVER_MAX: Final = 10_000
"""Tokens that are over and remembered as such; apart, so that a flood pushes no good one out."""
LOOK_UPS_MAX: Final = 4
"""Look-ups at the same time: a flood of tokens must leave connections for the shop."""

T = TypeVar("T")
Verify = Callable[[str], Awaitable[Claims | None]]
LookUp = Callable[[Home, Claims], Awaitable[LiveSession | None]]


class _Entry(msgspec.Struct, frozen=True):
    principal: Principal
    read_at: float
    expires_at: float
    """By the clock of the wall; `read_at` is by the one that only goes on."""


class Guard:
    """`Authenticator` for access tokens, and the port Told."""

    def __init__(
        self, verify: Verify, look_up: LookUp, find_home: FindHome, clock: Clock, *,
        is_told: Callable[[], bool], now: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._verify = verify
        self._look_up = look_up
        self._find_home = find_home
        self._clock = clock
        self._is_told = is_told
        self._now = now
        self._known: dict[bytes, _Entry] = {}
        self._of_account: dict[UUID, set[bytes]] = {}
        self._over: dict[bytes, float] = {}
        self._pending: dict[bytes, asyncio.Task[Principal | None]] = {}
        self._slots = asyncio.Semaphore(LOOK_UPS_MAX)
        self._forgotten = 0

    async def authenticate(self, token: str) -> Principal:
        """Whose token this is; refuses any text that is not a good token now."""
        if len(token) > TOKEN_CHARS_MAX:
            raise _refusal()
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        entry = self._known.get(digest)
        if entry is not None:
            if self._clock.now().timestamp() >= entry.expires_at:
                raise _refusal()
            age = self._now() - entry.read_at
            trusted = ROLES_TRUSTED_S if self._is_told() else UNTOLD_S
            if age < trusted:
                if age > trusted / 2:
                    self._begin(digest, token)  # so that no request waits for it
                return await self._at_home(entry.principal)
        elif self._over.get(digest, 0.0) > self._now():
            raise _refusal()
        principal = await asyncio.shield(self._begin(digest, token))
        if principal is None:
            raise _refusal()
        return principal

    async def _at_home(self, principal: Principal) -> Principal:
        """The principal, if its tenant may come in, and where it lives now."""
        home = await self._home_of(principal.tenant_id)
        if home == principal.home:
            return principal
        return msgspec.structs.replace(principal, home=home)

    async def _home_of(self, tenant_id: UUID) -> Home:
        try:
            return await self._find_home(tenant_id)
        except NotFound as error:
            raise _refusal() from error

    def forget(self, account_id: UUID) -> None:
        self._forgotten += 1
        self._pending.clear()
        for digest in self._of_account.pop(account_id, ()):
            self._known.pop(digest, None)

    def forget_tenant(self, tenant_id: UUID) -> None:
        self._forgotten += 1
        self._pending.clear()
        for digest in [d for d, e in self._known.items() if e.principal.tenant_id == tenant_id]:
            self._drop(digest)

    def forget_all(self) -> None:
        """Drops everything, for who may have missed that something was changed."""
        self._forgotten += 1
        self._pending.clear()
        self._known.clear()
        self._of_account.clear()

    def _begin(self, digest: bytes, token: str) -> asyncio.Task[Principal | None]:
        """The look at a token, one at a time for each."""
        task = self._pending.get(digest)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._read(digest, token))
            self._pending[digest] = task
            task.add_done_callback(lambda done: self._end(digest, done))
        return task

    def _end(self, digest: bytes, task: asyncio.Task[Principal | None]) -> None:
        if self._pending.get(digest) is task:
            del self._pending[digest]
        if not task.cancelled():
            # Looked at here too: one that was begun ahead has nobody else who waits for it.
            task.exception()

    async def _read(self, digest: bytes, token: str) -> Principal | None:
        async with self._slots:
            began, forgotten = self._now(), self._forgotten
            claims = await self._verify(token)
            live = None
            if claims is not None:
                home = await self._home_of(claims.tenant)
                live = await self._look_up(home, claims)
        is_current = forgotten == self._forgotten
        if claims is None or live is None:
            self._drop(digest)
            if is_current and claims is not None:
                _remember(self._over, digest, began + UNTOLD_S, OVER_MAX)
            return None
        actor = Actor(live.kind, live.account_id)
        given: Any = (claims.tenant, home, actor, live.scopes, live.limits, None, live.factor_at)
        principal = Principal(*given)
        if claims.sid is not None:
            principal = SignedIn(*given, session_id=claims.sid)
        if is_current:
            self._keep(digest, _Entry(principal, began, float(claims.exp)))
        return principal

    def _keep(self, digest: bytes, entry: _Entry) -> None:
        self._drop(digest)
        while len(self._known) >= KNOWN_MAX:
            self._drop(next(iter(self._known)))
        self._known[digest] = entry
        self._of_account.setdefault(entry.principal.actor.id, set()).add(digest)

    def _drop(self, digest: bytes) -> None:
        entry = self._known.pop(digest, None)
        if entry is None:
            return
        account_id = entry.principal.actor.id
        digests = self._of_account.get(account_id)
        if digests is not None:
            digests.discard(digest)
            if not digests:
                del self._of_account[account_id]


def _remember(memory: dict[bytes, T], digest: bytes, what: T, most: int) -> None:
    memory.pop(digest, None)
    while len(memory) >= most:
        del memory[next(iter(memory))]
    memory[digest] = what


def _refusal() -> Unauthenticated:
    return Unauthenticated("this token is not valid: it is malformed, over, or its session ended")
