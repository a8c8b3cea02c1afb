"""What a recording and the generator give out: every value, whatever it is, in its time, once over any runs."""

from __future__ import annotations

import json
import math
from datetime import datetime, timezone
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfzmq.cli.bedside.readings import LINE_BYTES_MAX, Refused, WentOn
from hfzmq.cli.bedside.sources import Item, Source
from hfzmq.cli.stream import live as live_module
from hfzmq.cli.stream import replay as replay_module
from hfzmq.cli.stream.generator import Generator, patient_names
from hfzmq.cli.stream.lines import from_json, timestamp_ms
from hfzmq.cli.stream.live import LATE_S, LINGER_S, LiveSource
from hfzmq.cli.stream.replay import ReplaySource
from hfzmq.client.queue_types import Progress
from hfzmq.client.traffic import check_sent
from hfzmq.clinical.heart_rate import RAW_CHARS_MAX, Reading
from hfzmq.clinical.report import TIMESTAMP_MS_MAX, TIMESTAMP_MS_MIN
from hfzmq.config import HeartRate
from hfzmq.errors import InvalidInput, NotFound

T0 = 1_700_000_000_000


def written(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def csv(tmp_path: Path, *lines: str, header: str = "timestamp,patient_id,value", name: str = "r.csv") -> Path:
    return written(tmp_path / name, "\n".join((header, *lines)) + "\n")


def read_all(source: Source) -> list[Item]:
    found: list[Item] = []
    while (chunk := source.read(0.05)) is not None:
        found.extend(chunk.items)
    source.close()
    return found


def all_of(path: Path, batch_rows: int = 100) -> list[Item]:
    return read_all(ReplaySource(path, 0.0, batch_rows))


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def wall_ms(self) -> int:
        return T0 + round((self.now - 1000.0) * 1000)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    for module in (live_module, replay_module):
        monkeypatch.setattr(f"{module.__name__}.time.sleep", made.sleep)
    return made


# ------------------------------------------------------------ times


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1700000000000", T0),
        ("1700000000", T0),
        ("1700000000.25", T0 + 250),
        ("1700000000000.4", T0),
        ("946684800", TIMESTAMP_MS_MIN),
        ("2023-11-14T22:13:20Z", T0),
        ("2023-11-14 22:13:20.125+00:00", T0 + 125),
        ("2023-11-14T22:13:20,1Z", T0 + 100),
        ("2023-11-15T03:43:20+05:30", T0),
        ("2023-11-14T17:13:20-0500", T0),
        ("2023-11-14T17:13:20-05", T0),
        ("2023-11-14T22:13Z", T0 - 20_000),
        (" 1700000000 ", T0),
        ("2023-11-14T22:13:20", None),  # whose noon?
        ("2023-11-14", None),
        ("2023-02-30T00:00:00Z", None),
        ("2023-11-14T22:13:20+25:00", None),
        ("2023-11-14T22:13:20+01:75", None),
        ("12", None),
        ("99999999999999", None),
        ("5000000000", None),  # seconds beyond 2100, milliseconds before 2000
        ("-1700000000", None),
        ("1_700_000_000", None),
        ("1.7e9", None),
        ("١٧٠٠٠٠٠٠٠٠", None),
        ("", None),
        ("nan", None),
    ],
)
def test_a_time_is_read_in_three_forms_and_never_guessed(text: str, wanted: int | None) -> None:
    assert timestamp_ms(text) == wanted


@settings(max_examples=300)
@given(st.integers(TIMESTAMP_MS_MIN, TIMESTAMP_MS_MAX))
def test_every_time_between_2000_and_2100_is_the_same_in_each_form(at: int) -> None:
    seconds, millis = divmod(at, 1000)
    iso = datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    assert timestamp_ms(str(at)) == at
    assert timestamp_ms(f"{seconds}.{millis:03d}") == at
    assert timestamp_ms(f"{iso}.{millis:03d}Z") == at


# ------------------------------------------------------------ values


