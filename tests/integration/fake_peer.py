"""Small real ROUTER sockets that play daemons: they answer as a test wants, lose, delay, point elsewhere, or die."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import zmq

from hfzmq.clinical.heart_rate import HeartRateRules
from hfzmq.clinical.report import Report
from hfzmq.config import Config, Limits, PeerAddress, Timing
from hfzmq.errors import WireError
from hfzmq.key_section import OwnKey
from hfzmq.wire import requests as wire
from hfzmq.wire.members import LEARNER, VOTER
from hfzmq.wire.readings import JudgedReading, SubmitReadings, judge_rows

MESH = bytes(range(16))


class Later(NamedTuple):
    """An answer that is sent only after so many seconds."""

    seconds: float
    frame: bytes


Answer = Callable[[bytes], "bytes | Later | None"]


class FakePeer:
    """A daemon's client port. ``answer`` gets a request's frame; None loses it. ``heard``: (when, frame) of each.
    ``own``: the pair that it serves with, to whatever client."""

    def __init__(self, answer: Answer, port: int = 0, own: OwnKey | None = None) -> None:
        self.answer = answer
        self.heard: list[tuple[float, bytes]] = []
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 0)
        if own is not None:
            self._socket.setsockopt(zmq.CURVE_SERVER, 1)
            self._socket.setsockopt(zmq.CURVE_SECRETKEY, own.secret.encode())
        self._socket.bind(f"tcp://127.0.0.1:{port or '*'}")
        self.port = int(self._socket.getsockopt_string(zmq.LAST_ENDPOINT).rsplit(":", 1)[1])
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def die(self) -> None:
        """As under kill -9: the connections are closed and the port is free. May be called twice."""
        self._stop.set()
        self._thread.join()

    def reset(self) -> None:
        """All connections are lost, and the port is there again a moment later. For ``answer`` to call."""
        self._socket.close(linger=0)
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 0)
        while not self._stop.wait(0.01):  # ZeroMQ lets go of the port in a thread of its own
            try:
                self._socket.bind(f"tcp://127.0.0.1:{self.port}")
            except zmq.ZMQError as error:
                if error.errno != zmq.EADDRINUSE:
                    raise
            else:
                return

    def _run(self) -> None:
        due: list[tuple[float, int, list[bytes]]] = []
        numbers = itertools.count()
        while not self._stop.is_set():
            while due and due[0][0] <= time.monotonic():
                self._socket.send_multipart(heapq.heappop(due)[2])
            if not self._socket.poll(5):
                continue
            *route, frame = self._socket.recv_multipart()
            self.heard.append((time.monotonic(), frame))
            said = self.answer(frame)
            if isinstance(said, Later):
                heapq.heappush(due, (time.monotonic() + said.seconds, next(numbers), [*route, said.frame]))
            elif said is not None:
                self._socket.send_multipart([*route, said])
        self._socket.close(linger=0)
        self._context.term()


class FakeMesh:
    """Peers 1..n that keep one table and one set of sessions, as a mesh that loses nothing would; one leads.

    ``stored`` holds the rows in their order. ``before(peer, request)`` may answer in the mesh's place (bytes, Later),
    ``lose_answer(peer)`` True drops the answer after the work was done.
    """

    def __init__(self, peers: int = 3, limits: Limits = Limits(), lease_ms: int = 300) -> None:  # noqa: B008
        self.leader: int | None = 1
        self.stored: list[Report] = []
        self.readings: list[JudgedReading] = []
        self.batches: list[int] = []  # rows of each batch of readings
        self.seen: list[Report] = []
        self.before: Callable[[int, wire.Request], bytes | Later | None] = lambda peer, request: None
        self.lose_answer: Callable[[int], bool] = lambda peer: False
        self.limits = limits
        self.roles: dict[int, str] = {}
        self.asking: dict[int, float] = {}
        self.members_index = 0
        self.founded = True
        self.behind: dict[int, int] = {}
        self.status_more: dict[int, dict[str, object]] = {}
        self._sessions: dict[tuple[str, bytes], tuple[int, bytes, int]] = {}
        self._mutex = threading.Lock()
        self.peers = {peer: FakePeer(self._answering(peer)) for peer in range(1, peers + 1)}
        addresses = tuple(  # the last two ports are nobody's: they only have to differ
            PeerAddress(peer, "127.0.0.1", fake.port, 2 * peer, 2 * peer + 1) for peer, fake in self.peers.items()
        )
        timing = Timing(lease_ms=lease_ms, heartbeat_ms=30)
        self.config = Config("fake", MESH, addresses, timing=timing, limits=limits)

    # ------------------------------------------------------------ members, once ``tell_members`` was called

    def tell_members(self, founded: bool = True) -> None:
        """From now on they say who the members are: the peers of the config, and what becomes of them."""
        self.roles = dict.fromkeys(self.config.peer_ids, VOTER)
        self.members_index, self.founded = (1 if founded else 0), founded

    def start_another(self, peer: int, asks: bool = True) -> None:
        """A peer that is no member comes up, and asks to be one."""
        self.peers[peer] = FakePeer(self._answering(peer))
        if asks:
            self.asking[peer] = 0.4

    def set_role(self, peer: int, role: str | None) -> None:
        """The list of members has changed; None: it is none any more."""
        self.roles.pop(peer, None)
        if role is not None:
            self.roles[peer] = role
            self.asking.pop(peer, None)
        self.members_index += 5

    def tells(self) -> dict[str, object]:
        """What an answer to ``members`` holds."""
        rows = [
            [peer, "127.0.0.1", self.peers[peer].port, 2 * peer, 2 * peer + 1, self.incarnation(peer), role]
            for peer, role in sorted(self.roles.items())
        ]
        asking = [
            [peer, "127.0.0.1", self.peers[peer].port, self.incarnation(peer), since_s]
            for peer, since_s in self.asking.items()
        ]
        return {"members": rows, "asking": asking, "founded": self.founded}

    def incarnation(self, peer: int) -> str:
        """The same for ever, in hex."""
        return f"{peer:04x}" * 8 if self.founded else ""

    def change(self, request: wire.Change) -> bytes | Later:
        """What the leader does: one step at once."""
        action, peer = request
        if action == "add" and peer in self.asking:
            self.set_role(peer, LEARNER)
        elif action == "remove" and peer in self.roles:
            self.set_role(peer, None)
        elif action == "transfer" and self.roles.get(peer) == VOTER:
            self.leader = peer
        elif action == "add" and peer not in self.roles:
            return self._reply("REFUSED", field="peer", bound=f"peer {peer} does not ask to join", hint="")
        return self._reply("ACK", index=self.members_index)

    def _reply(self, status: str, **fields: object) -> bytes:
        if self.roles:
            fields.setdefault("members_index", self.members_index)
        return wire.encode_reply(status, **fields)

    def _status(self, peer: int) -> bytes:
        leads = peer == self.leader
        told: dict[str, object] = {"id": peer, "leader": self.leader or 0, "quorum": self.leader is not None}
        if self.roles:
            told |= {"role": "leader" if leads else "follower", "serves": leads, "term": 7}
            told |= {"last_index": 5000 - self.behind.get(peer, 0), "members_index": self.members_index}
            told |= {"hears": [[other, 100 * other, "follower", 7, 0, 0, ""] for other in self.peers if other != peer]}
            told |= self.tells() | self.status_more.get(peer, {})
        return wire.encode_reply("OK", peer=told)

    def revive(self, peer: int) -> None:
        """Start a peer that died again, on its port."""
        self.peers[peer].die()
        self.peers[peer] = FakePeer(self._answering(peer), self.peers[peer].port)

    def close(self) -> None:
        for peer in self.peers.values():
            peer.die()

    def forget_sessions(self) -> None:
        """As a mesh whose data was wiped."""
        self._sessions.clear()

    def _answering(self, peer: int) -> Answer:
        def answer(frame: bytes) -> bytes | Later | None:
            with self._mutex:
                try:
                    request = wire.decode_request(frame, MESH, self.limits)
                    said = self.before(peer, request) or self._serve(peer, request)
                except WireError as error:
                    if error.field == "message":  # a daemon ends the connection of whoever sends so much
                        return None
                    return wire.encode_reply("REFUSED", field=error.field, bound=error.bound, hint=error.hint)
                return None if self.lose_answer(peer) else said

        return answer

    def _serve(self, peer: int, request: wire.Request) -> bytes | Later:
        if isinstance(request, wire.Status):
            return self._status(peer)
        if isinstance(request, wire.Members):
            return wire.encode_reply("OK", index=self.members_index, **self.tells())
        if isinstance(request, wire.Seen):
            self.seen.extend(request.rows)
            return wire.encode_reply("OK")
        if not isinstance(request, (wire.Submit, SubmitReadings, wire.Change)):
            return wire.encode_reply("OK", rows=[])
        if self.leader is None:
            return self._reply("NO_QUORUM")
        if peer != self.leader:
            port = self.peers[self.leader].port
            return self._reply("NOT_LEADER", leader=self.leader, host="127.0.0.1", port=port)
        if isinstance(request, wire.Change):
            return self.change(request)
        if isinstance(request, SubmitReadings):
            now_ms = time.time_ns() // 1_000_000
            good, rejected = judge_rows(request.rows, self.limits.batch_rows_max, now_ms, HeartRateRules())
        else:
            good, rejected = wire.accept_rows(request.rows, self.limits.batch_rows_max)
        key = (request.client, request.epoch)
        seq, digest, index = self._sessions.get(key, (0, b"", 0))
        if request.seq == seq + 1:
            rows: list[Any] = wire.decode_rows(good)
            if isinstance(request, SubmitReadings):
                self.readings.extend(JudgedReading(*row) for row in rows)
                self.batches.append(len(rows) + len(rejected))
            else:
                self.stored.extend(Report(*row) for row in rows)
            index = sum(session[0] for session in self._sessions.values()) + 1
            self._sessions[key] = (request.seq, request.digest, index)
        elif request.seq != seq:
            return wire.encode_reply("GAP", seq=request.seq, expected=seq + 1)
        elif request.digest != digest:
            return wire.encode_reply("CONFLICT", seq=request.seq, index=index)
        return self._reply("ACK", seq=request.seq, term=7, index=index, rejected=rejected)


def eventually(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Return as soon as ``condition()`` holds; AssertionError when it does not within ``seconds``."""
    until = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        pause.wait(0.002)
