"""A peer's file: whether it can be read, is of this schema, is whole, and has forgotten nothing.

Touches the file and what lies beside it. Must not know: the mesh. Keeps: it is only read, through SQLite's read-only
connections, without a checkpoint; it is called whole only when all of it was looked at, as a backup does. What is read
of a peer that runs is one moment of it, and for LOOK_S at most: so long its WAL is not cut.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import apsw

from hfzmq.cli.doctor.findings import CRITICAL, NOTE, OK, WARNING, Finding
from hfzmq.storage import aside, restored, tables, walscan
from hfzmq.storage.checksums import Damaged
from hfzmq.storage.forgotten import Looking
from hfzmq.storage.recount import recount

WAL_WARNING_BYTES = 64 << 20  # it is cut at 16 MiB: who keeps it from that?
LOOK_S = 5.0  # about 200 MB
BUSY_MS = 1000  # while another process recovers the WAL
STEPS = 10_000  # of SQLite, between two looks at the clock: less than a millisecond
START = "hfzmq status: is a majority well without this peer? then start it again; else first copy {directory} elsewhere"


def look(path: Path) -> Iterator[Finding]:
    """One database and its WAL."""
    wal_bytes = walscan.size_of(path)
    if wal_bytes > WAL_WARNING_BYTES:
        yield Finding(
            WARNING,
            "wal",
            f"{path}-wal has {wal_bytes >> 20} MiB",
            "it is cut at 16 MiB: somebody reads in it for long, or the peer was killed while it was busy",
            f"fuser -v {path}; then restart the peer",
        )
    said = aside.distrusted(path)
    if said:
        yield Finding(
            WARNING, "aside", f"{path} is distrusted: {said}", "its next start sets it aside", "start the peer again"
        )
    if restored.note_path(path).exists():
        yield Finding(
            NOTE, "restored", f"{path} was restored and has not taken part yet", "all first peers must be up together"
        )
    start = START.format(directory=path.parent)
    try:
        # A peer that runs has a WAL; where there is none, nothing must come to be, either.
        alone = "" if walscan.wal_path(path).exists() else "?immutable=1"
        flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        connection = apsw.Connection(path.absolute().as_uri() + alone, flags=flags)
        try:
            connection.set_busy_timeout(BUSY_MS)
            schema = connection.execute("SELECT schema_version FROM meta").get
            if schema != tables.SCHEMA_VERSION:
                yield Finding(
                    CRITICAL,
                    "schema",
                    f"{path} has schema {schema}, this hfzmq knows {tables.SCHEMA_VERSION}",
                    "files of another schema are not taken over",
                    "pip install the hfzmq that wrote it",
                )
                return
            damage, forgotten, all_of_it = _whole(connection, path)
        finally:
            connection.close()
    except (apsw.CorruptError, apsw.NotADBError) as error:
        damage, forgotten, all_of_it = f"{error}", "", True
    except apsw.Error as error:
        why = "whether it is whole is not known; the peer that owns it must be able to read it"
        yield Finding(CRITICAL, "files", f"{path} cannot be read: {error}", why, f"ls -l {path}; are you its owner?")
        return
    sizes = f"{path}: {path.stat().st_size:,} bytes, WAL {wal_bytes:,} bytes, schema {tables.SCHEMA_VERSION}"
    if damage:
        why = "a peer that finds its file damaged sets it aside and is brought up by the others"
        yield Finding(CRITICAL, "files", f"{path} is damaged: {damage}", why, start)
    elif forgotten:
        why = "a peer whose file is older than it had been sets it aside and is brought up by the others"
        do = f"was it copied without its -wal and .mark? bring them, with the peer stopped. Else {start}"
        yield Finding(WARNING, "files", f"{path} may lack what it once held: {forgotten}", why, do)
    elif not all_of_it:
        told = f"{sizes}; not all of it was looked at in {LOOK_S:g} s, and no damage found so far"
        why = "a peer that runs looks through its file by itself, slowly"
        yield Finding(
            NOTE, "files", told, why, f"all of it, for as long as it takes: hfzmq backup --db {path} --to FILE"
        )
    else:
        yield Finding(OK, "files", f"{sizes}, whole")


def _whole(connection: apsw.Connection, path: Path) -> tuple[str, str, bool]:
    """What is damaged, and what the file has forgotten, '' for nothing; and whether all of it was looked at."""
    until = time.monotonic() + LOOK_S
    looking = Looking(path)
    try:
        connection.execute("BEGIN")
        meta = tables.meta_of(connection.execute(tables.SELECT_META).fetchone())
        looking.held()
        connection.set_progress_handler(lambda: time.monotonic() > until, STEPS)
        return "", looking.said(meta, *recount(connection)), True
    except apsw.InterruptError:
        return "", "", False
    except (Damaged, UnicodeDecodeError) as damage:
        return f"{damage}", "", True