@pytest.mark.parametrize(
    ("cell", "value", "payload"),
    [
        ("72", 72.0, ""),
        ("72.5", 72.5, ""),
        ("-100", -100.0, ""),
        ("0", 0.0, ""),
        ("1e999", math.inf, "1e999"),
        ("", None, ""),
        ("HR=72", None, "HR=72"),
        ("72 bpm", None, "72 bpm"),
        ("0x48", None, "0x48"),
        ("ÄÖ", None, "ÄÖ"),
    ],
)
def test_a_value_that_is_no_number_is_kept_as_it_stands(
    tmp_path: Path, cell: str, value: float | None, payload: str
) -> None:
    assert all_of(csv(tmp_path, f"{T0},P-1,{cell}")) == [Reading("P-1", T0, value, payload)]


def test_nan_is_a_number_that_cannot_be(tmp_path: Path) -> None:
    (found,) = all_of(csv(tmp_path, f"{T0},P-1,nan"))
    assert isinstance(found, Reading)
    assert found.value is not None
    assert math.isnan(found.value)
    assert found.raw_payload == "nan"


def test_columns_stand_in_any_order_and_others_are_passed_over(tmp_path: Path) -> None:
    path = csv(tmp_path, f"x;80;P-2;{T0}", header="ward;value;patient_id;timestamp")
    assert all_of(path) == [Reading("P-2", T0, 80.0, "")]


@pytest.mark.parametrize(
    ("header", "line", "field"),
    [
        ("timestamp,note,patient_id,value", f"{T0},turned, left side,P-1,73", "line"),  # not of 'left side'
        ("timestamp,patient_id,value", f"{T0 // 1000},5,P-1,73", "line"),  # nor of '5'
        ("timestamp,patient_id,value", f"{T0},P-1,72,5", "line"),
        ("timestamp,patient_id,value", f"{T0},P-1,72,\xff".encode("latin-1"), "line"),
        ("timestamp,note,patient_id,value", f"{T0},P-1,73", "value"),  # nor of '73'
        ("timestamp,patient_id,value", f"{T0},P-", "value"),  # a patient that may be cut
        ("timestamp,patient_id,value", f'{T0},P-1,"72', "line"),
    ],
)
def test_a_line_with_a_cell_too_many_or_too_few_is_refused_for_nobody_knows_whose_it_is(
    tmp_path: Path, header: str, line: str | bytes, field: str
) -> None:
    bad = line if isinstance(line, bytes) else line.encode()
    path = written(tmp_path / "r.csv", header.encode() + b"\n" + bad + b"\n")
    (found,) = all_of(path)
    assert isinstance(found, Refused)
    assert (found.line, found.field, found.patient) == (2, field, None)


def test_bytes_that_are_no_text_are_kept_as_escapes(tmp_path: Path) -> None:
    path = written(tmp_path / "r.csv", f"timestamp,patient_id,value\n{T0},P-1,7".encode() + b"\xff2\n")
    (found,) = all_of(path)
    assert isinstance(found, Reading)
    assert (found.patient_id, found.timestamp, found.value) == ("P-1", T0, None)
    assert "\\xff" in found.raw_payload


@pytest.mark.parametrize(
    ("line", "field"),
    [
        (f"{T0},,72", "patient_id"),
        (f"{T0},{'x' * 65},72", "patient_id"),
        (",P-1,72", "timestamp"),
        ("yesterday,P-1,72", "timestamp"),
        ("2023-11-14T22:13:20,P-1,72", "timestamp"),
        (f"{T0}", "patient_id"),
    ],
)
def test_a_line_without_patient_or_time_is_refused_with_its_number(tmp_path: Path, line: str, field: str) -> None:
    good = f"{T0},P-1,72"
    found = all_of(csv(tmp_path, good, line, good))
    assert [type(item) for item in found] == [Reading, Refused, Reading]
    refused = found[1]
    assert isinstance(refused, Refused)
    assert (refused.line, refused.field) == (3, field)
    assert refused.bound


