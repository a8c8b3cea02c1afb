"""Bytes from strangers become a checked request or a WireError that names the field, whatever they are."""

from __future__ import annotations

import contextlib
import hashlib
import tracemalloc
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfzmq.clinical.report import Report, check_new_patient_id
from hfzmq.config import Limits
from hfzmq.errors import WireError
from hfzmq.wire import requests as wire
from hfzmq.wire.rows import join_rows, pack_row

MESH = bytes(range(16))
LIMITS = Limits()
EPOCH = b"e" * 16
ROW = Report("P-001", 1_700_000_000_000, 65.5, 137.0, 1.2, 35.0, 12, 0.5, "AMBER", 0.4, "m1", "")


def submit_map(**changes: Any) -> dict[str, Any]:
    rows = changes.pop("rows", wire.encode_rows([ROW]))
    digest = wire.digest(rows) if isinstance(rows, bytes) else b"d" * 16
    values = {"v": 1, "mesh": MESH, "op": "submit", "client": "bed", "epoch": EPOCH, "seq": 1, "rows": rows}
    values["digest"] = digest
    values.update(changes)
    return {key: value for key, value in values.items() if value is not Ellipsis}


def refused(frame: bytes, limits: Limits = LIMITS) -> WireError:
    with pytest.raises(WireError) as caught:
        wire.decode_request(frame, MESH, limits)
    assert caught.value.field
    assert caught.value.bound
    return caught.value


def reports() -> st.SearchStrategy[Report]:
    name = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=64).filter(
        lambda name: check_new_patient_id(name) is None
    )
    chance = st.floats(0, 1)
    return st.builds(
        Report,
        name,
        st.integers(946_684_800_000, 4_102_444_800_000),
        st.floats(18, 120) | st.integers(18, 120),
        st.floats(100, 180),
        st.floats(0.1, 20),
        st.floats(5, 90),
        st.integers(0, 36_500),
        chance,
        st.sampled_from(["GREEN", "AMBER", "RED", "UNKNOWN"]),
        chance,
        name,
        st.text(max_size=200).filter(lambda text: text.isprintable()),
    )


# ---------------------------------------------------------------------------------------------------------- round trips


@given(st.lists(reports(), min_size=1, max_size=20), st.integers(1, 2**63 - 1))
def test_a_submit_comes_out_as_it_went_in(rows: list[Report], seq: int) -> None:
    packed = wire.encode_rows(rows)
    frame = wire.encode_request(
        MESH, "submit", client="bed-7", epoch=EPOCH, seq=seq, rows=packed, digest=wire.digest(packed)
    )
    request = wire.decode_request(frame, MESH, LIMITS)
    assert request == wire.Submit("bed-7", EPOCH, seq, wire.digest(packed), packed)
    assert [tuple(row) for row in wire.decode_rows(packed)] == rows
    assert wire.accept_rows(packed, LIMITS.batch_rows_max)[0] is packed


@given(
    st.none() | st.integers(0, 2**63 - 1),
    st.integers(1, 1000),
    st.none() | st.sampled_from(["RED", "AMBER"]),
    st.booleans(),
    st.booleans(),
)
def test_a_question_for_reports_comes_out_as_it_went_in(
    row_id: int | None, limit: int, tier: str | None, consistent: bool, falling: bool
) -> None:
    where = {"before_id": row_id} if falling else {"after_id": row_id}
    frame = wire.encode_request(MESH, "reports", limit=limit, tier=tier, consistent=consistent, **where)
    request = wire.decode_request(frame, MESH, LIMITS)
    if falling:
        assert request == wire.Reports(0, row_id, limit, None, tier, consistent)
    else:
        assert request == wire.Reports(row_id or 0, None, limit, None, tier, consistent)


