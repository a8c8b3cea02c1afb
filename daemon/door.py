"""A port's door: a listening socket that lets nobody in while descriptors are scarce, and keeps those who are in.

    open --fewer than ``reserve`` descriptors are free--> shut --``reserve`` + SLACK are free again--> open

The clients' door counts, and minds those of the peers' two ports, which are shut later: other peers still come in when
clients do not, and yet whoever knocks there without a key does not take the last descriptor.

Touches the process's limit of open files, one listening TCP socket, Linux socket filters. Must not know: clients,
requests. Keeps: libzmq never meets the end of the descriptors at ``accept``, where it would turn in circles on a whole
core (measured); the disk, the peers and a snapshot always find the few that they need. Who knocks at a shut door hears
nothing and goes to the next peer.

Where there are no socket filters (not Linux) the door stays open, and only the check at the start stands.
"""

from __future__ import annotations

import ctypes
import logging
import os
import resource
import socket
import struct

from hfzmq.errors import HfzmqError

RESERVE = 192  # for the database, a snapshot, reads, the other peers; and for who stood in the door when it was shut
RESERVE_OF_PEERS = 64  # for the database and a snapshot; and for who stood in their two doors when these were shut
SLACK = 16
LEAST = 384  # with fewer a daemon does not start
FEW = 1024  # with fewer it says how many clients it can serve
BACKLOG = 100  # who stands in the door when it is shut still comes in: less than RESERVE, RESERVE_OF_PEERS left
BACKLOG_OF_PEERS = 16
COUNT_MS = 1000
COUNT_SHUT_MS = 100
DESCRIPTORS = "/dev/fd"
SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27
NOTHING_PASSES = struct.pack("HBBI", 0x06, 0, 0, 0)  # one instruction of a classic socket filter: keep 0 bytes

log = logging.getLogger("hfzmq.door")


def make_room() -> int:
    """Take as many descriptors as this process may have; how many that are. HfzmqError where they are too few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < LEAST and hard != resource.RLIM_INFINITY:
        raise HfzmqError(
            f"this process may open {hard} files only; at least {LEAST} are needed",
            hint=f"raise the limit: ulimit -n {FEW}, or LimitNOFILE={FEW} in the systemd unit",
        )
    if hard < FEW and hard != resource.RLIM_INFINITY:
        log.warning(
            "this process may open %d files: it serves some %d clients at once; more: ulimit -n, or LimitNOFILE= in "
            "the systemd unit", hard, hard - RESERVE - SLACK,
        )  # fmt: skip
    return hard


class Door:
    """Listens on ``host``:``port`` (0: any) for a ZeroMQ socket to accept from. OSError where it cannot. ``whose``:
    clients or peers, for people. ``inner``: doors that ``look`` shuts and opens, too."""

    def __init__(
        self, host: str, port: int, whose: str = "clients", reserve: int = RESERVE, backlog: int = BACKLOG
    ) -> None:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
        self._listening = socket.socket(family, kind)
        self._whose = whose
        self._reserve = reserve
        self.inner: tuple[Door, ...] = ()
        self._limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._open = 0
        self._count_at_ms = 0.0
        self.shut = False
        try:
            self._listening.setblocking(False)  # or an accept of who is gone again would hold up all input and output
            self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listening.bind(address)
            self._listening.listen(backlog)
        except OSError:
            self._listening.close()
            raise

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listening.getsockname()[1])

    def hand_over(self) -> int:
        """The listening descriptor, for a ZeroMQ socket to own; this one keeps another one of the same."""
        return os.dup(self._listening.fileno())

    def look(self, now_ms: float, came: int) -> None:
        """``came``: so many were let in since the last time. Shut it, or open it again, where it is time to."""
        if self._limit == resource.RLIM_INFINITY:
            return
        self._open += came
        doors = (self, *self.inner)
        tight = any(not door.shut and self._limit - self._open < door._reserve for door in doors)
        if now_ms >= self._count_at_ms or tight:
            self._open = len(os.listdir(DESCRIPTORS))
            self._count_at_ms = now_ms + (COUNT_SHUT_MS if self.shut else COUNT_MS)
        for door in doors:
            door._mind(self._limit - self._open)

    def _mind(self, free: int) -> None:
        if not self.shut and free < self._reserve:
            self._set(True)
            log.warning("%d of %d files are open: no more %s are let in", self._limit - free, self._limit, self._whose)
        elif self.shut and free >= self._reserve + SLACK:
            self._set(False)
            log.info("%s are let in again", self._whose)

    def close(self) -> None:
        """Listen no more. Twice is harmless."""
        self._listening.close()

    def _set(self, shut: bool) -> None:
        self.shut = shut
        try:
            if shut:
                code = ctypes.create_string_buffer(NOTHING_PASSES, len(NOTHING_PASSES))
                program = struct.pack("HP", 1, ctypes.addressof(code))
                self._listening.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
            else:
                self._listening.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
        except OSError as error:
            log.warning("the door of %s cannot be %s: %s", self._whose, "shut" if shut else "opened", error)
