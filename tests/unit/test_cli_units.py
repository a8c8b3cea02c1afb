"""``hfzmq units``: what is shown is what is installed, names an hfzmq that runs, and overwrites nobody's changes."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
import yaml

from hfzmq.access import name_of_peer
from hfzmq.cli.main import main
from hfzmq.cli.units import NEXT, service
from hfzmq.secret_files import CREDENTIAL, SUFFIX, directory_of

ROOT = Path(__file__).resolve().parents[2]
EXEC = "/usr/bin/env"
EXPOSURE_MAX = 1.5


def needs(program: str) -> None:
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed: tests/system/install.sh")


def installed(tmp_path: Path, *words: str) -> tuple[int, Path]:
    """Exit code, and where the units are."""
    code = main(["units", "install", "--prefix", str(tmp_path), "--exec", EXEC, *words])
    return code, tmp_path / "etc/systemd/system"


def program(path: Path) -> Path:
    """Something that can be run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_install_writes_both_units_readable_for_all_and_says_where_and_what_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, directory = installed(tmp_path)
    told = capsys.readouterr()
    assert code == 0
    assert told.out.splitlines() == [str(directory / "hfzmq@.service"), str(directory / "hfzmq.target")]
    assert "systemctl enable --now hfzmq.target hfzmq@N" in told.err
    for path in directory.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert sorted(path.name for path in directory.iterdir()) == ["hfzmq.target", "hfzmq@.service"]
    assert main(["units", "show", "--exec", EXEC]) == 0
    assert capsys.readouterr().out == (directory / "hfzmq@.service").read_text()
    assert installed(tmp_path)[0] == 0  # the same again changes nothing


def test_a_unit_that_somebody_has_changed_is_kept_unless_forced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, directory = installed(tmp_path)
    changed = directory / "hfzmq@.service"
    changed.write_text("[Service]\n")
    capsys.readouterr()
    assert installed(tmp_path)[0] == 1
    told = capsys.readouterr()
    assert f"error: {changed} is there and differs" in told.err
    assert "hint: hfzmq units install --force" in told.err
    assert changed.read_text() == "[Service]\n"
    assert installed(tmp_path, "--force")[0] == 0
    assert "ExecStart=" in changed.read_text()


@pytest.mark.parametrize("path", ["hfzmq", "./hfzmq", "/nowhere/hfzmq", "/etc/passwd", "/etc"])
def test_a_program_that_cannot_be_run_is_refused(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["units", "show", "--exec", path]) == 1
    assert "hint: where it is: command -v hfzmq" in capsys.readouterr().err


def test_a_program_that_the_unit_would_hide_is_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if not str(tmp_path).startswith("/tmp/"):
        pytest.skip("temporary files are elsewhere")
    assert main(["units", "show", "--exec", str(program(tmp_path / "hfzmq"))]) == 0
    assert "the unit hides /tmp from it" in capsys.readouterr().err


def test_a_path_with_blanks_and_percents_is_one_word_of_execstart(tmp_path: Path) -> None:
    path = program(tmp_path / 'a b%i$HOME"q' / "hfzmq")
    (line,) = [line for line in service(str(path)).splitlines() if line.startswith("ExecStart=")]
    quoted = str(path).replace("%", "%%").replace("$", "$$").replace('"', '\\"')
    assert line.startswith(f'ExecStart="{quoted}" serve --id %i ')


def test_below_a_directory_that_cannot_be_written_is_an_error_with_a_hint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "etc").write_text("")
    assert installed(tmp_path)[0] == 1
    assert "hint: as root, or with --prefix DIR" in capsys.readouterr().err


def test_the_unit_does_not_start_again_what_would_only_end_again() -> None:
    lines = service(EXEC).splitlines()
    assert "RestartPreventExitStatus=2 6 7 9" in lines
    assert "Restart=on-failure" in lines
    assert "ExecReload=kill -HUP $MAINPID" in lines  # also systemd 252, which has no Type=notify-reload
    assert "Type=notify" in lines


def test_the_key_that_the_unit_hands_over_is_the_one_that_serve_looks_for_and_keys_init_makes() -> None:
    lines = service(EXEC).splitlines()
    (load,) = (line.partition("=")[2] for line in lines if line.startswith("LoadCredential="))
    (start,) = (line for line in lines if line.startswith("ExecStart="))
    (config,) = re.findall(r"--config (\S+)", start)
    name, _, source = load.partition(":")
    assert name == CREDENTIAL
    assert source == f"{directory_of(config)}/{name_of_peer(7)}{SUFFIX}".replace("7", "%i")
    assert f"{config}" in NEXT
    assert source.replace("%i", "N") in NEXT


def test_systemd_finds_nothing_to_say_against_the_units(tmp_path: Path) -> None:
    needs("systemd-analyze")
    _, directory = installed(tmp_path)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(directory / "hfzmq@.service"), str(directory / "hfzmq.target")],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_exposure_of_the_service_is_at_most_1_5(tmp_path: Path) -> None:
    needs("systemd-analyze")
    _, directory = installed(tmp_path)
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={int(EXPOSURE_MAX * 10)}", "--no-pager",
         str(directory / "hfzmq@.service")],
        capture_output=True, text=True, timeout=60, env={**os.environ, "LC_ALL": "C"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    overall = done.stdout.strip().splitlines()[-1]
    assert float(overall.split(": ")[1].split()[0]) <= EXPOSURE_MAX, overall


def test_promtool_takes_the_alert_rules(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    needs("promtool")
    assert main(["units", "show", "rules"]) == 0
    path = tmp_path / "hfzmq.rules.yml"
    path.write_text(capsys.readouterr().out)
    done = subprocess.run(["promtool", "check", "rules", str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("heard", "running", "told"), [("1x20", "1x20", True), ("2x20", "1x20", False), ("1x20", "0x20", False)]
)
def test_the_alert_of_deaf_peers_is_of_peers_that_run(tmp_path: Path, heard: str, running: str, told: bool) -> None:
    needs("promtool")
    peer = 'job="hfzmq", instance="ward-'
    series = {
        f'up{{{peer}1"}}': "1x20",
        f'up{{{peer}3"}}': running,
        f'hfzmq_peers_other{{{peer}1"}}': "2x20",
        f'hfzmq_peers_heard{{{peer}1"}}': heard,
    }
    summary = "ward-1 does not hear 1 of the other peers, though more of them run"
    alert = {
        "exp_labels": {"severity": "warning", "job": "hfzmq", "instance": "ward-1"},
        "exp_annotations": {"summary": summary},
    }
    case = {
        "interval": "5s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [{"eval_time": "60s", "alertname": "HfzmqPeersDeaf", "exp_alerts": [alert] if told else []}],
    }
    rules = ROOT / "daemon" / "units" / "hfzmq.rules.yml"
    path = tmp_path / "case.yml"
    path.write_text(yaml.safe_dump({"rule_files": [str(rules)], "evaluation_interval": "5s", "tests": [case]}))
    done = subprocess.run(["promtool", "test", "rules", str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_has_its_paragraph_in_the_docs_and_there_is_none_for_another() -> None:
    rules = yaml.safe_load((ROOT / "daemon" / "units" / "hfzmq.rules.yml").read_text())
    alerts = [rule["alert"] for group in rules["groups"] for rule in group["rules"]]
    text = (ROOT / "docs" / "operations" / "monitoring.md").read_text()
    told = [line.removeprefix("**").partition("**")[0] for line in text.splitlines() if line.startswith("**Hfzmq")]
    assert told == alerts
    assert len(alerts) == len(set(alerts)) >= 10
