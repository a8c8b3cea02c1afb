"""The scenarios' verdict: whatever can be wrong with what the peers stored is found, named and counted once."""

from __future__ import annotations

from typing import Any

import pytest

from hfzmq.cli.scenario.check import EXAMPLES_MAX, FAULTS_FROM, FAULTS_TO, Findings, Holding, check
from tests.unit.scenario_world import FIELDS, account, holdings, row, rows

GOOD = (1, 2, 3, 4, 5)


def faults(findings: Findings) -> dict[str, int]:
    """The counts that are not zero."""
    names = Findings._fields[FAULTS_FROM:FAULTS_TO]
    return {name: getattr(findings, name) for name in names if getattr(findings, name)}


def test_three_equal_files_with_every_acknowledged_report_in_order_are_sound() -> None:
    found = check(holdings(rows(*GOOD), rows(*GOOD), rows(*GOOD)), [account()])
    assert found.sound
    assert faults(found) == {}
    assert (found.sent, found.acked, found.stored, found.examples) == (5, 5, ((1, 5), (2, 5), (3, 5)), ())


def test_a_report_that_was_stored_and_not_acknowledged_is_no_fault() -> None:
    everywhere = rows(*GOOD, 6)
    assert check(holdings(everywhere, everywhere, everywhere), [account(acked=5, sent=6)]).sound


def test_a_report_that_was_neither_stored_nor_acknowledged_is_no_fault() -> None:
    assert check(holdings(rows(*GOOD), rows(*GOOD)), [account(acked=5, sent=6)]).sound


def test_an_acknowledged_report_that_is_in_no_file_is_lost_once() -> None:
    found = check(holdings(rows(1, 2, 4, 5), rows(1, 2, 4, 5), rows(1, 2, 4, 5)), [account()])
    assert faults(found) == {"lost": 1}
    assert found.examples == ("lost: report 3 of bed-01 (index 30) is not in the file of 1, 2, 3",)


def test_an_acknowledged_report_that_one_whole_file_lacks_is_lost_there() -> None:
    found = check(holdings(rows(*GOOD), rows(1, 2, 3, 4), rows(*GOOD)), [account()])
    assert faults(found) == {"lost": 1, "differing": 1}
    assert "lost: report 5 of bed-01 (index 50) is not in the file of 2" in found.examples


def test_a_dead_peers_file_may_end_early_and_must_be_a_true_beginning() -> None:
    assert check(holdings(rows(*GOOD), rows(*GOOD), rows(1, 2), whole=(1, 2)), [account()]).sound
    found = check(holdings(rows(*GOOD), rows(*GOOD), [row(1, 1), row(2, 3)], whole=(1, 2)), [account()])
    assert faults(found) == {"differing": 1}


def test_a_dead_peers_file_may_not_hold_more_than_the_living_ones() -> None:
    found = check(holdings(rows(*GOOD), rows(*GOOD), rows(*GOOD, 6), whole=(1, 2)), [account(acked=5, sent=6)])
    assert faults(found) == {"differing": 1}


def test_where_no_file_is_whole_only_what_none_of_them_holds_is_lost() -> None:
    behind = holdings(rows(1, 2, 3, 4), rows(1, 2), whole=())
    assert faults(check(behind, [account()])) == {"lost": 1}


def test_without_any_file_everything_acknowledged_is_lost() -> None:
    assert faults(check([], [account()])) == {"lost": 5}


def test_a_report_that_is_stored_twice_is_doubled_once_however_many_files_have_it() -> None:
    twice = [*rows(*GOOD), row(6, 3)]
    found = check(holdings(twice, twice, twice), [account()])
    assert faults(found) == {"doubled": 1}
    assert found.examples == ("doubled: peer 1, id 6: report 3 of bed-01 is there again",)


def test_reports_of_one_client_in_another_order_are_found() -> None:
    swapped = rows(1, 3, 2, 4, 5)
    found = check(holdings(swapped, swapped, swapped), [account()])
    assert faults(found) == {"out_of_order": 1}
    assert found.examples == ("out of order: peer 1, id 3: report 2 of bed-01 comes after 3",)


def test_the_order_of_two_clients_among_each_other_is_free() -> None:
    mixed = [row(1, 1), row(2, 1, "bed-02"), row(3, 2), row(4, 2, "bed-02")]
    assert check(holdings(mixed, mixed), [account(acked=2), account("bed-02", acked=2)]).sound


def test_a_hole_among_reports_that_were_not_acknowledged_is_found() -> None:
    holed = rows(1, 2, 4)
    assert faults(check(holdings(holed, holed), [account(acked=2, sent=4)])) == {"skipped": 1}


@pytest.mark.parametrize(
    ("stranger", "what"),
    [(row(6, 1, "bed-99"), "another client's"), (row(6, 6), "a number that was not sent")],
)
def test_a_report_that_nobody_sent_is_found(stranger: tuple[Any, ...], what: str) -> None:
    stored = [*rows(*GOOD), stranger]
    assert faults(check(holdings(stored, stored), [account()])) == {"strangers": 1}, what


@pytest.mark.parametrize("column", ["age", "serum_sodium", "ejection_fraction", "day", "probability", "tier"])
def test_a_report_whose_values_were_changed_is_found(column: str) -> None:
    stored = [*rows(1, 2, 3, 4), row(5, 5, "bed-01", **{column: 1})]
    assert faults(check(holdings(stored, stored), [account()])) == {"altered": 1}


def test_a_report_at_another_index_than_its_ack_named_is_found() -> None:
    stored = [*rows(1, 2, 3, 4), row(5, 5, log_index=77)]
    found = check(holdings(stored, stored), [account()])
    assert faults(found) == {"misplaced": 1}
    assert found.examples == ("misplaced: peer 1, id 5: report 5 of bed-01 is of index 77, its ack named 50",)


def test_one_value_that_differs_in_one_file_is_found() -> None:
    other = [*rows(1, 2, 3, 4), row(5, 5, created_at=1)]
    found = check(holdings(rows(*GOOD), other, rows(*GOOD)), [account()])
    assert faults(found) == {"differing": 1}
    assert found.examples == ("differing: id 5 is not the same in the files of peers 1, 2",)


def test_ids_with_a_hole_are_found() -> None:
    holed = [*rows(1, 2, 3, 4), row(6, 5)]
    assert faults(check(holdings(holed, holed), [account()])) == {"differing": 1}


def test_a_batch_is_looked_up_by_the_index_of_its_own_ack() -> None:
    mine = account(acked=6, batch=3)
    stored = [row(n, n, log_index=10 if n <= 3 else 20) for n in range(1, 7)]
    assert check(holdings(stored, stored), [mine]).sound


def test_each_fault_is_told_a_few_times_and_counted_always() -> None:
    found = check(holdings([], [], []), [account(acked=50)])
    assert (found.lost, len(found.examples)) == (50, EXAMPLES_MAX)


def test_columns_are_found_by_name_wherever_they_stand() -> None:
    turned = [tuple(reversed(one)) for one in rows(*GOOD)]
    assert check([Holding(1, tuple(reversed(FIELDS)), turned)], [account()]).sound
