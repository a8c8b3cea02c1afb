"""Messages between peers as bytes: what goes in comes out, and no bytes raise anything but WireError."""

from __future__ import annotations

import contextlib
import hashlib
import tracemalloc
from dataclasses import replace
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hfzmq.clinical.report import Report
from hfzmq.config import Limits, PeerAddress
from hfzmq.core.membership import Member, bootstrap
from hfzmq.core.membership import encode as encode_members
from hfzmq.core.messages import (
    AppendReply,
    AppendRequest,
    Disowned,
    Expelled,
    Heartbeat,
    JoinRequest,
    SnapshotOffer,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)
from hfzmq.core.types import BATCH, CONFIG, NOOP, START, Entry, Origin, Place, chained
from hfzmq.errors import WireError
from hfzmq.wire import peers
from hfzmq.wire.checks import U63
from hfzmq.wire.hints import AGE_MS_MAX, Hints
from hfzmq.wire.peers import ENVELOPE, ROLES, Content, Introduction, Letter, Sender, decode, encode
from hfzmq.wire.requests import CLIENT_CHARS_MAX, encode_rows, read_seen
from hfzmq.wire.transfer import CHUNK_BYTES_MAX, Chunk, Pull, snapshot_id

BED = Report("P-001", 1_700_000_000_000, 65, 137.0, 1.2, 35.0, 12, 0.5, "AMBER", 0.4, "m1", "")
SENDER = Sender(b"m" * 16, 2, b"i" * 16, 5, 1, b"h" * 16)

numbers = st.integers(0, U63)
keys = st.binary(min_size=16, max_size=16)
senders = st.builds(Sender, keys, numbers, keys, numbers, numbers, st.one_of(keys, st.just(b"")))
# The last place of a vote request travels without its chain; nothing looks at it.
bare_places = st.builds(Place, numbers, numbers, st.just(b""))
places = st.builds(Place, st.integers(0, U63 - 100), numbers, keys)
origins = st.builds(Origin, st.text(min_size=1, max_size=CLIENT_CHARS_MAX), keys, numbers, keys)


addresses = st.builds(
    PeerAddress, st.integers(1, 9_999), st.sampled_from(["10.0.0.7", "ward-3.example", "localhost"]),
    st.integers(1, 65_535), st.integers(1, 65_535), st.integers(1, 65_535),
)  # fmt: skip
THREE = bootstrap(PeerAddress(peer, "10.0.0.7", 5000 + peer, 5100 + peer, 5200 + peer) for peer in (1, 2, 3)).bound(
    {peer: bytes([peer]) * 16 for peer in (1, 2, 3)}
)
joining = st.builds(Member, addresses, keys, st.just(False))


@st.composite
def chunks(draw: st.DrawFn) -> Chunk:
    data, whole = draw(st.binary(min_size=1, max_size=60)), draw(st.binary(min_size=32, max_size=32))
    offset = draw(st.integers(0, 1 << 40))
    total = offset + len(data) + draw(st.integers(0, 1 << 40))
    return Chunk(
        snapshot_id(whole), offset, total, data, draw(st.binary(min_size=32, max_size=32)), whole, draw(places)
    )


@st.composite
def append_requests(draw: st.DrawFn) -> AppendRequest:
    prev = draw(places)
    before, entries = prev, []
    for _ in range(draw(st.integers(0, 4))):
        origin = draw(st.none() | origins)
        kind = draw(st.sampled_from((NOOP, BATCH, CONFIG)))
        body = encode_members(THREE) if kind == CONFIG else draw(st.binary(max_size=60))
        entry = chained(before, draw(numbers), kind, origin, body)
        entries.append(entry)
        before = Place(entry.index, entry.term, entry.chain)
    return AppendRequest(draw(numbers), prev, tuple(entries), draw(numbers), draw(numbers))


