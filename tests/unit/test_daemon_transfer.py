"""A snapshot arrives whole or not at all, whatever the links between two peers and their disks do to its pieces."""

from __future__ import annotations

import hashlib
import heapq
import itertools
import json
import logging
import os
import random
import shutil
import threading
from collections import Counter, namedtuple
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hfzmq.core.types import Place
from hfzmq.daemon import incoming, outgoing
from hfzmq.daemon.outgoing import KEPT_MS, RETRY_MS, TURN_BYTES
from hfzmq.daemon.transfer import Transfers
from hfzmq.daemon.worker import in_thread
from hfzmq.storage.snapshot import Snapshot, sync_and_hash
from hfzmq.wire.peers import Sender, decode, encode
from hfzmq.wire.transfer import ANY_SNAPSHOT, CHUNK_BYTES_MAX, Chunk, Pull, snapshot_id
from tests.unit.works import Later, at_once

PIECE = 1000
ENVELOPE = Sender(b"m" * 16, 1, b"i" * 16, 1, 2)


class World:
    """Peers 1 and 3 that hand out ``content`` (up to entry 40), peer 2 that wants it, and what is between them."""

    def __init__(self, directory: Path, content: bytes, seed: int = 0, **faults: float) -> None:
        self.directory = directory
        self.content = {1: content, 3: content}
        self.place = {1: Place(40, 2, b"c" * 16), 3: Place(40, 2, b"c" * 16)}
        self.oldest = {1: 0, 2: 0, 3: 0}
        self.rng = random.Random(seed)
        self.faults = faults
        self.now = 0.0
        self.sent: list[tuple[int, int, Pull | Chunk]] = []
        self.made: list[int] = []
        self.counters = {peer: Counter[str]() for peer in (1, 2, 3)}
        self.work: Callable[[Callable[[], Any]], Future[Any]] = at_once
        self._mail: list[tuple[float, int, int, int, bytes]] = []
        self._numbers = itertools.count()
        self.peers = {peer: self.start(peer) for peer in (1, 2, 3)}

    def start(self, peer: int) -> Transfers:
        data_dir = self.directory / str(peer)
        data_dir.mkdir(exist_ok=True)
        (data_dir / f"hfzmq_{peer}.db").touch()

        def send(to: int, message: Pull | Chunk) -> None:
            self.sent.append((peer, to, message))
            self._post(peer, to, message)

        return Transfers(
            data_dir, data_dir / f"hfzmq_{peer}.db", send, self.counters[peer],
            oldest=lambda: self.oldest[peer], chunk_bytes=PIECE, work=lambda work: self.work(work),
        )  # fmt: skip

    def make(self, db_path: Path, into: Path) -> Snapshot:
        peer = int(db_path.stem[-1])
        self.made.append(peer)
        into.parent.mkdir(exist_ok=True)
        into.write_bytes(self.content[peer])
        return Snapshot(into, self.place[peer], len(self.content[peer]), hashlib.sha256(self.content[peer]).digest())

    def happens(self, fault: str) -> bool:
        return self.rng.random() < self.faults.get(fault, 0)

    def _post(self, sender: int, to: int, message: Pull | Chunk) -> None:
        for _ in range(1 + self.happens("double")):
            if self.happens("lose"):
                continue
            if isinstance(message, Chunk) and self.happens("corrupt"):
                at = self.rng.randrange(len(message.data))
                data = message.data[:at] + bytes([message.data[at] ^ 1]) + message.data[at + 1 :]
                message = replace(message, data=data)
            if isinstance(message, Chunk) and self.happens("lie"):  # its own hash fits, the whole will not
                data = bytes(len(message.data))
                message = replace(message, data=data, sha256=hashlib.sha256(data).digest())
            delay = self.rng.choice([1, 1, 2, 400, 3000]) if self.happens("reorder") else 1
            mail = (self.now + delay, next(self._numbers), sender, to, encode(ENVELOPE, message))
            heapq.heappush(self._mail, mail)

    def run(self, until: Callable[[], bool], limit_ms: float = 600_000) -> None:
        """Let time pass to whatever is due next, until something is true."""
        end = self.now + limit_ms
        while not until():
            due = min([mail[0] for mail in self._mail[:1]] + [one.wake_at_ms() for one in self.peers.values()])
            assert due <= end, f"nothing more in {limit_ms} ms: {self.counters}"
            self.now = max(self.now, due)
            while self._mail and self._mail[0][0] <= self.now:
                _, _, sender, to, frame = heapq.heappop(self._mail)
                content = decode(frame).content
                assert isinstance(content, (Pull, Chunk))
                self.peers[to].received(self.now, sender, content)
            for one in self.peers.values():
                one.tick(self.now)

    @property
    def receiver(self) -> Transfers:
        return self.peers[2]

    def fetched(self, source: int = 1) -> bytes:
        """Fetch to the end; what was fetched."""
        self.receiver.fetch(self.now, source)
        self.run(lambda: self.receiver.complete() is not None)
        done = self.receiver.complete()
        assert done
        assert done[1] == self.place[source]
        return done[0].read_bytes()

    def pieces(self, sender: int = 1) -> list[Chunk]:
        return [m for s, _, m in self.sent if s == sender and isinstance(m, Chunk)]

    def pulls(self) -> list[Pull]:
        return [m for s, _, m in self.sent if s == 2 and isinstance(m, Pull)]

    def files(self, peer: int) -> list[str]:
        """All but its database."""
        found = (path.name for path in (self.directory / str(peer)).rglob("*") if path.is_file())
        return sorted(name for name in found if not name.endswith(".db"))


