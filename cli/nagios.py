"""What a Nagios plugin prints: one line with a word, what is wrong, and numbers behind a bar; and its exit code.

Touches the command line's own errors, to make UNKNOWN of them. Must not know the mesh. Keeps: exactly one line on
stdout, whatever happens; the worst finding decides the code and comes first; no text can break the line or the numbers.

    OK - text | label=value;warning;critical ...     0 OK    1 WARNING    2 CRITICAL    3 UNKNOWN
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import click

OK, WARNING, CRITICAL, UNKNOWN = 0, 1, 2, 3
WORDS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
_WORST_FIRST = (CRITICAL, WARNING, UNKNOWN, OK)


class Finding(NamedTuple):
    """One thing that was looked at. ``code``: one of the four."""

    code: int
    text: str


class Number(NamedTuple):
    """Performance data. ``unit``: 's', 'ms', 'B', 'c' (a counter) or ''; thresholds are left out where None."""

    label: str
    value: float
    unit: str = ""
    warning: float | None = None
    critical: float | None = None

    def __str__(self) -> str:
        thresholds = [_plain(one) for one in (self.warning, self.critical)]
        return ";".join([f"{self.label}={_plain(self.value)}{self.unit}", *thresholds]).rstrip(";")


def worst(findings: Iterable[Finding]) -> int:
    """The code of all of them together."""
    codes = {finding.code for finding in findings}
    return next((code for code in _WORST_FIRST if code in codes), UNKNOWN)


def line(findings: Iterable[Finding], numbers: Iterable[Number] = ()) -> str:
    """The one line. What is not OK comes first and is all that is said; where all is well, that is."""
    found = sorted(findings, key=lambda finding: _WORST_FIRST.index(finding.code))
    code = worst(found)
    said = [finding.text for finding in found if finding.code != OK] or [finding.text for finding in found]
    perfdata = " ".join(map(str, numbers))
    return f"{WORDS[code]} - {_harmless('; '.join(said))}" + (f" | {perfdata}" if perfdata else "")


class Plugin(click.Command):
    """A command whose own usage errors are UNKNOWN, too: exit 2 would be CRITICAL."""

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **more: Any) -> click.Context:
        """See click."""
        try:
            return super().make_context(info_name, args, *rest, **more)
        except click.UsageError as error:
            click.echo(line([Finding(UNKNOWN, error.format_message())]))
            raise click.exceptions.Exit(UNKNOWN) from None


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _harmless(text: str) -> str:
    one_line = " ".join(text.split())
    return "".join(c if c.isprintable() else "?" for c in one_line).replace("|", "/")
