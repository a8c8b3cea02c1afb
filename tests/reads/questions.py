"""What people wait for: every question that a screen or a command asks of the tables, as the daemon answers it.

Touches nothing but the reader that it is handed. A question is asked as daemon/queries.py does it: in one snapshot, and
its answer packed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from hfzmq.clinical.heart_rate import CATEGORIES, CORRUPTED
from hfzmq.clinical.report import Report
from hfzmq.daemon.queries import _beds, _page
from hfzmq.storage import Reader
from hfzmq.wire.pages import LIMIT_DEFAULT, LIMIT_MAX, OPEN, AlarmEvents, Alarms, Alerts, Page, Readings, Reports
from hfzmq.wire.requests import encode_reply
from tests.reads.ward import Ward

ABOUT = {"peer": 1, "stale_ms": 0, "commit": 0, "log_now_ms": 1_800_000_000_000}
NEWEST = 0  # for ``before_id``


class Question(NamedTuple):
    """``ask`` gives the packed answer. ``grows``: why it may take more steps the more rows there are; '' for one that
    must not. ``may_be_late``: why it may take longer than the goal; '' for one that must not."""

    name: str
    ask: Callable[[Reader], bytes]
    grows: str = ""
    may_be_late: str = ""


EACH_PATIENT = "with the patients that ever were, up to 1,000"
READ_AHEAD = "each patient is read once after a start, by the daemon itself as soon as it rests"
SCATTERED = "a patient's thousand rows stand on as many pages, each a read of its own from a cold disk"


def questions(ward: Ward, reports: int, episode: int) -> list[Question]:
    """Of a file with so many ``reports``; ``episode``: an alarm of it."""
    middle = reports // 2

    def page(name: str, request: Page, may_be_late: str = "") -> Question:
        return Question(name, lambda reader: _page(reader, request, ABOUT), may_be_late=may_be_late)

    def stored(
        name: str, before: int | None, after: int = 0, patient: str | None = None, tier: str | None = None,
        limit: int = LIMIT_DEFAULT, may_be_late: str = "",
    ) -> Question:  # fmt: skip
        return page(f"reports: {name}", Reports(after, before, limit, patient, tier, False), may_be_late)

    seen = [(1000, report) for report in ward.reports((reports - 1) // ward.beds)]
    return [
        stored("the last 100", NEWEST),
        stored("100 from the middle on", None, middle),
        stored("the last 100 of a patient", NEWEST, patient=ward.busy),
        stored("the last 1,000 of a patient", NEWEST, patient=ward.busy, limit=LIMIT_MAX, may_be_late=SCATTERED),
        stored("100 of a patient before the middle", middle, patient=ward.busy),
        stored("100 of a patient from the middle on", None, middle, ward.busy),
        stored("the last 100 of a patient long gone", NEWEST, patient=ward.gone),
        stored("of a patient nobody knows", NEWEST, patient="nobody"),
        stored("the last 100 RED of a patient", NEWEST, patient=ward.busy, tier="RED"),
        stored("the RED of a patient who never was", NEWEST, patient=ward.calm, tier="RED"),
        stored("the last 100 RED", NEWEST, tier="RED"),
        stored("100 RED from the middle on", None, middle, tier="RED"),
        stored("of a tier that none has", NEWEST, tier="GREEN"),
        page("readings: the last 100", Readings(0, NEWEST, 100, None, None, False)),
        page("readings: the last 100 of a patient", Readings(0, NEWEST, 100, ward.busy, None, False)),
        page("readings: the last 100 corrupted", Readings(0, NEWEST, 100, None, CORRUPTED, False)),
        page("readings: the corrupted of a patient", Readings(0, NEWEST, 100, ward.busy, CORRUPTED, False)),
        page("alerts: the last 100", Alerts(0, NEWEST, 100, None, None, False)),
        page("alerts: the last 100 of a patient", Alerts(0, NEWEST, 100, ward.busy, None, False)),
        page("alerts: the last 100 corrupted", Alerts(0, NEWEST, 100, None, CATEGORIES[-1], False)),
        page("alerts: the corrupted of a patient", Alerts(0, NEWEST, 100, ward.busy, CATEGORIES[-1], False)),
        page("alarms: open", Alarms(0, NEWEST, LIMIT_MAX, None, OPEN, False)),
        page("alarms: the open of a patient", Alarms(0, NEWEST, 100, ward.busy, OPEN, False)),
        page("alarms: the last 100, open or past", Alarms(0, NEWEST, 100, None, None, False)),
        page("alarms: the last 100 that are over", Alarms(0, NEWEST, 100, None, "normal", False)),
        page("alarms: the last 100 of a patient", Alarms(0, NEWEST, 100, ward.busy, None, False)),
        page("alarms: the journal of one", AlarmEvents(0, None, 100, None, episode, False)),
        page("alarms: the journal's last 100 lines", AlarmEvents(0, NEWEST, 100, None, None, False)),
        Question("the dashboard's first picture", lambda reader: _first(reader, seen), EACH_PATIENT, READ_AHEAD),
        Question("the dashboard's refresh", lambda reader: _refresh(reader, seen), EACH_PATIENT),
        Question("how many reports, how far", _counted),
    ]  # fmt: skip


def _first(reader: Reader, seen: list[tuple[int, Report]]) -> bytes:
    """Of a daemon that was just started, and has not looked by itself yet."""
    reader.board.forget()
    return _beds(reader, seen, ABOUT)


def _refresh(reader: Reader, seen: list[tuple[int, Report]]) -> bytes:
    """Every bed has reported since the last one, and each fourth heart was heard: the last rows are taken for new."""
    board = reader.board
    board._reports_seen = max(0, board._reports_seen - len(seen))
    board._readings_seen = max(0, board._readings_seen - len(seen) // 4)
    return _beds(reader, seen, ABOUT)


def _counted(reader: Reader) -> bytes:
    return encode_reply("OK", rows=[[reader.count(), reader.applied()]])
