"""The lines that a client has to the peers: at most one to each, with a key by which that peer is known.

Touches sockets (through Line). Must not know: what is asked, whom to ask next. Keeps: a line that ended, or that leads
where the peer no longer is, is never used again; ``faults`` names the peers that would not have our key, or we theirs,
when they were tried last.
"""

from __future__ import annotations

from collections import Counter

import zmq

from hfzmq.client.addresses import Address, Addresses
from hfzmq.client.key_faults import ROLE, UNKNOWN
from hfzmq.client.line import AUTH, SERVER, Curve, Line, curve_for, curves_for
from hfzmq.key_section import Keys


class Lines:
    """To the peers of ``addresses``. ``keys``: the mesh's (None: it is plain)."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], addresses: Addresses, keys: Keys | None) -> None:
        self._context = context
        self._addresses = addresses
        self._keys = keys
        self._lines: dict[int, tuple[Address, Line]] = {}
        self._turns: Counter[int] = Counter()  # with which of its keys a peer is tried: the newest, a former one
        self.faults: dict[int, str] = {}  # by peer (key_faults)

    def to(self, peer: int) -> Line | None:
        """A line to ``peer``; None for one whose key nobody has said."""
        address = self._addresses[peer]
        at, line = self._lines.get(peer, (address, None))
        # It may have ended while nobody was looking, or lead where the peer no longer is.
        if line is not None and (at != address or (line.reply() is None and line.lost)):
            self.drop(peer)
            line = None
        if line is None:
            try:
                curves = curves_for(self._known_keys(), peer)
            except KeyError:
                self.faults[peer] = UNKNOWN
                return None
            line = Line(self._context, *address, curves[self._turns[peer] % len(curves)])
            self._lines[peer] = (address, line)
        return line

    def curve_at(self, host: str, port: int) -> Curve | None:
        """What a connection to the peer at ``host:port`` takes; None where there are no keys. KeyError: not known."""
        return curve_for(self._known_keys(), self._addresses.at(host, port)) if self._keys is not None else None

    def drop(self, peer: int) -> None:
        """Close the line to ``peer``, if there is one."""
        _, line = self._lines.pop(peer, (None, None))
        if line is not None:
            line.close()

    def drop_strangers(self) -> None:
        """Close the lines to those whom nobody names any more."""
        for peer in [peer for peer in self._lines if peer not in self._addresses]:
            self.drop(peer)

    def close(self) -> None:
        """Drop every line. May be called twice."""
        for peer in list(self._lines):
            self.drop(peer)

    # ------------------------------------------------------------ keys

    def was_lost(self, peer: int, fault: str) -> None:
        """A line to ``peer`` ended without a reply; ``fault`` says whether that was for a key."""
        if fault:
            self.faults[peer] = fault
            self._turns[peer] += fault == SERVER
        else:  # what it said before was only about to end, or it is gone by now, whatever it thought of our key
            self.faults.pop(peer, None)

    def was_silent(self, peer: int) -> None:
        """A line to ``peer`` was left without a reply, long after a key is refused: so it was not."""
        self.faults.pop(peer, None)

    def answered(self, peer: int) -> None:
        """It said something that could be read: keys fit. That ours may not ask for this goes only with a request that
        is answered."""
        if self.faults.get(peer) != ROLE:
            self.faults.pop(peer, None)

    def all_refuse(self) -> bool:
        """Whether every member has refused this client's key: asking again soon would change nothing."""
        return all(self.faults.get(peer) == AUTH for peer in self._addresses.members)

    def _known_keys(self) -> Keys | None:
        told = self._addresses.told
        return self._keys.knowing(dict(told.keys)) if self._keys is not None and told is not None else self._keys
