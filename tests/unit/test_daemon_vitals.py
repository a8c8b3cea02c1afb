"""The loop's pulse: only turns that end feed the watchdog; pictures only for who may look; syncs are counted."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hfzmq.clinical.alarm.types import CAUSES
from hfzmq.config import Config, PeerAddress
from hfzmq.daemon import serving
from hfzmq.daemon.gauge import OpenAlarms, open_alarms
from hfzmq.daemon.sd_notify import SdNotify
from hfzmq.daemon.vitals import BOUNDS_S, LOOK_MS, Vitals
from tests.unit.core_bench import Bench
from tests.unit.test_daemon_about import Daemon


class Notify(SdNotify):
    """Keeps what is said."""

    def __init__(self, listens: bool = True, watchdog_ms: float = 0.0) -> None:
        super().__init__()
        self.watchdog_ms = watchdog_ms
        self.said: list[str] = []
        self._listens = listens

    @property
    def listens(self) -> bool:
        return self._listens

    def say(self, *words: str) -> None:
        self.said += words


class Episodes:
    """Alarms, as far as they are counted."""

    def __init__(self, *rows: tuple[str, str, int]) -> None:
        self.rows = rows
        self.asked = 0

    def episodes(self) -> list[Any]:
        self.asked += 1
        return [SimpleNamespace(cause=cause, state=state, raised_at_ms=at) for cause, state, at in self.rows]


class World:
    """Vitals of a bench's daemon."""

    def __init__(self, notify: Notify) -> None:
        self.bench = Bench(1)
        self.notify = notify
        self.alarms = Episodes()
        store: Any = SimpleNamespace(alarms=self.alarms, wal_pages=3, path=Path(__file__))
        door: Any = SimpleNamespace(shut=False, port=7100)
        about = Daemon(self.bench).about
        self.vitals = Vitals(about, self.bench.replica, store, door, notify, lambda: self.bench.now)

    def turn(self, later_ms: float = 0) -> None:
        self.bench.now += later_ms
        self.vitals.turned()


def test_a_daemon_whose_thread_for_reads_has_ended_shows_it() -> None:
    world, queries = World(Notify()), SimpleNamespace(alive=True)
    log: Any = SimpleNamespace(last=SimpleNamespace(index=0))
    node: Any = SimpleNamespace(
        vitals=world.vitals, queries=queries, replica=SimpleNamespace(log=log), store=SimpleNamespace(path="file")
    )
    config = Config("ward", b"m" * 16, (PeerAddress(1, "here", 1, 2, 3),))
    serving._open(node, config, 1, None, SimpleNamespace(lost=0))  # type: ignore[arg-type]
    for alive in (True, False):
        queries.alive = alive
        world.turn(LOOK_MS)
        assert world.vitals.gauge
        assert world.vitals.gauge.reads == alive


def test_the_watchdog_is_fed_at_half_its_time_by_turns_that_end_and_by_nothing_else() -> None:
    world = World(Notify(watchdog_ms=1000))
    world.turn()
    assert world.notify.said.count("WATCHDOG=1") == 1
    for _ in range(49):
        world.turn(10)
    assert world.notify.said.count("WATCHDOG=1") == 1
    assert world.vitals.wake_at_ms() <= world.bench.now + 10
    world.turn(10)
    assert world.notify.said.count("WATCHDOG=1") == 2
    world.vitals.writes()
    world.bench.now += 60_000
    assert world.vitals.writing_ms() == world.vitals.turn_age_ms() == 60_000
    assert world.notify.said.count("WATCHDOG=1") == 2


def test_while_a_snapshot_is_taken_in_more_time_is_asked_for_by_its_size_and_then_no_more() -> None:
    world = World(Notify(watchdog_ms=1000))
    with suppress(ValueError), world.vitals.taking_in(5_000_000):
        assert world.notify.said[-2:] == ["WATCHDOG_USEC=65000000", "WATCHDOG=1"]
        assert world.vitals.excused()
        world.bench.now += 65_000
        assert not world.vitals.excused()  # that is too long
        raise ValueError
    assert world.notify.said[-2:] == ["WATCHDOG_USEC=1000000", "WATCHDOG=1"]
    assert not world.vitals.excused()


def test_nobody_looks_and_no_picture_is_made() -> None:
    world = World(Notify(listens=False))
    for _ in range(100):
        world.turn(100)
    assert (world.vitals.gauge, world.alarms.asked, world.notify.said) == (None, 0, [])
    assert world.vitals.wake_at_ms() == float("inf")


def test_a_picture_is_made_so_often_and_alarms_are_counted_only_when_something_was_applied() -> None:
    world = World(Notify())
    pictures = set()
    for _ in range(100):
        world.turn(LOOK_MS / 10)
        pictures.add(id(world.vitals.gauge))
    assert world.alarms.asked == 1
    assert len(pictures) <= 12


def test_the_status_is_said_when_it_changes() -> None:
    world = World(Notify())
    for _ in range(5):
        world.turn(LOOK_MS)
    assert world.notify.said == ["STATUS=follower in term 0, no leader, hears 0 of 2 other peers"]
    world.bench.serve()
    world.turn(LOOK_MS)
    world.turn(LOOK_MS)
    world.turn(LOOK_MS)
    assert world.notify.said[-1].startswith("STATUS=leader in term ")
    assert len(world.notify.said) <= 3


def test_each_transaction_is_counted_under_the_bound_that_it_keeps() -> None:
    world = World(Notify())
    for took_ms in (0.5, 1, 1.5, 5000, 5001):
        world.vitals.writes()
        world.bench.now += took_ms
        assert world.vitals.wrote() == pytest.approx(took_ms)
    world.turn(LOOK_MS)
    assert world.vitals.gauge is not None
    syncs = world.vitals.gauge.syncs
    assert Counter(dict(zip((*BOUNDS_S, None), syncs.counts, strict=True))) == Counter(
        {0.001: 2, 0.0025: 1, 5.0: 1, None: 1}
    )
    assert syncs.seconds == pytest.approx(10.004)
    assert world.vitals.writing_ms() == 0


def test_a_transaction_that_waited_for_no_sync_is_none() -> None:
    world = World(Notify())
    world.vitals.writes()
    world.bench.now += 7
    assert world.vitals.wrote(synced=False) == pytest.approx(7)
    assert world.vitals.rests_ms() == 0
    world.turn(LOOK_MS)
    assert world.vitals.gauge is not None
    assert sum(world.vitals.gauge.syncs.counts) == 0
    assert world.vitals.rests_ms() == pytest.approx(LOOK_MS)


def test_alarms_are_counted_by_cause_with_the_oldest_that_nobody_has_seen() -> None:
    alarms: Any = Episodes(
        ("RED", "unacknowledged", 50), ("RED", "returned", 40), ("RED", "acknowledged", 10), ("RED", "normal", 5),
        ("AMBER", "acknowledged", 7),
    )  # fmt: skip
    found = {one.cause: one for one in open_alarms(alarms)}
    assert found["RED"] == OpenAlarms("RED", 3, 2, 40)
    assert found["AMBER"] == OpenAlarms("AMBER", 1, 0, 0)
    assert tuple(found) == CAUSES
