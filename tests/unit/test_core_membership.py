"""Who counts: memberships, the steps between them, and their history along the log."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfzmq.config import PeerAddress
from hfzmq.core.membership import (
    MEMBERS_MAX,
    REMOVED_KEPT,
    Member,
    Members,
    Membership,
    bootstrap,
    decode,
    encode,
)
from hfzmq.core.types import CONFIG, NOOP, START, Entry, Place, chained
from tests.unit.core_bench import first_peers, member, mesh_of

NEW = b"n" * 16

lives = st.binary(min_size=16, max_size=16)


@st.composite
def memberships(draw: st.DrawFn) -> Membership:
    """Founded, with one voter or more."""
    ids = sorted(draw(st.sets(st.integers(1, 9), min_size=1, max_size=7)))
    votes = [draw(st.booleans()) for _ in ids]
    votes[draw(st.integers(0, len(ids) - 1))] = True
    members = tuple(
        Member(PeerAddress(one, f"h{one}", 1, 2, 3), draw(lives), vote, draw(st.booleans()))
        for one, vote in zip(ids, votes, strict=True)
    )
    removed = tuple(draw(st.lists(st.tuples(st.integers(1, 9), lives), max_size=3)))
    return Membership(0, members, removed)


def entries_of(*memberships: Membership | None) -> list[Entry]:
    """A log with one entry each; None is some other entry."""
    log: list[Entry] = []
    for one in memberships:
        before = Place(log[-1].index, 1, log[-1].chain) if log else START
        log.append(chained(before, 1, NOOP if one is None else CONFIG, None, b"" if one is None else encode(one)))
    return log


# ------------------------------------------------------------ what is read off one


def test_voters_and_learners_are_told_apart_and_only_voters_make_a_majority() -> None:
    mesh = mesh_of(1, 2, 3, 4).with_learner(member(5, NEW)).with_learner(member(6, NEW))
    assert (mesh.voters, mesh.learners, mesh.majority) == ((1, 2, 3, 4), (5, 6), 3)


@pytest.mark.parametrize(("voters", "majority"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (7, 4)])
def test_a_founded_mesh_needs_more_than_half_and_one_that_is_not_needs_all(voters: int, majority: int) -> None:
    ids = range(1, voters + 1)
    assert mesh_of(*ids).majority == majority
    assert first_peers(*ids).majority == voters


def test_before_it_is_founded_any_life_of_a_first_peer_counts_and_afterwards_only_the_one_that_was_bound() -> None:
    mesh = first_peers(1, 2)
    assert not mesh.founded
    assert mesh.counts(1, NEW)
    assert not mesh.counts(3, NEW)
    bound = mesh.bound({1: b"1" * 16, 2: b"2" * 16})
    assert bound.founded
    assert bound.voters == (1, 2)
    assert bound.counts(1, b"1" * 16)
    assert not bound.counts(1, NEW)
    assert not bound.counts(1, b"2" * 16)


def test_first_peers_agree_by_their_ids_whatever_their_order_and_wherever_they_are() -> None:
    here, there = [PeerAddress(one, "a", 1, 2, 3) for one in (1, 2)], [PeerAddress(one, "b", 4, 5, 6) for one in (2, 1)]
    assert bootstrap(here).founders == bootstrap(there).founders
    assert len(bootstrap(here).founders) == 16


def test_other_first_peers_have_another_hash_and_a_founded_mesh_has_none() -> None:
    hashes = [first_peers(*ids).founders for ids in ((1,), (2,), (1, 2), (12,), (1, 2, 3))]
    assert len(set(hashes)) == len(hashes)
    assert mesh_of(1, 2, 3).founders == b""


# ------------------------------------------------------------ steps


def votes_of(mesh: Membership) -> set[tuple[int, bytes | None]]:
    return {(one.peer, one.incarnation) for one in mesh.members if one.votes}


@given(memberships(), st.integers(1, 9), lives, st.sampled_from(["learner", "voter", "without"]))
def test_each_step_changes_one_voter_at_most_so_that_majorities_meet(
    mesh: Membership, peer: int, life: bytes, step: str
) -> None:
    if step == "learner":
        after = mesh.with_learner(member(peer, life))
    elif step == "voter":
        after = mesh.with_voter(peer)
    else:
        after = mesh.without(peer)
    assert len(votes_of(mesh) ^ votes_of(after)) <= 1
    ids = [one.peer for one in after.members]
    assert ids == sorted(set(ids))


def test_a_new_member_learns_and_does_not_vote_whatever_it_says_of_itself() -> None:
    after = mesh_of(1, 3).with_learner(member(2, NEW, votes=True))
    assert (after.voters, after.learners) == ((1, 3), (2,))
    assert after.of(2) == Member(member(2).address, NEW, votes=False, joined=True)
    assert after.removed == ()


def test_another_life_of_a_member_takes_its_place_and_the_one_before_is_removed_in_the_same_step() -> None:
    mesh = first_peers(1, 2, 3).bound({one: bytes([one]) * 16 for one in (1, 2, 3)})
    after = mesh.with_learner(member(3, NEW))
    assert (after.voters, after.learners, after.removed) == ((1, 2), (3,), ((3, b"\3" * 16),))
    assert after.counts(3, NEW)
    assert not after.counts(3, b"\3" * 16)


def test_a_learner_that_is_made_a_voter_keeps_its_life_and_its_place() -> None:
    mesh = mesh_of(1, 3).with_learner(member(2, NEW))
    after = mesh.with_voter(2)
    assert (after.voters, after.learners) == ((1, 2, 3), ())
    assert after.counts(2, NEW)


def test_who_leaves_is_remembered_with_its_life_until_very_many_others_have_left() -> None:
    mesh = mesh_of(1, 2, 3).without(2)
    for number in range(REMOVED_KEPT + 5):
        mesh = mesh.with_learner(member(4, number.to_bytes(16, "big")))
    assert len(mesh.removed) == REMOVED_KEPT
    assert mesh.removed[-1] == (4, (REMOVED_KEPT + 3).to_bytes(16, "big"))
    assert mesh.removed[0] == (2, b""), "of the peer that has made so many lives the oldest went"
    assert mesh.removed[1] == (4, (5).to_bytes(16, "big"))
    assert len(encode(mesh)) < 64 << 10, "an entry carries them all"


def test_who_leaves_is_remembered_with_its_life() -> None:
    mesh = first_peers(1, 2, 3).bound({one: bytes([one]) * 16 for one in (1, 2, 3)})
    after = mesh.without(2).with_learner(member(4, NEW)).with_voter(4).without(3)
    assert after.voters == (1, 4)
    assert after.removed == ((2, b"\2" * 16), (3, b"\3" * 16))


# ------------------------------------------------------------ as the body of an entry


@given(memberships(), st.integers(0, 1 << 40))
def test_what_is_encoded_is_decoded_again_at_the_index_of_its_entry(mesh: Membership, index: int) -> None:
    assert decode(index, encode(mesh)) == Membership(index, mesh.members, mesh.removed)


@given(memberships())
def test_equal_members_are_equal_bytes_whatever_their_index(mesh: Membership) -> None:
    assert encode(decode(7, encode(mesh))) == encode(decode(8, encode(mesh)))


def rows(*members: object) -> bytes:
    return json.dumps({"members": list(members), "removed": []}).encode()


GOOD: list[Any] = [1, "host", 1, 2, 3, "00" * 16, True, False]


def with_field(number: int, value: object) -> bytes:
    return rows([*GOOD[:number], value, *GOOD[number + 1 :]])


def test_the_row_that_the_bad_ones_are_made_of_is_good() -> None:
    assert decode(5, rows(GOOD)).voters == (1,)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{}", b"[]", b"null", b"5", b"\xff\xfe", b'{"members":[]', b'{"members":[]}', b'{"removed":[]}',
        b"[" * 100_000, b'{"members":' + b"9" * 5000 + b',"removed":[]}',
        rows(), rows(None), rows([]), rows(GOOD[:-1]), rows([*GOOD, 1]), rows("abcdefgh"), rows({}),
        rows(GOOD, GOOD), rows([2, *GOOD[1:]], GOOD), rows([*GOOD[:6], False, False]),
        rows(*([one, *GOOD[1:]] for one in range(1, MEMBERS_MAX + 2))),
        with_field(0, -1), with_field(0, "1"), with_field(0, True), with_field(0, 1.0), with_field(0, None),
        with_field(1, None), with_field(1, 7), with_field(2, "1"), with_field(3, -1), with_field(4, None),
        with_field(5, "xyz"), with_field(5, 7), with_field(6, 1), with_field(6, None), with_field(7, "yes"),
        json.dumps({"members": [GOOD], "removed": [[1]]}).encode(),
        json.dumps({"members": [GOOD], "removed": [[1, "xy"]]}).encode(),
        json.dumps({"members": [GOOD], "removed": [["1", "00"]]}).encode(),
        json.dumps({"members": [GOOD], "removed": 7}).encode(),
        json.dumps({"members": [GOOD], "removed": None}).encode(),
        json.dumps({"members": [GOOD], "removed": "ab"}).encode(),
    ],
    ids=lambda body: repr(body[:60]),
)  # fmt: skip
def test_a_body_that_does_not_name_members_is_a_value_error_and_nothing_else(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(5, body)


@given(st.binary(max_size=80))
def test_no_bytes_raise_anything_but_a_value_error(body: bytes) -> None:
    with suppress(ValueError):
        decode(1, body)


# ------------------------------------------------------------ along the log

ONE = mesh_of(1, 2, 3)
TWO = ONE.with_learner(member(4, NEW))
THREE = TWO.with_voter(4)


def test_a_change_is_in_force_as_soon_as_its_entry_is_there() -> None:
    members = Members(ONE)
    log = entries_of(None, TWO, None, THREE)
    assert not members.add(log[:1])
    assert members.now is ONE
    assert members.add(log[1:3])
    assert (members.now.index, members.now.learners) == (2, (4,))
    assert members.add(log[3:])
    assert (members.now.index, members.now.voters) == (4, (1, 2, 3, 4))


def test_a_restart_finds_the_changes_in_its_log() -> None:
    assert Members(ONE, entries_of(None, TWO, None)).now.learners == (4,)


def test_a_change_whose_entry_is_dropped_is_taken_back_and_any_other_drop_is_none() -> None:
    members = Members(ONE, entries_of(None, TWO, None, THREE, None))
    assert not members.drop_from(5)
    assert members.now.index == 4
    assert members.drop_from(4)
    assert members.now.index == 2
    assert members.drop_from(1)
    assert members.now is ONE
    assert not members.drop_from(1)


def test_who_counted_at_an_index_is_what_the_log_up_to_there_says() -> None:
    members = Members(ONE, entries_of(None, TWO, None, THREE))
    assert [members.at(index).index for index in range(6)] == [0, 0, 2, 2, 4, 4]


def test_compaction_keeps_what_was_in_force_where_it_cuts_and_all_that_came_later() -> None:
    for cut, oldest in ((1, 0), (2, 2), (3, 2), (4, 4), (9, 4)):
        members = Members(ONE, entries_of(None, TWO, None, THREE))
        members.forget_below(cut)
        assert members.at(cut).index == oldest
        assert members.now.index == 4
        with pytest.raises(StopIteration):
            members.at(oldest - 1)


def test_a_snapshot_takes_the_place_of_the_whole_history() -> None:
    members = Members(ONE, entries_of(None, TWO, None, THREE))
    members.reset(decode(9, encode(ONE)))
    assert (members.now.index, members.now.learners) == (9, ())
    assert not members.drop_from(3)
    assert members.now.index == 9
