"""What a board shows of each patient is what the tables hold, whether it was kept up row by row or read anew."""

from __future__ import annotations

import os
from operator import itemgetter
from pathlib import Path
from random import Random
from typing import Any

import pytest

from hfzmq.clinical.report import Report, is_range
from hfzmq.errors import DataDirError
from hfzmq.storage import Reader, Store, board
from hfzmq.storage.board import Board, Picture
from hfzmq.wire.readings import JudgedReading
from tests.integration.storage_world import STAMP_MS, Tape, mesh, report

POINTS = 4
UNPARSABLE = 7  # a verdict, by its number


def expected(reader: Reader, points: int = POINTS) -> Picture:
    """From all rows there are, without a question that the board asks."""
    last: dict[str, int] = {}
    rows: dict[str, list[tuple[int, float, str]]] = {}
    readings: dict[str, tuple[Any, ...]] = {}
    for row in reader._rows("SELECT * FROM risk_reports ORDER BY id"):
        number, patient, at = row[:3]
        rows.setdefault(patient, []).append((at, row[8], row[13]))
        last[patient] = number
    known = {patient: [one for one in mine[-points:] if not is_range(one[1], one[2])] for patient, mine in rows.items()}
    trends = {patient: [one[:2] for one in sorted(mine, key=itemgetter(0))] for patient, mine in known.items()}
    for number, at, patient, value, status, kind, _, made, *_ in reader.readings(limit=10_000):
        readings[patient] = (number, patient, at, value, status, kind, made)
    numbers = sorted(last.values(), reverse=True)[: board.BEDS_MAX]
    reports = [(number, reader.reports(after_id=number - 1, limit=1)[0]) for number in numbers]
    return Picture(
        [(number, _report_of(row)) for number, row in reports],
        {row[1]: trends[row[1]] for _, row in reports},
        sorted(readings.values(), reverse=True)[: board.BEDS_MAX],
    )


def _report_of(row: tuple[Any, ...]) -> Report:
    return Report._make((*row[1:10], *row[11:14]))


def shown(reader: Reader, kept: Board) -> Picture:
    with reader.snapshot():
        return kept.picture()


@pytest.mark.parametrize("seed", range(6))
def test_a_picture_is_what_the_tables_hold_however_many_rows_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    rng = Random(f"board {seed}")
    monkeypatch.setattr(board, "BEDS_MAX", 5)
    monkeypatch.setattr(board, "KEPT_MAX", 7)  # of up to nine beds: some are forgotten and come back
    store, tape = Store.open(tmp_path, 1, mesh()), Tape()
    reader = Reader(store.path)
    kept, seldom, ahead = (Board(reader._rows, reader._last_ids, POINTS) for _ in range(3))
    forgotten = 0
    number = 0
    for turn in range(60):
        reports, readings = [], []
        for _ in range(rng.choice((0, 1, 1, 3, 60, 200))):
            number += 1
            one = report(number, f"bed-{rng.randrange(2 + turn // 8)}")
            flags, early = rng.choice(("", "late", "probability_low:0.1")), rng.randrange(5)
            one = one._replace(timestamp=one.timestamp - early, probability=rng.random(), flags=flags)
            reports.append(one)
            if rng.random() < 0.4:
                value, payload, verdict = rng.choice(((60.0 + number % 40, "", 0), (None, "??", UNPARSABLE)))
                readings.append(JudgedReading(one.patient_id, one.timestamp, value, payload, verdict))
        if readings:
            entry = tape.readings(readings)
            store.write([tape.persist(entry), tape.apply()])
        if reports:
            tape.write(store, reports)
        told = expected(reader)
        before = set(kept._beds)
        assert shown(reader, kept) == told, f"seed {seed}, turn {turn}"
        assert max(len(kept._beds), len(kept._readings)) <= board.KEPT_MAX
        forgotten += bool(reports and len(before) == board.KEPT_MAX and before - set(kept._beds))
        with reader.snapshot():
            ahead.read_ahead(2)
        if turn % 4 == 0:
            assert shown(reader, ahead) == told, f"seed {seed}, turn {turn}"
        if turn % 9 == 0:
            assert shown(reader, seldom) == told, f"seed {seed}, turn {turn}"
    assert forgotten
    reader.close()
    store.close()


