"""A backup becomes the file of a first peer of a new mesh.

Touches the disk. Must not know: sockets, whether the mesh runs. Keeps: all first peers that are restored from the same
backup with the same mesh id and ids hold the same state and name each other as members; no peer of the old mesh is a
member, and no key that the old mesh had issued to a peer is in force (the new file lists those of the new peers); ids,
rows, alarms, rules, sessions, the other keys and whatever is revoked stay; the term is above any that is in the tables,
and nobody was voted for. Nothing in the directory has a peer's name before all of it is on synced storage; what is
there is never touched.

    BACKUP --verify--> DIR/hfzmq_N.db-part --named, synced--> note --> hfzmq_N.db (its first start makes the mark)
"""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import apsw

from hfzmq.access import AccessList
from hfzmq.config import Config
from hfzmq.core.membership import Member, Membership
from hfzmq.core.types import HardState
from hfzmq.errors import DataDirError, HfzmqError, InvalidInput, KeysError
from hfzmq.storage import access_book, alarm_sum, directory, restored, tables
from hfzmq.storage.backup import Backup, verify
from hfzmq.storage.checksums import Damaged
from hfzmq.storage.connection import refusal
from hfzmq.storage.directory import Lock
from hfzmq.storage.recount import recount
from hfzmq.storage.recovery import recover
from hfzmq.storage.restored import Note, incarnations
from hfzmq.storage.snapshot import sync_and_hash
from hfzmq.storage.tables import Meta


class RestoredPeer(NamedTuple):
    """``path``: its file; ``incarnation``: 16 bytes, its first life in the new mesh; ``term``: where it begins;
    ``state_hash``: 16 bytes, of what it holds then."""

    path: Path
    backup: Backup
    incarnation: bytes
    term: int
    state_hash: bytes


def restore(backup_path: Path, config: Config, peer_id: int, data_dir: Path) -> RestoredPeer:
    """Make the file of first peer ``peer_id`` of the mesh of ``config``. ConfigError: it is none of its peers;
    InvalidInput: the mesh is the backup's own, the directory holds something, no backup; KeysError: a peer would have
    no key in force; DataDirError: the backup is damaged, or the disk refuses."""
    config.peer(peer_id)
    path = directory.database_path(data_dir, peer_id)
    _refuse_what_is_there(data_dir)
    backup = verify(backup_path)
    if backup.mesh_id == config.mesh_id:
        raise InvalidInput(
            "mesh.id",
            "another one than the backup's own",
            got=config.mesh_id.hex(),
            hint="peers of the old mesh must never be taken for those of the new one: "
            "hfzmq config init > new.yaml makes a new id",
        )
    _refuse_peers_without_a_key(backup, config)
    try:
        directory.prepare(data_dir)
        lock = Lock(path.with_suffix(".lock"))
        try:
            return _restored(backup, config, peer_id, path)
        finally:
            lock.release()
    except Damaged as damage:
        raise DataDirError(
            f"{backup_path}: cannot be made a peer's file: {damage}", hint="use another backup"
        ) from None
    except (apsw.Error, OSError) as error:
        raise refusal(error, path) from error


def members_of(backup: Backup, config: Config) -> Membership:
    """Who the new mesh is, from the backup's last entry on."""
    lives = incarnations(backup.digest, config)
    return Membership(backup.place.index, tuple(Member(peer, lives[peer.id]) for peer in config.peers))


def _refuse_what_is_there(data_dir: Path) -> None:
    try:
        found = sorted(data_dir.iterdir()) if data_dir.exists() else []
    except OSError as error:
        raise DataDirError(f"{data_dir}: {error.strerror}", hint="give a directory: --data-dir DIR") from None
    if found:
        raise InvalidInput(
            "--data-dir",
            "an empty directory, or none yet",
            got=f"{data_dir} with {found[0].name}",
            hint="a peer's files are never overwritten: give another one, or move what is there away first",
        )


