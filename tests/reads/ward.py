"""A ward that fills a peer's file through the product's own store, as fast as that takes it.

Touches the disk. Keeps: all that is written follows from the number of the round, so that a file that was begun can be
filled on; rows come as the mesh stores them: through the log, applied, the log cut behind them.

A round is ten seconds of a ward: one report of each bed, a heart rate of each fourth one. Half of the beds keep their
patient for ever; the others are discharged after ``stay`` rounds, and somebody else comes. Most patients are RED for
five rounds of two hundred, which raises an alarm, and every fifty rounds a nurse has seen to all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from hfzmq.clinical.alarm.facts import Action, Fact
from hfzmq.clinical.alarm.types import ACK, DISCHARGE
from hfzmq.clinical.report import Report
from hfzmq.core.contract import Apply, Compact, Persist
from hfzmq.core.types import BATCH, Entry, Origin, Place, chained
from hfzmq.storage import Store
from hfzmq.wire.body import FACTS, READINGS, REPORTS, encode_body
from hfzmq.wire.facts import encode_fact_rows
from hfzmq.wire.fields import pack
from hfzmq.wire.readings import JudgedReading
from hfzmq.wire.requests import digest, encode_rows
from tests.integration.storage_world import mesh

PEER = 1
ROUND_MS = 10_000
BEGAN_MS = 1_760_000_000_000
STAY_ROUNDS = 8_640  # a day
RED_EVERY, RED_ROUNDS, SEEN_EVERY, READS_EVERY = 200, 5, 50, 4
SENSOR_OFF, UNPARSABLE = 3, 7  # verdicts by their number
ROUNDS_A_WRITE = 50
EPOCH = bytes(16)


class Ward(NamedTuple):
    """``beds``: how many, eight at least; ``stay``: rounds after which half of them change their patient."""

    beds: int = 64
    stay: int = STAY_ROUNDS

    def patient(self, bed: int, number: int) -> str:
        """Who lies there in a round."""
        return f"chronic-{bed:04d}" if bed % 2 == 0 else f"guest-{bed:04d}-{number // self.stay:05d}"

    @property
    def calm(self) -> str:
        """A patient who reports in each round, and was never RED."""
        return self.patient(4, 0)

    @property
    def busy(self) -> str:
        """A patient who reports in each round, and is RED now and then."""
        return self.patient(2, 0)

    @property
    def gone(self) -> str:
        """The first who was discharged; in a young file still there."""
        return self.patient(1, 0)

    def reports(self, number: int) -> list[Report]:
        """Of one round."""
        at_ms = BEGAN_MS + number * ROUND_MS
        return [
            Report(self.patient(bed, number), at_ms + bed, 70.5, 131.0, 1.75, 38.0, number % 300,
                   0.72 if red else 0.41, "RED" if red else "AMBER", 0.5, "hf-reads", "")
            for bed in range(self.beds)
            for red in (self._is_red(bed, number),)
        ]  # fmt: skip

    def readings(self, number: int) -> list[JudgedReading]:
        """Likewise; few of them cannot be believed, next to none could not be read."""
        at_ms = BEGAN_MS + number * ROUND_MS
        found = []
        for bed in range(number % READS_EVERY, self.beds, READS_EVERY):
            nth = number * self.beds + bed
            verdict = UNPARSABLE if nth % 100_003 == 0 else SENSOR_OFF if nth % 41 == 0 else 0
            value, payload = (None, "??") if verdict == UNPARSABLE else (0.0 if verdict else 72.5, "")
            found.append(JudgedReading(self.patient(bed, number), at_ms + bed, value, payload, verdict))
        return found

    def facts(self, number: int) -> list[Fact]:
        """What is done by hand at the end of a round."""
        done: list[Fact] = []
        if number % SEEN_EVERY == SEEN_EVERY - 1:
            done += [Action(ACK, self.patient(bed, number), "nurse") for bed in range(self.beds)]
        if number % self.stay == self.stay - 1:
            done += [Action(DISCHARGE, self.patient(bed, number), "nurse") for bed in range(1, self.beds, 2)]
        return done

    def _is_red(self, bed: int, number: int) -> bool:
        return bed % 8 != 4 and (number + 37 * bed) % RED_EVERY < RED_ROUNDS


def fill(directory: Path, ward: Ward, rows: int, told: Callable[[int], None] = lambda _stored: None) -> Path:
    """Fill the file in ``directory`` until it holds ``rows`` reports at least, in whole rounds; its path. What was
    begun with the same ward goes on. ``told`` hears how many there are."""
    store = Store.open(directory, PEER, mesh())
    try:
        membership = store.recovered.membership
        last, term = store.recovered.log.last, max(1, store.recovered.hard_state.term)
        while store.reports_stored < rows:
            first = store.reports_stored // ward.beds
            entries: list[Entry] = []
            for number in range(first, min(first + ROUNDS_A_WRITE, -(-rows // ward.beds))):
                for body in _bodies(ward, number):
                    origin = Origin("ward", EPOCH, last.index + 1, digest(body))
                    entry = chained(last, term, BATCH, origin, body)
                    entries.append(entry)
                    last = Place(entry.index, entry.term, entry.chain)
            brought = tuple(entries)
            store.write([Persist(last.index, None, None, brought), Apply(brought, (True,) * len(brought))])
            store.write([Compact(last, membership)])
            told(store.reports_stored)
        store.idle_checkpoint()
    finally:
        store.close()
    return store.path


def _bodies(ward: Ward, number: int) -> list[bytes]:
    at_ms = BEGAN_MS + number * ROUND_MS + ROUND_MS // 2
    bodies = [encode_body(at_ms, encode_rows(ward.reports(number)), REPORTS)]
    bodies.append(encode_body(at_ms, pack([list(one) for one in ward.readings(number)]), READINGS))
    facts = ward.facts(number)
    if facts:
        bodies.append(encode_body(at_ms, encode_fact_rows(facts), FACTS))
    return bodies
