"""The bugs that are planted: each one small change of the core's text, as a tired person might make it.

``first_seed`` is 0 where the storms are simply counted from the first on; a bug that needs more than the seeds of a
normal search may say where its own search begins, and the table says so too.
"""

from __future__ import annotations

from typing import NamedTuple


class Bug(NamedTuple):
    """A name, the file below hfzmq/core, the text that stands there once, and the text that replaces it."""

    name: str
    file: str
    good: str
    bad: str
    first_seed: int = 0


NOT_IN_TERM = "        self._held.clear()\n        self._fresh.clear()"
BEFORE_COMMIT = "            commit = index\n            replies = self._propose_queued(commit, applied)"
REFUSE = "            self._promises.promise(sender, AppendReply(self.term, False, outcome.hint, request.round))\n"
NEXT_ON_REFUSAL = "progress.next = max(progress.match + 1, min(reply.match + 1, progress.next - 1 or 1))"
ACK_WAITS = """\
            self._waiting.setdefault(entry.index, []).append(Waiter(route, origin, entry.term))
            return None"""

BUGS = (
    # ------------------------------------------------------------ what is on disk
    Bug("an append is acknowledged before it is synced", "promises.py",
        "if self._synced == self._token and to != self._me:", "if to != self._me:"),
    Bug("any sync releases every promise", "promises.py",
        "while self._held and self._held[0][0] <= token:", "while self._held:"),
    Bug("a promise outlives its term", "promises.py", NOT_IN_TERM, "        pass"),
    Bug("a candidate's old promises outlive its campaign", "campaign.py",
        "        self._promises.forget()", "        pass"),
    Bug("a follower's old promises outlive a later term", "replica.py",
        "            self._promises.forget()", "            pass"),
    Bug("the vote is not saved", "promises.py",
        "changed = hard_state != self._written", "changed = hard_state.term != self._written.term"),
    Bug("the term is not saved", "promises.py",
        "changed = hard_state != self._written", "changed = hard_state.vote != self._written.vote"),
    Bug("a truncation is not written", "promises.py",
        "self._truncate_from = index if self._truncate_from is None else min(index, self._truncate_from)",
        "self._truncate_from = None"),
    Bug("a truncation is written again and again", "promises.py",
        "            self._truncate_from = None\n            self._added = []", "            self._added = []"),
    Bug("the leader counts itself before its disk has it", "log.py",
        "        self._pending.append((token, self.last.index))",
        "        self._pending.append((token, self.last.index))\n        self.durable = self.last.index"),
    Bug("the leader counts its last entry for its durable one", "replication.py",
        "reached([self._log.durable, *matches]", "reached([self._log.last.index, *matches]"),
    Bug("any sync makes everything durable", "log.py",
        "while self._pending and self._pending[0][0] <= token:", "while self._pending:"),
    Bug("what is dropped still counts as durable", "log.py",
        "        self.durable = min(self.durable, index - 1)\n", ""),
    Bug("a restart forgets the vote", "election.py", "self.vote = hard_state.vote", "self.vote = 0"),
    Bug("a restart forgets the term", "election.py", "self.term = hard_state.term", "self.term = 0"),
    Bug("a restart takes its whole log for committed", "replica.py",
        "        self.commit = applied\n", "        self.commit = log.last.index\n"),
    Bug("a restart forgets the sessions", "sessions.py", "dict(stored or {})", "{}"),
    # ------------------------------------------------------------ votes
    Bug("a vote is given twice in a term", "election.py", "self.vote in (0, candidate)", "True"),
    Bug("a vote is forgotten within its term", "election.py",
        "        if term > self.term:\n            self.term, self.vote = term, 0",
        "        self.term, self.vote = term, 0"),
    Bug("a vote is given to a shorter log", "election.py",
        "up_to_date = (request.last.term, request.last.index) >= (last.term, last.index)", "up_to_date = True"),
    Bug("a vote looks at the length of the log alone", "election.py",
        "(request.last.term, request.last.index) >= (last.term, last.index)", "request.last.index >= last.index"),
    Bug("a vote looks at the last term alone", "election.py",
        "(request.last.term, request.last.index) >= (last.term, last.index)", "request.last.term >= last.term"),
    Bug("a vote is answered before it is on disk", "campaign.py",
        "        self._promises.promise(sender, reply)\n        return []", "        return [Send(sender, reply)]"),
    Bug("votes are asked for before one's own is on disk", "campaign.py",
        "        if request.pre:\n            return [Send(peer, request) for peer in others]",
        "        if True:\n            return [Send(peer, request) for peer in others]"),
    Bug("a candidate may still vote for another", "election.py",
        "        self.vote = self._me", "        self.vote = 0"),
    Bug("votes of another term count", "election.py",
        "(self.role, reply.term) != wanted", "self.role != wanted[0]"),
    Bug("a pre-vote counts as a vote", "election.py",
        "wanted = (PRECANDIDATE, self.term + 1) if reply.pre else (CANDIDATE, self.term)",
        "wanted = (self.role, self.term + (self.role == PRECANDIDATE))"),
    Bug("a refusal counts as a vote", "election.py", "or not reply.granted or", "or"),
    Bug("a doubled vote counts twice", "election.py",
        "self._grants.add(voter)", "self._grants.add((voter, len(self._grants)))"),
    Bug("votes of an earlier round count", "election.py",
        "        self._grants = set()\n        self._round", "        self._round"),
    Bug("half of the votes are enough", "quorum.py", "return count > voters // 2", "return count >= voters // 2"),
    Bug("a pre-vote resets the timer", "election.py",
        "            return VoteReply(request.term if granted",
        "            self.lease_until_ms = now_ms + self._lease_ms\n"
        "            return VoteReply(request.term if granted"),
    Bug("a hand-over of an earlier term is obeyed", "replica.py", "and message.term == self.term\n", "\n"),
    # ------------------------------------------------------------ the log
    Bug("the log check is skipped", "replication.py", "if not log.holds(prev):", "if prev.index > log.last.index:"),
    Bug("a late append drops what came after it", "replication.py", "if mine.term != entry.term:", "if True:"),
    Bug("a conflicting entry is kept", "replication.py", "if mine.term != entry.term:", "if False:"),
    Bug("a follower acknowledges what it does not have", "replication.py",
        "match = prev.index + len(request.entries)", "match = prev.index + len(request.entries) + 1"),
    Bug("a follower acknowledges its whole log", "replica.py",
        "AppendReply(self.term, True, outcome.match,", "AppendReply(self.term, True, self.log.last.index,"),
    Bug("a follower commits beyond what agrees", "replica.py",
        "min(request.commit, outcome.match)", "min(request.commit, self.log.last.index)"),
    Bug("an append of an earlier leader is taken", "replica.py", "if request.term < self.term:", "if False:"),
    Bug("a refused append is not answered", "replica.py", REFUSE, ""),
    Bug("a refusal counts as an acknowledgement", "replication.py", "if reply.accepted:", "if True:"),
    Bug("a refusal does not send the leader back", "replication.py", NEXT_ON_REFUSAL, "pass"),
    Bug("a refusal leaves the pipeline full", "replication.py",
        "            progress.inflight.clear()\n            progress.inflight_bytes = 0\n", ""),
    Bug("the pipeline leaves a hole", "replication.py",
        "progress.next = entries[-1].index + 1", "progress.next = entries[-1].index + 2"),
    # ------------------------------------------------------------ commit and apply
    Bug("an earlier term's entry is committed by counting", "replication.py",
        "if index <= self._log.base.index or self._log.place_at(index).term != term:",
        "if index <= self._log.base.index:"),
    Bug("a minority commits", "quorum.py", "return ranked[voters // 2]", "return ranked[voters // 2 - 1]"),
    Bug("a new leader begins without a no-op", "leadership.py",
        'self._noop = self._append(NOOP, None, b"").index', "self._noop = commit"),
    Bug("what is not committed is applied", "applying.py",
        "self._log.between(self.handed_out, commit)", "self._log.between(self.handed_out, self._log.last.index)"),
    # ------------------------------------------------------------ clients
    Bug("a request is acknowledged when it is appended", "pending.py", ACK_WAITS,
        "            return Reply(route, ACK, seq=origin.seq, term=entry.term, index=entry.index)"),
    Bug("a request that comes again is acknowledged when it is appended", "pending.py",
        "if session.index <= applied:", "if True:"),
    Bug("a request is acknowledged when it is committed and not applied", "leadership.py", BEFORE_COMMIT,
        "            replies = self._pending.applied(commit + 1, index, frozenset())\n            commit = index"),
    Bug("a request that comes again is stored again", "sessions.py", "    if origin.seq == last.seq:",
        "    if origin.seq == last.seq and last.seq:\n        return NEW, last\n    if origin.seq == last.seq:"),
    Bug("a new leader forgets what is on its way", "pending.py",
        "        self._sessions.rebuild(tail)", "        self._sessions.rebuild(())", first_seed=60),
    Bug("a request out of order is stored", "sessions.py",
        "if origin.seq == last.seq + 1:", "if origin.seq > last.seq:"),
    Bug("the digest of a request is ignored", "sessions.py",
        "(AGAIN if origin.digest == last.digest else CONFLICT)", "AGAIN"),
    # ------------------------------------------------------------ the lead
    Bug("a leader without a quorum goes on", "replica.py",
        "if now_ms > leading.deadline_ms(now_ms, synced_ms):", "if False:"),
    Bug("one answer is a quorum", "replication.py", "return times[len(self._voters) // 2]", "return times[0]"),
    Bug("a leader with a dead disk goes on", "leadership.py",
        "deadline = synced_ms + self._lease_ms", 'deadline = float("inf")'),
    Bug("the lead is handed over to one that has not caught up", "leadership.py",
        "and not transfer.told and self.followers.caught_up(transfer.target)", "and not transfer.told"),
    Bug("the lead is never handed over", "handover.py",
        "        if self.transfer is None:\n            for", "        if False:\n            for"),
    # ------------------------------------------------------------ reads, and a hand-over that fails
    Bug("a read needs no majority", "replication.py",
        "return reached([self.round, *(p.acked_round for p in self.progress.values())], len(self._voters))",
        "return self.round"),
    Bug("a read is served before the no-op", "leadership.py", "return self._noop <= commit", "return True"),
    Bug("a read is served before it is applied", "pending.py",
        "if held.round <= shown and held.at <= applied]", "if held.round <= shown]"),
    Bug("a hand-over is never aborted", "handover.py",
        "return self.transfer is not None and now_ms - self.transfer.since_ms > self._lease_ms", "return False"),
)  # fmt: skip

# No storm finds these as yet: said openly, not counted, not tested.
OPEN = (
    Bug("a pre-vote is given while a leader is heard", "election.py",
        " and up_to_date and not self.hears_leader(now_ms)", " and up_to_date"),
    Bug("a write of what was dropped counts for what follows", "log.py",
        "(token, min(upto, index - 1)) for", "(token, upto) for"),
    Bug("an acknowledgement of an earlier term counts", "replica.py",
        "elif self.leading and reply.term == self.term:", "elif self.leading:"),
    Bug("a request is refused for good without a quorum round", "leadership.py",
        "if reply and reply.status in (CONFLICT, GAP):", "if False:"),
    Bug("a read is served without a quorum round", "leadership.py",
        "Unconfirmed(self.followers.round + self._round_wanted, commit", "Unconfirmed(0, commit"),
    Bug("a read is served by a round that began before it", "leadership.py",
        "Unconfirmed(self.followers.round + self._round_wanted, commit", "Unconfirmed(self.followers.round, commit"),
)  # fmt: skip
