"""A snapshot on its way: what its receiver asks for, and the pieces that it is given.

Touches nothing. Must not know: files, sockets, who leads. Keeps: a piece names the snapshot that it belongs to, its
place in it and what the whole must hash to, so that it is harmless when late, doubled or reordered; whether its bytes
are what was sent is for the receiver to check (``Chunk.is_sound``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hfzmq.core.types import CHAIN_BYTES, Place
from hfzmq.errors import WireError
from hfzmq.wire.checks import binary, integer

SNAPSHOT_ID_BYTES = 16
ANY_SNAPSHOT = bytes(SNAPSHOT_ID_BYTES)
SHA_BYTES = 32
CHUNK_BYTES_MAX = 256 << 10
TOTAL_BYTES_MAX = 1 << 42


@dataclass(frozen=True, slots=True)
class Pull:
    """Send me what ``snapshot`` (its id, 16 bytes; zeros: whatever you have) holds from ``offset`` on, in bytes."""

    snapshot: bytes
    offset: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """``data`` stands at ``offset`` of the snapshot's ``total`` bytes. ``sha256`` is of ``data``, ``whole_sha256`` of
    the whole, whose first 16 bytes are the snapshot's id; ``place`` is that of the last entry in its tables."""

    snapshot: bytes
    offset: int
    total: int
    data: bytes
    sha256: bytes
    whole_sha256: bytes
    place: Place

    @property
    def is_sound(self) -> bool:
        """Whether the bytes are those that were sent."""
        return hashlib.sha256(self.data).digest() == self.sha256


def snapshot_id(whole_sha256: bytes) -> bytes:
    """Equal ids mean equal bytes, whoever hands them out."""
    return whole_sha256[:SNAPSHOT_ID_BYTES]


def _pull(values: list[Any]) -> Pull:
    snapshot, offset = values
    return Pull(binary(snapshot, "snapshot", SNAPSHOT_ID_BYTES), integer(offset, "offset", TOTAL_BYTES_MAX))


def _chunk(values: list[Any]) -> Chunk:
    snapshot, offset, total, data, sha256, whole_sha256, index, term, chain = values
    if type(data) is not bytes or not 0 < len(data) <= CHUNK_BYTES_MAX:
        raise WireError("data", f"1 to {CHUNK_BYTES_MAX} bytes")
    total = integer(total, "total", TOTAL_BYTES_MAX, 1)
    whole = binary(whole_sha256, "whole_sha256", SHA_BYTES)
    if binary(snapshot, "snapshot", SNAPSHOT_ID_BYTES) != snapshot_id(whole):
        raise WireError("snapshot", "the first bytes of whole_sha256")
    return Chunk(
        snapshot,
        integer(offset, "offset", total - len(data)),
        total,
        data,
        binary(sha256, "sha256", SHA_BYTES),
        whole,
        Place(integer(index, "place.index"), integer(term, "place.term"), binary(chain, "place.chain", CHAIN_BYTES)),
    )


# kind, and how a message becomes its fields; kind -> how many fields, and how they become a message
ENCODERS: dict[type, tuple[int, Callable[[Any], list[Any]]]] = {
    Pull: (9, lambda m: [m.snapshot, m.offset]),
    Chunk: (10, lambda m: [m.snapshot, m.offset, m.total, m.data, m.sha256, m.whole_sha256,
                           m.place.index, m.place.term, m.place.chain]),
}  # fmt: skip
DECODERS: dict[int, tuple[int, Callable[[list[Any]], Pull | Chunk]]] = {9: (2, _pull), 10: (9, _chunk)}
