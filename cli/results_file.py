"""Results files: what was measured, with when, where and from which commit; and the progress of measuring.

Touches files, stderr and git. Must not know what was measured. Keeps: a number in a results file can be compared with
another one: date, commit, cores and load stand beside it.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import click

from hfzmq.cli.format import json_text
from hfzmq.errors import HfzmqError

EVERY_PERCENT = 10  # where stderr is no terminal


def circumstances(command: str) -> dict[str, Any]:
    """When, by which command, from which commit, on how many cores and how busy: what a number needs to be compared."""
    return {
        "command": command,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": commit(),
        "cores": cores(),
        "load_average_1min": round(os.getloadavg()[0], 2),  # who else was using them
    }


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def commit() -> str | None:
    """The commit of this checkout, with '-dirty' when files differ from it; None when this is no checkout."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():  # installed: whatever repository lies around it is not ours
        return None
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def plain(value: Any) -> Any:
    """What JSON has words for: NaN, the number that is none, is null."""
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def write_results(path: Path, value: Mapping[str, Any]) -> None:
    """As JSON; HfzmqError when it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json_text(value) + "\n", encoding="utf-8")
    except OSError as error:
        raise HfzmqError(f"cannot write {path}: {error.strerror or error}", hint="choose another --results") from None


@contextmanager
def progress(stages: Mapping[str, str]) -> Iterator[Callable[[str, float], None]]:
    """What long work calls with (stage, share): a bar on a terminal, a line now and then elsewhere; on stderr.
    ``stages``: what each is called."""
    if not sys.stderr.isatty():
        told: dict[str, int] = {}

        def say(stage: str, share: float) -> None:
            percent = int(share * 100) // EVERY_PERCENT * EVERY_PERCENT
            if stage not in told:
                click.echo(f"{stages.get(stage, stage)} ...", err=True)
            elif told[stage] < percent < 100:
                click.echo(f"{stages.get(stage, stage)}: {percent} %", err=True)
            told[stage] = max(percent, told.get(stage, 0))

        yield say
        return

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description:<40}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, TaskID] = {}

        def move(stage: str, share: float) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stages.get(stage, stage), total=1.0)
            bars.update(tasks[stage], completed=share)

        yield move
