"""Docs that show results show those of the results files; what they tell to type is there."""

from __future__ import annotations

import json
import re

import click
import pytest

from hfzmq.cli.bench.document import put
from hfzmq.cli.main import root
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


# ------------------------------------------------------------ commands

CHAPTERS = (*(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "operations").glob("*.md"))
DOCS = ("README.md", "CHANGELOG.md", "model/README.md", *(str(path.relative_to(ROOT)) for path in CHAPTERS))
MANY = "|"  # alarms ls|ack: each of them
MARK = "episode"  # `hfzmq episode 12 step 1` marks a notice and is no command


def commands_in(text: str) -> list[list[str]]:
    """The words behind ``hfzmq`` in each line of a code block that begins with it, and in each span of code."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("hfzmq ")]
    prose = re.sub(r"^```\w*\n.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    spans = [" ".join(span.split()) for span in re.findall(r"`(hfzmq [a-z][^`]*)`", prose)]
    commands = [re.split(r" #| [<>] ", one)[0].split()[1:] for one in lines + spans]
    return [words for words in commands if words[0] != MARK]


def unknown_in(words: list[str]) -> str:
    """The first of ``words`` that is no command or option; '' when all are."""
    here: list[click.Command] = [root]
    while words and not words[0].startswith("-") and all(isinstance(one, click.Group) for one in here):
        if not re.fullmatch(r"[a-z|-]+", words[0]) and all(getattr(one, "invoke_without_command", 0) for one in here):
            break  # no command but an argument: hfzmq backup FILE
        names, *words = words
        groups = [one for one in here if isinstance(one, click.Group)]
        found = [one.get_command(click.Context(one), name) for one in groups for name in names.split(MANY)]
        if None in found:
            return names
        here = [one for one in found if one is not None]
    known = {option for one in here for parameter in one.params for option in parameter.opts} | {"--help"}
    options = [word.strip("[].,;()") for word in words if word.strip("[").startswith("-")]
    return next((option for option in options if option != "-" and not set(option.split(MANY)) <= known), "")


@pytest.mark.parametrize("doc", DOCS)
def test_every_command_and_option_that_a_document_names_is_there(doc: str) -> None:
    commands = commands_in((ROOT / doc).read_text())
    assert {" ".join(words): unknown for words in commands if (unknown := unknown_in(words))} == {}


def test_what_a_document_may_not_name_would_be_found() -> None:
    block = "```sh\nhfzmq model guess --age 7   # no\nhfzmq client --fast > x\n```\n"
    told = (
        block + "and `hfzmq alarms ls|nod`, `hfzmq serve -x`, `hfzmq backup look FILE`, `hfzmq backup FILE --pier 1`."
    )
    found = [unknown_in(words) for words in commands_in(told)]
    assert found == ["guess", "--fast", "ls|nod", "-x", "look", "--pier"]


def test_the_readme_shows_every_command_of_the_model() -> None:
    shown = {tuple(words[:2]) for words in commands_in((ROOT / "README.md").read_text())}
    assert shown >= {("model", name) for name in ("predict", "explain", "data", "train", "evaluate")}


def test_the_tables_say_the_version_that_is_written() -> None:
    first = (ROOT / "hfzmq" / "storage" / "schema.sql").read_text().partition("\n")[0]
    assert f"schema version {SCHEMA_VERSION}." in first


HFZMQ = ("core", "clinical", "clinical/alarm", "wire", "storage", "client")
FOLDERS = {name: f"hfzmq/{name}" for name in HFZMQ} | {
    name: name for name in ("hfzmq", "model", "daemon", "daemon/notify", "cli")
}


def listed_files() -> dict[str, list[str]]:
    """What each table of docs/architecture.md lists, by the folder in its head."""
    found: dict[str, list[str]] = {}
    text = (ROOT / "docs" / "architecture.md").read_text()
    for lines in re.findall(r"^\| file of .*\n(?:\|.*\n)+", text, re.MULTILINE):
        head, _, *rows = lines.splitlines()
        (folder,) = re.findall(r"`(.+)/`", head)
        found[folder] = [name for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])]
    return found


def test_the_architecture_lists_every_file_once_and_none_that_is_not_there() -> None:
    listed = listed_files()
    assert set(listed) == set(FOLDERS)
    for folder, names in listed.items():
        path = ROOT / FOLDERS[folder]
        there = {file.stem for file in path.glob("*.py") if not file.stem.startswith("__")}
        parts = {f"{part.parent.name}/" for part in path.glob("*/__init__.py") if not part.parent.is_symlink()}
        own = {f"{name.rpartition('/')[2]}/" for name in FOLDERS.values() if (ROOT / name).parent == path}
        assert len(names) == len(set(names)), f"{folder}: listed twice"
        gone, missing = set(names) - there - parts, (there | parts - own) - set(names)
        assert not gone, f"docs/architecture.md lists in {folder}/ what is not there: {gone}"
        assert not missing, f"docs/architecture.md does not list in {folder}/: {missing}"


def test_the_figures_of_performance_are_those_of_the_results() -> None:
    told = json.loads((ROOT / "docs" / "results" / "bench.json").read_text())
    text = (ROOT / "docs" / "performance.md").read_text()
    assert put(text, told) == text, (
        "write them anew: python -m hfzmq.cli.bench.document docs/results/bench.json docs/performance.md"
    )
