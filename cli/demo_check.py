"""The demo's verdict, from the peers' own files: is every acknowledged report in each of them, exactly once?

Touches the peers' database files, reading only. Must not know: processes, screens. Keeps: nothing is taken on trust
from a daemon; a file that cannot be read counts as having lost everything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from hfzmq.cli.demo_acks import Key
from hfzmq.cli.format import counted
from hfzmq.errors import HfzmqError

Rows = list[tuple[Any, ...]]


class PeerCheck(NamedTuple):
    """One peer's file: how many rows, how many acknowledged reports are not in it, how many rows are there again."""

    peer_id: int
    rows: int
    lost: int
    doubled: int
    problem: str = ""


class Verdict(NamedTuple):
    """All files together. ``equal``: the same rows in the same order in each; whether an alarm was raised for them
    only where all files are of one applied index, for alarms go on after the last report."""

    acknowledged: int
    peers: tuple[PeerCheck, ...]
    equal: bool

    @property
    def lost(self) -> int:
        """Acknowledged reports that some peer has not."""
        return sum(peer.lost for peer in self.peers)

    @property
    def doubled(self) -> int:
        """Rows that some peer has once too often."""
        return sum(peer.doubled for peer in self.peers)

    @property
    def well(self) -> bool:
        """Something was acknowledged, and nothing is lost, doubled or different."""
        return self.acknowledged > 0 and not self.lost and not self.doubled and self.equal


def check_files(files: Mapping[int, Path], acknowledged: Iterable[Key]) -> Verdict:
    """Read each peer's file and compare."""
    contents: dict[int, Rows] = {}
    problems: dict[int, str] = {}
    keys: dict[int, Counter[Key]] = {}
    level = len({_applied(path) for path in files.values()}) == 1
    for peer_id, path in files.items():
        try:
            fields, contents[peer_id] = _read(path, level)
        except HfzmqError as error:
            problems[peer_id], contents[peer_id], keys[peer_id] = str(error), [], Counter()
            continue
        patient, timestamp = fields.index("patient_id"), fields.index("timestamp")
        keys[peer_id] = Counter((row[patient], row[timestamp]) for row in contents[peer_id])
    wanted = list(acknowledged)
    checks = [
        PeerCheck(
            peer_id,
            len(rows),
            sum(1 for key in wanted if not keys[peer_id][key]),
            sum(count - 1 for count in keys[peer_id].values()),
            problems.get(peer_id, ""),
        )
        for peer_id, rows in contents.items()
    ]
    first = next(iter(contents.values()), [])
    equal = not problems and all(rows == first for rows in contents.values())
    return Verdict(len(wanted), tuple(checks), equal)


def _applied(path: Path) -> int:
    from hfzmq.storage import Reader

    try:
        with closing(Reader(path)) as reader:
            return reader.applied()
    except HfzmqError:
        return -1  # said when its rows are read


def _read(path: Path, level: bool) -> tuple[tuple[str, ...], Rows]:
    from hfzmq.cli.stored_rows import StoredRows
    from hfzmq.storage import Reader

    with StoredRows(Reader(path)) as rows:
        if not level:
            rows.lasting()
        return rows.fields, list(rows)


def summary(verdict: Verdict) -> list[str]:
    """The verdict in lines."""
    acknowledged = counted(verdict.acknowledged, "report")
    lines = [f"summary: {acknowledged} acknowledged, lost {verdict.lost}, doubled {verdict.doubled}"]
    for peer in verdict.peers:
        rows = counted(peer.rows, "row")
        if peer.problem:
            lines.append(f"  peer {peer.peer_id}: cannot be read: {peer.problem}")
        elif peer.lost or peer.doubled:
            lines.append(f"  peer {peer.peer_id}: {rows}, {peer.lost} lost, {peer.doubled} doubled")
        else:
            lines.append(f"  peer {peer.peer_id}: {rows}, every acknowledged report exactly once")
    lines.append(f"  equal rows on all peers: {'yes' if verdict.equal else 'NO'}")
    return lines
