"""A killed process takes whole transactions or none; what was reported as written is there. (kill -9 proves nothing
about power: tests/powercuts.)"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hfzmq.core.contract import Apply, Compact, Persist
from hfzmq.core.types import HardState
from hfzmq.storage import Store
from tests.integration.storage_world import (
    REPOSITORY,
    Tape,
    expected_of,
    held_by,
    mesh,
    report,
)

# -------------------------------------------------------------------------------------------------------------- kill -9

WRITER = """
import sys
from pathlib import Path
from hfzmq.storage import Store
from tests.integration.storage_world import mesh
from tests.integration.test_storage_crash import Script

store, script = Store.open(Path(sys.argv[1]), 1, mesh()), Script(int(sys.argv[2]))
while True:
    effects = script.step()
    store.write(effects)
    print(script.steps, flush=True)
"""


class Script:
    """A seeded history in which no transaction is small: each step's effects, and what must be held after it."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self.tape = Tape()
        self.steps = 0

    def step(self, size: int = 40) -> list[Persist | Apply | Compact]:
        tape, rng = self.tape, self._rng
        effects: list[Persist | Apply | Compact] = []
        if rng.random() < 0.5:
            effects.append(tape.persist(hard_state=HardState(tape.hard_state.term + 1, rng.randint(0, 3))))
        if len(tape.log) > tape.applied and rng.random() < 0.3:
            effects.append(tape.persist(truncate_from=tape.truncate(rng.randint(tape.applied + 1, len(tape.log)))))
        entries = []
        for _ in range(rng.randint(1, size)):
            rows = [report(rng.randint(0, 99)) for _ in range(rng.randint(0, 5))]
            entries.append(tape.batch(rows) if rng.random() < 0.9 else tape.noop())
        effects.append(tape.persist(*entries))
        if rng.random() < 0.7:
            effects.append(tape.apply(rng.randint(tape.applied + 1, len(tape.log))))
        if rng.random() < 0.3:
            effects.append(tape.compact(rng.randint(tape.base, tape.applied)))
        self.steps += 1
        return effects


@pytest.mark.parametrize("seed", range(6))
def test_kill_9_loses_no_reported_write_and_splits_none(tmp_path: Path, seed: int) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path), str(seed)], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout
    with writer:
        reported = 0
        for line in writer.stdout:
            reported = int(line)
            if reported >= 5 + 7 * seed:
                os.kill(writer.pid, signal.SIGKILL)  # wherever it is by now
                break
        rest = writer.stdout.read().split()
    assert writer.returncode == -signal.SIGKILL
    reported = int(rest[-1]) if rest else reported
    script = Script(seed)
    while script.steps < reported:
        script.step()
    store = Store.open(tmp_path, 1, mesh())
    found = held_by(store)
    if found != expected_of(script.tape):
        script.step()  # it was killed after a commit and before its report
        assert found == expected_of(script.tape)
    store.close()
