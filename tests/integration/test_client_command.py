"""``hfzmq client`` as a process, against a mesh of fakes: its lines, its ends, its file read once over many lives."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hfzmq.cli.bedside import refused
from hfzmq.cli.bedside.csv_source import CsvSource
from hfzmq.cli.bedside.judge import judge
from hfzmq.cli.bedside.output import link_sentence
from hfzmq.cli.bedside.readings import Reading
from hfzmq.cli.throwaway import with_throwaway_keys
from hfzmq.clinical.tiers import GREEN
from hfzmq.config import render
from hfzmq.errors import KeysError
from hfzmq.model.inference import RiskModel
from tests.integration.fake_peer import FakeMesh, eventually

ROOT = Path(__file__).resolve().parents[2]
HEADER = "age,serum_sodium,serum_creatinine,ejection_fraction,time\n"


class Ward:
    """A mesh of fakes, and ``hfzmq client`` on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mesh = FakeMesh()
        self.config = folder / "peers.yaml"
        self.config.write_text(render(self.mesh.config))

    def start(self, *options: object, headless: bool = True, **streams: Any) -> subprocess.Popen[str]:
        mode = ("--headless",) if headless else ()
        words = ("client", "--config", self.config, "--queue", self.folder / "q", "--client-id", "bed", *mode, *options)
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
        return subprocess.Popen([sys.executable, "-m", "hfzmq", *map(str, words)], cwd=ROOT, text=True, **streams)

    def run(self, *options: object, given: str | None = None) -> tuple[int, str, str]:
        process = self.start(*options, stdin=subprocess.DEVNULL if given is None else subprocess.PIPE)
        out, err = process.communicate(given, timeout=60)
        return process.returncode, out, err

    def csv(self, rows: int) -> Path:
        path = self.folder / "ward.csv"
        lines = (f"{50 + n % 35},{125 + n % 18},{0.9 + n % 15 / 10:.1f},{20 + n % 40},{n % 200}\n" for n in range(rows))
        path.write_text(HEADER + "".join(lines))
        return path

    def days_stored(self) -> list[tuple[str, int | None]]:
        return [(report.patient_id, report.day) for report in self.mesh.stored]


def expected(path: Path) -> list[tuple[str, int | None]]:
    """(patient, day) of what a file must bring to the mesh, in its order."""
    model, source = RiskModel.load(), CsvSource(path, 0.0)
    found = []
    while (chunk := source.read(0)) is not None:
        for item in chunk.items:
            assert isinstance(item, Reading)
            if judge(model, model.thresholds, item).report.tier != GREEN:
                found.append((item.patient_id, item.day))
    source.close()
    return found


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def ward(tmp_path: Path) -> Iterator[Ward]:
    made = Ward(tmp_path)
    yield made
    made.mesh.close()


def test_each_step_is_one_json_line_in_its_order(ward: Ward) -> None:
    code, out, err = ward.run("--patients", 6, "--count", 4, "--interval", 0, "--seed", 1, "-o", "jsonl")
    assert (code, err) == (0, "")
    told = events(out)
    summary = told.pop()
    assert list(summary) == [
        *("event", "readings", "green", "amber", "red", "unknown", "submitted", "acked", "rejected", "pending"),
        "elapsed_s",
    ]
    assert summary["readings"] == 24
    assert summary["acked"] == summary["submitted"] == len(ward.mesh.stored) == summary["amber"] + summary["red"] > 0
    kinds = [event["event"] for event in told]
    assert kinds.count("reading") == kinds.count("risk") == 24
    assert kinds.count("queued") == kinds.count("ack") == summary["acked"]
    assert kinds.index("risk") < kinds.index("queued") < kinds.index("ack")
    # How the link stands may be told before and between them.
    reading, risk = told[kinds.index("reading")], told[kinds.index("risk")]
    assert set(reading) == {
        *("event", "patient", "timestamp", "age", "serum_sodium", "serum_creatinine", "ejection_fraction", "day")
    }
    assert set(risk) == {"event", "patient", "timestamp", "probability", "tier", "probability_study", "flags"}
    ack = told[kinds.index("ack")]
    assert set(ack) == {"event", "patient", "seq", "term", "index", "elapsed_ms"}
    stored = ward.mesh.stored[0]
    queued = told[kinds.index("queued")]
    assert (queued["patient"], queued["timestamp"], queued["tier"]) == (
        stored.patient_id,
        stored.timestamp,
        stored.tier,
    )


