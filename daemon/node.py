"""The loop: bytes to events, events through the core, effects to the disk and the network. One thread.

    poll --> intake: peers, heartbeats, clients (bounded) --> core.step --> sends go out at once,
                                                                       |           writes are gathered
             Persisted, Applied --> core.step <-- one transaction <----'           until the turn's end

Touches sockets, the clock, the disk, signals. Must not know: how the core decides. Keeps: one transaction and one sync
for everything that a turn gathered, save that a follower's promises do not wait for what it applies (writing.py); no
sync for what is applied alone (storage/store.py) until others are shown it; a disk error stops the process in the same
breath (exit 1), for a peer whose disk has failed must not promise anything more.
"""

from __future__ import annotations

import logging
import math
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
    Installed,
    Persist,
    Persisted,
    Propose,
    Publish,
    Reconfigured,
    Reply,
    Resign,
    Send,
    Tick,
)
from hfzmq.core.membership import Membership
from hfzmq.core.sessions import Sessions
from hfzmq.daemon.about import About
from hfzmq.daemon.backups import Backups
from hfzmq.daemon.beginning import first_replica, moved_away, others_files
from hfzmq.daemon.chores import Chores
from hfzmq.daemon.clocks import monotonic_ms, wall_clock_ms
from hfzmq.daemon.desk import Desk
from hfzmq.daemon.garbage import Garbage
from hfzmq.daemon.gate import Gate
from hfzmq.daemon.hearsay import Hearsay
from hfzmq.daemon.history import history_of
from hfzmq.daemon.intake import Intake
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
from hfzmq.daemon.writing import Write, parted
from hfzmq.errors import ConfigError, DataDirError, DiskFailed, InvalidInput, Removed
from hfzmq.storage import Store

