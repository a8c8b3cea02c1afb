"""The daemon's log: lines for people or for machines, on stderr and in files by level, written by a thread of its own.

    the loop --a record--> queue --> writer thread --> stderr; hfzmq-N.general.log, .error.log, .warning.log, .info.log

Touches stderr, one directory, one thread, the process's logging. Must not know: what is logged. Keeps: whoever logs
never waits, be the disk full, dead, or nobody reading stderr; what cannot be written is counted and told once on
stderr; a line is a line: no traceback but at level debug; its files, which name patients, are not for every user.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, TextIO

from hfzmq.errors import HfzmqError
from hfzmq.storage.directory import DIRECTORY_MODE, FILE_MODE, OTHERS

HUMAN, JSON = "human", "json"
FILE_BYTES_MAX = 10_000_000
FILES_KEPT = 5  # of each kind, beside the one that is written
LINES_WAIT_MAX = 10_000
CLOSE_WITHIN_S = 2.0
HUMAN_LINE = "%(asctime)s %(levelname)s %(message)s"
FILES = ("general", "error", "warning", "info")


class LogSettings(NamedTuple):
    """What is worth a line (of config.LOG_LEVELS), how it looks ("": human on a terminal, else json), and the directory
    for files (None: none)."""

    level: str = "info"
    form: str = ""
    directory: Path | None = None


class Logs:
    """The log of the daemon ``peer`` of ``mesh``, while it is entered."""

    def __init__(self, settings: LogSettings, peer: int, mesh: str, stderr: TextIO | None = None) -> None:
        self._settings = settings
        self._stderr: TextIO = stderr or sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115 - for as long as this lives
        self._dropped = 0
        shape = settings.form or (HUMAN if self._stderr.isatty() else JSON)
        debug = settings.level == "debug"
        self._files: list[_File] = []
        self._targets: list[_File | _Stream] = [_Stream(self._stderr)]
        if settings.directory:
            self._files = [_File(settings.directory, peer, kind, self._tell) for kind in FILES]
            self._targets += self._files
        for target in self._targets:
            of_file = isinstance(target, _File)
            human = settings.form == HUMAN or (shape == HUMAN and not of_file)
            target.setFormatter(HumanLines(debug) if human else JsonLines(peer, mesh, debug))
        self._queue: queue.Queue[logging.LogRecord | None] = queue.Queue(LINES_WAIT_MAX)
        self._entrance = _Entrance(self)
        self._writer = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread_hook = threading.excepthook
        self._level_before = logging.NOTSET

    @property
    def lost(self) -> int:
        """Lines that did not get where they should have gone, each place counted."""
        return self._dropped + sum(target.lost for target in self._targets)

    def __enter__(self) -> Logs:
        root = logging.getLogger()
        self._level_before = root.level
        root.setLevel(self._settings.level.upper())
        root.addHandler(self._entrance)
        threading.excepthook = _one_line
        self._writer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Who has started the daemon says on stderr why it ended; the files are told here."""
        if error is not None and self._files:
            self._put(_last_words(error))
        root = logging.getLogger()
        root.removeHandler(self._entrance)
        root.setLevel(self._level_before)
        threading.excepthook = self._thread_hook
        deadline = time.monotonic() + CLOSE_WITHIN_S
        try:
            self._queue.put(None, timeout=CLOSE_WITHIN_S)
        except queue.Full:
            return
        self._writer.join(max(0.0, deadline - time.monotonic()))

    def _put(self, record: logging.LogRecord) -> None:
        try:
            self._queue.put_nowait(record)
        except queue.Full:
            self._dropped += 1

    def _write(self) -> None:
        while (record := self._queue.get()) is not None:
            for target in self._targets:
                if isinstance(target, _File) or not getattr(record, "only_files", False):
                    target.handle(record)
        for file in self._files:
            file.close()

    def _tell(self, text: str) -> None:
        """Of a trouble with the log itself."""
        record = logging.LogRecord("hfzmq.log", logging.WARNING, __file__, 0, text, None, None)
        self._targets[0].handle(record)


class _Entrance(logging.Handler):
    """Makes a record safe to be formatted later, elsewhere."""

    def __init__(self, logs: Logs) -> None:
        super().__init__()
        self._logs = logs

    def emit(self, record: logging.LogRecord) -> None:
        try:
            record.msg, record.args = record.getMessage(), None
        except (TypeError, ValueError) as error:
            record.msg, record.args = f"{record.msg} (cannot be put together: {error})", None
        self._logs._put(record)


