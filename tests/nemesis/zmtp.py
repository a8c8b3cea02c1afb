"""ZMTP 3 as a middle man sees it: a stream of bytes becomes a greeting, commands and whole messages.

Touches nothing. Must not know: sockets, what messages mean. Keeps: what ``feed`` returns, put together, is what came
in, byte for byte; a piece is never part of a message, so that one may be lost, doubled, delayed or overtaken whole.

    64 bytes of greeting --> frames: flags (1 more, 2 long, 4 command), size (1 or 8 bytes), body; to a message's last
"""

from __future__ import annotations

from typing import NamedTuple

GREETING_BYTES = 64
MORE, LONG, COMMAND = 1, 2, 4


class Piece(NamedTuple):
    """``message``: a whole message; otherwise the greeting or a command, which the connection cannot live without."""

    data: bytes
    message: bool


class Splitter:
    """One direction of one connection."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._greeting_left = GREETING_BYTES
        self._frames_bytes = 0  # of the message whose last frame is still to come

    def feed(self, data: bytes) -> list[Piece]:
        """The pieces that are whole now."""
        self._buffer += data
        pieces = []
        if self._greeting_left and self._buffer:
            # In parts, as it comes: either side waits for the other's first ten bytes before it says the rest.
            part = self._take(min(self._greeting_left, len(self._buffer)))
            self._greeting_left -= len(part)
            pieces.append(Piece(part, message=False))
        while not self._greeting_left and (piece := self._next()) is not None:
            pieces.append(piece)
        return pieces

    def _next(self) -> Piece | None:
        while True:
            at = self._frames_bytes
            if len(self._buffer) < at + 2:
                return None
            flags = self._buffer[at]
            header = 9 if flags & LONG else 2
            if len(self._buffer) < at + header:
                return None
            size = int.from_bytes(self._buffer[at + 1 : at + header], "big")
            if len(self._buffer) < at + header + size:
                return None
            end = at + header + size
            if flags & MORE:
                self._frames_bytes = end
                continue
            self._frames_bytes = 0
            return Piece(self._take(end), message=not flags & COMMAND)

    def _take(self, count: int) -> bytes:
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data
