"""Lazy Pirate against real sockets that lose, delay, point elsewhere, refuse and die."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from random import Random

import pytest
import zmq

from hfzmq.cli.processes import free_addresses
from hfzmq.client.ask import ask, ask_all, ask_leader
from hfzmq.client.backoff import BACKOFF_MAX_MS, Backoff
from hfzmq.client.pirate import Link, Pirate
from hfzmq.config import Config, PeerAddress
from hfzmq.errors import ConfigError, InvalidInput, KeysError, NoDaemonReached, NoLeader, TimedOut
from hfzmq.key_section import Keys
from hfzmq.secret_files import make_pair
from hfzmq.wire.requests import encode_reply, encode_request
from tests.integration.fake_peer import MESH, Answer, FakePeer, Later

ACK = encode_reply("ACK", seq=1, term=1, index=1, rejected=[])
NOT_LEADER = encode_reply("NOT_LEADER", leader=None, host=None, port=None)
NO_QUORUM = encode_reply("NO_QUORUM")
FRAME = b"any bytes: the pirate does not look inside"


class Harbour:
    """Peers 1, 2, ... with one answer each, and a pirate that knows them."""

    def __init__(self) -> None:
        self.peers: dict[int, FakePeer] = {}
        self.links: list[Link] = []
        self.stop = threading.Event()
        self._pirates: list[Pirate] = []

    def add(self, *answers: Answer) -> None:
        for answer in answers:
            self.peers[len(self.peers) + 1] = FakePeer(answer)

    @property
    def config(self) -> Config:
        return Config("m", MESH, tuple(PeerAddress(n, "127.0.0.1", p.port, 1, 1) for n, p in self.peers.items()))

    def pirate(self, timeout_ms: int = 1000) -> Pirate:
        pirate = Pirate(
            self.config.peers, rng=Random(1), timeout_ms=timeout_ms, stop=self.stop, on_link=self.links.append
        )
        self._pirates.append(pirate)
        return pirate

    def hint(self, leader: int) -> bytes:
        return encode_reply("NOT_LEADER", leader=leader, host="127.0.0.1", port=self.peers[leader].port)

    def heard(self, peer: int) -> int:
        return len(self.peers[peer].heard)

    def close(self) -> None:
        for pirate in self._pirates:
            pirate.close()
        for peer in self.peers.values():
            peer.die()


@pytest.fixture
def harbour() -> Iterator[Harbour]:
    made = Harbour()
    yield made
    made.close()


def soon(seconds: float = 20.0) -> float:
    return time.monotonic() + seconds


def free_port() -> int:
    return free_addresses(1)[0].client_port


def test_a_hint_leads_straight_to_the_leader_and_stays_known(harbour: Harbour) -> None:
    harbour.add(lambda _: harbour.hint(3), lambda _: NOT_LEADER, lambda _: ACK)
    pirate = harbour.pirate()
    for _ in range(3):
        reply = pirate.ask(FRAME, deadline=soon())
        assert reply is not None
        assert reply["status"] == "ACK"
    assert [harbour.heard(peer) for peer in (1, 2, 3)] == [1, 0, 3]
    assert harbour.links[-1] == Link("connected", 3, 3)


def test_a_lost_answer_brings_the_same_bytes_to_the_next_peer_after_the_timeout(harbour: Harbour) -> None:
    harbour.add(lambda _: None, lambda _: ACK)
    started = time.monotonic()
    assert harbour.pirate(timeout_ms=200).ask(FRAME, deadline=soon()) is not None
    assert 0.2 <= time.monotonic() - started < 1.0
    assert [frame for _, frame in harbour.peers[1].heard] == [FRAME]
    assert [frame for _, frame in harbour.peers[2].heard] == [FRAME]


def test_an_answer_that_comes_too_late_is_never_taken_for_the_answer_to_the_next_request(harbour: Harbour) -> None:
    late = encode_reply("ACK", seq=1, term=1, index=1, rejected=[])
    right = encode_reply("ACK", seq=2, term=1, index=2, rejected=[])
    harbour.add(lambda frame: Later(0.25, late) if frame == b"one" else right)
    pirate = harbour.pirate(timeout_ms=100)
    assert pirate.ask(b"one", deadline=soon(0.15)) is None
    reply = pirate.ask(b"two", deadline=soon())
    assert reply is not None
    assert reply["seq"] == 2


def test_a_killed_peer_is_abandoned_at_once_and_not_after_the_timeout(harbour: Harbour) -> None:
    harbour.add(lambda _: None, lambda _: ACK)
    pirate = harbour.pirate()

    def kill_when_asked() -> None:
        while not harbour.heard(1):
            threading.Event().wait(0.002)
        harbour.peers[1].die()

    killer = threading.Thread(target=kill_when_asked)
    killer.start()
    started = time.monotonic()
    assert pirate.ask(FRAME, deadline=soon()) is not None
    assert time.monotonic() - started < 0.9  # its timeout is a second
    killer.join()


def test_a_peer_that_died_between_two_requests_costs_no_timeout(harbour: Harbour) -> None:
    harbour.add(lambda _: ACK, lambda _: ACK)
    pirate = harbour.pirate()
    assert pirate.ask(FRAME, deadline=soon()) is not None
    harbour.peers[1].die()
    started = time.monotonic()
    assert pirate.ask(FRAME, deadline=soon()) is not None
    assert time.monotonic() - started < 0.9
    assert harbour.heard(2) == 1


def test_a_new_leader_is_found_within_150_ms_of_its_election(harbour: Harbour) -> None:
    """The leader is dead, the others still name it, then 2 leads: the gap is the election's and little more."""
    elected = threading.Event()
    at: list[float] = []

    def second(_: bytes) -> bytes:
        return ACK if elected.is_set() else harbour.hint(1)

    harbour.add(lambda _: ACK, second, lambda _: harbour.hint(2 if elected.is_set() else 1))
    pirate = harbour.pirate()
    assert pirate.ask(FRAME, deadline=soon()) is not None
    harbour.peers[1].die()

    def elect() -> None:
        threading.Event().wait(1.2)
        at.append(time.monotonic())
        elected.set()

    election = threading.Thread(target=elect)
    election.start()
    assert pirate.ask(FRAME, deadline=soon()) is not None
    found = time.monotonic()
    election.join()
    assert found - at[0] < 0.15 + 0.1  # and something for a busy machine
    assert harbour.heard(2) < 30


