"""``hfzmq check``: is the mesh well, for a monitoring system: one line and one of four exit codes (Nagios).

Touches sockets (through client.ask), stdout. Must not know how the line is made (nagios.py). Keeps: exactly one line,
never a traceback, and an answer within about ``--timeout``, whatever the mesh does.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from hfzmq.cli.check_alarms import judge_unseen, unseen_red
from hfzmq.cli.format import counted, thousands
from hfzmq.cli.nagios import CRITICAL, OK, UNKNOWN, WARNING, Finding, Number, Plugin, line, worst
from hfzmq.cli.options import Seconds, config_option, load_config, peer_option
from hfzmq.cli.same_file import differing
from hfzmq.config import Config
from hfzmq.errors import HfzmqError, InvalidInput, KeysError

if TYPE_CHECKING:
    from hfzmq.cli.mesh_view import MeshView
    from hfzmq.cli.peer_view import PeerView

LAST_AT = 4  # in a row of the status's ``hears``: the last entry that peer holds

F = TypeVar("F", bound=Callable[..., Any])


class Limits(NamedTuple):
    """From when something is a warning, from when it is critical."""

    red_warning_s: float = 60
    red_critical_s: float = 300
    lag_warning: int = 1_000
    lag_critical: int = 20_000
    disk_warning_bytes: int = 1 << 30
    disk_critical_bytes: int = 200 << 20


def _threshold(name: str, default: float, of: str) -> Callable[[F], F]:
    return click.option(name, type=Seconds(0), default=default, show_default=True, metavar="S", help=of)


@click.command(cls=Plugin)
@config_option
@peer_option
@_threshold("--red-warning", Limits().red_warning_s, "WARNING when a RED alarm is unseen for so long.")
@_threshold("--red-critical", Limits().red_critical_s, "CRITICAL when it is for so long.")
@click.option("--lag-warning", type=click.IntRange(1), default=1_000, show_default=True, help="Entries behind.")
@click.option("--lag-critical", type=click.IntRange(1), default=20_000, show_default=True, help="Entries behind.")
@click.option("--no-alarms", is_flag=True, help="Of the mesh alone, not of patients' alarms: before and in an upgrade.")
@click.option(
    "--timeout", "timeout_s", type=Seconds(0.1, 60), default=3, show_default=True, metavar="S", help="Wait so long."
)
def check(
    config_path: str,
    peer: int | None,
    red_warning: float,
    red_critical: float,
    lag_warning: int,
    lag_critical: int,
    no_alarms: bool,
    timeout_s: float,
) -> int:
    """One line for Nagios, and exit 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.

    Quorum and leader, peers that are away or behind, states or settings that differ, disks that were damaged, RED
    alarms that nobody has seen.
    """
    limits = Limits(red_warning, red_critical, lag_warning, lag_critical)
    numbers: list[Number] = []
    findings: list[Finding] = []
    try:
        for name, warning, critical in (("red", red_warning, red_critical), ("lag", lag_warning, lag_critical)):
            if warning > critical:
                raise InvalidInput(f"--{name}-warning", f"at most --{name}-critical, {critical:g}", got=warning)
        config = load_config(config_path)
        for finding in _look(config, peer, limits, int(timeout_s * 500), numbers, not no_alarms):
            findings.append(finding)  # one by one: what is known stands, whatever breaks after it
    except HfzmqError as error:
        findings.append(Finding(UNKNOWN, str(error)))
    except Exception as error:  # a plugin that breaks must say so in one line, too
        findings.append(Finding(UNKNOWN, f"internal error: {type(error).__name__}: {error}"))
    click.echo(line(findings, numbers))
    return worst(findings)


def _look(
    config: Config, only: int | None, limits: Limits, timeout_ms: int, numbers: list[Number], alarms: bool
) -> Iterator[Finding]:
    from hfzmq.cli.mesh_view import mesh_view
    from hfzmq.client.ask import ask_all, knowing
    from hfzmq.client.key_faults import sentence
    from hfzmq.wire.members import with_members

    listed, config = config, knowing(config, only, timeout_ms)
    refusing: dict[int, str] = {}
    served: dict[int, str] = {}
    try:
        answers = ask_all(config, "status", timeout_ms=timeout_ms, only=only, refusing=refusing, served=served)
    except KeysError:
        yield from _no_majority(config, only, refusing)
        raise
    view = mesh_view(config, answers, only, refusing, served)
    told = {peer: _said(answer) for peer, answer in answers.items()}
    yield from judge(view, told, limits, refusing)
    for peer, fault in refusing.items():
        yield Finding(WARNING, sentence(config.keys, {peer: fault}, config.path)[0])
    yield from _keys(listed, view, served, timeout_ms)
    numbers += measured(view, told, limits)
    teller = next((peer for peer in view.reading if peer.serves), None) or next(iter(view.reading), None)
    if alarms and teller is not None and not view.restoring:  # those who wait tell no more than that
        unseen = unseen_red(with_members(config, view.told), teller, timeout_ms)  # it may have moved
        if unseen is None:
            yield Finding(UNKNOWN, f"peer {teller.id} does not tell its alarms")
        else:
            yield from judge_unseen(unseen, limits.red_warning_s, limits.red_critical_s)
            numbers.append(Number("red_unseen", unseen.many))
            numbers.append(Number("red_oldest", unseen.oldest_s, "s", limits.red_warning_s, limits.red_critical_s))


def judge(
    view: MeshView, told: dict[int, dict[str, Any]], limits: Limits, refusing: Container[int] = ()
) -> Iterator[Finding]:
    """What the peers' answers say; ``refusing``: who would not have our key, and is no peer that is away."""
    from hfzmq.cli.mesh_words import MISPLACED_HINT, key_troubles, misplaced, mute, unheard

    for apart in view.histories:
        yield Finding(CRITICAL, str(apart))
    if view.misplaced:
        yield Finding(CRITICAL, f"{misplaced(view)}: {MISPLACED_HINT}")
    yield _alone(view, told) or _standing(view, refusing)
    away = [peer.id for peer in view.peers if peer.counted and not peer.reachable and peer.id not in refusing]
    if view.answers and away:
        yield Finding(WARNING, f"{_peers(away)} {'does' if len(away) == 1 else 'do'} not answer")
    for broken in (*unheard(view), *mute(view), *map(": ".join, key_troubles(view))):
        yield Finding(WARNING, broken)
    for states in view.states:
        yield Finding(CRITICAL, states)
    for words in differing({peer.id: told.get(peer.id, {}) for peer in view.peers if peer.reachable}).values():
        yield Finding(WARNING, words)
    for peer in view.peers:
        yield from _of_one(peer, told.get(peer.id, {}), limits)


