"""Faults of the mesh's members: a data directory is lost; a member leaves and comes again.

Touches the World, ``hfzmq peer``. Must not know: clients. What this hfzmq cannot do yet is skipped with that reason.
"""

from __future__ import annotations

import signal
import subprocess

from tests.nemesis.faults import MEMBERS, Fault
from tests.nemesis.launch import command
from tests.nemesis.means import PEER_COMMAND, REJOIN
from tests.system.mesh import ROOT, wait_for

COMMAND_S = 120  # a deadline, for busy machines; it takes seconds
VOTES_WITHIN_S = 30.0


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


class WipeAll(_Wipe):
    """Each loses its disk, the next one when the last one votes again: in the end no first disk is left."""

    name, says, hold_s = "wipe_all_in_turn", "when every disk was replaced in turn, everything is still there", 0.0

    def start(self) -> str:
        """See the class."""
        for number in self.world.peers:
            before = self._incarnation(number)
            self.wipe(number)
            try:
                wait_for("a vote again", lambda: self._votes(number, before), VOTES_WITHIN_S)  # noqa: B023
            except AssertionError:
                self.world.falls.append(f"peer {number} does not vote again {VOTES_WITHIN_S} s after its disk was lost")
                break  # another one would be too many
        return "every peer, one after the other"

    def _members(self) -> dict[int, tuple[str, str]]:
        """Each member's incarnation and role, as the leader says."""
        told = self.world.status().get(self.world.leader(), {})
        return {row[0]: (row[5], row[6]) for row in told.get("members", [])}

    def _incarnation(self, number: int) -> str:
        return wait_for("a leader that knows", lambda: self._members().get(number, ("", ""))[0], VOTES_WITHIN_S)

    def _votes(self, number: int, before: str) -> bool:
        incarnation, role = self._members().get(number, (before, ""))
        return incarnation != before and role == "voter"


class Transfers(Fault):
    """The lead is given to one after the other by the operator."""

    name, says, kind, needs = (
        "transfer",
        "a lead that an operator passes around loses nothing",
        MEMBERS,
        (PEER_COMMAND,),
    )
    hold_s = 3.0

    def start(self) -> str:
        """See the class."""
        self._commands: list[subprocess.Popen[bytes]] = []
        self.tick()
        return "the lead, again and again"

    def tick(self) -> None:
        """One after the other."""
        if all(one.poll() is not None for one in self._commands):
            words = command("peer", "transfer", self.follower(), "--config", self.world.path, "--timeout", 5)
            self._commands.append(self.world.helper(words))

    def stop(self) -> None:
        """Let the last one come to its end."""
        for one in self._commands:
            one.wait(COMMAND_S)


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
            command("peer", *words, "--config", self.world.path),
            cwd=ROOT, capture_output=True, text=True, timeout=COMMAND_S, check=False,
        )  # fmt: skip
        if done.returncode:
            self.world.falls.append(f"hfzmq peer {' '.join(map(str, words))}: {done.stderr.strip()}")


class RemoveAndAddLeader(RemoveAndAdd):
    """The leader is removed, and later added again."""

    name, says, leads = "remove_and_add_leader", "a leader that is removed hands over first", True
