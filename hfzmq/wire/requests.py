"""What clients ask of peers, as bytes: the first half of docs/protocol.md (the answers: replies).

Touches nothing. Must not know: sockets, storage, who leads. Keeps: a Request that exists holds every bound of the
protocol; any other bytes raise WireError with the field, the bound and a hint, and nothing else is ever raised; what a
frame can make this process allocate is bounded by a small multiple of the frame's length, however it is nested.

    frame --decode_request--> Submit | SubmitReadings | Status | Reports | Readings | Alerts | Beds | Seen | ...
    Submit.rows stay bytes: the digest is over them
    Submit.rows --accept_rows--> (bytes to store, [(number, field, bound, hint), ...]); of readings: readings.judge_rows
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from hfzmq.clinical.alarm.types import ACTIONS as ACTIONS_ON_ALARMS
from hfzmq.clinical.report import Refusal, Report, check_new_patient_id, check_patient_id, check_row
from hfzmq.clinical.surely_good import surely_good
from hfzmq.config import PEER_ID_MAX, Limits
from hfzmq.errors import WireError
from hfzmq.wire import backup
from hfzmq.wire.access import decode_changes
from hfzmq.wire.backup import TakeBackup
from hfzmq.wire.facts import BY_CHARS_MAX
from hfzmq.wire.fields import SHOWN_CHARS_MAX, VERSION, Fields, flat_pairs, pack, request_map
from hfzmq.wire.pages import KEYS as PAGES
from hfzmq.wire.pages import AlarmEvents, Alarms, Alerts, Page, Readings, Reports, page_of
from hfzmq.wire.readings import SubmitReadings
from hfzmq.wire.replies import decode_reply, encode_reply
from hfzmq.wire.rows import count_rows, unpack_rows

__all__ = [
    "Access",
    "Act",
    "Alerts",
    "Beds",
    "Change",
    "ListKeys",
    "Members",
    "Page",
    "Readings",
    "Reports",
    "Request",
    "Seen",
    "Status",
    "Submit",
    "SubmitReadings",
    "TakeBackup",
    "accept_rows",
    "decode_reply",
    "decode_request",
    "decode_rows",
    "digest",
    "encode_reply",
    "encode_request",
    "encode_rows",
    "op_of",
]

READ = "read"  # the field of a REFUSED: that peer's disk, and not the request, is to blame
EPOCH_BYTES = DIGEST_BYTES = MESH_ID_BYTES = 16
CLIENT_CHARS_MAX = 64
SEQ_MAX = (1 << 63) - 1  # what SQLite keeps
SEEN_ROWS_MAX = 1000
ACTIONS = ("add", "remove", "transfer")


class Submit(NamedTuple):
    """Keep these rows. ``rows`` is still packed, ``digest`` is right, the number of rows is within the limit."""

    client: str
    epoch: bytes
    seq: int
    digest: bytes
    rows: bytes


class Access(NamedTuple):
    """Issue and revoke keys: as a Submit, but ``rows`` are changes of wire/access.py, each of which is checked."""

    client: str
    epoch: bytes
    seq: int
    digest: bytes
    rows: bytes


class Status(NamedTuple):
    """How is this peer."""


class Beds(NamedTuple):
    """The live picture of the ward; ``since_ms`` leaves out readings that came in longer ago."""

    since_ms: int | None


class Seen(NamedTuple):
    """The last readings of a client's beds; each row is checked."""

    rows: tuple[Report, ...]


class ListKeys(NamedTuple):
    """Which keys are in force, and which are revoked."""


class Members(NamedTuple):
    """Who are the members of the mesh, and who would like to be."""


class Change(NamedTuple):
    """Add a peer that asks to join, remove a member, or give it the lead; ``action`` is one of ACTIONS."""

    action: str
    peer: int


class Act(NamedTuple):
    """Somebody (``by``) acts on an alarm: ``action`` is one of alarm.types.ACTIONS; ``target``: the id of an episode,
    or a patient."""

    action: str
    target: int | str
    by: str


Request = (
    Submit | SubmitReadings | Access | Status | Page | Beds | Seen | ListKeys | Members | Change | Act | TakeBackup
)

