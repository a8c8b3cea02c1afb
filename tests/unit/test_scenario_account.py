"""What clients say: which reports they sent, which were acknowledged, and how long the silences were."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from hfzmq.cli.scenario import acks as acks_module
from hfzmq.cli.scenario.account import COMPARED, History, accounts_of
from hfzmq.cli.scenario.acks import SETTLED_MS, Acks
from hfzmq.cli.scenario.writer import report_of
from hfzmq.clinical.report import Report, check_row
from tests.unit.scenario_world import BASE_MS, write_lines

T = 1_000_000


def started(name: str = "bed-01", batch: int = 1) -> dict[str, Any]:
    return {"event": "started", "session": name, "base_ms": BASE_MS, "batch": batch, "at_ms": T}


def sent(to: int, name: str = "bed-01") -> dict[str, Any]:
    return {"event": "sent", "session": name, "to": to, "at_ms": T}


def ack(to: int, at_ms: int = T, index: int = 9, name: str = "bed-01") -> dict[str, Any]:
    return {"event": "ack", "session": name, "to": to, "index": index, "term": 1, "seq": to, "at_ms": at_ms}


def test_every_report_a_writer_makes_is_valid_and_unlike_the_one_before() -> None:
    made = [report_of("bed-01", BASE_MS, number) for number in range(1, 3000)]
    assert {check_row(one) for one in made} == {None}
    for earlier, later in itertools.pairwise(made):
        assert all(mine != theirs for mine, theirs in zip(earlier[1:8], later[1:8], strict=True))


def test_a_session_counts_what_was_sent_and_what_its_own_ack_lines_say(tmp_path: Path) -> None:
    path = tmp_path / "writer.jsonl"
    write_lines(path, started(batch=2), sent(2), ack(2, index=5), sent(4), started("bed-02"), sent(1, "bed-02"))
    one, two = accounts_of(History(path))
    assert (one.name, one.sent, one.acked, one.index_of(1), one.index_of(2)) == ("bed-01", 4, 2, 5, 5)
    assert (two.sent, two.acked) == (1, 0)
    assert one.number_of("bed-01", BASE_MS + 4) == 4
    assert one.number_of("bed-01", BASE_MS + 5) == one.number_of("bed-01", BASE_MS) == 0
    assert one.number_of("bed-02", BASE_MS + 1) == 0
    wanted = report_of("bed-01", BASE_MS, 3)._asdict()
    assert one.content_of(3) == tuple(wanted[name] for name in COMPARED)


def test_a_line_that_was_cut_short_and_words_that_are_no_event_count_for_nothing(tmp_path: Path) -> None:
    path = tmp_path / "writer.jsonl"
    write_lines(path, started(), sent(1))
    with path.open("ab") as file:
        file.write(b'no json\n[1]\n{"other": 1}\n{"event": "ack", "session": "bed-01", "to": 1, "index": 9}')
    (one,) = accounts_of(History(path))
    assert (one.sent, one.acked) == (1, 0)


def test_a_client_that_never_wrote_has_no_account(tmp_path: Path) -> None:
    assert accounts_of(History(tmp_path / "none.jsonl")) == []


def test_what_a_session_complains_of_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "writer.jsonl"
    write_lines(path, started(), {"event": "rejected", "session": "bed-01", "field": "age", "bound": "18 to 120"})
    write_lines(path, {"event": "failed", "session": "bed-02", "cause": "the disk is full"})
    one, two = accounts_of(History(path))
    assert one.problems == ["bed-01: the mesh refused age: 18 to 120"]
    assert two.problems == ["bed-02: the disk is full"]


def bedside_lines(patient: str, timestamp: int, tier: str, acked: bool = True) -> list[dict[str, Any]]:
    key = {"patient": patient, "timestamp": timestamp}
    vitals = {"age": 70, "serum_sodium": 131.0, "serum_creatinine": 2.0, "ejection_fraction": 30, "day": 5}
    lines = [
        {"event": "reading", **key, **vitals},
        {"event": "risk", **key, "probability": 0.7, "tier": tier, "probability_study": 0.8, "flags": []},
    ]
    if tier != "GREEN":
        lines.append({"event": "queued", **key, "tier": tier, "pending": 1})
        if acked:
            lines.append({"event": "ack", "patient": patient, "seq": 1, "term": 1, "index": timestamp, "elapsed_ms": 3})
    return lines


def test_a_bedside_counts_what_was_queued_and_leaves_out_green(tmp_path: Path) -> None:
    path = tmp_path / "bedside.jsonl"
    write_lines(path, *bedside_lines("P-001", 1, "RED"), *bedside_lines("P-002", 1, "GREEN"))
    write_lines(path, *bedside_lines("P-002", 2, "AMBER", acked=False))
    (one,) = accounts_of(History(path, bedside=True))
    assert (one.name, one.sent, one.acked, set(one.patients)) == ("bedside", 2, 1, {"P-001", "P-002"})
    assert (one.number_of("P-001", 1), one.number_of("P-002", 2), one.number_of("P-002", 1)) == (1, 2, 0)
    assert one.content_of(2) == ("P-002", 2, 70, 131.0, 2.0, 30, 5, 0.7, "AMBER", 0.8)
    assert one.index_of(1) == 1
    assert one.problems == []


def test_an_ack_for_another_patient_than_is_due_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "bedside.jsonl"
    write_lines(path, *bedside_lines("P-001", 1, "RED", acked=False))
    write_lines(path, {"event": "ack", "patient": "P-009", "seq": 1, "term": 1, "index": 4, "elapsed_ms": 3})
    (one,) = accounts_of(History(path, bedside=True))
    assert one.problems == ["bedside: ack 1 is for P-009, not in the queue's order"]


# ------------------------------------------------------------------------------------------------ as they come in


class Clock:
    def __init__(self) -> None:
        self.ms = T + SETTLED_MS

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(acks_module, "now_ms", made)
    return made


def test_the_longest_silence_is_between_two_acknowledgements_of_any_steady_writer(tmp_path: Path, clock: Clock) -> None:
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    acks = Acks()
    acks.add("one", one, True)
    acks.add("two", two, True)
    acks.read()
    assert (acks.count, acks.longest_gap_ms) == (0, None)
    write_lines(one, ack(1, T), ack(3, T + 700))
    write_lines(two, ack(1, T + 400, name="x"), ack(1, T + 750, name="y"))
    clock.ms = T + 750 + SETTLED_MS
    acks.read()
    assert (acks.count, acks.of("one"), acks.of("two"), acks.sessions) == (5, 3, 2, 3)
    assert acks.longest_gap_ms == 400
    assert acks.last_of("two") == T + 750


def test_a_silence_that_lasts_grows_and_the_time_after_the_end_is_none(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "one.jsonl"
    acks = Acks()
    acks.add("one", path, True)
    write_lines(path, ack(1, T), ack(2, T + 50))
    clock.ms = T + 1000 + SETTLED_MS
    acks.read()
    assert acks.longest_gap_ms == 950
    acks.end(T + 1100)
    write_lines(path, ack(3, T + 9000))
    clock.ms = T + 20_000
    acks.read()
    assert acks.longest_gap_ms == 1050
    acks.close()
    acks.close()
    assert (acks.count, acks.longest_gap_ms) == (3, 1050)


def test_a_client_that_is_not_steady_is_counted_and_its_silences_are_not(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "bedside.jsonl"
    acks = Acks()
    acks.add("bedside", path, False)
    write_lines(path, *bedside_lines("P-001", 1, "RED"))
    acks.read()
    assert (acks.count, acks.longest_gap_ms) == (1, None)
    acks.close()
    assert acks.longest_gap_ms is None


def test_half_a_line_is_taken_when_it_is_whole(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "one.jsonl"
    acks = Acks()
    acks.add("one", path, True)
    path.write_bytes(b'{"event": "ack", "session": "bed-01", "to"')
    acks.read()
    assert acks.count == 0
    with path.open("ab") as file:
        file.write(b': 4, "at_ms": 5}\n')
    acks.read()
    assert acks.count == 4


def test_the_report_type_has_the_columns_that_are_compared() -> None:
    assert set(COMPARED) <= set(Report._fields)
