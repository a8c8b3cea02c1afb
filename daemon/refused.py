"""Connections that the other side would not have: found by their monitors, made anew until it would.

    connected --400, or another server's key--> refused --RETRY_MS--> told to be made anew
              --ended, and not tried again----> given up --'

Touches monitor sockets. Must not know: why (a key that was not issued yet, or is revoked). ZeroMQ gives a connection up
for good once it was refused, or once one byte came that is no ZMTP (something else had the port for a while, a message
was too large, a byte was changed on its way), silently; this is who notices.
"""

from __future__ import annotations

import re
import struct

import zmq

LOOK_MS = 200
DRAINED = 10_000  # events at most; a pipe between two sockets holds some thousands
RETRY_MS = 1000
EVENTS_A_LOOK = 1000  # a peer that is away makes ten a look; who does not read them stops ZeroMQ's own thread
AUTH, PROTOCOL, NO_DETAIL = (
    int(zmq.Event.HANDSHAKE_FAILED_AUTH),
    int(zmq.Event.HANDSHAKE_FAILED_PROTOCOL),
    int(zmq.Event.HANDSHAKE_FAILED_NO_DETAIL),
)
ENDED = int(zmq.Event.DISCONNECTED)
ON_ITS_WAY = (int(zmq.Event.CONNECT_DELAYED), int(zmq.Event.CONNECT_RETRIED), int(zmq.Event.CONNECTED))
SUCCEEDED = int(zmq.Event.HANDSHAKE_SUCCEEDED)
_MAPPED = re.compile(r"\[::ffff:([0-9.]+)\]")
_BROKEN_PIPE = 32  # the other side closed in the middle of a handshake: a server that could not read what came
WHY = {
    AUTH: "it does not accept this peer's key",
    PROTOCOL: "one of the two is plain and the other has keys",
    NO_DETAIL: "it ended the handshake: does it serve with the key that is listed for it?",
}


class Refused:
    """Watches connecting sockets by name; ``look`` says which endpoints are to be made anew."""

    def __init__(self) -> None:
        self._monitors: dict[object, zmq.Socket[bytes]] = {}
        self._due: dict[tuple[object, str], float] = {}
        self._look_at_ms = 0.0
        self._only: dict[object, str] = {}
        self.why: dict[tuple[object, str], str] = {}  # (name, endpoint) of who refuses, with the last reason

    def watch(self, name: object, socket: zmq.Socket[bytes], endpoint: str | None = None) -> None:
        """From now on, under ``name``; it takes the place of the socket that had the name. ``endpoint``: the only one
        that it connects to, however ZeroMQ writes it when it tries again."""
        self.forget(name)
        if endpoint is not None:
            self._only[name] = endpoint
            for key in [key for key in self.why if key[0] == name and key[1] != endpoint]:
                del self.why[key]
        monitor = socket.get_monitor_socket(AUTH | PROTOCOL | NO_DETAIL | SUCCEEDED | ENDED | sum(ON_ITS_WAY))
        monitor.setsockopt(zmq.LINGER, 0)
        self._monitors[name] = monitor

    def drain(self, name: object) -> None:
        """Its socket is going to be closed: ZeroMQ's own thread may be waiting for room to tell of it."""
        monitor = self._monitors.get(name)
        if monitor is None:
            return
        for _ in range(DRAINED):
            try:
                monitor.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return

    def forget(self, name: object) -> None:
        """Its socket is going to be closed."""
        monitor = self._monitors.pop(name, None)
        if monitor is not None:
            monitor.close(0)
        for key in [key for key in self._due if key[0] == name]:
            del self._due[key]

    def look(self, now_ms: float) -> list[tuple[object, str]]:
        """(name, endpoint) of the connections to be made anew now."""
        if now_ms < self._look_at_ms:
            return []
        self._look_at_ms = now_ms + LOOK_MS
        for name, monitor in self._monitors.items():
            for _ in range(EVENTS_A_LOOK):
                try:
                    frames = monitor.recv_multipart(zmq.DONTWAIT)
                except zmq.Again:
                    break
                self._note(now_ms, name, frames)
        due = [key for key, at_ms in self._due.items() if at_ms <= now_ms]
        for key in due:
            del self._due[key]
        return due

    def close(self) -> None:
        """Watch nobody any more."""
        for name in list(self._monitors):
            self.forget(name)

    def _note(self, now_ms: float, name: object, frames: list[bytes]) -> None:
        event, value = struct.unpack("=hi", frames[0])
        key = (name, self._only.get(name) or _as_connected(frames[1].decode("utf-8", "replace")))
        if event == SUCCEEDED:
            self.why.pop(key, None)
            self._due.pop(key, None)
        elif event in ON_ITS_WAY:
            self._due.pop(key, None)  # ZeroMQ itself tries again
        elif event == ENDED:
            self._due.setdefault(key, now_ms + RETRY_MS)  # unless it does
        elif event in (AUTH, PROTOCOL):
            self.why[key] = WHY[event]
            self._due.setdefault(key, now_ms + RETRY_MS)
        elif value == _BROKEN_PIPE:
            self.why[key] = WHY[NO_DETAIL]  # ZeroMQ itself tries again


def _as_connected(endpoint: str) -> str:
    """``tcp://10.0.0.2:7102`` of ``tcp://[::ffff:10.0.0.2]:7102``: how ZeroMQ writes it from the second try on."""
    return _MAPPED.sub(r"\1", endpoint)
