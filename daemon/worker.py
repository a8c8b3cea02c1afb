"""Work that takes too long for the loop: one thread for one piece of it, which ends with it or with the process.

Touches threads. Must not know: what the work is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

POLL_MS = 20  # how often the loop looks whether a piece of work is done

Work = Callable[[Callable[[], Any]], "Future[Any]"]
"""Begins a piece of work; its result, or its exception, is in the Future once that is done."""


def in_thread(work: Callable[[], Any]) -> Future[Any]:
    """``work`` in a thread of its own, which the end of the process does not wait for."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="hfzmq-worker", daemon=True).start()
    return future