def test_a_new_leader_is_found_though_the_old_one_is_silent_and_still_named(harbour: Harbour) -> None:
    """The machine is gone without a word (no reset): only the first request waits the whole timeout."""
    elected_at = time.monotonic() + 1.4
    harbour.add(
        lambda _: None,
        lambda _: ACK if time.monotonic() > elected_at else harbour.hint(1),
        lambda _: harbour.hint(1),
    )
    assert harbour.pirate().ask(FRAME, deadline=soon()) is not None
    assert time.monotonic() - elected_at < 0.8
    assert harbour.heard(1) == 1


def test_peers_that_point_at_each_other_are_not_asked_in_a_hot_loop(harbour: Harbour) -> None:
    harbour.add(lambda _: harbour.hint(2), lambda _: harbour.hint(1))
    assert harbour.pirate().ask(FRAME, deadline=soon(1.0)) is None
    assert 8 <= harbour.heard(1) + harbour.heard(2) <= 30  # two questions each 0.1 s


def test_no_quorum_moves_on_at_once(harbour: Harbour) -> None:
    harbour.add(lambda _: NO_QUORUM, lambda _: NO_QUORUM, lambda _: ACK)
    took_s = []
    for _ in range(5):  # the quickest: others may use the machine meanwhile
        started = time.monotonic()
        assert harbour.pirate().ask(FRAME, deadline=soon()) is not None
        took_s.append(time.monotonic() - started)
    assert min(took_s) < 0.1
    assert [harbour.heard(peer) for peer in (1, 2, 3)] == [5, 5, 5]


def test_a_mesh_without_a_quorum_is_called_so_and_asked_again_every_tenth_of_a_second(harbour: Harbour) -> None:
    harbour.add(lambda _: NO_QUORUM, lambda _: NO_QUORUM)
    pirate = harbour.pirate()
    assert pirate.ask(FRAME, deadline=soon(1.05)) is None
    assert pirate.link.state == "no quorum"
    assert 8 <= harbour.heard(1) <= 14


def test_busy_rests_as_told_and_asks_the_same_peer_again(harbour: Harbour) -> None:
    answers = iter([encode_reply("BUSY", retry_ms=150), ACK])
    harbour.add(lambda _: next(answers), lambda _: ACK)
    started = time.monotonic()
    assert harbour.pirate().ask(FRAME, deadline=soon()) is not None
    assert time.monotonic() - started >= 0.15
    assert [harbour.heard(peer) for peer in (1, 2)] == [2, 0]


