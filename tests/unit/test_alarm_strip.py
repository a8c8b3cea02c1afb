"""The strip: the open alarms of the peer that knows most, the most urgent first, none left out without a word."""

from __future__ import annotations

import re
import threading
from typing import Any

import pytest

from hfzmq.cli.acknowledge import SHOWN_MS, AcknowledgeDesk, login_name
from hfzmq.cli.alarm_view import ALARMS_MAX, ON_TOP_MS, SLIDE_BACK_MS, AlarmView, merge_alarms
from hfzmq.cli.bell import AGAIN_MS, BedBell, Bell
from hfzmq.cli.board_feed import BoardStatus, now_ms
from hfzmq.cli.screens.alarm_strip import Acknowledging
from hfzmq.cli.screens.board import lines
from hfzmq.clinical.alarm.types import Episode
from hfzmq.config import Config
from hfzmq.errors import InvalidInput, NoLeader
from tests.unit.cli_world import CONFIG, NOW_MS, WALL_MS, Answer, bed, beds_answer, board_status, row, says
from tests.unit.test_screens_board import drawn


def stored(
    number: int,
    patient: str = "bed-1",
    cause: str = "RED",
    state: str = "unacknowledged",
    ago_ms: int = 5_000,
    value: float | None = 0.72,
    note: str = "",
    by: str = "",
    step: int = 1,
) -> list[Any]:
    """A row of alarm_episodes as a peer sends it."""
    made = Episode(
        number, patient, cause, state, WALL_MS - ago_ms, 1, note or cause, value, value, value, None, by, None, None,
        "", "", step, 0, (),
    )  # fmt: skip
    return [*made[:-2], "", ""]


def answer(*rows: list[Any], index: int = 810, **other: Any) -> Answer:
    return beds_answer() | {"alarm_fields": list(Episode._fields), "alarms": list(rows), "applied_index": index} | other


def view(*rows: list[Any]) -> AlarmView:
    return merge_alarms(AlarmView(), [answer(*rows)], NOW_MS)


def showing(*rows: list[Any], **other: Any) -> BoardStatus:
    return board_status(**other)._replace(alarms=view(*rows))


SEVEN = (
    stored(1, "amber-old", "AMBER", ago_ms=900_000, value=0.4),
    stored(2, "red-seen", "RED", "acknowledged", 800_000, by="ann"),
    stored(3, "red-new", "RED", ago_ms=1_000),
    stored(4, "silent", "NO_DATA", ago_ms=700_000, value=None, note="no heart rate"),
    stored(5, "fast", "HEART_RATE", ago_ms=600_000, value=132.0, note="high"),
    stored(6, "red-old", "RED", "returned", 500_000, value=0.57, step=3),
    stored(7, "fast-seen", "HEART_RATE", "acknowledged", 400_000, value=140.5, note="high", by="bob"),
)


def test_the_oldest_unseen_red_stands_on_top_and_the_seen_ones_last() -> None:
    told = view(*SEVEN)
    names = [alarm.patient_id for alarm in told.alarms]
    assert names == ["red-old", "red-new", "fast", "silent", "amber-old", "red-seen", "fast-seen"]
    assert told.top is told.alarms[0]
    assert view(SEVEN[1]).top is None


@pytest.mark.parametrize("width", [40, 80, 120, 240])
def test_each_alarm_says_its_cause_bed_value_age_step_and_who_has_seen_it(width: int) -> None:
    over = [*stored(8, "low-was", "HEART_RATE", "returned", 490_000, value=72.0, note="low")]
    over[Episode._fields.index("least")], over[Episode._fields.index("most")] = 35.0, 152.0
    flat = " ".join(re.sub("[│╭╮╰╯─]", " ", drawn(showing(*SEVEN, over), width, 400)).split())
    assert "72 bpm" not in flat
    for words in (
        "♥ HEART RATE low-was low, 35-152 bpm, last 72 since 8 min cause over, not seen",
        "■ RED red-old risk 0.57 since 8 min cause over, not seen step 3",
        "■ RED red-new risk 0.72 since 1 s not seen step 1",
        "♥ HEART RATE fast 132 bpm high since 10 min not seen",
        "✕ NO DATA silent no heart rate since 11 min not seen",
        "▲ AMBER amber-old risk 0.40 since 15 min not seen",
        "■ RED red-seen risk 0.72 since 13 min seen by ann",
        "♥ HEART RATE fast-seen 140.5 bpm high since 6 min seen by bob",
        "alarms: 8 open, 6 not seen",
    ):
        assert words in flat


@pytest.mark.parametrize(("width", "height"), [(40, 24), (80, 24), (80, 12), (120, 40), (40, 8)])
def test_what_does_not_fit_is_counted_and_the_top_is_always_there(width: int, height: int) -> None:
    rows = [stored(n, f"bed-{n}", "AMBER", value=0.4) for n in range(1, 40)] + [stored(99, "worst")]
    shown = drawn(showing(*rows), width, height)
    assert "worst" in shown
    if height > 8:
        flat = " ".join(re.sub("[│╭╮╰╯─]", " ", shown).split())
        hidden = re.search(r"\+(\d+) more: (\d+) AMBER not seen", flat)
        assert hidden is not None
        assert hidden[1] == hidden[2]
        assert len(re.findall(r"AMBER bed-\d+ ", flat)) + int(hidden[1]) == 39


