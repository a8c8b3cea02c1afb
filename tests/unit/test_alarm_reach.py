"""Settings under which nobody is told, or everybody always: refused, or said, with what to do."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from hfzmq.alarm_channels import Channel, missing_programs
from hfzmq.clinical.alarm.reach import SILENT_MS_CALM, TooSeldom, doubts, too_seldom
from hfzmq.clinical.alarm.rules import AlarmRules, Expected
from hfzmq.clinical.alarm.settings import rules_of
from hfzmq.config import Config, RuleSetting
from hfzmq.daemon.notify.doubts import say_doubts
from hfzmq.errors import ConfigError
from tests.unit.cli_world import CONFIG, run

LOG = Channel("log", "log")
PAGER = Channel("pager", "command", 2, argv=("/nowhere/page", "--key", "hunter2"))


def site(channels: tuple[Channel, ...] = (LOG,), **rules: Any) -> Config:
    """Rules as if each stood in line 7."""
    settings = tuple(RuleSetting(name, value, 7) for name, value in rules.items())
    return CONFIG._replace(alarm_rules=settings, channels=channels)


@pytest.mark.parametrize(
    ("config", "field", "bound", "hint"),
    [
        (site(steps_ms=[]), "alarms.rules.steps_ms", "at least one step", "such as [0, 60000, 180000]"),
        (site((LOG, PAGER), steps_ms=[0]), "alarms.channels", "pager (from_step 2): from_step at most 1", "lower"),
        (site(silent_ms=100), "alarms.rules.silent_ms", "1000 ms or more", "6000 or more"),
        (site(silent_ms=999), "alarms.rules.silent_ms", "1000 ms or more", "6000 or more"),
        (site(expected={"bed-1": 0, "bed-2": 500}), "alarms.rules.expected", "bed-2: 1000 ms or more", "6000"),
    ],
)
def test_what_would_tell_nobody_or_everybody_always_is_refused_with_field_bound_and_next_step(
    config: Config, field: str, bound: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        rules_of(config)
    assert (caught.value.field, caught.value.line) == (field, 7)
    assert bound in caught.value.bound
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        site(steps_ms=[0]),
        site((LOG, PAGER), steps_ms=[0, 5000]),
        site(silent_ms=SILENT_MS_CALM),
        site(expected={"bed-1": 0, "bed-2": 60_000}),
        site((LOG, Channel("desk", "bell"))),
    ],
)
def test_what_reaches_somebody_is_neither_refused_nor_doubted(config: Config) -> None:
    assert doubts(config, rules_of(config)) == []


@pytest.mark.parametrize(
    ("config", "field", "bound"),
    [
        (site(()), "alarms.channels", "nobody is told"),
        (site((PAGER,)), "alarms.channels", "nobody is told in the first 60 s of an alarm, and of AMBER never"),
        (site((PAGER,), steps_ms=[0, 5000], notice_steps=2), "alarms.channels", "in the first 5 s of an alarm"),
        (site((Channel("desk", "bell"),)), "alarms.channels", "only bells"),
        (site(silent_ms=3000), "alarms.rules.silent_ms", "3000 ms: a bed that is a little late"),
        (site(expected={"bed-2": 5999}), "alarms.rules.expected.bed-2", "5999 ms"),
    ],
)
def test_what_may_be_meant_is_a_doubt_that_stops_nobody(config: Config, field: str, bound: str) -> None:
    (doubt,) = doubts(config, rules_of(config))
    assert doubt.field == field
    assert bound in doubt.bound
    assert doubt.hint
    if "first 5 s" in bound:
        assert "AMBER" not in doubt.bound


def test_a_program_that_is_not_there_is_found_by_path_and_by_name(tmp_path: Path) -> None:
    there, not_to_run = tmp_path / "page", tmp_path / "text"
    there.write_text("#!/bin/sh\n")
    there.chmod(0o755)
    not_to_run.write_text("")
    made = [
        Channel(f"c{number}", "command", argv=(program,))
        for number, program in enumerate([str(there), str(not_to_run), "/nowhere/page", "sh", "no-such-program-at-all"])
    ]
    assert missing_programs([LOG, *made]) == [
        ("c1", str(not_to_run)),
        ("c2", "/nowhere/page"),
        ("c4", "no-such-program-at-all"),
    ]


def test_a_daemon_says_its_doubts_in_its_log_without_secrets_and_starts(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        say_doubts(site((LOG, PAGER), silent_ms=3000))
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "alarms.rules.silent_ms: 3000 ms" in caplog.text
    assert "alarms.channels: pager: /nowhere/page: no such program on this machine" in caplog.text
    assert "hunter2" not in caplog.text


def test_a_bed_that_speaks_more_seldom_than_it_is_waited_for_is_found() -> None:
    rules = AlarmRules(silent_ms=30_000, expected=(Expected("a", 10_000), Expected("b", 0), Expected("c", 90_000)))
    assert too_seldom(rules, 2000, "abc") == []
    assert too_seldom(rules, 9000, "abc") == []
    assert too_seldom(rules, 9001, "abc") == [TooSeldom("a", 10_000)]
    assert too_seldom(rules, 9001, "bc") == []
    assert too_seldom(rules, 29_500, "abc") == [TooSeldom("", 30_000), TooSeldom("a", 10_000)]


# ------------------------------------------------------------ config check


def checked(tmp_path: Path, alarms: str) -> Any:
    path = tmp_path / "peers.yaml"
    before, _, after = run("config", "init").out.partition("alarms:")
    path.write_text(f"{before}alarms:\n{alarms}\nlog:{after.partition(chr(10) + 'log:')[2]}security: plain\n")
    return run("config", "check", "--config", str(path))


def test_check_refuses_what_would_tell_nobody_in_its_line(tmp_path: Path) -> None:
    done = checked(tmp_path, "  rules:\n    steps_ms: []")
    assert (done.code, done.out) == (6, "")
    line = 1 + (tmp_path / "peers.yaml").read_text().splitlines().index("    steps_ms: []")
    assert f"peers.yaml:{line}: alarms.rules.steps_ms: at least one step" in done.err
    assert "hint: such as [0, 60000, 180000]" in done.err


def test_check_warns_of_a_program_that_this_machine_lacks_and_is_content(tmp_path: Path) -> None:
    done = checked(tmp_path, "  channels:\n  - {name: log, kind: log}\n  - {name: p, kind: command, argv: [/no/page]}")
    assert done.code == 0
    assert "ok: mesh ward" in done.out
    assert "warning: alarms.channels: p: /no/page: no such program on this machine" in done.err
    assert "hint: " in done.err


def test_check_warns_of_doubts_and_is_content(tmp_path: Path) -> None:
    done = checked(tmp_path, "  rules:\n    silent_ms: 2500\n  channels: []")
    assert done.code == 0
    assert "warning: alarms.channels: none" in done.err
    assert "warning: alarms.rules.silent_ms: 2500 ms" in done.err
