"""The steps that a story may have, and what each does to a stage.

A step is a verb and words. What is none raises Unreadable with the list of all; what must not be raises Violation.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hfzmq.core.contract import REMOVE, TRANSFER
from tests.simulation.stage import PATIENCE_MS, Stage
from tests.simulation.violation import Violation

STEPS = """\
mesh N                 first: N peers start together, and time passes until 1 serves ("mesh N cold": nobody starts)
wait MS                time passes
await leader P         time passes until P serves; all ``await`` give up after five leases
await new leader       ... until somebody serves in a later term
await candidate        ... until a peer asks for votes in earnest
await vote             ... until a vote is on a disk
await ack C            ... until client C has everything acknowledged
await said A->B KIND   ... until the next message of this kind is said on this link
crash P | all          the plug is pulled; nothing reaches the disk any more ("crash P late": it does, unreported)
start P | all          it is plugged in again
pause P, resume P      SIGSTOP, SIGCONT
cut A->B | A<->B       nothing passes on this link, or on both
isolate P              nothing passes between P and any other peer
slow A->B MS           what is said on this link takes so long
double A->B            what is said on this link arrives twice
again A->B KIND        the last message of its kind on this link arrives once more
mend                   all links are well
stall P MS             the disk of P finishes nothing for so long
sync P MS              each write of P takes so long
wipe P                 the disk of P is lost; it starts again with an empty one, and is nobody's member
join P                 a new machine starts as P, and the operator has it added (or P, removed, with a new disk)
remove P, lead P       the operator wants P to leave, or to lead
ask C [P]              client C has one more request ("ask C P": it asks P, and keeps asking P)
retry C P              client C asks P for what is due
read C [P]             client C asks for a consistent read
jump P MS              the clock of P jumps ahead
drift P RATE           the clock of P runs so fast
heal                   links, disks and power are well, everybody runs
expect leader P        P serves and nobody else
expect no leader       nobody serves
expect voters P,P,...  these vote
expect stopped P       P was told that it is no member any more, and has stopped
expect acks N          N requests were acknowledged so far
expect changes N       the leader has changed N times at most since the mesh began
"""
KINDS = ("VoteRequest", "VoteReply", "AppendRequest", "AppendReply", "TimeoutNow", "Heartbeat")


class Unreadable(ValueError):
    """A line that is no step."""


class Player:
    """Plays lines on a stage. Keeps those that it has played: they are the transcript."""

    def __init__(self) -> None:
        self.played: list[str] = []
        self._stage: Stage | None = None
        self._changes = 0

    @property
    def stage(self) -> Stage:
        """The stage; there is one after ``mesh``."""
        if self._stage is None:
            raise Unreadable("the first step is: mesh N")
        return self._stage

    def transcript(self) -> str:
        """The story so far, as a file would hold it."""
        return "\n".join(self.played) + "\n"

    def broken(self, error: Exception) -> str:
        """What an error means: an invariant, or the core has raised: that peer's process is gone."""
        return str(error) if isinstance(error, Violation) else f"the core raised {type(error).__name__}: {error}"

    def play(self, line: str) -> None:
        """One step; Unreadable for what is none, Violation for what must not be."""
        self.played.append(line)
        verb, *words = line.split()
        play: Callable[..., None] | None = getattr(self, f"_play_{verb}", None)
        if play is None:
            raise Unreadable(f"{line!r} is no step; the steps are\n{STEPS}")
        try:
            play(*words)
        except (TypeError, ValueError, KeyError, IndexError) as error:
            if isinstance(error, Unreadable) or not _is_ours(error):
                raise
            raise Unreadable(f"{line!r}: {error}; the steps are\n{STEPS}") from error

    def finish(self) -> None:
        """The end of every story."""
        self.stage.finish()

    # ------------------------------------------------------------ steps

    def _play_mesh(self, peers: str, cold: str = "") -> None:
        self._stage = Stage(int(peers))
        if cold not in ("", "cold"):
            raise ValueError("mesh N, or mesh N cold")
        if not cold:
            self._stage.begin()
        self._changes = self._stage.invariants.leader_changes

    def _play_wait(self, ms: str) -> None:
        self.stage.wait(float(ms))

    def _play_await(self, *words: str) -> None:
        stage = self.stage
        if words[0] == "leader":
            peer = self._peer(words[1])
            stage.until(lambda: peer in stage.leaders(), PATIENCE_MS)
        elif words == ("new", "leader"):
            term = stage.latest_term_led()
            stage.until(lambda: any(one.serves and one.term > term for _, one in stage.replicas()), PATIENCE_MS)
        elif words == ("candidate",):
            stage.until(lambda: any(one.role == "candidate" for _, one in stage.replicas()), PATIENCE_MS)
        elif words == ("vote",):
            before = [peer.disk.hard_state for peer in stage.peers.values()]
            stage.until(lambda: [peer.disk.hard_state for peer in stage.peers.values()] != before, PATIENCE_MS)
        elif words[0] == "said":
            link = (*stage.links(words[1])[0], _kind(words[2]))
            times = stage.network.said(*link)
            stage.until(lambda: stage.network.said(*link) > times, PATIENCE_MS)
        elif words[0] == "ack":
            client = stage.client(words[1])
            stage.until(lambda: client.done, PATIENCE_MS)
        else:
            raise ValueError("await what?")

    def _play_crash(self, peer: str, late: str = "") -> None:
        if late not in ("", "late"):
            raise ValueError("crash P, or crash P late")
        for number in self._some(peer):
            self.stage.crash(number, late == "late")

    def _play_start(self, peer: str) -> None:
        for number in self._some(peer):
            self.stage.peers[number].power_on()

    def _play_pause(self, peer: str) -> None:
        self.stage.peers[self._peer(peer)].pause()

    def _play_resume(self, peer: str) -> None:
        self.stage.peers[self._peer(peer)].resume()

    def _play_cut(self, link: str) -> None:
        for source, target in self.stage.links(link):
            self.stage.network.cut(source, target)

    def _play_isolate(self, peer: str) -> None:
        number = self._peer(peer)
        self.stage.network.split({number}, set(self.stage.peers) - {number})

    def _play_slow(self, link: str, ms: str) -> None:
        for one in self.stage.links(link):
            self.stage.weather(one, delay_ms=float(ms))

    def _play_double(self, link: str) -> None:
        for one in self.stage.links(link):
            self.stage.weather(one, double=1.0)

    def _play_again(self, link: str, kind: str) -> None:
        for source, target in self.stage.links(link):
            self.stage.network.again(source, target, _kind(kind))

    def _play_mend(self) -> None:
        self.stage.network.mend()

    def _play_stall(self, peer: str, ms: str) -> None:
        self.stage.peers[self._peer(peer)].stall(self.stage.world.now + float(ms))

    def _play_sync(self, peer: str, ms: str) -> None:
        self.stage.peers[self._peer(peer)].sync_ms = (float(ms), float(ms))

    def _play_wipe(self, peer: str) -> None:
        one = self.stage.peers[self._peer(peer)]
        one.wipe()
        one.power_on()

    def _play_join(self, peer: str) -> None:
        if not peer.isdigit() or (int(peer) in self.stage.peers and not self.stage.peers[int(peer)].halted):
            raise ValueError(f"{peer} is a member, or no id")
        self.stage.join(int(peer))

    def _play_remove(self, peer: str) -> None:
        self.stage.operator.wish(REMOVE, self._peer(peer))

    def _play_lead(self, peer: str) -> None:
        self.stage.operator.wish(TRANSFER, self._peer(peer))

    def _play_ask(self, client: str, peer: str = "0") -> None:
        self.stage.client(client).ask(self._peer(peer) if peer != "0" else 0)

    def _play_retry(self, client: str, peer: str) -> None:
        self.stage.client(client).retry(self._peer(peer))

    def _play_read(self, client: str, peer: str = "0") -> None:
        self.stage.client(client).read(self._peer(peer) if peer != "0" else 0)

    def _play_jump(self, peer: str, ms: str) -> None:
        self.stage.peers[self._peer(peer)].clock_offset += float(ms)

    def _play_drift(self, peer: str, rate: str) -> None:
        one = self.stage.peers[self._peer(peer)]
        before = one.clock()
        one.clock_rate = float(rate)
        one.clock_offset += before - one.clock()  # it runs on from where it was

    def _play_heal(self) -> None:
        self.stage.heal()

    def _play_expect(self, *words: str) -> None:
        invariants = self.stage.invariants
        if words == ("no", "leader"):
            told, holds = f"the leaders are {self.stage.leaders()}", not self.stage.leaders()
        elif words[0] == "leader":
            told = f"the leaders are {self.stage.leaders()}"
            holds = self.stage.leaders() == [self._peer(words[1])]
        elif words[0] == "stopped":
            why = self.stage.peers[self._peer(words[1])].halted
            told, holds = f"peer {words[1]} runs", bool(why)
        elif words[0] == "voters":
            voters = invariants.membership.voters if invariants.membership else ()
            told, holds = f"the voters are {voters}", voters == tuple(map(int, words[1].split(",")))
        elif words[0] == "acks":
            acks = sum(client.seq - 1 for client in self.stage.clients.values())
            told, holds = f"{acks} requests were acknowledged", acks == int(words[1])
        elif words[0] == "changes":
            changes = invariants.leader_changes - self._changes
            told, holds = f"the leader has changed {changes} times", changes <= int(words[1])
        else:
            raise ValueError("expect what?")
        if not holds:
            raise Violation(f"expected {' '.join(words)}, but {told}")

    def _peer(self, word: str) -> int:
        if not word.isdigit() or int(word) not in self.stage.peers:
            raise ValueError(f"there is no peer {word}")
        return int(word)

    def _some(self, word: str) -> list[int]:
        return list(self.stage.peers) if word == "all" else [self._peer(word)]


def _kind(word: str) -> str:
    if word not in KINDS:
        raise ValueError(f"a message is one of {', '.join(KINDS)}")
    return word


def _is_ours(error: BaseException) -> bool:
    """Whether a line was wrong, and not the core below it."""
    at = error.__traceback__
    files = []
    while at:
        files.append(at.tb_frame.f_code.co_filename)
        at = at.tb_next
    return not any("core" in Path(name).parts for name in files)
