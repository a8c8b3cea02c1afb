"""A bench's arithmetic and its reading back: what is lost, doubled or altered is seen, and a figure is what it says."""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hfzmq.cli.bench import compare, document
from hfzmq.cli.bench.failover import gaps_ms
from hfzmq.cli.bench.histogram import Histogram
from hfzmq.cli.bench.load import Load, Spec
from hfzmq.cli.bench.longrun import BOUNDS, FROM_INSIDE, Sample, not_flat
from hfzmq.cli.bench.measure import Figures, LoadRun, Measured, Terms, Workload
from hfzmq.cli.bench.place import _kind_of, on_disk
from hfzmq.cli.bench.readback import Acked, NotKept, all_equal, read_back
from hfzmq.cli.bench.reports import writers
from hfzmq.cli.bench.running import RunningSystem
from hfzmq.cli.bench.speak import ACKED, AGAIN, ELSEWHERE, MeshSpeaker, Session, SketchSpeaker
from hfzmq.cli.bench.stop import stoppable
from hfzmq.cli.processes import Processes
from hfzmq.clinical.report import check_row
from hfzmq.config import render
from hfzmq.errors import HfzmqError, InvalidInput, NoLeader
from hfzmq.settings import Limits
from hfzmq.wire.requests import Submit, decode_request, decode_rows, encode_reply
from hfzmq.wire.rows import pack_row
from tests.unit.cli_world import CONFIG, run

BASE_MS = 1_760_000_000_000
MADE = writers("bench", 2, 4, BASE_MS)
LEDGER = [Acked(writer, sent=6, acked=5) for writer in MADE]

Row = list[Any]


def stored(count: int = 5) -> list[Row]:
    """A table with the first reports of both writers, in turn."""
    rows = [[0, *writer.rows(number, 1)[0]] for number in range(1, count + 1) for writer in MADE]
    return [[number, *row[1:]] for number, row in enumerate(rows, 1)]


# ------------------------------------------------------------ reports


@pytest.mark.parametrize("report_bytes", [95, 120, 145, 290, 600, 1335])
def test_a_made_up_report_is_one_that_a_mesh_takes_and_weighs_what_was_asked_for(report_bytes: int) -> None:
    (writer,) = writers("bench", 1, 64, BASE_MS, report_bytes)
    rows = writer.rows(1, 2000)
    assert [check_row(row) for row in rows] == [None] * 2000
    weights = [len(pack_row(row)) for row in rows]
    assert max(weights) == report_bytes
    assert min(weights) > report_bytes - 8
    assert len({row[0] for row in rows}) == 64
    assert len({(row[0], row[1]) for row in rows}) == 2000


@pytest.mark.parametrize("report_bytes", [1, 94, 1336, 10_000])
def test_a_report_that_cannot_be_so_short_or_so_long_is_refused_with_the_bounds(report_bytes: int) -> None:
    with pytest.raises(InvalidInput, match=r"--report-bytes.* bytes"):
        writers("bench", 1, 64, BASE_MS, report_bytes)


def test_clients_share_the_beds_and_no_bed_has_two_clients() -> None:
    for count, beds, each in ((1, 64, 64), (8, 64, 8), (64, 64, 1), (100, 64, 1)):
        made = writers("bench", count, beds, BASE_MS)
        assert {len(writer.beds) for writer in made} == {each}
        assert len({bed for writer in made for bed in writer.beds}) == count * each


# ------------------------------------------------------------ reading back


def test_what_was_acknowledged_and_is_there_once_in_order_is_kept() -> None:
    assert read_back("peer 1", stored(5), LEDGER) == read_back("peer 2", stored(5), LEDGER)
    assert read_back("peer 1", stored(6), LEDGER), "one that was sent and not acknowledged may be there"


