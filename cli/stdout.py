"""The standard output of every command: what it cannot take is an error with a cause, not an accident.

Touches stdout, and stdin and stderr where they were closed. Must not know: commands. Keeps: a reader that went away
stays a BrokenPipeError, which is no error of ours; every other failure to write is CannotWrite, so that it is never
taken for a failure of the mesh or of a disk.
"""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from hfzmq.errors import HfzmqError


class CannotWrite(HfzmqError):
    """Standard output takes no more: a full disk, a device that failed (exit 1)."""


def open_closed_streams() -> None:
    """What whoever started us has closed (``>&-``) leads nowhere: no command need ask whether there is one, and no file
    that is opened later takes its number, where something might write into it. A letter that stdout's encoding does
    not have (a terminal in Latin-1) is escaped, and ends no command."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


@contextmanager
def guarded_stdout() -> Iterator[None]:
    """Within it, and when it ends well, a failed write to sys.stdout raises CannotWrite or BrokenPipeError."""
    plain: TextIO = sys.stdout
    sys.stdout = cast(TextIO, _Guarded(plain))
    try:
        yield
        sys.stdout.flush()
    finally:
        sys.stdout = plain


def give_up_stdout() -> None:
    """Python flushes stdout once more at exit: give what is left in it somewhere to go."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # no real stdout under us
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def give_up_lost_terminal() -> bool:
    """Whether stdout was a terminal that went away (ssh dropped, a window was closed): then what is still said there
    leads nowhere, and is no error. Likewise stderr."""
    lost = [stream for stream in (sys.stdout, sys.stderr) if _is_lost(stream)]
    for stream in lost:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return sys.stdout in lost


def _is_lost(stream: TextIO) -> bool:
    """A terminal whose other end is closed is a device still, and no terminal any more."""
    try:
        return stat.S_ISCHR(os.fstat(stream.fileno()).st_mode) and not stream.isatty()
    except (OSError, ValueError):  # no real stream
        return False


class _Guarded:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            raise _cause(error) from error

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            raise _cause(error) from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _cause(error: OSError) -> Exception:
    if isinstance(error, BrokenPipeError):
        return error
    return CannotWrite(
        f"cannot write to standard output: {error.strerror or error}", hint="what was written so far is not complete"
    )