contents: st.SearchStrategy[Content] = st.one_of(
    st.builds(VoteRequest, numbers, bare_places, st.booleans(), st.booleans(), st.just(b"") | keys, numbers),
    st.builds(VoteReply, numbers, st.booleans(), st.booleans(), keys, numbers),
    append_requests(),
    st.builds(AppendReply, numbers, st.booleans(), numbers, numbers),
    st.builds(TimeoutNow, numbers),
    st.builds(SnapshotOffer, numbers, numbers),
    st.builds(JoinRequest, joining),
    st.builds(Expelled, keys, numbers),
    st.builds(Disowned, keys, numbers),
    joining.map(lambda member: Introduction(member.address)),
    st.lists(st.integers(0, AGE_MS_MAX), min_size=1).map(lambda ages: Hints(tuple((age_ms, BED) for age_ms in ages))),
    st.builds(Pull, keys, st.integers(0, 1 << 40)),
    chunks(),
    st.builds(
        Heartbeat, numbers, st.sampled_from(ROLES), numbers, numbers, numbers, numbers, numbers, numbers, numbers,
        st.lists(numbers, max_size=64).map(tuple), st.booleans(), keys,
    ),
)  # fmt: skip

EVERY = (
    VoteRequest(3, Place(7, 2, b""), True, False),
    VoteReply(3, False, True, b"c" * 16, 17),
    AppendRequest(3, START, (chained(START, 3, BATCH, Origin("bed", b"e" * 16, 1, b"d" * 16), b"body"),), 0, 1),
    AppendReply(3, True, 7, 1),
    TimeoutNow(3),
    Heartbeat(3, "leader", 1, 1, 1, 1, 1, 0, 0, (1, 3), True, bytes(16)),
    SnapshotOffer(3, 9),
    JoinRequest(Member(PeerAddress(4, "10.0.0.9", 5004, 5104, 5204), b"n" * 16, votes=False)),
    Expelled(b"o" * 16, 12),
    Disowned(b"o" * 16, 12),
    Introduction(PeerAddress(4, "10.0.0.9", 5004, 5104, 5204)),
    Hints(((0, BED), (1999, BED))),
    Pull(b"w" * 16, 4096),
    Chunk(b"w" * 16, 4096, 9000, b"data", b"d" * 32, b"w" * 32, Place(7, 2, b"c" * 16)),
)


def values_of(content: Content) -> list[Any]:
    unpacked: list[Any] = msgpack.unpackb(encode(SENDER, content))
    return unpacked


def refused(values: object) -> WireError:
    with pytest.raises(WireError) as caught:
        decode(msgpack.packb(values))
    return caught.value


# ------------------------------------------------------------ round trip


@settings(max_examples=200, deadline=None)
@given(senders, contents)
def test_what_is_encoded_is_decoded_again(sender: Sender, content: Content) -> None:
    assert decode(encode(sender, content)) == Letter(sender, content)


def test_every_kind_of_message_that_the_core_knows_has_a_place_on_the_wire() -> None:
    assert set(peers._ENCODERS) == {type(content) for content in EVERY}
    assert {kind for kind, _ in peers._ENCODERS.values()} == set(peers._DECODERS)


@pytest.mark.parametrize("content", EVERY, ids=lambda content: type(content).__name__)
def test_the_envelope_comes_first_and_tells_who_speaks_to_whom(content: Content) -> None:
    version, mesh_id, _, peer, incarnation, boot, to, history, *_ = values_of(content)
    assert (version, mesh_id, peer, incarnation) == (1, b"m" * 16, 2, b"i" * 16)
    assert (boot, to, history) == (5, 1, b"h" * 16)


def test_entries_travel_without_their_chain_and_get_the_one_of_the_bytes_that_came_in() -> None:
    one, *_ = (content for content in EVERY if isinstance(content, AppendRequest))
    values = values_of(one)
    values[-1][0][-1] = b"bodY"
    letter = decode(msgpack.packb(values))
    assert isinstance(letter.content, AppendRequest)
    (entry,) = letter.content.entries
    assert entry == chained(START, 3, BATCH, entry.origin, b"bodY")
    assert entry.chain != one.entries[0].chain


