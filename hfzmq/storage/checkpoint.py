"""When the WAL's pages go back into the database: little by little, never a long stall, never without bound.

Touches the disk between transactions. Must not know: what the pages hold. Keeps: a commit pays for a checkpoint of
about PASSIVE_PAGES at most; a reader that stays long makes the WAL grow, but a writer waits for it no longer than
``connection.BUSY_MS`` and only once in PASSIVE_PAGES.

    pages since the last attempt:  IDLE_PAGES: when idle, PASSIVE     PASSIVE_PAGES: after a commit, PASSIVE;
                                   TRUNCATE instead, where the whole WAL has TRUNCATE_PAGES
"""

from __future__ import annotations

import apsw

PAGE_BYTES = 4096
IDLE_PAGES = 200  # fewer are not worth two syncs
PASSIVE_PAGES = 1000  # SQLite's own default; more make commits wait noticeably
TRUNCATE_PAGES = (16 << 20) // PAGE_BYTES


class Checkpointer:
    """Counts the WAL's pages after each commit and writes them back in good time."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self.wal_pages = 0  # after the last commit
        self._attempted_at = 0  # pages in the WAL at the last attempt
        connection.set_wal_hook(self._on_commit)

    def _on_commit(self, connection: apsw.Connection, name: str, pages: int) -> int:
        if pages < self._attempted_at:  # SQLite has begun the WAL anew
            self._attempted_at = 0
        self.wal_pages = pages
        return apsw.SQLITE_OK

    def after_commit(self) -> None:
        """A step, where the next idle moment may come too late. apsw.Error: the disk failed."""
        if self.wal_pages - self._attempted_at >= PASSIVE_PAGES:
            full = self.wal_pages >= TRUNCATE_PAGES
            self._attempt(apsw.SQLITE_CHECKPOINT_TRUNCATE if full else apsw.SQLITE_CHECKPOINT_PASSIVE)

    def when_idle(self) -> None:
        """A step, where it is worth it. apsw.Error: the disk failed."""
        if self.wal_pages - self._attempted_at >= IDLE_PAGES:
            self._attempt(apsw.SQLITE_CHECKPOINT_PASSIVE)

    def _attempt(self, mode: int) -> None:
        self._attempted_at = self.wal_pages
        try:
            total, _ = self._connection.wal_checkpoint(mode=mode)
        except apsw.BusyError:
            return  # a reader needs the old pages; next time
        self.wal_pages = self._attempted_at = max(total, 0)
