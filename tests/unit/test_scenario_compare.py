"""The peers' real files against the clients' histories: what a later entry may still change is no difference."""

from __future__ import annotations

from pathlib import Path

from hfzmq.cli.scenario.account import History
from hfzmq.cli.scenario.check import Findings
from hfzmq.cli.scenario.round import PeerFile, compare
from hfzmq.cli.scenario.writer import report_of
from hfzmq.storage import Store
from tests.integration.storage_world import Tape, mark_alerted, mesh
from tests.unit.scenario_world import BASE_MS, write_lines


def filled(folder: Path, peer: int, more: int = 0, alerted: bool = False) -> PeerFile:
    """One report and ``more`` entries after it, ``alerted``: it has raised an alarm by now."""
    store, tape = Store.open(folder, peer, mesh()), Tape()
    tape.write(store, [report_of("bed-01", BASE_MS, 1)])
    for _ in range(more):
        tape.write(store, [])
    store.close()
    if alerted:
        mark_alerted(store.path, 1)
    return PeerFile(store.path)


def compared(folder: Path, *files: PeerFile) -> Findings:
    history = folder / "writer.jsonl"
    history.unlink(missing_ok=True)
    write_lines(history, {"event": "started", "session": "bed-01", "base_ms": BASE_MS, "batch": 1})
    write_lines(history, {"event": "sent", "session": "bed-01", "to": 1})
    write_lines(history, {"event": "ack", "session": "bed-01", "to": 1, "index": 1})
    problems: list[str] = []
    found = compare(dict(enumerate(files, 1)), [History(history)], problems)
    assert problems == []
    assert found is not None
    return found


def test_a_peer_that_ended_one_entry_later_may_have_raised_an_alarm(tmp_path: Path) -> None:
    found = compared(tmp_path, filled(tmp_path / "1", 1), filled(tmp_path / "2", 2, more=1, alerted=True))
    assert found.sound


def test_at_the_same_entry_an_alarm_that_one_peer_raised_alone_is_a_difference(tmp_path: Path) -> None:
    found = compared(tmp_path, filled(tmp_path / "1", 1), filled(tmp_path / "2", 2, alerted=True))
    assert found.differing == 1
