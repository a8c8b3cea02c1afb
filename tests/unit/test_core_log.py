"""The log in memory: no holes, and never more durable than it is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfzmq.core.log import Log
from hfzmq.core.types import BATCH, NOOP, START, Entry, Origin, Place, chained
from tests.unit.core_bench import end_of, log_of


def place(entries: list[Entry], index: int) -> Place:
    return end_of(entries[:index])


# ------------------------------------------------------------ chains


def test_a_chain_speaks_of_all_that_stands_before_it() -> None:
    one, other = log_of(1, 1, 1), log_of(1, 2, 1)
    assert one[0] == other[0]
    assert one[1].chain != other[1].chain
    assert (one[2].term, one[2].body) == (other[2].term, other[2].body)
    assert one[2].chain != other[2].chain


@pytest.mark.parametrize(
    "other",
    [
        (2, BATCH, Origin("c", b"e" * 16, 7, b"d" * 16), b"body"),
        (1, NOOP, Origin("c", b"e" * 16, 7, b"d" * 16), b"body"),
        (1, BATCH, None, b"body"),
        (1, BATCH, Origin("cc", b"e" * 16, 7, b"d" * 16), b"body"),
        (1, BATCH, Origin("c", b"f" * 16, 7, b"d" * 16), b"body"),
        (1, BATCH, Origin("c", b"e" * 16, 8, b"d" * 16), b"body"),
        (1, BATCH, Origin("c", b"e" * 16, 7, b"c" * 16), b"body"),
        (1, BATCH, Origin("c", b"e" * 16, 7, b"d" * 16), b"bodY"),
    ],
)
def test_two_entries_that_differ_in_any_field_have_different_chains(
    other: tuple[int, int, Origin | None, bytes],
) -> None:
    one = chained(START, 1, BATCH, Origin("c", b"e" * 16, 7, b"d" * 16), b"body")
    term, kind, origin, body = other
    assert chained(START, term, kind, origin, body).chain != one.chain


def test_a_byte_that_moves_from_one_field_to_the_next_changes_the_chain() -> None:
    one = chained(START, 1, BATCH, Origin("ab", b"c" * 16, 1, b"d" * 16), b"")
    other = chained(START, 1, BATCH, Origin("abc", b"c" * 15, 1, b"d" * 16), b"")
    assert one.chain != other.chain


# ------------------------------------------------------------ no holes


def test_what_was_read_from_disk_is_durable_and_what_is_added_is_not() -> None:
    entries = log_of(1, 1, 2)
    log = Log(entries[:2])
    assert (log.last, log.durable) == (place(entries, 2), 2)
    log.append(entries[2:])
    assert (log.last, log.durable) == (place(entries, 3), 2)


def test_a_hole_is_refused() -> None:
    entries = log_of(1, 1, 1)
    with pytest.raises(AssertionError, match="a hole"):
        Log([entries[0], entries[2]])
    with pytest.raises(AssertionError, match="a hole"):
        Log(entries).append(entries[2:])


def test_what_is_not_there_can_be_neither_read_nor_dropped() -> None:
    log = Log(log_of(1, 1))
    for index in (0, 3):
        with pytest.raises(AssertionError):
            log.entry_at(index)
        with pytest.raises(AssertionError):
            log.truncate_from(index)


def test_after_a_truncation_the_log_ends_before_and_other_entries_may_follow() -> None:
    old, new = log_of(1, 1, 1), log_of(1, 2)
    log = Log(old)
    log.truncate_from(2)
    assert (log.last, log.durable) == (place(old, 1), 1)
    log.append(new[1:])
    assert (log.last, log.durable) == (place(new, 2), 1)


def test_a_log_agrees_up_to_a_place_only_when_index_term_and_chain_do() -> None:
    entries = log_of(1, 1, 2)
    log = Log(entries)
    assert all(log.holds(place(entries, index)) for index in range(4))
    there = place(entries, 2)
    assert not log.holds(Place(2, 2, there.chain))
    assert not log.holds(Place(2, 1, bytes(16)))
    assert not log.holds(Place(4, 2, there.chain))
    assert log.holds(START)


def test_a_log_that_was_cut_knows_its_base_and_nothing_below() -> None:
    entries = log_of(1, 1, 2, 2)
    log = Log(entries[2:], base=place(entries, 2))
    assert log.place_at(2) == place(entries, 2)
    assert log.entry_at(3) == entries[2]
    assert not log.holds(place(entries, 1))
    with pytest.raises(AssertionError):
        log.place_at(1)
    assert log.between(2, 4) == tuple(entries[2:])


def test_between_leaves_the_first_out_and_takes_the_last_in() -> None:
    entries = log_of(1, 1, 1, 1)
    log = Log(entries)
    assert log.between(1, 3) == tuple(entries[1:3])
    assert log.between(4, 4) == ()


@given(st.lists(st.integers(0, 400), min_size=1, max_size=12), st.integers(1, 1200), st.integers(0, 11))
def test_an_append_keeps_to_its_bytes_but_holds_at_least_one_entry(
    sizes: list[int], bytes_max: int, index: int
) -> None:
    entries: list[Entry] = []
    for size in sizes:
        entries.append(chained(end_of(entries), 1, NOOP, None, bytes(size)))
    found = Log(entries).after(index, bytes_max)
    assert found == tuple(entries[index : index + len(found)])
    assert len(found) >= 1 or index >= len(entries)
    assert len(found) <= 1 or sum(entry.cost_bytes for entry in found) <= bytes_max
    following = entries[index + len(found) : index + len(found) + 1]
    assert not following or sum(entry.cost_bytes for entry in (*found, *following)) > bytes_max


# ------------------------------------------------------------ durable


def test_only_the_token_that_carried_an_entry_makes_it_durable() -> None:
    entries = log_of(1, 1, 1)
    log = Log()
    for token, entry in enumerate(entries, 1):
        log.append([entry])
        log.persisting(token)
    assert log.durable == 0
    log.persisted(2)
    assert log.durable == 2
    log.persisted(1)
    assert log.durable == 2
    log.persisted(3)
    assert log.durable == 3


def test_what_was_dropped_is_promised_no_more_even_if_its_sync_comes_back_later() -> None:
    old, new = log_of(1, 1, 1), log_of(1, 2)
    log = Log()
    log.append(old)
    log.persisting(1)
    log.truncate_from(2)
    log.append(new[1:])
    log.persisting(2)
    log.persisted(1)
    assert log.durable == 1, "entry 2 of the new log is not written yet"
    log.persisted(2)
    assert log.durable == 2


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(("append", "persist", "sync", "drop")), st.integers(0, 5)), max_size=40))
def test_durable_is_never_more_than_what_a_disk_that_syncs_in_order_holds(acts: list[tuple[str, int]]) -> None:
    log = Log()
    written: list[tuple[int, list[bytes]]] = []  # (token, the chains the disk will hold)
    synced: list[bytes] = []
    handed_out = token = 0
    term = 1
    for act, number in acts:
        chains = [entry.chain for entry in log.between(0, log.last.index)]
        if act == "append":
            log.append([chained(log.last, term, NOOP, None, b"")])
        elif act == "drop" and log.last.index:
            log.truncate_from(1 + number % log.last.index)
            term += 1
        elif act == "persist":
            token += 1
            written.append((token, chains))
            log.persisting(token)
        elif act == "sync" and written:
            handed_out, synced = written[number % len(written)]
            written = [pair for pair in written if pair[0] > handed_out]
            log.persisted(handed_out)
        mine = [entry.chain for entry in log.between(0, log.durable)]
        assert synced[: log.durable] == mine
        assert log.durable <= log.last.index
