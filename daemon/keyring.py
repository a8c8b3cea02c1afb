"""The keys in force, as this daemon knows them now: peers.yaml's list, and what the log has issued and revoked since.

Touches nothing. Must not know: sockets, files, storage. Keeps: the list is whole at every moment; who goes out of force
is told once, to whoever changed it, so that connections can be ended.

    peers.yaml    --reread--.
    the log       --told----+--> in_force
    another peer  --borrow--'    until the log is as far as it was there      (None: plain, nobody needs a key)
"""

from __future__ import annotations

from collections.abc import Iterable

from hfzmq.access import ADMIN, CLIENT, LOG, PEER, AccessList, Listed, name_of_peer
from hfzmq.config import Config
from hfzmq.errors import KeysError
from hfzmq.key_section import Keys, OwnKey


class Keyring:
    """For one daemon. ``own``: the pair that it serves and speaks with."""

    def __init__(self, keys: Keys, issued: Iterable[Listed] = (), revoked: Iterable[str] = ()) -> None:
        assert keys.own is not None, "a daemon with keys has one of its own"
        self.own: OwnKey = keys.own
        self._file = keys
        self._issued = tuple(issued)
        self._revoked = frozenset(revoked)
        self._borrowed: dict[int, str] = {}
        self._until = 0
        self.in_force = self._made()

    def reread(self, keys: Keys) -> list[Listed]:
        """The file says something else now; who is out of force by that."""
        self._file = keys._replace(own=self.own)
        return self._changed()

    def told(self, issued: Iterable[Listed], revoked: Iterable[str]) -> list[Listed]:
        """The log says something else now; who is out of force by that."""
        self._issued, self._revoked = tuple(issued), frozenset(revoked)
        return self._changed()

    def borrow(self, served: dict[int, str], until: int) -> list[int]:
        """Another peer, which has applied the log up to the entry ``until``, says with which key peers serve; the ids
        of those who are to be spoken to with another key by that. A key that is out of force here stays so, and
        nobody's goes out of force."""
        news = {
            peer: key
            for peer, key in served.items()
            if key not in self.in_force.revoked and key not in (*self.in_force.listed, self.in_force.key_of(peer))
        }
        if news:
            self._borrowed, self._until = {**self._borrowed, **news}, max(self._until, until)
            self._changed()
        return sorted(news)

    def repay(self, applied: int) -> None:
        """The log was applied up to the entry ``applied``: what it says of the keys is as new as what was borrowed."""
        if self._borrowed and applied >= self._until:
            self._borrowed = {}
            self._changed()

    def peer_of(self, key: str) -> int:
        """The id of the peer that may speak with ``key``; 0 for none."""
        one = self.in_force.of(key)
        return one.peer if one is not None and one.role == PEER else 0

    def role_of(self, key: str) -> str | None:
        """What a client's connection with ``key`` may do; None: nothing."""
        one = self.in_force.of(key)
        return None if one is None else one.role

    def check_own(self, me: int) -> str:
        """'' when peer ``me`` serves with a key in force, else a warning. KeysError: with this one it never can."""
        one = self.in_force.of(self.own.public)
        issue = f"hfzmq keys issue NAME --role peer --id {me}"
        if self.own.public in self.in_force.revoked:
            raise KeysError(
                f"{self.own.path}: this key of peer {me} is revoked",
                hint=f"with an admin's key a new one, to be brought here: {issue}",
            )
        if one is not None and (one.role, one.peer) == (PEER, me):
            return ""
        anothers = "" if one is None else f"the key of {one.name}"
        if one is None and self.own.role in (ADMIN, CLIENT):  # issued through the mesh: the log may not be here yet
            anothers = f"{'an' if self.own.role == ADMIN else 'a'} {self.own.role}'s key by its first line"
        if anothers:
            hint = f"bring keys/peer-{me}.secret to this machine, or name it: --key FILE; does HFZMQ_KEY name another?"
            raise KeysError(f"{self.own.path}: this is {anothers}, not of peer {me}", hint=hint)
        if self.in_force.key_of(me) is not None:  # the log may have issued this one since this peer last heard of it
            return (
                f"{self.own.path}: another key is listed for peer {me}; unless this one was issued through the mesh "
                f"meanwhile, nobody will let it in: hfzmq keys show"
            )
        return f"nobody here knows the key of peer {me}: the mesh lets it in once it was told: {issue}"

    def _changed(self) -> list[Listed]:
        before, self.in_force = self.in_force, self._made()
        return [one for key, one in before.listed.items() if before.of(key) and not self.in_force.of(key)]

    def _made(self) -> AccessList:
        borrowed = [Listed(key, PEER, name_of_peer(peer), peer, LOG) for peer, key in self._borrowed.items()]
        return AccessList([*self._file.listed(), *self._issued, *borrowed], {*self._file.revoked, *self._revoked})


def keyring_of(config: Config, me: int, issued: Iterable[Listed], revoked: Iterable[str]) -> tuple[Keyring | None, str]:
    """The keys in force at a start (None: plain), and a doubt worth a line; ``issued``, ``revoked``: what the log says.
    KeysError: this peer's own is not."""
    if config.keys is None:
        return None, ""
    keyring = Keyring(config.keys, issued, revoked)
    return keyring, keyring.check_own(me)