def test_a_patient_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "r.csv", b"timestamp,patient_id,value\n1700000000,P\xff,72\n")
    (found,) = all_of(path)
    assert isinstance(found, Refused)
    assert found.line == 2


def test_a_line_without_an_end_is_refused_and_the_next_one_is_read(tmp_path: Path) -> None:
    path = csv(tmp_path, "x" * (LINE_BYTES_MAX * 2), f"{T0},P-1,72")
    refused, good = all_of(path)
    assert isinstance(refused, Refused)
    assert refused.line == 2
    assert good == Reading("P-1", T0, 72.0, "")


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"value": 72}, (72.0, "")),
        ({"value": 72.5}, (72.5, "")),
        ({"value": "72"}, (72.0, "")),
        ({"value": "E04"}, (None, "E04")),
        ({"value": None}, (None, "")),
        ({"value": True}, (None, "true")),
        ({"value": [72]}, (None, "[72]")),
        ({"value": 10**350}, (math.inf, "1" + "0" * 350)),
        ({"value": "\ud800"}, (None, "\\ud800")),
        ({"value": "x" * 5000}, (None, "x" * RAW_CHARS_MAX)),
        ({"value": 72, "ward": "B"}, (72.0, "")),
    ],
)
def test_a_json_value_is_kept_whatever_it_is(fields: dict[str, Any], wanted: tuple[float | None, str]) -> None:
    found = from_json(json.dumps({"patient_id": "P-1", "timestamp": T0, **fields}), "stdin", 1)
    assert found == Reading("P-1", T0, *wanted)
    assert check_sent(found) is None


def test_a_json_line_without_a_value_is_corrupted() -> None:
    text = json.dumps({"patient_id": "P-1", "timestamp": "2023-11-14T22:13:20Z", "valeu": 7})
    assert from_json(text, "stdin", 1) == Reading("P-1", T0, None, text)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("nonsense", "line"),
        ("[1]", "line"),
        ("[" * 100_000, "line"),
        ('{"patient_id": "a", "patient_id": "b", "timestamp": 1700000000}', "line"),
        ('{"timestamp": 1700000000, "value": 7}', "patient_id"),
        ('{"patient_id": 7, "timestamp": 1700000000}', "patient_id"),
        ('{"patient_id": "\\ud800", "timestamp": 1700000000}', "patient_id"),
        ('{"patient_id": "a", "value": 7}', "timestamp"),
        ('{"patient_id": "a", "timestamp": null}', "timestamp"),
        ('{"patient_id": "a", "timestamp": true}', "timestamp"),
        ('{"patient_id": "a", "timestamp": NaN}', "timestamp"),
    ],
)
def test_a_json_line_that_names_no_patient_or_time_is_refused(text: str, field: str) -> None:
    found = from_json(text, "stdin", 9)
    assert isinstance(found, Refused)
    assert (found.source, found.line, found.field) == ("stdin", 9, field)


@settings(max_examples=300)
@given(st.text(max_size=60))
def test_no_text_at_all_in_a_cell_or_a_line_ends_a_replay(text: str) -> None:
    found = from_json(json.dumps({"patient_id": "P-1", "timestamp": T0, "value": text}), "stdin", 1)
    assert check_sent(found) is None
    from_json(text, "stdin", 1)


def test_json_lines_are_known_by_their_name_or_by_their_first_line(tmp_path: Path) -> None:
    line = json.dumps({"patient_id": "P-1", "timestamp": T0, "value": 72}) + "\n"
    for name in ("r.jsonl", "r.ndjson", "r.log"):
        assert all_of(written(tmp_path / name, line)) == [Reading("P-1", T0, 72.0, "")]


# ------------------------------------------------------------ files that cannot be used


def test_a_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        ReplaySource(tmp_path / "none.csv", 1.0, 100)


