"""The thread that empties the queue into the mesh.

Touches sockets (Pirate, Hints, which only this thread uses) and the queue. Must not know: who submits.

    queue --next batch--> ask until answered: ACK -> off the disk      REFUSED -> split, or dead letter
                                              CONFLICT, GAP -> ask on for three leases, then believe it
          '-- longer than a peer takes by now: split, and told
    empty -------------> once a second: how is the peer (the link on the screen); one that knows no leader: the next one
    damaged on this disk: told, and never sent (queue.py)
    whatever it waits for: is the queue still there? and hints of what was seen, to the leader; to another peer, which
                           passes them on, when no leader is known, or it takes or answers none
    close -------------> the last hints, if they are taken within half a second

Why doubt: to believe CONFLICT or GAP starts a new epoch, which may store rows twice. Peers say them after a quorum
round only; that they still say so three leases later costs a wait that nobody notices, and guards against one that
does not.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from random import Random

import zmq

from hfzmq.client.hints import Hints
from hfzmq.client.ledger import Ledger
from hfzmq.client.pirate import CONNECTED, Pirate, Reply
from hfzmq.client.queue import Queue
from hfzmq.client.queue_types import Batch
from hfzmq.clinical.report import Report
from hfzmq.config import Config
from hfzmq.errors import DiskFailed
from hfzmq.wire.members import Told
from hfzmq.wire.requests import encode_request

log = logging.getLogger("hfzmq.client")

FRAME_BYTES = 1024  # of a request, at most, besides its rows
CURVE_BYTES = 33  # what encryption adds to a request; a peer's limit counts it
PING_S = 1.0  # an idle client asks so often how its peer is ...
SEARCH_S = 0.25  # ... and so often while it has none
LOOK_S = 0.2  # whether the queue is still there is looked at so often
HINTS_S = 0.2  # hints are told so often at most
HINTS_AGAIN_S = 0.05  # but those that a peer did not take
DEAF_S = 0.4  # a peer that has not taken or not answered hints for so long ...
DEAF_REST_S = 2.0  # ... is told none for so long
LAST_HINTS_S = 0.5  # a client that closes waits so long for somebody to take the last ones
BELIEVED_AFTER_LEASES = 3
DOUBT_REST_S = 0.25


class Sender:
    """See the module. Starts at once; ``close`` waits for its end. ``batch_rows``: of a request, at most (None: as many
    as the mesh takes)."""

    def __init__(
        self, config: Config, queue: Queue, ledger: Ledger, rng: Random, batch_rows: int | None = None
    ) -> None:
        self._batch_rows = min(batch_rows or config.limits.batch_rows_max, config.limits.batch_rows_max)
        self._config = config
        self._queue = queue
        self._ledger = ledger
        self._stop = threading.Event()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._pirate = Pirate(
            config.peers,
            rng=rng,
            context=self._context,
            stop=self._stop,
            on_link=ledger.linked,
            mesh_id=config.mesh_id,
            told=queue.members(),
            on_members=self._learned,
            meanwhile=self._meanwhile,
            keys=config.keys,
        )
        self._hints = Hints(
            self._context, config.mesh_id, config.limits.client_message_bytes_max, self._pirate.curve_at
        )
        self._frame_max = config.limits.client_message_bytes_max - (0 if config.keys is None else CURVE_BYTES)
        self._told_long: tuple[bytes, int] | None = None  # (epoch, seq) of the request that was told to be too long
        self._look_due = 0.0
        self._hints_due = 0.0
        self._leader = 0  # as the last answer said: only a leader tells the log that beds live
        self._hinted = 0  # who was told hints last
        self._lost: set[int] = set()  # who knew no leader when it said last how it is, since anybody knew one
        self._deaf_until: dict[int, float] = {}
        self._doubt: tuple[bytes, int, float] | None = None  # (epoch, seq, since when)
        self._told_strangers: set[int] = set()
        self._thread = threading.Thread(target=self._run, name="hfzmq-client", daemon=True)
        self._thread.start()

    def seen(self, reports: Iterable[Report]) -> None:
        """Tell the last reading of each bed when there is time."""
        self._hints.seen(reports)

    def close(self) -> None:
        """Stop within 50 ms, whatever is under way; 500 ms more if nobody takes the last hints. May be called twice."""
        self._stop.set()
        with self._ledger.changed:
            self._ledger.changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        limits = self._config.limits
        try:
            while not self._stop.is_set():
                self._meanwhile()
                batch = self._next_batch(limits.client_message_bytes_max - FRAME_BYTES)
                if batch is None:
                    self._idle()
                else:
                    self._deliver(batch)
            self._finish_hints()
        except BaseException as error:  # a thread has nobody to raise to: the client's next call raises it
            self._ledger.fail(error)
        finally:
            self._hints.close()
            self._pirate.close()
            self._context.term()

    # ---------------------------------------------------------------------------------------------------- a batch

    def _next_batch(self, bytes_max: int) -> Batch | None:
        with self._ledger.changed:  # as below: what is damaged is told before the queue looks empty
            batch = self._queue.next_batch(self._batch_rows, bytes_max)
            damage = self._queue.damage()
            if damage.rows or damage.lost_seq:
                log.error("damaged on this disk: %d rows; request under way: %d", len(damage.rows), damage.lost_seq)
                self._ledger.damaged(damage, self._queue.pending(), self._queue.directory)
            self._ledger.publish()  # after a write that was broken off the queue has counted anew
        return batch

    def _deliver(self, batch: Batch) -> None:
        frame = encode_request(
            self._config.mesh_id,
            self._ledger.traffic.op,
            client=self._queue.client_id,
            epoch=batch.epoch,
            seq=batch.seq,
            rows=batch.rows,
            digest=batch.digest,
        )
        if len(frame) > self._frame_max and self._took_apart(batch):
            return
        reply = self._pirate.ask(frame, accept=lambda reply: _answers(reply, batch))
        self._tell_strangers()
        if reply is None:
            return
        if reply["status"] in ("CONFLICT", "GAP"):
            self._doubted(batch, reply)
            return
        self._doubt = None
        if reply["status"] == "ACK":
            self._learn_leader(self._pirate.target[0], self._pirate.target[0])
        with self._ledger.changed:  # so that who waits for an empty queue has been told of every row before
            if reply["status"] == "ACK":
                rejected = [(number, field, bound, hint) for number, field, bound, hint in reply["rejected"]]
                dead = self._queue.acknowledged(batch.seq, rejected)
                self._ledger.acknowledged(batch, reply, [number for number, *_ in rejected], dead)
            else:
                letter = self._queue.refused(batch.seq, reply["field"], reply["bound"], reply["hint"])
                if letter is not None:
                    self._ledger.rejected(letter, batch.seq)

    def _took_apart(self, batch: Batch) -> bool:
        """Deal with a request that was fixed under a larger limit: a peer would end the connection without a word.
        False: it can only be sent as it is, which helps where a peer's own limit is larger, or once it is."""
        with self._ledger.changed:
            apart = self._queue.take_apart(batch.seq)
            if self._told_long != (batch.epoch, batch.seq):
                log.error("request %d is longer than %d bytes; taken apart: %s", batch.seq, self._frame_max, apart)
                self._ledger.too_long(batch, self._frame_max, apart)
            self._told_long = None if apart else (batch.epoch, batch.seq)
        return apart

    def _doubted(self, batch: Batch, reply: Reply) -> None:
        now = time.monotonic()
        if self._doubt is None or self._doubt[:2] != (batch.epoch, batch.seq):
            self._doubt = (batch.epoch, batch.seq, now)
        if now - self._doubt[2] < BELIEVED_AFTER_LEASES * self._config.timing.lease_ms / 1000:
            self._pirate.rotate()
            self._stop.wait(DOUBT_REST_S)
            return
        self._doubt = None
        if self._queue.disowned(batch.seq):
            pending = self._queue.pending()
            log.warning("%s at seq %d: %d rows go out under a new epoch", reply["status"], batch.seq, pending)
            self._ledger.disowned(batch, reply, pending, self._queue.directory)

    # ---------------------------------------------------------------------------------------------------- meanwhile

    def _idle(self) -> None:
        """Nothing to send: see how the mesh is, then wait for work."""
        request = encode_request(self._config.mesh_id, "status")
        reply = self._pirate.ask(request, deadline=time.monotonic() + PING_S)
        link = self._pirate.link
        if reply is None:
            self._leader = 0
        else:
            self._learn_leader(_leader_of(reply), link.peer)
            if link.state != CONNECTED:  # it may be cut off from a mesh that is well
                self._pirate.rotate()
        self._tell_strangers()
        until = time.monotonic() + (PING_S if self._pirate.link.state == CONNECTED else SEARCH_S)
        while not self._stop.is_set() and time.monotonic() < until:
            self._meanwhile()
            with self._ledger.changed:
                if self._queue.pending():
                    return
                self._ledger.changed.wait(HINTS_S)

    def _meanwhile(self) -> None:
        """Whatever it waits for: a queue that is there no more ends it (DiskFailed), and hints are told."""
        now = time.monotonic()
        if now >= self._look_due:
            self._look_due = now + LOOK_S
            self._queue.check()
        self._flush_hints()

    def _flush_hints(self) -> None:
        now = time.monotonic()
        if now < self._hints_due:
            return
        taken = self._hints.flush(*self._hints_to())
        self._hints_due = now + (HINTS_S if taken else HINTS_AGAIN_S)
        if self._hints.stuck_s > DEAF_S:
            self._deaf_until[self._hinted] = now + DEAF_REST_S
            self._hints_due = now

    def _learn_leader(self, leader: int, peer: int | None) -> None:
        """``peer`` has said who leads; 0: it knows nobody."""
        self._leader = leader
        if leader:
            self._lost.clear()
        elif peer is not None:
            self._lost.add(peer)

    def _hints_to(self) -> tuple[str, int]:
        """Who is told: the leader; or, while none is known or it is deaf, the same as before, whoever answers, or any
        member: each passes it on to the leader that it knows. Those that know none come last."""
        now, addresses = time.monotonic(), self._pirate.addresses
        ranked = [self._leader, self._hinted, self._pirate.target[0], *addresses.members]
        ranked = sorted((peer for peer in ranked if peer in addresses), key=lambda peer: peer in self._lost)
        self._hinted = next((peer for peer in ranked if self._deaf_until.get(peer, 0.0) <= now), ranked[0])
        return addresses[self._hinted]

    def _finish_hints(self) -> None:
        """A board must not go on showing an older reading because this client's life was short."""
        others = self._pirate.addresses.everywhere()
        self._hints.finish(list(dict.fromkeys([self._hints_to(), *others])), LAST_HINTS_S)

    def _learned(self, told: Told) -> None:
        """The members of the mesh have changed: the next life of this client begins with them."""
        log.info("members of the mesh: %s", ", ".join(str(member.id) for member in told.members))
        try:
            self._queue.remember_members(told)
        except DiskFailed as error:  # a help, not a duty: whoever must be told of the disk is told by the next put
            log.warning("the list of members is not kept: %s", error)

    def _tell_strangers(self) -> None:
        """A peer that is none of this mesh is told once: somebody must look at the files."""
        for peer in self._pirate.refusals.keys() - self._told_strangers:
            self._told_strangers.add(peer)
            self._ledger.stranger(peer, self._pirate.refusals[peer])


def _leader_of(reply: Reply) -> int:
    """Who leads, as the status of a peer with a quorum says; 0 for nobody."""
    peer = reply.get("peer")
    if not isinstance(peer, dict) or peer.get("quorum") is not True:  # who is cut off names a former one
        return 0
    leader = peer.get("leader")
    return leader if type(leader) is int else 0


def _answers(reply: Reply, batch: Batch) -> bool:
    """Whether a final reply can be the answer to this batch: its seq, and rejected rows that are in it."""
    if reply["status"] == "REFUSED":
        return True
    if reply["status"] not in ("ACK", "CONFLICT", "GAP") or reply.get("seq") != batch.seq:
        return False
    rejected = reply.get("rejected", [])
    for item in rejected:
        if not isinstance(item, list) or len(item) != 4 or not all(isinstance(text, str) for text in item[1:]):
            return False
        if type(item[0]) is not int or not 0 <= item[0] < batch.row_count:
            return False
    return len({item[0] for item in rejected}) == len(rejected)
