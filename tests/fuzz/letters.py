"""Messages as hostile as msgpack allows: of nothing, valid ones with one thing changed, and shapes that cost much.

Touches nothing; all is drawn from the Random that is handed in. Knows the shapes of both halves of docs/protocol.md.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random
from typing import Any

import msgpack

from hfzmq.config import PeerAddress
from hfzmq.core.membership import Member
from hfzmq.core.messages import (
    AppendReply,
    AppendRequest,
    Disowned,
    Expelled,
    Heartbeat,
    JoinRequest,
    SnapshotOffer,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)
from hfzmq.core.types import BATCH, NOOP, Origin, Place, chained
from hfzmq.wire import peers
from hfzmq.wire.hints import Hints
from hfzmq.wire.requests import digest, encode_rows, read_seen
from hfzmq.wire.transfer import ANY_SNAPSHOT, Chunk, Pull

Draw = Callable[[Random], bytes]

NOW_MS = 1_700_000_000_000
ROW = ["hostile", NOW_MS, 60.0, 135.0, 1.5, 40.0, 5, 0.7, "RED", 0.8, "m", ""]
EPOCH = bytes(range(16))
NUMBERS = (-1, 0, 1, 2, 255, 1 << 31, 1 << 32, (1 << 53) + 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, -(1 << 63))
FLOATS = (float("nan"), float("inf"), float("-inf"), -0.0, 5e-324, 1.7e308, 0.5)
TEXTS = ("", "x", "\x00", "\n", "ä" * 40, "\u202e", "x" * 70, "x" * 5000, "../../etc", "';--", "1", "RED")
SUBMITS = ("submit", "submit_readings", "access")


def any_value(chance: Random, depth: int = 3) -> Any:
    """Whatever msgpack can carry."""
    kind = chance.randrange(10 if depth else 7)
    if kind == 0:
        return chance.choice((None, True, False))
    if kind in (1, 2):
        return chance.choice(NUMBERS) if chance.random() < 0.7 else chance.randrange(1 << 64)
    if kind == 3:
        return chance.choice(FLOATS)
    if kind == 4:
        return chance.choice(TEXTS)
    if kind == 5:
        return chance.randbytes(chance.choice((0, 1, 15, 16, 17, 32, 300)))
    if kind == 6:
        return msgpack.ExtType(chance.randrange(128), chance.randbytes(chance.choice((0, 1, 4, 8, 40))))
    if kind == 7:
        return {chance.choice(TEXTS): any_value(chance, depth - 1) for _ in range(chance.randrange(4))}
    return [any_value(chance, depth - 1) for _ in range(chance.randrange(6))]


def any_message(chance: Random) -> bytes:
    """A whole message of that."""
    packed: bytes = msgpack.packb(any_value(chance))
    return packed


def bombs() -> list[bytes]:
    """Short messages that say they are long, and long ones that cost more than they weigh."""
    promises = [bytes((kind,)) + b"\xff" * size for kind, size in (
        (0xC4, 1), (0xC5, 2), (0xC6, 4), (0xC7, 2), (0xC8, 3), (0xC9, 5), (0xD9, 1), (0xDA, 2), (0xDB, 4),
        (0xDC, 2), (0xDD, 4), (0xDE, 2), (0xDF, 4), (0xC1, 0), (0xD4, 1), (0xD8, 3), (0xCB, 7), (0xCF, 7),
    )]  # fmt: skip
    deep = [unit * 400_000 for unit in (b"\x91", b"\x81\xa0", b"\x81\x01", b"\xdd\x00\x00\x00\x01")]
    wide = [b"\xdd" + struct.pack(">I", 900_000) + unit * 900_000 for unit in (b"\x90", b"\x80", b"\xa0", b"\xc0")]
    keys = b"\xdf" + struct.pack(">I", 100_000) + b"".join(msgpack.packb(at) + b"\xc0" for at in range(100_000))
    same = b"\xde\xff\xff" + b"\xa1v\x01" * 65_535
    return [*promises, *deep, *wide, keys, same, b"", b"\xc0", b"\x90", b"\x80"]


def damaged(chance: Random, frame: bytes) -> bytes:
    """A few bytes changed, cut off or put in."""
    data = bytearray(frame)
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(data) + 1)
        what = chance.randrange(4)
        if what == 0 and at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        elif what == 1:
            data[at:at] = chance.randbytes(chance.randrange(1, 6))
        elif what == 2:
            del data[at : at + chance.randrange(1, 20)]
        else:
            data = data[: max(1, at)]
    return bytes(data)


# ------------------------------------------------------------ clients' requests


def requests(mesh_id: bytes) -> list[dict[str, Any]]:
    """One right request of each op, as a map; some take an admin's key."""

    def of(op: str, **fields: object) -> dict[str, Any]:
        return {"v": 1, "mesh": mesh_id, "op": op, **fields}

    def submission(op: str, rows: bytes) -> dict[str, Any]:
        return of(op, client="hostile", epoch=EPOCH, seq=1, rows=rows, digest=digest(rows))

    reading: list[list[object]] = [["hostile", NOW_MS, 70.0, "70"]]
    return [
        submission("submit", encode_rows([ROW, ROW])),
        submission("submit_readings", encode_rows(reading)),
        submission("access", msgpack.packb([[2, "a" * 40]])),
        of("status"), of("members"), of("keys"),
        of("reports", after_id=0, limit=10, patient="hostile", tier="RED", consistent=True),
        of("readings", before_id=9, limit=10), of("alerts", limit=10), of("alarms", state="open"),
        of("alarm_events", episode=1), of("beds", since_ms=1000), of("seen", beds=encode_rows([ROW])),
        of("change", action="transfer", peer=1), of("alarm", action="ack", episode=1, by="nobody"),
        of("backup", take=EPOCH, offset=0, length=100, at_least=1),
    ]  # fmt: skip


