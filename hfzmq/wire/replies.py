"""What a peer answers to a client, as bytes: the second half of docs/protocol.md's words for clients.

Touches nothing. Must not know: sockets, what was asked. Keeps: a reply that was decoded has its ``status`` and all that
the protocol promises with it, each of its type; any other bytes raise WireError, and nothing else is ever raised.
"""

from __future__ import annotations

from typing import Any

from hfzmq.errors import WireError
from hfzmq.wire.fields import VERSION, pack, reply_map, shown

_REPLY_KEYS: dict[str, dict[str, tuple[type, ...]]] = {
    "ACK": {"index": (int,)},
    "CONFLICT": {"seq": (int,), "index": (int,)},
    "GAP": {"seq": (int,), "expected": (int,)},
    "REFUSED": {"field": (str,), "bound": (str,), "hint": (str,)},
    "NOT_LEADER": {"leader": (int, type(None)), "host": (str, type(None)), "port": (int, type(None))},
    "BUSY": {"retry_ms": (int,)},
    "NO_QUORUM": {},
}
_SUBMITTED: dict[str, tuple[type, ...]] = {"seq": (int,), "term": (int,), "index": (int,), "rejected": (list,)}


def encode_reply(status: str, **fields: object) -> bytes:
    """The frame of one answer. WireError when msgpack cannot carry a field."""
    return pack({"v": VERSION, "status": status, **fields})


def decode_reply(frame: bytes) -> dict[str, Any]:
    """The answer in ``frame``; ``status`` is a str, and the keys that the protocol promises with it are there and of
    their type (what belongs to an ``OK`` is for the asker to check). WireError for any other bytes."""
    reply = reply_map(frame)
    if reply.get("v") != VERSION or isinstance(reply["v"], bool):
        raise WireError("v", f"{VERSION}", hint="no hfzmq peer, or one that speaks another version")
    status = reply.get("status")
    if not isinstance(status, str):
        raise WireError("status", "text")
    of_submit = status == "ACK" and ("seq" in reply or "rejected" in reply)  # an ACK of a change has neither
    for key, types in (_SUBMITTED if of_submit else _REPLY_KEYS.get(status, {})).items():
        if key not in reply or not isinstance(reply[key], types) or isinstance(reply[key], bool):
            raise WireError(shown(key), f"as promised with {status}")
    index = reply.get("members_index", 0)
    if not isinstance(index, int) or isinstance(index, bool):
        raise WireError("members_index", "a whole number")
    return reply
