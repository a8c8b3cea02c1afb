"""The invariants I1 to I7, I9 and I10 of docs/guarantees.md, checked at every step of every simulated peer.

Keeps its own record of the world (who was acknowledged what, which entry was committed where), so that a fault of the
core cannot hide in the core's own bookkeeping.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import TYPE_CHECKING

from hfzmq.core.contract import ACK, READ, Apply, Became, Compact, Effect, Halt, Persist, Reply, Send
from hfzmq.core.membership import Membership, decode
from hfzmq.core.messages import AppendReply, TimeoutNow, VoteReply, VoteRequest
from hfzmq.core.types import CONFIG, Entry, HardState, Origin
from tests.simulation.violation import Violation

if TYPE_CHECKING:
    from hfzmq.core.replica import Replica
    from tests.simulation.client import Client
    from tests.simulation.disk import Disk
    from tests.simulation.peer import Peer


STOPS_WITHIN_MS = 1000 * 1.25  # a lease, by the slowest clock that is simulated


class Invariants:
    """What must be true of the whole world."""

    def __init__(self, voters: int) -> None:
        self._first_voters = voters
        self.membership: Membership | None = None  # the last one that was committed
        self.changes = 0
        self.graves: dict[tuple[int, bytes], Disk] = {}  # what stood on the disks that were lost
        self.peers: dict[int, Peer] = {}
        self.clients: dict[str, Client] = {}
        self.leader_of: dict[int, tuple[int, bytes]] = {}  # term -> peer and incarnation
        self._vote_of: dict[tuple[int, bytes, int], int] = {}  # (peer, incarnation, term) -> vote
        self._chain_at: dict[tuple[int, int], bytes] = {}  # (index, term) -> chain
        self.committed: list[Entry] = []  # what any peer has ever taken for committed
        self._stored_upto: dict[tuple[str, bytes], int] = {}
        self._acked_at: dict[tuple[str, int], tuple[int, int]] = {}
        self._in_force: dict[int, Membership] = {}  # as each peer's core last had it
        self._floor: dict[bytes, tuple[int, int, int, int]] = {}  # incarnation -> (life, term, commit, applied)
        self._restored: set[bytes] = set()  # incarnations whose disk was put back, or copied: they must be told to stop
        self._led_since: dict[int, float] = {}
        self.last_acked_index = 0
        self.acks = 0
        self.reads = 0
        self.leader_changes = 0
        self.unprompted = 0  # changes of the leader that no leader asked for
        self._told: set[tuple[int, int]] = set()  # (term, peer) that a leader handed over to
        self._counted: dict[tuple[int, int], tuple[int, int]] = {}  # (leader, follower) -> (term, match)
        self.latest_term = 0  # that anybody has ever been in, led or not
        self._handed: set[int] = set()  # terms that began with a hand-over

    def handed_to(self, peers: Iterable[int], term: int) -> bool:
        """Whether one of these was told to take the lead, in this term or a later one."""
        return any(told >= term and peer in peers for told, peer in self._told)

    def restored(self, peer: Peer) -> None:
        """An older or a second copy of this peer's disk is in use: what it said so far binds it no more, and it may be
        told to stop. What the mesh has acknowledged stays as binding as ever."""
        self._floor.pop(peer.incarnation, None)
        self._restored.add(peer.incarnation)

    def fail(self, what: str) -> None:
        """An invariant is broken."""
        raise Violation(what)

    # ------------------------------------------------------------ at every step

    def stepped(self, peer: Peer, effects: list[Effect]) -> None:
        """A core has taken an event in."""
        replica = peer.replica
        assert replica is not None
        life, term, commit, applied = self._floor.get(peer.incarnation, (0, 0, 0, 0))
        if replica.term < term or (life == peer.life and (replica.commit < commit or replica.applied < applied)):
            self.fail(f"I6 peer {peer.number} went back: {(term, commit, applied)} to {replica.term, replica.commit}")
        self._floor[peer.incarnation] = (peer.life, peer.disk.hard_state.term, replica.commit, replica.applied)
        log, disk = replica.log, peer.disk
        durable = log.durable
        if durable > min(disk.last, log.last.index) or not disk.holds(durable, log.place_at(durable).chain):
            self.fail(f"I3 peer {peer.number} takes {durable} for durable, which is not on its disk")
        if replica.commit > len(self.committed):
            self._commit(peer, replica)
        if self._in_force.get(peer.number) is not replica.membership:
            self._reconfigures(peer, replica)
        if replica.leading:
            self._has_quorum(peer)
            self._counts(peer, replica)
        for effect in effects:
            if isinstance(effect, Send):
                self._sent(peer, effect)
            elif isinstance(effect, Reply):
                if effect.status in (ACK, READ) and effect.index > peer.disk.applied:
                    self.fail(f"I9 peer {peer.number} answers for {effect.index}, applied {peer.disk.applied}")
            elif isinstance(effect, Became):
                self.latest_term = max(self.latest_term, effect.term)
                if effect.role == "leader":
                    self._leads(peer, effect.term)
            elif isinstance(effect, Apply):
                self._applies(peer, effect)

    def _reconfigures(self, peer: Peer, replica: Replica) -> None:
        """I7: a leader changes the members after its no-op has committed, one change at a time, and lets nobody vote
        that lacks what is committed."""
        before, now, log = self._in_force.get(peer.number), replica.membership, replica.log
        self._in_force[peer.number] = now
        own = now.index > log.base.index and log.entry_at(now.index).term == replica.term
        if not (replica.leading and own and before and before.founded):
            return
        if not self.committed or self.committed[-1].term < replica.term:
            self.fail(f"I7 leader {peer.number} changes the members before anything of its term has committed")
        if sum(1 for entry in log.between(replica.commit, log.last.index) if entry.kind == CONFIG) > 1:
            self.fail(f"I7 leader {peer.number} changes the members while another change is under way")
        for one in now.members:
            other = self.peers[one.peer]
            if not one.votes or one.peer in before.voters or other.incarnation != one.incarnation:
                continue
            if not other.disk.holds(replica.commit, log.place_at(replica.commit).chain):
                self.fail(f"I7 peer {one.peer} is let vote with {other.disk.last} on disk of {replica.commit}")

    def _has_quorum(self, peer: Peer) -> None:
        now = peer.world.now
        within = STOPS_WITHIN_MS / min(1.0, peer.clock_rate)  # no rule of safety uses time, this one of authority does
        if now - peer.synced_at > within:
            self.fail(f"I9 peer {peer.number} still leads, its disk silent for {now - peer.synced_at:.0f} ms")
        if now - self._led_since.get(peer.number, now) < within:
            return
        membership = peer.replica.membership if peer.replica else None
        assert membership is not None
        heard = sum(
            1
            for other in membership.voters
            if other == peer.number or now - peer.network.heard_at.get((other, peer.number), -1e9) < within
        )
        if heard < membership.majority:
            self.fail(f"I9 peer {peer.number} still leads, having heard {heard} peers in {within:.0f} ms")

    def _counts(self, peer: Peer, replica: Replica) -> None:
        """What a leader newly counts for a follower of its term is on that follower's disk."""
        assert replica.leading is not None
        for number, progress in replica.leading.followers.progress.items():
            match, key = progress.match, (peer.number, number)
            member = replica.membership.of(number)
            if member is None or member.incarnation != progress.incarnation:
                self.fail(f"I7 peer {peer.number} counts for {number} what another life of it had")
            if self._counted.get(key) == (replica.term, match):
                continue
            self._counted[key] = (replica.term, match)
            disk = self.peers[number].disk
            other_life = progress.incarnation not in (None, self.peers[number].incarnation)
            if match < max(1, replica.log.base.index) or disk.hard_state.term != replica.term or other_life:
                continue
            if not disk.holds(match, replica.log.place_at(match).chain):
                self.fail(f"I3 peer {peer.number} counts {match} for {number}, which does not have it")

    def _commit(self, peer: Peer, replica: Replica) -> None:
        entries = replica.log.between(len(self.committed), replica.commit)
        if replica.leading and entries[-1].term != replica.term:
            self.fail(f"I6 leader {peer.number} commits {entries[-1].index} of an earlier term by counting")
        for entry in entries:
            if entry.kind == CONFIG:
                self._changes(entry)
            holders = sum(1 for disk in self._voters(replica.membership) if disk.holds(entry.index, entry.chain))
            if holders < replica.membership.majority:
                self.fail(f"I3 peer {peer.number} commits {entry.index} that {holders} voters have on disk")
            self.committed.append(entry)

    def _voters(self, membership: Membership) -> list[Disk]:
        """The disks of the voters; where one was lost, it is what stood on it that was promised."""
        disks = []
        for one in membership.members:
            if one.votes:
                here = one.incarnation in (None, self.peers[one.peer].incarnation)
                disks.append(self.peers[one.peer].disk if here else self.graves[(one.peer, one.incarnation or b"")])
        return disks

    def _changes(self, entry: Entry) -> None:
        """I7: memberships that follow each other differ by one voter at most; who left does not come back."""
        before, after = self.membership, decode(entry.index, entry.body)
        self.changes += 1
        self.membership = after
        if before is None:
            if len(after.voters) != self._first_voters:
                self.fail(f"I7 the mesh is founded by {after.voters}")
            return
        old = {(one.peer, one.incarnation) for one in before.members if one.votes}
        new = {(one.peer, one.incarnation) for one in after.members if one.votes}
        if len(old ^ new) > 1:
            self.fail(f"I7 entry {entry.index} goes from {sorted(old)} to {sorted(new)} in one step")
        if any((one.peer, one.incarnation) in before.removed for one in after.members):
            self.fail(f"I7 entry {entry.index} takes back who was removed: {after.members}")

    def halts(self, peer: Peer, effect: Halt) -> None:
        """A peer stops for good."""
        gone = self.membership.removed if self.membership else ()
        if effect.distrusted:
            if peer.incarnation in self._restored:
                return
            self.fail(f"I8 peer {peer.number} stops: {effect.why}")
        if (peer.number, peer.incarnation) not in gone:
            self.fail(f"I7 peer {peer.number} stops as if removed, and was not: {effect.why}")

    def _sent(self, peer: Peer, effect: Send) -> None:
        message, disk = effect.message, peer.disk
        if isinstance(message, AppendReply):
            if message.accepted and message.match > disk.last:
                self.fail(f"I3 peer {peer.number} acks {message.match} with {disk.last} on disk")
            if message.accepted and peer.replica and message.term < peer.replica.term:
                self.fail(f"I3 peer {peer.number} still promises in term {message.term}, being in {peer.replica.term}")
            if message.term > disk.hard_state.term:
                self.fail(f"I3 peer {peer.number} speaks in term {message.term} before it is on disk")
        elif isinstance(message, VoteReply) and message.granted and not message.pre:
            if disk.hard_state != HardState(message.term, effect.to):
                self.fail(f"I2 peer {peer.number} votes for {effect.to} in {message.term}, disk {disk.hard_state}")
        elif isinstance(message, VoteRequest) and not message.pre:
            if disk.hard_state != HardState(message.term, peer.number):
                self.fail(f"I2 peer {peer.number} campaigns in {message.term} before its own vote is on disk")
            if message.hand_over:
                self._handed.add(message.term)
                if (message.term - 1, peer.number) not in self._told:
                    self.fail(f"I9 peer {peer.number} takes over term {message.term}, which nobody handed to it")
        elif isinstance(message, TimeoutNow):
            self._told.add((message.term, effect.to))
            if peer.replica and effect.to not in peer.replica.voters:
                self.fail(f"I7 peer {peer.number} hands the lead to {effect.to}, which is no voter")
            have = self.peers[effect.to].disk
            last = peer.replica.log.last if peer.replica else None
            here = peer.replica and peer.replica.membership.counts(effect.to, self.peers[effect.to].incarnation)
            follows = have.hard_state.term <= message.term  # else it will not heed this: another leader has its log
            if last and here and follows and not have.holds(last.index, last.chain):
                self.fail(f"I10 peer {peer.number} hands over at {last.index} to {effect.to}, which has {have.last}")

    def _leads(self, peer: Peer, term: int) -> None:
        replica = peer.replica
        assert replica is not None
        me = (peer.number, peer.incarnation)
        if self.leader_of.setdefault(term, me) != me:
            self.fail(f"I2 term {term} has the leaders {self.leader_of[term]} and {me}")
        membership = replica.membership
        votes = sum(
            1
            for one in membership.members
            if one.votes and self._vote_of.get((one.peer, one.incarnation or b"", term)) == peer.number
        )
        founds = replica.log.last.index == 1 and replica.log.entry_at(1).kind == CONFIG
        if votes < (self._first_voters if founds else membership.majority):
            self.fail(f"I2 peer {peer.number} leads term {term} with {votes} votes on disk")
        self.leader_changes += 1
        self.unprompted += term not in self._handed
        self._led_since[peer.number] = peer.world.now
        # Elected late in a term that others have left behind, it owes nothing to what they have committed since.
        last, log = bisect_left(self.committed, term, key=lambda entry: entry.term), replica.log
        lacks = log.last.index < last or (
            last > log.base.index and log.entry_at(last).chain != self.committed[last - 1].chain
        )
        if last and lacks:
            self.fail(f"I6 leader {peer.number} of term {term} lacks committed entry {last}")

    def _applies(self, peer: Peer, effect: Apply) -> None:
        for entry, fresh in zip(effect.entries, effect.fresh, strict=True):
            if entry.index > len(self.committed) or self.committed[entry.index - 1].chain != entry.chain:
                self.fail(f"I5 peer {peer.number} applies another entry at {entry.index}")
            if fresh and entry.origin:
                key, seq = entry.origin.session, entry.origin.seq
                client = self.clients[key[0]]
                if client.origin(seq) != entry.origin or client.body(seq) != entry.body or seq > client.total:
                    self.fail(f"I4 entry {entry.index} is nothing that {client.name} sent")

    # ------------------------------------------------------------ at disks

    def synced(self, peer: Peer, effect: Persist | Apply | Compact, before: HardState) -> None:
        """A disk has written."""
        disk = peer.disk
        if isinstance(effect, Persist):
            if disk.hard_state.term < before.term:
                self.fail(f"I6 the term of peer {peer.number} goes back on disk")
            vote = disk.hard_state.vote
            if disk.hard_state.term == before.term and before.vote not in (0, vote):
                self.fail(f"I2 peer {peer.number} takes back its vote of term {before.term}")
            if vote and self._vote_of.setdefault((peer.number, peer.incarnation, disk.hard_state.term), vote) != vote:
                self.fail(f"I2 peer {peer.number} votes twice in term {disk.hard_state.term}")
            for entry in effect.entries:
                if self._chain_at.setdefault((entry.index, entry.term), entry.chain) != entry.chain:
                    self.fail(f"I5 two entries at {entry.index}, term {entry.term}")
            if effect.truncate_from is not None and effect.truncate_from <= disk.applied:
                self.fail(f"I6 peer {peer.number} drops the applied entry {effect.truncate_from}")
        elif isinstance(effect, Apply):
            for key, session in list(disk.sessions.items()):
                self._stored_upto[key] = max(session.seq, self._stored_upto.get(key, 0))

    # ------------------------------------------------------------ at clients

    def acked(self, client: Client, peer: int, reply: Reply, seq: int) -> None:
        """A client was told that its request ``seq`` is kept, be it in time or late."""
        self.acks += 1
        if reply.index > len(self.committed):
            self.fail(f"I9 peer {peer} acknowledges {reply.index}, which is not committed")
        entry = self.committed[reply.index - 1]
        if entry.origin != client.origin(seq) or entry.term != reply.term:
            self.fail(f"I1 peer {peer} acknowledges {client.name} {seq} at {reply.index}, where it is not")
        self.last_acked_index = max(self.last_acked_index, reply.index)
        self._acked_at[(client.name, seq)] = (reply.index, reply.term)

    def read(self, peer: int, reply: Reply, floor: int) -> None:
        """A client was promised a consistent read."""
        self.reads += 1
        if reply.index < floor:
            self.fail(f"I9 peer {peer} serves a read at {reply.index} after {floor} was acknowledged")

    def probed(self, peer: int, origin: Origin, reply: Reply) -> None:
        """A request that must never be stored was answered."""
        if reply.status == ACK:
            self.fail(f"I4 peer {peer} acknowledges a {origin.seq} of {origin.client} that it does not keep")

    # ------------------------------------------------------------ at the end

    def settled(self) -> bool:
        """Whether there is nothing more to wait for: ``healed`` would find nothing missing."""
        peers = self._members()
        leader = peers[0].replica if peers else None
        return (
            leader is not None
            and leader.serves
            and leader.membership == self.membership
            and not leader.membership.learners
            and all(leader.membership.counts(peer.number, peer.incarnation) for peer in peers)
            and all(client.done for client in self.clients.values())
            and all(peer.disk.applied == leader.log.last.index for peer in peers)
            and [peer.number for peer in peers if peer.replica and peer.replica.leading] == [peers[0].number]
            and all(peer.number in leader.voters or peer.halted or not peer.up for peer in self.peers.values())
        )

    def _members(self) -> list[Peer]:
        """The peers that the mesh has in the end, the lowest first."""
        if self.membership is None:
            return []
        return [self.peers[one.peer] for one in self.membership.members]

    def majority_serves(self, well: Iterable[int]) -> None:
        """I10 for a quorum that has been well for long enough while the others are not."""
        leaders = [n for n in well if (replica := self.peers[n].replica) and replica.serves]
        if len(leaders) != 1:
            self.fail(f"I10 of the well {sorted(well)} the leaders are {leaders}")

    def healed(self) -> None:
        """I10, I1 and I4 over the whole of the disks, after the world has been well for long enough."""
        peers = self._members()
        if not peers:
            self.fail("I10 the mesh is not founded")
        assert self.membership is not None
        untold = [n for n, one in self.peers.items() if one.up and (n, one.incarnation) in self.membership.removed]
        if untold:
            self.fail(f"I7 these were removed and run on: {untold}")
        strange = [one.number for one in peers if not self.membership.counts(one.number, one.incarnation)]
        if strange or self.membership.learners:
            self.fail(f"I10 after healing the members are {self.membership}")
        leaders = [peer.number for peer in self.peers.values() if peer.replica and peer.replica.serves]
        if leaders != [peers[0].number]:
            self.fail(f"I10 after healing the leaders are {leaders}")
        late = [client.name for client in self.clients.values() if not client.done]
        if late:
            self.fail(f"I10 after healing these still wait: {late}")
        first = peers[0].disk
        for peer in peers:
            disk = peer.disk
            if (disk.applied, disk.state_hash, disk.rows) != (first.applied, first.state_hash, first.rows):
                self.fail(f"I10 peer {peer.number} ends at {disk.applied}, peer {peers[0].number} at {first.applied}")
        for client in self.clients.values():
            key = (client.name, client.epoch)
            stored = [(seq, digest) for row, seq, digest in first.rows if row == key]
            if stored != [(seq, client.origin(seq).digest) for seq in range(1, client.total + 1)]:
                self.fail(f"I4 {client.name} has stored {[seq for seq, _ in stored]}")
