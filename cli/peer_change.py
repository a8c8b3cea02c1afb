"""A change of members as an operator asks for it: what speaks against it, the asking, the waiting until it is true.

Touches sockets (through client.ask) and the monotonic clock. Must not know: the command line. Keeps: a change is asked
for until the goal is seen in what the *leader* says, or the time is over; an answer that was lost is no failure, for
the goal is looked at before a refusal is believed; a refusal that is of the moment (a newcomer does not ask yet, no
other voter is well) is told, and for some seconds it is asked again.

    look --goal reached?--> done      ask the leader --ACK--> look ...      REFUSED --goal reached?--> done, or error
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from hfzmq.cli.format import listed
from hfzmq.cli.leader_wait import no_leader, waited_for
from hfzmq.cli.mesh_view import MeshView, mesh_view, unreached
from hfzmq.cli.mesh_words import behind, leader_last, learns, not_begun
from hfzmq.config import Config
from hfzmq.errors import HfzmqError, InvalidInput, MeshUnavailable, NotFound, TimedOut
from hfzmq.wire.members import LEARNER, VOTER, Asking, ToldMember, newest, with_members

ADD, REMOVE, TRANSFER = "add", "remove", "transfer"
LOOK_S = 0.2  # so often while something is waited for
SAY_S = 1.0  # numbers that change are told so often at most
PATIENCE_S = 10.0  # a peer that was just started asks to join within so long, and all are heard, also on a busy machine
SILENT_WITHIN_LEASES = 5  # the old life of one that came back with a new disk falls silent within so long
BEGUN_WITHIN_LEASES = 5  # a hand-over that did not happen within so long is asked for again
_SEE = "see how it stands: hfzmq peer ls"


class Done(NamedTuple):
    """A change that is true: the view that shows it."""

    action: str
    peer: int
    view: MeshView
    already: bool  # it was so before


class Changer:
    """Brings about one change. ``say`` gets a line for each step that is waited for; ``timeout_s`` is for all of it."""

    def __init__(self, config: Config, action: str, peer: int, timeout_s: float, say: Callable[[str], None]) -> None:
        self.action = action
        self.peer = peer
        self._config = config
        self._timeout_s = timeout_s
        self._until = time.monotonic() + timeout_s
        self._say = say
        self._said = ""
        self._said_at = 0.0

    def look(self) -> MeshView:
        """The mesh now, by the word of all its peers."""
        from hfzmq.client.ask import ask_all

        answers = ask_all(self._config, "status")
        self._config = with_members(self._config, newest(answers.values()))
        return mesh_view(self._config, answers)

    def bring_about(self, view: MeshView) -> Done:
        """Ask for the change and wait until it is true. NotFound, InvalidInput: it cannot be. NoDaemonReached,
        NoLeader, TimedOut: not within the time."""
        already = self.reached(view)
        asked_at: float | None = None
        while not self.reached(view):
            if self._due(view, asked_at):
                self._ask(view)
                asked_at = time.monotonic()
                view = self.look()
                continue
            self._tell(self.waiting(view))
            if time.monotonic() >= self._until:
                raise self._too_late(view)
            _PAUSE.wait(LOOK_S)
            view = self.look()
        return Done(self.action, self.peer, view, already)

    def reached(self, view: MeshView) -> bool:
        """Whether the leader says that it is so; that it leads, also the others may say of who does not answer here."""
        if self.action == TRANSFER and led_unseen(view) == self.peer:
            return True
        if not view.serves or view.told is None or not view.founded:
            return False
        member = view.told.of(self.peer)
        if self.action == ADD:
            return member is not None and member.role == VOTER and self._other_life(view) is None
        return view.leader == self.peer if self.action == TRANSFER else member is None

    def waiting(self, view: MeshView) -> str:
        """What is still in the way."""
        if not view.answers:
            return "no daemon answers"
        if not view.founded:
            return f"the mesh has not begun: {not_begun(view)}"
        if not view.serves:
            return f"waiting for {waited_for(view)}"
        row = next((peer for peer in view.peers if peer.id == self.peer), None)
        state = behind(row, leader_last(view)) if row else "and nobody knows it"
        if self.action == ADD:
            learner = row if row is not None and row.membership == LEARNER else None
            return learns(view, learner) if learner else f"waiting for peer {self.peer} to be let in"
        if self.action == TRANSFER:
            does = "does not answer" if row and not row.reachable else f"is {state}"
            return f"peer {view.leader} leads, peer {self.peer} {does}"
        return f"peer {self.peer} is still a member" + (" and leads" if view.leader == self.peer else "")

    # ------------------------------------------------------------ the parts

    def _due(self, view: MeshView, asked_at: float | None) -> bool:
        """Whether the change is to be asked for (again)."""
        if asked_at is None:  # a learner becomes a voter without being told
            return not (self.action == ADD and self._member(view) is not None and self._other_life(view) is None)
        again_s = BEGUN_WITHIN_LEASES * self._config.timing.lease_ms / 1000
        return self.action == TRANSFER and time.monotonic() - asked_at > again_s

    def _ask(self, view: MeshView) -> None:
        """Until it is acknowledged, or refused for good."""
        from hfzmq.cli.leader_wait import ask_leader

        patience_s = max(PATIENCE_S, SILENT_WITHIN_LEASES * self._config.timing.lease_ms / 1000)
        fields: dict[str, object] = {"action": self.action, "peer": self.peer}
        missing, patient_until = "", self._until
        refused: InvalidInput | None = None
        while True:
            left_ms = max(1, int((self._until - time.monotonic()) * 1000))
            try:
                ask_leader(self._config, "change", fields, left_ms, self._say)
                return
            except InvalidInput as refusal:
                refused = refusal
                view = self.look()
                if self.reached(view):
                    return
                before, missing = missing, self._missing(refusal, view)
                if missing != before:  # a step further: each has a patience of its own
                    patient_until = min(self._until, time.monotonic() + patience_s)
                elif time.monotonic() >= patient_until:
                    missing = ""
                if not missing:
                    raise self._explained(refusal, view) from None
                self._tell(missing)
                _PAUSE.wait(LOOK_S)
            except MeshUnavailable as error:
                view = self.look()
                if self.reached(view):
                    return
                if refused is not None and view.serves:  # the time is over while it was waited for
                    raise self._explained(refused, view) from None
                raise self._too_late(view, error) from None

    def _missing(self, refusal: InvalidInput, view: MeshView) -> str:
        """What may come to be soon, and then it is no longer refused; '' where waiting does not help."""
        member = self._member(view) is not None
        if self.action != ADD:
            return f"not yet: {refusal.bound}" if member else ""
        if self._other_life(view) is not None:
            return f"waiting for peer {self.peer}'s old life to fall silent"
        if self._unheard(view):
            return f"waiting for peer {self.peer} to ask to join"
        # It asks. The refusal was of a moment before, or of a leader that had not heard it yet.
        return "" if member else f"waiting for peer {self.peer} to be let in"

    def _member(self, view: MeshView) -> ToldMember | None:
        return view.told.of(self.peer) if view.told else None

    def _other_life(self, view: MeshView) -> Asking | None:
        """The peer, asking to join with another disk than that of the member of its id."""
        asks, member = view.told.asks(self.peer) if view.told else None, self._member(view)
        return asks if asks and member and asks.incarnation != member.incarnation else None

    def _unheard(self, view: MeshView) -> bool:
        told = view.told
        return told is not None and told.of(self.peer) is None and told.asks(self.peer) is None

    def _explained(self, refusal: InvalidInput, view: MeshView) -> HfzmqError:
        if self.action == ADD and self._unheard(view):
            return NotFound(
                f"peer {self.peer} does not ask to join",
                hint=f"start it first: hfzmq serve --id {self.peer} --config {view.file} --data-dir DIR "
                f"(with its own ports in {view.file})",
            )
        if view.told is not None and self.action != ADD and view.told.of(self.peer) is None:
            return no_member(self.peer, view)
        refusal.hint = refusal.hint or _SEE
        return refusal

    def _too_late(self, view: MeshView, error: MeshUnavailable | None = None) -> HfzmqError:
        """What to say when the time is over."""
        if not view.answers:
            return unreached(view)
        if not view.serves:
            return no_leader(view, self._timeout_s)
        going_on = "it may still come true by itself; " if self.action != TRANSFER else ""
        why = f" ({error})" if isinstance(error, TimedOut) else ""
        return TimedOut(f"after {self._timeout_s:g} s: {self.waiting(view)}{why}", hint=going_on + _SEE)

    def _tell(self, line: str) -> None:
        kind = re.sub("[0-9,]", "", line)
        now = time.monotonic()
        if line != self._said and (kind != re.sub("[0-9,]", "", self._said) or now - self._said_at >= SAY_S):
            self._said, self._said_at = line, now
            self._say(line)


_PAUSE = threading.Event()  # never set: a rest that Ctrl-C ends


def risk_of_removal(view: MeshView, peer: int) -> str:
    """What makes the removal of ``peer`` worth a question; '' for nothing. InvalidInput: the last voter stays."""
    assert view.told is not None
    if peer not in view.told.voters:
        return ""
    left = [voter for voter in view.told.voters if voter != peer]
    if not left:
        raise InvalidInput("peer", "not the last voter", got=peer, hint="add another peer first: hfzmq peer add ID")
    alive = [row.id for row in view.peers if row.id in left and row.reachable and row.membership == VOTER]
    if len(alive) < len(left) // 2 + 1:
        return (
            f"without peer {peer}, only {len(alive)} of {len(left)} voters would answer: no majority, and nothing is "
            "stored until more are up"
        )
    if len(left) <= 2:
        word = "1 voter would be left: when it" if len(left) == 1 else "2 voters would be left: when one"
        return f"without peer {peer}, {word} fails, nothing is stored"
    return ""


def led_unseen(view: MeshView) -> int:
    """Who leads by the word of all voters that answer, and does not answer itself; 0 for nobody. The others and it must
    be a majority."""
    voters = view.told.voters if view.told is not None and view.founded else ()
    there = [row for row in view.peers if row.id in voters and row.reachable]
    named = {row.knows_leader or 0 for row in there}
    if view.leader is not None or len(named) != 1 or len(there) + 1 < len(voters) // 2 + 1:
        return 0
    (leader,) = named
    return leader if leader in voters and leader not in (row.id for row in there) else 0


def no_member(peer: int, view: MeshView) -> NotFound:
    """The error for a peer that the mesh has not."""
    ids = sorted(member.id for member in view.told.members) if view.told else []
    return NotFound(f"peer {peer} is no member of the mesh", hint=f"members: {listed(ids)}" if ids else _SEE)


def as_value(done: Done) -> dict[str, Any]:
    """For JSON."""
    return {
        "action": done.action,
        "peer": done.peer,
        "already": done.already,
        "leader": done.peer if done.action == TRANSFER else done.view.leader,
        "term": done.view.term,
        "members_index": done.view.told.index if done.view.told else None,
        "voters": list(done.view.told.voters) if done.view.told else [],
    }