_SUBMIT_KEYS = ("client", "epoch", "seq", "rows", "digest")
_REQUIRED: dict[str, tuple[str, ...]] = {
    "submit": _SUBMIT_KEYS,
    "submit_readings": _SUBMIT_KEYS,
    "access": _SUBMIT_KEYS,
    "status": (),
    "reports": (),
    "readings": (),
    "alerts": (),
    "beds": (),
    "seen": ("beds",),
    "members": (),
    "change": ("action", "peer"),
    "alarms": (),
    "alarm_events": (),
    "alarm": ("action", "by"),
    "keys": (),
    "backup": backup.REQUIRED,
}
_OPTIONAL = PAGES | {"beds": ("since_ms",), "alarm": ("episode", "patient"), "backup": backup.OPTIONAL}
OPS = tuple(_REQUIRED)
_OP_OF: dict[type, str] = {
    Submit: "submit",
    SubmitReadings: "submit_readings",
    Status: "status",
    Reports: "reports",
    Readings: "readings",
    Alerts: "alerts",
    Alarms: "alarms",
    AlarmEvents: "alarm_events",
    Beds: "beds",
    Seen: "seen",
    Members: "members",
    Change: "change",
    Act: "alarm",
    ListKeys: "keys",
    Access: "access",
    TakeBackup: "backup",
}


# ------------------------------------------------------------ requests


def encode_request(mesh_id: bytes, op: str, **fields: object) -> bytes:
    """The frame of one request; fields that are None are left out. WireError when msgpack cannot carry a field."""
    given = {key: value for key, value in fields.items() if value is not None}
    return pack({"v": VERSION, "mesh": mesh_id, "op": op, **given})


def decode_request(frame: bytes, mesh_id: bytes, limits: Limits) -> Request:
    """The request in ``frame``, every field within its bounds; WireError(field, bound) for any other bytes."""
    if len(frame) > limits.client_message_bytes_max:
        raise WireError("message", f"at most {limits.client_message_bytes_max} bytes", hint="send fewer rows at once")
    usual = _usual_submission(frame, mesh_id, limits)
    if usual is not None:
        return usual
    fields = Fields(request_map(frame))
    if fields.integer("v", 0, SEQ_MAX) != VERSION:
        raise WireError("v", f"{VERSION}", hint="this peer speaks another version of the client protocol")
    if fields.binary("mesh", MESH_ID_BYTES) != mesh_id:
        raise WireError("mesh", "the id of this mesh", hint="compare mesh.id in the peers.yaml of both sides")
    op = fields.text("op", 1, SHOWN_CHARS_MAX)
    if op not in _REQUIRED:
        raise WireError("op", "one of " + ", ".join(OPS), hint="lower case")
    fields.only(("v", "mesh", "op"), _REQUIRED[op], _OPTIONAL.get(op, ()))
    if op == "submit":
        return Submit(*_submission(fields, limits))
    if op == "submit_readings":
        return SubmitReadings(*_submission(fields, limits))
    if op == "access":
        asked = Access(*_submission(fields, limits))
        decode_changes(asked.rows)
        return asked
    if op in PAGES:
        return page_of(op, fields)
    if op == "beds":
        return Beds(fields.integer("since_ms", 0, SEQ_MAX) if "since_ms" in fields.values else None)
    if op == "seen":
        return Seen(read_seen(fields.binary("beds")))
    if op == "change":
        return _change(fields)
    if op == "alarm":
        return _act(fields)
    if op == "keys":
        return ListKeys()
    if op == "backup":
        return backup.take_of(fields)
    return Members() if op == "members" else Status()


def op_of(request: Request) -> str:
    """The ``op`` that was asked for."""
    return _OP_OF[type(request)]


def digest(rows: bytes) -> bytes:
    """BLAKE2b of packed rows, 16 bytes: what ties a seq to its content."""
    return hashlib.blake2b(rows, digest_size=DIGEST_BYTES).digest()


# ------------------------------------------------------------ rows


def encode_rows(rows: Sequence[Sequence[object]]) -> bytes:
    """A msgpack array of rows in the order of ``Report``; WireError when msgpack cannot carry a value."""
    return pack([tuple(row) for row in rows])


def decode_rows(data: bytes) -> list[list[object]]:
    """The rows in ``data``, each a flat list; their values are not checked. WireError for any other bytes."""
    rows = unpack_rows(data)
    for number, row in enumerate(rows):
        if not isinstance(row, list):
            raise WireError(f"rows[{number}]", f"an array of {len(Report._fields)} fields", hint=_ROW_ORDER)
    return rows  # type: ignore[return-value]  # each was just seen to be a list


def accept_rows(data: bytes, rows_max: int) -> tuple[bytes, list[tuple[int, str, str, str]]]:
    """Sort the rows of a batch into those to store and those to refuse.

    Returns (the bytes to store, [(number in the batch from 0, field, bound, hint), ...]). The bytes are ``data`` itself
    when every row is good, an empty array's when none is. Deterministic: the same data gives the same answer for ever,
    so that a request sent again can be answered again. WireError when ``data`` is no array of 1 to ``rows_max`` rows.
    """
    _check_count(data, rows_max)
    rows = unpack_rows(data)
    rejected: list[tuple[int, str, str, str]] = []
    if surely_good(rows):
        return data, rejected
    good: list[Any] = []
    for number, row in enumerate(rows):
        refusal = check_row(row)
        if refusal is None:
            good.append(row)
        else:
            rejected.append((number, *refusal))
    return (pack(good), rejected) if rejected else (data, rejected)


