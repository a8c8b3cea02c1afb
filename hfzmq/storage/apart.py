"""A snapshot or a backup made in a process of its own: ``python -m hfzmq.storage.apart DATABASE FILE [backup]``.

Why not in a thread: SQLite gives the interpreter's lock up at each row, and a thread that asks for it back waits for a
busy loop's whole slice. Of 200,000 reports it never finished beside a loop that did not rest.

Touches processes. Keeps: no file is exchanged while the other process opens it (``exchange.OPENING``), and nobody waits
for that lock while the other process begins; it ends with the one that started it.

    this process                       the other
       start  ------------------------>  begins
       <------------------------- READY ---'
       lock, GO ----------------------->  opens the files
       unlock <------------------ OPENED --'
       <------ how far it is (a backup), as often as there is something to say
       <------ what was made or why not, exit
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from hfzmq.core.types import Place
from hfzmq.errors import DataDirError, HfzmqError
from hfzmq.storage import backup, exchange, snapshot
from hfzmq.storage.snapshot import Snapshot

PACKAGES = Path(__file__).resolve().parents[2]
READY, GO, OPENED = "ready", "go", "opened"
SNAPSHOT, BACKUP = "snapshot", "backup"
BACKUP_NICE = 10  # nobody waits for it at a bed


def make_apart(db_path: Path, into: Path) -> Snapshot:
    """As ``snapshot.make``, but it needs next to nothing of this process. DataDirError with what went wrong."""
    return Apart(db_path, into).run()


class Apart:
    """One making of ``what`` (SNAPSHOT, BACKUP) of the file at ``db_path`` into ``into``. ``progress`` is called in the
    thread of ``run``, for a backup."""

    def __init__(
        self,
        db_path: Path,
        into: Path,
        what: str = SNAPSHOT,
        progress: backup.Progress = lambda _doing, _share: None,
    ) -> None:
        self._db_path = db_path
        self._into = into
        self._what = what
        self._progress = progress
        self._mutex = threading.Lock()
        self._stopped = False
        self._process: subprocess.Popen[str] | None = None

    def run(self) -> Snapshot:
        """Make it: what was made, of which place. DataDirError with what went wrong."""
        with self._begun() as process:
            assert process.stdin
            assert process.stdout
            assert process.stderr
            if process.stdout.readline():  # READY; nothing from a process that has failed, here and below
                first = ""
                with exchange.OPENING, suppress(BrokenPipeError):
                    process.stdin.write(GO + "\n")
                    process.stdin.flush()
                    first = process.stdout.readline()  # OPENED, or why not
                told = self._heard(first)
                for line in process.stdout:
                    told = self._heard(line) or told
            else:
                told = None
            complaint = process.stderr.read()
            with suppress(BrokenPipeError):  # what it did not take: the pipe would say so instead of the complaint
                process.stdin.close()
        if process.returncode or not isinstance(told, list):
            raise self._failure(told, complaint, process.returncode)
        index, term, chain, size, sha256 = told
        return Snapshot(self._into, Place(index, term, bytes.fromhex(chain)), size, bytes.fromhex(sha256))

    def stop(self) -> None:
        """Nobody wants it any more: ``run`` ends soon, with an error. What it has begun to write stays."""
        with self._mutex:
            self._stopped = True
            if self._process is not None:
                self._process.kill()

    def _begun(self) -> subprocess.Popen[str]:
        words = [str(self._db_path.absolute()), str(self._into.absolute())]
        words += [self._what] if self._what != SNAPSHOT else []
        search = os.pathsep.join(filter(None, (str(PACKAGES), os.environ.get("PYTHONPATH"))))
        with self._mutex:
            if self._stopped:
                raise DataDirError(f"{self._db_path}: no {self._what} was made: it was called off")
            self._process = subprocess.Popen(
                [sys.executable, "-m", "hfzmq.storage.apart", *words],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                env={**os.environ, "PYTHONPATH": search},
            )  # fmt: skip
            return self._process

    def _heard(self, line: str) -> Any:
        """What the other process says in the end; None for anything before."""
        try:
            said = json.loads(line)
        except ValueError:  # OPENED; or cut off, for it was killed
            return None
        if isinstance(said, dict) and "doing" in said:
            self._progress(said["doing"], said["share"])
            return None
        return said

    def _failure(self, told: Any, complaint: str, code: int) -> DataDirError:
        if isinstance(told, dict):
            about = "" if self._what == BACKUP else f"{self._db_path}: no {self._what} was made: "
            return DataDirError(about + told["cause"], hint=told["hint"])
        why = complaint.strip().splitlines() or [f"its process ended with {code}"]
        return DataDirError(
            f"{self._db_path}: no {self._what} was made: {why[-1]}", hint="look at the disk and the directory"
        )


# ------------------------------------------------------------ the other process


def main(database: str, into: str, what: str = SNAPSHOT) -> int:
    """Make it; say when the files are open, and then what was made, or why not. The exit code."""
    _say(READY)
    if not sys.stdin.readline():
        return 0  # whoever wanted it is gone
    threading.Thread(target=_end_with_the_other, daemon=True).start()
    make = _backup if what == BACKUP else _snapshot
    try:
        _, place, size, sha256 = make(Path(database), Path(into), lambda: _say(OPENED))
    except HfzmqError as error:
        _say(json.dumps({"cause": str(error), "hint": error.hint}))
        return 1
    _say(json.dumps([place.index, place.term, place.chain.hex(), size, sha256.hex()]))
    return 0


def _snapshot(database: Path, into: Path, opened: Callable[[], None]) -> Snapshot:
    return snapshot.make(database, into, opened)


def _backup(database: Path, into: Path, opened: Callable[[], None]) -> Snapshot:
    def progress(doing: str, share: float) -> None:
        _say(json.dumps({"doing": doing, "share": share}))

    with suppress(OSError):
        os.nice(BACKUP_NICE)
    made = backup.make(database, into, progress, opened)
    return Snapshot(into, made.place, made.size_bytes, made.digest)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _end_with_the_other() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
