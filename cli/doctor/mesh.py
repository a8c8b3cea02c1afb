"""The mesh as its peers tell it: who is away, whether anybody leads, whose clock is off, who runs another version.

Touches sockets (through client.ask), the wall clock. Must not know: this machine's disk. A peer's clock is compared by
its answer to ``status``: it was read somewhere between the asking and the answer, so half of that time is the error.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any, NamedTuple

from hfzmq.cli.doctor.findings import CRITICAL, NOTE, OK, WARNING, Finding
from hfzmq.cli.peer_view import NO_ANSWER, NO_MEMBER
from hfzmq.cli.same_file import differing, runs_with
from hfzmq.config import Config
from hfzmq.errors import KeysError
from hfzmq.wire.same_settings import told_settings

TRIES = 3
TIMEOUT_MS = 1000
SKEW_WARNING_MS = 1_000


class Clock(NamedTuple):
    """How far a peer's clock is ahead of this machine's, give or take ``error_ms``."""

    ahead_ms: float
    error_ms: float


Answers = Mapping[int, dict[str, Any] | None]


def look(config: Config) -> Iterator[Finding]:
    """Ask everybody."""
    from hfzmq.client.ask import ask_all
    from hfzmq.client.key_faults import sentence
    from hfzmq.wire.members import newest, with_members

    refusing: dict[int, str] = {}
    served: dict[int, str] = {}
    try:
        answers = ask_all(config, "status", timeout_ms=TIMEOUT_MS, refusing=refusing, served=served)
    except KeysError:
        for one in config.peers if refusing else ():
            if one.id not in refusing:
                yield _away(one.id, f"{one.host}:{one.client_port}", NO_ANSWER, config.path)
        raise
    for peer, fault in refusing.items():
        cause, hint = sentence(config.keys, {peer: fault}, config.path)
        yield Finding(WARNING, "keys", cause, "what it says of the mesh is not known here", hint)
    everybody = with_members(config, newest(answers.values()))
    yield from judge(everybody, answers, refusing, served)
    yield from clocks(config, _clocks(everybody, [peer for peer, answer in answers.items() if answer]))
    yield from log_clock(answers)
    yield from settings(config, answers)


def judge(
    config: Config,
    answers: Answers,
    refusing: Mapping[int, str] = MappingProxyType({}),
    served: Mapping[int, str] = MappingProxyType({}),
) -> Iterator[Finding]:
    """What the answers say; ``refusing``: who runs, and would not have our key; ``served``: see mesh_view."""
    from hfzmq.cli.format import listed
    from hfzmq.cli.mesh_view import mesh_view
    from hfzmq.cli.mesh_words import (
        LINK_HINT,
        MISPLACED_HINT,
        MUTE_HINT,
        answering,
        bid_for_restored,
        key_troubles,
        misplaced,
        mute,
        not_begun,
        only_copy,
        unheard,
        unknown_holders,
    )

    view = mesh_view(config, answers, refusing=refusing, served=served)
    for peer in view.peers:
        if peer.membership == NO_MEMBER and view.founded:
            told = f"peer {peer.id} is in {view.file}, but no member of the mesh"
            why = "was it removed? then it must not be started again; is it new? then it has not asked to join yet"
            do = f"take peer {peer.id} out of {view.file} on all machines (its lines under peers and keys.peers)"
            yield Finding(NOTE, "reach", told, why, f"{do}; or start it with --join, then hfzmq peer add {peer.id}")
        elif not peer.reachable and peer.id not in refusing:
            yield _away(peer.id, peer.address, peer.problem, view.file)
    if not view.answers:
        yield Finding(CRITICAL, "quorum", "no peer answers", "nothing is stored", "hfzmq status")
        return
    unknown = unknown_holders(view, refusing)
    if unknown:
        yield Finding(
            CRITICAL, "quorum", unknown, "it may hold all there is", "mend its key as above; leave its disk alone"
        )
    elif not view.founded:
        who = listed(view.waiting_for) if view.waiting_for else "the first peers"
        why = "a new mesh begins when all its first peers were up together once"
        do = f"start {who}" if view.waiting_for else "wait for some seconds"
        do = bid_for_restored(view) if view.restoring else do
        yield Finding(CRITICAL, "quorum", f"the mesh has not begun: {not_begun(view)}", why, do)
    elif not view.serves and only_copy(view)[0]:
        cause, do = only_copy(view)
        why = (
            "those files may be the only good ones"
            if view.misplaced
            else "what it holds and no backup has is nowhere else"
        )
        yield Finding(CRITICAL, "quorum", cause, why, do)
    elif not view.serves:
        why = "nothing is stored: clients keep what they have"
        do = "as under history, before all else" if view.histories else "start who is away"
        yield Finding(CRITICAL, "quorum", f"{answering(view)}, and nobody leads a quorum", why, do)
    else:
        yield Finding(OK, "quorum", f"peer {view.leader} leads in term {view.term}, {answering(view)}")
    if view.misplaced and view.serves:
        yield Finding(CRITICAL, "files", misplaced(view), "those files may be the only good ones", MISPLACED_HINT)
    for apart in view.histories:
        why = "either may be all that is left of what was acknowledged; nothing is taken from one into the other"
        yield Finding(CRITICAL, "history", apart.cause, why, apart.do)
    for broken in unheard(view):
        why = "while the third is away these two are no quorum, and nothing is stored"
        yield Finding(WARNING, "reach", broken, why, LINK_HINT)
    for what, do in key_troubles(view):
        yield Finding(WARNING, "keys", what, "it is of no help when another peer is away", do)
    for silent in mute(view):
        yield Finding(
            WARNING, "reach", silent, "it falls behind, and is of no help when another peer is away", MUTE_HINT
        )
    for states in view.states:
        why = "peers that hold different states: the odd one begins anew by itself, where most agree"
        yield Finding(CRITICAL, "states", states, why, "hfzmq backup --db FILE --to FILE, before all else")
    for peer in view.peers:
        if peer.amnesia and peer.membership != "voter":
            why = "it is brought up by the others; look at the disk"
            yield Finding(WARNING, "aside", f"peer {peer.id} does not trust its disk: {peer.amnesia}", why, "dmesg -T")
        for refused in peer.refused_peers:
            told = f"peer {peer.id} hears one that calls itself peer {refused} and is no member"
            why = "removed, a copy of its files, or two processes with one id"
            yield Finding(WARNING, "reach", told, why, f"hfzmq peer ls; hfzmq peer add {refused}, or stop that process")
        aside = (answers.get(peer.id) or {}).get("peer", {}).get("files_aside") if peer.reachable else 0
        if type(aside) is int and aside:
            told = f"peer {peer.id} has damaged files beside its own ({aside})"
            do = "on that machine: hfzmq doctor --data-dir DIR"
            yield Finding(WARNING, "aside", told, "its disk has lied or rotted before", do)
    yield from _versions({peer.id: peer.version for peer in view.peers if peer.version})


def settings(config: Config, answers: Answers) -> Iterator[Finding]:
    """Who runs with another peers.yaml than most. Where that is ``config``, it may be the newer one, and the others are
    those who were not restarted yet."""
    from hfzmq.cli.format import listed

    told = {peer: answer["peer"] for peer, answer in answers.items() if answer and isinstance(answer.get("peer"), dict)}
    odd = differing(told)
    file = told_settings(config) if odd else {}
    for peer_id, words in odd.items():
        why = "each peer goes by its own file: by other times, limits and rules, or to other addresses"
        do = f"hfzmq config show on both machines; then the same file on all of them, and restart peer {peer_id}"
        if runs_with(file, told[peer_id]):
            words = f"{words}; it runs with {config.path} as it is here"
            rest = [peer for peer, said in told.items() if said.get("settings") and not runs_with(file, said)]
            do = f"is that the newer file? then bring it to all machines, and restart {listed(rest)}; if not: {do}"
        yield Finding(WARNING, "settings", words, why, do)


def _away(peer: int, address: str, problem: str, file: str) -> Finding:
    return Finding(
        WARNING,
        "reach",
        f"peer {peer} at {address}: {problem}",
        "each peer that is away is one failure less that the mesh survives",
        f"on that machine: systemctl status hfzmq@{peer}; or start it: hfzmq serve --id {peer} "
        f"--config {file or 'peers.yaml'} --data-dir DIR",
    )


def _versions(versions: Mapping[int, str]) -> Iterator[Finding]:
    if len(set(versions.values())) > 1:
        told = ", ".join(f"peer {peer} runs {version}" for peer, version in sorted(versions.items()))
        why = "well for the time of an upgrade, not for good"
        yield Finding(NOTE, "versions", told, why, "upgrade the older ones, one by one: docs/operations.md, Upgrade")


def clocks(config: Config, found: Mapping[int, Clock]) -> Iterator[Finding]:
    """Whose clock is off: from the middle one of all, this machine's included."""
    if not found:
        return
    middle = sorted([0.0, *(clock.ahead_ms for clock in found.values())])[(len(found) + 1) // 2]
    off = {0: Clock(-middle, 0.0)} | {
        peer: Clock(clock.ahead_ms - middle, clock.error_ms) for peer, clock in found.items()
    }
    wrong = False
    for peer, clock in off.items():
        if abs(clock.ahead_ms) - clock.error_ms < SKEW_WARNING_MS:
            continue
        wrong = True
        way = "ahead" if clock.ahead_ms > 0 else "behind"
        who = f"peer {peer}'s clock" if peer else "this machine's clock"
        many = abs(clock.ahead_ms) >= config.heart_rate.future_ms
        yield Finding(
            CRITICAL if many else WARNING,
            "clock",
            f"{who} is {abs(clock.ahead_ms) / 1000:.1f} s {way} of the others (give or take {clock.error_ms:.0f} ms)",
            f"stamps of alarms come from the leader's clock; a reading {config.heart_rate.future_ms} ms ahead of it is "
            "judged to be from the future",
            "on that machine: timedatectl set-ntp true; chronyc makestep",
        )
    if not wrong:
        widest = max(abs(clock.ahead_ms) for clock in off.values())
        yield Finding(OK, "clock", f"the peers' clocks agree within {widest:.0f} ms")


def log_clock(answers: Answers) -> Iterator[Finding]:
    """Whether stamps are ahead of what the peers' clocks say: a leader's clock was wrong once."""
    said = [answer.get("peer") for answer in answers.values() if answer]
    ahead = [one["log_ahead_ms"] for one in said if isinstance(one, dict) and isinstance(one.get("log_ahead_ms"), int)]
    if ahead and min(ahead) >= SKEW_WARNING_MS:  # else it is a peer's own clock
        yield Finding(
            NOTE,
            "clock",
            f"the log's clock is {min(ahead) / 1000:.0f} s ahead of the peers': a leader's clock was wrong",
            "the times of alarms are as much ahead; how long each has waited is right, limits are a hundredth longer",
            "nothing: it comes back by itself, by 36 s an hour; see that all clocks are kept: timedatectl",
        )


def _clocks(config: Config, peers: list[int]) -> dict[int, Clock]:
    with ThreadPoolExecutor(max_workers=max(1, len(peers))) as pool:
        found = dict(zip(peers, pool.map(lambda peer: _clock(config, peer), peers), strict=True))
    return {peer: clock for peer, clock in found.items() if clock is not None}


def _clock(config: Config, peer: int) -> Clock | None:
    """Of some tries the one that took least."""
    from hfzmq.client.ask import ask_all

    best: Clock | None = None
    for _ in range(TRIES):
        began, began_mono = time.time(), time.monotonic()
        answer = ask_all(config, "status", timeout_ms=TIMEOUT_MS, only=peer).get(peer) or {}
        took_ms = (time.monotonic() - began_mono) * 1000
        told = answer.get("peer")
        now_ms = told.get("now_ms") if isinstance(told, dict) else None
        if isinstance(now_ms, int) and (best is None or took_ms / 2 < best.error_ms):
            best = Clock(now_ms - (began * 1000 + took_ms / 2), took_ms / 2)
    return best
