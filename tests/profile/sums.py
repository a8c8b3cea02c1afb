"""What was seen, as figures: each part's share of the loop's time, and its CPU a report.

Touches nothing. Must not know: how it was seen. Keeps: the parts of a process add up to its loop: shares to 1, CPU to
what the kernel has counted for that thread. What waits (parts.WAITS) has a share of the time and no CPU.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from hfzmq.cli.bench.compare import short
from tests.profile.parts import ORDER, OTHER, WAITS, place_of
from tests.profile.record import Look, Recorded
from tests.profile.stacks import MAIN
from tests.profile.threads import LOOP

OTHERS_NAMED = 5  # of the functions in OTHER


def figures(recorded: Recorded) -> dict[str, Any]:
    """Of one run; CPU in us a report."""
    looks = {role: of_process(look, recorded.reports) for role, look in recorded.looks.items()}
    return {"reports": recorded.reports, "lasted_s": round(recorded.lasted_s, 2), **looks}


def of_process(look: Look, reports: int) -> dict[str, Any]:
    """Of one process. ValueError: its loop was never seen at work."""
    seen: Counter[str] = Counter()
    unnamed: Counter[str] = Counter()
    for stack in look.stacks:
        if stack.thread == MAIN:
            place = place_of(stack.frames)
            seen[place.part] += stack.looks
            if place.part == OTHER:
                unnamed[place.said_by] += stack.looks
    whole, at_work = seen.total(), sum(count for part, count in seen.items() if part not in WAITS)
    if not at_work or not reports:
        raise ValueError(f"{whole} looks at the loop, {at_work} of them at work, {reports} reports: too few to tell")
    us = {kind: cpu_s / reports * 1e6 for kind, cpu_s in look.by_kind.items()}
    parts = {
        part: {
            "share": round(seen[part] / whole, 4),
            "cpu_us": 0 if part in WAITS else short(us[LOOP] * seen[part] / at_work),
        }
        for part in ORDER
        if seen[part]
    }
    return {
        "looks": whole,
        "cpu_us": short(look.cpu_s / reports * 1e6),
        "threads_cpu_us": {kind: short(value) for kind, value in us.items()},
        "parts": parts,
        "other": {name: round(count / whole, 4) for name, count in unnamed.most_common(OTHERS_NAMED)},
    }
