"""The loop: bytes to events, events through the core, effects to the disk and the network. One thread.

    poll --> peers, heartbeats, clients (bounded, in this order) --> core.step --> sends go out at once,
                                                                       |           writes are gathered
             Persisted, Applied --> core.step <-- one transaction <----'           until the turn's end

Touches sockets, the clock, the disk, signals. Must not know: how the core decides. Keeps: one transaction and one sync
for everything that a turn gathered; a disk error stops the process in the same breath (exit 1), for a peer whose disk
has failed must not promise anything more.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from pathlib import Path

import zmq

from hfzmq.clinical.alarm.settings import rules_of
from hfzmq.config import Config
from hfzmq.core.contract import (
    LEADER,
    Applied,
    Apply,
    Became,
    Compact,
    Event,
    Fetch,
    Halt,
    Heard,
    Installed,
    Persist,
    Persisted,
    Proposal,
    Propose,
    Publish,
    Received,
    Reconfigured,
    Reply,
    Resign,
    Send,
    Tick,
)
from hfzmq.core.membership import Membership
from hfzmq.core.messages import Heartbeat, JoinRequest
from hfzmq.core.sessions import Sessions
from hfzmq.daemon.about import About
from hfzmq.daemon.backups import Backups
from hfzmq.daemon.beginning import first_replica
from hfzmq.daemon.clocks import monotonic_ms, wall_clock_ms
from hfzmq.daemon.desk import Desk
from hfzmq.daemon.gate import Gate
from hfzmq.daemon.hearsay import Hearsay
from hfzmq.daemon.keyring import keyring_of
from hfzmq.daemon.locks import Locks
from hfzmq.daemon.notify import Notifier
from hfzmq.daemon.passing import Passing
from hfzmq.daemon.queries import Queries
from hfzmq.daemon.rereading import reread
from hfzmq.daemon.sd_notify import SdNotify
from hfzmq.daemon.signals import Signals
from hfzmq.daemon.sockets import Sockets
from hfzmq.daemon.transfer import Transfers
from hfzmq.daemon.vitals import Vitals
from hfzmq.daemon.voice import Voice
from hfzmq.daemon.ward import Ward
from hfzmq.daemon.watch import Watch
from hfzmq.errors import ConfigError, DataDirError, DiskFailed, InvalidInput, Removed
from hfzmq.storage import Store
from hfzmq.wire.hints import Hints
from hfzmq.wire.peers import Introduction
from hfzmq.wire.transfer import Chunk, Pull

PEER_MESSAGES_A_TURN = 256
CLIENT_REQUESTS_A_TURN = 256
PEERS_MS_A_TURN, CLIENTS_MS_A_TURN = 50.0, 20.0  # of the largest there may be, so many take longer than a lease
WRITES_A_TURN = 4
DRAIN_MS_MAX = 4000
IDLE_CHECKPOINT_MS = 1000
DEAD_AFTER_LEASES = 3

log = logging.getLogger("hfzmq.node")


class Node:
    """One running daemon. ``joins``: it belongs to a mesh that exists, and must never found one."""

    def __init__(self, config: Config, peer_id: int, data_dir: Path, joins: bool = False) -> None:
        self.config = config
        self.me = peer_id
        self.counters: Counter[str] = Counter()
        config.peer(peer_id)
        self.store = Store.open(data_dir, peer_id, config)
        try:
            keyring, doubt = keyring_of(config, peer_id, self.store.keys.issued, self.store.keys.revoked)
            self.sockets = Sockets(config, peer_id, self.counters, keyring)
        except BaseException:
            self.store.close()
            raise
        now = monotonic_ms()
        self.voice = Voice(self.store.identity, self.sockets, config.timing.lease_ms)
        self.sessions = Sessions(self.store.recovered.sessions)
        self.replica = first_replica(config, peer_id, self.store, self.sessions, joins, now, self.voice.boot)
        self.gate = Gate(config.mesh_id, peer_id, self.counters, self._counts, self.voice.disown, monotonic_ms)
        self.about = About(config, self.replica, self.store, self.gate, self.counters, monotonic_ms, wall_clock_ms)
        self.locks = Locks(keyring, self.sockets, self.about.addresses, self._note)
        self.about.in_force = self.locks.in_force if keyring else None
        self.hearsay = Hearsay(peer_id, config.mesh_id, keyring, self.sockets.links.renew)
        self.transfers = Transfers(
            data_dir, self.store.path, self.voice.send, self.counters, oldest=lambda: self.replica.log.base.index
        )
        self.sockets.links.connect(self.about.addresses())
        self.ward = Ward(monotonic_ms)
        notify = SdNotify.of(os.environ)
        self.vitals = Vitals(self.about, self.replica, self.store, self.sockets.door, notify, monotonic_ms)
        self.queries = Queries(
            self.store.path, self.sockets.answers_sender(), self.about.staleness, self.vitals.rests_ms
        )
        self.about.scrubs = lambda: self.queries.scrubs
        self.watch = Watch(
            config,
            f"peer {peer_id}",
            self.store.identity.incarnation,
            rules_of(config),
            self.store,
            lambda session: self.sessions.last_known(session).seq,
            lambda route, index, outcome: self.desk.acted(route, index, outcome),
            wall_clock_ms,
            Notifier(config.channels),
        )
        self.passing = Passing(self.ward, peer_id, self.watch, self.voice.send, self.about.other_peers)
        self.backups = Backups(
            data_dir / "backups", self.store.path, lambda: self.replica.applied, self.counters, monotonic_ms
        )
        self.desk = Desk(
            config, self.sockets.answer, self.about, self.queries, self.ward, self.watch, self.backups, self.counters
        )
        self._to_write: list[Persist | Apply | Compact] = []
        if doubt:
            self._note(doubt)
        if self.store.amnesia:
            self._note(f"peer {peer_id} begins anew, its old files are set aside: {self.store.amnesia}")
        if not self.replica.membership.members:
            self._note(
                "no other peer is known: list the members of the mesh in peers.yaml, "
                "then start with --join and an empty --data-dir"
            )
        self._idle_at_ms = now
        self._drain_until_ms = 0.0

    # ------------------------------------------------------------ loop

    def run(self, signals: Signals) -> None:
        """Serve until SIGTERM or SIGINT; DiskFailed when the disk does."""
        sockets, poller = self.sockets, self.sockets.poller
        poller.register(signals.fd, zmq.POLLIN)
        poller.register(self.watch.fd, zmq.POLLIN)
        self._step(Tick())
        self._commit()
        while not self._drained():
            now_ms = monotonic_ms()
            wake_ms = min(self.replica.wake_at_ms(now_ms), self.transfers.wake_at_ms(), self.watch.wake_at_ms(now_ms))
            wake_ms = min(wake_ms, self.vitals.wake_at_ms(), self.backups.wake_at_ms())
            wait_ms = 0.0 if self._to_write else wake_ms - monotonic_ms()
            ready = dict(poller.poll(int(max(0.0, wait_ms) + 0.999)))
            if self.sockets.peers in ready:
                self._read_peers()
            if self.sockets.links.beats_in in ready:
                self._read_heartbeats()
            if sockets.zap and sockets.zap.socket in ready:
                sockets.zap.serve()
            if self.sockets.answers in ready:
                self._forward_answers()
            if self.sockets.clients in ready:
                self._read_clients()
            if signals.fd in ready:
                self._obey(signals)
            self.passing.turn(monotonic_ms(), self.replica.known_leader(monotonic_ms()))
            fact = self.watch.turn(monotonic_ms(), self.replica.serves)
            if fact:
                self._step(Propose((fact,)))
            self._step(Tick())
            self._commit()
            self.transfers.tick(monotonic_ms())
            self.backups.tick(monotonic_ms())
            self._take_snapshot()
            self._housekeeping(idle=not ready)
            self.vitals.turned()

    def close(self) -> None:
        """Let the last answers leave; close the disk."""
        self.queries.close()
        self.watch.close()
        self.transfers.close()
        self.backups.close()
        self.sockets.flush_and_close(linger_ms=200)
        self.store.close()
        self.vitals.close()

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
            else:
                if isinstance(admitted.content, JoinRequest):
                    self.voice.meet(admitted.sender, admitted.content.member.address, self.replica.membership)
                self._step(Received(admitted.sender, admitted.content, admitted.incarnation, admitted.boot))

    def _read_heartbeats(self) -> None:
        socket = self.sockets.links.beats_in
        for _ in range(PEER_MESSAGES_A_TURN):
            try:
                frame = socket.recv(zmq.DONTWAIT)
            except zmq.Again:
                return
            admitted = self.gate.admit(frame)
            if admitted and isinstance(admitted.content, Heartbeat):
                self._step(Heard(admitted.sender, admitted.content, admitted.incarnation, admitted.boot))

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
                self._step(event)
        if proposals:
            self._step(Propose(tuple(proposals)))

    def _forward_answers(self) -> None:
        for _ in range(CLIENT_REQUESTS_A_TURN):
            try:
                self.sockets.answer(self.sockets.answers.recv_multipart(zmq.DONTWAIT))
            except zmq.Again:
                return

    # ------------------------------------------------------------ effects

    def _step(self, event: Event) -> None:
        for effect in self.replica.step(monotonic_ms(), event):
            if isinstance(effect, Send):
                self.voice.send(effect.to, effect.message)
            elif isinstance(effect, (Persist, Apply, Compact)):
                self._to_write.append(effect)
            elif isinstance(effect, Reply):
                self.desk.answered(effect)
            elif isinstance(effect, Publish):
                self.voice.publish(effect.heartbeat)
            elif isinstance(effect, Became):
                self._announce(effect)
                self.desk.send_away(self.watch.drop() if effect.role != LEADER else ())
            elif isinstance(effect, Fetch):
                self.transfers.fetch(monotonic_ms(), effect.source, self.replica.commit)
            elif isinstance(effect, Reconfigured):
                self._reconfigure(effect.membership)
            elif isinstance(effect, Halt):
                self._halt(effect)

    def _commit(self) -> None:
        """Write what has gathered, and what follows from its being written; what is left waits for the next turn, so
        that a peer which catches up goes on listening."""
        for _ in range(WRITES_A_TURN):
            if not self._to_write:
                return
            effects, self._to_write = self._to_write, []
            self.vitals.writes()
            applied = self.store.write(effects)
            self.about.fsync_ms = self.vitals.wrote()
            tokens = [effect.token for effect in effects if isinstance(effect, Persist)]
            if tokens:
                self._step(Persisted(tokens[-1]))
            if applied:
                self.locks.applied(self.store.keys)
                self.watch.changed()
                self._step(Applied(*applied))

    def _take_snapshot(self) -> None:
        """A snapshot was pulled: let it take the place of everything, if it is still of use and nothing is being
        written."""
        pulled = self.transfers.complete()
        if pulled is None or self._to_write:
            return
        path, place = pulled
        if self.replica.wants(place):
            try:
                with self.vitals.taking_in(path.stat().st_size):
                    found = self.store.install(path)
            except (InvalidInput, DataDirError) as error:
                self.counters["snapshot_not_installed"] += 1
                log.warning("a snapshot of entry %d is not installed: %s", place.index, error)
            else:
                self._note(f"peer {self.me} has taken a snapshot of entry {place.index}")
                self.locks.applied(self.store.keys)
                self._step(Installed(found.log.base, found.membership, found.sessions, found.state_hash))
        self.transfers.forget()

    def _reconfigure(self, membership: Membership) -> None:
        self.sockets.links.connect(self.about.addresses())
        voters = ", ".join(map(str, membership.voters)) or "nobody"
        learners = ", ".join(map(str, membership.learners))
        self._note(f"members since entry {membership.index}: {voters}" + (f"; learning: {learners}" * bool(learners)))

    def _halt(self, effect: Halt) -> None:
        if effect.distrusted:
            self.store.distrust(effect.why)
            raise DiskFailed(
                f"peer {self.me}: {effect.why}",
                hint="start it again: it sets its files aside and comes back under a new incarnation",
            )
        raise Removed(
            f"peer {self.me} was {effect.why}",
            hint=f"to have it back: start it with an empty --data-dir and --join, then hfzmq peer add {self.me}",
        )

    def _counts(self, peer: int, incarnation: bytes) -> bool:
        return self.replica.membership.counts(peer, incarnation)

    def _announce(self, change: Became) -> None:
        leader = f", leader {change.leader}" if change.leader else ", no leader"
        self._note(f"peer {self.me} is {change.role} in term {change.term}{leader} ({change.why})")

    def _note(self, text: str) -> None:
        log.info(text)
        self.about.events.append((wall_clock_ms(), text))

    # ------------------------------------------------------------ housekeeping

    def _housekeeping(self, idle: bool) -> None:
        now = monotonic_ms()
        self.voice.introduce(now, self.replica.membership)
        self.sockets.mind_the_door(now)
        self.sockets.mind_the_weight(now)
        self.sockets.links.make_refused_anew(now)
        self.hearsay.turn(now, self.replica, self.about.addresses)
        for peer in self.replica.membership.voters + self.replica.membership.learners:
            last = self.replica.liveness.last_of(peer)
            if peer != self.me and last and now - last[0] > DEAD_AFTER_LEASES * self.config.timing.lease_ms:
                self.sockets.links.renew(peer)
                self.replica.liveness.forget(peer)  # so that this happens once a death
        if self.queries.damage:
            self._halt(Halt(f"its file rots: {self.queries.damage}", distrusted=True))
        if idle and now >= self._idle_at_ms:
            self._idle_at_ms = now + IDLE_CHECKPOINT_MS
            self.store.idle_checkpoint()

    def _obey(self, signals: Signals) -> None:
        for name in signals.read():
            if name == "HUP":
                self.vitals.reloading()
                self._reread()
                self.vitals.ready()
            elif not self._drain_until_ms:
                log.info("stopping on SIG%s", name)
                self._drain_until_ms = monotonic_ms() + DRAIN_MS_MAX
                self.vitals.ends()
                self._step(Resign())

    def _drained(self) -> bool:
        """Whether it may stop: asked to, and no longer leading (or it took too long to give the lead away)."""
        if not self._drain_until_ms:
            return False
        alone = len(self.replica.voters) == 1 or self.replica.hand_over.transfer is None
        return self.replica.role != LEADER or alone or monotonic_ms() > self._drain_until_ms

    def _reread(self) -> None:
        """SIGHUP: keys are in force as the file says now; what else differs is said, and waits for a restart."""
        try:
            self.config, words = reread(self.config)
        except ConfigError as error:
            log.error("configuration not reread: %s", error)
            return
        self.locks.reread(self.config.keys)
        log.info("configuration reread: %s", words)
