"""The client against a mesh of fakes that loses answers, changes leaders, dies and comes back: each report once."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
import zmq

from hfzmq import Client
from hfzmq.cli.bedside.output import link_sentence
from hfzmq.client import hints as hints_module
from hfzmq.client import line
from hfzmq.client.hints import Hints
from hfzmq.client.ledger import ClientState, Ledger
from hfzmq.client.line import AUTH
from hfzmq.client.line import _fault as fault_of
from hfzmq.client.place import default_queue_dir
from hfzmq.client.queue_types import Batch
from hfzmq.client.sender import CURVE_BYTES, FRAME_BYTES
from hfzmq.client.traffic import REPORTS
from hfzmq.clinical.heart_rate import Reading, check_reading
from hfzmq.clinical.report import Report, check_row
from hfzmq.config import _LIMIT_BOUNDS, Config, Limits, PeerAddress, render
from hfzmq.errors import DataDirError, DiskFailed, InvalidInput, TimedOut
from hfzmq.secret_files import make_pair
from hfzmq.wire import requests as wire
from tests.integration.fake_peer import MESH, FakeMesh, FakePeer, eventually

ROW = Report("P-001", 1_700_000_000_000, 65.5, 137.0, 1.2, 35.0, 0, 0.5, "AMBER", 0.4, "m1", "")
WIDE = "\U0001f600"  # four bytes
LONGEST_REPORT = ROW._replace(patient_id=WIDE * 64, model_id=WIDE * 64, flags=WIDE * 200)
LONGEST_READING = Reading(WIDE * 64, 4_102_444_800_000, None, WIDE * 1000)


def row(number: int, patient: str = "P-001") -> Report:
    return ROW._replace(day=number, patient_id=patient)


class Told:
    """The events of a client."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def __call__(self, event: dict[str, Any]) -> None:
        self.events.append(event)

    def of(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == name]


@pytest.fixture
def mesh() -> Iterator[FakeMesh]:
    made = FakeMesh()
    yield made
    made.close()


@pytest.fixture
def told() -> Told:
    return Told()


def days(mesh: FakeMesh) -> list[int | None]:
    return [report.day for report in mesh.stored]


def test_five_lines_of_a_script_store_a_report(mesh: FakeMesh, tmp_path: Path) -> None:
    path = tmp_path / "peers.yaml"
    path.write_text(render(mesh.config))
    with Client(path, "bed-7", queue_dir=tmp_path / "q") as client:
        client.submit(ROW)
        client.wait(30)
    assert mesh.stored == [ROW]
    assert client.state.acked == 1
    assert client.state.pending == 0


def test_each_row_is_told_queued_and_then_acknowledged_once(mesh: FakeMesh, told: Told, tmp_path: Path) -> None:
    with Client(mesh.config, "bed", tmp_path, told) as client:
        client.submit_many([row(0), row(1, "P-002")])
        client.submit(row(2))
        client.wait(30)
    assert [event["patient"] for event in told.of("queued")] == ["P-001", "P-002", "P-001"]
    acks = told.of("ack")
    assert [event["patient"] for event in acks] == ["P-001", "P-002", "P-001"]
    for event in acks:
        assert set(event) == {"event", "patient", "seq", "term", "index", "elapsed_ms"}
        assert (event["term"], type(event["elapsed_ms"])) == (7, int)
        assert 0 <= event["elapsed_ms"] < 10_000
    assert told.of("connected")[-1] == {"event": "connected", "peer": 1, "leader": 1}


