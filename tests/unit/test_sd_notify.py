"""The words to systemd: to whom, and never a wait or an error for the loop."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hfzmq.daemon.sd_notify import SdNotify
from tests.system.manager import Manager


@pytest.mark.parametrize("abstract", [False, True])
def test_words_go_in_one_datagram_to_the_socket_that_was_named(tmp_path: Path, abstract: bool) -> None:
    with Manager(None if abstract else tmp_path) as manager:
        notify = SdNotify.of({"NOTIFY_SOCKET": manager.name})
        assert notify.listens
        notify.say("READY=1", "STATUS=well")
        notify.close()
        notify.say("WATCHDOG=1")
        notify.close()
        assert manager.hear() == ["READY=1\nSTATUS=well"]


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1"}, {"NOTIFY_SOCKET": "x"}])
def test_nobody_is_spoken_to_where_nobody_has_asked(environ: dict[str, str]) -> None:
    notify = SdNotify.of(environ)
    notify.say("READY=1")
    assert (notify.listens, notify.unsent) == (False, 0)


def test_a_manager_that_is_gone_or_reads_nothing_costs_nothing_but_a_count(tmp_path: Path) -> None:
    notify = SdNotify(str(tmp_path / "nobody"))
    notify.say("READY=1")
    assert notify.unsent == 1
    with Manager(tmp_path) as manager:
        notify = SdNotify(manager.name)
        for _ in range(10_000):  # more than its queue takes
            notify.say("WATCHDOG=1")
        assert notify.unsent > 0


def test_children_do_not_inherit_the_invitation_and_only_the_process_that_is_meant_feeds_the_watchdog() -> None:
    environ = {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid()), "HOME": "/"}
    assert SdNotify.of(environ).watchdog_ms == 3000
    assert environ == {"HOME": "/"}
    assert SdNotify.of({"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}).watchdog_ms == 0
    assert SdNotify.of({"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "3000000"}).watchdog_ms == 3000
    assert SdNotify.of({"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "soon"}).watchdog_ms == 0
