"""How a producer's run ends: what its summary says is of one moment, and its exit code what its help says."""

from __future__ import annotations

import contextlib
import queue
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hfzmq.cli.bedside.sources import Chunk
from hfzmq.cli.stream.run import Stream
from hfzmq.cli.stream.tally import Tally
from hfzmq.client import ClientState, ReadingsClient
from hfzmq.client.traffic import READINGS
from hfzmq.clinical.heart_rate import Reading, rules_of
from hfzmq.config import HeartRate
from hfzmq.errors import TimedOut

T0 = 1_700_000_000_000


class BusyMesh:
    """A client whose rows are answered just when somebody looks how many wait: ``answers`` of them, one each time."""

    def __init__(self) -> None:
        self.events: queue.Queue[dict[str, Any]] = queue.Queue()
        self.pending = self.answers = 0
        self.traffic = READINGS
        self.queue = SimpleNamespace(directory=Path("q"))

    @property
    def state(self) -> ClientState:
        if self.pending and self.answers:
            self.pending -= 1
            self.answers -= 1
            self.events.put({"event": "ack", "patient": "P", "seq": 1, "term": 1, "index": 1, "elapsed_ms": 1})
        return ClientState("connected", 1, 1, self.pending, 0, 0, None, None)

    def submit_many(self, rows: tuple[Reading, ...], *, source: object) -> None:
        self.pending += len(rows)

    def raise_failure(self) -> None:
        pass

    def refusal(self, timeout_s: float = 0.0) -> None:
        return None


class NoSource:
    """There is nothing to read."""

    finite, batch, interval_s = True, True, 0.0

    def read(self, wait_s: float) -> Chunk | None:
        return None

    def close(self) -> None:
        pass


class Hurried(Stream):
    """A stream that has waited for acknowledgements in vain; ``answers`` come just then."""

    answers = 0

    def _wait_for_acks(self, ended: bool) -> bool:
        cast(BusyMesh, self._courier).answers = self.answers
        return False


def run_with(answers: int) -> list[dict[str, Any]]:
    """All that is told of a run of nine readings; TimedOut where one of them still waits."""
    mesh, told = BusyMesh(), list[dict[str, Any]]()
    tally = Tally(rules_of(HeartRate()), 0)
    work = Hurried(cast(ReadingsClient, mesh), tally, NoSource(), told.append, events=mesh.events)
    work.answers = answers
    work._take(Chunk(tuple(Reading("P", T0 + number, 72, "") for number in range(9))))
    with contextlib.nullcontext() if answers == 9 else pytest.raises(TimedOut, match=f"{9 - answers} reading"):
        work.run()
    return told


@pytest.mark.parametrize("answers", range(10))
def test_a_summary_counts_each_row_once_though_the_mesh_goes_on_answering(answers: int) -> None:
    *before, summary = run_with(answers)
    assert (summary["event"], summary["submitted"], summary["acked"]) == ("summary", 9, answers)
    assert [event["event"] for event in before] == ["ack"] * answers, "what is counted is told"
    valid = summary["verdicts"]["valid"]
    assert (valid["acked"], valid["pending"], summary["pending"]) == (answers, 9 - answers, 9 - answers)
