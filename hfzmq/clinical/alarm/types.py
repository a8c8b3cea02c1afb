"""The nouns of alarms: causes, states, and the rows in which a bed and an episode are kept.

Touches nothing. Keeps: every value is plain (whole numbers, floats, text, None, tuples of these), so that a table can
hold it; what is rebuilt from these rows behaves exactly like what wrote them. All ``*_at_ms`` are the log's clock (the
leaders' stamps, which never go back); ``*timestamp`` is the bedside's own clock. Both are Unix milliseconds UTC.

    (no episode) --raised--> unacknowledged --returned--> returned --acknowledged--> normal
                                |       ^                    |
                                |       '-----recurred-------'
                                '--acknowledged--> acknowledged --returned--> normal
    any but normal --resolved | discharged--> normal         an AMBER that is not normal --folded into a RED--> normal
"""

from __future__ import annotations

from typing import NamedTuple

from hfzmq.clinical.alarm.rules import AlarmRules

# ------------------------------------------------------------ causes; the most urgent first

RED, HEART_RATE, NO_DATA, AMBER = "RED", "HEART_RATE", "NO_DATA", "AMBER"
CAUSES = (RED, HEART_RATE, NO_DATA, AMBER)

RED_BIT, RATE_BIT, SILENT_BIT, AMBER_BIT = 1, 2, 4, 8  # of Bed.active and Bed.muted
BIT_OF = {RED: RED_BIT, HEART_RATE: RATE_BIT, NO_DATA: SILENT_BIT, AMBER: AMBER_BIT}

# What of a bed is silent (Bed.silent), and the note that says so. A bed is missed by each source that it has ever used.
RISK_GONE, RATE_GONE, NEVER_HEARD = 1, 2, 4
SOURCES = RISK_GONE | RATE_GONE
MISSING_WORDS = {NEVER_HEARD: "never heard", RATE_GONE: "no heart rate", RISK_GONE: "no risk judgement"}


# ------------------------------------------------------------ states of an episode

UNACKNOWLEDGED, ACKNOWLEDGED, RETURNED, NORMAL = "unacknowledged", "acknowledged", "returned", "normal"
STATES = (UNACKNOWLEDGED, ACKNOWLEDGED, RETURNED, NORMAL)
UNSEEN = (UNACKNOWLEDGED, RETURNED)  # these escalate
RUNNING = (UNACKNOWLEDGED, ACKNOWLEDGED)  # the cause is on

# How an episode came to be normal (Episode.resolved_how).
SEEN, RESOLVED, FOLDED, DISCHARGED = "seen", "resolved", "folded", "discharged"

# ------------------------------------------------------------ actions and their outcomes

ACK, RESOLVE, DISCHARGE = "ack", "resolve", "discharge"
ACTIONS = (ACK, RESOLVE, DISCHARGE)
DONE, ALREADY, NOT_FOUND = "done", "already", "not found"

# ------------------------------------------------------------ lines of the journal (Event.what)

RAISED, RECURRED, CAUSE_ENDED, WAS_ACKNOWLEDGED, MISSING = "raised", "recurred", "returned", "acknowledged", "missing"
ESCALATED, ENDED, SENT, FAILED = "escalated", "ended", "sent", "failed"
WHAT = (RAISED, RECURRED, CAUSE_ENDED, WAS_ACKNOWLEDGED, MISSING, ESCALATED, ENDED, SENT, FAILED, DISCHARGED)


class Listening(NamedTuple):
    """When a silence counts, for all beds alike. The *listened clock* is the log's, less all the time for which nobody
    listened: what beds keep by it need not be touched when that happens, however many there are."""

    unheard_ms: int = 0  # for so long nobody listened, in all
    again_ms: int = 0  # by the listened clock: no silence counts from before
    hushed_until_ms: int = 0  # by the log's clock: no silence is told before


