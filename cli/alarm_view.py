"""The open alarms of the mesh, from the peers' answers to ``beds``: the most urgent first.

Touches nothing: answers come in. Must not know: sockets, screens. Keeps: all alarms of a view come from one answer, of
the peer that has applied most; an older answer never replaces a newer one within SLIDE_BACK_MS (after that, the newer
history is gone and the older one is what there is); a row that cannot be read is counted, never dropped in silence; an
alarm is never made to look younger than it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from hfzmq.clinical.alarm.types import CAUSES, RETURNED, STATES, UNSEEN
from hfzmq.clinical.report import check_patient_id

ALARMS_MAX = 1000  # so many at most are in an answer
SLIDE_BACK_MS = 3_000
ON_TOP_MS = 700  # so long it takes to read what came on top of a screen
HERE = "here"  # seen at the bed itself, of which the mesh need not know


class Alarm(NamedTuple):
    """An episode that is not over. ``raised_at_ms``: this machine's monotonic clock."""

    id: int
    patient_id: str
    cause: str
    state: str
    raised_at_ms: int
    note: str
    value: float | None
    seen_by: str
    step: int
    least: float | None = None  # since it was raised
    most: float | None = None

    @property
    def unseen(self) -> bool:
        """Whether nobody has acknowledged it."""
        return self.state in UNSEEN

    @property
    def is_over(self) -> bool:
        """Whether its cause has ended before anybody saw it."""
        return self.state == RETURNED


class AlarmView(NamedTuple):
    """``alarms``: by ``urgency``. ``told_at_ms``: when they came, None: never. ``unreadable``: rows that made no sense.
    ``cut``: there may be more than an answer holds."""

    alarms: tuple[Alarm, ...] = ()
    applied_index: int = 0
    told_at_ms: int | None = None
    unreadable: int = 0
    cut: bool = False

    @property
    def top(self) -> Alarm | None:
        """The one to be acknowledged first."""
        return self.alarms[0] if self.alarms and self.alarms[0].unseen else None


class OnTop:
    """What stands on top of a screen, and since when: an alarm that came there within ON_TOP_MS was not read by whoever
    presses a key. Times are monotonic, in ms."""

    def __init__(self) -> None:
        self._top: int | None = None
        self._since_ms = 0

    def drew(self, top: Alarm | None, at_ms: int) -> None:
        """This alarm is on top of the screen from now on."""
        number = None if top is None else top.id
        if number != self._top:
            self._top, self._since_ms = number, at_ms

    def was_read(self, top: Alarm, at_ms: int) -> bool:
        """Whether ``top`` has stood there for long enough."""
        return top.id == self._top and at_ms - self._since_ms >= ON_TOP_MS


def urgency(alarm: Alarm) -> tuple[bool, int, int, int]:
    """Sorts: the unseen first, RED, HEART RATE, NO DATA, AMBER, the oldest first."""
    return not alarm.unseen, CAUSES.index(alarm.cause), alarm.raised_at_ms, alarm.id


def merge_alarms(before: AlarmView, answers: Iterable[Mapping[str, Any] | None], now_ms: int) -> AlarmView:
    """``before`` brought up to date by peers' answers that came at ``now_ms`` (monotonic)."""
    told = [answer for answer in answers if answer is not None and _tells(answer)]
    if not told:
        return before
    best = max(told, key=lambda answer: answer["applied_index"])
    index = best["applied_index"]
    if before.told_at_ms is not None and index < before.applied_index and now_ms - before.told_at_ms <= SLIDE_BACK_MS:
        return before
    fields = list(best["alarm_fields"])
    log_ms = best["log_now_ms"] if _is_int(best.get("log_now_ms")) else best["now_ms"]  # an older daemon tells its own
    found = [_alarm(fields, row, log_ms, now_ms) for row in best["alarms"]]
    alarms = sorted((alarm for alarm in found if alarm is not None), key=urgency)
    return AlarmView(tuple(alarms), index, now_ms, found.count(None), len(found) >= ALARMS_MAX)


def of_each_bed(alarms: Iterable[Alarm]) -> dict[str, tuple[Alarm, ...]]:
    """The alarms of each patient, in their order."""
    found: dict[str, tuple[Alarm, ...]] = {}
    for alarm in alarms:
        found[alarm.patient_id] = (*found.get(alarm.patient_id, ()), alarm)
    return found


def _tells(answer: Mapping[str, Any]) -> bool:
    lists = (answer.get("alarm_fields"), answer.get("alarms"))
    numbers = (answer.get("applied_index"), answer.get("now_ms"))
    good = all(isinstance(one, (list, tuple)) for one in lists) and all(map(_is_int, numbers))
    return answer.get("status") == "OK" and good


def _alarm(fields: Sequence[Any], row: Any, log_ms: int, now_ms: int) -> Alarm | None:
    if not isinstance(row, (list, tuple)) or len(row) != len(fields):
        return None
    told = dict(zip(fields, row, strict=True))
    value, least, most = (told.get(name) for name in ("value", "least", "most"))
    good = (
        all(_is_int(told.get(name)) for name in ("id", "raised_at_ms", "step"))
        and all(isinstance(told.get(name), str) for name in ("note", "acknowledged_by"))
        and check_patient_id(told.get("patient_id")) is None
        and told.get("cause") in CAUSES
        and told.get("state") in STATES
        and all(one is None or type(one) in (int, float) for one in (value, least, most))
    )
    if not good:
        return None
    raised_at_ms = now_ms - max(0, log_ms - told["raised_at_ms"])
    return Alarm(
        told["id"], told["patient_id"], told["cause"], told["state"], raised_at_ms, told["note"], value,
        told["acknowledged_by"], told["step"], least, most,
    )  # fmt: skip


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