@pytest.mark.parametrize("seed", range(4))
def test_each_report_is_stored_once_and_in_order_whatever_is_lost_or_dies(tmp_path: Path, seed: int) -> None:
    """Answers lost after the work, requests lost before it, refusals, leaders changing, peers killed, client killed."""
    rng = Random(seed)
    mesh = FakeMesh()
    no_leader = wire.encode_reply("NOT_LEADER", leader=None, host=None, port=None)
    mesh.lose_answer = lambda peer: rng.random() < 0.15
    mesh.before = lambda peer, request: (
        rng.choice([no_leader, wire.encode_reply("NO_QUORUM"), wire.encode_reply("BUSY", retry_ms=5)])
        if rng.random() < 0.3
        else None
    )
    total = 0
    for _ in range(4):
        with Client(mesh.config, "bed", tmp_path / "q", seed=seed) as client:
            client._sender._pirate._timeout_s = 0.1
            for _ in range(6):
                client.submit_many([row(total + place) for place in range(3)])
                total += 3
                if rng.random() < 0.5:
                    mesh.leader = rng.choice([1, 2, 3])
                if rng.random() < 0.3:
                    mesh.revive(rng.choice([1, 2, 3]))
                threading.Event().wait(rng.random() * 0.05)
    mesh.before = lambda peer, request: None
    mesh.lose_answer = lambda peer: False
    with Client(mesh.config, "bed", tmp_path / "q") as client:
        client.wait(30)
    mesh.close()
    assert days(mesh) == list(range(total))


def test_what_was_queued_without_a_mesh_goes_out_when_the_next_life_finds_one(mesh: FakeMesh, tmp_path: Path) -> None:
    for peer in mesh.peers.values():
        peer.die()
    with Client(mesh.config, "bed", tmp_path / "q") as client:
        client.submit_many([row(number) for number in range(5)])
        started = time.monotonic()
        with pytest.raises(TimedOut, match="5 reports") as caught:
            client.wait(0.3)
        assert time.monotonic() - started < 1.0
        assert str(tmp_path / "q") in caught.value.hint
        eventually(lambda: client.state.link == "searching")
    assert client.state.pending == 5
    for peer_id in mesh.peers:
        mesh.revive(peer_id)
    with Client(mesh.config, "bed", tmp_path / "q") as client:
        client.wait(30)
    assert days(mesh) == list(range(5))


def test_a_killed_leader_costs_the_election_and_little_more(mesh: FakeMesh, tmp_path: Path) -> None:
    with Client(mesh.config, "bed", tmp_path / "q") as client:
        client.submit(row(0))
        client.wait(30)
        mesh.peers[1].die()
        mesh.leader = None
        client.submit(row(1))
        threading.Event().wait(1.2)
        mesh.leader = 2
        elected = time.monotonic()
        client.wait(30)
        assert time.monotonic() - elected < 0.8
    assert days(mesh) == [0, 1]


def test_a_bad_report_is_refused_before_it_is_queued_and_so_are_those_beside_it(mesh: FakeMesh, tmp_path: Path) -> None:
    with Client(mesh.config, "bed", tmp_path / "q") as client:
        with pytest.raises(InvalidInput) as caught:
            client.submit(ROW._replace(age=7.0))
        assert (caught.value.field, caught.value.bound) == ("age", "18 to 120 years")
        with pytest.raises(InvalidInput) as caught:
            client.submit_many([ROW, ROW._replace(serum_sodium=float("nan"))])
        assert caught.value.field == "reports[1].serum_sodium"
        assert client.state.pending == 0


def test_a_row_that_only_the_mesh_refuses_is_told_and_kept_and_holds_nobody_up(
    mesh: FakeMesh, told: Told, tmp_path: Path
) -> None:
    """A mesh of stricter bounds than this client's."""
    refusing = wire.encode_reply("ACK", seq=1, term=7, index=1, rejected=[[1, "age", "18 to 60 years", "?"]])

    def stricter(peer: int, request: wire.Request) -> bytes | None:
        return refusing if isinstance(request, wire.Submit) and request.seq == 1 else None

    mesh.before = stricter
    with Client(mesh.config, "bed", tmp_path / "q", told) as client:
        client.submit_many([row(0), row(1), row(2)])
        client.wait(30)
        assert [letter.row[6] for letter in client.queue.dead_letters()] == [1]
        assert (client.state.acked, client.state.rejected) == (2, 1)
    assert len(told.of("ack")) == 2
    (event,) = told.of("rejected")
    assert (event["patient"], event["field"], event["bound"], event["hint"]) == ("P-001", "age", "18 to 60 years", "?")