class Bed(NamedTuple):
    """What is remembered of one bed. Each ``*_from_ms`` is by the listened clock."""

    patient_id: str
    watched: bool  # False: discharged, or never expected; no NO_DATA until it speaks
    last_at_ms: int  # when anything believable was last taken in; 0: never
    quiet_from_ms: int  # since when its silence counts, as long as it has not spoken
    risk_at_ms: int  # when a judgement (report or sign) was last taken in; 0: never since it was admitted
    risk_from_ms: int  # since when the silence of its judgements counts; 0: it has told none, and none is missed
    beat_at_ms: int  # when a heart rate that can be believed was last taken in; 0: never since it was admitted
    beat_from_ms: int  # since when the silence of its heart rates counts; 0: it has told none, not even one of 0
    silent: int  # bits of what is missing
    sign_timestamp: int  # the newest that was told, by the bedside's clock; 0: nothing
    last_timestamp: int  # of the last judgement: the last report, or GREEN sign, that was not late; 0: none
    judged_at_ms: int  # when that was
    report_id: int  # the last report that was not late, 0: none
    tier: str  # of the last judgement, '' for none
    probability: float | None
    active: int  # bits of the causes that are on, be there an episode or not
    muted: int  # bits of the causes that raise nothing until they have ended and come again
    red_count: int  # readings of the RED streak
    red_from: int  # by the bedside's clock: where the last RED began
    red_over: int  # and where it had ended
    amber_recent: int  # the last readings, newest in bit 0: 1 for AMBER or above
    amber_ms: int  # how long the AMBER streak has run, gaps left out
    amber_at_ms: int  # the streak's last reading; 0: there is no streak
    rate_count: int  # readings of the heart-rate streak
    rate_ms: int
    rate_at_ms: int
    rate_back: int  # believable readings within the range since the last one outside, while the cause is on


class Episode(NamedTuple):
    """One alarm of one patient for one cause, from raised to normal."""

    id: int
    patient_id: str
    cause: str
    state: str
    raised_at_ms: int
    raised_by: int  # id of the report (RED, AMBER) or heartbeat (HEART_RATE) that raised it; 0: a timer or a sign
    note: str  # RED, AMBER: of the last value, see ``notes``; the anomaly that raised it; NO_DATA: what is missing
    value: float | None  # the last: a probability, or beats a minute; None: NO_DATA
    least: float | None  # since it was raised
    most: float | None
    acknowledged_at_ms: int | None
    acknowledged_by: str  # '' as long as nobody has
    returned_at_ms: int | None  # None while the cause is on
    resolved_at_ms: int | None  # when it became normal
    resolved_how: str  # SEEN, RESOLVED, FOLDED, DISCHARGED; '' before
    resolved_by: str  # the operator; '' for SEEN and FOLDED
    step: int  # how many steps of the escalation were reached; the first is 1
    step_at_ms: int  # when the last of them was; 0: none yet
    sent: tuple[str, ...]  # 'STEP:CHANNEL' of what was delivered, in that order
    failing: tuple[str, ...] = ()  # likewise of what has failed, and was not delivered since


class Event(NamedTuple):
    """One line of an episode's journal, never changed again. ``episode_id`` 0: about a bed (discharged)."""

    episode_id: int
    at_ms: int
    what: str  # one of WHAT
    detail: (
        str  # raised, missing: the note; acknowledged, ended: by whom or how; escalated: step; sent, failed: sent_label
    )


class Calmed(NamedTuple):
    """A HEART_RATE or NO_DATA episode became normal: what stands open in heartbeat_alerts of this patient up to now is
    resolved (HEART_RATE: the category physiological_anomaly; NO_DATA: the two others)."""

    patient_id: str
    cause: str


class Changes(NamedTuple):
    """What is to be written, in one transaction with the entries that made it. ``beds`` and ``episodes`` replace the
    rows of their ids; ``events`` are added; ``rules`` is None when they are as before. ``heard``: (patient_id, ms) of
    beds that are not in ``beds``, whose row stays but for ``last_at_ms`` and ``beat_at_ms``, which are this, and
    ``beat_from_ms``, the same by the listened clock."""

    now_ms: int
    term: int
    listening: Listening
    next_id: int
    rules: AlarmRules | None
    beds: tuple[Bed, ...]
    heard: tuple[tuple[str, int], ...]
    episodes: tuple[Episode, ...]
    events: tuple[Event, ...]
    alerted: tuple[int, ...]  # ids of the reports that raised a RED or AMBER episode: alert_sent = 1
    calmed: tuple[Calmed, ...]


class Owed(NamedTuple):
    """A notification that is not known to be delivered."""

    episode: Episode
    step: int
    channel: str
