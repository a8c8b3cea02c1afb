"""python -m tests.nemesis.planted: bugs put into real daemons, and how long the nemesis takes to find each.

A verdict of 'nothing wrong' says as much as the same run finds when something is. The bugs are those of
tests/simulation/bugs.py that a client can feel; the rest is for the simulator. Exit code 1 when one was not found.

Touches processes only: each bug gets a run of its own.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click

from tests.provenance import PRODUCT, origin
from tests.simulation.bugs import BUGS as SIMULATED
from tests.simulation.bugs import OPEN
from tests.system.mesh import ROOT

AWAY = "pause_leader,split_minority_holds_leader,mute_leader,deaf_leader,blackhole_to_leader,one_way_cuts"
DEATH = "kill_leader,kill_all,kill_minority,pause_in_turn"
ANY = (
    "storm,doubles,reorder,resets,split_minority_holds_leader,pause_in_turn,kill_leader,one_way_cuts,crash_loop_lowest"
)
VOTES = "kill_all,pause_all,laggard,kill_leader,pause_in_turn"

# bug -> the faults that should bring it out
BUGS = {
    "a request that comes again is stored again": DEATH,
    "a restart forgets the sessions": DEATH,
    "a new leader forgets what is on its way": ANY,
    "a request is acknowledged when it is appended": AWAY,
    "a minority commits": AWAY,
    "one answer is a quorum": AWAY,
    "what is not committed is applied": AWAY,
    "a vote is given twice in a term": VOTES,
    "a vote is given to a shorter log": VOTES,
    "a refusal counts as a vote": VOTES,
    "the log check is skipped": ANY,
    "a conflicting entry is kept": AWAY,
    "a follower acknowledges what it does not have": ANY,
    "a follower commits beyond what agrees": AWAY,
    "a truncation is not written": AWAY,
    "the digest of a request is ignored": ANY,
    "a read is served without a quorum round": "slow_clock_leader",
    "a read needs no majority": "slow_clock_leader",
    "a read is served before the no-op": DEATH,
    "a read is served before it is applied": ANY,
}


@click.command()
@click.option("--minutes", default=2.0, show_default=True, help="How long to look for each.")
@click.option("--peers", default=5, show_default=True)
@click.option("--only", help="Only bugs whose names hold this text.")
@click.option("--results", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures here.")
def main(minutes: float, peers: int, only: str | None, results: Path | None) -> None:
    """Plant one bug after the other and look for it."""
    found: dict[str, dict[str, Any]] = {}
    stale = [bug for bug in BUGS if not plantable(bug)]
    for bug, faults in BUGS.items():
        if bug not in stale and (only is None or only in bug):
            found[bug] = look_for(bug, faults, minutes, peers)
            click.echo(f"{bug:65s} {_words(found[bug])}", err=True)
    figures = {
        "what": "bugs planted in real daemons, and whether the nemesis found them",
        "command": f"python -m tests.nemesis.planted --minutes {minutes:g} --peers {peers}",
        **origin(PRODUCT),
        "found": sum(bool(told["violations"]) for told in found.values()),
        "planted": len(found),
        "bugs": found,
        "not_planted": dict.fromkeys(stale, "its text does not stand in the core any more"),
    }
    text = json.dumps(figures, indent=2) + "\n"
    if results:
        results.parent.mkdir(parents=True, exist_ok=True)
        results.write_text(text)
    click.echo(text)
    sys.exit(0 if figures["found"] == figures["planted"] else 1)


def plantable(name: str) -> bool:
    """Whether the core still holds the text that the bug replaces."""
    bug = next((bug for bug in (*SIMULATED, *OPEN) if bug.name == name), None)
    return bug is not None and (ROOT / bug.path).read_text().count(bug.good) == 1


def look_for(bug: str, faults: str, minutes: float, peers: int) -> dict[str, Any]:
    """How long it took and what was seen; no violations where nothing was."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "tests.nemesis", "--minutes", str(minutes), "--peers", str(peers), "--seed", "1",
             "--bug", bug, "--faults", faults, "--out", Path(folder) / "out"],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
    kinds = sorted(set(re.findall(r"VIOLATION ([a-z ]+):", done.stderr)))
    if done.returncode and not kinds:
        kinds = ["the run ended with an error: " + done.stderr.strip().splitlines()[-1][:200]]
    return {"seconds": round(time.monotonic() - began, 1), "violations": kinds}


def _words(told: dict[str, Any]) -> str:
    return f"{', '.join(told['violations']) or 'NOT FOUND'} ({told['seconds']:.0f} s)"


if __name__ == "__main__":
    main()