def test_a_batch_that_peers_find_too_large_is_sent_row_by_row(tmp_path: Path) -> None:
    mesh = FakeMesh(limits=Limits(batch_rows_max=1))
    generous = mesh.config._replace(limits=Limits())
    with Client(generous, "bed", tmp_path / "q") as client:
        client.submit_many([row(number) for number in range(5)])
        client.wait(30)
    mesh.close()
    assert days(mesh) == list(range(5))


def test_a_batch_that_was_made_under_a_larger_limit_is_taken_apart_and_that_is_told(
    mesh: FakeMesh, told: Told, tmp_path: Path
) -> None:
    fix_a_batch(mesh, tmp_path, 100)
    mesh.limits = Limits(client_message_bytes_max=8192)
    with Client(mesh.config._replace(limits=mesh.limits), "bed", tmp_path / "q", told) as client:
        client.wait(30)
        assert client.queue.dead_letters() == []
    assert days(mesh) == list(range(100))
    (event,) = told.of("rejected")
    assert (event["field"], event["bound"], event["patient"]) == ("message", "at most 8192 bytes", None)
    assert event["hint"].startswith("request 1 (100 reports) was made when limits.client_message_bytes_max was larger")


def test_a_batch_that_is_too_long_by_now_and_had_been_stored_is_kept_until_it_can_be_asked_for_and_not_doubled(
    mesh: FakeMesh, told: Told, tmp_path: Path
) -> None:
    mesh.lose_answer = lambda peer: bool(mesh.stored)
    fix_a_batch(mesh, tmp_path, 100, lambda: bool(mesh.stored))
    mesh.lose_answer = lambda peer: False
    mesh.limits = Limits(client_message_bytes_max=8192)
    with Client(mesh.config._replace(limits=mesh.limits), "bed", tmp_path / "q", told) as client:
        eventually(lambda: len(told.of("rejected")) == 2, 30)
        assert client.state.pending == 100
    assert "can only be sent as it is" in told.of("rejected")[1]["hint"]
    mesh.limits = Limits()
    with Client(mesh.config, "bed", tmp_path / "q") as client:
        client.wait(30)
    assert days(mesh) == list(range(100))


def fix_a_batch(mesh: FakeMesh, folder: Path, rows: int, until: Callable[[], bool] | None = None) -> None:
    """A client queues so many rows, fixes them as one request, and ends unanswered, once ``until()`` holds."""
    if until is None:
        mesh.leader = None
    with Client(mesh.config, "bed", folder / "q") as client:
        client.submit_many([row(number) for number in range(rows)])
        eventually(until or (lambda: client.queue._batch is not None))
        assert client.state.pending == rows
    mesh.leader = 1


@pytest.mark.parametrize("row_of", [LONGEST_REPORT, LONGEST_READING], ids=["report", "reading"])
def test_the_longest_row_fits_into_the_least_that_a_message_may_be_bounded_to(row_of: Any, tmp_path: Path) -> None:
    assert (check_row if isinstance(row_of, Report) else check_reading)(row_of) is None
    least = _LIMIT_BOUNDS["client_message_bytes_max"][0]
    assert len(wire.encode_rows([row_of])) <= least - FRAME_BYTES
    request = wire.encode_request(
        MESH, "submit_readings", client="\U0001f600" * 64, epoch=bytes(16), seq=1 << 62, rows=b"", digest=bytes(16)
    )
    assert len(request) + CURVE_BYTES <= FRAME_BYTES


