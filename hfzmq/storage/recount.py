"""What a file says of its own tables, counted anew: for whoever must know now, and not after the scrub's next pass.

Touches the disk, reading only. Must not know: whose file it is, what it is wanted for. A start believes some numbers
of the applied state as long as their own row is sound; here each is made again from the rows that it speaks of. What
cannot be made again is the hash over what was applied: the log that it followed from is gone.
"""

from __future__ import annotations

import apsw

from hfzmq.clinical.heart_rate import VERDICTS
from hfzmq.storage import alarm_rows, examine
from hfzmq.storage.alarm_book import journal_after
from hfzmq.storage.alarm_sum import kept_of
from hfzmq.storage.checksums import Damaged
from hfzmq.storage.numbered import TABLES
from hfzmq.storage.recovery import Cursor, Recovered, recover
from hfzmq.storage.tables import STATE_START, AppliedState

ALL_ROWS = (1 << 63) - 1
_VERDICTS = "SELECT validation_status, anomaly_type, count(*) FROM heartbeats GROUP BY 1, 2"


def recount(connection: apsw.Connection) -> tuple[Recovered, Cursor]:
    """What the file holds, after everything in it was checked: schema, tree of pages, each row, the log's chain, the
    indexes (by SQLite's own check), all sums. Damaged or apsw.Error say what is wrong."""
    examine.check_schema(connection)
    found = connection.execute("PRAGMA integrity_check(1)").get
    if found != "ok":
        raise Damaged(f"the tree of pages: {' '.join(str(found).split())}")
    recovered, cursor = recover(connection, rows_max=None)
    _check_sums(connection, cursor.applied)
    return recovered, cursor


def _check_sums(connection: apsw.Connection, applied: AppliedState) -> None:
    alarms = applied.alarms
    journal = STATE_START
    for _, episode_id, at_ms, what, detail, _crc in connection.execute(alarm_rows.SELECT_EVENTS, (0, ALL_ROWS)):
        journal = journal_after(journal, episode_id, at_ms, what, detail)
    counted = {(status, anomaly): count for status, anomaly, count in connection.execute(_VERDICTS)}
    verdicts = tuple(counted.get((verdict.status, verdict.anomaly), 0) for verdict in VERDICTS)
    for what, told, is_so in (
        ("alarms, kept", alarms.kept, kept_of(connection)),
        ("the alarms' journal", alarms.journal, journal),
        ("readings of each verdict", tuple(applied.verdicts), verdicts),
        ("readings", applied.verdicts.readings, sum(counted.values())),
    ):
        if told != is_so:
            raise Damaged(f"table applied: {what}: it says {_shown(told)}, the tables {_shown(is_so)}")


def _shown(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def counts_of(applied: AppliedState) -> dict[str, int]:
    """How many rows each table has, by its name."""
    return {table.table: table.count(applied) for table in TABLES}
