"""Keys by hearsay: a peer that hears no leader asks the others which keys the peers serve with.

    a leader is known --AFTER_MS without--> asking (a thread; again later) --newer keys--> connections made anew

Why. A key that was changed through the mesh stands in the log. Who was away meanwhile, or begins with nothing, knows
the old key from its peers.yaml; where the peer with the new one leads, it would never be told, for the log comes from
the leader, with whom it cannot speak.

Touches sockets (through client.ask, in a thread of its own). Must not know: what the core decides. Keeps: it asks with
this peer's own key and believes only who serves with a key in force here; what it hears is a way to reach peers that
are not heard, puts nobody out of force, and gives way to the log (keyring.py).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future
from typing import Any

import zmq

from hfzmq.client.ask import ask
from hfzmq.config import PeerAddress
from hfzmq.core.replica import Replica
from hfzmq.daemon.keyring import Keyring
from hfzmq.daemon.worker import Work, in_thread
from hfzmq.errors import HfzmqError
from hfzmq.key_section import Keys
from hfzmq.wire.members import told_by
from hfzmq.wire.requests import encode_request

AFTER_MS = 2_000.0
AGAIN_MS, AGAIN_MS_MAX = 2_000.0, 15_000.0
TIMEOUT_MS = 1_000

Heard = list[tuple[int, dict[int, str]]]  # each answer: up to which entry it was known there, and each peer's key

log = logging.getLogger("hfzmq.hearsay")


class Hearsay:
    """For peer ``me`` of a mesh. ``keyring``: None where there are no keys, and nothing is ever asked; ``renew(peer)``:
    make its connections anew."""

    def __init__(
        self,
        me: int,
        mesh_id: bytes,
        keyring: Keyring | None,
        renew: Callable[[int], None],
        work: Work = in_thread,
        question: Callable[..., dict[str, Any] | None] = ask,
    ) -> None:
        self._me = me
        self._request = encode_request(mesh_id, "status")
        self._keyring = keyring
        self._renew = renew
        self._work = work
        self._question = question
        self._asking: Future[Heard] | None = None
        self._due_ms: float | None = None
        self._wait_ms = AGAIN_MS

    def turn(self, now_ms: float, replica: Replica, peers: Callable[[], Iterable[PeerAddress]]) -> None:
        """Called often. ``peers()``: where the members are."""
        if self._keyring is None:
            return
        self._keyring.repay(replica.applied)
        if self._asking is not None:
            if self._asking.done():
                self._take(self._asking, self._keyring, replica.liveness.alive(now_ms), replica.applied)
                self._asking = None
        elif replica.known_leader(now_ms):
            self._due_ms, self._wait_ms = None, AGAIN_MS
        elif self._due_ms is None:
            self._due_ms = now_ms + AFTER_MS
        elif now_ms >= self._due_ms:
            self._due_ms = now_ms + self._wait_ms
            self._wait_ms = min(2 * self._wait_ms, AGAIN_MS_MAX)
            known = Keys(tuple(sorted(self._keyring.in_force.keys_of_peers().items())), own=self._keyring.own)
            others = [peer for peer in peers() if peer.id != self._me]
            self._asking = self._work(lambda: self._ask(others, known))

    def _ask(self, peers: list[PeerAddress], keys: Keys) -> Heard:
        """In the thread."""
        found: Heard = []
        for peer in peers:
            if keys.key_of(peer.id) is None:
                continue
            answer = self._question(peer.host, peer.client_port, self._request, TIMEOUT_MS, keys, peer.id)
            told = told_by(answer)
            applied = answer["peer"].get("applied_index") if answer is not None and told is not None else None
            if told is not None and type(applied) is int:
                found.append((applied, dict(told.keys)))
        return found

    def _take(self, asked: Future[Heard], keyring: Keyring, alive: Collection[int], mine: int) -> None:
        try:
            heard = asked.result()
        except (HfzmqError, OSError, RuntimeError, zmq.ZMQError, KeyError) as error:  # of no use, no reason to end
            log.debug("which keys the others serve with could not be asked: %s", error)
            return
        applied, served = max(heard, key=lambda one: one[0], default=(0, {}))
        if applied <= mine:
            return  # nothing is known there that is not known here
        wanted = {peer: key for peer, key in served.items() if peer != self._me and peer not in alive}
        for peer in keyring.borrow(wanted, applied):
            log.info("peer %d serves with a newer key, another peer says: it is spoken to with that one", peer)
            self._renew(peer)
