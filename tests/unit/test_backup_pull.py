"""A backup is pulled whole or not at all, whatever becomes of requests, answers and the peer that gives it."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import threading
from collections import Counter, namedtuple
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hfzmq.client.backup_pull import GIVEN_UP_AFTER, LENGTH_MIN, Pull
from hfzmq.config import Limits
from hfzmq.core.types import Place
from hfzmq.daemon import backups
from hfzmq.daemon.backups import BUSY_RETRY_MS, KEPT_MS, ROOM_LEFT_BYTES, Backups, room_needed
from hfzmq.daemon.worker import in_thread
from hfzmq.errors import DataDirError, MeshUnavailable
from hfzmq.storage.snapshot import Snapshot, sync_and_hash
from hfzmq.wire.backup import (
    PIECE_BYTES_MAX,
    Answer,
    Busy,
    Ended,
    Failed,
    Gone,
    Making,
    Piece,
    Refused,
    TakeBackup,
    piece_of,
    read_answer,
    told,
)
from hfzmq.wire.requests import decode_reply, decode_request, encode_reply, encode_request

MESH = b"m" * 16
BYTES = 200_000
SHORT = 30_000  # of a piece, by the requests of these tests


class Content:
    """Stands in for the process: writes a backup, another one each time."""

    failure: Exception | None = None
    last = b""
    stopped = 0
    made = 0

    def __init__(self, db_path: Path, into: Path, what: str, progress: Callable[[str, float], None]) -> None:
        assert what == "backup"
        self._into, self._progress = into, progress

    def run(self) -> Snapshot:
        self._progress("copying", 0.5)
        if Content.failure:
            raise Content.failure
        Content.made += 1
        Content.last = random.Random(Content.made).randbytes(BYTES)
        self._into.write_bytes(Content.last)
        return Snapshot(self._into, Place(40, 2, b"c" * 16), *sync_and_hash(self._into))

    def stop(self) -> None:
        Content.stopped += 1


def at_once(work: Callable[[], Any]) -> Future[Any]:
    future: Future[Any] = Future()
    try:
        future.set_result(work())
    except Exception as error:
        future.set_exception(error)
    return future


class Later:
    """Work that is done when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future[Any], Callable[[], Any]]] = []

    def __call__(self, work: Callable[[], Any]) -> Future[Any]:
        future: Future[Any] = Future()
        self.waiting.append((future, work))
        return future

    def finish(self) -> None:
        future, work = self.waiting.pop(0)
        try:
            future.set_result(work())
        except Exception as error:
            future.set_exception(error)


class Giver:
    """A peer that gives backups, with a clock and a disk that tests can turn."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.db = folder / "hfzmq_3.db"
        self.db.write_bytes(b"db")
        self.now = 0.0
        self.applied = 40
        self.counters: Counter[str] = Counter()
        self.work: Callable[[Callable[[], Any]], Future[Any]] = at_once
        self.restart()

    def restart(self) -> None:
        """Begin anew, as after kill -9: what was made stays on the disk until then."""
        self.backups = Backups(
            self.folder / "backups", self.db, lambda: self.applied, self.counters, lambda: self.now,
            lambda work: self.work(work),
        )  # fmt: skip

    def ask(self, request: TakeBackup, by: str = "ann") -> Answer:
        """As over the wire, both ways."""
        fields = {key: value for key, value in request._asdict().items() if value or key == "offset"}
        asked = decode_request(encode_request(MESH, "backup", **fields), MESH, Limits())
        assert isinstance(asked, TakeBackup)
        answer = self.backups.asked(by, asked)
        if not callable(answer):
            status, said = told(answer)
            return read_answer(decode_reply(encode_reply(status, **said)))
        return read_answer(decode_reply(answer()))

    def turn(self, ms: float = 10) -> None:
        self.now += ms
        self.backups.tick(self.now)

    def made(self, request: TakeBackup) -> Answer:
        """The first answer that is no MAKING."""
        for _ in range(10):
            answer = self.ask(request)
            if not isinstance(answer, Making):
                return answer
            self.turn()
        raise AssertionError("it is never made")

    def left(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("backups/*"))


class Sink:
    """Where the bytes go."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.begun = 0

    @property
    def have(self) -> int:
        return len(self.data)

    def begin(self, size: int) -> None:
        self.begun += 1
        self.data.clear()

    def write(self, data: bytes) -> None:
        self.data += data


