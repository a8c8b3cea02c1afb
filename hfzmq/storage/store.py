"""The one writer of a peer's file: effects of the core in, one transaction and one sync, or never a word again.

Touches the disk. Must not know: sockets, roles, why something is written. Keeps: effects are written in their order,
all of them or none; what ``write`` has returned for is on synced storage, but for an Apply alone; after the first error
nothing is ever written again, for what an fsync has failed for once may be gone though the next one says all is well.

An Apply alone says nothing that the log, which is synced, does not say: it is committed without a sync, and synced with
the next transaction, or by ``sync``. A power cut may take it back, and then the entries are applied once more. There is
never more than one such transaction in a row, which is what the scan of the WAL at a start rests on (walscan.py).

    open --> [writing] --any error--> [failed]: DiskFailed, always
                 `------close------> [closed]
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import apsw

from hfzmq.clinical.alarm.machine import Alarms
from hfzmq.config import Config
from hfzmq.core.contract import Apply, Compact, Persist
from hfzmq.core.types import Place
from hfzmq.errors import DiskFailed
from hfzmq.plain_file import identity_of
from hfzmq.storage import aside, compaction, directory, install, tables
from hfzmq.storage.access_book import AccessBook
from hfzmq.storage.apply import apply
from hfzmq.storage.checkpoint import Checkpointer
from hfzmq.storage.connection import NO_SPACE, abandon, disk_hint, refusal, sync_commits
from hfzmq.storage.directory import Lock
from hfzmq.storage.mark import Mark
from hfzmq.storage.opening import Opened, open_files
from hfzmq.storage.reading_rows import VerdictCounts
from hfzmq.storage.recovery import Cursor, Recovered
from hfzmq.storage.tables import cut_crc, root_of


class Store:
    """A peer's file, open for writing. Made by ``open``; for one thread.

    ``path``: the file. ``identity``: who this process is. ``recovered``: what the file held at the start. ``amnesia``:
    why the files before were set aside (``aside``) and this one begun anew, None when they were whole. ``doubts``:
    about who may read and change the files, each worth a warning."""

    def __init__(
        self,
        path: Path,
        lock: Lock,
        opened: Opened,
        vfs: str | None,
        doubts: list[str],
    ) -> None:
        self.path = path
        self.identity = opened.who
        self.amnesia = opened.amnesia
        self.doubts = doubts
        self._lock = lock
        self._mark = opened.mark
        self._vfs = vfs
        self._failure: BaseException | None = None
        self._go_on_from(opened.connection, opened.recovered, opened.cursor)

    def _go_on_from(self, connection: apsw.Connection, recovered: Recovered, cursor: Cursor) -> None:
        self.recovered = recovered
        self._connection = connection
        self._file = identity_of(self.path)
        self._checkpointer = Checkpointer(connection)
        self._hard_state = recovered.hard_state
        self._probe = cursor.probe
        self._last = recovered.log.last
        self._applied = cursor.applied
        self._base = recovered.log.base
        self._cut_crc = cut_crc(recovered.log.base, recovered.membership)
        self._session_sum = cursor.sessions
        self._alarms = cursor.alarms
        self._has_waste = True  # until a sweep has found none
        self._unsynced = False  # an Apply

    @classmethod
    def open(cls, data_dir: Path, peer_id: int, config: Config, *, vfs: str | None = None) -> Store:
        """Create or open ``hfzmq_<peer_id>.db`` and count one start, synced. ``vfs`` names another SQLite VFS.

        DataDirError, with what to do: no rights, no directory, no space, in use, of another peer, mesh or program, of a
        newer hfzmq, founded with other peers. Damaged files are set aside: see ``amnesia``."""
        data_dir = Path(data_dir)
        path = directory.database_path(data_dir, peer_id)
        try:
            directory.prepare(data_dir)
            lock = Lock(path.with_suffix(".lock"))
            try:
                opened = open_files(path, peer_id, config, vfs)  # first: whose files they are is known by then
                return cls(path, lock, opened, vfs, directory.close_to_others(path))
            except BaseException:
                lock.release()
                raise
        except (apsw.Error, OSError, UnicodeDecodeError) as error:
            raise refusal(error, path) from error

    @property
    def reports_stored(self) -> int:
        """How many risk reports the tables hold."""
        return self._applied.next_id - 1

    @property
    def readings_stored(self) -> VerdictCounts:
        """How many heart-rate readings the tables hold, of each verdict; and with that, how many alerts."""
        return self._applied.verdicts

    @property
    def history(self) -> bytes:
        """Which beginning of the mesh the tables go back to, 16 bytes (apply.py); b"" until that is known."""
        return self._applied.history

    @property
    def alarms(self) -> Alarms:
        """The alarms, as of the last transaction; for reading."""
        return self._alarms.alarms

    @property
    def keys(self) -> AccessBook:
        """The keys that the log has issued and revoked, as of the last transaction; for reading."""
        return self._alarms.keys

    def outcomes(self, index: int) -> Sequence[str]:
        """What became of the actions on alarms in the entry at ``index``, in their order, if it is not long ago."""
        return self._alarms.outcomes(index)

    def size_bytes(self) -> int:
        """How large the file is, without its WAL. DiskFailed as with ``write``, also where it is gone."""
        self._refuse_after_failure()
        try:
            self._check_name()
            return self.path.stat().st_size
        except (OSError, _Gone) as error:
            raise self._failed(error) from error

    @property
    def wal_pages(self) -> int:
        """Pages of 4 KiB in the WAL after the last commit."""
        return self._checkpointer.wal_pages

    def write(self, effects: Sequence[Persist | Apply | Compact]) -> tuple[int, bytes] | None:
        """Carry ``effects`` out in their order, in one transaction with one sync; Applies alone without one.

        Returns (applied index, state hash) when an Apply was among them. DiskFailed: nothing is promised, and this
        store never writes again."""
        self._refuse_after_failure()
        if not effects:
            return None
        applies = all(isinstance(effect, Apply) for effect in effects)
        self._in_transaction(lambda: self._carry_out(effects), sync=not applies or self._unsynced)
        if any(isinstance(effect, Apply) for effect in effects):
            return self._applied.place.index, self._applied.state_hash
        return None

    @property
    def unsynced(self) -> bool:
        """Whether a power cut may take back what was applied last."""
        return self._unsynced

    def sync(self) -> None:
        """Bring what was applied to synced storage, where it is not: to be called before anybody is told of it who
        would hold this peer to it. DiskFailed as with ``write``."""
        self._refuse_after_failure()
        if self._unsynced:
            self._in_transaction(lambda: None)

    def idle_checkpoint(self) -> None:
        """Delete a step of what was cut off the log, bring pages of the WAL back into the database, if it is worth it;
        for moments when nobody waits. DiskFailed as with ``write``."""
        self._refuse_after_failure()
        if self._has_waste:
            self._in_transaction(self._sweep)
        try:
            self._check_name()
            self._checkpointer.when_idle()
            self._mark.sync_when_due()
        except Exception as error:
            raise self._failed(error) from error
        except BaseException as interrupt:
            self._give_up(interrupt)
            raise

    def install(self, snapshot: Path) -> Recovered:
        """Let a snapshot take the place of the log and the tables, synced; the file ``snapshot`` is used up. Identity,
        boot number and hard state stay. ``recovered`` is what the file holds from here on.

        InvalidInput: this one cannot be used (damaged, of another mesh, nothing new in it); DataDirError: there is no
        room or no right to prepare it. After both this store goes on as before. DiskFailed as with ``write``; at the
        next start the file is the old one or the new one."""
        self._refuse_after_failure()
        found, _ = install.prepare(snapshot, self._connection, self.path, self._hard_state, self._probe)
        try:
            self._mark.loosen()  # first: the file that comes may end before the log that it takes the place of
            connection, recovered, cursor = install.exchanged(snapshot, self._connection, self.path, self._vfs)
            self._go_on_from(connection, recovered, cursor)
            if (recovered.applied, recovered.hard_state) != (found.applied, self._hard_state):
                raise ValueError("the file that was installed is not the one that was checked")
            self._note_commit()
            self._mark.sync()
        except Exception as error:
            raise self._failed(error) from error
        except BaseException as interrupt:
            self._give_up(interrupt)
            raise
        return recovered

    def close(self) -> None:
        """Let the file and its lock go. Twice is harmless."""
        try:
            if self._failure is None:
                self._failure = DiskFailed("closed")
                self._mark.sync()
                self._connection.close()
        except (apsw.Error, OSError) as error:  # what was promised is in the WAL
            raise DiskFailed(f"{self.path}: cannot close: {error}", hint=_HINT) from error
        finally:
            self._mark.close()
            self._lock.release()

    def distrust(self, why: str) -> None:
        """Leave word, synced, that these files must not be believed any more: the next start sets them aside and begins
        anew under another incarnation. Also after a failure. DiskFailed: the word could not be written."""
        try:
            aside.distrust(self.path, why)
        except OSError as error:
            raise DiskFailed(f"{self.path}: cannot be marked as distrusted: {error}", hint=_HINT) from error

    # --------------------------------------------------------------------------------------------- inside a transaction

    def _in_transaction(self, work: Callable[[], object], sync: bool = True) -> None:
        try:
            if not sync:
                sync_commits(self._connection, False)
            self._connection.execute("BEGIN IMMEDIATE")
            work()
            self._seal()
            self._connection.execute("COMMIT")
            if not sync:
                sync_commits(self._connection, True)
            self._unsynced = not sync
            self._check_name()
            if sync:
                self._note_commit()
            self._checkpointer.after_commit()
        except Exception as error:
            raise self._failed(error) from error
        except BaseException as interrupt:
            self._give_up(interrupt)
            raise

    def _seal(self) -> None:
        """The last write of each transaction: it counts it, and says what else belongs to it. It also makes an empty
        Persist sync something, for SQLite writes no page that stays as it is."""
        self._probe += 1
        root = root_of(self._applied, self._cut_crc, self._last, self._session_sum)
        row = tables.hard_state_row(self._hard_state, self._probe, tables.owned(root, self.identity.incarnation))
        self._connection.execute(tables.UPDATE_HARD_STATE, row)

    def _note_commit(self) -> None:
        before, who, state, last = self._mark.mark, self.identity, self._hard_state, self._last
        self._mark.note(Mark(who.incarnation, who.boot_no, state.term, state.vote, last.index, last.chain, self._probe))
        if (state.term, state.vote) != (before.term, before.vote):
            self._mark.sync()
        self._mark.sync_when_due()

    def _carry_out(self, effects: Sequence[Persist | Apply | Compact]) -> None:
        for effect in effects:
            if isinstance(effect, Persist):
                self._persist(effect)
            elif isinstance(effect, Apply):
                self._apply(effect)
            else:
                before = self._base
                self._base = compaction.compact(self._connection, before, self._applied.place, effect)
                if self._base != before:
                    self._cut_crc, self._has_waste = cut_crc(self._base, effect.membership), True
        if self._has_waste:
            self._sweep()

    def _sweep(self) -> None:
        self._has_waste = compaction.sweep(self._connection, self._base)

    def _persist(self, effect: Persist) -> None:
        self._hard_state = effect.hard_state or self._hard_state
        if effect.truncate_from is not None:
            self._truncate(effect.truncate_from)
        if effect.entries:
            for entry in effect.entries:
                if entry.index != self._last.index + 1:
                    raise ValueError(f"entry {entry.index} cannot stand after {self._last.index}")
                self._last = Place(entry.index, entry.term, entry.chain)
            self._connection.executemany(tables.INSERT_LOG, [tables.log_row(entry) for entry in effect.entries])

    def _truncate(self, index: int) -> None:
        if index <= self._applied.place.index:
            raise ValueError(f"entries from {index} on cannot be dropped: {self._applied.place.index} are applied")
        if index > self._last.index:
            return
        self._connection.execute(tables.TRUNCATE_LOG, (index,))
        self._last = self._place_at(index - 1)
        self._mark.lower(self._last.index, self._last.chain)

    def _place_at(self, index: int) -> Place:
        if index == self._base.index:
            return self._base
        found: tuple[Any, ...] = self._connection.execute(tables.SELECT_PLACE, (index,)).fetchall()[0]
        return Place(*found)

    def _apply(self, effect: Apply) -> None:
        if effect.entries and effect.entries[-1].index > self._last.index:
            raise ValueError(
                f"entry {effect.entries[-1].index} cannot be applied: the log ends with {self._last.index}"
            )
        self._applied = apply(self._connection, self._applied, effect, self._session_sum, self._alarms)

    # ---------------------------------------------------------------------------------------------------------- failing

    def _refuse_after_failure(self) -> None:
        if self._failure is not None:
            raise DiskFailed(
                f"{self.path}: nothing is written any more: {self._failure}", hint=_HINT
            ) from self._failure

    def _give_up(self, why: BaseException) -> None:
        self._failure = why
        abandon(self._connection)
        self._mark.close()

    def _check_name(self) -> None:
        """What is written into a file that has lost its name is gone with this process: it must not be promised."""
        if identity_of(self.path) != self._file:
            raise _Gone("deleted, moved or replaced while this peer has it open")

    def _failed(self, error: Exception) -> DiskFailed:
        self._give_up(error)
        if isinstance(error, _Gone):
            return DiskFailed(f"{self.path}: {error}", hint=_GONE_HINT)
        if isinstance(error, (apsw.CorruptError, apsw.NotADBError)):  # to start again on this file would end here again
            with suppress(DiskFailed):
                self.distrust(f"damaged: {error}, while it was written")
        if isinstance(error, apsw.FullError) or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            hint = f"make room, then start it again; the others go on meanwhile: df -h {self.path.parent}"
            return DiskFailed(f"{self.path}: {NO_SPACE}", hint=hint)
        why = str(error) or type(error).__name__
        hint = f"{disk_hint(self.path)}; then restart this peer: a failed sync is never tried again"
        return DiskFailed(f"{self.path}: cannot write: {why}", hint=hint)


class _Gone(Exception):
    """The name of the file leads to another one, or nowhere."""


_GONE_HINT = (
    "start it again: what it lacks it takes from the other peers; stop a peer before touching its files, and copy them "
    "with: hfzmq backup"
)
_HINT = "look at the disk and the system's log, then restart this peer: a failed sync is never tried again"
