"""What this peer is to the mesh, and what others are to it: member or stranger, voter or learner, removed.

Touches nothing. Must not know: terms, logs, who leads. Keeps (I7): whoever is no member, or another life of one, is
never counted; whoever was removed, and not forgotten since, is told so. It is the *counting* side that checks: votes
are given to anybody whose log is good, for the candidate's list of members may be newer than this peer's.

    stranger --asks to join--> learner --caught up--> voter --removed--> told so: stops
"""

from __future__ import annotations

from hfzmq.core.contract import Effect, Halt, Send
from hfzmq.core.membership import Member, Members
from hfzmq.core.memory import Memory
from hfzmq.core.messages import (
    AppendReply,
    AppendRequest,
    Disowned,
    Expelled,
    JoinRequest,
    Message,
    VoteReply,
    VoteRequest,
)

COUNTED = (VoteReply, AppendReply)
UNHEEDED_AFTER = 2.0  # leases without an append: it asks whether it still belongs


class Standing:
    """``myself``: this life of this peer; ``boot``: its start; ``named``: ids in its peers.yaml. Times in
    milliseconds."""

    def __init__(
        self, myself: Member, boot: int, members: Members, named: tuple[int, ...], lease_ms: int, now_ms: float
    ) -> None:
        self._myself = myself
        self._boot = boot
        self._named = named
        self._mine = myself.incarnation or b""
        self._members = members
        self._memory = Memory()
        self._lease_ms = lease_ms
        self._ask_at_ms = now_ms + lease_ms
        self._heeded_ms = now_ms
        self._exists = False  # a mesh that this peer's log does not name

    @property
    def votes(self) -> bool:
        """Whether this life of this peer is a voter, so that it may campaign."""
        mine = self._members.now.of(self._myself.peer)
        if self._exists and not self._members.now.founded:
            return False
        return mine is not None and mine.votes and mine.incarnation in (None, self._mine)

    def counts(self, sender: int, incarnation: bytes) -> bool:
        """Whether this life of a peer is a member."""
        return self._members.now.counts(sender, incarnation)

    def heeds(self, message: Message, sender: int, incarnation: bytes, boot: int) -> bool:
        """Whether to act on what this start of a peer says. What is counted must be a member's. Who votes or would be
        voted for must not have forgotten what it has shown to have: the log of one that has looks as good as that of
        who never had it. Such a message is repeated, and the heartbeat that clears it may be here by then."""
        if isinstance(message, COUNTED) and not self.counts(sender, incarnation):
            return False
        return not isinstance(message, (*COUNTED, VoteRequest)) or self._memory.believes(sender, incarnation, boot)

    def shows(self, sender: int, incarnation: bytes, boot: int, applied: int) -> list[Effect]:
        """A member shows what it has; what to tell it where that is less than it had, or another start is newer."""
        if self._memory.heard(sender, incarnation, boot, applied):
            return []
        return [Send(sender, Disowned(incarnation, boot))]

    def heeded(self, now_ms: float) -> None:
        """This peer leads, or a leader has sent it something."""
        self._heeded_ms = now_ms

    def notice(self, message: Message) -> None:
        """A message of a mesh that is founded: whoever has no log yet must not found another, not even with all the
        others that have none."""
        if not self._exists and isinstance(message, (VoteRequest, AppendRequest)) and not self._members.now.founded:
            place = message.last if isinstance(message, VoteRequest) else message.prev
            self._exists = place.index > 0

    def ask(self, now_ms: float, commit: int) -> list[Effect]:
        """Ask everybody to be let in (back), while it is no member or nobody sends it anything; once a lease. What let
        it in must be committed: else that may have been lost, and the mesh goes on sending to a former life. Whoever
        the log names may be gone, all of them, since this peer last heard of it: peers.yaml may name others."""
        if now_ms < self._ask_at_ms:
            return []
        self._ask_at_ms = now_ms + self._lease_ms
        heeded = now_ms - self._heeded_ms < UNHEEDED_AFTER * self._lease_ms
        lists = (self._members.at(commit), self._members.now)
        if heeded and all(one.founded and one.counts(self._myself.peer, self._mine) for one in lists):
            return []
        request = JoinRequest(self._myself)
        known = {*(one.peer for one in self._members.now.members), *self._named} - {self._myself.peer}
        return [Send(peer, request) for peer in sorted(known)]

    def expel(self, sender: int, incarnation: bytes, commit: int) -> list[Effect]:
        """What to tell a stranger: that it was removed, if that is so and committed."""
        known = self._members.at(commit)
        if (sender, incarnation) in known.removed:
            return [Send(sender, Expelled(incarnation, known.index))]
        return []

    def expelled(self, message: Expelled, commit: int) -> list[Effect]:
        """Somebody says that this peer was removed."""
        if message.incarnation != self._mine:
            return []  # an earlier life
        known = self._members.at(commit)
        if known.index > message.index and known.counts(self._myself.peer, self._mine):
            return []  # it was forgotten since (REMOVED_KEPT), and let in again
        return [Halt(f"removed from the mesh, whose members are those of entry {message.index}", distrusted=False)]

    def disowned(self, message: Disowned) -> list[Effect]:
        """Somebody remembers more of this peer than it does itself, or hears another process in its name."""
        if (message.incarnation, message.boot) != (self._mine, self._boot):
            return []
        return [Halt("the mesh has seen a later state of this peer's disk, or another process with its files", True)]
