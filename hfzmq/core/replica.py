"""One peer's replica of the mesh: the one door to the core. ``step(now_ms, event) -> effects``.

Touches nothing. Joins what is blind to each other: Election, Log, Leading (replication), Sessions, HandOver, Liveness.

    events --> [ follow a later term? ] --> the part it is for --> [ timers, appends, one Persist, Apply ] --> effects

Keeps (the numbers are those of docs/guarantees.md):
  I2  one vote a term: an answer leaves only after the vote is durable.
  I3  nothing that promises durability leaves before Persisted(token): answers are *held* until then, and dropped if the
      term has moved on meanwhile, for they were promises of a term that is over.
  I4  a request is judged when proposed and again when applied.
  I6  commit, term and applied never go back; nothing at or below commit is truncated.
  I9  who does not lead a quorum of the current term acks nothing: a leader without a quorum round for 0.8 T steps down.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from hfzmq.config import Limits, Timing
from hfzmq.core.contract import (
    CONFLICT,
    FOLLOWER,
    GAP,
    LEADER,
    NO_QUORUM,
    NOT_LEADER,
    PRECANDIDATE,
    READ,
    Applied,
    Apply,
    Became,
    Effect,
    Event,
    Heard,
    Persisted,
    Proposal,
    Propose,
    Publish,
    ReadIndex,
    Received,
    Reply,
    Resign,
    Route,
    Send,
    Tick,
)
from hfzmq.core.election import Election
from hfzmq.core.handover import HandOver
from hfzmq.core.liveness import Liveness, renews_lease
from hfzmq.core.log import Log
from hfzmq.core.messages import (
    AppendReply,
    AppendRequest,
    Heartbeat,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)
from hfzmq.core.pending import Pending, Unconfirmed
from hfzmq.core.promises import Promises
from hfzmq.core.replication import Leading, Refused, receive
from hfzmq.core.sessions import Sessions
from hfzmq.core.types import BATCH, NOOP, Entry, HardState, Membership, chained

NO_QUORUM_AFTER = 0.8  # of a lease, since the last quorum round: the leader steps down
PROBE_DISK_AFTER = 0.3  # of a lease, since the last sync: an idle leader writes something
DISK_HANGS_AFTER = 0.5  # of a lease, on one write: a peer does not campaign
ASK_AGAIN_AFTER = 0.1  # of a lease: a campaign repeats its requests, for they may be lost or early
APPLY_BYTES_MAX = 1 << 20  # of one Apply, so that catching up never stalls the loop
TRUST_AFTER_LEASES = 600


class Replica:
    """See the module. Built from what storage holds; ``now_ms`` is any monotonic clock in milliseconds."""

    def __init__(
        self,
        me: int,
        membership: Membership,
        timing: Timing,
        limits: Limits,
        rng: Random,
        hard_state: HardState,
        log: Log,
        sessions: Sessions,
        applied: int,
        state_hash: bytes,
        now_ms: float,
    ) -> None:
        assert me in membership.voters, "only voters run a replica, as yet"
        self.me = me
        self.membership = membership
        self.voters = membership.voters
        self._timing = timing
        self._limits = limits
        self.log = log
        self.sessions = sessions
        self.commit = applied
        self.applied = applied
        self.state_hash = state_hash
        self._applying = applied  # handed out in an Apply effect
        self.election = Election(me, self.voters, timing.lease_ms, rng, hard_state, now_ms)
        self.liveness = Liveness(me, timing.lease_ms)
        self.hand_over = HandOver(me, timing.handover_settle_ms, timing.lease_ms)
        self.leading: Leading | None = None
        self.resigned = False
        self._noop = 0  # index of the entry that opened this leader's term
        self._leader_since_ms = now_ms
        self._round_wanted = False  # by an answer that waits for a quorum round which begins now
        self._pending = Pending(sessions, limits)
        self._promises = Promises(me, hard_state, now_ms)
        # timers
        self._beat_at_ms = now_ms
        self._ask_again_ms = 0.0
        self._out: list[Effect] = []
        self._why = "started"
        self._handlers: dict[type, Callable[[float, Any], None]] = {
            Tick: lambda now, event: None,
            Received: self._on_received,
            Heard: self._on_heard,
            Propose: self._on_propose,
            ReadIndex: self._on_read_index,
            Persisted: self._on_persisted,
            Applied: self._on_applied,
            Resign: self._on_resign,
            VoteRequest: self._on_vote_request,
            VoteReply: self._on_vote_reply,
            AppendRequest: self._on_append_request,
            AppendReply: self._on_append_reply,
            TimeoutNow: self._on_timeout_now,
        }
        self._sender = 0

    # ------------------------------------------------------------ the door

    def step(self, now_ms: float, event: Event) -> list[Effect]:
        """Take one event in; the effects are to be carried out in their order (see ``contract``)."""
        before = (self.role, self.term, self.leader)
        self._out = []
        self._handlers[type(event)](now_ms, event)
        self._watch_the_clock(now_ms)
        self._send_appends(now_ms)
        self._hand_out_persist(now_ms)
        self._hand_out_apply()
        if before != (self.role, self.term, self.leader):
            if before[2] != self.leader:
                self._leader_since_ms = now_ms
            self._out.append(Became(self.role, self.term, self.leader, self._why))
        return self._out

    def wake_at_ms(self, now_ms: float) -> float:
        """The latest moment for the next Tick."""
        at = self._beat_at_ms
        if self.leading:
            at = min(at, self.leading.next_send_ms(), self._quorum_deadline_ms(now_ms))
        elif not self.resigned:
            at = min(at, self.election.campaign_at_ms(self.liveness.lower_alive(now_ms)))
            if self.role != FOLLOWER:
                at = min(at, self._ask_again_ms)
        return at

    @property
    def role(self) -> str:
        """follower, precandidate, candidate or leader."""
        return self.election.role

    @property
    def term(self) -> int:
        """The current term."""
        return self.election.term

    @property
    def leader(self) -> int:
        """The leader this peer follows (itself, where it leads); 0 for nobody."""
        return self.election.leader

    @property
    def serves(self) -> bool:
        """Whether this peer leads and its no-op has committed: only then may it ack or answer consistent reads."""
        return self.leading is not None and 0 < self._noop <= self.commit

    def known_leader(self, now_ms: float) -> int:
        """Who leads, as far as this peer can tell a client; 0 for nobody."""
        if self.role == LEADER:
            return self.me
        if self.election.leader and self.election.hears_leader(now_ms):
            return self.election.leader
        return self.liveness.live_leader(now_ms, self.term)

    def heartbeat(self, now_ms: float) -> Heartbeat:
        """What this peer would publish now."""
        return Heartbeat(
            term=self.term,
            role=self.role,
            leader=self.known_leader(now_ms),
            commit=self.commit,
            applied=self.applied,
            durable=self.log.durable,
            last=self.log.last.index,
            fsync_age_ms=int(now_ms - self._promises.synced_ms),
            quorum_age_ms=int(now_ms - self.leading.quorum_ms(now_ms)) if self.leading else 0,
            hears=self.liveness.alive(now_ms),
            willing=self._may_lead(now_ms),
            state_hash=self.state_hash,
        )

    # ------------------------------------------------------------ messages

    def _on_received(self, now_ms: float, event: Received) -> None:
        if event.sender in self.voters and event.sender != self.me:
            self._sender = event.sender
            self._handlers[type(event.message)](now_ms, event.message)

    def _on_heard(self, now_ms: float, event: Heard) -> None:
        self.liveness.heard(now_ms, event.sender, event.heartbeat)
        beat = event.heartbeat
        if self.role != LEADER and beat.term >= self.term and renews_lease(beat, self._timing.lease_ms):
            # A later term is not taken from a hint; its first append will bring it.
            self._why = f"heard {event.sender} lead"
            self.election.renew_lease(now_ms, event.sender)
        elif event.sender == self.leader and beat.term >= self.term and beat.role != LEADER:
            self._why = f"{event.sender} leads no more"
            self.election.end_lease(now_ms)

    def _on_vote_request(self, now_ms: float, request: VoteRequest) -> None:
        sender = self._sender
        if not request.pre and request.term > self.term and self.election.heeds(now_ms, request):
            self._follow(now_ms, request.term, 0, f"{sender} campaigns")
        reply = self.election.consider(now_ms, sender, request, self.log.last)
        if reply is None:
            return
        if request.pre:
            self._out.append(Send(sender, reply))  # promises nothing
        else:
            self._promises.promise(sender, reply)

    def _on_vote_reply(self, now_ms: float, reply: VoteReply) -> None:
        if reply.term > self.term and not reply.granted:
            self._follow(now_ms, reply.term, 0, f"{self._sender} knows a later term")
        elif self.election.count(self._sender, reply):
            self._win_round(now_ms, reply.pre)

    def _on_append_request(self, now_ms: float, request: AppendRequest) -> None:
        sender = self._sender
        if request.term < self.term:
            self._promises.promise(sender, AppendReply(self.term, False, 0, request.round))
            return
        if self.role == LEADER and request.term == self.term:
            return  # cannot be; and if it is, a message must not bring this peer down
        if request.term > self.term:
            self._follow(now_ms, request.term, sender, f"{sender} leads")
        self._why = f"{sender} leads"
        self.election.renew_lease(now_ms, sender)
        outcome = receive(self.log, self.commit, request)
        if isinstance(outcome, Refused):
            self._promises.promise(sender, AppendReply(self.term, False, outcome.hint, request.round))
            return
        if outcome.truncate_from is not None:
            self._drop_log_from(outcome.truncate_from)
        if outcome.added:
            self._add(outcome.added)
        self.commit = max(self.commit, min(request.commit, outcome.match))
        self._promises.promise(sender, AppendReply(self.term, True, outcome.match, request.round))

    def _on_append_reply(self, now_ms: float, reply: AppendReply) -> None:
        if reply.term > self.term:
            self._follow(now_ms, reply.term, 0, f"{self._sender} knows a later term")
        elif self.leading and reply.term == self.term:
            self.leading.on_reply(self._sender, reply)
            self._advance_commit(now_ms)

    def _on_timeout_now(self, now_ms: float, message: TimeoutNow) -> None:
        follows = self.role in (FOLLOWER, PRECANDIDATE) and message.term == self.term
        if follows and self.election.leader in (0, self._sender) and not self.resigned:
            self._campaign(now_ms, True, f"{self._sender} hands over")

    # ------------------------------------------------------------ elections

    def _follow(self, now_ms: float, term: int, leader: int, why: str) -> None:
        """Become a follower, and take back whatever was promised as something else or in an earlier term."""
        if term > self.term:
            self._promises.forget()
        if self.leading:
            self._stop_leading(now_ms)
        self.election.become_follower(now_ms, term, leader)
        self._why = why

    def _campaign(self, now_ms: float, hand_over: bool, why: str) -> None:
        self._why = why
        self._promises.forget()  # of the term that this leaves behind
        self.election.become_candidate(now_ms, hand_over)
        self._promises.promise(self.me, VoteReply(self.term, False, True))  # one's own vote, once it is durable
        self._ask_for_votes(now_ms)

    def _win_round(self, now_ms: float, pre: bool) -> None:
        if pre:
            self._campaign(now_ms, False, "a majority would vote for it")
        else:
            self._start_leading(now_ms)

    def _ask_for_votes(self, now_ms: float) -> None:
        request = self.election.request(self.log.last)
        for peer in self.voters:
            if peer != self.me:
                if request.pre:
                    self._out.append(Send(peer, request))
                else:
                    self._promises.promise(peer, request)
        self._ask_again_ms = now_ms + ASK_AGAIN_AFTER * self._timing.lease_ms

    def _start_leading(self, now_ms: float) -> None:
        votes = self.election.grants
        self.election.become_leader()
        self._why = f"{votes} of {len(self.voters)} votes"
        self.leading = Leading(self.me, self.voters, self.log, self._limits, self._timing, now_ms)
        self.hand_over.stop()
        self._pending.begin(self.log.between(self._applying, self.log.last.index), self.commit)
        noop = chained(self.log.last, self.term, NOOP, None, b"")
        self._add((noop,))
        self._noop = noop.index

    def _stop_leading(self, now_ms: float) -> None:
        """Whoever waits is told to ask elsewhere; what they asked for may still commit, and is then found again."""
        successor = self.hand_over.transfer.target if self.hand_over.transfer else 0
        self.leading = None
        self._noop = 0
        self.hand_over.stop()
        self._out.extend(self._pending.turn_away(self.term, successor))

    # ------------------------------------------------------------ clients

    def _on_propose(self, now_ms: float, event: Propose) -> None:
        for proposal in event.proposals:
            if self.leading is None or self.resigned:
                self._out.append(self._redirect(now_ms, proposal.route, proposal.origin.seq))
            elif self._may_propose():
                self._judge(proposal)
            else:
                self._reply(self._pending.queue(proposal))

    def _on_read_index(self, now_ms: float, event: ReadIndex) -> None:
        if self.leading is None or not self.serves:
            self._out.append(self._redirect(now_ms, event.route, 0))
            return
        self._confirm(Reply(event.route, READ, term=self.term))

    def _confirm(self, reply: Reply) -> None:
        """Let an answer wait for a round that begins now: a leader that was deposed unnoticed must not give it."""
        assert self.leading is not None
        self._round_wanted = len(self.voters) > 1
        self._pending.hold(Unconfirmed(self.leading.round + self._round_wanted, self.commit, reply))
        self._answer_confirmed()

    def _redirect(self, now_ms: float, route: Route, seq: int) -> Reply:
        leader = self.known_leader(now_ms)
        if leader and leader != self.me:
            return Reply(route, NOT_LEADER, seq=seq, term=self.term, leader=leader)
        if self.leading or self.liveness.hears_majority(now_ms, self.voters):
            return Reply(route, NOT_LEADER, seq=seq, term=self.term)
        return Reply(route, NO_QUORUM, seq=seq, term=self.term)

    def _reply(self, reply: Reply | None) -> None:
        if reply:
            self._out.append(reply)

    def _may_propose(self) -> bool:
        return self.serves and self.hand_over.transfer is None

    def _append(self, proposal: Proposal) -> Entry:
        entry = chained(self.log.last, self.term, BATCH, proposal.origin, proposal.body)
        self._add((entry,))
        return entry

    def _judge(self, proposal: Proposal) -> None:
        reply = self._pending.propose(proposal, self.applied, self._append)
        if reply and reply.status in (CONFLICT, GAP):
            self._confirm(reply)
        else:
            self._reply(reply)

    def _propose_queued(self) -> None:
        while self._may_propose():
            proposal = self._pending.next_queued()
            if proposal is None:
                return
            self._judge(proposal)

    def _on_resign(self, now_ms: float, event: Resign) -> None:
        self.resigned = True
        self._beat_at_ms = now_ms  # tell the others at once
        if self.leading:
            fit = [p for p in self._fit_to_lead(now_ms) if self.leading.close_behind(p)]
            if fit:
                self.hand_over.stop()
                self.hand_over.begin(now_ms, min(fit))

    # ------------------------------------------------------------ durability

    def _add(self, entries: tuple[Entry, ...]) -> None:
        self.log.append(entries)
        self._promises.add(entries)

    def _drop_log_from(self, index: int) -> None:
        assert index > self.commit, "a committed entry would be dropped"
        self.log.truncate_from(index)
        self._promises.drop_from(index)

    def _hand_out_persist(self, now_ms: float, probe: bool = False) -> None:
        token, effects = self._promises.hand_out(now_ms, HardState(self.term, self.election.vote), probe)
        if token is not None:
            self.log.persisting(token)
        self._out.extend(effects)

    def _on_persisted(self, now_ms: float, event: Persisted) -> None:
        self.log.persisted(event.token)
        for to, message in self._promises.persisted(now_ms, event.token):
            if to == self.me:
                self._sender = self.me
                self._handlers[type(message)](now_ms, message)
            else:
                self._out.append(Send(to, message))
        if self.leading:
            self._advance_commit(now_ms)

    # ------------------------------------------------------------ commit, apply

    def _advance_commit(self, now_ms: float) -> None:
        assert self.leading is not None
        index = self.leading.committed(self.term)
        if index > self.commit:
            self._pending.committed(self.log.between(self.commit, index))
            self.commit = index
            self._propose_queued()
        self._answer_confirmed()

    def _hand_out_apply(self) -> None:
        if self.commit == self._applying or self._applying > self.applied:
            return  # nothing new, or the last one is still under way
        entries: list[Entry] = []
        size = 0
        for entry in self.log.between(self._applying, self.commit):
            size += entry.cost_bytes
            if entries and size > APPLY_BYTES_MAX:
                break
            entries.append(entry)
        fresh = tuple(self.sessions.apply(entry) for entry in entries)
        self._applying = entries[-1].index
        self._out.append(Apply(tuple(entries), fresh))

    def _on_applied(self, now_ms: float, event: Applied) -> None:
        first, self.applied, self.state_hash = self.applied + 1, event.index, event.state_hash
        self._promises.synced_ms = now_ms
        self._out.extend(self._pending.applied(first, event.index))
        self._answer_confirmed()

    def _answer_confirmed(self) -> None:
        if self.leading:
            self._out.extend(self._pending.confirmed(self.leading.quorum_round(), self.applied))

    # ------------------------------------------------------------ timers

    def _watch_the_clock(self, now_ms: float) -> None:
        if self.leading:
            self._watch_as_leader(now_ms)
        elif self._may_lead(now_ms):
            self._watch_for_campaign(now_ms)
        if self.leader and now_ms - self._leader_since_ms > TRUST_AFTER_LEASES * self._timing.lease_ms:
            self.hand_over.trust(self.leader)
        if now_ms >= self._beat_at_ms:
            self._beat_at_ms = now_ms + self._timing.heartbeat_ms
            self._out.append(Publish(self.heartbeat(now_ms)))

    def _may_lead(self, now_ms: float) -> bool:
        """Not while stopping, nor while the disk hangs: it could not even vote for itself."""
        return not self.resigned and self._promises.waiting_ms(now_ms) < DISK_HANGS_AFTER * self._timing.lease_ms

    def _watch_for_campaign(self, now_ms: float) -> None:
        if now_ms >= self.election.campaign_at_ms(self.liveness.lower_alive(now_ms)):
            self._why = "no leader is heard"
            self.election.become_precandidate(now_ms)
            if len(self.voters) == 1:
                self._campaign(now_ms, False, "alone")
            else:
                self._ask_for_votes(now_ms)
        elif self.role != FOLLOWER and now_ms >= self._ask_again_ms:
            self._ask_for_votes(now_ms)

    def _quorum_deadline_ms(self, now_ms: float) -> float:
        assert self.leading is not None
        lease = self._timing.lease_ms
        deadline: float = self._promises.synced_ms + lease
        if len(self.voters) > 1:
            deadline = min(deadline, self.leading.quorum_ms(now_ms) + NO_QUORUM_AFTER * lease)
        return deadline

    def _watch_as_leader(self, now_ms: float) -> None:
        assert self.leading is not None
        lease = self._timing.lease_ms
        if now_ms > self._quorum_deadline_ms(now_ms):
            dead_disk = now_ms > self._promises.synced_ms + lease
            self._follow(now_ms, self.term, 0, "its disk has not synced" if dead_disk else "no quorum answers")
            return
        if self._promises.idle and now_ms - self._promises.synced_ms > PROBE_DISK_AFTER * lease:
            self._hand_out_persist(now_ms, probe=True)
        if self.hand_over.overdue(now_ms):
            self.hand_over.stop()
            self._propose_queued()
        if self.serves and not self.resigned:
            self.hand_over.look(now_ms, tuple(p for p in self._fit_to_lead(now_ms) if p < self.me))
        transfer = self.hand_over.transfer
        if transfer and not transfer.told and self.leading.caught_up(transfer.target):
            self._out.append(Send(self.hand_over.tell(), TimeoutNow(self.term)))

    def _fit_to_lead(self, now_ms: float) -> tuple[int, ...]:
        assert self.leading is not None
        return tuple(
            peer
            for peer in self.voters
            if peer != self.me
            and self.leading.close_behind(peer)
            and self.liveness.fit_to_lead(now_ms, peer, self.voters)
        )

    def _send_appends(self, now_ms: float) -> None:
        if self.leading:
            for to, request in self.leading.appends(now_ms, self.term, self.commit, self._round_wanted):
                self._out.append(Send(to, request))
        self._round_wanted = False
