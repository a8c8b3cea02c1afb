"""The plan of ``hfzmq bench --growth``, its arithmetic, what it writes and draws; without any process."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hfzmq.cli.bench import commands, document, grown, growth
from hfzmq.cli.bench.fill import UNEQUAL
from hfzmq.cli.bench.grown import Growing, Grown, GrownSystem
from hfzmq.cli.bench.growth import AXES, Point, Run, grow, points, refuse_small_disk
from hfzmq.cli.bench.measure import MIB, Figures, Measured, Terms, Workload
from hfzmq.cli.bench.place import put
from hfzmq.cli.bench.readback import NotKept
from hfzmq.cli.bench.reports import bounds, writers
from hfzmq.cli.bench.systems import MeshSystem
from hfzmq.cli.bench.table import AXIS_HEADS, lines
from hfzmq.errors import DataDirError, HfzmqError
from tests.unit.cli_world import run

ROWS_MAX = 10**6


# ------------------------------------------------------------ the plan


def test_all_axes_have_one_name_everywhere() -> None:
    (option,) = [one for one in commands.bench.params if one.name == "growth"]
    assert list(option.type.choices) == ["all", *AXES] == ["all", *AXIS_HEADS]  # type: ignore[attr-defined]


def beds_of(point: Point) -> int:
    """How many its clients send for."""
    made = writers("bench", point.workload.clients, point.beds or Terms().beds, 0)
    return len({bed for writer in made for bed in writer.beds})


@pytest.mark.parametrize("axis", AXES)
def test_along_an_axis_nothing_else_differs(axis: str) -> None:
    along = points(axis, ROWS_MAX)
    workloads = {"n x 1"} if axis == "clients" else {"64 x 1", "8 x 100"}
    others = {
        (
            0 if axis == "peers" else one.peers,
            "n x 1" if axis == "clients" else one.workload.name,
            0 if axis == "bytes" else one.report_bytes,
            0 if axis == "stored" else one.stored,
            beds_of(one),
        )
        for one in along
    }
    assert {workload for _, workload, *_ in others} == workloads
    assert len(others) == len(workloads)
    values = [one.value for one in along]
    assert values == sorted(values)


def test_the_steps_are_those_that_were_promised() -> None:
    def values(axis: str, rows_max: int = ROWS_MAX) -> list[int]:
        return list(dict.fromkeys(one.value for one in points(axis, rows_max)))

    assert values("peers") == [3, 5, 7]
    assert values("clients") == [1, 10, 100, 1000]
    assert values("stored") == [10**3, 10**4, 10**5, 10**6]
    assert values("stored", 10**7) == [10**3, 10**4, 10**5, 10**6, 10**7]
    assert values("stored", 5000) == [1000, 5000]
    assert values("stored", 1000) == [1000]
    least, *between, most = values("bytes")
    assert (least, most) == bounds("bench")
    assert all(least < weight < most for weight in between)


def test_a_disk_without_room_for_the_reports_is_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growth, "disk_free_bytes", lambda place: 10 * 10**9)
    refuse_small_disk(tmp_path, 5 * 10**6)
    with pytest.raises(DataDirError, match=r"10,000,000 reports on 3 disks .* 10.0 GB are free") as refused:
        refuse_small_disk(tmp_path, 10**7)
    assert "--rows-max" in refused.value.hint
    monkeypatch.setattr(growth, "disk_free_bytes", lambda place: 10**6)
    done = run("bench", "--growth", "--folder", str(tmp_path / "f"))
    assert done.code != 0
    assert "1,000,000 reports on 3 disks" in done.err
    assert list((tmp_path / "f").iterdir()) == []


# ------------------------------------------------------------ measuring


def measured(rate: float) -> Measured:
    return Measured(Figures(rate, *[1.0] * (len(Figures._fields) - 1)), 10, 12, 0)


class FakeMesh:
    """In place of a system that grows."""

    def __init__(self, stored: int) -> None:
        self.stored = stored
        self.grown = Grown(stored, 1.25, 3 * MIB)


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What is measured, in its order: (peers, stored, workload, bytes); each turn is faster than the one before."""
    made: list[tuple[Any, ...]] = []

    def measure(system: Any, workload: Workload, terms: Terms, on_tick: Callable[[dict[str, Any]], None]) -> Measured:
        made.append((*system, workload.name, terms.report_bytes))
        on_tick({"at_s": terms.seconds / 2})
        return measured(100.0 * len(made))

    monkeypatch.setattr(growth, "measure", measure)
    monkeypatch.setattr(growth, "MeshSystem", lambda place, keys, tick, lease_ms, peers: (peers, 0))
    return made


