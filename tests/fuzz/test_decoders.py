"""Whatever decodes bytes raises WireError or returns, and nothing else: of any bytes, and of right ones a little wrong.

The tests of each decoder stand in tests/unit; here all of them get the same hostile bytes.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from random import Random
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hfzmq.clinical.heart_rate import HeartRateRules
from hfzmq.config import Limits
from hfzmq.errors import WireError
from hfzmq.wire import access, body, facts, fields, members, peers, readings, requests, rows
from tests.fuzz import letters

MESH = bytes(range(16))
LIMITS = Limits()
RULES = HeartRateRules(50, 120)
SENDER = peers.Sender(MESH, 2, bytes(16), 1, 1)
BOMB_S = 0.5  # of processor time: no message takes longer
BOMBS = letters.bombs()

Decoder = Callable[[bytes], Any]

DECODERS: dict[str, Decoder] = {
    "request": lambda data: requests.decode_request(data, MESH, LIMITS),
    "reply": requests.decode_reply,
    "rows": requests.decode_rows,
    "accepted rows": lambda data: requests.accept_rows(data, 1000),
    "seen": requests.read_seen,
    "judged readings": lambda data: readings.judge_rows(data, 1000, letters.NOW_MS, RULES),
    "letter": peers.decode,
    "changes of keys": access.decode_changes,
    "body of keys": access.decode_access,
    "body of reports": body.decode_body,
    "body of readings": body.decode_readings,
    "body of facts": facts.decode_facts,
    "facts": facts.decode_fact_rows,
    "members": members.recall,
    "map of a request": fields.request_map,
    "array": rows.unpack_rows,
}

# Not of strangers' bytes: answers of peers, and rows that were counted before.
OF_OWN_KIND = ("reply", "members", "rows", "array")

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(1 << 63), (1 << 64) - 1), st.floats(), st.text(max_size=20),
    st.binary(max_size=40), st.sampled_from(letters.NUMBERS), st.sampled_from(letters.FLOATS),
    st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=8)),
)  # fmt: skip
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=6) | st.dictionaries(scalars, inner, max_size=4), max_leaves=20
)
seeds = st.integers(0, 1 << 32)
each_decoder = pytest.mark.parametrize("name", DECODERS)
quick = settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])


def harmless(name: str, data: bytes) -> None:
    """Fails with whatever is raised but WireError."""
    with contextlib.suppress(WireError):
        DECODERS[name](data)


@each_decoder
@quick
@given(data=st.binary(max_size=300))
@example(data=b"")
def test_any_bytes_are_decoded_or_refused(name: str, data: bytes) -> None:
    harmless(name, data)
    harmless(name, b"\x01" + data)
    harmless(name, b"\x02" + bytes(8) + data)


@each_decoder
@quick
@given(value=values)
def test_any_msgpack_is_decoded_or_refused(name: str, value: object) -> None:
    try:
        data: bytes = msgpack.packb(value)
    except (ValueError, OverflowError):
        return
    harmless(name, data)
    harmless(name, b"\x03" + bytes(8) + data)
    harmless(name, msgpack.packb([value]))


@each_decoder
def test_what_promises_or_costs_much_is_decided_soon(name: str) -> None:
    for number, data in enumerate(BOMBS):
        began = time.thread_time()
        harmless(name, data)
        assert name in OF_OWN_KIND or time.thread_time() - began < BOMB_S, number


@pytest.mark.parametrize("right", letters.requests(MESH), ids=lambda right: str(right["op"]))
@quick
@given(seed=seeds)
def test_a_right_request_with_one_thing_wrong_is_decoded_or_refused(right: dict[str, Any], seed: int) -> None:
    harmless("request", letters.mutated_request(Random(seed), right))


@pytest.mark.parametrize("right", letters.requests(MESH), ids=lambda right: str(right["op"]))
def test_the_requests_that_are_mutated_are_right(right: dict[str, Any]) -> None:
    assert requests.op_of(requests.decode_request(msgpack.packb(right), MESH, LIMITS)) == right["op"]


@quick
@given(seed=seeds)
def test_mutated_rows_are_sorted_or_refused(seed: int) -> None:
    data = letters.mutated_rows(Random(seed))
    for name in ("rows", "accepted rows", "seen", "judged readings", "array"):
        harmless(name, data)


@pytest.mark.parametrize("content", letters.contents(4, "127.0.0.1"), ids=lambda content: type(content).__name__)
@quick
@given(seed=seeds)
def test_a_peers_message_with_one_thing_wrong_is_decoded_or_refused(content: peers.Content, seed: int) -> None:
    harmless("letter", letters.mutated_letter(Random(seed), SENDER, content))


def test_every_kind_of_peers_message_and_every_op_is_among_those_that_are_mutated() -> None:
    kinds = {type(content) for content in letters.contents(4, "127.0.0.1")}
    assert kinds == set(peers._ENCODERS)
    assert {right["op"] for right in letters.requests(MESH)} == set(requests.OPS)
