"""What is asked for and answered while a backup is pulled comes out as it went in; anything else names its field."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfzmq.config import Limits
from hfzmq.errors import WireError
from hfzmq.wire.backup import (
    PIECE_BYTES_MAX,
    SIZE_MAX,
    Answer,
    Busy,
    Ended,
    Failed,
    Gone,
    Making,
    Refused,
    TakeBackup,
    piece_of,
    read_answer,
    told,
)
from hfzmq.wire.requests import decode_reply, decode_request, encode_reply, encode_request

MESH, TAKE = bytes(range(16)), b"t" * 16


def asked(**fields: object) -> object:
    return decode_request(encode_request(MESH, "backup", **fields), MESH, Limits())


@given(st.integers(0, SIZE_MAX), st.integers(1, PIECE_BYTES_MAX), st.integers(0, 2**63 - 1), st.booleans())
def test_a_request_comes_out_as_it_went_in(offset: int, length: int, at_least: int, end: bool) -> None:
    request = TakeBackup(TAKE, offset, length, at_least, end)
    assert asked(**request._asdict()) == request


def test_what_is_optional_may_be_left_out() -> None:
    assert asked(take=TAKE, offset=0) == TakeBackup(TAKE, 0, PIECE_BYTES_MAX, 0, False)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"take": TAKE}, "offset"),
        ({"offset": 0}, "take"),
        ({"take": TAKE[1:], "offset": 0}, "take"),
        ({"take": TAKE, "offset": -1}, "offset"),
        ({"take": TAKE, "offset": SIZE_MAX + 1}, "offset"),
        ({"take": TAKE, "offset": 0, "length": 0}, "length"),
        ({"take": TAKE, "offset": 0, "length": PIECE_BYTES_MAX + 1}, "length"),
        ({"take": TAKE, "offset": 0, "at_least": 1.5}, "at_least"),
        ({"take": TAKE, "offset": 0, "end": 1}, "end"),
        ({"take": TAKE, "offset": 0, "file": "/etc/passwd"}, "file"),
    ],
)
def test_a_wrong_request_names_its_field(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(WireError) as caught:
        asked(**fields)
    assert caught.value.field == field


PIECE = piece_of(TAKE, 3, 10, b"s" * 32, 7, b"data")
ANSWERS: list[Answer] = [
    PIECE,
    Making(TAKE, "copying", 0.5, 200),
    Gone(TAKE),
    Failed(TAKE, "no room", "make some"),
    Busy(2000, "ann"),
    Ended(TAKE),
    Refused("offset", "below 10", ""),
]


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_is_read_back_as_it_was_told(answer: Answer) -> None:
    status, fields = told(answer)
    assert read_answer(decode_reply(encode_reply(status, **fields))) == answer


def test_a_piece_is_sound_until_one_bit_of_it_changes() -> None:
    assert PIECE.is_sound
    assert not PIECE._replace(data=b"dataX").is_sound


@pytest.mark.parametrize(
    ("answer", "changes", "field"),
    [
        (PIECE, {"data": b""}, "data"),
        (PIECE, {"data": b"x" * (PIECE_BYTES_MAX + 1), "size": 2 * PIECE_BYTES_MAX}, "data"),
        (PIECE, {"data": "text"}, "data"),
        (PIECE, {"offset": 7}, "offset"),
        (PIECE, {"size": 0}, "size"),
        (PIECE, {"sha256": b"short"}, "sha256"),
        (PIECE, {"data_sha256": None}, "data_sha256"),
        (PIECE, {"entry": -1}, "entry"),
        (PIECE, {"take": b""}, "take"),
        (Making(TAKE, "x", 0.5, 200), {"share": 1.5}, "share"),
        (Making(TAKE, "x", 0.5, 200), {"share": float("nan")}, "share"),
        (Making(TAKE, "x", 0.5, 200), {"retry_ms": 10**9}, "retry_ms"),
        (Making(TAKE, "x", 0.5, 200), {"doing": 7}, "doing"),
        (Busy(2000, "ann"), {"by": 7}, "by"),
        (Failed(TAKE, "a", "b"), {"cause": None}, "cause"),
        (Gone(TAKE), {"status": "PERHAPS"}, "status"),
    ],
)
def test_what_no_peer_says_is_no_answer(answer: Answer, changes: dict[str, Any], field: str) -> None:
    status, fields = told(answer)
    with pytest.raises(WireError) as caught:
        read_answer({"status": status, **fields, **changes})
    assert caught.value.field == field


def test_nothing_that_a_peer_says_moves_an_operator_s_terminal() -> None:
    status, fields = told(Failed(TAKE, "a\x1b[2Jb\nc", "h" * 5000))
    answer = read_answer({"status": status, **fields})
    assert isinstance(answer, Failed)
    assert answer.cause == "a [2Jb c"
    assert len(answer.hint) == 1000