class _Stream(logging.StreamHandler[TextIO]):
    """stderr. Nobody can be told that it takes nothing."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self.lost = 0

    def handleError(self, record: logging.LogRecord) -> None:
        self.lost += 1


class _File(RotatingFileHandler):
    """``hfzmq-N.KIND.log``: the lines of level KIND (general: all). After an error it is opened anew for each line, so
    that a disk that has room again is written to again."""

    def __init__(self, directory: Path, peer: int, kind: str, tell: Callable[[str], None]) -> None:
        super().__init__(
            directory / f"hfzmq-{peer}.{kind}.log",
            maxBytes=FILE_BYTES_MAX, backupCount=FILES_KEPT, encoding="utf-8", errors="backslashreplace", delay=True,
        )  # fmt: skip
        self.lost = 0
        self._tell = tell
        self._level_of = {"error": logging.ERROR, "warning": logging.WARNING, "info": logging.INFO}.get(kind)
        self._directory = directory

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it belongs here; errors are all from there up."""
        if self._level_of is None or self._level_of == logging.ERROR:
            return record.levelno >= (self._level_of or 0)
        return record.levelno == self._level_of

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if self.stream is None:
                self._directory.mkdir(DIRECTORY_MODE, parents=True, exist_ok=True)
        except OSError:
            self.handleError(record)
            return
        super().emit(record)

    def _open(self) -> Any:
        stream = super()._open()
        if os.fstat(stream.fileno()).st_mode & OTHERS:  # a group's rights, or an ACL's, are the operator's choice
            with contextlib.suppress(OSError):
                os.fchmod(stream.fileno(), FILE_MODE)
        return stream

    def handleError(self, record: logging.LogRecord) -> None:
        stream, self.stream = self.stream, None  # as delay=True leaves it
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):  # the same error again
                stream.close()
        self.lost += 1
        if self.lost == 1:
            self._tell(f"{self.baseFilename} cannot be written: {sys.exc_info()[1]}: lines are lost (told once)")


class HumanLines(logging.Formatter):
    """``time LEVEL message``, in local time."""

    def __init__(self, debug: bool) -> None:
        super().__init__(HUMAN_LINE)
        self._debug = debug

    def format(self, record: logging.LogRecord) -> str:
        """See logging."""
        record.message, record.asctime = record.getMessage().replace("\n", " "), self.formatTime(record)
        line, told = self.formatMessage(record), _told(record.exc_info, self._debug)
        if not told:
            return line
        return f"{line}\n{told}" if self._debug else f"{line} ({told})"


class JsonLines(logging.Formatter):
    """One JSON object a line: ts (UTC), level, logger, message, peer, mesh; exception where there is one."""

    def __init__(self, peer: int, mesh: str, debug: bool) -> None:
        super().__init__()
        self._whose = {"peer": peer, "mesh": mesh}
        self._debug = debug

    def format(self, record: logging.LogRecord) -> str:
        """See logging."""
        seconds, milliseconds = divmod(int(record.created * 1000), 1000)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        line: dict[str, object] = {
            "ts": f"{stamp}.{milliseconds:03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self._whose,
        }
        if record.exc_info and record.exc_info[1]:
            line["exception"] = _told(record.exc_info, self._debug)
        if hint := getattr(record, "hint", ""):
            line["hint"] = hint
        return json.dumps(line, ensure_ascii=False)


def _told(exc_info: object, debug: bool) -> str:
    error = exc_info[1] if isinstance(exc_info, tuple) else None
    if error is None:
        return ""
    if debug:
        return "".join(traceback.format_exception(error)).rstrip()
    return f"{type(error).__name__}: {error}".replace("\n", " ")


def _last_words(error: BaseException) -> logging.LogRecord:
    text, hint = str(error), ""
    if isinstance(error, HfzmqError):
        hint = error.hint
    else:
        text = f"internal error: {type(error).__name__}: {text}"
    record = logging.LogRecord("hfzmq", logging.ERROR, __file__, 0, text.replace("\n", " "), None, None)
    record.hint, record.only_files = hint, True
    return record


def _one_line(args: threading.ExceptHookArgs) -> None:
    """A thread has died of an error that nobody foresaw."""
    if args.exc_type is SystemExit or args.exc_value is None:
        return
    name = args.thread.name if args.thread else "?"
    error = args.exc_value
    logging.getLogger("hfzmq").error(
        "the thread %s died: %r", name, error, exc_info=(type(error), error, error.__traceback__)
    )
