"""The stage of one round: peers and clients as real processes in one folder, what is done to them, what is waited for.

Touches processes (through Processes), relays, one folder; asks the peers over the wire like any client. Must not know:
which scenario is played. Keeps: every wait has a deadline and says what it waited for; a child that ends though nobody
ended it is a failure of the round, at once; what was done is kept with its moment, in the words that the table shows.
"""

from __future__ import annotations

import secrets
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

from hfzmq.cli.format import counted
from hfzmq.cli.mesh_view import MeshView, mesh_view
from hfzmq.cli.processes import Processes, free_addresses
from hfzmq.cli.scenario.clients import Clients
from hfzmq.cli.scenario.relay import Links
from hfzmq.cli.scenario.writer import Sessions
from hfzmq.cli.throwaway import with_throwaway_keys
from hfzmq.client.ask import ask_all
from hfzmq.config import Config, PeerAddress, Timing, render
from hfzmq.errors import HfzmqError

WITHIN_S = 30.0  # a deadline, unless a scenario gives another
TICK_S = 0.03
ASK_EVERY_S = 0.15
ASK_TIMEOUT_MS = 400
TIMING = Timing(handover_settle_ms=3_000)  # short, so that a round with a hand-over is short
FIRST_FLOW = 50
STEADY = Sessions("bed", 2, 1, 0.02)

Found = TypeVar("Found")


class Failed(HfzmqError):
    """The round did not go as it must: not in time, or somebody ended who should not have (the verdict says why)."""


class Injected(NamedTuple):
    """What was done to the mesh, and how long after the round's beginning."""

    at_ms: int
    words: str


