"""The leader gets kill -9 while somebody writes steadily: how long does that one wait?

Touches processes (through Stage), the writer's history. Must not know: screens. Keeps: a gap is between two moments
that the writer itself noted; the writer is the product's own client, with its queue on disk; the gaps are told only
when every file holds what was acknowledged, exactly once.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from hfzmq.cli.bench.readback import NotKept
from hfzmq.cli.scenario.account import events_of
from hfzmq.cli.scenario.round import PeerFile, compare
from hfzmq.cli.scenario.stage import TIMING, Stage
from hfzmq.cli.scenario.writer import Sessions
from hfzmq.errors import HfzmqError

PEERS = 3
WRITER = "writer"
STEADY = Sessions("bed", 1, 1, 0.005)
FLOW = 30  # reports, before and after each kill


def failover(
    folder: Path, kills: int, lease_ms: int, keys: bool, tick: Callable[[], None], say: Callable[[float], None]
) -> dict[str, Any]:
    """Kill the leader of a mesh of three ``kills`` times; the part of the results file. HfzmqError, NotKept."""
    timing = TIMING._replace(lease_ms=lease_ms, heartbeat_ms=min(TIMING.heartbeat_ms, lease_ms // 10))
    stage = Stage(folder, PEERS, keys=keys, timing=timing, tick=tick)
    try:
        stage.begin(steady=False)
        stage.write(WRITER, STEADY)
        moments_ms = []
        for number in range(kills):
            say(number / kills)
            moments_ms.append(_kill_once(stage))
        problems = stage.end_clients()
        stage.equal()
        problems += stage.end_peers()
        stage.acks.close()
        histories = stage.clients.histories
        files = {peer: PeerFile(stage.file(peer)) for peer in stage.config.peer_ids}
        findings = compare(files, histories, problems)
        if problems or findings is None or not findings.sound:
            said = [*problems, *(findings.examples if findings else ())]
            raise NotKept("; ".join(said) or "the peers' files do not hold what was acknowledged")
        acks_ms = [event["at_ms"] for event in events_of(histories[0].path) if event["event"] == "ack"]
        gaps = gaps_ms(acks_ms, moments_ms)
    finally:
        stage.close()
    return {
        "kills": kills,
        "lease_ms": lease_ms,
        "heartbeat_ms": timing.heartbeat_ms,
        "interval_ms": STEADY.interval_s * 1000,
        "read_back": findings.acked,
        "gap_ms": {"p50": statistics.median(gaps), "max": max(gaps), "all": gaps},
    }


def gaps_ms(acks_ms: Sequence[int], kills_ms: Sequence[int]) -> list[int]:
    """For each kill the longest time between two acknowledgements of which the later one came after it, and before the
    next kill."""
    found = []
    for kill, following in pairwise([*kills_ms, max(acks_ms, default=0) + 1]):
        gaps = [later - earlier for earlier, later in pairwise(acks_ms) if kill < later <= following]
        if not gaps:
            raise HfzmqError("nothing was acknowledged after a kill")
        found.append(max(gaps))
    return found


def _kill_once(stage: Stage) -> int:
    """The moment of the kill, monotonic ms: the writer's clock, too. Afterwards all three are level again."""
    leader = stage.leader()
    stage.flow(FLOW)
    moment_ms = time.monotonic_ns() // 1_000_000
    stage.kill(leader)
    stage.flow(FLOW)
    stage.start(leader)
    stage.level()
    return moment_ms
