"""``hfzmq alarms`` on a real file and over real sockets: what is printed is what is stored, what is asked is done."""

from __future__ import annotations

import csv
import io
import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from hfzmq.cli import leader_wait
from hfzmq.cli.alarms.follow import Follower, Line
from hfzmq.clinical.alarm.facts import RulesSet, Sent, Sign
from hfzmq.clinical.alarm.rules import DEFAULT_RULES
from hfzmq.config import render
from hfzmq.errors import NoDaemonReached
from hfzmq.wire import requests as wire
from hfzmq.wire.pages import AlarmEvents
from tests.integration.alarm_world import PeersOf, StoredWard
from tests.integration.fake_peer import eventually
from tests.unit.alarm_ward import START as START_MS
from tests.unit.cli_world import Ran, run

MINUTE = 60_000


@pytest.fixture
def ward(tmp_path: Path) -> Iterator[StoredWard]:
    with StoredWard(tmp_path / "data") as opened:
        yield opened


@pytest.fixture
def peers(ward: StoredWard) -> Iterator[PeersOf]:
    made = PeersOf(ward)
    yield made
    made.close()


@pytest.fixture
def config(peers: PeersOf, tmp_path: Path) -> str:
    path = tmp_path / "peers.yaml"
    path.write_text(render(peers.config))
    return f"--config={path}"


def lively(ward: StoredWard) -> None:
    """Alarms of every cause and state. 1: RED, over and unseen; 2: HEART_RATE, unseen; 3: RED, seen; 4: AMBER; 5: NO
    DATA; 6: RED, resolved."""
    ward.report(0, 0.71)
    ward.tell(1, Sent(1, 1, "log", True), Sent(1, 1, "desk", False))
    ward.heart(1000, 141.5, 142, 139.25, patient="bed-2")
    ward.report(2000, 0.9, "bed-3")
    ward.act(3000, "ack", 3)
    ward.report(4000, 0.4, "bed-4")
    ward.report(5000, 0.42, "bed-4")
    ward.tell(6000, Sign("bed-1", START_MS + 6000, "GREEN", 0.1))
    for at in range(10_000, 40_000, 4000):
        for bed in ("bed-1", "bed-3", "bed-4"):
            ward.tell(at, Sign(bed, START_MS + at, "AMBER", 0.4))
    ward.report(40_000, 0.8, "bed-6")
    ward.act(41_000, "resolve", 6, "bob")


def db(ward: StoredWard, *words: str) -> Ran:
    return run("alarms", *words, "--db", str(ward.path))


def stored(ward: StoredWard, table: str) -> list[dict[str, Any]]:
    """Past all of our own reading."""
    database = apsw.Connection(str(ward.path), flags=apsw.SQLITE_OPEN_READONLY)
    cursor = database.execute(f"SELECT * FROM {table} ORDER BY id")
    names = [column[0] for column in cursor.getdescription()]
    rows = [dict(zip(names, row, strict=True)) for row in cursor]
    database.close()
    return [{key: value for key, value in row.items() if key != "crc"} for row in rows]


# ------------------------------------------------------------ ls


def test_open_alarms_come_most_urgent_first_with_signs_words_and_units(ward: StoredWard) -> None:
    lively(ward)
    done = db(ward, "ls")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0].split() == ["alarm", "cause", "patient", "state", "value", "since", "age", "step", "delivered"]
    shown = [line.split() for line in lines[1:]]
    assert [line[0] for line in shown] == ["1", "2", "5", "4", "3"]
    assert "■ RED  " in lines[1]
    assert "cause over, not seen" in lines[1]
    assert "note: cause over, not seen: " in done.err
    assert "stays open and escalates until somebody does: hfzmq alarms ack ID" in done.err
    assert "log (step 1)" in lines[1]
    assert "♥ HEART RATE high" in lines[2]
    assert "139.25 bpm" in lines[2]
    assert "✕ NO DATA" in lines[3]
    assert "▲ AMBER" in lines[4]
    assert "risk 0.42" in lines[4]
    assert "seen by ann" in lines[5]


