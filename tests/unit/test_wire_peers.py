"""Messages between peers as bytes: what goes in comes out, and no bytes raise anything but WireError."""

from __future__ import annotations

import contextlib
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hfzmq.config import Limits
from hfzmq.core.messages import (
    AppendReply,
    AppendRequest,
    Heartbeat,
    Message,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)
from hfzmq.core.types import BATCH, KINDS, START, Entry, Origin, Place, chained
from hfzmq.errors import WireError
from hfzmq.wire import peers
from hfzmq.wire.peers import ROLES, U63, Letter, Sender, decode, encode
from hfzmq.wire.requests import CLIENT_CHARS_MAX

SENDER = Sender(b"m" * 16, 2, b"i" * 16, 5, 1)

numbers = st.integers(0, U63)
keys = st.binary(min_size=16, max_size=16)
senders = st.builds(Sender, keys, numbers, keys, numbers, numbers)
# The last place of a vote request travels without its chain; nothing looks at it.
bare_places = st.builds(Place, numbers, numbers, st.just(b""))
places = st.builds(Place, st.integers(0, U63 - 100), numbers, keys)
origins = st.builds(Origin, st.text(min_size=1, max_size=CLIENT_CHARS_MAX), keys, numbers, keys)


@st.composite
def append_requests(draw: st.DrawFn) -> AppendRequest:
    prev = draw(places)
    before, entries = prev, []
    for _ in range(draw(st.integers(0, 4))):
        origin = draw(st.none() | origins)
        entry = chained(before, draw(numbers), draw(st.sampled_from(KINDS)), origin, draw(st.binary(max_size=60)))
        entries.append(entry)
        before = Place(entry.index, entry.term, entry.chain)
    return AppendRequest(draw(numbers), prev, tuple(entries), draw(numbers), draw(numbers))


contents: st.SearchStrategy[Message | Heartbeat] = st.one_of(
    st.builds(VoteRequest, numbers, bare_places, st.booleans(), st.booleans()),
    st.builds(VoteReply, numbers, st.booleans(), st.booleans()),
    append_requests(),
    st.builds(AppendReply, numbers, st.booleans(), numbers, numbers),
    st.builds(TimeoutNow, numbers),
    st.builds(
        Heartbeat, numbers, st.sampled_from(ROLES), numbers, numbers, numbers, numbers, numbers, numbers, numbers,
        st.lists(numbers, max_size=64).map(tuple), st.booleans(), keys,
    ),
)  # fmt: skip

EVERY = (
    VoteRequest(3, Place(7, 2, b""), True, False),
    VoteReply(3, False, True),
    AppendRequest(3, START, (chained(START, 3, BATCH, Origin("bed", b"e" * 16, 1, b"d" * 16), b"body"),), 0, 1),
    AppendReply(3, True, 7, 1),
    TimeoutNow(3),
    Heartbeat(3, "leader", 1, 1, 1, 1, 1, 0, 0, (1, 3), True, bytes(16)),
)


def values_of(content: Message | Heartbeat) -> list[Any]:
    unpacked: list[Any] = msgpack.unpackb(encode(SENDER, content))
    return unpacked


def refused(values: object) -> WireError:
    with pytest.raises(WireError) as caught:
        decode(msgpack.packb(values))
    return caught.value


# ------------------------------------------------------------ round trip


@settings(max_examples=200, deadline=None)
@given(senders, contents)
def test_what_is_encoded_is_decoded_again(sender: Sender, content: Message | Heartbeat) -> None:
    assert decode(encode(sender, content)) == Letter(sender, content)


def test_every_kind_of_message_that_the_core_knows_has_a_place_on_the_wire() -> None:
    assert set(peers._ENCODERS) == {type(content) for content in EVERY}
    assert {kind for kind, _ in peers._ENCODERS.values()} == set(peers._DECODERS)


@pytest.mark.parametrize("content", EVERY, ids=lambda content: type(content).__name__)
def test_the_envelope_comes_first_and_tells_who_speaks_to_whom(content: Message | Heartbeat) -> None:
    version, mesh_id, _, peer, incarnation, boot, to, *_ = values_of(content)
    assert (version, mesh_id, peer, incarnation, boot, to) == (1, b"m" * 16, 2, b"i" * 16, 5, 1)


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
    content: Message | Heartbeat, data: st.DataObject
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


ANYTHING: tuple[object, ...] = (
    None, True, -1, 1 << 63, 1.5, "text", "sixteen letters!", b"", bytes(15), bytes(17), [], [1], [[]], [None] * 7,
)  # fmt: skip


@pytest.mark.parametrize("content", EVERY, ids=lambda content: type(content).__name__)
def test_each_field_of_each_message_is_of_its_type_and_in_its_bounds_or_the_message_is_refused(
    content: Message | Heartbeat,
) -> None:
    values = values_of(content)
    letter = decode(msgpack.packb(values))
    for number, good in enumerate(values):
        for bad in ANYTHING:
            if type(bad) is type(good) and (isinstance(bad, (bool, list)) or bad == good):
                continue
            if number == 0 and bad == 1:
                continue  # True is 1 to Python
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
def test_a_field_too_few_or_too_many_is_refused(content: Message | Heartbeat) -> None:
    values = values_of(content)
    for wrong in (values[:-1], [*values, 1], values[:6], []):
        assert refused(wrong).field == "frame"


def test_another_version_and_an_unknown_kind_are_refused() -> None:
    values = values_of(TimeoutNow(3))
    assert refused([2, *values[1:]]).field == "version"
    for kind in (6, -1, True, "5", 1 << 62):
        assert refused([*values[:2], kind, *values[3:]]).field == "kind"


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
