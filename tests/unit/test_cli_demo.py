"""The demo's parts: what was promised, the story, the verdict, the processes that never stay behind."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from random import Random

import pytest

from hfzmq.cli.board_feed import BoardStatus, Happening
from hfzmq.cli.demo_acks import Acks
from hfzmq.cli.demo_check import check_files, summary
from hfzmq.cli.demo_run import demo_config
from hfzmq.cli.demo_story import RETURN_AFTER_MS, Story
from hfzmq.cli.keys import Keys
from hfzmq.cli.processes import Processes, free_addresses, serve_arguments
from hfzmq.clinical.report import Report
from hfzmq.config import PeerAddress
from hfzmq.errors import HfzmqError, InvalidInput
from hfzmq.storage import Store
from tests.integration.storage_world import Tape, mark_alerted, mesh, report
from tests.unit.cli_world import NOW_MS, WALL_MS, Answer, board_status, says

ROOT = Path(__file__).resolve().parents[2]


def line(**event: object) -> bytes:
    return json.dumps(event).encode()


def until(what: str, condition: Callable[[], bool], within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        time.sleep(0.01)


# ---------------------------------------------------------------------------------------------------------------- acks


def test_a_report_is_acknowledged_when_its_own_ack_came_and_not_before() -> None:
    acks = Acks()
    acks.take(line(event="queued", patient="a", timestamp=1))
    acks.take(line(event="queued", patient="b", timestamp=2))
    acks.take(line(event="queued", patient="a", timestamp=3))
    assert (acks.acknowledged, acks.waiting) == ([], 3)
    acks.take(line(event="ack", patient="a", seq=1, term=4, index=9, elapsed_ms=3))
    assert (acks.acknowledged, acks.waiting, acks.count) == ([("a", 1)], 2, 1)
    acks.take(line(event="ack", patient="b", seq=1, term=4, index=9, elapsed_ms=3))
    acks.take(line(event="ack", patient="a", seq=2, term=4, index=10, elapsed_ms=3))
    assert acks.acknowledged == [("a", 1), ("b", 2), ("a", 3)]


def test_a_refused_report_is_not_acknowledged_and_not_waited_for() -> None:
    acks = Acks()
    acks.take(line(event="queued", patient="a", timestamp=1))
    acks.take(line(event="queued", patient="a", timestamp=2))
    acks.take(line(event="rejected", patient="a", seq=1, field="age", bound="18 to 120", hint="", by="mesh"))
    acks.take(line(event="rejected", patient="a", field="age", bound="18 to 120", hint="", by="model"))
    acks.take(line(event="ack", patient="a", seq=2, term=4, index=9, elapsed_ms=3))
    assert (acks.acknowledged, acks.waiting, acks.rejected) == ([("a", 2)], 0, 1)


def test_other_lines_are_passed_over_and_an_ack_from_an_earlier_life_is_counted_only() -> None:
    acks = Acks()
    for other in (b"", b"no json", b"[1]", line(event="risk", patient="a"), line(event="connected", peer=1, leader=1)):
        acks.take(other)
    acks.take(line(event="ack", patient="a", seq=1, term=4, index=9, elapsed_ms=3))
    assert (acks.acknowledged, acks.count) == ([], 1)


def test_the_first_ack_after_a_kill_is_not_one_that_the_dead_leader_had_sent() -> None:
    now = [1000]
    acks = Acks(lambda: now[0])
    for at, term in ((900, 4), (1003, 4), (2310, 5), (2320, 5)):
        now[0] = at
        acks.take(line(event="ack", patient="a", seq=1, term=term, index=9, elapsed_ms=3))
    first = acks.first_after(1000, 4)
    assert first is not None
    assert first.at_ms == 2310
    assert acks.first_after(2320, 5) is None


# --------------------------------------------------------------------------------------------------------------- story


class Stage:
    """A story with a clock, a mesh and acks that the test moves."""

    def __init__(self) -> None:
        self.now_ms = NOW_MS
        self.acks = Acks(lambda: self.now_ms)
        self.said: list[str] = []
        self.done: list[tuple[str, int]] = []
        self.story = Story(
            self.acks,
            lambda n: self.done.append(("kill", n)),
            lambda n: self.done.append(("start", n)),
            self.said.append,
        )

    def status(
        self, leader: int | None, term: int, down: int | None = None, boot: int = 3, behind: int = 0
    ) -> BoardStatus:
        told: dict[int, Answer | None] = {}
        for n in (1, 2, 3):
            role = "leader" if n == leader else "follower"
            last = 812 - (behind if n == 1 else 0)
            told[n] = None if n == down else says(n, role, term=term, last_index=last, boot=boot if n == 1 else 3)
        return board_status(status=told)

    def tick(self, after_ms: int, status: BoardStatus) -> None:
        self.now_ms += after_ms
        self.story.tick(self.now_ms, status)

    def ack(self, term: int) -> None:
        self.acks.take(line(event="ack", patient="a", seq=1, term=term, index=9, elapsed_ms=3))

    @property
    def told(self) -> list[str]:
        return [words.split(" ", 1)[1] for words in self.said]


def test_the_story_is_told_in_its_order_each_line_once() -> None:
    stage = Stage()
    for _ in range(2):
        stage.tick(50, stage.status(1, 7))
    stage.ack(7)
    stage.tick(50, stage.status(1, 7))
    assert stage.story.kill_leader(stage.now_ms, stage.status(1, 7))
    stage.tick(50, stage.status(1, 7))  # a poll that had begun before the kill
    stage.tick(1000, stage.status(None, 7, down=1))
    stage.tick(100, stage.status(2, 8, down=1))
    stage.ack(8)
    stage.tick(10, stage.status(2, 8, down=1))
    stage.tick(RETURN_AFTER_MS, stage.status(2, 8, down=1))
    stage.tick(300, stage.status(2, 8, boot=4, behind=5))
    stage.tick(300, stage.status(2, 8, boot=4))
    stage.tick(5000, stage.status(1, 9, boot=4))
    stage.tick(50, stage.status(1, 9, boot=4))
    assert stage.told == [
        "peer 1 leads in term 7",
        "first report acknowledged: synced disks of a majority hold it",
        "killed the leader, peer 1, with SIGKILL",
        "peer 2 leads in term 8",
        "reports are acknowledged again, 1150 ms after the kill, in term 8",
        "peer 1 is started again on its old disk",
        "peer 1 has caught up: 810 entries applied",
        "peer 1 leads in term 9: the lead was handed back to it",
    ]
    assert stage.done == [("kill", 1), ("start", 1)]
    assert (stage.story.kills, stage.story.gaps_ms, stage.story.hand_overs) == (1, [1150], 1)


def stamp(wall_ms: int) -> str:
    return datetime.fromtimestamp(wall_ms / 1000).strftime("%H:%M:%S.%f")[:-3]


def test_each_line_is_stamped_with_the_moment_of_what_it_tells() -> None:
    stage = Stage()
    stage.tick(100, stage.status(1, 7))
    stage.ack(7)
    first_ack_ms = stage.now_ms
    stage.tick(50, stage.status(1, 7))
    killed_ms = stage.now_ms
    stage.story.kill_leader(killed_ms, stage.status(1, 7))
    stage.now_ms = killed_ms + 1099
    stage.ack(8)
    elected = Happening(WALL_MS + 777, 2, "peer 2 is leader in term 8, leader 2 (elected)")
    other = Happening(WALL_MS + 5, 2, "peer 2 is leader in term 80, leader 2 (elected)")
    status = stage.status(2, 8, down=1)._replace(events=(other, elected), polled_at_ms=killed_ms + 1300)
    stage.tick(400, status)
    stage.tick(RETURN_AFTER_MS, status)
    polled_ms = stage.now_ms + 250
    stage.tick(300, stage.status(2, 8, boot=4)._replace(polled_at_ms=polled_ms))
    wall = WALL_MS - NOW_MS
    assert [words.split(" ", 1)[0] for words in stage.said[1:4]] == [
        stamp(first_ack_ms + wall),
        stamp(killed_ms + wall),
        stamp(WALL_MS + 777),
    ]
    assert stage.said[4].startswith(stamp(killed_ms + 1099 + wall) + " reports are acknowledged again, 1099 ms after")
    assert stage.said[6].startswith(stamp(polled_ms + wall) + " peer 1 has caught up")


def test_nobody_is_killed_while_nobody_leads_or_the_last_victim_is_not_well() -> None:
    stage = Stage()
    assert not stage.story.kill_leader(stage.now_ms, stage.status(None, 7))
    assert stage.story.kill_leader(stage.now_ms, stage.status(1, 7))
    assert not stage.story.kill_leader(stage.now_ms, stage.status(2, 8, down=1))
    stage.tick(RETURN_AFTER_MS, stage.status(2, 8, down=1))
    assert not stage.story.kill_leader(stage.now_ms, stage.status(2, 8, boot=4, behind=5))
    stage.tick(300, stage.status(2, 8, boot=4))
    assert stage.story.kill_leader(stage.now_ms, stage.status(2, 8, boot=4))
    assert stage.done == [("kill", 1), ("start", 1), ("kill", 2)]


def test_a_peer_that_leads_again_without_another_in_between_was_not_handed_the_lead() -> None:
    stage = Stage()
    stage.tick(0, stage.status(1, 7))
    stage.story.kill_leader(stage.now_ms, stage.status(1, 7))
    stage.tick(RETURN_AFTER_MS, stage.status(None, 7, down=1))
    stage.tick(300, stage.status(1, 8, boot=4))
    assert stage.told[-1] == "peer 1 leads in term 8 again"
    assert stage.story.hand_overs == 0


# ------------------------------------------------------------------------------------------------------------- verdict


def stored(directory: Path, peer_id: int, reports: list[Report]) -> Path:
    store, tape = Store.open(directory / str(peer_id), peer_id, mesh()), Tape()
    for one in reports:
        tape.write(store, [one])
    store.close()
    return store.path


@pytest.fixture
def ward(tmp_path: Path) -> Callable[..., dict[int, Path]]:
    def fill(*contents: list[Report]) -> dict[int, Path]:
        return {n: stored(tmp_path, n, reports) for n, reports in enumerate(contents, 1)}

    return fill


REPORTS = [report(n) for n in range(4)]
KEYS = [(one.patient_id, one.timestamp) for one in REPORTS]


def test_all_is_well_when_every_file_has_every_acknowledged_report_once(ward: Callable[..., dict[int, Path]]) -> None:
    verdict = check_files(ward(REPORTS, REPORTS, REPORTS), KEYS[:3])
    assert verdict.well
    assert (verdict.acknowledged, verdict.lost, verdict.doubled, verdict.equal) == (3, 0, 0, True)
    assert summary(verdict)[0] == "summary: 3 reports acknowledged, lost 0, doubled 0"
    assert summary(verdict)[-1] == "  equal rows on all peers: yes"


def test_one_report_is_told_in_the_singular(ward: Callable[..., dict[int, Path]]) -> None:
    told = summary(check_files(ward(REPORTS[:1]), KEYS[:1]))
    assert told[0] == "summary: 1 report acknowledged, lost 0, doubled 0"
    assert told[1] == "  peer 1: 1 row, every acknowledged report exactly once"


def test_a_lost_report_is_found(ward: Callable[..., dict[int, Path]]) -> None:
    verdict = check_files(ward(REPORTS, REPORTS[:2], REPORTS), KEYS)
    assert (verdict.well, verdict.lost, verdict.equal) == (False, 2, False)
    assert "  peer 2: 2 rows, 2 lost, 0 doubled" in summary(verdict)


def test_a_doubled_report_is_found(ward: Callable[..., dict[int, Path]]) -> None:
    twice = [*REPORTS, REPORTS[1]]
    verdict = check_files(ward(twice, twice, twice), KEYS)
    assert (verdict.well, verdict.lost, verdict.doubled, verdict.equal) == (False, 0, 3, True)


def test_another_order_is_not_equal(ward: Callable[..., dict[int, Path]]) -> None:
    verdict = check_files(ward(REPORTS, REPORTS[::-1]), KEYS)
    assert (verdict.well, verdict.lost, verdict.equal) == (False, 0, False)


def test_a_peer_that_applied_one_entry_more_may_have_raised_an_alarm_and_at_one_index_that_is_a_difference(
    tmp_path: Path,
) -> None:
    files = {}
    for peer in (1, 2):
        store, tape = Store.open(tmp_path / str(peer), peer, mesh()), Tape()
        tape.write(store, [report(1)])
        if peer == 2:
            tape.write(store, [])  # the clock goes on
        store.close()
        files[peer] = store.path
    mark_alerted(files[2], 1)
    verdict = check_files(files, [(report(1).patient_id, report(1).timestamp)])
    assert (verdict.well, verdict.equal) == (True, True)
    files[1] = stored(tmp_path / "again", 1, [report(1)])
    files[2] = stored(tmp_path / "again", 2, [report(1)])
    mark_alerted(files[2], 1)
    assert not check_files(files, []).equal


def test_a_missing_file_has_lost_everything_and_nothing_acknowledged_is_not_well(
    ward: Callable[..., dict[int, Path]], tmp_path: Path
) -> None:
    files = ward(REPORTS, REPORTS)
    assert not check_files(files, []).well
    verdict = check_files({**files, 3: tmp_path / "none.db"}, KEYS)
    assert (verdict.well, verdict.lost) == (False, 4)
    assert any(words.startswith("  peer 3: cannot be read: ") for words in summary(verdict))


# ----------------------------------------------------------------------------------------------------------- processes


def test_ports_are_free_different_and_below_those_of_outgoing_connections() -> None:
    addresses = free_addresses(3, Random(1))
    ports = [port for address in addresses for port in address[2:]]
    assert [address.id for address in addresses] == [1, 2, 3]
    assert len(set(ports)) == 9
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(1024 < port < low for port in ports)


def _ports(addresses: tuple[PeerAddress, ...]) -> set[int]:
    return {port for address in addresses for port in address[2:]}


def test_ports_that_were_chosen_are_chosen_by_nobody_else_while_that_process_lives() -> None:
    """Nobody listens there yet, or no longer: a killed daemon's ports are its own until it comes back."""
    mine = [_ports(free_addresses(count, Random(5))) for count in (3, 3, 11)]
    code = (
        "import sys; from random import Random; from hfzmq.cli.processes import free_addresses\n"
        "print(*(port for one in free_addresses(3, Random(5)) for port in one[2:]), flush=True); sys.stdin.read()"
    )
    words = [sys.executable, "-c", code]
    with subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        theirs = set(map(int, other.stdout.readline().split()))
        again = _ports(free_addresses(3, Random(5)))
        other.communicate()
    assert len(theirs) == 9
    assert len(set.union(*mine, theirs, again)) == 9 + 9 + 33 + 9 + 9
    assert _ports(free_addresses(3, Random(5))) == theirs, "it has ended: what it held is free"


