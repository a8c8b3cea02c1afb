"""What the screens print equals what is stored, never cut, at widths 40 to 240: ten thousand cases.

Rows as they are stored go in at the wire, text comes out. All of a screen's text has to be what the stored rows say, in
their order, and nothing else: what is not a stored value may only be one of the screen's own words. Blanks are left out
of that comparison, for an id may go on in the next line; numbers may not, which is looked at apart.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from random import Random
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from hfzmq.cli.alarm_view import Alarm, AlarmView, merge_alarms
from hfzmq.cli.alarms.words import LATCHED_WORDS
from hfzmq.cli.bed_view import Bed
from hfzmq.cli.bedside.status import BedNow, BedsideStatus
from hfzmq.cli.board_feed import BoardStatus, empty_status, updated
from hfzmq.cli.format import number
from hfzmq.cli.page_command import Shown, table_text
from hfzmq.cli.readings import SHOWN_ALERTS, SHOWN_READINGS
from hfzmq.cli.reports import SHOWN as SHOWN_REPORTS
from hfzmq.cli.screens import bedside_beds
from hfzmq.cli.screens.alarm_strip import strip_lines
from hfzmq.cli.screens.bed_lines import bed_lines, is_stale, shown_tier, urgent_first
from hfzmq.cli.screens.bedside import lines as bedside_lines
from hfzmq.cli.screens.bedside_alarms import alarm_lines
from hfzmq.cli.screens.board import board
from hfzmq.cli.screens.board import lines as board_lines
from hfzmq.cli.screens.words import BADGES, duration, probability, vital_text
from hfzmq.client import ClientState
from hfzmq.clinical.alarm.beds import missing
from hfzmq.clinical.alarm.types import CAUSES, HEART_RATE, NO_DATA, NORMAL, STATES, Episode
from hfzmq.clinical.heart_rate import VERDICTS
from hfzmq.clinical.report import (
    PATIENT_ID_CHARS_MAX,
    TIMESTAMP_MS_MAX,
    TIMESTAMP_MS_MIN,
    VITALS,
    Report,
    check_patient_id,
    check_row,
    low_flag,
    low_of,
)
from hfzmq.clinical.tiers import GREEN, UNKNOWN, tier_between, tier_of
from hfzmq.config import Thresholds
from tests.unit.cli_world import CONFIG, NOW_MS, WALL_MS, beds_answer, says

STRIPS, BOARDS, WHOLE_BOARDS, BEDSIDES, REPORT_TABLES, READING_TABLES = 2500, 2500, 500, 2000, 1250, 1250
assert STRIPS + BOARDS + WHOLE_BOARDS + BEDSIDES + REPORT_TABLES + READING_TABLES == 10_000

THRESHOLDS = Thresholds()
WIDTHS = st.integers(40, 240)
ID_MAX = 2**63 - 1


def cases(examples: int) -> settings:
    """So many, the same ones in every run."""
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=examples, derandomize=True, database=None, deadline=None, suppress_health_check=quiet)


# ---------------------------------------------------------------------------------------------------- what is stored


def _ids() -> list[str]:
    """Patient ids of all lengths and scripts: wide ones, accents on their own, selectors, digits, frames, blanks."""
    rng = Random(4)
    alphabets = (
        "abcXYZ0123456789-_.", "0123456789", "日本語한글漢字", "e\u0301a\u0308o\u0302\u0323",
        "\u2764\ufe0f\U0001f600\u2603",
        "│─╭╮■▲✕●·%+#,", "a b", "אבגد", "\u0e01\u0e33\u0e49", "\U0001f1e9\U0001f1ea", "\u1100\u1161\u11a8",
    )  # fmt: skip
    found = [
        "age",
        "risk",
        "RED",
        "0",
        "1",
        "+3",
        "new",
        "a  b",
        "x" * 64,
        "日" * 64,
        "e\u0301" * 32,
        "\u0301",
        "9" * 64,
    ]
    while len(found) < 600:
        letters = rng.choice(alphabets) if rng.random() < 0.7 else "".join(alphabets)
        long = rng.choice((1, 2, 5, 8, 20, 39, 40, 41, 63, PATIENT_ID_CHARS_MAX))
        one = "".join(rng.choice(letters) for _ in range(rng.randint(1, long))).strip()
        if check_patient_id(one) is None:
            found.append(one)
    return sorted(set(found))


ids = st.sampled_from(_ids())
shares = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 5e-324, 0.29999999, 0.3, 0.5996, 0.6, 0.995, 0.999999, 1.0]))
stamps = st.one_of(st.integers(TIMESTAMP_MS_MIN, TIMESTAMP_MS_MAX), st.integers(WALL_MS - 200_000, WALL_MS))
rates = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False), st.integers(30, 200).map(float),
    st.sampled_from([0.0, -1.0, -999.0, 1.7976931348623157e308, 5e-324, 1e16, 119.99999999999999]),
)  # fmt: skip
vital_values = [
    st.integers(int(vital.low), int(vital.high))
    if vital.name == "day"
    else st.one_of(st.floats(vital.low, vital.high), st.sampled_from([vital.low, vital.high]))
    for vital in VITALS
]


REPORT = Report("bed-1", WALL_MS, 71, 134.5, 1.4, 32, 9, 0.72, "RED", 0.5, "model", "")
ALARM_ROW = [
    *(1, "bed-1", "RED", "unacknowledged", WALL_MS, 1, "RED", 0.72, 0.72, 0.72),
    *(None, "", None, None, "", "", 1, 0, "", ""),
]


OTHER_FLAGS = ("day_raw", "extrapolated:age", "unusual_combination", "day_clamped", "day_driven")


@st.composite
def reports(draw: st.DrawFn) -> Report:
    p = draw(shares)
    tier = draw(st.sampled_from([tier_of(p), tier_of(p), "UNKNOWN"]))
    gone = draw(st.sets(st.integers(0, 4), max_size=3)) if draw(st.integers(0, 3)) == 0 else set()
    values = [None if place in gone else draw(one) for place, one in enumerate(vital_values)]
    flags = [f"missing:{VITALS[place].name}" for place in sorted(gone)]
    if gone:
        low = draw(shares.map(lambda share: share * p))
        tier = tier_between(low_of(p, ",".join([*flags, low_flag(low)])), p)
        flags.append(low_flag(low))
    flags += draw(st.lists(st.sampled_from(OTHER_FLAGS), unique=True, max_size=2))
    found = Report(draw(ids), draw(stamps), *values, p, tier, draw(shares), "model", ",".join(flags))  # type: ignore[arg-type,call-arg]
    assert check_row(found, check_patient_id) is None  # as it may be stored
    return found


@st.composite
def episodes(draw: st.DrawFn) -> list[Any]:
    """A row of alarm_episodes that is open."""
    cause = draw(st.sampled_from(CAUSES))
    state = draw(st.sampled_from([one for one in STATES if one != NORMAL]))
    value = None if cause == NO_DATA else draw(rates if cause == HEART_RATE else shares)
    note = {HEART_RATE: "high", NO_DATA: missing(draw(st.integers(0, 4)))}.get(cause, cause)
    by = draw(ids) if state == "acknowledged" else ""
    step = draw(st.integers(0, 8))
    least = most = value
    if value is not None and cause == HEART_RATE and draw(st.booleans()):
        least, most = sorted([value, draw(rates)])
    found = Episode(
        draw(st.one_of(st.integers(1, 99), st.integers(1, ID_MAX))), draw(ids), cause, state,
        WALL_MS - draw(st.integers(0, 10**10)), 1, note, value, least, most, None, by, None, None, "", "", step, 0, (),
    )  # fmt: skip
    return [*found[:-2], "", ""]


readings = st.builds(
    lambda at, patient, value, verdict, raw: {
        "id": at % ID_MAX + 1, "timestamp": at, "patient_id": patient, "heartbeat_value": value,
        "validation_status": verdict.status, "anomaly_type": verdict.anomaly, "raw_payload": raw,
    },
    stamps, ids, st.one_of(st.none(), rates), st.sampled_from(VERDICTS),
    st.one_of(st.just(""), st.sampled_from(["\x00#?;72", "\x1b[2J", "nan", "7\t2", "\u202e27", "72\r\n"]), ids),
)  # fmt: skip


# ---------------------------------------------------------------------------------------------------- what is read


def squeezed(content: str) -> str:
    return "".join(content.split())


def pieces(*parts: str) -> str:
    """A pattern: these, one right after the other."""
    return "".join(re.escape(squeezed(part)) for part in parts)


def bare(lines: Sequence[Any], width: int) -> list[str]:
    """Lines without a frame around them, each no wider than the screen."""
    assert [line.plain for line in lines if line.cell_len > width] == []
    return [line.plain for line in lines]


def assert_shows(pattern: str, plain: Sequence[str]) -> None:
    shown = squeezed("".join(plain))
    assert re.fullmatch(pattern, shown, re.DOTALL), f"{pattern!r}\n{shown!r}"


def assert_whole(plain: Sequence[str], *values: str) -> None:
    """No number goes on in the next line."""
    for value in values:
        alone = re.compile(rf"(?<![0-9.]){re.escape(value)}(?![0-9.])")
        assert any(alone.search(line) for line in plain), (value, plain)


def risk_said(p: float, flags: str) -> str:
    """The stored probability, or the two ends of it, each rounded within its own tier."""
    low = low_of(p, flags)
    if low == p:
        assert_rounded(probability(p, THRESHOLDS), p)
        return probability(p, THRESHOLDS)
    ends = [probability(end, THRESHOLDS) for end in (low, p)]
    for shown, stored in zip(ends, (low, p), strict=True):
        assert_rounded(shown, stored)
    return ends[0] if ends[0] == ends[1] else "-".join(ends)


def is_far(flags: str) -> bool:
    return "extrapolated:age" in flags or "unusual_combination" in flags


def mark_said(flags: str) -> str:
    """What stands in front of a risk in a row."""
    return ("RAW " if "day_raw" in flags else "") + ("~" if is_far(flags) else "")


def tier_said(tier: str, p: float, flags: str) -> str:
    """The badge of a tier; of an UNKNOWN between two ends, both tiers."""
    low = low_of(p, flags)
    return f"? {tier_of(low)}/{tier_of(p)}" if tier == UNKNOWN and tier_of(low) != tier_of(p) else str(BADGES[tier])


def assert_rounded(shown: str, stored: float) -> None:
    """A probability on a screen is the stored one, rounded, and of the same tier."""
    decimals = len(shown.partition(".")[2])
    assert abs(float(shown) - stored) <= 0.5000001 * 10.0**-decimals or float(shown) == stored
    assert tier_of(float(shown), THRESHOLDS) == tier_of(stored, THRESHOLDS)


def fits_whole(name: str, plain: Sequence[str], room: int) -> None:
    """An id that has room in a line stands in one line, blanks and all."""
    if cell_len(name) <= room:
        assert any(name in line for line in plain), (name, plain)


# ---------------------------------------------------------------------------------------------------- the strip

SIGNS = {"RED": "■ RED", "HEART_RATE": "♥ HEART RATE", "NO_DATA": "✕ NO DATA", "AMBER": "▲ AMBER"}


def value_said(row: dict[str, Any]) -> tuple[str, ...]:
    """The value, in parts that stay whole."""
    if row["value"] is None:
        return (str(row["note"]),)  # what is missing of a silent bed
    if row["cause"] == HEART_RATE:
        last, least, most = told = [number(row[name]) for name in ("value", "least", "most")]
        assert [*map(float, told)] == [row["value"], row["least"], row["most"]]
        same = row["least"] == row["most"]
        return (f"{last} bpm high",) if same else ("high,", least, "-", f"{most} bpm,", f"last {last}")
    shown = probability(row["value"], THRESHOLDS)
    assert_rounded(shown, row["value"])
    return (f"risk {shown}",)


def alarm_said(row: dict[str, Any]) -> tuple[str, list[str]]:
    """The pattern of one alarm in the strip, and the numbers in it."""
    value = value_said(row)
    named = (SIGNS[row["cause"]], row["patient_id"], "".join(value))
    since = f"since {duration(WALL_MS - row['raised_at_ms'])}"
    seen = {"unacknowledged": "not seen", "returned": "cause over, not seen"}.get(row["state"])
    step = f"step {row['step']}" if row["step"] else ""
    parts = (*named, since, seen or f"seen by {row['acknowledged_by']}", step)
    numbers = [*(part for part in value if part not in ("", "-")), since, *([step] if step else [])]
    return pieces(*parts) + f"(?:{pieces('#' + str(row['id']))})?", numbers


@cases(STRIPS)
@given(st.lists(episodes(), min_size=1, max_size=5, unique_by=lambda row: row[0]), WIDTHS, st.integers(10, 60))
def test_the_strip_shows_stored_alarms_and_nothing_else(stored: list[list[Any]], width: int, height: int) -> None:
    answer = beds_answer() | {"alarm_fields": list(Episode._fields), "alarms": stored}
    view = merge_alarms(AlarmView(), [answer], NOW_MS)
    by_id = {row[0]: dict(zip(Episode._fields, row, strict=True)) for row in stored}
    in_order = sorted(
        by_id.values(),
        key=lambda row: (row["state"] == "acknowledged", CAUSES.index(row["cause"]), row["raised_at_ms"], row["id"]),
    )
    assert [alarm.id for alarm in view.alarms] == [row["id"] for row in in_order]
    plain = bare(strip_lines(view, THRESHOLDS, width, height, NOW_MS, live=True, serves=True), width)
    title = f"alarms: {len(stored)} open, {sum(row['state'] != 'acknowledged' for row in in_order)} not seen"
    assert title in plain[0]
    body = [line[2:-2] for line in plain[1:-1]] if width >= 60 else plain[1:]
    latched = f"(?:{pieces(LATCHED_WORDS)})?" if any(row["state"] == "returned" for row in in_order) else ""
    more = re.search(r"\+(\d+) more:", "".join(body[-4:]).replace("  ", " ")) if len(body) else None
    for shown in range(len(stored), 0, -1):
        rest = len(stored) - shown
        said = [alarm_said(row) for row in in_order[:shown]]
        tail = rf"\+{rest}more:[A-Z0-9a-z,;]*" if rest else ""
        if re.fullmatch("".join(one for one, _ in said) + tail + latched, squeezed("".join(body)), re.DOTALL):
            assert_whole(body, *(value for _, values in said for value in values))
            for row in in_order[:shown]:
                fits_whole(row["patient_id"], body, width - 8)
            if tail:
                told = sum(
                    map(
                        int,
                        re.findall(
                            r"(\d+) (?:RED|HEART|NO|AMBER)", " ".join(" ".join(body).split()).rsplit(" more: ", 1)[1]
                        ),
                    )
                )
                assert told == rest
            return
    raise AssertionError((more, body))


# ---------------------------------------------------------------------------------------------------- the board's beds

SPARKS = "[▁▂▃▄▅▆▇█]*"
TREND = rf"{SPARKS}[↑→↓·]?(?:rising|falling|steady|new)?"
HEADS = r"(?:tier|bed|alarm|risk|trend|HR|bpm|age|years|sodium|Na|mEq/L|creatinine|creat|mg/dL|EF|%|day|heard)*"
UNITS = ("years", "mEq/L", "mg/dL", "%", "")
NAMES = ("age", "Na", "creat", "EF", "day")


def board_of(stored: Sequence[tuple[Report, int, bool]], alarms: Sequence[list[Any]] = ()) -> BoardStatus:
    """As after one poll."""
    answer = beds_answer(
        seen=[(age, report) for report, age, seen in stored if seen],
        reported=[(n, report) for n, (report, _, seen) in enumerate(stored, 1) if not seen],
    )
    answer |= {"alarm_fields": list(Episode._fields), "alarms": list(alarms)}
    status = updated(empty_status(CONFIG, NOW_MS), CONFIG, {1: says(1, "leader"), 2: says(2)}, {1: answer}, NOW_MS)
    return status._replace(wall_minus_mono_ms=WALL_MS - NOW_MS)


def heard(bed: Bed) -> str:
    """With what a table may leave out made optional."""
    stale = is_stale(bed, NOW_MS)
    said = f"{duration(NOW_MS - bed.heard_at_ms)} ago"
    was = f"(?:{pieces(', was GREEN')})?" if stale and bed.report.tier == GREEN else ""
    return pieces("STALE" if stale else "", "" if bed.seen else "reported", said) + was


def bed_patterns(bed: Bed) -> tuple[str, str]:
    """A bed as a row of the table, and stacked."""
    risk = mark_said(bed.report.flags) + risk_said(bed.report.probability, bed.report.flags)
    vitals = [vital_text(getattr(bed.report, vital.name)) for vital in VITALS]
    for vital, shown in zip(VITALS, vitals, strict=True):
        assert (None if shown == "?" else float(shown)) == getattr(bed.report, vital.name)
    tier = tier_said(shown_tier(bed, NOW_MS), bed.report.probability, bed.report.flags)
    flat = pieces(tier, bed.patient_id, risk) + TREND + pieces(*vitals) + heard(bed)
    named = [part for three in zip(NAMES, vitals, UNITS, strict=True) for part in three]
    return flat, pieces(tier, risk) + TREND + pieces(bed.patient_id) + heard(bed) + pieces(*named)


wards = st.lists(
    st.tuples(reports(), st.integers(0, 10**9), st.booleans()),
    min_size=1,
    max_size=4,
    unique_by=lambda one: one[0].patient_id,
)


@cases(BOARDS)
@example([(REPORT._replace(patient_id="\u0301"), 0, True)], 40)  # an id that takes no cell
@given(wards, WIDTHS)
def test_the_boards_beds_are_the_stored_reports_and_nothing_else(
    stored: list[tuple[Report, int, bool]], width: int
) -> None:
    status = board_of(stored)
    beds = urgent_first(status.beds, NOW_MS)
    told = {report.patient_id: report for report, _, _ in stored}
    assert {bed.patient_id: bed.report for bed in beds} == told
    found, shown = bed_lines(beds, THRESHOLDS, width, 500, NOW_MS, True)
    assert shown == len(stored)
    plain = bare(found, width)
    text = squeezed("".join(plain))
    flat, stacked = zip(*map(bed_patterns, beds), strict=True)
    ways = (HEADS + "".join(flat), "".join(stacked))
    assert any(re.fullmatch(way, text, re.DOTALL) for way in ways), (ways, text)
    for bed in beds:
        values = [number(value) for vital in VITALS if (value := getattr(bed.report, vital.name)) is not None]
        assert_whole(plain, risk_said(bed.report.probability, bed.report.flags), *values)
        fits_whole(bed.patient_id, plain, width - 4)


@cases(WHOLE_BOARDS)
@given(wards, st.lists(episodes(), max_size=4, unique_by=lambda row: row[0]), WIDTHS, st.integers(12, 60))
def test_a_terminal_shows_the_whole_board_as_it_was_drawn(
    stored: list[tuple[Report, int, bool]], alarms: list[list[Any]], width: int, height: int
) -> None:
    status = board_of(stored, alarms)
    drawn = board_lines(status, width, height, NOW_MS)
    console = Console(width=width, file=io.StringIO(), color_system=None, legacy_windows=False)
    console.print(board(status, width, height, NOW_MS))
    assert isinstance(console.file, io.StringIO)
    printed = [line.rstrip() for line in console.file.getvalue().split("\n")[:-1]]
    assert printed == [line.rstrip() for line in bare(drawn, width)]
    assert len(drawn) <= height


# ---------------------------------------------------------------------------------------------------- the bedside

FAR = {"extrapolated:age": "age", "unusual_combination": "combination"}
LINK = ClientState("searching", None, None, 3, 40, 1, 12, WALL_MS)
ROWS = (
    r"(?:tier|bed|risk|trend|age|years|sodium|Na|mEq/L|creatinine|creat|mg/dL|ejectionfraction|EF|%|follow-up|days|day"
    r"|measured|mesh)*"
)


@cases(BEDSIDES)
@example([REPORT._replace(probability=0.29999999, tier="GREEN")], 44, ALARM_ROW)  # too wide for large digits
@given(st.lists(reports(), min_size=1, max_size=3, unique_by=lambda one: one.patient_id), WIDTHS, episodes())
def test_the_bedside_shows_what_was_judged_there_and_nothing_else(
    judged: list[Report], width: int, episode: list[Any]
) -> None:
    beds = tuple(
        BedNow(
            one.patient_id, (one.age, one.serum_sodium, one.serum_creatinine, one.ejection_fraction, one.day),
            one.probability, one.probability_study, one.tier, tuple(filter(None, one.flags.split(","))), NOW_MS - 500,
            "queued", (one.probability,),
        )
        for one in judged
    )  # fmt: skip
    row = dict(zip(Episode._fields, episode, strict=True))
    alarm = Alarm(
        row["id"], row["patient_id"], row["cause"], row["state"], NOW_MS - (WALL_MS - row["raised_at_ms"]), "", None,
        "here", 0,
    )  # fmt: skip
    status = BedsideStatus("ward", beds, LINK, THRESHOLDS, (), 2000, NOW_MS, NOW_MS, WALL_MS, (alarm,), True)
    in_order = sorted(beds, key=lambda bed: bedside_beds.urgency(bed, status))
    found, complete = bedside_beds.bed_lines(in_order, status, width, 500)
    assert complete
    plain = bare(found, width)
    text = squeezed("".join(plain))
    ways = ["", "", ""]
    numbers = []
    for bed in in_order:
        assert bed.vitals is not None
        flags = ",".join(bed.flags)
        risk, study = risk_said(bed.probability, flags), probability(bed.probability_study, THRESHOLDS)
        if any(value is None for value in bed.vitals) and study != "0.00":
            study = f"0.00-{study}"  # nobody says how low it can be
        marked = mark_said(flags) + risk
        raw = "day_raw" in flags
        vitals = [vital_text(value) for value in bed.vitals]
        numbers += [risk, *(value for value in vitals if value != "?")]
        tier = tier_said(bed.tier, bed.probability, flags)
        units = [part for three in zip(NAMES, vitals, UNITS, strict=True) for part in three]
        long = ("age", "sodium", "creatinine", "ejection fraction", "follow-up")
        rows = [part for three in zip(long, vitals, [vital.unit for vital in VITALS], strict=True) for part in three]
        ways[0] += pieces(tier, bed.patient_id, marked) + TREND + pieces(*vitals, "0 s ago") + "(?:queued)?"
        ways[1] += pieces(tier, marked, bed.patient_id, "0 s ago") + TREND + pieces("queued", *units)
        of = bedside_beds.RAW_RISK_OF if raw else bedside_beds.RISK_OF
        far = [name for flag, name in FAR.items() if flag in bed.flags]
        large = pieces(tier, "0 s ago", "queued") + "█*" + pieces("risk", risk) + f"(?:{pieces(of)})?" + TREND
        large += pieces(*(["RAW DAY"] if raw else ["by the raw day", study]))
        large += pieces("~ outside what it learned:", ", ".join(far)) if far else ""
        ways[2] += large + f"(?:{pieces(*rows)}|{pieces(*units)})"
        ways[2] += pieces("flags: day_driven") if "day_driven" in bed.flags else ""
    assert any(re.fullmatch(way, text, re.DOTALL) for way in (ROWS + ways[0], *ways[1:])), (ways, text)
    assert_whole(plain, *numbers)
    told = alarm_lines([alarm], True, False, NOW_MS, width, connected=False, thresholds=THRESHOLDS)
    own = bare(told, width)
    since = f"for {duration(WALL_MS - row['raised_at_ms'])}"
    over = ", over now" if row["state"] == "returned" else ""
    loud = ("ALARM AT", f"{alarm.patient_id}:", SIGNS[alarm.cause], since, over, "- mesh away, call somebody")
    calm = ("alarm at", f"{alarm.patient_id}:", SIGNS[alarm.cause], since, ", seen here, mesh away")
    assert_shows(pieces(*(calm if row["state"] == "acknowledged" else loud)), own)
    bare(bedside_lines(status, width), width)


# ---------------------------------------------------------------------------------------------------- tables


def cell_said(head: str, value: Any, flags: str = "") -> str:
    """What a table has to say of a stored value, by a way of its own; read back where it is a number or a time."""
    if value is None:
        return ""
    if head == "timestamp":
        shown = datetime.fromtimestamp(value // 1000).astimezone()
        said = shown.replace(microsecond=value % 1000 * 1000).isoformat(timespec="milliseconds")
        assert round(datetime.fromisoformat(said).timestamp() * 1000) == value
        return said
    if head == "probability":
        low, high = rounded(low_of(value, flags)), rounded(value)
        return high if low == high else f"{low}-{high}"
    if isinstance(value, (int, float)):
        said = number(value)
        assert (int(said) if isinstance(value, int) else float(said)) == value
        return said
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in value)


def rounded(value: float) -> str:
    """At least four digits; as many as it takes to stay in its tier, or all."""
    for digits in range(4, 8):
        near = Decimal(value).quantize(Decimal(1).scaleb(-digits))
        if tier_of(float(near), Thresholds()) == tier_of(value, Thresholds()):
            return f"{near:f}"
    return repr(value)


def assert_table(rows: list[dict[str, Any]], shown: Shown, width: int) -> None:
    lines = table_text(rows, shown, width).split("\n")
    said = [[cell_said(key, row[key], str(row.get("flags", ""))) for _, key in shown.columns] for row in rows]
    heads = [head for head, _ in shown.columns]
    if len(lines) == len(rows) + 1:
        assert squeezed(lines[0]) == squeezed("".join(heads))
        for line, cells in zip(lines[1:], said, strict=True):
            assert squeezed(line) == squeezed("".join(cells))
            assert all(one in line for one in cells)
        assert width_max(lines) <= width or len(shown.columns) == 1
        return
    expected = []
    for cells in said:
        expected += [part for head, one in zip(heads, cells, strict=True) if one for part in (f"{head}:", one)]
    assert squeezed("".join(lines)) == squeezed("".join(expected))
    for cells in said:
        for one in filter(None, cells):
            if cell_len(one) > width - 4 and " " in one.strip():
                continue  # a name too wide for its line goes on in the next, at a blank
            assert any(
                line.endswith(one.rstrip()) for line in lines
            )  # in one line; the terminal folds the widest names
    names = {one for cells in said for one in cells if cell_len(one) > width - 4}
    assert all(cell_len(line) <= width or any(name in line for name in names) for line in lines)


def width_max(lines: Sequence[str]) -> int:
    return max(map(cell_len, lines))


@cases(REPORT_TABLES)
@given(st.lists(reports(), min_size=1, max_size=4), WIDTHS, st.integers(1, ID_MAX - 5))
def test_the_table_of_reports_is_what_is_stored(stored: list[Report], width: int, first: int) -> None:
    rows = [report._asdict() | {"id": first + place, "flags": "day_driven"} for place, report in enumerate(stored)]
    assert_table(rows, SHOWN_REPORTS, width)


@cases(READING_TABLES)
@given(st.lists(readings, min_size=1, max_size=4), WIDTHS, st.booleans())
def test_the_tables_of_readings_and_alerts_are_what_is_stored(
    stored: list[dict[str, Any]], width: int, alerts: bool
) -> None:
    if alerts:
        more = {"alert_category": "data_corruption", "resolved_flag": 0}
        stored = [one | more | {"alert_id": place + 1, "heartbeat_id": one["id"]} for place, one in enumerate(stored)]
    assert_table(stored, SHOWN_ALERTS if alerts else SHOWN_READINGS, width)
