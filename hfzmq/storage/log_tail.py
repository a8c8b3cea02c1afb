"""The end of the last survivor's log, brought to the tables of a copy of its file: for a backup when nobody leads.

Touches the tables of a copy that nobody else has open. Must not know: where the copy is from, what becomes of it. What
was acknowledged is in the logs of a majority, but a peer learns that it is committed a moment later, from its leader;
a leader that dies within that moment leaves acknowledged entries in logs beyond ``applied``. Nobody can tell them from
those that were never acknowledged, so all are taken in. That stores nothing twice: whoever sends such a request again
is recognised by its session, which was taken in with it.

Keeps: what the tables hold afterwards is what the daemon's own code (``Applying``, ``apply``) makes of these entries.
"""

from __future__ import annotations

import apsw

from hfzmq.core.applying import Applying
from hfzmq.core.sessions import Sessions
from hfzmq.storage.apply import apply
from hfzmq.storage.checksums import Damaged
from hfzmq.storage.recovery import Cursor, Recovered


def take_in(connection: apsw.Connection, recovered: Recovered, cursor: Cursor) -> int:
    """Apply what stands in the log after what is applied; how many entries that is. ``recovered`` and ``cursor``: what
    was just read from that file, used up by this. Its root is not written: a file like this is for ``snapshot.make``
    alone. Damaged: an entry cannot be read."""
    last, state = recovered.log.last, cursor.applied
    applying = Applying(recovered.log, Sessions(recovered.sessions), recovered.applied, recovered.state_hash)
    connection.execute("BEGIN IMMEDIATE")
    while (effect := applying.hand_out(last.index)) is not None:
        try:
            state = apply(connection, state, effect, cursor.sessions, cursor.alarms)
        except ValueError as error:
            raise Damaged(str(error)) from None
        applying.applied(state.place.index, state.state_hash)
    connection.execute("COMMIT")
    if state.place != last:
        raise Damaged(f"its log ends with {last.index}, applied are {state.place.index}")
    return last.index - recovered.applied
