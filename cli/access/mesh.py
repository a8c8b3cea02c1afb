"""Keys through the mesh: issued and revoked by an entry of the replicated log, and what each peer makes of it.

Touches sockets (through client.ask). Must not know: files. Keeps: what is said to be in force was acknowledged by the
leader after a majority had it; asking again after a failure changes nothing twice.
"""

from __future__ import annotations

import os
import time
from typing import Any, NamedTuple

from hfzmq.access import PEER, AccessList
from hfzmq.cli.access.files import found, refuse_last_admin, refuse_listed, refuse_taken
from hfzmq.cli.key_words import merged, unknown_to
from hfzmq.cli.leader_wait import ask_leader
from hfzmq.client.ask import ask_all
from hfzmq.client.ask_keys import ask_keys
from hfzmq.client.key_faults import UNKNOWN
from hfzmq.client.line import SERVER
from hfzmq.config import Config
from hfzmq.errors import KeysError, MeshUnavailable, WireError
from hfzmq.key_section import OwnKey
from hfzmq.wire import members
from hfzmq.wire.access import Change, Issued, Revoked, encode_changes, read_access
from hfzmq.wire.requests import EPOCH_BYTES, digest

ASKER = "hfzmq-keys"
ASK_MS = 1000
APPLIED_WITHIN_S = 2.0


class Served(NamedTuple):
    """With which key each peer serves, by its id; ``unknown``: who runs with one that nobody who answers knows;
    ``waiting``: who still serves with an older one than the mesh expects; ``cut_off``: members that have none in force;
    ``doubtful``: of whom the file lists a key that no peer knows, and which may be too new for that."""

    keys: dict[int, str]
    unknown: list[int]
    waiting: list[int]
    cut_off: list[int]
    doubtful: list[int]


