"""Members come and go, and the client goes with them: also when all that it was first told of are gone."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import apsw
import pytest
import zmq

from hfzmq import Client
from hfzmq.cli.mesh_view import mesh_view
from hfzmq.client.ask import ask_all, ask_leader, knowing
from hfzmq.client.pirate import Pirate
from hfzmq.client.queue import Queue
from hfzmq.clinical.report import Report
from hfzmq.config import Config, PeerAddress, render
from hfzmq.errors import ConfigError
from hfzmq.wire import requests as wire
from hfzmq.wire.members import LEARNER, VOTER, Told, ToldMember, newest, with_members
from tests.integration.fake_peer import MESH, FakeMesh, FakePeer, Later, eventually
from tests.unit.cli_world import run

ROW = Report("P-001", 1_700_000_000_000, 65.5, 137.0, 1.2, 35.0, 0, 0.5, "AMBER", 0.4, "m1", "")


@pytest.fixture
def mesh() -> Iterator[FakeMesh]:
    made = FakeMesh()
    made.tell_members()
    yield made
    made.close()


def replace_all(mesh: FakeMesh) -> None:
    """Peers 4 to 6 take the place of 1 to 3, which die."""
    for peer in (4, 5, 6):
        mesh.start_another(peer)
        mesh.set_role(peer, VOTER)
    for peer in (1, 2, 3):
        mesh.set_role(peer, None)
    mesh.leader = 4


def bury_the_first(mesh: FakeMesh) -> None:
    for peer in (1, 2, 3):
        mesh.peers[peer].die()


def ids(client: Client) -> list[int]:
    known = client.queue.members()
    return [member.id for member in known.members] if known else []


def test_a_client_goes_on_when_all_peers_of_its_file_were_replaced(mesh: FakeMesh, tmp_path: Path) -> None:
    with Client(mesh.config, "bed", tmp_path) as client:
        client.submit(ROW)
        client.wait(30)
        replace_all(mesh)
        client.submit(ROW._replace(day=1))
        client.wait(30)
        assert ids(client) == [4, 5, 6]
        bury_the_first(mesh)
        client.submit(ROW._replace(day=2))
        client.wait(30)
    assert [report.day for report in mesh.stored] == [0, 1, 2]


def test_an_idle_client_learns_too(mesh: FakeMesh, tmp_path: Path) -> None:
    with Client(mesh.config, "bed", tmp_path) as client:
        eventually(lambda: ids(client) == [1, 2, 3])
        replace_all(mesh)
        eventually(lambda: ids(client) == [4, 5, 6])


def test_an_idle_client_learns_and_keeps_where_a_first_peer_is_now_though_the_list_is_no_newer(
    mesh: FakeMesh, tmp_path: Path
) -> None:
    def known_port(client: Client) -> int:
        known = client.queue.members()
        member = known.of(2) if known else None
        return member.client_port if member else 0

    with Client(mesh.config, "bed", tmp_path) as client:
        eventually(lambda: known_port(client) == mesh.peers[2].port)
        mesh.peers[2].die()
        mesh.start_another(2, asks=False)
        eventually(lambda: known_port(client) == mesh.peers[2].port)


def test_a_peer_that_answers_by_the_file_is_asked_there_on_though_the_others_tell_where_it_was(mesh: FakeMesh) -> None:
    nobody = FakePeer(lambda frame: None)
    nobody.die()
    there = mesh.peers[2]
    mesh.peers[2] = nobody  # that is what all of them tell
    answers = ask_all(mesh.config, "status")
    assert answers[2]
    config = with_members(mesh.config, newest(answers.values()))
    assert config.peer(2).client_port == there.port
    mesh.peers[2] = there


def test_a_client_that_was_off_while_its_peers_were_replaced_finds_the_mesh(mesh: FakeMesh, tmp_path: Path) -> None:
    with Client(mesh.config, "bed", tmp_path) as client:
        mesh.start_another(4)
        mesh.set_role(4, VOTER)
        client.submit(ROW)
        client.wait(30)
        eventually(lambda: ids(client) == [1, 2, 3, 4])
    replace_all_but = (5, 6)
    for peer in replace_all_but:
        mesh.start_another(peer)
        mesh.set_role(peer, VOTER)
    for peer in (1, 2, 3):
        mesh.set_role(peer, None)
    mesh.leader = 5
    bury_the_first(mesh)
    with Client(mesh.config, "bed", tmp_path) as client:  # of what it knows, only peer 4 is left
        client.submit(ROW._replace(day=1))
        client.wait(30)
        assert ids(client) == [4, 5, 6]
    assert [report.day for report in mesh.stored] == [0, 1]


@pytest.mark.parametrize("gone", [(1, 8, 9), (7, 8, 9)])  # 1: where that peer once was
@pytest.mark.parametrize("answer", [None, wire.encode_reply("NO_QUORUM", members_index=90)])
def test_a_remembered_list_of_peers_that_are_gone_or_cut_off_does_not_hide_the_file(
    mesh: FakeMesh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: tuple[int, ...], answer: bytes | None
) -> None:
    monkeypatch.setattr("hfzmq.client.ring.OTHERS_AFTER_S", 0.5)
    left_over = FakePeer(lambda frame: answer)
    if answer is None:
        left_over.die()
    queue = Queue.open(tmp_path, "bed", MESH)
    queue.remember_members(
        Told(90, tuple(ToldMember(peer, "127.0.0.1", left_over.port, 1, 1, "", VOTER) for peer in gone))
    )
    queue.close()
    with Client(mesh.config, "bed", tmp_path) as client:
        client.submit(ROW)
        client.wait(20)
    assert mesh.stored == [ROW]
    left_over.die()


def test_a_list_that_a_later_version_wrote_is_passed_over(mesh: FakeMesh, tmp_path: Path) -> None:
    Queue.open(tmp_path, "bed", MESH).close()
    db = apsw.Connection(str(tmp_path / "queue.db"))
    db.execute("INSERT INTO members VALUES (1, ?)", (b"\x81\xa1x\x01",))
    db.close()
    with Client(mesh.config, "bed", tmp_path) as client:
        client.submit(ROW)
        client.wait(30)
        eventually(lambda: ids(client) == [1, 2, 3])


def test_a_queue_of_before_lists_were_kept_is_opened_and_keeps_one(tmp_path: Path) -> None:
    Queue.open(tmp_path, "bed", MESH).close()
    db = apsw.Connection(str(tmp_path / "queue.db"))
    db.execute("DROP TABLE members")
    db.close()
    queue = Queue.open(tmp_path, "bed", MESH)
    assert queue.members() is None
    told = Told(3, (ToldMember(1, "a", 1, 2, 3, "ab", VOTER),))
    queue.remember_members(told)
    queue.close()
    queue = Queue.open(tmp_path, "bed", MESH)
    assert queue.members() == told
    queue.close()


# ------------------------------------------------------------------------------------------------- what may go wrong


class Scripted:
    """A pirate and one peer that answers ``submit`` with ``members_index`` and ``members`` with whatever is set."""

    def __init__(self) -> None:
        self.index: object = 9
        self.answer: bytes | None = None
        self.asked = 0
        self.peer = FakePeer(self._answer)
        self.learned: list[Told] = []
        address = PeerAddress(1, "127.0.0.1", self.peer.port, 1, 1)
        self.pirate = Pirate([address], rng=Random(1), timeout_ms=300, mesh_id=MESH, on_members=self.learned.append)

    def _answer(self, frame: bytes) -> bytes | None:
        if frame == wire.encode_request(MESH, "members"):
            self.asked += 1
            return self.answer
        return wire.encode_reply("ACK", seq=1, term=1, index=1, rejected=[], members_index=self.index)

    def submit(self) -> None:
        reply = self.pirate.ask(b"x", deadline=time.monotonic() + 10)
        assert reply is not None
        assert reply["status"] == "ACK"

    def close(self) -> None:
        self.pirate.close()
        self.peer.die()


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    made = Scripted()
    yield made
    made.close()


def members_reply(index: int = 9, **changes: object) -> bytes:
    fields: dict[str, object] = {"members": [[1, "a", 1, 2, 3, "", "voter"]], "asking": [], "founded": True}
    return wire.encode_reply("OK", index=index, **(fields | changes))


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"nonsense",
        wire.encode_reply("REFUSED", field="op", bound="one of ...", hint=""),
        wire.encode_reply("BUSY", retry_ms=5),
        wire.encode_reply("OK"),
        members_reply(members=[]),
        members_reply(members=[[1, "a", 0, 2, 3, "", "voter"]]),
        members_reply(founded="yes"),
        members_reply(index=-1),
    ],
)
def test_an_acknowledgement_counts_whatever_becomes_of_the_list(scripted: Scripted, answer: bytes | None) -> None:
    scripted.answer = answer
    scripted.submit()
    scripted.submit()
    assert scripted.learned == []
    assert scripted.asked == 1, "a list that was not to be had is not asked for with each answer"


def test_a_list_is_asked_for_once_and_again_when_it_is_newer(scripted: Scripted) -> None:
    scripted.answer = members_reply(9, members=[[1, "127.0.0.1", scripted.peer.port, 2, 3, "", "voter"]])
    for _ in range(3):
        scripted.submit()
    assert (scripted.asked, [told.index for told in scripted.learned]) == (1, [9])
    scripted.index = 4  # a peer that lags behind
    scripted.submit()
    assert scripted.asked == 1
    scripted.index = 10
    scripted.answer = members_reply(10, members=[[1, "127.0.0.1", scripted.peer.port, 2, 3, "", "voter"]])
    scripted.submit()
    assert (scripted.asked, [told.index for told in scripted.learned]) == (2, [9, 10])


def test_a_peer_of_another_mesh_teaches_nothing(scripted: Scripted) -> None:
    refusal = wire.encode_reply("REFUSED", field="mesh", bound="the id of this mesh", hint="", members_index=99)
    which = wire.encode_request(MESH, "members")
    scripted.peer.answer = lambda frame: members_reply(99) if frame == which else refusal
    assert scripted.pirate.ask(b"x", deadline=time.monotonic() + 0.3) is None
    assert {frame for _, frame in scripted.peer.heard} == {b"x"}
    assert scripted.learned == []


def test_a_client_that_is_stopped_while_it_asks_for_the_list_stops_at_once(scripted: Scripted) -> None:
    stop = threading.Event()

    def answer(frame: bytes) -> bytes | None:
        if frame == wire.encode_request(MESH, "members"):
            stop.set()
            return None
        return wire.encode_reply("NO_QUORUM", members_index=9)

    scripted.peer.answer = answer
    peers = scripted.pirate.addresses
    pirate = Pirate([PeerAddress(1, *peers[1], 1, 1)], rng=Random(1), timeout_ms=5000, mesh_id=MESH, stop=stop)
    started = time.monotonic()
    assert pirate.ask(b"x") is None
    pirate.close()
    assert time.monotonic() - started < 1.0


# ------------------------------------------------------------------------------------------------- one-off questions


def test_a_status_is_asked_of_members_that_the_file_does_not_know_and_of_those_who_ask(mesh: FakeMesh) -> None:
    mesh.start_another(4)
    mesh.set_role(4, LEARNER)
    mesh.start_another(7)
    answers = ask_all(mesh.config, "status")
    assert [(peer, bool(answer)) for peer, answer in answers.items()] == [(n, True) for n in (1, 2, 3, 4, 7)]


def test_a_new_member_is_asked_once_and_at_the_address_that_the_mesh_has(mesh: FakeMesh) -> None:
    mesh.start_another(4)
    mesh.set_role(4, VOTER)
    ask_all(mesh.config, "status")
    assert len(mesh.peers[4].heard) == 1


def test_a_peer_that_has_moved_is_asked_where_it_is_now(mesh: FakeMesh) -> None:
    nobody = FakePeer(lambda frame: None)
    nobody.die()
    old = mesh.config.peers[2]._replace(client_port=nobody.port)
    config: Config = mesh.config._replace(peers=(*mesh.config.peers[:2], old))
    answer = ask_all(config, "status")[3]
    assert answer is not None
    assert answer["peer"]["id"] == 3


class Twin:
    """A second process with the id of member 3, on another disk, which asks to join; the member answers late."""

    def __init__(self, mesh: FakeMesh, member_after_s: float) -> None:
        self.mesh = mesh
        leader, told = mesh.leader or 0, {"id": 3, "role": "follower", "incarnation": "ee" * 16}
        self.peer = FakePeer(lambda frame: wire.encode_reply("OK", peer=told | {"reports": 0}))
        mesh.status_more = {
            leader: {"asking": [[3, "127.0.0.1", self.peer.port, "ee" * 16, 0.2]], "refused_peers": [3]},
            3: {"incarnation": mesh.incarnation(3), "reports": 12},
        }

        def late(peer: int, request: wire.Request) -> Later | None:
            return Later(member_after_s, mesh._status(3)) if peer == 3 and isinstance(request, wire.Status) else None

        mesh.before = late


@pytest.mark.parametrize("by_the_file", [False, True])
def test_of_two_processes_with_one_id_the_members_answer_counts_also_where_it_comes_last(
    mesh: FakeMesh, by_the_file: bool
) -> None:
    """Once: the first answer counted, and was the twin's on a busy machine: its address, its data, its being new."""
    twin = Twin(mesh, 0.4)
    asked = mesh.config
    if by_the_file:  # which only knows where the twin is
        there = mesh.config.peers[2]._replace(client_port=twin.peer.port)
        asked = mesh.config._replace(peers=(*mesh.config.peers[:2], there))
    answers = ask_all(asked, "status", timeout_ms=10_000)
    twin.peer.die()
    assert twin.peer.heard, "it was asked, too"
    assert (answers[3] or {})["peer"]["reports"] == 12
    assert with_members(asked, newest(answers.values())).peer(3).client_port == mesh.peers[3].port
    seen = mesh_view(asked, answers).peer(3)
    assert (seen.membership, seen.incarnation) == (VOTER, mesh.incarnation(3))


