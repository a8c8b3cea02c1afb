"""``hfzmq peer``: what an operator asks for is true when the command returns 0; otherwise it says why not.

Against fakes: what the core decides is shown by the tests of real meshes.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hfzmq.cli import leader_wait, peer_change
from hfzmq.client import ask
from hfzmq.config import render
from hfzmq.wire import requests as wire
from hfzmq.wire.members import LEARNER, VOTER
from tests.integration.fake_peer import MESH, FakeMesh, FakePeer, Later, eventually
from tests.unit.cli_world import Ran, run

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def mesh() -> Iterator[FakeMesh]:
    made = FakeMesh()
    made.tell_members()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that is there is heard also on a machine with too much to do; one that is away refuses at once."""
    monkeypatch.setattr(ask.ask_all, "__defaults__", (None, 10_000, None, None, None))


class Operator:
    """Types ``hfzmq peer ...`` at ``mesh``."""

    def __init__(self, mesh: FakeMesh, tmp_path: Path) -> None:
        self.mesh = mesh
        self.path = tmp_path / "peers.yaml"
        self.path.write_text(render(mesh.config))

    def peer(self, *words: object) -> Ran:
        return run("peer", *map(str, words), "--config", str(self.path))


@pytest.fixture
def operator(mesh: FakeMesh, tmp_path: Path) -> Operator:
    return Operator(mesh, tmp_path)


def changes(mesh: FakeMesh) -> list[wire.Change]:
    """What was asked of the leaders, in the order of time."""
    found = []
    for fake in mesh.peers.values():
        for at, frame in fake.heard:
            request = wire.decode_request(frame, MESH, mesh.limits)
            if isinstance(request, wire.Change):
                found.append((at, request))
    return [request for _, request in sorted(found)]


def step_by_step(mesh: FakeMesh, *steps: Any) -> None:
    """Run one of ``steps`` at each question for the status of the leader, then none."""
    left = list(steps)

    def before(peer: int, request: wire.Request) -> bytes | Later | None:
        if isinstance(request, wire.Status) and peer == mesh.leader and left and changes(mesh):
            left.pop(0)()
        return None

    mesh.before = before


# ------------------------------------------------------------------------------------------------- ls


def test_ls_has_a_row_for_each_member_each_that_asks_and_each_that_only_the_file_has(
    mesh: FakeMesh, operator: Operator
) -> None:
    mesh.start_another(41)
    mesh.set_role(41, LEARNER)
    mesh.behind = {41: 1203}
    mesh.start_another(52)
    mesh.asking[52] = 2.9
    mesh.set_role(3, None)
    mesh.peers[2].die()
    done = operator.peer("ls")
    lines = done.out.splitlines()
    assert done.code == 0
    assert lines[0] == "mesh fake: peer 1 leads in term 7, quorum yes, 2 of 3 peers answer"
    head, *rows = lines[2:]
    assert head.split() == ["id", "address", "role", "incarnation", "behind", "leader", "last", "heard"]
    cells = [row.split("  ") for row in rows]
    found = [[cell.strip() for cell in row if cell.strip()] for row in cells]
    at = {peer: f"127.0.0.1:{fake.port}" for peer, fake in mesh.peers.items()}
    assert found == [
        ["1", at[1], "leader", "00010001", "0", "0.1 s ago"],
        ["2", at[2], "voter, away: no answer", "00020002", "0.2 s ago"],
        ["3", at[3], "no member", "0", "0.3 s ago"],
        ["41", at[41], "learner", "00290029", "1203", "4.1 s ago"],
        ["52", at[52], "asking", "00340034", "0", "2.9 s ago"],
    ]
    assert "note: peer 41 is a learner, 1,203 of 5,000 entries behind" in done.err
    assert "note: peer 52 asks to join: hfzmq peer add 52" in done.err
    assert "note: peer 3 is in " in done.err


def test_ls_as_json_has_whole_numbers_and_whole_incarnations(mesh: FakeMesh, operator: Operator) -> None:
    for words in (("ls", "--json"), ("ls", "-o", "json")):
        value = json.loads(operator.peer(*words).out)
        assert (value["mesh"], value["leader"], value["term"], value["founded"]) == ("fake", 1, 7, True)
        assert value["members_index"] == 1
        assert value["peers"][1] == {
            "id": 2,
            "address": f"127.0.0.1:{mesh.peers[2].port}",
            "role": "voter",
            "incarnation": "0002" * 8,
            "trails_leader_by": 0,
            "last_heard_ms": 200,
            "answers": True,
            "problem": "",
        }