class Mesh:
    """The mesh of ``config``, whose ``own`` key must be an admin's; ``timeout_s``: for each change."""

    def __init__(self, config: Config, timeout_s: float) -> None:
        if config.keys is None:
            hint = f"hfzmq keys init --config {config.path}, then restart its peers"
            raise KeysError(f"{config.path} is plain: this mesh has no keys", hint=hint)
        self._config = config
        self._timeout_ms = int(timeout_s * 1000)

    def known(self) -> AccessList:
        """What is in force, as the peer that has applied most says. MeshUnavailable, KeysError."""
        # Peers, and the keys they serve with, as the mesh has them: those of the file may be older.
        told_members = members.newest(ask_all(self._config, "status", timeout_ms=ASK_MS).values())
        self._config = members.with_members(self._config, told_members)
        answers = [answer for answer in ask_all(self._config, "keys", timeout_ms=ASK_MS).values() if answer]
        told = [answer for answer in answers if answer["status"] == "OK"]
        if not told:
            cause = "no peer answered" if not answers else f"peers answer {answers[0]['status']}"
            raise MeshUnavailable(
                f"who has keys is not known: {cause}", hint="hfzmq status; or into the file: --offline"
            )
        try:
            return read_access(max(told, key=lambda answer: int(answer.get("applied_index", 0))))
        except WireError as error:
            raise MeshUnavailable(f"a peer of another version answers: {error}", hint="hfzmq status") from None

    def peer_keys(self) -> Served:
        """The public key that each member serves with, and of whom that is not known. MeshUnavailable."""
        file, of_file = self._config.keys, self._config.peer_ids
        known = self.known()
        refusing: dict[int, str] = {}
        proven: dict[int, str] = {}
        answers = ask_all(self._config, "status", timeout_ms=ASK_MS, refusing=refusing, served=proven)
        told = members.newest(answers.values())
        if told is None:
            raise MeshUnavailable("no peer says with which keys the peers serve", hint="hfzmq status")
        expected = dict(told.keys)
        unknown = sorted(peer for peer, fault in refusing.items() if fault in (SERVER, UNKNOWN))
        ids = sorted({one.id for one in told.members})
        waiting = [peer for peer in ids if expected.get(peer, "") not in ("", proven.get(peer, expected.get(peer)))]
        sure = {
            peer: key
            for peer, key in expected.items()
            if key not in known.revoked
            and peer not in (*unknown, *waiting)
            and (peer in ids or peer in of_file)  # who was removed is not brought back into the file
        }
        listed = dict(file.peers) if file is not None else {}
        every = merged(ask_keys(self._config, ASK_MS))
        doubtful = [
            peer for peer, key in sure.items() if listed.get(peer, key) != key and unknown_to(every, listed[peer])
        ]
        return Served(sure, unknown, waiting, [peer for peer in ids if peer not in expected], doubtful)

    def check_issue(self, name: str, role: str) -> AccessList:
        """KeysError where the name is taken."""
        known = self.known()
        if role != PEER:
            refuse_taken(name, list(known.listed.values()))
        return known

    def issue(self, own: OwnKey, role: str, name: str, peer: int) -> str:
        """Have a key in force; where that stands. KeysError, MeshUnavailable."""
        known = self.known()
        refuse_listed(own, list(known.listed.values()), known.revoked)
        return self._tell(Issued(own.public, role, name, peer))

    def revoke(self, who: str, last_admin: bool) -> tuple[str, str]:
        """Put a key out of force: (the key, where that stands). NotFound, KeysError, MeshUnavailable."""
        known = self.known()
        listed = list(known.listed.values())
        key = found(who, listed)
        if key in known.revoked:
            raise KeysError(f"{who} is revoked already", hint="see all: hfzmq keys show")
        if not last_admin:
            refuse_last_admin(key, listed, known.revoked)
        self._refuse_to_stop(key, known)
        return key, self._tell(Revoked(key))

    def cuts_off(self, who: str) -> int:
        """The peer that would be left without a key if that of ``who`` were revoked; 0 for none, or for one that is no
        member (any more) and so needs none."""
        known = self.known()
        key = found(who, list(known.listed.values()))
        owner = known.of(key)
        if not owner or owner.role != PEER or known.key_of(owner.peer) != key or not self.needs_a_key(owner.peer):
            return 0
        return owner.peer

    def needs_a_key(self, peer: int) -> bool:
        """Whether it is a member, or nobody says who is."""
        told = members.newest(ask_all(self._config, "status", timeout_ms=ASK_MS).values())
        return told is None or not told.founded or told.of(peer) is not None

    def _refuse_to_stop(self, key: str, known: AccessList) -> None:
        """KeysError where a majority of the voters would have no key any more."""
        owner = known.of(key)
        told = members.newest(ask_all(self._config, "status", timeout_ms=ASK_MS).values())
        voters = told.voters if told is not None else ()
        left = [peer for peer in voters if known.key_of(peer) not in (None, key)]
        if owner and owner.role == PEER and owner.peer in voters and len(left) < len(voters) // 2 + 1:
            raise KeysError(
                f"only {len(left)} of {len(voters)} voters would have a key left: the mesh would stop",
                hint="first a new key for each that has none (hfzmq keys issue peer-N-new --role peer --id N), "
                "brought to its machine as keys/peer-N.secret, and that peer restarted",
            )

    def applied_words(self, key: str) -> list[str]:
        """Which peers do not let ``key`` in any more."""
        words = []
        until = time.monotonic() + APPLIED_WITHIN_S  # a follower applies an entry when it hears that it is committed
        while True:
            try:
                answers = ask_all(self._config, "keys", timeout_ms=ASK_MS)
            except KeysError:  # it was our own
                return ["whether all peers have applied it cannot be asked with a key that is revoked"]
            done = {peer for peer, one in answers.items() if one and one["status"] == "OK" and _revokes(one, key)}
            if done == {peer for peer, one in answers.items() if one} or time.monotonic() > until:
                break
        for peer, answer in answers.items():
            applied = peer in done
            away = "no answer; it will apply it when it is back" if answer is None else "not yet"
            words.append(f"peer {peer}: {'applied' if applied else away}")
        return words

    def _tell(self, change: Change) -> str:
        rows = encode_changes([change])
        fields = {"client": ASKER, "epoch": os.urandom(EPOCH_BYTES), "seq": 1, "rows": rows, "digest": digest(rows)}
        reply = ask_leader(self._config, "access", fields, self._timeout_ms)
        return f"entry {reply['index']}, on a majority"


def _revokes(answer: dict[str, Any], key: str) -> bool:
    try:
        return key in read_access(answer).revoked
    except WireError:
        return False
