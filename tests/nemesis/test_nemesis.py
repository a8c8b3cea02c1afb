"""Each fault, once and short, on three real peers with real clients: nothing acknowledged is lost or doubled.

A few meshes for all of them; ``python -m tests.nemesis`` does the same for minutes or hours, with five peers.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hfzmq.config import Timing
from tests.nemesis.episodes import Nemesis
from tests.nemesis.faults import Fault, all_faults, why_not
from tests.nemesis.history import History
from tests.nemesis.means import NETNS, TMPFS, available
from tests.nemesis.netns import NAMESPACES
from tests.nemesis.world import World
from tests.system.mesh import ROOT, wait_for

FAST = Timing(lease_ms=400, heartbeat_ms=50, handover_settle_ms=1000)
HOLD_SHARE, HOLD_S = 0.22, 0.6  # of what a fault takes with a lease of 1 s; at least one and a half leases
KEEP = 30  # log entries: who was away for a second needs a snapshot
# Who lost its disk has to vote again while clients go on: what comes while it takes a snapshot, and answers nothing,
# must still be in the log then. On a busy machine that is seconds.
KEEP_FOR = {"wipe_all_in_turn": 500}
EPISODES_A_MESH = 12  # each report is a bed, and who takes a snapshot reads all beds, while entries go on coming
SEED = 20


class Arena:
    """The mesh that faults of this file are done to; a new one after some, and once one has not healed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = contextlib.ExitStack()
        self._nemesis: Nemesis | None = None
        self._rounds = self._episodes = self._keep = 0

    def nemesis(self, keep: int) -> Nemesis:
        """A healthy one, whose log keeps so many entries."""
        if self._episodes == EPISODES_A_MESH or keep != self._keep:
            self.discard()
            self._keep = keep
        self._episodes += 1
        if self._nemesis is None:
            self._rounds += 1
            folder = self._folder / str(self._rounds)
            folder.mkdir()
            history = self._stack.enter_context(History(folder / "history.jsonl"))
            world = self._stack.enter_context(World(folder, peers=3, timing=FAST, log_entries_keep=keep))
            self._nemesis = self._stack.enter_context(Nemesis(world, history, SEED, raw=3, queued=1, readers=1))
        return self._nemesis

    def discard(self) -> None:
        """End it."""
        self._nemesis, self._episodes = None, 0
        self._stack.close()


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    arena = Arena(tmp_path_factory.mktemp("nemesis"))
    yield arena
    arena.discard()


@pytest.mark.parametrize("fault", all_faults().values(), ids=all_faults().keys())
def test_nothing_acknowledged_is_lost_doubled_or_reordered_by(fault: type[Fault], arena: Arena) -> None:
    nemesis = arena.nemesis(KEEP_FOR.get(fault.name, KEEP))
    reason = why_not(fault, nemesis.world)
    if reason:
        pytest.skip(f"{fault.name}: {reason}")
    episode = None
    try:
        episode = nemesis.run([fault], max(HOLD_S, HOLD_SHARE * fault.hold_s) if fault.hold_s else 0)
        assert not episode.violations, f"{fault.says}: {episode.story}: {episode.violations}"
    finally:
        if episode is None or episode.violations:
            arena.discard()


def test_a_bug_that_is_planted_in_real_daemons_is_found(tmp_path: Path) -> None:
    """A verdict of 'nothing wrong' says little unless the same run finds what is wrong."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.nemesis", "--minutes", "0.5", "--peers", "3", "--seed", "1", "--only-loopback",
         "--bug", "a request that comes again is stored again", "--faults", "kill_leader", "--out", tmp_path / "out"],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "VIOLATION doubled" in done.stderr, done.stderr


def test_an_unknown_fault_is_refused_with_the_names_of_all(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.nemesis", "--faults", "kill_leader,flood", "--out", tmp_path],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "flood" in done.stderr
    assert "rolling_restart" in done.stderr


def test_every_fault_has_a_name_a_sentence_and_a_time() -> None:
    faults = all_faults()
    assert len(faults) >= 35
    for name, fault in faults.items():
        assert name == fault.name
        assert fault.says
        assert fault.hold_s >= 0
        assert fault.__doc__


def test_what_this_machine_lacks_is_said_and_never_raised() -> None:
    for means, reason in available().items():
        assert isinstance(means, str)
        assert isinstance(reason, str)


def test_a_run_that_is_killed_leaves_nothing_behind_for_long(tmp_path: Path) -> None:
    """kill -9 of the whole run: its daemons die with it, its namespaces and mounts go when the next run begins."""
    reason = available()[NETNS] or available()[TMPFS]
    if reason:
        pytest.skip(f"no namespaces or no mounts here: {reason}")
    lines = (
        "import sys, time\nfrom pathlib import Path\nfrom tests.nemesis.world import World\n"
        "with World(Path(sys.argv[1]), 3) as world:\n"
        "    print(*(process.pid for process in world.processes.values()), flush=True)\n"
        "    time.sleep(60)\n"
    )
    run = subprocess.Popen([sys.executable, "-c", lines, tmp_path], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    daemons = [int(pid) for pid in run.stdout.readline().split()]
    assert len(daemons) == 3
    run.kill()
    run.wait()
    run.stdout.close()
    wait_for("the end of the daemons", lambda: not any(Path(f"/proc/{pid}").exists() for pid in daemons))
    mine = f"hz{run.pid}a-"
    World(tmp_path / "next", 1).close()
    assert not any(path.name.startswith(mine) for path in NAMESPACES.iterdir())
    assert not any((tmp_path / str(number)).is_mount() for number in (1, 2, 3))