# ------------------------------------------------------------ nothing but WireError


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
@example(b"")
@example(b"\xc1")
@example(b"\x91" * 3000)
@example(b"\xdd\xff\xff\xff\xff")
@example(b"\xc7\x00\xff")
@example(b"\xd6\xff\x00\x00\x00\x00")
@example(b"\xa1\xff")
@example(b"\x80")
@example(b"\x97\x01" + b"\xc0" * 6 + b"\xc0")
def test_no_bytes_raise_anything_but_a_wire_error(frame: bytes) -> None:
    with contextlib.suppress(WireError):
        decode(frame)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(contents, st.data())
def test_no_valid_frame_with_a_few_bytes_changed_cut_or_added_raises_anything_but_a_wire_error(
    content: Content, data: st.DataObject
) -> None:
    frame = bytearray(encode(SENDER, content))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, max(len(frame) - 1, 0)))
        how = data.draw(st.sampled_from(("change", "cut", "add", "drop")))
        if how == "change" and frame:
            frame[place] = data.draw(st.integers(0, 255))
        elif how == "cut":
            del frame[place:]
        elif how == "drop":
            del frame[place : place + 1]
        else:
            frame[place:place] = data.draw(st.binary(min_size=1, max_size=4))
    try:
        letter = decode(bytes(frame))
    except WireError:
        return
    assert decode(encode(letter.sender, letter.content)) == letter, "what passes is whole"


# Fields of EVERY whose neighbours in ANYTHING are values of theirs as well.
PLAIN: tuple[object, ...] = (b"data", 4, "10.0.0.9", 5004, 5104, 5204)


ANYTHING: tuple[object, ...] = (
    None, True, -1, 1 << 63, 1.5, "text", "sixteen letters!", b"", bytes(15), bytes(17), [], [1], [[]], [None] * 7,
)  # fmt: skip


@pytest.mark.parametrize("content", EVERY, ids=lambda content: type(content).__name__)
def test_each_field_of_each_message_is_of_its_type_and_in_its_bounds_or_the_message_is_refused(
    content: Content,
) -> None:
    values = values_of(content)
    letter = decode(msgpack.packb(values))
    for number, good in enumerate(values):
        for bad in ANYTHING:
            if type(bad) is type(good) and (isinstance(bad, (bool, list)) or bad == good):
                continue
            if type(bad) is type(good) and good in PLAIN:
                continue  # another one of these would be as good
            if number == 0 and bad == 1:
                continue  # True is 1 to Python
            if number == ENVELOPE - 1 and bad == b"":
                continue  # who holds nothing yet
            assert refused([*values[:number], bad, *values[number + 1 :]]).field
    assert decode(msgpack.packb(values)) == letter


def test_each_field_of_an_entry_is_of_its_type_and_in_its_bounds_or_the_message_is_refused() -> None:
    values = values_of(EVERY[2])
    row = values[-1][0]
    for number in range(len(row)):
        for bad in ANYTHING:
            if type(bad) is type(row[number]) and number in (2, 6):
                continue  # any text is a client's name, any bytes are a body
            if number == 2 and bad is None:
                continue  # nobody asked for it
            assert refused([*values[:-1], [[*row[:number], bad, *row[number + 1 :]]]]).field
    assert refused([*values[:-1], [row[:-1]]]).field == "entry"
    assert refused([*values[:-1], [[*row, 1]]]).field == "entry"
    assert refused([*values[:-1], [[row[0], 3, *row[2:]]]]).field == "entry.kind"


@pytest.mark.parametrize("content", EVERY, ids=lambda content: type(content).__name__)
def test_a_field_too_few_or_too_many_is_refused(content: Content) -> None:
    values = values_of(content)
    for wrong in (values[:-1], [*values, 1], values[:6], []):
        assert refused(wrong).field == "frame"


def test_hints_whose_ages_are_not_one_for_each_bed_or_that_are_no_beds_are_refused() -> None:
    *head, ages, beds = values_of(Hints(((0, BED), (1999, BED))))
    for wrong, field in (
        ([0], "ages"),
        ([], "ages"),
        ([0, -1], "age"),
        ([0, AGE_MS_MAX + 1], "age"),
        ([0, "1"], "age"),
    ):
        assert refused([*head, wrong, beds]).field == field
    for nothing in (b"", b"\x90", b"\x92\x01\x01", "text"):
        assert refused([*head, ages, nothing]).field.startswith("beds")


