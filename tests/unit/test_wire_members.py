"""The list of members as clients get it: what is read can be connected to; anything else is refused by name."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hfzmq.config import Config, PeerAddress
from hfzmq.core.membership import Member, bootstrap
from hfzmq.errors import WireError
from hfzmq.wire import members
from hfzmq.wire.members import Asking, Told, ToldMember

FIRST = tuple(PeerAddress(n, f"host-{n}", 7000 + n, 7100 + n, 7200 + n) for n in (1, 2, 3))
NEW = PeerAddress(4, "host-4", 7004, 7104, 7204)
LIVES = {n: bytes([n]) * 16 for n in (1, 2, 3)}
CONFIG = Config("ward", bytes(16), FIRST)
GOOD = (1, "a", 1, 2, 3, "", "voter")


def said(**changes: Any) -> dict[str, Any]:
    row = [1, "a", 1, 2, 3, "ab" * 16, "voter"]
    return {"index": 7, "members": [row], "asking": [], "founded": True} | changes


def test_a_membership_is_read_as_it_was_told() -> None:
    membership = bootstrap(FIRST).bound(LIVES).with_learner(Member(NEW, b"\4" * 16))
    waiting = Member(PeerAddress(5, "host-5", 7005, 7105, 7205), b"\5" * 16)
    told = members.read({"index": 41, **members.told(membership, [(waiting, 0.26)])})
    assert told.index == 41
    assert told.founded
    assert told.voters == (1, 2, 3)
    assert told.of(4) == ToldMember(4, "host-4", 7004, 7104, 7204, "04" * 16, "learner")
    assert told.of(5) is None
    assert told.asks(5) == Asking(5, "host-5", 7005, "05" * 16, 0.3)
    assert told.asks(4) is None


def test_a_mesh_that_has_not_begun_has_members_without_an_incarnation() -> None:
    told = members.read({"members_index": 0, **members.told(bootstrap(FIRST))})
    assert (told.index, told.founded, {member.incarnation for member in told.members}) == (0, False, {""})


def test_what_is_remembered_is_recalled_without_those_who_asked() -> None:
    told = members.read(said(asking=[[5, "b", 9, "cd", 3]]))
    assert told.asking
    assert members.recall(members.remember(told)) == Told(7, told.members)
    for data in (b"", b"\xc1", b"\x80", members.remember(told)[:-1]):
        with pytest.raises(WireError):
            members.recall(data)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"index": -1}, "members_index"),
        ({"index": True}, "members_index"),
        ({"index": 1 << 63}, "members_index"),
        ({"members_index": "7"}, "members_index"),
        ({"members": []}, "members"),
        ({"members": "voter"}, "members"),
        ({"members": [[1, "a", 1, 2, 3, "", "voter"]] * 2}, "members"),
        ({"members": [[n, "a", 1, 2, 3, "", "voter"] for n in range(1, 66)]}, "members"),
        ({"members": [[1, "a", 1, 2, 3, ""]]}, "members"),
        ({"members": [1]}, "members"),
        *(
            ({"members": [[wrong if place == n else right for place, right in enumerate(GOOD)]]}, "members")
            for n, wrong in (
                (0, 0), (0, 10_000), (0, True), (0, "1"), (1, ""), (1, "a b"), (1, "a\n"), (1, "a" * 254), (1, b"a"),
                (2, 0), (2, 65_536), (3, "2"), (4, None), (5, "xy"), (5, b"ab"), (5, "a" * 65), (6, "boss"), (6, None),
                (6, []),
            )
        ),
        ({"asking": None}, "asking"),
        ({"asking": [[5, "a", 1, ""]]}, "asking"),
        ({"asking": [[5, "a", 1, "", -1]]}, "asking"),
        ({"asking": [[5, "a", 1, "", "1"]]}, "asking"),
        ({"asking": [[5, "a", 1, "", float("nan")]]}, "asking"),
        ({"asking": [[0, "a", 1, "", 1]]}, "asking"),
        ({"asking": [[5, "a", 1, "", 1]] * 65}, "asking"),
        ({"founded": 1}, "founded"),
        ({"founded": None}, "founded"),
    ],
)  # fmt: skip
def test_a_list_that_cannot_be_used_is_refused_by_name(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(WireError) as caught:
        members.read(said(**changes))
    assert caught.value.field == field
    assert members.told_by(said(**changes)) is None
    assert members.told_by({"status": "OK", "peer": said(**changes)}) is None


plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=5)


keys = st.sampled_from(("index", "members", "asking", "founded"))
values = st.lists(st.lists(plain, max_size=8) | plain, max_size=4) | plain


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(keys, values))
def test_no_answer_whatever_raises_anything_but_a_wire_error(changes: dict[str, Any]) -> None:
    with contextlib.suppress(WireError):
        members.read(said(**changes))


def test_of_several_lists_the_newest_of_a_mesh_that_has_begun_counts() -> None:
    old, new = {"peer": said(members_index=7)}, {"peer": said(members_index=9)}
    wiped = {"peer": said(members_index=12, founded=False)}
    assert members.newest([None, old, new, wiped, {"peer": 3}, {"status": "BUSY"}]) == members.read(new["peer"])
    assert members.newest([wiped]) is not None
    assert members.newest([None, {"peer": said(members=[])}]) is None


def test_a_member_is_where_it_has_answered_then_where_the_file_says_then_where_the_mesh_says() -> None:
    moved = [[peer, "elsewhere", 8000 + peer, 8102, 8202, "", "voter"] for peer in (1, 2)]
    status = {
        "id": 2,
        **said(members=[*moved, [4, *NEW[1:], "", "learner"]], asking=[[5, "b", 9, "cd", 3], [2, "x", 1, "", 0]]),
    }
    told = members.newest([{"peer": status, members.REACHED: (2, "elsewhere", 8002)}])
    wide = members.with_members(CONFIG, told)
    assert [(peer.id, peer.host, peer.client_port) for peer in wide.peers] == [
        (1, "host-1", 7001),
        (2, "elsewhere", 8002),
        (3, "host-3", 7003),
        (4, "host-4", 7004),
        (5, "b", 9),
    ]
    assert members.with_members(CONFIG, None) is CONFIG


def test_where_a_member_has_answered_counts_also_if_the_newest_list_has_it_elsewhere() -> None:
    rows = [[peer, "before", 7000 + peer, 1, 1, "", "voter"] for peer in (1, 2, 3)]
    answers: list[dict[str, Any]] = [
        {"peer": {"id": peer, "applied_index": 9 - peer, **said(members=rows)}, members.REACHED: (peer, "now", 9)}
        for peer in (1, 2)
    ]
    answers.append({"peer": {"id": 7, **said(members=rows)}, members.REACHED: (3, "now", 9)})  # that is not peer 3
    told = members.newest(answers)
    assert told is not None
    assert [(one.host, one.client_port) for one in told.members] == [("now", 9), ("now", 9), ("before", 7003)]
    assert told.reached == ((1, "before:7001"), (2, "before:7002"))
    answers[0][members.REACHED] = [1, "now", 9]  # that came over the wire: nobody says of himself where he was asked
    assert members.newest(answers[:1]) == members.read(answers[0]["peer"])
