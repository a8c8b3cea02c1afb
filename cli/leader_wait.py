"""Asking the leader where a person waits for it: what is waited for is said, and the error names who is away.

Touches sockets (through client.ask), the monotonic clock, stderr. Must not know: what is asked for. Keeps: nobody waits
longer than about SAY_AFTER_S without a word; the look at the mesh for that neither ends nor prolongs the asking.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import click

from hfzmq.cli.format import listed
from hfzmq.cli.layout import folded, terminal_width
from hfzmq.cli.mesh_view import MeshView, mesh_view
from hfzmq.cli.peer_view import NO_ANSWER
from hfzmq.cli.status import verdict
from hfzmq.config import Config
from hfzmq.errors import HfzmqError, MeshUnavailable, NoLeader
from hfzmq.wire.members import VOTER, newest, with_members

SAY_AFTER_S = 2.0
AGAIN_S = 10.0  # other words than before are said so often at most


def on_stderr(line: str) -> None:
    """A line for the person who waits."""
    click.echo(folded(line, terminal_width(sys.stderr)), err=True)


def ask_leader(
    config: Config,
    op: str,
    fields: dict[str, object],
    timeout_ms: int,
    say: Callable[[str], None] = on_stderr,
) -> dict[str, Any]:
    """As client.ask.ask_leader; ``say`` gets a line when it takes long, and NoLeader says who is away."""
    from hfzmq.client import ask

    wait = LeaderWait(config, timeout_ms / 1000, say)
    try:
        return ask.ask_leader(config, op, fields, timeout_ms, wait)
    except NoLeader:
        view = wait.look()
        if view is None or view.serves or not view.answers:
            raise
        raise no_leader(view, timeout_ms / 1000) from None


class LeaderWait:
    """To be called often while the leader is asked, for ``timeout_s``."""

    def __init__(self, config: Config, timeout_s: float, say: Callable[[str], None]) -> None:
        self._config = config
        self._say = say
        self._said = ""
        self._due = time.monotonic() + SAY_AFTER_S
        self._until = time.monotonic() + timeout_s

    def __call__(self) -> None:
        """Look who is there and say it, when it is time."""
        if time.monotonic() < self._due:
            return
        view = self.look()
        self._due = time.monotonic() + AGAIN_S
        words = waited_for(view) if view is not None else ""
        if words and words != self._said:
            self._said = words
            left_s = max(0, round(self._until - time.monotonic()))
            self._say(f"waiting for {words} ({left_s} s more at most)")

    def look(self) -> MeshView | None:
        """The mesh now, by the word of all its peers; None where they cannot be asked."""
        from hfzmq.client.ask import ask_all

        refusing: dict[int, str] = {}
        try:
            answers = ask_all(self._config, "status", refusing=refusing)
        except HfzmqError:  # whoever asks the leader meets it, too, and says it
            return None
        self._config = with_members(self._config, newest(answers.values()))
        return mesh_view(self._config, answers, refusing=refusing)


def waited_for(view: MeshView) -> str:
    """``a leader: no quorum, peers 2 and 3 do not answer, peer 1 does``."""
    if not view.answers:
        return "a daemon: none answers"
    if view.serves:
        return f"peer {view.leader}, which leads, to answer"
    away = who_is_away(view)
    return f"a leader: {f'no quorum, {away}' if away else verdict(view)}"


def who_is_away(view: MeshView) -> str:
    """``peers 2 and 3 do not answer, peer 1 does``, where that is why there is no quorum; '' where it is something
    else, or not that alone."""
    if not view.founded or view.serves:
        return ""
    voters = view.told.voters if view.told is not None else tuple(peer.id for peer in view.peers if peer.counted)
    rows = [peer for peer in view.peers if peer.id in voters]
    there = [peer.id for peer in rows if peer.reachable and peer.membership in (None, VOTER)]
    away = [peer.id for peer in rows if not peer.reachable and peer.problem in ("", NO_ANSWER)]
    if len(there) + len(away) < len(rows) or len(there) > len(voters) // 2:
        return ""
    rest = f", {listed(there)} {_does(there)}" if there else ""
    return f"{listed(away)} {_does(away)} not answer{rest}"


def no_leader(view: MeshView, waited_s: float) -> MeshUnavailable:
    """The error for a ``view`` in which some answer, and for so long nobody has led."""
    away = who_is_away(view)
    if not away:
        return verdict(view) or NoLeader("nobody leads", hint="hfzmq status")
    return NoLeader(
        f"no quorum for {round(waited_s, 1):g} s: {away}",
        hint=f"start who is away: hfzmq serve --id N --config {view.file} --data-dir DIR; how it stands: hfzmq status",
    )


def _does(peers: list[int]) -> str:
    return "does" if len(peers) == 1 else "do"
