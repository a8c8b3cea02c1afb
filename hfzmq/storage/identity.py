"""Whose file this is: made once, checked at each start against what was asked for.

Touches the disk, in transactions of its own. Must not know: the log. Keeps: a file serves one peer of one mesh, until
that is founded with one set of first peers; the boot number rises and is on synced storage before anybody hears of it.

    no tables ---found---> boot 0 ---boot---> boot 1 ---boot---> boot 2 ...      anything else: DataDirError
"""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import NamedTuple

import apsw

from hfzmq.config import Config
from hfzmq.core.membership import bootstrap
from hfzmq.core.types import CONFIG, START, HardState
from hfzmq.errors import DataDirError
from hfzmq.storage import examine, tables
from hfzmq.storage.checksums import Damaged
from hfzmq.storage.tables import APPLICATION_ID, SCHEMA_VERSION, STATE_START, AppliedState, Meta

INCARNATION_BYTES = 16


class Identity(NamedTuple):
    """Who this process is: ``incarnation`` is 16 bytes and new with the file, ``boot_no`` rises with each start."""

    mesh_id: bytes
    peer_id: int
    incarnation: bytes
    boot_no: int


def establish(connection: apsw.Connection, path: Path, peer_id: int, config: Config) -> Meta:
    """Found the file if it is new, else check that it is this peer's; nothing is counted up yet."""
    application_id = connection.execute("PRAGMA application_id").get
    has_tables = connection.execute("SELECT count(*) FROM sqlite_schema").get
    if not has_tables and application_id == 0:
        _found(connection, peer_id, config)
    elif application_id != APPLICATION_ID:
        raise DataDirError(f"{path}: a database of another program", hint="give another --data-dir")
    return _check(connection, path, peer_id, config)


def boot(connection: apsw.Connection, meta: Meta) -> Identity:
    """Count one start, synced."""
    meta = meta._replace(boot_no=meta.boot_no + 1)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(tables.UPDATE_BOOT, (meta.boot_no, tables.meta_row(meta)[-1]))
    connection.execute("COMMIT")
    return Identity(meta.mesh_id, meta.peer_id, meta.incarnation, meta.boot_no)


def _found(connection: apsw.Connection, peer_id: int, config: Config) -> None:
    now_ms = int(time.time() * 1000)
    incarnation = secrets.token_bytes(INCARNATION_BYTES)
    meta = Meta(config.mesh_id, peer_id, incarnation, 0, config.bootstrap_hash(), now_ms)
    applied, members = AppliedState(START, STATE_START, 1), bootstrap(config.peers)
    root = tables.root_of(applied, tables.cut_crc(START, members), START, tables.SessionSum({}))
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(examine.schema_text())
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    for statement, row in (
        (tables.INSERT_META, tables.meta_row(meta)),
        (tables.INSERT_HARD_STATE, tables.hard_state_row(HardState(0, 0), 0, tables.owned(root, incarnation))),
        (tables.INSERT_LOG_BASE, tables.log_base_row(START)),
        (tables.INSERT_MEMBERSHIP, tables.membership_row(members)),
        (tables.INSERT_APPLIED, tables.applied_row(applied)),
    ):
        connection.execute(statement, row)
    connection.execute("COMMIT")


def _check(connection: apsw.Connection, path: Path, peer_id: int, config: Config) -> Meta:
    version = _version(connection)
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise DataDirError(
            f"{path}: written by a newer hfzmq (schema {version}, this one knows {SCHEMA_VERSION})",
            hint="install the newer hfzmq here",
        )
    if isinstance(version, int) and 0 < version < SCHEMA_VERSION:
        raise DataDirError(
            f"{path}: written by an older hfzmq (schema {version}, this one knows {SCHEMA_VERSION})",
            hint="its files are not taken over: install the older hfzmq to read them, or give another --data-dir",
        )
    examine.check_schema(connection)
    try:
        meta = tables.meta_of(connection.execute(tables.SELECT_META).fetchone())
    except (Damaged, UnicodeDecodeError) as damage:
        raise Damaged(f"table meta: {damage}") from None
    if version != SCHEMA_VERSION:
        raise Damaged(f"table meta: schema version {version}")
    if meta.mesh_id != config.mesh_id:
        raise DataDirError(
            f"{path}: holds mesh {meta.mesh_id.hex()}, asked was mesh {config.mesh_id.hex()} ({config.mesh_name})",
            hint="start it with the peers.yaml of its own mesh, or give another --data-dir",
        )
    if meta.peer_id != peer_id:
        raise DataDirError(
            f"{path}: holds peer {meta.peer_id}, asked was peer {peer_id}",
            hint=f"was the file copied or renamed? start it with --id {meta.peer_id}, or give another --data-dir",
        )
    # Once the mesh is founded its members stand in the log, and peers.yaml may list others.
    if meta.bootstrap_hash != config.bootstrap_hash() and not _is_founded(connection):
        raise DataDirError(
            f"{path}: founded with {_founders(connection)}, asked was a mesh of {_listed(config.peer_ids)}",
            hint="until all of them have been up together once, peers.yaml must list the mesh's first peers",
        )
    return meta


def _version(connection: apsw.Connection) -> object:
    try:
        return connection.execute("SELECT schema_version FROM meta").get
    except (apsw.SQLError, UnicodeDecodeError) as error:  # no such table or column
        raise Damaged(f"table meta: {error}") from None


def _is_founded(connection: apsw.Connection) -> bool:
    if connection.execute("SELECT idx FROM membership").get != 0:  # missing: recovery says so
        return True
    return connection.execute("SELECT 1 FROM log WHERE kind = ? LIMIT 1", (CONFIG,)).get is not None


def _founders(connection: apsw.Connection) -> str:
    try:
        return _listed(tables.membership_of(connection.execute(tables.SELECT_MEMBERSHIP).fetchone()).voters)
    except Damaged:
        return "other peers"


def _listed(peers: tuple[int, ...]) -> str:
    return "peers " + ", ".join(map(str, peers))