def test_where_only_the_twin_of_a_member_answers_nobody_is_sent_to_it_as_the_member(mesh: FakeMesh) -> None:
    twin = Twin(mesh, 0.0)
    mesh.peers[3].die()
    answers = ask_all(mesh.config, "status", timeout_ms=10_000)
    twin.peer.die()
    known = newest(answers.values())
    assert (answers[3] or {})["peer"]["incarnation"] == "ee" * 16
    assert known is not None
    assert [peer for peer, _ in known.reached] == [1, 2]
    assert with_members(mesh.config, known).peer(3).client_port == mesh.peers[3].port
    assert mesh_view(mesh.config, answers).peer(3).membership == "asking"


def test_status_shows_where_a_peer_answered_and_notes_that_the_others_tell_another_one(
    mesh: FakeMesh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ask_all, "__defaults__", (None, 10_000, None, None, None))  # however busy the machine is
    there = FakePeer(mesh._answering(3))
    mesh.peers[3].die()
    moved = mesh.config.peers[2]._replace(client_port=there.port)
    path = tmp_path / "peers.yaml"
    path.write_text(render(mesh.config._replace(peers=(*mesh.config.peers[:2], moved))))
    done = run("status", "--config", str(path))
    told = json.loads(run("status", "--config", str(path), "-o", "json").out)
    there.die()
    here, listed = f"127.0.0.1:{there.port}", f"127.0.0.1:{mesh.peers[3].port}"
    assert f"note: peer 3 answered at {here}; the others tell {listed}: " in " ".join(done.out.split())
    assert [(peer["address"], peer["listed_address"]) for peer in told["peers"]][2] == (here, listed)
    assert [peer["listed_address"] for peer in told["peers"][:2]] == [None, None]
    assert done.out.count("answered at") == 1


