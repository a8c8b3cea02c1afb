"""What the tests of scenarios share: a client's account made up here, and the rows that a peer would have stored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hfzmq.cli.scenario.account import SessionAccount
from hfzmq.cli.scenario.check import Holding, Row
from hfzmq.cli.scenario.writer import report_of

BASE_MS = 1_760_000_000_000
FIELDS = (
    "id",
    "patient_id",
    "timestamp",
    "age",
    "serum_sodium",
    "serum_creatinine",
    "ejection_fraction",
    "day",
    "probability",
    "tier",
    "alert_sent",
    "probability_study",
    "model_id",
    "flags",
    "created_at",
    "log_index",
)


def index_of(number: int, batch: int = 1) -> int:
    """In these worlds the n-th batch of a session has index 10 n."""
    return 10 * ((number - 1) // batch + 1)


def account(name: str = "bed-01", acked: int = 5, sent: int | None = None, batch: int = 1) -> SessionAccount:
    """A session that sent ``sent`` reports, ``acked`` of them acknowledged."""
    made = SessionAccount(name, BASE_MS, batch)
    for to in range(batch, (sent or acked) + 1, batch):
        made.take({"event": "sent", "to": to})
        if to <= acked:
            made.take({"event": "ack", "to": to, "index": index_of(to, batch)})
    return made


def row(row_id: int, number: int, name: str = "bed-01", **other: Any) -> Row:
    """What a peer stores under ``row_id`` for the ``number``-th report of a session."""
    one = report_of(name, BASE_MS, number)
    values = dict(
        zip(FIELDS, (row_id, *one[:9], 0, *one[9:], BASE_MS, index_of(number)), strict=True),
    )
    return tuple((values | other).values())


def rows(*numbers: int, name: str = "bed-01") -> list[Row]:
    """These reports under the ids 1, 2, 3, ..."""
    return [row(row_id, number, name) for row_id, number in enumerate(numbers, 1)]


def holdings(*files: list[Row], whole: tuple[int, ...] = (1, 2, 3)) -> list[Holding]:
    """The files of peers 1, 2, ...; those in ``whole`` must hold everything."""
    return [Holding(peer, FIELDS, file, peer in whole) for peer, file in enumerate(files, 1)]


def write_lines(path: Path, *events: dict[str, Any]) -> None:
    """Add JSON lines to a history."""
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(event) + "\n" for event in events)