def test_ls_of_a_mesh_that_has_not_begun_says_for_whom_it_waits(mesh: FakeMesh, operator: Operator) -> None:
    mesh.tell_members(founded=False)
    mesh.leader = None
    mesh.peers[2].die()
    mesh.peers[3].die()
    done = operator.peer("ls")
    waits = "waiting for peers 2 and 3: a new mesh begins when all its first peers are up"
    assert done.code == 4
    assert waits in done.out
    assert waits in done.err
    assert "first peer, away" in done.out


def test_ls_exit_codes_tell_served_from_leaderless_from_unreached(mesh: FakeMesh, operator: Operator) -> None:
    mesh.leader = None
    assert operator.peer("ls").code == 4
    mesh.close()
    done = operator.peer("ls")
    assert done.code == 3
    assert "away: no answer" in done.out


# ------------------------------------------------------------------------------------------------- add


def test_add_waits_until_the_peer_votes_and_says_what_it_waits_for(mesh: FakeMesh, operator: Operator) -> None:
    mesh.start_another(4)
    mesh.behind = {4: 1203}
    nothing = [lambda: None] * 3
    step_by_step(mesh, *nothing, mesh.behind.clear, *nothing, lambda: mesh.set_role(4, VOTER))
    done = operator.peer("add", 4)
    assert (done.code, done.out) == (0, "peer 4 votes\n")
    assert done.err.splitlines() == [
        "peer 4 is a learner, 1,203 of 5,000 entries behind",
        "peer 4 is a learner, caught up",
    ]
    assert mesh.roles[4] == VOTER
    assert changes(mesh) == [wire.Change("add", 4)]


def test_add_of_a_voter_is_done_and_asks_nobody(mesh: FakeMesh, operator: Operator) -> None:
    done = operator.peer("add", 3)
    assert (done.code, done.out) == (0, "peer 3 votes already\n")
    assert changes(mesh) == []


def test_add_of_a_learner_only_waits(mesh: FakeMesh, operator: Operator) -> None:
    mesh.start_another(4)
    mesh.set_role(4, LEARNER)
    done = operator.peer("add", 4, "--timeout", "0.5")
    assert done.code == 8
    assert "error: after 0.5 s: peer 4 is a learner, caught up" in done.err
    assert "hint: it may still come true by itself; see how it stands: hfzmq peer ls" in done.err
    assert changes(mesh) == []


def test_add_of_a_learner_that_has_caught_up_names_the_dead_voter_that_its_vote_may_wait_for(
    mesh: FakeMesh, operator: Operator
) -> None:
    mesh.start_another(4)
    mesh.set_role(4, LEARNER)
    mesh.peers[3].die()
    done = operator.peer("add", 4, "--timeout", "0.5")
    assert "peer 4 is a learner, caught up; its vote may have to wait until peer 3 answers or is removed" in done.err
    assert "hfzmq peer remove 3" in done.err


def test_add_of_a_learner_that_dies_says_that_it_does_not_answer(mesh: FakeMesh, operator: Operator) -> None:
    mesh.start_another(4)
    mesh.set_role(4, LEARNER)
    mesh.peers[4].die()
    assert "peer 4 is a learner, and does not answer" in operator.peer("add", 4, "--timeout", "0.5").err


def test_add_of_a_peer_that_does_not_ask_names_the_next_step(
    mesh: FakeMesh, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_change, "PATIENCE_S", 0.3)
    done = operator.peer("add", 4)
    assert done.code == 5
    assert done.out == ""
    assert "waiting for peer 4 to ask to join" in done.err
    assert "error: peer 4 does not ask to join" in done.err
    assert f"hint: start it first: hfzmq serve --id 4 --config {operator.path} --data-dir DIR" in done.err


