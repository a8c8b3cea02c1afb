"""Peers of another wire version: dropped, counted apart from nonsense, told once to the journal, said by status."""

from __future__ import annotations

import logging
from collections import Counter

import msgpack
import pytest

from hfzmq.cli.mesh_view import mesh_view
from hfzmq.core.messages import TimeoutNow
from hfzmq.daemon.gate import Gate
from hfzmq.wire.peers import VERSION, Sender, encode
from tests.unit.cli_world import CONFIG, says

MESH, LIFE = b"m" * 16, b"1" * 16


def gate() -> tuple[Gate, Counter[str]]:
    """Of peer 1, and what it counts."""
    counters: Counter[str] = Counter()
    return Gate(MESH, 1, counters, lambda *life: True, lambda *life: None, lambda: 0.0, bytes), counters


@pytest.mark.parametrize("version", [VERSION + 1, 0, 99])
def test_a_message_of_another_version_is_dropped_and_counted_apart(
    version: int, caplog: pytest.LogCaptureFixture
) -> None:
    one, counters = gate()
    frame = encode(Sender(MESH, 2, LIFE, 5, 1), TimeoutNow(3))
    other: bytes = msgpack.packb([version, *msgpack.unpackb(frame)[1:]])
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert one.admit(other) is None
    assert counters == {"peer_message_other_version": 3}
    assert len(caplog.records) == 1
    assert f"another version of the peers' protocol ({VERSION} is spoken here)" in caplog.text
    assert one.admit(frame) is not None, "whoever speaks this version is heard on"


def test_what_is_no_message_at_all_is_not_taken_for_another_version() -> None:
    one, counters = gate()
    for noise in (b"", b"\xc1", b"hello", msgpack.packb([])):
        assert one.admit(noise) is None
    assert counters == {"peer_message_malformed": 4}


def test_status_says_who_hears_another_version() -> None:
    told = {1: says(1, "leader", counters={"peer_message_other_version": 7}), 2: says(2)}
    (alarm,) = mesh_view(CONFIG, told).alarms
    assert alarm.startswith("peer 1 hears somebody who speaks another version of the peers' protocol: 7 messages")
    assert alarm.endswith("run one version of hfzmq on all machines")
    others: tuple[object, ...] = (None, [], {"peer_message_other_version": "7"}, {"peer_message_other_version": 0})
    for counted in others:
        assert mesh_view(CONFIG, {1: says(1, "leader", counters=counted)}).alarms == ()
