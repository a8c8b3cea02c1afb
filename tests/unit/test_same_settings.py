"""A peer tells the settings that are to be the same everywhere, and whoever has another file than the rest is named."""

from __future__ import annotations

from typing import Any

import pytest

from hfzmq.cli.same_file import differing
from hfzmq.config import Config, RuleSetting, Timing, parse, render
from hfzmq.settings import HeartRate, Limits, Thresholds
from hfzmq.wire.same_settings import told_settings
from tests.unit.cli_world import CONFIG


def told(*configs: Config, leader: int = 1) -> dict[int, dict[str, Any]]:
    """What the peers 1, 2, ... say of themselves that run with ``configs``."""
    return {
        peer: {"serves": peer == leader, "settings": told_settings(config)} for peer, config in enumerate(configs, 1)
    }


def with_rules(**rules: Any) -> Config:
    return CONFIG._replace(alarm_rules=tuple(RuleSetting(name, value, 1) for name, value in rules.items()))


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        (CONFIG._replace(timing=Timing(lease_ms=5000)), "timing.lease_ms 5000 against 1000"),
        (CONFIG._replace(thresholds=Thresholds(red_from=0.9)), "tiers.red_from 0.9 against 0.6"),
        (CONFIG._replace(heart_rate=HeartRate(valid_max=140)), "heart_rate.valid_max 140 against 120"),
        (CONFIG._replace(limits=Limits(batch_rows_max=10)), "limits.batch_rows_max 10 against 1000"),
        (with_rules(silent_ms=60_000), "alarms.rules.silent_ms 60000 against 30000"),
        (with_rules(steps_ms=[0, 9000]), "alarms.rules.steps_ms 0 9000 against 0 60000 180000"),
        (
            CONFIG._replace(peers=(CONFIG.peers[0]._replace(beat_port=9), *CONFIG.peers[1:])),
            "peers.1 127.0.0.1 7010 7011 9 against 127.0.0.1 7010 7011 7012",
        ),
    ],
)
def test_who_has_another_file_is_named_with_what_differs(odd: Config, said: str) -> None:
    assert differing(told(CONFIG, CONFIG, odd)) == {3: f"peer 3's peers.yaml differs: {said}"}
    assert differing(told(odd, CONFIG, CONFIG, leader=1)) == {1: f"peer 1's peers.yaml differs: {said}"}
    value, _, other = said.rpartition(" against ")
    name, _, value = value.partition(" ")
    assert differing(told(CONFIG, odd, leader=2)) == {1: f"peer 1's peers.yaml differs: {name} {other} against {value}"}


def test_long_and_nearly_equal_values_are_compared_whole_and_their_difference_is_shown() -> None:
    """Once: cut to 60 letters, and to six digits, they were the same."""
    far = CONFIG.peers[0]._replace(host="peer-one." + "ward." * 12 + "example")
    one, other = (CONFIG._replace(peers=(far._replace(beat_port=port), *CONFIG.peers[1:])) for port in (7012, 7013))
    (said,) = differing(told(one, one, other)).values()
    assert "7013 against peers.1 peer-one." not in said
    assert "7013 against peer-one." in said
    nearly = CONFIG._replace(thresholds=Thresholds(red_from=0.60000001))
    (said,) = differing(told(CONFIG, CONFIG, nearly)).values()
    assert said.endswith("tiers.red_from 0.60000001 against 0.6")


def test_what_may_differ_from_machine_to_machine_is_not_compared() -> None:
    mine = CONFIG._replace(
        path="/elsewhere", log_level="debug", channels=(), heart_rate=HeartRate(patients=3, invalid_min=20)
    )
    assert told_settings(mine) == told_settings(CONFIG)
    more = CONFIG._replace(
        peers=(*CONFIG.peers, CONFIG.peers[0]._replace(id=4, client_port=1, peer_port=2, beat_port=3))
    )
    assert differing(told(CONFIG, CONFIG, CONFIG, more)) == {}


def test_a_file_and_its_defaults_written_out_are_the_same_settings() -> None:
    text = render(CONFIG, security=False)
    assert told_settings(parse(text, unkeyed_is_fine=True)) == told_settings(CONFIG)


def test_beds_are_compared_and_no_name_of_one_is_told() -> None:
    one, other = with_rules(expected={"bed-1": 0}), with_rules(expected={"bed-2": 0})
    (said,) = differing(told(one, one, other)).values()
    assert "alarms.rules.expected 1 bed (" in said
    assert "bed-" not in said


def test_many_differences_are_counted_and_what_no_peer_would_tell_harms_nothing() -> None:
    odd = CONFIG._replace(limits=Limits(4096, 65_536, 65_536, 1, 65_536, 4096))
    (said,) = differing(told(CONFIG, CONFIG, odd)).values()
    assert said.count(" against ") == 3
    assert said.endswith(", and 3 more")
    strange: dict[int, dict[str, Any]] = {1: {}, 2: {"settings": 7}, 3: {"settings": {"a\x1b": ["b"], 5: None}}}
    assert differing(strange) == {}
    assert differing({**strange, 4: {"settings": {"a\x1b": "\x1b" * 100}}}).keys() == {4}
