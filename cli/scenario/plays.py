"""How each scenario goes: what is injected, when, and what must then become true.

Touches a Stage. Must not know: processes, files, screens. Keeps: each injection is waited for until it has had its
effect, and told only when it was done; afterwards reports must flow again, or the round has failed.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from time import monotonic, monotonic_ns
from typing import NamedTuple

from hfzmq.cli.scenario import catalogue
from hfzmq.cli.scenario.probe import Probe
from hfzmq.cli.scenario.stage import Failed, Stage
from hfzmq.cli.scenario.writer import Sessions

FLOW = 60  # acknowledged reports that show that all goes on
NORMAL_S = 6.0
LOAD_S = 8.0
LOAD_PROCESSES, LOAD_SESSIONS, LOAD_BATCH = 2, 25, 100
UNDER_WAY_MS = 250  # an acknowledgement that had left before the cut may come so much later
SILENCE_S = 2.0  # two leases without a quorum


class Terms(NamedTuple):
    """What the user and the round's number decide: ``duration_s`` of Long-Running Stability, and its chance."""

    duration_s: float
    seed: int


Play = Callable[[Stage, Terms], None]


def normal(stage: Stage, terms: Terms) -> None:
    """Nothing is injected."""
    stage.rest(NORMAL_S, "reports flow")
    stage.flow(FLOW)


def leader_failure(stage: Stage, terms: Terms) -> None:
    """The leader dies for good."""
    dead = _kill_leader(stage)
    stage.members.discard(dead)
    _another_leads(stage, dead)


def leader_recovery(stage: Stage, terms: Terms) -> None:
    """The leader dies, comes back and leads again."""
    dead = _kill_leader(stage)
    _another_leads(stage, dead)
    _back(stage, dead)
    stage.leader((dead,), f"the lead is given to peer {dead}")
    stage.inject(f"the lead was given to peer {dead}")
    stage.flow(FLOW)


def follower_failure(stage: Stage, terms: Terms) -> None:
    """A follower dies and comes back; who leads must not change."""
    leader = stage.leader()
    term = stage.asked_anew().term
    follower = max(stage.running - {leader})
    stage.kill(follower)
    stage.inject(f"killed peer {follower}, a follower")
    stage.flow(FLOW)
    view = stage.asked_anew()
    if (view.leader, view.term) != (leader, term):
        raise Failed(f"peer {leader} led in term {term}; now it is peer {view.leader} in term {view.term}")
    _back(stage, follower)
    stage.flow(FLOW)


def multiple_failures(stage: Stage, terms: Terms) -> None:
    """Two of five at once, then a third, then all."""
    leader = stage.leader()
    follower = max(stage.running - {leader})
    stage.kill(leader, follower)
    stage.inject(f"killed peer {leader}, the leader, and peer {follower} at once")
    stage.leader(stage.running, "another leads")
    stage.flow(FLOW)
    third = min(stage.running)
    stage.kill(third)
    stage.inject(f"killed peer {third}: 2 of 5 are left")
    _nothing_acknowledged(stage, "writer", "without a quorum")
    _back(stage, third)
    stage.flow(FLOW)
    _back(stage, leader, follower)
    everyone = sorted(stage.running)
    stage.kill(*everyone)
    stage.inject("killed all five at once")
    stage.start(*everyone)
    stage.inject("started all five again")
    stage.leader(what="somebody leads again")
    stage.flow(FLOW)


def high_load(stage: Stage, terms: Terms) -> None:
    """Many sessions, large batches, no rest."""
    for number in range(1, LOAD_PROCESSES + 1):
        stage.write(f"load-{number}", Sessions(f"load-{number}", LOAD_SESSIONS, LOAD_BATCH, 0.0))
    clients = LOAD_PROCESSES * LOAD_SESSIONS
    stage.wait(f"each of {clients} clients has a batch acknowledged", lambda: stage.acks.sessions == clients)
    before, began = stage.acks.count, monotonic()
    stage.rest(LOAD_S, f"{clients} clients send batches of {LOAD_BATCH}")
    elapsed_s = monotonic() - began
    rate = (stage.acks.count - before) / elapsed_s
    stage.inject(f"{clients} clients, batches of {LOAD_BATCH}: {rate:.0f} reports/s acknowledged for {elapsed_s:.1f} s")
    stage.measured["reports_per_s"] = round(rate)