WRITES_A_TURN = 4
DRAIN_MS_MAX = 4000
IDLE_CHECKPOINT_MS = 1000
PULL_AGAIN_MS = 30_000  # after a snapshot that could not be installed: else all of it would come again and again

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
        self.voice.history = self._history
        self.gate = Gate(
            config.mesh_id, peer_id, self.counters, self._counts, self.voice.disown, monotonic_ms, self._history
        )
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
        self.vitals.shut_out = self.sockets.links.shut_out
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
        self.watch.changed(now)
        self.about.log_ahead_ms = lambda: self.watch.log_ahead_ms(monotonic_ms())
        self.passing = Passing(self.ward, peer_id, self.watch, self.voice.send, self.about.other_peers)
        self.backups = Backups(
            data_dir / "backups", self.store.path, lambda: self.replica.applied, self.counters, monotonic_ms
        )
        self.desk = Desk(
            config, self.sockets.answer, self.about, self.queries, self.ward, self.watch, self.backups, self.counters
        )
        self._to_write: list[Write] = []
        if doubt:
            self._note(doubt)
        away = moved_away(config.peer(peer_id), self.replica.membership, self.store)
        for warning in (*self.store.doubts, others_files(peer_id, self.store), away):
            if warning:
                self._note(warning, logging.WARNING)
        if self.store.amnesia:
            self._note(f"peer {peer_id} begins anew, its old files are set aside: {self.store.amnesia}")
        if not self.replica.membership.members:
            self._note(
                "no other peer is known: list the members of the mesh in peers.yaml, "
                "then start with --join and an empty --data-dir"
            )
        self.chores = Chores(
            config.timing.lease_ms, self.replica, self.about, self.sockets, self.voice, self.hearsay, self.passing,
            self.watch, self.transfers, self.backups, self.vitals,
        )  # fmt: skip
        self.intake = Intake(
            self._step, self.sockets, self.gate, self.locks, self.replica, self.voice, self.ward, self.transfers,
            self.desk, self.chores, self.counters,
        )  # fmt: skip
        self.garbage = Garbage(now)
        self._stepped = False  # the core, in this turn
        self._idle_at_ms = now
        self._drain_until_ms = 0.0
        self._pull_at_ms = -math.inf  # no snapshot before

    # ------------------------------------------------------------ loop

    def run(self, signals: Signals) -> None:
        """Serve until SIGTERM or SIGINT; DiskFailed when the disk does."""
        poller = self.sockets.poller
        poller.register(signals.fd, zmq.POLLIN)
        poller.register(self.watch.fd, zmq.POLLIN)
        self._step(Tick())
        self._commit()
        while not self._drained():
            began_ms, wait_ms = monotonic_ms(), self._wait_ms()
            ready = dict(poller.poll(wait_ms))
            self._tell_pause(monotonic_ms() - began_ms - wait_ms)
            self._stepped = False
            if ready:
                self.chores.happened()
            if self.watch.fd in ready:
                self.chores.hurry()  # it is readable until it is read there
                self.watch.told()
            self.intake.take(ready)
            if signals.fd in ready:
                self._obey(signals)
            if not self._stepped:  # every step looks at the clock
                self._step(Tick())
            self._commit()
            self._do_chores(self.sockets.has_visitors(ready))
            self._rest(idle=not ready)
            self.vitals.turned()

    def _tell_pause(self, late_ms: float) -> None:
        """The loop came back so much later than it was to: what the core makes of that looks like a disk or a network
        that failed."""
        if late_ms > self.config.timing.lease_ms:
            why = "the process was stopped, or its machine stood still or had no time for it"
            self._note(f"peer {self.me} stood still for {late_ms / 1000:.1f} s: {why}", logging.WARNING)

    def _wait_ms(self) -> int:
        """How long there is nothing to do unless something comes in."""
        if self._to_write:
            return 0
        now_ms = monotonic_ms()
        wake_ms = min(self.replica.wake_at_ms(now_ms), self.chores.wake_at_ms(now_ms))
        return math.ceil(max(0.0, wake_ms - now_ms))

    def close(self) -> None:
        """Let the last answers leave; close the disk."""
        self.queries.close()
        self.watch.close()
        self.transfers.close()
        self.backups.close()
        self.sockets.flush_and_close(linger_ms=200)
        self.store.close()
        self.vitals.close()

    # ------------------------------------------------------------ effects

    def _step(self, event: Event) -> None:
        self._stepped = True
        for effect in self.replica.step(monotonic_ms(), event):
            if isinstance(effect, Send):
                self.voice.send(effect.to, effect.message)
            elif isinstance(effect, (Persist, Apply, Compact)):
                self._to_write.append(effect)
            elif isinstance(effect, Reply):
                self.desk.answered(effect)
            elif isinstance(effect, Publish):
                self._sync()
                self.voice.publish(effect.heartbeat)
            elif isinstance(effect, Became):
                self._announce(effect)
                self.desk.send_away(self.watch.drop() if effect.role != LEADER else ())
            elif isinstance(effect, Fetch):
                if monotonic_ms() >= self._pull_at_ms:
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
            effects, self._to_write = parted(self._to_write, self.replica.leading is not None)
            self.vitals.writes()
            applied = self.store.write(effects)
            took_ms = self.vitals.wrote(not self.store.unsynced)
            if not self.store.unsynced:
                self.about.fsync_ms = took_ms
            tokens = [effect.token for effect in effects if isinstance(effect, Persist)]
            if tokens:
                self._step(Persisted(tokens[-1]))
            if applied:
                self.locks.applied(self.store.keys)
                self.watch.changed(monotonic_ms())
                self._step(Applied(*applied))

    def _sync(self) -> None:
        """Others hold a later start to the applied index that this one has shown (core/memory.py): no power cut may
        take it back."""
        if self.store.unsynced:
            self.vitals.writes()
            self.store.sync()
            self.vitals.wrote()

    def _take_snapshot(self) -> None:
        """A snapshot was pulled: let it take the place of everything, if it is still of use and nothing is being
        written."""
        pulled = self.transfers.complete()
        if pulled is None:
            return
        if self._to_write:
            self.chores.happened()
            return
        path, place = pulled
        if self.replica.wants(place):
            try:
                with self.vitals.taking_in(path.stat().st_size):
                    found = self.store.install(path)
            except (InvalidInput, DataDirError) as error:
                self.counters["snapshot_not_installed"] += 1
                self._pull_at_ms = monotonic_ms() + PULL_AGAIN_MS
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
        raise Removed(  # the peer itself, or only this disk of it, which another one took the place of
            f"the files in {self.store.path.parent} are of a life of peer {self.me} that was {effect.why}",
            hint=f"hfzmq peer ls: is peer {self.me} a member, these are an old copy: move them away, start it with an "
            f"empty --data-dir; is it none, and is to be back, start it so with --join, then hfzmq peer add {self.me}",
        )

    def _counts(self, peer: int, incarnation: bytes) -> bool:
        return self.replica.membership.counts(peer, incarnation)

    def _history(self) -> bytes:
        return history_of(self.store, self.replica)

    def _announce(self, change: Became) -> None:
        leader = f", leader {change.leader}" if change.leader else ", no leader"
        self._note(f"peer {self.me} is {change.role} in term {change.term}{leader} ({change.why})")

    def _note(self, text: str, level: int = logging.INFO) -> None:
        log.log(level, text)
        self.about.events.append((wall_clock_ms(), text))

    # ------------------------------------------------------------ besides messages

    def _do_chores(self, visitors: bool) -> None:
        now_ms = monotonic_ms()
        if visitors:
            self.sockets.mind_the_door(now_ms)
        if not self.chores.are_due(now_ms):
            return
        if self.queries.damage:
            self._halt(Halt(f"its file rots: {self.queries.damage}", distrusted=True))
        fact = self.chores.turn(now_ms)
        self._take_snapshot()
        if fact:
            self._step(Propose((fact,)))

    def _rest(self, idle: bool) -> None:
        """``idle``: nothing came in."""
        now_ms = monotonic_ms()
        self.garbage.turn(now_ms, idle)
        if idle and now_ms >= self._idle_at_ms:
            self._idle_at_ms = now_ms + IDLE_CHECKPOINT_MS
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
