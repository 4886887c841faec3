"""The API role: answers HTTP."""

import asyncio
from collections.abc import Sequence
from functools import partial
from importlib.resources import files
from typing import Any, Final, NoReturn

from litestar import Litestar, MediaType, Response, get
from litestar.datastructures import State
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme

from serai.kernel import express
from serai.kernel.edge import Edge
from serai.kernel.express import EDGE
from serai.kernel.problems import EXCEPTION_HANDLERS
from serai.kernel.web import OPEN
from serai.roles import process
from serai.roles.composition import Composition
from serai.roles.description import SECURITY, describe
from serai.roles.html import policy_of
from serai.roles.probes import Readiness, probe_routes
from serai.roles.process import Process
from serai.roles.server import serve_app
from serai.settings import Settings, version

POLICY: Final = "Content-Security-Policy"
SCHEMA_PATH: Final = "/schema/openapi.json"
_PAGES: Final = files("serai.roles").joinpath("pages")


def main(
    settings: Settings,
    *,
    has_lifeline: bool = False,
    has_json_logs: bool | None = None,
    more_routes: Sequence[Any] = (),
) -> NoReturn:
    """Answers HTTP until the process is told to stop.

    `more_routes` come from whoever starts the process, such as the demo shop's pictures.
    """
    part = partial(serve_api, more_routes=more_routes)
    process.run([part], settings, has_lifeline=has_lifeline, has_json_logs=has_json_logs)


async def serve_api(own: Process, *, more_routes: Sequence[Any] = ()) -> None:
    """Answers requests; at the end, everything that was accepted has its answer."""
    settings = own.settings
    app = build_app(settings, own.composition, own.readiness, more_routes=more_routes)
    watching = [
        asyncio.create_task(own.composition.tenancy.watch_keys()),
        asyncio.create_task(own.composition.identity.watch()),
    ]
    try:
        await serve_app(
            express.shorten(app, body_bytes_max=settings.body_bytes_max),
            host=settings.host,
            port=settings.port,
            stop=own.stop,
            notice_s=settings.drain_notice_s,
            tls=settings.tls,
        )
    finally:
        for task in watching:
            task.cancel()
    # A client that hung up has left its command behind; it is carried out all the same.
    await asyncio.gather(*(batch.drain() for batch in own.composition.batches))


def build_app(
    settings: Settings,
    composition: Composition,
    readiness: Readiness | None = None,
    *,
    more_routes: Sequence[Any] = (),
) -> Litestar:
    """The whole API as an ASGI application."""
    readiness = readiness or Readiness(composition.database)
    app = Litestar(
        route_handlers=[
            *describe(composition.routes),
            *probe_routes(readiness, has_metrics=settings.metrics),
            *_page_routes(),
            *more_routes,
        ],
        exception_handlers=EXCEPTION_HANDLERS,
        request_max_body_size=settings.body_bytes_max,
        openapi_config=_openapi_config(),
        state=State(
            {
                "authenticator": composition.authenticator,
                "clock": composition.clock,
                "gate": composition.gate,
            }
        ),
        debug=False,
        logging_config=None,
    )
    outermost = Edge(has_tls=settings.has_tls, origins=composition.tenancy.origins)
    app.state[EDGE] = outermost
    # Around the routing, so that an answer which no route gives has its headers too.
    app.asgi_handler = outermost(app.asgi_handler)
    return app


def _openapi_config() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Serai",
        version=version(),
        description=(
            "A headless commerce platform. Requests carry `Authorization: Bearer <API key or "
            "access token>`; what creates or moves something carries an `Idempotency-Key`. "
            "Failures are problem details (RFC 9457) with a stable `code`."
        ),
        path="/schema",
        render_plugins=[JsonRenderPlugin(path="/openapi.json")],
        components=Components(
            security_schemes={
                SECURITY: SecurityScheme(
                    type="http",
                    scheme="bearer",
                    description="An API key of a tenant, or the access token of who signed in.",
                )
            }
        ),
        security=[{SECURITY: []}],
    )


def _page_routes() -> list[Any]:
    """The welcome page and the API's docs. They are whole in themselves: no CDN, no network."""
    welcome, docs = (_PAGES.joinpath(f"{name}.html").read_bytes() for name in ("welcome", "docs"))
    for_welcome, for_docs = ({POLICY: policy_of(page)} for page in (welcome, docs))

    @get("/", include_in_schema=False, opt={OPEN: "a page"})
    async def show_welcome() -> Response[bytes]:
        """Where to go on."""
        return Response(welcome, media_type=MediaType.HTML, headers=for_welcome)

    @get("/docs", include_in_schema=False, opt={OPEN: "a page"})
    async def show_docs() -> Response[bytes]:
        """The API, to read and to try."""
        return Response(docs, media_type=MediaType.HTML, headers=for_docs)

    return [show_welcome, show_docs]
