"""Opening a peer's file, or what is left of it: believed only when everything agrees, else set aside whole.

Touches the disk. Must not know: what is written later. Keeps: a peer that may have forgotten what it promised never
comes back under its old incarnation; a peer whose disk only lost power always does. What the device refuses (I/O
errors, rights, space) and files of others are no damage: they are refused, and stay as they are.

    distrusted? -> mark, header -> WAL -> SQLite -> whose? -> schema, tree -> rows -> behind the mark? -> start + 1
         `---------------`----------`--------`---------------------`----------`----------`--> aside, and a new file

A new file comes to be in this order, each step synced: tables with start 0, in the database itself; the mark; start 1.
So a missing mark beside a file that has been started is no crash: somebody or something took it away.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import apsw

from hfzmq.config import Config
from hfzmq.storage import aside, directory, examine, exchange, identity, mark, walscan
from hfzmq.storage.checksums import Damaged
from hfzmq.storage.connection import abandon, open_writer
from hfzmq.storage.identity import Identity
from hfzmq.storage.mark import Mark, MarkFile
from hfzmq.storage.recovery import Cursor, Recovered, recover
from hfzmq.storage.tables import Meta


class Opened(NamedTuple):
    """A peer's file, ready to be written. ``amnesia``: why the one before was set aside, None when none was."""

    connection: apsw.Connection
    who: Identity
    recovered: Recovered
    cursor: Cursor
    mark: MarkFile
    amnesia: str | None


def open_files(path: Path, peer_id: int, config: Config, vfs: str | None) -> Opened:
    """Open or make the file, whose lock is held. DataDirError, apsw.Error, OSError when it cannot or must not be."""
    try:
        return _open(path, peer_id, config, vfs)
    except (Damaged, apsw.CorruptError, apsw.NotADBError) as error:
        if not (isinstance(error, Damaged) or _is_ours(path)):
            raise
        why = f"damaged: {error}"
    aside.set_aside(path, why)
    return _open(path, peer_id, config, vfs)._replace(amnesia=why)


def _open(path: Path, peer_id: int, config: Config, vfs: str | None) -> Opened:
    exchange.finish(path)
    said = aside.distrusted(path)
    if said:
        raise Damaged(said)
    unreadable: Damaged | None = None
    marked: MarkFile | None = None
    try:
        marked = MarkFile.open(mark.mark_path(path))
    except Damaged as damage:  # or the power went as it was made: who the file belongs to tells
        unreadable = damage
    try:
        _look(path, marked is not None)
        return _open_looked_at(path, peer_id, config, vfs, marked, unreadable)
    except BaseException:
        if marked:
            marked.close()
        raise


def _look(path: Path, is_marked: bool) -> None:
    """Before SQLite has a say: it mends what it must not."""
    if is_marked:
        examine.check_header(path)
    scan = walscan.scan(path)
    if not is_marked and not examine.header_of(path) and walscan.size_of(path):
        if scan.transactions > 1:
            raise Damaged("the database is missing or empty, but its WAL is there")
        # The power went while these files were founded; nothing was promised by them, for the mark comes after.
        walscan.wal_path(path).unlink()
        directory.sync(path.parent)
    elif scan.verdict == walscan.DAMAGED:
        raise Damaged(scan.why)


def _open_looked_at(
    path: Path, peer_id: int, config: Config, vfs: str | None, marked: MarkFile | None, unreadable: Damaged | None
) -> Opened:
    directory.create(path)
    connection = open_writer(path, vfs)
    made: MarkFile | None = None
    try:
        is_new = not connection.execute("SELECT count(*) FROM sqlite_schema").get
        if is_new and marked:
            raise Damaged("the database is empty, and its mark says that it was not")
        meta = identity.establish(connection, path, peer_id, config)
        examine.check_tree(connection, path)
        recovered, cursor = recover(connection)
        found = _mark_of(meta, recovered, cursor)
        if marked:
            _compare(marked.mark, found, recovered)
        elif meta.boot_no > 0:
            raise unreadable or Damaged("the mark is missing")
        else:
            # Out of the WAL, whoever founded the file: a damaged WAL must never make it look new. Then its name.
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            directory.sync(path.parent)
            made = marked = MarkFile.create(mark.mark_path(path), found)
            directory.sync(path.parent)
        who = identity.boot(connection, meta)
        marked.note(found._replace(boot_no=who.boot_no))
        marked.sync()
    except BaseException:
        abandon(connection)
        if made:
            made.close()
        raise
    return Opened(connection, who, recovered, cursor, marked, (meta.boot_no == 0 and aside.earlier(path)) or None)


def _mark_of(meta: Meta, recovered: Recovered, cursor: Cursor) -> Mark:
    state, last = recovered.hard_state, recovered.log.last
    return Mark(meta.incarnation, meta.boot_no, state.term, state.vote, last.index, last.chain, cursor.probe)


def _compare(marked: Mark, found: Mark, recovered: Recovered) -> None:
    log = recovered.log

    def chain_at(index: int) -> bytes | None:
        return log.place_at(index).chain if index >= log.base.index else None

    forgotten = mark.behind(marked, found, chain_at)
    if forgotten:
        raise Damaged(f"behind its mark: {forgotten}")


def _is_ours(path: Path) -> bool:
    return mark.mark_path(path).exists() or examine.is_ours(path)