CONTENT = random.Random(1).randbytes(20 * PIECE + 123)


@pytest.fixture
def world_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., World]:
    worlds: list[World] = []

    def build(content: bytes = CONTENT, seed: int = 0, **faults: float) -> World:
        worlds.append(World(tmp_path, content, seed, **faults))
        monkeypatch.setattr(outgoing, "make_apart", worlds[-1].make)
        return worlds[-1]

    return build


WorldOf = Callable[..., World]

# ------------------------------------------------------------ links


def test_it_arrives_as_it_was_piece_by_piece_each_asked_for(world_of: WorldOf) -> None:
    world = world_of()
    assert world.fetched() == CONTENT
    assert world.pulls() == [Pull(ANY_SNAPSHOT, 0)] + [
        Pull(snapshot_id(hashlib.sha256(CONTENT).digest()), PIECE * n) for n in range(1, 21)
    ]
    assert [len(piece.data) for piece in world.pieces()] == [PIECE] * 20 + [123]


@pytest.mark.parametrize("size", [1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE])
def test_any_size_arrives(world_of: WorldOf, size: int) -> None:
    assert world_of(CONTENT[:size]).fetched() == CONTENT[:size]


@pytest.mark.parametrize(
    "faults",
    [
        {"lose": 0.3},
        {"double": 0.5},
        {"reorder": 0.5, "double": 0.3},
        {"corrupt": 0.3},
        {"lose": 0.3, "double": 0.5, "reorder": 0.4, "corrupt": 0.2},
    ],
    ids=lambda faults: "+".join(faults),
)
def test_it_arrives_over_links_that_lose_double_reorder_and_corrupt(
    world_of: WorldOf, faults: dict[str, float]
) -> None:
    for seed in range(15):
        world = world_of(CONTENT, seed, **faults)
        assert world.fetched() == CONTENT
        if "corrupt" in faults and seed == 1:
            assert world.counters[2]["snapshot_chunk_corrupt"] > 0
        world.receiver.forget()


def test_doubled_messages_do_not_multiply(world_of: WorldOf) -> None:
    world = world_of(double=1.0)
    world.fetched()
    assert len(world.pulls()) == 21
    assert len(world.pieces()) <= 2 * 21


