"""How a read goes: how long it takes, how many steps SQLite makes for it, and by which plan.

Touches one database file, reading only, and the system's cache of it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from hfzmq.storage import Reader
from hfzmq.wire.requests import decode_reply
from tests.reads.questions import Question
from tests.system.failover import percentile

WARM_TIMES, COLD_TIMES = 300, 15
LONG_S, LEAST_TIMES = 3.0, 5  # what has taken so long is asked no more often than this
_STEPS, _SCANNED = "SQLITE_STMTSTATUS_VM_STEP", "SQLITE_STMTSTATUS_FULLSCAN_STEP"


class Work(NamedTuple):
    """What SQLite did for one question: steps of its machine, of these rows that a scan went through; (statement, its
    plan), each once. ``rows``: of the answer."""

    steps: int
    scanned: int
    plans: tuple[tuple[str, tuple[str, ...]], ...]
    rows: int


class Times(NamedTuple):
    """Milliseconds; ``warm``: what is asked again; ``cold``: with nothing of the file in memory."""

    warm_p50: float
    warm_p99: float
    warm_times: int
    cold_p50: float
    cold_max: float


def work_of(reader: Reader, question: Question) -> Work:
    """Ask once, and watch."""
    connection = reader._connection
    told: list[dict[str, Any]] = []
    asked: dict[str, object] = {}

    def note(_cursor: object, statement: str, values: object) -> bool:
        asked.setdefault(statement, values)
        return True

    connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, told.append)
    connection.exec_trace = note
    try:
        answer = _ask(reader, question)
    finally:
        connection.exec_trace = None
        connection.trace_v2(0, None)
    plans = tuple(
        (" ".join(statement.split()), tuple(_plan(connection, statement, values)))
        for statement, values in asked.items()
        if statement not in ("BEGIN", "COMMIT")
    )
    status = [one["stmt_status"] for one in told]
    return Work(sum(one[_STEPS] for one in status), sum(one[_SCANNED] for one in status), plans, _rows_in(answer))


def times_of(reader: Reader, question: Question) -> Times:
    """Ask many times."""
    warm = _asked(reader, question, WARM_TIMES, lambda: None)
    cold = _asked(reader, question, COLD_TIMES, lambda: forget(reader))
    return Times(percentile(warm, 0.5), percentile(warm, 0.99), len(warm), percentile(cold, 0.5), max(cold))


def forget(reader: Reader) -> None:
    """Let SQLite and the system drop what they hold of the file; what the disk itself keeps is out of reach."""
    reader._connection.execute("PRAGMA shrink_memory").fetchall()
    with _opened(reader.path) as descriptor:
        os.fdatasync(descriptor)  # only what is written goes
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def _asked(reader: Reader, question: Question, times: int, before: Callable[[], None]) -> list[float]:
    """How long each answer took, ms."""
    took: list[float] = []
    until = time.monotonic() + LONG_S
    while len(took) < times and (len(took) < LEAST_TIMES or time.monotonic() < until):
        before()
        began = time.perf_counter()
        _ask(reader, question)
        took.append((time.perf_counter() - began) * 1000)
    return took


def _ask(reader: Reader, question: Question) -> bytes:
    with reader.snapshot():  # as the query thread does
        return question.ask(reader)


def _plan(connection: apsw.Connection, statement: str, values: Any) -> Iterator[str]:
    for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values):
        yield str(row[3])


def _rows_in(answer: bytes) -> int:
    told = decode_reply(answer)
    return len(told.get("rows", told.get("reported", ())))


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
