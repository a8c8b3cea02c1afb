"""``hfzmq alarms stats`` and ``simulate``: how the ward lives with its alarms, and how it would with other rules.

Touches stdout (data only), stderr (what was assumed, how far it is) and the wall clock. Keeps: a number that is not
known is said to be so, never a zero; what a figure leaves out stands beside it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from hfzmq.cli.alarms.stored import DAY_MS, Stored, Ward
from hfzmq.cli.alarms.words import CAUSE_BADGES
from hfzmq.cli.bedside.output import ProgressLine
from hfzmq.cli.format import counted, json_text, local_time, printable, thousands
from hfzmq.cli.layout import as_text, folded, laid_out, terminal_width
from hfzmq.cli.page_command import check_patient
from hfzmq.clinical.alarm.replay import Replayed, replay_each, varied
from hfzmq.clinical.alarm.rules import AlarmRules, from_mapping, to_mapping
from hfzmq.clinical.alarm.statistics import AlarmStats, statistics
from hfzmq.clinical.alarm.types import CAUSES
from hfzmq.clinical.report import Refusal
from hfzmq.config import Config
from hfzmq.errors import InvalidInput, NotFound
from hfzmq.yaml_reader import likely

ALL = "all"
NOT_KNOWN = "not known"
SIDES_HEADS = ("cause", "present: alarms", "per bed and day", "other: alarms", "other: per bed and day")


def show_stats(
    config: Config | None, db: Path | None, days: float, patient: str | None, within_s: float, output: str
) -> None:
    """Of the last ``days``; of one bed, or of the ward. NotFound: nothing is stored."""
    check_patient(patient)
    ward = Ward(config, db, _now_ms())
    since_ms = _begin(ward, days)
    until_ms = max(ward.now_ms, since_ms)
    episodes = ward.episodes(since_ms, patient)
    beds = {patient} if patient else ward.beds(since_ms) | {one.patient_id for one in episodes}
    found = statistics(episodes, since_ms, until_ms + 1, len(beds), within_ms=round(within_s * 1000))
    if output == "json":
        head = {"since_ms": since_ms, "until_ms": until_ms, "beds": len(beds), "patient_id": patient}
        click.echo(json_text({**head, "within_ms": round(within_s * 1000), **_stats_value(found)}))
    else:
        who = printable(patient) if patient else counted(len(beds), "bed")
        _echo(_span_words(since_ms, until_ms, who))
        click.echo("\n".join(["", *_stats_lines(found, within_s)]))
        _note_short(until_ms - since_ms)


def show_simulation(
    config: Config | None,
    db: Path | None,
    days: float,
    red: float | None,
    amber: float | None,
    delay_s: float | None,
    settings: Sequence[str],
    seen_after_s: float,
    output: str,
) -> None:
    """What is stored of the last ``days`` under the rules in force and under others. InvalidInput: no such rules."""
    ward = Ward(config, db, _now_ms())
    present = ward.rules()
    other = other_rules(present, red, amber, delay_s, settings)
    since_ms = _begin(ward, days)
    until_ms = max(ward.now_ms, since_ms)
    span = ward.span(since_ms)
    told, end = _with_progress(span.read(), span.rows)
    now, then = replay_each(told, (present, other), seen_after_ms=round(seen_after_s * 1000), until_ms=until_ms)
    end()
    bed_days = _bed_days(now, since_ms, until_ms)
    changed = {name: (value, getattr(other, name)) for name, value in present._asdict().items()}
    changed = {name: pair for name, pair in changed.items() if pair[0] != pair[1]}
    if output == "json":
        span_value = {"since_ms": since_ms, "until_ms": until_ms, "rows": now.rows}
        sides = {
            name: {"rules": to_mapping(rules), **_replay_value(side, bed_days)}
            for name, rules, side in (("present", present, now), ("other", other, then))
        }
        click.echo(json_text({**span_value, **sides}))
        return
    _echo(_span_words(since_ms, until_ms, f"{thousands(now.rows)} stored row{'' if now.rows == 1 else 's'}"))
    click.echo()
    width = terminal_width()
    rules_told = [(name, *map(_rule_words, pair)) for name, pair in changed.items()]
    click.echo(as_text(*laid_out(("rule", "present", "other"), rules_told, width)))
    click.echo()
    click.echo(as_text(*laid_out(SIDES_HEADS, _sides(now, then, bed_days), width)))
    _note_short(until_ms - since_ms)
    _note(
        f"assumed, for it is not stored: each alarm is seen after {seen_after_s:g} s; a bed whose reports stop is "
        "GREEN after 60 s. NO DATA is told only of beds with heart rates."
    )


def other_rules(
    present: AlarmRules, red: float | None, amber: float | None, delay_s: float | None, settings: Sequence[str]
) -> AlarmRules:
    """The rules that the options ask for; InvalidInput names the one that cannot be."""
    delay_ms = None if delay_s is None else round(delay_s * 1000)
    made = varied(present, red=red, amber=amber, delay_ms=delay_ms)
    if isinstance(made, AlarmRules) and settings:
        made = from_mapping(to_mapping(made) | dict(map(_setting, settings)))
    if isinstance(made, Refusal):
        is_rule = made.field in AlarmRules._fields
        hint = made.hint if is_rule else likely(made.field, AlarmRules._fields) + made.hint
        raise InvalidInput(made.field, made.bound, hint=hint)
    return made


# ------------------------------------------------------------ the parts


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _begin(ward: Ward, days: float) -> int:
    since_ms = ward.begins_ms(days)
    if since_ms is None:
        raise NotFound(
            "no alarm, no report and no heart rate is stored here yet: there is nothing to count",
            hint="GREEN judgements are never stored; bring data: hfzmq client --patients 3, hfzmq stream",
        )
    return since_ms


def _setting(text: str) -> tuple[str, Any]:
    """``steps_ms=0,60000``: a name and a value, or several."""
    name, apart, value = text.partition("=")
    if not apart or not name.strip():
        raise InvalidInput("set", "RULE=VALUE", got=text, hint="such as --set silent_ms=60000")
    return name.strip(), [_value(one) for one in value.split(",")] if "," in value else _value(value)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text.strip()


def _with_progress(rows: Iterator[Stored], total: int) -> tuple[Iterator[Stored], Any]:
    done = 0
    line = ProgressLine(lambda: f"replayed {thousands(done)} of {thousands(total)} rows")

    def counting() -> Iterator[Stored]:
        nonlocal done
        for one in rows:
            done += 1
            line.turn()
            yield one

    return counting(), line.end


def _span_words(since_ms: int, until_ms: int, who: str) -> str:
    return f"{who}, {_span(until_ms - since_ms)}: {local_time(since_ms)} to {local_time(until_ms)}"


def _span(span_ms: int) -> str:
    """``95 s``, ``59 min 12 s``, ``7 h 30 min``, ``6 d 2 h``; less than the last unit is left out."""
    seconds = span_ms // 1000
    for unit, name, part, part_name in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= max(unit, 120):
            more = seconds % unit // part
            return f"{seconds // unit} {name}" + (f" {more} {part_name}" if more else "")
    return f"{seconds} s"


def _wait_words(wait_ms: int) -> str:
    """With a tenth of a second where it is short."""
    return f"{wait_ms / 1000:.1f} s" if wait_ms < 120_000 else _span(wait_ms)


def _echo(sentence: str) -> None:
    click.echo(folded(sentence, terminal_width()))


def _note(sentence: str) -> None:
    click.echo(folded(f"note: {sentence}", terminal_width(sys.stderr)), err=True)


def _note_short(span_ms: int) -> None:
    if span_ms < DAY_MS:
        _note(f"rates for a day that are reckoned from {_span(span_ms)} say little")


def _rate(count: int, found: AlarmStats) -> float | None:
    if found.per_bed_and_day is None:
        return None
    return found.per_bed_and_day * count / found.raised if found.raised else 0.0


def _stats_value(found: AlarmStats) -> dict[str, Any]:
    by_cause = {cause: {"alarms": n, "per_bed_and_day": _rate(n, found)} for cause, n in found.by_cause}
    noisiest = [{"patient_id": patient, "alarms": count} for patient, count in found.noisiest]
    return {**found._asdict(), "by_cause": by_cause, "noisiest": noisiest}


def _stats_lines(found: AlarmStats, within_s: float) -> Iterator[str]:
    rows = [(str(CAUSE_BADGES[cause]), str(n), _rate_words(_rate(n, found))) for cause, n in found.by_cause]
    rows.append((ALL, str(found.raised), _rate_words(found.per_bed_and_day)))
    width = terminal_width()
    yield as_text(*laid_out(("cause", "alarms", "per bed and day"), rows, width))
    yield ""
    if found.share_seen_in_time is None:
        yield folded(f"seen within {within_s:g} s: {NOT_KNOWN}, for none could be yet", width)
    else:
        share = f"{found.seen_in_time} of {found.judged} ({100 * found.share_seen_in_time:.1f} %)"
        yield f"seen within {within_s:g} s: {share}"
    left_out = found.raised - found.judged
    if left_out:
        yield folded(f"not counted there: {left_out} (may still be seen in time, became RED, left with the bed)", width)
    if found.seen_after_ms is not None:
        yield f"seen after, the median: {_wait_words(found.seen_after_ms)}"
    yield f"not seen to this day: {found.unseen}"
    for step, count in enumerate(found.escalated, 2):
        yield f"escalated to step {step}: {count}"
    if found.noisiest:
        yield "noisiest beds:"
        yield from (f"  {printable(patient)}: {counted(count, 'alarm')}" for patient, count in found.noisiest)


def _rate_words(rate: float | None) -> str:
    return NOT_KNOWN if rate is None else f"{rate:.2f}"


def _count(side: Replayed, cause: str) -> int:
    return sum(one.cause == cause or not cause for one in side.episodes)


def _bed_days(side: Replayed, since_ms: int, until_ms: int) -> float:
    """Of the beds with data in each day, as much of the day as lies in the span."""
    return sum(
        day.beds * (min(until_ms, day.start_ms + DAY_MS) - max(since_ms, day.start_ms)) / DAY_MS for day in side.days
    )


def _sides(now: Replayed, then: Replayed, bed_days: float) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for cause in (*CAUSES, ""):
        numbers = [
            text
            for side in (now, then)
            for text in (str(_count(side, cause)), _rate_words(_over(_count(side, cause), bed_days)))
        ]
        rows.append((str(CAUSE_BADGES[cause]) if cause else ALL, *numbers))
    return rows


def _over(count: int, bed_days: float) -> float | None:
    return count / bed_days if bed_days > 0 else None


def _replay_value(side: Replayed, bed_days: float) -> dict[str, Any]:
    return {
        "alarms": {cause: _count(side, cause) for cause in CAUSES},
        "per_bed_and_day": {cause or ALL: _over(_count(side, cause), bed_days) for cause in (*CAUSES, "")},
        "days": [
            {"start_ms": day.start_ms, "beds": day.beds, "alarms": dict(zip(CAUSES, day.raised, strict=True))}
            for day in side.days
        ],
    }


def _rule_words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