def test_a_hint_with_a_character_that_this_python_does_not_know_is_taken_from_a_peer_and_not_from_a_client() -> None:
    hints = Hints(((0, BED._replace(patient_id="bed-\u0378")),))
    assert decode(encode(SENDER, hints)) == Letter(SENDER, hints)
    with pytest.raises(WireError):
        read_seen(encode_rows([row for _, row in hints.rows]))


def test_another_version_and_an_unknown_kind_are_refused() -> None:
    values = values_of(TimeoutNow(3))
    assert refused([2, *values[1:]]).field == "version"
    for kind in (14, -1, True, "5", 1 << 62):
        assert refused([*values[:2], kind, *values[3:]]).field == "kind"


@pytest.mark.parametrize("founders", [b"x", b"x" * 15, b"x" * 17, "x" * 16, None, 0, 5])
def test_the_first_peers_of_who_asks_for_a_vote_are_a_hash_or_nothing(founders: object) -> None:
    values = values_of(VoteRequest(3, Place(7, 2, b""), True, False, b"f" * 16))
    assert decode(msgpack.packb([*values[:-2], b"", 0])).content == VoteRequest(3, Place(7, 2, b""), True, False)
    assert refused([*values[:-2], founders, 0]).field == "founders"


@pytest.mark.parametrize("history", [b"x", b"x" * 15, b"x" * 17, "x" * 16, "", None, 0, 5, False, []])
def test_the_history_of_who_speaks_is_a_hash_or_nothing(history: object) -> None:
    values = values_of(TimeoutNow(3))
    assert decode(msgpack.packb([*values[: ENVELOPE - 1], b"", 3])).sender.history == b""
    assert refused([*values[: ENVELOPE - 1], history, 3]).field == "history"


def test_a_change_of_members_that_names_none_is_refused_before_the_core_sees_it() -> None:
    for body in (b"", b"[]", b'{"members": []}', encode_members(THREE)[:-1], b'{"members": 1, "removed": []}'):
        entry = chained(START, 3, CONFIG, None, body)
        with pytest.raises(WireError) as caught:
            decode(encode(SENDER, AppendRequest(3, START, (entry,), 0, 1)))
        assert caught.value.field == "entry.body"


@pytest.mark.parametrize(
    ("number", "bad", "field"),
    [
        (0, 0, "id"), (0, 10_000, "id"), (1, "", "host"), (1, "tcp://x", "host"), (1, "a b", "host"),
        (1, "0.0.0.0", "host"), (2, 0, "port"), (3, 65_536, "port"), (4, -1, "port"), (5, b"short", "member"),
        (5, None, "member"),
    ],
)  # fmt: skip
def test_who_wants_to_join_gives_an_id_an_address_and_a_life(number: int, bad: object, field: str) -> None:
    values = values_of(next(content for content in EVERY if isinstance(content, JoinRequest)))
    values[ENVELOPE + number] = bad
    assert refused(values).field == field


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"data": b""}, "data"),
        ({"data": bytes(CHUNK_BYTES_MAX + 1), "total": 1 << 30}, "data"),
        ({"data": "text"}, "data"),
        ({"offset": 8997}, "offset"),  # its end would be past the snapshot's
        ({"offset": 1 << 43, "total": 1 << 42}, "offset"),
        ({"total": 0}, "total"),
        ({"total": 1 << 43}, "total"),
        ({"snapshot": b"x" * 16}, "snapshot"),  # not the one of the whole
        ({"snapshot": b"w" * 15}, "snapshot"),
        ({"sha256": b"d" * 31}, "sha256"),
        ({"whole_sha256": b"w" * 16}, "whole_sha256"),
        ({"place": Place(-1, 2, b"c" * 16)}, "place.index"),
        ({"place": Place(7, -1, b"c" * 16)}, "place.term"),
        ({"place": Place(7, 2, b"c")}, "place.chain"),
    ],
)
def test_a_piece_of_a_snapshot_that_cannot_be_one_is_refused(changes: dict[str, Any], field: str) -> None:
    good = next(content for content in EVERY if isinstance(content, Chunk))
    with pytest.raises(WireError) as caught:
        decode(encode(SENDER, replace(good, **changes)))
    assert caught.value.field == field