def test_an_interval_beyond_the_limit_of_silence_is_spoken_of_at_once(ward: Ward) -> None:
    process = ward.start("--patient", "P-001", "--count", 1, "--interval", 40)
    assert process.stderr is not None
    said = process.stderr.readline()
    assert said.startswith("warning: readings of a bed lie 40 s apart, and the mesh tells NO DATA of a bed after 30 s")
    assert process.poll() is None, "it goes on"
    process.kill()
    process.communicate(timeout=60)


def test_asked_for_the_studys_day_the_client_says_so_at_once_and_in_each_report(ward: Ward) -> None:
    path = ward.csv(40)
    code, _, err = ward.run("--source", path, "--day-mode", "study")
    assert code == 0
    assert err.startswith("warning: RAW DAY: the raw day sets the tier (--day-mode study)")
    by_the_raw_day = list(ward.mesh.stored)
    assert by_the_raw_day
    assert all("day_raw" in report.flags.split(",") for report in by_the_raw_day)
    assert all(report.probability == report.probability_study for report in by_the_raw_day)
    code, _, err = ward.run("--source", path, "--from-start")
    assert "raw day" not in err
    guarded = ward.mesh.stored[len(by_the_raw_day) :]
    assert guarded
    assert not any("day_raw" in report.flags for report in guarded)


def test_a_file_is_submitted_once_over_many_killed_lives(ward: Ward) -> None:
    path = ward.csv(400)
    wanted = expected(path)
    assert len(wanted) > 50
    for share in (6, 4, 2):
        process = ward.start("--source", path, "--interval", 0.002, "-o", "jsonl", stdout=subprocess.DEVNULL)
        enough = len(wanted) // share
        eventually(lambda enough=enough: len(ward.mesh.stored) >= enough, 30)  # type: ignore[misc]
        process.kill()
        process.communicate()
    code, _, err = ward.run("--source", path)
    assert code == 0
    assert "going on after line" in err
    assert ward.days_stored() == wanted
    code, out, err = ward.run("--source", path, "-o", "jsonl")
    assert code == 0
    assert events(out)[-1]["readings"] == 0
    assert ward.days_stored() == wanted
    code, *_ = ward.run("--source", path, "--from-start")
    assert code == 0
    assert ward.days_stored() == wanted * 2


def test_bad_lines_of_a_file_are_named_on_stderr_and_the_rest_goes_on(ward: Ward) -> None:
    path = ward.csv(20)
    path.write_text(path.read_text() + "700,130,1.9,20,5\n80,125,2.5,20,5\n")
    code, out, err = ward.run("--source", path)
    assert code == 0
    assert f"hf-021 rejected: {path}:22: age: 18 to 120 years" in err
    assert "hf-022 ■ RED" in out
    assert out.splitlines()[-1].split(" ", 1)[1].startswith("21 readings: ")
    assert "1 rejected" in out.splitlines()[-1]


def test_a_day_that_went_on_after_it_was_judged_is_a_warning_and_is_judged_whole(ward: Ward) -> None:
    path = ward.folder / "ward.csv"
    path.write_text("patient_id,age,serum_sodium,serum_creatinine,ejection_fraction,day\nP-1,85,120,4,15,1")
    assert ward.run("--source", path, "--headless")[0] == 0
    with path.open("a") as file:
        file.write("20\n")
    code, _, err = ward.run("--source", path, "--headless")
    assert code == 0
    assert f"warning: {path}:2: " in err
    assert "'P-1,85,120,4,15,1' was taken" in err
    assert "'P-1,85,120,4,15,120' is taken now" in err
    assert "rejected: " not in err
    assert [one.day for one in ward.mesh.stored] == [1, 120]