@given(st.sets(st.integers(0, 4), min_size=1, max_size=3))
def test_a_row_with_holes_is_accepted_when_its_flags_admit_them_and_refused_alone_when_not(gone: set[int]) -> None:
    values = [None if place in gone else value for place, value in enumerate(ROW[2:7])]
    flags = ",".join(f"missing:{Report._fields[2 + place]}" for place in sorted(gone))
    hole = Report(*ROW[:2], *values, *ROW[7:11], flags)  # type: ignore[arg-type, call-arg]
    packed = wire.encode_rows([hole])
    assert wire.accept_rows(packed, 10) == (packed, [])
    assert [tuple(row) for row in wire.decode_rows(packed)] == [hole]
    silent = hole._replace(flags="")
    kept, rejected = wire.accept_rows(wire.encode_rows([ROW, silent, ROW]), 10)
    assert kept == wire.encode_rows([ROW, ROW])
    assert [(number, field) for number, field, _, _ in rejected] == [(1, Report._fields[2 + min(gone)])]


def test_what_is_optional_may_be_left_out() -> None:
    assert wire.decode_request(wire.encode_request(MESH, "status"), MESH, LIMITS) == wire.Status()
    assert wire.decode_request(wire.encode_request(MESH, "beds"), MESH, LIMITS) == wire.Beds(None)
    assert wire.decode_request(wire.encode_request(MESH, "beds", since_ms=5), MESH, LIMITS) == wire.Beds(5)
    expected = wire.Reports(0, None, 100, None, None, False)
    assert wire.decode_request(wire.encode_request(MESH, "reports"), MESH, LIMITS) == expected
    seen = wire.decode_request(wire.encode_request(MESH, "seen", beds=wire.encode_rows([ROW])), MESH, LIMITS)
    assert seen == wire.Seen((ROW,))


def test_the_bytes_are_those_of_the_protocol_page() -> None:
    """A stranger writes them by hand from docs/protocol.md alone."""
    rows = msgpack.packb([list(ROW)])
    frame = msgpack.packb(
        {
            "digest": hashlib.blake2b(rows, digest_size=16).digest(),
            "rows": rows,
            "seq": 3,
            "epoch": EPOCH,
            "client": "written elsewhere",
            "op": "submit",
            "mesh": MESH,
            "v": 1,
        }
    )
    request = wire.decode_request(frame, MESH, LIMITS)
    assert isinstance(request, wire.Submit)
    assert (request.client, request.seq) == ("written elsewhere", 3)


# ------------------------------------------------------------------------------------------------------- each bad field


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"v": 2}, "v"),
        ({"v": True}, "v"),
        ({"v": ...}, "v"),
        ({"v": 1.0}, "v"),
        ({"mesh": bytes(16)}, "mesh"),
        ({"mesh": "text"}, "mesh"),
        ({"mesh": b"short"}, "mesh"),
        ({"mesh": ...}, "mesh"),
        ({"op": "delete"}, "op"),
        ({"op": 1}, "op"),
        ({"op": ...}, "op"),
        ({"client": ""}, "client"),
        ({"client": "x" * 65}, "client"),
        ({"client": "new\nline"}, "client"),
        ({"client": b"bytes"}, "client"),
        ({"client": None}, "client"),
        ({"client": ...}, "client"),
        ({"epoch": b"e" * 15}, "epoch"),
        ({"epoch": "e" * 16}, "epoch"),
        ({"epoch": ...}, "epoch"),
        ({"seq": 0}, "seq"),
        ({"seq": -1}, "seq"),
        ({"seq": 2**63}, "seq"),
        ({"seq": True}, "seq"),
        ({"seq": 1.0}, "seq"),
        ({"seq": float("nan")}, "seq"),
        ({"seq": "1"}, "seq"),
        ({"seq": ...}, "seq"),
        ({"digest": b"d" * 16}, "digest"),
        ({"digest": b"d" * 32}, "digest"),
        ({"digest": "d" * 16}, "digest"),
        ({"digest": ...}, "digest"),
        ({"rows": "text"}, "rows"),
        ({"rows": ...}, "rows"),
        ({"rows": b""}, "rows"),
        ({"rows": msgpack.packb({})}, "rows"),
        ({"rows": msgpack.packb([])}, "rows"),
        ({"rows": msgpack.packb([list(ROW)] * 1001)}, "rows"),
        ({"rows": b"\xdd\xff\xff\xff\xff"}, "rows"),
        ({"rows": b"\xdc\x00"}, "rows"),
        ({"rowz": b""}, "rowz"),
        ({"limit": 3}, "limit"),
        ({"x" * 500: 1}, "x" * 37 + "..."),
        ({"new\nline": 1}, r"'new\nline'"),
    ],
)
def test_a_bad_field_of_a_submit_is_named(changes: dict[str, Any], field: str) -> None:
    assert refused(msgpack.packb(submit_map(**changes))).field == field


