"""Fill the files of all peers of a mesh that stands still, many times faster than it would take reports in.

    python -m hfzmq.cli.bench.fill SPEC.json          how far it is goes to stdout, one JSON object a line

Touches the peers' data directories, stdout. Must not know: sockets, what is measured. Keeps: what a file holds then is
what it would hold had the mesh taken these reports in: entries are chained, judged by their session, applied and cut
off again by the product's own Journal, Sessions and Store, in each file the same ones; what is left out is sending.

It is for peers that hold the same log, all of it applied; where they do not (exit code UNEQUAL) nothing is written.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple

from hfzmq.cli.bench.reports import writers
from hfzmq.config import Config, load
from hfzmq.core.contract import Apply, Compact, Persist
from hfzmq.core.journal import Journal
from hfzmq.core.sessions import Sessions
from hfzmq.core.types import BATCH, Entry, Origin, Place, chained
from hfzmq.errors import HfzmqError
from hfzmq.storage import Store
from hfzmq.wire.body import encode_body
from hfzmq.wire.requests import EPOCH_BYTES, digest, encode_rows

UNEQUAL = 3  # an exit code
NAME = "stored"  # of the one who is said to have sent them
ROWS_A_REQUEST = 100
REQUESTS_A_WRITE = 50
SAY_EVERY = 20  # writes


class Spec(NamedTuple):
    """``config``: a peers.yaml; ``data_dirs``: of its peers, in the order of ids; ``reports``: so many more; ``at_ms``:
    when they are said to have come, Unix ms."""

    config: str
    data_dirs: list[str]
    reports: int
    beds: int
    report_bytes: int
    at_ms: int


class Unequal(HfzmqError):
    """The peers' files do not end alike: start the mesh again and wait until they do."""


class File:
    """One peer's file, and what the core would remember of it."""

    def __init__(self, config: Config, peer: int, data_dir: Path) -> None:
        self.store = Store.open(data_dir, peer, config)
        found = self.store.recovered
        self._limits = config.limits
        self._hard_state = found.hard_state
        self._journal = Journal(peer, found.membership, found.log, found.hard_state, 0.0)
        self._sessions = Sessions(found.sessions)
        founded, whole = self._journal.members.now.founded, not self.store.amnesia
        self.settled = founded and whole and found.applied == found.log.last.index
        self.state_hash = found.state_hash

    @property
    def last(self) -> Place:
        """Where its log ends."""
        return self._journal.log.last

    def take(self, entries: Sequence[Entry]) -> None:
        """Append them, apply them, and cut the log where a daemon would."""
        journal = self._journal
        journal.add(entries)
        persists = [one for one in journal.hand_out(0.0, self._hard_state) if isinstance(one, Persist)]
        fresh = tuple(map(self._sessions.apply, entries))
        done = self.store.write([*persists, Apply(tuple(entries), fresh)])
        if done is None or not all(fresh):
            raise HfzmqError("what was made up to fill the files has stored nothing")
        for one in persists:
            journal.promises.persisted(0.0, one.token)
            journal.log.persisted(one.token)
        applied, self.state_hash = done
        cuts = journal.compact(applied, applied, self._limits)
        self.store.write([one for one in cuts if isinstance(one, Compact)])


def fill(spec: Spec, say: Callable[[dict[str, Any]], None]) -> None:
    """Do it. Unequal: nothing was written."""
    config = load(spec.config)
    with ExitStack() as opened:
        files = []
        for peer, data_dir in zip(config.peer_ids, spec.data_dirs, strict=True):
            files.append(File(config, peer, Path(data_dir)))
            opened.enter_context(closing(files[-1].store))
        last = files[0].last
        if not all(one.settled and (one.last, one.state_hash) == (last, files[0].state_hash) for one in files):
            raise Unequal("the peers' files do not end alike")
        per_write = ROWS_A_REQUEST * REQUESTS_A_WRITE
        requests = _Requests(spec, last)
        for number, done in enumerate(range(0, spec.reports, per_write)):
            entries = requests.next(min(per_write, spec.reports - done))
            for one in files:
                one.take(entries)
            if number % SAY_EVERY == 0:
                say({"done": done})
        if len({(one.last, one.state_hash, one.store.reports_stored) for one in files}) > 1:
            raise HfzmqError("the same entries have left different tables")
        say({"stored": files[0].store.reports_stored})


class _Requests:
    """Entries that follow ``last``, as a client's requests become them; one session sends them all."""

    def __init__(self, spec: Spec, last: Place) -> None:
        (self._writer,) = writers(NAME, 1, spec.beds, spec.at_ms - spec.reports, spec.report_bytes)
        self._at_ms = spec.at_ms
        self._epoch = os.urandom(EPOCH_BYTES)
        self._last = last
        self._sent = self._seq = 0

    def next(self, reports: int) -> list[Entry]:
        """The next so many reports."""
        made = []
        for first in range(0, reports, ROWS_A_REQUEST):
            count = min(ROWS_A_REQUEST, reports - first)
            rows = encode_rows(self._writer.rows(self._sent + 1, count))
            self._sent += count
            self._seq += 1
            origin = Origin(self._writer.name, self._epoch, self._seq, digest(rows))
            entry = chained(self._last, self._last.term, BATCH, origin, encode_body(self._at_ms, rows))
            self._last = Place(entry.index, entry.term, entry.chain)
            made.append(entry)
        return made


def main(path: str) -> int:
    """Carry out the spec in a file; the exit code."""

    def say(told: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()

    try:
        fill(Spec(**json.loads(Path(path).read_text(encoding="utf-8"))), say)
    except Unequal:
        return UNEQUAL
    except HfzmqError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
