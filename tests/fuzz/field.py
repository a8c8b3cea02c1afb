"""The field: three real daemons with keys and HTTP ports, few log entries kept, and who may attack which of them how.

Touches processes, files, ports of the loopback. Must not know: attacks, verdicts.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from hfzmq import config as configuration
from hfzmq.access import CLIENT as CLIENT_ROLE
from hfzmq.clinical.alarm.rules import DAY_MS
from hfzmq.config import Limits, Timing
from hfzmq.secret_files import WARD_NAME, make_pair, read_secret, write_secret
from tests.fuzz import target
from tests.fuzz.target import CLIENT, OUTSIDER, REVOKED, STRANGER, Target
from tests.system.mesh import ROOT, Mesh

OUTSIDER_ID = 4
HOSTILE_NAME, REVOKED_NAME = "hostile", "thief"
LIMITS = Limits(log_entries_keep=200, log_bytes_keep=1 << 20)  # so that the log is not what grows
ALARM_RULES = {"amber_ms": 0, "silent_ms": DAY_MS, "steps_ms": (0,)}  # a bed's alarm is over with its report


class Field(Mesh):
    """``folder`` is filled. Who attacks has the client's key ``hostile``; honest clients have another one."""

    def __init__(self, folder: Path, lease_ms: int = 1000, peers: int = 3, limits: Limits = LIMITS) -> None:
        timing = Timing(lease_ms=lease_ms, handover_settle_ms=3000)
        super().__init__(folder, peers, timing=timing, limits=limits, rules=ALARM_RULES, others=peers)
        keys = self.config.keys
        assert keys is not None
        made = {
            name: write_secret(folder / "keys" / f"{name}.secret", name, CLIENT_ROLE)
            for name in (HOSTILE_NAME, REVOKED_NAME)
        }
        clients = (*keys.clients, (HOSTILE_NAME, made[HOSTILE_NAME].public))
        self.config = self.config._replace(keys=keys._replace(clients=clients, revoked=(made[REVOKED_NAME].public,)))
        for path in (self.path, *folder.glob("peers_*.yaml")):
            path.write_text(configuration.render(self.config))
        self.honest_config = self.config._replace(
            keys=keys._replace(own=read_secret(folder / "keys" / f"{WARD_NAME}.secret"))
        )
        self._made = {
            CLIENT: made[HOSTILE_NAME],
            REVOKED: made[REVOKED_NAME],
            STRANGER: make_pair(),
            OUTSIDER: read_secret(folder / "keys" / f"peer-{OUTSIDER_ID}.secret"),
        }

    def __enter__(self) -> Field:
        super().__enter__()
        self.wait_for_leader(min(self.config.peer_ids), within_s=60)  # or the lead is given to it meanwhile
        return self

    def start(self, number: int, *words: str) -> None:
        """With a port for health and metrics."""
        super().start(number, "--http", f"127.0.0.1:{self.http_port(number)}", *words)

    def http_port(self, number: int) -> int:
        """Where it is: an address that no peer has."""
        return self._free[number - 1].client_port

    def target(self, number: int) -> Target:
        """For whoever attacks this peer."""
        here, keys = self.config.peer(number), self.config.keys
        assert keys is not None
        return Target(
            number, here.host, here.client_port, here.peer_port, here.beat_port, self.http_port(number),
            self.config.mesh_id, keys.key_of(number) or "", OUTSIDER_ID, self._made,
        )  # fmt: skip

    def strike(self, number: int, names: list[str], seed: int, seconds: float) -> subprocess.Popen[bytes]:
        """Begin these attacks on a peer, one after the other, in a process of their own; what it says goes to
        ``strikes.log``."""
        path = self.folder / f"target_{number}.json"
        if not path.exists():
            target.save(self.target(number), path)
        with (self.folder / "strikes.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.fuzz.striker", str(path), *names,
                 "--seed", str(seed), "--seconds", str(seconds)],
                cwd=ROOT, stdout=log, stderr=log, env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )  # fmt: skip
