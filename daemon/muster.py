"""The first peers of a restored mesh wait for each other, before any of them takes part.

Why. Their incarnations follow from the backup, so that they agree without having talked; so whoever is restored once
more, because its disk died later, comes back under the name in which it had voted and acknowledged, and remembers
nothing of it. Counted, it could help to lead a mesh that has forgotten what was acknowledged.

    note beside the file --all others heard, none of them beyond the backup--> they hear me too --> term, note goes: on
                         `--somebody is beyond the backup: the mesh lives------> distrusted: begins anew, as a newcomer

Touches sockets, the clock, the disk. Must not know: the core. Keeps: as long as there is a note this process votes for
nobody, acknowledges nothing and campaigns for nothing: it publishes heartbeats and reads those of others, no more. Its
sockets ask for keys as the node's do, and the same keys are in force: a list that was wrong is read again at SIGHUP.

What it proves. Whatever a majority of these lives has ever acknowledged is on the disk of one of them that was not
restored again, unless a majority was; that one shows a log beyond the backup, whoever has asked, and is waited for. And
whom an earlier life of this peer may have voted for has reached that term itself, and shows it: this life begins above.
The price: like founding, a restored mesh begins only when all its first peers have been up together once.
"""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import zmq

import hfzmq
from hfzmq.config import Config
from hfzmq.core.contract import FOLLOWER, Persist
from hfzmq.core.messages import Heartbeat
from hfzmq.core.types import HardState
from hfzmq.daemon.keyring import keyring_of
from hfzmq.daemon.locks import Locks
from hfzmq.daemon.rereading import reread
from hfzmq.daemon.sd_notify import SdNotify
from hfzmq.daemon.signals import Signals
from hfzmq.daemon.sockets import Sockets
from hfzmq.daemon.voice import Voice
from hfzmq.errors import ConfigError, DataDirError, WireError
from hfzmq.storage import Store, directory, restored
from hfzmq.storage.restored import Note
from hfzmq.wire import peers, requests

FRESH_LEASES = 5  # a heartbeat says what its peer has for so long
LINGER_LEASES = 10  # all others were heard: wait so long at most until they have heard this one and each other
SAY_S = 10.0
FRAMES_A_TURN = 256
HEARS_ALL = "hears all first peers and waits until they hear each other"

log = logging.getLogger("hfzmq.muster")


class Roll:
    """Who has answered. ``note``: of this peer ``me``; ``mesh_id``: of the new mesh. Times in milliseconds."""

    def __init__(self, note: Note, me: int, mesh_id: bytes, fresh_ms: float) -> None:
        self._note = note
        self._me = me
        self._mesh_id = mesh_id
        self._fresh_ms = fresh_ms
        self._heard: dict[int, tuple[float, Heartbeat]] = {}
        self.strangers: dict[int, float] = {}  # peers of the mesh that were not restored from this backup
        self.newer: dict[int, int] = {}  # of those, who was restored from a newer one, and up to which entry
        self.lives = ""  # why the mesh is known to have gone on without this peer; '' while it is not

    def take(self, now_ms: float, frame: bytes) -> None:
        """A frame from another's heartbeats."""
        try:
            letter = peers.decode(frame)
        except WireError:
            return
        sender, beat = letter.sender, letter.content
        if sender.mesh_id != self._mesh_id or sender.peer == self._me or not isinstance(beat, Heartbeat):
            return
        end = self._note.place.index
        if _musters(beat) and beat.last > end:
            self.strangers[sender.peer], self.newer[sender.peer] = now_ms, beat.last
        elif beat.last > end or beat.commit > end:
            self.lives = f"peer {sender.peer} holds entry {max(beat.last, beat.commit)}, the backup ends with {end}"
        elif self._note.incarnations.get(sender.peer) != sender.incarnation or (beat.applied, beat.state_hash) != (
            end,
            self._note.state_hash,
        ):
            self.strangers[sender.peer] = now_ms
        else:
            self._heard[sender.peer] = (now_ms, beat)

    def here(self, now_ms: float) -> tuple[int, ...]:
        """Who holds just what this peer holds, by what was heard of late."""
        return tuple(sorted(peer for peer, (at, _) in self._heard.items() if now_ms - at <= self._fresh_ms))

    def missing(self, now_ms: float) -> list[int]:
        """Who is waited for."""
        here = self.here(now_ms)
        return [peer for peer in restored.others(self._note, self._me) if peer not in here]

    def all_hear_all(self) -> bool:
        """Whether each of the others has said that it hears everybody else."""
        everybody = set(self._note.incarnations)
        return all(everybody - {peer} <= set(beat.hears) for peer, (_, beat) in self._heard.items())

    def term(self) -> int:
        """The highest that anybody has shown."""
        return max((beat.term for _, beat in self._heard.values()), default=0)


