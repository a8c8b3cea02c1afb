"""Where a bench measures: a folder on a disk, the machine around it; and the file that keeps the figures.

Touches one folder, /proc, the results file. Must not know: what is measured. Keeps: nothing is measured in memory that
calls itself a disk; the folder goes again, however the run ends.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import zmq

import hfzmq
from hfzmq.cli.doctor.disk import IN_MEMORY, measure, mount_of
from hfzmq.cli.results_file import commit, write_results
from hfzmq.errors import DataDirError, HfzmqError, InvalidInput

GROWTH = "growth"  # a section that is made of sections
LASTING = Path("/var/tmp")
DIRTY = "-dirty"  # behind a commit: files differ from it
LINKED = tuple(Path(hfzmq.__file__).parent / name for name in ("cli", "daemon", "model"))


@contextmanager
def on_disk(folder: Path | None) -> Iterator[tuple[Path, dict[str, Any]]]:
    """A new folder that goes again, and what is known of its disk. Where nobody names one and temporary files are in
    memory, it is made among those that outlive a restart."""
    try:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        elif LASTING.is_dir() and _in_memory(Path(tempfile.gettempdir())):
            folder = LASTING
        place = Path(tempfile.mkdtemp(prefix="hfzmq-bench-", dir=folder)).resolve()
    except OSError as error:
        where = folder or tempfile.gettempdir()
        raise DataDirError(f"cannot write into {where}: {error.strerror}", hint="another one: --folder DIR") from None
    try:
        kind = _kind_of(place)
        if _in_memory(place):
            hint = "give one on the disk to measure: --folder DIR"
            raise InvalidInput("--folder", "on a disk, not in memory", got=f"{place.parent} ({kind})", hint=hint)
        speed = measure(place)
        yield place, {"disk": {"file_system": kind, "fsync_p50_ms": round(speed.p50_ms, 3)}}
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _in_memory(place: Path) -> bool:
    return _kind_of(place) in IN_MEMORY


def _kind_of(place: Path) -> str | None:
    """Of its file system, where the system tells."""
    mounts = Path("/proc/self/mountinfo")
    mount = mount_of(place, mounts.read_text()) if mounts.exists() else None
    return mount.kind if mount else None


def machine() -> dict[str, Any]:
    """What a figure hangs on besides the disk; to be asked before anything is measured, for the load is of before."""
    return {
        "load_average_before": round(os.getloadavg()[0], 2),
        "commit": _commit(),
        "source": _source(),
        "python": platform.python_version(),
        "zmq": zmq.zmq_version(),
        "sqlite": apsw.sqlite_lib_version(),
        "sqlite_of_sketch": sqlite3.sqlite_version,
        "processor": _processor(),
    }


def _commit() -> str | None:
    """As of the sources: of several runs of one ``make bench``, the first one's results make no other source."""
    said, root = commit(), Path(hfzmq.__file__).parents[1]
    if said is None or not said.endswith(DIRTY):
        return said
    words = ("git", "status", "--porcelain", "--", "hfzmq", *(link.name for link in LINKED))
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, timeout=10, check=False)
    return said if done.returncode or done.stdout else said.removesuffix(DIRTY)


def _source() -> str:
    """A digest of all that ran: of two results with the same one, the code was the same, whatever git says."""
    root, whole = Path(hfzmq.__file__).parent, hashlib.sha256()
    files = {file.relative_to(root) for folder in (root, *LINKED) for file in folder.rglob("*.py")}  # follows no link
    for file in sorted(files):
        text = (root / file).read_bytes()
        whole.update(b"%s %d\n" % (file.as_posix().encode(), len(text)) + text)
    return whole.hexdigest()[:16]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def known(path: Path) -> dict[str, Any]:
    """The sections of a results file, none where there is no file. HfzmqError: it is another one, or cannot be written;
    to be asked before what takes half an hour to measure."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "{}"
        if path.exists():
            with path.open("r+", encoding="utf-8") as file:
                text = file.read()
        elif not os.access(path.parent, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        sections: dict[str, Any] = dict(json.loads(text))
        dict(sections.get(GROWTH, {}))
    except OSError as error:
        why = f"cannot write {path}: {error.strerror or error}"
        raise HfzmqError(why, hint="give another one: --results FILE") from None
    except (ValueError, TypeError) as error:
        raise HfzmqError(f"{path}: no results file: {error}", hint="give another one: --results FILE") from None
    return sections


def put(path: Path, told: Mapping[str, Any]) -> None:
    """Its sections into the results file, in place of those of the same name; of GROWTH each part by itself."""
    before, whole = known(path), dict(told)
    if GROWTH in told:
        whole[GROWTH] = {**before.get(GROWTH, {}), **told[GROWTH]}
    write_results(path, before | whole)
