"""Where a result comes from: date, commit, whether the tree differed from it, a digest of what ran, Python, cores.

Of what the tests measure; hfzmq.cli.results_file tells it of what a user measures, who may have no checkout. It is not
imported here: compiled storms run on a copy of the core and of the simulation alone (simulation/compiled.py).
"""

from __future__ import annotations

import datetime
import hashlib
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]

# What a result is made of, from the root of the repository. Tests make none, nor do the lists of planted bugs and
# MEASURED where they are not named: a storm of yesterday is not of another source because a test was added since.
TESTS, BUGS = "test_", "bugs.py"
PURE = ("hfzmq/core", "hfzmq/settings.py")
CORE = (*PURE, "tests/simulation")
STORAGE = ("hfzmq", "tests/powercuts", "tests/integration/storage_world.py", "tests/integration/expected_tables.py")
PRODUCT = ("hfzmq", "daemon", "cli", "model", "tests/system", "tests/nemesis", "tests/fuzz")
MEASURED = "cli/bench/"  # how fast it is; no part of what is said of its faults
BENCHED = (*PRODUCT, "cli/bench", "tests/profile")
CORE_PLANTED = (*CORE, "tests/simulation/bugs.py")
STORAGE_PLANTED = (*STORAGE, "tests/powercuts/bugs.py")


class Provenance(NamedTuple):
    """``commit`` is empty outside of git; ``dirty``: what ran is not what the commit holds; ``source``: its digest."""

    commit: str
    dirty: bool
    source: str
    python: str
    cores: int


def provenance(runs: Sequence[str] = CORE) -> Provenance:
    """Of the tree as it is now, as far as a result is made of ``runs``."""
    commit = _git("rev-parse", "HEAD")
    dirty = not commit or bool(_git("status", "--porcelain", "--", *runs))
    return Provenance(commit, dirty, _digest(runs), platform.python_version(), os.cpu_count() or 1)


def core() -> str:
    """A digest of the core alone, without the simulator that tries it."""
    return _digest(PURE)


def origin(runs: Sequence[str] = CORE) -> dict[str, object]:
    """The keys that a results file begins with."""
    return {"date": today(), **provenance(runs)._asdict()}


def today() -> str:
    """The date in UTC."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")


def _digest(runs: Sequence[str]) -> str:
    whole = hashlib.sha256()
    for part in runs:
        path = ROOT / part
        for file in sorted(filter(_counts, path.rglob("*.py"))) if path.is_dir() else [path]:
            name, text = file.relative_to(ROOT).as_posix(), file.read_bytes()
            if f"{part}/".startswith(MEASURED) or not name.startswith(MEASURED):
                whole.update(b"%s %d\n" % (name.encode(), len(text)) + text)
    return whole.hexdigest()[:16]


def _counts(file: Path) -> bool:
    return not file.name.startswith(TESTS) and file.name != BUGS


def _git(*words: str) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
