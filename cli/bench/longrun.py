"""A long run: does the mesh stay as fast, as small and as prompt as it was in the first minutes?

Touches processes (through a System), /proc, files' sizes. Must not know: screens. Keeps: the verdict is made of samples
that are all in the result; it says which of them is not flat.

Two questions, of all samples after the first tenth, which is left out. Does anything grow: the last third must not be
worse than an earlier one by more than BOUNDS allow. Does anything stand still now and then (a checkpoint, the log's
cut, Python's garbage, somebody else on the machine): no single sample may be worse than the run's own median by more
than CLIFFS allow, and nobody is elected. Of few clients only few requests see it: so the longest wait counts, too.

A machine that others use as well is slower in some minutes than in others. The clients do the same work for every
report, whatever the mesh holds by then; so beside a rate that fell stands what a report cost them, and what it cost the
peers: where both rose alike it was the machine, where only the peers' did it was the mesh. Beside a stand-still stands
how much of its CPUs the machine's host gave to others in that sample. The verdict is the same.

Who ends it early (Ctrl-C) gets a verdict of the samples that there are, if they are enough for one.
"""

from __future__ import annotations

import math
import signal
import statistics
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from hfzmq.cli.bench.measure import LOAD, MIB, LoadRun, Terms, Tick, Workload, costs
from hfzmq.cli.bench.proc import Cost, stolen_s
from hfzmq.cli.bench.systems import System

LEAST_SAMPLES = 12
LEFT_OUT = 0.1


class Sample(NamedTuple):
    """At ``at_s``, of the time since the last one: reports a second, latencies in us; of the largest peer now: memory,
    WAL, descriptors; again since the last one, CPU in us a report, of all clients and of all peers, and what the
    machine's host took of all its CPUs (proc.stolen_s), in ms."""

    at_s: float
    rate: float
    p50_us: float
    p99_us: float
    p999_us: float
    max_us: float
    peer_rss_mib: float
    wal_mib: float
    descriptors: float
    clients_cpu_us: float
    peers_cpu_us: float
    stolen_ms: float


class Bound(NamedTuple):
    """How much worse the last third may be: by a factor, and by so much on top. ``than``: the third that it is compared
    with; memory grows until the log is compacted for the first time, so it is compared with the second."""

    than: int
    factor: float
    more: float
    worst: Callable[[Sequence[float]], float]


BOUNDS = {
    "rate": Bound(0, 0.9, 0.0, statistics.median),  # at least so much
    "p99_us": Bound(0, 1.5, 0.0, statistics.median),
    "p999_us": Bound(0, 1.5, 0.0, statistics.median),
    "peer_rss_mib": Bound(1, 1.05, 4.0, max),
    "wal_mib": Bound(1, 1.5, 4.0, max),
    "descriptors": Bound(0, 1.0, 4.0, max),
}
FROM_INSIDE = ("peer_rss_mib", "descriptors")  # of a mesh that somebody else has started they are not known
CLIFFS = {"rate": (0.5, 0.0), "p999_us": (3.0, 0.0), "max_us": (3.0, 200_000.0)}  # of the median, and so much more


def long_run(
    system: System,
    workload: Workload,
    terms: Terms,
    tick: Tick,
    load_ends: Callable[[bool], None] = lambda asked_for: None,
) -> dict[str, Any]:
    """Load a system that is not running yet for ``terms.seconds``, a sample each ``terms.tick_s``; the part of the
    results file. ``load_ends`` is told whether somebody has asked for it. HfzmqError and NotKept as with
    ``measure``."""
    ended_early = False
    try:
        system.start()
        term = system.term()
        run = LoadRun(system, workload, terms)
        taken = _Samples(system)
        while not run.done:
            try:
                taken.follow(run, tick)
                if not ended_early:
                    load_ends(False)
            except KeyboardInterrupt:
                if ended_early or len(taken.samples) < LEAST_SAMPLES:
                    raise
                ended_early = True
                load_ends(True)
                system.processes.signal(LOAD, signal.SIGTERM)
        elections = system.term() - term
        system.settle()
        system.read_back(run.ledger)
    finally:
        system.close()
    faults = not_flat(taken.samples) + [f"elections under load: {elections}"] * bool(elections)
    return {
        "workload": workload.name,
        "seconds": run.done["lasted_s"] if ended_early else terms.seconds,
        "asked_s": terms.seconds,
        "sample_s": terms.tick_s,
        "beds": terms.beds,
        "verdict": "not flat" if faults else "flat",
        "not_flat": faults,
        "elections": elections,
        "read_back": sum(one.acked for one in run.ledger),
        "rate": round(run.done["acked"] / run.done["lasted_s"], 1),
        "p999_us": run.done["p999_us"],
        "max_us": run.done["max_us"],
        "columns": Sample._fields,
        "samples": taken.samples,
    }


