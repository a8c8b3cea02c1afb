"""A backup taken over the mesh: from whom, what becomes of it when that one fails, and what an operator is told."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hfzmq.client import backup_take
from hfzmq.client.backup_part import Part
from hfzmq.config import Config, Limits, PeerAddress, load, render
from hfzmq.core.types import HardState
from hfzmq.storage import Store, backup
from hfzmq.storage.backup import Backup
from hfzmq.wire import backup as wire
from hfzmq.wire.backup import Answer, Busy, Failed, Gone, Making, TakeBackup
from hfzmq.wire.pages import Reports
from hfzmq.wire.requests import Status, decode_request, encode_reply
from tests.integration.fake_peer import FakePeer
from tests.integration.storage_world import Tape, founded, mesh, report
from tests.unit.cli_world import Ran, run

MESH = mesh().mesh_id
SHORT = 10_000


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Backup:
    """A real backup, until entry 2."""
    folder, tape = tmp_path_factory.mktemp("made"), Tape()
    tape.hard_state = HardState(3, 1)
    tape.config(founded(1))
    tape.batch([report(number) for number in range(1, 300)])
    store = Store.open(folder / "1", 1, mesh())
    store.write([tape.persist(*tape.log, hard_state=tape.hard_state), tape.apply()])
    store.close()
    return backup.make(store.path, folder / "ward.backup")


class Peer:
    """One that gives a backup, as a test wants it to."""

    def __init__(self, number: int, data: bytes, sha256: bytes) -> None:
        self.number = number
        self.data = data
        self.sha256 = sha256
        self.leads = number == 1
        self.serves = True  # as far as a leader is concerned
        self.applied = 2
        self.last = (1, 2)  # term and index of the last entry in its log
        self.differs: list[int] = []
        self.history = "aa" * 16
        self.takes: list[TakeBackup] = []
        self.instead: Callable[[TakeBackup], Answer | None] = lambda request: None
        self.silent = False
        self.version: Callable[[], bytes | None] = lambda: None
        self.fake = FakePeer(self._answer)

    @property
    def offsets(self) -> list[int]:
        return [request.offset for request in self.takes if not request.end]

    def _answer(self, frame: bytes) -> bytes | None:
        request = decode_request(frame, MESH, Limits())
        if isinstance(request, Status):
            told = {"id": self.number, "role": "leader" if self.leads else "follower", "applied_index": self.applied}
            told |= {"last_term": self.last[0], "last_index": self.last[1]}
            told |= {"serves": self.leads and self.serves, "term": 1, "history": self.history}
            return encode_reply("OK", peer={**told, "differs": self.differs})
        if isinstance(request, Reports):
            if self.leads and self.serves:
                return encode_reply("OK", fields=[], rows=[], more=False, applied_index=2, peer=1, stale_ms=0)
            return encode_reply("NO_QUORUM")
        assert isinstance(request, TakeBackup)
        self.takes.append(request)
        if self.silent:
            return None
        answer = wire.Ended(request.take) if request.end else self.instead(request) or self._piece(request)
        status, fields = wire.told(answer)
        return self.version() or encode_reply(status, **fields)

    def _piece(self, request: TakeBackup) -> Answer:
        piece = self.data[request.offset : request.offset + min(SHORT, request.length)]
        tail_entries = self.last[1] - self.applied if request.tail else 0
        return wire.piece_of(request.take, request.offset, len(self.data), self.sha256, 2, piece, tail_entries)


class Ward:
    """Three peers, the first leads; and an operator."""

    def __init__(self, folder: Path, made: Backup) -> None:
        self.folder = folder
        self.to = folder / "ward.db"
        data = made.path.read_bytes()
        self.peers = {number: Peer(number, data, made.digest) for number in (1, 2, 3)}
        addresses = tuple(
            PeerAddress(number, "127.0.0.1", peer.fake.port, 2 * number, 2 * number + 1)
            for number, peer in self.peers.items()
        )
        self.path = folder / "peers.yaml"
        self.path.write_text(render(Config("ward", MESH, addresses)))

    def take(self, *words: str) -> Ran:
        return run("backup", str(self.to), "--config", str(self.path), *words)

    def left(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir() if path != self.path)


@pytest.fixture
def ward(tmp_path: Path, made: Backup, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ward]:
    monkeypatch.setattr(backup_take, "STATUS_MS", 5000)
    ward = Ward(tmp_path, made)
    yield ward
    for peer in ward.peers.values():
        peer.fake.die()


def test_it_is_taken_from_the_follower_of_the_highest_id_and_is_the_very_file(ward: Ward, made: Backup) -> None:
    done = ward.take("-o", "json")
    assert (done.code, done.err) == (0, "")
    told = json.loads(done.out)
    assert (told["peer"], told["acknowledged_index"], told["sha256"]) == (3, 2, made.digest.hex())
    assert told["rows"]["risk_reports"] == 299
    assert ward.to.read_bytes() == made.path.read_bytes()
    assert ward.to.stat().st_mode & 0o777 == 0o600
    assert ward.left() == ["ward.db"]
    assert not ward.peers[1].takes
    assert not ward.peers[2].takes
    takes = ward.peers[3].takes
    assert ward.peers[3].offsets == list(range(0, len(ward.peers[3].data), SHORT))
    assert {request.at_least for request in takes[:-1]} == {2}, "what was acknowledged until now"
    assert takes[-1].end, "it was told that it need not keep it any more"
    verified = run("backup", "verify", str(ward.to), "-o", "json")
    assert {**json.loads(verified.out), "peer": 3, "acknowledged_index": 2, "tail_entries": 0} == told
    assert not any(request.tail for request in takes), "who leads knows what is committed"


def test_from_a_peer_that_is_empty_nothing_is_taken_and_who_holds_data_is_named(ward: Ward) -> None:
    ward.peers[1].serves = False
    ward.peers[2].last = (0, 0)
    done = ward.take("--peer", "2")
    assert done.code == 1
    assert "nothing is stored at peer 2" in done.err
    assert "hfzmq backup --peer 1 FILE" in done.err
    assert "begun" not in done.err
    assert not ward.left()


def test_a_peer_that_is_named_is_asked_also_if_it_leads(ward: Ward) -> None:
    done = ward.take("--peer", "1")
    assert done.code == 0
    assert "backed up from peer 1: 299 reports until entry 2" in done.out
    assert not ward.peers[3].takes


def test_the_leader_whoever_is_far_behind_and_whoever_differs_are_asked_last(ward: Ward) -> None:
    ward.peers[2].leads, ward.peers[1].leads = True, False
    ward.peers[3].applied = -2000
    ward.peers[1].differs = [1]
    order: list[int] = []

    def failing(number: int) -> Callable[[TakeBackup], Answer]:
        def answer(request: TakeBackup) -> Answer:
            order.append(number)
            return Failed(request.take, "no", "")

        return answer

    for number, peer in ward.peers.items():
        peer.instead = failing(number)
    assert ward.take().code == 1
    assert order == [2, 1, 3]


def test_a_lost_connection_costs_nothing_that_has_come(ward: Ward) -> None:
    peer = ward.peers[3]
    third = 2 * SHORT

    def lost(request: TakeBackup) -> Answer | None:
        if request.offset == third and peer.offsets.count(third) == 1:
            peer.fake.reset()
        return None

    peer.instead = lost
    done = ward.take()
    assert (done.code, done.err) == (0, "")
    assert peer.offsets.count(0) == 1
    assert peer.offsets.count(third) >= 2
    assert len({request.take for request in peer.takes}) == 1


def test_a_peer_that_begins_anew_meanwhile_gives_another_one_from_its_beginning(ward: Ward) -> None:
    peer = ward.peers[3]
    peer.instead = lambda request: (
        Gone(request.take) if request.offset == SHORT and peer.offsets.count(SHORT) == 1 else None
    )
    done = ward.take()
    assert (done.code, done.err) == (0, "")
    assert peer.offsets[:3] == [0, SHORT, 0]
    assert len({request.take for request in peer.takes}) == 2


def test_what_it_does_is_waited_for(ward: Ward) -> None:
    peer = ward.peers[3]
    peer.instead = lambda request: Making(request.take, "copying", 0.5, 10) if len(peer.takes) < 5 else None
    assert ward.take().code == 0
    assert peer.offsets[:6] == [0, 0, 0, 0, 0, SHORT]


def test_a_peer_that_cannot_is_left_for_the_next_one_and_says_why(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    ward.peers[3].instead = lambda request: Failed(request.take, "hfzmq_3.db: damaged, not backed up: row 7", "look")
    ward.peers[2].silent = True
    monkeypatch.setattr(backup_take, "SAY_AFTER_S", 0.1)
    monkeypatch.setattr(backup_take, "ANSWER_S", 0.2)
    monkeypatch.setattr(backup_take, "PATIENCE_S", 0.5)
    done = ward.take()
    assert done.code == 0
    assert "peer 3: hfzmq_3.db: damaged, not backed up: row 7; peer 2 is asked" in done.err
    waits = f"peer 2 at 127.0.0.1:{ward.peers[2].fake.port} does not answer; it is waited for up to 0 s\n"
    assert done.err.count(waits) == 1
    assert "peer 2 has not answered for 0 s; peer 1 is asked" in done.err
    assert "backed up from peer 1" in done.out
    lengths = {request.length for request in ward.peers[2].takes if not request.end}
    assert len(lengths) > 1, "over a slow link less is asked for"


def test_a_named_peer_that_cannot_is_the_end_and_leaves_nothing(ward: Ward) -> None:
    ward.peers[3].instead = lambda request: Failed(request.take, "/x: 5 bytes free, 9 are needed", "free some space")
    done = ward.take("--peer", "3")
    assert (done.code, done.out) == (1, "")
    assert done.err == "error: peer 3: /x: 5 bytes free, 9 are needed\nhint: free some space\n"
    assert ward.left() == []
    ward.peers[3].fake.die()
    done = ward.take("--peer", "3")
    assert done.code == 3
    assert "peer 3 does not answer (127.0.0.1:" in done.err
    assert ward.take("--peer", "9").code == 6


def test_of_two_operators_the_second_takes_another_peer_or_waits_for_the_first(ward: Ward) -> None:
    ward.peers[3].instead = lambda request: Busy(10, "ann")
    done = ward.take()
    assert done.code == 0
    assert "peer 3 is giving a backup to the key of ann; peer 2 is asked" in done.err
    os.unlink(ward.to)
    peer = ward.peers[3]
    peer.takes.clear()
    peer.instead = lambda request: Busy(10, "ann") if len(peer.takes) < 5 else None
    done = ward.take("--peer", "3")
    assert done.code == 0
    assert done.err == "peer 3 is giving a backup to the key of ann; waiting for that\n"


def test_of_two_operators_the_second_is_told_who_when_it_takes_too_long(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup_take, "BUSY_PATIENCE_S", 0.3)
    ward.peers[3].instead = lambda request: Busy(10, "ann")
    done = ward.take("--peer", "3")
    assert done.code == 8
    assert "error: peer 3 is giving a backup to the key of ann, still" in done.err
    assert ward.left() == []


def test_without_a_leader_the_newest_log_is_asked_for_with_its_end_and_what_may_be_missing_is_said(ward: Ward) -> None:
    ward.peers[1].serves = False
    ward.peers[1].last = (2, 4)  # it would be elected: an entry of a later term than the others'
    ward.peers[2].last = (1, 9)
    ward.peers[3].applied = 3
    done = ward.take("-o", "json")
    assert done.code == 0
    told = json.loads(done.out)
    assert (told["peer"], told["acknowledged_index"], told["tail_entries"]) == (1, None, 2)
    assert "warning: nobody leads; this backup holds all that is in the log of one peer" in done.err
    assert all(request.tail for request in ward.peers[1].takes if not request.end)
    ward.to.unlink()
    assert "not known    the last 2 entries were in that peer's log" in ward.take().out
    ward.to.unlink()
    ward.peers[1].last = (2, 3)
    assert "not known    the last entry was in that peer's log" in ward.take().out


def test_of_two_histories_the_one_that_is_led_is_backed_up_and_the_other_where_it_is_named(ward: Ward) -> None:
    odd = ward.peers[3]  # once the first to be asked: it does not lead, and holds most
    odd.history, odd.applied, odd.last = "bb" * 16, 2, (1, 4)
    done = ward.take("-o", "json")
    assert json.loads(done.out)["peer"] == 2
    assert not odd.takes
    ward.to.unlink()
    done = ward.take("--peer", "3", "-o", "json")
    told = json.loads(done.out)
    assert (told["peer"], told["acknowledged_index"], told["tail_entries"]) == (3, None, 2)
    warned = "warning: the mesh has two histories, one on peers 1, 2, another on peer 3: this backup holds all"
    assert warned in done.err
    assert {request.at_least for request in odd.takes if not request.end} == {0}, "the leader's index is of the other"


def test_of_two_histories_that_nobody_leads_the_operator_names_one(ward: Ward) -> None:
    ward.peers[1].serves = False
    ward.peers[3].history = "bb" * 16
    done = ward.take()
    assert done.code == 4
    assert "the mesh has two histories, one on peers 1, 2, another on peer 3, and nobody leads a quorum" in done.err
    assert "hint: back each up by itself: --peer N" in done.err
    assert ward.left() == []


def test_a_peer_that_stays_behind_is_told_as_such(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_take, "PATIENCE_S", 0.3)
    ward.peers[2].instead = lambda request: Making(request.take, "waiting", 0.0, 10)
    done = ward.take("--peer", "2")
    assert done.code == 8
    assert "peer 2 is behind" in done.err
    assert ward.peers[2].takes[-1].end


@pytest.mark.parametrize("field", ["op", "tail"])
def test_a_peer_of_an_earlier_version_is_named(ward: Ward, field: str) -> None:
    ward.peers[3].version = lambda: encode_reply("REFUSED", field=field, bound="one of submit, ...", hint="lower case")
    done = ward.take("--peer", "3")
    assert done.code == 1
    assert "peer 3 is of a version that gives no backup over the mesh" in done.err
    assert "hfzmq backup --db FILE --to FILE" in done.err


def test_nobody_there_is_exit_code_three_and_leaves_nothing(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_take, "LEADER_MS", 300)
    for peer in ward.peers.values():
        peer.fake.die()
    done = ward.take()
    assert done.code == 3
    assert "no daemon answered" in done.err
    assert ward.left() == []


# ------------------------------------------------------------ the operator's disk


def test_nothing_is_overwritten_and_nobody_is_asked_for_what_cannot_be_written(ward: Ward, tmp_path: Path) -> None:
    ward.to.write_text("mine")
    done = ward.take()
    assert (done.code, "never overwritten" in done.err) == (6, True)
    assert ward.to.read_text() == "mine"
    ward.to.unlink()
    part = tmp_path / "ward.db.part"
    part.write_text("somebody's")
    done = ward.take()
    assert (done.code, "then remove it" in done.err) == (1, True)
    assert f"no backup here writes it; one that was killed has left it: then remove it: rm {part}" in done.err
    assert part.read_text() == "somebody's"
    part.unlink()
    other = Part(ward.to)
    done = ward.take()
    assert (done.code, "another backup is being written there" in done.err) == (1, True)
    other.discard()
    ward.to = tmp_path / "none" / "ward.db"
    done = ward.take()
    assert (done.code, "No such file or directory" in done.err, "is there room" in done.err) == (1, True, True)
    assert not any(peer.takes for peer in ward.peers.values())


def test_a_file_that_somebody_makes_under_that_name_meanwhile_is_left_as_it_is(ward: Ward) -> None:
    def make(request: TakeBackup) -> Answer | None:
        ward.to.write_text("theirs")
        return None

    ward.peers[3].instead = make
    done = ward.take()
    assert (done.code, "somebody has made it meanwhile" in done.err) == (1, True)
    assert ward.to.read_text() == "theirs"
    assert ward.left() == ["ward.db"]


def test_a_disk_without_room_is_told_before_and_a_disk_that_fills_meanwhile_too(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = namedtuple("room", "total used free")
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda _: room(0, 0, 1000))
        done = ward.take()
    assert done.code == 1
    assert f"the backup has {len(ward.peers[3].data)} bytes, 1000 are free there" in done.err
    assert ward.left() == []
    assert not ward.peers[2].takes, "another peer's would not fit either"

    def full(descriptor: int, data: bytes, offset: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        done = ward.take()
    assert done.code == 1
    assert "no backup can be written there: No space left on device" in done.err
    assert ward.left() == []
    assert ward.peers[3].takes[-1].end, "the peer need not keep it for a minute"


def test_a_disk_that_gives_back_other_bytes_is_found_and_it_is_taken_once_more(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.pwrite
    spoilt: list[bool] = []

    def spoil(descriptor: int, data: bytes, offset: int) -> int:
        if offset == SHORT and not spoilt:
            spoilt.append(True)
            data = bytes(len(data))
        return real(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", spoil)
    done = ward.take()
    assert done.code == 0
    assert "what came from peer 3 is not what it has; it is taken once more" in done.err
    assert ward.to.read_bytes() == ward.peers[3].data


def test_what_hashes_right_and_counts_wrong_gets_no_name(ward: Ward, made: Backup) -> None:
    """A peer whose program is at fault, or lies."""
    import hashlib

    data = ward.peers[3].data
    bad = data[:-8000] + bytes(8000)
    ward.peers[3].data, ward.peers[3].sha256 = bad, hashlib.sha256(bad).digest()
    done = ward.take("--peer", "3")
    assert (done.code, "damaged" in done.err) == (1, True)
    assert ward.left() == []


def test_how_far_it_is_is_said_when_it_takes_long(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    from hfzmq.cli import backup_commands

    monkeypatch.setattr(backup_commands, "QUICK_S", -1.0)
    peer = ward.peers[3]
    peer.instead = lambda request: Making(request.take, "copying", 0.52, 10) if len(peer.takes) < 2 else None
    done = ward.take()
    lines = done.err.splitlines()
    assert lines[0] == "peer 3: copying: 50 %"
    assert "pulling: 50 %" in lines
    assert lines[-2:] == ["pulling: 100 %", "checking: 0 %"]


def test_what_a_peer_says_never_moves_a_terminal(ward: Ward) -> None:
    said: dict[str, Any] = {"cause": "a\x1b[2Jb", "hint": "\x07"}
    ward.peers[3].version = lambda: encode_reply("FAILED", take=ward.peers[3].takes[-1].take, **said)
    done = ward.take("--peer", "3")
    assert done.code == 1
    assert "\x1b" not in done.err
    assert "\x07" not in done.err


def test_ctrl_c_leaves_no_file_and_tells_the_peer(ward: Ward) -> None:
    def interrupted(what: str, share: float) -> None:
        if what == backup_take.PULLING:
            raise KeyboardInterrupt

    config = load(str(ward.path))
    with pytest.raises(KeyboardInterrupt):
        backup_take.take(config, ward.to, 3, interrupted, lambda line: None)
    assert ward.left() == []
    assert ward.peers[3].takes[-1].end
