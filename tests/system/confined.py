"""Runs a command under the confinement that a systemd unit asks for, as far as a process can put it on itself.

    python -m tests.system.confined hfzmq@.service COMMAND ARGUMENTS...

Touches itself: system calls (SystemCallFilter), address families (RestrictAddressFamilies), memory that is both
written and executed (MemoryDenyWriteExecute), capabilities that come by execve (NoNewPrivileges). It needs
``systemd-analyze``, to say what is in ``@system-service``, and libseccomp, which systemd itself uses.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

PR_SET_NO_NEW_PRIVS, PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 38, 65, 1
ALLOW = 0x7FFF0000
EQUAL = 4
UNKNOWN = -1  # a system call that this machine has not


def refuse(number: int) -> int:
    """What a forbidden call is answered with."""
    return 0x00050000 | number


class Comparison(ctypes.Structure):
    """``struct scmp_arg_cmp``."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("a", ctypes.c_uint64),
        ("b", ctypes.c_uint64),
    )


def settings(unit: Path, key: str) -> list[str]:
    """All values of ``key``, in their order."""
    lines = unit.read_text().splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith(f"{key}=")]


def calls_of(name: str) -> set[str]:
    """A system call, or all those of a group such as ``@system-service``."""
    if not name.startswith("@"):
        return {name}
    told = subprocess.run(
        ["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, timeout=20, check=True
    )
    words = [line.strip() for line in told.stdout.splitlines()[1:]]
    found: set[str] = set()
    for word in words:
        if word and not word.startswith("#"):
            found |= calls_of(word)
    return found


def allowed(unit: Path) -> set[str]:
    """By all lines of SystemCallFilter, as systemd reads them: a first line without ``~`` makes a list of what may be.

    ``@default`` may always be."""
    found = calls_of("@default")
    for line in settings(unit, "SystemCallFilter"):
        denied = line.startswith("~")
        for name in line.lstrip("~").split():
            found = found - calls_of(name) if denied else found | calls_of(name)
    return found


def confine(unit: Path) -> None:
    """This process, from now on, and whatever it becomes. OSError where it cannot be."""
    library = ctypes.CDLL(ctypes.util.find_library("seccomp"), use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    calls = allowed(unit)
    families = {
        int(getattr(socket, name)) for line in settings(unit, "RestrictAddressFamilies") for name in line.split()
    }
    c = ctypes.CDLL(None, use_errno=True)
    if settings(unit, "MemoryDenyWriteExecute") == ["yes"] and c.prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "MemoryDenyWriteExecute: this kernel cannot")
    c.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    context = ctypes.c_void_p(library.seccomp_init(refuse(errno.EPERM)))
    for name in sorted(calls):
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number == UNKNOWN:
            continue
        if name == "socket":
            for family in families:
                rule = (Comparison * 1)(Comparison(0, EQUAL, family, 0))
                library.seccomp_rule_add_array(context, ctypes.c_uint32(ALLOW), number, 1, rule)
            continue
        library.seccomp_rule_add_array(context, ctypes.c_uint32(ALLOW), number, 0, None)
    failed = library.seccomp_load(context)
    if failed:
        raise OSError(-failed, "seccomp_load")


if __name__ == "__main__":
    confine(Path(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])
