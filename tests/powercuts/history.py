"""A peer's life on its disk, drawn from a seed: what is written, and what must be there after each call to the disk.

A history has several lives. Each is lived once, on a disk that notes every call; the next begins with what an outage of
the one before has left, so that what a recovery writes over is drawn, too.
"""

from __future__ import annotations

import copy
import random
import shutil
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from hfzmq.core.contract import Apply, Compact, Persist
from hfzmq.core.sessions import Sessions
from hfzmq.core.types import Entry, HardState
from hfzmq.errors import DiskFailed
from hfzmq.storage import Store, checkpoint
from hfzmq.storage.connection import abandon
from tests.integration.storage_world import Held, Tape, expected_of, founded, held_by, mesh, report
from tests.powercuts.disk import Call, Image, Recorder
from tests.powercuts.drawn import LATER_MS, drawn_fact, drawn_reading

Effects = list[Persist | Apply | Compact]


MAYBE, SURELY = 1, 2


class Promise(NamedTuple):
    """What holds from one call to the disk on: of the states of a life, at least ``least`` and at most ``most`` must be
    found, a start numbered above ``boot_no``, the incarnation (b'': any), and whether the files may (MAYBE) or must
    (SURELY) be distrusted."""

    calls: int
    least: int
    most: int
    boot_no: int
    incarnation: bytes
    distrusted: int = 0


class Found(NamedTuple):
    """What is ``wrong`` ('': nothing) with files that were opened, which state they hold, were they set aside."""

    wrong: str
    tape: Tape
    amnesia: bool = False


class Life:
    """What was lived: the disk's calls from ``start`` on, the states that were passed, and the promises, rising."""

    def __init__(self, start: Image, tape: Tape, boot_no: int, incarnation: bytes) -> None:
        self.start = start
        self.calls: list[Call] = []
        self.states = [tape]
        self.promises = [Promise(0, 0, 0, boot_no, incarnation)]

    def promise_at(self, calls: int) -> Promise:
        """What must hold when the power goes after so many calls."""
        return self.promises[bisect_right([one.calls for one in self.promises], calls) - 1]

    def check(self, directory: Path, calls: int, left: Image, votes_only: bool = False) -> Found:
        """Open what an outage after so many calls left, in ``directory``, and compare (or only term and vote)."""
        promise = self.promise_at(calls)
        lay_out(directory, left)
        store = Store.open(directory, 1, mesh())
        held, who, amnesia = held_by(store), store.identity, store.amnesia
        store.close()
        if amnesia:
            return Found("" if promise.distrusted else f"amnesia: {amnesia}", Tape(), True)
        if promise.distrusted and who.incarnation != promise.incarnation and held == expected_of(Tape()):
            return Found("", Tape(), True)  # the power went between the new file's first start and its being known
        if promise.distrusted == SURELY:
            return Found("distrusted files were believed", Tape())
        if promise.incarnation not in (b"", who.incarnation):
            return Found("another incarnation", Tape())
        if who.boot_no <= promise.boot_no:
            return Found(f"start {who.boot_no}, after {promise.boot_no}", Tape())
        for tape in self.states[promise.least : promise.most + 1]:
            if held == expected_of(tape) or (votes_only and held.hard_state == tape.hard_state):
                return Found("", tape)
        return Found(_difference(held, expected_of(self.states[promise.least])), Tape())


def _difference(found: Held, promised: Held) -> str:
    parts = [
        f"{name} {_short(ours)}, promised {_short(theirs)}"
        for name, ours, theirs in zip(Held._fields, found, promised, strict=True)
        if ours != theirs
    ]
    return "; ".join(parts)


def _short(value: object) -> str:
    return f"{len(value)} rows" if isinstance(value, (list, dict, tuple)) and len(value) > 3 else str(value)[:40]


def copied(tape: Tape) -> Tape:
    """The tape as it is now; the original goes on."""
    twin = copy.copy(tape)
    twin.log, twin.tables = list(tape.log), copy.deepcopy(tape.tables)
    twin.stored_sessions = dict(tape.stored_sessions)
    twin.sessions = Sessions(tape.stored_sessions)
    return twin


def live(
    rng: random.Random,
    directory: Path,
    vfs: str,
    start: Image,
    tape: Tape,
    boot_no: int,
    incarnation: bytes,
    steps: int,
) -> Life:
    """Live one life of ``steps`` steps in ``directory``, beginning with what ``start`` holds."""
    life = Life(start, copied(tape), boot_no, incarnation)
    lay_out(directory, start)
    recorder = Recorder(vfs)
    try:
        with recorder.installed(), _small_checkpoints(rng):
            _Writer(life, recorder, rng, directory, copied(tape)).live(steps)
    finally:
        recorder.unregister()
    life.calls = recorder.calls
    return life