@pytest.mark.parametrize(
    "mad",
    [
        wire.encode_reply("ACK", seq=2, term=1, index=1, rejected=[]),
        wire.encode_reply("ACK", seq=1, term=1, index=1, rejected=[[5, "a", "b", "c"]]),
        wire.encode_reply("ACK", seq=1, term=1, index=1, rejected=[[0, "a"]]),
        wire.encode_reply("ACK", seq=1, term=1, index=1, rejected=[[0, "a", "b", "c"], [0, "a", "b", "c"]]),
        wire.encode_reply("OK"),
        wire.encode_reply("GAP", seq=9, expected=1),
    ],
)
def test_an_answer_that_does_not_fit_the_request_is_no_acknowledgement(
    mesh: FakeMesh, tmp_path: Path, mad: bytes
) -> None:
    mesh.before = lambda peer, request: mad if peer == 1 and isinstance(request, wire.Submit) else None
    mesh.leader = 2
    with Client(mesh.config, "bed", tmp_path / "q") as client:
        client.submit(row(0))
        client.wait(30)
    assert days(mesh) == [0]


# ------------------------------------------------------------------------------------------------- another history


@pytest.mark.parametrize("status", ["GAP", "CONFLICT"])
def test_a_gap_or_conflict_that_passes_is_not_believed(mesh: FakeMesh, told: Told, tmp_path: Path, status: str) -> None:
    """A deposed leader that has not noticed says so about what its successor has stored."""
    wrong = {
        "GAP": wire.encode_reply("GAP", seq=2, expected=1),
        "CONFLICT": wire.encode_reply("CONFLICT", seq=2, index=1),
    }
    until = [float("inf")]

    def stale(peer: int, request: wire.Request) -> bytes | None:
        mad = isinstance(request, wire.Submit) and request.seq == 2 and time.monotonic() < until[0]
        return wrong[status] if mad else None

    mesh.before = stale
    until[0] = time.monotonic() + 0.5
    with Client(mesh.config, "bed", tmp_path / "q", told) as client:
        client.submit(row(0))
        client.wait(30)
        epoch = client.queue.epoch
        client.submit(row(1))
        client.wait(30)
        assert client.queue.epoch == epoch
    assert days(mesh) == [0, 1]
    assert told.of("rejected") == []


def test_a_wiped_mesh_gets_what_is_unsent_under_a_new_epoch_and_says_so(
    mesh: FakeMesh, told: Told, tmp_path: Path
) -> None:
    with Client(mesh.config, "bed", tmp_path / "q", told) as client:
        client.submit(row(0))
        client.wait(30)
        mesh.forget_sessions()
        client.submit_many([row(1), row(2)])
        client.wait(30)
    assert days(mesh) == [0, 1, 2]
    (event,) = told.of("rejected")
    assert event["field"] == "seq"
    assert "no longer knows request 1 of this client, which it had acknowledged" in event["hint"]
    assert "what waits (2 reports) is sent as a new session, and none of it is stored twice" in event["hint"]
    sentence = link_sentence(event)
    assert sentence.startswith("a new session: GAP: the mesh no longer knows"), "no row was rejected"


def test_an_old_copy_of_the_queue_loses_nothing_that_is_new(mesh: FakeMesh, told: Told, tmp_path: Path) -> None:
    with Client(mesh.config, "bed", tmp_path / "q") as client:
        client.submit(row(0))
        client.wait(30)
    shutil.copytree(tmp_path / "q", tmp_path / "copy")
    with Client(mesh.config, "bed", tmp_path / "q") as client:
        client.submit(row(1))
        client.wait(30)
    with Client(mesh.config, "bed", tmp_path / "copy", told) as client:
        client.submit(row(2))
        client.wait(30)
    assert days(mesh) == [0, 1, 2]
    (event,) = told.of("rejected")
    assert "is an old or a second copy; what waits (1 report) is sent as a new session" in event["hint"]
    assert "may be stored twice" in event["hint"]


def test_a_mesh_that_is_ahead_of_the_queue_or_does_not_say_what_it_expects_blames_the_queue(told: Told) -> None:
    batch = Batch(b"e" * 16, 7, b"", b"", 1, 1)
    for number, (expected, said) in enumerate(
        [(9, "second copy"), (None, "second copy"), (0, "second copy"), (7, "second copy"), (5, "requests 5 to 6 of")]
    ):
        Ledger(REPORTS, told).disowned(batch, {"status": "GAP", "expected": expected}, 3, "q")
        assert said in told.of("rejected")[number]["hint"], expected


