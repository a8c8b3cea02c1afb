"""Heart rates and facts of a history, drawn: what makes beds, episodes, alerts and lines of the journal change.

Touches nothing. Must not know: the disk, the storage. Keeps: what is drawn is what a leader could have proposed.
"""

from __future__ import annotations

import random

from hfzmq.clinical.alarm.episodes import KEEP_ENDED_MS
from hfzmq.clinical.alarm.facts import Action, Clock, Fact, RulesSet, Sent, Sign
from hfzmq.clinical.alarm.rules import AlarmRules
from hfzmq.clinical.alarm.types import ACTIONS
from hfzmq.clinical.heart_rate import VERDICTS
from hfzmq.wire.readings import JudgedReading
from tests.integration.storage_world import Tape

BEDS = 9  # some of them have reports, too
LATER_MS = (0, 0, 0, 700, 5_000, 20_000, 70_000, KEEP_ENDED_MS)  # silence, steps of the escalation, what is forgotten
RATES = {None: (72.0, 72.0, 91.5), "high": (150.0,), "low": (41.0,), "sensor_off": (0.0, -1.0)}
RULES = (AlarmRules(), AlarmRules(silent_ms=10_000, rate_readings=2), AlarmRules(red_readings=2, steps_ms=(0, 5_000)))


def drawn_reading(rng: random.Random, now_ms: int) -> JudgedReading:
    """A heart rate with its verdict."""
    verdict = rng.choice((0, 0, 0, *range(len(VERDICTS))))
    anomaly = VERDICTS[verdict].anomaly
    value = rng.choice(RATES.get(anomaly, (None,)))
    payload = "?!" if anomaly == "unparsable" else ""
    return JudgedReading(f"bed-{rng.randrange(BEDS)}", now_ms - rng.randint(0, 2000), value, payload, verdict)


def drawn_fact(rng: random.Random, tape: Tape) -> Fact:
    """What a leader tells the alarms; some of it is about what is not there."""
    alarms = tape.tables.alarms
    bed, episode = f"bed-{rng.randrange(BEDS)}", max(1, alarms.next_id - rng.randrange(6))
    kind = rng.randrange(8)
    if kind < 2:
        return Clock()
    if kind == 2:
        return RulesSet(rng.choice(RULES))
    if kind == 3:
        return Sign(bed, tape.now_ms, rng.choice(("GREEN", "AMBER")), 0.1)
    if kind < 6:
        return Action(rng.choice(ACTIONS), rng.choice((bed, episode)), "ann")
    return Sent(episode, 1, rng.choice(("log", "pager")), rng.random() < 0.7)
