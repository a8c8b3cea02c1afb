"""When to ring.

Touches nothing. Keeps: on the board, the same episode never rings twice, also when an older answer comes in between; at
a bed it rings on until somebody has seen it or the mesh is back, and a notice (AMBER) rings once.
"""

from __future__ import annotations

from collections.abc import Iterable

from hfzmq.cli.alarm_view import AlarmView
from hfzmq.clinical.alarm.types import AMBER, RED

AGAIN_MS = 4_000


class Bell:
    """On the board: ``rings(view)`` is True once for whatever is new in it."""

    def __init__(self, mute: bool = False) -> None:
        self._mute = mute
        self._rung: set[int] = set()

    def rings(self, view: AlarmView) -> bool:
        """Whether there is a RED that is not seen and was not rung for."""
        new = {alarm.id for alarm in view.alarms if alarm.cause == RED and alarm.unseen} - self._rung
        self._rung |= new
        return bool(new) and not self._mute


class BedBell:
    """At a bed: again and again while it sounds."""

    def __init__(self, mute: bool = False) -> None:
        self._mute = mute
        self._rung: set[int] = set()
        self._last_ms: int | None = None

    def rings(self, unseen: Iterable[tuple[int, str]], away: bool, now_ms: int) -> bool:
        """``unseen``: (id, cause) of the bed's own alarms; ``away``: nobody else tells of them."""
        these = tuple(unseen)
        if not away:
            self._rung.clear()
        if not away or not these or self._mute:
            return False
        new = {number for number, _ in these} - self._rung
        self._rung |= new
        again = self._last_ms is None or now_ms - self._last_ms >= AGAIN_MS
        if not new and not (again and any(cause != AMBER for _, cause in these)):
            return False
        self._last_ms = now_ms
        return True
