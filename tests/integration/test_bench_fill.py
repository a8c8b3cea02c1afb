"""Filling a mesh that stands still: its files are as whole as if it had taken the reports in, and all of them alike."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from hfzmq.cli.bench import fill as module
from hfzmq.cli.bench.fill import NAME, UNEQUAL, Spec, Unequal, fill, main
from hfzmq.cli.bench.readback import Acked, all_equal, read_back
from hfzmq.cli.bench.reports import writers
from hfzmq.cli.stored_rows import StoredRows
from hfzmq.config import Config, Limits, render
from hfzmq.errors import HfzmqError
from hfzmq.storage import Reader, Store
from hfzmq.storage.recount import recount
from tests.integration.storage_world import STAMP_MS, Tape, founded, mesh

BEDS, BYTES = 7, 145
KEPT = Limits(log_entries_keep=10)


class Ward:
    """Three peers' files of a mesh that was founded and stands still."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / "peers.yaml"
        self.config: Config = mesh()._replace(limits=KEPT, path=str(path))
        path.write_text(render(self.config))
        tape = Tape()
        tape.config(founded(1))
        persist, apply = tape.persist(*tape.log), tape.apply()
        for peer in self.config.peer_ids:
            with closing(Store.open(self.data_dir(peer), peer, self.config)) as store:
                store.write([persist, apply])

    def data_dir(self, peer: int) -> Path:
        return self.folder / f"peer-{peer}"

    def file(self, peer: int) -> Path:
        return self.data_dir(peer) / f"hfzmq_{peer}.db"

    def spec(self, reports: int, at_ms: int = STAMP_MS) -> Spec:
        folders = [str(self.data_dir(peer)) for peer in self.config.peer_ids]
        return Spec(self.config.path, folders, reports, BEDS, BYTES, at_ms)

    def read_back(self, reports: int, at_ms: int = STAMP_MS, after_id: int = 0) -> None:
        (writer,) = writers(NAME, 1, BEDS, at_ms - reports, BYTES)
        found = {}
        for peer in self.config.peer_ids:
            with StoredRows(Reader(self.file(peer)), after_id) as rows:
                rows.lasting()
                found[str(peer)] = read_back(str(peer), rows, [Acked(writer, reports, reports)])
        all_equal(found)

    def states(self) -> set[tuple[int, bytes]]:
        """Of all three, each counted row by row."""
        found = set()
        for peer in self.config.peer_ids:
            with closing(apsw.Connection(str(self.file(peer)), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
                recovered, _ = recount(connection)
                found.add((recovered.applied, recovered.state_hash))
        return found


@pytest.fixture
def ward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ward:
    """Filled in small steps, so that there are several."""
    monkeypatch.setattr(module, "REQUESTS_A_WRITE", 5)
    return Ward(tmp_path)


def test_what_was_filled_is_on_every_disk_once_and_all_files_are_whole_and_alike(ward: Ward) -> None:
    said: list[dict[str, object]] = []
    fill(ward.spec(2130), said.append)
    assert said[-1] == {"stored": 2130}
    ward.read_back(2130)
    ((applied, _),) = ward.states()
    assert applied == 1 + 22, "an entry a hundred reports"


def test_a_filled_mesh_is_filled_further_and_its_log_is_cut_where_a_daemon_would_cut_it(ward: Ward) -> None:
    fill(ward.spec(3000), lambda told: None)
    said: list[dict[str, object]] = []
    fill(ward.spec(2500, STAMP_MS + 5000), said.append)
    assert said[-1] == {"stored": 5500}
    ward.read_back(2500, STAMP_MS + 5000, after_id=3000)
    assert len(ward.states()) == 1
    for peer in ward.config.peer_ids:
        with closing(Store.open(ward.data_dir(peer), peer, ward.config)) as store:
            log, sessions = store.recovered.log, store.recovered.sessions
            assert store.amnesia is None
            assert KEPT.log_entries_keep <= log.last.index - log.base.index <= 2 * KEPT.log_entries_keep
            assert store.recovered.membership.founded
            assert sorted(session.seq for session in sessions.values()) == [25, 30]


@pytest.mark.parametrize("applied", [False, True])
def test_where_one_file_ends_elsewhere_nothing_is_written(
    ward: Ward, capsys: pytest.CaptureFixture[str], applied: bool
) -> None:
    tape = Tape()
    tape.config(founded(1))
    tape.apply()
    tape.noop()
    with closing(Store.open(ward.data_dir(2), 2, ward.config)) as store:
        store.write([tape.persist(tape.log[-1]), *([tape.apply()] if applied else [])])
    with pytest.raises(Unequal):
        fill(ward.spec(100), lambda told: None)
    path = ward.folder / "spec.json"
    path.write_text(json.dumps(ward.spec(100)._asdict()))
    assert (main(str(path)), capsys.readouterr().out) == (UNEQUAL, "")
    assert [Reader(ward.file(peer)).count() for peer in ward.config.peer_ids] == [0, 0, 0]


def test_a_mesh_that_was_never_founded_is_not_filled(tmp_path: Path) -> None:
    config = mesh()._replace(path=str(tmp_path / "peers.yaml"))
    Path(config.path).write_text(render(config))
    spec = Spec(config.path, [str(tmp_path / f"peer-{peer}") for peer in config.peer_ids], 100, BEDS, BYTES, STAMP_MS)
    with pytest.raises(Unequal):
        fill(spec, lambda told: None)


def test_a_file_that_somebody_holds_is_an_error_that_says_so(ward: Ward, capsys: pytest.CaptureFixture[str]) -> None:
    path = ward.folder / "spec.json"
    path.write_text(json.dumps(ward.spec(100)._asdict()))
    with closing(Store.open(ward.data_dir(3), 3, ward.config)):
        assert main(str(path)) == 1
    assert "another process holds it" in capsys.readouterr().err


def test_entries_that_leave_other_tables_somewhere_are_noticed(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    take = module.File.take

    def wrong(self: module.File, entries: list[object]) -> None:
        take(self, entries)  # type: ignore[arg-type]
        if self.store.identity.peer_id == 2:
            self.state_hash = bytes(16)

    monkeypatch.setattr(module.File, "take", wrong)
    with pytest.raises(HfzmqError, match="different tables"):
        fill(ward.spec(100), lambda told: None)
