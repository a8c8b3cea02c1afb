"""A backup on its way to an operator: what is asked for, and what a peer answers.

Touches nothing. Must not know: files, sockets. Keeps: a piece names the backup that it belongs to (its ``take``, and
what the whole must hash to) and its place in it, so that it is harmless when late, doubled or reordered; whether its
bytes are what was sent is for the receiver to check (``Piece.is_sound``).

    TakeBackup --take_of--> the daemon --OK, MAKING, GONE, FAILED, BUSY--> read_answer --> Piece, Making, ...
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from hfzmq.errors import WireError
from hfzmq.wire.checks import U63, binary, integer
from hfzmq.wire.fields import Fields

TAKE_BYTES = 16
SHA_BYTES = 32
PIECE_BYTES_MAX = 1 << 20
SIZE_MAX = 1 << 42
RETRY_MS_MAX = 60_000
TEXT_CHARS_MAX = 1000
WAITING = "waiting"  # what a peer does that has not applied so much yet

REQUIRED = ("take", "offset")
OPTIONAL = ("length", "at_least", "end")


class TakeBackup(NamedTuple):
    """Give me what stands from ``offset`` on, ``length`` bytes at most, of the backup that is made for ``take`` (16
    random bytes, new ones for each backup). ``at_least``: it must hold this entry of the log. ``end``: I am through
    with it."""

    take: bytes
    offset: int
    length: int = PIECE_BYTES_MAX
    at_least: int = 0
    end: bool = False


def take_of(fields: Fields) -> TakeBackup:
    """The request in ``fields``; WireError names what is wrong."""
    values = fields.values
    end = values.get("end", False)
    if not isinstance(end, bool):
        raise WireError("end", "true or false")
    return TakeBackup(
        fields.binary("take", TAKE_BYTES),
        fields.integer("offset", 0, SIZE_MAX),
        fields.integer("length", 1, PIECE_BYTES_MAX) if "length" in values else PIECE_BYTES_MAX,
        fields.integer("at_least", 0, U63) if "at_least" in values else 0,
        end,
    )


# ------------------------------------------------------------ answers


class Piece(NamedTuple):
    """``data`` stands at ``offset`` of the backup's ``size`` bytes, which hash (SHA-256) to ``sha256``; ``entry``:
    the index of the last one in it."""

    take: bytes
    offset: int
    size: int
    sha256: bytes
    entry: int
    data: bytes
    data_sha256: bytes

    @property
    def is_sound(self) -> bool:
        """Whether the bytes are those that were sent."""
        return hashlib.sha256(self.data).digest() == self.data_sha256


class Making(NamedTuple):
    """Not yet: ``doing`` (a word) is done to the ``share`` 0 to 1; ask again after ``retry_ms``."""

    take: bytes
    doing: str
    share: float
    retry_ms: int


class Gone(NamedTuple):
    """There is no such backup (any more): begin with a new take."""

    take: bytes


class Failed(NamedTuple):
    """None could be made: why, and what to do about it."""

    take: bytes
    cause: str
    hint: str


class Busy(NamedTuple):
    """Not now, ask again after ``retry_ms``. ``by``: whose backup is in the way, '' for none."""

    retry_ms: int
    by: str


class Ended(NamedTuple):
    """What ``end`` is answered with."""

    take: bytes


class Refused(NamedTuple):
    """The request is wrong, or another key is needed."""

    field: str
    bound: str
    hint: str


Answer = Piece | Making | Gone | Failed | Busy | Ended | Refused


def piece_of(take: bytes, offset: int, size: int, sha256: bytes, entry: int, data: bytes) -> Piece:
    """With the hash of its bytes."""
    return Piece(take, offset, size, sha256, entry, data, hashlib.sha256(data).digest())


def told(answer: Answer) -> tuple[str, dict[str, Any]]:
    """(status, keys) of the answer on the wire."""
    status = {Piece: "OK", Ended: "OK", Making: "MAKING", Gone: "GONE", Failed: "FAILED", Busy: "BUSY"}
    return status.get(type(answer), "REFUSED"), answer._asdict()


def read_answer(reply: Mapping[str, Any]) -> Answer:
    """What a peer's reply to a ``backup`` says; WireError when it is none."""
    status = reply.get("status")
    if status == "REFUSED":
        return Refused(_text(reply, "field"), _text(reply, "bound"), _text(reply, "hint"))
    if status == "BUSY":
        by = _text(reply, "by") if "by" in reply else ""
        return Busy(integer(reply.get("retry_ms"), "retry_ms", RETRY_MS_MAX), by)
    take = binary(reply.get("take"), "take", TAKE_BYTES)
    if status == "MAKING":
        share = reply.get("share")
        if not isinstance(share, float) or not 0 <= share <= 1:
            raise WireError("share", "0.0 to 1.0")
        return Making(take, _text(reply, "doing"), share, integer(reply.get("retry_ms"), "retry_ms", RETRY_MS_MAX))
    if status == "GONE":
        return Gone(take)
    if status == "FAILED":
        return Failed(take, _text(reply, "cause"), _text(reply, "hint"))
    if status != "OK":
        raise WireError("status", "OK, MAKING, GONE, FAILED, BUSY or REFUSED")
    return _piece(take, reply) if "data" in reply else Ended(take)


def _piece(take: bytes, reply: Mapping[str, Any]) -> Piece:
    data = reply["data"]
    if type(data) is not bytes or not 0 < len(data) <= PIECE_BYTES_MAX:
        raise WireError("data", f"1 to {PIECE_BYTES_MAX} bytes")
    size = integer(reply.get("size"), "size", SIZE_MAX, 1)
    return Piece(
        take,
        integer(reply.get("offset"), "offset", size - len(data)),
        size,
        binary(reply.get("sha256"), "sha256", SHA_BYTES),
        integer(reply.get("entry"), "entry"),
        data,
        binary(reply.get("data_sha256"), "data_sha256", SHA_BYTES),
    )


def _text(reply: Mapping[str, Any], key: str) -> str:
    value = reply.get(key)
    if not isinstance(value, str):
        raise WireError(key, "text")
    return "".join(letter if letter.isprintable() else " " for letter in value[:TEXT_CHARS_MAX])
