"""The clients' desk: every request gets exactly one answer or none, and a wrong one harms nobody else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfzmq.access import ADMIN, CLIENT, AccessList
from hfzmq.clinical.alarm.facts import Action
from hfzmq.clinical.heart_rate import VERDICTS
from hfzmq.clinical.report import Report, check_row
from hfzmq.config import Config, HeartRate, PeerAddress
from hfzmq.core.contract import Change, Proposal, ReadIndex, Reply
from hfzmq.daemon.desk import ChangeRoute, Desk, ReadRoute, SubmitRoute
from hfzmq.daemon.ward import Ward
from hfzmq.wire.access import Issued, encode_changes
from hfzmq.wire.backup import Answer, Making, TakeBackup
from hfzmq.wire.body import decode_body, decode_readings
from hfzmq.wire.requests import Reports, decode_reply, decode_request, digest, encode_request, encode_rows

MESH = b"m" * 16
ROW = Report("P-001", 1_700_000_000_000, 65.5, 137.0, 1.2, 35.0, 12, 0.5, "AMBER", 0.4, "m1", "")
LOG_MS = 4_000_000_000_000  # far ahead of this machine's clock
CONFIG = Config("ward", MESH, (PeerAddress(1, "one", 11, 12, 13), PeerAddress(2, "two", 21, 22, 23)))


class Reads:
    """Stands in for the query thread."""

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.room = True

    def ask_page(self, route: object, request: object) -> bool:
        self.asked.append(request)
        return self.room

    def ask_beds(self, route: object, seen: list[tuple[int, Report]]) -> bool:
        self.asked.append(seen)
        return self.room

    def ask(self, route: object, work: Callable[[], bytes]) -> bool:
        self.asked.append(work)
        return self.room


class Tells:
    """Stands in for what the peer says about itself and the mesh."""

    in_force: Callable[[], AccessList] | None = None

    def status(self) -> dict[str, Any]:
        return {"id": 1}

    def members(self) -> dict[str, Any]:
        return {"index": 4, "members": [], "asking": [], "founded": True}

    def members_index(self) -> int:
        return 4

    def address_of(self, peer: int) -> PeerAddress | None:
        return next((one for one in CONFIG.peers if one.id == peer), None)


class Watches:
    """The watch's ears."""

    def __init__(self) -> None:
        self.acts: list[tuple[tuple[bytes, ...], Action]] = []

    def stamp_ms(self, now_ms: float) -> int:
        return LOG_MS

    def act(self, route: tuple[bytes, ...], action: Action) -> None:
        self.acts.append((route, action))


class Gives:
    """The backups."""

    def __init__(self) -> None:
        self.answer: Answer | Callable[[], bytes] = Making(b"t" * 16, "copying", 0.25, 200)
        self.asked_for: list[tuple[str, TakeBackup]] = []

    def asked(self, by: str, request: TakeBackup) -> Answer | Callable[[], bytes]:
        self.asked_for.append((by, request))
        return self.answer


class Bench:
    """A desk, and what it answers."""

    def __init__(self, config: Config = CONFIG) -> None:
        self.answers: list[list[bytes]] = []
        self.counters: Counter[str] = Counter()
        self.reads = Reads()
        self.ward = Ward(lambda: 0.0)
        self.watch = Watches()
        self.backups = Gives()
        self.tells = Tells()
        self.desk = Desk(
            config, self.answers.append, self.tells, self.reads, self.ward, self.watch, self.backups, self.counters,  # type: ignore[arg-type]
        )  # fmt: skip

    def ask(self, frame: bytes, leads: bool = True) -> Proposal | ReadIndex | Change | None:
        return self.desk.take([b"route", b"", frame], leads)

    def said(self) -> dict[str, Any]:
        """The only answer."""
        ((route, empty, frame),) = self.answers
        assert (route, empty) == (b"route", b"")
        return decode_reply(frame)