@pytest.mark.parametrize(
    "nonsense",
    [b"", b"220 smtp", encode_reply("ACK", seq=1), encode_reply("WHAT"), encode_reply("BUSY", retry_ms="soon")],
)
def test_nonsense_is_no_answer_and_the_next_peer_is_asked(harbour: Harbour, nonsense: bytes) -> None:
    harbour.add(lambda _: nonsense, lambda _: ACK)
    reply = harbour.pirate().ask(FRAME, deadline=soon())
    assert reply is not None
    assert reply["status"] == "ACK"


@pytest.mark.parametrize("retry_ms", [-5, 0, 10**12])
def test_a_mad_retry_time_neither_spins_nor_hangs(harbour: Harbour, retry_ms: int) -> None:
    harbour.add(lambda _: encode_reply("BUSY", retry_ms=retry_ms))
    started = time.monotonic()
    assert harbour.pirate().ask(FRAME, deadline=soon(0.3)) is None
    assert time.monotonic() - started < 1.0
    assert harbour.heard(1) < 400


@pytest.mark.parametrize(("leader", "port"), [(0, 1), (-1, 1), (9, 0), (9, 70_000), (9, None), (None, None)])
def test_a_mad_hint_is_ignored(harbour: Harbour, leader: int | None, port: int | None) -> None:
    hint = encode_reply("NOT_LEADER", leader=leader, host="127.0.0.1", port=port)
    harbour.add(lambda _: hint, lambda _: ACK)
    assert harbour.pirate().ask(FRAME, deadline=soon()) is not None


def test_a_leader_that_the_own_file_does_not_know_is_found_by_the_hints_address(harbour: Harbour) -> None:
    stranger = FakePeer(lambda _: ACK)
    hint = encode_reply("NOT_LEADER", leader=7, host="127.0.0.1", port=stranger.port)
    harbour.add(lambda _: hint)
    assert harbour.pirate().ask(FRAME, deadline=soon()) is not None
    assert harbour.links[-1].leader == 7
    stranger.die()


def test_a_peer_of_another_mesh_neither_answers_for_ours_nor_holds_it_up(harbour: Harbour) -> None:
    refused = encode_reply("REFUSED", field="mesh", bound="the id of this mesh", hint="compare")
    harbour.add(lambda _: refused, lambda _: ACK)
    pirate = harbour.pirate()
    reply = pirate.ask(FRAME, deadline=soon())
    assert reply is not None
    assert reply["status"] == "ACK"
    assert list(pirate.refusals) == [1]


def test_a_stop_ends_an_endless_ask_quickly(harbour: Harbour) -> None:
    harbour.add(lambda _: None)
    threading.Timer(0.2, harbour.stop.set).start()
    started = time.monotonic()
    assert harbour.pirate().ask(FRAME) is None
    assert time.monotonic() - started < 0.6


def test_without_a_deadline_it_asks_until_somebody_comes(harbour: Harbour) -> None:
    harbour.add(lambda _: ACK)
    port = harbour.peers[1].port
    harbour.peers[1].die()
    pirate = harbour.pirate()
    born: list[FakePeer] = []
    timer = threading.Timer(0.6, lambda: born.append(FakePeer(lambda _: ACK, port)))
    timer.start()
    assert pirate.link.state == "searching"
    assert pirate.ask(FRAME) is not None
    timer.join()
    born[0].die()
    assert harbour.links == [Link("searching"), Link("connected", 1, 1)]


def test_rests_grow_from_a_tenth_of_a_second_to_five_while_nobody_answers_and_replay_by_seed() -> None:
    silent = Backoff(Random(3))
    rests = [silent.next_ms(answered=False) for _ in range(12)]
    assert 80 <= rests[0] <= 120
    assert all(rest <= BACKOFF_MAX_MS * 1.2 for rest in rests)
    assert rests[-1] >= BACKOFF_MAX_MS * 0.8
    again = Backoff(Random(3))
    assert [again.next_ms(answered=False) for _ in range(12)] == rests
    answered = Backoff(Random(3))
    assert all(answered.next_ms(answered=True) <= 120 for _ in range(35))
    assert max(answered.next_ms(answered=True) for _ in range(100)) <= 1200


def test_the_first_rests_after_somebody_has_served_are_as_short_as_a_hand_over() -> None:
    backoff = Backoff(Random(3))
    for _ in range(2):
        rests = [backoff.next_ms(answered=True) for _ in range(5)]
        for rest, about in zip(rests, (20, 40, 80, 100, 100), strict=True):
            assert 0.8 * about <= rest <= 1.2 * about
        backoff.reset()
    backoff.next_ms(answered=False)
    assert backoff.next_ms(answered=True) >= 80, "nobody answers any more: this is no hand-over"