@pytest.mark.parametrize(
    ("header", "named"),
    [("timestamp,patient_id", "value"), ("patient_id,value", "timestamp"), ("timestamp,value", "patient_id"),
     ("timestamp,patient_id,value,value", "value")],
)  # fmt: skip
def test_a_column_that_is_missing_or_twice_is_named(tmp_path: Path, header: str, named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        ReplaySource(csv(tmp_path, header=header), 1.0, 100)


def test_an_empty_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        ReplaySource(written(tmp_path / "e.csv", ""), 1.0, 100)
    with pytest.raises(InvalidInput):
        ReplaySource(tmp_path, 1.0, 100)


# ------------------------------------------------------------ speed


@pytest.mark.parametrize(("speed", "seconds"), [(1.0, 30.0), (10.0, 3.0), (0.5, 60.0)])
def test_a_recording_is_replayed_in_its_own_time(tmp_path: Path, clock: Clock, speed: float, seconds: float) -> None:
    path = csv(tmp_path, *(f"{T0 + second * 1000},P-1,{70 + second}" for second in range(31)))
    source = ReplaySource(path, speed, 100, clock)
    began = clock.now
    while (chunk := source.read(0.05)) is not None:
        for item in chunk.items:
            assert isinstance(item, Reading)
            due = began + (item.timestamp - T0) / 1000 / speed
            assert due - 1e-6 <= clock.now <= due + 0.06
    assert clock.now - began == pytest.approx(seconds, abs=0.1)
    source.close()


def test_fast_waits_for_nothing(tmp_path: Path, clock: Clock) -> None:
    path = csv(tmp_path, *(f"{T0 + day * 86_400_000},P-1,70" for day in range(500)))
    began = clock.now
    assert len(all_of(path)) == 500
    assert clock.now == began


def test_a_line_earlier_than_the_one_before_is_due_at_once(tmp_path: Path, clock: Clock) -> None:
    path = csv(tmp_path, f"{T0},P-1,70", f"{T0 - 99_000},P-1,71", f"{T0 + 1000},P-1,72")
    source = ReplaySource(path, 1.0, 100, clock)
    began = clock.now
    found = read_all(source)
    assert [item.value for item in found if isinstance(item, Reading)] == [70.0, 71.0, 72.0]
    assert clock.now - began == pytest.approx(1.0, abs=0.01)


# ------------------------------------------------------------ once


def run_until(
    path: Path, known: list[Progress], chunks: int, batch_rows: int, speed: float, clock: Clock
) -> list[Item]:
    """One run that is ended after so many chunks; ``known`` is the memory of the queue."""
    source = ReplaySource(path, speed, batch_rows, clock)
    stored = source.resume(known)
    found: list[Item] = []
    for _ in range(chunks):
        chunk = source.read(0.05)
        if chunk is None:
            break
        found.extend(chunk.items)
        if chunk.places is not None:
            for place in stored:
                known.remove(place)
            known.extend(chunk.places)
            stored = chunk.places
    source.close()
    return found


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 12), min_size=1, max_size=30),
    st.integers(1, 9),
    st.sampled_from([0.0, 1.0, 50.0]),
    st.booleans(),
)
def test_over_any_number_of_lives_each_line_is_given_out_once(
    tmp_path_factory: pytest.TempPathFactory, lives: list[int], batch_rows: int, speed: float, as_json: bool
) -> None:
    folder = tmp_path_factory.mktemp("r")
    rows = [(T0 + 400 * number, f"P-{number % 3}", number if number % 7 else "bad") for number in range(40)]
    if as_json:
        lines = (json.dumps({"timestamp": at, "patient_id": who, "value": value}) for at, who, value in rows)
        path = written(folder / "r.jsonl", "\n".join(lines) + "\n")
    else:
        path = csv(folder, *(f"{at},{who},{value}" for at, who, value in rows))
    clock = Clock()
    patch = pytest.MonkeyPatch()
    patch.setattr(f"{replay_module.__name__}.time.sleep", clock.sleep)
    try:
        known: list[Progress] = []
        found = [
            item for chunks in (*lives, 10**6) for item in run_until(path, known, chunks, batch_rows, speed, clock)
        ]
    finally:
        patch.undo()
    assert [item.timestamp for item in found if isinstance(item, Reading)] == [at for at, *_ in rows]
    assert len(known) == 1