def test_json_lines_on_stdin_are_judged_and_bad_ones_refused_by_field(ward: Ward) -> None:
    good = {"patient_id": "B", "timestamp": 1_700_000_000_000, "age": 80, "serum_sodium": 125, "serum_creatinine": 2.5}
    good |= {"ejection_fraction": 20, "day": 5}
    lines = [good, good | {"age": float("nan")}, good | {"pulse": 70}, good | {"day": 6}]
    code, out, _ = ward.run("--source", "-", "-o", "jsonl", given="\n".join(map(json.dumps, lines)) + "\nnonsense")
    assert code == 0
    refused = [(event["line"], event["field"]) for event in events(out) if event["event"] == "rejected"]
    assert refused == [(2, "age"), (3, "pulse"), (5, "line")]
    assert ward.days_stored() == [("B", 5), ("B", 6)]
    assert events(out)[-1]["rejected"] == 3


def test_a_source_of_which_no_line_can_be_used_is_exit_6_each_time(ward: Ward) -> None:
    path = ward.folder / "ward.csv"
    path.write_text(HEADER + "75,130,1,9,20,4\n700,130,1.9,20,5\n")
    for _ in range(2):
        code, out, err = ward.run("--source", path)
        assert code == 6
        assert f"rejected: {path}:2: line: more cells than the header has (a decimal comma? write 1.9)" in err
        assert f"error: {path}: no line of it can be used, 2 were rejected" in err
        assert "0 readings" in out.splitlines()[-1]
        assert "2 rejected" in out.splitlines()[-1]
    code, out, err = ward.run("--source", "-", "-o", "jsonl", given="nonsense\n")
    assert (code, events(out)[-1]["rejected"]) == (6, 1)
    assert "error: stdin: " in err
    assert ward.run("--source", "-", given="")[0] == 0


def test_the_same_file_is_read_for_each_patient_it_is_given_for(ward: Ward) -> None:
    path = ward.folder / "two.csv"
    path.write_text(HEADER + "80,125,2.5,20,5\n80,125,2.5,20,6\n")
    for patient in ("AA", "BB", "AA", "BB"):
        assert ward.run("--source", path, "--patient", patient)[0] == 0
    assert ward.days_stored() == [("AA", 5), ("AA", 6), ("BB", 5), ("BB", 6)]


def test_a_short_life_tells_the_board_its_last_reading(ward: Ward) -> None:
    red = {"patient_id": "B", "timestamp": 1_700_000_000_000, "age": 80, "serum_sodium": 125, "serum_creatinine": 2.5}
    red |= {"ejection_fraction": 20, "day": 5}
    green = {"patient_id": "B", "timestamp": 1_700_000_060_000, "age": 45, "serum_sodium": 140}
    green |= {"serum_creatinine": 0.9, "ejection_fraction": 60, "day": 200}
    code, *_ = ward.run("--source", "-", given=f"{json.dumps(red)}\n{json.dumps(green)}\n")
    assert code == 0
    assert [report.tier for report in ward.mesh.stored] == ["RED"]
    assert (ward.mesh.seen[-1].tier, ward.mesh.seen[-1].timestamp) == ("GREEN", 1_700_000_060_000)


@pytest.mark.parametrize("output", ["text", "jsonl"])
def test_an_output_that_cannot_be_written_is_a_plain_error_and_loses_no_report(ward: Ward, output: str) -> None:
    path = ward.csv(60)
    with open("/dev/full", "w") as full:
        process = ward.start("--source", path, "-o", output, stdout=full)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    first, second = err.splitlines()[-2:]
    assert first == "error: cannot write to standard output: No space left on device"
    assert second.startswith("hint: ")
    assert "internal" not in err
    assert "Exception ignored" not in err
    assert ward.run("--source", path)[0] == 0
    assert ward.days_stored() == expected(path)


