"""Faults of processes and clocks: daemons are killed, stopped, restarted; their clocks are wrong.

Touches the World only. Must not know: clients. See faults.py.
"""

from __future__ import annotations

import signal
import time

from tests.nemesis.faults import PROCESS, Fault
from tests.nemesis.launch import write_clocks
from tests.system.mesh import wait_for

HOUR_S = 3600.0


class _Kill(Fault):
    kind = PROCESS

    def kill(self, *numbers: int) -> str:
        """kill -9, all at once."""
        self.world.excused.update(numbers)
        for number in numbers:
            self.world.signal(number, signal.SIGKILL)
        for number in numbers:
            self.world.processes[number].wait()
        return "killed " + ", ".join(map(str, numbers))


class KillLeader(_Kill):
    """kill -9 of the leader; back when the fault is over."""

    name, says = "kill_leader", "kill -9 of the leader loses, doubles and reorders nothing"

    def start(self) -> str:
        """See the class."""
        return self.kill(self.leader())


class KillFollower(_Kill):
    """kill -9 of somebody who follows."""

    name, says = "kill_follower", "kill -9 of a follower is not even noticed by clients"

    def start(self) -> str:
        """See the class."""
        return self.kill(self.follower())


class KillMinority(_Kill):
    """kill -9 of as many as may be missing, the leader among them."""

    name, says = "kill_minority", "any minority may die at once"

    def start(self) -> str:
        """See the class."""
        return self.kill(*self.minority(self.leader()))


class KillAll(_Kill):
    """kill -9 of everybody at once; they come back one after the other."""

    name, says, hold_s = "kill_all", "all daemons die at once and nothing acknowledged is missing afterwards", 0.3

    def start(self) -> str:
        """See the class."""
        return self.kill(*self.world.peers)

    def stop(self) -> None:
        """In any order."""
        for number in self.chance.sample(self.world.peers, len(self.world.peers)):
            self.world.start(number)


class CrashLoop(_Kill):
    """The lowest id, which leads whenever it is well, dies every three leases (3 s) and is started again at once."""

    name, says, hold_s = "crash_loop_lowest", "a lowest id that dies every 3 s makes no trouble", 7.0

    def start(self) -> str:
        """See the class."""
        self.every_s = 3 * self.world.config.timing.lease_ms / 1000
        self._next = time.monotonic()
        return f"peer {self.world.peers[0]} dies every {self.every_s:g} s"

    def tick(self) -> None:
        """Kill and start."""
        if time.monotonic() >= self._next:
            self._next += self.every_s
            self.kill(self.world.peers[0])
            self.world.start(self.world.peers[0])


class _Pause(Fault):
    kind = PROCESS
    hold_s = 2.0

    def pause(self, *numbers: int) -> str:
        """SIGSTOP."""
        self._stopped = numbers
        for number in numbers:
            self.world.signal(number, signal.SIGSTOP)
        return "stopped " + ", ".join(map(str, numbers))

    def stop(self) -> None:
        """SIGCONT."""
        for number in self._stopped:
            self.world.signal(number, signal.SIGCONT)


class PauseLeader(_Pause):
    """SIGSTOP of the leader for the fault's time: it wakes up and believes that it still leads."""

    name, says = "pause_leader", "a leader that slept for seconds acknowledges nothing and answers no consistent read"

    def start(self) -> str:
        """See the class."""
        return self.pause(self.leader())


class PauseFollowers(_Pause):
    """SIGSTOP of a minority of followers."""

    name, says = "pause_followers", "followers that slept catch up"

    def start(self) -> str:
        """See the class."""
        leader = self.leader()
        count = (len(self.world.peers) - 1) // 2
        return self.pause(*self.chance.sample(self.world.others(leader), count))


class PauseAll(_Pause):
    """SIGSTOP of everybody: a suspended machine."""

    name, says, hold_s = "pause_all", "a machine that was suspended as a whole goes on", 1.5

    def start(self) -> str:
        """See the class."""
        return self.pause(*self.world.peers)