def test_machines_get_what_is_stored(ward: StoredWard) -> None:
    lively(ward)
    rows = stored(ward, "alarm_episodes")
    for row in rows:
        row |= {name: row[name].split("\n") if row[name] else [] for name in ("sent", "failing")}
    assert len(rows) == 6
    assert [json.loads(line) for line in db(ward, "ls", "--all", "-o", "jsonl").out.splitlines()] == rows
    assert json.loads(db(ward, "ls", "--all", "-o", "json").out) == rows
    assert json.loads(db(ward, "ls", "-o", "json").out) == rows[:5]
    assert json.loads(db(ward, "ls", "--all", "--last", "2", "-o", "json").out) == rows[-2:]
    assert json.loads(db(ward, "ls", "--state", "normal", "-o", "json").out) == rows[5:]
    assert json.loads(db(ward, "ls", "--patient", "bed-3", "-o", "json").out) == rows[2:3]
    table = list(csv.DictReader(io.StringIO(db(ward, "ls", "--all", "-o", "csv").out)))
    assert [row["sent"] for row in table][:2] == ["1:log", ""]
    assert [int(row["raised_at_ms"]) for row in table] == [row["raised_at_ms"] for row in rows]


def test_no_alarm_is_no_error(ward: StoredWard) -> None:
    ward.report(0, 0.1)
    done = db(ward, "ls")
    assert (done.code, done.out) == (0, "")
    assert "no alarm is open" in done.err
    assert json.loads(db(ward, "ls", "-o", "json").out) == []


def test_the_history_of_an_alarm_is_its_journal(ward: StoredWard) -> None:
    lively(ward)
    lines = [line for line in stored(ward, "alarm_events") if line["episode_id"] == 1]
    done = db(ward, "ls", "--history", "1", "-o", "jsonl")
    assert [json.loads(line) for line in done.out.splitlines()] == lines
    told = db(ward, "ls", "--history", "1").out
    for words in ("raised", "escalation reached step 1", "delivered by log (step 1)", "its cause is over"):
        assert words in told
    assert "could not be delivered by desk (step 1)" in told
    assert db(ward, "ls", "--history", "99").code == 5