def test_lines_that_were_added_are_read_next_time(tmp_path: Path, clock: Clock) -> None:
    path = csv(tmp_path, f"{T0},P-1,70")
    known: list[Progress] = []
    assert len(run_until(path, known, 9, 100, 0.0, clock)) == 1
    assert run_until(path, known, 9, 100, 0.0, clock) == []
    with path.open("a") as file:
        file.write(f"{T0 + 1},P-1,71\n")
    assert run_until(path, known, 9, 100, 0.0, clock) == [Reading("P-1", T0 + 1, 71.0, "")]


# ------------------------------------------------------------ a last line without its end


def grown(path: Path, text: str | bytes) -> None:
    with path.open("ab") as file:
        file.write(text if isinstance(text, bytes) else text.encode())


def test_a_line_that_went_on_after_it_was_taken_is_told_and_taken_whole(tmp_path: Path, clock: Clock) -> None:
    path = written(tmp_path / "r.csv", f"timestamp,patient_id,value\n{T0},P-1,1")
    known: list[Progress] = []
    assert run_until(path, known, 9, 100, 0.0, clock) == [Reading("P-1", T0, 1.0, "")]
    grown(path, "0\n")
    told = WentOn(str(path), 2, f"{T0},P-1,1", f"{T0},P-1,10")
    assert run_until(path, known, 9, 100, 0.0, clock) == [told, Reading("P-1", T0, 10.0, "")]
    assert run_until(path, known, 9, 100, 0.0, clock) == []


def test_half_a_line_of_json_is_refused_and_taken_once_it_is_whole(tmp_path: Path, clock: Clock) -> None:
    line = f'{{"timestamp": {T0}, "patient_id": "P-1", "value": 72}}'
    path = written(tmp_path / "r.jsonl", line[:30])
    known: list[Progress] = []
    (refused,) = run_until(path, known, 9, 100, 0.0, clock)
    assert isinstance(refused, Refused)
    grown(path, line[30:])
    told = WentOn(str(path), 1, line[:30], line)
    assert run_until(path, known, 9, 100, 0.0, clock) == [told, Reading("P-1", T0, 72.0, "")]
    assert run_until(path, known, 9, 100, 0.0, clock) == []


@pytest.mark.parametrize("end", ["\n", "\r\n", " \n"])
def test_a_line_that_only_got_its_end_is_not_read_again_and_the_next_has_its_own_number(
    tmp_path: Path, clock: Clock, end: str
) -> None:
    path = written(tmp_path / "r.csv", f"timestamp,patient_id,value\n{T0},P-1,70")
    known: list[Progress] = []
    assert len(run_until(path, known, 9, 100, 0.0, clock)) == 1
    assert run_until(path, known, 9, 100, 0.0, clock) == []
    grown(path, f"{end}{T0},,71\n")
    (refused,) = run_until(path, known, 9, 100, 0.0, clock)
    assert isinstance(refused, Refused)
    assert refused.line == 3
    assert len(known) == 1


def test_a_line_that_goes_on_while_it_is_read_is_told_in_the_same_run(tmp_path: Path, clock: Clock) -> None:
    path = written(tmp_path / "r.csv", f"timestamp,patient_id,value\n{T0},P-1,1")
    source = ReplaySource(path, 0.0, 100, clock)
    chunk = source.read(0.05)
    assert chunk is not None
    assert chunk.items == (Reading("P-1", T0, 1.0, ""),)
    grown(path, f"0\n{T0 + 1},P-1,71\n")
    assert read_all(source) == [
        WentOn(str(path), 2, f"{T0},P-1,1", f"{T0},P-1,10"),
        Reading("P-1", T0, 10.0, ""),
        Reading("P-1", T0 + 1, 71.0, ""),
    ]