# ------------------------------------------------------------ the parts

_ROW_ORDER = "order: " + ", ".join(Report._fields)


def _submission(fields: Fields, limits: Limits) -> tuple[str, bytes, int, bytes, bytes]:
    client = fields.text("client", 1, CLIENT_CHARS_MAX)
    epoch = fields.binary("epoch", EPOCH_BYTES)
    seq = fields.integer("seq", 1, SEQ_MAX)
    rows = fields.binary("rows")
    given = fields.binary("digest", DIGEST_BYTES)
    if given != digest(rows):
        raise WireError("digest", "BLAKE2b of rows, 16 bytes, no key", hint="hash the very bytes that are sent as rows")
    _check_count(rows, limits.batch_rows_max)
    return client, epoch, seq, given, rows


# How hfzmq's own clients begin a submission, up to the mesh's 16 bytes, and the keys that follow them.
_OWN_HEAD = b"\x88\xa1v\x01\xa4mesh\xc4\x10"
_OWN_KEYS = ("op", *_SUBMIT_KEYS)
_SUBMISSIONS: dict[str, type[Submit] | type[SubmitReadings]] = {"submit": Submit, "submit_readings": SubmitReadings}


def _usual_submission(frame: bytes, mesh_id: bytes, limits: Limits) -> Submit | SubmitReadings | None:
    """A submission with its keys in the order in which hfzmq's own clients write them, in half the time. None: this is
    something else, or something in it is wrong."""
    head = _OWN_HEAD + mesh_id
    values = flat_pairs(frame[len(head) :], _OWN_KEYS) if frame.startswith(head) else None
    if values is None:
        return None
    op, client, epoch, seq, rows, given = values
    make = _SUBMISSIONS.get(op) if type(op) is str else None
    if (
        make is None
        or not (type(client) is str and 1 <= len(client) <= CLIENT_CHARS_MAX and client.isprintable())
        or not (type(epoch) is bytes and len(epoch) == EPOCH_BYTES)
        or not (type(seq) is int and 1 <= seq <= SEQ_MAX)
        or not (type(rows) is bytes and given == digest(rows))
    ):
        return None
    _check_count(rows, limits.batch_rows_max)
    return make(client, epoch, seq, given, rows)


def _change(fields: Fields) -> Change:
    action = fields.text("action", 1, SHOWN_CHARS_MAX)
    if action not in ACTIONS:
        raise WireError("action", "one of " + ", ".join(ACTIONS), hint="lower case")
    return Change(action, fields.integer("peer", 1, PEER_ID_MAX))


def _act(fields: Fields) -> Act:
    action = fields.text("action", 1, SHOWN_CHARS_MAX)
    if action not in ACTIONS_ON_ALARMS:
        raise WireError("action", "one of " + ", ".join(ACTIONS_ON_ALARMS), hint="lower case")
    by = fields.text("by", 1, BY_CHARS_MAX)
    if ("episode" in fields.values) == ("patient" in fields.values):
        raise WireError("episode", "either episode or patient", hint="an episode's id, or all of a patient's")
    if "episode" in fields.values:
        return Act(action, fields.integer("episode", 1, SEQ_MAX), by)
    patient = fields.values["patient"]
    refusal = check_patient_id(patient)
    if refusal:
        raise WireError("patient", refusal.bound, hint=refusal.hint)
    return Act(action, str(patient), by)


def read_seen(data: bytes, check_id: Callable[[object], Refusal | None] = check_new_patient_id) -> tuple[Report, ...]:
    """The rows of a ``seen``, each within its bounds; WireError for any other bytes. ``check_id``: ``check_patient_id``
    for what another peer has judged."""
    _check_count(data, SEEN_ROWS_MAX, field="beds")
    rows = unpack_rows(data, field="beds")
    for number, row in enumerate(rows):
        refusal = check_row(row, check_id)
        if refusal:
            raise WireError(f"beds[{number}].{refusal.field}", refusal.bound, hint=refusal.hint)
    return tuple(Report(*row) for row in rows)  # type: ignore[misc]  # check_row has seen 12 fields of their types


def _check_count(data: bytes, rows_max: int, *, field: str = "rows") -> None:
    if not 1 <= count_rows(data, field=field) <= rows_max:
        raise WireError(field, f"1 to {rows_max} rows", hint="limits.batch_rows_max" if field == "rows" else "")
