"""Bugs planted on purpose: a storm that finds none of them proves nothing by finding nothing in the real code.

Each is one small change of the core's text. ``find`` puts it into a copy of the tree and runs storms until an invariant
breaks: ``python -m tests.simulation.planted`` prints the seed that found each.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import click

ROOT = Path(__file__).resolve().parents[2]
SEEDS_MAX = 60


class Bug(NamedTuple):
    """A name, the file below hfzmq/core, and the text that is replaced by another."""

    name: str
    file: str
    good: str
    bad: str


BUGS = (
    Bug(
        "an append is acknowledged before it is synced",
        "promises.py",
        "if self._synced == self._token and to != self._me:",
        "if to != self._me:",
    ),
    Bug(
        "the leader counts itself before its disk has it",
        "log.py",
        "        self._pending.append((token, self.last.index))",
        "        self._pending.append((token, self.last.index))\n        self.durable = self.last.index",
    ),
    Bug("a vote is given twice in a term", "election.py", "self.vote in (0, candidate)", "True"),
    Bug("a vote is given to a shorter log", "election.py",
        "up_to_date = (request.last.term, request.last.index) >= (last.term, last.index)", "up_to_date = True"),
    Bug("the log check is skipped", "replication.py", "if not log.holds(prev):", "if prev.index > log.last.index:"),
    Bug("a request that comes again is stored again", "sessions.py", "    if origin.seq == last.seq:",
        "    if origin.seq == last.seq and last.seq:\n        return NEW, last\n    if origin.seq == last.seq:"),
    Bug(
        "a new leader forgets what is on its way",
        "pending.py",
        "        self._sessions.rebuild(tail)",
        "        self._sessions.rebuild(())",
    ),
    Bug("a leader without a quorum goes on", "replica.py",
        "if now_ms > leading.deadline_ms(now_ms, synced_ms):", "if False:"),
)  # fmt: skip


def find(bug: Bug, seeds_max: int = SEEDS_MAX) -> int | None:
    """The first seed that finds a bug; None where no storm does."""
    with tempfile.TemporaryDirectory(prefix="hfzmq-planted-") as folder:
        copy = Path(folder)
        for part in ("hfzmq", "tests"):
            shutil.copytree(ROOT / part, copy / part, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        target = copy / "hfzmq" / "core" / bug.file
        text = target.read_text()
        if text.count(bug.good) != 1:
            raise ValueError(f"{bug.name}: its text stands {text.count(bug.good)} times in {bug.file}")
        target.write_text(text.replace(bug.good, bug.bad))
        command = [sys.executable, "-m", "tests.simulation", "--seeds", f"0-{seeds_max - 1}", "--first"]
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode not in (0, 1):
            raise RuntimeError(f"{bug.name}: {done.stderr[-2000:]}")
        return int(done.stdout.split()[1]) if done.returncode else None


@click.command()
def main() -> None:
    """Plant each bug and say which seed found it."""
    missed = 0
    for bug in BUGS:
        seed = find(bug)
        missed += seed is None
        click.echo(f"{'NOT FOUND' if seed is None else f'seed {seed:5d}'}  {bug.name}")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
