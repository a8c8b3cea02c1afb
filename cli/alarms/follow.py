"""The journal of the alarms as it grows: each line once, in order, whatever becomes of the peers meanwhile.

Touches sockets (through client.ask) and the monotonic clock. Must not know: the command line. Keeps: ids have no holes
and are equal on all peers, and a line is shown to nobody before a majority has it; so the next line is the one with the
next id, whoever tells it, and none is told twice or left out. All peers are asked at once: one that is behind, cut off
or dead costs nothing while another one answers; one whose data goes back to another beginning of the mesh is not heard.

    begin --the newest id, or a given one--> poll --rows from the next id on--> lines        nobody answers: poll again
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from hfzmq.cli.alarms.rows import JournalLine, episodes_of, journal_of
from hfzmq.cli.alarms.words import cause_words, event_words
from hfzmq.cli.format import json_line, local_time, printable
from hfzmq.client.ask import ask_all
from hfzmq.client.histories import followed, of_another
from hfzmq.clinical.alarm.types import HEART_RATE
from hfzmq.config import Config
from hfzmq.errors import HfzmqError, NoDaemonReached, NoLeader
from hfzmq.wire.members import newest, with_members

POLL_S = 0.2
BEGIN_WITHIN_S = 5.0
PAGE_ROWS = 1000
MEMBERS_EVERY_S = 5.0  # who the members are is looked at so often
SAY_AFTER_S = 2.0  # without news for so long, it is said
EPISODES_KEPT = 10_000

VERSIONS = "hfzmq status shows the versions of the daemons"

Answer = dict[str, Any]


class Line(NamedTuple):
    """A line of the journal, and whose alarm it is about; '' where it is about a bed."""

    line: JournalLine
    patient_id: str
    cause: str
    note: str


class Follower:
    """Follows the journal of the mesh of ``config``. ``say`` gets a sentence when nobody answers, and when one does
    again."""

    def __init__(self, config: Config, say: Callable[[str], None]) -> None:
        self._config = config
        self._say = say
        self._rest = threading.Event()  # never set: a rest that Ctrl-C ends
        self._last = 0
        self._about: dict[int, tuple[str, str, str]] = {}
        self._members_at = time.monotonic()
        self._fresh_at = time.monotonic()
        self._silent = False
        self._history: str | None = None
        self._ours: set[int] = set()  # who belongs to it, or says of none, as of its last answer
        self._others: set[int] = set()

    def begin(self, after_id: int | None, until: float) -> int:
        """Find the id after which ``lines`` begins: the given one, or the newest that any peer knows. Returns it.
        NoDaemonReached, NoLeader: no peer gives its journal before ``until`` (monotonic), nor within BEGIN_WITHIN_S."""
        until = min(until, time.monotonic() + BEGIN_WITHIN_S)
        self._look_at_members(at_once=True)
        while True:
            answers = self._ask({"before_id": 0, "limit": 1})
            pages = [journal_of(*_page(answer)) for answer in answers.values() if _is_ok(answer)]
            if pages:
                self._last = max((row.id for page in pages for row in page), default=0)
                if after_id is not None:
                    self._last = after_id
                return self._last
            if time.monotonic() >= until:
                raise self._unreached(answers)
            self._look_at_members(at_once=True)
            self._rest.wait(POLL_S)

    def lines(self, until: float) -> Iterator[Line]:
        """Each line after ``begin``'s as it appears; ends at ``until`` (monotonic)."""
        while True:
            found = self._poll()
            yield from found
            if time.monotonic() >= until:
                return
            if not found:
                self._look_at_members()
                self._rest.wait(min(POLL_S, max(0.0, until - time.monotonic())))

    # ------------------------------------------------------------ the parts

    def _poll(self) -> list[Line]:
        answers = self._ask({"after_id": self._last, "limit": PAGE_ROWS})
        self._note_freshness(answers)
        rows: dict[int, JournalLine] = {}
        teller: dict[int, int] = {}
        for peer, answer in answers.items():
            if _is_ok(answer):
                for row in journal_of(*_page(answer)):
                    rows.setdefault(row.id, row)
                    teller.setdefault(row.id, peer)
        found: list[Line] = []
        for row in (rows[number] for number in sorted(rows) if number > self._last):
            if row.id != self._last + 1:
                raise HfzmqError(
                    f"the journal has no line {self._last + 1}, but a line {row.id}",
                    hint="compare the peers: hfzmq status",
                )
            about = self._whose(row.episode_id, teller[row.id])
            if about is None:
                break  # whoever told the line has just died: ask again
            found.append(Line(row, *about))
            self._last = row.id
        return found

    def _whose(self, episode_id: int, peer: int) -> tuple[str, str, str] | None:
        """(patient, cause, note) of an episode, as far as that never changes; None when ``peer`` does not tell. What a
        RED or a NO DATA is about changes, and stands in the lines themselves."""
        if episode_id == 0:
            return "", "", ""
        if episode_id not in self._about:
            if len(self._about) >= EPISODES_KEPT:
                self._about.clear()
            wanted: dict[str, object] = {"after_id": episode_id - 1, "limit": PAGE_ROWS}
            answer = ask_all(self._config, "alarms", wanted, only=peer)[peer]
            if _is_ok(answer):
                for episode in episodes_of(*_page(answer)):
                    note = episode.note if episode.cause == HEART_RATE else ""
                    self._about[episode.id] = (episode.patient_id, episode.cause, note)
        return self._about.get(episode_id)

    def _ask(self, fields: dict[str, object]) -> dict[int, Answer | None]:
        """Of the peers whose data is of the mesh that goes on: an old disk that came back has another journal."""
        answers = ask_all(self._config, "alarm_events", fields)
        for peer in [peer for peer, answer in answers.items() if answer is None]:  # it may come back with another disk
            self._ours.discard(peer)
            self._others.discard(peer)
        found = {peer: answer if peer in self._ours else None for peer, answer in answers.items()}
        if any(answer is not None and peer not in self._ours | self._others for peer, answer in answers.items()):
            self._look_at_members(at_once=True)
        return found

    def _look_at_members(self, at_once: bool = False) -> None:
        now = time.monotonic()
        if at_once or now - self._members_at >= MEMBERS_EVERY_S:
            self._members_at = now
            answers = ask_all(self._config, "status")
            before, history = self._history, followed(self._history, answers)
            there = {peer: answer for peer, answer in answers.items() if answer is not None}
            self._others = of_another(history, there)
            self._ours = there.keys() - self._others
            self._config = with_members(self._config, newest(there[peer] for peer in self._ours))
            self._history = history
            if before not in (None, history):
                self._say("the mesh was begun anew: its journal from the first line on")
                self._last = 0
                self._about.clear()

    def _note_freshness(self, answers: dict[int, Answer | None]) -> None:
        """Say it when no peer that hears a leader answers any more: what happens now may be told late."""
        now = time.monotonic()
        if any(_is_ok(answer) and (answer or {}).get("stale_ms") is not None for answer in answers.values()):
            self._fresh_at = now
            if self._silent:
                self._silent = False
                self._say("live again")
        elif not self._silent and now - self._fresh_at >= SAY_AFTER_S:
            self._silent = True
            some = any(answer is not None for answer in answers.values())
            who = "no peer that answers hears a leader" if some else "no peer answers"
            self._say(f"NOT LIVE: {who}; what was missed will follow")
            self._look_at_members(at_once=True)

    def _unreached(self, answers: dict[int, Answer | None]) -> HfzmqError:
        said = next((answer for answer in answers.values() if answer is not None), None)
        if said is None:
            hosts = ", ".join(f"{peer.host}:{peer.client_port}" for peer in self._config.peers)
            return NoDaemonReached(f"no daemon answered ({hosts})", hint="start one: hfzmq serve --id N --data-dir DIR")
        why = said.get("bound") or said.get("status")
        return NoLeader(f"no peer gives its alarms now: {why}", hint=str(said.get("hint") or "hfzmq status"))


def as_json(line: Line) -> str:
    """For machines: the row, whose alarm it is, and its cause."""
    about = {"patient_id": line.patient_id or None, "cause": line.cause or None}
    return json_line({**line.line._asdict(), **about})


def as_sentence(line: Line) -> str:
    """For people."""
    row = line.line
    who = f"{cause_words(line.cause, line.note)} {printable(line.patient_id)} alarm {row.episode_id}: "
    return f"{local_time(row.at_ms)} {who if row.episode_id else ''}{event_words(row.what, row.detail)}"


def _is_ok(answer: Answer | None) -> bool:
    return answer is not None and answer.get("status") == "OK"


def _page(answer: Answer | None) -> tuple[list[str], list[list[Any]]]:
    fields, rows = (answer or {}).get("fields"), (answer or {}).get("rows")
    if not isinstance(fields, list) or not isinstance(rows, list):
        raise HfzmqError("a daemon answered in a way this version does not know", hint=VERSIONS)
    if not all(isinstance(row, list) and len(row) == len(fields) for row in rows):
        raise HfzmqError("a daemon answered rows that do not fit its fields", hint=VERSIONS)
    return fields, rows