def test_a_refresh_reads_the_rows_that_came_and_no_patient_anew(tmp_path: Path) -> None:
    store, tape = Store.open(tmp_path, 1, mesh()), Tape()
    tape.write(store, [report(number) for number in range(70)])
    entry = tape.readings([JudgedReading("bed-2", STAMP_MS + number, 60.0, "", 0) for number in range(70)])
    store.write([tape.persist(entry), tape.apply()])
    reader = Reader(store.path)
    asked: list[str] = []

    def noted(query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        asked.append(" ".join(query.split()))
        return reader._rows(query, values)

    kept = Board(noted, reader._last_ids, POINTS)
    shown(reader, kept)
    asked.clear()
    before = shown(reader, kept)
    assert asked == [], "nothing came"
    tape.write(store, [report(number, "bed-2") for number in range(70, 73)])
    after = shown(reader, kept)
    (query,) = asked
    assert "WHERE id > ?" in query
    assert after == expected(reader) != before
    reader.close()
    store.close()


def test_what_was_read_ahead_is_not_read_again_for_the_first_picture(tmp_path: Path) -> None:
    store, tape = Store.open(tmp_path, 1, mesh()), Tape()
    tape.write(store, [report(number) for number in range(70)])
    reader = Reader(store.path)
    asked: list[str] = []

    def noted(query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        asked.append(query)
        return reader._rows(query, values)

    kept = Board(noted, reader._last_ids, POINTS)
    done = []
    with reader.snapshot():
        for _ in range(4):
            done.append(kept.read_ahead(2))
    assert done == [False, False, False, True], "seven patients, two at a time"
    asked.clear()
    assert shown(reader, kept) == expected(reader)
    assert asked == []
    reader.close()
    store.close()


def test_a_read_that_fails_in_the_middle_leaves_nothing_out_and_doubles_nothing(tmp_path: Path) -> None:
    store, tape = Store.open(tmp_path, 1, mesh()), Tape()
    reader = Reader(store.path)
    rng = Random("faults")
    fails_at = [0]

    def fails(query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        fails_at[0] -= 1
        if fails_at[0] == 0:
            raise DataDirError("the disk")
        return reader._rows(query, values)

    kept, faults = Board(fails, reader._last_ids, POINTS), 0
    for turn in range(40):
        tape.write(store, [report(10 * turn + n) for n in range(rng.choice((1, 8, 200)))])
        entry = tape.readings([JudgedReading(f"bed-{turn % 7}", STAMP_MS + turn, 60.0, "", 0)])
        store.write([tape.persist(entry), tape.apply()])
        fails_at[0] = rng.randrange(1, 6)
        try:
            shown(reader, kept)
        except DataDirError:
            faults += 1
        fails_at[0] = 0
        assert shown(reader, kept) == expected(reader), f"turn {turn}"
    assert faults > 10
    reader.close()
    store.close()


def test_a_picture_that_was_handed_out_does_not_change(tmp_path: Path) -> None:
    store, tape = Store.open(tmp_path, 1, mesh()), Tape()
    tape.write(store, [report(1, "bed")])
    reader = Reader(store.path)
    before = shown(reader, reader.board)
    tape.write(store, [report(2, "bed")])
    after = shown(reader, reader.board)
    assert before.trends == {"bed": [(STAMP_MS + 1, report(1).probability)]}
    assert len(after.trends["bed"]) == 2
    reader.close()
    store.close()


def test_nothing_of_the_file_before_is_shown_of_the_one_that_took_its_place(tmp_path: Path) -> None:
    for name, risk in (("one", 0.31), ("two", 0.62)):
        store, tape = Store.open(tmp_path / name, 1, mesh()), Tape()
        tape.write(store, [report(1, "bed")._replace(probability=risk)])
        store.close()
    path = tmp_path / "one" / "hfzmq_1.db"
    reader = Reader(path)
    assert shown(reader, reader.board).trends == {"bed": [(STAMP_MS + 1, 0.31)]}
    os.replace(tmp_path / "two" / "hfzmq_1.db", path)
    assert shown(reader, reader.board).trends == {"bed": [(STAMP_MS + 1, 0.62)]}
    assert reader.board.picture().reports[0][1].probability == 0.62
    reader.close()