def submit(rows: bytes, seq: int = 1) -> bytes:
    return encode_request(MESH, "submit", client="bed", epoch=b"e" * 16, seq=seq, digest=digest(rows), rows=rows)


def test_a_submit_at_the_leader_becomes_a_proposal_with_the_clients_very_rows() -> None:
    bench, rows = Bench(), encode_rows([ROW])
    proposal = bench.ask(submit(rows, 7))
    assert isinstance(proposal, Proposal)
    assert (proposal.origin.client, proposal.origin.seq, proposal.origin.digest) == ("bed", 7, digest(rows))
    assert proposal.body.endswith(rows)
    assert decode_body(proposal.body) == (LOG_MS, [list(ROW)])
    assert bench.answers == []


def test_rows_that_are_refused_are_left_out_and_named_in_the_ack() -> None:
    bench = Bench()
    proposal = bench.ask(submit(encode_rows([ROW._replace(age=5), ROW])))
    assert isinstance(proposal, Proposal)
    assert decode_body(proposal.body)[1] == [list(ROW)]
    bench.desk.answered(Reply(proposal.route, "ACK", seq=1, term=2, index=3))
    said = bench.said()
    assert (said["status"], said["seq"], said["term"], said["index"]) == ("ACK", 1, 2, 3)
    assert [item[:2] for item in said["rejected"]] == [[0, "age"]]
    assert bench.counters["rows_rejected"] == 1


def submit_readings(rows: bytes) -> bytes:
    return encode_request(MESH, "submit_readings", client="b", epoch=b"e" * 16, seq=1, digest=digest(rows), rows=rows)


def test_readings_at_the_leader_become_a_proposal_with_its_verdicts_by_its_own_rules_and_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_ms = 1_700_000_000_000
    monkeypatch.setattr("hfzmq.daemon.desk.wall_clock_ms", lambda: now_ms)
    bench = Bench(CONFIG._replace(heart_rate=HeartRate(valid_min=60, valid_max=90, future_ms=1000)))
    sent = [
        [f"bed-{n}", now_ms + ahead, value, ""] for n, (value, ahead) in enumerate([(59, 0), (90, 1000), (90, 1001)])
    ]
    rows = encode_rows([*sent, ["", now_ms, 72, ""]])
    proposal = bench.ask(submit_readings(rows))
    assert isinstance(proposal, Proposal)
    assert proposal.origin.digest == digest(rows)
    stamp_ms, judged = decode_readings(proposal.body)
    assert stamp_ms == LOG_MS, "by the log's clock, as silence is measured; a machine's own judges the reading"
    assert [VERDICTS[one.verdict].anomaly for one in judged] == ["low", None, "future"]
    bench.desk.answered(Reply(proposal.route, "ACK", seq=1, term=2, index=3))
    assert [item[:2] for item in bench.said()["rejected"]] == [[3, "patient_id"]]
    assert bench.counters["rows_rejected"] == 1


def test_readings_at_a_follower_are_not_judged() -> None:
    proposal = Bench().ask(submit_readings(encode_rows([["bed", 5, 72, ""]])), leads=False)
    assert isinstance(proposal, Proposal)
    assert proposal.body == b""


@pytest.mark.parametrize("op", ["reports", "readings", "alerts"])
def test_a_page_of_each_table_is_asked_of_the_query_thread_after_a_round_where_that_is_wanted(op: str) -> None:
    bench = Bench()
    assert bench.ask(encode_request(MESH, op, limit=7)) is None
    assert bench.reads.asked == [decode_request(encode_request(MESH, op, limit=7), MESH, CONFIG.limits)]
    event = bench.ask(encode_request(MESH, op, limit=7, consistent=True))
    assert isinstance(event, ReadIndex)
    bench.desk.answered(Reply(event.route, "READ"))
    assert len(bench.reads.asked) == 2


