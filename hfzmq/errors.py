"""Every error of hfzmq, in one tree, sorted by who must act.

Keeps: each error says what is wrong in ``str(error)`` and, where there is one, the next step in ``error.hint``; each
has the exit code that the command line returns for it. Raise or log, never both. This module imports nothing.
"""

from __future__ import annotations


class HfzmqError(Exception):
    """The root: something failed and nobody more precise is to blame (exit 1)."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


# ------------------------------------------------------------ the caller must give other data


class InvalidInput(HfzmqError):
    """A value that the caller gave is refused (exit 6). ``field`` names it, ``bound`` says what would be accepted."""

    exit_code = 6

    def __init__(self, field: str, bound: str, *, got: object = None, hint: str = "") -> None:
        self.field = field
        self.bound = bound
        shown = "" if got is None else f", got {_short(got)}"
        super().__init__(f"{field}: {bound}{shown}", hint=hint)


class ConfigError(InvalidInput):
    """A configuration file is wrong: says the file, the line, the key and the cause (exit 6)."""

    def __init__(
        self, path: str, line: int | None, key: str, cause: str, *, got: object = None, hint: str = ""
    ) -> None:
        super().__init__(key, cause, got=got, hint=hint)
        self.path = path
        self.line = line
        place = f"{path}:{line}" if line else path
        shown = "" if got is None else f", got {_short(got)}"
        self.args = (f"{place}: {key}: {cause}{shown}" if key else f"{place}: {cause}{shown}",)


class NotFound(HfzmqError):
    """What was asked for by name is not there (exit 5)."""

    exit_code = 5


# ------------------------------------------------------------ wait, or look at the mesh


class MeshUnavailable(HfzmqError):
    """The mesh gave no useful answer; asking again later may help."""


class NoDaemonReached(MeshUnavailable):
    """Not one daemon answered (exit 3)."""

    exit_code = 3


class NoLeader(MeshUnavailable):
    """Daemons answered, but none leads a quorum (exit 4)."""

    exit_code = 4


class TimedOut(MeshUnavailable):
    """The deadline passed before the mesh acknowledged (exit 8). Nothing queued is lost."""

    exit_code = 8


# ------------------------------------------------------------ the operator must act on this machine


class PortInUse(HfzmqError):
    """Another process holds a port that this daemon needs (exit 1)."""


class DataDirError(HfzmqError):
    """The data directory cannot be used: rights, another peer's files, another mesh, in use (exit 1)."""


class KeysError(HfzmqError):
    """A key is missing, refused, revoked, or lies open to others; says whose and which file (exit 7)."""

    exit_code = 7


class DiskFailed(HfzmqError):
    """A write or a sync on the durable path failed (exit 1). The process must stop: an fsync is never tried again."""


class Removed(HfzmqError):
    """This peer was removed from the mesh and must not run any more (exit 9: systemd does not start it again)."""

    exit_code = 9


# ------------------------------------------------------------ a program spoke wrongly; counted, never shown to a person


class WireError(HfzmqError):
    """Bytes that are no message of this protocol. ``field`` and ``bound`` go back to whoever sent them."""

    def __init__(self, field: str, bound: str, *, hint: str = "") -> None:
        self.field = field
        self.bound = bound
        super().__init__(f"{field}: {bound}", hint=hint)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
