"""Docs that show results show those of the results files."""

from __future__ import annotations

import json
import re

from hfzmq.clinical.alarm.rules import AlarmRules, to_mapping
from hfzmq.clinical.alarm.types import ACTIONS, WHAT, Episode, Event
from hfzmq.storage.tables import SCHEMA_VERSION
from tests.provenance import ROOT
from tests.simulation.planted import table


def test_the_table_of_planted_bugs_is_that_of_the_results() -> None:
    told = json.loads((ROOT / "docs" / "results" / "planted.json").read_text())
    shown = table(told)
    text = (ROOT / "docs" / "simulation.md").read_text()
    assert shown in text, "print it anew: python -m tests.simulation.planted --table docs/results/planted.json"


def test_the_table_of_alarm_rules_is_that_of_the_code() -> None:
    text = (ROOT / "docs" / "alarms.md").read_text()
    told = dict(re.findall(r"^\| `(\w+)` \| (\S.*?) \| ", text, re.MULTILINE))
    rules = to_mapping(AlarmRules())
    assert {name: told.get(name) for name in rules} == {name: json.dumps(value) for name, value in rules.items()}


def test_the_protocol_names_the_columns_the_events_and_the_actions_of_alarms() -> None:
    text = (ROOT / "docs" / "protocol.md").read_text()
    for name_of_table, fields in (("alarm_episodes", Episode._fields), ("alarm_events", ("id", *Event._fields))):
        (row,) = re.findall(rf"^\| `{name_of_table}` \| (.*) \|$", text, re.MULTILINE)
        named = [name for name in re.findall(r"`(\w+)`", row) if name in fields]
        assert named == [*fields], name_of_table
    events = text.partition("| `what` | `detail` |")[2].partition("\n\n")[0]
    assert {name for name in WHAT if f"`{name}`" in events} == set(WHAT)
    assert all(f"`{action}` (" in text for action in ACTIONS)


def test_the_tables_say_the_version_that_is_written() -> None:
    first = (ROOT / "hfzmq" / "storage" / "schema.sql").read_text().partition("\n")[0]
    assert f"schema version {SCHEMA_VERSION}." in first