def mutated_request(chance: Random, right: dict[str, Any]) -> bytes:
    """``right`` with one thing wrong: a field, a key more or less, a row, or some bytes. The digest still fits where
    rows were changed, so that the rows are looked at."""
    wrong = dict(right)
    what = chance.randrange(6)
    if what <= 1:
        wrong[chance.choice(list(wrong))] = any_value(chance)
    elif what == 2:
        wrong.pop(chance.choice(list(wrong)))
    elif what == 3:
        wrong[chance.choice(("x", "leader", "rows", "beds", "patient", *TEXTS))] = any_value(chance)
    elif what == 4:
        key = "beds" if wrong["op"] == "seen" else "rows"
        wrong[key] = mutated_rows(chance)
        if "digest" in wrong:
            wrong["digest"] = digest(wrong[key])
    packed: bytes = msgpack.packb(wrong)
    return damaged(chance, packed) if what == 5 else packed


def mutated_rows(chance: Random) -> bytes:
    """Rows of which one has a wrong value, or is none; or bytes that are no rows."""
    rows: list[Any] = [list(ROW) for _ in range(chance.choice((1, 2, 1000, 1001)))]
    at = chance.randrange(len(rows))
    if chance.random() < 0.7:
        rows[at][chance.randrange(len(ROW))] = any_value(chance, depth=1)
    else:
        rows[at] = any_value(chance)
    packed: bytes = msgpack.packb(rows)
    return damaged(chance, packed) if chance.random() < 0.2 else packed


# ------------------------------------------------------------ peers' messages


def contents(outsider: int, host: str) -> list[peers.Content]:
    """One right message of each kind that peers have; what names an address names this one, where nobody listens."""
    return [*of_who_leads(), *harmless(outsider, host)]


def of_who_leads() -> list[peers.Content]:
    """Messages of who leads or would like to, and may be a stranger to a peer that is behind (docs/decisions.md, 21).
    So they do have an effect: a peer's key is trusted with the mesh, and nothing here tries what it does with one."""
    place = Place(5, 2, bytes(16))
    noop = chained(place, 3, NOOP, None, b"")
    batch = chained(Place(6, 3, noop.chain), 3, BATCH, Origin("hostile", EPOCH, 1, EPOCH), b"\x01" + bytes(9))
    return [
        VoteRequest(9, place, True, False, b""), VoteRequest(9, place, False, True, b""),
        AppendRequest(9, place, (noop, batch), 5, 1), SnapshotOffer(9, 1),
    ]  # fmt: skip


def harmless(outsider: int, host: str) -> list[peers.Content]:
    """What counts for nothing from somebody who is no member."""
    place = Place(5, 2, bytes(16))
    address = PeerAddress(outsider, host, 1, 1, 1)
    beat = Heartbeat(3, peers.ROLES[0], 1, 5, 5, 5, 5, 1, 1, (1, 2), True, bytes(16))
    piece = bytes(100)
    whole = bytes(32)
    return [
        beat, VoteReply(9, False, True, EPOCH), AppendReply(9, True, 5, 1), TimeoutNow(9), Expelled(EPOCH, 5),
        join_of(address, EPOCH),
        Pull(ANY_SNAPSHOT, 0), Chunk(bytes(16), 0, 200, piece, bytes(32), whole, place), Disowned(EPOCH, 3),
        peers.Introduction(address), Hints(((0, read_seen(encode_rows([ROW]))[0]),)),
    ]  # fmt: skip


def mutated_letter(chance: Random, sender: peers.Sender, content: peers.Content) -> bytes:
    """A right message, or one of its values changed, or some of its bytes."""
    frame = peers.encode(sender, content)
    what = chance.randrange(4)
    if what == 0:
        return frame
    if what == 1:
        return damaged(chance, frame)
    values: Any = msgpack.unpackb(frame)
    at = chance.randrange(len(values))
    values[at] = any_value(chance)
    packed: bytes = msgpack.packb(values)
    return packed


def join_of(address: PeerAddress, life: bytes) -> JoinRequest:
    """Somebody would like to be a member."""
    return JoinRequest(Member(address, life, votes=False))