def test_a_whole_that_is_not_what_was_promised_is_dropped_counted_and_pulled_again(world_of: WorldOf) -> None:
    world = world_of(lie=0.2)
    world.receiver.fetch(0, 1)
    world.run(lambda: world.counters[2]["snapshot_corrupt"] == 2)
    assert world.receiver.complete() is None
    assert world.files(2) == []
    world.faults = {}
    assert world.fetched() == CONTENT


def test_a_source_that_is_silent_is_asked_ever_more_rarely(world_of: WorldOf) -> None:
    world = world_of(lose=1.0)
    asked: list[float] = []
    world.receiver.fetch(0, 1)
    while world.now < 10_000:
        before = len(world.pulls())
        world.now = world.receiver.wake_at_ms()
        world.receiver.tick(world.now)
        if len(world.pulls()) > before:
            asked.append(world.now)
    waits = [after - before for before, after in itertools.pairwise([0.0, *asked])]
    assert waits == [200, 400, 800, 1600, 2000, 2000, 2000, 2000]


def test_saying_it_again_changes_nothing(world_of: WorldOf) -> None:
    world = world_of()
    for _ in range(5):
        world.receiver.fetch(world.now, 1)
    assert len(world.pulls()) == 1
    world.run(lambda: len(world.pieces()) == 5)
    for _ in range(5):
        world.receiver.fetch(world.now, 1)
    assert world.fetched() == CONTENT
    assert len(world.pulls()) == 21
    world.receiver.fetch(world.now, 1)
    assert world.receiver.complete() is not None


def test_pieces_that_nobody_asked_for_are_dropped(world_of: WorldOf) -> None:
    world = world_of()
    world.fetched(source=3)
    world.receiver.forget()
    piece = world.pieces(3)[0]
    world.receiver.received(world.now, 3, piece)
    world.receiver.fetch(world.now, 1)
    world.receiver.received(world.now, 3, piece)  # not the source
    assert world.counters[2]["snapshot_chunk_unasked"] == 2
    assert world.files(2) == []


# ------------------------------------------------------------ sources


def test_another_source_with_the_same_snapshot_goes_on_where_the_first_was(world_of: WorldOf) -> None:
    world = world_of()
    world.receiver.fetch(0, 1)
    world.run(lambda: len(world.pieces(1)) == 9)
    assert world.fetched(source=3) == CONTENT
    assert len(world.pieces(3)) <= 21 - 8


def test_another_source_with_another_snapshot_is_pulled_from_its_beginning(world_of: WorldOf) -> None:
    world = world_of()
    world.receiver.fetch(0, 1)
    world.run(lambda: len(world.pieces(1)) == 9)
    world.content[3], world.place[3] = CONTENT[::-1], Place(55, 2, b"d" * 16)
    assert world.fetched(source=3) == CONTENT[::-1]


def test_an_older_snapshot_is_taken_only_where_nothing_newer_comes(world_of: WorldOf) -> None:
    world = world_of()
    world.receiver.fetch(0, 1)
    world.run(lambda: len(world.pieces(1)) == 9)
    world.content[3], world.place[3] = CONTENT[::-1], Place(30, 2, b"d" * 16)
    assert world.fetched(source=3) == CONTENT[::-1]
    assert world.counters[2]["snapshot_chunk_old"] >= 2
    assert world.now > 1000


def test_a_snapshot_that_brings_nothing_new_is_ignored(world_of: WorldOf) -> None:
    world = world_of()
    world.receiver.fetch(0, 1, beyond=40)
    world.run(lambda: world.counters[2]["snapshot_chunk_old"] == 2)
    assert world.files(2) == []
    world.receiver.fetch(world.now, 1, beyond=39)
    world.run(lambda: world.receiver.complete() is not None)


def test_a_part_that_was_overtaken_is_dropped(world_of: WorldOf) -> None:
    world = world_of()
    world.receiver.fetch(0, 1, beyond=10)
    world.run(lambda: len(world.pieces(1)) == 9)
    world.receiver.fetch(world.now, 1, beyond=44)
    assert world.files(2) == []


# ------------------------------------------------------------ crashes and disks of the receiver


