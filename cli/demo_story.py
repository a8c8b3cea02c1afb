"""The demo's story: the leader is killed, another leads, nothing is lost, the peer comes back and gets the lead again.

Touches nothing by itself: it is told the time, the board's status and the acks, and is handed what kills and starts a
peer. Must not know: processes, screens. Keeps: each line is said once, when it has become true, and stamped with the
moment of what it tells: the ack's own, the leader's own word of its election, else that of the poll that saw it.

    a leader --kill--> down --5 s--> started again --its log is the leader's--> caught up --the lead handed back-->
                       (meanwhile: another leads; reports are acknowledged again)
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from hfzmq.cli.board_feed import BoardStatus
from hfzmq.cli.demo_acks import Ack, Acks

RETURN_AFTER_MS = 5_000


class Story:
    """``kill(peer_id)`` and ``start(peer_id)`` act on the processes; ``say(line)`` gets each new line.

    ``down``: the peer that was killed and not yet started again. ``gaps_ms``: for each kill, how long after it the next
    report was acknowledged. ``hand_overs``: how often a killed peer was given the lead again by the one that led.
    """

    def __init__(
        self, acks: Acks, kill: Callable[[int], None], start: Callable[[int], None], say: Callable[[str], None]
    ) -> None:
        self._acks = acks
        self._kill = kill
        self._start = start
        self.say = say
        self._clock = (0, 0, 0)  # now, wall clock minus monotonic, the last good poll
        self._led: tuple[int | None, int | None] = (None, None)  # leader, term, as last told
        self._first_ack_told = False
        self.down: int | None = None
        self._victim: int | None = None  # of the last kill, until it leads again
        self._victim_boot: int | None = None  # its life that ended
        self._killed_at_ms = 0
        self._killed_term = 0
        self._awaits_ack = False
        self._healed_by: Ack | None = None
        self._catching_up = False
        self._another_led = False
        self.gaps_ms: list[int] = []
        self.kills = 0
        self.hand_overs = 0

    def tick(self, now_ms: int, status: BoardStatus) -> None:
        """Say what has become true; start the killed peer again when it is time."""
        self._set_clock(now_ms, status)
        self._tell_leader(status)
        first = self._acks.first
        if not self._first_ack_told and first is not None and self._led[0] is not None:
            self._first_ack_told = True
            self._say("first report acknowledged: synced disks of a majority hold it", self._wall(first.at_ms))
        self._tell_gap()
        if self.down is not None and now_ms - self._killed_at_ms >= RETURN_AFTER_MS:
            self.bring_back()
        if self._catching_up:
            self._tell_caught_up(status)

    def kill_leader(self, now_ms: int, status: BoardStatus) -> bool:
        """Kill whoever leads; False when nobody does, or the peer killed before is not well again."""
        mesh = status.mesh
        if mesh.leader is None or not mesh.serves or self.down is not None or self._catching_up:
            return False
        self._set_clock(now_ms, status)
        self._kill(mesh.leader)
        self.down = self._victim = mesh.leader
        self._victim_boot = mesh.peer(mesh.leader).boot
        self._killed_at_ms, self._killed_term = now_ms, mesh.term or 0
        self._awaits_ack, self._another_led = True, False
        self.kills += 1
        self._say(f"killed the leader, peer {mesh.leader}, with SIGKILL")
        return True

    @property
    def healed(self) -> bool:
        """Whether reports were acknowledged again after the last kill."""
        return not self._awaits_ack

    def bring_back(self) -> None:
        """Start the killed peer again, if there is one."""
        if self.down is None:
            return
        self._start(self.down)
        self._say(f"peer {self.down} is started again on its old disk")
        self.down, self._catching_up = None, True

    def _tell_leader(self, status: BoardStatus) -> None:
        mesh = status.mesh
        if mesh.leader is None or not mesh.serves or (mesh.leader, mesh.term) == self._led:
            return
        if mesh.leader == self._victim:
            if mesh.peer(mesh.leader).boot == self._victim_boot:
                return  # the last word of the dead
            again = ": the lead was handed back to it" if self._another_led else " again"
            self.hand_overs += self._another_led
            self._victim = None
        else:
            again = ""
            self._another_led = True
        said = f"peer {mesh.leader} is leader in term {mesh.term},"
        elected_ms = [event.at_ms for event in status.events if event.text.startswith(said)]
        self._say(f"peer {mesh.leader} leads in term {mesh.term}{again}", min(elected_ms, default=self._seen_ms))
        self._led = (mesh.leader, mesh.term)

    def _tell_gap(self) -> None:
        if self._awaits_ack:
            self._healed_by = self._acks.first_after(self._killed_at_ms, self._killed_term)
            if self._healed_by is not None:
                self._awaits_ack = False
                self.gaps_ms.append(self._healed_by.at_ms - self._killed_at_ms)
        ack = self._healed_by
        if ack is not None and (self._led[1] or 0) >= ack.term:  # first who leads, then what came of it
            self._healed_by = None
            words = f"reports are acknowledged again, {self.gaps_ms[-1]} ms after the kill, in term {ack.term}"
            self._say(words, self._wall(ack.at_ms))

    def _tell_caught_up(self, status: BoardStatus) -> None:
        peer = next(peer for peer in status.mesh.peers if self._victim in (None, peer.id))
        lives = peer.reachable and peer.boot != self._victim_boot
        if self._victim is None or (lives and status.mesh.serves and peer.trails_leader_by == 0):
            self._catching_up = False
            if self._victim is not None:
                self._say(f"peer {peer.id} has caught up: {peer.applied_index} entries applied", self._seen_ms)

    def _set_clock(self, now_ms: int, status: BoardStatus) -> None:
        polled_ms = now_ms if status.polled_at_ms is None else status.polled_at_ms
        self._clock = now_ms, status.wall_minus_mono_ms, polled_ms

    def _wall(self, at_ms: int) -> int:
        return at_ms + self._clock[1]

    @property
    def _seen_ms(self) -> int:
        return self._wall(self._clock[2])

    def _say(self, line: str, wall_ms: int | None = None) -> None:
        at = datetime.fromtimestamp((self._wall(self._clock[0]) if wall_ms is None else wall_ms) / 1000)
        self.say(f"{at.strftime('%H:%M:%S.%f')[:-3]} {line}")
