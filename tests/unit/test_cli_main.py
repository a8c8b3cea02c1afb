"""The door of the command line: lazy, quick, and one place that turns errors into two lines and an exit code."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from hfzmq.cli import main as cli
from hfzmq.errors import (
    ConfigError,
    DiskFailed,
    HfzmqError,
    InvalidInput,
    NoDaemonReached,
    NoLeader,
    NotFound,
    TimedOut,
)
from tests.unit.cli_world import run

ROOT = Path(__file__).resolve().parents[2]
HEAVY = (
    "zmq",
    "msgpack",
    "apsw",
    "numpy",
    "rich",
    "yaml",
    "tensorflow",
    "hfzmq.client",
    "hfzmq.daemon",
    "hfzmq.storage",
)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Makes ``hfzmq probe`` do what the test wants."""

    def install(action: Callable[[], object]) -> None:
        monkeypatch.setattr(cli, "probe", click.command("probe")(action), raising=False)
        monkeypatch.setitem(cli.COMMANDS, "probe", cli.Lazy("hfzmq.cli.main", "probe", "For tests."))

    return install


def raising(error: BaseException) -> Callable[[], object]:
    def action() -> object:
        raise error

    return action


def test_help_names_every_command_and_imports_none_of_them() -> None:
    code = (
        "import sys; from hfzmq.cli.main import main; main(['--help']); "
        f"sys.exit(', '.join(name for name in {HEAVY!r} if name in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for name in cli.COMMANDS:
        assert f"  {name} " in done.stdout


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_every_command_of_the_table_is_there_and_has_help(name: str) -> None:
    done = run(name, "--help")
    assert done.code == 0
    assert done.out.startswith(f"Usage: hfzmq {name} ")


def test_version_says_that_it_is_not_a_medical_device() -> None:
    done = run("--version")
    assert done.code == 0
    assert done.out.startswith("hfzmq 0.")
    assert "research software, not a medical device" in done.out


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (HfzmqError("it failed", hint="do this"), 1),
        (DiskFailed("it failed", hint="do this"), 1),
        (NoDaemonReached("it failed", hint="do this"), 3),
        (NoLeader("it failed", hint="do this"), 4),
        (NotFound("it failed", hint="do this"), 5),
        (TimedOut("it failed", hint="do this"), 8),
    ],
)
def test_an_error_is_two_lines_on_stderr_and_its_own_exit_code(
    command: Callable[[Callable[[], object]], None], error: HfzmqError, code: int
) -> None:
    command(raising(error))
    done = run("probe")
    assert done == (code, "", "error: it failed\nhint: do this\n")


def test_an_error_without_a_hint_is_one_line(command: Callable[[Callable[[], object]], None]) -> None:
    command(raising(InvalidInput("age", "18 to 120", got=7)))
    assert run("probe") == (6, "", "error: age: 18 to 120, got 7\n")


def test_a_config_error_says_file_line_key_and_cause(command: Callable[[Callable[[], object]], None]) -> None:
    command(raising(ConfigError("p.yaml", 3, "mesh.id", "missing")))
    assert run("probe") == (6, "", "error: p.yaml:3: mesh.id: missing\n")


def test_the_unexpected_is_an_internal_error_without_a_traceback(
    command: Callable[[Callable[[], object]], None],
) -> None:
    command(raising(ZeroDivisionError("ouch")))
    done = run("probe")
    assert done.code == 1
    assert done.err.startswith("error: internal error: ZeroDivisionError: ouch\nhint: ")
    assert "--debug" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("error", [ZeroDivisionError("ouch"), NoLeader("nobody leads")])
def test_debug_adds_the_traceback(command: Callable[[Callable[[], object]], None], error: Exception) -> None:
    command(raising(error))
    done = run("--debug", "probe")
    assert "Traceback (most recent call last)" in done.err
    assert "error: " in done.err


@pytest.mark.parametrize("words", [("nope",), ("--nope",), ("status", "--nope"), ("serve",), ("status", "-o", "xml")])
def test_a_wrong_command_line_is_exit_2_with_a_hint(words: tuple[str, ...]) -> None:
    done = run(*words)
    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith("error: ")
    assert "\nhint: hfzmq" in done.err


@pytest.mark.parametrize("words", [(), ("config",), ("alarms",), ("peer",), ("scenario",), ("model",)])
def test_no_command_shows_the_help_on_stderr_and_is_exit_2(words: tuple[str, ...]) -> None:
    done = run(*words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("Usage: hfzmq")


def test_ctrl_c_is_130_and_says_nothing(command: Callable[[Callable[[], object]], None]) -> None:
    command(raising(KeyboardInterrupt()))
    assert run("probe") == (130, "", "")


def test_what_a_command_returns_is_its_exit_code(command: Callable[[Callable[[], object]], None]) -> None:
    command(lambda: 4)
    assert run("probe").code == 4


def test_a_reader_that_goes_away_early_is_no_error() -> None:
    code = "import sys; from hfzmq.cli.main import main; sys.exit(main(['config', 'init', '--peers', '15']))"
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True, check=False
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
@pytest.mark.parametrize("words", [["--help"], ["config", "init"], ["big"]])
def test_a_full_standard_output_is_said_and_is_exit_1(words: list[str]) -> None:
    code = (
        "import sys, click; from hfzmq.cli import main as cli\n"
        "cli.big = click.command()(lambda: click.echo('x' * 1_000_000))\n"
        "cli.COMMANDS['big'] = cli.Lazy('hfzmq.cli.main', 'big', 'For tests.')\n"
        "sys.exit(cli.main())"
    )
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code, *words], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr.startswith("error: cannot write to standard output: No space left on device\nhint: ")
    assert done.stderr.count("\n") == 2


