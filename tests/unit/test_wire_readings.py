"""A client's readings become rows with a verdict, whatever their values are; only what no table takes is refused."""

from __future__ import annotations

import contextlib
import math
import re
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfzmq.clinical.heart_rate import CATEGORY_OF, VERDICTS, HeartRateRules, Reading, judge
from hfzmq.clinical.report import check_new_patient_id
from hfzmq.config import Limits
from hfzmq.errors import WireError
from hfzmq.wire import requests as wire
from hfzmq.wire.body import READINGS, decode_readings, encode_body
from hfzmq.wire.readings import JudgedReading, SubmitReadings, judge_rows

MESH = bytes(range(16))
EPOCH = b"e" * 16
NOW = 1_700_000_000_000
RULES = HeartRateRules()
ROW = Reading("bed-1", NOW, 72.0, "72")

values = st.none() | st.floats() | st.integers(-(2**63), 2**64 - 1) | st.booleans() | st.text(max_size=9) | st.binary()
readings = st.builds(
    Reading,
    st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8).filter(
        lambda name: check_new_patient_id(name) is None
    ),
    st.integers(946_684_800_000, 4_102_444_800_000),
    values,
    st.text(max_size=40),
)


def judged(rows: list[Any], now_ms: int = NOW) -> tuple[list[JudgedReading], list[tuple[int, str, str, str]]]:
    """What a batch becomes, by way of the log's body."""
    stored, rejected = judge_rows(wire.encode_rows(rows), 1000, now_ms, RULES)
    stamp_ms, found = decode_readings(encode_body(now_ms, stored, READINGS))
    assert stamp_ms == now_ms
    return found, rejected


@given(st.lists(readings, min_size=1, max_size=20))
def test_every_reading_is_kept_in_its_order_with_the_verdict_on_what_was_sent(rows: list[Reading]) -> None:
    found, rejected = judged(rows)
    assert rejected == []
    assert [(one.patient_id, one.timestamp) for one in found] == [row[:2] for row in rows]
    for one, row in zip(found, rows, strict=True):
        assert VERDICTS[one.verdict] == judge(row.value, row.timestamp, NOW, RULES, row.raw_payload)
        assert one.value is None or math.isfinite(one.value)
        assert row.raw_payload in ("", one.raw_payload)


@given(st.lists(readings, min_size=1, max_size=20))
def test_judging_makes_a_batch_only_a_little_longer(rows: list[Reading]) -> None:
    packed = wire.encode_rows(rows)
    stored, _ = judge_rows(packed, 1000, NOW, RULES)
    assert len(stored) <= 1.5 * len(packed) + 8  # peers pass on twice what clients may send


@pytest.mark.parametrize("value", [72.5, 72, 1, None])
def test_a_batch_of_the_shortest_rows_stays_below_what_peers_pass_on(value: float | None) -> None:
    row: bytes = msgpack.packb(["b", NOW, value, ""], use_single_float=True)
    packed = b"\xdc\x03\xe8" + row * 1000
    assert len(judge_rows(packed, 1000, NOW, RULES)[0]) < 1.5 * len(packed)


def test_what_came_in_the_place_of_a_number_is_kept_as_text_where_no_payload_was_sent() -> None:
    came: list[Any] = ["7#2", True, math.nan, -math.inf, b"\x01\xff", 72, None]
    sent = [ROW._replace(value=value, raw_payload="") for value in came]
    found, _ = judged(sent)
    assert [one.raw_payload for one in found] == ["7#2", "true", "nan", "-inf", "01ff", "", ""]
    assert [one.value for one in found] == [None, None, None, None, None, 72, None]
    assert [VERDICTS[one.verdict].anomaly for one in found] == [
        "unparsable", "unparsable", "impossible", "impossible", "unparsable", None, "missing",
    ]  # fmt: skip


def test_rows_that_no_table_takes_are_named_and_the_others_kept() -> None:
    found, rejected = judged([ROW, ROW._replace(patient_id=""), ROW._replace(timestamp=5), ["x"], ROW])
    assert len(found) == 2
    assert [item[:2] for item in rejected] == [(1, "patient_id"), (2, "timestamp"), (3, "row")]
    assert judged([["x"]])[0] == []


