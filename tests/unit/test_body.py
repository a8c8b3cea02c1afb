"""The body of a batch entry carries the leader's stamp and the client's very bytes, or is refused."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfzmq.clinical.heart_rate import VERDICTS
from hfzmq.clinical.report import Report
from hfzmq.errors import WireError
from hfzmq.wire.body import READINGS, REPORTS, STAMP_MS_MAX, decode_body, decode_readings, encode_body, format_of
from hfzmq.wire.readings import JudgedReading
from hfzmq.wire.requests import encode_rows

ROW = Report("P-001", 1_700_000_000_000, 65.5, 137.0, 1.2, 35.0, 12, 0.5, "AMBER", 0.4, "m1", "")


def refusal_of(body: bytes) -> WireError:
    with pytest.raises(WireError) as caught:
        decode_body(body)
    return caught.value


@given(st.integers(0, STAMP_MS_MAX), st.integers(0, 30))
def test_what_is_put_in_comes_out(stamp_ms: int, count: int) -> None:
    rows = [ROW._replace(timestamp=ROW.timestamp + n) for n in range(count)]
    assert decode_body(encode_body(stamp_ms, encode_rows(rows))) == (stamp_ms, [list(row) for row in rows])


def test_the_rows_are_not_packed_anew() -> None:
    rows = encode_rows([ROW])
    assert encode_body(7, rows) == b"\x01" + (7).to_bytes(8, "big") + rows


def test_whole_numbers_and_fractions_stay_what_they_were() -> None:
    _, (row,) = decode_body(encode_body(7, encode_rows([ROW._replace(age=66, serum_sodium=140.0)])))
    assert (row[2], type(row[2])) == (66, int)
    assert (row[3], type(row[3])) == (140.0, float)


@pytest.mark.parametrize("stamp_ms", [-1, STAMP_MS_MAX + 1])
def test_a_stamp_that_sqlite_cannot_keep_is_refused_both_ways(stamp_ms: int) -> None:
    with pytest.raises(WireError) as caught:
        encode_body(stamp_ms, encode_rows([ROW]))
    assert caught.value.field == "created_at_ms"
    if stamp_ms > 0:
        assert refusal_of(struct.pack(">BQ", REPORTS, stamp_ms) + encode_rows([])).field == "created_at_ms"


def test_a_body_of_another_format_is_refused_and_named() -> None:
    error = refusal_of(b"\x09" + encode_body(7, encode_rows([ROW]))[1:])
    assert "format 9" in error.hint
    assert refusal_of(encode_body(7, encode_rows([]), READINGS)).bound == "format 1"
    with pytest.raises(WireError, match="format 2"):
        decode_readings(encode_body(7, encode_rows([])))


@pytest.mark.parametrize("body", [b"", b"\x01", encode_body(7, b"")[:-1], encode_body(7, b"")])
def test_a_cut_body_is_refused(body: bytes) -> None:
    assert refusal_of(body).bound


def test_every_cut_of_a_good_body_is_refused() -> None:
    body = encode_body(7, encode_rows([ROW, ROW]))
    for length in range(len(body)):
        refusal_of(body[:length])


def test_bytes_after_the_last_row_are_refused() -> None:
    refusal_of(encode_body(7, encode_rows([ROW])) + b"\x00")


@pytest.mark.parametrize("rows", [b"\x91\x90", b"\x91\xc0", b"\x91\xa3abc", b"\x80", b"\xc0"])
def test_rows_that_are_no_reports_are_refused(rows: bytes) -> None:
    refusal_of(encode_body(7, rows))


@pytest.mark.parametrize("fields", [11, 13])
def test_a_row_with_a_field_too_few_or_too_many_is_refused(fields: int) -> None:
    row = [*ROW, "more"][:fields]
    assert refusal_of(encode_body(7, encode_rows([row]))).field == "row"


@given(st.binary(max_size=60))
def test_any_bytes_decode_or_raise_wire_error(body: bytes) -> None:
    for bytes_ in (body, b"\x01" + body):
        with contextlib.suppress(WireError):
            decode_body(bytes_)


READING = ["bed-1", 1_700_000_000_000, 72.0, "72", 0]


def test_readings_come_out_with_their_verdicts() -> None:
    body = encode_body(7, encode_rows([READING, ["bed-2", 5, None, "x", 7]]), READINGS)
    assert body[0] == format_of(body) == READINGS
    assert decode_readings(body) == (7, [JudgedReading(*READING), JudgedReading("bed-2", 5, None, "x", 7)])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "row", [READING[:4], [*READING, 1], [*READING[:4], -1], [*READING[:4], len(VERDICTS)], [*READING[:4], True], []]
)
def test_a_row_that_is_no_judged_reading_is_refused(row: list[object]) -> None:
    with pytest.raises(WireError):
        decode_readings(encode_body(7, encode_rows([row]), READINGS))


@given(st.binary(max_size=60))
def test_any_bytes_are_readings_or_a_wire_error(body: bytes) -> None:
    with contextlib.suppress(WireError):
        decode_readings(body)
    with contextlib.suppress(WireError):
        decode_readings(b"\x02" + body)