def _keys(config: Config, view: MeshView, served: Mapping[int, str], timeout_ms: int) -> Iterator[Finding]:
    """What is wrong with the keys that ``config`` lists for the peers: who starts anew there, or asks such a peer
    alone, does not find it."""
    from hfzmq.cli.key_words import judged, merged
    from hfzmq.client.ask_keys import ask_keys

    expected = dict(view.told.keys) if view.told else {}
    members = [peer.id for peer in view.peers if peer.counted and (peer.id in served or not view.asked_one)]
    file = dict(config.keys.peers) if config.keys else {}
    if any(own.get(peer, key) != key for own in (expected, served) for peer, key in file.items()):
        told = merged(ask_keys(config, timeout_ms))
        for one in judged(config.keys, view.file, members, served, expected, told):
            yield Finding(WARNING, f"{one.what}: {one.do}")


def _no_majority(config: Config, only: int | None, refusing: Mapping[int, str]) -> Iterator[Finding]:
    """What is certain where all who answer refuse our key, or have one that is not known."""
    away = [peer for peer in config.peer_ids if peer not in refusing]
    if refusing and only is None and len(away) > len(config.peer_ids) // 2:
        yield Finding(CRITICAL, f"{_peers(away)} do not answer: no majority of the peers that {config.path} lists")


def _alone(view: MeshView, told: Mapping[int, Mapping[str, Any]]) -> Finding | None:
    """What one peer that was asked alone knows of disks that are gone: that it is empty beside one that is not, or that
    it holds what most others have lost."""
    if not view.asked_one or not view.answers or view.serves:
        return None
    peer = view.peers[0]
    said = told.get(peer.id, {})
    hears = [row for row in said.get("hears") or () if isinstance(row, list) and len(row) > LAST_AT]
    holder, last = max(((row[0], row[LAST_AT]) for row in hears), key=lambda one: one[1], default=(0, 0))
    if not view.founded and not peer.last_index and last:
        holds = f"peer {holder} holds data until entry {thousands(last)}"
        return Finding(CRITICAL, f"peer {peer.id} is empty, and {holds}: do not touch that one")
    lost, voters = said.get("replaced") or (), view.told.voters if view.told and view.told.founded else ()
    if voters and len(voters) - len(lost) < len(voters) // 2 + 1:
        holds = f"peer {peer.id} holds data until entry {thousands(peer.last_index or 0)}"
        gone = f"{_peers(lost)} came back with other disks, a majority of them is gone, and {holds}"
        return Finding(
            CRITICAL,
            f"{gone}: do not touch it; were directories exchanged? hfzmq check, without --peer; if not: hfzmq backup "
            f"--peer {peer.id} FILE, then hfzmq restore",
        )
    return None


