"""The values that settings are made of: times, limits, thresholds, ranges, addresses, each with its default and unit.

Touches nothing. Must not know: files. The core needs these and no other setting, so what is shown of the core holds
whatever else peers.yaml may say.
"""

from __future__ import annotations

from typing import NamedTuple

PEER_ID_MAX = 9_999


class Thresholds(NamedTuple):
    """Probabilities from which a tier starts; 0 < amber_from < red_from < 1."""

    amber_from: float = 0.30
    red_from: float = 0.60


class Timing(NamedTuple):
    """Times in milliseconds. No rule of safety uses them; they decide only how soon the mesh reacts."""

    lease_ms: int = 1000  # T: a follower that heard no leader for so long campaigns
    heartbeat_ms: int = 100  # every peer publishes one so often
    handover_settle_ms: int = 10_000  # a lower id must have been well for so long before it is given the lead


class Limits(NamedTuple):
    """A limit on everything; the unit is the name's last word."""

    client_message_bytes_max: int = 1 << 20
    peer_message_bytes_max: int = 4 << 20
    uncommitted_bytes_max: int = 8 << 20  # beyond it the leader answers BUSY
    inflight_appends_max: int = 64  # per follower
    inflight_bytes_max: int = 8 << 20  # per follower
    append_bytes_max: int = 1 << 20  # entries of one append
    batch_rows_max: int = 1000  # rows of one request
    log_entries_keep: int = 20_000  # a thousand more, and it is cut; up to 8 times as many wait for a follower
    log_bytes_keep: int = 64 << 20  # likewise, in memory and on disk; up to 4 times as many wait


class HeartRate(NamedTuple):
    """Beats a minute, ends included; invalid_min < valid_min < valid_max < invalid_max. All that the generator makes up
    lies within the invalid range, valid or not."""

    valid_min: int = 50
    valid_max: int = 120
    future_ms: int = 5_000  # a reading's stamp may be so far ahead of the leader's clock
    invalid_min: int = 30  # of the generator
    invalid_max: int = 200  # of the generator
    patients: int = 10  # of the generator


class PeerAddress(NamedTuple):
    """A peer of the mesh: ``id`` is also its priority (the lowest leads); three TCP ports on ``host``."""

    id: int
    host: str
    client_port: int  # ROUTER for clients
    peer_port: int  # ROUTER for the other peers
    beat_port: int  # PUB of heartbeats