@pytest.mark.parametrize(
    ("words", "code"), [("status --config none.yaml", 6), ("client --config none.yaml --source -", 6), ("--help", 0)]
)
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_are_no_internal_error(words: str, code: int, closed: str) -> None:
    line = f"{sys.executable} -m hfzmq {words} {closed}"
    done = subprocess.run(line, shell=True, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done
    assert "internal error" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_a_table_for_a_closed_standard_output_is_made_and_goes_nowhere() -> None:
    code = (
        "import sys; from hfzmq.cli import main as cli; from hfzmq.cli.layout import terminal_width\n"
        "import click; cli.wide = click.command()(lambda: click.echo(str(terminal_width())))\n"
        "cli.COMMANDS['wide'] = cli.Lazy('hfzmq.cli.main', 'wide', 'For tests.')\n"
        "sys.exit(cli.main())"
    )
    line = f'{sys.executable} -c "{code}" wide >&-'
    done = subprocess.run(line, shell=True, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_another_failure_of_a_disk_is_not_blamed_on_standard_output(
    command: Callable[[Callable[[], object]], None],
) -> None:
    command(raising(OSError(28, "No space left on device")))
    assert "standard output" not in run("probe").err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_an_error_that_cannot_be_told_is_still_an_exit_code() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "hfzmq", "nope"], cwd=ROOT, stdout=subprocess.PIPE, stderr=full, check=False
        )
    assert (done.returncode, done.stdout) == (2, b"")


def test_the_help_of_model_names_what_there_is() -> None:
    said = run("model", "--help").out
    assert [name for name in ("train", "evaluate", "data", "predict", "explain") if f"  {name} " not in said] == []


@pytest.mark.parametrize("words", [["demo", "--duration", "nan"], ["demo", "--duration", "inf"],
                                   ["dashboard", "--interval", "nan"], ["client", "--duration", "inf"]])  # fmt: skip
def test_seconds_without_end_are_a_usage_error(words: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", "hfzmq", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert words[1] in done.stderr


def test_a_file_that_this_user_may_not_read_is_answered_with_whose_it_is_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "ward.hfzmq"
    file.touch(0o600)
    may = os.access
    monkeypatch.setattr(os, "access", lambda path, mode, **more: str(path) != str(file) and may(path, mode, **more))
    done = run("backup", "verify", str(file))
    assert (done.code, f"'{file}' is not readable" in done.err) == (2, True)
    assert f"hint: {file} is yours (mode 0600): chmod u+rwX {file}\n" in done.err
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    name = pwd.getpwuid(owner).pw_name
    assert (
        f"hint: {file} belongs to {name} (mode 0600): run this as that user, sudo -u {name} hfzmq"
        in run("queue", "show", str(file)).err
    )


def test_a_file_in_a_folder_that_this_user_may_not_enter_is_no_internal_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shut = tmp_path / "shut"
    shut.mkdir()
    may = os.access
    monkeypatch.setattr(os, "access", lambda path, mode, **more: str(path) != str(shut) and may(path, mode, **more))

    def denied(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("hfzmq.storage.backup.verify", denied)
    done = run("backup", "verify", str(shut / "ward.hfzmq"))
    assert done.code == 1
    assert done.err.startswith(f"error: {shut}/ward.hfzmq: permission denied\nhint: {shut} is yours (mode ")


@pytest.mark.parametrize("words", [("queue", "show"), ("backup", "verify"), ("reports", "--db")])
def test_a_name_that_no_disk_takes_is_no_internal_error(words: tuple[str, ...]) -> None:
    name = "q" * 300
    done = run(*words, name)
    assert done.code == 6
    assert done.err.startswith(f"error: {name}")
    assert done.err.endswith(": file name too long\nhint: a name has 255 bytes at most, a path 4095\n")


@pytest.mark.parametrize(
    "words",
    [
        ("stream", "--duration"), ("client", "--duration"), ("client", "--interval"), ("demo", "--duration"),
        ("alarms", "watch", "--timeout"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("seconds", ["1e308", "1e10"])
def test_a_time_that_no_clock_counts_to_is_a_wrong_value_of_its_option(words: tuple[str, ...], seconds: str) -> None:
    done = run(*words, seconds)
    assert done.code == 2
    assert f"Invalid value for '{words[-1]}': {float(seconds)} is not in the range" in done.err