def test_time_over_without_a_mesh_is_exit_8_and_the_same_command_goes_on(ward: Ward) -> None:
    path = ward.csv(60)
    ports = [peer.port for peer in ward.mesh.peers.values()]
    ward.mesh.close()
    started = time.monotonic()
    code, out, err = ward.run("--source", path, "--duration", 2)
    assert 2 <= time.monotonic() - started < 10
    wanted = expected(path)
    assert code == 8
    assert f"error: {len(wanted)} reports are not acknowledged yet" in err
    assert "the same command goes on" in err
    assert f"{len(wanted)} waiting on disk" in out
    for peer in ward.mesh.peers:
        ward.mesh.revive(peer)
    assert [peer.port for peer in ward.mesh.peers.values()] == ports
    code, _, err = ward.run("--source", path, "--duration", 30)
    assert code == 0
    assert f"{len(wanted)} reports of an earlier run wait" in err
    assert ward.days_stored() == wanted


def test_a_file_that_was_not_read_to_its_end_is_exit_8_also_at_a_pace_and_the_same_command_goes_on(ward: Ward) -> None:
    path = ward.csv(60)
    code, _, err = ward.run("--source", path, "--interval", 0.1, "--duration", 1)
    assert code == 8
    assert "error: the duration was over before the source was read to its end" in err
    assert 0 < len(ward.mesh.stored) < len(expected(path))
    code, _, err = ward.run("--source", path, "--interval", 0.001, "--duration", 30)
    assert code == 0
    assert "going on after line " in err
    assert ward.days_stored() == expected(path)
    assert ward.run("--patients", 2, "--interval", 0.1, "--duration", 1)[0] == 0  # a bed has no end to be read to


