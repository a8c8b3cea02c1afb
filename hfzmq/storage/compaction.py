"""Cutting the log's old end off: what stands there is in the tables, and the mesh has no more use for it.

Touches the log's tables, inside the transaction of its caller. Must not know: why there is a cut. Keeps: the base moves
on, never back, to a place that is applied and stands in the log; together with it moves the membership that was in
force there. The base moves at once; the rows behind it are waste, which nobody reads, and go bit by bit: deleting a
million rows in one transaction would hold the loop up for seconds.
"""

from __future__ import annotations

import apsw

from hfzmq.core.contract import Compact
from hfzmq.core.types import Place
from hfzmq.storage import tables

ROWS_A_STEP = 1_000
BYTES_A_STEP = 8 << 20


def compact(connection: apsw.Connection, base: Place, applied: Place, effect: Compact) -> Place:
    """Move the base and the membership there; the new base. ValueError for a place where no cut may be."""
    place = effect.place
    if place == base:
        return base
    if not base.index < place.index <= applied.index:
        raise ValueError(f"no cut at {place.index}: the log begins after {base.index}, {applied.index} are applied")
    if effect.membership.index > place.index:
        raise ValueError(f"the members of {effect.membership.index} were not in force at {place.index}")
    if connection.execute(tables.SELECT_PLACE, (place.index,)).fetchone() != place_row(place):
        raise ValueError(f"no cut at {place.index}: another entry stands there")
    connection.execute(tables.UPDATE_LOG_BASE, tables.log_base_row(place))
    connection.execute(tables.UPDATE_MEMBERSHIP, tables.membership_row(effect.membership))
    return place


def sweep(connection: apsw.Connection, base: Place) -> bool:
    """Delete one step of the waste up to ``base``, the oldest first; False when none is left."""
    weight, last = 0, 0
    for index, size in connection.execute(tables.SELECT_OLDEST, (base.index, ROWS_A_STEP)):
        weight += size
        last = index
        if weight >= BYTES_A_STEP:
            break
    if last:
        connection.execute(tables.DELETE_OLDEST, (last,))
    return 0 < last < base.index


def place_row(place: Place) -> tuple[int, int, bytes]:
    """A place as SELECT_PLACE finds it."""
    return place.index, place.term, place.chain
