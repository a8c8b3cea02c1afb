"""Rot: the files of a peer that was killed, with something in them changed that nobody wrote.

Every such change must be harmless (everything promised is there) or found (the files are set aside; or the start is
refused), never a silent loss. What no peer can find alone is left out: its whole directory, mark and all, put back as
it was at an earlier time. The mesh sees that from its start's number.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from hfzmq.errors import DataDirError
from hfzmq.storage import Store, walscan
from tests.integration.storage_world import Tape, mesh
from tests.powercuts.cuts import STEPS, Violation
from tests.powercuts.disk import Image, Platter
from tests.powercuts.history import Life, lay_out, live

DAMAGES_A_SEED = 60
PAGE_BYTES = 4096
FRAME_BYTES = 24 + PAGE_BYTES
COMMITS_LOST = (1, 1, 1, 2, 4)
FORGETFUL_SHARE = 0.3
WAL = "hfzmq_1.db-wal"
HARMLESS, FOUND, REFUSED, LOST = "harmless", "found", "refused", "lost"

Damage = tuple[str, Image]
"""In words, and the files with it."""


def run(seed: int, directory: Path, count: int = DAMAGES_A_SEED) -> tuple[list[Violation], Counter[str]]:
    """``count`` damages to one life; what was lost without a word, and how many ended how."""
    rng = random.Random(f"rot {seed}")
    life = live(rng, directory / "live", f"rot-{seed}", {}, Tape(), 0, b"", STEPS)
    violations = []
    ends: Counter[str] = Counter()
    for at, words, left, votes_only in _damages(rng, life, count, directory / "stopped"):
        end, what = judge(life, directory / "rot", at, left, votes_only)
        ends[f"{words.split()[1]}: {end}"] += 1
        if end == LOST:
            violations.append(Violation(seed, 0, at, f"{words}: {what}"))
    return violations, ends


def judge(life: Life, directory: Path, at: int, left: Image, votes_only: bool = False) -> tuple[str, str]:
    """How a start on these files ends, and what is wrong with it."""
    try:
        found = life.check(directory, at, left, votes_only)
    except DataDirError:
        return REFUSED, ""
    except Exception as error:
        return LOST, f"{type(error).__name__}: {error}"
    if found.amnesia or found.wrong.startswith("amnesia"):
        return FOUND, ""
    return (LOST, found.wrong) if found.wrong else (HARMLESS, "")


def _damages(rng: random.Random, life: Life, count: int, directory: Path) -> Iterator[tuple[int, str, Image, bool]]:
    """Kills at random calls after the first start, each with one damage; some power cuts and orderly stops, too."""
    started = next(one.calls for one in life.promises if one.incarnation)
    usable = [at for at in range(started, len(life.calls) + 1) if not life.promise_at(at).distrusted]
    platter, played = Platter(life.start), 0
    older: list[Image] = []
    for place in sorted(rng.choices(usable, k=count)):
        for call in life.calls[played:place]:
            platter.play(call)
        played = place
        if rng.random() < 0.3:
            yield place, *_damaged_after_a_cut(rng, platter.outage(rng))
            continue
        image = platter.whole()
        if rng.random() < 0.3:
            image = _stopped(directory, image)
        words, left = damaged(rng, image, rng.choice(older) if older else image)
        older.append(image)
        yield place, words, left, False


def _stopped(directory: Path, image: Image) -> Image:
    """What is left when the peer was started once more and stopped in order: no WAL, all is in the database."""
    lay_out(directory, image)
    Store.open(directory, 1, mesh()).close()
    return {name: (directory / name).read_bytes() for name in image if (directory / name).exists()}


def _damaged_after_a_cut(rng: random.Random, image: Image) -> tuple[str, Image, bool]:
    """After a power cut the mark may be SYNC_MS behind, but not about term and vote, which a removed WAL must not take
    away; and a bit in the midst of the WAL is found without the mark."""
    wal = image.get(WAL, b"")
    frames = (len(wal) - 32) // FRAME_BYTES
    if frames < 8 or rng.random() < 0.3:
        return f"cut {WAL} removed after", {name: data for name, data in image.items() if name != WAL}, True
    good = _commits(wal)
    if len(good) < 4:
        return f"cut {WAL} as it was", image, False
    lately = good[-5] if len(good) > 4 and rng.random() < 0.7 else 0  # what the mark may not have yet
    content, at = bytearray(wal), 32 + rng.randrange(lately * FRAME_BYTES, good[-4] * FRAME_BYTES)
    content[at] ^= 1 << rng.randrange(8)
    return f"cut {WAL} byte {at} in the midst", {**image, WAL: bytes(content)}, False


def _commits(wal: bytes) -> list[int]:
    """After how many frames each transaction ends that SQLite would take."""
    header = walscan._header_of(wal)
    if header is None:
        return []
    _, order, salts, running = header
    frames, ends = walscan._Frames(wal, PAGE_BYTES, order), []
    for number in range(frames.count):
        if frames.salts(number) != salts or not frames.follows(number, running):
            break
        running = frames.stored(number)
        if frames.commits(number):
            ends.append(number + 1)
    return ends


def _forgetful(rng: random.Random, image: Image) -> Damage | None:
    """The last transactions of the WAL are gone as if they had never been: nothing that is there is wrong. None where
    it does not hold more."""
    wal = image.get(WAL, b"")
    ends, lost = _commits(wal), rng.choice(COMMITS_LOST)
    if len(ends) <= lost:
        return None
    at = 32 + ends[-1 - lost] * FRAME_BYTES
    return f"in {WAL} cut at {at}, after a transaction", {**image, WAL: wal[:at]}


def _changed(now: bytes, before: bytes) -> list[int]:
    """Where the pages begin that both have and that differ."""
    starts = range(0, min(len(now), len(before)), PAGE_BYTES)
    return [start for start in starts if now[start : start + PAGE_BYTES] != before[start : start + PAGE_BYTES]]


def damaged(rng: random.Random, image: Image, older: Image) -> Damage:
    """The image with one damage; ``older``: what the files held some time before."""
    if rng.random() < FORGETFUL_SHARE and (forgetful := _forgetful(rng, image)):
        return forgetful
    names = [name for name in image if name.startswith("hfzmq_1.") and image[name]]
    name = rng.choices(names, [2 if name.endswith(".mark") else 10 for name in names])[0]
    content = bytearray(image[name])
    how = rng.randrange(24)
    page = rng.randrange(-(-len(content) // PAGE_BYTES)) * PAGE_BYTES
    at = rng.randrange(len(content))
    if name.endswith("-wal") and rng.random() < 0.2:
        at = rng.randrange(32)
    elif name.endswith(".db") and rng.random() < 0.4:  # rows begin at a page's end: there the small tables have theirs
        at = max(0, min(len(content), (rng.randrange(12) + 1) * PAGE_BYTES) - rng.randint(1, 150))
    elif name.endswith(".mark") and rng.random() < 0.5:
        at = at % 96 + rng.choice((0, PAGE_BYTES))
    words = f"byte {at}"
    if how < 12:
        content[at] ^= 1 << rng.randrange(8)
    elif how < 13:
        content[at] = (content[at] + rng.randint(1, 255)) % 256
    elif how < 14:
        at -= at % 512
        content[at : at + 512] = bytes(len(content[at : at + 512]))
        words = f"zeros from {at}"
    elif how == 14:
        content[page : page + PAGE_BYTES] = bytes(len(content[page : page + PAGE_BYTES]))
        words = f"zeros, page at {page}"
    elif how == 15:
        content[page : page + PAGE_BYTES] = rng.randbytes(len(content[page : page + PAGE_BYTES]))
        words = f"noise, page at {page}"
    elif how < 20:
        page = rng.choice(_changed(image[name], older.get(name, b"")) or [page])
        old = older.get(name, b"")[page : page + PAGE_BYTES]
        content[page : page + len(old)] = old
        words = f"page at {page} as it was before"
    elif how == 20:
        del content[at:]
        words = f"cut at {at}"
    elif how == 21:
        return f"file {name} removed", {other: image[other] for other in image if other != name}
    else:
        content[:] = older.get(name, b"")
        words = "as it was before"
    return f"in {name} {words}", {**image, name: bytes(content)}