@pytest.mark.parametrize(
    ("op", "fields", "field"),
    [
        ("status", {"limit": 1}, "limit"),
        ("reports", {"limit": 0}, "limit"),
        ("reports", {"limit": 1001}, "limit"),
        ("reports", {"limit": True}, "limit"),
        ("reports", {"after_id": -1}, "after_id"),
        ("reports", {"after_id": 2**63}, "after_id"),
        ("reports", {"before_id": "3"}, "before_id"),
        ("reports", {"before_id": 3, "after_id": 3}, "before_id"),
        ("reports", {"patient": ""}, "patient"),
        ("reports", {"patient": 7}, "patient"),
        ("reports", {"tier": "red"}, "tier"),
        ("reports", {"tier": b"RED"}, "tier"),
        ("reports", {"consistent": 1}, "consistent"),
        ("reports", {"patients": "P"}, "patients"),
        ("beds", {"since_ms": -1}, "since_ms"),
        ("beds", {"since_ms": 1.5}, "since_ms"),
        ("seen", {}, "beds"),
        ("seen", {"beds": "text"}, "beds"),
        ("seen", {"beds": msgpack.packb([])}, "beds"),
        ("seen", {"beds": msgpack.packb([list(ROW)] * 1001)}, "beds"),
        ("members", {"limit": 1}, "limit"),
        ("change", {"peer": 4}, "action"),
        ("change", {"action": "add"}, "peer"),
        ("change", {"action": "Add", "peer": 4}, "action"),
        ("change", {"action": b"add", "peer": 4}, "action"),
        ("change", {"action": "", "peer": 4}, "action"),
        ("change", {"action": "a" * 41, "peer": 4}, "action"),
        ("change", {"action": "add", "peer": 0}, "peer"),
        ("change", {"action": "add", "peer": 10_000}, "peer"),
        ("change", {"action": "add", "peer": True}, "peer"),
        ("change", {"action": "add", "peer": "4"}, "peer"),
        ("change", {"action": "add", "peer": 4, "force": True}, "force"),
        ("seen", {"beds": msgpack.packb([[1]])}, "beds[0].row"),
        ("seen", {"beds": msgpack.packb([list(ROW), list(ROW._replace(age=7.0))])}, "beds[1].age"),
    ],
)
def test_a_bad_field_of_a_question_is_named(op: str, fields: dict[str, Any], field: str) -> None:
    assert refused(wire.encode_request(MESH, op, **fields)).field == field


def test_a_change_of_members_and_the_question_for_them_come_out_as_they_went_in() -> None:
    for action in ("add", "remove", "transfer"):
        frame = wire.encode_request(MESH, "change", action=action, peer=9999)
        assert wire.decode_request(frame, MESH, LIMITS) == wire.Change(action, 9999)
    assert wire.decode_request(wire.encode_request(MESH, "members"), MESH, LIMITS) == wire.Members()
    assert wire.decode_reply(wire.encode_reply("ACK", index=7, members_index=7))["index"] == 7


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\xc1",
        b"hello",
        msgpack.packb(1),
        msgpack.packb([1, 2]),
        msgpack.packb({1: 2}),
        msgpack.packb({b"v": 1}),
        msgpack.packb(submit_map()) + b"\x00",
        msgpack.packb(submit_map())[:-1],
        msgpack.packb({**submit_map(), "a": [1]}),
        msgpack.packb({**submit_map(), "a": {}}),
        msgpack.packb({**submit_map(), "a": msgpack.Timestamp(1)}),
        msgpack.packb({**submit_map(), **{f"k{n}": n for n in range(20)}}),
        b"\x82\xa1v\x01\xa1v\x01",
        b"\xdf\xff\xff\xff\xff",
        b"\x81\xa1v" * 50_000,
        b"\x91" * 100_000,
        b"\x81\xa1\xff\x01",
        b"\x81\xa1v\xa2\xc3\x28",
    ],
)
def test_what_is_no_flat_map_is_refused(frame: bytes) -> None:
    refused(frame)


