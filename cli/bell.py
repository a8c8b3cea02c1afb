"""When to ring: once for each RED that nobody has seen, however often it is shown.

Touches nothing. Keeps: the same episode never rings twice, also when an older answer comes in between.
"""

from __future__ import annotations

from hfzmq.cli.alarm_view import AlarmView
from hfzmq.clinical.alarm.types import RED


class Bell:
    """``rings(view)`` is True once for whatever is new in it."""

    def __init__(self, mute: bool = False) -> None:
        self._mute = mute
        self._rung: set[int] = set()

    def rings(self, view: AlarmView) -> bool:
        """Whether there is a RED that is not seen and was not rung for."""
        new = {alarm.id for alarm in view.alarms if alarm.cause == RED and alarm.unseen} - self._rung
        self._rung |= new
        return bool(new) and not self._mute
