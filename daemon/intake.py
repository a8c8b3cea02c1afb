"""What comes in: bytes of peers and clients, so many a turn, to those that they are for; what is the core's, as events.

    peers -----> gate --> the core; snapshots' pieces, hints and introductions to their own parts
    heartbeats-> gate --> the core
    clients ---> desk --> the core, all proposals of a turn at once
    the query thread's answers --> clients

Touches sockets, the clock. Must not know: what the core makes of it. Keeps: peers come before clients, and neither
takes longer than its share of a turn, however much has gathered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container
from dataclasses import dataclass

import zmq

from hfzmq.core.contract import Event, Heard, Proposal, Propose, Received
from hfzmq.core.messages import Heartbeat, JoinRequest
from hfzmq.core.replica import Replica
from hfzmq.daemon.chores import Chores
from hfzmq.daemon.clocks import monotonic_ms
from hfzmq.daemon.desk import Desk
from hfzmq.daemon.gate import Gate
from hfzmq.daemon.locks import Locks
from hfzmq.daemon.sockets import Sockets
from hfzmq.daemon.transfer import Transfers
from hfzmq.daemon.voice import Voice
from hfzmq.daemon.ward import Ward
from hfzmq.wire.hints import Hints
from hfzmq.wire.peers import Introduction
from hfzmq.wire.transfer import Chunk, Pull

PEER_MESSAGES_A_TURN = 256
CLIENT_REQUESTS_A_TURN = 256
PEERS_MS_A_TURN, CLIENTS_MS_A_TURN = 50.0, 20.0  # of the largest there may be, so many take longer than a lease


@dataclass(slots=True)
class Intake:
    """Of one daemon. ``step`` brings an event to the core."""

    step: Callable[[Event], None]
    sockets: Sockets
    gate: Gate
    locks: Locks
    replica: Replica
    voice: Voice
    ward: Ward
    transfers: Transfers
    desk: Desk
    chores: Chores
    counters: Counter[str]

    def take(self, ready: Container[object]) -> None:
        """Read what the poller says is there."""
        sockets = self.sockets
        if sockets.peers in ready:
            self._read_peers()
        if sockets.links.beats_in in ready:
            self._read_heartbeats()
        if sockets.zap and sockets.zap.socket in ready:
            sockets.zap.serve()
        if sockets.answers in ready:
            self._forward_answers()
        if sockets.clients in ready:
            self._read_clients()

    def _read_peers(self) -> None:
        socket = self.sockets.peers
        until_ms = monotonic_ms() + PEERS_MS_A_TURN
        for _ in range(PEER_MESSAGES_A_TURN):
            if monotonic_ms() >= until_ms:
                return
            try:
                frames, key = self.sockets.take(socket)
            except zmq.Again:
                return
            admitted = self.gate.admit(frames[-1], self.locks.speaker(key)) if len(frames) == 2 else None
            if admitted is None or isinstance(admitted.content, Heartbeat):
                continue
            if isinstance(admitted.content, Pull) and not self.replica.applied:
                self.counters["pull_of_nothing"] += 1  # meant for an earlier life of this peer
            elif isinstance(admitted.content, Introduction):
                self.voice.meet(admitted.sender, admitted.content.address, self.replica.membership)
            elif isinstance(admitted.content, Hints):
                self.ward.take_passed_on(admitted.content.rows)
            elif isinstance(admitted.content, (Pull, Chunk)):
                self.transfers.received(monotonic_ms(), admitted.sender, admitted.content)
                self.chores.hurry()  # the next piece waits for it
            else:
                if isinstance(admitted.content, JoinRequest):
                    self.voice.meet(admitted.sender, admitted.content.member.address, self.replica.membership)
                self.step(Received(admitted.sender, admitted.content, admitted.incarnation, admitted.boot))

    def _read_heartbeats(self) -> None:
        socket = self.sockets.links.beats_in
        for _ in range(PEER_MESSAGES_A_TURN):
            try:
                frame = socket.recv(zmq.DONTWAIT)
            except zmq.Again:
                return
            admitted = self.gate.admit(frame)
            if admitted and isinstance(admitted.content, Heartbeat):
                self.step(Heard(admitted.sender, admitted.content, admitted.incarnation, admitted.boot))

    def _read_clients(self) -> None:
        socket = self.sockets.clients
        proposals: list[Proposal] = []
        until_ms = monotonic_ms() + CLIENTS_MS_A_TURN
        for _ in range(CLIENT_REQUESTS_A_TURN):
            if monotonic_ms() >= until_ms:
                break
            try:
                frames, key = self.sockets.take(socket)
            except zmq.Again:
                break
            role, name = self.locks.role(key), self.locks.name(key)
            event = self.desk.take(frames, self.replica.leading is not None, role, name)
            if isinstance(event, Proposal):
                proposals.append(event)
            elif event is not None:
                self.step(event)
        if proposals:
            self.step(Propose(tuple(proposals)))

    def _forward_answers(self) -> None:
        for _ in range(CLIENT_REQUESTS_A_TURN):
            try:
                self.sockets.answer(self.sockets.answers.recv_multipart(zmq.DONTWAIT))
            except zmq.Again:
                return
