"""Words for a bed that speaks more seldom than the mesh waits for it: it would be told NO DATA between two readings.

Touches nothing: rules and the interval come in. Must not know: where they are from, how it is shown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from hfzmq.cli.format import printable
from hfzmq.clinical.alarm.reach import LATE_MS, TooSeldom, too_seldom
from hfzmq.clinical.alarm.rules import AlarmRules

BEDS_NAMED = 3


def seldom_words(rules: AlarmRules, interval_s: float, patients: Sequence[str], option: str) -> str:
    """'' where a bed that measures every ``interval_s`` is heard in time. ``option``: what sets it, such as
    ``--interval``; a higher ``--rate`` is a shorter interval."""
    found = too_seldom(rules, interval_s * 1000, patients)
    if not found:
        return ""
    shortest_s = (min(one.limit_ms for one in found) - LATE_MS) / 1000
    if option == "--rate":
        every = f"comes every {interval_s:.3g} s" if math.isfinite(interval_s) else "never comes"
        what, mend = f"a heart rate that can be believed {every}", "a higher --rate, a smaller --invalid"
    else:
        what = f"readings of a bed lie {interval_s:g} s apart"
        mend = f"{option} {shortest_s:g} or less" if shortest_s > 0 else f"a shorter {option}"
    return (
        f"{what}, and the mesh tells NO DATA of {_limits(found)}: a healthy bed would alarm between two readings. Give "
        f"{mend}, or a higher limit in the peers.yaml of all machines"
    )


def _limits(found: Sequence[TooSeldom]) -> str:
    parts = [
        f"{printable(one.patient_id)} after {one.limit_ms / 1000:g} s (alarms.rules.expected)"
        if one.patient_id
        else f"a bed after {one.limit_ms / 1000:g} s of silence (alarms.rules.silent_ms)"
        for one in found[: BEDS_NAMED + 1]
    ]
    more = len(found) - len(parts)
    return ", of ".join(parts) + (f", and of {more} more" if more else "")
