"""The bugs that are planted in the storage: each one small change of its text, as a tired person might make it."""

from __future__ import annotations

from typing import NamedTuple

CUTS, ROT = "cuts", "rot"


class Bug(NamedTuple):
    """A name, what is to find it, the file below hfzmq/storage, the text that stands there once, and its stand-in."""

    name: str
    by: str
    file: str
    good: str
    bad: str

    @property
    def path(self) -> str:
        """The file, from the root of the repository."""
        return f"hfzmq/storage/{self.file}"


NAMED = "            made = marked = MarkFile.create(mark.mark_path(path), found)\n"
CHECKPOINT = "            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)\n"
APPLIED = "    connection.execute(tables.UPDATE_APPLIED"
SEAL = "            self._seal()\n"
SYNC_NAME = "    directory.sync(path.parent)\n"
NOTE = "    _write(distrusted_path(path), why)\n" + SYNC_NAME
PROOF = "    if proof is not None:"
STALE = "if not frames.commits(number) or frames.salts(number + 1) != salts:"
ALARMS = "    alarms = book.write(connection)\n"
RESTORED = "Alarms(rules, beds, recent, "
RULES = "if changes.rules:"
HEARD = "for patient, _ in changes.heard if"
MEASURED = '("note", "value", "least", "most", "crc")'
VERDICTS = "        self._applied = cursor.applied\n"
HISTORY = "    history = state.history or first_history(effect.entries)\n"
LOWER = "last_index=index, chain=chain))\n            self.sync()"

BUGS = (
    # ------------------------------------------------------------ what is synced, and when
    Bug("synchronous is NORMAL", CUTS, "connection.py", '"FULL", 2)', '"NORMAL", 1)'),
    Bug("synchronous is OFF", CUTS, "connection.py", '"FULL", 2)', '"OFF", 0)'),
    Bug("no directory is ever synced", CUTS, "directory.py", "        os.fsync(descriptor)\n", "        pass\n"),
    Bug("the mark's name is not synced", CUTS, "opening.py",
        NAMED + "            directory.sync(path.parent)\n", NAMED),
    Bug("a new file is founded in its WAL alone", CUTS, "opening.py", CHECKPOINT, ""),
    Bug("the name of a note of distrust is not synced", CUTS, "aside.py", NOTE, NOTE.replace(SYNC_NAME, "")),
    Bug("the mark is never synced", ROT, "mark.py",
        "            os.fdatasync(self._descriptor)\n", ""),
    Bug("the mark of a changed vote is not synced", ROT, "store.py",
        "            self._mark.sync()\n        self._mark.sync_when_due()", "            pass"),
    Bug("the mark is written before the commit", CUTS, "store.py", SEAL, SEAL + "            self._note_commit()\n"),
    Bug("the log is cut before the mark is lowered", CUTS, "store.py",
        "        self._mark.lower(self._last.index, self._last.chain)\n", ""),
    Bug("the lowered mark is not synced", CUTS, "mark.py", LOWER, LOWER.replace("self.sync()", "pass")),
    Bug("commits stay without a sync after an Apply", CUTS, "store.py",
        "                sync_commits(self._connection, True)\n", "                pass\n"),
    Bug("what others were shown is not synced", CUTS, "store.py",
        "        if self._unsynced:\n            self._in_", "        if False:\n            self._in_"),
    Bug("the mark notes what is not synced", CUTS, "store.py",
        "            if sync:\n                self._note_commit()", "            self._note_commit()"),
    # ------------------------------------------------------------ what is written
    Bug("the applied index is not atomic with the tables", CUTS, "apply.py",
        APPLIED, '    connection.execute("COMMIT")\n    connection.execute("BEGIN")\n' + APPLIED),
    Bug("the vote is not saved", CUTS, "store.py",
        "effect.hard_state or self._hard_state\n",
        "effect.hard_state and type(effect.hard_state)(effect.hard_state.term, 0) or self._hard_state\n"),
    Bug("the term is not saved", CUTS, "store.py",
        "effect.hard_state or self._hard_state\n", "self._hard_state\n"),
    Bug("a truncation is not written", CUTS, "store.py",
        "        self._connection.execute(tables.TRUNCATE_LOG, (index,))\n", ""),
    Bug("what is applied can be dropped", CUTS, "store.py",
        "        if index <= self._applied.place.index:\n", "        if False:\n"),
    Bug("sessions are not written", CUTS, "apply.py",
        "        (tables.UPSERT_SESSION, sessions),\n", ""),
    Bug("sessions change and their sum does not", CUTS, "apply.py",
        "        sums.replace(row)\n", "        pass\n"),
    Bug("starts are not counted", CUTS, "identity.py", "boot_no=meta.boot_no + 1)", "boot_no=meta.boot_no)"),
    Bug("transactions are not counted", ROT, "store.py", "        self._probe += 1\n", ""),
    Bug("the history is not written", CUTS, "apply.py",
        HISTORY, HISTORY.replace("state.history or first_history(effect.entries)", 'b""')),
    Bug("each batch begins another history", CUTS, "apply.py",
        HISTORY, HISTORY.replace("state.history or ", "")),
    # ------------------------------------------------------------ heart rates and alarms
    Bug("alarms are written in a transaction of their own", CUTS, "apply.py",
        ALARMS, '    connection.execute("COMMIT")\n    connection.execute("BEGIN")\n' + ALARMS),
    Bug("open alarms are forgotten at a start", CUTS, "alarm_book.py", RESTORED, RESTORED.replace("recent", "()")),
    Bug("the alarms' clock stands still over a start", CUTS, "alarm_book.py",
        "clock = (counts.now_ms,", "clock = (0,"),
    Bug("readings are numbered from 1 at each start", CUTS, "store.py",
        VERDICTS, VERDICTS.replace("cursor.applied", "cursor.applied._replace(verdicts=VerdictCounts((0,) * 8))")),
    Bug("that a bed was heard is not written", CUTS, "alarm_book.py", HEARD, HEARD.replace("changes.heard", "[]")),
    Bug("a value that was measured is not written", CUTS, "alarm_rows.py", MEASURED, MEASURED.replace('"value", ', "")),
    Bug("what a row added to the sum is never taken off", CUTS, "alarm_sum.py", "token - before\n", "token\n"),
    Bug("rules that were set are not written", CUTS, "alarm_book.py", RULES, "if False:"),
    Bug("an alarm that is over leaves its alerts open", CUTS, "alarm_book.py",
        "            _resolve(connection, calmed, upto, written)\n", "            pass\n"),
    # ------------------------------------------------------------ what is checked
    Bug("beds and alarms may be older than the rest", ROT, "alarm_book.py",
        "if alarm_sum.kept_of(connection) != counts.kept:", "if False:"),
    Bug("the WAL is not scanned", ROT, "opening.py", "if scan.verdict == walscan.DAMAGED:", "if False:"),
    Bug("a torn tail is taken for damage", CUTS, "walscan.py",
        PROOF, "    proof = bad if bad < frames.count else None\n" + PROOF),
    Bug("a transaction left over is taken for a later one", CUTS, "walscan.py",
        STALE, "if frames.salts(number + 1) != salts:"),
    Bug("one later transaction is proof enough", CUTS, "walscan.py",
        "            second = _next_transaction(frames, salts, number + 1)\n", "            second = number + 1\n"),
    Bug("the mark is not compared", ROT, "opening.py", "    if forgotten:\n", "    if False:\n"),
    Bug("no report's checksum is checked", ROT, "numbered.py",
        "            if self.crc(row[:-1]) == row[-1]:\n", "            if True:\n"),
    Bug("the root is not checked", ROT, "recovery.py",
        "    if owned != tables.owned", "    if False and owned != tables.owned"),
    Bug("a note of distrust is not read", CUTS, "opening.py", "    if said:\n", "    if False:\n"),
    Bug("the WAL is left behind when files are set aside", CUTS, "aside.py",
        '"-journal", "-wal", "-shm"', '"-journal", "-shm"'),
)  # fmt: skip

