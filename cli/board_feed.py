"""The board's status value, and the thread that keeps it new by asking all peers.

Touches sockets (through client.ask) and the monotonic and wall clocks, in a thread of its own. Must not know how a
board is drawn. Keeps: ``latest`` is always a whole, frozen value; whatever fails in here leaves the last one standing,
and its ``polled_at_ms`` lets the renderer say NOT LIVE by itself; the thread never ends because of an answer.

    start --poll--> status of all peers --> beds of all peers --> a new BoardStatus --interval--> poll ...
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from hfzmq.cli.alarm_view import AlarmView, merge_alarms
from hfzmq.cli.bed_view import Bed, merge_beds
from hfzmq.cli.clock import age_clock_ms
from hfzmq.cli.format import printable
from hfzmq.cli.mesh_view import MeshView, mesh_view
from hfzmq.cli.pulse_view import Pulse, merge_pulses
from hfzmq.cli.why import Why, Whys
from hfzmq.client.histories import followed, of_another
from hfzmq.config import Config, Thresholds
from hfzmq.errors import HfzmqError

POLL_TIMEOUT_MS = 500  # a dead peer must not hold up the others' news for long
EVENTS_MAX = 50
WHYS_MAX = 50  # of the beds with the highest probability: a why takes milliseconds

Answers = Mapping[int, Mapping[str, Any] | None]
Ask = Callable[[str], Answers]


class Happening(NamedTuple):
    """A change of role or leader that a peer told of: its wall clock (Unix ms), its id, its words."""

    at_ms: int
    peer_id: int
    text: str


class BoardStatus(NamedTuple):
    """All that a board shows. Times are this machine's monotonic clock in ms unless they say wall.

    ``polled_at_ms``: the last poll in which at least one peer answered about the mesh and the beds; None: not yet.
    ``answered_at_ms``: (peer id, when it last answered). ``wall_minus_mono_ms`` turns one clock into the other.
    ``failure``: why the last poll came to nothing, and ``hint``, what to do; all the rest is of a poll before it.
    """

    mesh: MeshView
    thresholds: Thresholds
    beds: tuple[Bed, ...]
    events: tuple[Happening, ...]
    started_at_ms: int
    polled_at_ms: int | None
    answered_at_ms: tuple[tuple[int, int], ...]
    wall_minus_mono_ms: int
    failure: str = ""
    alarms: AlarmView = AlarmView()
    pulses: tuple[Pulse, ...] = ()
    whys: Mapping[str, Why] = MappingProxyType({})  # by patient: what moved the probability most
    hint: str = ""
    history: str | None = None  # which beginning of the mesh all this is of; None: nobody has said

    @property
    def trouble(self) -> str:
        """What failed and what to do, in one line; '' for nothing."""
        return printable(": ".join(filter(None, (self.failure, self.hint))))


def now_ms() -> int:
    """The monotonic clock in milliseconds, as all screens count it."""
    return age_clock_ms()


def empty_status(config: Config, at_ms: int) -> BoardStatus:
    """What is known before the first answer: the peers' ids and nothing else."""
    wall = time.time_ns() // 1_000_000 - at_ms
    return BoardStatus(mesh_view(config, {}), config.thresholds, (), (), at_ms, None, (), wall)


def updated(
    before: BoardStatus,
    config: Config,
    status: Answers,
    beds: Answers,
    at_ms: int,
    refusing: Mapping[int, str] = MappingProxyType({}),
) -> BoardStatus:
    """``before`` brought up to date by one poll's answers that came at ``at_ms``; ``refusing``: see ask_all. Of two
    histories (client/histories) only the one that goes on is shown, and nothing of another one stays."""
    mesh = mesh_view(config, status, refusing=refusing)
    history = followed(before.history, status)
    odd = of_another(history, status)
    beds = {peer: answer for peer, answer in beds.items() if peer not in odd}
    if before.history not in (None, history):
        before = before._replace(beds=(), pulses=(), alarms=AlarmView(), whys=MappingProxyType({}))
    answered = dict(before.answered_at_ms) | {peer.id: at_ms for peer in mesh.peers if peer.reachable}
    told = any(answer is not None and answer.get("status") == "OK" for answer in beds.values())
    known = merge_beds({bed.patient_id: bed for bed in before.beds}, beds.values(), at_ms)
    pulses = merge_pulses({pulse.patient_id: pulse for pulse in before.pulses}, beds.values(), at_ms)
    return before._replace(
        mesh=mesh,
        beds=tuple(known.values()),
        pulses=tuple(pulses.values()),
        events=_events(before.events, status),
        polled_at_ms=at_ms if told and mesh.answers else before.polled_at_ms,
        answered_at_ms=tuple(sorted(answered.items())),
        wall_minus_mono_ms=time.time_ns() // 1_000_000 - now_ms(),
        failure="",
        hint="",
        alarms=merge_alarms(before.alarms, beds.values(), at_ms),
        history=history,
    )