def test_a_hidden_unseen_red_is_shouted() -> None:
    made = lines(showing(*(stored(n, f"bed-{n}") for n in range(1, 30))), 120, 24, NOW_MS)
    rest = next(line for line in made if "more:" in line.plain)
    assert any("on red" in str(span.style) for span in rest.spans)


def test_each_beds_row_shows_what_is_open_of_it() -> None:
    status = board_status(bed(row("bed-1")), bed(row("bed-2", 0.1, "GREEN")), bed(row("bed-3", 0.4, "AMBER")))
    told = view(stored(1), stored(2, cause="HEART_RATE", value=130.0, note="high"),
                stored(3, "bed-3", "AMBER", "acknowledged", by="ann"))  # fmt: skip
    for width in (40, 80, 200):
        shown = drawn(status._replace(alarms=told), width, 80).split("beds ──")[1]
        assert "■♥ not seen" in shown
        assert "▲ seen" in shown
        assert shown.count("seen") == 2


def test_a_board_without_an_open_alarm_says_so_in_its_header() -> None:
    assert "no open alarm" in drawn(showing()).splitlines()[0]
    assert "no open alarm" not in drawn(board_status())  # nobody has told of alarms


def test_the_alarms_are_those_of_the_peer_that_has_applied_most() -> None:
    behind, ahead = answer(stored(1), index=810), answer(stored(1, state="acknowledged", by="ann"), index=811)
    for both in ([behind, ahead], [ahead, behind], [None, ahead, {"status": "BUSY"}]):
        told = merge_alarms(AlarmView(), both, NOW_MS)
        assert (told.applied_index, told.alarms[0].seen_by) == (811, "ann")


def test_an_older_answer_does_not_replace_a_newer_one_until_nothing_newer_comes_any_more() -> None:
    newer = merge_alarms(AlarmView(), [answer(stored(1), stored(2), index=900)], NOW_MS)
    older = answer(stored(1), index=899)
    assert merge_alarms(newer, [older], NOW_MS + SLIDE_BACK_MS) is newer
    assert len(merge_alarms(newer, [older], NOW_MS + SLIDE_BACK_MS + 1).alarms) == 1
    assert merge_alarms(newer, [None], NOW_MS + 60_000) is newer


def test_stale_alarms_say_so_within_3_s_and_a_mesh_without_a_quorum_too() -> None:
    status = showing(stored(1))
    assert "NOT LIVE: the alarms" not in drawn(status, now_ms=NOW_MS + 2_900)
    assert "NOT LIVE: the alarms as of 3 s ago" in drawn(status, now_ms=NOW_MS + 3_001)
    lost = showing(stored(1), status={1: None, 2: says(2), 3: None})
    assert "no quorum: the mesh raises no alarm now" in drawn(lost)


def test_an_alarm_that_cannot_be_read_is_told_of_and_not_left_out() -> None:
    bad: list[list[Any]] = [
        stored(2, cause="FIRE"), stored(3)[:-1], stored(4, value="high"), stored(5, patient=""), ["x"],  # type: ignore[arg-type]
    ]  # fmt: skip
    told = view(stored(1), *bad)
    assert (len(told.alarms), told.unreadable) == (1, 5)
    assert "5 alarms cannot be read" in drawn(board_status()._replace(alarms=told))
    assert "no open alarm" not in drawn(board_status()._replace(alarms=view(*bad)))


def test_an_answer_that_is_full_says_that_there_may_be_more() -> None:
    told = view(*(stored(n, f"b{n}", "AMBER") for n in range(1, ALARMS_MAX + 1)))
    assert "alarms: 1000+ open" in drawn(board_status()._replace(alarms=told))


# ---------------------------------------------------------------------------------------------------- the key


