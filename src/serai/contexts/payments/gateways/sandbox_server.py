"""The sandbox behind HTTP: `python -m serai.contexts.payments.gateways.sandbox_server --help`.

| request                        | body or parameters  | answer                                   |
|--------------------------------|---------------------|------------------------------------------|
| POST /v1/charges               | `ChargeRequest`     | one verdict                              |
| POST /v1/charges:batch         | `BatchRequest`      | 200, a verdict each, up to 500 charges   |
| POST /v1/charges/{key}/capture | `CaptureRequest`    | one verdict                              |
| POST /v1/charges/{key}/void    |                     | one verdict                              |
| POST /v1/refunds               | `ports.Refund`      | one verdict                              |
| GET  /v1/charges/{key}         |                     | one verdict, of a charge or a refund     |
| GET  /v1/book                  | `after`, `limit`    | 200, totals and a page of charges        |
| GET  /healthz                  |                     | 200, `ok`                                |

A verdict comes with 200 when it is final, 202 when pending, 404 when the key is absent, 409 when
the request was refused, 503 with `Retry-After` when the provider plays dead. A single charge whose
answer is withheld is held for `timeout_hold_s` and then answered after all, to whoever still
listens; in a batch, which others wait for too, it is `pending` and the look-up tells.
"""

import argparse
import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from granian.constants import Interfaces
from granian.server.embed import Server
from litestar import Litestar, MediaType, Request, Response, get, post
from litestar.di import Provide
from litestar.exceptions import ClientException, HTTPException
from litestar.params import Dependency, Parameter

from serai.contexts.payments.gateways.sandbox_book import (
    CALLBACK_DELAY_S,
    LATE_DELAY_S,
    SandboxBook,
)
from serai.contexts.payments.gateways.sandbox_callbacks import HttpCallbacks, deliver_callbacks
from serai.contexts.payments.gateways.sandbox_journal import Journal
from serai.contexts.payments.gateways.sandbox_wire import (
    BODY_BYTES_MAX,
    PAGE_ITEMS,
    PAGE_ITEMS_MAX,
    BatchReply,
    BatchRequest,
    BookPage,
    CaptureRequest,
    ChargeRequest,
    Outcome,
    Problem,
    Verdict,
)
from serai.contexts.payments.ports import Capture, Refund
from serai.kernel.lifeline import watch_lifeline

HOST = "127.0.0.1"
PORT = 8421
TIMEOUT_HOLD_S = 30.0
RETRY_AFTER_S = 1
REQUESTS_IN_FLIGHT_MAX = 1024
STOP_TIMEOUT_S = 5

_STATUSES: dict[Outcome, int] = {"pending": 202, "absent": 404, "refused": 409, "unavailable": 503}
_CODES = {400: "malformed_request", 404: "no_such_address", 405: "no_such_method", 413: "too_large"}


class Desk(msgspec.Struct, frozen=True):
    """What every route works with. An answer is withheld for `timeout_hold_s` or until closing."""

    book: SandboxBook
    now: Callable[[], float]
    timeout_hold_s: float
    closing: asyncio.Event


AtDesk = Annotated[Desk, Dependency(skip_validation=True)]
Asked = Request[Any, Any, Any]
T = TypeVar("T")

_charge_decoder = msgspec.json.Decoder(ChargeRequest)
_batch_decoder = msgspec.json.Decoder(BatchRequest)
_capture_decoder = msgspec.json.Decoder(CaptureRequest)
_refund_decoder = msgspec.json.Decoder(Refund)


async def _read(request: Asked, decoder: msgspec.json.Decoder[T]) -> T:
    """The body, strictly typed: the framework's own decoding would take "5" for 5."""
    try:
        return decoder.decode(await request.body())
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ClientException(detail=str(error)) from error


def _reply(verdict: Verdict) -> Response[Verdict]:
    headers = {"Retry-After": str(RETRY_AFTER_S)} if verdict.outcome == "unavailable" else None
    return Response(verdict, status_code=_STATUSES.get(verdict.outcome, 200), headers=headers)


