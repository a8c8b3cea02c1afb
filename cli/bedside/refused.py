"""A key that the mesh refuses: since when, and a word about it now and then, or it is buried under readings.

Touches the clocks; the client is handed in. Must not know: how it is told. Keeps: said again every AGAIN_S for as long
as it is so, and no longer; ``since`` is the first refusal of the present row of them.
"""

from __future__ import annotations

from typing import Any

from hfzmq.cli.bedside.sources import mono_ms, wall_ms
from hfzmq.client.client import Courier
from hfzmq.client.pirate import KEY_REFUSED

Event = dict[str, Any]

AGAIN_S = 60.0


class Refused:
    """Takes a run's events down. ``since``: Unix ms; None: the key is not refused, as far as is known."""

    def __init__(self, courier: Courier) -> None:
        self.since: int | None = None
        self._courier = courier
        self._due_ms = 0

    def take(self, event: Event) -> None:
        """One event of the run."""
        if event["event"] == "connected":
            self.since = None
        elif event["event"] == "disconnected" and event["link"] == KEY_REFUSED and self.since is None:
            self.since = wall_ms()
            self._due_ms = mono_ms() + int(AGAIN_S * 1000)

    def again(self) -> Event | None:
        """The event that says so once more, when it is time."""
        if self.since is None or mono_ms() < self._due_ms:
            return None
        self._due_ms = mono_ms() + int(AGAIN_S * 1000)
        why = self._courier.refusal()
        if why is None:  # away by now, which nobody is told of
            self.since = None
            return None
        return {"event": "refused", "why": str(why), "hint": why.hint, "since": self.since}