# ----------------------------------------------------------------------------------------------- link, hints, callbacks


def test_the_link_is_shown_without_any_report(mesh: FakeMesh, told: Told, tmp_path: Path) -> None:
    with Client(mesh.config, "bed", tmp_path / "q", told) as client:
        eventually(lambda: (client.state.link, client.state.leader) == ("connected", 1))
        mesh.peers[1].die()
        mesh.leader = 2
        eventually(lambda: (client.state.link, client.state.leader) == ("connected", 2))
        mesh.leader = None
        eventually(lambda: client.state.link == "no quorum")
        mesh.peers[2].die()
        mesh.peers[3].die()
        eventually(lambda: client.state.link == "searching")
    assert told.of("connected")[0]["leader"] == 1
    assert told.of("disconnected")


def test_an_idle_client_whose_peers_are_all_silent_is_not_connected_for_ever(mesh: FakeMesh, tmp_path: Path) -> None:
    with Client(mesh.config, "bed", tmp_path / "q") as client:
        eventually(lambda: client.state.link == "connected")
        mesh.lose_answer = lambda peer: True
        eventually(lambda: client.state.link == "searching")
        mesh.lose_answer = lambda peer: False
        eventually(lambda: (client.state.link, client.state.leader) == ("connected", 1))


@pytest.mark.parametrize("silent", [False, True], ids=["gone", "silent"])
@pytest.mark.parametrize("waits", [False, True], ids=["idle", "a report waits"])
def test_a_refusal_of_the_key_is_not_believed_once_nobody_is_there_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, silent: bool, waits: bool
) -> None:
    monkeypatch.setattr(line, "_fault", lambda event: AUTH if fault_of(event) else "")  # whatever was wrong with it
    own = make_pair()
    peers = [FakePeer(lambda frame: None, own=own) for _ in range(2)]
    places = tuple(PeerAddress(at, "127.0.0.1", fake.port, 1, 1) for at, fake in enumerate(peers, 1))
    with Client(Config("keyed", MESH, places), "bed", tmp_path / "q") as client:  # and the client has no key
        if waits:
            client.submit(row(0))
        eventually(lambda: client.state.link == "key refused")
        assert client.refusal() is not None
        for peer in peers:
            peer.die()
        mute = [socket.create_server(("127.0.0.1", peer.port)) for peer in peers] if silent else []
        eventually(lambda: client.state.link == "searching")
        assert client.refusal() is None
    for one in mute:
        one.close()


