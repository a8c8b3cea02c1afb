"""What to do about a file or a directory that this user may not use: whose it is, and the command that helps.

Touches the disk, for rights and owners only. Must not know: what the file was wanted for.
"""

from __future__ import annotations

import os
import pwd
import re
import shlex
import stat
from pathlib import Path

_REFUSED = re.compile(r"'(?P<path>.+)' is not (?:readable|writable|executable)\.?$")


def refused_path(message: str) -> str:
    """The path of click's ``File 'a' is not readable.``; '' for any other words."""
    found = _REFUSED.search(message)
    return found["path"] if found else ""


def rights_hint(path: str) -> str:
    """The next step of who may not use ``path``."""
    at = Path(path)
    shut = next((one for one in reversed(at.parents) if not os.access(one, os.X_OK)), at)
    name = shlex.quote(str(shut))
    try:
        found = shut.stat()
    except OSError:
        return f"whose is it? ls -ld {name}"
    mode = f"mode {stat.S_IMODE(found.st_mode):04o}"
    if found.st_uid == os.geteuid():
        return f"{name} is yours ({mode}): chmod u+rwX {name}"
    owner = _name_of(found.st_uid)
    return (
        f"{name} belongs to {owner} ({mode}): run this as that user, sudo -u {owner} hfzmq ..., or have {owner} give "
        "yours the rights: chmod, chgrp"
    )


def _name_of(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"'#{user}'"  # as sudo takes a number