def network_partition(stage: Stage, terms: Terms) -> None:
    """The leader and one more are cut off from the other three."""
    assert stage.links is not None
    leader = stage.leader()
    minority = {leader, min(stage.members - {leader})}
    majority = stage.members - minority
    probe = stage.clients.probe("cut-off", stage.config)
    stage.wait(f"peer {leader} acknowledges what it is asked", lambda: probe.ask(leader) and probe.acked >= 5)
    stage.links.split(minority, majority)
    words = " | ".join(", ".join(map(str, sorted(group))) for group in (minority, majority))
    stage.inject(f"cut the links {words}; the leader was peer {leader}")
    stage.leader(majority, "one of the three leads")
    stage.flow(FLOW)
    stage.wait("the two say that they have no quorum", lambda: _quorumless(stage, minority))
    asked = _ask_in_vain(stage, probe, minority)
    stage.inject(f"asked the two {asked} times to keep a report, in vain")
    stage.links.mend()
    stage.inject("mended the links")
    before = probe.acked
    stage.wait("the report that the two had refused is acknowledged", lambda: _ask_all(stage, probe, before))
    stage.level()
    stage.flow(FLOW)


def _ask_in_vain(stage: Stage, probe: Probe, minority: set[int]) -> int:
    """Ask the minority for a while; how often. Failed when it acknowledges anything."""
    asked, until = 0, monotonic() + SILENCE_S
    while monotonic() < until:
        for peer in sorted(minority):
            if probe.ask(peer) == "ACK":
                raise Failed(f"peer {peer}, cut off with {len(minority)} of 5, acknowledged a report")
            asked += 1
        stage.rest(0.05, "the two must acknowledge nothing")
    return asked


def _ask_all(stage: Stage, probe: Probe, before: int) -> bool:
    for peer in sorted(stage.running):
        if probe.acked == before:
            probe.ask(peer)
    return probe.acked > before


def long_running(stage: Stage, terms: Terms) -> None:
    """Now and then a peer is killed, stopped or frozen, and comes back."""
    rng = Random(terms.seed)
    until = monotonic() + terms.duration_s
    while True:
        stage.rest(min(rng.uniform(2.0, 6.0), max(0.0, until - monotonic())), "reports flow")
        if monotonic() >= until:
            break
        _one_fault(stage, rng)
        stage.flow(FLOW)
    stage.flow(FLOW)


def _one_fault(stage: Stage, rng: Random) -> None:
    leader = stage.leader()
    peer = leader if rng.random() < 0.5 else rng.choice(sorted(stage.running - {leader}))
    who = f"peer {peer}, {'the leader' if peer == leader else 'a follower'}"
    kind = rng.choice(("kill", "stop", "freeze", "all"))
    if kind == "freeze":
        seconds = round(rng.uniform(0.5, 4.0), 1)
        with stage.frozen(peer):
            stage.rest(seconds, f"{who}, is frozen for {seconds:g} s")
        stage.inject(f"froze {who} for {seconds:g} s")
    elif kind == "all":
        everyone = sorted(stage.running)
        stage.kill(*everyone)
        stage.start(*everyone)
        stage.inject("killed all peers and started them again")
    else:
        if kind == "kill":
            stage.kill(peer)
        else:
            stage.stop(peer)
        stage.inject(f"{'killed' if kind == 'kill' else 'stopped'} {who}")
        stage.flow(FLOW // 2)
        _back(stage, peer)
    stage.leader(what="somebody leads")
    stage.level()


def _kill_leader(stage: Stage) -> int:
    leader = stage.leader()
    stage.kill(leader)
    stage.inject(f"killed peer {leader}, the leader")
    return leader


def _another_leads(stage: Stage, dead: int) -> None:
    stage.leader(stage.running - {dead}, "another leads")
    stage.flow(FLOW)


def _back(stage: Stage, *peers: int) -> None:
    stage.start(*peers)
    names = " and ".join(f"peer {peer}" for peer in peers)
    stage.inject(f"started {names} again")
    stage.level(*peers)


def _nothing_acknowledged(stage: Stage, writer: str, why: str) -> None:
    since_ms = _now_ms()
    stage.rest(UNDER_WAY_MS / 1000 + SILENCE_S, f"{why} nothing may be acknowledged")
    if stage.acks.last_of(writer) > since_ms + UNDER_WAY_MS:
        raise Failed(f"a report was acknowledged {stage.acks.last_of(writer) - since_ms} ms later, {why}")


def _quorumless(stage: Stage, minority: set[int]) -> bool:
    rows = [peer for peer in stage.status().peers if peer.id in minority]
    return all(peer.reachable and not peer.serves and not peer.quorum for peer in rows)


def _now_ms() -> int:
    return monotonic_ns() // 1_000_000


def play_of(scenario: catalogue.Scenario) -> Play:
    """What plays a scenario."""
    from hfzmq.cli.scenario.members import dynamic_membership

    return {
        catalogue.NORMAL: normal,
        catalogue.LEADER_FAILURE: leader_failure,
        catalogue.LEADER_RECOVERY: leader_recovery,
        catalogue.FOLLOWER_FAILURE: follower_failure,
        catalogue.MULTIPLE_FAILURES: multiple_failures,
        catalogue.DYNAMIC_MEMBERSHIP: dynamic_membership,
        catalogue.HIGH_LOAD: high_load,
        catalogue.NETWORK_PARTITION: network_partition,
        catalogue.LONG_RUNNING: long_running,
    }[scenario]
