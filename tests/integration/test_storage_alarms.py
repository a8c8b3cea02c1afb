"""Alarms in a store: what the tables hold follows from the entries, however they came, and survives a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import apsw
import pytest

from hfzmq.clinical.alarm.facts import Action, Clock, Fact, RulesSet, Sent, Sign
from hfzmq.clinical.alarm.machine import Alarms
from hfzmq.clinical.alarm.rules import AlarmRules
from hfzmq.clinical.alarm.types import Calmed, Changes
from hfzmq.clinical.heart_rate import VERDICTS
from hfzmq.core.contract import Apply, Persist
from hfzmq.core.types import BATCH, START, Entry, Origin, Place, chained
from hfzmq.storage import Store
from hfzmq.storage.snapshot import make
from hfzmq.wire.body import FACTS, READINGS, encode_body
from hfzmq.wire.facts import encode_fact_rows
from hfzmq.wire.fields import pack
from hfzmq.wire.requests import digest, encode_rows
from tests.integration.storage_world import STAMP_MS, mesh, report

TABLES = (
    *("alarm_beds", "alarm_episodes", "alarm_events", "alarm_rules"),
    *("risk_reports", "heartbeats", "heartbeat_alerts", "sessions", "applied"),
)
HIGH = next(number for number, verdict in enumerate(VERDICTS) if verdict.anomaly == "high")
OFF = next(number for number, verdict in enumerate(VERDICTS) if verdict.anomaly == "sensor_off")


class Log:
    """Entries of every kind, each following from the one before."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def add(self, body: bytes) -> None:
        last = self.entries[-1] if self.entries else None
        place = Place(last.index, last.term, last.chain) if last else START
        origin = Origin("ward", b"e" * 16, place.index + 1, digest(body))
        self.entries.append(chained(place, 1, BATCH, origin, body))

    def reports(self, at_ms: int, *numbers: int) -> None:
        self.add(encode_body(at_ms, encode_rows([report(number) for number in numbers])))

    def readings(self, at_ms: int, patient: str, *judged: tuple[float, int]) -> None:
        rows = [(patient, at_ms, value, "", verdict) for value, verdict in judged]
        self.add(encode_body(at_ms, pack(rows), READINGS))

    def facts(self, at_ms: int, *facts: Fact) -> None:
        self.add(encode_body(at_ms, encode_fact_rows(facts), FACTS))


