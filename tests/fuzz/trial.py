"""One attack on one daemon: what honest clients and daemons were like meanwhile, and what is wrong with that.

    calm --BEFORE--> attack(s) --seconds--> over --until descriptors are back, at most SETTLE_S--> Result

Touches what it is handed. Must not know: how attacks work. Keeps: the limits below are the whole verdict, so that
whoever reads them knows what is promised.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from tests.fuzz.field import Field
from tests.fuzz.gauge import Gauge, sample
from tests.fuzz.honest import Writer
from tests.system.failover import percentile

RSS_ROOM_MIB = 512  # of one daemon while it is attacked, above what it had before: see hfzmq/daemon/weight.py
RSS_KEPT_MIB = 128  # in the end, above what it had when every attack had been on once
DESCRIPTORS_KEPT = 24  # when it is over
SILENCE_LEASES = 3.0  # the longest wait of an honest client for one acknowledgement
SETTLE_S = 15.0
TOGETHER = 4  # so many at once are called so
STARTS_S = 30.0  # until a process of attacks has begun, and until it has ended
WRONG_WORDS = ("Traceback", "a read failed", "a health check failed", "internal error")


class Result(NamedTuple):
    """Of one attack. Times in ms, memory in MiB; ``cpu`` in cores. ``wrong``: what must not be; empty: nothing."""

    name: str
    peer: int
    leads: bool = False
    seconds: float = 0.0
    turns: int = 0
    acks: int = 0
    ack_p50_ms: float = 0.0
    ack_p99_ms: float = 0.0
    ack_max_ms: float = 0.0
    cpu: float = 0.0
    rss_before_mib: float = 0.0
    rss_top_mib: float = 0.0
    rss_after_mib: float = 0.0
    descriptors_before: int = 0
    descriptors_top: int = 0
    descriptors_after: int = 0
    put_out: int = 0
    wrong: tuple[str, ...] = ()


class Trial:
    """On ``field``, whose honest clients are ``writers``. That ZeroMQ aborts an attacker who is put out in the middle
    of a message of many parts (session_base.cpp, clean_pipes) is the attacker's business."""

    def __init__(self, field: Field, writers: Sequence[Writer], gauge: Gauge, seed: int) -> None:
        self._field = field
        self._writers = writers
        self._gauge = gauge
        self._seed = seed
        self._read = dict.fromkeys(field.config.peer_ids, 0)
        self.wrong_lines()

    def run(self, names: Sequence[str], peer: int, seconds: float, in_turn: bool = False) -> Result:
        """All of ``names`` at once (or ``in_turn``, ``seconds`` for each) on ``peer``; none: nothing happens."""
        before = sample(self._field.processes[peer].pid)
        status = self._status(peer)
        began = time.monotonic()
        groups = [list(names)] if in_turn else [[name] for name in names]
        strikers = [self._field.strike(peer, group, self._seed, seconds) for group in groups]
        until = began + seconds * len(max(groups, default=[""])) + (STARTS_S * 2 if strikers else 0)
        while time.monotonic() < until and (not strikers or any(one.poll() is None for one in strikers)):
            time.sleep(0.1)
        wrong = []
        for group, one in zip(groups, strikers, strict=True):
            if one.poll() is None:
                one.kill()
            if one.wait() not in (0, -signal.SIGABRT):
                wrong.append(f"the attack {', '.join(group)} ended by itself: see strikes.log")
        ended = time.monotonic()
        after = self._settled(peer, before.descriptors if before else 0)
        wrong += self._fallen() + self.wrong_lines()
        told = self._status(peer)
        if told.get("term") != status.get("term") or told.get("leader") != status.get("leader"):
            wrong.append(f"an election: term {status.get('term')} is {told.get('term')}")
        samples = self._gauge.within(peer, began, ended)
        what = "calm" if not names else "+".join(names) if len(names) < TOGETHER else "all together"
        if before is None or after is None or not samples:
            return Result(what, peer, wrong=tuple(wrong or ["nothing was measured"]))
        took = [ack.took_ms for writer in self._writers for ack in writer.acks[:] if began <= ack.at_s <= ended]
        top_mib, top = max(one.rss_mib for one in samples), max(one.descriptors for one in samples)
        silence_ms = SILENCE_LEASES * self._field.config.timing.lease_ms
        if not took or max(took) > silence_ms:
            wrong.append(f"honest clients waited for more than {silence_ms:.0f} ms")
        wrong += [writer.wrong for writer in self._writers if writer.wrong]
        if top_mib > before.rss_mib + RSS_ROOM_MIB:
            wrong.append(f"it took {top_mib - before.rss_mib:.0f} MiB more")
        if after.descriptors > before.descriptors + DESCRIPTORS_KEPT:
            wrong.append(f"it kept {after.descriptors - before.descriptors} descriptors")
        return Result(
            what,
            peer,
            leads=bool(status.get("serves")),
            seconds=round(ended - began, 1),
            turns=self._turns(names),
            acks=len(took),
            ack_p50_ms=round(percentile(took or [0.0], 0.5), 1),
            ack_p99_ms=round(percentile(took or [0.0], 0.99), 1),
            ack_max_ms=round(max(took or [0.0]), 1),
            cpu=round((after.cpu_s - before.cpu_s) / (after.at_s - before.at_s), 2),
            rss_before_mib=round(before.rss_mib, 1),
            rss_top_mib=round(top_mib, 1),
            rss_after_mib=round(after.rss_mib, 1),
            descriptors_before=before.descriptors,
            descriptors_top=top,
            descriptors_after=after.descriptors,
            put_out=_counted(told, "connections_put_out") - _counted(status, "connections_put_out"),
            wrong=tuple(wrong),
        )

    def _status(self, peer: int) -> dict[str, Any]:
        until = time.monotonic() + SETTLE_S
        while time.monotonic() < until:
            told = self._field.status().get(peer)
            if told:
                return told
        return {}

    def _settled(self, peer: int, descriptors: int) -> Any:
        until = time.monotonic() + SETTLE_S
        while True:
            found = sample(self._field.processes[peer].pid)
            if found is None or found.descriptors <= descriptors + DESCRIPTORS_KEPT or time.monotonic() > until:
                return found
            time.sleep(0.2)

    def _fallen(self) -> list[str]:
        return [
            f"daemon {number} ended with {process.returncode}"
            for number, process in self._field.processes.items()
            if process.poll() is not None
        ]

    def wrong_lines(self) -> list[str]:
        """What daemons have said since the last time and should never have to say."""
        wrong = []
        for number in self._field.processes:
            said = self._field.log(number)
            for line in said[self._read[number] :].splitlines():
                if any(word in line for word in WRONG_WORDS) or _level(line) == "error":
                    wrong.append(f"peer {number}: {line[:300]}")
            self._read[number] = len(said)
        return wrong[:5]

    def _turns(self, names: Sequence[str]) -> int:
        last: dict[str, int] = {}
        for line in (self._field.folder / "strikes.log").read_text().splitlines() if names else ():
            words = line.split()
            if len(words) == 3 and words[0] == "end" and words[2].isdigit():
                last[words[1]] = int(words[2])
        return sum(last.get(name, 0) for name in names)


def _counted(told: dict[str, Any], counter: str) -> int:
    return int(told.get("counters", {}).get(counter, 0))


def _level(line: str) -> str:
    try:
        return str(json.loads(line).get("level"))
    except ValueError:
        return ""