def test_after_a_crash_the_pull_goes_on_where_it_was(world_of: WorldOf) -> None:
    world = world_of()
    world.receiver.fetch(0, 1)
    world.run(lambda: len(world.pieces()) == 9)
    before = len(world.pieces())
    world.peers[2] = world.start(2)
    assert world.fetched() == CONTENT
    assert len(world.pieces()) - before <= 13
    assert world.counters[2]["snapshot_resumed"] == 1


def test_after_a_crash_a_whole_that_was_there_already_is_checked_anew(world_of: WorldOf) -> None:
    world = world_of()
    world.fetched()
    world.peers[2] = world.start(2)
    before = len(world.pulls())
    assert world.fetched() == CONTENT
    assert len(world.pulls()) == before


def spoilt_bytes(part: Path, state: Path) -> None:
    data = bytearray(part.read_bytes())
    data[100:5000] = bytes(4900)  # what a power cut may leave of pages that were not synced
    part.write_bytes(data)


def longer_than_told(part: Path, state: Path) -> None:
    part.write_bytes(part.read_bytes() + bytes(99 * PIECE))


def no_part(part: Path, state: Path) -> None:
    part.unlink()


def half_a_state(part: Path, state: Path) -> None:
    state.write_text(state.read_text()[:40])


def no_state(part: Path, state: Path) -> None:
    state.unlink()


def a_state_of_nonsense(part: Path, state: Path) -> None:
    state.write_text("[1, 2]")


def a_state_with_another_hash(part: Path, state: Path) -> None:
    state.write_text(json.dumps(json.loads(state.read_text()) | {"whole": "ab"}))


def a_state_that_names_another_file(part: Path, state: Path) -> None:
    state.write_text(json.dumps(json.loads(state.read_text()) | {"file": "../hfzmq_2.db"}))


@pytest.mark.parametrize(
    "spoil",
    [spoilt_bytes, longer_than_told, no_part, half_a_state, no_state, a_state_of_nonsense, a_state_with_another_hash,
     a_state_that_names_another_file],
    ids=lambda spoil: str(spoil.__name__),
)  # fmt: skip
def test_whatever_a_crash_has_left_the_whole_is_right_in_the_end(
    world_of: WorldOf, spoil: Callable[[Path, Path], None]
) -> None:
    world = world_of()
    world.receiver.fetch(0, 1)
    world.run(lambda: len(world.pieces()) == 9)
    (part,) = (world.directory / "2" / "incoming").glob("*.part")
    spoil(part, world.directory / "2" / "incoming" / "hfzmq_2.part.json")
    world.peers[2] = world.start(2)
    assert world.fetched() == CONTENT
    assert (world.directory / "2" / "hfzmq_2.db").exists()
    world.receiver.forget()
    assert world.files(2) == []


