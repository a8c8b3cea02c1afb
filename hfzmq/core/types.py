"""The nouns of the log: entries, places, hard state.

Touches nothing. Keeps: every value is frozen; an entry's chain is the hash of all that stands before it and of itself,
so equal (index, chain) means equal logs up to there.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

NOOP, BATCH, CONFIG = 0, 1, 2  # kinds of entries: a new leader's first, a client's rows, a change of members
KINDS = (NOOP, BATCH, CONFIG)

ENTRY_HEAD_BYTES = 100
CHAIN_BYTES = 16
CHAIN_START = bytes(CHAIN_BYTES)


@dataclass(frozen=True, slots=True)
class Origin:
    """Who asked for an entry: the client, its epoch (16 bytes, new with each queue file), its sequence number (from 1)
    and the digest (16 bytes) of what it sent. (client, epoch) names a session."""

    client: str
    epoch: bytes
    seq: int
    digest: bytes

    @property
    def session(self) -> tuple[str, bytes]:
        """The key of the session that this request belongs to."""
        return (self.client, self.epoch)


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the log. ``origin`` is None for what no client asked for; ``body`` is opaque here."""

    index: int
    term: int
    kind: int
    origin: Origin | None
    body: bytes
    chain: bytes

    @property
    def cost_bytes(self) -> int:
        """What it weighs against the limits: at least what it takes on the wire."""
        return len(self.body) + ENTRY_HEAD_BYTES + (4 * len(self.origin.client) if self.origin else 0)


@dataclass(frozen=True, slots=True)
class Place:
    """A position in the log, with the chain that proves what stands up to it. Index 0 is the empty log."""

    index: int
    term: int
    chain: bytes


START = Place(0, 0, CHAIN_START)


@dataclass(frozen=True, slots=True)
class HardState:
    """What a peer must remember to keep its word: the term and whom it voted for in it (0: nobody)."""

    term: int
    vote: int


_HEAD = struct.Struct(">QBHHQ")


def chained(before: Place, term: int, kind: int, origin: Origin | None, body: bytes) -> Entry:
    """The entry that follows ``before``, with its chain: BLAKE2b-128 of the chain before, the header and the body."""
    client = origin.client.encode() if origin else b""
    epoch = origin.epoch if origin else b""
    digest = origin.digest if origin else b""
    head = _HEAD.pack(term, kind, len(client), len(epoch) << 8 | len(digest), origin.seq if origin else 0)
    chain = hashlib.blake2b(b"".join((before.chain, head, client, epoch, digest, body)), digest_size=CHAIN_BYTES)
    return Entry(before.index + 1, term, kind, origin, body, chain.digest())
