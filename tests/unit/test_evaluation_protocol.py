"""The published protocol: the cuts, their models on them, and that our harness gives the numbers they published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hfzmq.errors import HfzmqError, InvalidInput
from hfzmq.model import dataset
from hfzmq.model.evaluation import logistic, protocol, scores
from hfzmq.model.features import COLUMNS, PUBLISHED_SHA256, read_cohort, synthetic_csv


def test_the_published_splits_are_239_to_60_shuffled_and_always_the_same() -> None:
    cuts = protocol.published_splits(299)
    assert len(cuts) == 100
    for train, test in cuts:
        assert (len(train), len(test)) == (239, 60)
        assert sorted([*train, *test]) == list(range(299))
        assert not (np.diff(train) > 0).all()
    again = np.random.RandomState(2020).permutation(299)
    assert np.array_equal(cuts[0].train, again[:239])
    assert not np.array_equal(cuts[0].test, cuts[1].test)


def test_in_a_repeat_of_folds_each_patient_is_held_out_once_and_deaths_are_spread_evenly() -> None:
    died = np.array([1.0] * 96 + [0.0] * 203)
    cuts = protocol.stratified_folds(died, 5, 3)
    assert len(cuts) == 15
    for repeat in range(3):
        some = cuts[repeat * 5 : repeat * 5 + 5]
        assert sorted(number for cut in some for number in cut.test) == list(range(299))
        assert {int(died[cut.test].sum()) for cut in some} <= {19, 20}
        assert all(not set(cut.train) & set(cut.test) for cut in some)
    assert not np.array_equal(cuts[0].test, cuts[5].test)


def test_a_logistic_regression_on_one_yes_or_no_gives_the_shares_themselves() -> None:
    exposed = np.array([0.0] * 40 + [1.0] * 60)[:, None]
    died = np.array([1.0] * 10 + [0.0] * 30 + [1.0] * 45 + [0.0] * 15)
    p = logistic.fit_predict(exposed, died, np.array([[0.0], [1.0]]))
    assert p == pytest.approx([0.25, 0.75], abs=1e-6)


def test_where_nobody_died_the_logistic_regression_stays_finite() -> None:
    exposed = np.array([0.0] * 30 + [1.0] * 30)[:, None]
    died = np.array(([1.0, 0.0] * 15) + [0.0] * 30)
    p = logistic.fit_predict(exposed, died, np.array([[0.0], [1.0]]))
    assert p[0] == pytest.approx(0.5, abs=1e-6)
    assert 0 <= p[1] < 1e-6


def test_the_published_columns_have_the_month_as_a_factor() -> None:
    table = dataset.published_table(synthetic_csv(100, 3).encode(), "made up")
    months = np.unique(table[:, COLUMNS.index("time")] // 30)
    assert protocol.published_three(table).shape == (100, 2 + len(months) - 1)
    assert protocol.published_all(table).shape == (100, 11 + len(months) - 1)
    assert set(np.unique(protocol.published_three(table)[:, 2:])) == {0.0, 1.0}


def test_our_harness_gives_the_numbers_that_were_published(published_csv: Path) -> None:
    content, cohort = read_cohort(published_csv)
    died = cohort.died
    columns = protocol.published_all(dataset.published_table(content, "hf.csv"))
    cuts = protocol.published_splits(299)
    p = protocol.held_out(columns, died, cuts)
    assert float(np.mean(protocol.each(cuts, died, p, scores.mcc))) == pytest.approx(0.607, abs=0.02)
    assert float(np.mean(protocol.each(cuts, died, p, scores.swapped_auc))) == pytest.approx(0.818, abs=0.015)


# ----------------------------------------------------------------------------------------------------------- the data


def test_the_same_patients_give_the_same_bytes_whatever_the_order_and_spelling_of_columns(published_csv: Path) -> None:
    real = published_csv.read_bytes()
    assert dataset.sha256(dataset.canonical(real, "hf.csv")) == PUBLISHED_SHA256
    rows = [line.split(",") for line in real.decode().splitlines()]
    turned = "\r\n".join(",".join(row[::-1]) for row in [[cell.upper() for cell in rows[0]], *rows[1:]])
    assert dataset.sha256(dataset.canonical(turned.encode(), "turned")) == PUBLISHED_SHA256
    other = real.replace(b"1.9,130", b"1.8,130", 1)
    assert dataset.sha256(dataset.canonical(other, "other")) != PUBLISHED_SHA256


def test_whole_numbers_have_no_point_and_others_all_their_digits() -> None:
    row = ["60.667", *["0"] * 5, "263358.03", "1.0", "130", "1", "0", "4", "1"]
    text = ",".join(COLUMNS) + "\n" + ",".join(row) + "\n"
    assert dataset.canonical(text.encode(), "f").decode().splitlines()[1] == "60.667,0,0,0,0,0,263358.03,1,130,1,0,4,1"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "line 1: a column age, once"),
        (b"\xd0\xcf\x11", "UTF-8"),
        (",".join(COLUMNS).replace("sex", "age").encode(), "a column age, once"),
        ((",".join(COLUMNS) + "\n" + ",".join(["1"] * 12) + "\n").encode(), "line 2: a number in each of 13 columns"),
        ((",".join(COLUMNS) + "\n" + ",".join(["1"] * 12 + ["nan"]) + "\n").encode(), "line 2: a number in each"),
    ],
)
def test_what_is_not_such_a_table_is_refused_with_its_line(content: bytes, said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        dataset.canonical(content, "got.csv")
    assert said in str(refused.value)
    assert "got.csv" in str(refused.value)


def test_a_data_set_that_cannot_be_fetched_is_an_error_with_another_way(tmp_path: Path) -> None:
    with pytest.raises(HfzmqError, match="cannot fetch") as refused:
        dataset.fetch((tmp_path / "nowhere.csv").as_uri())
    assert "--data hf.csv" in refused.value.hint


def test_what_is_fetched_is_what_lies_there(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("a,b\n")
    assert dataset.fetch((tmp_path / "data.csv").as_uri()) == b"a,b\n"
