"""The textbook bully loses what it acknowledged in the very storms in which this mesh loses nothing, by one count."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from tests.simulation.losses import Losses, Row, count, losses
from tests.simulation.sized import storm
from tests.simulation.textbook import run, textbook_storm
from tests.simulation.textbook_peer import ALL_ALIVE, KINDS, WRITTEN

SEEDS = range(12)


@pytest.mark.parametrize("kind", KINDS)
def test_the_textbook_bully_loses_within_the_first_storms(kind: str) -> None:
    lost = [run(seed, kind).losses.lost for seed in SEEDS]
    assert sum(1 for number in lost if number) >= 3, lost


def test_the_mesh_loses_nothing_in_the_same_storms() -> None:
    for seed in SEEDS:
        one = storm(seed, members=False)
        assert one.run().violation is None
        found = losses(one)
        assert not found.any, (seed, found)
        assert found.acked == sum(client.total for client in one.clients.values()) > 0


def test_the_textbook_bully_keeps_everything_where_nothing_fails() -> None:
    for kind in (ALL_ALIVE, WRITTEN):
        one = textbook_storm(0, kind)
        one._next_fault = lambda: None  # type: ignore[method-assign]
        one._heal_half = lambda: None  # type: ignore[method-assign]
        one._ambushes.clear()
        one.run()
        assert losses(one) == Losses(sum(client.total for client in one.clients.values()), 0, 0, 0, 0, 0)


class Teller(NamedTuple):
    """A client as the count needs it: ``seq`` is the first that was not acknowledged."""

    name: str
    epoch: bytes
    seq: int
    total: int

    def origin(self, seq: int) -> NamedTuple:
        """Its digest is its seq."""
        return Digest(b"%d" % seq)


class Digest(NamedTuple):
    """Of an origin, all that is asked for."""

    digest: bytes


def rows(*seqs: int) -> list[Row]:
    """Rows of the only client."""
    return [(("c", b"e"), seq, b"%d" % seq) for seq in seqs]


@pytest.mark.parametrize(
    ("home", "elsewhere", "found"),
    [
        (rows(1, 2, 3), [], Losses(3, 0, 0, 0, 0, 0)),
        (rows(1, 2, 3, 4), [], Losses(3, 0, 0, 0, 0, 0)),  # the fourth is under way
        (rows(1, 3), rows(2), Losses(3, 1, 0, 0, 0, 0)),
        (rows(1, 3), [], Losses(3, 1, 1, 0, 0, 0)),
        (rows(1, 2, 2, 3), [], Losses(3, 0, 0, 1, 0, 0)),
        (rows(2, 1, 3), [], Losses(3, 0, 0, 0, 0, 1)),
        (rows(1, 2, 3, 5), [], Losses(3, 0, 0, 0, 1, 0)),
        ([*rows(1, 2, 3), (("c", b"e"), 2, b"another")], [], Losses(3, 0, 0, 0, 1, 1)),
        ([*rows(1, 2, 3), (("nobody", b"e"), 1, b"1")], [], Losses(3, 0, 0, 0, 1, 0)),
    ],
)
def test_each_kind_of_loss_is_counted(home: list[Row], elsewhere: list[Row], found: Losses) -> None:
    client = Teller("c", b"e", 4, 10)
    assert count([client], home, [*home, *elsewhere]) == found  # type: ignore[list-item]