@pytest.mark.parametrize("rows", [b"\x91\xc1", b"\x92\x90", b"\x91\x91\x91\x01", b"\xdc\x00\x02\x90", b"\x91"])
def test_rows_that_are_no_rows_are_refused_and_bring_nobody_down(rows: bytes) -> None:
    bench = Bench()
    # Otherwise the same bytes go to the next leader, and one request takes the mesh down, peer by peer.
    assert bench.ask(submit(rows)) is None
    assert (bench.said()["status"], bench.said()["field"]) == ("REFUSED", "rows")
    assert bench.counters["client_request_refused"] == 1


def test_what_is_no_request_is_refused_with_its_field_and_counted() -> None:
    bench = Bench()
    assert bench.ask(b"hello") is None
    assert bench.said()["status"] == "REFUSED"
    assert bench.counters == {"client_request_refused": 1}


@pytest.mark.parametrize("frames", [[b"r"], [b"r", b""], [b"r", b"x", b"m"], [b"r", b"", b"m", b"m"], []])
def test_frames_that_are_not_of_a_req_socket_are_dropped_and_counted(frames: list[bytes]) -> None:
    bench = Bench()
    assert bench.desk.take(frames, True) is None
    assert (bench.answers, bench.counters) == ([], {"client_frames_malformed": 1})


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=40), st.data())
def test_no_rows_and_no_request_raise_anything_at_a_leader(rows: bytes, data: st.DataObject) -> None:
    frame = bytearray(submit(rows))
    if data.draw(st.booleans()):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    bench = Bench()
    event = bench.ask(bytes(frame))
    assert (event is None) == (len(bench.answers) == 1)


values = st.one_of(st.integers(-5, 200), st.floats(0, 200), st.text(max_size=5), st.booleans(), st.none())


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 11), values), max_size=6), st.integers(1, 4))
def test_whatever_a_leader_takes_in_can_be_read_by_every_peer_that_applies_it(
    changes: list[tuple[int, object]], count: int
) -> None:
    rows: list[list[object]] = [list(ROW) for _ in range(count)]
    for number, (field, value) in enumerate(changes):
        rows[number % count][field] = value
    proposal = Bench().ask(submit(encode_rows(rows)))
    assert isinstance(proposal, Proposal)
    stored = decode_body(proposal.body)[1]
    assert all(check_row(row) is None for row in stored)
    assert stored == [row for row in rows if check_row(row) is None]


def test_a_status_is_answered_at_once_and_seen_goes_to_the_ward() -> None:
    bench = Bench()
    assert bench.ask(encode_request(MESH, "status")) is None
    assert bench.said()["peer"] == {"id": 1}
    bench.answers.clear()
    bench.ask(encode_request(MESH, "seen", beds=encode_rows([ROW])))
    assert bench.said()["status"] == "OK"
    assert bench.ward.rows(None) == [(0, ROW)]


def test_reads_go_to_the_query_thread_and_a_consistent_one_asks_the_core_first() -> None:
    bench = Bench()
    assert bench.ask(encode_request(MESH, "reports")) is None
    assert len(bench.reads.asked) == 1
    event = bench.ask(encode_request(MESH, "reports", consistent=True))
    assert isinstance(event, ReadIndex)
    assert len(bench.reads.asked) == 1
    bench.desk.answered(Reply(event.route, "READ", term=1, index=9))
    assert len(bench.reads.asked) == 2
    assert bench.answers == []