def test_all_points_of_an_axis_are_measured_in_turn_and_medians_are_told(
    tmp_path: Path, turns: list[tuple[Any, ...]]
) -> None:
    said: list[tuple[str, float]] = []
    along = points("peers", ROWS_MAX)
    told = grow("peers", along, Run(tmp_path, 3, Terms(), 1000, lambda: None), lambda *one: said.append(one))
    assert turns[: len(along)] == [(one.peers, 0, one.workload.name, 145) for one in along]
    assert turns == turns[: len(along)] * 3
    assert [one["rates"] for one in told["points"]][:2] == [[100, 700, 1300], [200, 800, 1400]]
    assert [one["rate"] for one in told["points"]] == [700, 800, 900, 1000, 1100, 1200]
    assert [one["read_back"] for one in told["points"]] == [36] * 6
    assert (told["rounds"], told["points"][2]["value"], told["points"][2]["peers"]) == (3, 5, 5)
    for stage in growth.stages("peers", along):
        shares = [share for name, share in said if name == stage]
        assert shares == sorted(shares)
        assert (shares[0], shares[-1]) == (0.0, 1.0)


def test_reports_are_as_long_as_their_point_says(tmp_path: Path, turns: list[tuple[Any, ...]]) -> None:
    along = points("bytes", ROWS_MAX)
    grow("bytes", along, Run(tmp_path, 1, Terms(), 1000, lambda: None), lambda stage, share: None)
    assert [turn[3] for turn in turns] == [one.report_bytes for one in along]


def test_what_was_stored_before_and_what_a_start_took_stand_beside_the_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growth, "GrownSystem", FakeMesh)
    monkeypatch.setattr(growth, "measure", lambda *about: measured(5.0))
    monkeypatch.setattr(Growing, "holding", lambda self, reports, *about: FakeMesh(reports + 7))
    told = grow("stored", points("stored", 1000), Run(tmp_path, 3, Terms(), 1000, lambda: None), lambda *one: None)
    assert [(one["value"], one["stored"], one["start_s"], one["disk_mib"]) for one in told["points"]] == [
        (1000, 1007, 1.25, 3.0)
    ] * 2


def test_whatever_goes_wrong_the_mesh_that_grows_is_removed_and_nothing_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[bool] = []
    monkeypatch.setattr(Growing, "holding", lambda self, reports, *about: FakeMesh(reports))
    monkeypatch.setattr(Growing, "close", lambda self: closed.append(True))

    def lose(*about: object) -> None:
        raise NotKept("peer 2: 9 reports of bench-0001, who sent 10, of which 10 were acknowledged")

    monkeypatch.setattr(growth, "measure", lose)
    with pytest.raises(NotKept):
        grow("stored", points("stored", 1000), Run(tmp_path, 1, Terms(), 1000, lambda: None), lambda *one: None)
    assert closed == [True]


class FakeGrown:
    """In place of a GrownSystem: fills nothing."""

    made: list[FakeGrown]

    def __init__(self, folder: Path, tick: Callable[[], None], lease_ms: int) -> None:
        self.stored = 0
        self.removed = False
        self.made.append(self)

    def begin(self) -> None:
        """Founded."""

    def fill(self, reports: int, *about: object) -> None:
        self.stored += reports

    def remove(self) -> None:
        self.removed = True


