"""How the members of the mesh change, one step at a time, while this peer leads.

Touches nothing. Must not know: votes, clients' requests. Decides; ``Leadership`` appends.

    asks to join --operator, or its old life is silent--> learner --caught up--> voter --operator--> removed

Keeps (I7): one change at a time, each applied before the next begins (the caller sees to it), and each by one voter at
most; nobody votes before it holds what the others hold, nor while too many voters are away; another life of a member
takes its place only when the old one has been silent for three leases, for two processes may claim one id.
"""

from __future__ import annotations

from hfzmq.core.contract import ACK, ADD, BUSY, NOT_LEADER, REFUSED, REMOVE, TRANSFER, Change, Reply, Route
from hfzmq.core.liveness import Liveness
from hfzmq.core.membership import MEMBERS_MAX, Member, Members, Membership
from hfzmq.core.replication import Followers

ASKS_FOR = 3.0  # leases: who has not repeated its wish by then no longer has it
SILENT_AFTER = 3.0  # leases: a member that was not heard for so long may be replaced by another life of the same peer
BUSY_RETRY_MS = 100
ASKING_MAX = 64


class Changes:
    """The members' changes of one term. Times in milliseconds."""

    def __init__(self, me: int, members: Members, liveness: Liveness, followers: Followers, lease_ms: int) -> None:
        self._me = me
        self._members = members
        self._liveness = liveness
        self._followers = followers
        self._lease_ms = lease_ms
        self._asking: dict[int, tuple[float, float, Member]] = {}  # peer -> (first, last asked, as what)
        self._waiting: list[tuple[int, Route]] = []

    # ------------------------------------------------------------ who would like to join

    def asked(self, now_ms: float, member: Member) -> None:
        """``member`` asks to join, or whether it still belongs."""
        if member.incarnation is None or self._members.now.counts(member.peer, member.incarnation):
            return
        first, last, known = self._asking.get(member.peer, (now_ms, now_ms, member))
        if known.incarnation != member.incarnation and self._fresh(now_ms, last):
            return  # two processes with one id: the first is heard, until it falls silent
        if known.incarnation != member.incarnation or not self._fresh(now_ms, last):
            first = now_ms
        for peer in [peer for peer, (_, at, _) in self._asking.items() if not self._fresh(now_ms, at)]:
            del self._asking[peer]
        if len(self._asking) < ASKING_MAX or member.peer in self._asking:
            self._asking[member.peer] = (first, now_ms, member)

    def asking(self, now_ms: float) -> tuple[tuple[Member, float, float], ...]:
        """Who asks to join now, since when, and when it last did (ms ago)."""
        now = self._members.now
        return tuple(
            (member, now_ms - first, now_ms - last)
            for peer, (first, last, member) in sorted(self._asking.items())
            if self._fresh(now_ms, last)
            and (peer, member.incarnation) not in now.removed
            and not now.counts(peer, member.incarnation or b"")
        )

    def _fresh(self, now_ms: float, last_ms: float) -> bool:
        return now_ms - last_ms < ASKS_FOR * self._lease_ms

    # ------------------------------------------------------------ by itself

    def due(self, now_ms: float, commit: int) -> Membership | None:
        """The next change that needs no operator: a learner that has caught up votes; another life of a member takes
        the place of the one that is silent."""
        now = self._members.now
        for peer in now.learners:
            progress = self._followers.progress[peer]
            answers = progress.acked_round > 0 and now_ms - progress.acked_ms < self._lease_ms
            if answers and self._followers.close_behind(peer) and progress.match >= commit:
                after = now.with_voter(peer)
                if self._affords(now_ms, after):
                    return after
        for member, asking_ms, _ in self.asking(now_ms) if self._asking else ():
            old = now.of(member.peer)
            if old is None or member.peer == self._me:
                continue
            left = now.without(member.peer)
            if asking_ms >= SILENT_AFTER * self._lease_ms and self._silent(now_ms, member.peer) and left.voters:
                return now.with_learner(member)
        return None

    def _affords(self, now_ms: float, after: Membership) -> bool:
        """Whether one voter more may be counted: if it dies right then, those that answer now must still be a majority,
        or nobody could ever lead again. Where all answer there is no better moment."""
        answering = self._followers.answering(now_ms)
        return answering >= after.majority or answering == len(self._members.now.voters)

    def _silent(self, now_ms: float, peer: int) -> bool:
        """Whether nothing was heard of this member, neither heartbeat nor answer, for long enough."""
        if peer == self._me:
            return False  # it leads, though it never hears itself
        last = self._liveness.last_of(peer)
        heard_ms = last[0] if last else float("-inf")
        progress = self._followers.progress.get(peer)
        if progress and progress.acked_round:
            heard_ms = max(heard_ms, progress.acked_ms)
        return now_ms - heard_ms >= SILENT_AFTER * self._lease_ms

    # ------------------------------------------------------------ by an operator

    def judge(self, now_ms: float, event: Change, term: int, busy: bool) -> tuple[Membership | None, Reply | None]:
        """The members that an operator's add or remove makes, or the answer where it makes none (now)."""
        now = self._members.now
        member = now.of(event.peer)
        asks = next((one for one, *_ in self.asking(now_ms) if one.peer == event.peer), None)
        if event.action == ADD:
            if member and asks is None:
                return None, self.busy(event) if busy else self.done(event, term)
            if asks is None:
                return None, self._refused(event, f"peer {event.peer} does not ask to join: start its daemon first")
            if member and not self._silent(now_ms, event.peer):
                return None, self._refused(event, f"another process runs as peer {event.peer}, and is a member")
            if len(now.members) >= MEMBERS_MAX:
                return None, self._refused(event, f"the mesh has {MEMBERS_MAX} members, the most there may be")
            return (None, self.busy(event)) if busy else (now.with_learner(asks), None)
        if member is None:
            was = any(peer == event.peer for peer, _ in now.removed)
            if not was:
                return None, self._refused(event, f"peer {event.peer} is no member")
            return None, self.busy(event) if busy else self.done(event, term)
        left = now.without(event.peer)
        if not left.voters or not self._liveness.hears_majority(now_ms, left):
            return None, self._refused(event, f"without peer {event.peer} no majority of those that stay would be up")
        return (None, self.busy(event)) if busy else (left, None)

    def refuse_lead(self, event: Change, target: int, fit: tuple[int, ...]) -> Reply | None:
        """Why the lead cannot be given to ``target``; None when it can (or is there already)."""
        if target in fit or (target == self._me and event.action != REMOVE):
            return None
        if event.action == REMOVE:
            return self._refused(event, f"peer {self._me} leads and no other voter is well enough to take over")
        if target not in self._members.now.voters:
            return self._refused(event, f"peer {target} is no voter")
        return self._refused(event, f"peer {target} is not well enough to lead: it is not heard, or not caught up")

    # ------------------------------------------------------------ answers

    def wait(self, index: int, route: Route) -> None:
        """Answer once the entry at ``index`` is applied."""
        self._waiting.append((index, route))

    def applied(self, last: int) -> list[Reply]:
        """Everything up to ``last`` is applied."""
        if not self._waiting:
            return []
        done = [Reply(route, ACK, index=index) for index, route in self._waiting if index <= last]
        self._waiting = [(index, route) for index, route in self._waiting if index > last]
        return done

    def turn_away(self, term: int, leader: int) -> list[Reply]:
        """The lead is lost: what was appended may still commit."""
        away, self._waiting = self._waiting, []
        return [Reply(route, NOT_LEADER, term=term, leader=leader) for _, route in away]

    def done(self, event: Change, term: int) -> Reply:
        """It is so (a transfer: it has begun)."""
        return Reply(event.route, ACK, term=term, index=0 if event.action == TRANSFER else self._members.now.index)

    def busy(self, event: Change) -> Reply:
        """Something else comes first."""
        return Reply(event.route, BUSY, retry_ms=BUSY_RETRY_MS)

    def _refused(self, event: Change, why: str) -> Reply:
        return Reply(event.route, REFUSED, why=why)
