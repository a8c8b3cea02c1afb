"""What the doctor says: one thing that was looked at, whether it needs doing, why, and the command that mends it.

Touches nothing. Keeps: whoever needs doing says what to do; the worst come first.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

CRITICAL, WARNING, NOTE, OK = "critical", "warning", "note", "ok"
SEVERITIES = (CRITICAL, WARNING, NOTE, OK)
NEEDS_DOING = (CRITICAL, WARNING)


class Finding(NamedTuple):
    """``check``: what was looked at (docs/operations/doctor.md has a paragraph of that name); ``what`` is so, ``why``
    it matters, ``do``: the command that mends it, '' where nothing needs doing."""

    severity: str
    check: str
    what: str
    why: str = ""
    do: str = ""


def sorted_findings(findings: Iterable[Finding]) -> list[Finding]:
    """The worst first; else in the order in which they came."""
    return sorted(findings, key=lambda one: SEVERITIES.index(one.severity))


def needs_doing(findings: Iterable[Finding]) -> bool:
    """Whether any of them is more than a note."""
    return any(one.severity in NEEDS_DOING for one in findings)
