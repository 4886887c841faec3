"""What the load client sends and reports: requests in prepared pieces, answers in their outline."""

import math
import random
from collections.abc import Sequence

import msgspec

SKUS = tuple(f"SKU-{number:04d}" for number in range(1, 1_001))
HOT_SKUS = ("SKU-0001",)
UNITS = 500_000_000
"""Units of each SKU on the shelf: no run can sell them all."""
CURRENCY = "USD"
PRICE_MINOR = 1_999
CARD = "4000009901000003"
"""A card that the sandbox approves at once."""
BODIES_MIN = 5_000
ANSWER_BYTES_MAX = 16 * 1024 * 1024

_LENGTH = b"\r\ncontent-length:"
_HEAD_END = b"\r\n\r\n"


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent, where to and for how long.

    Without `rate` each connection sends its next order when the last is answered; with it, orders
    are due `rate` times a second whatever the answers do, and are timed from when they were due.
    """

    host: str
    port: int
    api_key: str
    run: str
    """Begins every idempotency key, so that two runs never share one."""
    skus: tuple[str, ...] = SKUS
    card: str = CARD
    path: str = "/v1/orders"
    currency: str = CURRENCY
    email: str = "buyer@example.com"
    lines: int = 2
    connections: int = 128
    seconds: float = 20.0
    requests_max: int = 0
    """Stops after so many requests; 0: only the time counts."""
    rate: float | None = None
    seed: int = 1


class Latencies(msgspec.Struct, frozen=True):
    """Percentiles in milliseconds, by the nearest rank."""

    p50: float
    p95: float
    p99: float
    max: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What the client saw. `late` are 2xx answers that came after the window, and are not lost."""

    accepted: int
    late: int
    refused: int
    failed: int
    unanswered: int
    codes: dict[str, int]
    """How often each problem's code, or each failure of a connection, was met."""
    started_at: float
    """Seconds since 1970, as in the time stamps of the orders."""
    seconds: float
    answer_ms: Latencies
    cpu_s: float


def percentiles(latencies_s: Sequence[float]) -> Latencies:
    """Percentiles by the nearest rank, in milliseconds; all zero without a measurement."""
    ordered = sorted(latencies_s)
    if not ordered:
        return Latencies(0.0, 0.0, 0.0, 0.0)

    def rank(percent: float) -> float:
        return round(ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] * 1000, 3)

    return Latencies(rank(50), rank(95), rank(99), rank(100))


def choose_skus(load: Load) -> list[tuple[str, ...]]:
    """The SKUs of each prepared order: every SKU equally often, in an order that the seed gives."""
    if len(load.skus) == 1:
        return [load.skus * load.lines]
    chance = random.Random(load.seed)  # noqa: S311 - chooses goods, guards nothing
    passes = math.ceil(BODIES_MIN * load.lines / len(load.skus))
    dealt: list[str] = []
    for _ in range(passes):
        dealt += chance.sample(load.skus, len(load.skus))
    whole = len(dealt) // load.lines * load.lines
    return [tuple(dealt[at : at + load.lines]) for at in range(0, whole, load.lines)]


def prepare_tails(load: Load) -> list[bytes]:
    """What follows the idempotency key in each request: the length and the body."""
    tails = []
    for skus in choose_skus(load):
        body = msgspec.json.encode(
            {
                "currency": load.currency,
                "email": load.email,
                "lines": [{"sku": sku, "quantity": 1} for sku in skus],
                "payment": {"card": load.card},
            }
        )
        tails.append(b"\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    return tails


def prepare_head(load: Load) -> bytes:
    """What stands before the changing part of the idempotency key, which is the last header."""
    return (
        f"POST {load.path} HTTP/1.1\r\nHost: {load.host}:{load.port}\r\n"
        f"Authorization: Bearer {load.api_key}\r\nContent-Type: application/json\r\n"
        f"Idempotency-Key: {load.run}-"
    ).encode("ascii")


def answer_bytes(data: bytes) -> int | None:
    """How many bytes the answer that begins `data` has in all; None while its head is not whole."""
    end = data.find(_HEAD_END)
    if end < 0:
        return None
    # Servers send the name in small letters, as HTTP/2 has it; others cost one copy of the head.
    at = data.find(_LENGTH, 0, end)
    if at < 0:
        at = data[:end].lower().find(_LENGTH)
        if at < 0:
            raise ValueError("the answer has no Content-Length")
    stop = data.find(b"\r\n", at + 2)
    size = end + len(_HEAD_END) + int(data[at + len(_LENGTH) : stop])
    if size > ANSWER_BYTES_MAX:
        raise ValueError(f"the answer has {size} bytes")
    return size


def status_of(answer: bytes) -> int:
    """The status in an answer's first line: three digits after `HTTP/1.1 `."""
    return int(answer[9:12])


class _Refusal(msgspec.Struct):
    code: str


def code_of(status: int, answer: bytes) -> str:
    """The stable code of the problem in an answer that is no success."""
    body = answer[answer.find(_HEAD_END) + len(_HEAD_END) :]
    try:
        return msgspec.json.decode(body, type=_Refusal).code
    except msgspec.DecodeError:
        return f"status_{status}"