class _Spent(NamedTuple):
    """Since the processes were started: reports acknowledged; CPU seconds of all clients, of all peers; of those that
    the host took, since the machine was started."""

    acked: int
    clients_s: float
    peers_s: float
    stolen_s: float


class _Samples:
    """Those taken so far, and what had been spent when the last one was taken."""

    def __init__(self, system: System) -> None:
        self.samples: list[Sample] = []
        self._system = system
        self._costs: dict[str, Cost] = {}
        self._before = _Spent(0, math.nan, math.nan, math.nan)

    def follow(self, run: LoadRun, tick: Tick) -> None:
        """To the load's end, or until somebody interrupts; may be called again then."""
        for event in run.events():
            if event["event"] == "begin":
                self._before = self._spent(event["acked"])
            elif event["event"] == "tick":
                self.samples.append(self._take(event))
                tick(event)

    def _spent(self, acked: int) -> _Spent:
        """Now; ``_costs`` is then each peer's."""
        self._costs = costs(self._system)
        clients = self._costs.pop(LOAD).cpu_s
        peers = sum(one.cpu_s for one in self._costs.values()) if self._costs else math.nan
        return _Spent(acked, clients, peers, stolen_s())

    def _take(self, event: dict[str, Any]) -> Sample:
        before, now = self._before, self._spent(event["acked"])
        self._before = now  # with its reports: of a sample that an interrupt took away, the next has both
        reports, peers = now.acked - before.acked or math.nan, list(self._costs.values())
        us = {
            name: math.nan if event[name] is None else event[name] for name in ("p50_us", "p99_us", "p999_us", "max_us")
        }
        return Sample(
            event["at_s"],
            event["rate"],
            **us,
            peer_rss_mib=round(max((one.rss_bytes for one in peers), default=math.nan) / MIB, 1),
            wal_mib=round(self._system.wal_bytes() / MIB, 2),
            descriptors=max((one.descriptors for one in peers), default=math.nan),
            clients_cpu_us=round(1e6 * (now.clients_s - before.clients_s) / reports, 1),
            peers_cpu_us=round(1e6 * (now.peers_s - before.peers_s) / reports, 1),
            stolen_ms=round(1e3 * (now.stolen_s - before.stolen_s), 1),
        )


def not_flat(samples: Sequence[Sample]) -> list[str]:
    """What gets worse, or stood still, in words; none when all is flat."""
    if len(samples) < LEAST_SAMPLES:
        return [f"only {len(samples)} samples, {LEAST_SAMPLES} are needed to tell"]
    judged = samples[math.ceil(len(samples) * LEFT_OUT) :]
    size = len(judged) // 3
    thirds = (judged[:size], judged[size : 2 * size], judged[2 * size :])
    faults = []
    for name, bound in BOUNDS.items():
        if name in FROM_INSIDE and all(math.isnan(getattr(one, name)) for one in judged):
            continue
        before = bound.worst([getattr(one, name) for one in thirds[bound.than]])
        last = bound.worst([getattr(one, name) for one in thirds[2]])
        limit = before * bound.factor + bound.more
        flat = last >= limit if name == "rate" else last <= limit
        if not flat:  # NaN is none
            costs_us = _costs(thirds[bound.than], thirds[2]) if name == "rate" else ""
            faults.append(f"{name}: {before:.5g}, later {last:.5g}{costs_us}")
    return faults + [fault for name, (factor, more) in CLIFFS.items() if (fault := _cliff(judged, name, factor, more))]


def _costs(before: Sequence[Sample], last: Sequence[Sample]) -> str:
    """What a report cost then and later, in words; '' where that is not known."""
    told = [
        f"the {who} {statistics.median(then):.5g} us, later {statistics.median(later):.5g}"
        for who in ("clients", "peers")
        for then, later in [[[getattr(one, f"{who}_cpu_us") for one in third] for third in (before, last)]]
        if not any(map(math.isnan, then + later))
    ]
    return f" (CPU of a report: {'; '.join(told)})" if told else ""


def _cliff(samples: Sequence[Sample], name: str, factor: float, more: float) -> str:
    """The worst sample of one column, in words, where it is beyond the median by ``factor`` and ``more``; else ''."""
    known = [(getattr(one, name), one.at_s) for one in samples if not math.isnan(getattr(one, name))]
    usual = statistics.median(value for value, _ in known) if known else math.nan
    value, at_s = (min if factor < 1 else max)(known, default=(math.nan, 0.0))
    if value < factor * usual if factor < 1 else value > factor * usual + more:
        stolen_ms = next((one.stolen_ms for one in samples if one.at_s == at_s), math.nan)
        known_ms = "" if math.isnan(stolen_ms) else f" (its host took {stolen_ms:g} ms of CPU then)"
        return f"{name}: {value:.5g} at {at_s:.0f} s, {usual:.5g} as a rule{known_ms}"
    return ""
