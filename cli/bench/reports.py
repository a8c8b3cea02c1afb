"""The reports that a bench makes up: cheap to make, and each can be told from every other one when it is read back.

Touches nothing. Must not know: where they are sent. Keeps: the number of a writer's report (from 1) says every column;
its timestamp is the writer's first moment plus the number, so that whoever reads a table knows which one a row is.

A writer is one session: it has one request under way. Its reports go to its own beds in turn, all AMBER: on real wards
alarms are rare, and what a report costs the alarms' side is paid by each.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from hfzmq.clinical.report import FLAGS_CHARS_MAX
from hfzmq.errors import InvalidInput
from hfzmq.wire.rows import pack_row

REPORT_BYTES = 145  # of a packed row, as the other stores were measured with
MODEL_ID = "bench"
SHORT_TEXT = 31  # characters: msgpack's shortest kind
PERIOD = 997  # of the made-up values
COLUMNS = slice(1, 10)  # of a stored row: patient_id to tier, in the product's table and in the sketch's

Row = tuple[Any, ...]

# age, serum_sodium, serum_creatinine, ejection_fraction, day, probability, tier, of the n-th report modulo PERIOD
VALUES: tuple[Row, ...] = tuple(
    (50.0 + n % 36, 125.0 + n % 41 / 2, 0.8 + n % 17 / 10, 20.0 + n % 46, n % 365, 0.31 + n % 280 / 1000, "AMBER")
    for n in range(PERIOD)
)


class Writer(NamedTuple):
    """One session's reports. ``beds``: whose reports they are, in turn; ``padding``: the text that makes them as long
    as they are to be."""

    name: str
    beds: tuple[str, ...]
    base_ms: int
    padding: str

    def rows(self, first: int, count: int) -> list[Row]:
        """The reports ``first`` to ``first + count - 1``, each in the order of ``clinical.report.Report``."""
        beds, base_ms, padding = self.beds, self.base_ms, self.padding
        among = len(beds)
        return [
            (beds[n % among], base_ms + n, *VALUES[n % PERIOD], 0.5, MODEL_ID, padding)
            for n in range(first, first + count)
        ]

    def stored(self, number: int) -> Row:
        """What COLUMNS of a stored row must be."""
        return (self.beds[number % len(self.beds)], self.base_ms + number, *VALUES[number % PERIOD])


def writers(name: str, count: int, beds: int, base_ms: int, report_bytes: int = REPORT_BYTES) -> tuple[Writer, ...]:
    """``count`` writers called ``<name>-0001`` and so on, who share ``beds`` beds (each has one at least).
    InvalidInput: a report cannot be so short or so long."""
    each = max(1, beds // count)
    shortest = Writer(name, (_bed(name, 1, 1),), base_ms, "")
    bare = max(len(pack_row(row)) for row in shortest.rows(1, 2 * PERIOD))
    length = report_bytes - bare
    length -= length > SHORT_TEXT  # a longer text has a longer head
    if not 0 <= length <= FLAGS_CHARS_MAX:
        bound = f"{bare} to {bare + FLAGS_CHARS_MAX + 1} bytes"
        raise InvalidInput("--report-bytes", bound, got=str(report_bytes), hint="what a report can weigh on the wire")
    padding = "n" * length
    return tuple(
        Writer(f"{name}-{n:04d}", tuple(_bed(name, n, bed) for bed in range(1, each + 1)), base_ms, padding)
        for n in range(1, count + 1)
    )


def _bed(name: str, writer: int, number: int) -> str:
    return f"{name}-{writer:04d}-{number:03d}"
