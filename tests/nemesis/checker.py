"""Whether a history and what the peers' files hold in the end belong together: set-full, as Jepsen has it, and more.

Touches files read-only. Must not know: the mesh's code, faults: it looks only at what clients saw and at the tables,
which are a public contract. Keeps: each way to be wrong has a name and is found by itself.

    lost       acknowledged, and not stored by every peer
    doubled    stored more than once
    phantom    stored, and never sent
    order      a session's rows in another order than sent
    torn       a batch that is stored in part, or not at one place
    unequal    peers that hold different rows, or ids with holes
    moved      one request acknowledged at two places, or stored at another place than acknowledged
    stale      a consistent read that misses what was acknowledged before it began
    unread     a read that shows what was not stored in the end
    disowned   a request in its right order that was answered CONFLICT, GAP or REFUSED
    two leaders, went back, unequal state, distrust (of a disk that nobody has hurt): what peers say about themselves
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import apsw

from tests.nemesis.history import Event

SHOWN = 5


class Row(NamedTuple):
    """One stored report, as far as the checker looks."""

    id: int
    patient: str
    log_index: int


class Violation(NamedTuple):
    """``kind``: a word of the list above; ``story``: what was seen, for people."""

    kind: str
    story: str


Tables = Mapping[int, Sequence[Row]]


def stored(path: Path) -> list[tuple[object, ...]]:
    """All that the reports in a peer's file brought, by id, read past the daemon. Without what an alarm changes later:
    alarms go on while the files are read one after the other."""
    database = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        database.set_busy_timeout(2000)
        names = [name for _, name, *_ in database.execute("PRAGMA table_info(risk_reports)")]
        lasting = ", ".join(name for name in names if name not in ("alert_sent", "crc"))
        return list(database.execute(f"SELECT id, patient_id, log_index, {lasting} FROM risk_reports ORDER BY id"))
    finally:
        database.close()


def check_files(events: Sequence[Event], files: Mapping[int, Path]) -> list[Violation]:
    """``check`` on the peers' real files, and every column that lasts of every row equal in all of them."""
    full = {peer: stored(path) for peer, path in files.items()}
    tables = {peer: [Row(*row[:3]) for row in rows] for peer, rows in full.items()}  # type: ignore[arg-type]
    found = check(events, tables)
    first = next(iter(full.values()))
    for peer, rows in full.items():
        if rows != first and tables[peer] == next(iter(tables.values())):
            found.append(Violation("unequal", f"peer {peer} has other values in the same rows"))
    return found


def check(events: Sequence[Event], tables: Tables) -> list[Violation]:
    """Every violation, each kind told with a few examples. ``tables``: the rows of each peer, by rising id."""
    found = _unequal(tables)
    submits = _Submits(events)
    looked_at: list[Sequence[Row]] = []
    for peer, rows in tables.items():
        if rows not in looked_at:  # mostly all are equal, and one look is enough
            looked_at.append(rows)
            found += _set_full(peer, rows, submits)
    rows = max(tables.values(), key=len)
    found += _moved(events, rows)
    found += _disowned(events)
    found += _reads(events, rows, submits)
    found += _statuses(event for event in events if event["op"] == "status")
    return found


class _Submits:
    """What was sent and what was acknowledged."""

    def __init__(self, events: Iterable[Event]) -> None:
        self.sent: dict[str, tuple[str, int, int]] = {}  # patient -> (session, seq or number of sending, number in it)
        self.batches: dict[tuple[str, int], list[str]] = {}
        self.acked: dict[str, float] = {}  # patient -> when first acknowledged
        for event in events:
            if event["op"] != "submit":
                continue
            key = (event["process"], event["seq"])
            if event["type"] == "invoke":
                self.batches[key] = event["patients"]
                for number, patient in enumerate(event["patients"]):
                    self.sent[patient] = (*key, number)
            elif event["type"] == "ok":
                for patient in self.batches[key]:
                    self.acked.setdefault(patient, event["t"])


def _unequal(tables: Tables) -> list[Violation]:
    found = []
    (first, rows), *others = sorted(tables.items())
    for peer, other in others:
        if list(other) != list(rows):
            at = next(
                (n for n, (a, b) in enumerate(zip(rows, other, strict=False)) if a != b), min(len(rows), len(other))
            )
            found.append(
                Violation(
                    "unequal", f"peers {first} ({len(rows)} rows) and {peer} ({len(other)}) differ from row {at + 1}"
                )
            )
    for peer, those in tables.items():
        if [row.id for row in those] != list(range(1, len(those) + 1)):
            found.append(Violation("unequal", f"the ids at peer {peer} have holes"))
    return found


def _set_full(peer: int, rows: Sequence[Row], submits: _Submits) -> list[Violation]:
    times = Counter(row.patient for row in rows)
    wrong = {
        "lost": [patient for patient in submits.acked if patient not in times],
        "doubled": [patient for patient, count in times.items() if count > 1],
        "phantom": [patient for patient in times if patient not in submits.sent],
        "order": _out_of_order(rows, submits),
        "torn": _torn(rows, submits),
    }
    return [Violation(kind, f"at peer {peer}: {_some(names)}") for kind, names in wrong.items() if names]


