"""The tables that grow row by row, under ids without holes: which they are, and what makes one of their rows sound.

Touches nothing: rows come in. Must not know: who looks, when. Keeps: whatever checks one of them checks all of them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from hfzmq.storage.alarm_rows import SELECT_EPISODES, SELECT_EVENTS, episode_crc
from hfzmq.storage.checksums import Damaged, Row, crc_of
from hfzmq.storage.reading_rows import SELECT_ALERTS, SELECT_READINGS, alert_crc, reading_crc
from hfzmq.storage.report_rows import SELECT_REPORTS, report_crc
from hfzmq.storage.tables import AppliedState


class Index(NamedTuple):
    """Of a table's rows, or of those for which ``where`` holds, 'by' what."""

    name: str
    columns: tuple[str, ...]
    by: str
    where: str = "TRUE"


class Numbered(NamedTuple):
    """A table whose ids run from 1 without holes. ``select``: rows above an id, at most so many, whole; ``crc``: over a
    row without its last column; ``count``: how many rows an AppliedState says there are."""

    table: str
    noun: str
    id_column: str
    select: str
    crc: Callable[[Row], int]
    count: Callable[[AppliedState], int]
    indexes: tuple[Index, ...]

    def check(self, row: Row, number: int) -> None:
        """A row of ``select`` must be number ``number``, as it was written; else Damaged."""
        if row[0] != number:
            raise Damaged(f"missing, after {number - 1} comes {row[0]}")
        try:
            if self.crc(row[:-1]) == row[-1]:
                return
        except (TypeError, ValueError, struct.error):  # a value of another type than was written
            pass
        raise Damaged("wrong checksum")


REPORTS = Numbered(
    "risk_reports",
    "report",
    "id",
    SELECT_REPORTS,
    report_crc,
    lambda applied: applied.next_id - 1,
    (
        Index("risk_reports_by_patient", ("patient_id", "tier"), "patient"),
        Index("risk_reports_by_tier", ("tier",), "tier"),
    ),
)
READINGS = Numbered(
    "heartbeats",
    "reading",
    "id",
    SELECT_READINGS,
    reading_crc,
    lambda applied: applied.verdicts.readings,
    (
        Index("heartbeats_by_patient", ("patient_id", "validation_status"), "patient"),
        Index("heartbeats_by_status", ("validation_status",), "status"),
    ),
)
ALERTS = Numbered(
    "heartbeat_alerts",
    "alert",
    "alert_id",
    SELECT_ALERTS,
    alert_crc,
    lambda applied: applied.verdicts.alerts,
    (
        Index("heartbeat_alerts_by_patient", ("patient_id", "alert_category"), "patient"),
        Index("heartbeat_alerts_by_category", ("alert_category",), "category"),
        Index("heartbeat_alerts_unresolved", ("patient_id",), "patient, of those unresolved", "resolved_flag = 0"),
    ),
)
EPISODES = Numbered(
    "alarm_episodes",
    "episode",
    "id",
    SELECT_EPISODES,
    episode_crc,
    lambda applied: applied.alarms.episodes,
    (
        Index("alarm_episodes_by_state", ("state",), "state"),
        Index("alarm_episodes_by_patient", ("patient_id",), "patient"),
    ),
)
LINES = Numbered(
    "alarm_events",
    "line",
    "id",
    SELECT_EVENTS,
    crc_of,
    lambda applied: applied.alarms.lines,
    (Index("alarm_events_by_episode", ("episode_id",), "episode"),),
)
TABLES = (REPORTS, READINGS, ALERTS, EPISODES, LINES)
