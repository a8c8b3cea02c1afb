"""What clients tell any peer of their beds reaches whoever leads: bounded, once, never in circles, as old as it is."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from hfzmq.clinical.report import Report
from hfzmq.daemon.passing import KEEP_MS, PASS_MS, ROWS_MAX, SHARE_MS, Passing
from hfzmq.daemon.ward import Ward
from hfzmq.wire.hints import Hints

Rows = list[tuple[int, Report]]

NOON = 1_700_000_000_000
ME, LEADER, OTHER = 2, 1, 3


def reading(patient: str, at_ms: int = NOON) -> Report:
    return Report(patient, at_ms, 65, 137, 1.2, 35, 12, 0.2, "GREEN", 0.2, "m1", "")


class Bench:
    """A ward, a clock, and what goes on from there."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.ward = Ward(lambda: self.now)
        self.leads = False
        self.told: list[Rows] = []
        self.shared: list[tuple[int, Rows]] = []
        self.passing = Passing(self.ward, ME, self, self.send, lambda: (LEADER, OTHER))

    def send(self, to: int, hints: Hints) -> None:
        if self.leads:
            self.shared.append((to, list(hints.rows)))
        else:
            self.told.append(list(hints.rows))

    def seen(self, now_ms: float, rows: Sequence[Report]) -> None:
        assert self.leads
        self.told.append([(0, row) for row in rows])

    def due(self, leader: int) -> list[Rows]:
        """What is told this turn; ``leader`` ME: this peer serves."""
        self.leads = leader == ME
        self.passing.turn(self.now, leader)
        told, self.told = self.told, []
        return told

    def names(self, leader: int) -> list[str]:
        return [row.patient_id for rows in self.due(leader) for _, row in rows]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_what_a_follower_is_told_goes_to_the_leader_once(bench: Bench) -> None:
    bench.ward.take([reading("a"), reading("b")])
    assert bench.names(LEADER) == ["a", "b"]
    bench.now += PASS_MS
    assert bench.due(LEADER) == []
    bench.ward.take([reading("b", NOON + 1)])
    assert bench.names(LEADER) == ["b"]


def test_it_goes_at_most_so_often_and_then_each_beds_newest_word_alone(bench: Bench) -> None:
    bench.ward.take([reading("a")])
    assert bench.names(LEADER) == ["a"]
    for step in range(1, 4):
        bench.now += PASS_MS / 4
        bench.ward.take([reading("a", NOON + step)])
        assert bench.due(LEADER) == []
    bench.now += PASS_MS / 4
    assert bench.due(LEADER) == [[(PASS_MS // 4, reading("a", NOON + 3))]]


def test_who_leads_hears_at_once_also_what_others_passed_on(bench: Bench) -> None:
    bench.due(ME)
    bench.ward.take([reading("a")])
    assert bench.names(ME) == ["a"]
    bench.ward.take_passed_on([(5, reading("b"))])
    assert bench.names(ME) == ["b"]


def test_what_another_peer_passed_on_is_never_passed_on_again(bench: Bench) -> None:
    bench.ward.take_passed_on([(5, reading("a"))])
    assert bench.due(LEADER) == []


def test_while_no_leader_is_known_it_waits_and_its_age_goes_on(bench: Bench) -> None:
    bench.ward.take([reading("a")])
    assert bench.due(0) == []
    bench.now += 700
    assert bench.due(LEADER) == [[(700, reading("a"))]]


def test_another_leader_is_told_all_of_late_once_more_and_nothing_that_is_old(bench: Bench) -> None:
    bench.ward.take([reading("old")])
    bench.now += 1
    bench.ward.take([reading("a")])
    assert bench.names(LEADER) == ["old", "a"]
    bench.now += KEEP_MS
    assert bench.names(OTHER) == ["a"]


def test_who_begins_to_lead_hears_what_it_was_told_before(bench: Bench) -> None:
    bench.ward.take([reading("a")])
    bench.names(LEADER)
    bench.now += 500
    assert bench.names(ME) == ["a"]


def test_the_leaders_picture_is_everybodys_so_that_it_does_not_die_with_it(bench: Bench) -> None:
    bench.ward.take([reading("a")])
    bench.now += 9000
    bench.ward.take_passed_on([(5, reading("b"))])
    bench.due(ME)
    both = [(9000, reading("a")), (5, reading("b"))]
    assert bench.shared == [(LEADER, both), (OTHER, both)]
    bench.shared.clear()
    for step in range(1, SHARE_MS + 1):
        bench.now += 1
        bench.ward.take([reading("a", NOON + step)])
        bench.due(ME)
    assert [rows for _, rows in bench.shared] == [[(0, reading("a", NOON + SHARE_MS))]] * 2


def test_a_large_ward_goes_in_several_messages(bench: Bench) -> None:
    bench.ward.take([reading(str(number)) for number in range(ROWS_MAX + 1)])
    assert [len(rows) for rows in bench.due(LEADER)] == [ROWS_MAX, 1]


def test_a_board_sees_what_was_passed_on_as_old_as_it_is_and_the_younger_of_two(bench: Bench) -> None:
    bench.ward.take_passed_on([(700, reading("a"))])
    assert bench.ward.rows(None) == [(700, reading("a"))]
    bench.ward.take([reading("a")])
    bench.ward.take_passed_on([(400, reading("a"))])
    assert bench.ward.rows(None) == [(0, reading("a"))]
    bench.now += 300
    bench.ward.take_passed_on([(299, reading("a"))])  # its own word comes back
    assert bench.ward.rows(None) == [(300, reading("a"))]


def test_who_leads_and_does_not_serve_yet_keeps_it(bench: Bench) -> None:
    bench.ward.take([reading("a")])
    bench.passing.turn(bench.now, ME)
    assert bench.told == []
    assert bench.names(ME) == ["a"]
