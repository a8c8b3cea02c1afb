"""Alarms in words and on terminals of any width: what is printed equals what is stored, and nothing is ever cut."""

from __future__ import annotations

import sys
from datetime import datetime
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfzmq.cli.alarms import reckon, words
from hfzmq.cli.alarms.act import checked_name
from hfzmq.cli.alarms.reckon import other_rules
from hfzmq.cli.alarms.rows import episodes_of, journal_of
from hfzmq.cli.format import number, printable, width_of
from hfzmq.cli.layout import as_text, folded, laid_out
from hfzmq.clinical.alarm import types as t
from hfzmq.clinical.alarm.rules import DEFAULT_RULES
from hfzmq.clinical.alarm.types import Episode
from hfzmq.clinical.tiers import tier_of
from hfzmq.config import Thresholds
from hfzmq.errors import HfzmqError, InvalidInput
from tests.unit.cli_world import run

THRESHOLDS = Thresholds()
AT = 1_795_300_000_123
PLAIN = Episode(
    12, "bed-7", t.RED, t.UNACKNOWLEDGED, AT, 3, "RED", 0.7134, 0.6, 0.8, None, "", None, None, "", "", 2, AT + 60_000,
    ("1:log", "2:pager"),
)  # fmt: skip

names = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=64)
stamps = st.integers(946_684_800_000, 4_102_444_799_999)
values = st.none() | st.floats(0, 1) | st.floats(0, 300) | st.integers(0, 300).map(float)
channels = st.tuples(st.integers(1, 8), st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}", fullmatch=True))
episodes = st.builds(
    Episode,
    id=st.integers(1, (1 << 63) - 1),
    patient_id=names,
    cause=st.sampled_from(t.CAUSES),
    state=st.sampled_from(t.STATES),
    raised_at_ms=stamps,
    raised_by=st.just(0),
    note=st.sampled_from(("", "RED", "UNKNOWN", "high", "low")),
    value=values,
    least=values,
    most=values,
    acknowledged_at_ms=st.none(),
    acknowledged_by=names,
    returned_at_ms=st.none(),
    resolved_at_ms=st.none(),
    resolved_how=st.sampled_from((t.SEEN, t.RESOLVED, t.FOLDED, t.DISCHARGED)),
    resolved_by=names | st.just(""),
    step=st.integers(0, 8),
    step_at_ms=st.just(0),
    sent=st.lists(channels, max_size=6).map(lambda pairs: tuple(f"{step}:{name}" for step, name in pairs)),
    failing=st.lists(channels, max_size=2).map(lambda pairs: tuple(f"{step}:{name}" for step, name in pairs)),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(episodes, min_size=1, max_size=3), st.integers(40, 240), stamps)
def test_what_is_printed_equals_what_is_stored_at_every_width(rows: list[Episode], width: int, now_ms: int) -> None:
    check_printed(rows, width, now_ms)


def test_ten_thousand_wards_are_printed_as_they_are_stored() -> None:
    rng = Random(20)
    for _ in range(10_000):
        rows = [any_episode(rng) for _ in range(rng.randint(1, 3))]
        check_printed(rows, rng.randint(40, 240), AT + rng.randint(-(10**9), 10**12))


def any_episode(rng: Random) -> Episode:
    """Of any kind; names of letters that are one cell wide, two, or none."""

    def name(least: int = 1) -> str:
        return "".join(rng.choice("aZ0-._é床患 ü\u0301") for _ in range(rng.randint(least, 64))).strip() or "x"

    value = rng.choice((None, rng.random(), rng.random() * 300, float(rng.randint(0, 300)), 1e-9, 0.1 + 0.2))
    others = [value, rng.random() * 300]
    return Episode(
        rng.choice((rng.randint(1, 999), rng.randint(1, (1 << 63) - 1))),
        name(),
        rng.choice(t.CAUSES),
        rng.choice(t.STATES),
        rng.randint(946_684_800_000, 4_102_444_799_999),
        0,
        rng.choice(("", "RED", "UNKNOWN", "high", "low")),
        value,
        value if value is None else min(others),  # type: ignore[type-var]
        value if value is None else max(others),  # type: ignore[type-var]
        None,
        name(),
        None,
        rng.choice((None, rng.randint(946_684_800_000, 4_102_444_799_999))),
        rng.choice((t.SEEN, t.RESOLVED, t.FOLDED, t.DISCHARGED)),
        rng.choice(("", name())),
        rng.randint(0, 8),
        0,
        tuple(f"{rng.randint(1, 8)}:channel-{rng.randint(1, 10**20)}" for _ in range(rng.randint(0, 6))),
        tuple(f"{rng.randint(1, 8)}:dead-{rng.randint(1, 10**20)}" for _ in range(rng.randint(0, 2))),
    )