def test_one_peer_that_only_the_mesh_knows_can_be_asked_alone(mesh: FakeMesh) -> None:
    mesh.start_another(4)
    mesh.set_role(4, VOTER)
    assert ask_all(mesh.config, "reports", only=4) == {4: {"v": 1, "status": "OK", "rows": []}}
    assert knowing(mesh.config, 4).peer(4).client_port == mesh.peers[4].port
    assert knowing(mesh.config, 2) is mesh.config
    with pytest.raises(ConfigError, match="no peer with id 9"):
        ask_all(mesh.config, "reports", only=9)


def test_the_leader_is_found_among_those_that_the_file_does_not_know(mesh: FakeMesh) -> None:
    replace_all(mesh)
    mesh.set_role(3, LEARNER)  # the one of the file that is left
    mesh.peers[1].die()
    mesh.peers[2].die()
    mesh.asking[9] = 1.0
    mesh.peers[9] = FakePeer(lambda frame: None)
    reply = ask_leader(mesh.config, "change", {"action": "add", "peer": 9}, 3000)
    assert (reply["status"], reply["index"], mesh.roles[9]) == ("ACK", mesh.members_index, LEARNER)


def test_ctrl_c_while_a_socket_is_half_made_ends_the_question(mesh: FakeMesh, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it happens between zmq_socket and the context's own list: ending the context would wait for that socket."""
    calls = []
    made = zmq.Context.socket

    def interrupted(self: Any, kind: int) -> Any:
        calls.append(kind)
        if len(calls) == 3:
            unknown = zmq.Socket(self, kind)
            assert unknown not in self._sockets
            raise KeyboardInterrupt
        return made(self, kind)

    monkeypatch.setattr(zmq.Context, "socket", interrupted)
    for question in (
        lambda: ask_all(mesh.config, "status"),
        lambda: ask_leader(mesh.config, "change", {"action": "transfer", "peer": 2}, 3000),
    ):
        calls.clear()
        mesh.leader = 2  # so that ask_leader needs a second line
        with pytest.raises(KeyboardInterrupt):
            question()
