"""The ward's live picture: the last reading of each bed, by arrival and by its own time."""

from __future__ import annotations

import pytest

from hfzmq.clinical.report import TIMESTAMP_MS_MAX, Report
from hfzmq.daemon import ward as ward_module
from hfzmq.daemon.ward import Ward

NOON = 1_700_000_000_000


def reading(patient: str, at_ms: int = NOON, tier: str = "GREEN") -> Report:
    return Report(patient, at_ms, 65, 137, 1.2, 35, 12, 0.2, tier, 0.2, "m1", "")


class Clock:
    """A clock that stands."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ward(clock: Clock) -> Ward:
    return Ward(clock)


def test_an_empty_ward_shows_nothing(ward: Ward) -> None:
    assert ward.rows(None) == []
    assert ward.rows(0) == []


def test_each_bed_is_shown_with_the_age_since_its_reading_came_in(ward: Ward, clock: Clock) -> None:
    ward.take([reading("a")])
    clock.now += 250.7
    ward.take([reading("b")])
    clock.now += 100
    assert ward.rows(None) == [(350, reading("a")), (100, reading("b"))]


def test_a_newer_reading_of_a_patient_takes_the_place_of_the_older(ward: Ward, clock: Clock) -> None:
    ward.take([reading("a", NOON, "RED")])
    clock.now += 100
    ward.take([reading("a", NOON + 1, "GREEN")])
    assert ward.rows(None) == [(0, reading("a", NOON + 1, "GREEN"))]


def test_a_reading_that_was_overtaken_on_its_way_does_not_come_back(ward: Ward, clock: Clock) -> None:
    ward.take([reading("a", NOON + 2000, "RED")])
    clock.now += 100
    ward.take([reading("a", NOON, "GREEN")])
    assert ward.rows(None) == [(100, reading("a", NOON + 2000, "RED"))], "nor does it make the newer one look fresh"


def test_of_one_message_the_newest_reading_of_a_patient_counts_in_any_order(ward: Ward) -> None:
    rows = [reading("a", NOON + 1, "RED"), reading("a", NOON + 2, "AMBER"), reading("a", NOON)]
    ward.take(rows)
    assert [row.tier for _, row in ward.rows(None)] == ["AMBER"]


def test_the_same_reading_told_again_is_fresh(ward: Ward, clock: Clock) -> None:
    ward.take([reading("a")])
    clock.now += 5000
    ward.take([reading("a")])
    assert ward.rows(None) == [(0, reading("a"))]


def test_since_leaves_out_what_came_in_longer_ago(ward: Ward, clock: Clock) -> None:
    ward.take([reading("a")])
    clock.now += 100
    ward.take([reading("b")])
    assert [row.patient_id for _, row in ward.rows(99)] == ["b"]
    assert [row.patient_id for _, row in ward.rows(100)] == ["a", "b"]
    assert [row.patient_id for _, row in ward.rows(0)] == ["b"]


def test_beyond_its_bound_the_bed_that_was_silent_longest_makes_room(
    ward: Ward, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ward_module, "BEDS_MAX", 3)
    for name in "abc":
        ward.take([reading(name)])
    ward.take([reading("a", NOON + 1)])
    ward.take([reading("d")])
    assert sorted(row.patient_id for _, row in ward.rows(None)) == ["a", "c", "d"]
    ward.take([reading(str(number)) for number in range(20)])
    assert [row.patient_id for _, row in ward.rows(None)] == ["17", "18", "19"]


def test_a_clock_that_was_wrong_once_does_not_freeze_a_bed(ward: Ward, clock: Clock) -> None:
    ward.take([reading("a", TIMESTAMP_MS_MAX, "GREEN")])
    for minute in range(1, 60):
        clock.now += 60_000
        ward.take([reading("a", NOON + minute * 60_000, "RED")])
    # Once: 'newest' goes by the client's clock alone, without an end: the bed shows GREEN until the daemon restarts.
    assert [row.tier for _, row in ward.rows(None)] == ["RED"]
