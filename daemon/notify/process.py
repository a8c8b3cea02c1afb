"""The notifier process: ``python -m hfzmq.daemon.notify.process``, with a socket to the daemon as its stdin.

    the daemon -- setup, post, withdraw, ping --> this -- notices --> one worker process a channel
               <-- done, trouble, pong ---------      <-- outcomes --

Touches processes and the clock. Must not know: the mesh, how a notice is delivered. Keeps: it never waits for anybody
but in its one ``select``; an attempt that outlasts its time is killed with everything it started; it ends when the
daemon has gone, however that went, and its workers with it.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from random import Random

from hfzmq.alarm_channels import COMMAND, Channel, Url
from hfzmq.daemon.clocks import monotonic_ms, wall_clock_ms
from hfzmq.daemon.notify.lane import Lane
from hfzmq.daemon.notify.lines import Lines, Message, wait_for
from hfzmq.daemon.notify.worker import Closable, Worker

START_MS = 30_000  # for a worker to load what it needs
NICE = 10  # hundreds of notices for dead channels must not take the mesh's turn
REAP_MS = 20  # how often to ask whether a killed worker has ended

Tell = Callable[[Message], None]


class Runner:
    """One channel: what waits for it, its worker, and the time that the attempt under way may take."""

    def __init__(self, channel: Channel, tell: Tell, inherited: Callable[[], list[Closable]]) -> None:
        self.channel = channel
        self.lane = Lane(channel.retry_for_ms, Random())
        self.worker: Worker | None = None
        self.dying: list[Worker] = []
        self._tell = tell
        self._inherited = inherited
        self._ready = False
        self._until_ms = float("inf")

    def wake_ms(self) -> float:
        """When ``turn`` has something to do though nothing comes."""
        reap_ms = monotonic_ms() + REAP_MS if self.dying else float("inf")
        return min(reap_ms, self._until_ms, self.lane.wake_ms())

    def turn(self) -> None:
        """Read what the worker says, end what takes too long, begin what is due."""
        self.dying = [worker for worker in self.dying if not worker.gone()]
        if self.worker:
            self.worker.lines.flush()
            for message in self.worker.lines.pull():
                self._heard(message)
        if self.worker and self.worker.lines.over:
            self._end_worker()
            self._settle(False, "its process died")
        elif monotonic_ms() >= self._until_ms:
            self._end_worker()
            limit = f"{self.channel.timeout_ms / 1000:g} s"
            self._settle(False, f"not done in {limit}, killed" if self._ready else "its process did not get ready")
        job = self.lane.take(monotonic_ms())
        if job:
            self._begin(job.notice)

    def _begin(self, notice: Message) -> None:
        if not self.worker:
            self._ready = False
            try:
                self.worker = Worker(self.channel, self._inherited())
            except OSError:
                self._settle(False, "no process could be started for it")
                return
        self.worker.lines.push(notice)
        self._until_ms = monotonic_ms() + (self.channel.timeout_ms if self._ready else START_MS)

    def _heard(self, message: Message) -> None:
        if "ready" in message:
            self._ready = True
            self._until_ms = monotonic_ms() + self.channel.timeout_ms
            return
        if self.channel.kind == COMMAND:
            self._end_worker()  # and whatever the command has left behind
        self._settle(bool(message["ok"]), str(message["why"]), bool(message["final"]))

    def _end_worker(self) -> None:
        if self.worker:
            self.worker.kill()
            self.dying.append(self.worker)
            self.worker = None

    def _settle(self, ok: bool, why: str, final: bool = False) -> None:
        self._until_ms = float("inf")
        job = self.lane.under_way
        if job is None:
            return  # a worker that had nothing to do has died
        settled = self.lane.settle(monotonic_ms(), ok, final)
        about = {"channel": self.channel.name, "ok": ok, "why": why}
        self._tell({"told": "attempt", **about})
        if settled or (job.attempts == 1 and not ok and not job.dropped):  # in between only its health is told
            marks = {"episode_id": job.notice["episode_id"], "step": job.notice["step"], "tries": job.attempts}
            over = settled is not None
            self._tell({"told": "done", **marks, **about, "over": over, "at_ms": wall_clock_ms()})


class Process:
    """The loop. ``daemon``: the socket to the daemon."""

    def __init__(self, daemon: socket.socket) -> None:
        self._daemon = Lines(daemon)
        self._runners: dict[str, Runner] = {}

    def run(self) -> None:
        """Until the daemon has gone."""
        while not self._daemon.over:
            wake_ms = min((runner.wake_ms() for runner in self._runners.values()), default=float("inf"))
            wait_for(self._open_lines(), wake_ms - monotonic_ms())
            self._daemon.flush()
            for message in self._daemon.pull():
                self._obey(message)
            for runner in self._runners.values():
                runner.turn()

    def end(self) -> None:
        """Kill every worker's group."""
        for runner in self._runners.values():
            if runner.worker:
                runner.worker.kill()

    def _open_lines(self) -> list[Lines]:
        return [self._daemon, *(runner.worker.lines for runner in self._runners.values() if runner.worker)]

    def _obey(self, message: Message) -> None:
        what = message["do"]
        if what == "setup":
            for fields in message["channels"]:
                channel = unpacked(fields)
                self._runners[channel.name] = Runner(channel, self._daemon.push, lambda: list(self._open_lines()))
        elif what == "post":
            self._runners[message["channel"]].lane.add(monotonic_ms(), message["notice"], message["age_ms"])
        elif what == "withdraw":
            for runner in self._runners.values():
                runner.lane.drop(message["episode_id"])
        elif what == "ping":
            self._daemon.push({"told": "pong"})


def packed(channel: Channel) -> Message:
    """A channel with its secrets, for the socket to this process and nothing else."""
    return {**channel._asdict(), "url": channel.url.whole if channel.url else None}


def unpacked(fields: Message) -> Channel:
    """What ``packed`` packed."""
    url = Url(fields["url"]) if fields["url"] else None
    return Channel(**{**fields, "argv": tuple(fields["argv"]), "url": url})


def main() -> int:
    """Serve the daemon that started this process."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # A terminal or systemd signals the whole group; this ends with the daemon, which may have more to post. A
        # handler and not SIG_IGN: what is ignored would be ignored by the commands too.
        signal.signal(number, lambda number, frame: None)
    os.nice(NICE)
    # Whoever started this has put our packages in front of the search path; that is not the commands' business.
    rest = os.environ.pop("PYTHONPATH").partition(os.pathsep)[2]
    if rest:
        os.environ["PYTHONPATH"] = rest
    process = Process(socket.socket(fileno=os.dup(0)))
    try:
        process.run()
    except Exception as error:  # its text may hold a URL: only what kind it was, and where
        place = traceback.extract_tb(error.__traceback__)[-1]
        process._daemon.push({"told": "fell", "why": f"{type(error).__name__} at line {place.lineno} of {place.name}"})
        return 1
    finally:
        process.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
