"""Run any module of the simulator with a bug planted: ``python -m tests.simulation.with_bug BUG MODULE [ARGUMENT...]``.

Imports nothing of the core before the bug is in its place.
"""

from __future__ import annotations

import runpy
import sys

from tests.planting import plant
from tests.simulation.bugs import BUGS, OPEN


def main() -> None:
    """Plant, then run the module as the program."""
    name, module, *arguments = sys.argv[1:]
    bug = next((bug for bug in (*BUGS, *OPEN) if bug.name == name), None)
    if bug is None:
        sys.exit(f"no bug is called {name!r}; tests/simulation/bugs.py lists them")
    plant(bug)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
