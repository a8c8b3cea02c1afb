"""Whether a site's alarms reach anybody: its rules, its channels and how often a bed speaks, judged together.

Touches nothing. Must not know: whether a program or a host is there (that differs between machines). Keeps: settings
under which an alarm can never be told, or under which each healthy bed alarms, are refused with the line, the rule, its
bound and what to do; what is odd and may be meant is a doubt, which stops nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from hfzmq.alarm_channels import BELL
from hfzmq.clinical.alarm.rules import AlarmRules
from hfzmq.config import Config
from hfzmq.errors import ConfigError

SPEAKS_EVERY_MS = 2_000  # a bed whose client was told nothing else
SILENT_MS_MIN = 1_000  # signs of life come to the log twice a second at most
SILENT_MS_CALM = 3 * SPEAKS_EVERY_MS  # one reading may be lost, and the next one be late
LATE_MS = 1_000  # a reading may be so much later than its interval says

SILENT = "alarms.rules.silent_ms"


class Doubt(NamedTuple):
    """What is odd about a setting: its name, what would not be, what to do."""

    field: str
    bound: str
    hint: str

    def __str__(self) -> str:
        return f"{self.field}: {self.bound} ({self.hint})"


class TooSeldom(NamedTuple):
    """Beds that speak more seldom than the mesh waits for them. ``patient_id`` '': all that have no limit of their
    own."""

    patient_id: str
    limit_ms: int


def refuse_unreachable(config: Config, rules: AlarmRules) -> None:
    """ConfigError for rules (those of ``config``) under which nobody is told, or everybody always."""
    if not rules.steps_ms:
        hint = "such as [0, 60000, 180000]; so that nobody is told but by the screens: channels: []"
        raise _wrong(config, "steps_ms", "at least one step, for no step tells nobody", hint)
    steps = len(rules.steps_ms)
    never = [channel for channel in config.channels if channel.from_step > steps]
    if never:
        named = ", ".join(f"{channel.name} (from_step {channel.from_step})" for channel in never)
        bound = f"{named}: from_step at most {steps}, for steps_ms has no more steps: it would never be used"
        line = _line(config, "steps_ms")
        raise ConfigError(
            config.path, line, "alarms.channels", bound, hint="a lower from_step, or one more step in steps_ms"
        )
    short = [(patient, limit_ms) for patient, limit_ms in _limits(rules) if limit_ms < SILENT_MS_MIN]
    if short:
        patient, limit_ms = short[0]
        rule = "expected" if patient else "silent_ms"
        bound = f"{patient}: {SILENT_MS_MIN} ms or more" if patient else f"{SILENT_MS_MIN} ms or more"
        hint = f"hfzmq client measures every {SPEAKS_EVERY_MS} ms: {SILENT_MS_CALM} or more raises no false NO DATA"
        raise _wrong(config, rule, bound, hint, got=limit_ms)


def doubts(config: Config, rules: AlarmRules) -> list[Doubt]:
    """What may be meant, and is to be said to whoever wrote it."""
    return [*_doubts_of_channels(config, rules), *_doubts_of_silence(rules)]


def too_seldom(rules: AlarmRules, interval_ms: float, patients: Iterable[str]) -> list[TooSeldom]:
    """Who is told NO DATA between two readings that are ``interval_ms`` apart; ``patients``: those that are known."""
    own = dict(rules.expected)
    found = {name: own[name] for name in patients if own.get(name)}
    limits = [TooSeldom("", rules.silent_ms), *(TooSeldom(*one) for one in found.items())]
    return [one for one in limits if interval_ms + LATE_MS > one.limit_ms]


# ------------------------------------------------------------ the parts


def _doubts_of_channels(config: Config, rules: AlarmRules) -> Iterator[Doubt]:
    if not config.channels:
        yield Doubt(
            "alarms.channels",
            "none: alarms stand on the screens, and nobody is told",
            "name one, such as {name: log, kind: log}",
        )
        return
    first = min(channel.from_step for channel in config.channels)
    if first > 1:
        soon = f"nobody is told in the first {rules.steps_ms[first - 1] / 1000:g} s of an alarm"
        notice = ", and of AMBER never (notice_steps)" if rules.notice_steps < first else ""
        yield Doubt("alarms.channels", soon + notice, "a channel with from_step: 1")
    if all(channel.kind == BELL for channel in config.channels):
        hint = "one more channel; kind: log needs nothing"
        yield Doubt("alarms.channels", "only bells: a daemon that runs as a service has no terminal to ring", hint)


def _doubts_of_silence(rules: AlarmRules) -> Iterator[Doubt]:
    for patient, limit_ms in _limits(rules):
        if limit_ms < SILENT_MS_CALM:
            field = f"alarms.rules.expected.{patient}" if patient else SILENT
            bound = f"{limit_ms} ms: a bed that is a little late is told as NO DATA"
            hint = (
                f"hfzmq client measures every {SPEAKS_EVERY_MS} ms: {SILENT_MS_CALM} or more, or a shorter --interval"
            )
            yield Doubt(field, bound, hint)


def _limits(rules: AlarmRules) -> list[tuple[str, int]]:
    """(patient, how long it may be silent), '' for all that have no limit of their own."""
    return [("", rules.silent_ms), *(one for one in rules.expected if one.silent_ms)]


def _wrong(config: Config, rule: str, bound: str, hint: str, got: object = None) -> ConfigError:
    return ConfigError(config.path, _line(config, rule), f"alarms.rules.{rule}", bound, got=got, hint=hint)


def _line(config: Config, rule: str) -> int | None:
    return next((setting.line for setting in config.alarm_rules if setting.name == rule), None)
