"""How long a client rests after it has asked every peer in vain.

Touches nothing. Keeps: 0.1 s at first; while somebody answers it stays so for as long as an election takes, so that a
new leader is found soon after it was elected; when nobody does, it doubles up to 5 s. Always with jitter, so that the
beds of a ward do not knock in step.

The first rests after somebody has served are shorter, as long as peers answer: a leader that is stopped hands over
within some ten milliseconds, and a rest of 0.1 s would be most of what a writer waits then.
"""

from __future__ import annotations

from random import Random

BACKOFF_MIN_MS = 100.0
BACKOFF_MAX_MS = 5000.0
HAND_OVER_MS = (20.0, 40.0, 80.0)  # the first rests, where peers answer
PATIENT_MS = 4000.0  # rests of 0.1 s for so long: an election takes one or two seconds
ANSWERED_MAX_MS = 1000.0  # beyond that: a mesh without a quorum is not knocked on ten times a second by every bed
JITTER = 0.2


class Backoff:
    """Counts fruitless rounds in a row. ``rng`` is handed in, so that a seed replays."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.reset()

    def reset(self) -> None:
        """Somebody served: the next trouble starts small again."""
        self._silent_ms = self._answered_ms = BACKOFF_MIN_MS
        self._rested_ms = 0.0
        self._quick = list(HAND_OVER_MS)

    def next_ms(self, *, answered: bool) -> float:
        """The next rest in milliseconds; ``answered``: some peer of the mesh said something in the last round."""
        if answered:
            self._silent_ms = BACKOFF_MIN_MS
            rest = self._quick.pop(0) if self._quick else self._answered_ms
            self._rested_ms += rest
            if self._rested_ms > PATIENT_MS:
                self._answered_ms = min(self._answered_ms * 1.5, ANSWERED_MAX_MS)
        else:
            self._quick.clear()
            rest = self._silent_ms
            self._silent_ms = min(self._silent_ms * 2, BACKOFF_MAX_MS)
        return rest * self._rng.uniform(1 - JITTER, 1 + JITTER)
