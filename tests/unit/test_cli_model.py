"""``hfzmq model predict``, ``explain`` and ``data``; and that nothing but train and evaluate brings TensorFlow."""

from __future__ import annotations

import ast
import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hfzmq.cli.main import main
from hfzmq.clinical.risk_words import RISK_OF, STUDY_RISK_OF
from hfzmq.model import RiskModel, dataset
from hfzmq.model.features import PUBLISHED_SHA256, synthetic_csv

ROOT = Path(__file__).parents[2]
HEADER = "age,serum_sodium,serum_creatinine,ejection_fraction,day\n"
READING = ("--age", "75", "--sodium", "130", "--creatinine", "1.9", "--ef", "20", "--day", "4")
TRAINERS = {"tensorflow", "keras", "sklearn", "joblib", "h5py", "matplotlib"}


class Ran:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def ask(*words: str) -> Ran:
        code = main(["model", *words])
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return ask


# ------------------------------------------------------------------------------------------------------------ predict


def test_a_csv_is_judged_line_by_line_as_single_readings_are(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "ward.csv"
    path.write_text(synthetic_csv(80, 2))
    found = run("predict", str(path))
    assert found.code == 0
    rows = list(csv.DictReader(io.StringIO(found.out)))
    assert len(rows) == 80
    model = RiskModel.load()
    for row in rows:
        age, sodium, creatinine, ejection = (float(row[name]) for name in HEADER.strip().split(",")[:4])
        judged = model.judge(age, sodium, creatinine, ejection, int(row["day"]))
        assert float(row["probability"]) == judged.probability == float(row["probability_low"])
        assert float(row["probability_study"]) == judged.probability_study
        assert row["flags"] == ",".join(judged.flags)
        assert row["model_id"] == model.model_id
    assert [int(row["line"]) for row in rows] == list(range(2, 82))
    assert found.err == "80 lines judged, 0 refused\n"


def test_bad_rows_are_named_by_line_and_field_and_lose_none_of_the_others(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "ward.csv"
    lines = ["70,134,1.2,38,40", "old,134,1.2,38,40", "70,134,168,38,40", "", "70,134,1.2", "70,134,1.2,38,40.5",
             "60,134,1.2,38,41"]  # fmt: skip
    path.write_text(HEADER + "\n".join(lines) + "\n")
    found = run("predict", str(path), "-o", "jsonl")
    assert [(one["line"], one["age"]) for one in found.lines] == [(2, 70), (8, 60)]
    assert found.code == 6
    said = found.err.splitlines()
    assert said[0].startswith(f"{path}:3: age: a number, 18 to 120 years")
    assert said[1] == f"{path}:4: serum_creatinine: 0.1 to 20 mg/dL, got 168 (umol/L? divide by 88.4)"
    assert said[2].startswith(f"{path}:6: ejection_fraction: missing")
    assert said[3].startswith(f"{path}:7: day: a whole number")
    assert "2 lines judged, 4 refused" in found.err


def test_json_lines_come_from_stdin_and_null_is_not_known(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"age": 70, "serum_sodium": 134, "serum_creatinine": 1.2, "ejection_fraction": 30, "day": 4}
    text = "\n".join(
        [
            json.dumps(known),
            json.dumps(known | {"serum_creatinine": None, "patient_id": "P-7"}),
            "not json",
            '{"age": 1}',
        ]
    )
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    found = run("predict", "-")
    assert found.code == 6
    whole, hole = found.lines
    assert whole["probability"] == whole["probability_low"]
    assert hole["patient_id"] == "P-7"
    assert hole["probability_low"] < whole["probability"] < hole["probability"]
    assert hole["tier"] == "UNKNOWN"
    assert hole["serum_creatinine"] is None
    assert "missing:serum_creatinine" in hole["flags"]
    assert "stdin:3: line: one JSON object" in found.err
    assert "stdin:4: age: 18 to 120 years" in found.err


def test_a_csv_and_json_lines_of_the_same_readings_get_the_same_answers(run: Any, tmp_path: Path) -> None:
    table, lines = tmp_path / "ward.csv", tmp_path / "ward.jsonl"
    table.write_text(HEADER + "70,134,,30,4.0\n,134,1.2,30,\n")
    known = {"serum_sodium": 134, "ejection_fraction": 30}
    lines.write_text(
        f"{json.dumps(known | {'age': 70, 'day': 4.0})}\n{json.dumps(known | {'serum_creatinine': 1.2})}\n"
    )
    rows, objects = (run("predict", str(path), "-o", "json").json for path in (table, lines))
    assert [{**row, "line": 0, "patient_id": ""} for row in rows] == [
        {**one, "line": 0, "patient_id": ""} for one in objects
    ]
    assert [row["day"] for row in rows] == [4, None]
    lines.write_text('{"age": 70, "sodium": 134}\n')  # a key that nobody knows is no value left out
    assert "sodium: unknown field" in run("predict", str(lines)).err


@pytest.mark.parametrize("content", ["", HEADER, HEADER + "\n\n"])
def test_a_file_without_a_reading_is_refused_be_there_a_header_or_not(run: Any, tmp_path: Path, content: str) -> None:
    path = tmp_path / "ward.csv"
    path.write_text(content)
    found = run("predict", str(path))
    assert (found.code, found.out) == (6, "")
    assert "a header and readings" in found.err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("70;134;1.2;38;40", "columns split by ';'? here it is ','"),
        ('70,134,"1,9",38,40', "serum_creatinine: a number, 0.1 to 20 mg/dL, got '1,9' (a decimal comma? write 1.9)"),
        ("70,134,abc,38,40", "serum_creatinine: a number, 0.1 to 20 mg/dL, got 'abc'\n"),
        ("70,134,168,38,40", "serum_creatinine: 0.1 to 20 mg/dL, got 168 (umol/L? divide by 88.4)"),
    ],
)
def test_what_is_no_number_is_shown_and_the_hint_is_about_it(run: Any, tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "ward.csv"
    path.write_text(HEADER + line + "\n")
    assert said in run("predict", str(path)).err


def test_a_table_has_four_digits_and_machines_get_all(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "ward.csv"
    path.write_text(HEADER + "75,130,1.9,20,4\n")
    (value,) = run("predict", str(path), "-o", "json").json
    shown = run("predict", str(path), "-o", "table").out
    for name in ("probability", "probability_low", "probability_study"):
        assert f"{value[name]:.4f}" in shown
        assert repr(value[name]) not in shown
        assert repr(value[name]) in run("predict", str(path), "-o", "csv").out


def test_an_empty_cell_is_not_known_and_never_made_up(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "ward.csv"
    path.write_text(HEADER + "70,134,,30,4\n,,,,4\n")
    found = run("predict", str(path), "-o", "json")
    (one,) = found.json
    assert (one["tier"], one["serum_creatinine"]) == ("UNKNOWN", None)
    assert f"{path}:3: age: at least one value of the patient" in found.err


@pytest.mark.parametrize("output", ["table", "json", "jsonl", "csv"])
def test_an_incomplete_reading_has_two_ends_in_every_output(run: Any, output: str) -> None:
    found = run("predict", "--age", "75", "--sodium", "130", "--ef", "20", "--day", "4", "-o", output)
    judged = RiskModel.load().judge(75.0, 130.0, None, 20.0, 4)
    assert found.code == 0
    for value in (judged.probability_low, judged.probability):
        assert f"{value:.4f}"[:6] in found.out
    assert "UNKNOWN" in found.out
    assert "missing:serum_creatinine" in found.out


def test_a_missing_day_leaves_one_guarded_number_and_gives_the_study_one_two_ends(run: Any) -> None:
    found = run("predict", *READING[:-2])
    judged = RiskModel.load().judge(75.0, 130.0, 1.9, 20.0, None)
    assert f"guarded  {judged.probability:.4f} " in found.out
    ends = f"{judged.probability_study_low:.4f} to {judged.probability_study:.4f}"
    assert f"study    {ends}  UNKNOWN" in found.out
    assert " to " not in run("predict", *READING).out.split("\n")[2]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("predict",), 2, "a reading (--age 75 ...) or a file is needed"),
        (("predict", "x.csv", "--age", "70"), 2, "a reading or a file, not both"),
        (("predict", "nowhere.csv"), 5, "no such file: nowhere.csv"),
        (("predict", "--day", "4"), 6, "age: at least one value of the patient"),
        (("predict", "--model", "nowhere.npz", *READING), 5, "no model at nowhere.npz"),
        (("explain", *READING[:-2]), 2, "--day is needed"),
        (("explain", *READING[:-1], "-1"), 6, "day: "),
        (("data", "--check", "nowhere.csv"), 5, "nowhere.csv"),
    ],
)
def test_what_cannot_be_done_is_said_with_its_exit_code(
    run: Any, words: tuple[str, ...], code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = run(*words)
    assert (found.code, found.out) == (code, "")
    assert said in found.err


def test_a_file_without_the_columns_or_with_a_line_that_is_too_long_is_refused(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "ward.csv"
    path.write_text("age,sodium\n70,134\n")
    found = run("predict", str(path))
    assert (found.code, found.out) == (6, "")
    assert "serum_sodium" in found.err
    path.write_text(HEADER + "9" * 200_000 + "\n70,134,1.2,38,40\n")
    found = run("predict", str(path), "-o", "jsonl")
    assert [one["line"] for one in found.lines] == [3]
    assert f"{path}:2: line" in found.err


def test_a_damaged_model_is_refused_by_predict_with_the_next_step(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "cut.npz"
    path.write_bytes((ROOT / "model" / "weights" / "hf_model.npz").read_bytes()[:-100])
    found = run("predict", "--model", str(path), *READING)
    assert (found.code, found.out) == (6, "")
    assert "a whole hf_model.npz without pickles" in found.err
    assert "hint: copy the file again, or retrain" in found.err


def test_without_the_day_the_studys_number_is_two_ends_and_its_tier_is_not_known(run: Any) -> None:
    words = ("predict", "--age", "60", "--sodium", "137", "--creatinine", "1.1", "--ef", "38")
    judged = RiskModel.load().judge(60.0, 137.0, 1.1, 38.0, None)
    value = run(*words, "-o", "json").json
    assert (value["tier"], value["tier_study"]) == ("GREEN", "UNKNOWN")
    assert value["probability_study_low"] == judged.probability_study_low < value["probability_study"]
    shown = next(line for line in run(*words).out.splitlines() if line.startswith("study"))
    assert f"{judged.probability_study_low:.4f} to {judged.probability_study:.4f}  UNKNOWN" in shown


# ------------------------------------------------------------------------------------------------------------ explain


@pytest.mark.parametrize("study", [(), ("--study",)])
def test_explain_prints_contributions_that_add_up(run: Any, study: tuple[str, ...]) -> None:
    found = run("explain", *READING, *study, "-o", "json")
    value = found.json
    assert value["base"] + sum(value["contributions"].values()) == pytest.approx(value["probability"], abs=1e-11)
    assert value["number"] == ("study" if study else "guarded")
    assert (value["contributions"]["day"] != 0) == bool(study)
    shown = run("explain", *READING, *study).out
    assert f"{value['probability']:.4f} ({value['number']})" in shown
    for moved in value["contributions"].values():
        assert f"{moved:+.4f}" in shown
    assert "-0.0000" not in shown


def test_explain_shows_the_value_that_counted_the_flags_and_what_it_is_a_risk_of(run: Any) -> None:
    words = ("explain", "--age", "20", "--sodium", "137", "--creatinine", "1.1", "--ef", "38", "--day", "4")
    value = run(*words, "-o", "json").json
    assert (value["values"]["age"], value["used"]["age"], value["used"]["day"]) == (20, 40, 100)
    assert "extrapolated:age" in value["flags"]
    assert run(*words, "--study", "-o", "json").json["used"]["day"] == 4
    shown = run(*words).out
    assert re.search(r"^age +20 +40 ", shown, re.M)
    assert "flags: day_clamped, day_driven, extrapolated:age" in shown
    assert RISK_OF in shown
    assert STUDY_RISK_OF in run(*words, "--study").out
    predicted = run("predict", *words[1:]).out
    assert RISK_OF in predicted
    assert STUDY_RISK_OF in predicted
    card = (ROOT / "model" / "README.md").read_text(encoding="utf-8")
    assert "death within about 90 days of the start of follow-up" in " ".join(card.split())


@pytest.mark.parametrize(
    ("name", "content"), [("m.h5", b"x"), ("m", b"\x89HDF\r\n"), ("m.keras", b"PK"), ("s.gz", b"\x1f\x8b")]
)
def test_another_file_of_the_training_is_told_apart_from_the_model(
    run: Any, tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    found = run("predict", "--model", str(tmp_path / name), *READING)
    assert found.code == 6
    assert "give the hf_model.npz" in found.err


def test_a_pipe_for_a_model_is_refused_and_not_waited_for(run: Any, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    found = run("predict", "--model", str(tmp_path / "pipe"), *READING)
    assert found.code == 6
    assert "a file hf_model.npz" in found.err


def test_explain_flags_a_value_that_counted_as_the_edge_of_the_training_range(run: Any) -> None:
    old = ("--age", "110", *READING[2:])
    assert "flags: day_clamped, extrapolated:age" in run("explain", *old).out
    value = run("explain", *old, "-o", "json").json
    assert "extrapolated:age" in value["flags"]
    assert value["probability"] == run("explain", "--age", "95", *READING[2:], "-o", "json").json["probability"]


# ----------------------------------------------------------------------------------------------------------- evaluate


def test_pictures_that_cannot_be_drawn_are_refused_before_anything_is_fitted(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    data, work = tmp_path / "hf.csv", tmp_path / "work"
    data.write_text(synthetic_csv(80, 1))
    found = run("evaluate", "--data", str(data), "--work", str(work), "--plots", str(tmp_path), "--quick")
    assert (found.code, found.out) == (1, "")
    assert "pictures need matplotlib" in found.err
    assert "pip install 'hfzmq[train]', or leave --plots out" in found.err
    assert not work.exists()


# --------------------------------------------------------------------------------------------------------------- data


def test_data_writes_what_it_fetched_only_when_it_is_the_published_set(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "deep" / "hf.csv"
    monkeypatch.setattr(dataset, "fetch", lambda: synthetic_csv(80, 1).encode())
    found = run("data", "--out", str(out))
    assert found.code == 6
    assert PUBLISHED_SHA256 in found.err
    assert not out.exists()
    content = dataset.canonical(synthetic_csv(80, 1).encode(), "f")
    monkeypatch.setattr("hfzmq.model.features.PUBLISHED_SHA256", dataset.sha256(content))
    found = run("data", "--out", str(out))
    assert found.code == 0
    assert found.out == f"{dataset.sha256(content)}  {out}\n"
    assert out.read_bytes() == content
    assert "CC BY 4.0" in found.err
    checked = run("data", "--check", str(out))
    assert (checked.code, checked.out) == (0, found.out)
    assert "otherwise" not in checked.err


def test_the_published_patients_in_other_bytes_are_told_from_the_published_file(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = dataset.canonical(synthetic_csv(80, 1).encode(), "f")
    monkeypatch.setattr("hfzmq.model.features.PUBLISHED_SHA256", dataset.sha256(content))
    path = tmp_path / "hf.csv"
    path.write_bytes(content.replace(b"\n", b"\r\n"))
    found = run("data", "--check", str(path))
    assert (found.code, found.out) == (0, f"{dataset.sha256(path.read_bytes())}  {path}\n")
    assert "written otherwise" in found.err


# --------------------------------------------------------------------------------------- who may bring TensorFlow


def imported_by(path: Path) -> set[str]:
    names: set[str] = set()
    source = path.read_text()
    by_name = "import_module" in source
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
        elif by_name and isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.add(node.value)  # importlib.import_module("tensorflow")
    return names


def test_only_network_and_plots_name_what_training_needs() -> None:
    files = [path for folder in ("hfzmq", "daemon", "cli", "model") for path in (ROOT / folder).rglob("*.py")]
    naming = {path.resolve().relative_to(ROOT).as_posix() for path in files if imported_by(path) & TRAINERS}
    assert naming == {"model/network.py", "model/evaluation/plots.py"}


IMPORT_ALL = """
import importlib, pkgutil, sys
import hfzmq, hfzmq.cli, hfzmq.daemon, hfzmq.model
skip = ("__main__", "tests", ".units")
for package in (hfzmq, hfzmq.cli, hfzmq.daemon, hfzmq.model):
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not found.name.endswith(skip):
            importlib.import_module(found.name)
assert {"hfzmq.daemon.node", "hfzmq.cli.serve", "hfzmq.model.train", "hfzmq.storage.reader"} <= set(sys.modules)
"""

RUN_ALL = """
import os, sys
from hfzmq.cli.main import COMMANDS, main
data, ward, mesh, db = sys.argv[1:]
reading = "--age 75 --sodium 130 --creatinine 1.9 --ef 20 --day 4".split()
on = ["--config", mesh]
sys.stdin = open(os.devnull)
lines = [
    ["keys", "init", *on], ["model", "predict", *reading], ["model", "predict", ward], ["model", "explain", *reading],
    ["model", "data", "--check", data], ["config", "check", *on], ["config", "show", *on], ["config", "init"],
    ["status", *on], ["reports", *on], ["readings", *on], ["alarms", "ls", *on], ["peer", "ls", *on],
    ["dashboard", *on, "--once"], ["scenario", "ls"], ["units", "show", "target", "rules"], ["man"],
    ["completion", "bash"], ["check", *on], ["doctor", *on], ["queue", "show", db], ["backup", "verify", ward],
    ["restore", ward, *on, "--id", "1", "--data-dir", db + "-restored"],
    ["client", *on, "--headless", "--count", "2", "--interval", "0.1", "--duration", "1", "--queue", db],
    ["stream", *on, "--patients", "2", "--rate", "5", "--duration", "1", "--queue", db + "-stream"],
]
ran = set()
for words in lines:
    code = main(words)
    if code in (1, 2) and words[0] not in ("check", "doctor"):  # whose codes say how the mesh is
        sys.exit(f"{' '.join(words)} ends with {code}")
    ran.add(words[0])
    found = TRAINERS & set(sys.modules)
    if found:
        sys.exit(f"{' '.join(words)} imports {found}")
for name in COMMANDS:
    main([name, "--help"])
left = set(COMMANDS) - ran - {"serve", "demo", "bench"}  # these: by IMPORT_ALL alone
found = TRAINERS & set(sys.modules)
sys.exit(f"imported: {found}, not run: {left}" if found or left else 0)
""".replace("TRAINERS", repr(TRAINERS))


def test_no_module_but_those_of_training_imports_tensorflow() -> None:
    code = IMPORT_ALL + f"found = {TRAINERS!r} & set(sys.modules)\nsys.exit(str(found) if found else 0)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=120, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_no_command_but_train_and_evaluate_imports_tensorflow(tmp_path: Path) -> None:
    ward, mesh = tmp_path / "ward.csv", tmp_path / "peers.yaml"
    ward.write_text(HEADER + "70,134,1.2,38,40\n")
    made = subprocess.run(
        [sys.executable, "-m", "hfzmq.cli", "config", "init", "--base-port", "1"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    mesh.write_text(made.stdout)
    done = subprocess.run(
        [sys.executable, "-c", RUN_ALL, str(ward), str(ward), str(mesh), str(tmp_path / "queue")],
        cwd=ROOT, timeout=120, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
