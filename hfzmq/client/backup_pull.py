"""What is asked for next while a backup is pulled, and what an answer does: no sockets, no clock.

Touches nothing but the part that it is handed. Must not know: which peer, how answers travel. Keeps: bytes are taken in
only where they are the next ones of the backup whose first piece was taken in, and are what was sent; an answer that is
late, doubled, out of order, altered or of another backup changes nothing. Another backup under way (that peer began
anew) is pulled from its beginning, GIVEN_UP_AFTER times at most.

    asking --MAKING--> asking ... --first piece--> pulling --last piece--> done
       ^-------------GONE, or another backup-----------'
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Protocol

from hfzmq.errors import MeshUnavailable
from hfzmq.wire.backup import (
    PIECE_BYTES_MAX,
    TAKE_BYTES,
    WAITING,
    Answer,
    Busy,
    Gone,
    Making,
    Piece,
    Refused,
    TakeBackup,
)

GIVEN_UP_AFTER = 4  # beginnings
LENGTH_MIN = 16 << 10


class Target(Protocol):
    """Where the bytes go: backup_part.Part."""

    @property
    def have(self) -> int: ...

    def begin(self, size: int) -> None: ...

    def write(self, data: bytes) -> None: ...


class Pull:
    """One backup, which must hold the entry ``at_least``. ``size``, ``sha256``: of the whole, once known (size 0: not
    yet). ``making``: what the peer does to it, and which share is done. ``steps``: rises with all that brings it on."""

    def __init__(
        self, part: Target, at_least: int, new_take: Callable[[], bytes] = lambda: os.urandom(TAKE_BYTES)
    ) -> None:
        self._part = part
        self._at_least = at_least
        self._new_take = new_take
        self._begun = 1
        self._length = PIECE_BYTES_MAX
        self._take = new_take()
        self.size = 0
        self.sha256 = b""
        self.making: tuple[str, float] = ("", 0.0)
        self.steps = 0

    @property
    def done(self) -> bool:
        """Whether all bytes are there."""
        return self.size > 0 and self._part.have == self.size

    @property
    def share(self) -> float:
        """Of the bytes, 0 to 1."""
        return self._part.have / self.size if self.size else 0.0

    def wanted(self) -> TakeBackup:
        """The next request."""
        return TakeBackup(self._take, self._part.have if self.size else 0, self._length, self._at_least)

    def farewell(self) -> TakeBackup:
        """The last request: that peer need not keep it any more."""
        return TakeBackup(self._take, 0, end=True)

    def heard(self, answer: Answer) -> int:
        """Take an answer in; after how many ms the next request is due. MeshUnavailable: this leads nowhere."""
        if isinstance(answer, Busy):
            return answer.retry_ms
        if isinstance(answer, Refused):
            if answer.field == "offset":
                self.begin_anew()
            return 0
        if answer.take != self._take:
            return 0
        if isinstance(answer, Piece):
            self._take_in(answer)
        elif isinstance(answer, Gone):
            self.begin_anew()
        elif isinstance(answer, Making) and not self.size:
            self.steps += answer.doing != WAITING or self.making[0] != WAITING
            self.making = (answer.doing, answer.share)
            return answer.retry_ms
        return 0

    def late(self) -> None:
        """No answer came in time: the link may be slow, so ask for less."""
        self._length = max(LENGTH_MIN, self._length // 2)

    def _take_in(self, piece: Piece) -> None:
        if not piece.is_sound:
            return
        if self.size and (piece.size, piece.sha256) != (self.size, self.sha256):
            self.begin_anew()
            return
        if not self.size:
            if piece.offset:
                return
            if piece.entry < self._at_least:
                raise MeshUnavailable(f"it gives a backup until entry {piece.entry}, {self._at_least} was asked for")
            self._part.begin(piece.size)
            self.size, self.sha256 = piece.size, piece.sha256
        if piece.offset == self._part.have:
            self._part.write(piece.data)
            self.steps += 1

    def begin_anew(self) -> None:
        """What came is of no use. MeshUnavailable: it never is."""
        if self._begun >= GIVEN_UP_AFTER:
            raise MeshUnavailable(f"it has begun anew {self._begun} times", hint="is it being restarted? hfzmq status")
        self._begun += 1
        self._take, self.size, self.sha256, self.making = self._new_take(), 0, b"", ("", 0.0)
