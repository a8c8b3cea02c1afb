"""Readings from files, stdin and the simulator: good ones whole, bad ones named, files read once over many runs."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfzmq.cli.bedside.csv_source import CsvSource
from hfzmq.cli.bedside.judge import judge
from hfzmq.cli.bedside.output import json_line
from hfzmq.cli.bedside.readings import JSON_FIELDS, LINE_BYTES_MAX, Reading, Refused, WentOn, from_cells, from_json
from hfzmq.cli.bedside.simulate import SimulateSource
from hfzmq.cli.bedside.sources import Item, Source
from hfzmq.cli.bedside.stdin_source import StdinSource
from hfzmq.cli.bedside.work import LIVE_PENDING_MAX, Work
from hfzmq.client.queue_types import Progress
from hfzmq.clinical.report import check_row, low_of
from hfzmq.clinical.tiers import tier_of
from hfzmq.config import Thresholds
from hfzmq.errors import InvalidInput, NotFound
from hfzmq.model.inference import RiskModel

AT = 1_700_000_000_000
GOOD: dict[str, Any] = {
    "patient_id": "P-001",
    "timestamp": AT,
    "age": 70,
    "serum_sodium": 133.5,
    "serum_creatinine": 1.9,
    "ejection_fraction": 30,
    "day": 12,
}
STUDY = (
    "age,anaemia,creatinine_phosphokinase,diabetes,ejection_fraction,high_blood_pressure,platelets,serum_creatinine,"
    "serum_sodium,sex,smoking,time,DEATH_EVENT\n"
)


def study_line(age: object = 75, creatinine: object = 1.9, day: object = 4) -> str:
    return f"{age},0,582,0,20,1,265000,{creatinine},130,1,0,{day},1\n"


def read_all(source: Source) -> list[Item]:
    found: list[Item] = []
    while (chunk := source.read(1.0)) is not None:
        found.extend(chunk.items)
    source.close()
    return found


def written(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


# ----------------------------------------------------------------------------------------------------------- JSON lines


def test_a_json_line_is_the_reading_it_says() -> None:
    assert from_json(json.dumps(GOOD), "stdin", 1) == Reading("P-001", AT, 70, 133.5, 1.9, 30, 12)


@pytest.mark.parametrize(
    ("change", "field", "bound"),
    [
        ({"age": float("nan")}, "age", "18 to 120 years"),
        ({"age": float("inf")}, "age", "18 to 120 years"),
        ({"age": "70"}, "age", "a number, 18 to 120 years"),
        ({"age": True}, "age", "a number, 18 to 120 years"),
        (
            dict.fromkeys(("age", "serum_sodium", "serum_creatinine", "ejection_fraction")),
            "age",
            "at least one value of the patient",
        ),
        ({"age": [70]}, "age", "a number, 18 to 120 years"),
        ({"age": 17.9}, "age", "18 to 120 years"),
        ({"ejection_fraction": 0.3}, "ejection_fraction", "5 to 90 %"),
        ({"day": 1.5}, "day", "a whole number, 0 to 36500 days"),
        ({"day": -1}, "day", "0 to 36500 days"),
        ({"timestamp": 1_700_000_000}, "timestamp", "Unix milliseconds UTC, 2000 to 2100"),
        ({"timestamp": 1.7e12}, "timestamp", "Unix milliseconds UTC, 2000 to 2100"),
        ({"patient_id": ""}, "patient_id", "1 to 64 printable characters"),
        ({"patient_id": 7}, "patient_id", "1 to 64 printable characters"),
        ({"heart_rate": 80}, "heart_rate", "unknown field"),
        ({"timestamp": ...}, "timestamp", "missing"),
    ],
)
def test_a_bad_field_of_a_json_line_is_named_with_its_bound(change: dict[str, Any], field: str, bound: str) -> None:
    values = {key: value for key, value in {**GOOD, **change}.items() if value is not ...}
    refused = from_json(json.dumps(values), "stdin", 7)
    assert isinstance(refused, Refused)
    assert (refused.line, refused.field, refused.bound.partition(", got ")[0]) == (7, field, bound)


@pytest.mark.parametrize(
    "line", ["", "hello", "[]", "1", "null", '{"age": 1', '{"a":1}{"b":2}', '{"age": 1, "age": 2}', "[" * 100_000]
)
def test_what_is_no_json_object_is_refused(line: str) -> None:
    refused = from_json(line, "stdin", 1)
    assert isinstance(refused, Refused)
    assert refused.field == "line"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=300)
@given(st.text(max_size=200) | st.dictionaries(st.sampled_from(JSON_FIELDS), json_values).map(json.dumps))
def test_no_json_line_raises(line: str) -> None:
    item = from_json(line, "stdin", 1)
    assert isinstance(item, (Reading, Refused))


@given(st.sampled_from([1, 3, 50, 1 << 16]), st.booleans())
def test_json_lines_come_whole_however_the_pipe_cuts_them(piece: int, newline_at_end: bool) -> None:
    lines = [json.dumps({**GOOD, "day": day, "patient_id": "Zö"}, ensure_ascii=False) for day in range(20)]
    lines[4], lines[9] = "", "nonsense"
    data = ("\n".join(lines) + ("\n" if newline_at_end else "")).encode()
    inside, outside = os.pipe()
    source = StdinSource(inside)
    found: list[Item] = []
    for start in range(0, len(data), piece):
        os.write(outside, data[start : start + piece])
        chunk = source.read(0)
        assert chunk is not None
        found.extend(chunk.items)
    os.close(outside)
    found.extend(read_all(source))
    os.close(inside)
    assert [item.day for item in found if isinstance(item, Reading)] == [d for d in range(20) if d not in (4, 9)]
    assert [item.line for item in found if isinstance(item, Refused)] == [10]


def test_a_line_without_an_end_is_refused_and_not_stored(tmp_path: Path) -> None:
    good = json.dumps(GOOD).encode()
    path = written(tmp_path / "in", good + b"\n" + b"x" * (3 * LINE_BYTES_MAX) + b"\n" + good + b"\n\xff\xfe\n" + good)
    fd = os.open(path, os.O_RDONLY)
    source = StdinSource(fd)
    found = read_all(source)
    os.close(fd)
    assert [type(item).__name__ for item in found] == ["Reading", "Refused", "Reading", "Refused", "Reading"]
    assert [item.line for item in found if isinstance(item, Refused)] == [2, 4]


def test_stdin_takes_only_the_patients_that_were_asked_for(tmp_path: Path) -> None:
    lines = [json.dumps({**GOOD, "patient_id": name}) for name in "ABA"]
    fd = os.open(written(tmp_path / "in", "\n".join(lines)), os.O_RDONLY)
    assert [item.patient_id for item in read_all(StdinSource(fd, ("A",))) if isinstance(item, Reading)] == ["A", "A"]
    os.close(fd)


# ------------------------------------------------------------------------------------------------------------ CSV


def test_the_published_columns_are_read_by_name_and_patients_named_by_line(tmp_path: Path) -> None:
    path = written(tmp_path / "hf.csv", STUDY + study_line() + study_line(60.667, 1.1, 250))
    first, second = read_all(CsvSource(path, 0.0))
    assert isinstance(first, Reading)
    assert isinstance(second, Reading)
    assert (first.patient_id, first.vitals) == ("hf-001", (75, 130, 1.9, 20, 4))
    assert (second.patient_id, second.vitals) == ("hf-002", (60.667, 130, 1.1, 20, 250))


def test_an_empty_cell_and_a_null_are_values_that_nobody_measured(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", STUDY + study_line(age="") + study_line(creatinine=" ", day=""))
    first, second = read_all(CsvSource(path, 0.0))
    assert isinstance(first, Reading)
    assert isinstance(second, Reading)
    assert first.age is None
    assert (second.serum_creatinine, second.day) == (None, None)
    told = from_json(json.dumps({**GOOD, "serum_creatinine": None}), "stdin", 1)
    assert isinstance(told, Reading)
    assert told.serum_creatinine is None


def test_a_reading_with_a_hole_is_reported_as_unknown_where_the_hole_leaves_two_tiers_open() -> None:
    model = RiskModel.load()
    reading = Reading("P", AT, 70.0, 134.0, None, 30.0, 40)
    report = judge(model, Thresholds(), reading).report
    assert (report.tier, report.serum_creatinine) == ("UNKNOWN", None)
    assert check_row(report) is None
    low = low_of(report.probability, report.flags)
    assert tier_of(low) != tier_of(report.probability)
    wide = judge(model, Thresholds(0.05, 0.99), reading).report  # one tier holds both ends
    assert wide.tier == "AMBER"
    assert "missing:serum_creatinine" in wide.flags


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_patient_and_timestamp_columns_are_taken_in_any_order(tmp_path: Path, delimiter: str, end: str) -> None:
    names = ["day", "patient_id", "age", "ward", "timestamp", "serum_sodium", "ejection_fraction", "serum_creatinine"]
    values = ["12", '"P 7"', " 70 ", "x", str(AT), "133.5", "30", "1.9"]
    text = "\ufeff" + delimiter.join(names) + end + delimiter.join(values) + end
    (item,) = read_all(CsvSource(written(tmp_path / "a.csv", text), 0.0))
    assert item == Reading("P 7", AT, 70, 133.5, 1.9, 30, 12)


def test_one_patient_given_names_a_file_without_names_and_several_choose_from_one_with(tmp_path: Path) -> None:
    unnamed = written(tmp_path / "a.csv", STUDY + study_line())
    (item,) = read_all(CsvSource(unnamed, 0.0, ("P-009",)))
    assert isinstance(item, Reading)
    assert item.patient_id == "P-009"
    head = "patient_id,age,serum_sodium,serum_creatinine,ejection_fraction,day\n"
    named = written(tmp_path / "b.csv", head + "".join(f"{name},70,130,1.9,30,1\n" for name in "ABC"))
    found = read_all(CsvSource(named, 0.0, ("A", "C")))
    assert [item.patient_id for item in found if isinstance(item, Reading)] == ["A", "C"]


@pytest.mark.parametrize(
    ("line", "field"),
    [
        (study_line(age=7), "age"),
        (study_line(age="nan"), "age"),
        (study_line(age="1_0"), "age"),
        (study_line(age="0x40"), "age"),
        (study_line(age="٧٠"), "age"),
        (study_line(age="seventy"), "age"),
        (study_line(creatinine="1,9"), "line"),
        (study_line().replace(",1,0,4,1", ",1,4,1"), "DEATH_EVENT"),  # a cell is gone: the rest has moved
        (study_line(creatinine=170), "serum_creatinine"),
        (study_line(day="4.5"), "day"),
        (study_line(day="1e9"), "day"),
        ("1,2\n", "ejection_fraction"),
        ('"75,0,582\n', "line"),
        ("\x00,,,,,,,,,,,,\n", "age"),
        ("x" * 100_000 + "\n", "line"),
    ],
)
def test_a_bad_line_is_named_and_the_rest_goes_on(tmp_path: Path, line: str, field: str) -> None:
    path = written(tmp_path / "a.csv", STUDY + study_line() + line + "\n" + study_line(day="5.0"))
    first, bad, last = read_all(CsvSource(path, 0.0))
    assert isinstance(bad, Refused)
    assert (bad.source, bad.line) == (str(path), 3)
    assert field == bad.field or (field == "age" and bad.field == "line")  # Python 3.10 refuses NUL by the line
    assert bad.bound
    assert isinstance(first, Reading)
    assert isinstance(last, Reading)
    assert last.day == 5
    assert type(last.day) is int


@pytest.mark.parametrize("line", ["75,130,1,9,20,4", "75,130,1.9,20,4,7", "75,130,1.9,20,4,"])
def test_a_line_with_more_cells_than_the_header_is_refused_and_not_shifted(tmp_path: Path, line: str) -> None:
    header = "age,serum_sodium,serum_creatinine,ejection_fraction,day\n"
    bad, good = read_all(CsvSource(written(tmp_path / "a.csv", f"{header}{line}\n75,130,1.9,20,4\n"), 0.0))
    path = str(tmp_path / "a.csv")
    assert bad == Refused(path, 2, None, "line", "more cells than the header has", "a decimal comma? write 1.9")
    assert isinstance(good, Reading)


@pytest.mark.parametrize(
    ("line", "field"), [("75,130,1.9,20", "day"), ("75,130", "serum_creatinine"), ("75", "serum_sodium")]
)
def test_a_line_with_fewer_cells_than_the_header_names_the_first_that_is_missing(
    tmp_path: Path, line: str, field: str
) -> None:
    header = "age,serum_sodium,serum_creatinine,ejection_fraction,time\n"
    (bad,) = read_all(CsvSource(written(tmp_path / "a.csv", header + line), 0.0))
    assert isinstance(bad, Refused)
    assert (bad.line, bad.field) == (2, field)
    assert bad.bound.startswith("missing: ")


def test_bytes_that_are_no_text_are_refused_by_the_line(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", STUDY.encode() + b"\xff\xfe\n" + study_line().encode())
    bad, good = read_all(CsvSource(path, 0.0))
    assert isinstance(bad, Refused)
    assert isinstance(good, Reading)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("age,serum_sodium\n1,2\n", "serum_creatinine"),
        (STUDY.replace("time", "when"), "day"),
        ("age," + STUDY, "age: a column once"),
        ("\x00\x01\x02", "another kind of file"),
    ],
)
def test_a_file_without_the_columns_is_refused_whole(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        CsvSource(written(tmp_path / "a.csv", text), 0.0)
    assert said in str(caught.value) + caught.value.hint


def test_a_missing_file_and_a_directory_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        CsvSource(tmp_path / "none.csv", 0.0)
    with pytest.raises(InvalidInput, match="directory"):
        CsvSource(tmp_path, 0.0)


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_cell_raises(age: str, patient: str) -> None:
    cells = {"age": age, "serum_sodium": "130", "serum_creatinine": "1", "ejection_fraction": "30", "day": "1"}
    assert isinstance(from_cells(cells, "P", AT, "f", 2), (Reading, Refused))
    assert isinstance(from_cells({**cells, "patient_id": patient, "timestamp": age}, "P", AT, "f", 2), Refused)


def ages(source: Source) -> list[float | None]:
    return [item.age for item in read_all(source) if isinstance(item, Reading)]


def read_some(path: Path, chunks: int) -> Progress:
    source = CsvSource(path, 1.0)  # paced: one line a chunk
    for _ in range(chunks):
        chunk = source.read(0)
    source.close()
    assert chunk is not None
    assert chunk.places is not None
    return chunk.places[0]


def test_a_file_goes_on_where_it_stood_also_renamed_or_with_lines_added(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", STUDY + "".join(study_line(age) for age in range(40, 50)))
    place = read_some(path, 4)
    other = Progress(b"x" * 32, place.bytes_read + 3, 9)
    renamed = path.rename(tmp_path / "b.csv")
    renamed.write_text(renamed.read_text() + study_line(90))
    source = CsvSource(renamed, 0.0)
    assert source.resume([other, place, read_some(renamed, 2)]) == (place,)
    assert source.lines == 5
    assert ages(source) == [44, 45, 46, 47, 48, 49, 90]


def test_a_file_whose_beginning_changed_is_read_from_its_beginning(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", STUDY + "".join(study_line(age) for age in range(40, 44)))
    place = read_some(path, 2)
    path.write_text(path.read_text().replace("40,", "39,", 1))
    source = CsvSource(path, 0.0)
    assert source.resume([place]) == ()
    assert ages(source) == [39, 41, 42, 43]


def test_a_shorter_file_is_no_known_one(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", STUDY + "".join(study_line(age) for age in range(40, 44)))
    place = read_some(path, 3)
    path.write_text(STUDY + study_line(40))
    source = CsvSource(path, 0.0)
    assert source.resume([place]) == ()
    assert ages(source) == [40]


def test_a_file_without_names_is_another_one_for_another_patient(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", STUDY + "".join(study_line(age) for age in range(40, 44)))
    known: list[Progress] = []
    for patients, expected in (("AA", 4), ("BB", 4), (None, 4), ("AA", 0), ("BB", 0), (None, 0)):
        source = CsvSource(path, 0.0, () if patients is None else (patients,))
        source.resume(known)
        count = 0
        while (chunk := source.read(0)) is not None:
            count += len(chunk.items)
            assert chunk.places is not None
            known.extend(chunk.places)
        source.close()
        assert count == expected, patients


NAMED = "patient_id,age,serum_sodium,serum_creatinine,ejection_fraction,day\n"


def named(patient: str, age: int) -> str:
    return f"{patient},{age},137,1.1,38,4\n"


class Reader:
    """Reads a file with names as ``hfzmq client --patient`` does: what was read is kept for the next run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kept: dict[bytes, Progress] = {}

    def ages(self, *patients: str, chunks: int = 1 << 30, from_start: bool = False) -> list[float | None]:
        """The ages that a run of so many chunks, a line each, takes."""
        items = self.items(*patients, chunks=chunks, from_start=from_start)
        return [item.age for item in items if isinstance(item, Reading)]

    def items(self, *patients: str, chunks: int = 1 << 30, from_start: bool = False) -> list[Item]:
        """All that such a run gives out."""
        source = CsvSource(self.path, 1.0, patients)
        tail = (source.skip_nothing if from_start else source.resume)(self.kept.values())
        found: list[Item] = []
        for _ in range(chunks):
            chunk = source.read(0)
            if chunk is None:
                break
            found += chunk.items
            assert chunk.places is not None
            for place in tail:
                self.kept.pop(place.prefix, None)
            self.kept |= {place.prefix: place for place in chunk.places}
            tail = chunk.places
        source.close()
        return found


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    lines = [named(patient, age) for age, patient in enumerate("ABCABCABC", 50)]
    return Reader(written(tmp_path / "a.csv", NAMED + "".join(lines)))


