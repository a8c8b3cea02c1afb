"""A follower writes first what others wait for; what it writes is the same."""

from __future__ import annotations

from collections import deque
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hfzmq.core.contract import Apply, Compact, Event, Persisted
from hfzmq.core.types import START, HardState
from hfzmq.daemon.node import Node
from hfzmq.daemon.writing import APPLY_APART_BYTES, Write, parted
from hfzmq.storage import Store
from tests.integration.storage_world import Held, Tape, founded, held_by, mesh, report

FEW, MANY = 2, 40  # reports to apply: below and above what is worth a transaction of its own


def turn_of(applied: int) -> list[Write]:
    """What a follower has to write when an append brings an entry and commits an older one with so many reports."""
    tape = Tape()
    tape.batch([report(number) for number in range(applied)])
    older = tape.apply()
    assert (sum(len(entry.body) for entry in older.entries) > APPLY_APART_BYTES) is (applied == MANY)
    return [tape.persist(tape.batch([report(1)])), older]


def names(part: list[Write]) -> list[str]:
    return [type(effect).__name__ for effect in part]


@pytest.mark.parametrize(
    ("leads", "applied", "order"),
    [
        (False, MANY, (["Persist"], ["Apply"])),
        (False, FEW, (["Persist", "Apply"], [])),
        (True, MANY, (["Persist", "Apply"], [])),
    ],
)
def test_new_entries_are_kept_apart_from_much_that_a_follower_has_to_apply_and_else_with_it(
    leads: bool, applied: int, order: tuple[list[str], list[str]]
) -> None:
    now, later = parted(turn_of(applied), leads)
    assert (names(now), names(later)) == order


def test_whatever_gathered_is_written_once_and_in_its_order() -> None:
    kinds = (*turn_of(MANY), turn_of(FEW)[1], Compact(START, founded()))
    for length in range(5):
        for effects in product(kinds, repeat=length):
            for leads in (False, True):
                now, later = parted(effects, leads)
                assert (*now, *later) == effects
                assert now or not effects


def test_what_is_applied_or_kept_alone_is_written_at_once() -> None:
    persist, apply = turn_of(MANY)
    for alone in ([apply], [persist], [apply, persist]):
        assert parted(alone, False) == (alone, [])


def test_a_follower_tells_its_leader_that_it_keeps_an_entry_before_it_applies_the_older_ones() -> None:
    done: list[str] = []

    def write(effects: list[Write]) -> tuple[int, bytes] | None:
        done.extend(f"wrote {name}" for name in names(effects))
        return (1, b"") if any(isinstance(effect, Apply) for effect in effects) else None

    def step(now_ms: float, event: Event) -> list[Write]:
        done.append(type(event).__name__)
        return [*again.popleft()] if isinstance(event, Persisted) else []

    again: deque[list[Write]] = deque([turn_of(FEW)[:1], []])  # the first answer brings more to keep
    node: Any = Node.__new__(Node)
    node.replica = SimpleNamespace(leading=None, step=step)
    node.store = SimpleNamespace(write=write, unsynced=False, keys=None)
    node.vitals = SimpleNamespace(writes=lambda: None, wrote=lambda synced: 0.0)
    node.about = SimpleNamespace()
    node.locks = SimpleNamespace(applied=lambda keys: None)
    node.watch = SimpleNamespace(changed=lambda now_ms: None)
    node._to_write = turn_of(MANY)
    node._commit()
    assert done == ["wrote Persist", "Persisted", "wrote Apply", "wrote Persist", "Persisted", "Applied"]
    assert node._to_write == []


def written(folder: Path, apart: bool) -> Held:
    """What a file holds after a follower's turns, each in one transaction or in two."""
    tape = Tape()
    tape.hard_state = HardState(1, 1)
    store = Store.open(folder, 1, mesh())

    def turn(*effects: Write) -> None:
        for part in parted(effects, leads=not apart):
            store.write(part)

    turn(tape.persist(*(tape.batch([report(n) for n in range(20)]) for _ in range(6)), hard_state=tape.hard_state))
    turn(tape.persist(tape.batch([report(7)])), tape.apply(3))
    tape.truncate(6)  # another leader's entries take the place of what was not committed
    kept = tape.persist(tape.batch([report(8)]), truncate_from=6, hard_state=HardState(2, 2))
    turn(kept, tape.apply(4), tape.compact(2))
    turn(tape.persist(tape.batch([report(9)])), tape.apply())
    store.close()
    again = Store.open(folder, 1, mesh())
    held = held_by(again)
    again.close()
    assert (held.applied, held.state_hash) == (tape.applied, tape.state_hash)
    return held


def test_a_file_that_is_written_in_two_parts_holds_what_it_would_hold_anyway(tmp_path: Path) -> None:
    assert written(tmp_path / "apart", True) == written(tmp_path / "together", False)
