"""One run of the demo: the processes, the board or the lines, the orderly end, the verdict.

Touches processes (through Processes), the terminal, one directory. Must not know: how a mesh works; it only watches.
Keeps: well means that every acknowledged report is in each peer's file exactly once, the files are equal, and nothing
failed on the way; whatever ends the run, no child stays behind.

    peers and patients start --> the board, or plain lines --q, duration, signal--> patients stop, the queue drains
        --> the peers are level --> the peers stop --> their files are read --> verdict
"""

from __future__ import annotations

import secrets
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import IO, cast

import click
from rich.console import RenderableType

from hfzmq.cli.board_feed import POLL_TIMEOUT_MS, BoardFeed, BoardStatus, now_ms
from hfzmq.cli.demo_acks import Acks
from hfzmq.cli.demo_check import Verdict, check_files, summary
from hfzmq.cli.demo_story import Story
from hfzmq.cli.format import counted
from hfzmq.cli.live_screen import run_screen, stop_signals
from hfzmq.cli.processes import Processes, free_addresses, serve_arguments
from hfzmq.cli.screens.board import board
from hfzmq.cli.throwaway import with_throwaway_keys
from hfzmq.config import Config, Timing, load, render
from hfzmq.errors import InvalidInput
from hfzmq.secret_files import COMMAND_KEY, with_own_key

HEADLESS_DURATION_S = 30.0
KILL_AFTER_MS = 4_000  # without a terminal: so long after the first ack
TICK_S = 0.05
POLL_S = 0.25
PATIENT_INTERVAL_S = "0.5"
PATIENT_SEED = "8"  # of six patients one is mostly RED, two are AMBER, and they change
HANDOVER_SETTLE_MS = 5_000  # short, so that the whole story fits into half a minute
DRAIN_S = 15.0
LEVEL_S = 20.0
STORY_LINES = 4
PATIENTS = "patients"
KEYS = "k kill the leader  q quit"