OPEN = (
    # Written and not found, for what stands beside it finds the same: two checks, each enough alone.
    Bug("a store that has failed writes on", CUTS, "store.py",
        "        self._refuse_after_failure()\n        if not effects:", "        if not effects:"),
    Bug("frames of an earlier round count", CUTS, "walscan.py", STALE, "if not frames.commits(number):"),
    # Found by luck only (once after 600 cuts, then not in 7,200): of three transactions one write of the first must be
    # lost and nearly all of the others be there. test_storage_faults.py counts the syncs.
    Bug("two Applies in a row are not synced", CUTS, "store.py",
        "sync=not applies or self._unsynced)", "sync=not applies)"),
    # Two cuts in one WAL, each in the midst of an Apply: 12,000 draw no such. test_storage_amnesia.py builds it.
    Bug("what several cuts left behind is added up", CUTS, "walscan.py",
        " or not frames.follows(number + 1, frames.stored(number)):", ":"),
    # Found by luck only: it hurts within the first start of a file alone.
    Bug("the mark is written over what was synced", CUTS, "mark.py",
        "(1 - self._synced_slot) * SLOT_BYTES)", "self._synced_slot * SLOT_BYTES)"),
    Bug("no small row's checksum is checked", ROT, "checksums.py",
        " or crc_of(values) != row[-1]:", ":"),
    Bug("no entry's checksum is checked", ROT, "tables.py", "_log_crc(entry) == crc", "True"),
    Bug("no entry's chain is checked", ROT, "recovery.py",
        "            if chained(before, entry.term, entry.kind, entry.origin, entry.body).chain != entry.chain:\n",
        "            if False:\n"),
    # By luck only: hardly ever is a row marked that another entry had brought; test_storage_alarms.py holds it.
    Bug("the marks of alarms may be older than the rest", ROT, "recovery.py",
        "if alarm_sum.marked_of(self._connection) != marked:", "if False:"),
)  # fmt: skip