def _out_of_order(rows: Sequence[Row], submits: _Submits) -> list[str]:
    last: dict[str, tuple[int, int]] = {}
    wrong = []
    for row in rows:
        if row.patient in submits.sent:
            session, *place = submits.sent[row.patient]
            if tuple(place) <= last.get(session, (-1, -1)):
                wrong.append(row.patient)
            last[session] = (place[0], place[1])
    return wrong


def _torn(rows: Sequence[Row], submits: _Submits) -> list[str]:
    """Batches whose rows are not all there, or not one after the other at one place of the log."""
    kept: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        if row.patient in submits.sent:
            kept.setdefault(submits.sent[row.patient][:2], []).append(row)
    return [
        f"{session} {seq}"
        for (session, seq), batch in kept.items()
        if len({row.patient for row in batch}) != len(submits.batches[session, seq])
        or len({row.log_index for row in batch}) > 1
        or max(row.id for row in batch) - min(row.id for row in batch) >= len(batch)
    ]


def _moved(events: Iterable[Event], rows: Sequence[Row]) -> list[Violation]:
    places: dict[tuple[str, int], tuple[int, int]] = {}
    at = {row.patient: row.log_index for row in rows}
    found = []
    patients: dict[tuple[str, int], list[str]] = {}
    for event in events:
        if event["op"] != "submit":
            continue
        key = (event["process"], event["seq"])
        if event["type"] == "invoke":
            patients[key] = event["patients"]
        elif event["type"] == "ok":
            place = (event["term"], event["index"])
            if places.setdefault(key, place) != place:
                found.append(Violation("moved", f"{key} was acknowledged at {places[key]} and at {place}"))
            elsewhere = [patient for patient in patients[key] if at.get(patient, place[1]) != place[1]]
            if elsewhere:
                found.append(Violation("moved", f"{key}: acknowledged at {place[1]}, stored at {at[elsewhere[0]]}"))
    return found


def _disowned(events: Iterable[Event]) -> list[Violation]:
    """The first such answer for each request: who is disowned asks on, and is so again and again."""
    first: dict[tuple[str, int], Event] = {}
    for event in events:
        if event["op"] == "submit" and event.get("status") in ("CONFLICT", "GAP", "REFUSED"):
            first.setdefault((event["process"], event["seq"]), event)
    return [
        Violation("disowned", f"{who} {seq}: {event['status']} from peer {event['peer']}")
        for (who, seq), event in first.items()
    ]


def _reads(events: Iterable[Event], rows: Sequence[Row], submits: _Submits) -> list[Violation]:
    ids = {row.patient: row.id for row in rows}
    patients = {row.id: row.patient for row in rows}
    acked = sorted((moment, ids.get(patient, 0)) for patient, moment in submits.acked.items())
    began: dict[str, float] = {}
    found = []
    floor, done = 0, 0
    floors: dict[str, int] = {}
    for event in events:  # in the order of time
        if event["op"] not in ("read", "peek"):
            continue
        who = event["process"]
        if event["type"] == "invoke":
            began[who] = event["t"]
            while done < len(acked) and acked[done][0] < event["t"]:
                floor = max(floor, acked[done][1])
                done += 1
            floors[who] = floor
        elif event["type"] == "ok":
            saw = f"{who} at {event['t']} from peer {event['peer']}"
            newest = max((number for number, _ in event["rows"]), default=0)
            if event["op"] == "read" and newest < floors[who]:
                found.append(Violation("stale", f"{saw}: newest id {newest}, acknowledged was {floors[who]}"))
            unread = [f"{number}: {patient}" for number, patient in event["rows"] if patients.get(number) != patient]
            if unread:
                found.append(Violation("unread", f"{saw}: {_some(unread)}"))
    return found


def _statuses(events: Iterable[Event]) -> list[Violation]:
    """Events of one peer are in order, those of different peers are not: only what holds for ever is compared."""
    leaders: dict[int, int] = {}
    states: dict[int, tuple[str, int]] = {}
    last: dict[tuple[int, str], tuple[int, int, int, int]] = {}
    found = []
    for event in events:
        peer, term, applied, state = event["peer"], event["term"], event["applied"], event["state"]
        if event["role"] == "leader" and leaders.setdefault(term, peer) != peer:
            found.append(Violation("two leaders", f"peers {leaders[term]} and {peer} lead in term {term}"))
        if states.setdefault(applied, (state, peer))[0] != state:
            found.append(Violation("unequal state", f"peers {states[applied][1]} and {peer} differ at index {applied}"))
        if event.get("differs"):
            found.append(Violation("unequal state", f"peer {peer} sees that {event['differs']} differ"))
        if event.get("amnesia"):
            found.append(Violation("distrust", f"peer {peer} does not trust its disk: {event['amnesia']}"))
        life = (peer, event.get("life", ""))
        now = (event["boot"], term, applied, event["commit"] if last.get(life, (0,))[0] == event["boot"] else 0)
        before = last.get(life, now)
        if any(later < earlier for earlier, later in zip(before[:3], now[:3], strict=True)) or (
            before[0] == now[0] and now[3] < before[3]
        ):
            found.append(Violation("went back", f"peer {peer}: (boot, term, applied, commit) {before}, then {now}"))
        last[life] = (*now[:3], event["commit"])
    return found


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