def test_one_mesh_grows_from_size_to_size_and_is_begun_anew_when_its_own_load_was_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FakeGrown.made = []
    monkeypatch.setattr(grown, "GrownSystem", FakeGrown)
    growing = Growing(tmp_path, lambda: None, 1000)

    def holding(reports: int) -> Any:
        return growing.holding(reports, 64, 145, lambda share: None)

    first = holding(1000)
    assert first.stored == 1000
    first.stored += 400
    assert holding(1000) is first, "at most half as many again"
    assert first.stored == 1400
    assert (holding(5000), first.stored) == (first, 5000)
    first.stored = 100_000
    second = holding(10_000)
    assert second is not first
    assert (first.removed, second.removed, second.stored) == (True, False, 10_000)
    growing.close()
    assert second.removed


class StillMesh(GrownSystem):
    """One that is never begun: ``codes`` is how each filling ends, ``said`` its last line."""

    def __init__(self, folder: Path, codes: list[int], said: str) -> None:
        super().__init__(folder, lambda: None, 1000)
        self.codes = codes
        self.processes.last_words = lambda name, lines=3: said  # type: ignore[method-assign]

    def _fill(self, reports: int, beds: int, report_bytes: int, say: object) -> int:
        return self.codes.pop(0)

    def settle(self) -> None:
        """They end alike now, or not."""


@pytest.mark.parametrize(
    ("codes", "said", "starts", "fault"),
    [
        ([0], '{"stored": 300}', 0, ""),
        ([UNEQUAL, 0], '{"stored": 300}', 1, ""),
        ([UNEQUAL] * 3, "", 3, "did not end alike"),
        ([1], "disk I/O error", 0, "could not be filled: disk I/O error"),
        ([0], '{"stored": 299}', 0, "should be there"),
    ],
)
def test_files_that_do_not_end_alike_are_brought_together_first_and_other_faults_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codes: list[int], said: str, starts: int, fault: str
) -> None:
    begun: list[str] = []
    monkeypatch.setattr(MeshSystem, "start", lambda self: begun.append(self.name))
    mesh = StillMesh(tmp_path / "mesh", [*codes], said)
    try:
        if fault:
            with pytest.raises(HfzmqError, match=fault):
                mesh.fill(300, 64, 145, lambda share: None)
        else:
            mesh.fill(300, 64, 145, lambda share: None)
        assert (mesh.codes, len(begun), mesh.stored) == ([], starts, 0 if fault else 300)
    finally:
        mesh.remove()
    assert not (tmp_path / "mesh").exists()


# ------------------------------------------------------------ results, tables, the plot


def section(axis: str, rate: float = 1000.0) -> dict[str, Any]:
    """Of a results file: an axis, made up."""
    told: dict[str, Any] = {
        "command": "hfzmq bench --growth", "date": "2026-01-02T03:04:05+00:00", "commit": "c" * 40, "source": "abc",
        "cores": 2, "processor": "a processor",
        "load_average_before": 0.5, "disk": {"fsync_p50_ms": 0.1}, "rounds": 3, "seconds": 5.0,
        "points": [],
    }  # fmt: skip
    for number, point in enumerate(points(axis, 1000)):
        figures = dict.fromkeys(Figures._fields, 1500.0) | {"rate": rate + number, "read_back": 12}
        more = {"stored": 1007, "start_s": 1.25, "disk_mib": 3.0} if axis == "stored" else {}
        told["points"].append({"value": point.value, "workload": point.workload.name, **figures, **more})
    return told


GROWTH = {axis: section(axis) for axis in AXES}