@pytest.fixture
def giver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Giver:
    monkeypatch.setattr(backups, "Apart", Content)
    for name, value in (("failure", None), ("last", b""), ("stopped", 0), ("made", 0)):
        monkeypatch.setattr(Content, name, value)
    return Giver(tmp_path)


def takes() -> Callable[[], bytes]:
    numbers = itertools.count(1)
    return lambda: next(numbers).to_bytes(16, "big")


def short(request: TakeBackup) -> TakeBackup:
    return request._replace(length=min(request.length, SHORT))


TAKE, OTHER = b"t" * 16, b"o" * 16
FIRST = TakeBackup(TAKE, 0, SHORT)

# ------------------------------------------------------------ both sides, and what is between them


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32))
def test_whatever_is_lost_doubled_late_altered_or_begun_anew_what_comes_is_one_backup_whole(
    giver: Giver, seed: int
) -> None:
    rng = random.Random(seed)
    sink, restarts = Sink(), 0
    pull = Pull(sink, 40, lambda: rng.randbytes(16))
    old_requests: list[TakeBackup] = []
    old_answers: list[Answer] = []
    versions: set[bytes] = set()
    for _ in range(2000):
        if pull.done:
            break
        giver.turn(rng.choice((1, 10, 300)))
        request = short(pull.wanted())
        old_requests.append(request)
        what = rng.random()
        if what < 0.1:
            pull.late()  # lost on its way there
            continue
        if what < 0.2:
            giver.ask(rng.choice(old_requests))  # doubled, or late
        if what > 0.99 and restarts < GIVEN_UP_AFTER - 2:
            restarts += 1
            giver.restart()
        answer = giver.ask(request)
        if Content.last:
            versions.add(Content.last)
        old_answers.append(answer)
        if what < 0.3:
            continue  # lost on its way back
        if what < 0.4:
            pull.heard(rng.choice(old_answers))
        if what < 0.5 and isinstance(answer, Piece):
            at = rng.randrange(len(answer.data))
            pull.heard(answer._replace(data=answer.data[:at] + bytes([answer.data[at] ^ 1]) + answer.data[at + 1 :]))
        pull.heard(answer)
    assert pull.done
    assert bytes(sink.data) in versions
    assert len(sink.data) == pull.size
    giver.ask(pull.farewell())
    giver.turn(2 * KEPT_MS)
    assert giver.left() == []


def test_a_backup_is_pulled_in_order_and_nothing_stays_with_the_peer(giver: Giver) -> None:
    sink = Sink()
    pull = Pull(sink, 0, takes())
    answers = []
    while not pull.done:
        answers.append(giver.ask(short(pull.wanted())))
        pull.heard(answers[-1])
        giver.turn()
    assert isinstance(answers[0], Making)
    assert [one.offset for one in answers if isinstance(one, Piece)] == list(range(0, BYTES, SHORT))
    assert bytes(sink.data) == Content.last
    assert giver.left() != []
    assert isinstance(giver.ask(pull.farewell()), Ended)
    assert giver.left() == []
    assert isinstance(giver.ask(short(TakeBackup(pull.wanted().take, 0))), Gone), "a late request makes no new one"
    assert Content.made == 1


# ------------------------------------------------------------ the one who pulls


def piece(offset: int, data: bytes, size: int = 9, sha: bytes = b"s" * 32, take: bytes = b"", entry: int = 40) -> Piece:
    return piece_of(take or (1).to_bytes(16, "big"), offset, size, sha, entry, data)


def test_only_the_next_bytes_of_the_backup_that_was_begun_are_taken_in() -> None:
    sink = Sink()
    pull = Pull(sink, 40, takes())
    pull.heard(piece(3, b"def"))  # the first one has not come yet
    assert pull.size == 0
    pull.heard(piece(0, b"abc"))
    for useless in (
        piece(0, b"abc"),
        piece(6, b"ghi"),
        piece(3, b"def")._replace(data=b"deX"),
        piece(3, b"def", take=OTHER),
        Making(pull.wanted().take, "copying", 0.1, 200),
        Gone(OTHER),
        Ended(pull.wanted().take),
    ):
        pull.heard(useless)
        assert (bytes(sink.data), pull.wanted().offset) == (b"abc", 3), useless
    pull.heard(piece(3, b"def"))
    pull.heard(piece(6, b"ghi"))
    assert pull.done
    assert (bytes(sink.data), sink.begun) == (b"abcdefghi", 1)


