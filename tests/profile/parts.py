"""Which part of the daemon a moment of its loop belongs to: a table from files and functions to words.

Touches nothing: stacks come in. Keeps: each moment belongs to one part; a module of the daemon that the table does not
name is found by a test, and does not hide in OTHER.

The rules, in their order; the first that speaks decides:

    the innermost frame is a call that waits              --> IDLE, DISK
    a frame of Python's collector is in it                --> GARBAGE
    a function of WHOLE is in it, the outermost first     --> its part, whatever it calls
    the innermost frame of a function, or a file, named   --> its part; in SQLite, where there is such a part: that one
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from tests.profile.stacks import Frame

IDLE = "waits for messages"
DISK = "waits for the disk (fdatasync)"
POLL = "poll: looks at every socket"
RECEIVE = "ZeroMQ: messages are taken"
SEND = "ZeroMQ: messages are sent"
KEYS = "keys: whose it is, what that one may"
REQUESTS = "clients' requests: decoded, rows checked"
PEERS = "appends and answers of peers: encoded, decoded"
CORE = "judging (core)"
PERSIST = "persist: rows of the log"
PERSIST_SQL = "persist: SQLite"
APPLY = "apply: rows of reports and sessions"
APPLY_SQL = "apply: SQLite"
JUDGED = "alarms: judged"
ALARMS = "alarms: rows of beds and episodes"
ALARMS_SQL = "alarms: SQLite"
COMMIT = "transaction: begin, seal, commit, mark"
CHECKPOINT = "checkpoints, cutting the log"
ACKS = "acknowledgements: encoded"
BEATS = "heartbeats"
LOOP = "the loop itself"
CHORES = "chores"
GARBAGE = "garbage"
OTHER = "other"

CALLER = ""  # a module that works for whoever calls it

# In the order of a turn (docs/architecture.md); of each module whose work it is. Paths are below hfzmq/.
MODULES: Mapping[str, str] = {
    RECEIVE: "daemon/intake daemon/curve",
    SEND: "daemon/links",
    KEYS: "daemon/locks daemon/keyring daemon/zap access",
    REQUESTS: "daemon/desk wire/requests wire/readings wire/pages wire/backup clinical/surely_good",
    PEERS: "daemon/gate daemon/history daemon/voice wire/peers wire/hints wire/transfer",
    CORE: """core/agreement core/applying core/campaign core/changes core/contract core/election core/handover
        core/journal core/leadership core/liveness core/log core/membership core/memory core/messages core/pending
        core/promises core/quorum core/readings core/replica core/replication core/sessions core/standing""",
    PERSIST: "",
    APPLY: "storage/apply storage/report_rows storage/reading_rows storage/access_book",
    JUDGED: """clinical/alarm/beds clinical/alarm/clock clinical/alarm/episodes clinical/alarm/facts
        clinical/alarm/machine clinical/alarm/notes clinical/alarm/reach clinical/alarm/rules clinical/alarm/settings
        clinical/alarm/streaks clinical/alarm/timers clinical/alarm/types clinical/alarm/ward""",
    ALARMS: "storage/alarm_book storage/alarm_rows storage/alarm_sum",
    COMMIT: "storage/store storage/connection storage/directory storage/mark",
    CHECKPOINT: "storage/checkpoint storage/compaction",
    ACKS: "wire/replies",
    BEATS: "",
    LOOP: "daemon/node daemon/writing",
    CHORES: """daemon/backups daemon/chores daemon/door daemon/entrance daemon/gauge daemon/hearsay daemon/incoming
        daemon/notify daemon/notify/notifier daemon/outgoing daemon/passing daemon/posting daemon/refused
        daemon/sd_notify daemon/sockets daemon/transfer daemon/vitals daemon/ward daemon/watch daemon/weight""",
    GARBAGE: "daemon/garbage",
    CALLER: """core/types clinical/heart_rate clinical/report clinical/tiers daemon/about daemon/clocks
        storage/checksums storage/numbered storage/tables wire/access wire/body wire/checks wire/facts wire/fields
        wire/members wire/rows""",
    # Never in the loop under load: at a start, in other threads and processes, in commands.
    OTHER: """clinical/alarm/replay clinical/alarm/statistics clinical/risk_words daemon/beginning daemon/health
        daemon/logs daemon/metrics daemon/muster daemon/notify/deliver daemon/notify/doubts daemon/notify/keeper
        daemon/notify/lane daemon/notify/lines daemon/notify/notice daemon/notify/process daemon/notify/worker
        daemon/queries daemon/readiness daemon/rereading daemon/serving daemon/signals daemon/socket_options
        daemon/worker storage/apart storage/aside storage/backup storage/board storage/examine storage/exchange
        storage/forgotten storage/identity storage/install storage/log_tail storage/opening storage/pages storage/reader
        storage/recount storage/recovery storage/restore storage/restored storage/scrub storage/snapshot storage/walscan
        wire/same_settings""",
}

# Functions whose work is another part's than the rest of their file.
FUNCTIONS: Mapping[tuple[str, str], str] = {
    ("daemon/sockets", "take"): RECEIVE,
    ("daemon/sockets", "answer"): SEND,
    ("daemon/desk", "answered"): ACKS,
    ("daemon/desk", "reply"): ACKS,
    ("core/readings", "heartbeat"): BEATS,
    ("storage/store", "_persist"): PERSIST,
    ("storage/store", "_truncate"): PERSIST,
    ("storage/store", "_apply"): APPLY,
    # The yardstick, which has no parts that could be mistaken for each other.
    ("cli/bench/sketch", "drain"): RECEIVE,
    ("cli/bench/sketch", "store"): APPLY,
    ("cli/bench/sketch", "lead"): LOOP,
    ("cli/bench/sketch", "follow"): LOOP,
}

# Functions to which all belongs that they call.
WHOLE: Mapping[tuple[str, str], str] = {
    ("daemon/intake", "_read_heartbeats"): BEATS,
    ("daemon/voice", "publish"): BEATS,
    ("daemon/chores", "turn"): CHORES,
    ("daemon/sockets", "mind_the_door"): CHORES,
    ("daemon/vitals", "turned"): CHORES,
    ("daemon/zap", "serve"): KEYS,
    ("daemon/garbage", "turn"): GARBAGE,
    ("storage/checkpoint", "after_commit"): CHECKPOINT,
    ("storage/checkpoint", "when_idle"): CHECKPOINT,
    ("storage/compaction", "compact"): CHECKPOINT,
    ("storage/compaction", "sweep"): CHECKPOINT,
}

# Of pyzmq, where the function is clearer than who called it.
POLLERS = ("zmq/sugar/poll.py",)
ZMQ: Mapping[tuple[str, str], str] = {
    ("zmq/sugar/socket.py", "send"): SEND,
    ("zmq/sugar/socket.py", "send_multipart"): SEND,
    ("zmq/sugar/socket.py", "recv_multipart"): RECEIVE,
}

WAITS = (IDLE, DISK)  # no CPU
IN_SQLITE: Mapping[str, str] = {PERSIST: PERSIST_SQL, APPLY: APPLY_SQL, ALARMS: ALARMS_SQL}
ORDER = (
    IDLE, DISK, POLL, RECEIVE, SEND, KEYS, REQUESTS, PEERS, CORE, PERSIST, PERSIST_SQL, APPLY, APPLY_SQL, JUDGED,
    ALARMS, ALARMS_SQL, COMMIT, CHECKPOINT, ACKS, BEATS, LOOP, CHORES, GARBAGE, OTHER,
)  # fmt: skip

_POLLS = ("poll", "__poll", "ppoll", "epoll_wait")
_SYNCS = ("fdatasync", "fsync")
_COLLECTS = ("gc_collect", "_PyGC_Collect", "_Py_RunGC")
_SQLITE = ("sqlite3", "Connection_", "APSWCursor_", "pysqlite_", "libsqlite3")

PART_OF: Mapping[str, str] = {module: part for part, modules in MODULES.items() for module in modules.split()}


class Place(NamedTuple):
    """Where a moment belongs, and by which function it was said: ``daemon/desk take``."""

    part: str
    said_by: str


def place_of(stack: Sequence[Frame]) -> Place:
    """Of a moment of the loop's thread; ``stack`` begins with the outermost frame."""
    waits = _wait(stack)
    if waits:
        return Place(waits, stack[-1].function)
    if any(frame.function.startswith(_COLLECTS) for frame in stack if not frame.is_python):
        return Place(GARBAGE, "Python's collector")
    for frame in stack:
        part = WHOLE.get((frame.module, frame.function))
        if part:
            return Place(part, _name(frame))
    for depth in reversed(range(len(stack))):
        part = _said(stack[depth])
        if part:
            in_sqlite = part in IN_SQLITE and _is_in_sqlite(stack[depth + 1 :])
            return Place(IN_SQLITE[part] if in_sqlite else part, _name(stack[depth]))
    return Place(OTHER, _name(stack[-1]) if stack else "")


def _wait(stack: Sequence[Frame]) -> str:
    """For what it waits, '' where it works. ZeroMQ polls elsewhere, too, and does not wait there."""
    if not stack or stack[-1].is_python:
        return ""
    if stack[-1].function in _SYNCS:
        return DISK
    polls = stack[-1].function in _POLLS and any(frame.file in POLLERS for frame in stack)
    return IDLE if polls else ""


def _said(frame: Frame) -> str:
    """The part that the table gives this very frame to; '' where it says nothing."""
    if frame.file in POLLERS:
        return POLL
    named = (frame.module, frame.function)
    return ZMQ.get((frame.file, frame.function)) or FUNCTIONS.get(named) or PART_OF.get(frame.module, CALLER)


def _is_in_sqlite(inner: Iterable[Frame]) -> bool:
    return any(f.function.startswith(_SQLITE) or f.file.startswith(_SQLITE) for f in inner if not f.is_python)


def _name(frame: Frame) -> str:
    return f"{frame.module or frame.file} {frame.function}"
