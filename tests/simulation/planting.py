"""Runs storms with one bug planted until one of them finds it: ``python -m tests.simulation.planting BUG FIRST COUNT``.

Prints one line of JSON. Started by ``planted``; imports nothing of the core before the bug is in its place.
"""

from __future__ import annotations

import importlib
import json
import sys

from tests.planting import plant
from tests.simulation.bugs import BUGS, OPEN


def main(name: str, first: int, count: int) -> None:
    """Run storms ``first`` to ``first + count - 1`` with the bug in; say which found it, and how."""
    plant(next(bug for bug in (*BUGS, *OPEN) if bug.name == name))
    run = importlib.import_module("tests.simulation.storm").run
    for seed in range(first, first + count):
        violation = run(seed).violation
        if violation:
            json.dump({"seed": seed, "violation": violation}, sys.stdout)
            return
    json.dump({"seed": None, "violation": None}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