def test_add_of_a_peer_that_does_not_ask_says_so_also_when_the_time_is_over_first(
    mesh: FakeMesh, operator: Operator
) -> None:
    def change(request: wire.Change) -> bytes | Later:
        return FakeMesh.change(mesh, request) if len(changes(mesh)) == 1 else Later(60, b"")

    mesh.change = change  # type: ignore[method-assign]
    done = operator.peer("add", 4, "--timeout", 2)
    assert (done.code, "error: peer 4 does not ask to join" in done.err) == (5, True), done.err


def test_add_of_a_peer_that_is_just_starting_waits_for_it(mesh: FakeMesh, operator: Operator) -> None:
    def change(request: wire.Change) -> bytes | Later:
        if len(changes(mesh)) == 2:
            mesh.start_another(4)
        return FakeMesh.change(mesh, request)

    mesh.change = change  # type: ignore[method-assign]
    step_by_step(mesh, lambda: None, lambda: mesh.set_role(4, VOTER) if 4 in mesh.roles else None, *[
        lambda: mesh.set_role(4, VOTER) if mesh.roles.get(4) == LEARNER else None] * 9)  # fmt: skip
    assert operator.peer("add", 4).code == 0


def test_add_of_a_peer_that_begins_to_ask_just_after_it_was_refused_lets_it_in(
    mesh: FakeMesh, operator: Operator
) -> None:
    """The leader has not heard it yet when it answers, and has when it is looked at a moment later."""
    refused = []

    def change(request: wire.Change) -> bytes | Later:
        answer = FakeMesh.change(mesh, request)
        if 4 not in mesh.peers:
            refused.append(answer)
            mesh.start_another(4)
        return answer

    mesh.change = change  # type: ignore[method-assign]
    step_by_step(mesh, *[lambda: mesh.set_role(4, VOTER) if mesh.roles.get(4) == LEARNER else None] * 20)
    done = operator.peer("add", 4)
    assert (done.code, done.out) == (0, "peer 4 votes\n"), done.err
    assert len(refused) == 1
    assert changes(mesh) == [wire.Change("add", 4)] * 2


def test_a_peer_that_begins_to_ask_at_the_end_of_the_patience_with_it_is_let_in(
    mesh: FakeMesh, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_change, "PATIENCE_S", 0.0)
    monkeypatch.setattr(peer_change, "SILENT_WITHIN_LEASES", 0)
    test_add_of_a_peer_that_begins_to_ask_just_after_it_was_refused_lets_it_in(mesh, operator)


def test_add_of_a_peer_that_asks_and_is_refused_all_the_same_ends_in_the_words_of_the_mesh(
    mesh: FakeMesh, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_change, "PATIENCE_S", 0.3)
    monkeypatch.setattr(peer_change, "SILENT_WITHIN_LEASES", 1)
    mesh.start_another(4)
    refusal = wire.encode_reply("REFUSED", field="peer", bound="the mesh has 64 members, the most", hint="")
    mesh.change = lambda request: refusal  # type: ignore[method-assign]
    done = operator.peer("add", 4)
    assert done.code == 6
    assert "error: peer: the mesh has 64 members, the most\n" in done.err


def test_add_of_a_member_with_a_new_disk_waits_until_the_new_one_votes(
    mesh: FakeMesh, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_change, "PATIENCE_S", 0.4)
    monkeypatch.setattr(peer_change, "SILENT_WITHIN_LEASES", 1)
    other: dict[str, object] = {"asking": [[3, "127.0.0.1", mesh.peers[3].port, "ee" * 16, 0.2]]}
    mesh.status_more = {mesh.leader or 0: other}  # only the leader knows
    listed = operator.peer("ls")
    assert "2 of 3 peers answer" in listed.out
    assert "note: peer 3 came back with another disk and asks to join again" in listed.err
    refusal = wire.encode_reply("REFUSED", field="peer", bound="another process runs as peer 3", hint="")
    mesh.change = lambda request: refusal  # type: ignore[method-assign]
    done = operator.peer("add", 3)
    assert done.code == 6
    assert "waiting for peer 3's old life to fall silent" in done.err
    assert "error: peer: another process runs as peer 3\n" in done.err

    def let_in(request: wire.Change) -> bytes | Later:
        mesh.status_more.clear()
        return wire.encode_reply("ACK", index=7)

    mesh.change = let_in  # type: ignore[method-assign]
    assert operator.peer("add", 3).out == "peer 3 votes\n"


