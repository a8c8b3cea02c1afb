"""The thread that keeps the notifier process: starts it, feeds it, starts it again when it has died.

Touches processes, a thread, the clock. Must not know: the mesh, what a notice says. Keeps: what was posted and not
heard of is posted again to each new process, with its age, so that nothing is lost and nothing is tried for ever; a
process that keeps dying is started ever more rarely; one that no longer answers is killed; after ``rest`` none runs
until something is posted.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import hfzmq
from hfzmq.alarm_channels import Channel
from hfzmq.daemon.clocks import monotonic_ms
from hfzmq.daemon.notify.lines import Lines, Message, wait_for
from hfzmq.daemon.notify.notice import Delivered, Key, Notice
from hfzmq.daemon.notify.process import packed

PING_MS = 5_000
SILENT_MS_MAX = 30_000  # without an answer to a ping
RESTART_MS_MAX = 30_000
STEADY_MS = 10_000  # a process that lived so long has not died of its start
CLOSE_S = 2.0
EVERY = 0  # no episode has this id

log = logging.getLogger("hfzmq.notify")


class Keeper:
    """``post``, ``withdraw`` and ``close`` are for the loop and never wait; ``told`` is called in the thread."""

    def __init__(self, channels: Sequence[Channel], told: Callable[[Delivered], None]) -> None:
        self._channels = tuple(channels)
        self._told = told
        self._orders: deque[tuple[Key, Notice] | int] = deque()  # post, or withdraw an episode (EVERY: rest)
        self._wake_out, wake_in = socket.socketpair()
        self._wake_out.setblocking(False)
        self._wake = Lines(wake_in)
        self._closing = False
        # what follows is the thread's alone
        self._kept: dict[int, dict[Key, tuple[Notice, float]]] = {}  # by episode
        self._process: subprocess.Popen[bytes] | None = None
        self._lines: Lines | None = None
        self._began_ms = self._start_at_ms = self._ping_at_ms = 0.0
        self._unanswered_ms: float | None = None
        self._falls = 0
        self._ailing: set[str] = set()
        # Now and not with the first alarm, when there may be no room for one more: that would end the daemon.
        self._thread: threading.Thread | None = None
        if channels:
            self._thread = threading.Thread(target=self._run, name="hfzmq-notify", daemon=True)
            self._thread.start()

    @property
    def pid(self) -> int | None:
        """The process's id; None when it does not run."""
        process = self._process
        return process.pid if process and self._lines else None

    def post(self, key: Key, notice: Notice) -> None:
        """Have it delivered; the first time starts the process."""
        self._order((key, notice))

    def withdraw(self, episode_id: int) -> None:
        """Forget what has not begun."""
        if self._thread:
            self._order(episode_id)

    def rest(self) -> None:
        """Forget everything and end the process, with whatever it has started; the next ``post`` starts one."""
        self.withdraw(EVERY)

    def close(self) -> None:
        """End the process and whatever it has started; waits for that, but not for deliveries."""
        self._closing = True
        if self._thread:
            self._nudge()
            self._thread.join(2 * CLOSE_S)
        self._wake_out.close()
        self._wake.close()

    def _order(self, order: tuple[Key, Notice] | int) -> None:
        self._orders.append(order)
        self._nudge()

    def _nudge(self) -> None:
        with contextlib.suppress(BlockingIOError):  # full: then it will wake in any case
            self._wake_out.send(b"0\n")

    # ------------------------------------------------------------ in the thread

    def _run(self) -> None:
        while not self._closing:
            wait_for([self._wake, *([self._lines] if self._lines else [])], self._wake_ms() - monotonic_ms())
            self._wake.pull()
            self._obey()
            if self._kept and not self._lines and self._start_at_ms <= monotonic_ms():
                self._start()
            if self._lines:
                self._listen(self._lines)
        if self._lines:
            self._bury()

    def _wake_ms(self) -> float:
        if self._lines:
            return self._ping_at_ms
        return self._start_at_ms if self._kept else float("inf")

    def _obey(self) -> None:
        while self._orders:
            order = self._orders.popleft()
            if order == EVERY:
                self._kept.clear()
                self._ailing.clear()
                if self._lines:
                    self._bury()
            elif isinstance(order, int):
                self._kept.pop(order, None)
                if self._lines:
                    self._lines.push({"do": "withdraw", "episode_id": order})
            elif order[0] not in self._kept.setdefault(order[0][0], {}):
                self._kept[order[0][0]][order[0]] = (order[1], monotonic_ms())
                self._pass_on(order[0])

    def _pass_on(self, key: Key) -> None:
        if self._lines:
            notice, since_ms = self._kept[key[0]][key]
            age_ms = monotonic_ms() - since_ms
            self._lines.push({"do": "post", "channel": key[2], "notice": notice._asdict(), "age_ms": age_ms})

    def _start(self) -> None:
        self._began_ms = monotonic_ms()
        packages = Path(hfzmq.__file__).resolve().parents[1]
        search = os.pathsep.join(filter(None, (str(packages), os.environ.get("PYTHONPATH"))))
        try:
            ours, theirs = socket.socketpair()
        except OSError as error:  # no descriptor is free
            self._fell(f"cannot be started: {error.strerror}")
            return
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "hfzmq.daemon.notify.process"], stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": search},
            )  # fmt: skip
        except OSError as error:
            ours.close()
            self._fell(f"cannot be started: {error.strerror}")
            return
        finally:
            theirs.close()
        self._lines = Lines(ours)
        self._ping_at_ms, self._unanswered_ms = self._began_ms + PING_MS, None
        self._lines.push({"do": "setup", "channels": [packed(channel) for channel in self._channels]})
        for kept in self._kept.values():
            for key in kept:
                self._pass_on(key)

    def _listen(self, lines: Lines) -> None:
        lines.flush()
        why = ""
        for message in lines.pull():
            self._unanswered_ms = None
            if message["told"] == "done":
                self._done(message)
            elif message["told"] == "attempt":
                self._health(message)
            elif message["told"] == "fell":
                why = f"fell: {message['why']}"
        now_ms = monotonic_ms()
        if self._unanswered_ms is not None and now_ms - self._unanswered_ms > SILENT_MS_MAX:
            why = "no longer answers"
        elif now_ms >= self._ping_at_ms:
            self._ping_at_ms = now_ms + PING_MS
            self._unanswered_ms = self._unanswered_ms or now_ms
            lines.push({"do": "ping"})
        if lines.over or why:
            code = self._bury()
            self._fell(why or (f"was ended by signal {-code}" if code < 0 else f"ended with {code}"))

    def _done(self, message: Message) -> None:
        key = (int(message["episode_id"]), int(message["step"]), str(message["channel"]))
        kept = self._kept.get(key[0], {})
        if message["over"]:
            kept.pop(key, None)
        if not kept:
            self._kept.pop(key[0], None)
        about = bool(message["ok"]), int(message["at_ms"]), str(message["why"])
        self._told(Delivered(*key, *about, int(message["tries"]), bool(message["over"])))

    def _health(self, message: Message) -> None:
        name = message["channel"]
        if message["ok"] and name in self._ailing:
            self._ailing.discard(name)
            log.info("channel %s delivers again", name)
        elif not message["ok"] and name not in self._ailing:
            self._ailing.add(name)
            log.warning("channel %s does not deliver: %s", name, message["why"])

    def _bury(self) -> int:
        """Let it end by itself, which it does at once, for it has its workers to end; or kill it."""
        assert self._process
        assert self._lines
        self._lines.close()
        self._lines = None
        try:
            return self._process.wait(CLOSE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()  # its workers see it and end
            return self._process.wait()

    def _fell(self, why: str) -> None:
        steady = monotonic_ms() - self._began_ms >= STEADY_MS
        self._falls = 0 if steady else self._falls + 1
        pause_ms = min(RESTART_MS_MAX, 1000 * 2 ** min(self._falls - 1, 16)) if self._falls > 1 else 0
        self._start_at_ms = monotonic_ms() + pause_ms
        log.warning("the notifier process %s; it is started again in %d s", why, pause_ms // 1000)