@post("/v1/charges")
async def charge(request: Asked, desk: AtDesk) -> Response[Verdict]:
    """Charge once, in the time that the card's script allows."""
    data = await _read(request, _charge_decoder)
    book = desk.book
    (verdict,) = book.charge([data.charge], capture=data.capture, now=desk.now())
    if verdict.outcome == "withheld":
        with suppress(TimeoutError):
            await asyncio.wait_for(desk.closing.wait(), desk.timeout_hold_s)
        (verdict,) = book.look_up([data.charge.key], now=desk.now())
    return _reply(verdict)


@post("/v1/charges:batch", status_code=200)
async def charge_batch(request: Asked, desk: AtDesk) -> BatchReply:
    """Charge many at once, each on its own."""
    data = await _read(request, _batch_decoder)
    verdicts = desk.book.charge(data.charges, capture=data.capture, now=desk.now())
    return BatchReply(
        [
            Verdict(verdict.key, "pending") if verdict.outcome == "withheld" else verdict
            for verdict in verdicts
        ]
    )


@post("/v1/charges/{key:str}/capture")
async def capture(key: str, request: Asked, desk: AtDesk) -> Response[Verdict]:
    """Take held money."""
    data = await _read(request, _capture_decoder)
    (verdict,) = desk.book.capture([Capture(key, data.amount_minor)], now=desk.now())
    return _reply(verdict)


@post("/v1/charges/{key:str}/void")
async def void(key: str, desk: AtDesk) -> Response[Verdict]:
    """Close a key that holds no captured money."""
    (verdict,) = desk.book.void([key], now=desk.now())
    return _reply(verdict)


@post("/v1/refunds")
async def refund(request: Asked, desk: AtDesk) -> Response[Verdict]:
    """Give captured money back."""
    data = await _read(request, _refund_decoder)
    (verdict,) = desk.book.refund([data], now=desk.now())
    return _reply(verdict)


@get("/v1/charges/{key:str}")
async def look_up(key: str, desk: AtDesk) -> Response[Verdict]:
    """What the book holds under this key."""
    (verdict,) = desk.book.look_up([key], now=desk.now())
    return _reply(verdict)


@get("/v1/book")
async def read_book(
    desk: AtDesk,
    after: Annotated[int, Parameter(ge=0)] = 0,
    limit: Annotated[int, Parameter(ge=1, le=PAGE_ITEMS_MAX)] = PAGE_ITEMS,
) -> BookPage:
    """Totals and a page of charges."""
    return desk.book.page(after=after, limit=limit, now=desk.now())


@get("/healthz", media_type=MediaType.TEXT)
async def healthz() -> str:
    """Say that the server answers."""
    return "ok"


def _problem(_: Asked, error: HTTPException) -> Response[Problem]:
    status = error.status_code
    extra = error.extra if isinstance(error.extra, list) else []
    reasons = "; ".join(str(reason.get("message")) for reason in extra if isinstance(reason, dict))
    return Response(
        Problem(
            title=type(error).__name__,
            status=status,
            code=_CODES.get(status, "not_understood"),
            detail=f"{error.detail}: {reasons}" if reasons else error.detail,
        ),
        status_code=status,
        media_type="application/problem+json",
    )


def build_app(desk: Desk) -> Litestar:
    """The routes over one desk."""
    return Litestar(
        [charge, charge_batch, capture, void, refund, look_up, read_book, healthz],
        dependencies={"desk": Provide(lambda: desk, sync_to_thread=False)},
        exception_handlers={HTTPException: _problem},
        request_max_body_size=BODY_BYTES_MAX,
        openapi_config=None,
        logging_config=None,
    )