def _refuse_peers_without_a_key(backup: Backup, config: Config) -> None:
    if config.keys is None:
        return
    in_force = AccessList(config.keys.listed(), {*config.keys.revoked, *backup.revoked})
    for peer in config.peer_ids:
        if in_force.key_of(peer) is None:
            revoked = config.keys.key_of(peer) is not None
            was, secret = "is revoked" if revoked else "is not listed", f"keys/peer-{peer}.secret"
            away = f"mv {secret} {secret}.old; " if revoked else ""
            raise KeysError(
                f"{config.path or 'peers.yaml'}: the key of peer {peer} {was}: nobody would let it in",
                hint=f"a new one: {away}hfzmq keys issue peer-{peer} --role peer --id {peer} --offline --config FILE",
            )


def _restored(backup: Backup, config: Config, peer_id: int, path: Path) -> RestoredPeer:
    part = path.with_name(path.name + "-part")
    try:
        lives = incarnations(backup.digest, config)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, directory.FILE_MODE)
        with os.fdopen(descriptor, "wb") as target, backup.path.open("rb") as source:
            shutil.copyfileobj(source, target, 1 << 20)
        if sync_and_hash(part)[1] != backup.digest:
            raise Damaged("it has changed while it was copied")
        term, state_hash = _name(part, backup, config, peer_id)
        restored.write_note(path, Note(backup.place, state_hash, lives))
        os.rename(part, path)
        directory.sync(path.parent)
        return RestoredPeer(path, backup, lives[peer_id], term, state_hash)
    except (HfzmqError, apsw.Error, OSError, Damaged):
        for left in (part, restored.note_path(path)):
            left.unlink(missing_ok=True)
        raise


def _name(part: Path, backup: Backup, config: Config, peer_id: int) -> tuple[int, bytes]:
    """Write into the copy whose it is, and look at all of it again, synced; the term in which it begins, and the hash
    of its state."""
    members = members_of(backup, config)
    incarnation = restored.incarnation_of(backup.digest, config, peer_id)
    hard_state = HardState(backup.place.term + 1, 0)
    meta = Meta(config.mesh_id, peer_id, incarnation, 0, config.bootstrap_hash(), backup.at_ms)
    with closing(apsw.Connection(str(part.absolute()), flags=apsw.SQLITE_OPEN_READWRITE)) as connection:
        connection.execute("PRAGMA journal_mode = MEMORY").fetchall()  # what is half done is thrown away
        connection.execute("PRAGMA synchronous = FULL").fetchall()
        _, cursor = recover(connection, rows_max=0)
        peers = cursor.alarms.keys.peers_in_force()
        kept = alarm_sum.without(cursor.applied.alarms.kept, "access_keys", peers)
        # What comes after the backup is another history: the old mesh may have gone on, too.
        applied = cursor.applied._replace(alarms=cursor.applied.alarms._replace(kept=kept), history=b"")
        root = tables.root_of(applied, tables.cut_crc(backup.place, members), backup.place, cursor.sessions)
        connection.execute("BEGIN IMMEDIATE")
        for row in peers:
            connection.execute(access_book.DELETE_KEY, row[:1])
        for statement, row in (
            (tables.UPDATE_APPLIED, tables.applied_row(applied)),
            (tables.UPDATE_META, tables.meta_row(meta)),
            (tables.UPDATE_MEMBERSHIP, tables.membership_row(members)),
            (tables.UPDATE_HARD_STATE, tables.hard_state_row(hard_state, 0, tables.owned(root, incarnation))),
        ):
            connection.execute(statement, row)
        connection.execute("COMMIT")
        recovered, _ = recount(connection)
        if (recovered.state_hash, recovered.membership) != (applied.state_hash, members):
            raise Damaged("it is another file than the one that was checked")
        if connection.execute("PRAGMA journal_mode = WAL").get != "wal":
            raise OSError("SQLite will not keep it in WAL mode")
    with part.open("rb") as file:
        os.fsync(file.fileno())
    return hard_state.term, applied.state_hash