class Mesh:
    """Answers, one after the other; an exception is raised. Waits until it is let go."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, object]] = []
        self.go = threading.Event()
        self.done = threading.Event()

    def ask(self, config: Config, fields: dict[str, object]) -> dict[str, Any]:
        self.asked.append(fields)
        assert self.go.wait(10)
        found = self.answers.pop(0)
        if isinstance(found, Exception):
            raise found
        assert isinstance(found, dict)
        return found


def desk_of(mesh: Mesh) -> AcknowledgeDesk:
    return AcknowledgeDesk(lambda: CONFIG, "ann", mesh.done.set, mesh.ask)


def test_the_key_acknowledges_what_was_on_top_and_says_so_only_when_the_mesh_has() -> None:
    mesh = Mesh({"status": "ACK", "index": 5, "outcome": "done"})
    desk, status = desk_of(mesh), showing(*SEVEN)
    top, at = status.alarms.top, now_ms()
    desk.drew(top, at - ON_TOP_MS)
    desk.press(top, at)
    desk.press(top, at)  # held down: still one
    asking = desk.latest(at)
    assert asking is not None
    assert asking.asking
    shown = drawn(status)
    assert "acknowledging" not in shown
    screen = "\n".join(line.plain for line in lines(status, 120, 40, NOW_MS, ack=asking))
    assert "acknowledging alarm 6, ■ RED of red-old ..." in screen
    assert "seen by ann" not in screen.split("red-new")[0]
    mesh.go.set()
    assert mesh.done.wait(10)
    assert mesh.asked == [{"action": "ack", "episode": 6, "by": "ann"}]
    said = desk.latest(now_ms())
    assert said == Acknowledging(6, "alarm 6, ■ RED of red-old: acknowledged by ann", False)
    assert desk.latest(now_ms() + SHOWN_MS + 1) is None


def test_while_nobody_leads_it_asks_again_and_says_so() -> None:
    mesh = Mesh(NoLeader("nobody leads"), NoLeader("nobody leads"), {"status": "ACK", "index": 5, "outcome": "already"})
    desk, top = desk_of(mesh), view(stored(6)).top
    desk.drew(top, 0)
    desk.press(top, ON_TOP_MS)
    mesh.go.set()
    assert mesh.done.wait(10)
    said = desk.latest(now_ms())
    assert said is not None
    assert "somebody had seen it already" in said.words
    assert len(mesh.asked) == 3


@pytest.mark.parametrize("error", [InvalidInput("episode", "an alarm that there is"), ValueError("odd")])
def test_a_refusal_is_told_in_plain_words_and_the_screen_goes_on(error: Exception) -> None:
    mesh = Mesh(error)
    desk, top = desk_of(mesh), view(stored(6)).top
    desk.drew(top, 0)
    desk.press(top, ON_TOP_MS)
    mesh.go.set()
    assert mesh.done.wait(10)
    said = desk.latest(now_ms())
    assert said is not None
    assert said.failed
    assert said.words.startswith("NOT acknowledged: alarm 6")


def test_an_alarm_that_has_just_come_on_top_is_not_acknowledged_by_a_key_that_was_meant_for_another() -> None:
    mesh = Mesh()
    desk, before, after = desk_of(mesh), view(SEVEN[0]).top, view(*SEVEN).top
    desk.drew(before, 0)
    desk.drew(after, 5_000)
    desk.press(after, 5_000 + ON_TOP_MS - 1)
    said = desk.latest(now_ms())
    assert said is not None
    assert "has just changed" in said.words
    desk.press(None, 9_000)
    assert mesh.asked == []


def test_the_name_of_who_acknowledges_is_one_that_the_mesh_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "ann")
    assert login_name() == "ann"
    monkeypatch.setattr("getpass.getuser", lambda: "x" * 65)
    assert login_name().startswith("user ")


# ---------------------------------------------------------------------------------------------------- the bell


def test_the_bell_rings_once_for_each_new_red_that_nobody_has_seen() -> None:
    bell = Bell()
    heard = [
        bell.rings(view()), bell.rings(view(stored(1))), bell.rings(view(stored(1))), bell.rings(view()),
        bell.rings(view(stored(1))), bell.rings(view(stored(1), stored(2))),
        bell.rings(view(stored(3, state="acknowledged"))), bell.rings(view(stored(4, cause="AMBER"))),
    ]  # fmt: skip
    assert heard == [False, True, False, False, False, True, False, False]
    assert not Bell(mute=True).rings(view(stored(1)))


def test_at_a_bed_it_rings_again_and_again_until_somebody_has_seen_it_or_the_mesh_is_back() -> None:
    bell, red = BedBell(), [(1, "RED")]
    assert [bell.rings(red, True, at) for at in (0, 100, AGAIN_MS - 1, AGAIN_MS)] == [True, False, False, True]
    assert not bell.rings(red, False, 2 * AGAIN_MS)
    assert bell.rings(red, True, 2 * AGAIN_MS + 1)  # away again
    assert not bell.rings([], True, 4 * AGAIN_MS)
    assert [BedBell().rings([(1, "AMBER")], True, 0), BedBell(mute=True).rings(red, True, 0)] == [True, False]
    notice = BedBell()
    assert [notice.rings([(1, "AMBER")], True, at) for at in (0, AGAIN_MS, 2 * AGAIN_MS)] == [True, False, False]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_an_alarm_of_what_is_not_known_shows_both_ends_and_one_by_the_raw_day_says_so(width: int) -> None:
    one = stored(1, "hole", value=0.66, note="UNKNOWN 0.031207")
    two = stored(2, "raw", value=0.8, note="RED raw day")
    screen = " ".join(drawn(showing(one, two), width, 40).split())
    assert "? 0.03-0.66" in screen
    assert "risk 0.66" not in screen
    assert "UNKNOWN" not in screen
    assert "risk 0.80 RAW DAY" in screen