def check_printed(rows: list[Episode], width: int, now_ms: int) -> None:
    """Every field stands whole in its row's lines, reads back as what is stored, and no line is wider than it must."""
    cells = [words.alarm_cells(one, now_ms, THRESHOLDS) for one in rows]
    head, blocks = laid_out(words.HEADS, cells, width)
    assert len(blocks) == len(rows)
    for one, row, block in zip(rows, cells, blocks, strict=True):
        shown = dict(zip(words.HEADS, row, strict=True))
        assert int(shown["alarm"]) == one.id
        assert shown["patient"] == printable(one.patient_id)
        check_value(one, shown["value"].removeprefix("risk "))
        since = datetime.fromisoformat(shown["since"])
        assert since.utcoffset() is not None
        assert round(since.timestamp() * 1000) == one.raised_at_ms
        assert int(shown["step"]) == one.step
        told, _, failing = shown["delivered"].partition("; failing: ")
        for labels, said in ((one.sent, told), (one.failing, failing)):
            for step, _, channel in (label.partition(":") for label in labels):
                assert f"{channel} (step {step})" in said
        assert shown["cause"].startswith(str(words.CAUSE_BADGES[one.cause]))
        for text in row:  # whole, in one line, but for a list, whose items are
            assert any(text in line for line in block) or (
                width_of(text) > width - 2 and all(any(item in line for line in block) for item in text.split(", "))
            )
        items = {item for text in row for item in (text, *text.split(", "), *(f"{one}," for one in text.split(", ")))}
        for line in [*head, *block]:
            assert width_of(line) <= width or line in items
    text = as_text(head, blocks)
    assert all(line in text for block in blocks for line in block)
    if head:
        starts = [head[0].index(name) for name in words.HEADS]
        if all(row.isascii() for one in cells for row in one[2:4]):
            for row, block in zip(cells, blocks, strict=True):
                assert [block[0][start : start + len(cell)] for start, cell in zip(starts, row, strict=True)] == [*row]


def check_value(one: Episode, shown: str) -> None:
    """Heart rates in full, the last as the last; a risk rounded, and never into another tier."""
    if one.value is None:
        assert shown == ""
        return
    if one.cause == t.HEART_RATE:
        if one.least is None or one.most is None:
            assert float(shown.removeprefix("last ").removesuffix(" bpm")) == one.value
        elif one.least == one.value == one.most:
            assert float(shown.removesuffix(" bpm")) == one.value
        else:
            assert shown == f"{number(one.least)}-{number(one.most)} bpm, last {number(one.value)}"
        return
    assert shown.startswith("? up to ") == (one.note == "UNKNOWN")
    shown = shown.removeprefix("? up to ")
    digits = len(shown.partition(".")[2])
    assert abs(float(shown) - one.value) <= 0.5001 * 10**-digits
    assert digits >= 2
    assert tier_of(float(shown), THRESHOLDS) == tier_of(one.value, THRESHOLDS)


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.725486025823735, "risk 0.73"), (0.5996, "risk 0.5996"), (0.2971216669939632, "risk 0.297"), (None, "")],
)
def test_a_risk_is_rounded_as_on_the_other_screens_and_never_into_another_tier(value: float | None, said: str) -> None:
    assert words.value_words(t.RED, value, "RED", THRESHOLDS) == said
    assert words.value_words(t.HEART_RATE, 139.2512, "high", THRESHOLDS, 139.2512, 139.2512) == "139.2512 bpm"
    assert words.value_words(t.HEART_RATE, 72.0, "low", THRESHOLDS, 35.0, 152.0) == "35-152 bpm, last 72"