@pytest.mark.parametrize(
    "answer",
    [Gone((1).to_bytes(16, "big")), piece(3, b"def", sha=b"x" * 32), piece(3, b"d", size=8), Refused("offset", "", "")],
)
def test_another_backup_in_between_is_pulled_from_its_beginning_with_a_new_take(answer: Answer) -> None:
    sink = Sink()
    pull = Pull(sink, 0, takes())
    pull.heard(piece(0, b"abc"))
    pull.heard(answer)
    wanted = pull.wanted()
    assert (wanted.take, wanted.offset) == ((2).to_bytes(16, "big"), 0)
    pull.heard(piece(3, b"def"))  # of the old one, late
    assert pull.size == 0
    pull.heard(piece(0, b"xyz", 3, b"x" * 32, wanted.take))
    assert pull.done
    assert (bytes(sink.data), sink.begun) == (b"xyz", 2)


def test_a_peer_that_begins_anew_for_ever_is_left() -> None:
    pull = Pull(Sink(), 0, takes())
    for _ in range(GIVEN_UP_AFTER - 1):
        pull.heard(Gone(pull.wanted().take))
    with pytest.raises(MeshUnavailable, match="begun anew"):
        pull.heard(Gone(pull.wanted().take))


def test_a_backup_that_is_older_than_what_was_acknowledged_is_not_taken() -> None:
    sink = Sink()
    pull = Pull(sink, 41, takes())
    assert pull.wanted().at_least == 41
    with pytest.raises(MeshUnavailable, match="until entry 40, 41 was asked for"):
        pull.heard(piece(0, b"abc"))
    assert sink.begun == 0


