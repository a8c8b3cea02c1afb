"""What can wait is done once in EVERY_MS however often the loop turns, and by then though nothing else comes."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

from hfzmq.core.contract import Proposal
from hfzmq.core.types import Origin
from hfzmq.daemon.chores import EVERY_MS, Chores

FACT = Proposal("route", Origin("peer 1", bytes(16), 1, bytes(16)), b"body")
LEASE_MS = 1000


class World:
    """All the parts, which note that they were asked; ``wakes_ms``: when the transfers want to be."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.wakes_ms = math.inf
        self.heard_ms: dict[int, float] = {}
        self.facts: list[Proposal] = []

        def notes(what: str) -> Any:
            return lambda *_: self.done.append(what)

        def never(*_: object) -> float:
            return math.inf

        replica = SimpleNamespace(
            me=1,
            membership=SimpleNamespace(voters=(1, 2, 3), learners=()),
            liveness=SimpleNamespace(
                last_of=lambda peer: (self.heard_ms[peer], None) if peer in self.heard_ms else None,
                forget=lambda peer: self.heard_ms.pop(peer),
            ),
            known_leader=lambda now_ms: 1,
            serves=True,
        )
        links = SimpleNamespace(
            make_refused_anew=notes("refused"), renew=lambda peer: self.done.append(f"renewed {peer}")
        )
        parts: dict[str, Any] = {
            "lease_ms": LEASE_MS,
            "replica": replica,
            "about": SimpleNamespace(addresses=list),
            "sockets": SimpleNamespace(mind_the_door=notes("door"), mind_the_weight=notes("weight"), links=links),
            "voice": SimpleNamespace(introduce=notes("introduced")),
            "hearsay": SimpleNamespace(turn=notes("hearsay")),
            "passing": SimpleNamespace(turn=notes("passed on")),
            "watch": SimpleNamespace(
                turn=lambda now_ms, serves: self.facts.pop() if self.facts else None, wake_at_ms=never
            ),
            "transfers": SimpleNamespace(tick=notes("transfers"), wake_at_ms=lambda: self.wakes_ms),
            "backups": SimpleNamespace(tick=notes("backups"), wake_at_ms=never),
            "vitals": SimpleNamespace(wake_at_ms=never),
        }
        self.chores = Chores(**parts)


def test_a_hundred_turns_within_the_time_do_everything_once_and_the_next_one_does_it_again() -> None:
    world = World()
    for turn in range(100):
        assert world.chores.are_due(turn * EVERY_MS / 100) == (turn == 0)
        world.chores.turn(turn * EVERY_MS / 100)
    once = ["transfers", "backups", "introduced", "door", "weight", "refused", "hearsay", "passed on"]
    assert world.done == once
    world.chores.turn(EVERY_MS)
    assert world.done == 2 * once


def test_what_a_message_left_to_do_is_done_in_time_though_nothing_else_comes() -> None:
    world = World()
    world.chores.turn(0)
    assert world.chores.wake_at_ms(1) == math.inf
    world.chores.happened()
    assert world.chores.wake_at_ms(1) == EVERY_MS
    world.chores.turn(EVERY_MS)
    assert world.chores.wake_at_ms(EVERY_MS) == math.inf


def test_a_part_that_asks_to_be_woken_is_but_never_more_often_than_all_are_done() -> None:
    world = World()
    world.chores.turn(0)
    world.wakes_ms = 500
    assert world.chores.wake_at_ms(1) == 500
    world.wakes_ms = -math.inf  # else a loop that is told to wake at once would turn and turn, and do nothing
    assert world.chores.wake_at_ms(1) == EVERY_MS


def test_who_waits_for_the_next_piece_does_not_wait_for_the_time() -> None:
    world = World()
    world.chores.turn(0)
    world.done.clear()
    world.chores.hurry()
    assert world.chores.wake_at_ms(1) <= 1
    world.chores.turn(1)
    assert "transfers" in world.done


def test_what_the_leader_has_to_tell_the_log_is_given_to_the_loop() -> None:
    world = World()
    world.facts.append(FACT)
    assert world.chores.turn(0) is FACT
    assert world.chores.turn(EVERY_MS) is None


def test_the_connections_to_a_dead_peer_are_renewed_once_a_death() -> None:
    world = World()
    world.heard_ms = {1: 0.0, 2: 0.0, 3: 3 * LEASE_MS}
    for turn in range(3):
        world.chores.turn(3 * LEASE_MS + 1 + turn * EVERY_MS)
    assert [what for what in world.done if what.startswith("renewed")] == ["renewed 2"]
