"""The notifier process dies, and nothing is lost; the daemon dies, and nothing is left."""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hfzmq.alarm_channels import Channel, Url
from hfzmq.daemon.notify import Notifier, keeper
from tests.integration.notify_world import Webhook, alive, family, free_port, looped, notice, until

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")


def test_the_notifier_process_is_killed_and_nothing_that_was_posted_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("apprise", reason="the extra 'notify' is not installed")
    port = free_port()
    hook_url = Url(f"json://127.0.0.1:{port}")
    with looped(Notifier([Channel("hook", "apprise", url=hook_url), Channel("log", "log")])) as loop:
        killed: set[int] = set()
        for episode in range(1, 6):
            loop.notifier.post(notice(episode))
        for _ in range(2):
            loop.until(lambda: loop.notifier.pid and loop.notifier.pid not in killed)
            assert loop.notifier.pid
            processes = family(loop.notifier.pid)
            os.kill(loop.notifier.pid, signal.SIGKILL)
            killed.add(processes[0])
            loop.notifier.post(notice(10 + len(killed)))  # into the gap
            until(lambda processes=processes: not any(map(alive, processes)))  # type: ignore[misc]
        with Webhook(port) as hook:
            loop.until(lambda: len(loop.delivered("hook")) == 7)
            assert sorted(hook.episodes()) == sorted(loop.delivered("hook")) == [1, 2, 3, 4, 5, 11, 12]
    assert caplog.text.count("the notifier process was ended by signal 9; it is started again") == 2


def test_a_notifier_process_that_no_longer_answers_is_killed_and_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keeper, "PING_MS", 100)
    monkeypatch.setattr(keeper, "SILENT_MS_MAX", 3000)
    with looped(Notifier([Channel("run", "command", argv=("true",))])) as loop:
        loop.notifier.post(notice(1))
        loop.until(lambda: loop.delivered("run") == [1])
        assert loop.notifier.pid
        os.kill(loop.notifier.pid, signal.SIGSTOP)
        loop.notifier.post(notice(2))
        loop.until(lambda: loop.delivered("run") == [1, 2])
    assert "the notifier process no longer answers; it is started again" in caplog.text


def test_a_notifier_process_that_dies_within_an_attempt_makes_it_again_and_leaves_nothing(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    text = f"test -e {pids} && exit 0; sleep 1000 & echo $! $$ > {pids}; wait"
    with looped(Notifier([Channel("run", "command", argv=("/bin/sh", "-c", text), timeout_ms=60_000)])) as loop:
        loop.notifier.post(notice(7))
        loop.until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
        started = [int(pid) for pid in pids.read_text().split()]
        assert loop.notifier.pid
        os.kill(loop.notifier.pid, signal.SIGKILL)
        loop.until(lambda: loop.delivered("run") == [7])
        until(lambda: not any(map(alive, started)))


def test_a_terminal_s_and_systemd_s_signals_do_not_end_it_and_are_not_ignored_by_its_commands(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    text = f"test -e {ready} && kill -TERM $$; touch {ready}"
    with looped(Notifier([Channel("run", "command", argv=("/bin/sh", "-c", text), retry_for_ms=0)])) as loop:
        loop.notifier.post(notice(1))
        loop.until(lambda: loop.delivered("run") == [1])
        pid = loop.notifier.pid
        assert pid
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(pid, number)
        loop.notifier.post(notice(2))
        loop.until(lambda: loop.failed("run") == ["signal 15 ended it"])
        assert loop.notifier.pid == pid


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM])
def test_the_daemon_is_killed_and_neither_the_notifier_nor_what_it_started_remains(
    tmp_path: Path, by: signal.Signals
) -> None:
    pids = tmp_path / "pids"
    code = f"from tests.integration.test_notify_processes import hang; hang({str(pids)!r})"
    with subprocess.Popen([sys.executable, "-c", code]) as daemon:
        until(lambda: pids.exists() and len(pids.read_text().split()) == 4)
        processes = family(daemon.pid)
        assert len(processes) >= 8  # the daemon, the notifier, two workers, two shells and what they started
        assert {int(pid) for pid in pids.read_text().split()} <= set(processes)
        daemon.send_signal(by)
        until(lambda: not any(map(alive, processes[1:])))


def hang(pids: str) -> None:
    """A daemon whose commands never end."""
    argv = ("/bin/sh", "-c", f"sleep 1000 & echo $! $$ >> {pids}; wait")
    notifier = Notifier([Channel(name, "command", argv=argv, timeout_ms=120_000) for name in ("a", "b")])
    notifier.post(notice(7))
    signal.pause()


def test_a_notifier_process_that_cannot_be_started_is_tried_ever_more_rarely(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    python = sys.executable
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with looped(Notifier([Channel("run", "command", argv=("true",))])) as loop:
        loop.notifier.post(notice(7))
        loop.until(lambda: "cannot be started: No such file or directory; it is started again in 2 s" in caplog.text)
        assert len(caplog.records) == 2
        monkeypatch.setattr(sys, "executable", python)
        loop.until(lambda: loop.delivered("run") == [7])


def test_a_moment_without_a_free_descriptor_does_not_silence_the_alarms_for_good(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = socket.socketpair
    refused: list[bool] = []

    def scarce() -> tuple[socket.socket, socket.socket]:
        if threading.current_thread().name == "hfzmq-notify" and not refused:
            refused.append(True)
            raise OSError(errno.EMFILE, "Too many open files")
        return real()

    with looped(Notifier([Channel("run", "command", argv=("true",))])) as loop:
        monkeypatch.setattr(socket, "socketpair", scarce)
        loop.notifier.post(notice(7))
        loop.until(lambda: loop.delivered("run") == [7])
    assert "cannot be started: Too many open files; it is started again in 0 s" in caplog.text


def test_the_first_alarm_is_delivered_though_by_then_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with looped(Notifier([Channel("run", "command", argv=("true",))])) as loop:
        monkeypatch.setattr(threading.Thread, "start", start)
        loop.notifier.post(notice(7))
        loop.until(lambda: loop.delivered("run") == [7])
