"""Lines for people and for machines, in files by level; and a log that never holds its daemon up."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import stat
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from hfzmq.daemon import logs as module
from hfzmq.daemon.logs import Logs, LogSettings
from hfzmq.errors import DiskFailed
from tests.system.mesh import wait_for

log = logging.getLogger("hfzmq.test")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_on_a_terminal_a_line_is_for_people_and_elsewhere_json() -> None:
    for stderr, form, human in (
        (Terminal(), "", True), (io.StringIO(), "", False), (Terminal(), "json", False), (io.StringIO(), "human", True),
    ):  # fmt: skip
        with Logs(LogSettings(form=form), 2, "ward", stderr):
            log.info("peer %d is %s", 2, "leader")
        if human:
            assert re.fullmatch(r"[-0-9]{10} [:,0-9]{12} INFO peer 2 is leader\n", stderr.getvalue())
        else:
            (line,) = lines_of(stderr.getvalue())
            stamp = line.pop("ts")
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", stamp)
            told = {"level": "info", "logger": "hfzmq.test", "message": "peer 2 is leader", "peer": 2, "mesh": "ward"}
            assert line == told


def test_the_stamp_is_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        stderr = io.StringIO()
        with Logs(LogSettings(), 1, "ward", stderr):
            log.info("now")
        stamp = lines_of(stderr.getvalue())[0]["ts"]
        assert stamp[:13] in {time.strftime("%Y-%m-%dT%H", time.gmtime(time.time() - back)) for back in (0, 60)}
    finally:
        monkeypatch.undo()
        time.tzset()


def test_an_error_is_one_line_and_a_traceback_only_at_level_debug() -> None:
    for level in ("info", "debug"):
        for form in ("human", "json"):
            stderr = io.StringIO()
            with Logs(LogSettings(level, form), 1, "ward", stderr):
                try:
                    raise ValueError("a\nb")
                except ValueError:
                    log.exception("it failed")
            text = stderr.getvalue()
            assert ("Traceback" in text) == (level == "debug")
            assert "ValueError: a" in text
            if level == "info" or form == "json":
                assert text.count("\n") == 1


def test_log_files_name_patients_and_are_for_the_daemons_user_alone_unless_a_group_was_given_them(
    tmp_path: Path,
) -> None:
    there, before = tmp_path / "there", os.umask(0o022)
    try:
        there.mkdir()
        for name, mode in (("general", 0o644), ("info", 0o640)):
            (there / f"hfzmq-1.{name}.log").touch()
            (there / f"hfzmq-1.{name}.log").chmod(mode)
        for directory in (there, tmp_path / "new"):
            with Logs(LogSettings(directory=directory), 1, "ward", io.StringIO()):
                log.info("bed 7")
    finally:
        os.umask(before)
    found = {path.relative_to(tmp_path).as_posix(): stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert found == {
        "there": 0o755, "there/hfzmq-1.general.log": 0o600, "there/hfzmq-1.info.log": 0o640,
        "new": 0o700, "new/hfzmq-1.general.log": 0o600, "new/hfzmq-1.info.log": 0o600,
    }  # fmt: skip


def test_a_thread_that_dies_is_one_line() -> None:
    def dies() -> None:
        raise ValueError("oh")

    stderr = io.StringIO()
    with Logs(LogSettings(form="human"), 1, "ward", stderr):
        thread = threading.Thread(target=dies, name="queries")
        thread.start()
        thread.join()
    assert stderr.getvalue().count("\n") == 1
    assert "ERROR the thread queries died: ValueError('oh')" in stderr.getvalue()


def test_each_file_holds_its_level_and_the_general_one_all(tmp_path: Path) -> None:
    directory = tmp_path / "made" / "logs"
    with Logs(LogSettings(directory=directory), 3, "ward", io.StringIO()):
        for level in ("debug", "info", "warning", "error", "critical"):
            getattr(log, level)("a %s", level)
    found = {
        path.name: [line["message"] for line in lines_of(path.read_text())] for path in sorted(directory.iterdir())
    }
    assert found == {
        "hfzmq-3.error.log": ["a error", "a critical"],
        "hfzmq-3.general.log": ["a info", "a warning", "a error", "a critical"],
        "hfzmq-3.info.log": ["a info"],
        "hfzmq-3.warning.log": ["a warning"],
    }


def test_why_a_daemon_ended_is_in_its_error_file_and_not_twice_on_stderr(tmp_path: Path) -> None:
    stderr = io.StringIO()
    with pytest.raises(DiskFailed), Logs(LogSettings(directory=tmp_path), 1, "ward", stderr):
        raise DiskFailed("cannot write", hint="look at the disk")
    assert stderr.getvalue() == ""
    (line,) = lines_of((tmp_path / "hfzmq-1.error.log").read_text())
    assert (line["level"], line["message"], line["hint"]) == ("error", "cannot write", "look at the disk")


def test_files_are_rotated_and_five_old_ones_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (module.FILE_BYTES_MAX, module.FILES_KEPT) == (10_000_000, 5)
    monkeypatch.setattr(module, "FILE_BYTES_MAX", 1000)
    with Logs(LogSettings(directory=tmp_path, form="human"), 1, "ward", io.StringIO()):
        for number in range(300):
            log.info("line %d %s", number, "x" * 50)
    names = sorted(path.name for path in tmp_path.glob("*.info.log*"))
    assert names == ["hfzmq-1.info.log", *(f"hfzmq-1.info.log.{n}" for n in range(1, 6))]
    assert all(path.stat().st_size <= 1000 for path in tmp_path.iterdir())
    assert "line 299 " in (tmp_path / "hfzmq-1.info.log").read_text()


def test_a_log_disk_that_takes_nothing_is_told_once_on_stderr_counted_and_used_again_when_it_can_be(
    tmp_path: Path,
) -> None:
    blocked = tmp_path / "logs"
    blocked.write_text("a file where the directory should be")
    stderr = io.StringIO()
    with Logs(LogSettings(directory=blocked, form="human"), 1, "ward", stderr) as logs:
        for number in range(100):
            log.info("line %d", number)
        wait_for("all lines are lost to both files", lambda: logs.lost == 200)
        blocked.unlink()
        log.info("there is room again")
    told = [line for line in stderr.getvalue().splitlines() if "cannot be written" in line]
    assert len(told) == 2  # general, info: once each
    assert stderr.getvalue().count("INFO line") == 100
    assert "there is room again" in (blocked / "hfzmq-1.info.log").read_text()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_log_disk_costs_lines_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "hfzmq-1.info.log").symlink_to("/dev/full")
    stderr = io.StringIO()
    with Logs(LogSettings(directory=tmp_path, form="human"), 1, "ward", stderr) as logs:
        for number in range(100):
            log.info("line %d", number)
        wait_for("the lines are lost", lambda: logs.lost == 100)
    assert stderr.getvalue().count("No space left on device: lines are lost (told once)") == 1
    assert (tmp_path / "hfzmq-1.general.log").read_text().count("line ") == 100


def test_whoever_logs_does_not_wait_for_a_stderr_that_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINES_WAIT_MAX", 50)
    monkeypatch.setattr(module, "CLOSE_WITHIN_S", 0.2)
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stderr:
        began = time.monotonic()
        with Logs(LogSettings(form="human"), 1, "ward", stderr) as logs:
            for _ in range(2000):
                log.info("x" * 200)
            assert time.monotonic() - began < 5
            assert logs.lost > 0
        drain = threading.Thread(
            target=lambda: [None for _ in iter(lambda: os.read(reading, 65_536), b"")], daemon=True
        )
        drain.start()
        wait_for("the writer ends", lambda: not logs._writer.is_alive() or logs._queue.empty())
    os.close(reading)
