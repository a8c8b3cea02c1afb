"""What has to stand beside a risk wherever it is shown: that the raw day sets its tier, that the patient is unlike
those the model learned from. By the flags of a report.

Touches nothing. Keeps: a mark is there at any width, short where there is no room; what is no news at a bed (that the
day lies below 100, the ends that are shown as a range anyway) is left out there and kept in reports.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.text import Text

from hfzmq.cli.format import printable
from hfzmq.cli.screens.canvas import text
from hfzmq.clinical.report import DAY_RAW, LOWEST, MISSING, STUDY_LOWEST

RAW_DAY = "RAW DAY"
RAW_SHORT, OUTSIDE_SHORT = "RAW", "~"
OUTSIDE = f"{OUTSIDE_SHORT} outside what it learned"
STYLE = "bold white on magenta"
WIDE = 80  # from here on a mark has all of its words

# As in model.inference, which no screen has to load.
_EXTRAPOLATED, _UNUSUAL, _DAY = "extrapolated:", "unusual_combination", "day"
_NO_NEWS = ("day_clamped", DAY_RAW, _UNUSUAL)
_NO_NEWS_STARTS = (LOWEST, STUDY_LOWEST, MISSING, _EXTRAPOLATED)

Flags = Sequence[str]


def flags_of(text_: str) -> tuple[str, ...]:
    """The flags in a report's text."""
    return tuple(flag for flag in text_.split(",") if flag)


def is_raw(flags: Flags) -> bool:
    """Whether the raw day sets the tier."""
    return DAY_RAW in flags


def outside(flags: Flags) -> tuple[str, ...]:
    """What lies outside the training set, of what the number reads: names of vitals, ``combination`` for all of them
    together; () for nothing."""
    names = [flag.removeprefix(_EXTRAPOLATED) for flag in flags if flag.startswith(_EXTRAPOLATED)]
    found = [name for name in names if name != _DAY or is_raw(flags)]
    return (*found, *(["combination"] if _UNUSUAL in flags else []))


def short(flags: Flags) -> str:
    """In front of a number: ``RAW ``, ``~``, ``RAW ~``; '' for an ordinary one."""
    raw = f"{RAW_SHORT} " if is_raw(flags) else ""
    return raw + (OUTSIDE_SHORT if outside(flags) else "")


def words(flags: Flags) -> tuple[str, ...]:
    """Behind a number, where there is room: ``RAW DAY``, ``~ outside what it learned: age``."""
    found = (RAW_DAY,) if is_raw(flags) else ()
    names = ", ".join(printable(name.replace("_", " ")) for name in outside(flags))
    return (*found, f"{OUTSIDE}: {names}") if names else found


def header(beds: Iterable[Flags], width: int) -> list[Text]:
    """For the header of a screen with these beds: what the short marks mean, and how many beds have them."""
    each = list(beds)
    raw, far = sum(map(is_raw, each)), sum(bool(outside(flags)) for flags in each)
    found = [text(f" {RAW_DAY} ", STYLE)] if raw else []
    if raw and width >= WIDE:
        found.append(text("the tier is by the raw day", "bold"))
    if far:
        found.append(text(f"{OUTSIDE_SHORT} {far} outside{' what it learned' if width >= WIDE else ''}", "bold"))
    return found


def rest(flags: Flags) -> tuple[str, ...]:
    """The flags that are news at a bed and that no mark, range or ``?`` says already."""
    return tuple(flag for flag in flags if flag not in _NO_NEWS and not flag.startswith(_NO_NEWS_STARTS))
