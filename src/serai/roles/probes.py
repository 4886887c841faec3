"""What an operator asks a process: is it alive, is it ready, and what are its figures."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from litestar import MediaType, Request, Response, get
from prometheus_client import CONTENT_TYPE_LATEST, ProcessCollector, generate_latest

from serai.kernel import migrate, problems
from serai.kernel.db import Database
from serai.kernel.failure import NotFound, Unavailable
from serai.kernel.observe import REGISTRY
from serai.kernel.tenant import POOLED
from serai.kernel.web import OPEN
from serai.roles.schemas import find_migrations

READY_TIMEOUT_S: Final = 2.0
RETRY_AFTER_S: Final = "1"

ProcessCollector(registry=REGISTRY)


class Readiness:
    """Whether this process can do its work now, and if not, why."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._parts: list[Callable[[], Awaitable[str | None]]] = []
        self._is_migrated = False
        self.is_draining = False

    def ask_also(self, obstacle: Callable[[], Awaitable[str | None]]) -> None:
        """Adds a part of this process that tells, when asked, what stands in its way, or None."""
        self._parts.append(obstacle)

    async def obstacle(self) -> str | None:
        """What stands in the way, or None."""
        if self.is_draining:
            return "this process is finishing and takes no new work"
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                found = await self._database_obstacle()
                for part in self._parts:
                    found = found or await part()
                return found
        except TimeoutError:
            return f"the database did not answer within {READY_TIMEOUT_S:g} s"
        except Unavailable as error:
            return error.detail

    async def _database_obstacle(self) -> str | None:
        if self._is_migrated:
            async with self._database.transaction(POOLED, (), is_read_only=True):
                return None
        # Looked at until it is so, and then no more: migrations only go forward.
        migrations = await asyncio.to_thread(find_migrations)
        states = await migrate.status(self._database.url, POOLED, migrations)
        missing = [f"{s.context}/{s.name}" for s in states if s.state == "missing"]
        if missing:
            return f"migrations are missing ({missing[0]}): run `serai migrate up`"
        self._is_migrated = True
        return None


def probe_routes(readiness: Readiness, *, has_metrics: bool) -> list[Any]:
    """/livez, /readyz and /metrics."""

    @get("/livez", include_in_schema=False, opt={OPEN: "an orchestrator asks"})
    async def livez() -> dict[str, str]:
        """Tell that the process answers."""
        return {"status": "alive"}

    @get("/readyz", include_in_schema=False, opt={OPEN: "an orchestrator asks"})
    async def readyz(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Tell whether the process can do its work: 200, or 503 with the reason."""
        obstacle = await readiness.obstacle()
        if obstacle is None:
            return Response(b'{"status":"ready"}', media_type=MediaType.JSON)
        return problems.respond(
            503, "not_ready", obstacle, request_id=problems.request_id(request),
            headers={"Retry-After": RETRY_AFTER_S},
        )  # fmt: skip

    @get("/metrics", include_in_schema=False, opt={OPEN: "a collector asks; no tenant is in it"})
    async def metrics() -> Response[bytes]:
        """The figures, as Prometheus reads them."""
        if not has_metrics:
            raise NotFound("metrics are off; SERAI_METRICS=true switches them on")
        return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)

    return [livez, readyz, metrics]
