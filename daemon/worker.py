"""Work that takes too long for the loop: one thread for one piece of it, which ends with it or with the process.

Touches threads, files that are to be removed. Must not know: what the work is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

POLL_MS = 20  # how often the loop looks whether a piece of work is done

Work = Callable[[Callable[[], Any]], "Future[Any]"]
"""Begins a piece of work; its result, or its exception, is in the Future once that is done."""


def in_thread(work: Callable[[], Any]) -> Future[Any]:
    """``work`` in a thread of its own, which the end of the process does not wait for. Where no thread can be started,
    that is the Future's error."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    try:
        threading.Thread(target=run, name="hfzmq-worker", daemon=True).start()
    except RuntimeError as error:
        future.set_exception(error)
    return future


def remove(paths: Iterable[Path]) -> None:
    """Remove files: of a large one that takes as long as a disk needs to find all of its pages. What cannot be removed
    stays, for whoever looks there the next time."""
    for path in paths:
        with suppress(OSError):
            path.unlink()
