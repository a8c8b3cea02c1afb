"""What rows cannot tell about their own file: its header, its schema, its tree of pages.

Touches the disk, reading only. Must not know: the rows. A flipped bit in these makes SQLite read another column, skip
rows, hand out a page that is in use, or refuse to write. Keeps: a file that passes has the header and the tables that
this program founds, and, up to CHECKED_BYTES_MAX, a tree in which each page belongs to one place.
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import apsw

from hfzmq.storage.checksums import Damaged
from hfzmq.storage.tables import APPLICATION_ID

CHECKED_BYTES_MAX = 32 << 20  # a check of the whole tree reads every page; the scrub does the rest

_HEADER_BYTES = 100
_MAGIC = b"SQLite format 3\0"
_APPLICATION_ID_AT = 68
_FIXED = (  # offset, bytes: page size; sizes that SQLite fixes; schema format; text encoding
    (0, _MAGIC),
    (16, bytes((0x10, 0))),
    (20, bytes((0, 64, 32, 32))),
    (44, bytes((0, 0, 0, 4))),
    (52, bytes((0, 0, 0, 0, 0, 0, 0, 1))),  # no vacuum by itself; UTF-8
    (60, bytes(8)),  # no user version, no vacuum by itself
    (_APPLICATION_ID_AT, APPLICATION_ID.to_bytes(4, "big") + bytes(20)),
)


def header_of(path: Path) -> bytes:
    """The first bytes of the file, b'' where there is none."""
    try:
        with path.open("rb") as file:
            return file.read(_HEADER_BYTES)
    except FileNotFoundError:
        return b""


def is_ours(path: Path) -> bool:
    """Whether the header still names this program, whatever else is wrong."""
    at = _APPLICATION_ID_AT
    return header_of(path)[at : at + 4] == APPLICATION_ID.to_bytes(4, "big")


def check_header(path: Path) -> None:
    """Damaged when the header of a file that was founded here is not as it was. A page of the WAL that is newer does
    not matter: these bytes never change."""
    header = header_of(path)
    if not header:
        raise Damaged("the database is missing or empty, and its mark says that it was not")
    for at, expected in _FIXED:
        if header[at : at + len(expected)] != expected:
            raise Damaged(f"the database's header, byte {at}")
    if header[18:20] not in (b"\1\1", b"\2\2"):  # a snapshot that was just put in place is not in WAL mode yet
        raise Damaged("the database's header, byte 18")


def check_schema(connection: apsw.Connection) -> None:
    """Damaged when the tables are not those of schema.sql."""
    found = _schema_of(connection)
    for name, text in _expected().items():
        if found.get(name) != text:
            raise Damaged(f"the schema of {name}")
    extra = [name for name in found if name not in _expected()]
    if extra:
        raise Damaged(f"the schema has {extra[0]}, which nobody made")


def check_tree(connection: apsw.Connection, path: Path) -> None:
    """Damaged when SQLite finds its pages in disorder; only for a file that is read quickly."""
    if path.stat().st_size > CHECKED_BYTES_MAX:
        return
    found = connection.execute("PRAGMA integrity_check(1)").get
    if found != "ok":
        raise Damaged(f"the tree of pages: {' '.join(str(found).split())}")


def schema_text() -> str:
    """schema.sql, whose statements found a file."""
    return files("hfzmq.storage").joinpath("schema.sql").read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def _expected() -> dict[str, str]:
    connection = apsw.Connection(":memory:")
    connection.execute(schema_text())
    found = _schema_of(connection)
    connection.close()
    return found


def _schema_of(connection: apsw.Connection) -> dict[str, str]:
    rows = connection.execute("SELECT name, type, tbl_name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%'")
    return {str(name): f"{kind} {table} {_bare(sql)}" for name, kind, table, sql in rows}


def _bare(sql: object) -> str:
    """A statement without its comments, which may be worded anew."""
    return " ".join(re.sub(r"--[^\n]*", "", str(sql)).split())
