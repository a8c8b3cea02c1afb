"""``hfzmq backup FILE``: a backup taken from a peer over the mesh, with an admin's key.

Touches sockets, the clock, the disk (through backup_part). Must not know: how it is shown. Keeps: what is written holds
all that the mesh had acknowledged when it was begun, as long as somebody leads (a quorum round says up to which entry
that is, and the peer waits until it has applied so much); when nobody does, all that stands in one peer's log, the one
that would win an election among those that answer; one request under way; a peer that cannot is left for the next one,
unless it was named.

    who is there, who leads --> up to which entry --> from the highest follower id, ..., the leader last: pull, end
                            `-> nobody ------------> from the newest log, with its tail                    |
                                                                           hash, sync, count, name <------'
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import zmq

from hfzmq.client.ask import ask_all, ask_leader, not_allowed, short_context
from hfzmq.client.backup_choice import histories, named, ranked, refuse_empty
from hfzmq.client.backup_part import Part
from hfzmq.client.backup_pull import Pull
from hfzmq.client.histories import apart
from hfzmq.client.key_faults import UNKNOWN, key_fault
from hfzmq.client.line import AUTH, SERVER, Curve, Line, curves_for, wait
from hfzmq.client.pirate import KEY_FIELD
from hfzmq.config import Config
from hfzmq.errors import (
    HfzmqError,
    InvalidInput,
    MeshUnavailable,
    NoDaemonReached,
    NoLeader,
    TimedOut,
    WireError,
)
from hfzmq.storage.backup import CHECKING, Backup, Progress
from hfzmq.wire import members
from hfzmq.wire.backup import WAITING, Answer, Busy, Failed, Refused, TakeBackup, read_answer
from hfzmq.wire.requests import decode_reply, encode_request

STATUS_MS = 1000
LEADER_MS = 3000
ANSWER_S = 20.0  # for a piece: a mebibyte, over a slow link
PATIENCE_S = 45.0  # without anything that brings it on; the peer drops it after 60
BUSY_PATIENCE_S = 150.0  # while another backup is taken from that peer
FAREWELL_S = 1.0
SAY_AFTER_S = 2.0  # of silence
REST_S, REST_S_MAX = 0.1, 2.0
FAULTS_MAX = 3  # failed handshakes in a row: one that is broken off looks like a wrong key
PULLING = "pulling"
EACH_BY_ITSELF = "back each up by itself: --peer N; then see backup.md, Two histories"
NOBODY_LEADS = (
    "warning: nobody leads; this backup holds all that is in the log of one peer, committed or not; "
    "what the others hold and that peer does not may be missing in it"
)

Say = Callable[[str], None]
"""Told, in one line, what the operator should know while it goes on."""


class Taken(NamedTuple):
    """What was taken, from which peer. ``acknowledged``: the entry up to which all that had been acknowledged is in it
    for sure; None: nobody led, and it is not known."""

    backup: Backup
    peer: int
    acknowledged: int | None


class _NotFromHere(Exception):
    """That peer cannot; another one may. ``error``: what is told where none can."""

    def __init__(self, error: HfzmqError) -> None:
        super().__init__(str(error))
        self.error = error


def take(config: Config, to: Path, peer: int | None, progress: Progress, say: Say) -> Taken:
    """Take a backup into ``to``, a new file; from ``peer``, or from whom it fits best.

    KeysError: our key is refused, or is no admin's. NoDaemonReached, TimedOut, MeshUnavailable: nobody can give one
    now. InvalidInput, DataDirError: see backup_part. All of them leave nothing behind."""
    part = Part(to)
    try:
        refusing: dict[int, str] = {}
        answers = ask_all(config, "status", timeout_ms=STATUS_MS, refusing=refusing)
        config = members.with_members(config, members.newest(answers.values()))
        there = {one: answer["peer"] for one, answer in answers.items() if answer and "peer" in answer}
        acknowledged = _acknowledged(config)
        odd = apart(answers)
        if odd and acknowledged is None and peer is None:
            raise NoLeader(f"{histories(there, odd)}, and nobody leads a quorum", hint=EACH_BY_ITSELF)
        led = {one: told for one, told in there.items() if one not in odd}
        chosen = ranked(config, led, acknowledged) if peer is None else [named(config, there, peer, refusing)]
        if peer in odd:
            say(f"warning: {histories(there, odd)}: this backup holds all that is in the log of peer {peer}")
            acknowledged = None  # what the leader says is of the other one
        elif acknowledged is None:
            refuse_empty(config, there, chosen, refusing)
            say(NOBODY_LEADS)
        at_least = acknowledged if acknowledged is not None else 0
        for number, one in enumerate(chosen, 1):
            try:
                with short_context() as context:
                    asking = _Asking(context, config, one, progress, say, others=number < len(chosen))
                    made = asking.take(Pull(part, at_least, tail=acknowledged is None), part)
                return Taken(made, one, acknowledged)
            except _NotFromHere as gone:
                if number == len(chosen):
                    raise gone.error from None
                say(f"{gone.error}; peer {chosen[number]} is asked")
        raise AssertionError("somebody was chosen")
    finally:
        part.discard()


def _acknowledged(config: Config) -> int | None:
    """An entry at or beyond everything that was acknowledged before; None: nobody leads a quorum."""
    try:
        told = ask_leader(config, "reports", {"consistent": True, "limit": 1}, LEADER_MS).get("applied_index")
    except (NoLeader, NoDaemonReached, TimedOut):
        return None
    return told if isinstance(told, int) and told >= 0 else None


class _Asking:
    """One peer, asked for one piece after the other. ``others``: whether somebody else can be asked instead."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        config: Config,
        peer: int,
        progress: Progress,
        say: Say,
        others: bool,
    ) -> None:
        self._context = context
        self._config = config
        self._peer = peer
        self._address = config.peer(peer)
        self._progress = progress
        self._say = say
        self._others = others
        self._line: Line | None = None
        self._faults = 0
        self._silent_since = 0.0  # 0: that is not to be said
        self._busy_end = 0.0  # until when another backup is waited for; 0: none is
        try:
            self._curves: list[Curve | None] = curves_for(config.keys, peer)
        except KeyError:
            raise _NotFromHere(key_fault(config, {peer: UNKNOWN})) from None

    def take(self, pull: Pull, part: Part) -> Backup:
        """All of it, checked and named."""
        try:
            try:
                while True:
                    self._pull(pull)
                    self._progress(CHECKING, 0.0)
                    if part.is_whole(pull.size, pull.sha256):
                        break
                    self._say(f"what came from peer {self._peer} is not what it has; it is taken once more")
                    pull.begin_anew()
            except MeshUnavailable as error:
                raise _NotFromHere(MeshUnavailable(f"peer {self._peer}: {error}", hint=error.hint)) from None
        finally:
            self._silent_since = 0.0
            self._hang_up()  # something may be under way there
            with suppress(_NotFromHere):
                self._exchange(pull.farewell(), FAREWELL_S)
            self._hang_up()
        return part.finish(self._config.mesh_id)._replace(tail_entries=pull.tail_entries)

    def _pull(self, pull: Pull) -> None:
        """Until all bytes are there."""
        until, steps, rest_s = time.monotonic() + PATIENCE_S, pull.steps, REST_S
        self._silent_since = time.monotonic()
        while not pull.done:
            answer = self._exchange(pull.wanted(), ANSWER_S)
            if answer is None:
                wait_s, rest_s = rest_s, min(2 * rest_s, REST_S_MAX)
                if self._line is not None:  # it was there all the time, and silent
                    self._hang_up()
                    pull.late()
            else:
                rest_s = REST_S
                self._judge(answer)
                wait_s = pull.heard(answer) / 1000
            now = time.monotonic()
            if isinstance(answer, Busy) and answer.by:
                until = max(until, self._busy_until(answer.by, now))
            elif pull.steps != steps:
                until, steps = now + PATIENCE_S, pull.steps
                self._show(pull)
            if now > until:
                raise _NotFromHere(self._stuck(answer, pull))
            if wait_s:
                time.sleep(wait_s)

    def _judge(self, answer: Answer) -> None:
        """What ends it at this peer."""
        if isinstance(answer, Failed):
            raise _NotFromHere(MeshUnavailable(f"peer {self._peer}: {answer.cause}", hint=answer.hint))
        if not isinstance(answer, Refused):
            return
        if answer.field == KEY_FIELD:
            raise not_allowed(self._config, answer._asdict())
        if answer.field in ("op", "tail"):
            raise _NotFromHere(
                MeshUnavailable(
                    f"peer {self._peer} is of a version that gives no backup over the mesh",
                    hint="on its own machine: hfzmq backup --db FILE --to FILE",
                )
            )
        if answer.field != "offset":
            raise _NotFromHere(InvalidInput(answer.field, answer.bound, hint=answer.hint))

    def _busy_until(self, by: str, now: float) -> float:
        taken = f"peer {self._peer} is giving a backup to the key of {by}"
        if self._others:
            raise _NotFromHere(TimedOut(taken))
        if not self._busy_end:
            self._busy_end = now + BUSY_PATIENCE_S
            self._say(f"{taken}; waiting for that")
        if now > self._busy_end:
            raise _NotFromHere(TimedOut(f"{taken}, still", hint="take it from another peer: --peer N"))
        return self._busy_end

    def _stuck(self, answer: Answer | None, pull: Pull) -> HfzmqError:
        come = f"; {pull.share:.0%} of the backup had come" if pull.size else ""
        if answer is None:
            return NoDaemonReached(
                f"peer {self._peer} has not answered for {PATIENCE_S:.0f} s{come}",
                hint="has it ended? hfzmq status; or from another peer: --peer N",
            )
        if pull.making[0] == WAITING and not pull.size:
            return TimedOut(
                f"peer {self._peer} is behind: it has not come to the last acknowledged entry in {PATIENCE_S:.0f} s",
                hint="who is behind: hfzmq status; or from another peer: --peer N",
            )
        return TimedOut(f"nothing of use came from peer {self._peer} for {PATIENCE_S:.0f} s{come}", hint="hfzmq status")

    def _show(self, pull: Pull) -> None:
        doing, share = pull.making
        if pull.size:
            self._progress(PULLING, pull.share)
        elif doing:
            self._progress(f"peer {self._peer}: {doing}", share)

    # ------------------------------------------------------------ one request

    def _exchange(self, request: TakeBackup, within_s: float) -> Answer | None:
        """What the peer answers; None: nothing of use within that time (the line is then still there), or it is gone
        (it is not)."""
        fields = {key: value for key, value in request._asdict().items() if value or key == "offset"}
        if self._line is None:
            self._line = Line(self._context, self._address.host, self._address.client_port, self._curves[0])
        line = self._line
        line.send(encode_request(self._config.mesh_id, "backup", **fields))
        until = time.monotonic() + within_s
        while True:
            frame = line.reply()
            if frame is not None:
                self._faults = 0
                self._silent_since = time.monotonic()
                return _read(frame)
            self._say_silent()
            if line.lost:
                self._hang_up()
                self._count_fault(line.fault)
                return None
            if time.monotonic() >= until:
                return None
            wait([line], min(until, time.monotonic() + SAY_AFTER_S))

    def _say_silent(self) -> None:
        """Once for each silence, for it may take long until it is given up."""
        if self._silent_since and time.monotonic() - self._silent_since > SAY_AFTER_S:
            self._silent_since = 0.0
            peer, host, port = self._address[:3]
            self._say(f"peer {peer} at {host}:{port} does not answer; it is waited for up to {PATIENCE_S:.0f} s")

    def _count_fault(self, fault: str) -> None:
        self._faults = self._faults + 1 if fault else 0
        if fault == SERVER:  # it may still serve with an older key than the one that the mesh expects of it
            self._curves = [*self._curves[1:], self._curves[0]]
        if fault == AUTH or self._faults >= FAULTS_MAX * len(self._curves):
            raise _NotFromHere(key_fault(self._config, {self._peer: fault}))

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None


def _read(frame: bytes) -> Answer | None:
    try:
        return read_answer(decode_reply(frame))
    except WireError:
        return None
