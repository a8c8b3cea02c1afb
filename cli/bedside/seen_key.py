"""The key that says that the alarm on top was seen at the bed.

Touches nothing: what was drawn, and when, comes in. Must not know: terminals, who takes it down. Keeps: what is seen is
what stood on top long enough to be read (the rule of the dashboard, see OnTop); a key that came too soon only says so.
"""

from __future__ import annotations

from hfzmq.cli.alarm_view import Alarm, OnTop
from hfzmq.cli.bedside.status import BedsideStatus

SEEN_KEY, TOO_SOON, QUIT_KEY = "a alarm on top seen here", "new on top: read it, then a", "q quit"
SHOWN_MS = 8_000  # so long it says that a key came too soon


class SeenKey:
    """All times are the monotonic clock that a status is drawn at, in ms."""

    def __init__(self) -> None:
        self._on_top = OnTop()
        self._top: Alarm | None = None
        self._too_soon_at_ms: int | None = None

    def drew(self, status: BedsideStatus) -> str:
        """This is on the screen from now on; the words about the keys that belong on it."""
        self._top = next((alarm for alarm in status.alarms if alarm.unseen), None)
        self._on_top.drew(self._top, status.now_ms)
        if self._top is None:
            return QUIT_KEY
        too_soon = self._too_soon_at_ms is not None and status.now_ms - self._too_soon_at_ms <= SHOWN_MS
        return f"{TOO_SOON if too_soon else SEEN_KEY}  {QUIT_KEY}"

    def press(self, at_ms: int) -> int | None:
        """The episode that was seen; None: there is none, or it came on top just now."""
        if self._top is None:
            return None
        read = self._on_top.was_read(self._top, at_ms)
        self._too_soon_at_ms = None if read else at_ms
        return self._top.id if read else None
