"""Was every acknowledged report kept, exactly once? Read back from what stores them, row by row.

Touches nothing by itself: rows come in. Must not know: where they come from, who was measured. Keeps: each row is
looked at; a writer's reports must stand in its order, 1, 2, 3, ... without a hole, each with the values that were sent;
at least as many as were acknowledged, at most as many as were sent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from hfzmq.cli.bench.reports import COLUMNS, Writer
from hfzmq.cli.format import counted
from hfzmq.errors import HfzmqError


class Acked(NamedTuple):
    """How far a writer has sent, and how far it was acknowledged."""

    writer: Writer
    sent: int
    acked: int


class NotKept(HfzmqError):
    """The mesh (or the sketch) did not keep its word: what was measured is worth nothing (exit 1)."""


def read_back(place: str, rows: Iterable[Sequence[Any]], ledger: Sequence[Acked], *, alone: bool = True) -> bytes:
    """Look at all ``rows`` of ``place`` (its name, for errors), in their order: an id, a report's columns, anything; a
    digest of which report stands where. ``alone``: there are no other rows. NotKept says what is wrong first."""
    owners = {bed: number for number, one in enumerate(ledger) for bed in one.writer.beds}
    last = [0] * len(ledger)
    order = hashlib.blake2b(digest_size=16)
    for row in rows:
        owner = owners.get(row[1])
        if owner is None:
            if alone:
                raise NotKept(f"{place}, id {row[0]}: a report of {row[1]}, which nobody sent")
            continue
        writer, number = ledger[owner].writer, last[owner] + 1
        if tuple(row[COLUMNS]) != writer.stored(number):
            raise NotKept(f"{place}, id {row[0]}: not the report {number} of {writer.name}, but {row[1]} at {row[2]}")
        last[owner] = number
        order.update(b"%d %d\n" % (owner, number))
    for found, one in zip(last, ledger, strict=True):
        if not one.acked <= found <= one.sent:
            raise NotKept(
                f"{place}: {counted(found, 'report')} of {one.writer.name}, who sent {one.sent}, "
                f"of which {one.acked} were acknowledged"
            )
    return order.digest()


def all_equal(digests: dict[str, bytes]) -> None:
    """NotKept when places do not hold the same reports in the same order."""
    if len(set(digests.values())) > 1:
        raise NotKept(f"not the same reports in the same order: {', '.join(digests)}")