def test_over_a_slow_link_less_is_asked_for_at_once_but_never_nothing() -> None:
    pull = Pull(Sink(), 0, takes())
    lengths = []
    for _ in range(10):
        lengths.append(pull.wanted().length)
        pull.late()
    assert lengths[:3] == [PIECE_BYTES_MAX, PIECE_BYTES_MAX // 2, PIECE_BYTES_MAX // 4]
    assert lengths[-1] == LENGTH_MIN


def test_it_waits_as_long_as_it_is_told_and_shows_what_the_peer_does() -> None:
    pull = Pull(Sink(), 0, takes())
    assert pull.heard(Making(pull.wanted().take, "copying", 0.3, 200)) == 200
    assert pull.making == ("copying", 0.3)
    assert pull.heard(Busy(2000, "ann")) == 2000
    steps = pull.steps
    pull.heard(Making(pull.wanted().take, "waiting", 0.0, 200))
    pull.heard(Making(pull.wanted().take, "waiting", 0.0, 200))
    assert pull.steps == steps + 1, "a peer that is behind does not bring it on by saying so"


# ------------------------------------------------------------ the one who gives


def test_a_peer_that_has_not_applied_so_much_waits_and_makes_it_then(giver: Giver) -> None:
    giver.applied = 39
    wanted = FIRST._replace(at_least=40)
    giver.ask(wanted)
    for _ in range(5):
        giver.turn(1000)
        answer = giver.ask(wanted)
        assert isinstance(answer, Making)
        assert answer.doing == "waiting"
    assert Content.made == 0
    giver.applied = 40
    assert giver.backups.wake_at_ms() <= giver.now + 100
    assert isinstance(giver.made(wanted), Piece)


def test_a_second_one_is_told_whose_is_in_the_way_and_gets_its_own_afterwards(giver: Giver) -> None:
    giver.made(FIRST)
    assert giver.ask(TakeBackup(OTHER, 0), "bob") == Busy(BUSY_RETRY_MS, "ann")
    assert isinstance(giver.ask(TakeBackup(OTHER, 0, end=True), "bob"), Ended)
    assert isinstance(giver.ask(FIRST._replace(offset=SHORT)), Piece), "the first one goes on"
    giver.ask(FIRST._replace(end=True))
    assert isinstance(giver.ask(TakeBackup(OTHER, 0), "bob"), Making)


def test_what_nobody_pulls_for_a_minute_is_removed_and_its_taker_is_told(giver: Giver) -> None:
    giver.made(FIRST)
    giver.turn(KEPT_MS - 1)
    assert giver.left() != []
    giver.ask(FIRST._replace(offset=SHORT))
    giver.turn(KEPT_MS - 1)
    assert giver.left() != []
    giver.turn(1)
    assert giver.left() == []
    assert isinstance(giver.ask(FIRST._replace(offset=2 * SHORT)), Gone)
    assert giver.backups.wake_at_ms() == float("inf")


def test_one_that_is_given_up_while_it_is_made_is_called_off_and_leaves_nothing(giver: Giver) -> None:
    later = giver.work = Later()
    giver.ask(FIRST)
    giver.turn()
    assert isinstance(giver.ask(FIRST), Making)
    giver.turn(KEPT_MS)
    assert Content.stopped == 1
    later.finish()  # it had all but made it
    assert giver.left() != []
    later.finish()
    assert giver.left() == []
    assert isinstance(giver.ask(TakeBackup(OTHER, 0), "bob"), Making), "another one may begin"


def test_its_files_are_removed_only_when_nobody_writes_to_them_any_more(
    giver: Giver, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped, made = threading.Event(), threading.Event()
    run = Content.run

    def slow(self: Content) -> Snapshot:
        assert stopped.wait(20)
        try:
            return run(self)
        finally:
            made.set()

    monkeypatch.setattr(Content, "run", slow)
    monkeypatch.setattr(Content, "stop", lambda self: None)  # as if it took its time to end
    giver.work = in_thread
    giver.ask(FIRST)
    giver.turn()
    ending = threading.Thread(target=giver.backups.close)
    ending.start()
    ending.join(0.2)
    assert ending.is_alive(), "it does not wait"
    stopped.set()
    ending.join(20)
    assert made.is_set()
    assert giver.left() == []


def test_why_none_could_be_made_is_told_to_who_asked_and_the_next_one_is_tried_anew(giver: Giver) -> None:
    Content.failure = DataDirError("hfzmq_3.db: damaged, not backed up: row 7", hint="back up another peer")
    failed = Failed(TAKE, "hfzmq_3.db: damaged, not backed up: row 7", "back up another peer")
    assert giver.made(FIRST) == failed
    assert giver.ask(FIRST) == failed
    Content.failure = None
    answer = giver.made(TakeBackup(OTHER, 0, SHORT))
    assert isinstance(answer, Piece)


def test_a_fault_of_the_program_is_told_too_and_ends_nothing(giver: Giver) -> None:
    Content.failure = RuntimeError("odd")
    answer = giver.made(FIRST)
    assert isinstance(answer, Failed)
    assert "odd" in answer.cause


def test_a_disk_without_room_for_it_is_told_before_anything_is_written(
    giver: Giver, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = namedtuple("room", "total used free")
    giver.db.write_bytes(bytes(1000))
    giver.db.with_name("hfzmq_3.db-wal").write_bytes(bytes(500))
    assert room_needed(1500) == 3 * 1500 + ROOM_LEFT_BYTES
    monkeypatch.setattr(shutil, "disk_usage", lambda _: room(0, 0, room_needed(1500) - 1))
    answer = giver.made(FIRST)
    assert isinstance(answer, Failed)
    assert f"{room_needed(1500)} are needed" in answer.cause
    assert "--peer N" in answer.hint
    assert Content.made == 0


def test_a_mesh_that_has_not_begun_has_nothing_to_back_up(giver: Giver) -> None:
    giver.applied = 0
    answer = giver.ask(FIRST)
    assert isinstance(answer, Failed)
    assert "has not begun" in answer.cause


def test_a_file_that_was_taken_away_or_cut_is_told_and_never_handed_out_short(giver: Giver) -> None:
    giver.made(FIRST)
    (path,) = giver.folder.glob("backups/*")
    os.truncate(path, SHORT)
    answer = giver.ask(FIRST._replace(offset=SHORT))
    assert isinstance(answer, Failed)
    assert "shorter than it was" in answer.cause
    path.unlink()
    assert isinstance(giver.ask(FIRST), Gone)
    assert giver.ask(FIRST._replace(offset=BYTES)) == Refused(
        "offset", f"below {BYTES}, the size of this backup", "begin with a new take"
    )


def test_a_new_start_and_an_end_remove_what_an_earlier_life_has_left(giver: Giver) -> None:
    giver.made(FIRST)
    (path,) = giver.folder.glob("backups/*")
    path.with_name(path.name + ".part").write_text("half")
    other = path.with_name("hfzmq_31-1-1.backup")
    other.write_text("of another peer in this directory")
    giver.restart()
    assert giver.left() == [other.name]
    assert isinstance(giver.ask(FIRST._replace(offset=SHORT)), Gone)
    giver.made(FIRST)
    giver.backups.close()
    assert giver.left() == [other.name]
