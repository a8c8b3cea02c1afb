"""When the lines of a recording are due whose clocks were wrong, or that nobody recorded for long."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from hfzmq.cli.bedside.readings import Leapt
from hfzmq.cli.stream import replay as replay_module
from hfzmq.cli.stream.output import sentence_of
from hfzmq.cli.stream.replay import ReplaySource
from hfzmq.clinical.heart_rate import Reading
from hfzmq.clinical.report import TIMESTAMP_MS_MAX
from tests.unit.test_stream_sources import T0, Clock, csv, read_all

DEAD = 946_684_800_000  # a device's clock that was never set
DAY_S = 86_400


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(f"{replay_module.__name__}.time.sleep", made.sleep)
    return made


def replayed(path: Path, clock: Clock, speed: float = 1.0) -> list[tuple[float, float | None]]:
    """(seconds after the start, value) of each reading."""
    source, found, began = ReplaySource(path, speed, 100, clock), [], clock.now
    while (chunk := source.read(0.05)) is not None:
        found += [(round(clock.now - began, 3), item.value) for item in chunk.items if isinstance(item, Reading)]
    source.close()
    return found


@pytest.mark.parametrize(
    "dead", [{0}, {2}, {1, 2}, {0, 1, 2}, {1, 3}], ids=["first", "one", "two in a row", "the first three", "by turns"]
)
@pytest.mark.parametrize("there", [DEAD, TIMESTAMP_MS_MAX], ids=["2000", "2100"])
def test_a_clock_that_was_dead_stalls_nothing_and_the_rest_keeps_its_own_time(
    tmp_path: Path, clock: Clock, dead: set[int], there: int
) -> None:
    at = [there if number in dead else T0 + number * 1000 for number in range(20)]
    found = replayed(csv(tmp_path, *(f"{when},P-1,{number}" for number, when in enumerate(at))), clock)
    assert [value for _, value in found] == list(range(20))
    after = [when for when, value in found if value is not None and value >= 5]
    assert [b - a for a, b in pairwise(after)] == pytest.approx([1.0] * 14, abs=0.01)
    assert found[-1][0] <= 19.01


def test_two_clocks_that_lie_a_day_apart_keep_their_time_when_their_lines_alternate(
    tmp_path: Path, clock: Clock
) -> None:
    lines = (f"{T0 + (n + lag * DAY_S) * 1000},P-{lag},{n}" for n in range(20) for lag in (0, 1))
    found = replayed(csv(tmp_path, *lines), clock)
    assert [when for when, _ in found] == pytest.approx([n for n in range(20) for _ in (0, 1)], abs=0.01)


def test_a_line_that_is_not_waited_for_is_told_once(tmp_path: Path, clock: Clock) -> None:
    path = csv(tmp_path, f"{DEAD},P-1,1", f"{T0},P-1,2", f"{DEAD},P-1,3", f"{T0 + 1000},P-1,4")
    found = read_all(ReplaySource(path, 1.0, 100, clock))
    assert [item for item in found if isinstance(item, Leapt)] == [Leapt(str(path), 3, T0 - DEAD)]
    assert found[1] == Leapt(str(path), 3, T0 - DEAD)
    said = sentence_of({"event": "leapt", **found[1]._asdict()})
    assert said.startswith(f"warning: {path}:3: this line's time is 8718 d after that of the line before it")


@pytest.mark.parametrize(("speed", "gap_s", "waited_s"), [(1.0, 600, 600), (1.0, 601, 0), (100.0, DAY_S // 2, 432)])
def test_a_gap_of_ten_minutes_is_waited_for_and_a_longer_one_where_it_is_replayed_faster(
    tmp_path: Path, clock: Clock, speed: float, gap_s: int, waited_s: float
) -> None:
    found = replayed(csv(tmp_path, f"{T0},P-1,1", f"{T0 + gap_s * 1000},P-1,2"), clock, speed)
    assert found[-1][0] == pytest.approx(waited_s, abs=0.01)
