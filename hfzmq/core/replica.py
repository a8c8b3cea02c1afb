"""One peer's replica of the mesh: the one door to the core. ``step(now_ms, event) -> effects``.

Touches nothing. Joins what is blind to each other: Election, Journal, Sessions, Liveness and Leadership.

    events --> [ follow a later term? ] --> the part it is for --> [ timers, appends, one Persist, Apply ] --> effects

Keeps (the numbers are those of docs/guarantees.md):
  I2  one vote a term: an answer leaves only after the vote is durable.
  I3  nothing that promises durability leaves before Persisted(token): answers are *held* until then, and dropped if the
      term has moved on, for they were promises of a term that is over.
  I4  a request is judged when proposed and again when applied.
  I6  commit, term and applied never go back; nothing at or below commit is truncated.
  I9  who does not lead a quorum of the current term acks nothing: a leader without a quorum round for 0.8 T steps down.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from hfzmq.core.agreement import Agreement
from hfzmq.core.applying import Applying
from hfzmq.core.campaign import Campaign
from hfzmq.core.contract import (
    FOLLOWER,
    LEADER,
    PRECANDIDATE,
    Applied,
    Became,
    Change,
    Effect,
    Event,
    Fetch,
    Halt,
    Heard,
    Installed,
    Persisted,
    Propose,
    Publish,
    ReadIndex,
    Received,
    Reconfigured,
    Resign,
    Send,
    Tick,
)
from hfzmq.core.election import Election
from hfzmq.core.handover import HandOver
from hfzmq.core.journal import Journal
from hfzmq.core.leadership import Leadership
from hfzmq.core.liveness import Liveness, leads_no_more, renews_lease
from hfzmq.core.log import Log
from hfzmq.core.membership import Member, Membership
from hfzmq.core.messages import (
    AppendReply,
    AppendRequest,
    Disowned,
    Expelled,
    JoinRequest,
    SnapshotOffer,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)
from hfzmq.core.readings import Readings
from hfzmq.core.replication import Refused, receive
from hfzmq.core.sessions import Sessions
from hfzmq.core.standing import Standing
from hfzmq.core.types import Entry, HardState, Origin, Place
from hfzmq.settings import Limits, Timing

PROBE_DISK_AFTER = 0.3  # of a lease, since the last sync: an idle leader writes something
TERM_JUMP_MAX = 1 << 40  # a message from further ahead is nonsense, and following it would end all elections


class Replica(Readings):
    """See the module. From what storage holds; ``now_ms``: any monotonic clock in ms; ``named``: ids in peers.yaml."""

    def __init__(
        self,
        myself: Member,
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
        boot: int = 0,
        named: tuple[int, ...] = (),
    ) -> None:
        self.me = me = myself.peer
        self._timing = timing
        self._limits = limits
        self.log = log
        self.sessions = sessions
        self.commit = applied
        self._journal = Journal(me, membership, log, hard_state, now_ms)
        self._members = members = self._journal.members
        self._promises = self._journal.promises
        self._standing = Standing(myself, boot, members, named, timing.lease_ms, now_ms)
        self._applying = Applying(log, sessions, applied, state_hash)
        self.agreement = Agreement(members, applied, state_hash)
        self.election = Election(myself, members, timing.lease_ms, rng, hard_state, now_ms)
        self.liveness = Liveness(me, timing.lease_ms)
        self.hand_over = HandOver(me, timing.handover_settle_ms, timing.lease_ms)
        self.leading: Leadership | None = None
        self.resigned = False
        self._campaign = Campaign(me, members, timing.lease_ms, self.election, log, self.liveness, self._promises)
        self._beat_at_ms = now_ms
        self._out: list[Effect] = []
        self._why = "started"
        self._handlers: dict[type, Callable[[float, Any], None]] = {
            Tick: lambda now_ms, event: None,  # the clock is looked at after every event
            Received: self._on_received,
            Heard: self._on_heard,
            Propose: self._on_propose,
            ReadIndex: self._on_read_index,
            Change: self._on_change,
            Installed: self._on_installed,
            Persisted: self._on_persisted,
            Applied: self._on_applied,
            Resign: self._on_resign,
            VoteRequest: self._on_vote_request,
            VoteReply: self._on_vote_reply,
            AppendRequest: self._on_append_request,
            AppendReply: self._on_append_reply,
            TimeoutNow: self._on_timeout_now,
            SnapshotOffer: self._on_snapshot_offer,
            JoinRequest: self._on_join_request,
            Expelled: lambda now_ms, message: self._out.extend(self._standing.expelled(message, self.commit)),
            Disowned: lambda now_ms, message: self._out.extend(self._standing.disowned(message)),
        }
        self._sender, self._incarnation = 0, b""  # whose message is looked at

    # ------------------------------------------------------------ the door

    def step(self, now_ms: float, event: Event) -> list[Effect]:
        """Take one event in; the effects are to be carried out in their order (see ``contract``)."""
        before, membership, self._out = (self.role, self.term, self.leader), self._members.now, []
        self._handlers[type(event)](now_ms, event)
        self._watch_the_clock(now_ms)
        if self.leading:
            self._out += self.leading.appends(now_ms, self.term, self.commit)
        self._hand_out_persist(now_ms)
        apply = self._applying.hand_out(self.commit)
        if apply:
            self._out.append(apply)
        if membership is not self._members.now:
            self._out.append(Reconfigured(self._members.now))
        if before != (self.role, self.term, self.leader):
            self._out.append(Became(self.role, self.term, self.leader, self._why))
        return self._out

    def wake_at_ms(self, now_ms: float) -> float:
        """The latest moment for the next Tick."""
        at = self._beat_at_ms
        if self.leading:
            deadline_ms = self.leading.deadline_ms(now_ms, self._promises.synced_ms)
            at = min(at, self.leading.followers.next_send_ms(), deadline_ms)
        elif not self.resigned and self._standing.votes:
            at = min(at, self._campaign.due_ms(now_ms))
        return at

    def wants(self, place: Place) -> bool:
        """Whether a snapshot of ``place`` should be installed. What stands there is committed; where the log holds it
        already, that is all it tells."""
        if self.leading is None and self.log.holds(place):
            self.commit = max(self.commit, place.index)
        return self.leading is None and place.index > self.commit

    # ------------------------------------------------------------ messages

    def _on_received(self, now_ms: float, event: Received) -> None:
        sender, message = event.sender, event.message
        if sender == self.me or getattr(message, "term", 0) > self.term + TERM_JUMP_MAX:
            return
        who = (sender, event.incarnation)
        told = [] if self._standing.counts(*who) else self._standing.expel(*who, self.commit)
        self._out += told
        if told or not self._standing.heeds(message, *who, event.boot):
            return
        self._standing.notice(message)
        self._sender, self._incarnation = sender, event.incarnation
        self._handlers[type(message)](now_ms, message)

    def _on_heard(self, now_ms: float, event: Heard) -> None:
        beat = event.heartbeat
        if beat.term > self.term + TERM_JUMP_MAX:
            return
        if event.sender == self.me or not self._standing.counts(event.sender, event.incarnation):
            return
        disowned = self._standing.shows(event.sender, event.incarnation, event.boot, beat.applied)
        if disowned:
            self._out += disowned
            return
        self.liveness.heard(now_ms, event.sender, beat)
        if self.agreement.heard(event.sender, event.incarnation, beat.applied, beat.state_hash):
            self._out.append(Halt(f"at entry {beat.applied} a majority holds another state", distrusted=True))
        if self.role != LEADER and beat.term >= self.term and renews_lease(beat, self._timing.lease_ms):
            # A later term is not taken from a hint; its first append will bring it.
            self._why = f"heard {event.sender} lead"
            self.election.renew_lease(now_ms, event.sender)
        elif event.sender == self.leader and leads_no_more(beat, self.term):
            self._why = f"{event.sender} leads no more"
            self.election.end_lease(now_ms)

    def _on_vote_request(self, now_ms: float, request: VoteRequest) -> None:
        sender = self._sender
        if not request.pre and request.term > self.term and self.election.heeds(now_ms, request):
            self._follow(now_ms, request.term, 0, f"{sender} campaigns")
        self._out += self._campaign.answer(now_ms, sender, self._incarnation, request)

    def _on_vote_reply(self, now_ms: float, reply: VoteReply) -> None:
        if reply.term > self.term and not reply.granted:
            self._follow(now_ms, reply.term, 0, f"{self._sender} knows a later term")
        elif self.election.count(self._sender, self._incarnation, reply):
            if reply.pre:
                self._run(now_ms, "a majority would vote for it")
            else:
                self._start_leading(now_ms)

    def _on_append_request(self, now_ms: float, request: AppendRequest) -> None:
        sender = self._sender
        if request.term < self.term:
            self._promises.promise(sender, AppendReply(self.term, False, 0, request.round))
            return
        if not self._obeys(now_ms, request.term):
            return
        outcome = receive(self.log, self.commit, request)
        if isinstance(outcome, Refused):
            self._promises.promise(sender, AppendReply(self.term, False, outcome.hint, request.round))
            return
        if outcome.truncate_from is not None:
            self._journal.drop_from(outcome.truncate_from, self.commit)
        if outcome.added:
            self._journal.add(outcome.added)
        self.commit = max(self.commit, min(request.commit, outcome.match))
        self._promises.promise(sender, AppendReply(self.term, True, outcome.match, request.round))

    def _obeys(self, now_ms: float, term: int) -> bool:
        """Whether the sender leads ``term``, which is this peer's or a later one: then it is followed."""
        if self.role == LEADER and term == self.term:
            return False  # cannot be; and if it is, a message must not bring this peer down
        if term > self.term:
            self._follow(now_ms, term, self._sender, f"{self._sender} leads")
        self._why = f"{self._sender} leads"
        self.election.renew_lease(now_ms, self._sender)
        self._standing.heeded(now_ms)
        return True

    def _on_snapshot_offer(self, now_ms: float, offer: SnapshotOffer) -> None:
        if offer.term >= self.term and self._obeys(now_ms, offer.term):
            self._out.append(Fetch(self._sender))
        # What is committed here is in the leader's log: once that is where its log begins, appends go on from there.
        self._promises.promise(self._sender, AppendReply(self.term, False, self.commit, offer.round))

    def _on_installed(self, now_ms: float, event: Installed) -> None:
        assert self.wants(event.place), "a snapshot that would take something back"
        self.sessions.reset(event.sessions)
        self._journal.reset(event.place, event.membership)
        self._applying.reset(event.place.index, event.state_hash)
        self.election.become_follower(now_ms, self.term, self.leader)  # votes of other members count no more
        self.agreement.reset(event.place.index, event.state_hash)
        self.commit = event.place.index

    def _on_join_request(self, now_ms: float, request: JoinRequest) -> None:
        itself = (request.member.peer, request.member.incarnation) == (self._sender, self._incarnation)
        if self.leading and (itself or self._standing.counts(self._sender, self._incarnation)):
            self.leading.changes.asked(now_ms, request.member)
        elif itself and self.leader not in (0, self.me):
            self._out.append(Send(self.leader, request))  # whoever asks may not know the one that leads now

    def _on_append_reply(self, now_ms: float, reply: AppendReply) -> None:
        if reply.term > self.term:
            self._follow(now_ms, reply.term, 0, f"{self._sender} knows a later term")
        elif self.leading and reply.term == self.term:
            self.leading.on_append_reply(self._sender, reply)
            self._advance_commit()

    def _on_timeout_now(self, now_ms: float, message: TimeoutNow) -> None:
        follows = self.role in (FOLLOWER, PRECANDIDATE) and message.term == self.term
        if follows and self.election.leader in (0, self._sender) and not self.resigned and self._standing.votes:
            self._run(now_ms, f"{self._sender} hands over", hand_over=True)

    # ------------------------------------------------------------ elections

    def _follow(self, now_ms: float, term: int, leader: int, why: str) -> None:
        """Become a follower, and take back whatever was promised as something else or in an earlier term."""
        if term > self.term:
            self._promises.forget()
        if self.leading:
            self._out += self.leading.end(term)
            self.leading = None
        self.election.become_follower(now_ms, term, leader)
        self._why = why

    def _run(self, now_ms: float, why: str, hand_over: bool = False) -> None:
        self._why = why
        self._out += self._campaign.run(now_ms, hand_over)

    def _start_leading(self, now_ms: float) -> None:
        incarnations = dict(self.election.grants)
        self.election.become_leader()
        self._why = f"{len(incarnations)} of {len(self.voters)} votes"
        self.leading = Leadership(
            self.me, self._members, self._timing, self._limits, self.log, self.sessions, self.liveness, self.hand_over,
            self._append, now_ms,
        )  # fmt: skip
        self.leading.open(now_ms, self._applying.handed_out, self.commit, incarnations)

    # ------------------------------------------------------------ clients

    def _on_propose(self, now_ms: float, event: Propose) -> None:
        leading = None if self.resigned else self.leading
        if leading:  # a shell that saw no leader here has not packed a body: such a request is never stored
            mine = [one for one in event.proposals if one.body]
            self._out += leading.propose(mine, self.commit, self.applied)
        away = [one for one in event.proposals if not (leading and one.body)]
        self._out += [self.redirect(now_ms, one.route, one.origin.seq) for one in away]

    def _on_read_index(self, now_ms: float, event: ReadIndex) -> None:
        if self.leading and self.serves:
            self._out += self.leading.read(event.route, self.term, self.commit, self.applied)
        else:
            self._out.append(self.redirect(now_ms, event.route, 0))

    def _on_change(self, now_ms: float, event: Change) -> None:
        if self.leading and not self.resigned:
            self._out += self.leading.change(now_ms, event, self.term, self.commit, self.applied)
        else:
            self._out.append(self.redirect(now_ms, event.route, 0))

    def _on_resign(self, now_ms: float, event: Resign) -> None:
        self.resigned = True
        self._beat_at_ms = now_ms  # tell the others at once
        if self.leading:
            self.leading.resign(now_ms)

    # ------------------------------------------------------------ durability

    def _append(self, kind: int, origin: Origin | None, body: bytes) -> Entry:
        return self._journal.append(self.term, kind, origin, body)

    def _hand_out_persist(self, now_ms: float, probe: bool = False) -> None:
        self._out += self._journal.hand_out(now_ms, HardState(self.term, self.election.vote), probe)

    def _on_persisted(self, now_ms: float, event: Persisted) -> None:
        self.log.persisted(event.token)
        for to, message in self._promises.persisted(now_ms, event.token):
            if to == self.me:
                self._sender, self._incarnation = self.me, self.election.incarnation
                self._handlers[type(message)](now_ms, message)
            else:
                self._out.append(Send(to, message))
        self._advance_commit()

    def _advance_commit(self) -> None:
        if self.leading:
            self.commit, replies = self.leading.advance(self.term, self.commit, self.applied)
            self._out += replies

    def _on_applied(self, now_ms: float, event: Applied) -> None:
        first, repeats = self._applying.applied(event.index, event.state_hash)
        self._promises.synced_ms = now_ms
        self.agreement.applied(event.index, event.state_hash)
        if self.leading:
            self._out += self.leading.applied(first, event.index, repeats)
        needed = self.leading.followers.needed(now_ms) if self.leading else event.index
        self._out += self._journal.compact(event.index, needed, self._limits)

    # ------------------------------------------------------------ timers

    def _watch_the_clock(self, now_ms: float) -> None:
        if self.leading:
            self._standing.heeded(now_ms)
            self._watch_as_leader(now_ms, self.leading)
        elif self.may_lead(now_ms):
            self._out += self._campaign.watch(now_ms)
            if self.role == PRECANDIDATE:
                self._why = "no leader is heard"
        self.hand_over.led_by(now_ms, self.leader)
        self._out += self._standing.ask(now_ms, self.commit)
        if now_ms >= self._beat_at_ms:
            self._beat_at_ms = now_ms + self._timing.heartbeat_ms
            self._out.append(Publish(self.heartbeat(now_ms)))

    def _watch_as_leader(self, now_ms: float, leading: Leadership) -> None:
        synced_ms = self._promises.synced_ms
        over = leading.over(now_ms, synced_ms)
        if over:
            self._follow(now_ms, self.term, 0, over)
            return
        if self._promises.idle and now_ms - synced_ms > PROBE_DISK_AFTER * self._timing.lease_ms:
            self._hand_out_persist(now_ms, probe=True)
        self._out += leading.watch(now_ms, self.term, self.commit, self.applied, self.resigned)