# ------------------------------------------------------------------------------------------------- remove


def test_remove_waits_until_the_list_no_longer_names_it(operator: Operator, mesh: FakeMesh) -> None:
    for peer in (4, 5):
        mesh.start_another(peer)
        mesh.set_role(peer, VOTER)

    def acknowledge(request: wire.Change) -> bytes:
        return wire.encode_reply("ACK", index=99)

    mesh.change = acknowledge  # type: ignore[method-assign]
    step_by_step(mesh, lambda: None, lambda: None, lambda: mesh.set_role(3, None))
    done = operator.peer("remove", 3, "--json")
    assert done.code == 0
    assert json.loads(done.out) == {
        "action": "remove",
        "peer": 3,
        "already": False,
        "leader": 1,
        "term": 7,
        "members_index": mesh.members_index,
        "voters": [1, 2, 4, 5],
    }
    assert "peer 3 is still a member" in done.err


def test_remove_of_the_leader_is_asked_again_of_the_next_one(operator: Operator, mesh: FakeMesh) -> None:
    mesh.start_another(4)
    mesh.set_role(4, VOTER)

    def change(request: wire.Change) -> bytes | Later:
        if mesh.leader == 1:
            mesh.leader = 2
            return wire.encode_reply("BUSY", retry_ms=20)
        return FakeMesh.change(mesh, request)

    mesh.change = change  # type: ignore[method-assign]
    done = operator.peer("remove", 1)
    assert (done.code, done.out) == (0, "peer 1 is no member any more\n")
    assert sorted(mesh.roles) == [2, 3, 4]


@pytest.mark.parametrize("peer", [9, 3])
def test_remove_and_transfer_of_no_member_name_the_members(operator: Operator, mesh: FakeMesh, peer: int) -> None:
    mesh.set_role(3, None)
    for action in ("remove", "transfer"):
        done = operator.peer(action, peer)
        assert done.code == 5
        assert f"error: peer {peer} is no member of the mesh\nhint: members: peers 1 and 2\n" in done.err
    assert changes(mesh) == []


def test_remove_that_leaves_two_voters_wants_a_yes(operator: Operator, mesh: FakeMesh) -> None:
    done = operator.peer("remove", 3)
    assert done.code == 1
    assert "warning: without peer 3, 2 voters would be left: when one fails, nothing is stored" in done.err
    assert "hint: if it must be, say it again with --yes" in done.err
    assert changes(mesh) == []
    assert operator.peer("remove", 3, "--yes").code == 0
    done = operator.peer("remove", 2)
    assert "1 voter would be left" in done.err
    assert operator.peer("remove", 2, "--yes").code == 0


def test_remove_that_leaves_no_living_majority_wants_a_yes(operator: Operator, mesh: FakeMesh) -> None:
    for peer in (4, 5):
        mesh.start_another(peer)
        mesh.set_role(peer, VOTER)
    mesh.peers[4].die()
    mesh.peers[5].die()
    done = operator.peer("remove", 3)
    assert done.code == 1
    assert "without peer 3, only 2 of 4 voters would answer" in done.err
    assert operator.peer("remove", 5).code == 0, "one that is dead costs no majority"


def test_remove_of_a_learner_needs_no_yes_and_of_the_last_voter_is_refused(operator: Operator, mesh: FakeMesh) -> None:
    mesh.set_role(3, LEARNER)
    assert operator.peer("remove", 3).code == 0
    mesh.set_role(2, None)
    done = operator.peer("remove", 1, "--yes")
    assert done.code == 6
    assert "not the last voter" in done.err


def test_a_change_whose_answer_was_lost_is_not_a_failure(operator: Operator, mesh: FakeMesh) -> None:
    """The first ask removes it, its answer is lost; the second is refused, for it is no member: as it was wanted."""

    def change(request: wire.Change) -> bytes | Later:
        if 3 in mesh.roles:
            mesh.set_role(3, None)
            return Later(60, b"")
        return wire.encode_reply("REFUSED", field="peer", bound="peer 3 is no member", hint="")

    mesh.change = change  # type: ignore[method-assign]
    assert operator.peer("remove", 3, "--yes").code == 0
    assert len(changes(mesh)) >= 2