def test_an_axis_that_is_measured_again_takes_the_place_of_itself_alone(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    put(path, {"long": {"verdict": "flat"}})
    put(path, {"growth": {"peers": {"rounds": 1}}})
    put(path, {"growth": {"clients": {"rounds": 2}}})
    put(path, {"growth": {"peers": {"rounds": 3}}})
    assert json.loads(path.read_text()) == {
        "long": {"verdict": "flat"},
        "growth": {"peers": {"rounds": 3}, "clients": {"rounds": 2}},
    }
    path.write_text('{"growth": 7}')
    with pytest.raises(HfzmqError, match="no results file"):
        put(path, {"growth": {}})


def test_a_table_shows_each_point_of_each_axis_and_where_it_comes_from() -> None:
    text = document.markdown({"growth": GROWTH})
    for axis in AXES:
        for point in GROWTH[axis]["points"]:
            start = f"| {point['value']:,} | {point['workload']} | {point['rate']} | 1.5 |"
            assert start in text
    assert text.count("commit cccccccccc") == text.count("2 cores of a processor") == len(AXES)
    assert "| 1,007 | 3.0 | 1.25 |" in text
    assert f"({document.PLOT})" in text
    shown = "\n".join(lines("growth", GROWTH))
    assert all(head in shown for head in AXIS_HEADS.values())
    read_back = sum(one["read_back"] for told in GROWTH.values() for one in told["points"])
    assert f"{read_back} acknowledged reports" in shown


def test_a_document_and_its_plot_come_from_one_results_file(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not here: no picture")
    results, text = tmp_path / "bench.json", f"before\n{document.BEGIN}old\n{document.END}after\n"
    pictures = []
    for name, told in (("one", GROWTH), ("two", GROWTH), ("three", {"peers": section("peers", 2000.0)})):
        results.write_text(json.dumps({"growth": told}))
        page = tmp_path / name / "performance.md"
        page.parent.mkdir()
        page.write_text(text)
        document.main(str(results), str(page))
        assert page.read_text() == document.put(text, {"growth": told})
        pictures.append((page.parent / document.PLOT).read_bytes())
    assert b"<svg" in pictures[0][:2000]
    assert pictures[0] == pictures[1] != pictures[2]


def test_without_matplotlib_the_document_stays_as_it_is_and_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    results, page = tmp_path / "bench.json", tmp_path / "performance.md"
    results.write_text(json.dumps({"growth": GROWTH}))
    page.write_text("as it is")
    with pytest.raises(HfzmqError, match="matplotlib") as refused:
        document.main(str(results), str(page))
    assert "hfzmq[train]" in refused.value.hint
    assert page.read_text() == "as it is"


# ------------------------------------------------------------ the command line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--growth --clients 4", "--clients"),
        ("--growth --report-bytes 145", "--report-bytes"),
        ("--growth stored --baseline", "--baseline"),
        ("--growth --failover 3", "--failover"),
        ("--growth --minutes 3", "--minutes"),
        ("--growth --config peers.yaml --yes", "--config"),
        ("--rows-max 5000", "--rows-max goes with --growth"),
        ("--growth peers --rows-max 5000", "--rows-max goes with --growth"),
        ("--growth --rows-max 999", "--rows-max"),
        ("--growth weight", "weight"),
    ],
)
def test_what_does_not_go_with_growth_is_a_usage_error_that_names_it(words: str, said: str) -> None:
    done = run("bench", *words.split())
    assert (done.code, done.out) == (2, "")
    assert said in done.err


def test_each_axis_is_in_the_results_file_as_soon_as_it_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who ends the command in the middle of the third one keeps two."""
    path = tmp_path / "bench.json"

    def grow_or_stop(axis: str, along: tuple[Point, ...], run: Run, say: object) -> dict[str, Any]:
        if axis == "bytes":
            raise KeyboardInterrupt
        return section(axis)

    monkeypatch.setattr(growth, "grow", grow_or_stop)
    done = run("bench", "--growth", "--rows-max", "1000", "--folder", str(tmp_path / "f"), "--results", str(path))
    assert (done.code, done.out) == (130, "")
    told = json.loads(path.read_text())["growth"]
    assert list(told) == ["peers", "clients"]
    assert all(
        part["disk"]["fsync_p50_ms"] > 0 and part["commit"] and part["lease_ms"] == 1000 for part in told.values()
    )
    assert list((tmp_path / "f").iterdir()) == []