TAMPERED: dict[str, Callable[[list[Row]], list[Row]]] = {
    "the last one lost": lambda rows: rows[:-1],
    "one in the middle lost": lambda rows: rows[:4] + rows[5:],
    "one doubled": lambda rows: [*rows, rows[-1]],
    "two in another order": lambda rows: [rows[2], rows[1], rows[0], *rows[3:]],
    "a value changed": lambda rows: [*rows[:-1], [*rows[-1][:8], 0.999, *rows[-1][9:]]],
    "flags cut off": lambda rows: [*rows[:-1], [*rows[-1][:12], rows[-1][12][:-1]]],
    "another model's": lambda rows: [*rows[:-1], [*rows[-1][:11], "hf-1", rows[-1][12]]],
    "another bed's": lambda rows: [*rows[:-1], [rows[-1][0], MADE[1].beds[0], *rows[-1][2:]]],
    "a stranger's": lambda rows: [*rows, [99, "nobody", *rows[-1][2:]]],
    "more than was sent": lambda rows: stored(7),
    "nothing at all": lambda rows: [],
}


@pytest.mark.parametrize("name", TAMPERED)
def test_whatever_is_lost_doubled_or_altered_is_not_kept(name: str) -> None:
    with pytest.raises(NotKept, match="peer 2"):
        read_back("peer 2", TAMPERED[name](stored(5)), LEDGER)


def test_other_rows_of_a_mesh_that_runs_are_passed_over() -> None:
    rows = [[1, "bed-7", *stored(1)[0][2:]], *stored(5)]
    assert read_back("the mesh", rows, LEDGER, alone=False) == read_back("peer 1", stored(5), LEDGER)


def test_peers_that_hold_the_same_reports_in_another_order_are_not_equal() -> None:
    one = read_back("peer 1", stored(5), LEDGER)
    swapped = read_back("peer 2", sorted(stored(5), key=lambda row: (row[2], -row[0])), LEDGER)
    all_equal({"peer 1": one, "peer 3": one})
    with pytest.raises(NotKept, match="peer 1, peer 2"):
        all_equal({"peer 1": one, "peer 2": swapped})


# ------------------------------------------------------------ requests and answers


def test_a_request_is_one_of_the_protocol_and_the_next_one_has_the_next_seq() -> None:
    speaker, session = MeshSpeaker(CONFIG), Session(MADE[0])
    for seq in (1, 2):
        speaker.next_request(session, 3)
        request = decode_request(session.frame, CONFIG.mesh_id, CONFIG.limits)
        assert isinstance(request, Submit)
        assert (request.seq, request.client, session.sent) == (seq, "bench-0001", 3 * seq)
        assert [tuple(row) for row in decode_rows(request.rows)] == MADE[0].rows(3 * seq - 2, 3)


def test_only_an_ack_of_this_very_request_with_no_row_left_out_counts() -> None:
    speaker, session = MeshSpeaker(CONFIG), Session(MADE[0])
    speaker.next_request(session, 1)
    ack = {"seq": 1, "term": 1, "index": 1, "rejected": []}
    assert speaker.verdict(session, encode_reply("ACK", **ack)) == ACKED
    assert speaker.verdict(session, encode_reply("BUSY", retry_ms=5)) == AGAIN
    assert speaker.verdict(session, encode_reply("NO_QUORUM")) == ELSEWHERE
    assert speaker.verdict(session, encode_reply("NOT_LEADER", leader=None, host=None, port=None)) == ELSEWHERE
    for wrong in ({"seq": 2}, {"rejected": [[0, "age", "too old", ""]]}):
        with pytest.raises(HfzmqError, match="request 1 was answered with"):
            speaker.verdict(session, encode_reply("ACK", **(ack | wrong)))
    with pytest.raises(HfzmqError, match="GAP"):
        speaker.verdict(session, encode_reply("GAP", seq=1, expected=7))


# ------------------------------------------------------------ figures


def test_a_percentile_is_never_below_the_true_one_and_at_most_two_percent_above() -> None:
    rng = random.Random(1)
    values = sorted(rng.lognormvariate(6, 2) for _ in range(5000))
    parts = [Histogram() for _ in range(3)]
    for number, value in enumerate(values):
        parts[number % 3].add(value)
    whole = Histogram()
    for part in parts:
        whole.merge(part)
    for share in (0.5, 0.99, 0.999, 1.0):
        true = values[int(len(values) * share + 0.9999) - 1]
        assert true <= whole.percentile(share) <= max(true * 1.02, 2)
    assert (whole.count, whole.most) == (5000, values[-1])
    assert Histogram().percentile(0.5) != Histogram().percentile(0.5), "of none there is no percentile"


