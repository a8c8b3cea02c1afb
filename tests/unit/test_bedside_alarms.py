"""The bed's own alarm: raised by nobody but this client, loud only while the mesh is away."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from hfzmq.cli.alarm_view import ON_TOP_MS
from hfzmq.cli.bedside import launch
from hfzmq.cli.bedside.alarms import AWAY_AFTER_MS, BedAlarms
from hfzmq.cli.bedside.output import sentence_of
from hfzmq.cli.bedside.run import Bedside
from hfzmq.cli.bedside.seen_key import QUIT_KEY, SEEN_KEY, SHOWN_MS, TOO_SOON
from hfzmq.cli.bedside.status import StatusBook
from hfzmq.cli.screens.bedside import lines
from hfzmq.client import ClientState
from hfzmq.clinical.alarm.rules import DEFAULT_RULES, AlarmRules, Expected
from hfzmq.config import Thresholds
from tests.unit.alarm_ward import report_of

WALL = 1_760_000_000_000
START = 50_000


class BedAt:
    """A bed whose clocks are told; ``heard``: all events so far."""

    def __init__(self, rules: AlarmRules = DEFAULT_RULES, *named: str, **other: Any) -> None:
        self.rung = 0
        self.alarms = BedAlarms(rules, named, START, ring=self._ring, **other)
        self.heard: list[dict[str, Any]] = []

    def _ring(self) -> None:
        self.rung += 1

    def judged(self, at: int, probability: float, patient: str = "P", tier: str = "", flags: str = "") -> list[str]:
        report = report_of(patient, WALL + at, probability, tier)._replace(flags=flags)
        return self._told(self.alarms.judged(report, START + at, WALL + at))

    def turn(self, at: int, link: str = "searching", pending: int = 0) -> list[str]:
        return self._told(self.alarms.turn(link, pending, START + at, WALL + at))

    def wait(self, since: int, until: int, link: str = "searching", pending: int = 0) -> list[str]:
        """A turn each second, and one at ``until``; without the steps of an escalation."""
        told = [told for at in (*range(since, until, 1000), until) for told in self.turn(at, link, pending)]
        return [one for one in told if not one.startswith("measured")]

    def _told(self, events: list[dict[str, Any]]) -> list[str]:
        self.heard += events
        return [f"{event['what']} {event['cause']}" for event in events]


def test_a_red_is_raised_at_once_and_sounds_when_the_mesh_is_away() -> None:
    bed = BedAt()
    bed.turn(0, "connected")
    assert bed.judged(100, 0.8) == ["raised RED"]
    assert bed.turn(100, "connected") == []
    assert bed.turn(AWAY_AFTER_MS + 100) == []  # a leader that fails over
    assert bed.rung == 0
    assert bed.turn(AWAY_AFTER_MS + 101) == ["sounding RED"]
    for at in range(AWAY_AFTER_MS + 200, AWAY_AFTER_MS + 10_000, 200):
        bed.judged(at, 0.8)
        bed.turn(at)
    assert bed.rung == 3  # every 4 s
    keys = {
        "event",
        "what",
        "cause",
        "patient",
        "local",
        "episode",
        "state",
        "since",
        "age_ms",
        "note",
        "value",
        "by",
        "away",
    }
    assert bed.heard[0].keys() == keys
    assert (bed.heard[0]["event"], bed.heard[0]["patient"], bed.heard[0]["local"]) == ("alarm", "P", True)


def test_it_needs_no_mesh_at_all() -> None:
    bed = BedAt()
    assert bed.judged(0, 0.8) == ["raised RED"]
    assert bed.turn(AWAY_AFTER_MS + 1) == ["sounding RED"]
    assert bed.rung == 1


def test_green_ends_the_cause_and_it_stays_until_somebody_at_the_bed_has_seen_it() -> None:
    bed = BedAt()
    bed.judged(0, 0.8)
    assert bed.judged(4_000, 0.1) == ["returned RED"]
    assert bed.turn(4_100) == ["sounding RED"]
    bed.alarms.acknowledge(1)
    assert bed.turn(4_200) == ["acknowledged RED", "ended RED"]
    assert bed.turn(30_000) == []
    assert bed.rung == 1


def test_what_is_seen_while_it_is_on_is_quiet_until_it_ends() -> None:
    bed = BedAt()
    bed.judged(0, 0.8)
    bed.turn(4_000)
    bed.alarms.acknowledge(1)
    assert bed.turn(4_100) == ["acknowledged RED"]
    bed.judged(20_000, 0.8)
    assert bed.turn(20_100) == []
    assert bed.rung == 1
    assert bed.judged(21_000, 0.1) == ["returned RED", "ended RED"]


def test_what_is_over_is_let_go_when_the_mesh_has_all_reports() -> None:
    bed = BedAt()
    bed.judged(0, 0.8)
    bed.judged(4_000, 0.1)
    assert bed.turn(4_100, "connected", pending=1) == []
    assert bed.turn(4_200, "connected", pending=0) == ["acknowledged RED", "ended RED"]


def test_its_own_source_falling_silent_is_no_data() -> None:
    bed = BedAt()
    bed.judged(0, 0.1)
    assert bed.wait(0, 29_999) == []
    assert bed.turn(30_000) == ["raised NO_DATA", "sounding NO_DATA"]
    assert bed.judged(31_000, 0.1) == ["returned NO_DATA"]


def test_a_named_patient_who_was_never_heard_is_no_data() -> None:
    bed = BedAt(DEFAULT_RULES, "P", "Q")
    bed.wait(0, 20_000)
    bed.judged(20_000, 0.1, "P")
    assert bed.wait(20_000, 30_000) == ["raised NO_DATA", "sounding NO_DATA"]
    assert bed.heard[0]["patient"] == "Q"


def test_limits_of_the_site_hold_for_the_beds_that_are_here_and_the_other_beds_are_none_of_ours() -> None:
    bed = BedAt(DEFAULT_RULES._replace(expected=(Expected("P", 10_000), Expected("elsewhere", 5_000))))
    bed.turn(0)
    bed.judged(1_000, 0.1, "P")
    assert bed.wait(1_000, 10_999) == []
    assert bed.turn(11_000) == ["raised NO_DATA", "sounding NO_DATA"]
    bed.wait(11_000, 60_000)
    assert {event["patient"] for event in bed.heard} == {"P"}


def test_who_left_a_gateway_for_good_is_no_alarm_of_it_for_ever() -> None:
    bed = BedAt()
    bed.turn(0, "connected")
    bed.judged(0, 0.1)
    assert bed.wait(0, 329_999, "connected") == ["raised NO_DATA"]
    assert bed.turn(330_000, "connected", pending=1) == []
    assert bed.turn(330_200, "connected") == ["acknowledged NO_DATA", "ended NO_DATA"]
    said = [sentence_of(event, Thresholds()) for event in bed.heard[-2:]]
    assert said == ["alarm at P: ✕ NO DATA the mesh tells of it", "alarm at P: ✕ NO DATA ended"]
    assert bed.wait(331_000, 400_000, "searching") == []
    assert bed.rung == 0
    bed.turn(400_000, "connected")
    bed.judged(401_000, 0.1)  # back again: missed again
    assert bed.wait(401_000, 431_000, "connected") == ["raised NO_DATA"]


def test_a_no_data_is_kept_where_a_patient_is_named_or_the_mesh_did_not_hear_the_bed_fall_silent() -> None:
    named = BedAt(DEFAULT_RULES, "P")
    named.wait(0, 1_000, "connected")
    named.judged(1_000, 0.1)
    assert named.wait(1_000, 600_000, "connected") == ["raised NO_DATA"]
    alone = BedAt()
    alone.wait(0, 10_000, "connected")
    alone.wait(10_000, 20_000, "searching")
    alone.judged(20_000, 0.1)  # GREEN: nobody but this client knows of it
    alone.wait(20_000, 25_000, "searching")
    assert alone.wait(25_000, 600_000, "connected") == ["raised NO_DATA"]


def test_a_file_does_not_fall_silent() -> None:
    bed = BedAt(DEFAULT_RULES, "P", silence=False)
    bed.turn(0)
    bed.judged(0, 0.1)
    assert bed.wait(0, 600_000) == []


def test_muted_it_is_shown_and_does_not_ring() -> None:
    bed = BedAt(mute=True)
    bed.judged(0, 0.8)
    assert bed.turn(4_000) == ["sounding RED"]
    assert bed.rung == 0


def test_a_wall_clock_that_is_set_back_holds_nothing_up() -> None:
    bed = BedAt()
    bed.judged(0, 0.1)
    told = [
        event["what"]
        for at in range(0, 31_001, 1000)  # a hundredth later
        for event in bed.alarms.turn("searching", 0, START + at, WALL + at - 3_600_000)
    ]
    assert told == ["raised", "sounding"]


def test_how_long_an_alarm_waits_is_told_though_the_wall_clock_was_set_back() -> None:
    bed = BedAt()
    bed.judged(0, 0.8)
    after = bed.alarms.turn("searching", 0, START + 30_000, WALL + 30_000 - 3_600_000)
    assert [(event["what"], event["age_ms"]) for event in after] == [("sounding", 29_700)]  # a hundredth slower


def test_a_machine_that_slept_does_not_call_every_bed_silent() -> None:
    bed = BedAt()
    bed.judged(0, 0.1)
    bed.turn(1_000)
    assert bed.turn(8 * 3_600_000) == []


AWAY = ClientState("searching", None, None, 3, 40, 1, None, None)
THERE = AWAY._replace(link="connected", peer=1)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_screen_shouts_while_the_mesh_is_away_and_only_says_it_while_it_is_there(width: int) -> None:
    bed, book = BedAt(), StatusBook("ward", ["P"], Thresholds(), 2.0)
    bed.judged(0, 0.8)
    for event in bed.heard:
        book.take(event, START, WALL)

    def shown(state: ClientState, at: int) -> str:
        drawn = lines(book.snapshot(state, START + at, WALL + at), width)
        return " ".join(" ".join(one.plain for one in drawn).split())

    assert "alarm: ■ RED for 0 s, the mesh is there" in shown(THERE, 0)
    assert "ALARM: ■ RED for 12 s - mesh away, call somebody" in shown(AWAY, 12_000)
    bed.alarms.acknowledge(1)
    bed.turn(13_000)
    for event in bed.heard[1:]:
        book.take(event, START + 13_000, WALL + 13_000)
    assert "alarm: ■ RED for 14 s, seen here, mesh away" in shown(AWAY, 14_000)
    bed.judged(15_000, 0.1)
    for event in bed.heard[-2:]:
        book.take(event, START + 15_000, WALL + 15_000)
    assert "alarm:" not in shown(AWAY, 15_000)


@pytest.mark.parametrize("width", [40, 120])
def test_while_nobody_knows_where_the_mesh_is_the_screen_does_not_say_that_it_is_there(width: int) -> None:
    bed, book = BedAt(), StatusBook("ward", ["P"], Thresholds(), 2.0)
    bed.judged(0, 0.8)
    for event in bed.heard:
        book.take(event, START, WALL)

    def shown(state: ClientState, at: int) -> list[str]:
        return [one.plain.rstrip() for one in lines(book.snapshot(state, START + at, WALL + at), width)]

    for at in (0, 2_900):
        screen = shown(AWAY, at)
        words = " ".join(" ".join(screen).split())
        assert "mesh is there" not in words
        assert "looking for the mesh" in words
        assert sum("alarm:" in line or "mesh" in line for line in screen[:4]) <= 2  # two rows at most for the alarm
    assert "mesh away" in " ".join(" ".join(shown(AWAY, 3_100)).split())
    assert "the mesh is there" in " ".join(" ".join(shown(THERE, 3_200)).split())


def test_the_beds_own_alarm_of_a_risk_that_is_not_known_says_both_ends_until_it_is_known() -> None:
    bed, book = BedAt(), StatusBook("ward", ["P"], Thresholds(), 2.0)
    bed.judged(0, 0.66, tier="UNKNOWN", flags="missing:serum_creatinine,probability_low:0.031000")
    for event in bed.heard:
        book.take(event, START, WALL)
    screen = " ".join(one.plain for one in lines(book.snapshot(AWAY, START, WALL), 120))
    assert "■ RED ? 0.03-0.66 for" in screen
    assert sentence_of(bed.heard[0], Thresholds()) == "alarm at P: ■ RED ? 0.03-0.66 raised"
    told = len(bed.heard)
    bed.judged(2_000, 0.72)
    for event in bed.heard[told:]:
        book.take(event, START, WALL)
    screen = " ".join(one.plain for one in lines(book.snapshot(AWAY, START, WALL), 120))
    line = screen.partition("╭")[0]
    assert "■ RED for" in line
    assert "0.03" not in line
    assert [sentence_of(event, Thresholds()) for event in bed.heard[told:]] == [""], "a value is no news"


def test_each_event_is_a_sentence_for_people() -> None:
    bed = BedAt()
    bed.judged(0, 0.8, "bed 7")
    bed.turn(4_000)
    bed.judged(4_100, 0.1, "bed 7")
    bed.alarms.acknowledge(1)
    bed.turn(4_200)
    assert [sentence_of(event, Thresholds()) for event in bed.heard] == [
        "alarm at bed 7: ■ RED raised",
        "ALARM AT bed 7: ■ RED - the mesh is away, call somebody",
        "alarm at bed 7: ■ RED over",
        "alarm at bed 7: ■ RED seen here",
        "alarm at bed 7: ■ RED ended",
    ]


def test_an_alarm_that_came_on_top_in_the_last_frame_was_not_read_and_is_not_marked_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bed, seen, now, shown = BedAt(), list[int](), [START], list[Any]()
    work = Bedside.__new__(Bedside)
    monkeypatch.setattr(Bedside, "acknowledge", lambda self, episode: seen.append(episode))
    monkeypatch.setattr(launch, "mono_ms", lambda: now[0])
    monkeypatch.setattr(launch, "on_screen", lambda *given: shown.append(given))
    settings = SimpleNamespace(
        patients=("P",), source="simulate", config=SimpleNamespace(thresholds=Thresholds()), mute=True
    )
    client = SimpleNamespace(client_id="ward", earlier=0, state=AWAY)
    source = SimpleNamespace(interval_s=2.0)
    launch._on_screen(settings, client, source, lambda tell, turn: work, "", None)  # type: ignore[arg-type]
    _, book, draw, _, on_key, _ = shown[0]

    def screen(at: int) -> str:
        while bed.heard:
            book.take(bed.heard.pop(0), START, WALL)
        now[0] = START + at
        printed = io.StringIO()
        Console(file=printed, width=40).print(draw(40, 60, START + at, WALL + at))
        return " ".join(printed.getvalue().split())

    def press(at: int) -> list[int]:
        now[0] = START + at
        on_key(work, "a")
        return seen

    assert SEEN_KEY not in screen(0)
    assert press(100) == []
    for at in (0, 15_000):
        bed.judged(at, 0.4, "P")
    assert f"{SEEN_KEY} {QUIT_KEY}" in screen(15_000)
    bed.judged(20_000, 0.8, "Q")
    screen(20_000)  # the RED of Q is in this very frame
    assert press(20_000 + ON_TOP_MS - 1) == []
    assert f"{TOO_SOON} {QUIT_KEY}" in screen(21_000)
    assert SEEN_KEY in screen(21_000 + SHOWN_MS)
    assert press(21_100 + SHOWN_MS) == [2]
