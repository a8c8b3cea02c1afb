"""From one real file to another over links that lose and spoil: pulled, checked, installed; the source goes on."""

from __future__ import annotations

import random
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from hfzmq.core.types import HardState
from hfzmq.daemon.transfer import Transfers
from hfzmq.errors import InvalidInput
from hfzmq.storage import Reader, Store
from hfzmq.wire.peers import Sender, decode, encode
from hfzmq.wire.transfer import CHUNK_BYTES_MAX, Chunk, Pull
from tests.integration.storage_world import Tape, expected_of, founded, held_by, mesh, report

ENVELOPE = Sender(b"m" * 16, 1, b"i" * 16, 1, 2)
DEADLINE_S = 60


def now_ms() -> float:
    return time.monotonic() * 1000


class Two:
    """Peer 1 with a full file, peer 2 with an empty one, their transfers, real time, and links that spoil things."""

    def __init__(
        self, directory: Path, chunk_bytes: int = CHUNK_BYTES_MAX, lose: float = 0, corrupt: float = 0
    ) -> None:
        self.directory = directory
        self.tape = Tape()
        self.full = Store.open(directory / "1", 1, mesh())
        self.full.write([self.tape.persist(self.tape.config(founded()), self.tape.noop()), self.tape.apply()])
        self.empty = Store.open(directory / "2", 2, mesh())
        self.rng = random.Random(1)
        self.lose, self.corrupt = lose, corrupt
        self.chunk_bytes = chunk_bytes
        self.counters = {1: Counter[str](), 2: Counter[str]()}
        self.mail: deque[tuple[int, bytes]] = deque()
        self.giver, self.taker = self.transfers(1), self.transfers(2)
        self.longest_turn_ms = 0.0

    def transfers(self, peer: int) -> Transfers:
        store = self.full if peer == 1 else self.empty

        def send(to: int, message: Pull | Chunk) -> None:
            if self.rng.random() < self.lose:
                return
            if isinstance(message, Chunk) and self.rng.random() < self.corrupt:
                message = replace(message, data=bytes(len(message.data)))
            self.mail.append((to, encode(ENVELOPE, message)))

        return Transfers(
            store.path.parent, store.path, send, self.counters[peer],
            oldest=lambda: store.recovered.log.base.index, chunk_bytes=self.chunk_bytes,
        )  # fmt: skip

    def run(self, until: Callable[[], bool], meanwhile: Callable[[], object] = lambda: None) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not until():
            assert time.monotonic() < deadline, self.counters
            meanwhile()
            began = now_ms()
            while self.mail:
                to, frame = self.mail.popleft()
                content = decode(frame).content
                assert isinstance(content, (Pull, Chunk))
                one, other = (self.giver, 2) if to == 1 else (self.taker, 1)
                one.received(began, other, content)
            self.giver.tick(began)
            self.taker.tick(began)
            self.longest_turn_ms = max(self.longest_turn_ms, now_ms() - began)

    def fetch(self, meanwhile: Callable[[], object] = lambda: None) -> Path:
        self.taker.fetch(now_ms(), 1, self.empty.recovered.applied)
        self.run(lambda: self.taker.complete() is not None, meanwhile)
        done = self.taker.complete()
        assert done
        return done[0]

    def close(self) -> None:
        self.giver.close()
        self.full.close()
        self.empty.close()


def test_a_peer_that_is_far_behind_catches_up_over_bad_links_while_the_source_goes_on(tmp_path: Path) -> None:
    two = Two(tmp_path, chunk_bytes=8192, lose=0.1, corrupt=0.1)
    slowest_ms = 0.0
    for number in range(30):
        two.tape.write(two.full, [report(100 * number + n) for n in range(100)])

    def goes_on() -> None:
        nonlocal slowest_ms
        began = now_ms()
        two.tape.write(two.full, [report(1)])
        slowest_ms = max(slowest_ms, now_ms() - began)

    two.empty.write([two.tape.persist(hard_state=HardState(4, 1))])
    path = two.fetch(goes_on)
    recovered = two.empty.install(path)
    two.taker.forget()
    assert slowest_ms < 1000, "a lease"
    assert two.counters[2]["snapshot_chunk_corrupt"] > 0
    at = recovered.applied
    assert 31 < at < two.tape.applied
    assert recovered.log.base == two.tape.place(at)
    with closing(Reader(two.empty.path)) as reader:
        assert reader.reports(limit=100_000) == [row for row in two.tape.rows if row[-1] <= at]
    # The rest comes as entries, as from any leader.
    rest = tuple(two.tape.log[at:])
    two.empty.write([two.tape.persist(*rest)])
    two.empty.close()
    two.empty = Store.open(tmp_path / "2", 2, mesh())
    two.tape.base = at
    found, expected = held_by(two.empty), expected_of(two.tape)
    assert (found.log, found.hard_state, found.membership) == (expected.log, HardState(4, 1), expected.membership)
    assert list((tmp_path / "2" / "incoming").iterdir()) == []
    two.close()


def test_a_receiver_that_starts_anew_in_the_middle_goes_on_and_a_source_that_does_is_no_harm(tmp_path: Path) -> None:
    two = Two(tmp_path, chunk_bytes=4096)
    for number in range(30):
        two.tape.write(two.full, [report(100 * number + n) for n in range(100)])
    two.taker.fetch(now_ms(), 1)
    two.run(lambda: two.counters[2]["snapshot_chunks_taken"] >= 20)
    two.taker = two.transfers(2)
    two.taker.fetch(now_ms(), 1)
    two.run(lambda: two.counters[2]["snapshot_chunks_taken"] >= 40)
    assert two.counters[2]["snapshot_resumed"] == 1
    two.giver.close()
    two.giver = two.transfers(1)
    assert two.empty.install(two.fetch()).state_hash == two.tape.state_hash
    two.close()


def test_a_snapshot_that_was_overtaken_on_the_way_is_refused_by_the_store_and_forgotten(tmp_path: Path) -> None:
    two = Two(tmp_path)
    two.tape.write(two.full, [report(1)])
    path = two.fetch()
    other = Tape()
    other.log = list(two.tape.log)
    two.empty.write([other.persist(*other.log), other.apply()])
    with pytest.raises(InvalidInput, match="newer than entry"):
        two.empty.install(path)
    two.taker.forget()
    assert two.taker.complete() is None
    assert two.empty.reports_stored == 1
    two.close()


def test_two_hundred_thousand_reports_arrive_and_no_turn_of_the_loop_is_long(tmp_path: Path) -> None:
    two = Two(tmp_path)
    reports = [report(n) for n in range(1000)]
    for _ in range(20):
        entries = [two.tape.batch(reports, client=f"bed-{n}") for n in range(10)]
        two.full.write([two.tape.persist(*entries), two.tape.apply()])
    began = time.monotonic()
    path = two.fetch()
    assert path.stat().st_size > 10 << 20
    assert two.empty.install(path).state_hash == two.tape.state_hash
    assert time.monotonic() - began < 15
    assert two.empty.reports_stored == 200_000
    assert two.longest_turn_ms < 500
    with closing(Reader(two.empty.path)) as reader:
        assert reader.reports(after_id=199_990) == two.tape.rows[199_990:]
    two.close()
