"""Faults of the mesh's members: a data directory is lost; a member leaves and comes again.

Touches the World, ``hfzmq peer``. Must not know: clients. What this hfzmq cannot do yet is skipped with that reason.
"""

from __future__ import annotations

import signal
import subprocess

from tests.nemesis.faults import MEMBERS, Fault
from tests.nemesis.means import PEER_COMMAND, REJOIN
from tests.system.mesh import ROOT, hfzmq

COMMAND_S = 30


class _Wipe(Fault):
    kind = MEMBERS
    needs = (REJOIN,)
    hold_s = 1.0

    def wipe(self, number: int) -> str:
        """kill -9, and everything it kept is gone."""
        self._number = number
        self.world.excused.add(number)
        self.world.signal(number, signal.SIGKILL)
        self.world.processes[number].wait()
        self.world.wipe(number)
        self.world.start(number)
        return f"{number} is back with an empty disk"


class WipeFollower(_Wipe):
    """A follower loses its disk."""

    name, says = "wipe_follower", "a follower that has lost its disk is taken back by itself, as another one"

    def start(self) -> str:
        """See the class."""
        return self.wipe(self.follower())


class WipeLeader(_Wipe):
    """The leader loses its disk."""

    name, says = "wipe_leader", "a leader that has lost its disk does not undo what it acknowledged"

    def start(self) -> str:
        """See the class."""
        return self.wipe(self.leader())


class RemoveAndAdd(Fault):
    """A follower is removed from the mesh while clients write, and later added again with an empty disk."""

    name, says, kind, needs = "remove_and_add", "members leave and come while clients write", MEMBERS, (PEER_COMMAND,)
    hold_s = 3.0
    leads = False

    def start(self) -> str:
        """See the class."""
        self._number = self.leader() if self.leads else self.follower()
        self.world.excused.add(self._number)
        self._peer("remove", self._number, "--yes")
        return f"{self._number} has left"

    def stop(self) -> None:
        """It comes back, with nothing, and is let in."""
        self.world.stop(self._number)
        self.world.wipe(self._number)
        self.world.start(self._number, "--join")
        self._peer("add", self._number)

    def _peer(self, *words: object) -> None:
        done = subprocess.run(
            hfzmq("peer", *words, "--config", self.world.path),
            cwd=ROOT, capture_output=True, text=True, timeout=COMMAND_S, check=False,
        )  # fmt: skip
        if done.returncode:
            self.world.falls.append(f"hfzmq peer {' '.join(map(str, words))}: {done.stderr.strip()}")


class RemoveAndAddLeader(RemoveAndAdd):
    """The leader is removed, and later added again."""

    name, says, leads = "remove_and_add_leader", "a leader that is removed hands over first", True