class PauseInTurn(Fault):
    """SIGSTOP of whoever leads, for a little more or less than a lease, again and again."""

    name, says, kind, hold_s = "pause_in_turn", "leaders that stutter around a lease lose nothing", PROCESS, 5.0

    def start(self) -> str:
        """See the class."""
        self._stopped, self._until = 0, 0.0
        return "each leader sleeps for about a lease"

    def tick(self) -> None:
        """Wake one up, send the next one to sleep."""
        if time.monotonic() < self._until:
            return
        self.stop()
        if not self._stopped:
            self._stopped = self.world.leader()
            if self._stopped:
                self.world.signal(self._stopped, signal.SIGSTOP)
                self._until = time.monotonic() + self.chance.uniform(0.6, 1.6) * self.lease_s
        else:
            self._stopped = 0
            self._until = time.monotonic() + self.chance.uniform(0.2, 0.8) * self.lease_s

    @property
    def lease_s(self) -> float:
        """T."""
        return self.world.config.timing.lease_ms / 1000

    def stop(self) -> None:
        """SIGCONT."""
        if self._stopped:
            self.world.signal(self._stopped, signal.SIGCONT)


class RollingRestart(Fault):
    """SIGTERM for each in turn, the next one when the last one has caught up: how a version is changed."""

    name, says, kind, hold_s = "rolling_restart", "restarting all, one by one, loses nothing", PROCESS, 0.0

    def start(self) -> str:
        """See the class; with a fault of the network beside it, it does not wait for those who cannot catch up."""
        for number in self.world.peers:
            self.world.excused.add(number)
            self.world.stop(number, signal.SIGTERM)
            self.world.start(number)
            try:
                wait_for("caught up", lambda: self._caught_up(number), 8)  # noqa: B023
            except AssertionError:
                continue
        return "each was asked to stop, and started again"

    def _caught_up(self, number: int) -> bool:
        peers = self.world.status()
        most = max((peer["commit_index"] for peer in peers.values()), default=0)
        return number in peers and peers[number]["applied_index"] > 0 and peers[number]["applied_index"] >= most - 50


class WallClockJumps(Fault):
    """The wall clocks of a majority jump an hour ahead or back while they run, the leader's too."""

    name, says, kind, hold_s = "wall_clock_jumps", "clocks that jump an hour change nothing", PROCESS, 2.0

    def start(self) -> str:
        """See the class."""
        hurt = {self.leader(), *self.chance.sample(self.world.peers, len(self.world.peers) // 2)}
        jumps = {number: self.chance.choice((-1, 1)) * HOUR_S for number in sorted(hurt)}
        for number, wall_s in jumps.items():
            write_clocks(self.world.clocks(number), wall_s, self.world.rates.get(number, 1.0))
        return ", ".join(f"peer {number} {wall_s:+g} s" for number, wall_s in jumps.items())

    def stop(self) -> None:
        """Right again, which is another jump."""
        for number in self.world.peers:
            write_clocks(self.world.clocks(number), 0.0, self.world.rates.get(number, 1.0))


class ClockDrift(_Kill):
    """The monotonic clocks of a minority run 10 % too fast or too slow; they are restarted for it."""

    name, says, hold_s = "clock_drift", "timers that run a tenth too fast or too slow cost no report", 2.0

    def start(self) -> str:
        """See the class."""
        hurt = self.minority(self.leader())
        self.world.rates = {number: self.chance.choice((0.9, 1.1)) for number in hurt}
        self.kill(*hurt)
        for number in hurt:
            self.world.start(number)
        return ", ".join(f"peer {number} x {rate:g}" for number, rate in self.world.rates.items())

    def stop(self) -> None:
        """Restarted with the right rate."""
        hurt, self.world.rates = list(self.world.rates), {}
        self.kill(*hurt)
