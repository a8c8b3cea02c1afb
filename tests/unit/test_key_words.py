"""Which of two keys of a peer is the newer is said where it is proven, and nowhere else."""

from __future__ import annotations

import pytest

from hfzmq.access import FILE, LOG, PEER, AccessList, Listed
from hfzmq.cli.key_words import judged
from hfzmq.key_section import Keys
from hfzmq.secret_files import make_pair

FIRST, SECOND = (make_pair().public for _ in range(2))


def listed(key: str, source: str) -> Listed:
    return Listed(key, PEER, "peer-2", 2, source)


@pytest.mark.parametrize(
    ("access", "older"),
    [
        (AccessList([listed(FIRST, LOG), listed(SECOND, LOG)]), True),
        (AccessList([listed(SECOND, LOG), listed(FIRST, LOG)]), False),
        (AccessList([listed(FIRST, FILE), listed(SECOND, LOG)]), False),  # the file may have been changed later
        (AccessList([listed(SECOND, LOG)], [FIRST]), True),
        (AccessList([listed(SECOND, LOG)]), False),
        (None, False),
    ],
)
def test_the_file_is_older_where_its_key_is_revoked_or_was_issued_before(
    access: AccessList | None, older: bool
) -> None:
    keys = Keys(((2, FIRST),))
    (one,) = judged(keys, "peers.yaml", [2], {2: SECOND}, {2: SECOND}, access)
    assert ("older" in one.what) is older
    assert one.undecided is not older


def test_of_who_is_no_member_or_is_away_without_proof_nothing_is_said() -> None:
    keys = Keys(((2, FIRST),))
    assert not list(judged(keys, "peers.yaml", [1, 3], {2: SECOND}, {2: SECOND}, None))
    assert not list(judged(keys, "peers.yaml", [2], {}, {2: SECOND}, AccessList([listed(SECOND, LOG)])))
    (one,) = judged(keys, "peers.yaml", [2], {}, {2: SECOND}, AccessList([listed(SECOND, LOG)], [FIRST]))
    assert "older" in one.what


def test_a_key_that_the_file_itself_revokes_is_older() -> None:
    (one,) = judged(Keys(((2, FIRST),), revoked=(FIRST,)), "f", [2], {2: SECOND}, {2: SECOND}, AccessList())
    assert "older" in one.what
