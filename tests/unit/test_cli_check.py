"""``hfzmq check``: always one line, its word is its exit code, the worst comes first; it never breaks, never hangs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from hfzmq.cli.nagios import CRITICAL, OK, UNKNOWN, WARNING, WORDS, Finding, Number, line, worst
from hfzmq.client.key_faults import key_fault
from hfzmq.client.line import AUTH
from hfzmq.config import render
from hfzmq.daemon.muster import HEARS_ALL
from tests.unit.cli_world import CONFIG, FOREIGN, WALL_MS, Answer, members_told, run, says, status_of, two_histories

Answers = dict[int, Answer | None]


@pytest.fixture
def path(tmp_path: Path) -> str:
    file = tmp_path / "peers.yaml"
    file.write_text(render(CONFIG))
    return str(file)


@pytest.fixture
def mesh(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """What the peers answer to ``status``; under 0, what they answer to ``alarms``; under -N, why N refuses our key."""
    told: Answers = {0: alarms_told()}

    def ask_all(
        config: Any, op: str, fields: Any = None, timeout_ms: int = 0, only: int | None = None, refusing: Any = None,
        **_: Any,
    ) -> Answers:  # fmt: skip
        assert timeout_ms <= 1500
        if op == "alarms":
            assert fields["state"] == "open"
            answer, limit = told[0] or {}, fields["limit"]
            if "more" not in answer:
                return {only or 0: answer}
            rows = [row for row in answer["rows"] if row[0] > fields["after_id"]]
            return {only or 0: answer | {"rows": rows[:limit], "more": len(rows) > limit}}
        return status_of(told, config.peer_ids, only, refusing)

    monkeypatch.setattr("hfzmq.client.ask.ask_all", ask_all)
    return told


def alarms_told(*raised: tuple[str, int], state: str = "unacknowledged", log_ahead_ms: int = 0) -> Answer:
    """(cause, seconds ago)."""
    log_now_ms = WALL_MS + log_ahead_ms
    rows = [[n, "bed", cause, state, log_now_ms - 1000 * ago] for n, (cause, ago) in enumerate(raised, 1)]
    fields = ["id", "patient_id", "cause", "state", "raised_at_ms"]
    return {"v": 1, "status": "OK", "fields": fields, "rows": rows, "more": False, "log_now_ms": log_now_ms}


def well(**more: Any) -> Answers:
    told = members_told()
    return {1: says(1, "leader", **told, **more), 2: says(2, **told), 3: says(3, **told)}


def checked(path: str, code: int, *words: str) -> str:
    """The one line."""
    done = run("check", "--config", path, *words)
    assert done.code == code, done
    assert done.err == ""
    assert done.out.count("\n") == 1
    assert done.out.startswith(f"{WORDS[code]} - ")
    assert done.out.count("|") <= 1
    return done.out


def test_a_mesh_that_is_well_is_ok_with_its_numbers(path: str, mesh: Answers) -> None:
    mesh.update(well())
    found = checked(path, OK)
    assert "mesh ward: peer 1 leads in term 7, 3 of 3 peers answer | peers=3 reachable=3 lag=0;1000;20000" in found
    assert "red_unseen=0 red_oldest=0s;60;300" in found
    assert "applied=810c" in found


def test_each_fault_has_its_word(path: str, mesh: Answers) -> None:
    told = members_told()
    for answers, code, words in (
        ({}, CRITICAL, "no daemon answered at 127.0.0.1:7010"),
        ({1: FOREIGN, 2: FOREIGN, 3: FOREIGN}, CRITICAL, "another mesh"),
        (well() | {3: None}, WARNING, "peer 3 does not answer"),
        (well() | {2: None, 3: None}, WARNING, "peers 2 and 3 do not answer"),
        ({1: says(1, serves=False, **told), 2: says(2, **told)}, CRITICAL, "no leader with a quorum"),
        ({1: says(1, **members_told(0, founded=False))}, CRITICAL, "has not begun"),
        (well() | {2: says(2, state_hash="cd" * 16, **told)}, CRITICAL, "state differs at applied index 810"),
        (well(differs=[3]), CRITICAL, "peer 1 saw another state at peer 3"),
        (well() | {2: says(2, last_index=-400, **told)}, WARNING, "peer 2 is 1,212 entries behind"),
        (well(last_index=50_000), CRITICAL, "entries behind"),
        (well(refused_peers=[2]), WARNING, "peer 1 refuses peer 2"),
        (well() | {3: says(3, amnesia="one flipped bit", **members_told(6, {1: "voter", 2: "voter"}))}, WARNING,
         "does not trust its disk: one flipped bit"),
        (well(counters={"peer_message_other_version": 9}), WARNING, "another version"),
        (well(settings={"a.b": 1}) | {2: says(2, settings={"a.b": 2}, **told)}, WARNING,
         "peer 2's peers.yaml differs: a.b 2 against 1"),
        (well(files_aside=2), WARNING, "set damaged files aside 2 times"),
        (well(disk_free_bytes=500 << 20), WARNING, "500 MiB of disk left"),
        (well(disk_free_bytes=5 << 20), CRITICAL, "5 MiB of disk left"),
    ):  # fmt: skip
        mesh.clear()
        mesh.update({0: alarms_told(), **answers})
        assert words in checked(path, code), words


def long_up(peer: int, disk: str, hears: tuple[int, ...], told: dict[str, Any], **more: Any) -> Answer:
    """A peer that has run for long, with a disk of its own."""
    heard = [[one, 40, "follower", 7, 812, 810, "ab" * 16] for one in hears]
    return says(peer, **{"incarnation": disk * 16, "uptime_ms": 90_000, "hears": heard, **told, **more})


def test_a_link_that_is_broken_while_both_ends_live_is_a_warning(path: str, mesh: Answers) -> None:
    told = members_told()
    first = long_up(1, "aa", (2,), told, role="leader", serves=True)
    mesh.update({1: first, 2: long_up(2, "aa", (1, 3), told), 3: long_up(3, "aa", (2,), told)})
    assert "WARNING - peers 1 and 3 do not hear each other |" in checked(path, WARNING)


def test_who_is_heard_and_answers_nothing_is_a_warning_though_all_look_well(path: str, mesh: Answers) -> None:
    told = members_told()
    mesh[1] = long_up(1, "aa", (2, 3), told, role="leader", serves=True, unanswering=[3])
    mesh.update({2: long_up(2, "aa", (1, 3), told), 3: long_up(3, "aa", (1, 2), told)})
    assert "WARNING - peer 3 is heard, and answers nothing that peer 1, the leader, sends |" in checked(path, WARNING)
    status = run("status", "--config", path)
    assert "note: peer 3 is heard, and answers nothing that peer 1, the leader, sends: on that machine" in status.out
    assert "answers nothing that peer 1" in run("doctor", "--config", path).out


def test_a_restored_peer_says_whom_it_waits_for_and_no_word_of_a_mesh_that_begins(path: str, mesh: Answers) -> None:
    waits = "waits for peer 3; not restored from this backup: peer 3"
    mesh.update(
        {1: says(1, leader=0, quorum=False, restored=waits), 2: says(2, leader=0, quorum=False, restored=waits)}
    )
    mesh[3] = says(3, leader=0, quorum=False, **members_told(0, founded=False))
    found = checked(path, CRITICAL)
    assert f"has not begun: peer 1 is restored, and {waits}; peer 2 is restored, and {waits}" in found
    status = run("status", "--config", path)
    assert status.code == 4
    assert f"peer 1 is restored, and {waits}" in status.err
    assert "do:  restore and start those, from the same backup" in run("doctor", "--config", path).out
    assert "from the same backup" in status.err
    assert "about to begin" not in status.out + status.err
    mesh[3] = None
    assert "an election takes" not in run("status", "--config", path).err


def test_restored_peers_that_hear_all_others_send_nobody_to_restore(path: str, mesh: Answers) -> None:
    mesh.update({peer: says(peer, leader=0, quorum=False, restored=HEARS_ALL) for peer in (1, 2, 3)})
    status = run("status", "--config", path)
    assert f"peer 3 is restored, and {HEARS_ALL}\nhint: hfzmq status again in a moment" in status.err
    assert "restore and start" not in status.err + run("doctor", "--config", path).out


def test_two_directories_that_were_exchanged_are_told_as_that_and_nobody_is_sent_to_restore(
    path: str, mesh: Answers
) -> None:
    told, empty = members_told(), members_told(0, founded=False)
    new = {"last_index": 0, "applied_index": 0}
    mesh[1] = long_up(1, "aa", (), told, last_index=5434)
    for peer, other in ((2, 3), (3, 2)):
        mesh[peer] = long_up(peer, "bb", (), empty, others_files=[other], **new)
    for command, codes in (("check", (2,)), ("status", (4,)), ("peer ls", (4,)), ("doctor", (1,))):
        done = run(*command.split(), "--config", path)
        said = done.out + done.err
        assert done.code in codes, done
        assert "peer 2 begins with nothing in a directory that holds the files of peer 3" in said
        assert "restore nothing and remove nothing before" in said
        assert "hfzmq restore" not in said
        assert "must be replaced" not in said


def test_patients_alarms_can_be_left_out(path: str, mesh: Answers) -> None:
    mesh.update(well())
    mesh[0] = alarms_told(("RED", 400))
    checked(path, CRITICAL)
    assert "red_unseen" not in checked(path, OK, "--no-alarms")


@pytest.mark.parametrize("what", ["red", "lag"])
def test_a_warning_that_would_come_after_critical_is_refused(path: str, mesh: Answers, what: str) -> None:
    mesh.update(well())
    done = checked(path, UNKNOWN, f"--{what}-warning", "6", f"--{what}-critical", "5")
    assert f"--{what}-warning: at most --{what}-critical, 5, got 6" in done
    checked(path, OK, f"--{what}-warning", "5", f"--{what}-critical", "5")


def test_the_only_copy_is_critical_and_says_not_to_touch_it(path: str, mesh: Answers) -> None:
    told, empty = members_told(), members_told(0, founded=False)
    new = {"last_index": 0, "applied_index": 0}
    mesh.update({1: long_up(1, "bb", (), empty, **new), 3: long_up(3, "bb", (), empty, **new)})
    mesh[2] = long_up(2, "aa", (), told, last_index=5434)
    found = checked(path, CRITICAL)
    assert "CRITICAL - peer 2 alone holds data, until entry 5,434: peers 1 and 3 came back with other disks" in found
    assert "do not touch peer 2; hfzmq backup --peer 2 FILE" in found


def test_one_peer_asked_alone_says_whether_it_is_empty_or_holds_what_others_lost(path: str, mesh: Answers) -> None:
    told, empty = members_told(), members_told(0, founded=False)
    lost = {"quorum": False, "leader": 0}
    mesh[1] = long_up(1, "bb", (2,), empty, last_index=0, applied_index=0, **lost)
    found = checked(path, CRITICAL, "--peer", "1")
    assert "peer 1 is empty, and peer 2 holds data until entry 812: do not touch that one" in found
    mesh[2] = long_up(2, "aa", (), told, last_index=5434, replaced=[1, 3], **lost)
    found = checked(path, CRITICAL, "--peer", "2")
    assert (
        "peers 1 and 3 came back with other disks, a majority of them is gone, and peer 2 holds data until entry"
        in found
    )
    assert "do not touch it; were directories exchanged? hfzmq check, without --peer; if not: hfzmq backup" in found
    assert "--peer 2 FILE" in found
    mesh[1] = long_up(1, "bb", (), empty, last_index=0, applied_index=0, **lost)
    assert "mesh ward has not begun: a new mesh begins" in checked(path, CRITICAL, "--peer", "1")


def test_a_peer_that_asks_to_join_answers_and_one_that_learns_is_not_critical_however_far_behind(
    path: str, mesh: Answers
) -> None:
    told = members_told(roles={1: "voter", 2: "voter", 3: "learner"})
    first = long_up(1, "aa", (2, 3), told, role="leader", serves=True, last_index=90_000)
    second = long_up(2, "aa", (1, 3), told, last_index=90_000)
    mesh.update({1: first, 2: second, 3: long_up(3, "aa", (1, 2), told)})
    found = checked(path, WARNING)
    assert "peer 3 is catching up, 89,188 entries behind the leader |" in found
    assert "lag=0;" in found
    mesh[3] = long_up(3, "bb", (1, 2), members_told(0, founded=False))
    found = checked(path, WARNING)
    assert "WARNING - peer 3 came back with another disk and asks to join |" in found
    assert "peers=3 reachable=3" in found


def test_who_refuses_the_key_is_not_said_to_be_away(path: str, mesh: Answers) -> None:
    refusing: Any = {-3: AUTH}
    mesh.update(well() | {3: None} | refusing)
    found = checked(path, WARNING)
    assert "peer 3 does not accept " in found
    assert "does not answer" not in found


def test_a_key_that_is_missing_or_that_everybody_refuses_is_unknown_with_its_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "peers.yaml"
    path.write_text(render(CONFIG, security=False))
    assert run("keys", "init", "--config", str(path)).code == 0

    def refused(config: Any, *_: Any, **__: Any) -> None:
        raise key_fault(config, {1: AUTH})

    monkeypatch.setattr("hfzmq.client.ask.ask_all", refused)
    assert f"peer 1 does not accept {tmp_path}/keys/admin.secret" in checked(str(path), UNKNOWN)
    ward = f"{tmp_path}/keys/ward.secret"
    assert f"peer 1 does not accept {ward}" in checked(str(path), UNKNOWN, "--key", ward)
    (tmp_path / "keys" / "admin.secret").chmod(0o644)
    assert "others can read this secret key" in checked(str(path), UNKNOWN)
    assert "no such secret key" in checked(str(path), UNKNOWN, "--key", f"{tmp_path}/none")


def test_only_red_alarms_that_nobody_has_seen_for_long_count(path: str, mesh: Answers) -> None:
    mesh.update(well())
    for raised, code in (
        ((("AMBER", 9000), ("RED", 59)), OK),
        ((("RED", 61), ("RED", 5)), WARNING),
        ((("RED", 301),), CRITICAL),
    ):
        mesh[0] = alarms_told(*raised)
        checked(path, code)
    assert "1 RED alarm unseen, the oldest for 301 s" in checked(path, CRITICAL)
    assert "red_oldest=301s;400;500" in checked(path, OK, "--red-warning", "400", "--red-critical", "500")


def test_a_red_alarm_whose_cause_is_over_counts_until_somebody_has_seen_it(path: str, mesh: Answers) -> None:
    mesh.update(well())
    mesh[0] = alarms_told(("RED", 301), state="returned")
    assert "1 RED alarm unseen, the oldest for 301 s" in checked(path, CRITICAL)
    mesh[0] = alarms_told(("RED", 301), state="acknowledged")
    assert "red_unseen=0" in checked(path, OK)


def test_a_red_alarm_behind_a_thousand_others_counts(path: str, mesh: Answers) -> None:
    mesh.update(well())
    mesh[0] = alarms_told(*[("AMBER", 9000)] * 2345, ("RED", 301))
    assert "1 RED alarm unseen, the oldest for 301 s" in checked(path, CRITICAL)


def test_how_long_a_red_alarm_has_waited_is_by_the_logs_clock(path: str, mesh: Answers) -> None:
    mesh.update(well())
    mesh[0] = alarms_told(("RED", 301), log_ahead_ms=3_600_000)
    assert "1 RED alarm unseen, the oldest for 301 s" in checked(path, CRITICAL)


def test_one_peer_alone_can_be_asked(path: str, mesh: Answers) -> None:
    mesh.update({2: says(2, **members_told())})
    assert "peer 1 leads" in checked(path, OK, "--peer", "2")
    checked(path, CRITICAL, "--peer", "3")
    assert "no peer with id 9" in checked(path, UNKNOWN, "--peer", "9")


@pytest.mark.parametrize("answer", [{}, {"status": "OK"}, {"fields": ["id"], "rows": [[1]]}, {"fields": 7, "rows": 8}])
def test_alarms_that_cannot_be_read_are_unknown_and_hide_nothing_worse(
    path: str, mesh: Answers, answer: Answer
) -> None:
    mesh.update(well())
    mesh[0] = answer
    checked(path, UNKNOWN)
    mesh[3] = None
    assert "does not answer" in checked(path, WARNING)


@pytest.mark.parametrize(
    "words", [("--nonsense",), ("--peer", "zero"), ("--red-warning", "nan"), ("--timeout", "1e9"), ("extra",)]
)
def test_a_wrong_command_line_is_unknown_not_critical(path: str, words: tuple[str, ...]) -> None:
    checked(path, UNKNOWN, *words)


def test_a_wrong_file_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("mesh: [\n")
    for name in ("missing.yaml", "bad.yaml"):
        assert name in checked(str(tmp_path / name), UNKNOWN)


def test_what_breaks_inside_is_one_line_too(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("two\nlines | and a bar")

    monkeypatch.setattr("hfzmq.client.ask.ask_all", broken)
    assert "internal error: RuntimeError: two lines / and a bar" in checked(path, UNKNOWN)


def test_nobody_there_is_told_within_the_time(path: str) -> None:
    began = time.monotonic()
    checked(path, CRITICAL, "--timeout", "1")
    assert time.monotonic() - began < 10


def test_the_worst_comes_first_and_unknown_is_less_than_what_is_known_to_be_wrong() -> None:
    found = [Finding(OK, "fine"), Finding(UNKNOWN, "who knows"), Finding(WARNING, "odd"), Finding(CRITICAL, "down")]
    assert worst(found) == CRITICAL
    assert line(found) == "CRITICAL - down; odd; who knows"
    assert worst(found[:3]) == WARNING
    assert worst(found[:2]) == UNKNOWN
    assert line(found[:1], [Number("lag", 3, "", 10, 20), Number("t", 0.25, "s")]) == "OK - fine | lag=3;10;20 t=0.25s"


def test_two_histories_are_critical_whoever_is_asked_and_nothing_else_is_advised(path: str, mesh: Answers) -> None:
    mesh.update(two_histories())
    found = checked(path, CRITICAL)
    assert found.startswith("CRITICAL - peer 2 holds another history of this mesh (until entry 855) than peers 1 and 3")
    assert " (until entry 129): the mesh was begun anew on empty disks, and an old disk is back; touch no disk" in found
    assert "back both up: hfzmq backup --peer 2 FILE, hfzmq backup --peer 1 FILE2" in found
    assert "asks to join" not in found
    assert "do not hear" not in found
    for peer, beside in ((1, "peer 2 holds"), (2, "peers 1 and 3 hold")):
        alone = checked(path, CRITICAL, "--peer", str(peer))
        assert f"{beside} another history of this mesh than peer {peer} " in alone
    told = two_histories()[1]["peer"]
    mesh.update(
        {1: {"v": 1, "status": "OK", "peer": told | {"role": "follower", "serves": False, "quorum": False}}, 3: None}
    )
    assert "holds another history, and nothing is stored" in checked(path, CRITICAL)
