"""Which names a patient may have: any that people can read and tell apart; what is stored is shown all the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfzmq.cli.bed_view import merge_beds
from hfzmq.cli.bedside import readings as vitals
from hfzmq.cli.pulse_view import merge_pulses
from hfzmq.cli.stream import lines as rates
from hfzmq.clinical.heart_rate import Reading, check_reading
from hfzmq.clinical.report import Report, check_new_patient_id, check_patient_id, check_row
from hfzmq.clinical.surely_good import FEW, surely_good
from hfzmq.config import Limits
from hfzmq.wire import requests
from tests.unit.cli_world import NOW_MS, WALL_MS, beds_answer, row

MESH = bytes(16)
T0 = 1_700_000_000_000

# Default_Ignorable_Code_Point (Unicode 16, DerivedCoreProperties.txt), and what looks blank: first and last of each.
UNSEEN = (
    (0x00AD, 0x00AD), (0x034F, 0x034F), (0x061C, 0x061C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F),
    (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
    (0x2800, 0x2800), (0x13441, 0x13442), (0x16FE4, 0x16FE4), (0x1D159, 0x1D159),
)  # fmt: skip
HIDDEN = "".join(chr(code) for first, last in UNSEEN for code in range(first, last + 1))
SHOWN_ONLY = [one for one in HIDDEN if check_patient_id(one) is None]  # to Python they are printable


def batch(patient: str, count: int) -> list[list[Any]]:
    return [*([*row("bed-1")] for _ in range(count - 1)), [*row(patient)]]


@pytest.mark.parametrize("name", ["{}", "P-1{}", "{}P-1", "P{}1"])
def test_a_character_that_nobody_sees_is_refused_wherever_it_stands_in_a_name(name: str) -> None:
    assert len(SHOWN_ONLY) > 250
    for one in HIDDEN:
        refusal = check_new_patient_id(name.format(one))
        assert refusal is not None, hex(ord(one))
        assert refusal.field == "patient_id"


def test_the_refusal_says_which_character_it_is() -> None:
    refusal = check_new_patient_id("P-1\u3164\ufe0f")
    assert refusal is not None
    assert refusal.bound == "1 to 64 characters that can be seen"
    assert "U+3164, U+FE0F" in refusal.hint


@pytest.mark.parametrize(
    "name", ["P-001", "-12", "=1+1", "Zoë", "Zoe\u0308", "日本", "한글", "राम", "محمد", "אבגד", "bed 7", "❤", "x" * 64]
)
def test_a_name_that_people_can_read_is_good_in_every_script(name: str) -> None:
    assert check_new_patient_id(name) is None


@given(st.text(st.characters(exclude_categories=["C", "Z"]) | st.sampled_from(SHOWN_ONLY), max_size=66))
def test_many_at_once_and_one_by_one_are_checked_alike(name: str) -> None:
    good = check_new_patient_id(name) is None
    assert good == (0 < len(name) <= 64 and not set(name) & set(HIDDEN))
    assert (check_row(row(name)) is None) == good
    assert (check_reading((name, T0, 72, "")) is None) == good
    for count in (1, FEW):
        assert surely_good(batch(name, count)) == good


@pytest.mark.parametrize("name", ["\u3164", "\u2800", "P-1\ufe0f"])
def test_every_entrance_refuses_a_name_that_cannot_be_seen(name: str) -> None:
    _, rejected = requests.accept_rows(requests.encode_rows([row(name), row("bed-1")]), 10)
    assert [(number, field) for number, field, *_ in rejected] == [(0, "patient_id")]
    told = {"patient_id": name, "timestamp": T0, "age": 70, "value": 72}
    refused = [rates.from_json(json.dumps(told), "f", 1), rates.from_cells({**told, "timestamp": str(T0)}, "", "f", 1)]  # type: ignore[dict-item]
    del told["value"]
    refused.append(vitals.from_json(json.dumps(told), "f", 1))  # type: ignore[arg-type]
    assert [item.field for item in refused if not isinstance(item, Reading)] == ["patient_id"] * 3


@pytest.mark.parametrize("name", ["\u3164", "P-1\ufe0f"])
def test_what_is_stored_under_such_a_name_is_shown_found_and_discharged(name: str) -> None:
    stored = row(name)
    assert isinstance(stored, Report)
    assert [*merge_beds({}, [beds_answer(reported=[(7, stored)])], NOW_MS)] == [name]
    pulse = [5, [name, WALL_MS, 72.0, "valid", None, WALL_MS]]
    assert [*merge_pulses({}, [beds_answer() | {"readings": [pulse]}], NOW_MS)] == [name]
    asked = requests.encode_request(MESH, "reports", patient=name)
    assert requests.decode_request(asked, MESH, Limits()).patient == name  # type: ignore[union-attr]
    gone = requests.encode_request(MESH, "alarm", action="discharge", patient=name, by="Ada")
    assert requests.decode_request(gone, MESH, Limits()).target == name  # type: ignore[union-attr]