def a_day(seed: int, pace_ms: int = 9000) -> Log:
    """Reports, readings, signs, actions and the clock, as they come; ``pace_ms``: at most so long between two."""
    rng, log, now = Random(seed), Log(), STAMP_MS
    log.facts(now, RulesSet(AlarmRules(silent_ms=20_000, rate_readings=2)))
    for number in range(60):
        now += rng.randint(0, pace_ms)
        kind = rng.randrange(6)
        if kind == 0:
            log.reports(now, *(rng.randint(0, 99) for _ in range(rng.randint(1, 4))))
        elif kind == 1:
            judged = [rng.choice(((150.0, HIGH), (72.0, 0), (0.0, OFF))) for _ in range(rng.randint(1, 5))]
            log.readings(now, f"bed-{rng.randint(0, 3)}", *judged)
        elif kind == 2:
            log.facts(now, Sign(f"bed-{rng.randint(0, 6)}", now, "GREEN", 0.1))
        elif kind == 3:
            action = rng.choice(("ack", "resolve", "discharge"))
            log.facts(now, Action(action, rng.choice((number // 4 + 1, f"bed-{rng.randint(0, 6)}")), "nurse"))
        elif kind == 4:
            log.facts(now, Sent(number // 4 + 1, 1, "log", rng.random() < 0.8))
        else:
            log.facts(now, Clock())
    return log


def applied(store: Store, entries: Sequence[Entry]) -> bytes:
    """The state's hash after these entries."""
    found = store.write([Persist(1, None, None, tuple(entries)), Apply(tuple(entries), (True,) * len(entries))])
    assert found
    return found[1]


def held(store: Store) -> dict[str, list[Any]]:
    connection = apsw.Connection(str(store.path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in TABLES}
    finally:
        connection.close()


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[list[Store]]:
    both = [Store.open(tmp_path / str(peer), peer, mesh()) for peer in (1, 2)]
    yield both
    for store in both:
        store.close()


@pytest.mark.parametrize("seed", range(6))
def test_what_the_tables_hold_does_not_depend_on_how_many_entries_are_applied_at_once(
    stores: list[Store], seed: int
) -> None:
    log, rng = a_day(seed), Random(seed)
    one, other = stores
    for entry in log.entries:
        applied(one, [entry])
    left = list(log.entries)
    while left:
        count = rng.randint(1, 20)
        applied(other, left[:count])
        left = left[count:]
    assert held(one) == held(other)
    assert held(one)["alarm_episodes"], "something happened"


@pytest.mark.parametrize("seed", range(3))
def test_a_restart_in_between_changes_nothing(tmp_path: Path, stores: list[Store], seed: int) -> None:
    log = a_day(seed)
    applied(stores[0], log.entries)
    restarted = stores.pop()
    for place in range(0, len(log.entries), 5):
        applied(restarted, log.entries[place : place + 5])
        restarted.close()
        restarted = Store.open(tmp_path / "2", 2, mesh())
    assert restarted.amnesia is None
    assert held(restarted) == held(stores[0])
    restarted.close()


@pytest.mark.parametrize(("seed", "pace_ms"), [(0, 9000), (1, 60_000), (2, 1_500_000)])
def test_a_snapshot_of_any_moment_and_the_rest_of_the_log_bring_what_the_whole_log_brings(
    tmp_path: Path, stores: list[Store], seed: int, pace_ms: int
) -> None:
    log = a_day(seed, pace_ms)
    snapshots: dict[int, Path] = {}
    for entry in log.entries:
        state_hash = applied(stores[0], [entry])
        if entry.index % 3 == seed:  # the three days have all places between them
            snapshots[entry.index] = make(stores[0].path, tmp_path / f"snapshot-{entry.index}").path
    wanted = held(stores[0])
    assert wanted["alarm_episodes"], "something happened"
    for index, snapshot in snapshots.items():
        other = Store.open(tmp_path / f"other-{index}", 3, mesh())
        found = other.install(snapshot).state_hash
        if rest := log.entries[index:]:
            found = applied(other, rest)
        assert found == state_hash, f"from entry {index} on"
        assert held(other) == wanted, f"from entry {index} on"
        other.close()


def an_alarm_of_each_kind() -> Log:
    """One that marks a report, and one whose end resolves an alert."""
    log = Log()
    log.facts(STAMP_MS, RulesSet(AlarmRules(rate_readings=1, rate_back_readings=1)))
    log.reports(STAMP_MS + 1, 3)
    log.readings(STAMP_MS + 2, "bed-1", (150.0, HIGH))
    log.facts(STAMP_MS + 3, Action("ack", "bed-1", "nurse"))
    log.readings(STAMP_MS + 4, "bed-1", (72.0, 0))
    log.readings(STAMP_MS + 5, "bed-1", (73.0, 0))
    return log


OTHERWISE: dict[str, Callable[[Changes], Changes]] = {
    "a bed": lambda true: true._replace(beds=tuple(bed._replace(quiet_from_ms=7) for bed in true.beds)),
    "a bed is forgotten": lambda true: true._replace(beds=(), heard=()),
    "a bed that was only heard": lambda true: true._replace(heard=()),
    "a value": lambda true: true._replace(episodes=tuple(one._replace(most=0.9) for one in true.episodes)),
    "what raised it": lambda true: true._replace(episodes=tuple(one._replace(raised_by=7) for one in true.episodes)),
    "a report is not marked": lambda true: true._replace(alerted=()),
    "an alert is not resolved": lambda true: true._replace(
        calmed=tuple(Calmed("bed-9", one.cause) for one in true.calmed)
    ),
    "rules": lambda true: true._replace(rules=true.rules and true.rules._replace(silent_ms=7000)),
    "the clock": lambda true: true._replace(now_ms=true.now_ms + 1),
}


@pytest.mark.parametrize("what", OTHERWISE)
def test_whatever_a_peers_alarms_write_otherwise_shows_in_its_states_hash(
    stores: list[Store], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    log, take = an_alarm_of_each_kind(), Alarms.take_changes
    true = [applied(stores[0], [entry]) for entry in log.entries][-1]

    def otherwise(alarms: Alarms) -> Changes:
        return OTHERWISE[what](take(alarms))

    with monkeypatch.context() as patch:
        patch.setattr(Alarms, "take_changes", otherwise)
        wrong = [applied(stores[1], [entry]) for entry in log.entries][-1]
    assert held(stores[0]) != held(stores[1])
    assert held(stores[0])["alarm_events"] == held(stores[1])["alarm_events"], "the journal alone does not show it"
    assert wrong != true


def test_the_report_that_raised_an_alarm_is_marked_and_no_other(stores: list[Store]) -> None:
    log = Log()
    log.reports(STAMP_MS, 1, 3, 10)  # AMBER, RED, AMBER, of three beds
    log.reports(STAMP_MS + 1000, 3)
    applied(stores[0], log.entries)
    assert [(row[0], row[10]) for row in held(stores[0])["risk_reports"]] == [(1, 0), (2, 1), (3, 0), (4, 0)]


def test_alerts_of_a_bed_are_resolved_with_their_alarm_and_later_ones_are_not(stores: list[Store]) -> None:
    log = Log()
    log.facts(STAMP_MS, RulesSet(AlarmRules(rate_readings=2, rate_back_readings=1)))
    log.readings(STAMP_MS, "bed-1", (150.0, HIGH), (151.0, HIGH), (0.0, OFF))
    log.facts(STAMP_MS + 10, Action("ack", "bed-1", "nurse"))
    log.readings(STAMP_MS + 20, "bed-1", (72.0, 0))  # over, and seen: normal
    log.readings(STAMP_MS + 30, "bed-1", (152.0, HIGH))
    for store, batches in zip(stores, ((5,), (1, 1, 1, 1, 1)), strict=True):
        left = list(log.entries)
        for count in batches:
            applied(store, left[:count])
            left = left[count:]
        flags = [(row[5], row[6]) for row in held(store)["heartbeat_alerts"]]
        assert flags == [
            ("physiological_anomaly", 1),
            ("physiological_anomaly", 1),
            ("system_anomaly", 0),
            ("physiological_anomaly", 0),
        ]
    assert stores[0].alarms.episodes()[0].state == "normal"


def test_what_became_of_actions_is_known_for_a_while(stores: list[Store]) -> None:
    log = Log()
    log.reports(STAMP_MS, 3)
    log.facts(STAMP_MS + 1, Clock(), Action("ack", 1, "nurse"), Action("ack", 1, "doctor"), Action("ack", 9, "nurse"))
    applied(stores[0], log.entries)
    assert stores[0].outcomes(2) == ["done", "already", "not found"]
    assert stores[0].outcomes(3) == ()


@pytest.mark.parametrize("table", ["risk_reports", "heartbeat_alerts"])
def test_rows_as_they_were_before_an_alarm_marked_them_are_found_at_the_next_start(
    tmp_path: Path, stores: list[Store], table: str
) -> None:
    log = an_alarm_of_each_kind()
    end = log.entries[4].body  # resolves an alert
    del log.entries[4:]
    log.reports(STAMP_MS + 5, 1)
    applied(stores[0], log.entries)
    before = held(stores[0])[table]
    log.add(end)
    log.facts(STAMP_MS + 20_000, Clock())  # the report of before has been AMBER for so long
    applied(stores[0], log.entries[-2:])
    assert held(stores[0])[table] != before
    stores[0].close()
    file = apsw.Connection(str(stores[0].path))
    file.executemany(f"REPLACE INTO {table} VALUES ({', '.join('?' * len(before[0]))})", before)
    file.close()
    stores[0] = Store.open(tmp_path / "1", 1, mesh())
    assert stores[0].amnesia is not None
    assert "alarms, marked: they are not those of one transaction" in stores[0].amnesia