@given(st.lists(names | st.sampled_from(["a", "is over,", "12 s"]), min_size=1, max_size=30), st.integers(40, 240))
def test_a_sentence_is_broken_between_words_and_loses_none(said: list[str], width: int) -> None:
    text = folded(" ".join(said), width)
    assert text.split() == " ".join(said).split()
    assert all(width_of(line) <= width or len(line.split()) == 1 for line in text.split("\n"))
    assert folded(" ".join(said), None) == " ".join(said)


def test_what_was_delivered_is_broken_between_channels() -> None:
    told = PLAIN._replace(sent=("1:log", "2:pager-of-the-ward", "3:mail"))
    (block,) = laid_out(words.HEADS, [words.alarm_cells(told, AT, THRESHOLDS)], 40)[1]
    at = block.index("delivered:")
    assert block[at + 1 :] == ["  log (step 1),", "  pager-of-the-ward (step 2),", "  mail (step 3)"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "not seen"),
        ({"state": t.ACKNOWLEDGED, "acknowledged_by": "ann"}, "seen by ann"),
        ({"state": t.RETURNED}, "cause over, not seen"),
        ({"state": t.NORMAL, "resolved_how": t.SEEN, "acknowledged_by": "ann"}, "over, seen by ann"),
        ({"state": t.NORMAL, "resolved_how": t.RESOLVED, "resolved_by": "bob"}, "resolved by bob"),
        ({"state": t.NORMAL, "resolved_how": t.FOLDED}, "became RED"),
        ({"state": t.NORMAL, "resolved_how": t.DISCHARGED, "resolved_by": "bob"}, "discharged by bob"),
        ({"state": t.ACKNOWLEDGED, "acknowledged_by": "a\x1b[2J"}, "seen by a\\x1b[2J"),
    ],
)
def test_a_state_says_whether_somebody_has_seen_it(changes: dict[str, str], said: str) -> None:
    assert words.state_words(PLAIN._replace(**changes)) == said  # type: ignore[arg-type]


def test_each_cause_has_its_own_sign_and_word() -> None:
    said = [words.cause_words(cause) for cause in t.CAUSES]
    assert said == ["■ RED", "♥ HEART RATE", "✕ NO DATA", "▲ AMBER"]
    assert words.cause_words(t.RED, "UNKNOWN") == "■ RED not known"
    assert words.cause_words(t.HEART_RATE, "low") == "♥ HEART RATE low"


def test_what_is_not_known_is_two_ends_and_the_raw_day_is_named() -> None:
    def said(note: str, value: float = 0.66) -> str:
        return words.value_words(t.RED, value, note, THRESHOLDS)

    assert words.cause_words(t.RED, "UNKNOWN 0.031207") == "■ RED not known"
    assert said("UNKNOWN 0.031207") == "? 0.03-0.66"
    assert said("UNKNOWN") == "? up to 0.66"
    assert said("RED raw day") == "risk 0.66 RAW DAY"
    assert said("UNKNOWN 0.031207 raw day") == "? 0.03-0.66 RAW DAY"
    assert said("RED") == "risk 0.66"
    assert words.event_words(t.RAISED, "UNKNOWN 0.031207 raw day") == "raised: not known RAW DAY"
    assert words.event_words(t.RAISED, "RED") == "raised"


def test_the_most_urgent_comes_first() -> None:
    made = [
        PLAIN._replace(id=1, cause=t.AMBER),
        PLAIN._replace(id=2, cause=t.RED, raised_at_ms=AT + 5),
        PLAIN._replace(id=3, cause=t.RED, state=t.RETURNED),
        PLAIN._replace(id=4, cause=t.RED, state=t.ACKNOWLEDGED, raised_at_ms=AT - 5),
        PLAIN._replace(id=5, cause=t.HEART_RATE),
        PLAIN._replace(id=6, cause=t.NO_DATA),
        PLAIN._replace(id=7, cause=t.RED, state=t.NORMAL),
    ]
    assert [one.id for one in sorted(made, key=words.urgency)] == [3, 2, 5, 6, 1, 4, 7]


def test_an_age_is_never_made_up_where_clocks_disagree() -> None:
    assert words.age_words(PLAIN, AT + 95_999) == "95 s"
    assert words.age_words(PLAIN, AT - 1500) == "0 s"
    assert words.age_words(PLAIN, AT - 600_000) == "clocks differ by 10 min"
    assert words.age_words(PLAIN._replace(state=t.NORMAL, resolved_at_ms=AT + 30_000), AT + 999_999) == "lasted 30 s"


