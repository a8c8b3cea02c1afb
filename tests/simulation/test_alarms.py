"""Alarms live through the death of leaders."""

from __future__ import annotations

import pytest

from hfzmq.clinical.alarm.types import ACKNOWLEDGED, UNACKNOWLEDGED
from tests.simulation.alarm_peer import AlarmDisk
from tests.simulation.alarms import AlarmRun

SEEDS = range(1, 11)


@pytest.mark.parametrize("seed", SEEDS)
def test_ten_kills_of_the_leader_leave_one_episode_for_each_cause_with_its_acknowledgement(seed: int) -> None:
    outcome = AlarmRun(seed, kills=10).run()
    assert outcome.violation is None, outcome
    assert (outcome.kills, outcome.episodes) == (10, 12)


def test_a_seed_replays() -> None:
    assert AlarmRun(3, kills=4, beds=4).run() == AlarmRun(3, kills=4, beds=4).run()


def test_a_peer_that_forgets_an_acknowledgement_when_it_restarts_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    load = AlarmDisk.load

    def forgetful(disk: AlarmDisk) -> None:
        episodes = disk.rows_of_alarms.episodes
        for number, episode in episodes.items():
            if episode.state == ACKNOWLEDGED:
                episodes[number] = episode._replace(state=UNACKNOWLEDGED, acknowledged_at_ms=None, acknowledged_by="")
        load(disk)

    monkeypatch.setattr(AlarmDisk, "load", forgetful)
    assert any(AlarmRun(seed, kills=10).run().violation for seed in SEEDS)
