"""Who may do what: the list in force, roles, names, keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfzmq.access import (
    ADMIN,
    BRINGS,
    CLIENT,
    LOG,
    PEER,
    READS,
    ROLES,
    AccessList,
    Listed,
    fingerprint,
    is_key,
    is_name,
    may,
    who_may,
)
from hfzmq.wire.access import Change, Issued, Revoked, decode_changes, encode_changes, read_access, told_access
from hfzmq.wire.requests import OPS

A = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
B = "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6"
C = "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"


def test_an_admin_may_do_everything_a_client_submit_and_read_a_peer_read_only() -> None:
    assert {op for op in OPS if may(ADMIN, op)} == set(OPS)
    assert {op for op in OPS if may(CLIENT, op)} == READS | BRINGS
    assert {op for op in OPS if may(PEER, op)} == READS
    assert {op for op in OPS if not may(CLIENT, op)} == {"change", "alarm", "access", "backup"}
    assert not any(may("", op) or may("root", op) for op in OPS)


def test_an_operation_that_nobody_has_thought_of_takes_an_admin() -> None:
    assert [role for role in ROLES if may(role, "forget")] == [ADMIN]
    assert who_may("forget") == "an admin's key"
    assert who_may("submit") == "a client's key or an admin's key"


def test_a_revocation_wins_wherever_the_key_is_listed_and_in_whatever_order() -> None:
    here, there = Listed(A, CLIENT, "ward"), Listed(A, ADMIN, "again", 0, LOG)
    for listed in ([here], [there], [here, there], [there, here]):
        assert AccessList(listed).of(A) is not None
        assert AccessList(listed, [A]).of(A) is None
    assert AccessList([here], [B]).of(A) == here
    assert AccessList([here]).of(C) is None


def test_where_a_key_is_listed_twice_the_first_holds_so_that_the_log_raises_nobody_of_the_file() -> None:
    access = AccessList([Listed(A, CLIENT, "ward"), Listed(A, ADMIN, "ward", 0, LOG)])
    found = access.of(A)
    assert found is not None
    assert found.role == CLIENT


def test_a_peer_serves_with_its_last_key_that_is_in_force() -> None:
    listed = [Listed(A, PEER, "peer-2", 2), Listed(B, PEER, "peer-2b", 2, LOG), Listed(C, CLIENT, "ward")]
    assert AccessList(listed).key_of(2) == B
    assert AccessList(listed, [B]).key_of(2) == A
    assert AccessList(listed, [A, B]).key_of(2) is None
    assert AccessList(listed).keys_of_peers() == {2: B}


@pytest.mark.parametrize("text", [A[:-1], A + "0", A[:-1] + '"', A[:-1] + " ", "#" * 40, "", None, 7, A.encode()])
def test_what_is_no_key_of_32_bytes_in_z85_is_none(text: object) -> None:
    assert not is_key(text)


@given(st.binary(min_size=32, max_size=32))
def test_any_32_bytes_in_z85_are_a_key(data: bytes) -> None:
    from zmq.utils import z85

    assert is_key(z85.encode(data).decode())


def test_names_are_short_and_can_be_file_names() -> None:
    assert all(map(is_name, ("ward", "ward-3", "a" * 64, "3.b_c")))
    assert not any(map(is_name, ("", "a" * 65, "../a", ".a", "-a", "a b", "a/b", "ä", None)))


def test_a_fingerprint_is_short_and_not_the_key() -> None:
    assert fingerprint(A) != fingerprint(B)
    assert len(fingerprint(A)) == 14
    assert fingerprint(A) not in A


def test_what_is_in_force_is_read_back_as_it_was_told() -> None:
    access = AccessList([Listed(A, PEER, "peer-2", 2), Listed(B, ADMIN, "admin", 0, LOG)], [B, C])
    assert read_access(told_access(access, 7)) == access


def test_changes_are_read_back_as_they_were_written_and_nothing_else_is_one() -> None:
    changes: list[Change] = [Issued(A, PEER, "peer-4", 4), Issued(B, CLIENT, "ward-2", 0), Revoked(C)]
    assert decode_changes(encode_changes(changes)) == changes
    from hfzmq.errors import WireError
    from hfzmq.wire.fields import pack

    for row in ([1, A, PEER, "p", 0], [1, A, CLIENT, "w", 3], [1, A, "root", "w", 0], [1, A[:-1], CLIENT, "w", 0],
                [1, A, CLIENT, "../w", 0], [2, ""], [3, A], [], 7, [2, A, A], [1, A, CLIENT, "w"]):  # fmt: skip
        with pytest.raises(WireError):
            decode_changes(pack([row]))
    with pytest.raises(WireError):
        decode_changes(pack([]))
