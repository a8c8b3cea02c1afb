"""Alarms while leaders are killed: beds that fall ill and recover, a nurse, and a plug that is pulled at bad moments.

One seed draws a ward of beds, each with one cause to alarm for once; when the journal of the leader tells that
something has happened (raised, acknowledged, returned, escalated, sent, ended), or at any moment, the leader's plug is
pulled some milliseconds later. In the end all peers hold the same rows: exactly one episode for each bed, of its cause,
seen by who was told that it is, nothing escalated after that, and every notification delivered.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

from hfzmq.clinical.alarm.facts import Action, RulesSet, Sign
from hfzmq.clinical.alarm.rules import AlarmRules
from hfzmq.clinical.alarm.types import (
    ACK,
    AMBER,
    CAUSES,
    ESCALATED,
    HEART_RATE,
    NO_DATA,
    NORMAL,
    RED,
    RESOLVE,
    RESOLVED,
    SENT,
    UNSEEN,
    WAS_ACKNOWLEDGED,
    Episode,
    Event,
)
from hfzmq.wire.facts import encode_fact_rows
from hfzmq.wire.requests import encode_rows
from tests.simulation.alarm_peer import CHANNELS, EPOCH_MS, FACTS, READINGS, REPORTS, AlarmInvariants, AlarmPeer
from tests.simulation.bed import Bed
from tests.simulation.invariants import Invariants
from tests.simulation.storm import LIMITS, TIMING
from tests.simulation.violation import Violation
from tests.simulation.world import Network, Weather, World
from tests.unit.alarm_ward import report_of

RULES = AlarmRules(
    amber_ms=2000, gap_ms=4000, silent_ms=9000, away_ms=6000, steps_ms=(0, 1500, 4000), rate_readings=3, rate_ms=5000,
)  # fmt: skip
TELL_MS = 700.0  # a bed says something so often
LOOK_MS = 250.0  # the nurse looks at the board so often
DRAW_MS = 30_000.0  # the beds fall ill within so long
LIMIT_MS = 240_000.0  # and by then all is over
SETTLE_MS = 30_000.0


class Asker(Bed):
    """Says what it is given, one request after the other, each until it is acknowledged."""

    def __init__(self, name: str, world: World, network: Network, peers: dict[int, AlarmPeer], inv: Invariants) -> None:
        super().__init__(name, world, network, peers, inv)  # type: ignore[arg-type]
        self._said: list[bytes] = []

    def body(self, seq: int) -> bytes:
        """Under ``seq``, always the same."""
        return self._said[seq - 1]

    def say(self, body: bytes) -> int:
        """One more; its seq."""
        self._said.append(body)
        self.ask()
        return self.total


class Patient(Asker):
    """A bed that has one cause to alarm, from ``ill_at`` to ``well_at``."""

    cause: str
    ill_at: float
    well_at: float
    quiet = False

    def begin(self, cause: str) -> None:
        """From now on it tells something now and then."""
        rng = self.world.rng
        self.cause = cause
        self.ill_at = rng.uniform(2000, DRAW_MS)
        self.well_at = self.ill_at + rng.uniform(*((20_000, 30_000) if cause == NO_DATA else (9000, 16_000)))
        self.world.after(rng.uniform(0, TELL_MS), self._tell)

    def _tell(self) -> None:
        if self.quiet:
            return
        self.world.after(TELL_MS, self._tell)
        now, stamp = self.world.now, EPOCH_MS + int(self.world.now)
        ill = self.ill_at <= now < self.well_at
        if ill and self.cause == NO_DATA:
            return
        sign = Sign(self.name, stamp, "GREEN", 0.1)
        if ill and self.cause in (RED, AMBER):
            report = report_of(self.name, stamp, 0.8 if self.cause == RED else 0.4)
            self.say(REPORTS + encode_rows([report]))
            sign = sign._replace(tier=report.tier, probability=report.probability)
        if self.cause == HEART_RATE:
            verdict = (150.0, "invalid_physiological", "high") if ill else (80.0, "valid", "")
            self.say(READINGS + json.dumps([[self.name, stamp, *verdict]]).encode())
        for peer in self.peers.values():
            assert isinstance(peer, AlarmPeer)
            self.network.send(self.name, peer.number, peer.hint, sign)


class Nurse(Asker):
    """Looks at some peer's board, and acts on what she sees, sooner or later, on each episode once."""

    quiet = False

    def begin(self) -> None:
        """On duty."""
        self.promised: dict[int, tuple[int, str]] = {}  # episode -> (seq, action)
        self._tell_rules()
        self.world.after(LOOK_MS, self._look)

    def _tell_rules(self) -> None:
        self.say(FACTS + encode_fact_rows([RulesSet(RULES)]))

    def _look(self) -> None:
        if self.quiet:
            return
        self.world.after(LOOK_MS, self._look)
        rng = self.world.rng
        up = [peer for peer in self.peers.values() if peer.up]
        if not up:
            return
        board = rng.choice(up)
        assert isinstance(board, AlarmPeer)
        for episode in board.disk.rows_of_alarms.episodes.values():
            if episode.state in UNSEEN and episode.id not in self.promised:
                self.promised[episode.id] = (0, "")
                self.world.after(rng.choice((50.0, 1000.0, 3000.0, 9000.0)) * rng.random(), self._act, episode)

    def _act(self, episode: Episode) -> None:
        action = RESOLVE if self.world.rng.random() < 0.2 else ACK
        seq = self.say(FACTS + encode_fact_rows([Action(action, episode.id, self.name)]))
        self.promised[episode.id] = (seq, action)