def test_a_thousand_lines_leave_no_socket_behind(harbour: Harbour) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    context.set(zmq.MAX_SOCKETS, 40)
    peer = PeerAddress(1, "127.0.0.1", free_port(), 1, 1)
    pirate = Pirate((peer,), rng=Random(1), context=context)
    for _ in range(300):
        assert pirate.ask(FRAME, deadline=soon(0.005)) is None
    pirate.close()
    context.term()


# ------------------------------------------------------------------------------------------------- one-off questions


def test_all_peers_are_asked_at_once_and_a_dead_one_costs_nothing(harbour: Harbour) -> None:
    ok = encode_reply("OK", peer={"id": 1})
    harbour.add(lambda _: ok, lambda _: Later(0.2, ok), lambda _: ok)
    config = harbour.config
    harbour.peers[3].die()
    started = time.monotonic()
    answers = ask_all(config, "status")
    assert time.monotonic() - started < 0.5
    assert list(answers) == [1, 2, 3]
    assert answers[1] is not None
    assert answers[2] is not None
    assert answers[3] is None
    assert harbour.peers[1].heard[0][1] == encode_request(MESH, "status")


def test_a_silent_peer_costs_its_timeout_and_no_more(harbour: Harbour) -> None:
    harbour.add(lambda _: None, lambda _: None, lambda _: b"nonsense")
    started = time.monotonic()
    assert ask_all(harbour.config, "status", timeout_ms=700) == {1: None, 2: None, 3: None}
    assert 0.7 <= time.monotonic() - started < 1.3


def test_one_peer_alone_can_be_asked(harbour: Harbour) -> None:
    harbour.add(lambda _: encode_reply("OK"), lambda _: encode_reply("OK", rows=[]))
    assert ask_all(harbour.config, "reports", {"limit": 3}, only=2) == {2: {"v": 1, "status": "OK", "rows": []}}
    assert harbour.heard(1) == 0
    assert ask("127.0.0.1", harbour.peers[1].port, FRAME) == {"v": 1, "status": "OK"}
    assert ask("127.0.0.1", free_port(), FRAME) is None
    with pytest.raises(ConfigError):
        ask_all(harbour.config, "status", only=9)


@pytest.mark.parametrize("ends", [True, False])
def test_a_peer_that_ends_in_the_middle_of_a_handshake_is_away_and_one_that_always_does_has_another_key(
    ends: bool,
) -> None:
    def close_each(listener: socket.socket) -> None:
        with listener:
            while True:
                connection, _ = listener.accept()
                connection.recv(1000)
                if ends:
                    listener.close()
                connection.close()
                if ends:
                    return

    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=close_each, args=(listener,), daemon=True).start()
    own, server = make_pair(), make_pair()
    peer = PeerAddress(1, "127.0.0.1", listener.getsockname()[1], 1, 2)
    config = Config("m", MESH, (peer,), keys=Keys(((1, server.public),), own=own))
    if ends:
        assert ask_all(config, "status") == {1: None}
        return
    with pytest.raises(KeysError, match="does not serve with the key"):
        ask_all(config, "status")


def test_a_host_name_that_nobody_knows_is_no_answer(harbour: Harbour) -> None:
    assert ask("no-such-host.invalid", 5555, FRAME, timeout_ms=300) is None


def test_the_leader_is_asked_through_hints(harbour: Harbour) -> None:
    harbour.add(lambda _: harbour.hint(2), lambda _: encode_reply("OK", rows=[[1]]))
    assert ask_leader(harbour.config, "reports", {"consistent": True}, 2000)["rows"] == [[1]]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda _: None, NoDaemonReached),
        (lambda _: NO_QUORUM, NoLeader),
        (lambda _: NOT_LEADER, NoLeader),
        (lambda _: encode_reply("BUSY", retry_ms=50), TimedOut),
        (lambda _: encode_reply("REFUSED", field="limit", bound="1 to 1000", hint=""), InvalidInput),
        (lambda _: encode_reply("REFUSED", field="mesh", bound="the id of this mesh", hint=""), InvalidInput),
    ],
)
def test_no_answer_of_a_leader_is_an_error_that_says_why(harbour: Harbour, answer: Answer, error: type) -> None:
    harbour.add(answer, answer)
    started = time.monotonic()
    with pytest.raises(error):
        ask_leader(harbour.config, "reports", {}, 400)
    assert time.monotonic() - started < 1.0
