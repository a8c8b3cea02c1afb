"""Which versions run here, and SQLite's WAL-reset bug.

Touches the installed packages. Must not know: files, the mesh.

The bug (sqlite.org/wal.html#walresetbug): two connections that write or checkpoint a WAL database in the same moment
can lose pages. It is in all releases from 3.7.0 to 3.51.2; fixed in 3.51.3, and in the patch releases 3.50.7 and
3.44.6. 3.52.0 has the fix too, and was withdrawn for other faults.
"""

from __future__ import annotations

import platform
import sqlite3
from collections.abc import Iterator
from importlib import metadata

from hfzmq import __version__
from hfzmq.cli.doctor.findings import NOTE, OK, WARNING, Finding

Version = tuple[int, ...]

BEGINS: Version = (3, 7, 0)
FIXED: Version = (3, 51, 3)
BACKPORTED: dict[Version, int] = {(3, 44): 6, (3, 50): 7}
WITHDRAWN: Version = (3, 52, 0)
LIBZMQ_LEAST: Version = (4, 3, 5)
APSW_WANTED = "apsw>=3.51.3.0,<4"


def parsed(text: str) -> Version:
    """``3.51.3`` as numbers; what is no number ends it."""
    numbers: list[int] = []
    for part in text.split("."):
        if not part.isdecimal():
            break
        numbers.append(int(part))
    return tuple(numbers)


def has_wal_reset_bug(version: Version) -> bool:
    """Whether this release of SQLite has it."""
    if version < BEGINS or version >= FIXED:
        return False
    patch = BACKPORTED.get(tuple(version[:2]))
    return patch is None or (*version, 0)[2] < patch


def look() -> Iterator[Finding]:
    """What is installed."""
    import apsw
    import zmq

    bundled, system = apsw.sqlite_lib_version(), sqlite3.sqlite_version
    yield Finding(
        OK,
        "versions",
        f"hfzmq {__version__}, Python {platform.python_version()}, pyzmq {zmq.__version__}, "
        f"libzmq {zmq.zmq_version()}, apsw {apsw.apsw_version()}, SQLite {bundled}, "
        f"msgpack {metadata.version('msgpack')}",
    )
    yield from sqlite(bundled, system)
    if parsed(zmq.zmq_version()) < LIBZMQ_LEAST:
        yield Finding(
            WARNING,
            "libzmq",
            f"libzmq {zmq.zmq_version()}, at least 4.3.5 is needed",
            "what hfzmq relies on was measured with 4.3.5",
            "pip install --upgrade 'pyzmq>=26,<28'",
        )


def sqlite(bundled: str, system: str) -> Iterator[Finding]:
    """``bundled``: the SQLite that hfzmq uses; ``system``: the one that other programs here may use."""
    version = parsed(bundled)
    if has_wal_reset_bug(version):
        yield Finding(
            WARNING,
            "sqlite",
            f"SQLite {bundled} has the WAL-reset bug (3.7.0 to 3.51.2)",
            "two connections that write or checkpoint at the same moment can damage the database",
            f"pip install --upgrade '{APSW_WANTED}'",
        )
    elif version == WITHDRAWN:
        yield Finding(
            WARNING,
            "sqlite",
            "SQLite 3.52.0 was withdrawn by its makers",
            "it has the fix of the WAL-reset bug, and other faults",
            f"pip install --upgrade '{APSW_WANTED},!=3.52.0.*'",
        )
    else:
        yield Finding(OK, "sqlite", f"SQLite {bundled} does not have the WAL-reset bug")
    if has_wal_reset_bug(parsed(system)):
        yield Finding(
            NOTE,
            "sqlite",
            f"other programs here use SQLite {system}, which has the WAL-reset bug",
            "hfzmq brings its own; but never open a running peer's file with sqlite3 to write",
            "sqlite3 'file:DIR/hfzmq_N.db?mode=ro'",
        )
