"""The daemon's hand on the notifier: post, withdraw, results. None of them ever waits.

Touches the daemon's log (the ``log`` channel is one line of it); all else is the keeper's. Must not know: the mesh's
roles, how a notice is delivered. Keeps: a notice is under way once a (episode, step, channel); what was delivered is
told again, not sent again, when it is posted again; what is not told as delivered or failed is still being tried.
"""

from __future__ import annotations

import contextlib
import logging
import socket
from collections import Counter, OrderedDict, deque
from collections.abc import Collection, Sequence

from hfzmq.alarm_channels import LOG, Channel, require_apprise, used_at
from hfzmq.clinical.alarm.types import RED
from hfzmq.daemon.clocks import wall_clock_ms
from hfzmq.daemon.notify.keeper import Keeper
from hfzmq.daemon.notify.notice import Delivered, Key, Notice

UNDER_WAY_MAX = 1000  # of a channel
ROOM_FOR_RED = 1000  # and so many more: a RED does not wait until something less urgent is delivered or given up
REMEMBERED_MAX = 10_000

log = logging.getLogger("hfzmq.alarm")


class Notifier:
    """One a daemon, used by its loop alone. ``fileno()`` is readable when there are results."""

    def __init__(self, channels: Sequence[Channel]) -> None:
        """Starts no process yet. HfzmqError when a channel needs Apprise and the extra ``notify`` is not installed."""
        require_apprise(channels)
        self.channels = tuple(channels)
        self._reading, self._writing = socket.socketpair()
        self._reading.setblocking(False)
        self._writing.setblocking(False)
        self._results: deque[Delivered] = deque()
        self._under_way: dict[int, set[Key]] = {}  # by episode
        self._waiting: Counter[str] = Counter()  # of them, by channel
        self._delivered: OrderedDict[Key, Delivered] = OrderedDict()
        self._keeper = Keeper([channel for channel in channels if channel.kind != LOG], self._tell)

    def fileno(self) -> int:
        """Always the same, whatever becomes of the process."""
        return self._reading.fileno()

    @property
    def pid(self) -> int | None:
        """The notifier process's id; None when it does not run."""
        return self._keeper.pid

    def has_room(self, channel: str, cause: str) -> bool:
        """Whether a channel takes more of a cause; what it does not take is to be posted later."""
        return self._waiting[channel] < UNDER_WAY_MAX + (ROOM_FOR_RED if cause == RED else 0)

    def post(self, notice: Notice, already: Collection[str] = ()) -> None:
        """Deliver it by every channel that its step uses, save those in ``already`` (the mesh knows that these have
        it). Posting again what is under way changes nothing; what was delivered is told again; what has failed is tried
        anew."""
        for channel in used_at(self.channels, notice.step):
            if channel.name not in already:
                self._post((notice.episode_id, notice.step, channel.name), notice, channel)

    def withdraw(self, episode_id: int) -> None:
        """Acknowledged meanwhile: what has not begun is dropped without a word; an attempt that has begun ends as it
        may, and is told if it delivered."""
        keys = self._under_way.pop(episode_id, None)
        if keys:
            self._waiting.subtract(key[2] for key in keys)
            self._keeper.withdraw(episode_id)

    def withdraw_all(self) -> None:
        """Another leads now, and posts what is still to be told: the process ends, and what it has under way with it.
        An attempt that was cut off may have delivered: the other's has the same mark."""
        self._under_way.clear()
        self._waiting.clear()
        self._keeper.rest()

    def results(self) -> list[Delivered]:
        """What was delivered or given up, or has failed for the first time, since the last time."""
        with contextlib.suppress(BlockingIOError):
            while self._reading.recv(4096):
                pass
        found = []
        while self._results:
            result = self._results.popleft()
            found.append(result)
            self._settle(result)
        return found

    def close(self) -> None:
        """End the process; what is not delivered is for whoever leads next."""
        self._keeper.close()
        self._reading.close()
        self._writing.close()

    def _post(self, key: Key, notice: Notice, channel: Channel) -> None:
        if key in self._under_way.get(key[0], ()):
            return
        if key in self._delivered:  # at once: who posts it waits for the answer, and posts it no more until then
            self._begin(key)
            self._tell(self._delivered[key])
            return
        if not self.has_room(channel.name, notice.cause):
            under_way = self._waiting[channel.name]
            self._tell(Delivered(*key, False, wall_clock_ms(), f"{under_way} notices are under way already"))
            return
        self._begin(key)
        if channel.kind == LOG:
            log.warning("ALARM %s: %s", notice.title, notice.body.partition("\n")[0])
            self._tell(Delivered(*key, True, wall_clock_ms(), ""))
        else:
            self._keeper.post(key, notice)

    def _begin(self, key: Key) -> None:
        self._under_way.setdefault(key[0], set()).add(key)
        self._waiting[key[2]] += 1

    def _settle(self, result: Delivered) -> None:
        key = (result.episode_id, result.step, result.channel)
        if not result.over:
            return
        keys = self._under_way.get(key[0], set())
        if key in keys:
            keys.discard(key)
            self._waiting[key[2]] -= 1
            if not keys:
                del self._under_way[key[0]]
        if result.ok:
            self._delivered[key] = result
            self._delivered.move_to_end(key)
            while len(self._delivered) > REMEMBERED_MAX:
                self._delivered.popitem(last=False)

    def _tell(self, result: Delivered) -> None:
        """Called by the keeper's thread too."""
        self._results.append(result)
        with contextlib.suppress(BlockingIOError, OSError):  # full, or closing: it is in the list in any case
            self._writing.send(b"0")
