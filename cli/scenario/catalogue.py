"""The scenarios by name, and what each of them does.

Touches nothing. Must not know how a scenario is played: plays.py and members.py do.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Scenario(NamedTuple):
    """``peers``: how many begin; ``steady``: whether the writers of reports run from the beginning; ``links``: whether
    the peers' connections run through relays that can be cut."""

    name: str
    about: str
    peers: int = 3
    steady: bool = True
    links: bool = False

    @property
    def slug(self) -> str:
        """The name for a command line and a folder."""
        return slug_of(self.name)


def slug_of(name: str) -> str:
    """``Leader Failure`` and ``leader_failure`` become ``leader-failure``."""
    return re.sub(r"[\s_-]+", "-", name.strip().lower())


NORMAL = Scenario("Normal Operation", "Three peers, nothing fails. What all the others are compared with.")
LEADER_FAILURE = Scenario(
    "Leader Failure",
    "The leader is killed (SIGKILL) and stays dead. Another leads; the dead peer's file must be a true beginning of "
    "the others'.",
)
LEADER_RECOVERY = Scenario(
    "Leader Recovery",
    "The leader is killed, comes back on its old disk, catches up, and is given the lead again.",
)
FOLLOWER_FAILURE = Scenario(
    "Follower Failure", "A follower is killed; the leader must go on leading. Then it comes back and catches up."
)
MULTIPLE_FAILURES = Scenario(
    "Multiple Failures",
    "Of five peers the leader and a follower are killed at once; then a third, and nothing may be acknowledged until "
    "it is back; then all five, as in a power cut.",
    peers=5,
)
DYNAMIC_MEMBERSHIP = Scenario(
    "Dynamic Membership",
    "A fourth peer joins by 'hfzmq peer add', a peer is removed and must stop, another one loses its disk and returns "
    "by itself; reports flow all the time.",
)
HIGH_LOAD = Scenario(
    "High Load",
    "50 clients at once, each sending batches of 100 reports as fast as they are acknowledged. Reports a second are "
    "shown as measured.",
    steady=False,
)
NETWORK_PARTITION = Scenario(
    "Network Partition",
    "Five peers, cut 2 | 3 with the leader in the minority. The minority must acknowledge nothing, the majority goes "
    "on; the links are mended and all must agree.",
    peers=5,
    links=True,
)
LONG_RUNNING = Scenario(
    "Long-Running Stability",
    "For --duration seconds a peer is killed, stopped, frozen or cold-started now and then; it comes back, and so on.",
)

SCENARIOS = (
    NORMAL,
    LEADER_FAILURE,
    LEADER_RECOVERY,
    FOLLOWER_FAILURE,
    MULTIPLE_FAILURES,
    DYNAMIC_MEMBERSHIP,
    HIGH_LOAD,
    NETWORK_PARTITION,
    LONG_RUNNING,
)


def find(name: str) -> Scenario | None:
    """The scenario called ``name`` in any writing; None when there is none."""
    wanted = slug_of(name)
    return next((scenario for scenario in SCENARIOS if scenario.slug == wanted), None)
