"""How much of a turn's effects goes into one transaction: a follower's promises do not wait for what it applies.

Touches nothing. Must not know: the disk, messages. Keeps: every effect is written once, in the order in which the core
gave them.

An append gives a follower two things to write: first the new entries, for whose sync the leader and its clients wait,
then what the append says is committed by now, for which nobody waits. In one transaction they cost one transaction
less; but to apply 800 reports takes 10 ms, to keep them half a millisecond. A leader's clients wait for both.
"""

from __future__ import annotations

from collections.abc import Sequence

from hfzmq.core.contract import Apply, Compact, Persist

Write = Persist | Apply | Compact

APPLY_APART_BYTES = 1000  # about seven reports: to apply fewer is cheaper than a transaction more


def parted(effects: Sequence[Write], leads: bool) -> tuple[list[Write], list[Write]]:
    """(what goes into the next transaction, what waits for one after it); ``leads``: whether this peer does."""
    first = next((at for at, effect in enumerate(effects) if isinstance(effect, Apply)), len(effects))
    before, rest = list(effects[:first]), list(effects[first:])
    promises = any(isinstance(effect, Persist) for effect in before)
    if leads or not promises or _applied_bytes(rest) <= APPLY_APART_BYTES:
        return before + rest, []
    return before, rest


def _applied_bytes(effects: Sequence[Write]) -> int:
    return sum(len(entry.body) for effect in effects if isinstance(effect, Apply) for entry in effect.entries)
