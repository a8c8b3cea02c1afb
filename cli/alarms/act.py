"""Acting on alarms: the leader is asked, over any failover, until it says that it is so.

Touches sockets (through client.ask) and the monotonic clock. Must not know: the command line. Keeps: an action counts
as done only when the leader has acknowledged it; asking again is harmless, so it is asked again until the time is over.
"""

from __future__ import annotations

import getpass
import time
from typing import NamedTuple

from hfzmq.clinical.alarm.types import ACK, ALREADY, DISCHARGE, DONE, RESOLVE
from hfzmq.config import Config
from hfzmq.errors import HfzmqError, InvalidInput, MeshUnavailable, NotFound
from hfzmq.wire.facts import BY_CHARS_MAX

Target = int | str  # an alarm's id, or a patient's

_SEE = "see how it stands: hfzmq alarms ls; asking again is harmless"


class Acted(NamedTuple):
    """What became of an action: DONE or ALREADY, and which entry of the log says so."""

    action: str
    target: Target
    by: str
    outcome: str
    log_index: int


class Actor:
    """Acts in the name of ``by``; all that is asked for has ``timeout_s`` together."""

    def __init__(self, config: Config, by: str, timeout_s: float) -> None:
        self._config = config
        self._by = by
        self._until = time.monotonic() + timeout_s

    def act(self, action: str, target: Target) -> Acted:
        """Until the leader acknowledges. NotFound: no such alarm or bed. NoDaemonReached, NoLeader, TimedOut: not known
        to be done within the time."""
        from hfzmq.cli.leader_wait import ask_leader

        which = "patient" if isinstance(target, str) else "episode"
        left_ms = max(1, round((self._until - time.monotonic()) * 1000))
        try:
            reply = ask_leader(self._config, "alarm", {"action": action, which: target, "by": self._by}, left_ms)
        except InvalidInput as refusal:
            if refusal.field == "episode":
                raise NotFound(
                    f"there is no {name_of(target)}", hint="which there are: hfzmq alarms ls --all"
                ) from None
            raise
        except MeshUnavailable as error:
            error.hint = f"whether {name_of(target)} was {_DONE[action]} is not known; {_SEE}"
            raise
        outcome, index = reply.get("outcome"), reply.get("index")
        if outcome not in (DONE, ALREADY) or type(index) is not int:
            raise HfzmqError("the leader answered in a way this version does not know", hint="hfzmq status shows its")
        return Acted(action, target, self._by, str(outcome), index)


def name_of(target: Target) -> str:
    """``alarm 12``, ``bed bed-7``."""
    return f"alarm {target}" if isinstance(target, int) else f"bed {target}"


def sentence(acted: Acted) -> str:
    """What a person reads."""
    if acted.outcome == DONE:
        what = "" if isinstance(acted.target, int) or acted.action == DISCHARGE else "all alarms of "
        return f"{what}{name_of(acted.target)}: {_DONE[acted.action]} by {acted.by}"
    return f"{name_of(acted.target)}: {_BEFORE[acted.action]}"


def login_name() -> str:
    """Who is at this terminal; InvalidInput where the system does not know, or nobody could be called so."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError, ImportError):  # no such user in the system's list
        name = ""
    return checked_name(name)


def checked_name(name: str) -> str:
    """``name``, if somebody can be called so; InvalidInput."""
    if 1 <= len(name) <= BY_CHARS_MAX and name.isprintable() and name.strip() == name:
        return name
    raise InvalidInput("by", f"1 to {BY_CHARS_MAX} printable characters", got=name, hint="say who: --by NAME")


_DONE = {ACK: "acknowledged", RESOLVE: "resolved", DISCHARGE: "discharged"}
_BEFORE = {
    ACK: "already seen, or over",
    RESOLVE: "already over",
    DISCHARGE: "already discharged",
}
