"""The environment stands above the file; what is wrong in it is refused by the variable's name."""

from __future__ import annotations

from pathlib import Path

import pytest

from hfzmq.cli.main import main
from hfzmq.config import Config, HeartRate, PeerAddress, parse, render
from hfzmq.daemon.logs import LogSettings
from hfzmq.environment import VARIABLES, overlay
from hfzmq.errors import ConfigError

BEFORE = Config("ward", bytes(16), (PeerAddress(1, "127.0.0.1", 7101, 7102, 7103),))


def test_what_is_not_set_or_empty_leaves_the_file_alone() -> None:
    assert overlay(BEFORE, {}) == BEFORE
    assert overlay(BEFORE, dict.fromkeys(VARIABLES, " ")) == BEFORE
    assert overlay(BEFORE, {"PATH": "/bin", "HEART_RATE": "7"}) == BEFORE


def test_each_variable_takes_the_place_of_its_setting() -> None:
    set_ = {
        "CUSTOMER_COUNT": "25",
        "HEART_RATE_MIN": "55",
        "HEART_RATE_MAX": " 110 ",
        "INVALID_HEART_RATE_MIN": "20",
        "INVALID_HEART_RATE_MAX": "250",
        "LOG_LEVEL": "WARNING",
    }
    after = overlay(BEFORE, set_)
    assert after.heart_rate == HeartRate(55, 110, 5000, 20, 250, 25)
    assert after.log_level == "warning"
    assert after._replace(heart_rate=BEFORE.heart_rate, log_level="info") == BEFORE
    assert set(set_) == set(VARIABLES)


@pytest.mark.parametrize(
    ("variable", "value", "cause"),
    [
        ("CUSTOMER_COUNT", "0", "1 to 10000"),
        ("CUSTOMER_COUNT", "-1", "a whole number"),
        ("CUSTOMER_COUNT", "10001", "1 to 10000"),
        ("CUSTOMER_COUNT", "ten", "a whole number"),
        ("CUSTOMER_COUNT", "1.5", "a whole number"),
        ("CUSTOMER_COUNT", "9" * 5000, "a whole number"),
        ("HEART_RATE_MIN", "0", "1 to 300"),
        ("HEART_RATE_MIN", "120", "must be below valid_max (120)"),
        ("HEART_RATE_MIN", "30", "must be above invalid_min"),
        ("HEART_RATE_MAX", "301", "1 to 300"),
        ("HEART_RATE_MAX", "50", "must be above valid_min"),
        ("HEART_RATE_MAX", "200", "must be below invalid_max (200)"),
        ("INVALID_HEART_RATE_MIN", "50", "must be below valid_min (50)"),
        ("INVALID_HEART_RATE_MAX", "120", "must be above valid_max"),
        ("LOG_LEVEL", "loud", "one of debug, info, warning, error"),
    ],
)
def test_a_wrong_variable_is_refused_by_its_name(variable: str, value: str, cause: str) -> None:
    with pytest.raises(ConfigError) as caught:
        overlay(BEFORE, {variable: value})
    assert str(caught.value).startswith(f"environment: {variable}: ")
    assert cause in str(caught.value)
    assert caught.value.exit_code == 6


def test_the_command_line_shows_what_the_environment_has_put_above_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "peers.yaml"
    path.write_text(render(BEFORE._replace(heart_rate=HeartRate(60, 100, 1, 40, 150, 3), log_level="error")))
    monkeypatch.setenv("HEART_RATE_MAX", "105")
    monkeypatch.setenv("LOG_LEVEL", "debug")
    assert main(["config", "show", "--config", str(path)]) == 0
    shown = parse(capsys.readouterr().out)
    assert shown.heart_rate == HeartRate(60, 105, 1, 40, 150, 3)
    assert shown.log_level == "debug"
    monkeypatch.setenv("HEART_RATE_MAX", "x")
    assert main(["config", "show", "--config", str(path)]) == 6
    assert "HEART_RATE_MAX" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "variable", "level"),
    [
        (("--log-level", "debug"), "error", "debug"),
        ((), "error", "error"),
        ((), "", "warning"),
    ],
)
def test_a_flag_stands_before_the_environment_and_that_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], variable: str, level: str
) -> None:
    path = tmp_path / "peers.yaml"
    path.write_text(render(BEFORE._replace(log_level="warning")))
    monkeypatch.setenv("LOG_LEVEL", variable)
    monkeypatch.setenv("HEART_RATE_MIN", "60")
    begun: list[tuple[str, int]] = []

    def run_daemon(config: Config, peer: int, data_dir: Path, logs: LogSettings, joins: bool, http: object) -> int:
        begun.append((logs.level, config.heart_rate.valid_min))
        return 0

    monkeypatch.setattr("hfzmq.daemon.serving.serve", run_daemon)
    assert main(["serve", "--id", "1", "--config", str(path), "--data-dir", str(tmp_path), *words]) == 0
    assert begun == [(level, 60)]