@pytest.mark.parametrize("op", ["reports", "beds"])
def test_a_full_query_thread_is_busy_for_the_client(op: str) -> None:
    bench = Bench()
    bench.reads.room = False
    bench.ask(encode_request(MESH, op))
    assert bench.said()["status"] == "BUSY"


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(None, "NOT_LEADER", leader=2), {"leader": 2, "host": "two", "port": 21}),
        (Reply(None, "NOT_LEADER"), {"leader": None, "host": None, "port": None}),
        (Reply(None, "NOT_LEADER", leader=9), {"leader": None, "host": None, "port": None}),  # where it is, is unknown
        (Reply(None, "NO_QUORUM"), {}),
        (Reply(None, "BUSY", retry_ms=50), {"retry_ms": 50}),
        (Reply(None, "CONFLICT", seq=3, index=7), {"seq": 3, "index": 7}),
        (Reply(None, "GAP", seq=3, expected=2), {"seq": 3, "expected": 2}),
    ],
    ids=lambda value: value.status if isinstance(value, Reply) else "",
)
@pytest.mark.parametrize("reads", [False, True])
def test_each_decision_of_the_core_is_answered_as_the_protocol_says(
    reply: Reply, said: dict[str, Any], reads: bool
) -> None:
    if reads and reply.status in ("CONFLICT", "GAP"):
        return  # nothing is to be stored
    bench = Bench()
    frames = (b"route", b"")
    route = ReadRoute(frames, Reports(0, None, 1, None, None, True)) if reads else SubmitRoute(frames, [])
    bench.desk.answered(
        Reply(route, reply.status, reply.seq, 0, reply.index, reply.leader, reply.retry_ms, reply.expected)
    )
    extra = {} if reads else {"members_index": 4}  # so that a client learns of newer members by the way
    assert bench.said() == {"v": 1, "status": reply.status, **said, **extra}
    assert bench.counters == {f"replies_{reply.status.lower()}": 1}


def test_an_answer_is_one_flat_frame_that_any_language_can_read() -> None:
    bench = Bench()
    bench.ask(encode_request(MESH, "status"))
    assert set(msgpack.unpackb(bench.answers[0][2])) == {"v", "status", "peer"}


def test_the_members_are_told_at_once() -> None:
    bench = Bench()
    assert bench.ask(encode_request(MESH, "members")) is None
    assert bench.said() == {"v": 1, "status": "OK", "index": 4, "members": [], "asking": [], "founded": True}


@pytest.mark.parametrize("leads", [True, False])
def test_a_change_of_members_is_for_the_core_whether_this_peer_leads_or_not(leads: bool) -> None:
    bench = Bench()
    event = bench.ask(encode_request(MESH, "change", action="remove", peer=3), leads)
    assert event == Change(ChangeRoute((b"route", b"")), "remove", 3)
    assert bench.answers == []


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(None, "ACK", index=9), {"index": 9}),
        (Reply(None, "REFUSED", why="peer 3 is no member"),
         {"field": "peer", "bound": "peer 3 is no member", "hint": ""}),
        (Reply(None, "BUSY", retry_ms=100), {"retry_ms": 100}),
        (Reply(None, "NOT_LEADER", leader=2), {"leader": 2, "host": "two", "port": 21}),
        (Reply(None, "NO_QUORUM"), {}),
    ],
    ids=lambda value: value.status if isinstance(value, Reply) else "",
)  # fmt: skip
def test_a_change_is_answered_as_the_protocol_says(reply: Reply, said: dict[str, Any]) -> None:
    bench = Bench()
    route = ChangeRoute((b"route", b""))
    bench.desk.answered(Reply(route, reply.status, 0, 0, reply.index, reply.leader, reply.retry_ms, 0, reply.why))
    assert bench.said() == {"v": 1, "status": reply.status, "members_index": 4, **said}


# ------------------------------------------------------------ alarms


def test_an_action_on_an_alarm_goes_to_the_watch_of_a_leader_and_elsewhere_by_everybody_else() -> None:
    bench = Bench()
    frame = encode_request(CONFIG.mesh_id, "alarm", action="ack", episode=7, by="nurse")
    assert bench.ask(frame) is None
    assert bench.watch.acts == [((b"route", b""), Action("ack", 7, "nurse"))]
    assert isinstance(bench.ask(frame, leads=False), Proposal)
    assert len(bench.watch.acts) == 1


