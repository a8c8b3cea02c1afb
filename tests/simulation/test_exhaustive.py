"""Small scopes, exhausted, on the real core; and the search under suspicion: it must find what is planted.

larger scopes:  python -m tests.simulation.exhaustive --terms 2 --entries 1 --crashes 1 --seconds 3600
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hfzmq.core.contract import Send
from hfzmq.core.election import Election
from hfzmq.core.log import Log
from hfzmq.core.messages import AppendReply, VoteReply, VoteRequest
from hfzmq.core.promises import Promises
from hfzmq.core.types import Place
from tests.simulation.exhaustive_scope import BEGUN, COLD, Scope
from tests.simulation.exhaustive_search import Search

Patch = pytest.MonkeyPatch


def _vote_twice(patch: Patch) -> None:
    good = Election.consider

    def consider(
        self: Election, now_ms: float, candidate: tuple[int, bytes], request: VoteRequest, last: Place
    ) -> VoteReply | None:
        if not request.pre and request.term == self.term:
            self.vote = 0
        return good(self, now_ms, candidate, request, last)

    patch.setattr(Election, "consider", consider)


def _acknowledge_before_sync(patch: Patch) -> None:
    good = Promises.hand_out

    def hand_out(self: Promises, *arguments: Any) -> Any:
        early = [Send(to, message) for to, message in self._fresh if isinstance(message, AppendReply)]
        self._fresh = [(to, message) for to, message in self._fresh if not isinstance(message, AppendReply)]
        token, out = good(self, *arguments)
        return token, out + early

    patch.setattr(Promises, "hand_out", hand_out)


def _count_oneself_early(patch: Patch) -> None:
    def persisting(self: Log, token: int) -> None:
        self.durable = self.last.index

    patch.setattr(Log, "persisting", persisting)


def _skip_the_log_check(patch: Patch) -> None:
    patch.setattr(Log, "holds", lambda self, place: place.index <= self.last.index)


# Each with the scope that is to find it.
ONE_TERM = Scope(terms=1, entries=0, asks=0, campaigns=1)
BUGS = {
    "a vote is given twice in a term": (_vote_twice, ONE_TERM._replace(campaigns=2), "I2 two votes"),
    "an append is acknowledged before it is synced": (_acknowledge_before_sync, ONE_TERM, "I3"),
    "the leader counts itself before its disk has it": (_count_oneself_early, ONE_TERM, "I3 entry 1 is committed"),
    "the log check is skipped": (_skip_the_log_check, Scope(terms=2, campaigns=1, start=BEGUN), "I5"),
}

EXHAUSTED = {
    "one term, one request": Scope(terms=1, entries=1, asks=1, campaigns=1),
    "one term, two campaigns": ONE_TERM._replace(campaigns=2),
    "founding by all three, a request": Scope(terms=1, entries=1, asks=1, campaigns=1, start=COLD),
    "one term, a crash": ONE_TERM._replace(crashes=1),
    "one term, a message twice": ONE_TERM._replace(doubles=1),
    "prompt disks: two terms, a no-op of the first on one disk, a request": Scope(
        terms=2, entries=1, asks=1, campaigns=1, start=BEGUN, prompt=True
    ),
    "two terms, a no-op of the first on one disk": Scope(terms=2, entries=0, asks=0, campaigns=1, start=BEGUN),
    "two terms, a no-op of the first on one disk, a crash": Scope(
        terms=2, entries=0, asks=0, campaigns=1, crashes=1, start=BEGUN
    ),
}


@pytest.mark.parametrize("scope", EXHAUSTED.values(), ids=EXHAUSTED.keys())
def test_no_order_of_anything_within_a_small_scope_breaks_an_invariant(scope: Scope) -> None:
    result = Search(scope).run()
    assert not result.violation, "\n".join((result.line(), *result.story))
    assert result.frontier == 0, result.line()
    assert result.led == scope.terms, "nobody ever led the last term"
    assert (result.acked > 0) == (scope.asks > 0), "no request was ever acknowledged"


@pytest.mark.parametrize(("bug", "scope", "told"), BUGS.values(), ids=BUGS.keys())
def test_a_planted_bug_is_found_with_its_story(
    bug: Callable[[Patch], None], scope: Scope, told: str, monkeypatch: Patch
) -> None:
    bug(monkeypatch)
    result = Search(scope).run()
    assert result.violation.startswith(told), result.line()
    assert 5 < len(result.story) < 30, result.story


def test_counting_renamings_as_one_leaves_no_state_out() -> None:
    small = ONE_TERM._replace(entries=0)
    few, all_of_them = Search(small), Search(small, symmetric=False)
    once, every = few.run(), all_of_them.run()
    assert once.frontier == every.frontier == 0
    assert once.depth == every.depth
    assert once.states < every.states <= 6 * once.states
    assert once.locals == every.locals, "a peer's state that only a renaming reaches"


def test_telling_late_that_a_lease_has_run_out_leaves_nothing_out_that_a_peer_can_do() -> None:
    small = ONE_TERM
    lazy, eager = Search(small), Search(small, lazy=False)
    few, every = lazy.run(), eager.run()
    assert few.frontier == every.frontier == 0
    assert few.states < every.states
    assert (few.led, few.violation) == (every.led, every.violation) == (1, "")
    assert set(lazy.machine.messages) == set(eager.machine.messages), "something is said in one search alone"


def test_a_search_that_runs_out_of_time_says_that_it_did_not_exhaust_its_scope() -> None:
    result = Search(Scope()).run(seconds=0.2)
    assert result.frontier > 0
    assert "NOT exhausted" in result.line()


def test_the_same_scope_gives_the_same_search() -> None:
    first, second = Search(ONE_TERM).run(), Search(ONE_TERM).run()
    assert (first.states, first.moves, first.depth) == (second.states, second.moves, second.depth)
