"""Who may do what: public keys, their roles, and the list that is in force.

    listed in peers.yaml or issued through the log --revoked in the file or through the log--> out, for ever

Touches nothing. Must not know: files, sockets, secrets. Keeps: whoever is revoked anywhere is out, wherever else the
key is listed; a role may do what ``may`` says and nothing else, whatever operations are added later.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import NamedTuple

PEER, CLIENT, ADMIN = "peer", "client", "admin"
ROLES = (PEER, CLIENT, ADMIN)
FILE, LOG = "file", "log"  # where an entry comes from

NAME_CHARS_MAX = 64
NAME_RULE = f"1 to {NAME_CHARS_MAX} letters, digits, points, dashes and underscores, beginning with a letter or digit"
KEY_CHARS = 40  # of Z85: 32 bytes
KEY_RULE = "a public key: 40 characters of Z85, in quotes"

READS = frozenset(
    ("status", "members", "keys", "reports", "readings", "alerts", "beds", "alarms", "alarm_events")
)  # that change nothing
BRINGS = frozenset(("submit", "submit_readings", "seen"))

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
_VALUE = {letter: value for value, letter in enumerate(_Z85)}


class Listed(NamedTuple):
    """A public key (Z85), what it may do, whose it is. ``peer``: the id of a peer, 0 for everybody else; ``source``:
    FILE or LOG."""

    key: str
    role: str
    name: str
    peer: int = 0
    source: str = FILE


def is_key(text: object) -> bool:
    """Whether ``text`` is 32 bytes written in Z85."""
    if not isinstance(text, str) or len(text) != KEY_CHARS or any(letter not in _VALUE for letter in text):
        return False
    for at in range(0, KEY_CHARS, 5):
        number = 0
        for letter in text[at : at + 5]:
            number = number * 85 + _VALUE[letter]
        if number >= 1 << 32:
            return False
    return True


def is_name(text: object) -> bool:
    """Whether ``text`` keeps NAME_RULE."""
    return isinstance(text, str) and _NAME.fullmatch(text) is not None


def name_of_peer(peer: int) -> str:
    """What the key of a peer is called where nobody named it."""
    return f"peer-{peer}"


def fingerprint(key: str) -> str:
    """Short, to be compared by eye."""
    text = hashlib.blake2b(key.encode(), digest_size=6).hexdigest()
    return " ".join(text[at : at + 4] for at in range(0, len(text), 4))


def may(role: str, op: str) -> bool:
    """Whether the holder of a key of ``role`` may ask a peer for ``op`` (of the clients' protocol)."""
    if role == ADMIN:
        return True
    if op in READS:
        return role in ROLES
    return role == CLIENT and op in BRINGS


def who_may(op: str) -> str:
    """The roles that may ask for ``op``, in words."""
    allowed = [role for role in (CLIENT, ADMIN, PEER) if may(role, op)]
    return " or ".join(f"{'an' if role == ADMIN else 'a'} {role}'s key" for role in allowed)


class AccessList:
    """Which keys are in force. Where a key is listed twice, the first of ``listed`` holds; of several keys of one peer,
    each may speak for it, and the last of ``listed`` is the one it is expected to serve with."""

    def __init__(self, listed: Iterable[Listed] = (), revoked: Iterable[str] = ()) -> None:
        self.listed: dict[str, Listed] = {}
        every = tuple(listed)
        for one in every:
            self.listed.setdefault(one.key, one)
        self.revoked = frozenset(revoked)
        self._valid = {key: one for key, one in self.listed.items() if key not in self.revoked}
        # A key that the file has taken over from the log is listed twice: where the log names it counts, the later one.
        self._peers = {one.peer: one.key for one in every if one.role == PEER and self._is(one)}

    def of(self, key: str) -> Listed | None:
        """Whose key it is; None for one that is unknown or revoked."""
        return self._valid.get(key)

    def _is(self, one: Listed) -> bool:
        valid = self._valid.get(one.key)
        return valid is not None and (valid.role, valid.peer) == (one.role, one.peer)

    def key_of(self, peer: int) -> str | None:
        """The key that ``peer`` serves with; None where none is in force."""
        return self._peers.get(peer)

    def keys_of_peers(self) -> dict[int, str]:
        """``key_of`` of all peers that have one."""
        return dict(self._peers)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AccessList):
            return NotImplemented
        return (list(self.listed.items()), self.revoked) == (list(other.listed.items()), other.revoked)

    def __hash__(self) -> int:
        return hash((tuple(self.listed), self.revoked))
