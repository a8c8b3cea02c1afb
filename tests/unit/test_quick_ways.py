"""What is done the quick way comes out as the exact way has it, for good, bad and hostile bytes alike.

The exact ways are the ones that all other tests of the wire are about: ``check_row`` row by row, rows and maps taken
apart bit by bit.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from random import Random
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hfzmq.clinical.report import Report, check_new_patient_id, check_row
from hfzmq.clinical.surely_good import FEW, surely_good
from hfzmq.clinical.tiers import TIERS
from hfzmq.config import Limits
from hfzmq.errors import WireError
from hfzmq.wire import requests, rows
from tests.fuzz import letters

MESH = bytes(range(16))
LIMITS = Limits(batch_rows_max=50)
GOOD = ["P-001", 1_700_000_000_000, 65.5, 137.0, 1.2, 35.0, 12, 0.5, "AMBER", 0.4, "m1", ""]
MANY = 2 * FEW
quick = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

names = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=64).filter(
    lambda name: check_new_patient_id(name) is None
)
texts = st.text(st.characters(categories=["L", "N", "P", "Zs"]), max_size=70)
chances = st.floats(0, 1)


def numbers(low: int, high: int) -> st.SearchStrategy[float]:
    return st.floats(low, high) | st.integers(low, high)


good_rows = st.tuples(
    names, st.integers(946_684_800_000, 4_102_444_800_000), numbers(18, 120), numbers(100, 180), st.floats(0.1, 20),
    numbers(5, 90), st.integers(0, 36_500), chances, st.sampled_from(TIERS), chances, st.just("m1"), st.just("a,b"),
).map(list)  # fmt: skip

# Values at, beside and far from each bound, and of each other type.
any_values = (
    st.sampled_from(
        (None, True, False, -1, 0, 1, 4, 5, 17, 18, 90, 91, 99, 100, 120, 121, 180, 181, 36_500, 36_501, 1 << 63, "",
         " ", " x", "x ", "x", "\n", "x" * 64, "x" * 65, "x" * 200, "x" * 201, "RED", "red", b"RED", b"", 0.1, 0.05,
         "\u3164", 20.0, 20.1, 17.9, 180.1, -0.0, 1.0, 1.1, float("nan"), float("inf"), float("-inf"), 946_684_799_999,
         946_684_800_000, 4_102_444_800_000, 4_102_444_800_001, 0.5, "missing:age", [], {}, [1], ["x"], (1,), {"a": 1})
    )
    | texts
    | st.floats()
    | st.integers(-(1 << 63), (1 << 64) - 1)
)  # fmt: skip


@st.composite
def batches(draw: st.DrawFn) -> list[Any]:
    """Good rows; in most batches a few fields of them are something else, and some rows longer, shorter or no row."""
    count = draw(st.sampled_from((1, 2, FEW - 1, FEW, MANY)))
    batch: list[Any] = [list(draw(good_rows) if count < 4 else GOOD) for _ in range(count)]
    for _ in range(draw(st.integers(0, 3))):
        at, field = draw(st.integers(0, count - 1)), draw(st.integers(0, len(GOOD) - 1))
        if isinstance(batch[at], list) and len(batch[at]) == len(GOOD):
            batch[at][field] = draw(any_values)
    if draw(st.integers(0, 7)) == 0:
        batch[draw(st.integers(0, count - 1))] = draw(
            st.sampled_from((None, 5, "P-001abcdefg", [], {}, GOOD[:11], [*GOOD, 1]))
        )
    return batch


def outcome(work: Callable[[], Any]) -> Any:
    """What comes out, told apart by type; of a refusal all that it says."""
    try:
        return repr(work())
    except WireError as error:
        return error.field, error.bound, error.hint


def peak_of(work: Callable[[], object]) -> int:
    """How many bytes it takes at most until it is refused."""
    tracemalloc.start()
    try:
        with pytest.raises(WireError):
            work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# ------------------------------------------------------------ checking


@settings(quick, max_examples=500)
@given(batches())
@example([GOOD] * MANY)
@example([[*GOOD[:3], float("nan"), *GOOD[4:]], *[GOOD] * MANY])
@example([*[GOOD] * MANY, [*GOOD[:7], float("nan"), *GOOD[8:]]])
def test_no_batch_is_surely_good_that_has_a_row_which_is_refused(batch: list[Any]) -> None:
    if surely_good(batch):
        assert [check_row(row) for row in batch] == [None] * len(batch)


@quick
@given(st.lists(good_rows, min_size=1, max_size=MANY))
def test_good_reports_with_every_vital_are_surely_good(batch: list[Any]) -> None:
    assert [check_row(row) for row in batch] == [None] * len(batch)
    assert surely_good(batch)


@pytest.mark.parametrize("count", [1, MANY])
@pytest.mark.parametrize("field", range(len(GOOD)), ids=Report._fields)
def test_one_value_that_is_refused_is_seen_in_every_column_and_row(field: int, count: int) -> None:
    """Were a column forgotten, hypothesis might not find it."""
    values: tuple[Any, ...] = (None, True, "x" * 201, "\n", -1, 10**13, 1e300, float("nan"), -1.0, [], {}, b"x")
    wrong = [value for value in values if check_row([*GOOD[:field], value, *GOOD[field + 1 :]])]
    assert len(wrong) > 7
    for value in wrong:
        for at in range(count):
            batch = [list(GOOD) for _ in range(count)]
            batch[at][field] = value
            assert not surely_good(batch), value


@pytest.mark.parametrize("count", [1, MANY])
@pytest.mark.parametrize("row", [dict.fromkeys(GOOD), "P-001-P-001-", b"P-001-P-001-", None, 12, tuple(range(12))])
def test_what_is_no_list_is_not_surely_good(row: object, count: int) -> None:
    assert not surely_good([row] * count)
    assert not surely_good([GOOD, row] * count)


@settings(quick, max_examples=300)
@given(batches())
def test_a_batch_is_sorted_as_row_by_row(batch: list[Any]) -> None:
    data = msgpack.packb(batch)

    def one_by_one() -> tuple[bytes, list[tuple[int, str, str, str]]]:
        requests._check_count(data, 1000)
        found = rows._bit_by_bit(data, *rows._head(data, "rows"), "rows")
        rejected = [(number, *refusal) for number, row in enumerate(found) if (refusal := check_row(row))]
        gone = {number for number, *_ in rejected}
        kept = msgpack.packb([row for number, row in enumerate(found) if number not in gone])
        return (kept if rejected else data), rejected

    assert outcome(lambda: requests.accept_rows(data, 1000)) == outcome(one_by_one)


# ------------------------------------------------------------ taking apart


def bit_by_bit(data: bytes) -> list[object]:
    count, start = rows._head(data, "rows")
    if count > len(data) - start:
        raise WireError("rows", "as many rows as its head says")
    return rows._bit_by_bit(data, count, start, "rows")


flat_rows = st.lists(st.lists(any_values.filter(lambda value: type(value) not in (list, tuple, dict)), max_size=20))
whatever = st.recursive(any_values, lambda inner: st.lists(inner, max_size=70), max_leaves=80)


@settings(quick, max_examples=300)
@given(flat_rows | st.lists(whatever) | st.lists(st.lists(whatever)))
@example([None, [[1]]])
@example([[None], [[1]]])
@example([[1], {}])
@example([[{}]])
@example([[1] * 64])
@example([[1] * 65])
@example([[1] * 65] * 70)
@example([[]] * 600)
def test_an_array_is_taken_apart_at_once_as_bit_by_bit(items: list[Any]) -> None:
    data = msgpack.packb(items)
    assert outcome(lambda: rows.unpack_rows(data)) == outcome(lambda: bit_by_bit(data))


@settings(quick, max_examples=500)
@given(st.integers(0, 1 << 32))
def test_damaged_rows_are_taken_apart_at_once_as_bit_by_bit(seed: int) -> None:
    chance = Random(seed)
    for data in (letters.mutated_rows(chance), letters.damaged(chance, msgpack.packb([GOOD] * chance.randrange(20)))):
        assert outcome(lambda: rows.unpack_rows(data)) == outcome(lambda: bit_by_bit(data))  # noqa: B023


def test_flat_rows_are_taken_apart_at_once() -> None:
    for count in (1, 100, rows.IN_ONE_CALL, rows.IN_ONE_CALL + 1):
        data = msgpack.packb([GOOD] * count)
        assert rows._at_once(data, *rows._head(data, "rows")) == [GOOD] * count
    assert rows._at_once(msgpack.packb([[GOOD]]), 1, 1) is None


@pytest.mark.parametrize(
    "wrong", [None, GOOD[:11], [*GOOD[:11], []], [*GOOD[:11], [1]], [[GOOD]], [], {}, "x", [None] * 64, [None] * 65, 5]
)
@pytest.mark.parametrize("count", [1, rows.IN_ONE_CALL, rows.IN_ONE_CALL + 1])
def test_many_rows_with_one_that_is_wrong_are_taken_apart_as_bit_by_bit(wrong: object, count: int) -> None:
    for at in (0, count // 2, count - 1):
        data = msgpack.packb([wrong if number == at else GOOD for number in range(count)])
        for one in (data, data + b"\xc0", data + b"\x90", data[:-1]):
            assert outcome(lambda: rows.unpack_rows(one)) == outcome(lambda: bit_by_bit(one))  # noqa: B023


@pytest.mark.parametrize(
    "inner", [b"\x91", b"\xdc\x02\x00", b"\xdc\x02\x00" + b"\x90" * 511, b"\x91\x91\x91\xc0", b"\xdc\xff\xff"]
)
@pytest.mark.parametrize("outer", [b"\x91", b"\xdc\x02\x00", b"\x91\xdc\x02\x00", b"\xdc\xff\xff"])
def test_what_is_nested_takes_no_memory_at_once_either(outer: bytes, inner: bytes) -> None:
    bomb = outer + inner * (1_000_000 // len(inner))
    assert peak_of(lambda: rows.unpack_rows(bomb)) < 8 << 20


# ------------------------------------------------------------ requests


def as_a_map(frame: bytes, mesh: bytes, monkeypatch: pytest.MonkeyPatch) -> Any:
    with monkeypatch.context() as patched:
        patched.setattr(requests, "_usual_submission", lambda *_: None)
        return outcome(lambda: requests.decode_request(frame, mesh, LIMITS))


def submission(op: str = "submit", **changes: Any) -> dict[str, Any]:
    data = changes.get("rows", msgpack.packb([GOOD]))
    given = requests.digest(data) if isinstance(data, bytes) else bytes(16)
    fields = {"client": "bed", "epoch": bytes(16), "seq": 1, "rows": data, "digest": given}
    return {"v": 1, "mesh": MESH, "op": op, **fields} | changes


VALUES: dict[str, tuple[Any, ...]] = {
    "v": (1, 2, True, 1.0),
    "mesh": (MESH, bytes(16), MESH[:15], "x" * 16),
    "op": ("submit", "submit_readings", "access", "status", "", 5, []),
    "client": ("x", "ä" * 64, "", "x" * 65, "\n", " ", b"x", None, []),
    "epoch": (bytes(15), bytes(16), bytes(17), "e" * 16, [], {}),
    "seq": (0, 1, -1, (1 << 63) - 1, 1 << 63, True, 1.0, None),
    "rows": (b"", b"\x90", b"\x91", b"\xc0", msgpack.packb([GOOD] * 50), msgpack.packb([GOOD] * 51), "x", [], None),
    "digest": (bytes(16), bytes(15), "d" * 16, None),
    "more": (1, [], {}),
}
sent = st.fixed_dictionaries({}, optional={key: st.sampled_from(some) | any_values for key, some in VALUES.items()})


@pytest.fixture(scope="module")
def patch() -> Any:
    with pytest.MonkeyPatch.context() as patched:
        yield patched


@settings(quick, max_examples=500)
@given(sent, st.randoms(use_true_random=False), st.booleans())
def test_a_submission_is_read_at_once_as_a_map(
    patch: pytest.MonkeyPatch, changes: dict[str, Any], chance: Random, shuffled: bool
) -> None:
    fields = list(submission(**changes).items())
    if shuffled:
        chance.shuffle(fields)
    for frame in (msgpack.packb(dict(fields)), letters.damaged(chance, msgpack.packb(dict(fields)))):
        assert outcome(lambda: requests.decode_request(frame, MESH, LIMITS)) == as_a_map(frame, MESH, patch)  # noqa: B023


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, some in VALUES.items() for value in some])
def test_each_field_has_its_bounds_at_once_as_well(patch: pytest.MonkeyPatch, key: str, value: Any) -> None:
    frame = msgpack.packb(submission(**{key: value}))
    assert outcome(lambda: requests.decode_request(frame, MESH, LIMITS)) == as_a_map(frame, MESH, patch)


def test_what_is_nested_in_a_submission_takes_no_memory() -> None:
    nested = b"\x90"
    for _ in range(5):
        nested = b"\x9c" + 12 * nested
    frame = msgpack.packb(submission(client=None)).replace(b"\xa6client\xc0", b"\xa6client" + nested)
    assert len(frame) > 200_000
    assert peak_of(lambda: requests.decode_request(frame, MESH, LIMITS)) < 2 << 20


def test_a_key_that_comes_twice_is_refused_at_once_as_well(patch: pytest.MonkeyPatch) -> None:
    frame = msgpack.packb(submission())
    doubled = [
        frame.replace(b"\xa3seq\x01", b"\xa3seq\x01\xa3seq\x02"),
        (b"\x89" + frame[1:]).replace(b"\xa3seq\x01", b"\xa3seq\x01\xa3seq\x02"),
        frame.replace(b"\xa5epoch", b"\xa6client"),
        b"\x89" + frame[1:] + b"\xa3seq\x02",
    ]
    for one in doubled:
        said = outcome(lambda: requests.decode_request(one, MESH, LIMITS))  # noqa: B023
        assert said == as_a_map(one, MESH, patch)
        assert said[0] != "S"  # Submit


@pytest.mark.parametrize("op", ["submit", "submit_readings"])
def test_what_hfzmqs_own_clients_send_is_read_at_once(op: str) -> None:
    values = submission(op)
    fields = {key: values[key] for key in ("client", "epoch", "seq", "rows", "digest")}
    frame = requests.encode_request(MESH, op, **fields)
    assert requests._usual_submission(frame, MESH, LIMITS) == requests.decode_request(frame, MESH, LIMITS)
    assert type(requests._usual_submission(frame, MESH, LIMITS)) is requests._SUBMISSIONS[op]