def test_a_frame_beyond_the_limit_is_refused_before_it_is_read() -> None:
    error = refused(bytes(5000), LIMITS._replace(client_message_bytes_max=4096))
    assert (error.field, error.bound) == ("message", "at most 4096 bytes")


# ------------------------------------------------------------------------------------------------------------ any bytes


@settings(max_examples=500)
@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_a_wire_error(data: bytes) -> None:
    rows = b"\x92" + data
    attempts: list[Callable[[], object]] = [
        lambda: wire.decode_request(data, MESH, LIMITS),
        lambda: wire.decode_request(b"\x84" + data, MESH, LIMITS),
        lambda: wire.decode_reply(data),
        lambda: wire.decode_reply(b"\x82\xa1v\x01" + data),
        lambda: wire.decode_rows(data),
        lambda: wire.decode_rows(rows),
        lambda: wire.accept_rows(rows, 1000),
        lambda: wire.decode_request(msgpack.packb(submit_map(rows=rows)), MESH, LIMITS),
    ]
    for attempt in attempts:
        with contextlib.suppress(WireError):
            attempt()


plain = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary()
nested = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.binary(), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=100)
@given(st.dictionaries(st.sampled_from([*submit_map(), "beds", "limit", "tier", "patient", "since_ms", "x"]), nested))
def test_no_map_whatever_raises_anything_but_a_wire_error(changes: dict[str, Any]) -> None:
    for base in (submit_map(), {"v": 1, "mesh": MESH, "op": "reports"}, {"v": 1, "mesh": MESH, "op": "seen"}, {}):
        frame = msgpack.packb({**base, **changes})
        with contextlib.suppress(WireError):
            wire.decode_request(frame, MESH, LIMITS)
        with contextlib.suppress(WireError):
            wire.decode_reply(frame)


@settings(max_examples=300)
@given(st.data())
def test_one_changed_byte_is_refused_or_still_a_whole_request(data: st.DataObject) -> None:
    frame = bytearray(msgpack.packb(submit_map()))
    frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    try:
        request = wire.decode_request(bytes(frame), MESH, LIMITS)
    except WireError:
        return
    assert isinstance(request, wire.Submit)
    assert request.digest == wire.digest(request.rows)


@pytest.mark.parametrize(
    "bomb",
    [
        b"\xdd\x00\x00\x03\xe8" + b"\xdd\x00\x0f\x00\x00" + b"\x90" * 0xF0000,
        b"\x91\xdc\x00\x40" + b"\x90" * 64,
        b"\xdc\x03\xe8" + b"\xdc\x00\x40" * 300_000,
        b"\x91" * 900_000,
        b"\x91" + b"\xdc\x00\x40" + (b"\xdc\x00\x40" + b"\x90" * 64) * 10_000,
    ],
)
def test_nested_rows_are_refused_and_cost_no_memory(bomb: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(WireError):
            wire.accept_rows(bomb, 1000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20


# ----------------------------------------------------------------------------------------------------------------- rows


BAD_ROWS = [
    (ROW._replace(age=7.0), "age"),
    (ROW._replace(age=float("nan")), "age"),
    (ROW._replace(age=float("inf")), "age"),
    (ROW._replace(age=True), "age"),
    (ROW._replace(serum_sodium="137"), "serum_sodium"),  # type: ignore[arg-type]
    (ROW._replace(day=1.5), "day"),  # type: ignore[arg-type]
    (ROW._replace(timestamp=1_700_000_000), "timestamp"),
    (ROW._replace(timestamp=True), "timestamp"),
    (ROW._replace(probability=1), "probability"),
    (ROW._replace(tier="PURPLE"), "tier"),
    (ROW._replace(patient_id="x" * 65), "patient_id"),
    (ROW._replace(model_id="m" * 65), "model_id"),
    ([*ROW, 1], "row"),
    (list(ROW)[:11], "row"),
    ({}, "row"),
    ("text", "row"),
    (None, "row"),
    ([], "row"),
]


@given(st.lists(st.sampled_from([None, *range(len(BAD_ROWS))]), min_size=1, max_size=30))
def test_bad_rows_are_named_by_number_and_every_good_row_is_kept(picks: list[int | None]) -> None:
    batch = [ROW._replace(day=place) if pick is None else BAD_ROWS[pick][0] for place, pick in enumerate(picks)]
    packed = msgpack.packb(batch)
    stored, rejected = wire.accept_rows(packed, 1000)
    assert [(number, field) for number, field, _, _ in rejected] == [
        (place, BAD_ROWS[pick][1]) for place, pick in enumerate(picks) if pick is not None
    ]
    assert [row[6] for row in wire.decode_rows(stored)] == [place for place, pick in enumerate(picks) if pick is None]
    assert (stored is packed) == (not rejected)


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 1000, 65_535, 65_536])
def test_rows_packed_one_by_one_and_joined_equal_rows_packed_together(count: int) -> None:
    rows = [(number, "P") for number in range(count)]
    assert join_rows([pack_row(row) for row in rows]) == wire.encode_rows(rows)