@pytest.mark.parametrize(
    ("command", "rows", "waits"), [("client", 60, True), ("client", 0, False), ("stream", 3, True)]
)
def test_a_run_whose_key_nobody_accepts_ends_with_7_and_says_so_last(
    ward: Ward, command: str, rows: int, waits: bool
) -> None:
    config = with_throwaway_keys(ward.mesh.config, ward.folder)  # and the fakes have none
    ward.config.write_text(render(config))
    if command == "client":
        path = ward.csv(rows)
        path.write_text(path.read_text() + "60,137,1.0,38,100\n")  # GREEN: nothing to send
        words = ["client", "--source", path, "--headless", "--duration", "3"]
    else:
        words = ["stream", "--count", rows, "--headless", "--duration", "3"]
    line = [sys.executable, "-m", "hfzmq", *words, "--config", ward.config, "--queue", ward.folder / "q"]
    done = subprocess.run(list(map(str, line)), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    error, hint = done.stderr.splitlines()[-2:]
    assert re.match(r"error: key refused: peer \d (does not serve with|is plain)", error), done
    assert ("wait in" in error) is waits, done
    assert hint.startswith("hint: ")
    assert done.returncode == 7


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_whose_key_is_refused_says_so_last_also_when_a_signal_ends_it_with_0(
    ward: Ward, number: signal.Signals
) -> None:
    config = with_throwaway_keys(ward.mesh.config, ward.folder)  # and the fakes have none
    ward.config.write_text(render(config))
    process = ward.start("--patients", 6, "--interval", 0.05, "--seed", 1, stdin=subprocess.DEVNULL)
    assert process.stdout is not None
    told = ""
    while "not connected: key refused" not in told:
        told = process.stdout.readline()
        assert told, "it ended before"
    assert "(" in told, "no next step"
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    warning, hint = err.splitlines()[-2:]
    assert process.returncode == 0
    assert re.search(
        r" waiting on disk; .* s; key refused since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d$", out.splitlines()[-1]
    ), out
    assert re.match(r"warning: key refused: peer \d (does not serve with|is plain).* wait in ", warning), err
    assert hint.startswith("hint: ")


def test_a_refusal_is_said_again_as_long_as_it_is_so_and_with_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    at_ms = [1_000]
    monkeypatch.setattr(refused, "mono_ms", lambda: at_ms[0])
    monkeypatch.setattr(refused, "wall_ms", lambda: 7_000_000 + at_ms[0])

    class Asked:
        said: KeysError | None = KeysError(
            "key refused: peer 1 does not accept ward.secret; 9 reports wait in q", hint="do"
        )

        def refusal(self) -> KeysError | None:
            return self.said

    asked = Asked()
    told = refused.Refused(asked)  # type: ignore[arg-type]
    assert told.again() is None
    for _ in range(2):  # the second one says no more than the first
        told.take({"event": "disconnected", "link": "key refused", "why": "peer 1 does not accept ward.secret"})
    assert told.again() is None
    for minute in (1, 2):
        at_ms[0] = 1_000 + minute * 60_000
        event = told.again()
        assert event == {"event": "refused", "why": str(asked.said), "hint": "do", "since": 7_001_000}
        assert "; 9 reports wait in q (since 19" in link_sentence(event)
        assert told.again() is None
    asked.said = None
    at_ms[0] += 60_000
    assert (told.again(), told.since) == (None, None)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_good_order(ward: Ward, number: signal.Signals) -> None:
    process = ward.start("--patients", 6, "--interval", 0.05, "--seed", 1, "-o", "jsonl")
    eventually(lambda: len(ward.mesh.stored) > 10, 30)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")
    summary = events(out)[-1]
    assert summary["event"] == "summary"
    assert summary["pending"] == 0
    assert summary["acked"] == len(ward.mesh.stored)


def test_a_signal_without_a_mesh_waits_three_seconds_and_no_more(ward: Ward) -> None:
    ward.mesh.leader = None
    process = ward.start("--patient", "A", "--patient", "B", "--interval", 0.1, "--seed", 1, "-o", "jsonl")
    assert process.stdout is not None
    assert process.stdout.readline()
    eventually(lambda: len(ward.mesh.peers[1].heard) > 3, 30)
    process.send_signal(signal.SIGTERM)
    started = time.monotonic()
    out, _ = process.communicate(timeout=20)
    assert 2.5 < time.monotonic() - started < 5
    assert process.returncode == 0
    assert events(out)[-1]["pending"] > 0


def test_a_closed_pipe_ends_it_without_a_word(ward: Ward) -> None:
    process = ward.start("--patients", 6, "--interval", 0, "-o", "jsonl")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(20) in (0, 141)
    assert process.stderr is not None
    assert process.stderr.read() == ""


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--source", "none.csv"), 5, "no file none.csv"),
        (("--patients", "0"), 2, "--patients"),
        (("--interval", "-1"), 2, "--interval"),
        (("--interval", "nan"), 2, "finite number of seconds"),
        (("--duration", "nan"), 2, "finite number of seconds"),
        (("--duration", "inf"), 2, "is not in the range 0<x<="),
        (("--patient", "A", "--patient", "A"), 2, "twice"),
        (("--patient", " "), 6, "--patient"),
        (("--source", "-", "--interval", "1"), 2, "stdin"),
        (("--source", "setup.cfg"), 6, "setup.cfg:1"),
        (("--source", "peers.yaml", "--count", "3"), 2, "--count"),
        (("--client-id", "someone else", "--count", "1"), 1, "belongs to the client 'bed'"),
    ],
)
def test_what_is_wrong_is_two_lines_and_an_exit_code(
    ward: Ward, options: tuple[str, ...], code: int, said: str
) -> None:
    ward.run("--count", 1, "--interval", 0)  # so that there is a queue
    found, out, err = ward.run(*options)
    assert (found, out) == (code, "")
    assert said in err
    assert "Traceback" not in err


