"""Keys on the wire: which are in force (the answer to ``keys``), and the changes that the log carries.

    AccessList --told_access--> keys of an answer --read_access--> AccessList

    the body of a log entry, format 4: 1 byte: format | 8 bytes: the leader's stamp, Unix ms UTC, big-endian |
    a msgpack array of changes, each a flat array, its kind first:
        [1, key, role, name, peer] issued    [2, key] revoked

Touches nothing. Must not know: the log, sockets, who may ask. Keeps: what is read is within its bounds; any other bytes
raise WireError, and nothing else is ever raised.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from hfzmq.access import FILE, LOG, NAME_RULE, PEER, ROLES, AccessList, Listed, is_key, is_name
from hfzmq.config import PEER_ID_MAX
from hfzmq.errors import WireError
from hfzmq.wire.body import ACCESS as FORMAT
from hfzmq.wire.body import STAMP_MS_MAX
from hfzmq.wire.fields import pack
from hfzmq.wire.rows import count_rows, unpack_rows

CHANGES_MAX = 100  # of one request
LISTED_MAX = 100_000
ISSUED, REVOKED = 1, 2

_HEAD = struct.Struct(">BQ")


class Issued(NamedTuple):
    """A key is in force from here on, unless it was ever revoked. ``peer``: of role PEER, else 0."""

    key: str
    role: str
    name: str
    peer: int


class Revoked(NamedTuple):
    """A key is out of force for ever, whether anybody knows it or not."""

    key: str


Change = Issued | Revoked


# ------------------------------------------------------------ in the log


def encode_changes(changes: Sequence[Change]) -> bytes:
    """The changes alone: what a request carries and its digest is over. WireError when one breaks a bound."""
    rows = [[ISSUED, *change] if isinstance(change, Issued) else [REVOKED, *change] for change in changes]
    data = pack(rows)
    decode_changes(data)
    return data


def decode_changes(data: bytes) -> list[Change]:
    """The changes in ``data``, in their order; WireError for any other bytes."""
    if not 1 <= count_rows(data, field="changes") <= CHANGES_MAX:
        raise WireError("changes", f"1 to {CHANGES_MAX} changes")
    return [_change(row) for row in unpack_rows(data, field="changes")]


def decode_access(body: bytes) -> tuple[int, list[Change]]:
    """(the leader's stamp in ms, the changes) of a log entry's body; WireError for anything else."""
    if len(body) < _HEAD.size:
        raise WireError("body", f"at least {_HEAD.size} bytes")
    version, stamp_ms = _HEAD.unpack_from(body)
    if version != FORMAT:
        raise WireError("body", f"format {FORMAT}")
    if stamp_ms > STAMP_MS_MAX:
        raise WireError("stamp_ms", f"0 to {STAMP_MS_MAX}")
    return stamp_ms, decode_changes(body[_HEAD.size :])


# ------------------------------------------------------------ in an answer


def told_access(access: AccessList, applied: int) -> dict[str, object]:
    """The keys ``keys``, ``revoked`` and ``applied_index`` of an answer to ``keys``."""
    return {
        "keys": [[one.key, one.role, one.name, one.peer, one.source] for one in access.listed.values()],
        "revoked": sorted(access.revoked),
        "applied_index": applied,
    }


def read_access(answer: Mapping[str, Any]) -> AccessList:
    """What a peer says is in force; WireError."""
    rows, revoked = answer.get("keys"), answer.get("revoked")
    if not isinstance(rows, list) or not isinstance(revoked, list) or len(rows) + len(revoked) > LISTED_MAX:
        raise WireError("keys", "two arrays, keys and revoked")
    if not all(map(is_key, revoked)):
        raise WireError("revoked", "an array of public keys")
    listed = []
    for row in rows:
        if not isinstance(row, list) or len(row) != len(Listed._fields) or row[4] not in (FILE, LOG):
            raise WireError("keys", "each an array of " + ", ".join(Listed._fields))
        listed.append(Listed(*_issued(row[:4]), source=row[4]))
    return AccessList(listed, revoked)


# ------------------------------------------------------------ the parts


def _change(row: object) -> Change:
    if isinstance(row, list) and len(row) == 2 and row[0] == REVOKED:
        if not is_key(row[1]):
            raise WireError("changes", "each with a public key, 40 characters of Z85")
        return Revoked(row[1])
    if isinstance(row, list) and len(row) == 5 and row[0] == ISSUED:
        return _issued(row[1:])
    raise WireError("change", "an array: [1, key, role, name, peer] or [2, key]")


def _issued(row: list[Any]) -> Issued:
    key, role, name, peer = row
    if not is_key(key):
        raise WireError("changes", "each with a public key, 40 characters of Z85")
    if not isinstance(role, str) or role not in ROLES:
        raise WireError("role", "one of " + ", ".join(ROLES))
    if not is_name(name):
        raise WireError("name", NAME_RULE)
    if type(peer) is not int or not (1 <= peer <= PEER_ID_MAX if role == PEER else peer == 0):
        raise WireError("peer", f"1 to {PEER_ID_MAX} for a peer's key, 0 for any other")
    return Issued(key, role, name, peer)
