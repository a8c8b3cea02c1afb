"""The reports that a bench makes up: cheap to make, and each can be told from every other one when it is read back.

Touches nothing. Must not know: where they are sent. Keeps: the number of a writer's report (from 1) says every column;
its timestamp is the writer's first moment plus the number, so that whoever reads a table knows which one a row is.

A writer is one session: it has one request under way. Its reports go to its own beds in turn, all AMBER: on real wards
alarms are rare, and what a report costs the alarms' side is paid by each.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from hfzmq.clinical.report import FLAGS_CHARS_MAX, MODEL_ID_CHARS_MAX, PATIENT_ID_CHARS_MAX, TIMESTAMP_MS_MIN
from hfzmq.errors import InvalidInput
from hfzmq.wire.rows import pack_row

REPORT_BYTES = 145  # of a packed row, as the other stores were measured with
MODEL_ID = "bench"
WIDE = "n\u00e9\ud55c\U0001d11e"  # of 1, 2, 3 and 4 bytes in UTF-8
STUDY = 0.5  # the study's probability
PERIOD = 997  # of the made-up values
COLUMNS = slice(1, 13)  # of a stored row: those of a report; what the product adds stands before or behind them

Row = tuple[Any, ...]

# age, serum_sodium, serum_creatinine, ejection_fraction, day, probability, tier, of the n-th report modulo PERIOD
VALUES: tuple[Row, ...] = tuple(
    (50.0 + n % 36, 125.0 + n % 41 / 2, 0.8 + n % 17 / 10, 20.0 + n % 46, n % 365, 0.31 + n % 280 / 1000, "AMBER")
    for n in range(PERIOD)
)


class Writer(NamedTuple):
    """One session's reports. ``beds``: whose reports they are, in turn; ``model_id`` and ``flags``: the texts that make
    them as long as they are to be."""

    name: str
    beds: tuple[str, ...]
    base_ms: int
    model_id: str
    flags: str

    def rows(self, first: int, count: int) -> list[Row]:
        """The reports ``first`` to ``first + count - 1``, each in the order of ``clinical.report.Report``."""
        beds, base_ms, model_id, flags = self.beds, self.base_ms, self.model_id, self.flags
        among = len(beds)
        return [
            (beds[n % among], base_ms + n, *VALUES[n % PERIOD], STUDY, model_id, flags)
            for n in range(first, first + count)
        ]

    def stored(self, number: int) -> Row:
        """What COLUMNS of a stored row must be."""
        bed = self.beds[number % len(self.beds)]
        return (bed, self.base_ms + number, *VALUES[number % PERIOD], STUDY, self.model_id, self.flags)


def writers(name: str, count: int, beds: int, base_ms: int, report_bytes: int = REPORT_BYTES) -> tuple[Writer, ...]:
    """``count`` writers called ``<name>-0001`` and so on, who share ``beds`` beds (each has one at least).
    InvalidInput: a report cannot be so short or so long."""
    each = max(1, beds // count)
    least, most = bounds(name)
    if not least <= report_bytes <= most:
        hint = "what a report can weigh on the wire"
        raise InvalidInput("--report-bytes", f"{least} to {most} bytes", got=str(report_bytes), hint=hint)
    extra = report_bytes - least
    while _weight(name, extra) > report_bytes:  # longer texts have longer heads
        extra -= 1
    flags, model, bed = _texts(name, extra)
    return tuple(
        Writer(f"{name}-{n:04d}", tuple(_bed(name, n, one) + bed for one in range(1, each + 1)), base_ms, model, flags)
        for n in range(1, count + 1)
    )


def bounds(name: str) -> tuple[int, int]:
    """What the shortest and the longest report weigh that writers of this name can send: the longest one has every text
    as long as a report may have it, of the widest characters."""
    return _weight(name, 0), _weight(name, len(WIDE) * sum(_room(name)))


def _weight(name: str, extra: int) -> int:
    flags, model, bed = _texts(name, extra)
    one = Writer(name, (_bed(name, 1, 1) + bed,), TIMESTAMP_MS_MIN, model, flags)
    return max(len(pack_row(row)) for row in one.rows(1, PERIOD))


def _texts(name: str, extra: int) -> tuple[str, str, str]:
    """``extra`` bytes: as flags, as the model's id, behind the bed's name; plain letters while there is room."""
    rooms, lengths = _room(name), [0, 0, 0]
    for factor in (1, len(WIDE)):
        for place, room in enumerate(rooms):
            more = min(extra, factor * room - lengths[place])
            lengths[place] += more
            extra -= more
    flags, model, bed = (_text(length, room) for length, room in zip(lengths, rooms, strict=True))
    return flags, MODEL_ID + model, bed


def _text(length: int, room: int) -> str:
    """``length`` bytes in at most ``room`` characters."""
    if length <= room:
        return WIDE[0] * length
    width, wider = divmod(length, room)
    return WIDE[width : width + 1] * wider + WIDE[width - 1] * (room - wider)


def _room(name: str) -> tuple[int, int, int]:
    """Characters that fit into the flags, behind the model's id, behind a bed's name."""
    return FLAGS_CHARS_MAX, MODEL_ID_CHARS_MAX - len(MODEL_ID), PATIENT_ID_CHARS_MAX - len(_bed(name, 1, 1))


def _bed(name: str, writer: int, number: int) -> str:
    return f"{name}-{writer:04d}-{number:03d}"
