"""Seeds of power cuts and of rot, run one after the other or by several processes.

Touches processes. Must not know: results files. Keeps: what a process of the pool runs stands here and not in
``__main__``, which a process that is spawned does not import.
"""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Iterator

from tests.powercuts import cuts, rot
from tests.powercuts.cuts import Violation

A_SEED = {"cuts": cuts.CUTS_A_SEED, "rot": rot.DAMAGES_A_SEED}

Outcome = tuple[int, int, list[Violation], Counter[str]]
"""Seed, how many cuts or damages, the broken promises, how the damages ended."""


def one_seed(task: tuple[str, int, int]) -> Outcome:
    """Run one seed; in a process of the pool."""
    kind, seed, count = task
    with cuts.workplace() as directory:
        if kind == "cuts":
            return seed, count, cuts.run(seed, directory, count), Counter()
        violations, ends = rot.run(seed, directory, count)
        return seed, count, violations, ends


def tasks_of(kind: str, total: int, first: int) -> list[tuple[str, int, int]]:
    """Seeds from ``first`` on, with ``total`` cuts or damages in all."""
    each = A_SEED[kind]
    return [(kind, first + number, min(each, total - number * each)) for number in range(-(-total // each))]


def outcomes(tasks: list[tuple[str, int, int]], jobs: int) -> Iterator[Outcome]:
    """In any order, as they come."""
    if jobs == 1:
        yield from map(one_seed, tasks)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(one_seed, tasks, chunksize=4)