def _musters(beat: Heartbeat) -> bool:
    """Whether it comes from a peer that was restored, too, and waits: it would not lead, and knows of no leader. (One
    that lives and says so for a moment is taken for a stranger, and waited for: nothing is begun without it.)"""
    return not beat.willing and beat.leader == 0 and beat.last == beat.commit == beat.applied


def assembled(config: Config, me: int, data_dir: Path, signals: Signals) -> Config | None:
    """Wait until this peer may take part, at once where it was not restored; with the configuration that is in force
    then (the keys may have been read again). None: it was asked to stop.
    HfzmqError as with Store.open, Sockets and keyring_of."""
    path = directory.database_path(data_dir, me)
    note = restored.read_note(path)
    if note is None:
        return config
    store = Store.open(data_dir, me, config)
    try:
        if store.identity.incarnation != note.incarnations.get(me):  # damaged, set aside: it is a newcomer by now
            restored.drop_note(path)
            return config
        if store.recovered.log.last != note.place:
            raise DataDirError(
                f"{restored.note_path(path)}: not of this file, which ends with entry {store.recovered.log.last.index}",
                hint="who put it there? remove it only if this file was never copied or put back",
            )
        muster = _Muster(config, me, store, note)
        return muster.config if muster.run(signals) else None
    finally:
        store.close()


