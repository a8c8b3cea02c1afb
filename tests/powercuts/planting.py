"""Cuts the power, or lets files rot, with one bug planted until a promise breaks: ``python -m tests.powercuts.planting
BUG FIRST COUNT``.

Prints one line of JSON. Started by ``planted``; imports nothing of the storage before the bug is in its place.
"""

from __future__ import annotations

import importlib
import json
import sys

from tests.planting import plant
from tests.powercuts.bugs import BUGS, CUTS, OPEN


def main(name: str, first: int, count: int) -> None:
    """Run seeds ``first`` to ``first + count - 1`` with the bug in; say which found it, after how many, and how."""
    bug = next(bug for bug in (*BUGS, *OPEN) if bug.name == name)
    plant(bug)
    cuts, rot = (importlib.import_module(f"tests.powercuts.{name}") for name in ("cuts", "rot"))
    tried = 0
    with cuts.workplace() as directory:
        for seed in range(first, first + count):
            if bug.by == CUTS:
                violations = cuts.run(seed, directory)
                tried += cuts.CUTS_A_SEED
            else:
                violations, _ = rot.run(seed, directory)
                tried += rot.DAMAGES_A_SEED
            if violations:
                json.dump({"seed": seed, "tried": tried, "violation": violations[0].what}, sys.stdout)
                return
    json.dump({"seed": None, "tried": tried, "violation": None}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