def test_too_many_rows_are_refused_whole() -> None:
    with pytest.raises(WireError) as caught:
        wire.accept_rows(wire.encode_rows([ROW] * 3), 2)
    assert (caught.value.field, caught.value.bound) == ("rows", "1 to 2 rows")


@pytest.mark.parametrize("tail", [b"\x00", b"\x90"])
def test_bytes_after_the_last_row_are_refused(tail: bytes) -> None:
    with pytest.raises(WireError):
        wire.accept_rows(wire.encode_rows([ROW]) + tail, 1000)


@pytest.mark.parametrize("value", [2**64, "\ud800", object(), {1, 2}])
def test_what_msgpack_cannot_carry_is_a_wire_error_of_the_sender(value: object) -> None:
    with pytest.raises(WireError):
        wire.encode_rows([[value]])
    with pytest.raises(WireError):
        wire.encode_request(MESH, "submit", client=value)


# -------------------------------------------------------------------------------------------------------------- replies


def test_a_reply_comes_out_as_it_went_in() -> None:
    reply = wire.decode_reply(wire.encode_reply("ACK", seq=1, term=2, index=3, rejected=[[0, "age", "18 to 120", "?"]]))
    assert reply == {
        "v": 1,
        "status": "ACK",
        "seq": 1,
        "term": 2,
        "index": 3,
        "rejected": [[0, "age", "18 to 120", "?"]],
    }
    assert wire.decode_reply(wire.encode_reply("NOT_LEADER", leader=None, host=None, port=None))["leader"] is None
    assert wire.decode_reply(wire.encode_reply("OK", beds={"a": [[1, 2.0]]}))["beds"] == {"a": [[1, 2.0]]}


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"220 smtp ready\r\n",
        msgpack.packb({"v": 2, "status": "ACK"}),
        msgpack.packb({"v": True, "status": "OK"}),
        msgpack.packb({"v": 1}),
        msgpack.packb({"v": 1, "status": 5}),
        wire.encode_reply("ACK", seq=1, term=2, index=3),
        wire.encode_reply("ACK", seq=True, term=2, index=3, rejected=[]),
        wire.encode_reply("ACK", seq=1, term=None, index=3, rejected=[]),
        wire.encode_reply("ACK"),
        wire.encode_reply("ACK", index="7"),
        wire.encode_reply("ACK", index=7, rejected=[]),
        wire.encode_reply("OK", members_index="new"),
        wire.encode_reply("NO_QUORUM", members_index=None),
        wire.encode_reply("BUSY"),
        wire.encode_reply("BUSY", retry_ms="soon"),
        wire.encode_reply("GAP", seq=1),
        wire.encode_reply("REFUSED", field="x", bound=1, hint=""),
        wire.encode_reply("NOT_LEADER", leader="two", host=None, port=None),
    ],
)
def test_a_reply_without_what_its_status_promises_is_a_wire_error(frame: bytes) -> None:
    with pytest.raises(WireError):
        wire.decode_reply(frame)
