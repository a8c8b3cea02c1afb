"""One workload on one system, with a look at leader and follower: the bench's own mesh and load, py-spy beside them.

    start --> the load warms up --begin: CPU is read, py-spy begins--> it looks for so long --> end: CPU is read
        --> the lead is where it was --> all hold the same --> stop --> read back

Touches processes (a System's, py-spy), /proc. Must not know: parts, tables. Keeps: a Recorded exists only when every
acknowledged report was read back from every disk, as with any figure of the bench, and nobody was elected meanwhile;
py-spy and the system are gone afterwards.

py-spy stops a process while it looks at its stack: rates are no figures here, and CPU is what the kernel counts.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from hfzmq.cli.bench.measure import LoadRun, Terms, Workload
from hfzmq.cli.bench.proc import cost
from hfzmq.cli.bench.systems import System
from hfzmq.errors import HfzmqError
from tests.profile.stacks import Stack, read
from tests.profile.threads import spent_s, threads

LEADER, FOLLOWER = "leader", "follower"
ROLES = (LEADER, FOLLOWER)
BEGINS_WITHIN_S = 5.0  # py-spy reads the symbols of every library first


class Plan(NamedTuple):
    """How to look: so often a second, for so long, with this py-spy; ``keep``: a folder for what it writes."""

    spy: str
    rate_hz: int
    seconds: float
    keep: Path


class Look(NamedTuple):
    """What was seen of one process. ``cpu_s``: of the whole; ``by_kind``: of its threads, by threads.LOOP and so on."""

    stacks: list[Stack]
    cpu_s: float
    by_kind: dict[str, float]


class Recorded(NamedTuple):
    """``reports``: acknowledged while CPU was counted, in ``lasted_s``; ``looks``: by ROLES."""

    reports: int
    lasted_s: float
    looks: dict[str, Look]


def py_spy() -> str:
    """The py-spy of this environment, or else on the PATH. HfzmqError: there is none."""
    beside = Path(sys.executable).with_name("py-spy")
    found = str(beside) if beside.exists() else shutil.which("py-spy")
    if found is None:
        raise HfzmqError("py-spy is not installed", hint="make profile installs it; or: pip install py-spy")
    return found


def record(system: System, workload: Workload, terms: Terms, plan: Plan, name: str) -> Recorded:
    """Load a system that is not running yet, and leave nothing of it. ``name``: what the files in ``plan.keep`` are
    called; HfzmqError, NotKept: as with ``measure``, or py-spy failed."""
    try:
        system.start()
        leader, term = system.leader(), system.term()
        who = {LEADER: leader, FOLLOWER: next(peer for peer in system.peers() if peer != leader)}
        pids = {role: system.processes.pid(peer) for role, peer in who.items()}
        files = {role: plan.keep / f"{name}-{role}.txt" for role in ROLES}
        run = LoadRun(system, workload, terms._replace(seconds=plan.seconds + BEGINS_WITHIN_S))
        before = after = {}
        with _Spies(plan) as spies:
            for event in run.events():
                if event["event"] == "begin":
                    before = {role: (cost(pid).cpu_s, threads(pid)) for role, pid in pids.items()}
                    for role in ROLES:
                        spies.begin(pids[role], files[role])
                elif event["event"] == "end":
                    after = {role: (cost(pid).cpu_s, threads(pid)) for role, pid in pids.items()}
                    spies.must_be_done()
        if (system.leader(), system.term()) != (leader, term):
            raise HfzmqError("another peer was elected while it was looked at", hint="again, on a quieter machine")
        system.settle()
        system.read_back(run.ledger)
        looks = {
            role: Look(
                read(files[role].read_text(encoding="utf-8")),
                after[role][0] - before[role][0],
                spent_s(pids[role], before[role][1], after[role][1]),
            )
            for role in ROLES
        }
        return Recorded(run.done["acked"], run.done["lasted_s"], looks)
    finally:
        system.close()


class _Spies:
    """The py-spy processes of one run; none is left when it ends."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._running: dict[Path, subprocess.Popen[bytes]] = {}  # by the file of what they say

    def __enter__(self) -> _Spies:
        return self

    def __exit__(self, *_: object) -> None:
        for spy in self._running.values():
            spy.kill()
            spy.wait()

    def begin(self, pid: int, file: Path) -> None:
        how_long, how_often = f"{self._plan.seconds:.0f}", str(self._plan.rate_hz)
        words = [self._plan.spy, "record", "--pid", str(pid), "--duration", how_long, "--rate", how_often]
        words += [
            "--format",
            "raw",
            "--native",
            "--threads",
            "--idle",  # a loop that waits is seen waiting
            "--output",
            str(file),
        ]
        said = file.with_suffix(".log")
        with said.open("wb") as log:
            self._running[said] = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def must_be_done(self) -> None:
        if any(spy.poll() is None for spy in self._running.values()):
            raise HfzmqError("py-spy still looked when the load had ended", hint="again, on a quieter machine")
        for said, spy in self._running.items():
            if spy.returncode:
                last = said.read_text(errors="replace").strip().splitlines()[-1:] or [f"exit code {spy.returncode}"]
                hint = "it needs root, or kernel.yama.ptrace_scope = 0"
                raise HfzmqError(f"py-spy cannot look at a process: {last[0]}", hint=hint)