class BoardFeed:
    """Polls all peers until ``close``; ``latest`` is the newest status, made afresh by each poll."""

    def __init__(self, config: Config, interval_s: float = 0.5, ask: Ask | None = None) -> None:
        self._file_config = self._config = config
        self._interval_s = interval_s
        self._ask = ask or self._ask_all
        self._refusing: dict[int, str] = {}  # who runs, and would not have our key, when it was last asked
        self._whys = Whys()
        self._stop = threading.Event()
        self._soon = threading.Event()
        self._polled = threading.Event()
        self.latest = empty_status(config, now_ms())
        self.error: Exception | None = None  # of the last poll
        self._thread = threading.Thread(target=self._run, name="board-feed", daemon=True)

    def start(self) -> BoardFeed:
        """Begin to poll."""
        self._thread.start()
        return self

    def first_poll(self, timeout_s: float) -> bool:
        """Wait until one poll is done, whatever came of it; False when it took longer than ``timeout_s``."""
        return self._polled.wait(timeout_s)

    def close(self) -> None:
        """Stop polling; the thread ends after the poll it is in."""
        self._stop.set()
        self._soon.set()

    @property
    def config(self) -> Config:
        """The mesh as its members tell of it by now."""
        return self._config

    def hurry(self) -> None:
        """Poll now: something has just changed."""
        self._soon.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.poll()
                self.error = None
            except Exception as error:  # the board goes NOT LIVE and says why; the next poll may do better
                self.error = error
                self.latest = self._failed(error)
            self._polled.set()
            self._soon.wait(self._interval_s)
            self._soon.clear()

    def poll(self) -> None:
        """Ask all peers once and publish what they say."""
        status = self._ask("status")
        beds = self._ask("beds")
        latest = updated(self.latest, self._file_config, status, beds, now_ms(), self._refusing)
        urgent = sorted(latest.beds, key=lambda bed: -bed.report.probability)[:WHYS_MAX]
        whys = {bed.patient_id: self._whys.of_report(bed.report) for bed in urgent}
        self.latest = latest._replace(whys={patient: why for patient, why in whys.items() if why})

    def _failed(self, error: Exception) -> BoardStatus:
        """The last status, and why there is no newer one; before the first, at least who refuses our key."""
        latest = self.latest
        if latest.polled_at_ms is None:
            latest = latest._replace(mesh=mesh_view(self._config, {}, refusing=self._refusing))
        if isinstance(error, HfzmqError):
            return latest._replace(failure=str(error), hint=error.hint)
        return latest._replace(failure=f"internal error: {type(error).__name__}: {error}", hint="")

    def _ask_all(self, op: str) -> Answers:
        from hfzmq.client.ask import ask_all
        from hfzmq.wire.members import newest, with_members

        refusing: dict[int, str] = {}
        if op == "status":
            self._refusing = refusing  # filled also where it ends in an error
        answers = ask_all(self._config, op, timeout_ms=POLL_TIMEOUT_MS, refusing=refusing)
        if op == "status":
            # Also while nobody of the file is left, whoever took their place is asked.
            self._config = with_members(self._config, newest(answers.values()))
        return answers


def _events(before: Iterable[Happening], answers: Answers) -> tuple[Happening, ...]:
    found = set(before)
    for peer_id, answer in answers.items():
        peer = (answer or {}).get("peer")
        told = peer.get("events") if isinstance(peer, Mapping) else None
        for event in told if isinstance(told, (list, tuple)) else ():
            if isinstance(event, (list, tuple)) and len(event) == 2 and isinstance(event[0], int):
                found.add(Happening(event[0], peer_id, str(event[1])))
    return tuple(sorted(found))[-EVENTS_MAX:]
