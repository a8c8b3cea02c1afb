"""``hfzmq status``: the documented JSON, rows for peers that are away, exit codes; differing states are shouted."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from hfzmq.cli.mesh_view import mesh_view
from hfzmq.cli.status import as_table
from hfzmq.client import ask
from hfzmq.client.line import AUTH, SERVER
from hfzmq.config import render
from tests.unit.cli_world import (
    CONFIG,
    FOREIGN,
    NEW_DISK,
    OLD_DISK,
    Answer,
    lives,
    members_told,
    run,
    says,
    status_of,
    two_histories,
)

Answers = dict[int, Answer | None]


@pytest.fixture
def path(tmp_path: Path) -> str:
    file = tmp_path / "peers.yaml"
    file.write_text(render(CONFIG))
    return str(file)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """What the peers answer; one that is not in here gives no answer."""
    told: Answers = {}

    def ask_all(config: Any, op: str, only: int | None = None, refusing: Any = None, **_: Any) -> Answers:
        assert op == "status"
        # The real one asks whoever the answers name, too.
        everybody = sorted({*config.peer_ids, *(peer for peer in told if peer > 0)})
        return status_of(told, everybody, only, refusing)

    monkeypatch.setattr("hfzmq.client.ask.ask_all", ask_all)
    return told


def test_json_has_the_documented_keys_and_values(path: str, answers: Answers) -> None:
    answers.update({1: says(1, "leader"), 2: says(2, last_index=800, applied_index=790, state_hash="cd" * 16)})
    done = run("status", "--config", path, "-o", "json")
    value = json.loads(done.out)
    assert done.code == 0
    assert {key: value[key] for key in ("mesh", "leader", "term", "quorum")} == {
        "mesh": "ward",
        "leader": 1,
        "term": 7,
        "quorum": True,
    }
    documented = (
        *("id", "role", "term", "last_index", "commit_index", "applied_index"),
        *("trails_leader_by", "reachable", "state_hash", "version"),
    )
    shown = [[peer[key] for key in documented] for peer in value["peers"]]
    assert shown == [
        [1, "leader", 7, 812, 811, 810, 0, True, "ab" * 16, "0.1.0"],
        [2, "follower", 7, 800, 811, 790, 12, True, "cd" * 16, "0.1.0"],
        [3, None, None, None, None, None, None, False, None, None],
    ]


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ({1: says(1, "leader"), 2: says(2)}, 0),
        ({1: says(1, "leader", quorum=False)}, 4),
        ({1: says(1, "leader", serves=False), 2: says(2)}, 4),
        ({2: says(2), 3: says(3)}, 4),
        ({}, 3),
    ],
)
def test_the_exit_code_tells_served_from_leaderless_from_unreached(
    path: str, answers: Answers, told: Answers, code: int
) -> None:
    answers.update(told)
    done = run("status", "--config", path)
    assert done.code == code
    assert ("error: " in done.err) is (code != 0)
    assert "unreachable: no answer" in done.out  # the rows are there all the same


def test_of_two_that_say_they_serve_the_higher_term_leads() -> None:
    view = mesh_view(CONFIG, {1: says(1, "leader", term=6), 2: says(2, "leader", term=8), 3: says(3, term=9)})
    assert (view.leader, view.term, view.quorum) == (2, 8, True)


def test_without_a_leader_the_term_is_the_highest_heard_and_nobody_trails_anybody() -> None:
    view = mesh_view(CONFIG, {1: says(1, "candidate", term=9), 2: says(2)})
    assert (view.leader, view.term, view.quorum) == (None, 9, False)
    assert [peer.trails_leader_by for peer in view.peers] == [None, None, None]


def test_a_peer_that_answered_later_than_the_leader_does_not_trail_by_less_than_nothing() -> None:
    view = mesh_view(CONFIG, {1: says(1, "leader"), 2: says(2, last_index=815)})
    assert view.peer(2).trails_leader_by == 0


def test_one_peer_asked_alone_tells_what_it_believes(path: str, answers: Answers) -> None:
    answers.update({1: says(1, "leader"), 2: says(2, leader=1)})
    done = run("status", "--config", path, "--peer", "2", "-o", "json")
    value = json.loads(done.out)
    assert done.code == 0
    assert (value["leader"], value["quorum"], [peer["id"] for peer in value["peers"]]) == (1, True, [2])
    answers[2] = says(2, leader=0, quorum=False)
    assert run("status", "--config", path, "--peer", "2").code == 4


def test_a_peer_that_the_mesh_has_not_is_refused(path: str) -> None:
    done = run("status", "--config", path, "--peer", "9")
    assert done.code == 6
    assert "no peer with id 9" in done.err


def test_equal_applied_and_different_state_is_shouted_on_every_output(path: str, answers: Answers) -> None:
    answers.update({1: says(1, "leader"), 2: says(2), 3: says(3, state_hash="ee" * 16)})
    for output in ("table", "json", "csv"):
        done = run("status", "--config", path, "-o", output)
        assert "ALARM: state differs at applied index 810" in done.err
    assert "!!! ALARM: state differs at applied index 810" in run("status", "--config", path).out
    value = json.loads(run("status", "--config", path, "-o", "json").out)
    assert value["mismatches"][0]["applied_index"] == 810


def test_different_states_at_different_applied_indexes_are_normal() -> None:
    view = mesh_view(CONFIG, {1: says(1, "leader"), 2: says(2, applied_index=700, state_hash="ee" * 16)})
    assert view.mismatches == ()


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (
            {"status": "REFUSED", "field": "mesh", "bound": "this mesh's id", "hint": ""},
            "refuses: mesh: this mesh's id",
        ),
        ({"status": "BUSY", "retry_ms": 100}, "answers BUSY"),
        (says(3), "answers as peer 3"),
        ({"status": "OK", "peer": "x"}, "answers OK"),
    ],
)
def test_whoever_answers_otherwise_is_a_row_that_says_how(answer: Answer, problem: str) -> None:
    peer = mesh_view(CONFIG, {1: says(1, "leader"), 2: answer}).peer(2)
    assert (peer.reachable, peer.role, peer.problem) == (False, None, problem)


def test_a_value_of_another_kind_is_unknown_and_not_shown_as_a_number() -> None:
    peer = mesh_view(CONFIG, {2: says(2, "king", term="7", last_index=True, state_hash=5, fsync_ms="x")}).peer(2)
    assert (peer.role, peer.term, peer.last_index, peer.state_hash, peer.fsync_ms) == (None,) * 5


def test_csv_has_a_line_for_each_peer(path: str, answers: Answers) -> None:
    answers.update({1: says(1, "leader")})
    rows = list(csv.DictReader(io.StringIO(run("status", "--config", path, "-o", "csv").out)))
    assert [(row["id"], row["role"], row["reachable"], row["term"]) for row in rows] == [
        ("1", "leader", "true", "7"),
        ("2", "", "false", ""),
        ("3", "", "false", ""),
    ]


def test_the_table_says_who_leads_and_who_is_away(path: str, answers: Answers) -> None:
    answers.update({1: says(1, "leader"), 2: says(2, last_index=800)})
    done = run("status", "--config", path)
    head, _, columns, first, second, third, stored = done.out.rstrip("\n").split("\n")
    assert stored == (
        "peer 1: 1,000 heart rates: 800 valid, 120 invalid_physiological, 60 invalid_system, 20 corrupted; "
        "200 alerts: 120 physiological_anomaly, 60 system_anomaly, 20 data_corruption"
    )
    assert head == "mesh ward: peer 1 leads in term 7, quorum yes, 2 of 3 peers answer"
    assert columns.split()[:2] == ["peer", "role"]
    assert first.split()[:7] == ["1", "leader", "7", "812", "811", "810", "0"]
    assert second.split()[:7] == ["2", "follower", "7", "800", "811", "810", "12"]
    assert third.split()[:4] == ["3", "unreachable:", "no", "answer"]


def test_peers_of_another_mesh_are_said_to_be_that(path: str, answers: Answers) -> None:
    answers.update({1: FOREIGN, 2: FOREIGN})
    done = run("status", "--config", path)
    assert done.code == 3
    assert "error: the daemons belong to another mesh: " in done.err


LOST = "peer 1 came back with other data than before: 2 and 3 do not listen to it; it must be replaced"


def test_a_peer_that_lost_its_data_is_said_loudly_in_every_output(path: str, answers: Answers) -> None:
    told = {1: says(1, "candidate"), 2: says(2, "leader", refused_peers=[1]), 3: says(3, refused_peers=[1])}
    answers.update(told)
    for output in ("table", "json", "csv"):
        done = run("status", "--config", path, "-o", output)
        assert (done.code, done.err) == (0, f"ALARM: {LOST}\n")
    value = json.loads(run("status", "--config", path, "-o", "json").out)
    assert [peer["refused_peers"] for peer in value["peers"]] == [[], [1], [1]]
    rows = list(csv.DictReader(io.StringIO(run("status", "--config", path, "-o", "csv").out)))
    assert [row["refused_peers"] for row in rows] == ["", "1", "1"]
    assert LOST in run("status", "--config", path).out


def test_one_that_does_not_listen_is_told_in_the_singular_and_no_key_or_another_kind_is_nobody() -> None:
    assert "2 does not listen" in mesh_view(CONFIG, {2: says(2, refused_peers=[1])}).alarms[0]
    for other in (None, "1", [None, "1", True], 1):
        assert mesh_view(CONFIG, {2: says(2, refused_peers=other)}).alarms == ()
    assert mesh_view(CONFIG, {2: says(2)}).alarms == ()


# ------------------------------------------------------------------------------------------------------------ members


def test_members_are_counted_and_not_the_lines_of_the_file(path: str, answers: Answers) -> None:
    four = members_told(roles={1: "voter", 2: "voter", 4: "learner"})
    answers.update({1: says(1, "leader", **four), 2: says(2, **four), 4: says(4, last_index=800, **four)})
    done = run("status", "--config", path)
    assert done.out.startswith("mesh ward: peer 1 leads in term 7, quorum yes, 3 of 3 peers answer\n")
    rows = [line.split()[:3] for line in done.out.splitlines()[3:7]]
    assert rows == [
        ["1", "leader", "7"],
        ["2", "follower", "7"],
        ["3", "no", "member,"],
        ["4", "learner", "7"],
    ]
    assert "note: peer 4 is a learner, 12 of 812 entries behind\n" in done.out
    assert f"note: peer 3 is in {path}, but no member of the mesh" in done.out
    value = json.loads(run("status", "--config", path, "-o", "json").out)
    assert [(peer["id"], peer["membership"]) for peer in value["peers"]] == [
        (1, "voter"),
        (2, "voter"),
        (3, "none"),
        (4, "learner"),
    ]
    assert (value["members_index"], value["founded"], value["waiting_for"]) == (5, True, [])


def test_a_removed_peer_that_still_answers_is_shown_and_not_counted(path: str, answers: Answers) -> None:
    two = members_told(9, {1: "voter", 2: "voter"})
    answers.update({1: says(1, "leader", **two), 2: says(2, **two), 3: says(3, quorum=False, **members_told(5))})
    done = run("status", "--config", path)
    assert "2 of 2 peers answer" in done.out
    assert "no member" in done.out.splitlines()[5]


def test_the_newest_list_counts_and_a_wiped_peers_memory_of_the_first_day_does_not() -> None:
    new, first = members_told(9, {1: "voter", 2: "voter"}), members_told(12, founded=False)
    view = mesh_view(CONFIG, {1: says(1, "leader", **new), 2: says(2, **members_told(5)), 3: says(3, **first)})
    assert (view.total, view.reached, view.founded) == (2, 2, True)
    assert view.told is not None
    assert view.told.index == 9


def test_a_member_with_a_new_disk_asks_and_does_not_answer_for_the_member_it_was() -> None:
    again = members_told(asking={3: "bb" * 16})
    view = mesh_view(CONFIG, {n: says(n, "leader" if n == 1 else "follower", **again) for n in (1, 2, 3)})
    assert (view.reached, view.total, view.peer(3).standing) == (2, 3, "asks to join")
    assert view.peer(3).incarnation == "bb" * 16
    healed = members_told(asking={3: "aa" * 16})  # it is the member by now, and was heard asking a moment ago
    view = mesh_view(CONFIG, {n: says(n, "leader" if n == 1 else "follower", **healed) for n in (1, 2, 3)})
    assert (view.reached, view.peer(3).standing) == (3, "follower")


def test_a_mesh_that_has_not_begun_says_for_whom_it_waits(path: str, answers: Answers) -> None:
    young = members_told(0, founded=False)
    answers[1] = says(1, "follower", leader=0, quorum=False, **young)
    done = run("status", "--config", path)
    waits = "waiting for peers 2 and 3: a new mesh begins when all its first peers are up"
    assert done.code == 4
    assert waits in done.out.splitlines()[0]
    assert f"error: the mesh has not begun: {waits}\nhint: start peers 2 and 3: hfzmq serve" in done.err
    answers.update({n: says(n, "follower", leader=0, quorum=False, **young) for n in (2, 3)})
    done = run("status", "--config", path)
    assert done.code == 4
    assert "its first peers are all up: the mesh is about to begin" in done.err
    one = run("status", "--config", path, "--peer", "1")
    assert "not begun: a new mesh begins" in one.out
    assert "error: the mesh has not begun: a new mesh begins when all" in one.err


def test_a_peer_that_does_not_trust_its_disk_is_an_alarm_until_it_votes_again(path: str, answers: Answers) -> None:
    why = "a row of the log is damaged"
    learner = members_told(roles={1: "voter", 2: "voter", 3: "learner"})
    answers.update({1: says(1, "leader", **learner), 2: says(2, **learner), 3: says(3, amnesia=why, **learner)})
    done = run("status", "--config", path, "-o", "json")
    assert done.err == f"ALARM: peer 3 does not trust its disk: {why}; it comes back as a learner\n"
    assert json.loads(done.out)["peers"][2]["amnesia"] == why
    answers.update({n: says(n, "leader" if n == 1 else "follower", amnesia=why, **members_told()) for n in (1, 2, 3)})
    done = run("status", "--config", path)
    assert "ALARM" not in done.err + done.out
    assert f"note: peer 3 did not trust its disk ({why})" in done.out


@pytest.mark.parametrize(
    "other",
    [
        {"members": "voter"},
        {"members": [[1, "a", 0, 1, 1, "", "voter"]]},
        {"founded": 1},
        {"members_index": None},
        {"asking": [[1]]},
    ],
)
def test_a_list_of_members_that_cannot_be_used_is_as_none(other: dict[str, object]) -> None:
    view = mesh_view(CONFIG, {1: says(1, "leader", **members_told() | other), 2: says(2)})
    assert (view.told, view.total, view.reached, view.founded) == (None, 3, 2, True)
    assert [peer.membership for peer in view.peers] == [None] * 3


@pytest.mark.parametrize(
    "other", [{"hears": "x"}, {"hears": [1, [2], ["a", 3], [4, None]]}, {"amnesia": 7}, {"amnesia": ""}]
)
def test_odd_values_about_members_are_unknown(other: dict[str, object]) -> None:
    peer = mesh_view(CONFIG, {1: says(1, "leader", **members_told() | other)}).peer(1)
    assert (peer.hears, peer.amnesia) == ((), None)


def hearing(*ids: int) -> list[list[object]]:
    return [[peer, 40, "follower", 7, 812, 810, "ab" * 16] for peer in ids]


def test_two_that_live_and_do_not_hear_each_other_are_named_with_a_leader_and_without(
    path: str, answers: Answers
) -> None:
    told = members_told()
    answers.update({
        1: says(1, "leader", **lives(told, OLD_DISK, hears=hearing(2))),
        2: says(2, **lives(told, OLD_DISK, hears=hearing(1, 3))),
        3: says(3, **lives(told, OLD_DISK, hears=hearing(2))),
    })  # fmt: skip
    done = run("status", "--config", path)
    assert (done.code, "note: peers 1 and 3 do not hear each other: the peer and beat ports" in done.out) == (0, True)
    answers[3] = says(3, **lives(told, OLD_DISK, hears=hearing(1, 2)))
    assert "peer 1 does not hear peer 3" in run("status", "--config", path).out
    answers.update({1: says(1, **lives(told, OLD_DISK, hears=[], quorum=False)), 2: None})
    answers[3] = says(3, **lives(told, OLD_DISK, hears=[], quorum=False))
    done = run("status", "--config", path)
    assert (done.code, "peers 1 and 3 do not hear each other" in done.err) == (4, True)


def test_one_that_has_just_begun_or_is_of_a_version_that_does_not_tell_is_not_said_to_be_deaf() -> None:
    told = members_told()
    young = {1: says(1, "leader", **told), 2: says(2, **told), 3: says(3, **told)}
    assert mesh_view(CONFIG, young).deaf == ()


def test_the_only_copy_is_named_with_what_to_do_and_the_empty_ones_are_no_members(path: str, answers: Answers) -> None:
    told, empty = members_told(), members_told(index=0, founded=False)
    new = {"last_index": 0, "applied_index": 0, "reports": 0, "quorum": False, "leader": 0}
    answers.update({
        1: says(1, **lives(empty, NEW_DISK, **new)),
        2: says(2, **lives(told, OLD_DISK, quorum=False, leader=0, last_index=5434)),
        3: says(3, **lives(empty, NEW_DISK, amnesia="no database", **new)),
    })  # fmt: skip
    done = run("status", "--config", path)
    assert done.code == 4
    assert "error: peer 2 alone holds data, until entry 5,434: peers 1 and 3 came back with other disks" in done.err
    assert "hint: do not touch peer 2; hfzmq backup --peer 2 FILE" in done.err
    assert "1 of 3 peers answer, peers 1 and 3 ask to join" in done.out
    assert "the leader takes it in by itself" not in done.out
    assert "it votes" not in done.out


def test_while_a_majority_may_still_be_there_nobody_is_told_to_restore() -> None:
    told, empty = members_told(), members_told(index=0, founded=False)
    one = {1: says(1, **lives(empty, NEW_DISK, quorum=False)), 2: says(2, **lives(told, OLD_DISK, quorum=False))}
    assert mesh_view(CONFIG, {**one, 3: None}).majority_lost is False
    assert mesh_view(CONFIG, {**one, 3: says(3, "leader", **lives(told, OLD_DISK))}).majority_lost is False


def test_a_second_process_with_the_id_of_one_that_lives_is_named_as_that(path: str, answers: Answers) -> None:
    told = members_told(asking={3: NEW_DISK * 16})
    told["members"] = members_told()["members"]
    answers.update({
        1: says(1, "leader", **lives(told, OLD_DISK, refused_peers=[3])),
        2: says(2, **lives(told, OLD_DISK, refused_peers=[3])),
        3: says(3, **lives(told, OLD_DISK)),
    })  # fmt: skip
    done = run("status", "--config", path)
    assert "ALARM: another process speaks as peer 3, which lives: 1 and 2 do not listen to it; stop it" in done.err
    assert "came back" not in done.out + done.err
    assert "3 of 3 peers answer" in done.out
    answers[3] = None
    assert "peer 3 came back with other data than before" in run("status", "--config", path).err


def test_a_peer_that_lost_its_disk_is_not_said_to_vote_and_not_to_need_a_replacement(
    path: str, answers: Answers
) -> None:
    told = members_told()
    answers.update({
        1: says(1, "leader", **lives(told, OLD_DISK, hears=hearing(2), refused_peers=[3])),
        2: says(2, **lives(told, OLD_DISK, hears=hearing(1), refused_peers=[3])),
        3: says(3, **lives(members_told(founded=False), NEW_DISK, amnesia="no database", uptime_ms=400)),
    })  # fmt: skip
    done = run("status", "--config", path)
    assert "peer 3 came back with another disk and asks to join again: the leader takes it in by itself" in done.out
    assert "it votes" not in done.out
    assert "must be replaced" not in done.out + done.err
    answers[3] = says(3, **lives(members_told(founded=False), NEW_DISK, uptime_ms=60_000))
    assert "peer 3 came back with other data than before" in run("status", "--config", path).err


def test_a_peer_that_runs_with_another_key_than_the_file_lists_is_not_told_to_be_started(
    path: str, answers: Any
) -> None:
    empty = members_told(index=0, founded=False)
    answers.update({1: says(1, quorum=False, **empty), 3: says(3, quorum=False, **empty), -2: SERVER})
    done = run("status", "--config", path)
    assert done.code == 4
    assert "what peer 2 holds is not known: it runs" in done.err
    assert "start peer 2" not in done.err


def test_json_has_what_the_docs_tell_to_look_for(path: str, answers: Answers) -> None:
    told = members_told(asking={4: "cc" * 16})
    answers.update({1: says(1, "leader", **told, differs=[3], counters={"connection_refused_key": 2})})
    value = json.loads(run("status", "--config", path, "-o", "json").out)
    first = value["peers"][0]
    assert (first["differs"], first["counters"], first["hears"]) == ([3], {"connection_refused_key": 2}, [])
    assert [one["id"] for one in value["asking"]] == [4]


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_at_every_width_each_number_of_each_peer_stands_whole_in_a_line(width: int) -> None:
    answers = {1: says(1, "leader"), 2: says(2), 3: None}
    text = as_table(mesh_view(CONFIG, answers), width)
    lines = text.split("\n")
    hash_of_peer = "ab" * 16
    assert all(len(line) <= width or line.strip() == hash_of_peer for line in lines)
    assert sum(hash_of_peer in line for line in lines) == 2
    for words in ("unreachable", "127.0.0.1:7020", "812"):
        assert any(words in line for line in lines)
    assert "1,000 heart rates: 800 valid" in " ".join(text.split())
    assert " ".join(as_table(mesh_view(CONFIG, answers)).split()).startswith("mesh ward: peer 1 leads in term 7")


WRONG_ADVICE = (
    "takes it in by itself",
    "must be replaced",
    "peer add",
    "no member of the mesh",
    "start",
    "in a moment",
)


@pytest.mark.parametrize("words", [("status",), ("peer", "ls")])
def test_two_histories_are_an_alarm_that_says_what_to_do_and_no_advice_contradicts_it(
    path: str, answers: Answers, words: tuple[str, ...]
) -> None:
    answers.update(two_histories())
    done = run(*words, "--config", path)
    assert done.code == 0, "two of three go on"
    alarm = "ALARM: peer 2 holds another history of this mesh (until entry 855) than peers 1 and 3 (until entry 129): "
    assert alarm in done.err
    assert "touch no disk, back both up: hfzmq backup --peer 2 FILE, hfzmq backup --peer 1 FILE2" in done.err
    assert "2 of 3 peers answer, peer 2 holds another history" in done.out
    answers[3] = None
    alone = run(*words, "--config", path)
    assert alone.code == 0, "one that serves has a quorum, whoever answers here"
    answers[1] = says(1, **{**two_histories()[1]["peer"], "role": "follower", "serves": False, "quorum": False})
    ended = run(*words, "--config", path)
    assert ended.code == 4
    assert "hint: do as the ALARM says: touch no disk before both are backed up" in ended.err
    for told in (done, ended):
        assert not [wrong for wrong in WRONG_ADVICE if wrong in told.out + told.err]


def test_states_of_two_histories_are_not_compared_and_the_old_one_is_not_behind(answers: Answers) -> None:
    view = mesh_view(CONFIG, two_histories())
    assert view.mismatches == ()
    assert view.leader == 1
    assert [peer.trails_leader_by for peer in view.peers] == [0, None, 0]
    assert view.told is not None
    assert view.told.index == 4, "the members are those of the history that goes on, however new the other list is"
    assert view.deaf == ()
    assert [peer.id for peer in view.reading] == [1, 3]


def test_another_history_that_only_the_peers_hear_is_an_alarm_too() -> None:
    (alarm,) = mesh_view(CONFIG, {**two_histories(), 2: None}).alarms
    assert alarm.startswith("peer 2 holds another history of this mesh than peers 1 and 3 (until entry 129): ")


def test_who_says_of_no_history_is_of_whichever_there_is() -> None:
    told = two_histories()
    told[2]["peer"] |= {"history": None, "other_histories": []}
    for peer in (1, 3):
        told[peer]["peer"]["other_histories"] = []
    assert mesh_view(CONFIG, told).histories == ()
    for nonsense in (7, "", "\x1b[2J", ["dd"]):
        told[2]["peer"]["history"] = nonsense
        assert mesh_view(CONFIG, told).histories == ()


@pytest.mark.parametrize(
    ("told", "newcomer"),
    [
        (members_told(roles={1: "voter", 2: "voter", 3: "learner"}), True),
        (members_told(asking={3: "bb" * 16}), True),  # wiped a moment ago
        (members_told(roles={1: "voter", 2: "voter"}, asking={3: "bb" * 16}), True),
        (members_told(), False),
    ],
)
def test_a_newcomer_that_does_not_know_the_key_yet_is_not_said_to_refuse_it(
    path: str, monkeypatch: pytest.MonkeyPatch, told: dict[str, Any], newcomer: bool
) -> None:
    def ask_each(*_: Any, **__: Any) -> ask._Asked:
        return ask._Asked({1: says(1, "leader", **told), 2: says(2, **told), 3: None}, {3: AUTH}, {})

    monkeypatch.setattr(ask, "_ask_each", ask_each)
    done = run("status", "--config", path)
    assert done.code == 0
    if newcomer:
        behind = "note: peer 3 does not know this client's key yet: it has not caught up with the others: it learns"
        assert behind in done.err
        assert "does not accept" not in done.out + done.err
        assert "has not caught up, and does not know this key yet" in " ".join(done.out.split())
    else:
        assert "note: peer 3 does not accept this client's key: is it in force" in done.err
        assert "has that peer caught up (hfzmq peer ls)" in done.err


def test_what_a_peer_has_seen_of_another_ones_state_is_an_alarm_though_they_are_at_different_entries() -> None:
    answers: Answers = {1: says(1, "leader"), 2: says(2, differs=[3], applied_index=811), 3: says(3, applied_index=809)}
    view = mesh_view(CONFIG, answers)
    assert view.mismatches == ()
    assert view.alarms == ("peer 2 saw another state at peer 3",)
