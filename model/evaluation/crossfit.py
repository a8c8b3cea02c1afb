"""The fits of an evaluation: each on the patients of one cut, in processes side by side, remembered on disk.

Touches one file of remembered results, which only this process writes, and child processes. Must not know: scores,
goals. Keeps: what is held out is never seen by its fit (scaler, teacher and network learn from ``train`` alone); a fit
runs on one thread with the seed of its number, so results depend neither on the order nor on how many run at once; a
line that is whole on disk is never computed again, one that was cut off is.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hfzmq.errors import HfzmqError
from hfzmq.model import network
from hfzmq.model.evaluation.protocol import Cut
from hfzmq.model.features import DAY, DAY_FLOOR, Cohort
from hfzmq.model.inference import RiskModel
from hfzmq.model.network import Recipe
from hfzmq.model.train import parts_of, versions

Array = NDArray[np.float64]

OWN, GUARDED, EARLY, AT_5, LATE = "own", "guarded", "at_0", "at_5", "at_280"
_DAYS = {EARLY: 0.0, AT_5: 5.0, LATE: 280.0}


class Fit(NamedTuple):
    """One fit: ``name`` in the file, the cut, the seed, and whether it may see the day."""

    name: str
    cut: Cut
    seed: int
    with_day: bool = True

    @property
    def key(self) -> str:
        """Under which its results are remembered: another seed or cut is another fit."""
        held = zlib.crc32(self.cut.test.astype("<i8").tobytes())
        return f"{self.name} seed {self.seed} held out {held:08x} day {self.with_day}"


Held = Mapping[str, Array]
"""Of those held out by one fit, in the order of ``cut.test``: the study probability on the ``own`` day, the ``guarded``
one, and the study probability with the day set to 0, 5 and 280."""


def crossfit(
    cohort: Cohort,
    fits: Sequence[Fit],
    recipe: Recipe,
    memory: Path,
    processes: int,
    progress: Callable[[int, int], None],
) -> dict[str, Held]:
    """What each fit says of those it held out, by its name. ``memory``: a folder for the results, so that a run that
    was stopped goes on; ``progress(done, of)``. HfzmqError when a process dies or the folder cannot be written."""
    made_by = versions(network.toolkit())
    path = memory / f"fits-{_key(cohort, recipe, made_by)}.jsonl"
    try:
        memory.mkdir(parents=True, exist_ok=True)
        found = _remembered(path, fits)
        keys = {fit.name: fit.key for fit in fits}
        missing = [fit for fit in fits if fit.name not in found]
        progress(len(found), len(fits))
        if missing:
            with path.open("a", encoding="utf-8") as file:
                for name, held in _run(cohort, missing, recipe, made_by, processes):
                    file.write(json.dumps({"fit": keys[name], **held}) + "\n")
                    file.flush()
                    found[name] = {key: np.array(values) for key, values in held.items()}
                    progress(len(found), len(fits))
    except OSError as error:
        raise HfzmqError(f"cannot use {memory}: {error.strerror or error}", hint="choose another --work") from None
    return found


def fit_one(cohort: Cohort, fit: Fit, recipe: Recipe, made_by: Mapping[str, str]) -> dict[str, list[float]]:
    """Train on ``fit.cut.train`` and judge ``fit.cut.test`` (see Held), by the same inference as at the bedside."""
    x = cohort.x if fit.with_day else _without_day(cohort.x)
    seen = cohort._replace(x=x[fit.cut.train], died=cohort.died[fit.cut.train])
    fitted = network.fit(seen, fit.seed, recipe, lambda stage, share: None)
    model = RiskModel(parts_of(seen, fitted, fit.seed, recipe, made_by))
    test = x[fit.cut.test]
    guarded, own = model.probabilities(test)
    held = {OWN: own.tolist(), GUARDED: guarded.tolist()}
    for name, day in _DAYS.items():
        moved = test.copy()
        moved[:, DAY] = day
        held[name] = model.probabilities(moved)[1].tolist()
    return held


def _without_day(x: Array) -> Array:
    """The same day for everybody says nothing."""
    blind: Array = x.copy()
    blind[:, DAY] = DAY_FLOOR
    return blind


def _run(
    cohort: Cohort, fits: Sequence[Fit], recipe: Recipe, made_by: Mapping[str, str], processes: int
) -> Iterator[tuple[str, dict[str, list[float]]]]:
    # Spawned, not forked: TensorFlow has threads by now.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, _begin, (cohort, recipe, dict(made_by)))
    try:
        open_fits: dict[Future[dict[str, list[float]]], str] = {pool.submit(_work, fit): fit.name for fit in fits}
        while open_fits:
            for future in wait(open_fits, return_when=FIRST_COMPLETED).done:
                yield open_fits.pop(future), future.result()
    except BrokenProcessPool:
        hint = "run it again: what was done is kept; too little memory? --processes 1"
        raise HfzmqError("a process that trained was killed", hint=hint) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_given: list[Any] = []  # of a child process: cohort, recipe, versions


def _begin(*given: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _given[:] = given
    network.toolkit()


def _end_with_parent() -> None:
    """A parent that was killed cannot say so: its children would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(fit: Fit) -> dict[str, list[float]]:
    cohort, recipe, made_by = _given
    return fit_one(cohort, fit, recipe, made_by)


def _key(cohort: Cohort, recipe: Recipe, made_by: Mapping[str, str]) -> str:
    """What a remembered result depends on: also the code that fits and judges."""
    code = hashlib.sha256()
    for file in (*sorted(Path(network.__file__).parent.glob("*.py")), Path(__file__)):
        code.update(file.read_bytes())
    said = json.dumps([cohort.sha256, recipe._asdict(), dict(made_by), code.hexdigest()], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:12]


def _remembered(path: Path, fits: Sequence[Fit]) -> dict[str, Held]:
    known = {fit.key: fit for fit in fits}
    found: dict[str, Held] = {}
    if not path.exists():
        return found
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):  # cut off while it was written: the next line must begin on a line of its own
        os.truncate(path, whole)
    for line in content[:whole].splitlines():
        try:
            value = json.loads(line)
            fit = known.get(value["fit"])
            held = {key: np.array(value[key], dtype=np.float64) for key in (OWN, GUARDED, *_DAYS)}
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        if fit is not None and {len(values) for values in held.values()} == {len(fit.cut.test)}:
            found[fit.name] = held
    return found