def test_where_all_ports_are_held_those_on_which_nobody_listens_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hfzmq.cli.processes._hold", lambda ports: [])
    assert len(_ports(free_addresses(3))) == 9


def test_a_demo_directory_is_used_again_and_one_of_another_size_is_refused(tmp_path: Path) -> None:
    first = demo_config(tmp_path, 3)
    assert demo_config(tmp_path, 3) == first
    with pytest.raises(InvalidInput, match="peers: 3, as in"):
        demo_config(tmp_path, 5)


def test_a_child_logs_ends_when_asked_and_is_killed_when_it_does_not(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    processes.start("one", "--version")
    until("it ends by itself", lambda: not processes.alive("one"))
    assert processes.last_words("one", 1) == "research software, not a medical device"
    daemon = processes.start("two", *serve_arguments(demo_config(tmp_path, 3), 2, tmp_path))
    until("it handles signals", lambda: "ready" in processes.last_words("two"))
    os.kill(daemon.pid, signal.SIGSTOP)
    assert processes.terminate("two", within_s=0.2) == ["two"]
    assert not processes.alive("two")
    processes.kill_all()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's promise is Linux's")
def test_children_die_with_their_parent_however_it_dies(tmp_path: Path) -> None:
    code = (
        "import sys, time, pathlib; from hfzmq.cli.processes import Processes\n"
        "processes = Processes(pathlib.Path(sys.argv[1]))\n"
        "child = processes.start('d', 'serve', '--id', '1', '--config', sys.argv[2], '--data-dir', sys.argv[1])\n"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    config = demo_config(tmp_path, 3)
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), config.path], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    until("the daemon runs", lambda: "ready" in (tmp_path / "d.log").read_text())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until("the daemon is gone", lambda: not _lives(child))


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_child_that_never_started_says_nothing(tmp_path: Path) -> None:
    assert Processes(tmp_path).last_words("nobody") == ""


def test_no_free_port_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hfzmq.cli.processes._is_free", lambda port: False)
    with pytest.raises(HfzmqError, match=r"no free ports on 127\.0\.0\.1"):
        free_addresses(3)


# ---------------------------------------------------------------------------------------------------------------- keys


def test_a_key_is_read_without_enter_and_the_terminal_is_given_back() -> None:
    import termios

    ours, theirs = pty.openpty()
    try:
        before = termios.tcgetattr(theirs)
        with Keys(theirs) as keys:
            assert keys.wait(0.01) == ""
            os.write(ours, b"k")
            assert keys.wait(5) == "k"
            os.write(ours, "é".encode())
            assert keys.wait(5) == ""
        assert termios.tcgetattr(theirs) == before
    finally:
        os.close(ours)
        os.close(theirs)


def test_without_a_terminal_no_key_is_ever_pressed(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb+") as file, Keys(file.fileno()) as keys:
        assert keys.wait(0.001) == ""
