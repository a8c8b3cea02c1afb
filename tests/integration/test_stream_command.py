"""``hfzmq stream`` as a process, against a mesh of fakes: its counts, its lines, its ends, its bad input."""

from __future__ import annotations

import itertools
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hfzmq.clinical.heart_rate import STATUSES, VERDICTS
from hfzmq.config import render
from tests.integration.fake_peer import FakeMesh, eventually

ROOT = Path(__file__).resolve().parents[2]
T0 = 1_700_000_000_000


class Ward:
    """A mesh of fakes, and ``hfzmq stream`` on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mesh = FakeMesh()
        self.config = folder / "peers.yaml"
        self.config.write_text(render(self.mesh.config))

    def start(self, *options: object, **streams: Any) -> subprocess.Popen[str]:
        words = ("stream", "--config", self.config, "--queue", self.folder / "q", "--client-id", "ward", *options)
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
        return subprocess.Popen([sys.executable, "-m", "hfzmq", *map(str, words)], cwd=ROOT, text=True, **streams)

    def run(self, *options: object, given: str | None = None) -> tuple[int, str, str]:
        process = self.start(*options, stdin=subprocess.DEVNULL if given is None else subprocess.PIPE)
        out, err = process.communicate(given, timeout=60)
        return process.returncode, out, err

    def csv(self, *lines: str) -> Path:
        path = self.folder / "r.csv"
        path.write_text("\n".join(("timestamp,patient_id,value", *lines)) + "\n")
        return path

    def verdicts(self) -> Counter[str]:
        return Counter(VERDICTS[one.verdict].anomaly or "valid" for one in self.mesh.readings)


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def ward(tmp_path: Path) -> Iterator[Ward]:
    made = Ward(tmp_path)
    yield made
    made.mesh.close()


def test_a_count_of_readings_arrives_as_the_summary_says(ward: Ward) -> None:
    code, out, err = ward.run("--patients", 5, "--rate", 500, "--count", 1000, "--seed", 7, "-o", "jsonl")
    assert (code, "error" in err) == (0, False), err  # on a slow machine it says how far it is
    told = events(out)
    assert ward.verdicts() == {
        "valid": 800, "high": 34, "low": 34, "sensor_off": 33, "impossible": 33, "future": 33, "unparsable": 33
    }  # fmt: skip
    assert max(ward.mesh.batches) <= 100
    summary = told[-1]
    assert summary["event"] == "summary"
    assert (summary["readings"], summary["acked"], summary["pending"], summary["seed"]) == (1000, 1000, 0, 7)
    found = Counter(VERDICTS[one.verdict].status for one in ward.mesh.readings)
    for status in STATUSES:
        assert summary["verdicts"][status] == {
            "read": found[status], "acked": found[status], "rejected": 0, "pending": 0
        }  # fmt: skip
    assert Counter(event["event"] for event in told if event["event"] not in ("connected", "disconnected")) == {
        "reading": 1000, "queued": 1000, "ack": 1000, "summary": 1
    }  # fmt: skip


def test_a_rate_below_what_the_limit_of_silence_asks_for_is_spoken_of_at_once(ward: Ward) -> None:
    code, _, err = ward.run("--patients", 1, "--rate", 0.04, "--invalid", "0.2", "--count", 1, "--headless")
    assert code == 0
    assert "warning: a heart rate that can be believed comes every 31.2 s, and the mesh tells NO DATA" in err


def test_the_share_and_the_number_of_patients_are_those_that_were_asked_for(ward: Ward) -> None:
    code, out, _ = ward.run("--patients", 3, "--rate", 100, "--count", 300, "--invalid", "0.5", "--headless")
    assert code == 0
    assert ward.verdicts()["valid"] == 150
    assert {one.patient_id for one in ward.mesh.readings} == {"P-001", "P-002", "P-003"}
    assert "300 readings: 150 valid, " in out
    assert "300 acknowledged, 0 rejected, 0 waiting on disk" in out
    assert len(out.splitlines()) <= 3  # the link and the sums, not a line for each reading


def test_a_duration_is_so_many_readings_at_the_rate(ward: Ward) -> None:
    started = time.monotonic()
    code, _, _ = ward.run("--patients", 4, "--rate", 25, "--duration", 2, "--headless")
    assert code == 0
    assert len(ward.mesh.readings) == 200
    assert time.monotonic() - started > 2
    assert ward.verdicts()["valid"] == 160


def test_the_environment_sets_the_patients_and_the_valid_range(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUSTOMER_COUNT", "2")
    monkeypatch.setenv("HEART_RATE_MIN", "90")
    monkeypatch.setenv("HEART_RATE_MAX", "95")
    assert ward.run("--rate", 100, "--count", 50, "--invalid", 0, "--headless")[0] == 0
    assert {one.patient_id for one in ward.mesh.readings} == {"P-001", "P-002"}
    assert all(one.value is not None and 90 <= one.value <= 95 for one in ward.mesh.readings)


def test_a_recording_is_sent_line_by_line_and_what_is_no_number_with_its_text(ward: Ward) -> None:
    path = ward.csv(f"{T0},P-1,72", f"{T0 + 100},P-1,E04", "nonsense,P-1,72", f"{T0 + 200},P-2,-999")
    code, out, err = ward.run("--source", path, "--headless")
    assert code == 0
    assert [(one.patient_id, one.timestamp, one.value, one.raw_payload) for one in ward.mesh.readings] == [
        ("P-1", T0, 72, ""), ("P-1", T0 + 100, None, "E04"), ("P-2", T0 + 200, -999, "")
    ]  # fmt: skip
    assert f"{path}:4: timestamp" in err
    assert "3 readings: 1 valid, 0 invalid_physiological, 1 invalid_system (1 sensor_off), 1 corrupted" in out
    assert "1 rejected" in out


def test_json_lines_on_stdin(ward: Ward) -> None:
    lines = [json.dumps({"patient_id": "P-1", "timestamp": T0 + n, "value": 60 + n}) for n in range(5)]
    code, _, err = ward.run("--source", "-", "--headless", given="\n".join([*lines, "{"]) + "\n")
    assert code == 0
    assert [one.value for one in ward.mesh.readings] == [60, 61, 62, 63, 64]
    assert "stdin:6: line" in err


def test_a_recording_whose_run_is_killed_goes_on_where_it_stood(ward: Ward) -> None:
    path = ward.csv(*(f"{T0 + n},P-1,{60 + n % 40}" for n in range(2000)))
    lost = itertools.cycle([True, False, False])
    ward.mesh.lose_answer = lambda peer: next(lost)
    process = ward.start("--source", path, "--speed", "1", "--headless", stdout=subprocess.DEVNULL)
    eventually(lambda: len(ward.mesh.readings) > 300, 20)
    process.kill()
    process.communicate()
    ward.mesh.lose_answer = lambda peer: False
    code, _, err = ward.run("--source", path, "--fast", "--headless")
    assert code == 0
    assert "going on after line" in err
    assert [one.timestamp for one in ward.mesh.readings] == [T0 + n for n in range(2000)]
    assert ward.run("--source", path, "--fast", "--headless")[0] == 0
    assert len(ward.mesh.readings) == 2000
    assert ward.run("--source", path, "--fast", "--headless", "--from-start")[0] == 0
    assert len(ward.mesh.readings) == 4000


@pytest.mark.parametrize("output", ["text", "jsonl"])
def test_a_line_that_went_on_after_it_was_stored_is_a_warning_and_is_stored_whole(ward: Ward, output: str) -> None:
    path = ward.folder / "r.csv"
    path.write_text(f"timestamp,patient_id,value\n{T0},P-1,60\n{T0 + 1},P-1,1")
    assert ward.run("--source", path, "--fast", "-o", output)[0] == 0
    with path.open("a") as file:
        file.write("0\n")
    code, out, err = ward.run("--source", path, "--fast", "-o", output)
    assert code == 0
    assert f"warning: {path}:3: " in err
    assert f"'{T0 + 1},P-1,1' was taken" in err
    assert f"'{T0 + 1},P-1,10' is taken now" in err
    assert "rejected: " not in out + err
    assert [one.value for one in ward.mesh.readings] == [60, 1, 10]
    if output == "jsonl":
        (told,) = [event for event in events(out) if event["event"] == "went_on"]
        assert (told["line"], told["now"]) == (3, f"{T0 + 1},P-1,10")
    assert "warning" not in ward.run("--source", path, "--fast", "-o", output)[2]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_good_order_with_its_summary(ward: Ward, number: signal.Signals) -> None:
    process = ward.start("--patients", 2, "--rate", 50, "-o", "jsonl")
    eventually(lambda: len(ward.mesh.readings) > 20, 20)
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (0, "")
    summary = events(out)[-1]
    assert summary["event"] == "summary"
    assert summary["acked"] == summary["readings"] == len(ward.mesh.readings)


def test_without_a_mesh_the_readings_wait_on_disk_by_verdict_and_the_next_run_brings_them(ward: Ward) -> None:
    ward.mesh.leader = None
    code, out, err = ward.run("--patients", 2, "--rate", 100, "--duration", 1, "-o", "jsonl")
    assert code == 8
    assert "200 readings are not acknowledged yet" in err
    assert "hint: " in err
    summary = events(out)[-1]
    assert summary["verdicts"]["valid"] == {"read": 160, "acked": 0, "rejected": 0, "pending": 160}
    ward.mesh.leader = 1
    code, out, err = ward.run("--patients", 2, "--rate", 100, "--count", 100, "-o", "jsonl")
    assert code == 0
    assert "200 readings of an earlier run wait" in err
    summary = events(out)[-1]
    assert summary["earlier"] == {"read": 200, "acked": 200, "rejected": 0, "pending": 0}
    assert summary["verdicts"]["valid"] == {"read": 80, "acked": 80, "rejected": 0, "pending": 0}
    assert len(ward.mesh.readings) == 300


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--patients", "0"), 2, "--patients"),
        (("--rate", "0"), 2, "--rate"),
        (("--rate", "nan"), 2, "finite"),
        (("--invalid", "1.1"), 2, "0<=x<=1"),
        (("--invalid", "nan"), 2, "0<=x<=1"),
        (("--invalid", "1e-99999999"), 2, "0<=x<=1"),
        (("--invalid", "-0.1"), 2, "0<=x<=1"),
        (("--batch", "0"), 2, "--batch"),
        (("--batch", "5000"), 6, "--batch: 1 to 1000"),
        (("--count", "0"), 2, "--count"),
        (("--duration", "0"), 2, "--duration"),
        (("--speed", "2"), 2, "--source FILE"),
        (("--fast",), 2, "--source FILE"),
        (("--source", "none.csv"), 5, "none.csv"),
        (("--source", "none.csv", "--patients", "2"), 2, "--patients"),
        (("--source", "none.csv", "--invalid", "0.1"), 2, "--invalid"),
        (("--source", "-", "--speed", "2"), 2, "--source FILE"),
        (("--source", "none.csv", "--fast", "--speed", "2"), 2, "one of them"),
        (("--config", "none.yaml"), 6, "none.yaml"),
        (("--client-id", ""), 6, "client_id"),
    ],
)
def test_bad_input_is_refused_by_name_and_bound(ward: Ward, words: tuple[str, ...], code: int, said: str) -> None:
    found, out, err = ward.run(*words, "--headless")
    assert (found, out) == (code, "")
    assert said in err
    assert "Traceback" not in err
    assert ward.mesh.readings == []


def test_a_file_of_which_no_line_can_be_used_is_an_error(ward: Ward) -> None:
    code, _, err = ward.run("--source", ward.csv("x,y,z", "a,b,c"), "--headless")
    assert code == 6
    assert "no line of it can be used, 2 were rejected" in err


def test_a_queue_of_reports_is_refused(ward: Ward) -> None:
    words = ("client", "--config", ward.config, "--queue", ward.folder / "q", "--count", 1, "--headless")
    subprocess.run([sys.executable, "-m", "hfzmq", *map(str, words)], cwd=ROOT, capture_output=True, check=False)
    code, _, err = ward.run("--count", 1, "--headless", "--client-id", "ward")
    assert code == 1
    assert "not for readings" in err


@pytest.mark.parametrize("end", ["q", signal.SIGINT, signal.SIGTERM])
def test_on_a_terminal_there_is_a_live_screen_that_gives_it_back(ward: Ward, end: str | signal.Signals) -> None:
    outside, inside = pty.openpty()
    process = ward.start(
        "--patients", 3, "--rate", 30, stdin=inside, stdout=inside, stderr=inside,
        env={**os.environ, "COLUMNS": "100", "LINES": "40", "TERM": "xterm"},
    )  # fmt: skip
    os.close(inside)
    seen = ""

    def looked() -> bool:
        nonlocal seen
        while select.select([outside], [], [], 0.05)[0]:
            try:
                data = os.read(outside, 1 << 16).decode(errors="replace")
            except OSError:  # the other end is closed
                return True
            if not data:
                return True
            seen += data
        return False

    def shown() -> bool:
        looked()
        return "leader: peer 1" in seen and "invalid_physiological" in seen and "acknowledged/s" in seen

    eventually(shown, 30)
    if isinstance(end, str):
        os.write(outside, end.encode())
    else:
        process.send_signal(end)
    eventually(lambda: looked() or process.poll() is not None, 20)
    looked()
    os.close(outside)
    assert process.wait(10) == 0
    assert "\x1b[?1049l" in seen  # the terminal's own screen is back
    assert "readings: " in seen[seen.rindex("\x1b[?1049l") :]
