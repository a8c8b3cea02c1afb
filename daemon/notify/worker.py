"""A channel's own process: it makes one attempt after the other, and whoever started it may kill it at any moment.

    the notifier process -- a notice --> worker --> {"ready"} once, {"ok", "why", "final"} for each notice

Touches processes and their groups. Must not know: retries, other channels. Keeps: it leads a process group of its own,
in which everything that it starts stays: the group is killed with it, and it kills the group when the notifier process
has gone. (A program that leaves the group on purpose is out of reach.)
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import socket
import threading
from collections.abc import Iterable
from typing import NoReturn, Protocol

from hfzmq.alarm_channels import Channel
from hfzmq.daemon.notify.deliver import Outcome, prepare
from hfzmq.daemon.notify.lines import Lines, Message


class Closable(Protocol):
    """What a process inherits by fork and must not keep open."""

    def close(self) -> None: ...


class Worker:
    """The starter's side of a worker process."""

    def __init__(self, channel: Channel, inherited: Iterable[Closable]) -> None:
        """Fork it. ``inherited``: everything that this process has open and the worker must not hold. OSError when
        there can be no more processes. To be called only while this process has a single thread."""
        ours, theirs = socket.socketpair()
        try:
            self.pid = os.fork()
        except OSError:
            ours.close()
            theirs.close()
            raise
        if not self.pid:
            _live(channel, theirs, (ours, *inherited))
        theirs.close()
        with contextlib.suppress(OSError):  # it does so itself; whoever is first
            os.setpgid(self.pid, self.pid)
        self.lines = Lines(ours)

    def kill(self) -> None:
        """Kill its whole group. Before ``gone``: the id of a process that was not waited for is nobody else's."""
        self.lines.close()
        for kill in (os.killpg, os.kill):  # by its own id too: should it have died before it led a group
            with contextlib.suppress(ProcessLookupError, PermissionError):
                kill(self.pid, signal.SIGKILL)

    def gone(self) -> bool:
        """Whether it has ended after ``kill``; asked until it has."""
        try:
            return os.waitpid(self.pid, os.WNOHANG)[0] == self.pid
        except ChildProcessError:
            return True


def _live(channel: Channel, sock: socket.socket, inherited: Iterable[Closable]) -> NoReturn:
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # the bell may be rung from the background
        for one in inherited:
            one.close()
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):  # what a program or a library has to say may hold secrets
            os.dup2(nothing, number)
        _serve(channel, sock)
    finally:
        os._exit(1)


def _serve(channel: Channel, sock: socket.socket) -> None:
    notices: queue.SimpleQueue[Message] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sock, notices), daemon=True).start()
    deliver = prepare(channel)
    _say(sock, {"ready": True})
    while True:
        notice = notices.get()
        try:
            outcome = deliver(notice)
        except Exception as error:  # its text may hold the URL
            outcome = Outcome(False, f"it failed: {type(error).__name__}")
        _say(sock, outcome._asdict())


def _say(sock: socket.socket, message: Message) -> None:
    sock.sendall(json.dumps(message).encode() + b"\n")


def _listen(sock: socket.socket, notices: queue.SimpleQueue[Message]) -> None:
    try:
        with sock.makefile("rb") as lines:
            for line in lines:
                notices.put(json.loads(line))
    finally:
        os.killpg(os.getpid(), signal.SIGKILL)
