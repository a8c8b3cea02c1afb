"""What the tests of commands and screens share: a mesh of three, peers' answers, beds, a way to run a command line."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hfzmq.cli import main as cli
from hfzmq.cli.bed_view import Bed
from hfzmq.cli.board_feed import BoardStatus, empty_status, updated
from hfzmq.clinical.report import Report
from hfzmq.config import Config, PeerAddress

WALL_MS = 1_760_000_000_000
NOW_MS = 50_000_000

CONFIG = Config(
    "ward",
    bytes(range(16)),
    tuple(PeerAddress(n, "127.0.0.1", 7000 + 10 * n, 7001 + 10 * n, 7002 + 10 * n) for n in (1, 2, 3)),
    path="peers.yaml",
)

Answer = dict[str, Any]


def says(peer_id: int, role: str = "follower", **other: object) -> Answer:
    """A peer's answer to ``status``."""
    told: dict[str, object] = {
        "id": peer_id,
        "mesh": "ward",
        "role": role,
        "term": 7,
        "leader": 1,
        "serves": role == "leader",
        "quorum": True,
        "last_index": 812,
        "commit_index": 811,
        "applied_index": 810,
        "durable_index": 812,
        "state_hash": "ab" * 16,
        "reports": 640,
        "readings": {"valid": 800, "invalid_physiological": 120, "invalid_system": 60, "corrupted": 20},
        "alerts": {"physiological_anomaly": 120, "system_anomaly": 60, "data_corruption": 20},
        "version": "0.1.0",
        "boot": 3,
        "uptime_ms": 5000,
        "fsync_ms": 0.42,
        "now_ms": WALL_MS,
        "db_bytes": 4096,
        "hears": [],
        "counters": {},
        "events": [],
    }
    return {"v": 1, "status": "OK", "peer": told | other}


def members_told(
    index: int = 5, roles: dict[int, str] | None = None, asking: dict[int, str] | None = None, founded: bool = True
) -> dict[str, Any]:
    """What a peer's status says about the members, whose incarnations are ``aa...`` as long as none asks anew."""
    roles = {1: "voter", 2: "voter", 3: "voter"} if roles is None else roles
    life = "aa" * 16 if founded else ""
    return {
        "members_index": index,
        "members": [[n, "127.0.0.1", 7000 + 10 * n, 1, 1, life, role] for n, role in roles.items()],
        "asking": [[n, "127.0.0.1", 7000 + 10 * n, life, 0.3] for n, life in (asking or {}).items()],
        "founded": founded,
    }


def row(
    patient: str = "bed-1", probability: float = 0.72, tier: str = "RED", age_ms: int = 0, **vitals: float
) -> Report:
    """A report taken ``age_ms`` before WALL_MS."""
    made = Report(patient, WALL_MS - age_ms, 71, 134.5, 1.4, 32, 9, probability, tier, 0.5, "model", "")
    return made._replace(**vitals)  # type: ignore[arg-type]


def beds_answer(
    seen: list[tuple[int, Report]] | None = None,
    reported: list[tuple[int, Report]] | None = None,
    trends: dict[str, list[list[float]]] | None = None,
) -> Answer:
    """A peer's answer to ``beds``."""
    return {
        "v": 1,
        "status": "OK",
        "seen": [[age, list(one)] for age, one in seen or []],
        "reported": [[number, list(one)] for number, one in reported or []],
        "trends": trends or {},
        "applied_index": 810,
        "peer": 1,
        "now_ms": WALL_MS,
    }


def bed(report: Report, heard_ago_ms: int = 1000, seen: bool = True, trend: tuple[float, ...] = ()) -> Bed:
    """A bed as the board knows it at NOW_MS."""
    points = tuple((report.timestamp - 1000 * n, p) for n, p in enumerate(reversed(trend), 1))[::-1]
    return Bed(report, seen, NOW_MS - heard_ago_ms, (*points, (report.timestamp, report.probability)))


def board_status(
    *beds: Bed, status: Mapping[int, Answer | None] | None = None, polled_ago_ms: int = 100
) -> BoardStatus:
    """A board of a mesh that is well, unless ``status`` says otherwise, with ``beds``, last polled a moment ago."""
    answers = status if status is not None else {1: says(1, "leader"), 2: says(2), 3: says(3)}
    at_ms = NOW_MS - polled_ago_ms
    made = updated(empty_status(CONFIG, at_ms), CONFIG, answers, {1: beds_answer()}, at_ms)
    return made._replace(beds=beds, wall_minus_mono_ms=WALL_MS - NOW_MS)


FOREIGN: Answer = {
    "v": 1,
    "status": "REFUSED",
    "field": "mesh",
    "bound": "the id of this mesh",
    "hint": "compare mesh.id in the peers.yaml of both sides",
}  # what the peers of another mesh answer to anything


class Ran(NamedTuple):
    """What a command line did."""

    code: int
    out: str
    err: str


def run(*words: str) -> Ran:
    """Run ``hfzmq`` with ``words`` in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main(words)
    return Ran(code, out.getvalue(), err.getvalue())


def two_histories() -> dict[int, Answer]:
    """What three peers say of which 1 and 3 go on with a mesh begun anew, and 2 is back with its old disk."""
    new = members_told(4) | {"history": "cc" * 16, "other_histories": [2], "uptime_ms": 90_000}
    old = members_told(700) | {"history": "dd" * 16, "other_histories": [1, 3], "uptime_ms": 90_000}
    old["members"] = [[*row[:5], "ee" * 16, "voter"] for row in old["members"]]
    short: dict[str, Any] = {"last_index": 129, "applied_index": 129, "incarnation": "aa" * 16}
    hears = [[one, 100, "follower", 7, 129, 129, ""] for one in (1, 3)]
    long: dict[str, Any] = {
        "last_index": 855,
        "applied_index": 129,
        "incarnation": "ee" * 16,
        "leader": 0,
        "quorum": False,
    }
    return {
        1: says(1, "leader", **new, **short, hears=hears[1:]),
        2: says(2, "precandidate", **old, **long, state_hash="ef" * 16),
        3: says(3, **new, **short, hears=hears[:1]),
    }


OLD_DISK, NEW_DISK = "aa", "bb"


def lives(told: dict[str, object], own: str, **more: object) -> dict[str, Any]:
    """What a peer says that runs for long, with the disk ``own`` (its members' are ``aa...``)."""
    return {**told, "incarnation": own * 16, "uptime_ms": 90_000, **more}


def status_of(
    told: Mapping[int, Answer | None], everybody: Iterable[int], only: int | None, refusing: dict[int, str] | None
) -> dict[int, Answer | None]:
    """What ask_all says in a test: of ``everybody`` or ``only`` one what is ``told``; under -N, why N refuses our key,
    or we its."""
    if refusing is not None:
        refusing.update({-peer: str(fault) for peer, fault in told.items() if peer < 0})
    return {peer: told.get(peer) for peer in ([only] if only else everybody)}


def keyed_config(folder: Path) -> Path:
    """A peers.yaml with keys, beside them."""
    path = folder / "peers.yaml"
    path.write_text(run("config", "init").out)
    assert run("keys", "init", "--config", str(path)).code == 0
    return path
