"""ZAP: who is let in; and that nobody is while nobody answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
import zmq

from hfzmq.access import ADMIN, CLIENT, LOG, PEER, Listed
from hfzmq.client.line import Curve
from hfzmq.daemon import curve, zap
from hfzmq.daemon.keyring import Keyring
from hfzmq.key_section import Keys, OwnKey
from hfzmq.secret_files import make_pair

WITHIN_MS = 400


class World:
    """A server with a domain, its keyring and its ZAP, in a context of its own."""

    def __init__(self, domain: bytes, answers: bool = True) -> None:
        self.own, self.peer, self.client, self.admin = (make_pair() for _ in range(4))
        self.keyring = Keyring(
            Keys(((1, self.own.public), (2, self.peer.public)), (("admin", self.admin.public),), own=self.own)
        )
        self.keyring.told([Listed(self.client.public, CLIENT, "ward", 0, LOG)], [])
        self.counters: Counter[str] = Counter()
        self.context = zmq.Context()
        self.zap = zap.Zap(self.context, self.keyring, self.counters) if answers else None
        self.server: zmq.Socket[bytes] = self.context.socket(zmq.ROUTER)
        self.server.setsockopt(zmq.LINGER, 0)
        curve.serve(self.server, self.own, domain)
        self.port = self.server.bind_to_random_port("tcp://127.0.0.1")

    def hears(self, own: OwnKey | None, within_ms: int = WITHIN_MS) -> str | None:
        """The key that a message of somebody comes with; None when none comes through."""
        with zmq.Context() as context:
            other: zmq.Socket[bytes] = context.socket(zmq.DEALER)
            other.setsockopt(zmq.LINGER, 0)
            if own is not None:
                Curve(own, self.own.public).show(other)
            other.connect(f"tcp://127.0.0.1:{self.port}")
            other.send_multipart([b"", b"hello"])
            found = self.taken(within_ms)
            other.close()
            return found

    def taken(self, within_ms: int = WITHIN_MS) -> str | None:
        poller = zmq.Poller()
        for socket in (self.server, *([self.zap.socket] if self.zap else [])):
            poller.register(socket, zmq.POLLIN)
        while ready := dict(poller.poll(within_ms)):
            if self.server in ready:
                frames, key = curve.take(self.server, keyed=True)
                assert frames[1:] == [b"", b"hello"]
                return key
            assert self.zap
            self.zap.serve()
        return None


@pytest.fixture
def worlds() -> Iterator[list[World]]:
    made: list[World] = []
    yield made
    for world in made:
        world.context.destroy(linger=0)


def test_each_port_lets_in_the_roles_that_are_for_it_and_a_message_names_its_key(worlds: list[World]) -> None:
    for domain, allowed in (
        (zap.PEERS, {PEER}),
        (zap.BEATS, {PEER}),
        (zap.CLIENTS, {PEER, CLIENT, ADMIN}),
        (b"x", set()),
    ):
        worlds.append(world := World(domain))
        for role, own in ((PEER, world.peer), (CLIENT, world.client), (ADMIN, world.admin)):
            expected = own.public if role in allowed else None
            assert world.hears(own) == expected, (domain, role)
        assert world.hears(make_pair()) is None
        assert world.hears(None) is None
        assert world.counters["connection_refused_key"] >= 4 - len(allowed)


def test_while_nobody_answers_nobody_gets_in(worlds: list[World]) -> None:
    worlds.append(world := World(zap.CLIENTS, answers=False))
    assert world.hears(world.admin) is None
    worlds.append(world := World(zap.CLIENTS))
    world.zap, silent = None, world.zap  # bound, and nobody serves it
    assert world.hears(world.admin) is None
    assert silent is not None


def test_a_revoked_key_is_not_let_in_and_one_that_is_in_loses_its_role(worlds: list[World]) -> None:
    worlds.append(world := World(zap.CLIENTS))
    assert world.hears(world.client) == world.client.public
    out = world.keyring.told([Listed(world.client.public, CLIENT, "ward", 0, LOG)], [world.client.public])
    assert [one.name for one in out] == ["ward"]
    assert world.keyring.role_of(world.client.public) is None
    assert world.hears(world.client) is None


def test_who_takes_over_the_routing_id_of_an_admin_does_not_take_over_its_rights(worlds: list[World]) -> None:
    worlds.append(world := World(zap.CLIENTS))
    for own in (world.admin, world.client):
        with zmq.Context() as context:
            other: zmq.Socket[bytes] = context.socket(zmq.DEALER)
            other.setsockopt(zmq.LINGER, 0)
            other.setsockopt(zmq.ROUTING_ID, b"the same")
            Curve(own, world.own.public).show(other)
            other.connect(f"tcp://127.0.0.1:{world.port}")
            other.send_multipart([b"", b"hello"])
            assert world.taken(2000) == own.public
            other.close()


@pytest.mark.parametrize(
    "request_",
    [
        [b"2.0", b"1", zap.CLIENTS, b"", b"", b"CURVE", bytes(32)],
        [b"1.0", b"1", zap.CLIENTS, b"", b"", b"PLAIN", b"admin", b"admin"],
        [b"1.0", b"1", zap.CLIENTS, b"", b"", b"NULL"],
        [b"1.0", b"1", zap.CLIENTS, b"", b"", b"CURVE", bytes(31)],
        [b"1.0", b"1", zap.CLIENTS],
        [b"1.0", b"1"],
    ],
)
def test_whatever_is_no_curve_request_gets_400(worlds: list[World], request_: list[bytes]) -> None:
    worlds.append(world := World(zap.CLIENTS))
    assert world.zap
    asker: zmq.Socket[bytes] = world.context.socket(zmq.REQ)
    asker.setsockopt(zmq.LINGER, 0)
    asker.connect(zap.ADDRESS)
    asker.send_multipart(request_)
    assert world.zap.socket.poll(1000)
    world.zap.serve()
    assert asker.poll(1000)
    assert asker.recv_multipart()[2] == b"400"


def test_a_daemon_does_not_begin_with_a_key_that_is_not_its_own() -> None:
    from hfzmq.errors import KeysError

    own, other = make_pair(), make_pair()
    keys = Keys(((1, own.public), (2, other.public)))
    assert Keyring(keys._replace(own=own)).check_own(1) == ""
    with pytest.raises(KeysError, match="the key of peer-2"):
        Keyring(keys._replace(own=other)).check_own(1)
    assert "another key is listed for peer 1" in Keyring(keys._replace(own=make_pair())).check_own(1)
    assert "hfzmq keys issue" in Keyring(keys._replace(own=make_pair())).check_own(3)
    for role in ("admin", "client"):  # issued through the mesh, whose log is not here yet
        with pytest.raises(KeysError, match=f"{role}'s key by its first line, not of peer 1"):
            Keyring(keys._replace(own=OwnKey("p", "s", "keys/x.secret", role))).check_own(1)
    assert "another key is listed" in Keyring(keys._replace(own=OwnKey("p", "s", "keys/x.secret", "peer"))).check_own(1)
    assert Keyring(keys._replace(own=OwnKey(own.public, "s", "", "admin"))).check_own(1) == "", "the list outweighs it"
    with pytest.raises(KeysError, match="is revoked"):
        Keyring(keys._replace(own=own), revoked=[own.public]).check_own(1)
