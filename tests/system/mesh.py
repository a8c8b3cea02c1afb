"""A real mesh for tests: processes of ``hfzmq serve`` on the loopback, to be killed, cut off and looked into."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import apsw

from hfzmq import config as configuration
from hfzmq.alarm_channels import Channel
from hfzmq.cli.processes import free_addresses
from hfzmq.cli.throwaway import with_throwaway_keys
from hfzmq.client.ask import ask_all
from hfzmq.config import Config, Limits, PeerAddress, RuleSetting, Timing
from tests.system.links import Links

ROOT = Path(__file__).resolve().parents[2]
Found = TypeVar("Found")
PEERS_WITH_KEYS = range(1, 10)  # also of those that are started later

# What follows from the log alone, and must be equal on all peers.
APPLIED_TABLES = (
    "applied",
    "sessions",
    "risk_reports",
    "heartbeats",
    "heartbeat_alerts",
    "alarm_beds",
    "alarm_episodes",
    "alarm_events",
    "alarm_rules",
    "access_keys",
)


def hfzmq(*words: object) -> list[str]:
    """The command line of hfzmq in this environment."""
    return [sys.executable, "-m", "hfzmq", *map(str, words)]


def wait_for(what: str | Callable[[], str], condition: Callable[[], Found], within_s: float = 20.0) -> Found:
    """Ask until it is true; AssertionError after the deadline. ``what``: in words, or who has the words by then."""
    deadline = time.monotonic() + within_s
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s} s: {what if isinstance(what, str) else what()}")
        time.sleep(0.02)


class Mesh:
    """``peers`` daemons in ``folder``; with ``links`` their connections run through relays that can be cut."""

    def __init__(
        self,
        folder: Path,
        peers: int = 3,
        links: bool = False,
        timing: Timing | None = None,
        limits: Limits | None = None,
        others: int = 0,
        rules: dict[str, Any] | None = None,
        channels: tuple[Channel, ...] | None = None,
        keyed: bool = True,
    ) -> None:
        """``keyed``: not plain; whoever is started later has a key too. ``others``: addresses for peers that may be
        started later, and that the first ones have never heard of. ``rules``, ``channels``: of alarms."""
        self.folder = folder
        addresses = free_addresses(peers + others)
        addresses, self._free = addresses[:peers], list(addresses[peers:])
        self.config = Config(
            "test", os.urandom(16), addresses, timing or Timing(handover_settle_ms=3000), limits or Limits()
        )
        settings = tuple(RuleSetting(name, value, 1) for name, value in (rules or {}).items())
        self.config = self.config._replace(alarm_rules=settings)
        if channels is not None:
            self.config = self.config._replace(channels=channels)
        if keyed:
            self.config = with_throwaway_keys(self.config, folder, PEERS_WITH_KEYS)
        self.links = Links() if links else None
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        self.path = folder / "peers.yaml"
        self.path.write_text(configuration.render(self.config))
        for peer in addresses:
            (folder / f"peers_{peer.id}.yaml").write_text(configuration.render(self._seen_by(peer.id)))
        if self.links:
            self.links.start()

    def _seen_by(self, me: int) -> Config:
        if self.links is None:
            return self.config
        return self.config._replace(
            peers=tuple(
                peer
                if peer.id == me
                else peer._replace(
                    peer_port=self.links.add(me, peer.id, peer.peer_port),
                    beat_port=self.links.add(me, peer.id, peer.beat_port),
                )
                for peer in self.config.peers
            )
        )

    def __enter__(self) -> Mesh:
        for number in self.config.peer_ids:
            self.start(number)
        self.wait_for_leader()
        return self

    def __exit__(self, *about: object) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
            process.wait()
        if self.links:
            self.links.close()

    # ------------------------------------------------------------ peers

    def start(self, number: int, *words: str) -> None:
        """Start a peer; its words go to ``<number>.log``."""
        with (self.folder / f"{number}.log").open("ab") as log:
            self.processes[number] = subprocess.Popen(
                hfzmq("serve", "--id", number, "--config", self.folder / f"peers_{number}.yaml",
                      "--data-dir", self.folder / str(number), *words),
                cwd=ROOT, stdout=log, stderr=log,
            )  # fmt: skip

    def start_another(self, number: int) -> None:
        """Start a peer that no other one knows; it asks to join."""
        address = PeerAddress(number, *self._free.pop(0)[1:])
        self.config = self.config._replace(peers=(*self.config.peers, address))
        (self.folder / f"peers_{number}.yaml").write_text(configuration.render(self._seen_by(number)))
        self.start(number, "--join")

    def wipe(self, number: int) -> None:
        """A peer that does not run loses its disk."""
        shutil.rmtree(self.folder / str(number))

    def peer(self, *words: object) -> str:
        """What ``hfzmq peer`` answers, by the file of the first peers; AssertionError when it does not succeed."""
        waits = () if words[0] == "ls" else ("--timeout", 60)
        line = hfzmq("peer", *words, "--config", self.path, *waits)
        done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=90, check=False)
        assert done.returncode == 0, (words, done.returncode, done.stderr)
        return done.stdout

    def kill(self, number: int) -> None:
        """kill -9."""
        self.processes[number].kill()
        self.processes[number].wait()

    def terminate(self, number: int) -> int:
        """SIGTERM; returns the exit code."""
        self.processes[number].send_signal(signal.SIGTERM)
        return self.processes[number].wait(10)

    def log(self, number: int) -> str:
        """What a peer has said so far."""
        return (self.folder / f"{number}.log").read_text()

    # ------------------------------------------------------------ what it says

    def status(self) -> dict[int, dict[str, Any]]:
        """The status of every peer that answers."""
        answers = ask_all(self.config, "status", timeout_ms=700)
        return {number: answer["peer"] for number, answer in answers.items() if answer and "peer" in answer}

    def leader(self) -> int:
        """Who serves in the latest term; 0 for nobody."""
        serving = [(peer["term"], number) for number, peer in self.status().items() if peer["serves"]]
        return max(serving)[1] if serving else 0

    def wait_for_leader(self, *allowed: int, within_s: float = 20.0) -> int:
        """Until somebody (of ``allowed``, where given) serves."""

        def found() -> int:
            leader = self.leader()
            return leader if not allowed or leader in allowed else 0

        return wait_for(f"a leader among {allowed or 'all'}", found, within_s)

    def wait_until_equal(self, *numbers: int, within_s: float = 30.0) -> None:
        """Until every peer (of ``numbers``, where given) answers, and all of them have applied the same."""
        wanted = numbers or self.config.peer_ids

        def equal() -> bool:
            found = {number: peer for number, peer in self.status().items() if number in wanted}
            states = {(peer["applied_index"], peer["state_hash"]) for peer in found.values()}
            return len(found) == len(wanted) and len(states) == 1

        wait_for("equal peers", equal, within_s)

    # ------------------------------------------------------------ what it keeps

    def rows(self, number: int) -> list[tuple[Any, ...]]:
        """The reports in a peer's file, read past the daemon."""
        path = self.folder / str(number) / f"hfzmq_{number}.db"
        database = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            return list(database.execute("select * from risk_reports order by id"))
        finally:
            database.close()

    def ask(self, number: int, query: str) -> list[tuple[Any, ...]]:
        """What a peer's file holds, read past the daemon."""
        path = self.folder / str(number) / f"hfzmq_{number}.db"
        database = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            return list(database.execute(query))
        finally:
            database.close()

    def tables(self, number: int) -> dict[str, list[tuple[Any, ...]]]:
        """All that applying has written into a peer's file, of one moment; ``applied`` says of which."""
        path = self.folder / str(number) / f"hfzmq_{number}.db"
        database = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            database.execute("begin")
            return {table: list(database.execute(f"select * from {table}")) for table in APPLIED_TABLES}
        finally:
            database.close()

    def assert_equal_tables(self, *numbers: int) -> dict[str, list[tuple[Any, ...]]]:
        """The same rows in all tables of every file (of ``numbers``, where given); returns them.

        Compared are files of one applied index, and there any difference is one too many. At different ones they may
        differ, even when no client asks for anything: the log's clock goes on, and so do the alarms, which mark the
        report that raised one. That the peers were equal a moment ago does not mean that their files are, read one
        after the other."""
        self.wait_until_equal(*numbers)
        wanted = numbers or self.config.peer_ids

        def of_one_index() -> dict[int, dict[str, list[tuple[Any, ...]]]]:
            found = {number: self.tables(number) for number in wanted}
            return found if len({tables["applied"][0][1] for tables in found.values()}) == 1 else {}

        files = wait_for("files of one applied index", of_one_index)
        first = min(files)
        for number, tables in files.items():
            for table, rows in tables.items():
                assert rows == files[first][table], f"{table}: peer {number} differs from peer {first}"
        return files[first]

    def assert_equal_rows(self, *numbers: int) -> list[tuple[Any, ...]]:
        """As ``assert_equal_tables``; returns the reports."""
        return self.assert_equal_tables(*numbers)["risk_reports"]


def events(path: Path, kind: str) -> list[dict[str, Any]]:
    """The events of one kind in a client's JSON lines."""
    found = []
    for line in path.read_text().splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue  # a line that kill -9 cut short
        if event["event"] == kind:
            found.append(event)
    return found
