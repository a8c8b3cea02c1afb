"""What ``hfzmq check`` asks about patients: RED alarms that nobody has seen.

Touches sockets (through client.ask). Keeps: all open alarms are looked at, however many; an alarm whose cause is over
counts until somebody has seen it; how long one has waited is told by the log's clock, which alarms are stamped with.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from hfzmq.cli.format import counted
from hfzmq.cli.nagios import CRITICAL, WARNING, Finding
from hfzmq.clinical.alarm.types import RED, UNSEEN
from hfzmq.config import Config

if TYPE_CHECKING:
    from hfzmq.cli.peer_view import PeerView

ALARMS_ASKED = 1000


class Unseen(NamedTuple):
    """RED alarms that nobody has seen, whether the cause is still on or is over: how many, and for how long the oldest
    has waited, s."""

    many: int
    oldest_s: float


def judge_unseen(unseen: Unseen, warning_s: float, critical_s: float) -> Iterator[Finding]:
    """One finding, where the oldest has waited for so long; else none."""
    if unseen.many and unseen.oldest_s >= warning_s:
        code = CRITICAL if unseen.oldest_s >= critical_s else WARNING
        yield Finding(code, f"{counted(unseen.many, 'RED alarm')} unseen, the oldest for {unseen.oldest_s:.0f} s")


def unseen_red(config: Config, teller: PeerView, timeout_ms: int) -> Unseen | None:
    """As one peer tells it; None when it does not."""
    from hfzmq.client.ask import ask_all

    raised: list[int] = []
    last_id, more, now_ms = 0, True, 0
    by_ms = time.monotonic() * 1000 + timeout_ms
    try:
        while more:
            fields: dict[str, object] = {"state": "open", "after_id": last_id, "limit": ALARMS_ASKED}
            left_ms = max(1, round(by_ms - time.monotonic() * 1000))
            answer = ask_all(config, "alarms", fields, timeout_ms=left_ms, only=teller.id).get(teller.id) or {}
            names: list[str] = answer["fields"]
            number, cause, state, raised_at = map(names.index, ("id", "cause", "state", "raised_at_ms"))
            raised += [row[raised_at] for row in answer["rows"] if row[cause] == RED and row[state] in UNSEEN]
            now_ms = answer.get("log_now_ms", teller.now_ms or 0)  # which is of an older daemon: its wall clock
            more = answer["more"] is True and bool(answer["rows"])
            last_id = answer["rows"][-1][number] if more else 0
        oldest_ms = now_ms - min(raised) if raised else 0
    except (KeyError, ValueError, TypeError, IndexError, AttributeError):
        return None
    return Unseen(len(raised), max(0, oldest_ms) / 1000)