def _standing(view: MeshView, refusing: Container[int] = ()) -> Finding:
    from hfzmq.cli.mesh_view import unreached
    from hfzmq.cli.mesh_words import answering, not_begun, only_copy, unknown_holders

    if not view.answers:
        return Finding(CRITICAL, str(unreached(view)))
    waits = {peer.id: peer.standing for peer in view.peers if peer.reachable}
    if not view.founded and unknown_holders(view, refusing):
        return Finding(CRITICAL, f"{unknown_holders(view, refusing)}: leave its disk alone until its key is mended")
    if not view.founded:
        return Finding(CRITICAL, f"mesh {view.mesh} has not begun: {not_begun(view).removeprefix('not begun: ')}")
    if not view.serves and only_copy(view)[0] and not view.misplaced:
        return Finding(CRITICAL, ": ".join(only_copy(view)))
    if not view.serves:
        who = f"peer {next(iter(waits))} knows no leader with a quorum" if view.asked_one else answering(view)
        return Finding(CRITICAL, f"mesh {view.mesh}: {who}, and nothing is stored: no leader with a quorum")
    told = "as the one peer asked says" if view.asked_one else answering(view)
    return Finding(OK, f"mesh {view.mesh}: peer {view.leader} leads in term {view.term}, {told}")


def _of_one(peer: PeerView, said: dict[str, Any], limits: Limits) -> Iterator[Finding]:
    if not peer.reachable:
        return
    behind = peer.trails_leader_by
    if peer.membership == "asking" and peer.counted:
        yield Finding(WARNING, f"peer {peer.id} came back with another disk and asks to join")
    elif peer.membership == "learner" and behind is not None and behind >= limits.lag_warning:
        yield Finding(WARNING, f"peer {peer.id} is catching up, {thousands(behind)} entries behind the leader")
    elif peer.membership in (None, "voter") and behind is not None and behind >= limits.lag_warning:
        code = CRITICAL if behind >= limits.lag_critical else WARNING
        yield Finding(code, f"peer {peer.id} is {thousands(behind)} entries behind the leader")
    if peer.refused_peers:
        yield Finding(WARNING, f"peer {peer.id} refuses {_peers(peer.refused_peers)}: none of the members")
    if peer.amnesia and peer.membership != "voter":
        yield Finding(WARNING, f"peer {peer.id} does not trust its disk: {peer.amnesia}")
    if peer.other_versions:
        yield Finding(WARNING, f"peer {peer.id} hears another version of the peers' protocol")
    aside, free = said.get("files_aside"), said.get("disk_free_bytes")
    if type(aside) is int and aside:
        yield Finding(WARNING, f"peer {peer.id} has set damaged files aside {counted(aside, 'time')}")
    if type(free) is int and free < limits.disk_warning_bytes:
        code = CRITICAL if free < limits.disk_critical_bytes else WARNING
        yield Finding(code, f"peer {peer.id} has {free >> 20} MiB of disk left")


def measured(view: MeshView, told: dict[int, dict[str, Any]], limits: Limits) -> Iterator[Number]:
    """The numbers behind the bar."""
    there = [peer for peer in view.peers if peer.reachable]
    yield Number("peers", view.total)
    yield Number("reachable", sum(peer.counted for peer in there))
    voting = [peer for peer in there if peer.membership in (None, "voter")]
    for label, values, warning, critical, unit in (
        ("lag", [peer.trails_leader_by for peer in voting], limits.lag_warning, limits.lag_critical, ""),
        ("fsync", [peer.fsync_ms for peer in there], None, None, "ms"),
        ("applied", [peer.applied_index for peer in there], None, None, "c"),
        ("reports", [peer.reports for peer in there], None, None, "c"),
        ("db", [_number(said, "db_bytes") for said in told.values()], None, None, "B"),
        ("wal", [_number(said, "wal_bytes") for said in told.values()], None, None, "B"),
    ):
        known = [value for value in values if value is not None]
        if known:
            yield Number(label, max(known), unit, warning, critical)
    free = [value for said in told.values() if (value := _number(said, "disk_free_bytes")) is not None]
    if free:
        yield Number("disk_free", min(free), "B")


def _said(answer: dict[str, Any] | None) -> dict[str, Any]:
    told = (answer or {}).get("peer")
    return told if isinstance(told, dict) else {}


def _number(said: dict[str, Any], key: str) -> int | None:
    value = said.get(key)
    return value if type(value) is int else None


def _peers(ids: Any) -> str:
    from hfzmq.cli.format import listed

    return listed(ids)
