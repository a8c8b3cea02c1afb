"""What a notice says: every number with its unit, the time with its zone, and which episode it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfzmq.alarm_channels import Url
from hfzmq.clinical.tiers import tier_of
from hfzmq.config import Thresholds
from hfzmq.daemon.notify import words
from hfzmq.daemon.notify.deliver import marked

AT_MS = 1_700_000_000_999


def test_a_notice_says_everything_with_units_zone_mesh_and_mark() -> None:
    notice = words("ward", 42, 2, "bed-7", "HEART_RATE", AT_MS, heart_rates_bpm=(131, 131, 131), unseen_ms=60_000)
    assert notice.title == "HEART RATE bed-7 [hfzmq episode 42 step 2]"
    assert notice.body.splitlines() == [
        "heart rate outside its limits",
        "Heart rate: 131 BPM",
        "Patient: bed-7",
        "Since: 2023-11-14 22:13:20 UTC",
        "Mesh: ward",
        "Unacknowledged for: 60 s",
        "Mark: hfzmq episode 42 step 2 (with the same mark it is the same notice again)",
        "Research software, not a medical device.",
    ]
    assert (notice.episode_id, notice.step, notice.cause, notice.mesh) == (42, 2, "HEART_RATE", "ward")


def test_a_notice_says_when_it_was_written_for_it_may_wait_for_its_channel() -> None:
    lines = words("ward", 42, 2, "bed-7", "RED", AT_MS, unseen_ms=60_000, written_ms=AT_MS + 60_000).body.splitlines()
    assert lines[4:6] == ["Unacknowledged for: 60 s", "Written: 2023-11-14 22:14:20 UTC"]


def test_a_heart_rate_that_is_well_again_is_not_given_out_for_the_cause() -> None:
    body = words("ward", 42, 2, "bed-7", "HEART_RATE", AT_MS, heart_rates_bpm=(35.0, 152.5, 72.0)).body
    assert body.splitlines()[1] == "Heart rate: 35.0 to 152.5 BPM, last 72.0 BPM"


def test_a_notice_of_a_bed_that_is_silent_says_what_is_missing_and_for_how_long() -> None:
    notice = words("ward", 42, 1, "bed-7", "NO_DATA", AT_MS, missing="no heart rate for 12 s")
    assert notice.body.splitlines()[0] == "NO DATA: no heart rate for 12 s"
    assert words("ward", 42, 1, "bed-7", "NO_DATA", AT_MS).body.splitlines()[0] == "NO DATA: the bed is silent"


@given(st.floats(0, 1))
def test_a_probability_is_never_rounded_into_another_tier(value: float) -> None:
    line = words("ward", 1, 1, "b", "RED", AT_MS, probability=value).body.splitlines()[1]
    assert tier_of(float(line.removeprefix("Probability: ")), Thresholds()) == tier_of(value, Thresholds())


@given(st.text(max_size=80), st.text(max_size=80))
def test_the_title_is_one_printable_line_whatever_a_patient_is_called(patient: str, cause: str) -> None:
    notice = words("ward", 1, 1, patient, cause, AT_MS)
    assert notice.title.isprintable()
    assert len(notice.body.splitlines()) == 6


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("json://h/p", "json://h/p?:episode_id=42&:step=2&:mesh=ward%20%26%20co"),
        ("forms://h/p?verify=no", "forms://h/p?verify=no&:episode_id=42&:step=2&:mesh=ward%20%26%20co"),
        (
            "mailto://u:p@h",
            "mailto://u:p@h?+References=%3Chfzmq.episode.42%40ward---co%3E&+X-Hfzmq-Episode=42&+X-Hfzmq-Step=2",
        ),
        ("ntfy://topic", "ntfy://topic"),
    ],
)
def test_a_webhook_and_a_mail_carry_the_mark_in_fields_of_their_own(url: str, expected: str) -> None:
    assert marked(Url(url), {"episode_id": 42, "step": 2, "mesh": "ward & co"}) == expected


def test_a_notice_of_what_is_not_known_says_both_ends_and_one_by_the_raw_day_says_so() -> None:
    def said(note: str) -> list[str]:
        return words("ward", 1, 1, "b", "RED", AT_MS, probability=0.66, note=note).body.splitlines()

    assert said("RED")[1] == "Probability: 0.66"
    assert said("UNKNOWN 0.031207")[1] == "Probability: not known, 0.03 to 0.66: a value is missing"
    assert said("UNKNOWN")[1] == "Probability: not known, up to 0.66"
    assert said("RED raw day")[1:3] == ["Probability: 0.66", "RAW DAY: the tier is by the raw day of follow-up"]