def measured(rate: float) -> Measured:
    return Measured(Figures(rate, *[1.0] * (len(Figures._fields) - 1)), 10, 12, 0)


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    ours, sketch = [measured(rate) for rate in (50, 80, 10)], [measured(rate) for rate in (100, 100, 40)]
    assert compare.ratios(ours, sketch)["rate"] == 0.5
    plan = compare.Plan((Workload(1, 1),), ("hfzmq", "sketch"), 3, Terms())
    told = compare.section(plan, {(Workload(1, 1), "hfzmq"): ours, (Workload(1, 1), "sketch"): sketch})
    (workload,) = told["workloads"]
    assert workload["systems"]["hfzmq"]["rates"] == [50, 80, 10]
    assert workload["systems"]["hfzmq"]["rate"] == 50
    assert workload["systems"]["hfzmq"]["read_back"] == 36
    assert workload["ratio_to_sketch"]["hfzmq"]["rate"] == 0.5


@pytest.mark.parametrize(("value", "shown"), [(12_345.6, 12_300), (145.2, 145), (0.70049, 0.7), (9.876, 9.88)])
def test_a_figure_is_told_with_three_digits(value: float, shown: float) -> None:
    assert compare.short(value) == shown


def test_the_gap_of_a_kill_is_the_longest_silence_that_ends_after_it() -> None:
    acks = [0, 10, 20, 1120, 1130, 1140, 1300, 2000, 2010, 2900, 2910]
    assert gaps_ms(acks, [25, 2015]) == [1100, 890]
    assert gaps_ms(acks, [15, 1135]) == [1100, 890], "acks on their way at the kill come a moment later"
    with pytest.raises(HfzmqError, match="nothing was acknowledged after a kill"):
        gaps_ms(acks, [3000])


SAMPLE = Sample(0.0, 1000.0, 100.0, 200.0, 300.0, 400.0, 50.0, 4.0, 60.0, 50.0, 300.0, stolen_ms=0.0)


@pytest.mark.parametrize(
    ("name", "late"),
    [("rate", 800.0), ("p99_us", 400.0), ("p999_us", 600.0), ("peer_rss_mib", 60.0), ("wal_mib", 16.0),
     ("descriptors", 90.0)],
)  # fmt: skip
def test_whatever_gets_worse_in_a_long_run_is_not_flat_and_is_named(name: str, late: float) -> None:
    flat = [SAMPLE] * 30
    assert not_flat(flat) == []
    (fault,) = not_flat([*flat[:21], *[SAMPLE._replace(**{name: late})] * 9])
    assert fault.startswith(f"{name}: ")
    assert name in BOUNDS
    unknown = not_flat([one._replace(**{name: float("nan")}) for one in flat])
    assert [one.partition(":")[0] for one in unknown] == [name] * (name not in FROM_INSIDE), "not known is not flat"


def test_beside_a_rate_that_fell_stands_what_a_report_cost_and_it_is_not_flat_all_the_same() -> None:
    slow = SAMPLE._replace(rate=700.0, clients_cpu_us=71.0, peers_cpu_us=430.0)
    costs = "CPU of a report: the clients 50 us, later 71; the peers 300 us, later 430"
    assert not_flat([SAMPLE] * 21 + [slow] * 9) == [f"rate: 1000, later 700 ({costs})"]
    unknown = [one._replace(peers_cpu_us=float("nan")) for one in [SAMPLE] * 21 + [slow] * 9]
    assert not_flat(unknown) == ["rate: 1000, later 700 (CPU of a report: the clients 50 us, later 71)"]


@pytest.mark.parametrize(("name", "once"), [("rate", 400.0), ("p999_us", 1000.0), ("max_us", 202_000.0)])
def test_a_long_run_that_stood_still_once_is_not_flat_and_says_when(name: str, once: float) -> None:
    samples = [SAMPLE._replace(at_s=10.0 * number) for number in range(1, 31)]
    samples[14] = samples[14]._replace(**{name: once}, stolen_ms=170.0)
    (fault,) = not_flat(samples)
    told = f"{name}: {once:.5g} at 150 s, {getattr(SAMPLE, name):.5g} as a rule"
    assert fault == f"{told} (its host took 170 ms of CPU then)"
    unknown = [one._replace(stolen_ms=float("nan")) for one in samples]
    assert not_flat(unknown) == [told]


