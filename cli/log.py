"""Where a command's log lines go: to stderr, from a level on; nowhere while a screen is drawn.

Touches the process's logging. Must not know which command runs.
"""

from __future__ import annotations

import logging


def begin_log(level: str, screen: bool = False) -> None:
    """Log from ``level`` (of config.LOG_LEVELS) on. ``screen``: stderr is part of it, so nothing is logged."""
    if screen:
        logging.getLogger("hfzmq").addHandler(logging.NullHandler())
        return
    logging.basicConfig(level=level.upper(), format="%(asctime)s %(levelname)s %(message)s")
