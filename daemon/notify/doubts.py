"""What a daemon says at its start about settings under which its alarms may reach nobody: lines of its log, no more.

Touches this machine's search path and the log. Keeps: no doubt keeps a daemon from starting; a program that this
machine lacks may be there before it leads, or stand on the others alone.
"""

from __future__ import annotations

import logging

from hfzmq.alarm_channels import missing_programs
from hfzmq.clinical.alarm.reach import doubts
from hfzmq.clinical.alarm.settings import rules_of
from hfzmq.config import Config

log = logging.getLogger("hfzmq.notify")


def say_doubts(config: Config) -> None:
    """One WARNING for each. ConfigError where ``config`` cannot be served at all."""
    for doubt in doubts(config, rules_of(config)):
        log.warning("%s", doubt)
    for name, program in missing_programs(config.channels):
        log.warning(
            "alarms.channels: %s: %s: no such program on this machine: while this peer leads, nobody is told by it",
            name, program,
        )  # fmt: skip