def test_too_few_samples_are_no_verdict() -> None:
    assert not_flat([SAMPLE] * 5) == ["only 5 samples, 12 are needed to tell"]


def test_an_interval_at_the_end_that_is_too_short_is_no_sample_but_its_waits_count() -> None:
    told: list[dict[str, Any]] = []
    spec = Spec("", 1, "bench", 1, 1, 1, 145, BASE_MS, 0.0, 10.0, tick_s=1.0)
    load = Load(spec, SketchSpeaker(1), told.append)
    try:
        for lasted_s in (1.0, 0.4):
            load._interval.add(50_000.0)
            load._tell_tick(time.monotonic(), lasted_s, 7)
        assert [(one["rate"], one["max_us"]) for one in told] == [(7.0, 50_000.0)]
        assert load._whole.count == 2
    finally:
        load.close()


def test_once_the_load_has_ended_only_a_second_request_ends_the_bench(capsys: pytest.CaptureFixture[str]) -> None:
    with stoppable() as stop:
        stop.load_ends(asked_for=False)
        signal.raise_signal(signal.SIGTERM)
        stop()
        assert "once more" in capsys.readouterr().err
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    with stoppable() as stop:
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            stop()


def test_beds_that_cannot_be_discharged_are_told_and_cost_no_figure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def nobody(*about: object) -> None:
        raise NoLeader("nobody leads")

    monkeypatch.setattr("hfzmq.cli.bench.running.Actor.act", nobody)
    said: list[str] = []
    system = RunningSystem(CONFIG, tmp_path / "run", said.append)
    system.writes(MADE)
    system.close()
    (warning,) = said
    assert warning.startswith(f"{sum(len(one.beds) for one in MADE)} made-up beds")
    assert f"hfzmq alarms discharge {MADE[-1].beds[-1]}" in warning


# ------------------------------------------------------------ the command line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--failover 3 --minutes 1", "--failover or --minutes"),
        ("--baseline --failover 3", "--baseline"),
        ("--baseline --config peers.yaml --yes", "--baseline"),
        ("--failover 3 --clients 4", "--clients"),
        ("--config peers.yaml", "say --yes"),
        ("--config peers.yaml --yes --plain", "--plain"),
        ("--yes", "--config"),
        ("--seconds nan", "finite"),
        ("--clients 0", "--clients"),
        ("--lease 20", "--lease"),
        ("--failover 3 --seconds 9", "--seconds changes nothing with --failover"),
        ("--minutes 3 --rounds 2", "--rounds changes nothing with --minutes"),
        ("--config peers.yaml --yes --lease 300", "--lease changes nothing with --config"),
        ("--growth --beds 9 --clients 3", "no --clients"),
        ("--batch 1000 --report-bytes 1335", "that is 785 reports of 1335 bytes"),
        ("-o csv", "csv"),
    ],
)
def test_what_does_not_go_together_is_a_usage_error_that_names_it(words: str, said: str) -> None:
    done = run("bench", *words.split())
    assert (done.code, done.out) == (2, "")
    assert said in done.err


def test_requests_are_weighed_by_the_limits_of_the_mesh_that_is_to_take_them(tmp_path: Path) -> None:
    file = tmp_path / "peers.yaml"
    file.write_text(render(CONFIG._replace(limits=Limits(client_message_bytes_max=12_000))))
    done = run("bench", "--yes", "--config", str(file))
    assert (done.code, done.out) == (2, "")
    assert "a request has 12000 bytes at most, that is 79 reports of 145 bytes" in done.err


def test_a_load_that_fails_where_the_disk_is_full_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    load = LoadRun.__new__(LoadRun)
    load._processes = Processes(tmp_path)
    assert "the disk" not in str(load._failed("nobody has led for 30 s", ""))
    used = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: used._replace(free=3 << 20))
    error = load._failed("nobody has led for 30 s", "")
    assert str(error) == "the load failed: nobody has led for 30 s; the disk has 3 MiB left"
    assert "--folder" in error.hint


def test_a_folder_in_memory_is_refused_for_nothing_is_synced_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr("hfzmq.cli.bench.place.IN_MEMORY", (_kind_of(tmp_path),))
    done = run("bench", "--folder", str(tmp_path / "new"))
    assert (done.code, done.out) == (6, "")
    assert "on a disk, not in memory" in done.err
    assert list((tmp_path / "new").iterdir()) == []


