"""Dynamic Membership: peers join, are removed, lose their disks and return, while reports flow.

Touches a Stage and, through ``hfzmq peer``, the members of the mesh. Must not know: how the mesh changes its members.
Keeps: every change is made the way an operator makes it, with the command, and counts when the command says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfzmq.cli.scenario.stage import WITHIN_S, Failed, Stage
from hfzmq.errors import HfzmqError

if TYPE_CHECKING:
    from hfzmq.cli.scenario.plays import Terms

FLOW = 60
CHANGED_WITHIN_S = 30


class CannotRun(HfzmqError):
    """This hfzmq lacks what the scenario needs; the round is not run, and so not passed."""


def dynamic_membership(stage: Stage, terms: Terms) -> None:
    """A fourth joins, a follower is removed, another one is wiped."""
    leader = stage.leader()
    wiped, removed = sorted(stage.members - {leader})[-2:]
    newcomer = max(stage.everyone.peer_ids)

    stage.start(newcomer)
    stage.wait(f"peer {newcomer} asks to join", lambda: _asks(stage, newcomer))
    _peer(stage, "add", newcomer)
    stage.members.add(newcomer)
    stage.inject(f"peer {newcomer} joined")
    stage.level(newcomer)
    stage.flow(FLOW)

    stage.may_leave(removed)
    _peer(stage, "remove", removed)
    stage.inject(f"peer {removed} was removed")
    stage.wait_gone(removed)
    stage.inject(f"peer {removed} stopped by itself")
    stage.flow(FLOW)

    stage.kill(wiped)
    stage.data_dir(wiped).rename(stage.folder / f"peer-{wiped}-before-the-wipe")
    stage.start(wiped)
    stage.inject(f"peer {wiped} lost its disk and came back")
    stage.level(wiped)
    stage.inject(f"peer {wiped} is whole again")
    stage.flow(FLOW)


def check_it_can_run() -> None:
    """CannotRun when there is no command to change members with."""
    from hfzmq.cli.main import COMMANDS

    if "peer" not in COMMANDS:
        raise CannotRun("this hfzmq has no command 'peer', which adds and removes peers")


def _asks(stage: Stage, peer: int) -> bool:
    told = stage.status().told
    return told is not None and told.asks(peer) is not None


def _peer(stage: Stage, action: str, peer: int) -> None:
    """``hfzmq peer ACTION ID``, as an operator would; Failed when it says that the change has not taken effect."""
    name = f"peer-{action}-{peer}"
    words = ("peer", action, str(peer), "--config", stage.config.path, "--json", "--timeout", str(CHANGED_WITHIN_S))
    stage.processes.start(name, *words)
    stage.wait(
        f"hfzmq peer {action} {peer}", lambda: stage.processes.exit_code(name) is not None, CHANGED_WITHIN_S + WITHIN_S
    )
    code = stage.processes.exit_code(name)
    if code:
        raise Failed(f"hfzmq peer {action} {peer} ended with exit code {code}: {stage.processes.last_words(name)}")