def test_a_full_disk_is_counted_told_once_and_tried_again(
    world_of: WorldOf, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = world_of()
    pwrite = os.pwrite

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    world.receiver.fetch(0, 1)
    with caplog.at_level(logging.WARNING):
        world.run(lambda: world.counters[2]["snapshot_not_written"] == 4)
    assert [record.message for record in caplog.records].count(
        "a snapshot cannot be taken in: [Errno 28] No space left on device"
    ) == 1
    assert world.now >= 6_000, "not in a busy loop"
    monkeypatch.setattr(os, "pwrite", pwrite)
    assert world.fetched() == CONTENT


def test_a_disk_that_takes_half_of_a_piece_gets_it_again(world_of: WorldOf, monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_of()
    pwrite = os.pwrite
    halves = iter([True, False] * 40)

    def half(descriptor: int, data: bytes, offset: int) -> int:
        return pwrite(descriptor, data[: len(data) // 2] if next(halves) else data, offset)

    monkeypatch.setattr(os, "pwrite", half)
    assert world.fetched() == CONTENT
    assert world.counters[2]["snapshot_not_written"] > 10


Usage = namedtuple("Usage", "total used free")


def test_no_snapshot_takes_the_room_that_the_log_needs(world_of: WorldOf, monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_of()
    free = incoming.ROOM_LEFT_BYTES + len(CONTENT)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, free - (Path(path).name == "incoming")))
    world.receiver.fetch(0, 1)
    world.run(lambda: world.counters[2]["snapshot_no_room"] == 2)
    assert world.files(2) == []
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, free))
    assert world.fetched() == CONTENT


def test_a_part_that_somebody_removes_is_begun_anew(world_of: WorldOf) -> None:
    world = world_of()
    world.receiver.fetch(0, 1)
    world.run(lambda: len(world.pieces()) == 9)
    shutil.rmtree(world.directory / "2" / "incoming")
    assert world.fetched() == CONTENT


def test_a_check_that_fails_makes_the_pull_begin_anew(world_of: WorldOf, monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_of()
    failures = iter([True, False])

    def failing(path: Path) -> tuple[int, bytes]:
        if next(failures):
            raise OSError(5, "Input/output error")
        return sync_and_hash(path)

    monkeypatch.setattr(incoming, "sync_and_hash", failing)
    assert world.fetched() == CONTENT
    assert world.counters[2]["snapshot_not_written"] == 1


def test_forgetting_removes_what_was_pulled_at_any_moment(world_of: WorldOf) -> None:
    world = world_of()
    later = Later()
    for moment in (lambda: len(world.pieces()) > 0, lambda: world.receiver.complete() is not None):
        world.receiver.fetch(world.now, 1)
        world.run(moment)
        world.receiver.forget()
        assert world.files(2) == []
        assert world.receiver.complete() is None
        assert world.receiver.wake_at_ms() == float("inf")
    world.work = later
    world.sent.clear()
    world.receiver.fetch(world.now, 1)
    world.run(lambda: len(world.pieces()) == 21)
    world.run(lambda: bool(later.waiting))
    world.receiver.forget()
    later.finish()
    world.receiver.tick(world.now)
    assert world.receiver.complete() is None


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_on_the_way_what_is_complete_is_what_a_source_had(world_of: WorldOf, seed: int) -> None:
    """Crashes of all three, changes of the source, newer snapshots, over links that do everything to the pieces."""
    world = world_of(CONTENT, seed, lose=0.2, double=0.3, reorder=0.3, corrupt=0.1, lie=0.01)
    rng = world.rng
    had = {hashlib.sha256(CONTENT).digest()}
    source = 1
    for _ in range(30):
        what = rng.choice(["crash", "source", "newer", "on", "on", "forget", "done"])
        if what == "crash":
            peer = rng.choice([1, 2, 3])
            world.peers[peer].close()
            world.peers[peer] = world.start(peer)
        elif what == "source":
            source = rng.choice([1, 3])
        elif what == "newer":
            peer = rng.choice([1, 3])
            world.content[peer] = rng.randbytes(rng.randint(1, 15 * PIECE))
            world.place[peer] = Place(world.place[peer].index + rng.randint(0, 5), 2, b"n" * 16)
            world.oldest[peer] = world.place[peer].index
            had.add(hashlib.sha256(world.content[peer]).digest())
        elif what == "forget" and rng.random() < 0.3:
            world.receiver.forget()
        world.receiver.fetch(world.now, source)
        until = world.now + rng.choice([5, 50, 3000])
        world.run(lambda until=until: world.now >= until or world.receiver.complete() is not None)  # type: ignore[misc]
        done = world.receiver.complete()
        if done:
            assert hashlib.sha256(done[0].read_bytes()).digest() in had
            if what == "done":
                world.receiver.forget()
    world.receiver.forget()
    world.receiver.fetch(world.now, source)
    world.run(lambda: world.receiver.complete() is not None)


# ------------------------------------------------------------ the one that hands out


def test_one_snapshot_serves_everybody_who_pulls_and_is_removed_a_minute_after_the_last(world_of: WorldOf) -> None:
    world = world_of()
    world.fetched()
    world.receiver.forget()
    world.fetched()
    assert world.made == [1]
    assert len(world.files(1)) == 1
    last = world.now
    world.run(lambda: world.files(1) == [], limit_ms=KEPT_MS + 100)
    assert KEPT_MS - 100 <= world.now - last <= KEPT_MS
    assert world.peers[1].wake_at_ms() == float("inf")
    world.receiver.forget()
    world.fetched()
    assert world.made == [1, 1]


def test_only_one_is_made_however_many_ask_meanwhile(world_of: WorldOf) -> None:
    world = world_of()
    later = world.work = Later()
    for peer in (2, 3, 2, 3, 2):
        world.peers[1].received(world.now, peer, Pull(ANY_SNAPSHOT, 0))
        world.peers[1].tick(world.now)
    assert len(later.waiting) == 1
    assert world.pieces() == []
    later.finish()
    world.peers[1].tick(world.now)
    assert sorted(to for sender, to, _ in world.sent if sender == 1) == [2, 3], "each is answered once, at once"


def test_a_turn_of_the_loop_reads_no_more_than_its_share(world_of: WorldOf) -> None:
    world = world_of(random.Random(2).randbytes(4 * CHUNK_BYTES_MAX))
    giver = Transfers(
        world.directory / "1", world.directory / "1" / "hfzmq_1.db", lambda to, m: world.sent.append((1, to, m)),
        world.counters[1], work=at_once,
    )  # fmt: skip
    for peer in range(2, 12):
        giver.received(0, peer, Pull(ANY_SNAPSHOT, 0))
    giver.tick(0)  # makes it
    giver.tick(0)
    turns = []
    while True:
        turns.append(sum(len(piece.data) for piece in world.pieces()))
        world.sent.clear()
        if not turns[-1]:
            break
        giver.tick(0)
        assert giver.wake_at_ms() >= 0
    assert max(turns) == TURN_BYTES
    assert sum(turns) == 10 * CHUNK_BYTES_MAX


def test_a_snapshot_from_before_the_logs_beginning_is_made_anew_for_who_begins(world_of: WorldOf) -> None:
    """Else a peer would pull the same useless one again and again, and keep it alive by that."""
    world = world_of()
    world.fetched()
    world.oldest[1], world.place[1] = 50, Place(60, 2, b"e" * 16)
    world.receiver.forget()
    world.fetched()
    assert world.made == [1, 1]


def test_who_is_in_the_middle_of_one_gets_the_rest_of_it(world_of: WorldOf) -> None:
    world = world_of()
    world.receiver.fetch(0, 1)
    world.run(lambda: len(world.pieces()) == 9)
    world.oldest[1] = 50
    assert world.fetched() == CONTENT
    assert world.made == [1]


def test_what_cannot_be_made_is_told_once_and_not_tried_at_every_pull(
    world_of: WorldOf, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = world_of()

    def failing(db_path: Path, into: Path) -> Snapshot:
        world.made.append(0)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(outgoing, "make_apart", failing)
    world.receiver.fetch(0, 1)
    with caplog.at_level(logging.ERROR):
        world.run(lambda: len(world.made) == 4)
    assert world.now >= 3 * RETRY_MS
    assert [record.message for record in caplog.records] == ["no snapshot can be made: [Errno 5] Input/output error"]
    assert world.pieces() == []
    monkeypatch.setattr(outgoing, "make_apart", world.make)
    assert world.fetched() == CONTENT


def test_none_is_made_where_the_log_needs_the_room(world_of: WorldOf, monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_of()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, outgoing.ROOM_LEFT_BYTES - 1))
    world.receiver.fetch(0, 1)
    world.run(lambda: world.counters[1]["snapshot_not_made"] == 1)
    assert world.made == []


def test_a_snapshot_file_that_vanishes_is_made_anew(world_of: WorldOf) -> None:
    world = world_of()
    world.receiver.fetch(0, 1)
    world.run(lambda: len(world.pieces()) == 9)
    shutil.rmtree(world.directory / "1" / "outgoing")
    assert world.fetched() == CONTENT
    assert world.made == [1, 1]


def test_a_snapshot_is_removed_by_another_thread_and_the_next_one_is_made_when_its_room_is_free(
    world_of: WorldOf,
) -> None:
    world = world_of()
    world.fetched()
    world.receiver.forget()
    later = world.work = Later()
    giver = world.peers[1]
    world.now = giver.wake_at_ms()
    giver.tick(world.now)
    assert len(world.files(1)) == 1, "the loop did not do it"
    giver.received(world.now, 3, Pull(ANY_SNAPSHOT, 0))
    giver.tick(world.now)
    assert world.now < giver.wake_at_ms() < float("inf")
    assert len(later.waiting) == 1
    later.finish()
    assert world.files(1) == []
    giver.tick(world.now)
    later.finish()
    assert world.made == [1, 1]


def test_what_was_pulled_is_removed_by_another_thread_and_the_next_pull_waits_for_its_room(world_of: WorldOf) -> None:
    world = world_of()
    world.receiver.fetch(world.now, 1)
    world.run(lambda: len(world.pieces()) == 9)
    later = Later()
    at_work, world.work = world.work, later
    world.receiver.forget()
    (part,) = world.files(2)
    world.work = at_work
    world.receiver.fetch(world.now, 1)
    world.run(lambda: len(world.pieces()) == 12)
    assert world.files(2) == [part], "nothing new while the old one takes its room"
    later.finish()
    assert world.files(2) == []
    world.run(lambda: world.receiver.complete() is not None)
    assert len(world.files(2)) == 2


def test_what_an_earlier_life_has_pulled_and_nobody_asks_for_is_removed_after_some_minutes(world_of: WorldOf) -> None:
    world = world_of()
    world.receiver.fetch(0, 1)
    world.run(lambda: len(world.pieces()) == 9)
    begun = world.now
    world.peers[2] = world.start(2)
    assert len(world.files(2)) == 2
    world.run(lambda: world.files(2) == [])
    assert incoming.TIDY_MS <= world.now - begun <= incoming.TIDY_MS + KEPT_MS
    assert world.receiver.wake_at_ms() == float("inf")
    assert world.fetched() == CONTENT


def test_what_an_earlier_life_has_pulled_stays_as_long_as_somebody_goes_on_with_it(world_of: WorldOf) -> None:
    world = world_of()
    world.receiver.fetch(0, 1)
    world.run(lambda: len(world.pieces()) == 9)
    world.peers[2] = world.start(2)
    world.receiver.tick(world.now)
    assert world.fetched() == CONTENT
    world.now += 2 * incoming.TIDY_MS
    world.receiver.tick(world.now)
    assert world.receiver.complete() is not None


def test_what_an_earlier_life_has_made_is_removed_at_the_start_and_nobody_elses(world_of: WorldOf) -> None:
    world = world_of()
    world.fetched()
    other = world.directory / "1" / "outgoing" / "hfzmq_11-1.snapshot"
    other.touch()
    world.peers[1] = world.start(1)
    assert world.files(1) == ["hfzmq_11-1.snapshot"]


def test_a_pull_beyond_the_end_is_answered_by_nothing(world_of: WorldOf) -> None:
    world = world_of()
    world.fetched()
    before = len(world.pieces())
    for offset in (len(CONTENT), len(CONTENT) + 1, 1 << 41):
        world.peers[1].received(world.now, 2, Pull(snapshot_id(hashlib.sha256(CONTENT).digest()), offset))
        world.peers[1].tick(world.now)
    assert len(world.pieces()) == before


def test_work_in_a_thread_gives_its_result_or_its_error() -> None:
    assert in_thread(lambda: 7).result(timeout=10) == 7
    with pytest.raises(ZeroDivisionError):
        in_thread(lambda: 1 // 0).result(timeout=10)


def test_work_for_which_no_thread_can_be_started_is_work_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    failed = in_thread(lambda: 7)
    assert isinstance(failed.exception(timeout=10), RuntimeError)