def test_a_refusal_is_told_at_once_and_asked_again_for_some_seconds(operator: Operator, mesh: FakeMesh) -> None:
    """Who is not heard at this moment may be well a moment later: a busy machine, a hand-over."""
    why = "peer 1 leads and no other voter is well enough to take over"
    refusal = wire.encode_reply("REFUSED", field="peer", bound=why, hint="")

    def change(request: wire.Change) -> bytes | Later:
        return refusal if len(changes(mesh)) <= 2 else FakeMesh.change(mesh, request)

    mesh.change = change  # type: ignore[method-assign]
    done = operator.peer("remove", 3, "--yes")
    assert (done.code, done.out) == (0, "peer 3 is no member any more\n")
    assert done.err.splitlines().count(f"not yet: {why}") == 1
    assert len(changes(mesh)) == 3


def test_a_refusal_that_stays_is_told_in_the_words_of_the_mesh(
    operator: Operator, mesh: FakeMesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_change, "PATIENCE_S", 0.3)
    monkeypatch.setattr(peer_change, "SILENT_WITHIN_LEASES", 1)
    refusal = wire.encode_reply("REFUSED", field="peer", bound="peer 2 is about to be removed", hint="wait for it")
    mesh.change = lambda request: refusal  # type: ignore[method-assign]
    for words in (("transfer", 3), ("remove", 3, "--yes")):
        done = operator.peer(*words)
        assert done.code == 6
        assert "error: peer: peer 2 is about to be removed\nhint: wait for it\n" in done.err


# ------------------------------------------------------------------------------------------------- transfer


def test_transfer_waits_until_the_peer_leads(operator: Operator, mesh: FakeMesh) -> None:
    mesh.change = lambda request: wire.encode_reply("ACK", index=1)  # type: ignore[method-assign]
    step_by_step(mesh, lambda: None, lambda: None, lambda: setattr(mesh, "leader", 3))
    done = operator.peer("transfer", 3)
    assert (done.code, done.out) == (0, "peer 3 leads in term 7\n")
    assert "note: the lowest id that is well, peer 1, takes the lead back after a while" in done.err
    assert "peer 1 leads, peer 3 is caught up" in done.err
    assert operator.peer("transfer", 3).out == "peer 3 leads already in term 7\n"


def test_transfer_that_does_not_happen_is_asked_again_and_then_says_why(operator: Operator, mesh: FakeMesh) -> None:
    mesh.change = lambda request: wire.encode_reply("ACK", index=1)  # type: ignore[method-assign]
    mesh.behind = {3: 12}
    config = mesh.config._replace(timing=mesh.config.timing._replace(lease_ms=150))
    operator.path.write_text(render(config))
    done = operator.peer("transfer", 3, "--timeout", "2.5")
    assert done.code == 8
    assert "error: after 2.5 s: peer 1 leads, peer 3 is 12 of 5,000 entries behind" in done.err
    assert "by itself" not in done.err
    assert len(changes(mesh)) >= 2


def test_transfer_to_a_peer_that_cannot_be_asked_from_here_is_believed_when_all_others_say_that_it_leads(
    operator: Operator, mesh: FakeMesh
) -> None:
    mesh.peers[3].die()
    done = operator.peer("transfer", 3, "--json")
    assert done.code == 0
    assert json.loads(done.out)["leader"] == 3
    port = mesh.config.peer(3).client_port
    assert f"note: that is what the others say; peer 3 does not answer here (127.0.0.1:{port})" in done.err
    mesh.status_more[2] = {"leader": 1}
    done = operator.peer("transfer", 3, "--timeout", "0.5")
    assert done.code == 4
    assert "error: 2 of 3 peers answer, and none leads a quorum" in done.err


def test_transfer_to_a_learner_is_refused(operator: Operator, mesh: FakeMesh) -> None:
    mesh.set_role(3, LEARNER)
    done = operator.peer("transfer", 3)
    assert done.code == 6
    assert "a voter" in done.err
    assert changes(mesh) == []


# ------------------------------------------------------------------------------------------------- trouble