class Stage:
    """See the module. ``tick`` is called several times a second and may raise to end the round; ``tell`` gets each step
    in words. ``spare``: so many more peers may join later; ``keys``: False for a mesh without any."""

    def __init__(
        self,
        folder: Path,
        peers: int,
        *,
        links: bool = False,
        spare: int = 0,
        timing: Timing = TIMING,
        keys: bool = True,
        tick: Callable[[], None] = lambda: None,
        tell: Callable[[str], None] = lambda words: None,
    ) -> None:
        self.folder = folder
        self._tick = tick
        self._tell = tell
        self._began = time.monotonic()
        addresses = free_addresses(peers + spare)
        everyone = Config("scenario", secrets.token_bytes(16), addresses, timing)
        self.everyone = with_throwaway_keys(everyone, folder) if keys else everyone
        self.config = self.written("peers", self.everyone._replace(peers=addresses[:peers]))
        self.processes = Processes(folder)
        self.links = Links() if links else None
        if self.links is not None:
            for peer in self.config.peers:
                self.written(f"peers-{peer.id}", self._seen_by(peer.id, self.links))
            self.links.start()
        self.clients = Clients(folder, self.processes)
        self.acks = self.clients.acks
        self.injected: list[Injected] = []
        self.measured: dict[str, int] = {}  # figures of one scenario only, by name
        self.members: set[int] = set(self.config.peer_ids)  # who must hold everything at the end
        self.running: set[int] = set()
        self.ended: set[int] = set()  # peers whose files are a true beginning only: dead, removed
        self._leaving: set[int] = set()  # peers that may end by themselves
        self._asked: tuple[float, MeshView] | None = None

    # ------------------------------------------------------------------------------------------------------- the peers

    def start(self, *peers: int) -> None:
        """Start these peers, or start them again on the disks they have."""
        for peer in peers:
            words = ["--id", str(peer), "--config", self.config.path, "--data-dir", str(self.data_dir(peer))]
            if self.links is not None:
                words[3] = str(self.folder / f"peers-{peer}.yaml")
            elif peer not in self.config.peer_ids:
                words[3] = self.written(f"peers-{peer}", self.everyone).path
                words.append("--join")
            self.processes.start(_name(peer), "serve", *words)
            self.running.add(peer)
            self.ended.discard(peer)

    def kill(self, *peers: int) -> None:
        """SIGKILL: at once, for all of them."""
        for peer in peers:
            self.processes.signal(_name(peer), signal.SIGKILL)
        for peer in peers:
            self.processes.kill(_name(peer))
        self._gone(peers)

    def stop(self, *peers: int) -> None:
        """SIGTERM, and wait."""
        self._gone(peers)
        late = self.processes.terminate(*map(_name, peers))
        if late:
            raise Failed(f"{', '.join(late)} did not end within the time that SIGTERM gives")

    @contextmanager
    def frozen(self, peer: int) -> Iterator[None]:
        """Within it the peer is stopped like a hung machine (SIGSTOP); afterwards it goes on."""
        self.processes.signal(_name(peer), signal.SIGSTOP)
        try:
            yield
        finally:
            self.processes.signal(_name(peer), signal.SIGCONT)

    def may_leave(self, peer: int) -> None:
        """From now on this peer may end by itself, and its file need not be whole."""
        self._leaving.add(peer)
        self.members.discard(peer)

    def wait_gone(self, peer: int) -> None:
        """Until a peer has ended by itself."""
        self.wait(f"peer {peer} stops by itself", lambda: not self.processes.alive(_name(peer)))
        self._gone((peer,))

    def data_dir(self, peer: int) -> Path:
        """Where a peer keeps its file."""
        return self.folder / _name(peer)

    def file(self, peer: int) -> Path:
        """A peer's file."""
        return self.data_dir(peer) / f"hfzmq_{peer}.db"

    # ----------------------------------------------------------------------------------------------------- the clients

    def begin(self, steady: bool = True) -> None:
        """Start all first peers, wait until the lowest id leads (whoever was up first may have begun); with ``steady``
        start those who report all the time."""
        self.start(*self.config.peer_ids)
        self.leader((min(self.config.peer_ids),), "the lowest id leads")
        if steady:
            self.write("writer", STEADY)
            self.clients.bedside("bedside", self.config.path)
            self.flow(FIRST_FLOW, "the first reports are acknowledged")

    def write(self, name: str, sessions: Sessions, config: Config | None = None, steady: bool = True) -> None:
        """Start a process that writes reports (to the peers of ``config``). ``steady``: its silences count."""
        self.clients.write(name, sessions, (config or self.config).path, steady)

    def end_clients(self) -> list[str]:
        """Ask all clients to end, wait for their last acknowledgements; what went wrong, in words."""
        self._tell("the clients stop; what is queued is sent")
        if self.links is not None:
            self.links.mend()  # a round that failed may have left them cut
        problems: list[str] = []

        def turn() -> None:
            try:
                self._turn()
            except Failed as failure:  # the clients are to end all the same
                problems.append(str(failure))

        return self.clients.end(turn) + problems

    # ------------------------------------------------------------------------------------------------------ the waiting

    def inject(self, words: str) -> None:
        """Keep and tell what was done to the mesh."""
        self.injected.append(Injected(int((time.monotonic() - self._began) * 1000), words))
        self._tell(words)

    def status(self) -> MeshView:
        """What the peers that should run say now."""
        if self._asked is None or time.monotonic() - self._asked[0] > ASK_EVERY_S:
            alive = [peer for peer in self.everyone.peers if peer.id in self.running]
            config = self.everyone._replace(peers=tuple(alive))
            self._asked = time.monotonic(), mesh_view(config, ask_all(config, "status", timeout_ms=ASK_TIMEOUT_MS))
        return self._asked[1]

    def asked_anew(self) -> MeshView:
        """As ``status``, and nothing in it is older than this call."""
        self._asked = None
        return self.status()

    def wait(self, what: str, reached: Callable[[], Found], within_s: float = WITHIN_S) -> Found:
        """Ask until it is true (Failed after the deadline); returns what ``reached`` returned."""
        self._tell(f"waiting: {what}")
        until = time.monotonic() + within_s
        while True:
            found = reached()
            if found:
                return found
            if time.monotonic() > until:
                raise Failed(f"not within {within_s:g} s: {what}")
            self._turn()

    def rest(self, seconds: float, why: str) -> None:
        """Let things run."""
        self._tell(why)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._turn()

    def leader(self, among: Iterable[int] = (), what: str = "a leader serves") -> int:
        """Wait until somebody (of ``among``, where given) leads with a quorum; its id."""
        allowed = set(among)
        self._asked = None

        def found() -> int:
            view = self.status()
            return view.leader if view.serves and view.leader and (not allowed or view.leader in allowed) else 0

        return self.wait(what, found)

    def flow(self, count: int, what: str = "") -> None:
        """Wait until ``count`` more reports are acknowledged."""
        before = self.acks.count
        self.wait(what or f"{counted(count, 'more report')} acknowledged", lambda: self.acks.count >= before + count)

    def level(self, *peers: int, within_s: float = WITHIN_S) -> None:
        """Wait until these peers (none given: all that run) have the leader's log within a moment of each other."""
        wanted = set(peers) or set(self.running)
        self._asked = None

        def reached() -> bool:
            view = self.status()
            rows = [peer for peer in view.peers if peer.id in wanted]
            lags = [peer.trails_leader_by for peer in rows]
            return view.serves and len(rows) == len(wanted) and all(lag is not None and lag <= 5 for lag in lags)

        self.wait(f"{_peers(wanted)} caught up", reached, within_s)

    def equal(self, within_s: float = WITHIN_S) -> None:
        """Wait until all members have applied the leader's whole log and hold the same state. The clients are gone."""
        self._asked = None

        def reached() -> bool:
            view = self.asked_anew()
            rows = [peer for peer in view.peers if peer.id in self.members & self.running]
            states = {(peer.applied_index, peer.state_hash) for peer in rows}
            applied_all = all(peer.applied_index == peer.last_index for peer in rows)
            return view.serves and len(rows) == len(self.members & self.running) and len(states) == 1 and applied_all

        self.wait("all peers hold the same", reached, within_s)

    def close(self) -> None:
        """No process and no link is left after this."""
        self.processes.kill_all()
        if self.links is not None:
            self.links.close()
        self.acks.close()

    # -------------------------------------------------------------------------------------------------------- the parts

    def end_peers(self) -> list[str]:
        """Stop all peers in good order; what went wrong, in words."""
        names = [_name(peer) for peer in sorted(self.running)]
        self.running.clear()
        problems = [f"{late} did not end when asked to" for late in self.processes.terminate(*names)]
        for name in names:
            code = self.processes.exit_code(name)
            if code and not any(problem.startswith(f"{name} ") for problem in problems):
                problems.append(f"{name} ended with exit code {code}: {self.processes.last_words(name)}")
        return problems

    def _turn(self) -> None:
        self._tick()
        self.acks.read()
        for peer in sorted(self.running - self._leaving):
            if not self.processes.alive(_name(peer)):
                self._gone((peer,))
                raise Failed(f"peer {peer} ended by itself: {self.processes.last_words(_name(peer))}")
        gone = self.clients.ended_by_itself()
        if gone:
            raise Failed(gone)
        time.sleep(TICK_S)

    def _gone(self, peers: Iterable[int]) -> None:
        self.running.difference_update(peers)
        self.ended.update(peers)
        self._asked = None

    def _seen_by(self, me: int, links: Links) -> Config:
        """The mesh as peer ``me`` is told it: all others behind relays."""

        def seen(peer: PeerAddress) -> PeerAddress:
            if peer.id == me:
                return peer
            ports = [links.add(me, peer.id, port) for port in (peer.peer_port, peer.beat_port)]
            return peer._replace(peer_port=ports[0], beat_port=ports[1])

        return self.config._replace(peers=tuple(map(seen, self.config.peers)))

    def written(self, name: str, config: Config) -> Config:
        """Write a peers.yaml called ``name`` into the folder; the config that was read from it."""
        path = self.folder / f"{name}.yaml"
        path.write_text(render(config), encoding="utf-8")
        return config._replace(path=str(path))


def _name(peer: int) -> str:
    return f"peer-{peer}"


def _peers(peers: Iterable[int]) -> str:
    ids = sorted(peers)
    return f"peer{'s' if len(ids) > 1 else ''} {', '.join(map(str, ids))}"
