"""What the notifier's tests are made of: a real webhook, a real mail server, a host that never answers.

Touches sockets of this machine and threads. Keeps: everything listens on loopback, on a port that the system picks.
"""

from __future__ import annotations

import email
import json
import os
import re
import select
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from hfzmq.cli.processes import free_addresses
from hfzmq.daemon.notify import Delivered, Notice, Notifier, words

AT_MS = 1_700_000_000_000
PATIENCE_S = 60.0  # each worker loads Apprise, which is seconds of a core, and on a busy machine many of them


def until(true: Callable[[], object], within_s: float = PATIENCE_S) -> None:
    """Wait for it; AssertionError when it does not come to be."""
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        select.select([], [], [], 0.02)


def notice(episode_id: int, step: int = 1) -> Notice:
    """A RED notice of bed-7."""
    return words("ward", episode_id, step, "bed-7", "RED", AT_MS, probability=0.73)


class Loop:
    """What the daemon's loop does with a notifier: polls it and gathers what it tells."""

    def __init__(self, notifier: Notifier) -> None:
        self.notifier = notifier
        self.told: list[Delivered] = []

    def turn(self, wait_s: float = 0.02) -> None:
        """One turn of it."""
        if select.select([self.notifier], [], [], wait_s)[0]:
            self.told += self.notifier.results()

    def until(self, true: Callable[[], object], within_s: float = PATIENCE_S) -> float:
        """Turn until it is true; returns for how many seconds."""
        began = time.monotonic()
        while not true():
            assert time.monotonic() < began + within_s, f"not within {within_s} s; told: {self.told}"
            self.turn()
        return time.monotonic() - began

    def delivered(self, channel: str) -> list[int]:
        """The episodes that the channel has delivered."""
        return [told.episode_id for told in self.told if told.ok and told.channel == channel]

    def failed(self, channel: str) -> list[str]:
        """Why the channel gave up, each time."""
        return [told.why for told in self.told if not told.ok and told.over and told.channel == channel]


def alive(pid: int) -> bool:
    """Whether a process runs; a dead one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def family(pid: int) -> list[int]:
    """A process and everything below it."""
    found = [pid]
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == pid:
            found += family(int(path.parent.name))
    return found


def free_port() -> int:
    """A port on which nobody listens, nor will another test meanwhile."""
    return free_addresses(1)[0].client_port


# ------------------------------------------------------------ those who are told


class Webhook:
    """Keeps the JSON bodies that it was sent. ``answer`` is its status."""

    def __init__(self, port: int = 0, answer: int = 200) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.answer = answer
        world = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if world.answer == 200:
                    world.bodies.append(body)
                self.send_response(world.answer)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = int(self._server.server_address[1])

    def __enter__(self) -> Webhook:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def episodes(self) -> list[int]:
        """The episodes that it was told of, in order."""
        return [int(body["episode_id"]) for body in self.bodies]


class MailServer:
    """As much of SMTP as a mail needs, with a log-in that takes anybody; keeps the mails."""

    def __init__(self) -> None:
        self.mails: list[Message] = []
        world = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.say("220 here")
                for line in self.rfile:
                    verb = line.decode().split()[0].upper() if line.strip() else ""
                    if verb == "EHLO":
                        self.say("250-here\r\n250 AUTH PLAIN")
                    elif verb == "AUTH":
                        self.say("235 welcome")
                    elif verb == "DATA":
                        self.say("354 go on")
                        world.mails.append(email.message_from_bytes(self.mail()))
                        self.say("250 kept")
                    elif verb == "QUIT":
                        self.say("221 bye")
                        return
                    else:
                        self.say("250 well")

            def mail(self) -> bytes:
                lines = []
                while (line := self.rfile.readline()) not in (b".\r\n", b""):
                    lines.append(line)
                return b"".join(lines)

            def say(self, text: str) -> None:
                self.wfile.write(text.encode() + b"\r\n")

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])

    def __enter__(self) -> MailServer:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def episodes(self) -> list[int]:
        """The episodes that it was told of, by the subjects' marks."""
        return [int(re.findall(r"hfzmq episode (\d+) step", str(mail["Subject"]))[0]) for mail in self.mails]


@contextmanager
def hanging_host() -> Iterator[int]:
    """A port that takes every connection and never says a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        yield int(listening.getsockname()[1])


@contextmanager
def looped(notifier: Notifier) -> Iterator[Loop]:
    """A loop around it; afterwards nothing of it is left."""
    loop = Loop(notifier)
    try:
        yield loop
    finally:
        processes = family(notifier.pid) if notifier.pid else []
        notifier.close()
        until(lambda: not any(map(alive, processes)))
        assert os.getpid() not in processes