def test_a_piece_says_whether_its_bytes_are_those_that_were_sent() -> None:
    good = next(content for content in EVERY if isinstance(content, Chunk))
    assert replace(good, sha256=hashlib.sha256(b"data").digest()).is_sound
    assert not good.is_sound


def test_the_largest_piece_of_a_snapshot_is_little_more_than_its_bytes() -> None:
    good = next(content for content in EVERY if isinstance(content, Chunk))
    frame = encode(SENDER, replace(good, data=bytes(CHUNK_BYTES_MAX), offset=0, total=1 << 42))
    assert len(frame) < CHUNK_BYTES_MAX + 400


def test_a_list_of_heard_peers_is_bounded() -> None:
    values = values_of(EVERY[5])
    values[-3] = [1] * 65
    assert refused(values).field == "hears"


def test_a_clients_name_of_any_length_raises_nothing_but_a_wire_error() -> None:
    values = values_of(EVERY[2])
    values[-1][0][2] = "x" * 70_000
    # Once: struct.error from ``chained`` ('H' format); the gate catches WireError only, so the daemon goes down.
    assert refused(values).field == "entry.client"


def test_the_name_of_a_client_is_as_long_on_this_half_of_the_wire_as_on_the_other() -> None:
    values = values_of(EVERY[2])
    values[-1][0][2] = "x" * (CLIENT_CHARS_MAX + 1)
    # Once: as above; what no client can have sent is taken in.
    assert refused(values).field == "entry.client"


# ------------------------------------------------------------ sizes


def test_what_an_entry_weighs_against_the_limits_is_not_less_than_what_it_takes_on_the_wire() -> None:
    """config: 'peer_message_bytes_max is at least twice append_bytes_max', so a full append must not exceed that."""
    origin = Origin("\N{BED}" * CLIENT_CHARS_MAX, b"e" * 16, U63, b"d" * 16)
    before, entries = START, list[Entry]()
    for _ in range(300):
        entries.append(chained(before, U63, BATCH, origin, bytes(10)))  # a batch whose rows were all rejected
        before = Place(entries[-1].index, entries[-1].term, entries[-1].chain)
    taken = len(encode(SENDER, AppendRequest(U63, START, tuple(entries), 0, 1)))
    # Once: 110 counted, 327 taken. A follower that is far behind is sent appends beyond peer_message_bytes_max, which
    # are dropped and made anew for ever: it never catches up.
    assert taken <= 2 * sum(entry.cost_bytes for entry in entries)


def test_the_largest_request_fits_into_one_append_with_the_default_limits() -> None:
    limits = Limits()
    entry = chained(
        START, U63, BATCH, Origin("x" * 64, b"e" * 16, U63, b"d" * 16), bytes(limits.client_message_bytes_max)
    )
    assert len(encode(SENDER, AppendRequest(U63, START, (entry,), U63, U63))) <= limits.peer_message_bytes_max


def test_a_message_of_nothing_but_arrays_is_refused_before_it_is_memory() -> None:
    frame = b"\xdd" + (4 << 20).to_bytes(4, "big") + b"\x90" * (4 << 20)
    tracemalloc.start()
    with pytest.raises(WireError, match="array"):
        decode(frame)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 20 * len(frame)  # as many pointers, and an eighth of the lists; once: 64 times


def test_an_append_of_the_shortest_entries_there_are_passes() -> None:
    before = Place(1, 1, bytes(16))
    entries = []
    for _ in range(1000):
        entries.append(chained(before, 1, NOOP, None, b""))
        before = Place(entries[-1].index, 1, entries[-1].chain)
    letter = Letter(SENDER, AppendRequest(1, Place(1, 1, bytes(16)), tuple(entries), 1, 1))
    assert decode(encode(letter.sender, letter.content)) == letter
