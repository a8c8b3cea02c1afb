"""Garbage is looked for while nobody waits; under load that never ends, all the same in the end."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

from hfzmq.daemon.garbage import EVERY_MS, OVERDUE_MS, Garbage

ROOT = Path(__file__).resolve().parents[2]


def test_an_idle_moment_is_used_once_in_so_long() -> None:
    times: list[float] = []
    garbage = Garbage(0.0, lambda: times.append(now_ms))
    for turn in range(1000):
        now_ms = turn * EVERY_MS / 100
        garbage.turn(now_ms, idle=turn % 7 == 0)
    assert len(times) == 9
    assert all(later - before >= EVERY_MS for before, later in pairwise(times))


def test_a_daemon_that_never_rests_looks_for_it_in_the_end() -> None:
    times: list[float] = []
    garbage = Garbage(0.0, lambda: times.append(now_ms))
    for turn in range(101):
        now_ms = turn * OVERDUE_MS / 50
        garbage.turn(now_ms, idle=False)
    assert times == [OVERDUE_MS, 2 * OVERDUE_MS]


def test_python_never_looks_through_all_by_itself_and_a_cycle_goes_when_it_is_told_to() -> None:
    # In a process of its own: what is settled here would be settled for all tests.
    story = """
import gc, weakref
from hfzmq.daemon.garbage import Garbage, settle, EVERY_MS
settle()
class Cycle: pass
one = Cycle(); one.itself = one; gone = weakref.ref(one)
gc.collect(1)  # it is old now
full = []
gc.callbacks.append(lambda phase, info: full.append(info["generation"] == 2))
del one
kept = [[number] for number in range(400_000)]
print(any(full), len(full) > 10, gone() is None)
Garbage(0.0).turn(EVERY_MS, idle=True)
print(gone() is None)
"""
    done = subprocess.run([sys.executable, "-c", story], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "False", "True"]
