"""Docs that show results show those of the results files; what they tell to type is there."""

from __future__ import annotations

import ast
import json
import re

import pytest

from hfzmq.cli.bench.document import put
from hfzmq.clinical.alarm.rules import AlarmRules, to_mapping
from hfzmq.clinical.alarm.types import ACTIONS, WHAT, Episode, Event
from hfzmq.storage.tables import SCHEMA_VERSION
from tests.named_commands import unknown_in
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
MARK = "episode"  # `hfzmq episode 12 step 1` marks a notice and is no command


def commands_in(text: str) -> list[list[str]]:
    """The words behind ``hfzmq`` in each line of a code block that begins with it, and in each span of code."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("hfzmq ")]
    prose = re.sub(r"^```\w*\n.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    spans = [" ".join(span.split()) for span in re.findall(r"`(hfzmq [a-z][^`]*)`", prose)]
    commands = [re.split(r" #| [<>] ", one)[0].split()[1:] for one in lines + spans]
    return [words for words in commands if words[0] != MARK]


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


# ------------------------------------------------------------ the operator's pages

OPERATIONS = ROOT / "docs" / "operations"


def test_the_readme_and_the_operators_day_lead_to_every_page_for_operators() -> None:
    pages = {path.name for path in OPERATIONS.glob("*.md")}
    assert set(re.findall(r"\(docs/operations/(\w+\.md)\)", (ROOT / "README.md").read_text())) == pages
    assert set(re.findall(r"\(operations/(\w+\.md)\)", (ROOT / "docs" / "operations.md").read_text())) == pages


@pytest.mark.parametrize("doc", DOCS)
def test_every_link_to_a_file_or_a_heading_leads_somewhere(doc: str) -> None:
    for target in re.findall(r"\]\(([^)#:]*(?:#[\w-]+)?)\)", (ROOT / doc).read_text()):
        name, _, heading = target.partition("#")
        path = (ROOT / doc).parent / name if name else ROOT / doc
        assert path.exists(), target
        if heading:
            heads = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
            assert heading in [re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads], target


def test_what_check_can_say_is_explained_line_by_line() -> None:
    calls = [
        node for node in ast.walk(ast.parse((ROOT / "cli" / "check.py").read_text())) if isinstance(node, ast.Call)
    ]
    findings = [call.args[1] for call in calls if getattr(call.func, "id", "") == "Finding"]
    parts = [node.value for text in findings for node in ast.walk(text) if isinstance(node, ast.Constant)]
    said = {" ".join(part.split()) for part in parts if isinstance(part, str) and len(part.split()) > 1}
    told = (OPERATIONS / "doctor.md").read_text()
    missing = {part for part in said if part.strip(": ;,") not in told}
    assert len(said) > 8
    assert missing == set()


def test_the_figures_of_performance_are_those_of_the_results() -> None:
    told = json.loads((ROOT / "docs" / "results" / "bench.json").read_text())
    text = (ROOT / "docs" / "performance.md").read_text()
    assert put(text, told) == text, (
        "write them anew: python -m hfzmq.cli.bench.document docs/results/bench.json docs/performance.md"
    )


def test_the_readme_quotes_the_speed_that_was_measured() -> None:
    results = json.loads((ROOT / "docs" / "results" / "bench.json").read_text())
    told, gap = results["speed"]["workloads"], results["failover_lease_1000_ms"]["gap_ms"]
    rates = " / ".join(f"{one['systems']['hfzmq']['rate']:,}" for one in told)
    ratios = " / ".join(f"{one['ratio_to_sketch']['hfzmq']['rate']:g}" for one in told)
    text = (ROOT / "README.md").read_text()
    assert f": {rates};" in text
    assert f" {ratios} of what a bare sketch does" in text
    assert f"waited {gap['p50'] / 1000:.2f} s at the median and {gap['max'] / 1000:.2f} s at worst" in text