def lay_out(directory: Path, image: Image) -> None:
    """Make the directory hold the image and nothing else."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    for name, content in image.items():
        path = directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)


@contextmanager
def _small_checkpoints(rng: random.Random) -> Iterator[None]:
    """So that the WAL begins anew several times within a life."""
    names = ("IDLE_PAGES", "PASSIVE_PAGES", "TRUNCATE_PAGES")
    kept = [getattr(checkpoint, name) for name in names]
    passive = rng.choice((15, 50, 150, 1000))  # a transaction writes about a dozen
    for name, pages in zip(
        names, (rng.choice((5, 30, 1000)), passive, rng.choice((passive, 2 * passive))), strict=True
    ):
        setattr(checkpoint, name, pages)
    try:
        yield
    finally:
        for name, pages in zip(names, kept, strict=True):
            setattr(checkpoint, name, pages)


class _Writer:
    """Lives a life: writes, and notes what is promised after which call to the disk."""

    def __init__(self, life: Life, disk: Recorder, rng: random.Random, directory: Path, tape: Tape) -> None:
        self.life, self.disk, self.rng, self.directory, self.tape = life, disk, rng, directory, tape
        self.distrusted = 0
        self.synced = 0  # the state that no power cut takes back
        self.store = self._open()

    def live(self, steps: int) -> None:
        """So many steps; then the process is gone without a word."""
        for _ in range(steps):
            chance = self.rng.random()
            self.disk.clock_s += self.rng.choice((0.0, 0.0, 0.05, 0.3))
            if chance < 0.75:
                self._write(self._drawn())
            elif chance < 0.80:
                self._show()
            elif chance < 0.93:
                self.store.idle_checkpoint()
            elif chance < 0.96:
                self.store.close()
                self.store = self._open()
            elif chance < 0.98:
                self._die()
                self.store = self._open()
            elif chance < 0.99:
                self._ask_too_much()
            else:
                self._distrust()
        self._die()

    def _open(self) -> Store:
        store = Store.open(self.directory, 1, mesh(), vfs=self.disk.vfs_name)
        if store.amnesia:
            if not self.distrusted:
                raise AssertionError(f"amnesia without a cut: {store.amnesia}")
            self.distrusted = 0
            self.tape = Tape()
            self.life.states.append(copied(self.tape))
        if self.distrusted:
            raise AssertionError("distrusted files were believed")
        at = self.synced = len(self.life.states) - 1
        self._promise(at, at, store)
        return store

    def _die(self) -> None:
        abandon(self.store._connection)
        self.store._mark.close()
        self.store._lock.release()

    def _distrust(self) -> None:
        at = len(self.life.states) - 1
        self.distrusted = MAYBE
        self._promise(self.synced, at, self.store)
        self.store.distrust("the mesh holds something else")
        self.distrusted = SURELY
        self._promise(self.synced, at, self.store)
        self.store.close()
        self.store = self._open()

    def _ask_too_much(self) -> None:
        """What is applied must never be dropped, and who was asked to writes no more."""
        for effects in ([Persist(0, None, max(1, self.tape.applied), ())], [Persist(0, HardState(99, 1), None, ())]):
            if not self.tape.applied:
                return
            try:
                self.store.write(effects)
            except DiskFailed:
                continue
            raise AssertionError("an applied entry was dropped, or a store that has failed writes on")
        self.store.close()
        self.store = self._open()

    def _write(self, effects: Effects) -> None:
        self.life.states.append(copied(self.tape))
        at = len(self.life.states) - 1
        self._promise(self.synced, at, self.store)
        self.store.write(effects)
        if any(not isinstance(effect, Apply) for effect in effects):  # else the log alone is promised
            self.synced = at
        self._promise(self.synced, at, self.store)

    def _show(self) -> None:
        """Others are told how far this peer is, and hold it to that."""
        at = len(self.life.states) - 1
        self.store.sync()
        self.synced = at
        self._promise(at, at, self.store)

    def _promise(self, least: int, most: int, store: Store) -> None:
        who = store.identity
        calls = len(self.disk.calls)
        self.life.promises.append(Promise(calls, least, most, who.boot_no, who.incarnation, self.distrusted))

    def _drawn(self) -> Effects:
        """One transaction's effects."""
        tape, rng = self.tape, self.rng
        effects: Effects = []
        if rng.random() < 0.3 and len(tape.log) > tape.applied:  # what the log has is committed now
            return [tape.apply(rng.randint(tape.applied + 1, len(tape.log)))]
        if rng.random() < 0.3:
            term = tape.hard_state.term + rng.randint(0, 1)
            vote = tape.hard_state.vote or rng.randint(0, 3) if term == tape.hard_state.term else rng.randint(0, 3)
            effects.append(tape.persist(hard_state=HardState(term, vote)))
        if rng.random() < 0.2 and len(tape.log) > tape.applied:
            tape.hard_state = HardState(tape.hard_state.term + 1, 0)
            cut = tape.truncate(rng.randint(tape.applied + 1, len(tape.log)))
            effects.append(tape.persist(hard_state=tape.hard_state, truncate_from=cut))
        entries = [self._entry() for _ in range(rng.choice((0, 1, 1, 2, 6)))]
        if entries or not effects:
            effects.append(tape.persist(*entries))
        if rng.random() < 0.5 and len(tape.log) > tape.applied:
            effects.append(tape.apply(rng.randint(tape.applied + 1, len(tape.log))))
        if rng.random() < 0.1 and tape.applied > tape.base:
            effects.append(tape.compact(rng.randint(tape.base + 1, tape.applied)))
        return effects

    def _entry(self) -> Entry:
        tape, rng = self.tape, self.rng
        chance = rng.random()
        if chance < 0.15:
            return tape.noop()
        if chance < 0.2:
            return tape.config(founded(0, rng.choice(((1, 2, 3), (1, 2, 3, 4)))))
        tape.now_ms += rng.choice(LATER_MS)
        if chance < 0.35:
            return tape.readings([drawn_reading(rng, tape.now_ms) for _ in range(rng.choice((1, 3, 20)))])
        if chance < 0.55:
            return tape.facts(*(drawn_fact(rng, tape) for _ in range(rng.choice((1, 1, 4)))))
        rows = rng.choice((0, 1, 2, 3, 30))
        return tape.batch([report(rng.randint(0, 99)) for _ in range(rows)], rng.choice(("bed", "bed", "ward")))
