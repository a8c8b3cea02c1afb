"""Lazy Pirate: one request, sent again and again, the same bytes, from peer to peer, until somebody answers for good.

Touches sockets (through Line) and the monotonic clock. Must not know: the queue on disk, what a request holds. Rules 17
to 20 of the protocol. Keeps: one request in flight; a line that was silent for a second is closed, never reused; no
peer is asked twice in one round, so peers that point at each other cost two questions and then a rest.

    a round: the leader if one is known, then hints, then the other members in the order of their ids; then, if none of
             them answered or nobody has served for four seconds, the peers of the file that are no members
       final answer (ACK, OK, CONFLICT, GAP, REFUSED) -> returned
       BUSY -> rest as told, the same peer again          NOT_LEADER with a hint -> that peer next, if not yet asked
       NO_QUORUM, NOT_LEADER, gone, nonsense -> next peer at once      silence for 1 s -> next peer, this one rests 1 s
    nobody left to ask -> rest (see Backoff), next round

Whom to ask next is ring.py; the connections, and which keys they show, are lines.py. Members of the mesh come and go:
an answer says the index of the answerer's list, and when that is newer than the list known here, the same peer is asked
for it at once (see Addresses).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from random import Random
from typing import Any, NamedTuple

import zmq

from hfzmq.client.addresses import Addresses
from hfzmq.client.backoff import Backoff
from hfzmq.client.key_faults import ROLE, sentence
from hfzmq.client.line import SERVER, Curve, wait
from hfzmq.client.lines import Lines
from hfzmq.client.ring import Ring
from hfzmq.config import PeerAddress
from hfzmq.errors import WireError
from hfzmq.key_section import Keys
from hfzmq.wire import members
from hfzmq.wire.requests import decode_reply, encode_request

TIMEOUT_MS = 1000
BUSY_MAX_MS = 5000
REFUSED_WITHIN_S = 0.4  # a key that a peer would not have is refused before
MEANWHILE_S = 0.1  # so often at least ``meanwhile`` is called during a rest
MEMBERS_REST_S = 1.0  # a list of members that was not to be had is asked for again after so long

CONNECTED, SEARCHING, NO_QUORUM, KEY_REFUSED = "connected", "searching", "no quorum", "key refused"  # how a link stands

FINAL = frozenset(("ACK", "OK", "CONFLICT", "GAP", "REFUSED"))

# Refusals that speak of the peer or of us and not of the request: it belongs to another mesh, or to another time; our
# key may not ask for it.
KEY_FIELD = "key"
NOT_OURS = frozenset(("v", "mesh", KEY_FIELD))

Reply = dict[str, Any]


class Link(NamedTuple):
    """How it stands with the mesh: CONNECTED, SEARCHING, NO_QUORUM or KEY_REFUSED; who last answered; the leader."""

    state: str = SEARCHING
    peer: int | None = None
    leader: int | None = None
    why: str = ""  # of KEY_REFUSED, in words
    hint: str = ""  # and what to do


class Pirate:
    """Asks the mesh. One thread at a time; ``close`` it in the thread that asks.

    ``rng`` drives the jitter. ``stop`` ends a running ``ask`` within 50 ms. Called in the asking thread: ``on_link``
    when it is first known how the link stands, and whenever that changes; ``meanwhile`` some times a second while it
    waits. With ``mesh_id`` it learns who the members are, beginning with ``told``, and calls ``on_members`` with each
    newer list. ``keys``: the mesh's (None: it is plain).
    """

    def __init__(
        self,
        peers: Iterable[PeerAddress],
        *,
        rng: Random,
        context: zmq.Context[zmq.Socket[bytes]] | None = None,
        timeout_ms: int = TIMEOUT_MS,
        stop: threading.Event | None = None,
        on_link: Callable[[Link], None] = lambda link: None,
        mesh_id: bytes | None = None,
        told: members.Told | None = None,
        on_members: Callable[[members.Told], None] = lambda told: None,
        meanwhile: Callable[[], None] = lambda: None,
        keys: Keys | None = None,
    ) -> None:
        self._keys = keys
        self.addresses = Addresses(peers, told)
        self._which_members = None if mesh_id is None else encode_request(mesh_id, "members")
        self._on_members = on_members
        self._meanwhile = meanwhile
        self._members_due = 0.0
        self._owns_context = context is None
        self._context = context or zmq.Context()
        self._timeout_s = timeout_ms / 1000
        self._stop = stop or threading.Event()
        self._on_link = on_link
        self._backoff = Backoff(rng)
        self._lines = Lines(self._context, self.addresses, keys)
        self._ring = Ring(self.addresses)
        self._target = self.addresses.members[0]  # the lowest id leads when all is well
        self.link = Link()
        self._link_told = False
        self.last_status: str | None = None  # what a peer of this mesh said last
        self.refusals: dict[int, Reply] = {}  # peers that are not of this mesh, and what they said

    @property
    def key_faults(self) -> dict[int, str]:
        """Peers that would not have our key, or we theirs, and why."""
        return self._lines.faults

    @property
    def target(self) -> tuple[int, str, int]:
        """(id, host, port) of the peer that will be asked first."""
        return (self._target, *self.addresses[self._target])

    def rotate(self) -> None:
        """Ask another peer first next time."""
        self._target = self._ring.after(self._target)

    def ask(
        self, frame: bytes, *, deadline: float | None = None, accept: Callable[[Reply], bool] = lambda reply: True
    ) -> Reply | None:
        """The final answer to ``frame``; None when ``deadline`` (monotonic, seconds) passed or ``stop`` was set.

        Without a deadline it never gives up. A final answer for which ``accept`` is False counts as none at all.
        """
        asked: set[int] = set()
        answered: dict[int, str] = {}
        heard = False
        named: int | None = None  # whom a hint of this round called the leader
        while not self._over(deadline):
            target = self._target
            reply = self._try(target, frame, deadline)
            heard = heard or reply is not None
            if reply is not None:
                self._catch_up(target, reply, deadline)
            if reply is not None and reply["status"] in FINAL:
                if self._is_final(target, reply, deadline) and accept(reply):
                    self._backoff.reset()
                    self._ring.served()
                    self.last_status = reply["status"]
                    self._learn(target, reply)
                    return reply
                self._give_up_on(target)
                reply = None
            if reply is not None and reply["status"] == "BUSY":
                self.last_status = "BUSY"
                self._rest(min(max(reply["retry_ms"], 1), BUSY_MAX_MS), deadline)
                continue
            asked.add(target)
            if reply is not None:
                answered[target] = self.last_status = reply["status"]
                if reply["status"] == "NO_QUORUM":
                    self.addresses.failed(target)
            hint = self._hint(reply) if reply is not None else None
            named = hint or named
            following = self._ring.following(target, asked, hint, bool(answered))
            if following is None:
                cut_off = "NO_QUORUM" in answered.values()
                state = NO_QUORUM if cut_off else SEARCHING if answered or not self.key_faults else KEY_REFUSED
                words = sentence(self._keys, self.key_faults) if state == KEY_REFUSED else ("", "")
                self._set_link(Link(state, next(iter(answered), None), None, *words))
                if deadline is not None and self._lines.all_refuse():
                    return None
                self._rest(self._backoff.next_ms(answered=bool(answered)), deadline)
                asked.clear()
                answered.clear()
                following = self._ring.after(target)
                if named is not None and self._ring.can_ask(named):
                    following = named
                named = None
            self._target = following
        untrue = self.link.state == CONNECTED or (self.link.state == KEY_REFUSED and not self.key_faults)
        if not heard and not self._stop.is_set() and untrue:
            self._set_link(Link())  # no round came to its end, but nobody has spoken all this time
        return None

    def _is_final(self, target: int, reply: Reply, deadline: float | None) -> bool:
        """Whether a peer's final answer is one to this request; if not, what it said is kept in ``refusals``. That our
        key may not ask for this is one for whoever cannot wait until somebody changes that."""
        if reply["status"] == "REFUSED" and reply["field"] in NOT_OURS:
            self.refusals[target] = reply
            if reply["field"] == KEY_FIELD:
                self.key_faults[target] = ROLE
                return deadline is not None
            return False
        self.refusals.pop(target, None)
        self.key_faults.pop(target, None)
        return True

    def curve_at(self, host: str, port: int) -> Curve | None:
        """What a connection to the peer at ``host:port`` takes; None where there are no keys. KeyError: not known."""
        return self._lines.curve_at(host, port)

    def close(self) -> None:
        """Drop every line. May be called twice."""
        self._lines.close()
        if self._owns_context:
            self._context.term()

    # -------------------------------------------------------------------------------------------------- who there is

    def _catch_up(self, target: int, reply: Reply, deadline: float | None) -> None:
        """Learn the members when ``target`` knows a newer list than this client; and where they are, when it tells that
        anyway: the first ones are moved without a newer list."""
        if self._which_members is None or (reply["status"] == "REFUSED" and reply["field"] in NOT_OURS):
            return
        said = reply.get("peer")
        told: Reply | None = said if isinstance(said, dict) else reply  # a status holds the list itself
        index = told.get("members_index") if told is not None else None
        known = self.addresses.index
        same = index == known and told is not reply
        older = type(index) is not int or (index <= known and SERVER not in self.key_faults.values())
        if (older and not same) or time.monotonic() < self._members_due:  # another key does not make a newer list
            return
        if told is reply:
            told = self._try(target, self._which_members, deadline)
        try:
            learned = told is not None and self._learn_members(members.read(told))
        except WireError:  # a peer of another version; those addresses that are known still hold
            learned = False
        if not learned and not same:
            self._members_due = time.monotonic() + MEMBERS_REST_S

    def _learn_members(self, told: members.Told) -> bool:
        if not self.addresses.learn(told):
            if SERVER in self.key_faults.values():
                self.addresses.learn_keys(told)
            if self.addresses.learn_places(told):
                self._on_members(self.addresses.told or told)
            return False
        if self._target not in self.addresses:
            self._target = self.addresses.members[0]
        self._lines.drop_strangers()
        self._on_members(told)
        return True

    # -------------------------------------------------------------------------------------------------------- one peer

    def _try(self, target: int, frame: bytes, deadline: float | None) -> Reply | None:
        """One question to one peer: what it said, or None when it is gone, silent or talks nonsense."""
        line = self._lines.to(target)
        if line is None:
            return None
        began = time.monotonic()
        until = began + self._timeout_s
        if deadline is not None:
            until = min(until, deadline)
        line.send(frame)
        while True:
            answer = line.reply()
            if answer is not None:
                break
            if line.lost:
                self._lines.was_lost(target, line.fault)
                self._lines.drop(target)
                self.addresses.failed(target)
                return None
            if time.monotonic() >= began + REFUSED_WITHIN_S:
                self._lines.was_silent(target)
            if self._over(deadline):
                self._lines.drop(target)
                return None
            if time.monotonic() >= until:
                self._give_up_on(target)
                return None
            wait([line], until, self._stopped)
        try:
            reply = decode_reply(answer)
        except WireError:
            self._give_up_on(target)
            return None
        self._ring.answered(target)
        self._lines.answered(target)
        return reply

    def _give_up_on(self, target: int) -> None:
        self._lines.drop(target)
        self.addresses.failed(target)
        self._ring.was_silent(target)

    def _hint(self, reply: Reply) -> int | None:
        """The leader that a NOT_LEADER names: by the address that is known, or else by the hint's."""
        if reply["status"] != "NOT_LEADER":
            return None
        leader, host, port = reply["leader"], reply["host"], reply["port"]
        if leader is None:
            return None
        if host is not None and port is not None:
            self.addresses.hint(leader, host, port)
        return int(leader) if leader in self.addresses else None

    def _learn(self, target: int, reply: Reply) -> None:
        """Take from a final answer who leads, and ask that one first from now on."""
        state, leader = CONNECTED, self.link.leader
        if reply["status"] == "ACK":
            leader = target
        said = reply.get("peer")
        if isinstance(said, dict):  # an answer to 'status'
            heard = said.get("leader")
            leader = heard if isinstance(heard, int) and heard > 0 else None
            cut_off = said.get("quorum") is not True
            state = NO_QUORUM if cut_off else CONNECTED if leader is not None else SEARCHING
            if leader is not None and not cut_off and self._ring.can_ask(leader):  # who is cut off names a former one
                self._target = leader
        self._set_link(Link(state, target, leader))

    def _set_link(self, link: Link) -> None:
        if link != self.link or not self._link_told:
            self.link, self._link_told = link, True
            self._on_link(link)

    # -------------------------------------------------------------------------------------------------------- time

    def _over(self, deadline: float | None) -> bool:
        return self._stop.is_set() or (deadline is not None and time.monotonic() >= deadline)

    def _rest(self, rest_ms: float, deadline: float | None) -> None:
        until = time.monotonic() + rest_ms / 1000
        if deadline is not None:
            until = min(until, deadline)
        while (left_s := until - time.monotonic()) > 0 and not self._stopped():
            self._stop.wait(min(left_s, MEANWHILE_S))

    def _stopped(self) -> bool:
        self._meanwhile()
        return self._stop.is_set()
