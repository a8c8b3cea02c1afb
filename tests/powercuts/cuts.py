"""Power cuts at calls to the disk: each leaves files that are opened and compared with what was promised by then."""

from __future__ import annotations

import random
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from hfzmq.storage import walscan
from tests.integration.storage_world import Tape
from tests.powercuts.disk import Image, Platter
from tests.powercuts.history import Life, Promise, live

LIVES = 3
STEPS = 14
CUTS_A_LIFE = 40
CUTS_A_SEED = LIVES * CUTS_A_LIFE
MEMORY = Path("/dev/shm")  # thousands of small files, none of which needs a real disk


class Violation(NamedTuple):
    """A promise that was broken: where the power went, and what was found."""

    seed: int
    life: int
    call: int
    what: str


@contextmanager
def workplace() -> Iterator[Path]:
    """A directory in memory, where there is one. Frames are the same in many cuts: their sums are kept."""
    plain = walscan.checksum
    walscan.checksum = lru_cache(maxsize=4096)(plain)
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as name:
        try:
            yield Path(name)
        finally:
            walscan.checksum = plain


def run(seed: int, directory: Path, cuts: int = CUTS_A_SEED) -> list[Violation]:
    """The cuts of one seed, ``cuts`` in all; the promises they broke, at most one a life."""
    rng = random.Random(seed)
    image: Image = {}
    tape, promise = Tape(), Promise(0, 0, 0, 0, b"")
    for number in range(LIVES):
        quota = cuts * (number + 1) // LIVES - cuts * number // LIVES
        at = -1
        try:
            vfs = f"recorder-{seed}-{number}"
            life = live(rng, directory / "live", vfs, image, tape, promise.boot_no, promise.incarnation, STEPS)
            outages = []
            for at, left in _outages(rng, life, quota):
                found = life.check(directory / "cut", at, left)
                if found.wrong:
                    return [Violation(seed, number, at, found.wrong)]
                if not found.amnesia and not life.promise_at(at).distrusted:
                    outages.append((at, left, found.tape))
        except Exception as error:  # a store that cannot be opened or written breaks its promise, too
            where = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
            return [Violation(seed, number, at, what)]
        if not outages:
            break
        at, image, tape = rng.choice(outages)
        promise = life.promise_at(at)
    return []


def _outages(rng: random.Random, life: Life, count: int) -> Iterator[tuple[int, Image]]:
    """After every k-th call and at random ones; several may come at one call."""
    total = len(life.calls)
    every = max(1, 2 * total // max(1, count))
    places = list(range(rng.randrange(every), total + 1, every))[:count]
    places += [rng.randint(0, total) for _ in range(count - len(places))]
    platter, played = Platter(life.start), 0
    for place in sorted(places):
        for call in life.calls[played:place]:
            platter.play(call)
        played = place
        yield place, platter.outage(rng)
