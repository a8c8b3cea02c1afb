"""A snapshot made in a process of its own: ``python -m hfzmq.storage.apart DATABASE SNAPSHOT``.

Why not in a thread: SQLite gives the interpreter's lock up at each row, and a thread that asks for it back waits for a
busy loop's whole slice. Of 200,000 reports it never finished beside a loop that did not rest.

Touches processes. Keeps: no file is exchanged while the other process opens it (``exchange.OPENING``), and nobody waits
for that lock while the other process begins; it ends with the one that started it.

    this process                       the other
       start  ------------------------>  begins
       <------------------------- READY ---'
       lock, GO ----------------------->  opens the files
       unlock <------------------ OPENED --'
       <------------- what was made, exit -'
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from hfzmq.core.types import Place
from hfzmq.errors import DataDirError
from hfzmq.storage import exchange
from hfzmq.storage.snapshot import Snapshot, make

PACKAGES = Path(__file__).resolve().parents[2]
READY, GO, OPENED = "ready", "go", "opened"


def make_apart(db_path: Path, into: Path) -> Snapshot:
    """As ``snapshot.make``, but it needs next to nothing of this process. DataDirError with what went wrong."""
    command = [sys.executable, "-m", "hfzmq.storage.apart", str(db_path.absolute()), str(into.absolute())]
    search = os.pathsep.join(filter(None, (str(PACKAGES), os.environ.get("PYTHONPATH"))))
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": search},
    )  # fmt: skip
    assert process.stdin
    assert process.stdout
    assert process.stderr
    with process:
        if process.stdout.readline():  # READY; nothing from a process that has failed, here and below
            with exchange.OPENING, suppress(BrokenPipeError):
                process.stdin.write(GO + "\n")
                process.stdin.flush()
                process.stdout.readline()  # OPENED
        told, complaint = process.stdout.read(), process.stderr.read()
        with suppress(BrokenPipeError):  # what it did not take: the pipe would say so instead of the complaint
            process.stdin.close()
    if process.returncode:
        why = complaint.strip().splitlines() or [f"its process ended with {process.returncode}"]
        raise DataDirError(f"{db_path}: no snapshot was made: {why[-1]}", hint="look at the disk and the directory")
    index, term, chain, size, sha256 = json.loads(told)
    return Snapshot(into, Place(index, term, bytes.fromhex(chain)), size, bytes.fromhex(sha256))


def main(database: str, into: str) -> None:
    """Make it; say when the files are open, and then what was made."""
    _say(READY)
    if not sys.stdin.readline():
        return  # whoever wanted it is gone
    threading.Thread(target=_end_with_the_other, daemon=True).start()
    _, place, size, sha256 = make(Path(database), Path(into), lambda: _say(OPENED))
    _say(json.dumps([place.index, place.term, place.chain.hex(), size, sha256.hex()]))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _end_with_the_other() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