def test_where_temporary_files_are_in_memory_the_folder_is_made_among_lasting_ones(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "lasting").mkdir()
    monkeypatch.setattr("hfzmq.cli.bench.place.LASTING", tmp_path / "lasting")
    monkeypatch.setattr("hfzmq.cli.bench.place.tempfile.gettempdir", lambda: "/dev/shm")
    with on_disk(None) as (place, _):
        assert place.parent == tmp_path / "lasting"


def test_where_a_report_was_not_kept_no_figure_is_told_or_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    def lose(*about: object) -> None:
        raise NotKept("peer 2: 9 reports of bench-0001, who sent 10, of which 10 were acknowledged")

    monkeypatch.setattr(compare, "run", lose)
    done = run("bench", "--folder", str(tmp_path / "new"), "--results", str(tmp_path / "bench.json"))
    assert (done.code, done.out) == (1, "")
    assert "9 reports of bench-0001" in done.err
    assert not (tmp_path / "bench.json").exists()


@pytest.mark.parametrize(
    ("name", "said"), [("bench.json", "no results file"), ("bench.json/below.json", "cannot write")]
)
def test_a_results_file_that_cannot_be_one_is_refused_before_anything_is_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, name: str, said: str
) -> None:
    monkeypatch.setattr(compare, "run", lambda *about: pytest.fail("it was measured"))
    (tmp_path / "bench.json").write_text("[1]")
    done = run("bench", "--folder", str(tmp_path / "new"), "--results", str(tmp_path / name))
    assert (done.code, done.out) == (1, "")
    assert said in done.err
    assert (tmp_path / "bench.json").read_text() == "[1]"


def test_each_round_begins_with_another_system(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    monkeypatch.setattr(compare, "measure", lambda *about: None)
    plan = compare.Plan((Workload(1, 1),), ("a", "b", "c"), 3, Terms())

    def make(name: str) -> Any:
        made.append(name)

    compare.run(plan, make, lambda: None, lambda stage, share: None)
    assert "".join(made) == "abcbcacab"


# ------------------------------------------------------------ in short


@pytest.mark.parametrize(("ratio", "p50", "said"), [(0.7, 1300, ("met", "met")), (0.69, 1301, ("**not met**",) * 2)])
def test_what_has_a_goal_is_said_first_and_whether_it_is_met(ratio: float, p50: float, said: tuple[str, str]) -> None:
    where = {
        "command": "hfzmq bench", "date": "2026-01-02", "commit": "c", "source": "s", "cores": 2,
        "processor": "a processor",
        "load_average_before": 0.1, "disk": {"fsync_p50_ms": 0.2},
    }  # fmt: skip
    figures = dict.fromkeys(Figures._fields, 1500.0) | {"rate": 1200, "rates": [900, 1300], "read_back": 7}
    workload = {"name": "8 x 100", "clients": 8, "batch": 100, "systems": {"hfzmq": figures}}
    ratios = {"hfzmq": dict.fromkeys(Figures._fields, ratio)}
    told = {
        "speed": {
            **where, "rounds": 2, "seconds": 5.0, "beds": 64, "report_bytes": 145,
            "workloads": [{**workload, "ratio_to_sketch": ratios}],
        },
        "failover_lease_1000_ms": {**where, "kills": 2, "lease_ms": 1000, "gap_ms": {"p50": p50, "all": [1400, p50]}},
        "failover_lease_300_ms": {**where, "kills": 1, "lease_ms": 300, "gap_ms": {"p50": 400, "all": [400]}},
    }  # fmt: skip
    lines = document.markdown(told).splitlines()
    assert lines[0].startswith("- **8 x 100**: 1,200 reports/s; a request of 100 reports waits 1.5 ms (median).")
    assert lines[0].endswith(f"{ratio:g} of the sketch's reports/s; goal 0.7: {said[0]}.")
    assert lines[1].endswith(f"waits {p50:g} ms (median); goal 1300 ms: {said[1]}.")
    assert lines[2].endswith("waits 400 ms (median).")
    assert "| 1,200 | 900 to 1,300 | 1.5 |" in "\n".join(lines)
    assert f"of 2 kills: {p50:g}, 1400 ms" in "\n".join(lines)
