"""No read that people wait for takes more steps because more is stored; by its plan, and by counting SQLite's steps.

Nothing is timed: ``python -m tests.reads`` does that.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from hfzmq.storage import Reader
from hfzmq.wire.pages import KEYS
from tests.provenance import origin
from tests.reads import writing as cost
from tests.reads.document import BEGIN, END, markdown, put, writing
from tests.reads.measure import Times, Work, work_of
from tests.reads.questions import questions
from tests.reads.run import _figures
from tests.reads.ward import Ward, fill

WARD = Ward(beds=16, stay=10_000)  # the same patients all along: only their rows become more
SMALL, LARGE = 8_000, 32_000
GROWING = ("risk_reports", "heartbeats", "heartbeat_alerts", "alarm_episodes", "alarm_events")
QUESTIONS = questions(WARD, 1, 1)
NAMES = [one.name for one in QUESTIONS]


@pytest.fixture(scope="module")
def works(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Work, Work]]:
    """What each question takes in a file, and in the same once four times as much is stored."""
    directory = tmp_path_factory.mktemp("ward")
    small, large = (_works(directory, rows) for rows in (SMALL, LARGE))
    return {name: (small[name], large[name]) for name in small}


def _works(directory: Path, rows: int) -> dict[str, Work]:
    reader = Reader(fill(directory, WARD, rows))
    try:
        return {one.name: work_of(reader, one) for one in questions(WARD, reader.count(), 1)}
    finally:
        reader.close()


@pytest.mark.parametrize("name", NAMES)
def test_a_read_takes_no_more_steps_in_a_file_with_four_times_the_rows(
    works: dict[str, tuple[Work, Work]], name: str
) -> None:
    small, large = works[name]
    assert large.steps / (large.rows + 1) <= 1.5 * small.steps / (small.rows + 1)


@pytest.mark.parametrize("name", NAMES)
def test_each_statement_goes_by_an_index_and_sorts_no_table(works: dict[str, tuple[Work, Work]], name: str) -> None:
    for statement, plan in works[name][1].plans:
        for step in plan:
            scanned = re.match(rf"SCAN ({'|'.join(GROWING)})\b(?! USING)", step)
            pages = " WHERE " not in statement and statement.endswith("LIMIT ?")  # the newest: it stops by itself
            assert not scanned or pages, (statement, plan)
            assert "AUTOMATIC" not in step, (statement, plan)
            if "TEMP B-TREE" in step:  # over the alarms that are open, never over a table
                assert any("alarm_episodes_by_state (state=?" in one for one in plan), (statement, plan)


def test_every_page_of_the_protocol_is_asked_for_with_and_without_its_filters() -> None:
    """A new filter has to be measured, too."""
    for op in KEYS:
        assert any(name.startswith(op.replace("alarm_events", "alarms: the journal")) for name in NAMES), op


def test_what_is_filled_on_is_what_is_filled_at_once(tmp_path: Path) -> None:
    ward = Ward(beds=8, stay=30)
    for rows in (100, 330, 640):
        part = fill(tmp_path / "part", ward, rows)
    whole = fill(tmp_path / "whole", ward, 640)
    ours, theirs = Reader(part), Reader(whole)
    assert ours.reports(limit=1000) == theirs.reports(limit=1000)
    assert len(ours.reports(limit=1000)) == 640
    assert ours.readings(limit=1000) == theirs.readings(limit=1000) != []
    assert ours.alarms(limit=1000) == theirs.alarms(limit=1000) != []
    assert ours.alarm_events(limit=1000) == theirs.alarm_events(limit=1000)
    ours.close()
    theirs.close()


def test_the_table_in_the_document_is_the_results_and_nothing_else_changes(works: dict[str, tuple[Work, Work]]) -> None:
    times = Times(1.0, 2.0, 30, 3.0, 40.0)
    late = times._replace(warm_p99=20.5)
    asked = QUESTIONS[:2]
    rows = [_figures(one, works[one.name][1], when) for one, when in zip(asked, (times, late), strict=True)]
    size = {"reports": 32_000, "readings": 8, "alerts": 7, "alarms": 6, "patients": 5, "file_bytes": 3 << 20}
    told = {
        "goal_ms": 20.0, "command": "python -m tests.reads", "date": "2026-11-22", "commit": "c" * 40, "dirty": False,
        "source": "s", "cores": 2, "load_average_1min": 0.5,
        "sizes": [{**size, "reports_filled_a_second": 9_000, "questions": rows}],
    }  # fmt: skip
    tables = [markdown(json.loads(json.dumps(told))), "| another |\n"]
    text = put(f"before\n{BEGIN}of before\n{END}\nafter\n", tables)
    assert text.startswith(f"before\n{BEGIN}")
    assert text.endswith(f"{END}\nafter\n")
    assert "of before" not in text
    assert "| reports: the last 100 | 100 | 1.00 | 2.00 | 3.00 | 40.00 | holds |" in text
    assert "| 20.50 | 3.00 | 40.00 | **late** |" in text
    assert "1 of 2 are late" in text
    assert "- *reports: 100 from the middle on*: **nothing explains it**." in text
    assert "\n\n| another |\n" in text
    with pytest.raises(ValueError, match="has no"):
        put("no marks", tables)


def test_what_finding_a_patients_reports_costs_a_write_is_pages_of_the_wal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "FILLED", 20_000)
    monkeypatch.setattr(cost, "APPLIES", 64)
    ways = cost.measured(1, tmp_path)
    as_it_is, plain, without = (one["wal_pages"] for one in ways.values())
    assert as_it_is > without + 0.5
    assert as_it_is < plain + 0.5, "what finds a tier is written to at its end"
    told = {"what": "what it costs", "command": "python -m tests.reads.writing", **origin(), "load_average_1min": 0.1}
    text = writing({**told, "ways": ways})
    assert all(f"| {name} |" in text for name in cost.WAYS)
    assert f" {as_it_is:g} |" in text
