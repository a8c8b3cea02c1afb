"""The table of scenarios: whole numbers, 80 columns, and nothing that is not known."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from hfzmq.cli.scenario.catalogue import LEADER_FAILURE, LONG_RUNNING, SCENARIOS
from hfzmq.cli.scenario.check import check
from hfzmq.cli.scenario.plays import Terms, play_of
from hfzmq.cli.scenario.round import FAILED, NOT_RUN, PASSED, Result, Round, as_json
from hfzmq.cli.scenario.show import Lines, Table
from hfzmq.cli.scenario.stage import Injected, Stage
from hfzmq.cli.scenario.table import WIDTH, conclusion, head, line_of, line_text, round_lines, wrapped
from tests.unit.scenario_world import account, holdings, rows

FIVE = rows(1, 2, 3, 4, 5)


def result(verdict: str = PASSED, number: int = 1, of: int = 5, **other: object) -> Result:
    this = Round(LEADER_FAILURE, number, of, Terms(60.0, number), Path("out") / "leader-failure-1")
    injected = (Injected(3245, "killed peer 1, the leader"), Injected(9000, "started peer 1 again"))
    found = check(holdings(FIVE, FIVE, FIVE), [account()])
    made = Result(this, verdict, "2026-01-01T00:00:00+00:00", 5.8, injected, {}, 1037, found, ())
    return made._replace(**other)  # type: ignore[arg-type]


def test_every_scenario_has_a_play_and_its_own_name() -> None:
    assert len({scenario.slug for scenario in SCENARIOS}) == len(SCENARIOS) == 9
    assert len({play_of(scenario) for scenario in SCENARIOS}) == 9


def test_a_passed_round_is_one_line_under_the_head_and_what_was_injected() -> None:
    assert [head(5), *round_lines(result())] == [
        "scenario               round    acked gap ms lost doubled out of order verdict",
        "Leader Failure           1/5        5   1037    0       0            0 PASSED",
        "  killed peer 1, the leader; started peer 1 again",
    ]


def test_a_failed_round_says_what_is_wrong_and_where_to_look() -> None:
    found = check(holdings(FIVE[:4], FIVE[:4], FIVE[:4]), [account()])
    lines = round_lines(result(FAILED, findings=found, problems=(*found.examples, "not within 30 s: a leader serves")))
    assert lines[0] == "Leader Failure           1/5        5   1037    1       0            0 FAILED"
    assert "  problem: lost: report 5 of bed-01 (index 50) is not in the file of 1, 2, 3" in lines
    assert "  problem: not within 30 s: a leader serves" in lines
    assert lines[-1] == "  look into out/leader-failure-1"


def test_what_is_not_known_is_a_dash_and_never_a_zero() -> None:
    one = result(NOT_RUN, findings=None, gap_ms=None, injected=(), problems=("no command 'peer'",))
    assert round_lines(one) == [
        "Leader Failure           1/5        -      -    -       -            - NOT RUN",
        "  problem: no command 'peer'",
    ]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.slug)
def test_a_line_fits_into_80_columns_with_a_million_reports_and_999_rounds(scenario: object) -> None:
    line = line_of(result(NOT_RUN, of=999, number=999))._replace(name=LONG_RUNNING.name, acked=12345678, gap_ms=600_000)
    assert len(line_text(line, 999)) <= WIDTH
    assert len(head(999)) <= WIDTH


def test_a_number_that_is_too_long_for_its_column_is_shown_whole() -> None:
    line = line_of(result())._replace(acked=1234567890123, gap_ms=987654321)
    assert " 1234567890123 987654321 " in line_text(line, 5)


def test_long_words_are_never_cut_and_escapes_never_reach_the_terminal() -> None:
    path = "/" + "x" * 120
    assert wrapped(f"look into {path} \x1b[2J", 40) == ["  look into", f"    {path}", "    \\x1b[2J"]


@pytest.mark.parametrize(
    ("results", "wanted", "words"),
    [
        ([result()], 1, "1 round, passed"),
        ([result(), result(number=2)], 2, "2 rounds, all passed"),
        ([result(), result(FAILED)], 2, "1 of 2 rounds passed; NOT passed: Leader Failure"),
        ([result()], 3, "1 of 3 rounds passed; 2 not begun or not finished"),
        ([], 1, "0 of 1 rounds passed; 1 not begun or not finished"),
    ],
)
def test_the_conclusion_counts_what_passed_of_what_was_asked_for(
    results: list[Result], wanted: int, words: str
) -> None:
    assert conclusion(results, wanted) == words


def test_json_says_all_that_the_table_says() -> None:
    told = json.loads(json.dumps(as_json(result(measured={"reports_per_s": 1234}))))
    for key, value in {
        "scenario": "Leader Failure",
        "round": 1,
        "rounds": 5,
        "verdict": "PASSED",
        "acked": 5,
        "longest_gap_ms": 1037,
        "lost": 0,
        "doubled": 0,
        "out_of_order": 0,
        "stored": {"1": 5, "2": 5, "3": 5},
        "reports_per_s": 1234,
        "injected": [
            {"at_ms": 3245, "what": "killed peer 1, the leader"},
            {"at_ms": 9000, "what": "started peer 1 again"},
        ],
    }.items():
        assert told[key] == value
    unknown = as_json(result(FAILED, findings=None))
    assert unknown["lost"] is unknown["acked"] is None


# ------------------------------------------------------------------------------------------------------------- shown


def test_plain_lines_carry_the_table_on_stdout_and_each_step_once_on_stderr(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show = Lines(5, as_jsonl=False)
    show.begin(result().round)
    show.step("waiting: another leads")
    show.step("waiting: another leads")
    show.end(result())
    out, err = capsys.readouterr()
    assert out.splitlines() == [head(5), *round_lines(result())]
    assert [line.split(" ", 1)[1] for line in err.splitlines()] == [
        "Leader Failure 1/5: begins",
        "Leader Failure 1/5: waiting: another leads",
    ]


def test_json_lines_carry_one_object_a_round_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    show = Lines(5, as_jsonl=True)
    show.begin(result().round)
    show.end(result())
    show.begin(result(number=2).round)
    show.end(result(number=2))
    assert [json.loads(line)["round"] for line in capsys.readouterr().out.splitlines()] == [1, 2]


def test_the_running_round_is_drawn_with_dashes_until_the_files_were_read(tmp_path: Path) -> None:
    screen = Console(file=io.StringIO(), width=80, force_terminal=True)
    table = Table(5, screen)
    table.begin(result().round)
    assert str(table.draw()).splitlines() == [
        "Leader Failure           1/5        -      -    -       -            - runs",
        "  0 s: begins",
    ]
    stage = Stage(tmp_path, 3)
    try:
        table.stage(stage)
        stage.inject("killed peer 1, the leader")
        table.step("waiting: another leads")
        assert str(table.draw()).splitlines() == [
            "Leader Failure           1/5        0      -    -       -            - runs",
            "  killed peer 1, the leader",
            "  0 s: waiting: another leads",
        ]
    finally:
        stage.close()
    table.end(result())
    assert str(table.draw()) == ""


@pytest.mark.parametrize("width", [40, 80, 120])
def test_nothing_of_a_finished_round_is_missing_from_the_live_table(width: int) -> None:
    file = io.StringIO()
    table = Table(5, Console(file=file, width=width, force_terminal=True, color_system=None))
    with table.shown():
        table.begin(result().round)
        table.end(result(gap_ms=987654321))
    shown = file.getvalue()
    for words in ("Leader", "1/5", "987654321", "PASSED", "killed peer 1"):
        assert words in shown
    assert "…" not in shown