def test_one_patient_after_the_other_out_of_one_file_skips_nobody_and_doubles_nobody(reader: Reader) -> None:
    assert reader.ages("A") == [50, 53, 56]
    assert reader.ages("B") == [51, 54, 57]
    assert reader.ages("A", "B") == []
    assert reader.ages() == [52, 55, 58]
    assert reader.ages("C") == []


def test_all_patients_and_then_one_takes_only_what_was_added(reader: Reader) -> None:
    assert len(reader.ages()) == 9
    assert reader.ages("A") == []
    reader.path.write_text(reader.path.read_text() + named("A", 60) + named("B", 61))
    assert reader.ages("A") == [60]
    assert reader.ages() == [61]


def test_from_the_start_takes_one_patients_lines_again(reader: Reader) -> None:
    assert reader.ages("A") == [50, 53, 56]
    assert reader.ages("A", from_start=True) == [50, 53, 56]
    assert reader.ages("A") == []
    assert reader.ages("B") == [51, 54, 57]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sets(st.sampled_from("ABC")), st.integers(1, 12)), max_size=8))
def test_whoever_is_chosen_in_whatever_order_each_line_is_taken_once(runs: list[tuple[set[str], int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lines = [named(patient, age) for age, patient in enumerate("ABCAABCBC", 50)]
        reader = Reader(written(Path(folder) / "a.csv", NAMED + "".join(lines)))
        found: list[float | None] = []
        for patients, chunks in runs:
            found += reader.ages(*sorted(patients), chunks=chunks)
        found += reader.ages()
        assert sorted(age for age in found if age is not None) == list(range(50, 59))


def test_from_the_start_reads_all_again_and_knows_the_place_to_replace(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", STUDY + "".join(study_line(age) for age in range(40, 44)))
    place = read_some(path, 3)
    source = CsvSource(path, 0.0)
    assert source.skip_nothing([place]) == (place,)
    assert ages(source) == [40, 41, 42, 43]
    assert read_some(path, 3) == place


def test_a_line_that_went_on_is_told_and_judged_again_and_every_line_keeps_its_number(tmp_path: Path) -> None:
    header = NAMED.partition(",")[2]
    reader = Reader(written(tmp_path / "a.csv", header + "50,137,1.1,38,1"))
    (first,) = reader.items()
    assert isinstance(first, Reading)
    reader.path.write_text(header + "50,137,1.1,38,120\n51,137,1.1,38,5\n")
    told, again, second = reader.items()
    assert told == WentOn(str(reader.path), 2, "50,137,1.1,38,1", "50,137,1.1,38,120")
    found = [(item.patient_id, item.day) for item in (first, again, second) if isinstance(item, Reading)]
    assert found == [("hf-001", 1), ("hf-001", 120), ("hf-002", 5)]
    assert reader.items() == []


def test_a_refused_line_without_its_end_is_refused_once(tmp_path: Path) -> None:
    reader = Reader(written(tmp_path / "a.csv", NAMED + named("A", 50) + "A,51,137"))
    assert [type(item) for item in reader.items("A")] == [Reading, Refused]
    assert reader.items("A") == []


def test_a_line_without_its_end_is_known_to_each_patient_that_it_was_read_for(tmp_path: Path) -> None:
    reader = Reader(written(tmp_path / "a.csv", NAMED + named("A", 50) + named("B", 51).rstrip()))
    assert reader.ages("A") == [50]
    reader.path.write_text(reader.path.read_text() + "0\n")
    assert reader.items("A") == []  # it is about B, for whom nobody has read it
    (only,) = reader.items("B")
    assert isinstance(only, Reading)
    assert only.day == 40
    assert reader.items() == []


def test_all_patients_after_one_is_told_of_the_line_that_went_on_for_that_one(tmp_path: Path) -> None:
    reader = Reader(written(tmp_path / "a.csv", NAMED + named("B", 51) + named("A", 50).rstrip()))
    assert reader.ages("A") == [50]
    reader.path.write_text(reader.path.read_text() + "0\n")
    b, told, a = reader.items()
    assert told == WentOn(str(reader.path), 3, "A,50,137,1.1,38,4", "A,50,137,1.1,38,40")
    assert [item.day for item in (b, a) if isinstance(item, Reading)] == [4, 40]


def test_a_patient_whose_name_went_on_was_another_one_and_that_is_told(tmp_path: Path) -> None:
    header = "age,serum_sodium,serum_creatinine,ejection_fraction,day,patient_id\n"
    reader = Reader(written(tmp_path / "a.csv", header + "50,137,1.1,38,4,P-1"))
    assert reader.ages("P-1") == [50]
    reader.path.write_text(reader.path.read_text() + "0\n")
    assert reader.items("P-1") == [WentOn(str(reader.path), 2, "50,137,1.1,38,4,P-1", "50,137,1.1,38,4,P-10")]
    assert reader.items("P-1") == []


# ------------------------------------------------------------------------------------------------------------ simulator


def simulated(seed: int, patients: int, count: int) -> list[Reading]:
    names = [f"P-{place:03d}" for place in range(patients)]
    return [item for item in read_all(SimulateSource(names, 2.0, count, seed)) if isinstance(item, Reading)]


def test_the_same_seed_gives_the_same_readings() -> None:
    one, two = ([reading._replace(timestamp=0) for reading in simulated(5, 3, 10)] for _ in range(2))
    assert one == two
    assert one != [reading._replace(timestamp=0) for reading in simulated(6, 3, 10)]
    assert len(one) == 30


def test_simulated_readings_stay_in_the_ranges_of_a_ward_and_a_patient_keeps_an_age() -> None:
    found = simulated(1, 8, 200)
    for reading in found:
        age, sodium, creatinine, ejection_fraction, day = [value for value in reading.vitals if value is not None]
        assert 50 <= age <= 85
        assert 125 <= sodium <= 145
        assert 0.8 <= creatinine <= 2.5
        assert 20 <= ejection_fraction <= 65
        assert day >= 0
    assert len({(reading.patient_id, reading.age) for reading in found}) == 8


@pytest.mark.parametrize("seed", range(5))
def test_a_simulated_ward_of_six_has_every_tier_and_drifts_slowly(seed: int) -> None:
    model = RiskModel.load()
    tiers: Counter[str] = Counter()
    last: dict[str, float] = {}
    for reading in simulated(seed, 6, 60):
        report = judge(model, Thresholds(), reading).report
        tiers[report.tier] += 1
        assert abs(report.probability - last.get(report.patient_id, report.probability)) < 0.35
        last[report.patient_id] = report.probability
    assert min(tiers[tier] for tier in ("GREEN", "AMBER", "RED")) >= 20, tiers


# ------------------------------------------------------------ what is no file, and what is no text


def test_a_pipe_is_refused_for_no_place_in_it_is_ever_found_again(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "monitor.csv")
    with pytest.raises(InvalidInput, match="a named pipe, no file") as refused:
        CsvSource(tmp_path / "monitor.csv", 0.0)
    assert "--source -" in refused.value.hint
    reading, writing = os.pipe()
    try:
        with pytest.raises(InvalidInput, match="a named pipe, no file"):
            CsvSource(Path(f"/dev/fd/{reading}"), 0.0)
    finally:
        os.close(reading)
        os.close(writing)


def test_an_event_with_half_a_letter_is_a_line_of_json_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    for patient in ("\ud800", "Müller"):
        event = {"event": "rejected", "patient": patient}
        json_line(event)
        assert json.loads(capsys.readouterr().out) == event


def test_a_terminal_that_has_no_letter_for_a_badge_ends_no_command() -> None:
    code = "from hfzmq.cli.stdout import open_closed_streams; open_closed_streams(); print('■ RED')"
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b"\\u25a0 RED\n"), done.stderr


def test_a_bed_goes_on_measuring_where_a_file_waits_for_the_mesh() -> None:
    live = Work(mock.Mock(), SimulateSource(["P"], 2.0, None, None), lambda event: None, events=queue.Queue())
    file = Work(mock.Mock(), mock.Mock(batch=True), lambda event: None, events=queue.Queue())
    assert live.pending_max == LIVE_PENDING_MAX > file.pending_max
