"""The gate: which bytes from other peers may reach the core.

Touches nothing. Must not know: members, terms (the core decides who counts). Keeps: what passes is a whole message of
this mesh, to this peer, from the newest life of its incarnation, and not from one of another history (history.py); all
else is dropped and counted. Safety rests on the last of these alone: the core takes for granted that all logs it hears
of began with the same entry. The others spare it nonsense, and what slips through late is harmless.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from hfzmq.core.messages import JoinRequest
from hfzmq.errors import WireError
from hfzmq.wire import peers
from hfzmq.wire.peers import Content

LIVES_MAX = 1024
STRANGERS_OF_A_PEER_MAX = 8  # lives of one id: the newest, and no line in the log for more
STRANGE_FOR_MS = 10_000

Life = tuple[int, bytes]
"""A peer and its incarnation."""

log = logging.getLogger("hfzmq.gate")


class Admitted(NamedTuple):
    """A message that may pass, and who it is from."""

    sender: int
    incarnation: bytes
    boot: int
    content: Content


class Gate:
    """Checks envelopes for the daemon ``me`` of ``mesh_id``. ``counts``: whether an incarnation of a peer is a member;
    who is none may speak all the same (it would like to join), and is among the ``strangers``. ``disown``: tell an
    earlier start that it is one. ``history``: which one this peer belongs to, b"" while that is not known."""

    def __init__(
        self,
        mesh_id: bytes,
        me: int,
        counters: Counter[str],
        counts: Callable[[int, bytes], bool],
        disown: Callable[[int, bytes, int], None],
        clock_ms: Callable[[], float],
        history: Callable[[], bytes],
    ) -> None:
        self._mesh_id = mesh_id
        self._me = me
        self._counters = counters
        self._counts = counts
        self._disown = disown
        self._clock_ms = clock_ms
        self._history = history
        self._others: dict[int, tuple[float, bytes]] = {}  # who was heard with another history, when last, with which
        self._strangers: dict[Life, float] = {}  # who was heard and is no member, and when last
        self._asked: dict[Life, float] = {}  # when it last asked to join
        self._lives: dict[Life, int] = {}  # newest boot

    def strangers(self, now_ms: float) -> dict[Life, bool]:
        """Who was lately heard and is (still) no member, and whether it asks to be one: it has lost its disk, was
        removed, is new, or claims the id of another."""
        return {
            life: now_ms - self._asked.get(life, -1e18) < STRANGE_FOR_MS
            for life, at in self._strangers.items()
            if now_ms - at < STRANGE_FOR_MS and not self._counts(*life)
        }

    def other_histories(self, now_ms: float) -> dict[int, bytes]:
        """Who was lately heard with another history than this peer's, and with which."""
        own = self._history()
        return {
            peer: history
            for peer, (at, history) in self._others.items()
            if own and history != own and now_ms - at < STRANGE_FOR_MS
        }

    def admit(self, frame: bytes, speaker: int | None = None) -> Admitted | None:
        """A message and its sender, or None for what must not pass. ``speaker``: the id of the peer whose key it came
        with, 0 for none in force; None where there are no keys."""
        if speaker == 0:
            self._counters["peer_message_key_not_in_force"] += 1
            return None
        try:
            letter = peers.decode(frame)
        except WireError as error:
            if error.field == "version":
                self._note_other_version(error)
            else:
                self._counters["peer_message_malformed"] += 1
            return None
        sender = letter.sender
        if speaker not in (None, sender.peer):
            self._note_other_key(speaker, sender.peer)
            return None
        if sender.mesh_id != self._mesh_id:
            self._counters["peer_message_other_mesh"] += 1
            return None
        if sender.to not in (0, self._me):
            self._counters["peer_message_not_for_me"] += 1
            return None
        if sender.peer == self._me:
            self._counters["peer_message_with_my_id"] += 1
            return None
        own = self._history()
        if own and sender.history and sender.history != own:
            self._note_other_history(sender.peer, sender.history, own)
            return None
        life = (sender.peer, sender.incarnation)
        if sender.boot < self._lives.get(life, 0):
            self._counters["peer_message_earlier_life"] += 1
            self._disown(*life, sender.boot)  # if that start still runs, another one goes on in its name
            return None
        if len(self._lives) >= LIVES_MAX and life not in self._lives:
            self._lives.pop(next(iter(self._lives)))
        self._lives[life] = sender.boot
        if not self._counts(*life):
            self._note_stranger(life, isinstance(letter.content, JoinRequest))
        return Admitted(sender.peer, sender.incarnation, sender.boot, letter.content)

    def _note_other_version(self, error: WireError) -> None:
        if not self._counters["peer_message_other_version"]:
            log.warning("a peer speaks another version of the peers' protocol (%s): it is not heard", error.bound)
        self._counters["peer_message_other_version"] += 1

    def _note_other_key(self, speaker: int | None, claimed: int) -> None:
        if not self._counters["peer_message_with_anothers_key"]:
            log.warning("peer %s speaks as peer %d, whose key it does not have: it is not heard", speaker, claimed)
        self._counters["peer_message_with_anothers_key"] += 1

    def _note_other_history(self, peer: int, history: bytes, own: bytes) -> None:
        now_ms = self._clock_ms()
        self._counters["peer_message_other_history"] += 1
        before = self._others.pop(peer, (-1e18, b""))
        if now_ms - before[0] >= STRANGE_FOR_MS:
            log.warning(
                "peer %d holds another history of this mesh (%s) than this peer (%s): it is not heard, and counts for "
                "nothing. The mesh was begun anew on empty disks, and an old disk is back: touch no disk, see "
                "hfzmq status", peer, history.hex(), own.hex(),
            )  # fmt: skip
        self._others[peer] = (now_ms, history)
        while len(self._others) > LIVES_MAX:
            self._others.pop(next(iter(self._others)))

    def _note_stranger(self, life: Life, asks: bool) -> None:
        now_ms = self._clock_ms()
        self._counters["peer_message_of_no_member"] += 1
        before = self._strangers.pop(life, -1e18)
        if now_ms - before >= STRANGE_FOR_MS and self._is_room_for(life[0], now_ms):
            log.warning("peer %d speaks as one that is no member: it counts for nothing until it is", life[0])
        self._strangers[life] = now_ms  # and at the end: the first is always the one that was silent longest
        if asks:
            self._asked[life] = now_ms
        while len(self._strangers) > LIVES_MAX:
            self._forget(next(iter(self._strangers)))

    def _is_room_for(self, peer: int, now_ms: float) -> bool:
        """Whether fewer lives of this id than are kept were heard of late; the oldest of them makes room."""
        lives = [life for life in self._strangers if life[0] == peer]
        recent = sum(now_ms - self._strangers[life] < STRANGE_FOR_MS for life in lives)
        for life in lives[: max(0, len(lives) + 1 - STRANGERS_OF_A_PEER_MAX)]:
            self._forget(life)
        return recent < STRANGERS_OF_A_PEER_MAX

    def _forget(self, life: Life) -> None:
        del self._strangers[life]
        self._asked.pop(life, None)