def test_two_at_once_on_one_queue_are_refused(ward: Ward) -> None:
    first = ward.start("--interval", 0.1, "-o", "jsonl")
    assert first.stdout is not None
    first.stdout.readline()
    code, _, err = ward.run("--count", 1)
    assert code == 1
    assert "in use by another client" in err
    first.terminate()
    first.communicate(timeout=20)


def test_the_live_screen_shows_the_ward_and_q_ends_it(ward: Ward) -> None:
    ours, theirs = pty.openpty()
    process = ward.start(
        *("--patients", 4, "--interval", 0.2, "--seed", 1),
        headless=False,
        stdin=theirs,
        stdout=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "30"},
    )
    os.close(theirs)
    seen = ""

    def read() -> str:
        nonlocal seen
        while select.select([ours], [], [], 0.01)[0]:
            try:
                data = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            seen += data.decode(errors="replace")
        return seen

    wanted = ("P-004", "RED", "connected", "leader: peer 1", "acknowledged", "not a medical device", "mEq/L")
    eventually(lambda: all(word in read() for word in wanted), 30)
    os.write(ours, b"q")
    eventually(lambda: read() and process.poll() is not None, 20)
    assert process.returncode == 0
    assert "readings: " in read()
    os.close(ours)
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()


@pytest.mark.parametrize("words", [("client", "--patients", "4", "--seed", "1"), ("stream", "--patients", "2")])
def test_on_a_dumb_terminal_the_same_is_told_in_lines(ward: Ward, words: tuple[str, ...]) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "hfzmq", *words, "--config", str(ward.config), "--queue", str(ward.folder / "q")],
        cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "dumb"},
    )  # fmt: skip
    os.close(theirs)
    seen = ""

    def said(word: str) -> bool:
        nonlocal seen
        while select.select([ours], [], [], 0.01)[0]:
            try:
                seen += os.read(ours, 65536).decode(errors="replace")
            except OSError:  # the other end is closed
                break
        return word in seen

    try:
        eventually(lambda: said("connected to peer 1"), 30)
        eventually(lambda: bool(ward.mesh.stored or ward.mesh.readings), 30)
        process.terminate()
        eventually(lambda: said(" waiting on disk; "), 20)
        assert process.wait(20) == 0
    finally:
        process.kill()
        os.close(ours)


@pytest.mark.parametrize(
    "words", [("client", "--patients", 4, "--interval", 0.1, "--seed", 1), ("stream", "--rate", 9)]
)
@pytest.mark.parametrize("hangs_up", [True, False], ids=["with SIGHUP", "without"])
def test_a_terminal_that_goes_away_ends_it_in_good_order(ward: Ward, words: tuple[object, ...], hangs_up: bool) -> None:
    ours, theirs = pty.openpty()

    def sit_down() -> None:  # as a login does: who holds the terminal gets SIGHUP when it is closed
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    line = [sys.executable, "-m", "hfzmq", *words, "--config", ward.config, "--queue", ward.folder / "q"]
    process = subprocess.Popen(
        list(map(str, line)), cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs if hangs_up else subprocess.PIPE,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "30"}, text=True, start_new_session=True,
        preexec_fn=sit_down if hangs_up else None,
    )  # fmt: skip
    os.close(theirs)
    seen = ""

    def shown(words: str) -> bool:
        nonlocal seen
        while select.select([ours], [], [], 0.01)[0]:
            seen += os.read(ours, 65536).decode(errors="replace")
        return words in seen

    eventually(lambda: shown("leader: peer 1"), 30)
    ward.mesh.leader = None  # so that there is something to be waited for at the end
    eventually(lambda: shown("wait here"), 30)
    before = len(ward.mesh.stored) + len(ward.mesh.readings)
    os.close(ours)
    ward.mesh.leader = 1
    assert process.wait(20) == 0
    assert len(ward.mesh.stored) + len(ward.mesh.readings) > before
    if process.stderr is not None:
        assert process.stderr.read() == "waiting for the last acknowledgements ...\n"
    look = [sys.executable, "-m", "hfzmq", "queue", "show", ward.folder / "q", "-o", "json"]
    told = subprocess.run(list(map(str, look)), cwd=ROOT, capture_output=True, check=True).stdout
    assert json.loads(told)["rows"] == 0


