"""The values that go in and out of a client's queue.

Touches nothing.
"""

from __future__ import annotations

from typing import NamedTuple

from hfzmq.errors import HfzmqError


class QueueFull(HfzmqError):
    """The mesh has been away for so long that the queue is at its limit (exit 1). Nothing that was queued is lost."""


class Batch(NamedTuple):
    """A request as it is fixed on disk. ``rows``: an array of ``row_count`` packed rows, ``last_id`` the last one's."""

    epoch: bytes
    seq: int
    digest: bytes
    rows: bytes
    row_count: int
    last_id: int


class DeadLetter(NamedTuple):
    """A row that the mesh refused for good, or (field 'queue') that this disk has damaged: the row's fields, the field
    that was wrong, why, and when (Unix ms)."""

    id: int
    row: list[object]
    field: str
    bound: str
    hint: str
    at_ms: int


class Damage(NamedTuple):
    """What was found damaged on this disk: ``rows``, which lie in the dead letters and were never sent; ``lost_seq``:
    the number of a request that was under way, and whose rows are sent in a new session (0: none)."""

    rows: list[DeadLetter]
    lost_seq: int


class Progress(NamedTuple):
    """How far a source was read: ``prefix`` is the SHA-256 of its first ``bytes_read`` bytes, which hold ``lines``
    (and of what else makes them other reports: the patient that was given for them, or whose alone were taken)."""

    prefix: bytes
    bytes_read: int
    lines: int


Places = tuple[Progress, ...]
"""How far a source was read: one Progress, or one for each patient whose lines were taken."""
