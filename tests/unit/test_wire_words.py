"""What crosses a wire or is kept comes back as it was: words, answers, signatures, problems."""

from typing import Any, cast
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serai.contexts.payments.gateways import sandbox_journal, sandbox_wire
from serai.contexts.payments.gateways.sandbox_callbacks import sign, verify_signature
from serai.contexts.payments.model import key_of, parse_key
from serai.kernel import idempotency
from serai.kernel.db import Tx
from serai.kernel.idempotency import Answer, Claim, Owned
from serai.kernel.problems import Problem, respond
from tests.unit.shapes import TEXT, shape_of

WORDS = [
    sandbox_wire.ChargeRequest,
    sandbox_wire.BatchRequest,
    sandbox_wire.CaptureRequest,
    sandbox_wire.Verdict,
    sandbox_wire.BatchReply,
    sandbox_wire.Callback,
    sandbox_wire.BookLine,
    sandbox_wire.BookPage,
    sandbox_wire.Problem,
    sandbox_journal.Record,
]


@pytest.mark.parametrize("word", WORDS, ids=str)
@given(data=st.data())
def test_a_word_of_the_sandbox_is_read_as_it_was_written(word: Any, data: st.DataObject) -> None:
    said = data.draw(shape_of(word))
    assert msgspec.json.decode(msgspec.json.encode(said), type=word) == said


@pytest.mark.parametrize("word", WORDS[:3], ids=str)
def test_a_request_with_a_word_too_many_is_not_read(word: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"a_word_too_many": 1}', type=word)


@given(st.text(min_size=1), st.binary(), st.integers(0, 2**32), st.integers(0, 300))
def test_a_signature_fits_its_secret_body_and_time_only(
    secret: str, body: bytes, at: int, late_s: int
) -> None:
    secret = secret.encode("utf-8", "replace").decode()
    header = sign(secret, body, at=at)
    assert verify_signature(secret, header, body, at + late_s, 300.0)
    assert not verify_signature(secret + "x", header, body, at, 300.0)
    assert not verify_signature(secret, header, body + b"x", at, 300.0)
    assert not verify_signature(secret, header, body, at + 301, 300.0)
    moved = header.replace(f"t={at},", f"t={at + 1},")
    assert not verify_signature(secret, moved, body, at, 300.0)


@given(st.text())
def test_a_header_that_is_no_signature_lets_nobody_in(header: str) -> None:
    assert not verify_signature("secret", header, b"body", 0.0, 300.0)


@given(st.uuids(), st.uuids())
def test_a_name_at_the_provider_says_whose_it_is(tenant: UUID, thing: UUID) -> None:
    assert parse_key(key_of(tenant, thing)) == (tenant, thing)


@given(st.text(max_size=80))
def test_a_name_that_we_never_gave_is_none_of_ours(text: str) -> None:
    known = parse_key(text)
    assert known is None or key_of(*known) == text


class Kept:
    """The table of idempotency keys, for its one column that is encoded."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    async def execute(self, _statement: Any, *columns: Any) -> None:
        tenants, keys, answers = columns
        self.rows = [
            {"tenant_id": t, "key": k, "fingerprint": b"f", "answer": a}
            for t, k, a in zip(tenants, keys, answers, strict=True)
        ]

    async def fetch(self, _statement: Any, *_columns: Any) -> list[dict[str, Any]]:
        return self.rows


answers = st.builds(
    Answer, st.integers(200, 599), st.binary(max_size=50), location=TEXT, etag=TEXT
)  # fmt: skip


@given(st.dictionaries(st.text(max_size=9), answers, max_size=4))
async def test_an_answer_is_kept_to_the_byte(said: dict[str, Answer]) -> None:
    kept = cast("Tx", Kept())
    owned = {key: Owned(UUID(int=1), Claim(key, b"f")) for key in said}
    pairs = [(owned[key], answer) for key, answer in said.items()]
    await idempotency.store_answers(pairs, tx=kept)
    found = await idempotency.find_answers(list(owned.values()), tx=kept)
    assert found == {(UUID(int=1), key): (b"f", answer) for key, answer in said.items()}


@given(TEXT, st.binary(max_size=30), TEXT, st.binary(max_size=30))
def test_two_requests_have_one_fingerprint_only_if_they_are_one(
    path: str, body: bytes, other_path: str, other_body: bytes
) -> None:
    one = idempotency.fingerprint(f"POST /v1/{path.replace(chr(0), '')}?", body)
    other = idempotency.fingerprint(f"POST /v1/{other_path.replace(chr(0), '')}?", other_body)
    is_same = (path.replace("\0", ""), body) == (other_path.replace("\0", ""), other_body)
    assert (one == other) is is_same


facts = st.dictionaries(
    st.text(min_size=1, max_size=9).filter(lambda name: name != "errors"),
    st.integers(-(2**53), 2**53) | TEXT | st.lists(TEXT, max_size=3),
    max_size=4,
)


@given(st.integers(400, 599), st.from_regex(r"[a-z_]{1,20}", fullmatch=True), TEXT, facts)
def test_a_problem_says_what_it_was_given(
    status: int, code: str, detail: str, known: dict[str, Any]
) -> None:
    answer = respond(status, code, detail, request_id="r", facts=dict(known))
    problem = msgspec.json.decode(answer.content, type=Problem)
    assert answer.status_code == problem.status == status
    assert (problem.code, problem.detail, problem.request_id) == (code, detail, "r")
    assert problem.type == f"urn:serai:problem:{code}"
    assert problem.facts == (known or None)
