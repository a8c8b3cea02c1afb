"""A simulated peer that applies what commits to alarms of its own, and tends them while it leads.

The disk keeps the alarms' rows in the transaction of the entries that made them; after a crash they are loaded anew, so
that every restart here tests that what is rebuilt from rows goes on alike. How many entries come in one transaction is
up to each peer's disk.

The agent is what the leader's daemon will do: it puts into the log what is due, the signs that beds told it, and which
notifications were delivered; one request at a time, again and again until it is acknowledged.
"""

from __future__ import annotations

import copy
import hashlib
import json
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from hfzmq.clinical.alarm.clock import LogClock
from hfzmq.clinical.alarm.facts import Clock, Fact, Sent, Sign
from hfzmq.clinical.alarm.machine import Alarms
from hfzmq.clinical.alarm.rules import DEFAULT_RULES
from hfzmq.clinical.alarm.types import Event
from hfzmq.clinical.report import Report
from hfzmq.core.contract import ACK, CONFLICT, GAP, Apply, Proposal, Propose, Reply
from hfzmq.core.sessions import SessionKey
from hfzmq.core.types import Origin
from hfzmq.wire.body import decode_body
from hfzmq.wire.facts import decode_facts, encode_fact_rows
from tests.simulation.disk import Disk, first_peers
from tests.simulation.invariants import Invariants
from tests.simulation.peer import Peer
from tests.unit.alarm_ward import Tables

EPOCH_MS = 1_800_000_000_000
REPORTS, READINGS, FACTS = b"\x01", b"\x02", b"\x03"  # formats of a body: its first byte
CHANNELS = (("log", "bell"), ("mail",), ("pager",))
TEND_MS = 50.0
HINT_MS = 2000.0  # so old a hint may be that is put into the log
TIMEOUT_MS = 1000.0

_STAMP = struct.Struct(">Q")


class Rows(Tables):
    """And how many reports and heart rates are stored."""

    def __init__(self) -> None:
        super().__init__(DEFAULT_RULES)
        self.reports = self.heartbeats = 0


class AlarmInvariants(Invariants):
    """The invariants of the mesh, where leaders put a stamp into bodies and have sessions of their own."""

    def __init__(self, voters: int) -> None:
        super().__init__(voters)
        self.agents: dict[SessionKey, Agent] = {}

    def _applies(self, peer: Peer, effect: Apply) -> None:
        for entry, fresh in zip(effect.entries, effect.fresh, strict=True):
            if entry.index > len(self.committed) or self.committed[entry.index - 1].chain != entry.chain:
                self.fail(f"I5 peer {peer.number} applies another entry at {entry.index}")
            if fresh and entry.origin:
                seq = entry.origin.seq
                asker: Any = self.agents.get(entry.origin.session) or self.clients[entry.origin.client]
                body = entry.body[:1] + entry.body[1 + _STAMP.size :]
                if seq > asker.total or asker.origin(seq) != entry.origin or asker.body(seq) != body:
                    self.fail(f"I4 entry {entry.index} is nothing that {asker.name} sent")


@dataclass
class AlarmDisk(Disk):
    """A disk with the alarms' rows on it; ``alarms`` is what runs on them, in memory."""

    rows_of_alarms: Rows = field(default_factory=Rows)
    alarms: Alarms = field(default_factory=lambda: Rows().load())
    wrote: Callable[[list[Event]], None] = lambda events: None

    def load(self) -> None:
        """After a restart."""
        self.alarms = self.rows_of_alarms.load()

    def undo(self, effect: Apply) -> Callable[[], None]:
        """Nothing is taken back here: the storms of the core do that, and each row follows from the log."""
        return lambda: None

    def _apply(self, effect: Apply) -> None:
        super()._apply(effect)
        for entry, fresh in zip(effect.entries, effect.fresh, strict=True):
            if fresh and entry.origin:
                self._take(entry.body, entry.term)
        changes = self.alarms.take_changes()
        self.rows_of_alarms.write(changes)
        if changes.events:
            self.wrote(list(changes.events))

    def _take(self, body: bytes, term: int) -> None:
        alarms, rows = self.alarms, self.rows_of_alarms
        (stamp,) = _STAMP.unpack_from(body, 1)
        alarms.led(stamp, term)
        if body[:1] == REPORTS:
            for row in decode_body(body)[1]:
                rows.reports += 1
                alarms.report(stamp, rows.reports, Report(*row))
        elif body[:1] == READINGS:
            for reading in json.loads(body[9:]):
                rows.heartbeats += 1
                alarms.reading(stamp, rows.heartbeats, *reading)
        else:
            for fact in decode_facts(body)[1]:
                alarms.take(stamp, fact)
        alarms.advance(stamp)

    def snapshot(self) -> Disk:
        """With the rows."""
        return replace(super().snapshot(), rows_of_alarms=copy.deepcopy(self.rows_of_alarms))  # type: ignore[call-arg]

    def install(self, snapshot: Disk) -> None:
        """With the rows."""
        assert isinstance(snapshot, AlarmDisk)
        super().install(snapshot)
        self.rows_of_alarms = copy.deepcopy(snapshot.rows_of_alarms)
        self.load()


