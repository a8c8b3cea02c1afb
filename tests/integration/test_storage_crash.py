"""A crash takes whole transactions or none; what was reported as written is there. kill -9 shows the first, a disk that
forgets what was not synced shows the second (kill -9 proves nothing about power)."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import apsw
import pytest

from hfzmq.core.contract import Apply, Compact, Persist
from hfzmq.core.types import HardState
from hfzmq.storage import Store
from hfzmq.storage import connection as connection_module
from tests.integration.storage_world import (
    REPOSITORY,
    FaultyDisk,
    FaultyFile,
    Held,
    Tape,
    expected_of,
    held_by,
    mesh,
    report,
)

# -------------------------------------------------------------------------------------------------------------- kill -9

WRITER = """
import sys
from pathlib import Path
from hfzmq.storage import Store
from tests.integration.storage_world import mesh
from tests.integration.test_storage_crash import Script

store, script = Store.open(Path(sys.argv[1]), 1, mesh()), Script(int(sys.argv[2]))
while True:
    effects = script.step()
    store.write(effects)
    print(script.steps, flush=True)
"""


class Script:
    """A seeded history in which no transaction is small: each step's effects, and what must be held after it."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self.tape = Tape()
        self.steps = 0

    def step(self, size: int = 40) -> list[Persist | Apply | Compact]:
        tape, rng = self.tape, self._rng
        effects: list[Persist | Apply | Compact] = []
        if rng.random() < 0.5:
            effects.append(tape.persist(hard_state=HardState(tape.hard_state.term + 1, rng.randint(0, 3))))
        if len(tape.log) > tape.applied and rng.random() < 0.3:
            effects.append(tape.persist(truncate_from=tape.truncate(rng.randint(tape.applied + 1, len(tape.log)))))
        entries = []
        for _ in range(rng.randint(1, size)):
            rows = [report(rng.randint(0, 99)) for _ in range(rng.randint(0, 5))]
            entries.append(tape.batch(rows) if rng.random() < 0.9 else tape.noop())
        effects.append(tape.persist(*entries))
        if rng.random() < 0.7:
            effects.append(tape.apply(rng.randint(tape.applied + 1, len(tape.log))))
        if rng.random() < 0.3:
            effects.append(tape.compact(rng.randint(tape.base, tape.applied)))
        self.steps += 1
        return effects


@pytest.mark.parametrize("seed", range(6))
def test_kill_9_loses_no_reported_write_and_splits_none(tmp_path: Path, seed: int) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path), str(seed)], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout
    with writer:
        reported = 0
        for line in writer.stdout:
            reported = int(line)
            if reported >= 5 + 7 * seed:
                os.kill(writer.pid, signal.SIGKILL)  # wherever it is by now
                break
        rest = writer.stdout.read().split()
    assert writer.returncode == -signal.SIGKILL
    reported = int(rest[-1]) if rest else reported
    script = Script(seed)
    while script.steps < reported:
        script.step()
    store = Store.open(tmp_path, 1, mesh())
    found = held_by(store)
    if found != expected_of(script.tape):
        script.step()  # it was killed after a commit and before its report
        assert found == expected_of(script.tape)
    store.close()


# ----------------------------------------------------------------------------------------------------------- power cuts


