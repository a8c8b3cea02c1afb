"""The table of rounds, as text: a head, a line for each round, and beneath it what was injected.

Touches nothing: values come in, lines go out. Must not know: terminals, processes. Keeps: a line fits into 80 columns
as long as its numbers do, and a number that does not makes the line longer; nothing is ever cut; what is not yet known
is a dash, never a zero.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import NamedTuple

from hfzmq.cli.format import printable
from hfzmq.cli.scenario.catalogue import SCENARIOS
from hfzmq.cli.scenario.round import FAILED, NOT_RUN, Result

WIDTH = 80
NAME_WIDTH = max(len(scenario.name) for scenario in SCENARIOS)
UNKNOWN = "-"


class Line(NamedTuple):
    """One line of the table; None is not known yet."""

    name: str
    round: str
    acked: int | None
    gap_ms: int | None
    lost: int | None
    doubled: int | None
    out_of_order: int | None
    verdict: str


def head(rounds: int) -> str:
    """The names of the columns."""
    name, width = "scenario".ljust(NAME_WIDTH), _round_width(rounds)
    return f"{name} {'round':>{width}}    acked gap ms lost doubled out of order verdict"


def line_text(line: Line, rounds: int) -> str:
    """A line under the head."""
    numbers = [UNKNOWN if value is None else str(value) for value in line[2:7]]
    acked, gap_ms, lost, doubled, out_of_order = numbers
    return (
        f"{line.name:<{NAME_WIDTH}} {line.round:>{_round_width(rounds)}} {acked:>8} {gap_ms:>6} {lost:>4} {doubled:>7} "
        f"{out_of_order:>12} {line.verdict}"
    )


def line_of(result: Result) -> Line:
    """A finished round's."""
    found = result.findings
    name, which = result.round.scenario.name, f"{result.round.number}/{result.round.of}"
    if found is None:
        return Line(name, which, None, result.gap_ms, None, None, None, result.verdict)
    return Line(name, which, found.acked, result.gap_ms, found.lost, found.doubled, found.out_of_order, result.verdict)


def round_lines(result: Result, width: int = WIDTH) -> list[str]:
    """A finished round: its line, what was injected, what went wrong and where to look."""
    lines = [line_text(line_of(result), result.round.of)]
    lines += wrapped(injected_text([one.words for one in result.injected]), width) if result.verdict != NOT_RUN else []
    for problem in result.problems:
        for part in problem.splitlines():
            lines += wrapped(f"problem: {part}", width)
    if result.verdict == FAILED:
        lines += wrapped(f"look into {result.round.folder}", width)
    return lines


def injected_text(words: Iterable[str]) -> str:
    """All that was done, in one sentence."""
    return "; ".join(words) or "nothing injected"


def wrapped(text: str, width: int = WIDTH) -> list[str]:
    """Text under a line of the table: broken between words, indented; a word that is too long is not broken."""
    return textwrap.wrap(
        printable(text),
        max(width, 20),
        initial_indent="  ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def conclusion(results: list[Result], wanted: int) -> str:
    """The last line: how many rounds passed of how many that were asked for."""
    passed = sum(result.passed for result in results)
    if passed == wanted:
        return "1 round, passed" if wanted == 1 else f"{wanted} rounds, all passed"
    names = list(dict.fromkeys(result.round.scenario.name for result in results if not result.passed))
    missing = f"; {wanted - len(results)} not begun or not finished" if len(results) < wanted else ""
    not_well = f"; NOT passed: {', '.join(names)}" if names else ""
    return f"{passed} of {wanted} rounds passed{not_well}{missing}"


def _round_width(rounds: int) -> int:
    return max(len("round"), len(f"{rounds}/{rounds}"))