def test_which_rows_are_refused_does_not_depend_on_the_clock_so_a_request_sent_again_is_answered_as_before() -> None:
    rows = [ROW, ROW._replace(timestamp=NOW + 60_000), ROW._replace(patient_id="")]
    early, late = judged(rows, NOW), judged(rows, NOW + 60_000)
    assert early[1] == late[1]
    assert [VERDICTS[one.verdict].anomaly for one in early[0]] == [None, "future"]
    assert [VERDICTS[one.verdict].anomaly for one in late[0]] == [None, None]


@pytest.mark.parametrize(
    "data", [b"", b"\x90", b"\x80", b"\x91", wire.encode_rows([ROW] * 3), b"\x91\x94\x90\x01\x02\x03"]
)
def test_what_is_no_batch_or_too_long_a_one_is_refused_whole(data: bytes) -> None:
    with pytest.raises(WireError):
        judge_rows(data, 2, NOW, RULES)


@given(st.binary(max_size=80))
def test_any_bytes_are_rows_or_a_wire_error(data: bytes) -> None:
    with contextlib.suppress(WireError):
        judge_rows(data, 1000, NOW, RULES)


# -------------------------------------------------------------------------------------------------------- the requests


def test_a_request_to_keep_readings_comes_out_as_it_went_in_and_has_the_bounds_of_a_submit() -> None:
    rows = wire.encode_rows([ROW])
    given_ = {"client": "bed", "epoch": EPOCH, "seq": 3, "rows": rows, "digest": wire.digest(rows)}
    frame = wire.encode_request(MESH, "submit_readings", **given_)
    assert wire.decode_request(frame, MESH, Limits()) == SubmitReadings("bed", EPOCH, 3, wire.digest(rows), rows)
    for wrong in ({"digest": bytes(16)}, {"seq": 0}, {"rows": b"\x90"}, {"client": ""}, {"epoch": b""}, {"limit": 1}):
        with pytest.raises(WireError) as caught:
            wire.decode_request(wire.encode_request(MESH, "submit_readings", **(given_ | wrong)), MESH, Limits())
        assert caught.value.field in (*wrong, "digest")


def test_questions_for_readings_and_alerts_come_out_as_they_went_in() -> None:
    ask = wire.encode_request(MESH, "readings", before_id=0, limit=7, patient="bed-1", status="corrupted")
    assert wire.decode_request(ask, MESH, Limits()) == wire.Readings(0, 0, 7, "bed-1", "corrupted", False)
    ask = wire.encode_request(MESH, "alerts", after_id=9, category="system_anomaly", consistent=True)
    assert wire.decode_request(ask, MESH, Limits()) == wire.Alerts(9, None, 100, None, "system_anomaly", True)


@pytest.mark.parametrize(
    ("op", "fields", "field"),
    [
        ("readings", {"status": "Valid"}, "status"),
        ("readings", {"status": 1}, "status"),
        ("readings", {"category": "system_anomaly"}, "category"),
        ("readings", {"tier": "RED"}, "tier"),
        ("readings", {"limit": 1001}, "limit"),
        ("alerts", {"category": "valid"}, "category"),
        ("alerts", {"category": b"system_anomaly"}, "category"),
        ("alerts", {"status": "valid"}, "status"),
        ("alerts", {"before_id": 1, "after_id": 1}, "before_id"),
        ("alerts", {"patient": ""}, "patient"),
    ],
)
def test_a_bad_field_of_a_question_is_named(op: str, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(WireError) as caught:
        wire.decode_request(wire.encode_request(MESH, op, **fields), MESH, Limits())
    assert caught.value.field == field


def test_the_protocol_page_numbers_the_verdicts_as_the_log_does() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d) \| `(\w+)` \| (`\w+`|nil) \|.*\| (`\w+`|no alert) \|$", page, re.MULTILINE)
    told = {
        int(number): (status, anomaly.strip("`"), category.strip("`")) for number, status, anomaly, category in rows
    }
    assert told == {
        number: (verdict.status, verdict.anomaly or "nil", CATEGORY_OF.get(verdict.status, "no alert"))
        for number, verdict in enumerate(VERDICTS)
    }
