"""What waits for the disk: the next Persist as it gathers, and the answers that may leave once it is synced.

Touches nothing. Must not know: why something is written or promised. Keeps (I3): a promise leaves only when everything
this peer had been told to write before it is on synced storage; promises of a term that is over never leave, for a
later vote may have been given against them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from hfzmq.core.contract import Effect, Persist, Send
from hfzmq.core.messages import Message
from hfzmq.core.types import Entry, HardState


class Promises:
    """``synced_ms`` is when the disk last finished something."""

    def __init__(self, me: int, hard_state: HardState, now_ms: float) -> None:
        self._me = me
        self._token = 0  # the last Persist handed out
        self._synced = 0  # the last that came back
        self.synced_ms = now_ms
        self._waiting_since_ms = now_ms
        self._written = hard_state
        self._truncate_from: int | None = None
        self._added: list[Entry] = []
        self._fresh: list[tuple[int, Message]] = []  # of the step under way
        self._held: deque[tuple[int, int, Message]] = deque()  # (token, to, message)

    @property
    def idle(self) -> bool:
        """Whether nothing is being written."""
        return self._synced == self._token

    def waiting_ms(self, now_ms: float) -> float:
        """How long the disk has been at what it writes; 0 when it writes nothing."""
        return 0.0 if self.idle else now_ms - self._waiting_since_ms

    def promise(self, to: int, message: Message) -> None:
        """Send it once what has been handed out, and what this step adds, is synced. To oneself: ``persisted`` returns
        it."""
        self._fresh.append((to, message))

    def forget(self) -> None:
        """The term is over: nothing that was promised in it leaves any more."""
        self._held.clear()
        self._fresh.clear()

    def add(self, entries: Iterable[Entry]) -> None:
        """To be written: more log."""
        self._added.extend(entries)

    def drop_from(self, index: int) -> None:
        """To be written: less log."""
        self._added = [entry for entry in self._added if entry.index < index]
        self._truncate_from = index if self._truncate_from is None else min(index, self._truncate_from)

    def hand_out(self, now_ms: float, hard_state: HardState, probe: bool = False) -> tuple[int | None, list[Effect]]:
        """The Persist that has gathered, with its token (None where there is nothing to write), and what may be sent
        without waiting. ``probe``: write in any case."""
        out: list[Effect] = []
        token = None
        changed = hard_state != self._written
        if changed or self._added or self._truncate_from is not None or probe:
            if self.idle:
                self._waiting_since_ms = now_ms
            self._token = token = self._token + 1
            out.append(Persist(token, hard_state if changed else None, self._truncate_from, tuple(self._added)))
            self._written = hard_state
            self._truncate_from = None
            self._added = []
        for to, message in self._fresh:
            if self._synced == self._token and to != self._me:
                out.append(Send(to, message))
            else:
                self._held.append((self._token, to, message))
        self._fresh.clear()
        return token, out

    def persisted(self, now_ms: float, token: int) -> list[tuple[int, Message]]:
        """The disk has synced everything up to ``token``: what may leave now."""
        self._synced = max(self._synced, token)
        self.synced_ms = self._waiting_since_ms = now_ms
        released = []
        while self._held and self._held[0][0] <= token:
            released.append(self._held.popleft()[1:])
        return released