@dataclass(frozen=True)
class Outcome:
    """What a run did; ``violation`` is None when all that had to be was so."""

    seed: int
    kills: int
    episodes: int
    events: int
    repeated: int  # notifications that arrived more than once
    fingerprint: int
    violation: str | None
    trace: tuple[str, ...] = ()


class AlarmRun:
    """A ward and a mesh of three, all drawn from one seed."""

    def __init__(self, seed: int, kills: int = 10, beds: int = 12, tracing: bool = False) -> None:
        self.seed = seed
        self.kills_wanted, self.kills = kills, 0
        self.world = World(seed, tracing)
        self.network = Network(self.world, Weather(loss=0.01, double=0.02))
        self.invariants = AlarmInvariants(3)
        self.delivered: Counter[tuple[int, int, str]] = Counter()
        parts = (self.world, self.network, self.invariants, (1, 2, 3), TIMING, LIMITS._replace(log_entries_keep=50))
        self.peers = {number: AlarmPeer(number, *parts) for number in (1, 2, 3)}
        self._eager = self.world.rng.choice((0.02, 0.05, 0.15))  # how often something that happens draws a kill
        about = (self.world, self.network, self.peers, self.invariants)
        self.nurse = Nurse("nurse", *about)
        self.beds = [Patient(f"bed-{number}", *about) for number in range(1, beds + 1)]
        self.invariants.peers = dict(self.peers)
        clients = {one.name: one for one in (self.nurse, *self.beds)}
        self.invariants.clients = clients  # type: ignore[assignment]
        for peer in self.peers.values():
            peer.others = dict(self.peers)
            peer.equip(self.delivered, self._happened)

    def run(self) -> Outcome:
        """From the first start to the verdict."""
        violation = None
        try:
            self._play()
        except Violation as broken:
            violation = str(broken)
        rows = self.peers[1].disk.rows_of_alarms
        repeated = sum(count > 1 for count in self.delivered.values())
        print_ = self.world.fingerprint
        return Outcome(
            self.seed, self.kills, len(rows.episodes), len(rows.events), repeated, print_, violation,
            tuple(self.world.trace),
        )  # fmt: skip

    def _play(self) -> None:
        world = self.world
        for peer in self.peers.values():
            peer.start()
        self.nurse.begin()
        for number, bed in enumerate(self.beds):
            bed.begin(CAUSES[number % len(CAUSES)])
        world.after(world.rng.expovariate(1 / 4000), self._at_any_moment)
        while not self._all_over():
            if world.now > LIMIT_MS:
                raise Violation(f"not over after {LIMIT_MS:.0f} ms: {self._open()}")
            world.run_until(world.now + 200)
        self._settle()
        self._judge()

    # ------------------------------------------------------------ the plug

    def _happened(self, peer: AlarmPeer, events: list[Event]) -> None:
        for event in events:
            self.world.note("alarm", peer.number, *event)
            if self.world.rng.random() < self._eager:
                self.world.after(self.world.rng.choice((0.0, 3.0, 40.0)) * self.world.rng.random(), self._kill)

    def _at_any_moment(self) -> None:
        self._kill()
        self.world.after(self.world.rng.expovariate(1 / 4000), self._at_any_moment)

    def _kill(self) -> None:
        leaders = [peer for peer in self.peers.values() if peer.replica and peer.replica.serves]
        down = sum(not peer.up for peer in self.peers.values())
        if not leaders or self.kills >= self.kills_wanted or (down and self.world.rng.random() < 0.8):
            return
        self.kills += 1
        leaders[0].crash()
        self.world.after(self.world.rng.uniform(200, 2500), leaders[0].power_on)

    # ------------------------------------------------------------ the end

    def _open(self) -> list[str]:
        rows = max((peer.disk for peer in self.peers.values()), key=lambda disk: disk.applied).rows_of_alarms
        over = {one.patient_id for one in rows.episodes.values() if one.state == NORMAL}
        return [bed.name for bed in self.beds if bed.name not in over or bed.well_at > self.world.now]

    def _all_over(self) -> bool:
        told = self.nurse.done and all(bed.seq >= bed.total for bed in self.beds)
        return told and self.kills >= self.kills_wanted and not self._open() and not self._owed()

    def _owed(self) -> bool:
        serving = [peer for peer in self.peers.values() if peer.replica and peer.replica.serves]
        return not serving or bool(serving[0].disk.alarms.owed(CHANNELS))

    def _settle(self) -> None:
        self.nurse.quiet = True
        for bed in self.beds:
            bed.quiet = True
        for peer in self.peers.values():
            peer.tending = False
        end = self.world.now + SETTLE_MS
        while self.world.now < end and not self.invariants.settled():
            self.world.run_until(self.world.now + 20)
        self.invariants.healed()

    def _judge(self) -> None:
        rows = [peer.disk.rows_of_alarms for peer in self.peers.values()]
        for peer, one in zip(self.peers.values(), rows, strict=True):
            if vars(one) != vars(rows[0]):
                raise Violation(f"peer {peer.number} holds other alarms than peer 1")
            alarms, again = peer.disk.alarms, one.load()
            if (alarms.beds(), alarms.episodes()) != (again.beds(), again.episodes()):
                raise Violation(f"peer {peer.number} goes on with other alarms than it has written")
        episodes = rows[0].episodes
        found = Counter((one.patient_id, one.cause) for one in episodes.values())
        if found != Counter((bed.name, bed.cause) for bed in self.beds):
            raise Violation(f"not one episode for each bed and its cause: {found}")
        self._judge_actions(episodes)
        self._judge_journal(episodes, rows[0].events)

    def _judge_actions(self, episodes: dict[int, Episode]) -> None:
        for number, (seq, action) in self.nurse.promised.items():
            episode = episodes[number]
            if seq >= self.nurse.seq:
                raise Violation(f"the nurse was never answered about {episode}")
            kept = episode.acknowledged_by if action == ACK else episode.resolved_by
            if kept != self.nurse.name or (action == RESOLVE) != (episode.resolved_how == RESOLVED):
                raise Violation(f"{action} of the nurse is not kept: {episode}")

    def _judge_journal(self, episodes: dict[int, Episode], events: list[Event]) -> None:
        seen: set[int] = set()
        sent: Counter[tuple[int, str]] = Counter()
        for event in events:
            if event.what == WAS_ACKNOWLEDGED:
                if event.episode_id in seen:
                    raise Violation(f"acknowledged twice: {event}")
                seen.add(event.episode_id)
            elif event.what == ESCALATED and event.episode_id in seen:
                raise Violation(f"escalated after it was acknowledged: {event}")
            elif event.what == SENT:
                sent[event.episode_id, event.detail] += 1
        for episode in episodes.values():
            for step, names in enumerate(CHANNELS[: episode.step], 1):
                for name in names:
                    if sent[episode.id, f"{step}:{name}"] != 1 or not self.delivered[episode.id, step, name]:
                        raise Violation(f"step {step} by {name} was not sent: {episode}")