def test_a_reading_that_nobody_could_be_told_in_time_is_never_told(
    mesh: FakeMesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zmq.Context() as context:
        hints = Hints(context, MESH, 1 << 20)
        address = ("127.0.0.1", mesh.peers[1].port)
        monkeypatch.setattr(hints_module, "FRESH_S", -1.0)
        hints.seen([row(1, "A")])
        assert hints.flush(*address), "nothing is left"
        monkeypatch.undo()
        hints.seen([row(2, "B")])
        eventually(lambda: hints.flush(*address) and bool(mesh.seen))
        hints.close()
    assert {(seen.patient_id, seen.day) for seen in mesh.seen} == {("B", 2)}


def test_the_last_reading_of_each_bed_is_told_and_only_the_last(mesh: FakeMesh, tmp_path: Path) -> None:
    with Client(mesh.config, "bed", tmp_path / "q") as client:
        for number in range(100):
            client.seen([row(number, "A"), row(number, "B")])
        client.seen([ROW._replace(age=-1.0)])
        eventually(lambda: {(seen.patient_id, seen.day) for seen in mesh.seen} >= {("A", 99), ("B", 99)})
    assert len(mesh.seen) < 50
    assert mesh.stored == []


@pytest.mark.parametrize("dead", [(), (1,), (1, 2)])
def test_a_client_that_closes_at_once_has_still_told_the_last_reading_of_each_bed(
    mesh: FakeMesh, tmp_path: Path, dead: tuple[int, ...]
) -> None:
    mesh.leader = 3
    for peer in dead:
        mesh.peers[peer].die()
    with Client(mesh.config, "bed", tmp_path / "q") as client:
        client.submit(row(1, "A"))
        client.wait(30)
        client.seen([row(1, "A"), row(1, "B")])
        client.seen([row(2, "A")])
    assert {seen.patient_id: seen.day for seen in mesh.seen} == {"A": 2, "B": 1}
    with Client(mesh.config, "bed", tmp_path / "q") as client:
        client.seen([row(3, "A")])
    assert mesh.seen[-1].day == 3


def test_a_client_with_nothing_to_send_tells_its_beds_to_the_leader_and_to_the_next_one_after_it(
    mesh: FakeMesh, tmp_path: Path
) -> None:
    told: list[tuple[int, int | None]] = []

    def listen(peer: int, request: wire.Request) -> None:
        if isinstance(request, wire.Seen):
            told.append((peer, request.rows[-1].day))

    mesh.before = listen
    mesh.leader = 2
    with Client(mesh.config, "bed", tmp_path / "q") as client:

        def hears(peer: int, day: int) -> bool:
            client.seen([row(day, "A")])
            return (peer, day) in told

        eventually(lambda: hears(2, 1))
        mesh.leader = 3
        eventually(lambda: hears(3, 2))


@pytest.mark.parametrize("dies", [True, False])
def test_hints_go_on_to_another_peer_at_once_when_the_leader_is_gone_or_silent(
    mesh: FakeMesh, tmp_path: Path, dies: bool
) -> None:
    heard: dict[int, float] = {}

    def listen(peer: int, request: wire.Request) -> None:
        if isinstance(request, wire.Seen):
            heard[peer] = time.monotonic()

    mesh.before = listen
    with Client(mesh.config, "bed", tmp_path / "q") as client:

        def talks(to: set[int]) -> bool:
            client.seen([row(1, "A")])
            return heard.keys() >= to

        eventually(lambda: talks({1}))
        gone = time.monotonic()
        if dies:
            mesh.peers[1].die()
        else:
            mesh.lose_answer = lambda peer: peer == 1
        eventually(lambda: talks({1, 2}) or talks({1, 3}))  # both still name the old leader, as for a lease they do
        assert min(at for peer, at in heard.items() if peer != 1) - gone < 1.5


@pytest.mark.parametrize("named", [0, 1])
def test_a_client_with_nothing_to_send_leaves_a_peer_that_is_cut_off_and_tells_its_beds_to_the_leader(
    mesh: FakeMesh, tmp_path: Path, named: int
) -> None:
    """Peer 1 hears nobody, and names nobody, or itself; the two others have another leader."""
    told: list[int] = []

    def cut_off(peer: int, request: wire.Request) -> bytes | None:
        if isinstance(request, wire.Seen):
            told.append(peer)
        if peer == 1 and isinstance(request, wire.Status):
            return wire.encode_reply("OK", peer={"id": 1, "leader": named, "quorum": False})
        return None

    mesh.before = cut_off
    mesh.leader = 2
    with Client(mesh.config, "bed", tmp_path / "q") as client:

        def hears(peer: int) -> bool:
            client.seen([row(1, "A")])
            return peer in told

        eventually(lambda: client.state.link == "no quorum" or client.state.leader == 2)
        eventually(lambda: (client.state.link, client.state.leader) == ("connected", 2))
        eventually(lambda: hears(2))


def test_beds_are_told_to_another_peer_while_the_one_that_answers_knows_no_leader(
    mesh: FakeMesh, tmp_path: Path
) -> None:
    """Peer 1 alone says how it is, and that it is cut off; 2 and 3 keep silent about it, and take what is seen."""
    told: list[int] = []

    def cut_off(peer: int, request: wire.Request) -> bytes | None:
        if isinstance(request, wire.Seen):
            told.append(peer)
        if not isinstance(request, wire.Status):
            return None
        return wire.encode_reply("OK", peer={"id": 1, "leader": 0, "quorum": False}) if peer == 1 else b"nonsense"

    mesh.before = cut_off
    with Client(mesh.config, "bed", tmp_path / "q") as client:

        def hears(peer: int) -> bool:
            client.seen([row(1, "A")])
            return peer in told

        eventually(lambda: client.state.link == "no quorum")
        eventually(lambda: hears(2) or hears(3))


def test_beds_are_told_while_a_report_waits_for_a_leader(mesh: FakeMesh, tmp_path: Path) -> None:
    mesh.leader = None
    with Client(mesh.config, "bed", tmp_path / "q") as client:
        client.submit(row(1, "A"))
        for day in range(2, 5):
            client.seen([row(day, "B")])
            eventually(lambda day=day: mesh.seen and mesh.seen[-1].day == day)  # type: ignore[misc]
        assert client.state.pending == 1
        mesh.leader = 2
        client.wait(30)


def test_last_hints_that_one_peer_swallows_are_told_to_the_next(mesh: FakeMesh, tmp_path: Path) -> None:
    mesh.lose_answer = lambda peer: peer == 1
    mesh.before = lambda peer, request: wire.encode_reply("OK") if peer == 1 else None  # and keeps nothing
    with Client(mesh.config, "bed", tmp_path / "q") as client:
        client.seen([row(1, "A")])
    assert [(seen.patient_id, seen.day) for seen in mesh.seen] == [("A", 1)]


@pytest.mark.parametrize("silent", [True, False])
def test_hints_that_nobody_takes_hold_up_the_end_by_half_a_second_and_no_more(
    mesh: FakeMesh, tmp_path: Path, silent: bool
) -> None:
    mesh.lose_answer = lambda peer: silent
    for peer in mesh.peers.values():
        if not silent:
            peer.die()
    client = Client(mesh.config, "bed", tmp_path / "q")
    client.seen([row(number, f"P-{number}") for number in range(1500)])
    started = time.monotonic()
    client.close()
    assert 0.4 < time.monotonic() - started < 0.9
    started = time.monotonic()
    client.close()
    Client(mesh.config, "bed", tmp_path / "q").close()
    assert time.monotonic() - started < 0.4  # nothing to tell, nothing to wait for


def test_hints_to_a_peer_that_is_gone_hold_up_no_report(mesh: FakeMesh, tmp_path: Path) -> None:
    with Client(mesh.config, "bed", tmp_path / "q") as client:
        mesh.peers[1].die()
        mesh.leader = 2
        started = time.monotonic()
        for number in range(20):
            client.seen([row(number)])
            client.submit(row(number))
        client.wait(30)
        assert time.monotonic() - started < 3
    assert days(mesh) == list(range(20))


def test_a_callback_that_raises_is_told_to_the_caller_and_loses_no_report(mesh: FakeMesh, tmp_path: Path) -> None:
    def broken(event: dict[str, Any]) -> None:
        if event["event"] == "ack":
            raise KeyError("mine")

    client = Client(mesh.config, "bed", tmp_path / "q", broken)
    client.submit(row(0))
    with pytest.raises(KeyError, match="mine"):
        client.wait(30)
    with pytest.raises(KeyError, match="mine"):
        client.submit(row(1))
    client.close()
    assert days(mesh) == [0]


def test_a_peer_of_another_mesh_is_told_once_and_kills_no_report(mesh: FakeMesh, told: Told, tmp_path: Path) -> None:
    other = FakeMesh(peers=1)
    foreign = wire.encode_reply("REFUSED", field="mesh", bound="the id of this mesh", hint="compare")
    other.before = lambda peer, request: foreign
    wrong = mesh.config.peers[0]._replace(client_port=other.peers[1].port)
    config = mesh.config._replace(peers=(wrong, *mesh.config.peers[1:]))
    mesh.leader = 2
    with Client(config, "bed", tmp_path / "q", told) as client:
        client.submit_many([row(0), row(1)])
        client.wait(30)
        client.submit(row(2))
        client.wait(30)
        assert client.queue.dead_letters() == []
    other.close()
    assert days(mesh) == [0, 1, 2]
    (event,) = told.of("rejected")
    assert (event["field"], event["peer"]) == ("mesh", 1)


def test_a_disk_that_fails_under_the_sender_is_told_to_the_caller_and_nothing_is_lost(
    mesh: FakeMesh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise DiskFailed("no space")

    client = Client(mesh.config, "bed", tmp_path / "q")
    monkeypatch.setattr(client.queue, "acknowledged", failing)
    client.submit(row(0))
    with pytest.raises(DiskFailed):
        client.wait(30)
    with pytest.raises(DiskFailed):
        client.submit(row(1))
    client.close()
    with Client(mesh.config, "bed", tmp_path / "q") as client:
        client.wait(30)
    assert days(mesh) == [0]


def test_how_it_stands_is_known_at_once_while_a_disk_hangs(
    mesh: FakeMesh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a screen asks that is drawn while a synced write stalls: each submit waits under it, and the sender."""
    hangs, mends = threading.Event(), threading.Event()
    states: list[ClientState] = []
    with Client(mesh.config, "bed", tmp_path / "q") as client:
        eventually(lambda: client.state.link == "connected")
        write = client.queue._file.write

        def stalled(*given: Any, **named: Any) -> Any:
            hangs.set()
            assert mends.wait(30)
            return write(*given, **named)

        monkeypatch.setattr(client.queue._file, "write", stalled)
        submitting = threading.Thread(target=lambda: client.submit(row(0)))
        submitting.start()
        assert hangs.wait(10)
        asking = threading.Thread(target=lambda: states.append(client.state), daemon=True)
        asking.start()
        asking.join(5)
        known = list(states)
        mends.set()
        submitting.join(10)
        client.wait(30)
    assert [(state.link, state.pending, state.acked) for state in known] == [("connected", 0, 0)]
    assert (client.state.pending, client.state.acked) == (0, 1)


def test_no_row_is_gone_from_what_waits_before_it_was_told_what_became_of_it(mesh: FakeMesh, tmp_path: Path) -> None:
    """As a run counts at its end: once nothing waits, every acknowledgement has been handed out."""
    refusing = wire.encode_reply("ACK", seq=1, term=7, index=1, rejected=[[0, "age", "18 to 60 years", "?"]])
    mesh.before = lambda peer, request: refusing if isinstance(request, wire.Submit) else None
    told, telling, looked = Told(), threading.Event(), threading.Event()

    def slow(event: dict[str, Any]) -> None:
        if event["event"] == "ack":
            telling.set()
            assert looked.wait(10)
        told(event)

    with Client(mesh.config, "bed", tmp_path / "q", slow) as client:
        client.submit_many([row(0), row(1), row(2)])
        assert telling.wait(10)
        midway = client.state
        looked.set()
        eventually(lambda: client.state.pending == 0)
        assert (len(told.of("ack")), len(told.of("rejected"))) == (2, 1)
        assert (client.state.acked, client.state.rejected) == (2, 1)
    assert (midway.pending, midway.acked, midway.rejected) == (3, 0, 0)


@pytest.mark.parametrize("name", ["", "x" * 65, "new\nline", 7])
def test_a_bad_client_id_is_refused(mesh: FakeMesh, tmp_path: Path, name: Any) -> None:
    with pytest.raises(InvalidInput):
        Client(mesh.config, name, tmp_path / "q")


def test_two_clients_on_one_queue_are_refused_and_closing_frees_it(mesh: FakeMesh, tmp_path: Path) -> None:
    client = Client(mesh.config, "bed", tmp_path / "q")
    with pytest.raises(DataDirError):
        Client(mesh.config, "bed", tmp_path / "q")
    client.close()
    client.close()
    Client(mesh.config, "bed", tmp_path / "q").close()


@pytest.mark.parametrize("name", ["bed", "..", "a/b", "Zimmer 4", "../../etc"])
def test_the_default_queue_lies_below_the_state_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    directory = default_queue_dir(name, MESH)
    assert directory.resolve().parent.parent == tmp_path.resolve() / "hfzmq"
    assert directory != default_queue_dir(name, bytes(16))
