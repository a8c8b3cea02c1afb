"""Where a result comes from: the commit, whether the tree differed from it, a digest of what ran, date, cores."""

from __future__ import annotations

import datetime
import hashlib
import os
import platform
import subprocess
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
RUNS = ("hfzmq/core", "hfzmq/config.py", "hfzmq/errors.py", "tests/simulation")  # what a storm is made of


class Provenance(NamedTuple):
    """``commit`` is empty outside of git; ``dirty``: what ran is not what the commit holds; ``source``: its digest."""

    commit: str
    dirty: bool
    source: str
    python: str
    cores: int


def provenance() -> Provenance:
    """Of the tree as it is now."""
    commit = _git("rev-parse", "HEAD")
    dirty = not commit or bool(_git("status", "--porcelain", "--", *RUNS))
    return Provenance(commit, dirty, _digest(), platform.python_version(), os.cpu_count() or 1)


def today() -> str:
    """The date in UTC."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")


def _digest() -> str:
    whole = hashlib.sha256()
    for part in RUNS:
        path = ROOT / part
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            text = file.read_bytes()
            whole.update(b"%s %d\n" % (file.relative_to(ROOT).as_posix().encode(), len(text)) + text)
    return whole.hexdigest()[:16]


def _git(*words: str) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
