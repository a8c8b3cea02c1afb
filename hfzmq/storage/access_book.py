"""The keys that the log has issued and revoked, beside their table: fed with what is applied, in the log's order.

    nothing --issued--> in force --revoked--> out, for ever        nothing --revoked--> out, for ever

Touches nothing but the rows it is asked for. Must not know: transactions, peers.yaml, who may issue. Keeps: what stands
in the table follows from the entries alone; a revoked key never comes back; a key keeps the role it was first issued
with.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hfzmq.access import LOG, PEER, ROLES, Listed, is_key, is_name
from hfzmq.storage.checksums import Damaged, Row, sealed, unsealed
from hfzmq.wire.access import CHANGES_MAX, Change, Issued

UPSERT_KEY = "REPLACE INTO access_keys VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
SELECT_KEYS = "SELECT * FROM access_keys ORDER BY key"
SELECT_KEYS_AFTER = "SELECT * FROM access_keys WHERE key > ? ORDER BY key LIMIT ?"
DELETE_KEY = "DELETE FROM access_keys WHERE key = ?"
_ENTRY = 1000  # more than CHANGES_MAX: the order of issue

assert CHANGES_MAX < _ENTRY


class KeyRow(NamedTuple):
    """A row of ``access_keys`` without its checksum."""

    key: str
    role: str
    name: str
    peer: int
    issued_at: int
    issued_no: int
    revoked_at: int


class AccessBook:
    """The keys of the log, as of the applied index. ``version`` rises with each change."""

    def __init__(self, rows: Iterable[KeyRow] = ()) -> None:
        self._rows = {row.key: row for row in rows}
        self._changed: dict[str, KeyRow] = {}
        self.version = 0

    @classmethod
    def of(cls, rows: Iterable[Row]) -> AccessBook:
        """From SELECT_KEYS. Damaged."""
        return cls(map(key_of, rows))

    def take(self, index: int, stamp_ms: int, changes: Sequence[Change]) -> None:
        """What the entry at ``index`` says, stamped by its leader."""
        for number, change in enumerate(changes):
            before = self._rows.get(change.key)
            if isinstance(change, Issued):
                if before is None:
                    self._set(KeyRow(*change, stamp_ms, index * _ENTRY + number, 0))
            elif before is None:
                self._set(KeyRow(change.key, "", "", 0, 0, 0, max(1, stamp_ms)))
            elif not before.revoked_at:
                self._set(before._replace(revoked_at=max(1, stamp_ms)))

    @property
    def issued(self) -> list[Listed]:
        """Whoever was ever issued a key, in that order, revoked or not."""
        rows = sorted((row for row in self._rows.values() if row.role), key=lambda row: row.issued_no)
        return [Listed(row.key, row.role, row.name, row.peer, LOG) for row in rows]

    @property
    def revoked(self) -> frozenset[str]:
        """The keys that are out of force."""
        return frozenset(row.key for row in self._rows.values() if row.revoked_at)

    def peers_in_force(self) -> list[Row]:
        """The rows of peers' keys that were issued and not revoked."""
        return [sealed(*row) for row in self._rows.values() if row.role == PEER and not row.revoked_at]

    def take_rows(self) -> list[Row]:
        """Rows for UPSERT_KEY that have changed since the last time."""
        changed, self._changed = self._changed, {}
        return [sealed(*row) for row in changed.values()]

    def _set(self, row: KeyRow) -> None:
        self._rows[row.key] = self._changed[row.key] = row
        self.version += 1


def key_of(row: Row) -> KeyRow:
    """From SELECT_KEYS. Damaged."""
    found = KeyRow(*unsealed(row, len(KeyRow._fields)))
    named = found.role in ROLES and is_name(found.name) and bool(found.peer) is (found.role == PEER)
    unnamed = (found.role, found.name, found.peer) == ("", "", 0) and found.revoked_at
    if not is_key(found.key) or not (named or unnamed):
        raise Damaged("a key that is none")
    return found
