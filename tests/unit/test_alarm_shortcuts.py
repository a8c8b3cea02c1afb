"""What is done in short for the usual judgement comes out as what is done at length for any."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from hfzmq.clinical.alarm import streaks
from hfzmq.clinical.alarm.beds import UNHEARD, BedState
from hfzmq.clinical.alarm.machine import Alarms
from hfzmq.clinical.alarm.notes import RAW_DAY, note_of
from hfzmq.clinical.alarm.rules import DEFAULT_RULES, AlarmRules
from hfzmq.clinical.alarm.types import AMBER_BIT, NEVER_HEARD, RED, RED_BIT, RISK_GONE
from hfzmq.clinical.alarm.ward import JUDGED, _note
from hfzmq.clinical.report import DAY_RAW, LOWEST, MISSING, STUDY_LOWEST, low_flag, low_of, study_low_of
from hfzmq.clinical.tiers import TIERS, UNKNOWN
from tests.unit.alarm_ward import START, report_of
from tests.unit.test_alarm_properties import LOGS, RULES, Entry, seen_of, stamped, tell


class AtLength(Alarms):
    """Nothing is taken for usual."""

    def _spoke(self, bed: BedState, source: int) -> None:
        bed.last_at_ms = self.now_ms
        bed.watched = True
        if source == RISK_GONE:
            bed.risk_at_ms, bed.risk_from_ms = self.now_ms, self.listened_ms
        else:
            bed.beat_at_ms, bed.beat_from_ms = self.now_ms, self.listened_ms
        self._missing(bed, bed.silent & ~(source | NEVER_HEARD))

    def _judge(
        self, bed: BedState, timestamp: int, probability: float, tier: str, report_id: int, flags: str = ""
    ) -> None:
        bed.tier, bed.probability = tier, probability
        bed.last_timestamp, bed.judged_at_ms = timestamp, self.now_ms
        self._turn(bed, timestamp, probability, tier, report_id, flags)
        for cause, bit in JUDGED:
            note = _note(cause, tier, probability, flags)
            if cause in bed.open and bed.active & bit:
                episode = self._episodes.known[bed.open[cause]]
                assert episode.least is not None
                assert episode.most is not None
                least, most = min(episode.least, probability), max(episode.most, probability)
                self._episodes._keep(episode._replace(value=probability, least=least, most=most, note=note))


STEADY = st.tuples(  # a bed whose alarm is on and stays so, told each second: what is done in short
    st.just(1000),
    st.tuples(st.just("report"), st.just("bed-1"), st.sampled_from((0.26, 0.31, 0.56, 0.62)), st.just(""), st.just(0)),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(LOGS | st.lists(STEADY, min_size=3, max_size=8), max_size=5))
def test_it_changes_the_same(logs: list[list[tuple[int, Entry]]]) -> None:
    short, long = (kind(DEFAULT_RULES, (), (), 0, 1) for kind in (Alarms, AtLength))
    for index, now, word in stamped([entry for log in logs for entry in log]):
        for alarms in (short, long):
            tell(alarms, index, now, word)
        assert short.take_changes() == long.take_changes()
        assert seen_of(short) == seen_of(long)


TOLD = st.tuples(  # one of the reports of an entry: bed, probability, tier, flags, how long ago
    st.sampled_from(("bed-1", "bed-2")),
    st.sampled_from((0.2, 0.26, 0.31, 0.31, 0.4, 0.52, 0.56, 0.62, 0.7)),
    st.sampled_from(("", "", "", UNKNOWN)),
    st.sampled_from(("", "", DAY_RAW)),
    st.sampled_from((0, 0, 0, 0, 900, 5000)),
)
ON_AND_STAYS = st.tuples(  # two beds whose alarms are on, told alternately
    st.sampled_from(("bed-1", "bed-2")),
    st.sampled_from((0.31, 0.33, 0.4)),
    st.just(""),
    st.sampled_from(("", DAY_RAW)),
    st.just(0),
)
REPORTS = st.lists(TOLD, max_size=12) | st.lists(ON_AND_STAYS, min_size=6, max_size=20)
LATER = st.sampled_from((1000, 1000, 0, -700))  # by the leader's stamp
PARTS = st.tuples(LATER, st.just("reports"), REPORTS) | st.tuples(LATER, st.just("words"), LOGS)


AMBER_ON = (1000, "reports", [("bed-1", 0.4, "", "", 0)] * 5)
LATE_FIRST = (1000, "reports", [("bed-1", 0.31, "", "", 5000), ("bed-1", 0.33, "", "", 0)])


@settings(max_examples=400, deadline=None)
@given(st.lists(PARTS, max_size=6), st.sampled_from(RULES))
@example([AMBER_ON, LATE_FIRST], DEFAULT_RULES)
def test_reports_of_one_entry_change_what_they_change_one_by_one(
    parts: list[tuple[int, str, list[Any]]], rules: AlarmRules
) -> None:
    at_once, one_by_one = (Alarms(rules, (), (), 0, 1) for _ in range(2))
    now, first = START, 1
    for later, kind, log in parts:
        now += later
        if kind == "reports":
            rows = [
                report_of(bed, now - ago, chance, tier)._replace(flags=flags) for bed, chance, tier, flags, ago in log
            ]
            at_once.reports(now, first, rows)
            for number, row in enumerate(rows, first):
                one_by_one.report(now, number, row)
            for alarms in (at_once, one_by_one):
                alarms.advance(now)
            first += len(rows)
        else:
            for index, at, word in stamped(log):
                for alarms in (at_once, one_by_one):
                    tell(alarms, first + index, now + at - START, word)
            now += sum(pause for pause, _ in log)
            first += len(log) + 1
        changes, others = at_once.take_changes(), one_by_one.take_changes()
        assert sorted(changes.episodes) == sorted(others.episodes)  # rows of a table, whose order is its own
        assert changes._replace(episodes=()) == others._replace(episodes=())
        assert seen_of(at_once) == seen_of(one_by_one)


def test_the_usual_report_is_not_judged_at_length() -> None:
    class Counting(Alarms):
        turned = 0

        def _turn(self, *judgement: Any) -> None:
            self.turned += 1
            super()._turn(*judgement)

    alarms = Counting(DEFAULT_RULES, (), (), 0, 1)
    for number in range(1, 100):
        alarms.report(START + number, number, report_of("bed-1", START + number, 0.7))
    assert alarms.turned == 2  # RED at once, AMBER with the second
    assert [(one.cause, one.value) for one in alarms.episodes()] == [(RED, 0.7)]


BEDS = [
    UNHEARD._replace(active=active, red_count=red_count, amber_recent=recent, amber_ms=at_ms and 900, amber_at_ms=at_ms)
    for active in (0, RED_BIT, AMBER_BIT, RED_BIT | AMBER_BIT)
    for red_count in (0, 1)
    for recent in (0b000, 0b101, 0b111)
    for at_ms in (0, START)
]
EDGES = (0.1, 0.2, 0.25, 0.27, 0.3, 0.4, 0.5, 0.55, 0.57, 0.6, 0.7, math.nan)


def test_a_judgement_that_is_taken_in_short_turns_nothing_at_length() -> None:
    for row, rules, probability, tier in product(BEDS, RULES, EDGES, TIERS):
        short, long = BedState(row), BedState(row)
        if streaks.stays(short, rules, probability, tier):
            assert not streaks.amber_ends(long, rules, probability, tier)
            assert not streaks.red_turns(long, rules, probability, tier)
            assert not streaks.amber_begins(long, rules, START + 1000, probability, tier)
            assert streaks.amber_due_ms(long, rules) is None
        assert short.row() == long.row()


FLAG = st.one_of(
    st.sampled_from((DAY_RAW, MISSING + "day", MISSING + "age", "outside:age", "", "day_rawer", LOWEST, "probability")),
    st.floats(0, 1).map(low_flag),
    st.floats(0, 1).map(lambda low: low_flag(low, STUDY_LOWEST)),
)


@given(st.floats(0, 1), st.lists(FLAG, max_size=4).map(",".join), st.sampled_from((LOWEST, STUDY_LOWEST)))
def test_the_lower_end_of_a_report_without_flags_for_it_is_what_it_always_was(
    probability: float, flags: str, name: str
) -> None:
    names, told = flags.split(","), low_of if name == LOWEST else study_low_of
    lows = [flag[len(name) :] for flag in names if flag.startswith(name)]
    if low_flag(probability, name) in names:
        low = probability
    elif lows and lows[0]:
        low = float(lows[0]) if float(lows[0]) <= probability else 0.0
    else:
        low = 0.0 if any(flag.startswith(MISSING) for flag in names) else probability
    assert told(probability, flags) == low


@given(st.sampled_from(TIERS), st.floats(0, 1), st.lists(FLAG, max_size=4).map(",".join))
def test_a_note_is_what_it_always_was(tier: str, probability: float, flags: str) -> None:
    low = low_of(probability, flags)
    range_told = f" {low:.6f}" if tier == UNKNOWN and low < probability else ""
    raw = f" {RAW_DAY}" if DAY_RAW in flags.split(",") else ""
    assert note_of(tier, probability, flags) == tier + range_told + raw