async def serve_sandbox(
    host: str,
    port: int,
    *,
    callback_url: str | None,
    callback_secret: str,
    timeout_hold_s: float = TIMEOUT_HOLD_S,
    journal: Path | None = None,
    callback_delay_s: float = CALLBACK_DELAY_S,
    late_delay_s: float = LATE_DELAY_S,
    now: Callable[[], float] = time.time,
) -> None:
    """Serve until cancelled, then answer what is under way, and let the journal go.

    Without a callback address the news is kept to itself: whoever asks is told, nobody is called.
    Raises `OSError` when the port is taken.
    """
    _check_port(host, port)
    book = SandboxBook(
        journal=None if journal is None else Journal(journal),
        callback_delay_s=callback_delay_s,
        late_delay_s=late_delay_s,
    )
    closing = asyncio.Event()
    server = Server(
        build_app(Desk(book, now, timeout_hold_s, closing)),
        address=host,
        port=port,
        interface=Interfaces.ASGINL,
        websockets=False,
        backpressure=REQUESTS_IN_FLIGHT_MAX,
        log_enabled=False,
    )
    server.workers_kill_timeout = STOP_TIMEOUT_S
    serving = asyncio.create_task(server.serve())
    telling = asyncio.create_task(_tell(book, callback_url, callback_secret, now=now))
    try:
        await asyncio.wait({serving, telling}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        telling.cancel()
        closing.set()
        server.stop()  # type: ignore[no-untyped-call]
        await asyncio.gather(serving, telling, return_exceptions=True)
        book.close()
    for task in (serving, telling):
        if not task.cancelled():
            task.result()


def _check_port(host: str, port: int) -> None:
    """Refuse a port that somebody listens on.

    The server binds with SO_REUSEPORT, which would let a second sandbox in without a word and
    deal the charges out between two books.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))


async def _tell(
    book: SandboxBook, url: str | None, secret: str, *, now: Callable[[], float]
) -> None:
    if url is None:
        await asyncio.Event().wait()
        return
    callbacks = HttpCallbacks(url, secret=secret, now=now)
    try:
        await deliver_callbacks(book, callbacks.deliver, now=now)
    finally:
        await callbacks.aclose()


def main() -> None:
    """Serve from the command line until interrupted."""
    parser = argparse.ArgumentParser(
        description="A payment provider for tests: it moves no money and does as the card says.",
        epilog="example: sandbox_server --port 8421 --journal sandbox.jsonl",
    )
    parser.add_argument("--host", default=HOST)
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--callback-url", help="where to post news of charges; absent: nowhere")
    parser.add_argument("--callback-secret", default="sandbox", help="signs the callbacks")
    parser.add_argument("--timeout-hold-s", type=float, default=TIMEOUT_HOLD_S)
    parser.add_argument("--callback-delay-s", type=float, default=CALLBACK_DELAY_S)
    parser.add_argument("--late-delay-s", type=float, default=LATE_DELAY_S)
    parser.add_argument("--journal", type=Path, help="a file that lets the book survive a restart")
    parser.add_argument("--lifeline", action="store_true", help="stop when standard input closes")
    asyncio.run(_serve_until_told(parser.parse_args()))
    # Threads of the HTTP server may outlive it for seconds, and tearing the interpreter down under
    # them aborts the process. Everything of ours is closed by now, so leave without the tearing.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


async def _serve_until_told(options: argparse.Namespace) -> None:
    serving = asyncio.create_task(
        serve_sandbox(
            options.host,
            options.port,
            callback_url=options.callback_url,
            callback_secret=options.callback_secret,
            timeout_hold_s=options.timeout_hold_s,
            journal=options.journal,
            callback_delay_s=options.callback_delay_s,
            late_delay_s=options.late_delay_s,
        )
    )
    # A signal often comes twice, to the process and to its group; the second must not cut the
    # stopping short, so signals set an event and only this function cancels, once.
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    if options.lifeline:
        watch_lifeline(told.set)
    waiting = asyncio.create_task(told.wait())
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    serving.cancel()
    await asyncio.wait({serving})
    if not serving.cancelled():
        serving.result()


if __name__ == "__main__":
    main()