@pytest.mark.parametrize(("outcome", "status"), [("done", "ACK"), ("already", "ACK"), ("not found", "REFUSED")])
def test_what_became_of_an_action_is_answered(outcome: str, status: str) -> None:
    bench = Bench()
    bench.desk.acted((b"route", b""), 12, outcome)
    said = bench.said()
    assert said["status"] == status
    if status == "ACK":
        assert (said["index"], said["outcome"]) == (12, outcome)
    else:
        assert said["field"] == "episode"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"action": "shout", "episode": 1, "by": "nurse"}, "action"),
        ({"action": "ack", "by": "nurse"}, "episode"),
        ({"action": "ack", "episode": 1, "patient": "bed-1", "by": "nurse"}, "episode"),
        ({"action": "ack", "episode": 0, "by": "nurse"}, "episode"),
        ({"action": "ack", "patient": " bed", "by": "nurse"}, "patient"),
        ({"action": "ack", "episode": 1, "by": ""}, "by"),
        ({"action": "ack", "episode": 1}, "by"),
    ],
)
def test_a_wrong_action_is_refused_with_its_field(fields: dict[str, Any], field: str) -> None:
    bench = Bench()
    assert bench.ask(encode_request(CONFIG.mesh_id, "alarm", **fields)) is None
    said = bench.said()
    assert (said["status"], said["field"]) == ("REFUSED", field)
    assert not bench.watch.acts


def test_hints_of_beds_are_taken_by_whoever_is_told_them() -> None:
    bench = Bench()
    bench.ask(encode_request(CONFIG.mesh_id, "seen", beds=encode_rows([ROW])), leads=False)
    assert bench.ward.rows(None) == [(0, ROW)]


# ------------------------------------------------------------ backups

BACKUP = encode_request(MESH, "backup", take=b"t" * 16, offset=5, length=7)


def test_a_backup_is_asked_for_with_an_admin_s_key_alone_and_whose_it_is_is_told() -> None:
    bench = Bench()
    assert bench.desk.take([b"route", b"", BACKUP], False, CLIENT, "ward") is None
    said = bench.said()
    assert (said["status"], said["field"], said["bound"]) == ("REFUSED", "key", "an admin's key, for backup")
    assert not bench.backups.asked_for
    bench.answers.clear()
    assert bench.desk.take([b"route", b"", BACKUP], False, ADMIN, "ann") is None
    assert bench.backups.asked_for == [("ann", TakeBackup(b"t" * 16, 5, 7))]
    said = bench.said()
    assert {key: said[key] for key in ("status", "doing", "share", "retry_ms")} == {
        "status": "MAKING", "doing": "copying", "share": 0.25, "retry_ms": 200,
    }  # fmt: skip


def test_a_piece_of_a_backup_is_read_by_the_query_thread_and_never_here() -> None:
    bench = Bench()

    def read() -> bytes:
        raise AssertionError("read in the loop")

    bench.backups.answer = read
    assert bench.ask(BACKUP) is None
    assert (bench.reads.asked, bench.answers) == ([read], [])
    bench.reads.room = False
    bench.ask(BACKUP)
    assert bench.said()["status"] == "BUSY"


@pytest.mark.parametrize("keyed", [True, False])
def test_a_mesh_without_keys_takes_none_in_that_would_be_in_force_on_the_day_it_has_some(keyed: bool) -> None:
    """Once: whoever reached a plain mesh could leave an admin's key in its log."""
    bench = Bench()
    bench.tells.in_force = AccessList if keyed else None
    rows = encode_changes([Issued("0" * 40, ADMIN, "mallory", 0)])
    fields = {"client": "anybody", "epoch": b"e" * 16, "seq": 1, "rows": rows, "digest": digest(rows)}
    taken = bench.ask(encode_request(MESH, "access", **fields))
    assert isinstance(taken, Proposal) is keyed
    if not keyed:
        assert bench.said()["status"] == "REFUSED"
