"""The leader's watch: one entry of facts at a time, nothing decided here, people told of what is owed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from hfzmq.alarm_channels import LOG, Channel
from hfzmq.clinical.alarm.facts import Action, Clock, RulesSet, Sent, Sign
from hfzmq.clinical.alarm.machine import Alarms, owed_of
from hfzmq.clinical.alarm.rules import DEFAULT_RULES, AlarmRules
from hfzmq.clinical.alarm.types import AMBER, NO_DATA, RED, Episode, Owed
from hfzmq.clinical.report import Report
from hfzmq.config import Config, PeerAddress
from hfzmq.core.contract import ACK, BUSY, NOT_LEADER, Proposal, Reply
from hfzmq.daemon.notify import Delivered, Notice
from hfzmq.daemon.notify import Notifier as RealNotifier
from hfzmq.daemon.posting import FAILED_REST_MS, LOOK_MS, POSTS_A_LOOK
from hfzmq.daemon.watch import RETRY_MS, SIGN_EVERY_MS, Watch
from hfzmq.wire.facts import decode_facts

CONFIG = Config("ward", b"m" * 16, (PeerAddress(1, "here", 1, 2, 3),), channels=(Channel("log", LOG),))
RULES = AlarmRules(silent_ms=5000)
STAMP = 1_700_000_000_000
ROUTE = (b"route", b"")


class Notifier:
    """What people would be told."""

    def __init__(self) -> None:
        self.posted: list[Notice] = []
        self.already: list[frozenset[str]] = []
        self.withdrawn: list[int] = []
        self.told: list[Delivered] = []
        self.full: set[str | tuple[str, str]] = set()

    def has_room(self, channel: str, cause: str) -> bool:
        return channel not in self.full and (channel, cause) not in self.full

    def post(self, notice: Notice, already: frozenset[str] = frozenset()) -> None:
        self.posted.append(notice)
        self.already.append(already)

    def withdraw(self, episode_id: int) -> None:
        self.withdrawn.append(episode_id)

    def withdraw_all(self) -> None:
        self.withdrawn.append(0)

    def results(self) -> list[Delivered]:
        told, self.told = self.told, []
        return told


class Bench:
    """A watch, a log that takes what it is told, and a clock."""

    def __init__(self, rules: AlarmRules = RULES, config: Config = CONFIG, people: RealNotifier | None = None) -> None:
        self.alarms = Alarms(DEFAULT_RULES, (), (), 0, 1)
        self.now = 0.0
        self.wall = STAMP
        self.seq = 0
        self.index = 0
        self.done: dict[int, list[str]] = {}
        self.acted: list[tuple[Any, ...]] = []
        self.notifier = Notifier()
        self.watch = Watch(
            config, "peer 1", b"l" * 16, rules, self, lambda session: self.seq,
            lambda *words: self.acted.append(words), lambda: self.wall, people or self.notifier,  # type: ignore[arg-type]
        )  # fmt: skip

    def outcomes(self, index: int) -> Sequence[str]:
        return self.done[index]

    def later(self, ms: float) -> None:
        self.now += ms
        self.wall += int(ms)

    def turn(self, serves: bool = True) -> Proposal | None:
        return self.watch.turn(self.now, serves)

    def commit(self, proposal: Proposal) -> list[Any]:
        """It is applied and acknowledged; the facts of it."""
        self.seq, self.index = proposal.origin.seq, self.index + 1
        stamp, facts = decode_facts(proposal.body)
        outcomes = [(fact, self.alarms.take(stamp, fact)) for fact in facts]
        self.alarms.advance(stamp)
        self.done[self.index] = [outcome for fact, outcome in outcomes if isinstance(fact, Action)]
        self.watch.changed(self.now)
        assert self.watch.answered(Reply(proposal.route, ACK, index=self.index)) == ()
        return facts

    def told(self) -> list[Any]:
        """The facts of this turn, committed; none where there is nothing to tell."""
        proposal = self.turn()
        return self.commit(proposal) if proposal else []


def row(patient: str, at_ms: int, probability: float = 0.1, tier: str = "GREEN") -> Report:
    return Report(patient, at_ms, 70, 137.0, 1.2, 35.0, 12, probability, tier, 0.4, "m1", "")


def leading(rules: AlarmRules = RULES, config: Config = CONFIG) -> Bench:
    bench = Bench(rules, config)
    assert bench.told() == [RulesSet(rules)]
    return bench


def test_a_new_leader_whose_rules_differ_sets_them_and_does_not_do_so_twice() -> None:
    bench = Bench()
    assert bench.turn(serves=False) is None
    assert bench.told() == [RulesSet(RULES)]
    assert bench.alarms.rules == RULES
    assert bench.told() == []


def test_nothing_is_told_while_something_is_under_way_and_what_was_not_acknowledged_is_told_again() -> None:
    bench = Bench()
    first = bench.turn()
    assert first is not None
    assert bench.turn() is None
    assert bench.watch.answered(Reply(first.route, NOT_LEADER)) == ()
    assert bench.turn() is None, "not at once: who refuses would refuse again"
    bench.later(RETRY_MS)
    again = bench.turn()
    assert again is not None
    assert decode_facts(again.body)[1] == [RulesSet(RULES)]
    assert again.origin.seq == first.origin.seq


def test_a_bed_that_is_seen_is_a_sign_at_most_so_often_and_calm_at_once() -> None:
    bench = leading()
    bench.watch.seen(bench.now, [row("bed-1", STAMP)])
    assert bench.told() == [Sign("bed-1", STAMP, "GREEN", 0.1)]
    bench.later(SIGN_EVERY_MS - 1)
    bench.watch.seen(bench.now, [row("bed-1", STAMP + 1)])
    assert bench.told() == []
    bench.later(1)
    bench.watch.seen(bench.now, [row("bed-1", STAMP + 2)])
    assert bench.told() == [Sign("bed-1", STAMP + 2, "GREEN", 0.1)]
    bench.alarms.report(STAMP + 600, 1, row("bed-1", STAMP + 3, 0.9, "RED"))
    bench.watch.seen(bench.now, [row("bed-1", STAMP + 4)])
    assert bench.told() == [Sign("bed-1", STAMP + 4, "GREEN", 0.1)], "its RED is over"


def test_what_was_delivered_when_the_lead_was_lost_is_read_all_the_same() -> None:
    world = Bench()
    world.turn()
    world.notifier.told = [Delivered(1, 1, "log", True, STAMP, "")]
    world.watch.told()
    assert world.notifier.told, "a leader's turn takes it"
    world.turn(serves=False)
    world.watch.told()
    assert not world.notifier.told, "or the descriptor would be readable until it leads again"


def test_whoever_does_not_lead_takes_no_signs() -> None:
    bench = Bench()
    bench.turn(serves=False)
    bench.watch.seen(bench.now, [row("bed-1", STAMP)])
    assert bench.told() == [RulesSet(RULES)]


def test_a_silent_bed_is_told_by_the_clock_when_its_limit_is_over_and_not_before() -> None:
    bench = leading()
    bench.watch.seen(bench.now, [row("bed-1", STAMP)])
    bench.told()
    for _ in range(49):
        bench.later(100)
        assert all(fact == Clock() for fact in bench.told())
        assert not bench.alarms.episodes()
    assert bench.watch.wake_at_ms(bench.now) <= bench.now + 101
    bench.later(101)
    assert bench.told() == [Clock()]
    assert [one.cause for one in bench.alarms.episodes()] == ["NO_DATA"]


def test_people_are_told_what_is_missing_for_how_long_and_that_it_was_heard_again() -> None:
    bench = leading(RULES._replace(steps_ms=(0, 2000)))
    bench.alarms.reading(STAMP, 1, "bed-1", STAMP, 72.0, "valid", "")
    for number in range(12):
        bench.watch.seen(bench.now, [row("bed-1", STAMP + number)])
        bench.told()
        bench.later(500)
    bench.told()
    first = bench.notifier.posted[-1].body.splitlines()[0]
    assert first.startswith("NO DATA: no heart rate for "), "though its judgements go on"
    assert first.split()[-2] in ("5", "6")
    bench.alarms.reading(STAMP + 6000, 2, "bed-1", STAMP, 72.0, "valid", "")
    bench.later(2000)
    for _ in range(3):
        bench.later(LOOK_MS)
        bench.told()
    assert bench.notifier.posted[-1].body.splitlines()[0] == "NO DATA: no heart rate; heard again since"


def test_an_action_is_answered_with_what_became_of_it() -> None:
    bench = leading()
    bench.alarms.report(STAMP, 1, row("bed-1", STAMP, 0.9, "RED"))
    bench.watch.act(ROUTE, Action("ack", 1, "nurse"))
    bench.watch.act(ROUTE, Action("ack", 9, "nurse"))
    assert bench.told()[:2] == [Action("ack", 1, "nurse"), Action("ack", 9, "nurse")]
    assert [words[2] for words in bench.acted] == ["done", "not found"]


def test_whoever_waits_for_an_action_is_given_back_when_it_is_not_decided_or_the_lead_is_lost() -> None:
    bench = leading()
    bench.watch.act(ROUTE, Action("ack", 1, "nurse"))
    proposal = bench.turn()
    assert proposal is not None
    assert bench.watch.answered(Reply(proposal.route, NOT_LEADER)) == (ROUTE,)
    bench.watch.act(ROUTE, Action("ack", 1, "nurse"))
    assert bench.watch.drop() == (ROUTE,)
    assert bench.watch.drop() == ()


def test_people_are_told_what_is_owed_until_it_is_delivered_and_not_after_it_was_seen() -> None:
    bench = leading()
    bench.alarms.report(STAMP, 1, row("bed-1", STAMP, 0.9, "RED"))
    bench.alarms.advance(STAMP)
    bench.watch.changed(bench.now)
    bench.later(LOOK_MS)
    bench.told()
    assert {(one.episode_id, one.step, one.cause) for one in bench.notifier.posted} == {(1, 1, "RED")}
    bench.notifier.told.append(Delivered(1, 1, "log", True, STAMP, ""))
    assert Sent(1, 1, "log", True) in bench.told()
    bench.notifier.posted.clear()
    bench.told()
    assert not bench.notifier.posted
    bench.watch.act(ROUTE, Action("ack", 1, "nurse"))
    bench.told()
    bench.later(LOOK_MS)
    bench.told()
    assert bench.notifier.withdrawn[-1] == 1


def test_a_channel_that_goes_on_failing_is_one_line_and_its_delivery_says_after_how_many_tries() -> None:
    bench = leading()
    bench.alarms.report(STAMP, 1, row("bed-1", STAMP, 0.9, "RED"))
    bench.alarms.advance(STAMP)
    bench.alarms.take_changes()
    bench.watch.changed(bench.now)
    for _ in range(5):
        bench.later(FAILED_REST_MS)
        bench.watch.seen(bench.now, [row("bed-1", STAMP + int(bench.now), 0.9, "RED")])
        bench.told()
        bench.notifier.told.append(Delivered(1, 1, "log", False, STAMP, "refused", over=False))
        bench.told()
        bench.notifier.told.append(Delivered(1, 1, "log", False, STAMP, "refused", tries=9))
        bench.told()
    assert len([one for one in bench.notifier.posted if one.step == 1]) >= 4, "begun anew each time"
    bench.notifier.told.append(Delivered(1, 1, "log", True, STAMP, "", tries=2))
    bench.told()
    lines = [(one.what, one.detail) for one in bench.alarms.take_changes().events if one.what in ("sent", "failed")]
    assert lines == [("failed", "1:log refused"), ("sent", "1:log after 47 tries")]


def test_a_new_leader_writes_no_second_line_of_what_has_failed_under_the_old_one() -> None:
    bench = leading()
    bench.alarms.report(STAMP, 1, row("bed-1", STAMP, 0.9, "RED"))
    bench.alarms.advance(STAMP)
    for _ in range(3):
        bench.turn(serves=False)
        bench.later(LOOK_MS)
        bench.told()
        bench.notifier.told.append(Delivered(1, 1, "log", False, STAMP, "refused", over=False))
        bench.told()
    assert [one.detail for one in bench.alarms.take_changes().events if one.what == "failed"] == ["1:log refused"]


def test_a_delivery_that_the_log_did_not_take_in_is_told_again_and_was_tried_no_oftener_for_that() -> None:
    bench = leading()
    bench.alarms.report(STAMP, 1, row("bed-1", STAMP, 0.9, "RED"))
    bench.alarms.advance(STAMP)
    bench.watch.changed(bench.now)
    bench.later(LOOK_MS)
    bench.told()
    delivered = Delivered(1, 1, "log", True, STAMP, "", tries=2)
    bench.notifier.told.append(delivered)
    refused = bench.turn()
    assert refused is not None
    bench.watch.answered(Reply(refused.route, BUSY))
    assert bench.turn() is None
    bench.notifier.told.append(delivered)  # as the notifier does when it is posted again
    bench.later(RETRY_MS)
    assert bench.told() == [Sent(1, 1, "log", True, 2)] * 2
    assert [one.detail for one in bench.alarms.take_changes().events if one.what == "sent"] == ["1:log after 2 tries"]


def test_what_was_delivered_just_before_the_lead_was_lost_and_regained_is_told_and_not_sent_twice(
    caplog: pytest.LogCaptureFixture,
) -> None:
    people = RealNotifier(CONFIG.channels)
    bench = Bench(people=people)
    bench.told()
    bench.alarms.report(STAMP, 1, row("bed-1", STAMP, 0.9, "RED"))
    bench.alarms.advance(STAMP)
    bench.watch.changed(bench.now)
    bench.later(LOOK_MS)
    bench.turn()  # posted, and so delivered
    lost = bench.turn()
    assert lost is not None
    assert Sent(1, 1, "log", True) in decode_facts(lost.body)[1]
    bench.watch.drop()
    bench.turn(serves=False)
    bench.watch.answered(Reply(lost.route, NOT_LEADER))
    told: list[Any] = []
    for _ in range(10):
        bench.later(LOOK_MS)
        told += [fact for fact in bench.told() if isinstance(fact, Sent)]
    assert told == [Sent(1, 1, "log", True)], "once, and soon: the next leader would send it again"
    assert len(caplog.records) == 1
    people.close()


def test_nothing_is_kept_of_an_alarm_that_was_seen_though_a_result_came_after_that() -> None:
    bench = leading()
    bench.alarms.report(STAMP, 1, row("bed-1", STAMP, 0.9, "RED"))
    bench.alarms.advance(STAMP)
    bench.watch.changed(bench.now)
    bench.later(LOOK_MS)
    bench.told()
    bench.watch.act(ROUTE, Action("ack", 1, "nurse"))
    bench.told()
    for _ in range(2):
        bench.later(LOOK_MS)
        bench.notifier.told.append(Delivered(1, 1, "log", False, STAMP, "refused"))
        bench.told()
        bench.told()
    posting = bench.watch._posting
    assert not posting._post_ms
    assert not posting._tries
    assert not posting._known


def test_what_is_owed_is_looked_for_seldom_however_often_something_is_applied() -> None:
    bench = leading()
    bench.later(LOOK_MS)
    bench.told()
    looks = 0
    before = bench.alarms.episodes

    def episodes() -> Any:
        nonlocal looks
        looks += 1
        return before()

    bench.alarms.episodes = episodes  # type: ignore[method-assign]
    for _ in range(1000):
        bench.watch.changed(bench.now)
        bench.later(1)
        bench.told()
    assert 3 <= looks <= 5


def test_hundreds_of_alarms_are_posted_look_by_look_the_newest_first_and_each_notice_once() -> None:
    bench = leading()
    for number in range(1, 2 * POSTS_A_LOOK + 2):
        bench.alarms.report(STAMP, number, row(f"bed-{number}", STAMP, 0.9, "RED"))
    bench.alarms.advance(STAMP)
    bench.watch.changed(bench.now)
    for posted in (POSTS_A_LOOK, 2 * POSTS_A_LOOK, 2 * POSTS_A_LOOK + 1, 2 * POSTS_A_LOOK + 1):
        bench.later(LOOK_MS)
        bench.told()
        assert len(bench.notifier.posted) == posted
    assert bench.notifier.posted[0].episode_id == 2 * POSTS_A_LOOK + 1
    assert len({one.episode_id for one in bench.notifier.posted}) == 2 * POSTS_A_LOOK + 1


def test_a_look_does_nothing_for_alarms_of_which_nothing_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = leading()
    for number in range(1, POSTS_A_LOOK + 1):
        bench.alarms.report(STAMP, number, row(f"bed-{number}", STAMP, 0.9, "RED"))
    bench.alarms.advance(STAMP)
    bench.watch.changed(bench.now)
    bench.later(LOOK_MS)
    bench.told()
    looked: list[int] = []

    def spy(episode: Episode, channels: Sequence[Sequence[str]]) -> list[Owed]:
        looked.append(episode.id)
        return owed_of(episode, channels)

    monkeypatch.setattr("hfzmq.daemon.posting.owed_of", spy)
    bench.notifier.told.append(Delivered(7, 1, "log", True, STAMP, ""))
    for _ in range(8):
        bench.watch.changed(bench.now)
        bench.later(LOOK_MS)
        bench.told()
    assert set(looked) == {7}


def test_a_channel_without_room_is_told_later_and_holds_up_no_other() -> None:
    bench = leading(config=CONFIG._replace(channels=(Channel("log", LOG), Channel("full", LOG))))
    bench.notifier.full.add("full")
    bench.alarms.report(STAMP, 1, row("bed-1", STAMP, 0.9, "RED"))
    bench.alarms.advance(STAMP)
    bench.watch.changed(bench.now)
    bench.later(LOOK_MS)
    bench.told()
    assert bench.notifier.already == [{"full"}]
    bench.notifier.full.clear()
    bench.notifier.told.append(Delivered(1, 1, "log", True, STAMP, ""))
    bench.later(LOOK_MS)
    bench.told()
    bench.told()
    assert bench.notifier.already[1:] == [{"log"}]


def test_a_channel_that_has_room_for_a_red_alone_is_given_the_red() -> None:
    bench = leading(config=CONFIG._replace(channels=(Channel("log", LOG),)))
    bench.notifier.full |= {("log", AMBER), ("log", NO_DATA)}
    bench.alarms.report(STAMP, 1, row("bed-1", STAMP, 0.9, "RED"))
    bench.alarms.advance(STAMP + RULES.silent_ms)
    assert [one.cause for one in bench.alarms.episodes()] == [RED, NO_DATA]
    bench.watch.changed(bench.now)
    bench.later(LOOK_MS)
    bench.told()
    assert [one.cause for one in bench.notifier.posted] == [RED]


def test_who_leads_no_more_drops_what_people_have_not_been_told() -> None:
    bench = leading()
    bench.turn(serves=False)
    assert bench.notifier.withdrawn[-1] == 0


def test_a_leader_whose_clock_is_behind_goes_on_from_the_last_stamp() -> None:
    bench = leading()
    bench.alarms.advance(STAMP + 3_600_000)
    bench.turn(serves=False)
    bench.watch.seen(bench.now, [])
    bench.turn()
    bench.later(SIGN_EVERY_MS)
    bench.watch.seen(bench.now, [row("bed-1", STAMP)])
    proposal = bench.turn()
    assert proposal is not None
    assert STAMP + 3_600_000 <= decode_facts(proposal.body)[0] <= STAMP + 3_600_000 + SIGN_EVERY_MS