class Platter(FaultyDisk):
    """A disk that keeps apart what was synced and what was only written.

    ``outage`` builds what a power cut leaves: all that was synced; of each write since then all, part or nothing."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.synced: dict[str, bytes] = {}
        self.since: dict[str, list[tuple[int, bytes | None]]] = {}  # (offset, data); None: cut off there

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> PlatterFile:
        return PlatterFile(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        super().xDelete(filename, syncdir)
        self.synced.pop(filename, None)
        self.since.pop(filename, None)

    def wrote(self, path: str, offset: int, data: bytes | None) -> None:
        self.happen("truncate" if data is None else "write", path)
        self.since.setdefault(path, []).append((offset, data))

    def sync(self, path: str) -> None:
        self.happen("sync", path)
        self.synced[path] = _replayed(self.synced.get(path, b""), self.since.pop(path, []))

    def outage(self, rng: random.Random) -> dict[str, bytes]:
        left = {}
        keep = rng.choice([0.0, 0.5, 0.9])
        for path in {*self.synced, *self.since}:
            survived: list[tuple[int, bytes | None]] = []
            for offset, data in self.since.get(path, []):
                if rng.random() < keep:
                    survived.append((offset, data))
                elif data and rng.random() < 0.3:
                    survived.append((offset, data[: rng.randrange(len(data))]))
            left[os.path.basename(path)] = _replayed(self.synced.get(path, b""), survived)
        return left


class PlatterFile(FaultyFile):
    disk: Platter

    def xWrite(self, data: Any, offset: int) -> None:
        self.disk.wrote(self.path, offset, bytes(data))
        super(FaultyFile, self).xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:
        self.disk.wrote(self.path, newsize, None)
        super(FaultyFile, self).xTruncate(newsize)

    def xSync(self, flags: int) -> None:
        self.disk.sync(self.path)
        super(FaultyFile, self).xSync(flags)


def _replayed(content: bytes, writes: list[tuple[int, bytes | None]]) -> bytes:
    image = bytearray(content)
    for offset, data in writes:
        if data is None:
            del image[offset:]
        else:
            image.extend(bytes(max(0, offset - len(image))))
            image[offset : offset + len(data)] = data
    return bytes(image)


def cuts_lose(directory: Path, seed: int, cuts: int, vfs: str) -> list[str]:
    """Write under ``cuts`` power cuts at random calls to the disk; each violation in a line."""
    rng = random.Random(seed)
    platter = Platter(vfs)
    script = Script(seed)
    promised, states = 0, [expected_of(script.tape)]
    outages: list[tuple[int, int, dict[str, bytes]]] = []  # (writes promised, writes begun, what is left)
    opened = False

    def cut(operation: str, file: str) -> None:
        if opened and len(outages) < cuts and rng.random() < 0.15:
            outages.append((promised, len(states) - 1, platter.outage(rng)))

    platter.before = cut
    store = Store.open(directory / "live", 1, mesh(), vfs=vfs)
    who, opened = store.identity, True
    while len(outages) < cuts:
        effects = script.step(size=8)
        states.append(expected_of(script.tape))
        store.write(effects)
        promised = len(states) - 1
        if rng.random() < 0.2:
            outages.append((promised, promised, platter.outage(rng)))  # right after the promise
        if rng.random() < 0.1:
            store.idle_checkpoint()
        if rng.random() < 0.03:
            store.close()
            store = Store.open(directory / "live", 1, mesh(), vfs=vfs)
            who = store.identity
    store.close()
    platter.unregister()
    violations = []
    for number, (least, most, files) in enumerate(outages):
        left = directory / f"cut-{number}"
        left.mkdir()
        for name, content in files.items():
            (left / name).write_bytes(content)
        violations += [
            f"cut {number}: {words}" for words in wrong_after(left, states[least : most + 1], who.incarnation)
        ]
    return violations


def wrong_after(directory: Path, allowed: list[Held], incarnation: bytes) -> list[str]:
    store = Store.open(directory, 1, mesh())
    found = held_by(store)
    same = store.identity.incarnation == incarnation
    store.close()
    words = [] if same else ["another incarnation"]
    if found not in allowed:
        words.append(f"log ends with {len(found.log)}, promised were {len(allowed[0].log)} entries")
    return words


@pytest.mark.parametrize("seed", range(4))
def test_a_power_cut_at_any_call_leaves_every_promise_and_no_half_transaction(tmp_path: Path, seed: int) -> None:
    assert cuts_lose(tmp_path, seed, 60, f"platter-{seed}") == []


def test_this_very_test_finds_a_store_that_syncs_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    relaxed = [("synchronous", "NORMAL", 1), *connection_module.PRAGMAS[1:]]
    monkeypatch.setattr(connection_module, "PRAGMAS", relaxed)
    assert cuts_lose(tmp_path, 1, 60, "platter-relaxed") != []


def test_a_power_cut_while_the_file_is_founded_leaves_a_new_file_or_a_whole_one(tmp_path: Path) -> None:
    rng = random.Random(5)
    platter = Platter("platter-founding")
    outages: list[dict[str, bytes]] = []
    platter.before = lambda operation, file: outages.append(platter.outage(rng))
    store = Store.open(tmp_path / "live", 1, mesh(), vfs="platter-founding")
    boots, outages_of_opening = store.identity, list(outages)
    store.close()
    after = platter.outage(rng)
    platter.unregister()
    assert len(outages_of_opening) > 20
    for number, files in enumerate([*outages_of_opening, after]):
        left = tmp_path / str(number)
        left.mkdir()
        for name, content in files.items():
            (left / name).write_bytes(content)
        again = Store.open(left, 1, mesh())
        assert again.identity.boot_no >= 1
        if files is after:
            assert again.identity == boots._replace(boot_no=2)
        again.close()
