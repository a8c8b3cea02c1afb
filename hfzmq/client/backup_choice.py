"""From which peer a backup is taken: by what they say of themselves, and who leads.

Touches nothing: answers come in. Must not know: sockets, files. Keeps: nobody is chosen that holds nothing while
somebody else may hold all there is, and then the error names that one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hfzmq.client.ask import NO_DAEMON_HINT
from hfzmq.client.key_faults import key_fault
from hfzmq.config import Config
from hfzmq.errors import KeysError, MeshUnavailable, NoDaemonReached

FAR_BEHIND = 1000  # entries


def histories(there: Iterable[int], odd: Mapping[int, str]) -> str:
    """What is so where ``odd`` of those that are ``there`` hold another history (histories.apart)."""
    return f"the mesh has two histories, one on {_peers(set(there) - set(odd))}, another on {_peers(odd)}"


def named(config: Config, there: Mapping[int, object], peer: int, refusing: Mapping[int, str]) -> int:
    """``peer``, if it is there and would have our key."""
    address = config.peer(peer)
    if peer in refusing:
        raise key_fault(config, {peer: refusing[peer]})
    if peer not in there:
        where = f"{address.host}:{address.client_port}"
        raise NoDaemonReached(f"peer {peer} does not answer ({where})", hint="leave --peer out, or start it")
    return peer


def refuse_empty(
    config: Config, there: Mapping[int, Mapping[str, Any]], chosen: Iterable[int], refusing: Mapping[int, str]
) -> None:
    """The error where none of ``chosen`` holds anything: it names who may, or does."""
    if any(there[one].get("last_index") != 0 for one in chosen):
        return
    words = f"nothing is stored at {_peers(chosen)}"
    if refusing:
        fault = key_fault(config, refusing)
        raise KeysError(f"{words}, and what {_peers(refusing)} holds is not known: {fault}", hint=fault.hint)
    ends = {one: _number(told.get("last_index")) for one, told in there.items()}
    heard = [row for told in there.values() for row in told.get("hears") or () if isinstance(row, list)]
    ends |= {row[0]: row[4] for row in heard if len(row) > 4 and type(row[0]) is int and type(row[4]) is int}
    holder = max(ends, key=lambda one: (ends[one], -one))
    if ends[holder]:
        hint = f"peer {holder} holds data until entry {ends[holder]}: hfzmq backup --peer {holder} FILE"
        raise MeshUnavailable(words, hint=hint)
    raise MeshUnavailable(words, hint="has the mesh begun, and are its other peers up? hfzmq status")


def ranked(config: Config, there: Mapping[int, Mapping[str, Any]], acknowledged: int | None) -> list[int]:
    """Whom to ask, one after the other: those far behind or that differ last, then the leader, the highest id first.
    When nobody leads, those behind whoever would be elected, by (term, index) of the last entry, are those behind."""
    if not there:
        hosts = ", ".join(f"{one.host}:{one.client_port}" for one in config.peers)
        raise NoDaemonReached(f"no daemon answered ({hosts})", hint=NO_DAEMON_HINT)
    applied = {one: _number(told.get("applied_index")) for one, told in there.items()}
    newest = max([acknowledged or 0, *applied.values()])
    ends = {one: (_number(told.get("last_term")), _number(told.get("last_index"))) for one, told in there.items()}
    odd = {other for told in there.values() for other in _numbers(told.get("differs"))}

    def rank(one: int) -> tuple[bool, bool, bool, int]:
        behind = ends[one] < max(ends.values()) if acknowledged is None else newest - applied[one] > FAR_BEHIND
        return behind, one in odd, there[one].get("role") == "leader", -one

    return sorted(there, key=rank)


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _numbers(value: object) -> Iterable[int]:
    return [one for one in value if isinstance(one, int)] if isinstance(value, list) else ()


def _peers(ids: Iterable[int]) -> str:
    words = list(map(str, sorted(ids)))
    return f"peer{'s' * (len(words) > 1)} {', '.join(words)}"
