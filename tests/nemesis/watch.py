"""Somebody who asks every peer how it is, twice a second, and tells the History.

Touches sockets. Must not know: what is right. Keeps: one peer's answers are told in the order in which it gave them.
"""

from __future__ import annotations

import threading

from hfzmq.client.ask import ask_all
from tests.nemesis.history import History
from tests.nemesis.world import World

EVERY_S = 0.5


class Watch:
    """A thread; ``leaders`` counts the terms that had a leader."""

    def __init__(self, world: World, history: History) -> None:
        self._world = world
        self._history = history
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="watch", daemon=True)
        self.leaders: dict[int, int] = {}

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *about: object) -> None:
        self._ending.set()
        self._thread.join(5)

    def _work(self) -> None:
        while not self._ending.wait(EVERY_S):
            lives = dict(self._world.lives)
            for number, answer in ask_all(self._world.config, "status", timeout_ms=700).items():
                peer = answer.get("peer") if answer else None
                if not peer or lives.get(number) != self._world.lives.get(number):
                    continue  # silent, or wiped while it answered
                if peer["role"] == "leader":
                    self.leaders[peer["term"]] = number
                self._history.add(
                    "watch", "ok", "status", peer=number, life=lives.get(number, 0), boot=peer["boot"],
                    role=peer["role"], serves=peer["serves"], term=peer["term"], commit=peer["commit_index"],
                    applied=peer["applied_index"], state=peer["state_hash"],
                    differs=peer["differs"], amnesia=peer["amnesia"],
                )  # fmt: skip
