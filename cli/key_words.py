"""The keys that peers.yaml lists for the peers beside those that they serve with: which is the newer, and what to do.

    file   what peers.yaml lists        served   what a peer has proven to have        expected   what the mesh says

    file = served = expected        well
    file = served, not expected     another key was issued, and its secret was not brought yet
    file = expected, not served     the same, and peers.yaml knows it already
    not file, served = expected     the file is *older* where the mesh has revoked its key, or issued that before the
                                    served one; else nobody can say, and whoever issued it must

Touches nothing. Must not know: sockets, who asks. Keeps: nothing that it bids undoes an issue; what was not proven is
not called older.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from hfzmq.access import LOG, AccessList, fingerprint, name_of_peer
from hfzmq.key_section import Keys

UPDATE = "hfzmq keys update"


class KeyWords(NamedTuple):
    """What is so with a peer's key, and the next step. ``undecided``: whether the file's key is the older one."""

    peer: int
    what: str
    do: str
    undecided: bool = False


def judged(
    keys: Keys | None,
    file: str,
    members: Collection[int],
    served: Mapping[int, str],
    expected: Mapping[int, str],
    access: AccessList | None,
) -> Iterator[KeyWords]:
    """Of each of ``members`` that the file lists a key for. ``access``: the keys that the mesh knows; None where it did
    not tell them."""
    if keys is None:
        return
    if access is not None:
        access = AccessList(access.listed.values(), {*access.revoked, *keys.revoked})
    for peer, listed in keys.peers:
        if peer not in members:
            continue
        wanted, own = expected.get(peer), served.get(peer)
        if own is None:  # nothing is proven
            if wanted not in (None, listed) and _is_older(listed, wanted or "", access):
                yield _older(peer, file)
        elif own == listed and wanted not in (None, listed):
            yield KeyWords(
                peer,
                f"peer {peer} still serves with the key that {file} lists, and the mesh has another for it "
                f"({fingerprint(wanted or '')})",
                f"{_bring(peer)}; then {UPDATE} on every machine. Is that other one out of use? hfzmq keys revoke it",
            )
        elif own != listed and wanted not in (None, own):
            yield KeyWords(
                peer,
                f"peer {peer} does not yet serve with its new key ({fingerprint(wanted or '')})",
                f"{_bring(peer)}" + ("" if wanted == listed else f"; then {UPDATE} on every machine"),
            )
        elif own != listed and _is_older(listed, own, access):
            yield _older(peer, file)
        elif own != listed:
            yield KeyWords(
                peer,
                f"{file} lists another key for peer {peer} ({fingerprint(listed)}) than it serves with "
                f"({fingerprint(own)})",
                f"was the file's key issued last (--offline)? {_bring(peer)}, and this file to all machines; is it an "
                f"old one? {UPDATE}",
                undecided=True,
            )


def unknown_to(access: AccessList | None, key: str) -> bool:
    """Whether no peer that told its keys lists or revokes ``key``: it may be too new for them to know."""
    return access is not None and key not in access.listed and key not in access.revoked


def merged(told: Collection[AccessList]) -> AccessList | None:
    """What several peers know, the best informed one first; None where none told."""
    if not told:
        return None
    listed = [one for each in told for one in each.listed.values()]
    return AccessList(listed, {key for each in told for key in each.revoked})


def _is_older(listed: str, newer: str, access: AccessList | None) -> bool:
    """Whether it is proven: revoked, or issued by an earlier entry of the log (they are told in their order)."""
    if access is None:
        return False
    issued = [key for key, one in access.listed.items() if one.source == LOG]
    return listed in access.revoked or (
        listed in issued and newer in issued and issued.index(listed) < issued.index(newer)
    )


def _older(peer: int, file: str) -> KeyWords:
    return KeyWords(peer, f"{file} lists an older key for peer {peer}", UPDATE)


def _bring(peer: int) -> str:
    return f"bring its secret to peer {peer}'s machine as keys/{name_of_peer(peer)}.secret and restart that peer"
