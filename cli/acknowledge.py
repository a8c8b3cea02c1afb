"""The key that acknowledges: asks the leader in a thread of its own, again and again until the mesh has answered.

Touches sockets (through client.ask) and the monotonic clock. Must not know how it is drawn. Keeps: what is acknowledged
is what the person saw on top: an alarm that came there just now (OnTop) was not read, and the key only says so; one
question is under way at a time, so that a key that is held down acknowledges one alarm; ``latest`` never says that an
alarm is seen before the mesh has said so. Asking again is harmless: acknowledging is idempotent.

    key --> ASKING --the mesh's answer--> told, shown for SHOWN_MS
              '--nobody leads, busy: again, for GIVE_UP_S--> failed
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

from hfzmq.cli.alarm_view import Alarm, OnTop
from hfzmq.cli.alarms import act
from hfzmq.cli.alarms.words import CAUSE_BADGES
from hfzmq.cli.board_feed import now_ms
from hfzmq.cli.format import printable
from hfzmq.cli.screens.alarm_strip import Acknowledging
from hfzmq.clinical.alarm.types import ACK, ALREADY
from hfzmq.config import Config
from hfzmq.errors import HfzmqError, InvalidInput, NoDaemonReached, NoLeader, TimedOut

SHOWN_MS = 8_000
ASK_MS = 2_000
AGAIN_S = 0.2
GIVE_UP_S = 30.0

Ask = Callable[[Config, dict[str, object]], dict[str, Any]]


class AcknowledgeDesk:
    """``config()``: the mesh as it is known now. ``hurry``: called when the mesh has answered."""

    def __init__(
        self, config: Callable[[], Config], by: str, hurry: Callable[[], None] = lambda: None, ask: Ask | None = None
    ) -> None:
        self._config = config
        self._by = by
        self._hurry = hurry
        self._ask = ask or _ask_leader
        self._latest: Acknowledging | None = None
        self._said_at_ms = 0
        self._on_top = OnTop()

    def latest(self, at_ms: int) -> Acknowledging | None:
        """What there is to say, as long as it is news."""
        said = self._latest
        return said if said is not None and (said.asking or at_ms - self._said_at_ms <= SHOWN_MS) else None

    def drew(self, top: Alarm | None, at_ms: int) -> None:
        """This alarm is on top of the screen from now on."""
        self._on_top.drew(top, at_ms)

    def press(self, top: Alarm | None, at_ms: int) -> None:
        """The key: acknowledge ``top``, which is what was drawn last."""
        if self._latest is not None and self._latest.asking:
            return
        if top is None:
            self._say(Acknowledging(0, "no alarm waits for anybody", False))
        elif not self._on_top.was_read(top, at_ms):
            self._say(Acknowledging(top.id, "the alarm on top has just changed: read it, then press a", False, True))
        else:
            named = f"alarm {top.id}, {CAUSE_BADGES[top.cause]} of {printable(top.patient_id)}"
            self._say(Acknowledging(top.id, f"acknowledging {named} ...", True))
            threading.Thread(target=self._run, args=(top.id, named), name="acknowledge", daemon=True).start()

    def _run(self, episode: int, named: str) -> None:
        try:
            said = self._asked(episode, named)
        except Exception as error:  # it is said on the screen, which goes on
            said = Acknowledging(episode, f"NOT acknowledged: {named}: {_plain(error)}", False, True)
        self._say(said)
        self._hurry()

    def _asked(self, episode: int, named: str) -> Acknowledging:
        until = time.monotonic() + GIVE_UP_S
        while True:
            try:
                answer = self._ask(self._config(), {"action": ACK, "episode": episode, "by": self._by})
            except (NoDaemonReached, NoLeader, TimedOut) as error:
                if time.monotonic() >= until:
                    raise
                self._say(Acknowledging(episode, f"acknowledging {named} ... {_plain(error)}, asking again", True))
                time.sleep(AGAIN_S)
                continue
            if answer.get("outcome") == ALREADY:
                return Acknowledging(episode, f"{named}: somebody had seen it already, or it is over", False)
            return Acknowledging(episode, f"{named}: acknowledged by {printable(self._by)}", False)

    def _say(self, said: Acknowledging) -> None:
        self._said_at_ms = now_ms()
        self._latest = said


def login_name() -> str:
    """Who sits here; by number where the system knows no name that the mesh would take."""
    try:
        return act.login_name()
    except InvalidInput:
        return f"user {os.getuid()}"


def _plain(error: Exception) -> str:
    if isinstance(error, InvalidInput):
        return printable(f"{error.field}: {error.bound}")
    return printable(str(error)) if isinstance(error, HfzmqError) else f"{type(error).__name__}: {error}"


def _ask_leader(config: Config, fields: dict[str, object]) -> dict[str, Any]:
    from hfzmq.client.ask import ask_leader

    return ask_leader(config, "alarm", fields, ASK_MS)
