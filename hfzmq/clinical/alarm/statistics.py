"""How a ward lives with its alarms: how many, who makes most of them, how soon they are seen.

Touches nothing. Keeps: what is not known yet (an unseen alarm that is younger than the limit) counts neither way; what
nobody could see in time counts for no share: a notice that a RED took the place of, and the unseen alarms of a bed that
was discharged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from hfzmq.clinical.alarm.rules import DAY_MS
from hfzmq.clinical.alarm.types import CAUSES, DISCHARGED, FOLDED, Episode


class AlarmStats(NamedTuple):
    """Of the episodes raised in a span of time."""

    raised: int
    by_cause: tuple[tuple[str, int], ...]  # in the order of CAUSES
    per_bed_and_day: float | None  # None: no bed, or no time
    judged: int  # how many there are of whom it is known whether they were seen in time
    seen_in_time: int
    share_seen_in_time: float | None  # None: nothing to judge
    seen_after_ms: int | None  # median of those that were seen, whenever
    unseen: int  # and still so
    escalated: tuple[int, ...]  # how many reached the second step, the third, ...
    noisiest: tuple[tuple[str, int], ...]  # (patient_id, episodes), the most first


def seen_at_ms(episode: Episode) -> int | None:
    """When an operator's hand first touched it; None: not so far, or its bed was discharged before."""
    if episode.acknowledged_at_ms is not None:
        return episode.acknowledged_at_ms
    return episode.resolved_at_ms if episode.resolved_by and episode.resolved_how != DISCHARGED else None


def statistics(
    episodes: Iterable[Episode], since_ms: int, until_ms: int, beds: int, *, within_ms: int = 60_000, noisiest: int = 5
) -> AlarmStats:
    """Of the episodes raised from ``since_ms`` until before ``until_ms`` (now, or earlier), on a ward of ``beds``."""
    chosen = [one for one in episodes if since_ms <= one.raised_at_ms < until_ms]
    judged = in_time = unseen = 0
    waits = []
    for one in chosen:
        seen = seen_at_ms(one)
        if seen is not None:
            waits.append(seen - one.raised_at_ms)
        elif one.resolved_how in (FOLDED, DISCHARGED):
            continue
        else:
            unseen += 1
        soon = seen is not None and seen - one.raised_at_ms <= within_ms
        if soon or until_ms - one.raised_at_ms > within_ms:
            judged, in_time = judged + 1, in_time + soon
    waits.sort()
    causes, patients = Counter(one.cause for one in chosen), Counter(one.patient_id for one in chosen)
    bed_days = beds * (until_ms - since_ms) / DAY_MS
    steps = max((one.step for one in chosen), default=0)
    return AlarmStats(
        len(chosen),
        tuple((cause, causes[cause]) for cause in CAUSES),
        len(chosen) / bed_days if bed_days > 0 else None,
        judged,
        in_time,
        in_time / judged if judged else None,
        waits[len(waits) // 2] if waits else None,
        unseen,
        tuple(sum(one.step >= step for one in chosen) for step in range(2, steps + 1)),
        tuple(sorted(patients.items(), key=lambda one: (-one[1], one[0]))[:noisiest]),
    )