class AlarmPeer(Peer):
    """One machine. ``delivered`` is the outside world: what notifications arrived there, and how often."""

    disk: AlarmDisk

    def equip(self, delivered: Counter[tuple[int, int, str]], wrote: Callable[[AlarmPeer, list[Event]], None]) -> None:
        """Before the first start."""
        self.disk = AlarmDisk(membership=first_peers(self.voters), wrote=lambda events: wrote(self, events))
        self.delivered = delivered
        self.wall_ahead_ms = self.world.rng.uniform(-3000, 3000)
        self.hints: dict[str, tuple[float, Sign]] = {}
        self.tending = True

    def start(self) -> None:
        """The alarms are loaded before the core begins."""
        self.disk.load()
        self.hints = {}
        self.log_clock = LogClock()
        super().start()  # one more life
        self.agent = Agent(self)
        self.world.after(TEND_MS, self._tend, self.life)

    def stamp(self) -> int:
        """Now, by the log's clock as this peer would have it."""
        wall = int(EPOCH_MS + self.world.now + self.wall_ahead_ms)
        return self.log_clock.stamp(wall, self.clock(), self.disk.alarms.now_ms)

    def asked(self, wish: Any) -> None:
        """The leader puts its stamp into the body when it takes a request in."""
        if isinstance(wish, Proposal) and self.up:
            wish = replace(wish, body=wish.body[:1] + _STAMP.pack(self.stamp()) + wish.body[1:])
        super().asked(wish)

    def hint(self, sign: Sign) -> None:
        """A bed's client told its last judgement."""
        if self.up and not self.paused:
            self.hints[sign.patient_id] = (self.world.now, sign)

    def _tend(self, life: int) -> None:
        if life == self.life and self.up:
            self.world.after(TEND_MS, self._tend, life)
            if self.tending and self.replica and self.replica.serves:
                self.agent.tend()


class Agent:
    """The leader's own client, of one life of its peer."""

    def __init__(self, peer: AlarmPeer) -> None:
        self.name = f"agent-{peer.number}"
        self._peer = peer
        self._epoch = hashlib.blake2b(b"%d.%d" % (peer.number, peer.life), digest_size=16).digest()
        self._said: list[bytes] = []
        self._waiting = False  # for an answer to the last of them
        self._since = 0.0
        assert isinstance(peer.invariants, AlarmInvariants)
        peer.invariants.agents[self.name, self._epoch] = self

    @property
    def total(self) -> int:
        """How many requests it has had."""
        return len(self._said)

    def body(self, seq: int) -> bytes:
        """What it said under ``seq``, without the stamp."""
        return self._said[seq - 1]

    def origin(self, seq: int) -> Origin:
        """The request's identity, always the same."""
        return Origin(self.name, self._epoch, seq, hashlib.blake2b(self.body(seq), digest_size=16).digest())

    def tend(self) -> None:
        """What has to be put into the log, if nothing is on its way there."""
        if self._waiting:
            if self._peer.world.now - self._since > TIMEOUT_MS:
                self._propose()
            return
        facts = [*self._clock(), *self._signs(), *self._notify()]
        if facts:
            self._said.append(FACTS + encode_fact_rows(facts))
            self._waiting = True
            self._propose()

    def answered(self, peer: int, request: int, reply: Reply) -> None:
        """The mesh has it, or it is asked again when this peer leads."""
        if reply.status in (CONFLICT, GAP):
            self._peer.invariants.fail(f"I4 {self.name} was told {reply.status} for {reply.seq}: {reply}")
        if request == self.total and reply.status == ACK:
            self._waiting = False

    def _propose(self) -> None:
        peer = self._peer
        self._since = peer.world.now
        last = self.total
        body = self.body(last)[:1] + _STAMP.pack(peer.stamp()) + self.body(last)[1:]
        peer.take(Propose((Proposal((self, last), self.origin(last), body),)))

    def _clock(self) -> list[Fact]:
        due = self._peer.disk.alarms.due_ms()
        return [Clock()] if due is not None and due <= self._peer.stamp() else []

    def _signs(self) -> list[Fact]:
        """Sparingly: what is newer, of beds that told no judgement for a second or changed their tier."""
        peer = self._peer
        beds, now = peer.disk.rows_of_alarms.beds, peer.stamp()
        facts: list[Fact] = []
        for at, sign in peer.hints.values():
            bed = beds.get(sign.patient_id)
            fresh = peer.world.now - at < HINT_MS and (bed is None or sign.timestamp > bed.last_timestamp)
            if fresh and (bed is None or bed.tier != sign.tier or now - bed.risk_at_ms >= 1000):
                facts.append(sign)
        return facts

    def _notify(self) -> list[Fact]:
        """Deliver what is owed; a channel may fail."""
        peer = self._peer
        facts: list[Fact] = []
        for episode, step, channel in peer.disk.alarms.owed(CHANNELS):
            ok = peer.world.rng.random() < 0.8
            if ok:
                peer.delivered[episode.id, step, channel] += 1
            facts.append(Sent(episode.id, step, channel, ok))
        return facts
