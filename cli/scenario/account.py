"""What each client says it sent and had acknowledged, from the histories that the clients themselves wrote.

Touches files, reading only. Must not know: what the peers have stored. Keeps: a report counts as acknowledged only when
the client's own line says so; a last line that was cut short counts for nothing.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from hfzmq.cli.scenario.writer import report_of
from hfzmq.clinical.report import VITALS

# The columns by which a stored report is compared with the one that was sent.
COMPARED = (
    "patient_id",
    "timestamp",
    *(vital.name for vital in VITALS),
    "probability",
    "tier",
    "probability_study",
)

Event = dict[str, Any]
Content = tuple[Any, ...]


class Account(Protocol):
    """One client's reports, numbered from 1 in the order in which it sent them. ``name`` is the client's;
    ``problems``: what it complained of."""

    name: str
    problems: list[str]

    @property
    def patients(self) -> Iterable[str]:
        """On whom it reports; nobody else does."""

    @property
    def sent(self) -> int:
        """How many it may have handed to the mesh."""

    @property
    def acked(self) -> int:
        """How many were acknowledged: those from 1 to this number."""

    def number_of(self, patient: str, timestamp: int) -> int:
        """Which of its reports this is; 0: none."""

    def content_of(self, number: int) -> Content:
        """What it sent under this number: the values of COMPARED."""

    def index_of(self, number: int) -> int:
        """The log index that the acknowledgement of this one named."""


class SessionAccount:
    """A session of ``hfzmq scenario write``."""

    def __init__(self, name: str, base_ms: int, batch: int) -> None:
        self.name = name
        self.problems: list[str] = []
        self.sent = self.acked = 0
        self._base_ms = base_ms
        self._batch = batch
        self._indexes = array("q")  # of the batches

    @property
    def patients(self) -> Iterable[str]:
        """See Account."""
        return (self.name,)

    def take(self, event: Event) -> None:
        """One line of its history."""
        kind = event["event"]
        if kind == "sent":
            self.sent = event["to"]
        elif kind == "ack":
            self.acked = event["to"]
            self._indexes.append(event["index"])
        elif kind == "rejected":
            self.problems.append(f"{self.name}: the mesh refused {event['field']}: {event['bound']}")
        elif kind == "failed":
            self.problems.append(f"{self.name}: {event['cause']}")

    def number_of(self, patient: str, timestamp: int) -> int:
        """See Account."""
        number = timestamp - self._base_ms
        return number if patient == self.name and 1 <= number <= self.sent else 0

    def content_of(self, number: int) -> Content:
        """See Account."""
        one = report_of(self.name, self._base_ms, number)
        return (*one[:9], one.probability_study)

    def index_of(self, number: int) -> int:
        """See Account."""
        return self._indexes[(number - 1) // self._batch]


class BedsideAccount:
    """A process of ``hfzmq client -o jsonl``: its queue brings all patients' reports in one order."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.problems: list[str] = []
        self.patients: set[str] = set()
        self._judged: dict[tuple[str, int], list[Any]] = {}  # what was read and judged of those not yet queued
        self._numbers: dict[tuple[str, int], int] = {}
        self._contents: list[Content] = []
        self._indexes = array("q")

    @property
    def sent(self) -> int:
        """See Account."""
        return len(self._contents)

    @property
    def acked(self) -> int:
        """See Account."""
        return len(self._indexes)

    def take(self, event: Event) -> None:
        """One line of its output."""
        kind = event["event"]
        if kind == "reading":
            self._judged[_key(event)] = [event[vital.name] for vital in VITALS]
        elif kind == "risk":
            self._judged[_key(event)] += [event["probability"], event["tier"], event["probability_study"]]
            if event["tier"] == "GREEN":
                del self._judged[_key(event)]
        elif kind == "queued":
            key = _key(event)
            self.patients.add(key[0])
            self._contents.append((*key, *self._judged.pop(key)))
            self._numbers[key] = len(self._contents)
        elif kind == "ack":
            number = len(self._indexes) + 1
            if number > self.sent or self._contents[number - 1][0] != event["patient"]:
                self.problems.append(f"{self.name}: ack {number} is for {event['patient']}, not in the queue's order")
            self._indexes.append(event["index"])
        elif kind == "rejected":
            self.problems.append(f"{self.name}: {event['by']} refused {event['field']}: {event['bound']}")

    def number_of(self, patient: str, timestamp: int) -> int:
        """See Account."""
        return self._numbers.get((patient, timestamp), 0)

    def content_of(self, number: int) -> Content:
        """See Account."""
        return self._contents[number - 1]

    def index_of(self, number: int) -> int:
        """See Account."""
        return self._indexes[number - 1]


class History(NamedTuple):
    """A client process's file of JSON lines. ``bedside``: it is ``hfzmq client``'s, else ``hfzmq scenario write``'s."""

    path: Path
    bedside: bool = False


def accounts_of(history: History) -> list[Account]:
    """The accounts of one client process."""
    if history.bedside:
        bedside = BedsideAccount(history.path.stem)
        for event in events_of(history.path):
            bedside.take(event)
        return [bedside]
    found: dict[str, SessionAccount] = {}
    for event in events_of(history.path):
        name = event["session"]
        if event["event"] == "started":
            found[name] = SessionAccount(name, event["base_ms"], event["batch"])
        elif name in found:
            found[name].take(event)
        else:  # it failed before it began
            found[name] = SessionAccount(name, 0, 1)
            found[name].take(event)
    return list(found.values())


def events_of(path: Path) -> Iterator[Event]:
    """The whole lines of a history; one that is no JSON object is passed over."""
    try:
        with path.open("rb") as file:
            for line in file:
                event = event_of(line)
                if event is not None:
                    yield event
    except FileNotFoundError:
        return


def event_of(line: bytes) -> Event | None:
    """A line's event; None for a line that is cut short or is none of ours."""
    if not line.endswith(b"\n"):
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None


def _key(event: Event) -> tuple[str, int]:
    return event["patient"], event["timestamp"]
