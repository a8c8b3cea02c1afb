"""A peer that hears no leader learns from the others with which keys the peers serve now."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

from hfzmq.access import LOG, PEER, Listed
from hfzmq.config import PeerAddress
from hfzmq.daemon.hearsay import AFTER_MS, AGAIN_MS, Hearsay
from hfzmq.daemon.keyring import Keyring
from hfzmq.errors import KeysError
from hfzmq.key_section import Keys
from hfzmq.secret_files import make_pair
from hfzmq.wire.members import told_keys
from tests.unit.cli_world import CONFIG, members_told, says

OWN = make_pair()
OLD, NEW, NEWER, THIRD = (make_pair().public for _ in range(4))


class World:
    """Peer 1, whose file lists an old key of peer 2. ``said``: what the others answer, by id; ``asked``: who was."""

    def __init__(self) -> None:
        self.keyring = Keyring(Keys(((1, OWN.public), (2, OLD), (3, THIRD)), own=OWN))
        self.said: dict[int, dict[str, Any] | None] = {3: self.answer({1: OWN.public, 2: NEW, 3: THIRD})}
        self.asked: list[int] = []
        self.renewed: list[int] = []
        self.hearsay = Hearsay(1, CONFIG.mesh_id, self.keyring, self.renewed.append, at_once, self._question)

    def answer(self, served: dict[int, str], applied: int = 50) -> dict[str, Any]:
        told: dict[str, Any] = {**members_told(), **told_keys(served)}
        return says(3, applied_index=applied, **told)

    def turns(
        self, from_ms: float, to_ms: float, led: bool = False, alive: tuple[int, ...] = (3,), applied: int = 0
    ) -> None:
        """A turn every 100 ms."""
        now_ms = from_ms
        while now_ms <= to_ms:
            self.hearsay.turn(now_ms, replica(led, alive, applied), lambda: CONFIG.peers)
            now_ms += 100

    def _question(
        self, host: str, port: int, request: bytes, timeout_ms: int, keys: Keys, peer: int
    ) -> dict[str, Any] | None:
        assert PeerAddress(peer, host, port, *CONFIG.peer(peer)[3:]) in CONFIG.peers
        assert keys.own == OWN
        self.asked.append(peer)
        return self.said.get(peer)


def replica(led: bool, alive: tuple[int, ...], applied: int) -> Any:
    """What is looked at of one."""
    liveness = SimpleNamespace(alive=lambda now_ms: alive)
    return SimpleNamespace(known_leader=lambda now_ms: 2 if led else 0, liveness=liveness, applied=applied)


def at_once(work: Callable[[], Any]) -> Future[Any]:
    done: Future[Any] = Future()
    try:
        done.set_result(work())
    except Exception as error:
        done.set_exception(error)
    return done


def test_who_hears_no_leader_speaks_to_the_others_with_the_keys_that_a_peer_names() -> None:
    world = World()
    world.turns(0, AFTER_MS + 200)
    assert world.asked == [2, 3]
    assert world.keyring.in_force.key_of(2) == NEW
    assert world.keyring.peer_of(OLD) == 2  # nobody goes out of force by hearsay
    assert world.renewed == [2]


def test_who_hears_a_leader_asks_nobody_and_one_that_has_no_answer_asks_again_ever_more_seldom() -> None:
    world = World()
    world.turns(0, 60_000, led=True)
    assert world.asked == []
    world.said = {}
    world.turns(60_000, 60_000 + AFTER_MS + AGAIN_MS + 200)
    assert world.asked == [2, 3, 2, 3]
    world.turns(70_000, 170_000)
    assert 10 < len(world.asked) < 40
    assert world.renewed == []


def test_a_peer_that_is_heard_and_a_peer_that_knows_no_more_than_this_one_change_nothing() -> None:
    world = World()
    world.turns(0, AFTER_MS + 200, alive=(2, 3))
    world.turns(10_000, 30_000, applied=50)
    assert world.keyring.in_force.key_of(2) == OLD
    assert world.renewed == []


def test_a_key_that_is_revoked_here_stays_so_whatever_is_heard() -> None:
    world = World()
    world.keyring.told([], [NEW])
    world.turns(0, AFTER_MS + 200)
    assert world.keyring.in_force.key_of(2) == OLD
    assert world.keyring.peer_of(NEW) == 0


def test_the_log_counts_again_once_it_is_as_far_as_it_was_there() -> None:
    world = World()
    world.turns(0, AFTER_MS + 200)
    world.keyring.told([Listed(NEWER, PEER, "peer-2c", 2, LOG)], [OLD])
    world.turns(5_000, 5_000, led=True, applied=49)
    assert world.keyring.in_force.key_of(2) == NEW
    world.turns(5_100, 5_100, led=True, applied=50)
    assert world.keyring.in_force.key_of(2) == NEWER
    assert world.keyring.peer_of(NEW) == 0


def test_answers_that_are_wrong_or_fail_harm_nobody() -> None:
    world = World()
    world.said = {2: says(2), 3: {"v": 1, "status": "OK", "peer": 7}}
    world.turns(0, 10_000)

    def fails(*about: object, **more: object) -> None:
        raise KeysError("no")

    world.hearsay = Hearsay(1, CONFIG.mesh_id, world.keyring, world.renewed.append, at_once, fails)
    world.turns(0, 10_000)

    def no_thread(work: Callable[[], Any]) -> Future[Any]:
        failed: Future[Any] = Future()
        failed.set_exception(RuntimeError("can't start new thread"))
        return failed

    world.hearsay = Hearsay(1, CONFIG.mesh_id, world.keyring, world.renewed.append, no_thread, fails)
    world.turns(0, 10_000)
    plain = Hearsay(1, CONFIG.mesh_id, None, world.renewed.append, at_once, fails)
    plain.turn(99_999, replica(False, (), 0), lambda: CONFIG.peers)
    assert world.renewed == []
