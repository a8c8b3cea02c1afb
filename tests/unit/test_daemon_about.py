"""What a peer says of itself: never a stale number without its age, and who is a member, asks, or must not speak."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hfzmq.config import Config, PeerAddress
from hfzmq.core.contract import Received
from hfzmq.core.messages import JoinRequest
from hfzmq.daemon.about import About
from hfzmq.storage.reading_rows import VerdictCounts
from tests.unit.core_bench import LEASE, TIMING, Bench, append, heartbeat, log_of, member

HERE = PeerAddress(1, "here", 11, 12, 13)


class Daemon:
    """A bench, and what its daemon says about it."""

    def __init__(self, bench: Bench, file: tuple[PeerAddress, ...] = (HERE,)) -> None:
        self.bench = bench
        self.strangers: dict[tuple[int, bytes], bool] = {}
        self.others: list[int] = []
        parts: Any = SimpleNamespace(
            strangers=lambda now_ms: self.strangers,
            reports_stored=7,
            readings_stored=VerdictCounts((5, 1, 2, 3, 0, 0, 0, 4)),
            identity=SimpleNamespace(incarnation=bytes(16), boot_no=3),
            path=Path(__file__),
            size_bytes=lambda: Path(__file__).stat().st_size,
            amnesia=None,
            history=b"h" * 16,
            other_histories=lambda now_ms: dict.fromkeys(self.others, b"o" * 16),
        )
        config = Config("ward", bytes(16), file, TIMING)
        self.about = About(
            config, bench.replica, parts, parts, Counter(odd=1), lambda: bench.now, lambda: 1_700_000_000_000
        )

    def stale_ms(self) -> int | None:
        told = self.about.staleness()
        assert told["peer"] == self.bench.replica.me
        stale: int | None = told["stale_ms"]
        return stale


def test_a_follower_says_how_long_ago_it_heard_its_leader() -> None:
    bench = Bench(2)
    bench.hear(1, append(1, []))
    assert Daemon(bench).stale_ms() == 1, "0 is for who leads"
    bench.now += 250
    assert Daemon(bench).stale_ms() == 250


def test_a_peer_that_hears_no_leader_says_that_it_does_not_know() -> None:
    bench = Bench(2)
    assert Daemon(bench).stale_ms() is None
    bench.hear(1, append(1, []))
    bench.now += LEASE
    assert Daemon(bench).stale_ms() is None


def test_a_leader_is_up_to_date() -> None:
    bench = Bench(1)
    bench.serve()
    assert Daemon(bench).stale_ms() == 0


def test_a_leader_that_was_stopped_for_thirty_seconds_does_not_call_its_picture_fresh() -> None:
    bench = Bench(1)
    bench.serve()
    bench.now += 30 * LEASE
    stale = Daemon(bench).stale_ms()
    # Once: 0 for whoever is in the role of a leader; the loop reads its clients before it looks at the clock.
    assert stale is None or stale >= 29 * LEASE


def test_a_peer_says_up_to_where_it_knows_that_entries_are_committed_also_where_it_holds_them_not() -> None:
    bench = Bench(2)
    log = log_of(1, 1, 1)
    bench.hear(1, append(1, log, commit=1))
    assert Daemon(bench).about.staleness()["commit"] == 1
    bench.take(Received(1, append(1, log, after=3, commit=3), b"", 0))
    assert Daemon(bench).about.staleness()["commit"] == 3, "committed here, and not applied yet"
    bench.beat(1, heartbeat(1, "leader", commit=12_000))
    assert Daemon(bench).about.staleness()["commit"] == 12_000


def test_the_first_peers_are_where_this_machines_file_says_and_who_joined_where_it_said_itself() -> None:
    bench = Bench(1)
    bench.serve()
    daemon = Daemon(bench, (HERE, HERE._replace(id=2, host="as-filed"), HERE._replace(id=4, host="never")))
    bench.learner(4, b"4" * 16)
    assert [one.host for one in daemon.about.addresses()] == ["here", "as-filed", "peer-3", "peer-4"]
    assert daemon.about.address_of(2) == HERE._replace(id=2, host="as-filed")
    assert daemon.about.address_of(9) is None
    bench.answer(2, 2)
    assert [row[1] for row in daemon.about.members()["members"]] == ["here", "as-filed", "peer-3", "peer-4"]


def test_only_a_leader_says_who_asks_to_join_and_how_long_ago_it_did() -> None:
    bench = Bench(1)
    bench.serve()
    daemon = Daemon(bench)
    bench.hear(4, JoinRequest(member(4, b"4" * 16, votes=False)), b"4" * 16)
    bench.now += 1500
    assert daemon.about.members()["asking"] == [[4, "peer-4", 7000, (b"4" * 16).hex(), 1.5]]
    assert Daemon(Bench(2)).about.members()["asking"] == []


def test_members_are_told_as_they_have_committed_and_not_before() -> None:
    bench = Bench(1)
    bench.serve()
    daemon = Daemon(bench)
    before = daemon.about.members()
    bench.ask_to_join(4, b"4" * 16)
    bench.change("add", 4)
    assert bench.replica.membership.learners == (4,)
    assert daemon.about.members() == before | {"asking": []}
    bench.answer(2, 3)
    assert daemon.about.members_index() == bench.replica.membership.index
    assert daemon.about.members()["index"] == daemon.about.status()["members_index"]
    assert [row[0] for row in daemon.about.members()["members"]] == [1, 2, 3, 4]


def test_refused_are_strangers_that_do_not_ask_and_those_that_claim_the_id_of_one_that_is_heard() -> None:
    bench = Bench(1)
    daemon = Daemon(bench)
    bench.beat(3, heartbeat(0))
    daemon.strangers = {(2, b"x"): True, (3, b"x"): True, (9, b"x"): False, (9, b"y"): False}
    assert daemon.about.refused_peers() == [3, 9]


def test_the_status_tells_what_other_members_say_of_themselves_and_how_long_ago() -> None:
    bench = Bench(1)
    bench.beat(3, heartbeat(4, last=9, applied=8, state_hash=b"s" * 16))
    bench.now += 120
    status = Daemon(bench).about.status()
    assert status["hears"] == [[3, 120, "follower", 4, 9, 8, (b"s" * 16).hex()]]
    assert (status["id"], status["reports"], status["boot"], status["counters"]) == (1, 7, 3, {"odd": 1})
    assert status["readings"] == {"valid": 5, "invalid_physiological": 3, "invalid_system": 3, "corrupted": 4}
    assert status["alerts"] == {"physiological_anomaly": 3, "system_anomaly": 3, "data_corruption": 4}
    assert status["differs"] == []


def test_a_voter_that_is_heard_with_another_disk_is_told() -> None:
    daemon = Daemon(Bench(2))
    assert daemon.about.status()["replaced"] == []
    daemon.strangers = {(1, b"n" * 16): True, (9, b"x" * 16): True}
    assert daemon.about.status()["replaced"] == [1]


def test_which_history_it_holds_and_who_is_heard_with_another_is_told() -> None:
    daemon = Daemon(Bench(2))
    assert daemon.about.status()["history"] == (b"h" * 16).hex()
    assert daemon.about.status()["other_histories"] == []
    daemon.others = [3, 1]
    assert daemon.about.status()["other_histories"] == [1, 3]
