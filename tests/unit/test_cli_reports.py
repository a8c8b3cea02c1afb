"""``hfzmq reports``: pages put together, filters passed on, freshness said on stderr, numbers in full."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from hfzmq.cli import page_source
from hfzmq.cli.page_command import table_text
from hfzmq.cli.reports import SHOWN
from hfzmq.config import render
from hfzmq.errors import NoLeader
from hfzmq.storage import Store
from tests.integration.storage_world import Tape, mesh, report
from tests.unit.cli_world import CONFIG, FOREIGN, Answer, members_told, run, says

FIELDS = ["id", "patient_id", "timestamp", "probability", "tier"]


class FakeMesh:
    """Peers that all have the same rows; ``away`` give no answer, ``said`` answer something else."""

    def __init__(self, count: int) -> None:
        tiers = ("AMBER", "RED")
        self.rows: list[list[Any]] = [
            [n, f"bed-{n % 3}", 1_760_000_000_000 + n, 0.1 + n / 7e5, tiers[n % 2]] for n in range(1, count + 1)
        ]
        self.away: set[int] = set()
        self.said: dict[int, Answer] = {}
        self.stale_ms: int | None = 0
        self.behind = 0
        self.holds: dict[int, list[int]] = {}  # by peer: the applied index of each of its next answers; the last stays
        self.fails_after = 0  # so many pages, the first peer is away
        self.asked: list[tuple[int, dict[str, Any]]] = []
        self.applied = {1: 90, 2: 80, 3: 100}
        self.told: dict[int, dict[str, Any]] = {}  # what else a peer says of itself

    def ask_all(
        self, config: Any, op: str, fields: dict[str, Any] | None = None, timeout_ms: int = 0, only: int | None = None
    ) -> dict[int, Answer | None]:
        ids = [only] if only else list(config.peer_ids)
        return {peer_id: self._answer(peer_id, op, fields or {}) for peer_id in ids}

    def ask_leader(self, config: Any, op: str, fields: dict[str, Any], timeout_ms: int) -> Answer:
        answer = self._answer(1, op, fields)
        if answer is None:
            raise NoLeader("daemons answer, but none of them leads a quorum")
        return answer

    def _answer(self, peer_id: int, op: str, fields: dict[str, Any]) -> Answer | None:
        if peer_id in self.away:
            return None
        if op == "status":
            if self.said.get(peer_id) == FOREIGN:
                return FOREIGN
            role = "leader" if peer_id == 1 else "follower"
            return says(peer_id, role, applied_index=self.applied[peer_id], **self.told.get(peer_id, {}))
        self.asked.append((peer_id, fields))
        if len(self.asked) == self.fails_after:
            self.away.add(peer_id)
        if peer_id in self.said:
            return self.said[peer_id]
        rows = [row for row in self.rows if fields.get("tier") in (None, row[4])]
        rows = [row for row in rows if fields.get("patient") in (None, row[1])]
        if "before_id" in fields:
            rows = [row for row in rows if row[0] < (fields["before_id"] or 1 << 60)][::-1]
        else:
            rows = [row for row in rows if row[0] > fields["after_id"]]
        page = rows[: fields["limit"]]
        told = {"fields": FIELDS, "rows": page, "more": len(rows) > len(page), "peer": peer_id}
        holds = self.holds.get(peer_id, [100])
        applied = holds.pop(0) if len(holds) > 1 else holds[0]
        return {
            "v": 1, "status": "OK", "stale_ms": self.stale_ms, "behind": self.behind, "applied_index": applied, **told,
        }  # fmt: skip


@pytest.fixture
def ward(monkeypatch: pytest.MonkeyPatch) -> FakeMesh:
    fake = FakeMesh(2345)
    monkeypatch.setattr("hfzmq.client.ask.ask_all", fake.ask_all)
    monkeypatch.setattr("hfzmq.client.ask.ask_leader", fake.ask_leader)
    return fake


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "peers.yaml"
    path.write_text(render(CONFIG))
    return f"--config={path}"


def ids(out: str) -> list[int]:
    return [json.loads(line)["id"] for line in out.splitlines()]


def test_all_pages_through_to_the_last_row(ward: FakeMesh, config: str) -> None:
    assert ids(run("reports", config, "--all", "-o", "jsonl").out) == list(range(1, 2346))
    assert [fields["after_id"] for _, fields in ward.asked] == [0, 1000, 2000]


def test_last_gives_the_newest_in_the_order_of_ids_also_over_several_pages(ward: FakeMesh, config: str) -> None:
    assert ids(run("reports", config, "--last", "3", "-o", "jsonl").out) == [2343, 2344, 2345]
    assert ids(run("reports", config, "--last", "2100", "-o", "jsonl").out) == list(range(246, 2346))
    assert ids(run("reports", config, "--last", "9999", "-o", "jsonl").out) == list(range(1, 2346))
    assert len(ids(run("reports", config, "-o", "jsonl").out)) == 20


def test_after_id_and_limit_give_that_stretch(ward: FakeMesh, config: str) -> None:
    assert ids(run("reports", config, "--after-id", "7", "--limit", "3", "-o", "jsonl").out) == [8, 9, 10]
    assert ids(run("reports", config, "--after-id", "0", "--limit", "1500", "-o", "jsonl").out) == list(range(1, 1501))
    assert len(ids(run("reports", config, "--after-id", "0", "-o", "jsonl").out)) == 100
    assert ids(run("reports", config, "--after-id", "2340", "--all", "-o", "jsonl").out) == list(range(2341, 2346))


def test_patient_and_tier_are_passed_on(ward: FakeMesh, config: str) -> None:
    out = run("reports", config, "--patient", "bed-1", "--tier", "red", "--last", "2", "-o", "jsonl").out
    assert [(json.loads(line)["patient_id"], json.loads(line)["tier"]) for line in out.splitlines()] == [
        ("bed-1", "RED"),
        ("bed-1", "RED"),
    ]


def test_the_peer_that_has_applied_most_is_asked_and_the_next_when_it_falls_away(ward: FakeMesh, config: str) -> None:
    assert "from peer 3" in run("reports", config).err
    ward.said[3] = {"v": 1, "status": "BUSY", "retry_ms": 100}
    assert "from peer 1" in run("reports", config).err
    ward.away = {3, 1}
    assert "from peer 2" in run("reports", config).err


def test_peer_asks_that_one_only(ward: FakeMesh, config: str) -> None:
    assert "from peer 2" in run("reports", config, "--peer", "2").err
    ward.away = {2}
    done = run("reports", config, "--peer", "2")
    assert (done.code, done.out) == (3, "")


def test_consistent_asks_the_leader_for_a_quorum_round(ward: FakeMesh, config: str) -> None:
    assert run("reports", config, "--consistent").code == 0
    assert ward.asked[0][1]["consistent"] is True
    ward.away = {1, 2, 3}
    assert run("reports", config, "--consistent").code == 4


def test_nobody_there_is_exit_3_and_nobody_able_is_exit_4(ward: FakeMesh, config: str) -> None:
    ward.said = {n: {"v": 1, "status": "BUSY", "retry_ms": 1} for n in (1, 2, 3)}
    assert run("reports", config).code == 4
    ward.away = {1, 2, 3}
    done = run("reports", config)
    assert done.code == 3
    assert "--db FILE" in done.err


def test_a_refusal_names_field_and_bound_and_is_exit_6(ward: FakeMesh, config: str) -> None:
    ward.said = {3: {"v": 1, "status": "REFUSED", "field": "patient", "bound": "1 to 64", "hint": "shorter"}}
    done = run("reports", config)
    assert (done.code, done.err) == (6, "error: patient: 1 to 64\nhint: shorter\n")


def test_a_peer_whose_disk_fails_is_left_for_the_next_and_is_no_mistake_of_who_asks(
    ward: FakeMesh, config: str
) -> None:
    failed = {"v": 1, "status": "REFUSED", "field": "read", "bound": "hfzmq_3.db: cannot be read", "hint": "ask again"}
    ward.said = {3: failed}
    assert "from peer 1" in run("reports", config).err
    ward.said = dict.fromkeys((1, 2, 3), failed)
    done = run("reports", config)
    assert (done.code, done.out) == (1, "")
    assert "no peer can read it: hfzmq_3.db: cannot be read" in done.err


@pytest.mark.parametrize(
    ("stale_ms", "words"),
    [(0, "from peer 3, which leads"), (180, "which heard its leader 180 ms ago"), (None, "warning: peer 3 hears no")],
)
def test_what_is_known_of_staleness_is_said_on_stderr(
    ward: FakeMesh, config: str, stale_ms: int | None, words: str
) -> None:
    ward.stale_ms = stale_ms
    assert words in run("reports", config).err


@pytest.mark.parametrize(
    ("behind", "words"),
    [(0, "ms ago\n"), (1, "ms ago, and is 1 entry behind\n"), (12345, "ms ago, and is 12,345 entries behind\n")],
)
def test_how_far_the_peer_is_behind_that_answers_is_said(ward: FakeMesh, config: str, behind: int, words: str) -> None:
    ward.stale_ms, ward.behind = 20, behind
    assert f"from peer 3, which heard its leader 20 {words}" in run("reports", config, "--peer", "3").err


def test_who_goes_on_for_a_peer_that_fell_away_holds_what_that_one_held(ward: FakeMesh, config: str) -> None:
    """Once: peer 1 answered last, with 90 of 100 entries: the newest reports were missing, and exit 0."""
    ward.fails_after = 1
    ward.holds = {1: [90, 90, 100], 2: [80]}
    done = run("reports", config, "--all", "-o", "jsonl")
    assert (done.code, len(done.out.splitlines())) == (0, 2345)
    assert [peer for peer, _ in ward.asked] == [3, 1, 2, 1, 2, 1, 1]


def test_where_nobody_holds_that_any_more_a_reading_of_all_fails(
    ward: FakeMesh, config: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_source, "CATCH_UP_MS", 100)
    ward.fails_after = 1
    ward.holds = {1: [90], 2: [80]}
    done = run("reports", config, "--all", "-o", "jsonl")
    assert done.code == 4
    assert "holds less than the one that fell away" in done.err


def test_numbers_are_whole_in_every_output(ward: FakeMesh, config: str) -> None:
    wanted = [row[3] for row in ward.rows[-5:]]
    table = run("reports", config, "--last", "5").out.split()
    for value in wanted:
        assert f"{value:.4f}" in table  # as many digits as people read; in full for machines
    listed = json.loads(run("reports", config, "--last", "5", "-o", "json").out)
    assert [row["probability"] for row in listed] == wanted
    rows = list(csv.DictReader(io.StringIO(run("reports", config, "--last", "5", "-o", "csv").out)))
    assert [float(row["probability"]) for row in rows] == wanted
    assert [row["id"] for row in rows] == ["2341", "2342", "2343", "2344", "2345"]


def test_a_text_that_is_a_formula_to_a_spreadsheet_comes_out_as_it_is_and_the_help_says_so(
    ward: FakeMesh, config: str
) -> None:
    names = ["=1+1", "-12", "+3", "@x", '=HYPERLINK("a,b")']
    ward.rows = [[n, name, 1_760_000_000_000, 0.5, "AMBER"] for n, name in enumerate(names, 1)]
    done = run("reports", config, "-o", "csv")
    assert [row["patient_id"] for row in csv.DictReader(io.StringIO(done.out))] == names
    for words in (("reports",), ("readings",), ("status",), ("alarms", "ls"), ("model", "predict")):
        assert "= + - or @ is a formula" in " ".join(run(*words, "--help").out.split()), words


def test_a_probability_between_two_ends_shows_both() -> None:
    row = {"probability": 0.71, "flags": "missing:serum_sodium,probability_low:0.120000"}
    assert table_text([row], SHOWN._replace(columns=(("probability", "probability"),)), None).split() == [
        "probability",
        "0.1200-0.7100",
    ]


def test_nothing_stored_is_an_empty_answer_and_no_error(ward: FakeMesh, config: str) -> None:
    ward.rows = []
    for output, empty in (("json", "[]\n"), ("jsonl", ""), ("csv", ",".join(FIELDS) + "\n")):
        done = run("reports", config, "-o", output)
        assert (done.code, done.out) == (0, empty)
    assert "no report is stored that fits" in run("reports", config).err


def test_a_risk_of_less_than_the_meshs_own_red_does_not_look_like_it(ward: FakeMesh, tmp_path: Path) -> None:
    ward.rows = [[1, "bed-1", 1_760_000_000_000, 0.649996, "AMBER"], [2, "bed-2", 1_760_000_000_000, 0.65, "RED"]]
    path = tmp_path / "peers.yaml"
    path.write_text(render(CONFIG._replace(thresholds=CONFIG.thresholds._replace(red_from=0.65))))
    shown = run("reports", f"--config={path}").out
    assert "0.649996" in shown
    assert "0.6500" in shown


def test_an_answer_that_does_not_fit_its_fields_is_an_error_and_no_row(ward: FakeMesh, config: str) -> None:
    ward.said = {3: {"v": 1, "status": "OK", "fields": FIELDS, "rows": [[1, "bed-1"]], "more": False}}
    done = run("reports", config)
    assert (done.code, done.out) == (1, "")


@pytest.mark.parametrize(
    "words",
    [
        ("--all", "--last", "3"),
        ("--last", "3", "--after-id", "0"),
        ("--limit", "3"),
        ("--all", "--limit", "3", "--after-id", "0"),
        ("--last", "0"),
        ("--tier", "PINK"),
        ("--consistent", "--peer", "1"),
        ("--db", "x.db"),
    ],
)
def test_options_that_contradict_each_other_are_exit_2(ward: FakeMesh, config: str, words: tuple[str, ...]) -> None:
    done = run("reports", config, *words)
    assert (done.code, done.out) == (2, "")


def test_a_patient_that_cannot_be_one_is_refused_before_anybody_is_asked(ward: FakeMesh, config: str) -> None:
    assert run("reports", config, "--patient", " x").code == 6
    assert ward.asked == []


def test_a_file_is_read_without_a_daemon(tmp_path: Path) -> None:
    store, tape = Store.open(tmp_path, 1, mesh()), Tape()
    tape.write(store, [report(n) for n in range(5)])
    store.close()
    path = str(tmp_path / "hfzmq_1.db")
    done = run("reports", "--db", path, "-o", "jsonl", "--last", "2")
    assert done.code == 0
    assert ids(done.out) == [4, 5]
    assert [json.loads(line)["patient_id"] for line in done.out.splitlines()] == [report(3).patient_id, "bed-4"]
    assert "from the file" in done.err
    assert ids(run("reports", "--db", path, "-o", "jsonl", "--all", "--tier", "RED").out) == [1, 4]


def test_a_file_that_is_not_there_or_not_ours_is_said(tmp_path: Path) -> None:
    assert run("reports", "--db", str(tmp_path / "none.db")).code == 5
    other = tmp_path / "other.db"
    other.write_text("no database")
    done = run("reports", "--db", str(other))
    assert done.code == 6
    assert "Traceback" not in done.err


def test_peers_of_another_mesh_are_said_to_be_that_and_not_to_be_away(ward: FakeMesh, config: str) -> None:
    ward.said = dict.fromkeys((1, 2), FOREIGN)
    ward.away = {3}
    done = run("reports", config, "--all")
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith("error: the daemons belong to another mesh: 127.0.0.1:7010 refuses: mesh: the id of ")
    assert "\nhint: is this the peers.yaml" in done.err


@pytest.mark.parametrize("name", ["--after-id", "--last", "--limit", "--peer"])
def test_a_number_that_no_id_can_be_is_a_usage_error_that_names_the_option(
    ward: FakeMesh, config: str, name: str
) -> None:
    done = run("reports", config, name, "99999999999999999999")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"error: Invalid value for '{name}': 99999999999999999999 is not in the range")
    assert ward.asked == []


def test_the_greatest_id_is_no_error(ward: FakeMesh, config: str) -> None:
    assert run("reports", config, "--after-id", str(2**63 - 1), "-o", "jsonl")[:2] == (0, "")


def test_no_rows_from_peers_that_are_empty_are_no_answer_while_another_one_holds_data(
    ward: FakeMesh, config: str
) -> None:
    empty = {**members_told(0, founded=False), "incarnation": "bb" * 16, "serves": False}
    ward.rows, ward.away = [], {2}
    ward.told = {1: empty, 3: empty}
    done = run("reports", "--last", "2", config)
    assert (done.code, "the mesh has not begun: waiting for peer 2" in done.err) == (4, True)
    ward.told = {3: {**empty, "last_index": 0}}
    done = run("reports", "--peer", "3", config)
    assert (done.code, "peer 3 is empty" in done.err, "that fits" in done.err) == (4, True, False)
    ward.told = {1: {**members_told(), "incarnation": "bb" * 16}, 3: {**members_told(), "incarnation": "bb" * 16}}
    done = run("reports", "--last", "2", config)
    assert (done.code, "no member of the mesh answers: peers 1 and 3" in done.err) == (4, True)
