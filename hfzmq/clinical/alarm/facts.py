"""What the log tells the alarms beside reports and readings: one noun each, carried by ``wire.facts``.

Touches nothing. Must not know: how they are packed, who proposed them. Each is harmless when it comes again.
"""

from __future__ import annotations

from typing import NamedTuple

from hfzmq.clinical.alarm.rules import AlarmRules


class Clock(NamedTuple):
    """Nothing but the entry's stamp: something is due."""


class RulesSet(NamedTuple):
    """These rules are in force from now on."""

    rules: AlarmRules


class Sign(NamedTuple):
    """A bed's last judgement, as its client tells it in between: a sign of life, and of calm if the tier is GREEN."""

    patient_id: str
    timestamp: int
    tier: str
    probability: float


class Action(NamedTuple):
    """An operator acts: ``action`` is one of ACTIONS, ``target`` an episode's id or a patient's, ``by`` a name."""

    action: str
    target: int | str
    by: str


class Sent(NamedTuple):
    """A notification was delivered, by the last of so many ``tries``; or it has failed (not ``ok``), ``why`` says what
    was wrong, and it is tried again."""

    episode_id: int
    step: int
    channel: str
    ok: bool
    tries: int = 1
    why: str = ""


Fact = Clock | RulesSet | Sign | Action | Sent