@pytest.mark.parametrize(
    "words",
    [
        ("ls", "--all", "--state", "open"),
        ("ls", "--history", "1", "--all"),
        ("ls", "--state", "gone"),
        ("ls", "--last", "0"),
        ("ack",),
        ("ack", "1", "--patient", "bed-1"),
        ("ack", "one"),
        ("ack", "1", "--all"),
        ("ack", "1", "--yes"),
        ("ack", "--cause", "RED"),
        ("ack", "--all", "--cause", "BLUE"),
        ("resolve", "0"),
        ("discharge",),
        ("watch", "--count", "0"),
        ("watch", "--timeout", "nan"),
        ("simulate",),
        ("simulate", "--amber", "1.5"),
        ("stats", "--days", "0"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(words: tuple[str, ...]) -> None:
    done = run("alarms", *words)
    assert (done.code, done.out) == (2, "")


@pytest.mark.parametrize(
    "words", [("ls", "--patient", " x"), ("ack", "--patient", ""), ("discharge", "x" * 65), ("ack", "1", "--by", "\n")]
)
def test_what_cannot_be_an_id_or_a_name_is_refused_before_anybody_is_asked(words: tuple[str, ...], config: str) -> None:
    assert run("alarms", *words, config).code == 6


def test_a_mesh_is_read_like_a_file(ward: StoredWard, config: str) -> None:
    lively(ward)
    done = run("alarms", "ls", config, "-o", "json")
    assert done.out == db(ward, "ls", "-o", "json").out
    assert "from peer 1, which leads" in done.err
    assert (
        run("alarms", "ls", config, "--history", "2", "-o", "csv").out
        == db(ward, "ls", "--history", "2", "-o", "csv").out
    )


# ------------------------------------------------------------ ack, resolve, discharge


def test_ack_says_done_and_then_already_and_is_stored_with_its_name(ward: StoredWard, config: str) -> None:
    ward.report(0, 0.9)
    done = run("alarms", "ack", "1", "--by", "nurse ann", config)
    assert done == (0, "alarm 1: acknowledged by nurse ann\n", "")
    assert run("alarms", "ack", "1", "--by", "bob", config).out == "alarm 1: already seen, or over\n"
    assert stored(ward, "alarm_episodes")[0]["acknowledged_by"] == "nurse ann"


def test_what_is_not_there_is_5_and_keeps_nothing_else_from_being_done(ward: StoredWard, config: str) -> None:
    ward.report(0, 0.9)
    done = run("alarms", "ack", "77", "1", "78", config, "-o", "json")
    assert done.code == 5
    assert [json.loads(line)["target"] for line in done.out.splitlines()] == [1]
    assert "there is no alarm 77; there is no alarm 78" in done.err
    assert run("alarms", "discharge", "nobody", config).code == 5


def test_all_alarms_of_a_patient_and_the_login_name(
    ward: StoredWard, config: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ward.report(0, 0.9)
    ward.heart(10, 190, 191, 192)
    monkeypatch.setattr("getpass.getuser", lambda: "sister")
    assert run("alarms", "ack", "--patient", "bed-1", config).out == "all alarms of bed bed-1: acknowledged by sister\n"
    assert {row["acknowledged_by"] for row in stored(ward, "alarm_episodes")} == {"sister"}
    assert run("alarms", "resolve", "--patient", "bed-1", config).code == 0
    assert run("alarms", "resolve", "1", config).out == "alarm 1: already over\n"
    assert run("alarms", "discharge", "bed-1", config).out == "bed bed-1: discharged by sister\n"
    assert run("alarms", "discharge", "bed-1", config).out == "bed bed-1: already discharged\n"


def test_all_that_nobody_has_seen_is_acknowledged_by_one_word_each_with_who_did_it(
    ward: StoredWard, config: str
) -> None:
    lively(ward)
    done = run("alarms", "ack", "--all", "--yes", "--by", "ann", config)
    assert done.code == 0
    assert done.out.splitlines() == [
        "alarm 1: acknowledged by ann (■ RED of bed-1)",
        "alarm 2: acknowledged by ann (♥ HEART RATE high of bed-2)",
        "alarm 5: acknowledged by ann (✕ NO DATA no heart rate of bed-2)",
        "alarm 4: acknowledged by ann (▲ AMBER of bed-4)",
    ]
    assert "alarm 2: ♥ HEART RATE high of bed-2, 139.25 bpm, not seen, " in done.err
    assert "4 of 4 alarms acknowledged by ann" in done.err
    rows = {row["id"]: row for row in stored(ward, "alarm_episodes")}
    assert {rows[number]["acknowledged_by"] for number in (1, 2, 4, 5)} == {"ann"}
    assert rows[6]["acknowledged_by"] == ""
    again = run("alarms", "ack", "--all", "--yes", config)
    assert (again.code, again.out) == (0, "")
    assert "no alarm that nobody has seen" in again.err


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        (("--cause", "NO_DATA"), [5]),
        (("--cause", "no_data", "--patient", "bed-2"), [5]),
        (("--patient", "bed-2"), [2, 5]),
        (("--cause", "RED", "--patient", "bed-2"), []),
    ],
)
def test_all_of_a_cause_or_of_a_patient(
    ward: StoredWard, peers: PeersOf, config: str, words: tuple[str, ...], ids: list[int]
) -> None:
    lively(ward)
    done = run("alarms", "ack", "--all", *words, "--yes", "--by", "ann", config, "-o", "json")
    assert done.code == 0
    assert [json.loads(line)["target"] for line in done.out.splitlines()] == ids
    assert [request.target for request in peers.acted] == ids


def test_all_asks_first_and_without_a_yes_nothing_is_done(
    ward: StoredWard, peers: PeersOf, config: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lively(ward)
    done = run("alarms", "ack", "--all", "--by", "ann", config)
    assert (done.code, done.out) == (1, "")
    assert "say it again with --yes" in done.err
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    asked: list[str] = []
    answers = iter((False, True))

    def confirm(question: str, err: bool) -> bool:
        assert not peers.acted
        asked.append(question)
        return next(answers)

    monkeypatch.setattr("click.confirm", confirm)
    assert [run("alarms", "ack", "--all", "--by", "ann", config).code for _ in range(2)] == [1, 0]
    assert asked == ["acknowledge these 4 alarms as ann?"] * 2
    assert len(peers.acted) == 4


def test_an_alarm_that_comes_meanwhile_is_not_acknowledged_unseen(
    ward: StoredWard, config: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ward.report(0, 0.9)

    def confirm(question: str, err: bool) -> bool:
        ward.report(10, 0.9, "bed-2")
        ward.act(20, "ack", 1, "bob")
        return True

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.confirm", confirm)
    done = run("alarms", "ack", "--all", "--by", "ann", config)
    assert done.out == "alarm 1: already seen, or over (■ RED of bed-1)\n"
    assert "0 of 1 alarm acknowledged by ann; 1 had been seen by then" in done.err
    assert [row["acknowledged_by"] for row in stored(ward, "alarm_episodes")] == ["bob", ""]


def test_when_the_mesh_goes_away_meanwhile_it_is_said_how_many_were_acknowledged(
    ward: StoredWard, peers: PeersOf, config: str
) -> None:
    lively(ward)
    peers.says = lambda peer, request: (
        wire.encode_reply("NO_QUORUM") if isinstance(request, wire.Act) and len(peers.acted) == 2 else None
    )
    done = run("alarms", "ack", "--all", "--yes", "--by", "ann", "--timeout", "0.3", config)
    assert done.code == 4
    assert len(done.out.splitlines()) == 2
    assert "2 of 4 alarms were acknowledged before" in done.err


def test_nobody_to_be_named_is_asked_for_a_name(config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise OSError("no such user")

    monkeypatch.setattr("getpass.getuser", nobody)
    done = run("alarms", "ack", "1", config)
    assert done.code == 6
    assert "--by NAME" in done.err


def test_an_ack_follows_the_leader_over_a_failover_and_busy_peers(
    ward: StoredWard, peers: PeersOf, config: str
) -> None:
    ward.report(0, 0.9)
    peers.leader = 3
    said: list[int] = []

    def says(peer: int, request: wire.Request) -> bytes | None:
        if not isinstance(request, wire.Act):
            return None
        said.append(peer)
        if len(said) <= 2:
            return wire.encode_reply("NO_QUORUM")
        return wire.encode_reply("BUSY", retry_ms=5) if len(said) == 3 else None

    peers.says = says
    peers.peers[1].die()
    assert run("alarms", "ack", "1", config).code == 0
    assert len(peers.acted) == 1
    assert len(said) >= 4


@pytest.mark.parametrize(("status", "code"), [("NO_QUORUM", 4), ("BUSY", 8), ("", 3)])
def test_what_is_not_known_to_be_done_says_so_and_is_never_0(
    ward: StoredWard, peers: PeersOf, config: str, status: str, code: int
) -> None:
    ward.report(0, 0.9)
    more = {"retry_ms": 5} if status == "BUSY" else {}
    peers.says = lambda peer, request: wire.encode_reply(status, **more)
    if not status:
        peers.close()
    done = run("alarms", "ack", "1", "--timeout", "0.4", config)
    assert (done.code, done.out) == (code, "")
    assert "whether alarm 1 was acknowledged is not known" in done.err


def test_an_ack_without_a_quorum_says_whom_it_waits_for_and_so_does_the_error(
    ward: StoredWard, peers: PeersOf, config: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leader_wait, "SAY_AFTER_S", 0.1)
    ward.report(0, 0.9)
    alone = {"id": 1, "role": "precandidate", "term": 2, "serves": False, "quorum": False, "founded": True}
    peers.says = lambda peer, request: (
        wire.encode_reply("NO_QUORUM") if isinstance(request, wire.Act) else wire.encode_reply("OK", peer=alone)
    )
    peers.peers[2].die()
    peers.peers[3].die()
    done = run("alarms", "ack", "1", "--timeout", "1.5", config)
    away = "peers 2 and 3 do not answer, peer 1 does"
    first, error, hint = done.err.splitlines()
    assert (done.code, done.out) == (4, "")
    assert re.fullmatch(rf"waiting for a leader: no quorum, {away} \([012] s more at most\)", first)
    assert error == f"error: no quorum for 1.5 s: {away}"
    assert "hfzmq alarms ls" in hint


# ------------------------------------------------------------ watch


def test_watch_prints_what_comes_and_ends_after_count(ward: StoredWard, peers: PeersOf, config: str) -> None:
    ward.report(0, 0.9)  # before: lines 1 and 2

    def says(peer: int, request: wire.Request) -> bytes | None:
        if isinstance(request, AlarmEvents) and request.before_id is None and ward.index == 1:
            ward.act(10, "ack", 1, "ann")
        return None

    peers.says = says
    done = run("alarms", "watch", "--count", "1", "--timeout", "20", config, "-o", "jsonl")
    assert done.code == 0
    (line,) = map(json.loads, done.out.splitlines())
    assert line == {
        "id": 3, "episode_id": 1, "at_ms": START_MS + 10, "what": "acknowledged", "detail": "ann",
        "patient_id": "bed-1", "cause": "RED",
    }  # fmt: skip


def test_watch_from_a_line_on_and_8_with_too_few(ward: StoredWard, peers: PeersOf, config: str) -> None:
    lively(ward)
    lines = stored(ward, "alarm_events")
    done = run("alarms", "watch", "--after", "3", "--count", "999", "--timeout", "0.5", config, "-o", "jsonl")
    assert done.code == 8
    assert [json.loads(line)["id"] for line in done.out.splitlines()] == [line["id"] for line in lines[3:]]
    assert f"--after {lines[-1]['id']}" in done.err
    told = run("alarms", "watch", "--after", "0", "--timeout", "0.3", config)
    assert told.code == 0
    assert f"{len(lines)}" == str(len(told.out.splitlines()))
    assert "♥ HEART RATE high bed-2 alarm 2: raised: high" in told.out


def test_watch_without_any_daemon_is_3(config: str, peers: PeersOf) -> None:
    peers.close()
    assert run("alarms", "watch", "--timeout", "0.3", config).code == 3


def test_no_line_is_missed_or_told_twice_while_peers_die_fall_behind_and_come_back(
    ward: StoredWard, peers: PeersOf
) -> None:
    ward.report(0, 0.9)
    follower = Follower(peers.config, lambda sentence: said.append(sentence))
    said: list[str] = []
    seen: list[Line] = []
    until = time.monotonic() + 60
    assert follower.begin(None, until) == 2
    done = threading.Event()

    def follow() -> None:
        for line in follower.lines(until):
            seen.append(line)
            if done.is_set() and len(seen) == wanted:
                return

    wanted = 60
    thread = threading.Thread(target=follow)
    thread.start()
    for turn in range(20):  # each turn is three lines: resolved, raised, escalated
        at, peer = 1000 + turn * 1000, turn % 3 + 1
        peers.upto = {peer: turn}
        if turn % 4 == 0:
            peers.peers[peer].die()
        if turn == 10:
            for one in peers.peers.values():
                one.die()
        ward.act(at, "resolve")
        ward.tell(at + 100, Sign("bed-1", START_MS + at + 100, "GREEN", 0.1))
        done.set()
        ward.report(at + 200, 0.9)
        if turn != 10:
            eventually(lambda turn=turn: len(seen) >= 3 * (turn + 1) or all(  # type: ignore[misc]
                one._stop.is_set() for one in peers.peers.values()))  # fmt: skip
        for number in peers.peers:
            if peers.peers[number]._stop.is_set():
                peers.revive(number)
    eventually(lambda: len(seen) >= wanted)
    thread.join(10)
    assert [line.line.id for line in seen] == list(range(3, wanted + 3))
    lines = stored(ward, "alarm_events")
    assert [line.line._asdict() for line in seen] == lines[2:]
    assert {line.patient_id for line in seen} == {"bed-1"}


def test_it_is_said_when_nobody_hears_a_leader_and_when_somebody_does_again(
    ward: StoredWard, peers: PeersOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hfzmq.cli.alarms.follow.SAY_AFTER_S", 0.1)
    said: list[str] = []
    follower = Follower(peers.config, said.append)
    until = time.monotonic() + 20
    follower.begin(None, until)
    peers.stale_ms = dict.fromkeys(peers.peers, None)
    ended = threading.Event()
    thread = threading.Thread(target=lambda: ended.set() if [*follower.lines(until)] else None, daemon=True)
    thread.start()
    eventually(lambda: len(said) == 1)
    assert said == ["NOT LIVE: no peer that answers hears a leader; what was missed will follow"]
    peers.stale_ms = {}
    eventually(lambda: said[-1] == "live again")


def test_a_peer_of_another_version_is_an_error_not_a_guess(ward: StoredWard, peers: PeersOf, config: str) -> None:
    lively(ward)
    peers.says = lambda peer, request: (
        wire.encode_reply("OK", fields=["id", "cause"], rows=[[1, "RED"]], more=False)
        if not isinstance(request, wire.Status)
        else None
    )
    done = run("alarms", "ls", config)
    assert (done.code, done.out) == (1, "")
    assert "in a way this version does not know" in done.err
    nobody = Follower(peers.config._replace(peers=peers.config.peers[:1]), lambda _: None)
    peers.peers[1].die()
    with pytest.raises(NoDaemonReached):
        nobody.begin(None, time.monotonic() + 0.2)


# ------------------------------------------------------------ stats, simulate


def test_stats_of_a_file_count_what_is_in_it(ward: StoredWard) -> None:
    lively(ward)
    ward.tell(3 * MINUTE)
    found = json.loads(db(ward, "stats", "-o", "json").out)
    assert found["raised"] == len(stored(ward, "alarm_episodes"))
    assert found["by_cause"]["HEART_RATE"]["alarms"] == 1
    assert found["beds"] == 5
    assert (found["since_ms"], found["until_ms"]) == (START_MS, START_MS + 3 * MINUTE)
    days = 3 * MINUTE / 86_400_000
    assert found["by_cause"]["HEART_RATE"]["per_bed_and_day"] == pytest.approx(1 / (5 * days), rel=1e-4)
    assert (found["seen_in_time"], found["unseen"]) == (2, found["raised"] - 2)
    told = db(ward, "stats").out
    assert f"seen within 60 s: 2 of {found['judged']}" in told
    assert "♥ HEART RATE" in told
    assert json.loads(db(ward, "stats", "--patient", "bed-3", "-o", "json").out)["beds"] == 1


def test_stats_of_nothing_are_not_found(ward: StoredWard) -> None:
    for words in (("stats",), ("simulate", "--amber", "0.5")):
        done = db(ward, *words)
        assert (done.code, done.out) == (5, "")
        assert "no alarm, no report and no heart rate is stored here yet: there is nothing to count" in done.err
        assert "GREEN judgements are never stored" in done.err


def test_simulate_replays_to_the_end_of_the_span_that_it_names(
    ward: StoredWard, config: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ward.heart(0, 72, 73, patient="bed-2")
    monkeypatch.setattr("hfzmq.cli.alarms.reckon._now_ms", lambda: START_MS + 3 * MINUTE + 7000)
    found = json.loads(run("alarms", "simulate", "--set", "silent_ms=600000", config, "-o", "json").out)
    assert found["until_ms"] - found["since_ms"] == 3 * MINUTE + 7000
    assert (found["present"]["alarms"]["NO_DATA"], found["other"]["alarms"]["NO_DATA"]) == (1, 0)
    told = run("alarms", "simulate", "--set", "silent_ms=600000", config)
    assert told.out.startswith("2 stored rows, 3 min 7 s: ")
    assert "note: rates for a day that are reckoned from 3 min 7 s say little" in told.err


def test_a_mesh_counts_like_its_file(ward: StoredWard, config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lively(ward)
    monkeypatch.setattr("hfzmq.cli.alarms.reckon._now_ms", lambda: START_MS + 41_000)
    one = json.loads(run("alarms", "stats", config, "-o", "json").out)
    other = json.loads(db(ward, "stats", "-o", "json").out)
    assert one["by_cause"].keys() == other["by_cause"].keys()
    assert (one["raised"], one["since_ms"], one["until_ms"]) == (other["raised"], other["since_ms"], other["until_ms"])


def test_simulate_tells_both_sides_and_both_ways_of_reading_agree(
    ward: StoredWard, config: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for minute in range(10):
        ward.report(minute * 3 * MINUTE, 0.4)
        ward.report(minute * 3 * MINUTE + 1000, 0.4)
        ward.heart(minute * 3 * MINUTE + 2000, 72, 73, patient="bed-2")
    ward.report(31 * MINUTE, 0.55)
    ward.report(31 * MINUTE + 1000, 0.56)
    monkeypatch.setattr("hfzmq.cli.alarms.reckon._now_ms", lambda: START_MS + 32 * MINUTE)
    done = db(ward, "simulate", "--amber", "0.5", "-o", "json")
    assert done.code == 0
    found = json.loads(done.out)
    assert found["rows"] == 42
    assert (found["present"]["alarms"]["AMBER"], found["other"]["alarms"]["AMBER"]) == (11, 1)
    assert found["other"]["rules"]["amber_on"] == 0.5
    days = (found["until_ms"] - found["since_ms"]) / 86_400_000
    assert found["other"]["per_bed_and_day"]["AMBER"] == pytest.approx(1 / (2 * days))
    meshed = json.loads(run("alarms", "simulate", "--amber", "0.5", config, "-o", "json").out)
    for side in ("present", "other"):
        assert (meshed[side]["alarms"], meshed[side]["days"]) == (found[side]["alarms"], found[side]["days"])
    told = db(ward, "simulate", "--amber", "0.5", "--set", "silent_ms=600000")
    assert "amber_on" in told.out
    assert "silent_ms" in told.out
    assert "note: assumed" in told.err


def test_a_file_is_replayed_beside_the_rules_that_its_log_has_set(ward: StoredWard) -> None:
    ward.tell(0, RulesSet(DEFAULT_RULES._replace(amber_on=0.5, amber_off=0.45)))
    ward.report(1000, 0.4)
    found = json.loads(db(ward, "simulate", "--set", "red_readings=2", "-o", "json").out)
    assert found["present"]["rules"]["amber_on"] == 0.5
    assert found["other"]["rules"]["red_readings"] == 2


def test_the_last_days_only_are_replayed(ward: StoredWard) -> None:
    for day in range(4):
        ward.report(day * 1440 * MINUTE, 0.9)
        ward.heart(day * 1440 * MINUTE + 1, 72)
    found = json.loads(db(ward, "simulate", "--red", "0.7", "--days", "1.5", "-o", "json").out)
    assert found["rows"] == 4
    assert len(found["present"]["days"]) == 2


@pytest.mark.parametrize(
    ("setting", "field"),
    [("red_on=7", "red_on"), ("nonsense=1", "nonsense"), ("red_on", "set"), ("=1", "set"), ("amber_ms=x", "amber_ms")],
)
def test_rules_that_cannot_be_are_named(ward: StoredWard, setting: str, field: str) -> None:
    ward.report(0, 0.9)
    done = db(ward, "simulate", "--set", setting)
    assert (done.code, done.out) == (6, "")
    assert done.err.startswith(f"error: {field}: ")
