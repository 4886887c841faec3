"""Structured logs and Prometheus metrics: the names that operators read."""

import logging
import sys
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry(auto_describe=True)

_LATENCY_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)

HTTP_SECONDS = Histogram(
    "serai_http_seconds", "Time to answer a request.", ["route", "status"],
    buckets=_LATENCY_S, registry=REGISTRY,
)  # fmt: skip
BATCH_SIZE = Histogram(
    "serai_batch_size", "Commands in one transaction.", ["batch"], buckets=_SIZES, registry=REGISTRY
)
BATCH_REFUSED = Counter(
    "serai_batch_refused", "Commands refused because the queue was full.", ["batch"],
    registry=REGISTRY,
)  # fmt: skip
EVENTS_HANDLED = Counter(
    "serai_events_handled", "Events handled by a consumer group.", ["group"], registry=REGISTRY
)
EVENTS_PARKED = Counter(
    "serai_events_parked", "Events parked as dead letters.", ["group"], registry=REGISTRY
)
CONSUMER_SECONDS = Histogram(
    "serai_consumer_batch_seconds", "Time to handle one batch of events.", ["group"],
    buckets=_LATENCY_S, registry=REGISTRY,
)  # fmt: skip
LAG = Gauge(
    "serai_group_lag_events", "Events a group has still to hear.", ["group"], registry=REGISTRY
)
FLOWS_RUNNING = Gauge("serai_flows_running", "Flow instances in flight.", registry=REGISTRY)
LETTERS = Gauge("serai_dead_letters", "Parked messages.", ["state"], registry=REGISTRY)
OLDEST_TRANSACTION = Gauge(
    "serai_oldest_transaction_seconds", "Age of the oldest running transaction.", registry=REGISTRY
)


def configure_logs(level: str, *, is_json: bool | None = None) -> None:
    """Sends logs to standard error: one JSON object a line, or readable text on a terminal."""
    as_json = not sys.stderr.isatty() if is_json is None else is_json
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    renderer: Any = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    )
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if as_json:
        processors.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_Forward()], level=max(number, logging.WARNING))


class _Forward(logging.Handler):
    """Hands what libraries say by `logging` on, so that a log has lines of one form only."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger(record.name).log(
            record.levelno, "library_said", action="library_said", library=record.name,
            said=record.getMessage(), exc_info=record.exc_info,
        )  # fmt: skip