RED_LINE = '{"patient_id": "P", "timestamp": %d, "age": 80, "serum_sodium": 120, "serum_creatinine": 5, ' \
           '"ejection_fraction": 15, "day": 4}\n'  # fmt: skip


def test_the_bed_alarms_by_itself_while_the_mesh_is_away(ward: Ward) -> None:
    ward.mesh.close()
    process = ward.start("--source", "-", "-o", "jsonl", stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(RED_LINE % (time.time_ns() // 1_000_000))
    process.stdin.flush()
    told: list[dict[str, Any]] = []
    while not told or told[-1].get("what") != "sounding":
        assert select.select([process.stdout], [], [], 30)[0]
        told.append(json.loads(process.stdout.readline()))
    alarms = [event for event in told if event["event"] == "alarm"]
    assert [(one["what"], one["cause"], one["patient"], one["local"], one["away"]) for one in alarms] == [
        ("raised", "RED", "P", True, False),
        ("sounding", "RED", "P", True, True),
    ]
    process.terminate()
    process.communicate(timeout=20)


def test_a_file_that_is_brought_in_as_fast_as_it_goes_is_no_bed_and_raises_nothing_here(ward: Ward) -> None:
    code, out, _ = ward.run("--source", ward.csv(60), "-o", "jsonl")
    assert code == 0
    assert [event for event in events(out) if event["event"] == "alarm"] == []


@pytest.mark.parametrize("mute", [False, True])
def test_the_live_screen_shouts_and_rings_again_and_again_unless_it_is_muted(ward: Ward, mute: bool) -> None:
    ward.mesh.close()
    ours, theirs = pty.openpty()
    process = ward.start(
        *("--source", "-", *(["--mute"] if mute else [])),
        headless=False,
        stdin=subprocess.PIPE,
        stdout=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "30"},
    )
    os.close(theirs)
    assert process.stdin is not None
    process.stdin.write(RED_LINE % (time.time_ns() // 1_000_000))
    process.stdin.flush()
    seen = ""

    def read() -> str:
        nonlocal seen
        while select.select([ours], [], [], 0.01)[0]:
            seen += os.read(ours, 65536).decode(errors="replace")
        return seen

    eventually(lambda: "ALARM: " in read() and "mesh away, call somebody" in read(), 30)
    if mute:
        eventually(lambda: "for 9 s" in read(), 30)
        assert "\a" not in read()
    else:
        eventually(lambda: read().count("\a") >= 2, 30)
    process.terminate()
    process.communicate(timeout=20)
    os.close(ours)


def test_the_key_says_that_an_alarm_was_seen_at_the_bed(ward: Ward) -> None:
    ward.mesh.close()
    ours, theirs = pty.openpty()
    process = ward.start(
        *("--patients", 4, "--interval", 0.5, "--seed", 1),
        headless=False,
        stdin=theirs,
        stdout=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "40"},
    )
    os.close(theirs)
    seen = ""

    def read() -> str:
        nonlocal seen
        while select.select([ours], [], [], 0.01)[0]:
            seen += os.read(ours, 65536).decode(errors="replace")
        return seen

    pressed = 0.0

    def answers() -> bool:
        """A key that comes while the screen changes is not taken, so it is pressed again."""
        nonlocal pressed
        if time.monotonic() > pressed + 1:
            pressed = time.monotonic()
            os.write(ours, b"a")
        return "s, seen here, mesh away" in read()

    try:
        eventually(lambda: "ALARM AT P-001: ■ RED" in read() and "a alarm on top seen here" in read(), 60)
        assert "seen here, mesh" not in read()
        eventually(answers, 60)
        process.terminate()
        process.communicate(timeout=20)
    finally:
        process.kill()
        os.close(ours)
