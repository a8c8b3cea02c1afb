"""Whom to ask next: the members in a ring by their ids, without those who were silent a moment ago.

Touches the monotonic clock. Must not know: sockets, what is asked. Keeps: nobody is asked twice in a round; a peer that
let a request time out rests for SILENT_REST_S while others answer; who is no member is asked only when no member
answered, or when nobody has served for OTHERS_AFTER_S.
"""

from __future__ import annotations

import time

from hfzmq.client.addresses import Addresses

SILENT_REST_S = 1.0
OTHERS_AFTER_S = 4.0


class Ring:
    """Over the peers of ``addresses``, which change. ``asked`` below: the ids that this round has asked."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses
        self._silent_until: dict[int, float] = {}
        self._served_at = time.monotonic()

    def served(self) -> None:
        """Somebody has answered for good."""
        self._served_at = time.monotonic()

    def was_silent(self, peer: int) -> None:
        """It let a request time out."""
        self._silent_until[peer] = time.monotonic() + SILENT_REST_S

    def answered(self, peer: int) -> None:
        """It said something that could be read."""
        self._silent_until.pop(peer, None)

    def can_ask(self, peer: int) -> bool:
        """Whether it is known, and was not silent a moment ago."""
        return peer in self._addresses and not self._is_silent(peer)

    def following(self, peer: int, asked: set[int], hint: int | None, answered: bool) -> int | None:
        """Whom to ask after ``peer`` in this round; None when the round is over. ``answered``: whether anybody did."""
        if hint is not None and hint not in asked and not self._is_silent(hint):
            return hint
        without = asked | self._silent() if answered else asked
        following = self._after(peer, without)
        if following not in without:
            return following
        if answered and time.monotonic() - self._served_at < OTHERS_AFTER_S:
            return None
        return next((other for other in self._addresses.others if other not in without), None)

    def after(self, peer: int) -> int:
        """The next member that was not silent a moment ago; the very next when all were."""
        return self._after(peer, self._silent())

    def _after(self, peer: int, without: set[int]) -> int:
        ring = self._addresses.members
        place = ring.index(peer) + 1 if peer in ring else 0
        ring = ring[place:] + ring[:place]
        return next((other for other in ring if other not in without), ring[0])

    def _silent(self) -> set[int]:
        return {peer for peer in self._silent_until if self._is_silent(peer)}

    def _is_silent(self, peer: int) -> bool:
        return self._silent_until.get(peer, 0.0) > time.monotonic()