@pytest.mark.parametrize("what", t.WHAT)
def test_every_line_of_the_journal_has_a_sentence(what: str) -> None:
    detail = {t.ENDED: "resolved bob", t.SENT: "2:pager after 3 tries", t.FAILED: "2:pager refused"}.get(what, "bob")
    said = words.event_words(what, detail)
    assert said
    assert "  " not in said
    assert what not in (t.ENDED, t.SENT, t.FAILED) or any(word in said for word in ("by bob", "by pager (step 2)"))


FIELDS = [*Episode._fields]
ROW = [*PLAIN[:-2], "1:log", "2:mail"]


def test_a_row_is_read_by_the_names_of_its_fields() -> None:
    (one,) = episodes_of([*FIELDS[::-1], "more"], [[*ROW[::-1], 5]])
    assert one == PLAIN._replace(sent=("1:log",), failing=("2:mail",))


@pytest.mark.parametrize(
    ("field", "value"),
    [("id", "1"), ("cause", "BLUE"), ("state", None), ("value", "high"), ("raised_at_ms", 1.5), ("sent", None),
     ("step", True)],
)  # fmt: skip
def test_a_row_that_is_none_is_an_error(field: str, value: object) -> None:
    row = [value if name == field else was for name, was in zip(FIELDS, ROW, strict=True)]
    with pytest.raises(HfzmqError, match="does not know"):
        episodes_of(FIELDS, [row])
    with pytest.raises(HfzmqError, match="does not know"):
        journal_of(["id", "episode_id", "at_ms", "what"], [[1, 1, AT, "raised"]])


@pytest.mark.parametrize("name", ["", " ann", "x" * 65, "a\nb"])
def test_nobody_is_called_so(name: str) -> None:
    with pytest.raises(InvalidInput):
        checked_name(name)


def test_other_rules_are_the_present_ones_but_for_what_is_asked() -> None:
    made = other_rules(DEFAULT_RULES, 0.7, 0.5, 30, ("steps_ms=0,5000", "silent_ms=60000", "amber_off=0.2"))
    assert (made.red_on, made.amber_on, made.amber_ms, made.amber_readings) == (0.7, 0.5, 30_000, 0)
    assert (made.steps_ms, made.silent_ms, made.amber_off) == ((0, 5000), 60_000, 0.2)
    assert made.rate_readings == DEFAULT_RULES.rate_readings


def test_a_threshold_that_is_reckoned_is_a_round_number() -> None:
    made = other_rules(DEFAULT_RULES, 0.7, 0.2, None, ())
    assert (made.amber_off, made.red_off) == (0.15, 0.65)
    assert other_rules(DEFAULT_RULES, None, 0.06, None, ()).amber_off == 0.03


@pytest.mark.parametrize("option", ["--amber", "--red"])
@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "-1", "0", "1.01", "60", "50%", ""])
def test_what_is_no_threshold_is_refused_with_its_bound(option: str, value: str) -> None:
    done = run("alarms", "simulate", option, value)
    assert (done.code, done.out) == (2, "")
    assert f"Invalid value for '{option}': {value!r} is no probability to begin at" in done.err
    assert "a number above 0, at most 1, such as 0.5 (no percentage)" in done.err


@pytest.mark.parametrize(
    ("span_ms", "said"),
    [
        (0, "0 s"),
        (119_999, "119 s"),
        (120_000, "2 min"),
        (3_599_999, "59 min 59 s"),
        (2 * 3_600_000 - 1, "1 h 59 min"),
        (86_400_000, "1 d"),
        (36 * 3_600_000, "1 d 12 h"),
        (7 * 86_400_000 + 59_000, "7 d"),
    ],
)
def test_a_span_is_said_in_two_units(span_ms: int, said: str) -> None:
    assert reckon._span(span_ms) == said


def test_help_of_every_alarms_command_imports_no_sockets() -> None:
    import subprocess

    code = (
        "import sys; from hfzmq.cli.main import main\n"
        "for word in ('ls', 'ack', 'resolve', 'discharge', 'watch', 'stats', 'simulate'):\n"
        "    assert main(['alarms', word, '--help']) == 0\n"
        "sys.exit(', '.join(name for name in ('zmq', 'apsw', 'numpy', 'rich') if name in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
