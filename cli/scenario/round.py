"""One round of a scenario: the stage is set, the play is played, everything ends in order, the files are read.

Touches one folder, and processes through Stage. Must not know: screens. Keeps: a round that failed on the way is ended
in order too, and its files are checked all the same; whatever ends it, no process stays behind; ``result.json`` in the
folder says all that the table says, and more.

    peers start --> the play --> clients end, their last acks --> all peers hold the same --> peers end
        --> each peer's file against each client's history --> Result
"""

from __future__ import annotations

import contextlib
import json
import platform
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

from hfzmq import __version__
from hfzmq.cli.results_file import cores
from hfzmq.cli.scenario.account import Account, History, accounts_of
from hfzmq.cli.scenario.catalogue import DYNAMIC_MEMBERSHIP, Scenario
from hfzmq.cli.scenario.check import FAULTS_FROM, FAULTS_TO, Findings, Holding, check
from hfzmq.cli.scenario.members import CannotRun, check_it_can_run
from hfzmq.cli.scenario.plays import Terms, play_of
from hfzmq.cli.scenario.stage import Failed, Injected, Stage
from hfzmq.cli.stored_rows import StoredRows
from hfzmq.errors import HfzmqError
from hfzmq.storage import Reader

PASSED, FAILED, NOT_RUN = "PASSED", "FAILED", "NOT RUN"


class Round(NamedTuple):
    """Which round of how many, of which scenario, with what was decided for it."""

    scenario: Scenario
    number: int
    of: int
    terms: Terms
    folder: Path


class PeerFile(NamedTuple):
    """A peer's database. ``whole``: it had caught up with the others, so it must hold everything."""

    path: Path
    whole: bool = True


class Result(NamedTuple):
    """What came of a round. ``gap_ms``: the longest time between two acknowledgements of those who write steadily;
    ``findings``: None when the files could not be compared; ``problems``: in words, none when all is well."""

    round: Round
    verdict: str
    started_at: str
    elapsed_s: float
    injected: tuple[Injected, ...]
    measured: dict[str, int]
    gap_ms: int | None
    findings: Findings | None
    problems: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether everything went as it must."""
        return self.verdict == PASSED


def run_round(
    this: Round,
    tick: Callable[[], None] = lambda: None,
    tell: Callable[[str], None] = lambda words: None,
    on_stage: Callable[[Stage], None] = lambda stage: None,
) -> Result:
    """Run one round; its folder is made. ``tick`` is called several times a second and may raise to end all;
    ``tell`` gets each step in words; ``on_stage`` gets the stage, to show how it goes."""
    this.folder.mkdir(parents=True)
    started_at = datetime.now(timezone.utc).isoformat(timespec="seconds")
    began = time.monotonic()
    problems: list[str] = []
    try:
        if this.scenario == DYNAMIC_MEMBERSHIP:
            check_it_can_run()
    except CannotRun as error:
        result = Result(this, NOT_RUN, started_at, 0.0, (), {}, None, None, (str(error),))
        _write(result)
        return result
    scenario = this.scenario
    spare = 1 if scenario == DYNAMIC_MEMBERSHIP else 0
    stage = Stage(this.folder, scenario.peers, links=scenario.links, spare=spare, tick=tick, tell=tell)
    try:
        on_stage(stage)
        whole = _play(stage, this, problems)
        problems += stage.end_peers()
        stage.acks.close()
        tell("reading the files of all peers")
        peers = sorted(stage.members | stage.ended)
        files = {peer: PeerFile(stage.file(peer), peer in whole) for peer in peers}
        findings = compare(files, stage.clients.histories, problems)
    finally:
        stage.close()
    problems += findings.examples if findings else ()
    verdict = FAILED if problems or findings is None or not findings.sound else PASSED
    elapsed_s = round(time.monotonic() - began, 1)
    injected, gap_ms = tuple(stage.injected), stage.acks.longest_gap_ms
    result = Result(this, verdict, started_at, elapsed_s, injected, stage.measured, gap_ms, findings, tuple(problems))
    _write(result)
    return result


def as_json(result: Result) -> dict[str, Any]:
    """What ``result.json`` and ``--json`` say."""
    found = result.findings
    counts: dict[str, Any] = dict.fromkeys(("sent", "acked", *Findings._fields[FAULTS_FROM:FAULTS_TO]))
    if found is not None:
        counts = {name: getattr(found, name) for name in counts}
    return {
        "scenario": result.round.scenario.name,
        "round": result.round.number,
        "rounds": result.round.of,
        "verdict": result.verdict,
        "injected": [{"at_ms": one.at_ms, "what": one.words} for one in result.injected],
        **counts,
        "longest_gap_ms": result.gap_ms,
        **result.measured,
        "stored": {} if found is None else {str(peer): rows for peer, rows in found.stored},
        "problems": list(result.problems),
        "started_at": result.started_at,
        "elapsed_s": result.elapsed_s,
        "folder": str(result.round.folder),
        "seed": result.round.terms.seed,
        "version": __version__,
        "python": platform.python_version(),
        "cores": cores(),
    }


def _play(stage: Stage, this: Round, problems: list[str]) -> set[int]:
    """Play, then end the clients; the members that have caught up with each other: their files must be whole."""
    try:
        stage.begin(this.scenario.steady)
        play_of(this.scenario)(stage, this.terms)
    except Failed as failure:
        problems.append(str(failure))
    problems += stage.end_clients()
    caught_up = stage.members & stage.running
    if not caught_up:
        return set()
    try:
        stage.equal()
    except Failed as failure:
        problems.append(str(failure))
        return set()
    return caught_up & stage.running


def compare(files: Mapping[int, PeerFile], histories: Iterable[History], problems: list[str]) -> Findings | None:
    """The files of all peers (by id) against the clients' histories; what is wrong beside the findings is added to
    ``problems``. None: a file could not be read to its end."""
    accounts: list[Account] = [account for history in histories for account in accounts_of(history)]
    for account in accounts:
        problems += account.problems[:3]
        if account.sent != account.acked:
            problems.append(f"{account.name} sent {account.sent} reports, {account.acked} were acknowledged")
    if not any(account.acked for account in accounts):
        problems.append("nothing was acknowledged")
    with contextlib.ExitStack() as opened:
        stored: dict[int, StoredRows] = {}
        for peer, file in files.items():
            try:
                stored[peer] = opened.enter_context(StoredRows(Reader(file.path)))
            except HfzmqError as error:
                problems.append(f"peer {peer}'s file cannot be read: {error}")
        # The alarms go on after the last report: a peer that ends a moment later may have applied one entry more.
        if len({rows.applied for rows in stored.values()}) > 1:
            for rows in stored.values():
                rows.lasting()
        holdings = [Holding(peer, rows.fields, rows, files[peer].whole) for peer, rows in stored.items()]
        try:
            return check(holdings, accounts)
        except HfzmqError as error:
            problems.append(f"a file cannot be read to its end: {error}")
            return None


def _write(result: Result) -> None:
    text = json.dumps(as_json(result), indent=2, ensure_ascii=False) + "\n"
    (result.round.folder / "result.json").write_text(text, encoding="utf-8")