def test_all_again_is_all_again_also_of_a_line_that_went_on(tmp_path: Path, clock: Clock) -> None:
    path = written(tmp_path / "r.csv", f"timestamp,patient_id,value\n{T0},P-1,1")
    known: list[Progress] = []
    run_until(path, known, 9, 100, 0.0, clock)
    grown(path, "0\n")
    source = ReplaySource(path, 0.0, 100)
    source.skip_nothing(known)
    assert read_all(source) == [Reading("P-1", T0, 10.0, "")]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(28, 300), max_size=12), st.integers(1, 4), st.sampled_from(["\n", "\r\n"]))
def test_however_a_file_grows_each_whole_line_is_taken_once_and_each_part_of_one_is_told(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], batch_rows: int, end: str
) -> None:
    lines = [f"{T0 + number},P-{number % 3},{60 + number * 7}" for number in range(12)]
    whole = end.join(("timestamp,patient_id,value", *lines, "")).encode()
    path = tmp_path_factory.mktemp("r") / "r.csv"
    known: list[Progress] = []
    clock = Clock()
    taken: dict[int, list[str]] = {}  # by the line, what was given out of it
    told = set()
    for size in (*sorted(cuts), len(whole)):
        path.write_bytes(whole[:size])
        now = path.read_bytes().decode().splitlines()
        for item in run_until(path, known, 10**6, batch_rows, 0.0, clock):
            if isinstance(item, WentOn):
                assert item.now == now[item.line - 1]
                assert taken[item.line][-1] == item.before
                told.add(item.line)
            elif isinstance(item, Refused):
                taken.setdefault(item.line, []).append(now[item.line - 1])
            else:
                assert isinstance(item, Reading)
                (number,) = (number for number, line in enumerate(now, 1) if line.startswith(str(item.timestamp)))
                taken.setdefault(number, []).append(now[number - 1])
    for number, line in enumerate(lines, 2):
        assert taken[number][-1] == line
        assert len(set(taken[number])) == len(taken[number])
        assert (number in told) == (len(taken[number]) > 1)


# ------------------------------------------------------------ the generator in its time


def live(clock: Clock, per_second: float, batch_rows: int, total: int | None) -> LiveSource:
    generator = Generator(patient_names(2), HeartRate(), Fraction(0), 1, total)
    return LiveSource(generator, per_second, batch_rows, total, clock=clock, now_ms=clock.wall_ms)


@pytest.mark.parametrize("per_second", [0.5, 3.0, 40.0, 5000.0])
def test_readings_are_stamped_when_they_are_due_and_never_given_out_before(clock: Clock, per_second: float) -> None:
    source = live(clock, per_second, 100, 50)
    stamps = []
    while (chunk := source.read(0.05)) is not None:
        for item in chunk.items:
            assert isinstance(item, Reading)
            stamps.append(item.timestamp)
            assert item.timestamp <= clock.wall_ms() + 1
            assert clock.wall_ms() - item.timestamp <= (LINGER_S + 0.06) * 1000
    assert stamps == [T0 + int(number * 1000 / per_second) for number in range(50)]


def test_a_batch_is_given_out_full_when_it_fills_quickly(clock: Clock) -> None:
    source = live(clock, 1000.0, 100, 1000)
    sizes = []
    while (chunk := source.read(0.05)) is not None:
        if chunk.items:
            sizes.append(len(chunk.items))
    assert sizes == [100] * 10


def test_a_machine_that_slept_has_measured_nothing_meanwhile(clock: Clock) -> None:
    source = live(clock, 10.0, 100, None)
    while True:
        chunk = source.read(0.05)
        assert chunk is not None
        if chunk.items:
            break
    clock.sleep(LATE_S * 100)
    woken = clock.wall_ms()
    found: list[Item] = []
    while not found:
        chunk = source.read(0.05)
        assert chunk is not None
        found.extend(chunk.items)
    assert isinstance(found[0], Reading)
    assert found[0].timestamp >= woken