@pytest.mark.parametrize("action", ["add", "remove", "transfer"])
def test_a_change_of_a_mesh_that_is_away_is_exit_3_and_of_one_without_a_leader_exit_4(
    operator: Operator, mesh: FakeMesh, action: str
) -> None:
    mesh.start_another(4)
    mesh.set_role(4, VOTER)
    mesh.asking[5] = 1.0
    mesh.peers[5] = FakePeer(lambda frame: None)
    mesh.peers[5].die()  # nobody is waited for: who is away refuses at once
    mesh.leader = None
    peer = 5 if action == "add" else 3
    done = operator.peer(action, peer, "--timeout", "0.5")
    assert (done.code, done.out) == (4, "")
    assert "error: 4 of 4 peers answer, and none leads a quorum" in done.err
    mesh.close()
    done = operator.peer(action, peer, "--timeout", "0.5")
    assert (done.code, done.out) == (3, "")
    assert "no daemon answered" in done.err


@pytest.mark.parametrize("action", ["add", "remove", "transfer"])
def test_without_a_quorum_it_says_soon_for_whom_it_waits_and_the_error_names_them_and_what_to_do(
    operator: Operator, mesh: FakeMesh, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    monkeypatch.setattr(leader_wait, "SAY_AFTER_S", 0.1)
    mesh.leader = None
    mesh.peers[2].die()
    mesh.peers[3].die()
    words = ("--timeout", "1.5", *(["--yes"] if action == "remove" else []))
    done = operator.peer(action, 4 if action == "add" else 3, *words)
    away = "peers 2 and 3 do not answer, peer 1 does"
    assert (done.code, done.out) == (4, "")
    first, *others = done.err.splitlines()
    assert re.fullmatch(rf"waiting for a leader: no quorum, {away} \([12] s more at most\)", first), done.err
    start = f"hfzmq serve --id N --config {operator.path} --data-dir DIR"
    assert others == [
        f"error: no quorum for 1.5 s: {away}",
        f"hint: start who is away: {start}; how it stands: hfzmq status",
    ]


def test_a_change_of_a_mesh_that_has_not_begun_says_for_whom_it_waits(operator: Operator, mesh: FakeMesh) -> None:
    mesh.tell_members(founded=False)
    mesh.leader = None
    mesh.peers[3].die()
    done = operator.peer("add", 4)
    assert done.code == 4
    assert "error: the mesh has not begun: waiting for peer 3: a new mesh begins when" in done.err
    assert "hint: start peer 3: hfzmq serve" in done.err


def test_a_leader_that_is_busy_all_the_time_is_exit_8(operator: Operator, mesh: FakeMesh) -> None:
    mesh.change = lambda request: wire.encode_reply("BUSY", retry_ms=50)  # type: ignore[method-assign]
    done = operator.peer("transfer", 3, "--timeout", "0.6")
    assert done.code == 8
    assert "after 0.6 s: peer 1 leads, peer 3 is caught up (the leader was busy" in done.err


@pytest.mark.parametrize(
    "words",
    [
        ("add",),
        ("add", "0"),
        ("add", "10000"),
        ("add", "four"),
        ("add", "4", "5"),
        ("add", "4", "--timeout", "nan"),
        ("add", "4", "--timeout", "0"),
        ("transfer", "-1"),
        ("remove", "3", "--force"),
        ("ls", "3"),
        ("ls", "-o", "yaml"),
        ("swap", "1", "2"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(words: tuple[str, ...]) -> None:
    done = run("peer", *words)
    assert (done.code, done.out) == (2, "")
    assert "Traceback" not in done.err


def test_a_file_of_peers_that_is_missing_or_wrong_is_exit_6(tmp_path: Path) -> None:
    for words in (("ls",), ("add", "4"), ("remove", "4"), ("transfer", "4")):
        assert run("peer", *words, "--config", str(tmp_path / "none.yaml")).code == 6


def test_ctrl_c_ends_the_waiting_and_says_that_the_change_may_go_on(operator: Operator, mesh: FakeMesh) -> None:
    mesh.start_another(4)
    words = [sys.executable, "-m", "hfzmq", "peer", "add", "4", "--config", str(operator.path)]
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        eventually(lambda: mesh.roles.get(4) == LEARNER, 20)
        started = time.monotonic()
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=20)
        assert time.monotonic() - started < 5
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, out) == (130, "")
    assert "no longer waiting; what was asked for may still come true: hfzmq peer ls" in err
    assert "Traceback" not in err