class _Muster:
    def __init__(self, config: Config, me: int, store: Store, note: Note) -> None:
        self.config = config
        self._me = me
        self._store = store
        self._note = note
        lease_ms = config.timing.lease_ms
        self._roll = Roll(note, me, config.mesh_id, FRESH_LEASES * lease_ms)
        self._linger_ms = LINGER_LEASES * lease_ms
        keyring, doubt = keyring_of(config, me, store.keys.issued, store.keys.revoked)
        if doubt:
            log.warning("%s", doubt)
        self._sockets = Sockets(config, me, Counter(), keyring)
        self._locks = Locks(keyring, self._sockets, lambda: self.config.peers, log.info)
        self._voice = Voice(store.identity, self._sockets, lease_ms)
        self._said = ""
        self._say_at = 0.0
        self._notify = SdNotify.of(dict(os.environ))  # the node will want the invitation, too

    def run(self, signals: Signals) -> bool:
        """Whether it may take part; False: it was asked to stop."""
        sockets = self._sockets
        poller = sockets.poller  # which follows when a socket is made anew
        poller.register(signals.fd, zmq.POLLIN)
        complete_at: float | None = None
        beat_at = 0.0
        self._notify.say("READY=1")  # it runs as it should: systemd must not take the waiting for a hang
        try:
            while True:
                now = _now_ms()
                if now >= beat_at:
                    beat_at = now + self.config.timing.heartbeat_ms
                    self._voice.publish(self._beat(now))
                    self._notify.say("WATCHDOG=1")
                ready = dict(poller.poll(max(1, int(beat_at - now))))
                if signals.fd in ready and self._ends(signals):
                    return False
                if sockets.zap and sockets.zap.socket in ready:
                    sockets.zap.serve()
                self._read(ready)
                now = _now_ms()
                if not self._roll.missing(now):
                    complete_at = complete_at or now
                if complete_at is not None:
                    # What the others showed then is enough, whatever they go on to do while this peer waits for them.
                    if self._roll.all_hear_all() or now - complete_at > self._linger_ms:
                        self._voice.publish(self._beat(now))
                        self._begin()
                        return True
                elif self._roll.lives:
                    self._give_up()
                    return True
                self._say(now)
        finally:
            self._notify.close()
            sockets.flush_and_close(linger_ms=200)

    def _ends(self, signals: Signals) -> bool:
        """Whether it is asked to stop. SIGHUP: which keys are in force is read again."""
        told = set(signals.read())
        if "HUP" in told:
            try:
                self.config, words = reread(self.config)
            except ConfigError as error:
                log.error("configuration not reread: %s", error)
            else:
                self._locks.reread(self.config.keys)
                log.info("configuration reread: %s", words)
        return bool(told - {"HUP"})

    def _read(self, ready: dict[Any, int]) -> None:
        sockets = self._sockets
        for socket in (sockets.peers, sockets.links.beats_in, sockets.clients):
            for _ in range(FRAMES_A_TURN if socket in ready else 0):
                try:
                    if socket is sockets.links.beats_in:
                        self._roll.take(_now_ms(), socket.recv_multipart(zmq.DONTWAIT)[-1])
                        continue
                    frames, key = sockets.take(socket)
                except zmq.Again:
                    break
                if socket is sockets.clients:
                    self._answer(frames, self._locks.role(key))
        sockets.mind_the_door(_now_ms())
        sockets.links.make_refused_anew(_now_ms())

    def _begin(self) -> None:
        """All first peers hold the same, and none of them more."""
        own, shown = self._store.recovered.hard_state.term, self._roll.term()
        if shown > own:
            self._store.write([Persist(1, HardState(shown + 1, 0), None, ())])
        restored.drop_note(self._store.path)
        log.info("restored: all first peers hold entry %d: peer %d takes part", self._note.place.index, self._me)

    def _give_up(self) -> None:
        """The mesh lives, and may have been promised things by an earlier life of this peer."""
        why = f"restored from a backup, but the mesh lives: {self._roll.lives}"
        self._store.distrust(why)
        restored.drop_note(self._store.path)
        log.warning("%s: peer %d begins anew and joins it", why, self._me)

    def _beat(self, now_ms: float) -> Heartbeat:
        place, recovered = self._note.place, self._store.recovered
        return Heartbeat(
            recovered.hard_state.term, FOLLOWER, 0, place.index, place.index, place.index, place.index,
            0, 0, self._roll.here(now_ms), False, recovered.state_hash,
        )  # fmt: skip

    def _waits(self, now_ms: float) -> str:
        missing = self._roll.missing(now_ms)
        strange = [peer for peer in missing if now_ms - self._roll.strangers.get(peer, -1e18) < self._linger_ms]
        words = f"waits for {_listed(missing)}" if missing else HEARS_ALL
        if strange:
            words += f"; not restored from this backup: {_listed(strange)}"
        newer = {peer: self._roll.newer[peer] for peer in strange if peer in self._roll.newer}
        if newer:
            ends = self._note.place.index
            words += f", whose backup is newer: it ends with entry {max(newer.values())}, this one with {ends}"
        return words

    def _say(self, now_ms: float) -> None:
        said = self._waits(now_ms)
        if said != self._said or now_ms >= self._say_at:
            self._said, self._say_at = said, now_ms + SAY_S * 1000
            self._notify.say(f"STATUS=restored: {said}")
            each = "" if said == HEARS_ALL else ", each started from the same backup"
            log.info("restored: peer %d %s%s", self._me, said, each)

    def _answer(self, frames: list[bytes], role: str | None) -> None:
        """Clients go on to the next peer; an operator sees what is waited for. ``role``: of the key that was
        shown; None: revoked since."""
        if role is None or len(frames) != 3 or frames[1]:
            return
        try:
            request = requests.decode_request(frames[2], self.config.mesh_id, self.config.limits)
        except WireError as error:
            reply = requests.encode_reply("REFUSED", field=error.field, bound=error.bound, hint=error.hint)
        else:
            is_asked = isinstance(request, requests.Status)
            reply = requests.encode_reply("OK", peer=self._status()) if is_asked else requests.encode_reply("NO_QUORUM")
        self._sockets.answer([*frames[:2], reply])

    def _status(self) -> dict[str, Any]:
        now, index = _now_ms(), self._note.place.index
        wall_ms = time.time_ns() // 1_000_000
        return {
            "id": self._me, "mesh": self.config.mesh_name, "role": FOLLOWER, "leader": 0, "serves": False,
            "term": self._store.recovered.hard_state.term, "quorum": False,
            "last_index": index, "last_term": self._note.place.term,
            "commit_index": index, "applied_index": index, "durable_index": index,
            "state_hash": self._note.state_hash.hex(), "reports": self._store.reports_stored,
            "version": hfzmq.__version__, "boot": self._store.identity.boot_no, "now_ms": wall_ms,
            "restored": self._waits(now), "events": [[wall_ms, f"restored: {self._waits(now)}"]],
        }  # fmt: skip


def _now_ms() -> float:
    return time.monotonic() * 1000


def _listed(peers: list[int]) -> str:
    return f"peer{'s' if len(peers) > 1 else ''} {', '.join(map(str, peers))}"