class Demo:
    """The demo in ``directory``, which exists. InvalidInput when the directory holds a demo of another size."""

    def __init__(self, directory: Path, peers: int, patients: int) -> None:
        self._directory = directory
        self._patients = patients
        self._config = demo_config(directory, peers)
        self._processes = Processes(directory)
        self._acks = Acks()
        self._feed = BoardFeed(self._config, POLL_S)
        self._lines: deque[str] = deque(maxlen=STORY_LINES)
        self._story = Story(self._acks, self._kill_peer, self._start_peer, self._lines.append)
        self._problems: list[str] = []

    def run(self, show: bool, duration_s: float | None) -> bool:
        """The whole of it, on the board (``show``) or in plain lines; whether all is well."""
        with stop_signals() as stopped:
            try:
                for peer_id in self._config.peer_ids:
                    self._start_peer(peer_id)
                self._start_patients()
                self._feed.start()
                try:
                    if show:
                        self._show(duration_s, stopped)
                    else:
                        self._tell(duration_s or HEADLESS_DURATION_S, stopped)
                except KeyboardInterrupt:  # as good as q; once more while it ends, and it ends at once
                    pass
                verdict = self._finish()
            finally:
                self._feed.close()
                self._processes.kill_all()
        return self._conclude(verdict)

    # ------------------------------------------------------------------------------------------------ the story runs

    def _show(self, duration_s: float | None, stopped: Callable[[], bool]) -> None:
        until_ms = None if duration_s is None else now_ms() + int(duration_s * 1000)

        def draw(width: int, height: int, at_ms: int) -> RenderableType:
            return board(self._feed.latest, width, height, at_ms, KEYS, self._told())

        def on_key(key: str) -> bool:
            self._story.tick(now_ms(), self._feed.latest)
            self._watch()
            if key in ("k", "K") and not self._story.kill_leader(now_ms(), self._feed.latest):
                self._lines.append("k: not now; a leader must serve, and the peer killed before must have caught up")
            return key not in ("q", "Q") and not stopped() and (until_ms is None or now_ms() < until_ms)

        run_screen(draw, on_key)

    def _told(self) -> list[str]:
        waiting = self._acks.waiting
        count = f"{counted(self._acks.count, 'report')} acknowledged, {waiting} waiting"
        return [*self._lines, *self._problems, count]

    def _tell(self, duration_s: float, stopped: Callable[[], bool]) -> None:
        self._story.say = _print
        started_ms = now_ms()
        first_ack_ms: int | None = None
        peers, patients = ", ".join(map(str, self._config.peer_ids)), counted(self._patients, "simulated patient")
        _print(f"starting: peers {peers}; {patients}")
        while not stopped() and now_ms() - started_ms < duration_s * 1000:
            at_ms, status = now_ms(), self._feed.latest
            self._story.tick(at_ms, status)
            self._watch()
            if first_ack_ms is None:
                first_ack_ms = at_ms if self._acks.count else None
            elif not self._story.kills and at_ms - first_ack_ms >= KILL_AFTER_MS:
                self._story.kill_leader(at_ms, status)
            time.sleep(TICK_S)

    # ------------------------------------------------------------------------------------------------- the processes

    def _start_peer(self, peer_id: int) -> None:
        self._processes.start(_name(peer_id), *serve_arguments(self._config, peer_id, self._directory))

    def _kill_peer(self, peer_id: int) -> None:
        self._processes.kill(_name(peer_id))

    def _start_patients(self) -> None:
        process = self._processes.start(
            PATIENTS,
            *("client", "--patients", str(self._patients), "--config", self._config.path, "--headless", "-o", "jsonl"),
            *("--interval", PATIENT_INTERVAL_S, "--seed", PATIENT_SEED, "--queue", str(self._directory / "queue")),
            piped=True,
        )
        self._acks.follow(cast(IO[bytes], process.stdout))

    def _watch(self) -> None:
        """A child that ended by itself is a problem, said once."""
        for name in (PATIENTS, *map(_name, self._config.peer_ids)):
            expected = self._story.down is not None and name == _name(self._story.down)
            if not expected and not self._processes.alive(name):
                self._problem(f"{name} ended by itself: {self._processes.last_words(name) or 'it said nothing'}")

    def _problem(self, text: str) -> None:
        if text not in self._problems:
            self._problems.append(text)

    # ------------------------------------------------------------------------------------------------------- the end

    def _finish(self) -> Verdict:
        _progress("the patients stop; what is queued is sent")
        self._story.bring_back()
        self._await(lambda status: self._story.healed and self._acks.waiting == 0, DRAIN_S)
        self._processes.terminate(PATIENTS, within_s=DRAIN_S)
        self._acks.join(2.0)
        _progress("waiting until all peers have applied the same")
        since_ms = now_ms() + 2 * POLL_TIMEOUT_MS  # what was asked before all this does not count
        if not self._await(lambda status: _level(status, since_ms), LEVEL_S):
            self._problem(f"the peers were not level within {LEVEL_S:.0f} s")
        peers = [_name(peer_id) for peer_id in self._config.peer_ids]
        for late in self._processes.terminate(*peers):
            self._problem(f"{late} did not end when asked to")
        files = {n: self._directory / f"peer-{n}" / f"hfzmq_{n}.db" for n in self._config.peer_ids}
        return check_files(files, self._acks.acknowledged)

    def _await(self, reached: Callable[[BoardStatus], bool], within_s: float) -> bool:
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            self._story.tick(now_ms(), self._feed.latest)
            if reached(self._feed.latest):
                return True
            time.sleep(TICK_S)
        return False

    def _conclude(self, verdict: Verdict) -> bool:
        story = self._story
        lines = summary(verdict)
        for gap_ms in story.gaps_ms:
            lines.append(f"  the leader was killed; the next acknowledgement came {gap_ms} ms later")
        if story.kills > len(story.gaps_ms):
            self._problem("after a kill no report was acknowledged any more")
        if story.hand_overs:
            lines.append("  it came back, caught up and was given the lead again")
        if self._acks.rejected:
            self._problem(f"the mesh refused {counted(self._acks.rejected, 'report')}")
        well = verdict.well and not self._problems
        lines += [f"  problem: {problem}" for problem in self._problems]
        lines.append(f"  well: {'yes' if well else 'NO'}")
        click.echo("\n".join(lines))
        return well


def demo_config(directory: Path, peers: int) -> Config:
    """The peers.yaml in ``directory``; made when there is none, with free ports and times that suit a short story."""
    path = directory / "peers.yaml"
    if not path.exists():
        timing = Timing(handover_settle_ms=HANDOVER_SETTLE_MS)
        made = Config("demo", secrets.token_bytes(16), free_addresses(peers), timing)
        path.write_text(render(with_throwaway_keys(made, directory)), encoding="utf-8")
    config = with_own_key(load(path), COMMAND_KEY, {})
    if len(config.peers) != peers:
        raise InvalidInput("peers", f"{len(config.peers)}, as in {path}", got=peers, hint="or use another --data-dir")
    return config


def _level(status: BoardStatus, since_ms: int) -> bool:
    if (status.polled_at_ms or 0) < since_ms:
        return False
    applied = {peer.applied_index for peer in status.mesh.peers}
    return status.mesh.serves and len(applied) == 1 and all(peer.trails_leader_by == 0 for peer in status.mesh.peers)


def _name(peer_id: int) -> str:
    return f"peer-{peer_id}"


def _print(line: str) -> None:
    click.echo(line)
    sys.stdout.flush()


def _progress(line: str) -> None:
    click.echo(f"{line} ...", err=True)
