"""Alarms in a real file, written as a peer would, and peers that answer from it over real sockets.

The clock begins at START; ``at`` is milliseconds after it. Every word is one entry of the log.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from hfzmq.clinical.alarm.facts import Action, Clock, Fact
from hfzmq.clinical.alarm.types import NOT_FOUND
from hfzmq.clinical.heart_rate import HeartRateRules, Reading
from hfzmq.config import Config, PeerAddress
from hfzmq.core.contract import Apply, Persist
from hfzmq.core.types import BATCH, START, Entry, Origin, chained
from hfzmq.storage import Reader, Store
from hfzmq.wire import requests as wire
from hfzmq.wire.body import FACTS, READINGS, encode_body
from hfzmq.wire.facts import encode_fact_rows
from hfzmq.wire.pages import AlarmEvents, Alarms
from hfzmq.wire.readings import judge_rows
from tests.integration.fake_peer import FakePeer
from tests.integration.storage_world import EPOCH, mesh, place_of
from tests.unit.alarm_ward import START as START_MS
from tests.unit.alarm_ward import report_of

MESH = mesh().mesh_id


class StoredWard:
    """One peer's file, and the words that grow it."""

    def __init__(self, folder: Path) -> None:
        self.store = Store.open(folder, 1, mesh())
        self.path = self.store.path
        self._last: Entry | None = None
        self._index = 0

    def __enter__(self) -> StoredWard:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.store.close()

    def report(self, at: int, probability: float, patient: str = "bed-1") -> None:
        """A report."""
        rows = wire.encode_rows([report_of(patient, START_MS + at, probability)])
        self._entry(encode_body(START_MS + at, rows), rows)

    def heart(self, at: int, *values: float, patient: str = "bed-1") -> None:
        """Heart rates, in one request."""
        rows = wire.encode_rows([Reading(patient, START_MS + at, value, "") for value in values])
        judged, _ = judge_rows(rows, 1000, START_MS + at, HeartRateRules())
        self._entry(encode_body(START_MS + at, judged, READINGS), rows)

    def tell(self, at: int, *facts: Fact) -> Sequence[str]:
        """Facts; the outcomes of the actions among them."""
        rows = encode_fact_rows(facts or (Clock(),))
        self._entry(encode_body(START_MS + at, rows, FACTS), rows)
        return self.store.outcomes(self._index)

    def act(self, at: int, action: str, target: int | str = "bed-1", by: str = "ann") -> str:
        """Somebody acts; the outcome."""
        return self.tell(at, Action(action, target, by))[0]

    @property
    def index(self) -> int:
        """Of the last entry."""
        return self._index

    def _entry(self, body: bytes, asked: bytes) -> None:
        self._index += 1
        origin = Origin("ward", EPOCH, self._index, wire.digest(asked))
        entry = chained(place_of(self._last) if self._last else START, 1, BATCH, origin, body)
        self._last = entry
        self.store.write([Persist(self._index, None, None, (entry,)), Apply((entry,), (True,))])


class PeersOf:
    """Peers 1 to ``count`` that answer from the file of a ward, in this thread's place: each request opens it anew.
    ``upto``: how far a peer's journal goes, where it is behind. ``says``: may answer in their place."""

    def __init__(self, ward: StoredWard, count: int = 3) -> None:
        self.ward = ward
        self.leader = 1
        self.upto: dict[int, int] = {}
        self.stale_ms: dict[int, int | None] = {}
        self.says: Callable[[int, wire.Request], bytes | None] = lambda peer, request: None
        self.acted: list[wire.Act] = []
        self.at = 1_000_000  # the leader's clock, for what is asked for
        self.peers = {peer: FakePeer(self._answering(peer)) for peer in range(1, count + 1)}
        addresses = [PeerAddress(n, "127.0.0.1", peer.port, 2 * n, 2 * n + 1) for n, peer in self.peers.items()]
        self.config = Config("ward", MESH, tuple(addresses))

    def close(self) -> None:
        for peer in self.peers.values():
            peer.die()

    def revive(self, peer: int) -> None:
        """On its port."""
        self.peers[peer].die()
        self.peers[peer] = FakePeer(self._answering(peer), self.peers[peer].port)

    def _answering(self, peer: int) -> Callable[[bytes], bytes | None]:
        def answer(frame: bytes) -> bytes | None:
            request = wire.decode_request(frame, MESH, self.config.limits)
            return self.says(peer, request) or self._answer(peer, request)

        return answer

    def _answer(self, peer: int, request: wire.Request) -> bytes:
        if isinstance(request, (Alarms, AlarmEvents, wire.Reports, wire.Readings)):
            return self._page(peer, request)
        if isinstance(request, wire.Act):
            return self._act(peer, request)
        told = {"id": peer, "role": "leader" if peer == self.leader else "follower", "term": 1, "serves": True}
        told |= {"leader": self.leader, "quorum": True, "applied_index": self.ward.index, "founded": True}
        return wire.encode_reply("OK", peer=told)

    def _page(self, peer: int, request: Any) -> bytes:
        reader = Reader(self.ward.path)
        which = (request.after_id, request.before_id, request.limit)
        if isinstance(request, Alarms):
            fields, rows = reader.alarm_fields, reader.alarms(*which, request.patient, request.state)
        elif isinstance(request, AlarmEvents):
            fields, rows = reader.event_fields, reader.alarm_events(*which, request.episode)
            rows = [row for row in rows if row[0] <= self.upto.get(peer, row[0])]
        elif isinstance(request, wire.Readings):
            fields, rows = reader.reading_fields, reader.readings(*which, request.patient, request.status)
        else:
            fields, rows = reader.fields, reader.reports(*which, request.patient, request.tier)
        reader.close()
        return wire.encode_reply(
            "OK", fields=fields, rows=rows, more=len(rows) == request.limit, peer=peer,
            stale_ms=self.stale_ms.get(peer, 0), applied_index=self.ward.index,
        )  # fmt: skip

    def _act(self, peer: int, request: wire.Act) -> bytes:
        if peer != self.leader:
            port = self.peers[self.leader].port
            return wire.encode_reply("NOT_LEADER", leader=self.leader, host="127.0.0.1", port=port)
        self.acted.append(request)
        self.at += 1
        outcome = self.ward.act(self.at, *request)
        if outcome == NOT_FOUND:
            return wire.encode_reply("REFUSED", field="episode", bound="an alarm or a bed that there is", hint="")
        return wire.encode_reply("ACK", index=self.ward.index, outcome=outcome)
