"""A machine that makes up stories and, where one breaks an invariant, shortens it to what a person can read.

    python -m tests.simulation.machine --examples 2000 [--seed N]
    python -m tests.simulation.with_bug "the vote is not saved" tests.simulation.machine --save new.story

Hypothesis draws the steps of ``story``, sees what breaks, and takes away and lowers whatever is not needed for it. What
is left is printed as a file of ``tests/simulation/scenarios`` would hold it. Each story ends with everything healed,
and must converge.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import click
import hypothesis.strategies as st
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tests.provenance import CORE, origin
from tests.simulation.player import Player

WAITS = (1, 3, 10, 50, 200, 500, 1100, 2500, 5000)
DELAYS = (50, 400, 1500)
EXAMPLES = 50
STEPS = 25

peers = st.sampled_from((1, 2, 3))
links = st.sampled_from(("1->2", "1->3", "2->1", "2->3", "3->1", "3->2"))
NEWCOMER = 4
clients = st.sampled_from(("c1", "c2"))
kinds = st.sampled_from(("VoteReply", "AppendReply", "AppendRequest", "TimeoutNow", "VoteRequest"))


class Broken(AssertionError):
    """A story that breaks something, with its transcript."""


class Machine(RuleBasedStateMachine):
    """Three peers, two clients, and whatever may happen to them."""

    broken: ClassVar[tuple[str, str]] = ("", "")  # what the last story broke, and its transcript

    def __init__(self) -> None:
        super().__init__()
        self.player = Player()
        self._over = False

    def _play(self, line: str) -> None:
        self._check(lambda: self.player.play(line))

    def _check(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:
            self._over = True
            what = self.player.broken(error)
            type(self).broken = (what, self.player.transcript())
            raise Broken(f"{what}\n\n{self.player.transcript()}") from None

    def _up(self, peer: int) -> bool:
        return self.player.stage.peers[peer].up

    def _paused(self, peer: int) -> bool:
        return self.player.stage.peers[peer].paused

    def teardown(self) -> None:
        """All is healed, and must converge."""
        if self.player.played and not self._over:
            self._over = True
            self._check(self.player.finish)

    # ------------------------------------------------------------ time

    @initialize()
    def begin(self) -> None:
        """Three peers serve."""
        self._play("mesh 3")

    @rule(ms=st.sampled_from(WAITS))
    def wait(self, ms: int) -> None:
        """Time passes."""
        self._play(f"wait {ms}")

    @rule(what=st.sampled_from(("ack c1", "new leader", "candidate", "vote")))
    def await_something(self, what: str) -> None:
        """Time passes until the moment at which a fault would hurt."""
        self._play(f"await {what}")

    # ------------------------------------------------------------ clients

    @rule(client=clients)
    def ask(self, client: str) -> None:
        """A request."""
        self._play(f"ask {client}")

    @rule(client=clients, peer=peers)
    def ask_one(self, client: str, peer: int) -> None:
        """A request to a peer of whom the client thinks that it leads."""
        self._play(f"ask {client} {peer}")

    @precondition(lambda self: self.player.stage.clients)
    @rule(client=clients, peer=peers)
    def retry(self, client: str, peer: int) -> None:
        """The same again, somewhere else."""
        if client in self.player.stage.clients:
            self._play(f"retry {client} {peer}")

    @rule(client=clients, peer=peers)
    def read(self, client: str, peer: int) -> None:
        """A consistent read."""
        self._play(f"read {client} {peer}")

    # ------------------------------------------------------------ power

    @rule(peer=peers, late=st.sampled_from(("", " late")))
    def crash(self, peer: int, late: str) -> None:
        """The plug is pulled."""
        if self._up(peer):
            self._play(f"crash {peer}{late}")

    @rule(peer=peers)
    def start(self, peer: int) -> None:
        """It is plugged in again."""
        if not self._up(peer):
            self._play(f"start {peer}")

    @rule(late=st.sampled_from(("", " late")))
    def power_cut(self, late: str) -> None:
        """The power is gone for a moment."""
        self._play(f"crash all{late}")
        self._play("start all")

    @rule(peer=peers)
    def pause(self, peer: int) -> None:
        """SIGSTOP."""
        if self._up(peer) and not self._paused(peer):
            self._play(f"pause {peer}")

    @rule(peer=peers)
    def resume(self, peer: int) -> None:
        """SIGCONT."""
        if self._paused(peer):
            self._play(f"resume {peer}")

    # ------------------------------------------------------------ members

    def _said(self, verb: str) -> bool:
        return any(line.startswith(verb) for line in self.player.played)

    @precondition(lambda self: not self._said("remove") and not self._said("wipe"))
    @rule(peer=peers)
    def wipe(self, peer: int) -> None:
        """A disk is lost that a majority can do without. A peer is not removed in the same story: both at once is more
        than three can survive."""
        if self.player.stage.may_lose(peer):
            self._play(f"wipe {peer}")

    @precondition(lambda self: not self._said("wipe"))
    @rule(peer=peers)
    def remove(self, peer: int) -> None:
        """A member is to leave."""
        self._play(f"remove {peer}")

    @precondition(lambda self: not self._said("join"))
    @rule()
    def join(self) -> None:
        """A fourth peer comes."""
        self._play(f"join {NEWCOMER}")

    @rule(peer=peers)
    def lead(self, peer: int) -> None:
        """A member is to lead."""
        self._play(f"lead {peer}")

    # ------------------------------------------------------------ links, disks

    @rule(link=links)
    def cut(self, link: str) -> None:
        """One way."""
        self._play(f"cut {link}")

    @rule(link=st.sampled_from(("1<->2", "1<->3", "2<->3")))
    def cut_both(self, link: str) -> None:
        """Both ways."""
        self._play(f"cut {link}")

    @rule(peer=peers)
    def isolate(self, peer: int) -> None:
        """From all others."""
        self._play(f"isolate {peer}")

    @rule()
    def mend(self) -> None:
        """All links are well."""
        self._play("mend")

    @rule(link=links, ms=st.sampled_from(DELAYS))
    def slow(self, link: str, ms: int) -> None:
        """What is said on a link takes long; what was said earlier may be overtaken by what is said after the mend."""
        self._play(f"slow {link} {ms}")

    @rule(link=links)
    def double(self, link: str) -> None:
        """Twice."""
        self._play(f"double {link}")

    @rule(link=links, kind=kinds)
    def again(self, link: str, kind: str) -> None:
        """Something old arrives once more."""
        self._play(f"again {link} {kind}")

    @rule(peer=peers, ms=st.sampled_from((20, 400, 1500, 3000)))
    def stall(self, peer: int, ms: int) -> None:
        """A disk hangs."""
        self._play(f"stall {peer} {ms}")

    @rule(peer=peers, ms=st.sampled_from((20, 200)))
    def sync(self, peer: int, ms: int) -> None:
        """A slow disk."""
        self._play(f"sync {peer} {ms}")


def profile(examples: int, derandomize: bool, steps: int = STEPS) -> settings:
    """How long to look, and whether always at the same stories."""
    return settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, database=None, derandomize=derandomize,
        report_multiple_bugs=False, print_blob=False, phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip


def hunt(how: settings, number: int | None = None) -> tuple[str, str] | None:
    """Look for a story that breaks something: what it breaks and the shortest transcript; None where there is none."""
    machine = type("Hunter", (Machine,), {"broken": ("", "")})
    if number is not None:
        machine = seed(number)(machine)
    try:
        run_state_machine_as_test(machine, settings=how)
    except Broken:
        return machine.broken  # type: ignore[no-any-return,attr-defined]
    return None


@click.command()
@click.option("--examples", default=2000, show_default=True)
@click.option("--steps", default=STEPS, show_default=True, help="Of a story, at most; short ones are shortened soon.")
@click.option("--seed", "number", type=int, help="Which stories; by default always the same.")
@click.option("--save", type=click.Path(path_type=Path), help="Write the story that breaks something here.")
@click.option("--results", "file", type=click.Path(path_type=Path), help="Keep what was looked at here, as JSON.")
def main(examples: int, steps: int, number: int | None, save: Path | None, file: Path | None) -> None:
    """Look for a story that breaks an invariant; exit 1 if there is one."""
    began = time.monotonic()
    found = hunt(profile(examples, number is None, steps), number)
    seconds = round(time.monotonic() - began)
    click.echo(f"{seconds} s", err=True)
    if file:
        told = {**origin(CORE), "stories": examples, "steps_max": steps, "seed": number, "seconds": seconds,
                "broken": found[0] if found else ""}  # fmt: skip
        file.write_text(json.dumps(told, indent=1) + "\n")
    if found is None:
        click.echo(f"{examples} stories break nothing")
        return
    what, transcript = found
    click.echo(f"{what}\n\n{transcript}", nl=False)
    if save:
        save.write_text(f"# {what}\n{transcript}")
    sys.exit(1)


if __name__ == "__main__":
    main()
