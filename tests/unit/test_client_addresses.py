"""Where the peers are: the mesh's list comes first, what the client was configured with is never lost."""

from __future__ import annotations

import pytest

from hfzmq.client.addresses import HINTS_MAX, Addresses
from hfzmq.config import PeerAddress
from hfzmq.wire.members import Told, ToldMember

FILE = [PeerAddress(n, "file", 7000 + n, 1, 1) for n in (3, 1, 2)]


def told(index: int, **hosts: str) -> Told:
    """``told(5, p1="a")``: peer 1 is at host a."""
    return Told(index, tuple(ToldMember(int(p[1:]), host, 8000, 1, 1, "", "voter") for p, host in hosts.items()))


def test_before_anybody_told_the_peers_of_the_file_are_the_members() -> None:
    addresses = Addresses(FILE)
    assert (addresses.members, addresses.others, addresses.index) == ([1, 2, 3], [], -1)
    assert addresses[2] == ("file", 7002)
    with pytest.raises(KeyError):
        addresses[4]


def test_the_members_are_asked_first_and_the_rest_of_the_file_stays() -> None:
    addresses = Addresses(FILE, told(5, p2="new", p4="new"))
    assert (addresses.members, addresses.others) == ([2, 4], [1, 3])
    assert (addresses[2], addresses[4], addresses[1]) == (("new", 8000), ("new", 8000), ("file", 7001))
    assert addresses.everywhere() == [("new", 8000), ("file", 7002), ("file", 7001), ("file", 7003)]


def test_an_older_or_equal_list_changes_nothing() -> None:
    addresses = Addresses(FILE, told(5, p4="new"))
    assert not addresses.learn(told(5, p1="x"))
    assert not addresses.learn(told(4, p1="x"))
    assert addresses.members == [4]
    assert addresses.learn(told(6, p1="x"))
    assert addresses.members == [1]


def test_of_an_equal_list_where_its_members_are_is_taken_and_who_they_are_is_not() -> None:
    addresses = Addresses(FILE, told(5, p1="old", p2="old"))
    addresses.failed(1)
    addresses.failed(2)
    assert addresses[1] == ("file", 7001)
    assert addresses.learn_places(told(5, p1="new", p2="old", p4="new"))
    assert (addresses[1], addresses[2], addresses.members) == (("new", 8000), ("file", 7002), [1, 2])
    assert not addresses.learn_places(told(5, p1="new", p2="old"))
    assert not addresses.learn_places(told(4, p1="x", p2="x"))
    assert not Addresses(FILE).learn_places(told(5, p1="x"))


def test_where_a_peer_was_of_no_use_its_next_address_is_due_and_then_the_first_again() -> None:
    addresses = Addresses(FILE, told(5, p1="new"))
    addresses.hint(1, "hinted", 9)
    found = []
    for _ in range(4):
        found.append(addresses[1][0])
        addresses.failed(1)
    assert found == ["new", "file", "hinted", "new"]
    addresses.failed(2)
    assert addresses[2] == ("file", 7002)


def test_a_hint_brings_a_peer_in_and_a_senseless_one_does_not() -> None:
    addresses = Addresses(FILE)
    assert addresses.hint(9, "there", 5)
    assert (addresses[9], addresses.others, 9 in addresses) == (("there", 5), [9], True)
    for peer, host, port in ((0, "a", 5), (-1, "a", 5), (8, "", 5), (8, "a", 0), (8, "a", 65_536)):
        assert not addresses.hint(peer, host, port)
    assert 8 not in addresses


def test_hints_are_bounded() -> None:
    addresses = Addresses(FILE)
    for peer in range(100, 100 + HINTS_MAX):
        assert addresses.hint(peer, "a", 5)
    assert not addresses.hint(9000, "a", 5)
    assert addresses.hint(1, "elsewhere", 5)
