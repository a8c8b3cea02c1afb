"""The manual page holds every command and option, and roff takes it; completion asks no command to be imported."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from hfzmq.cli.completion import SHELLS
from hfzmq.cli.main import COMMANDS, root
from hfzmq.cli.manual import escaped, page
from tests.unit.cli_world import run

ROOT = Path(__file__).resolve().parents[2]


def everything(group: click.Group, context: click.Context) -> Iterator[tuple[str, click.Command]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if command.hidden:
            continue
        inner = click.Context(command, parent=context, info_name=name)
        yield inner.command_path, command
        if isinstance(command, click.Group):
            yield from everything(command, inner)


def test_every_command_and_every_option_is_in_the_page_with_its_help() -> None:
    told = page(root).replace("\\-", "-")
    seen = 0
    for path, command in everything(root, click.Context(root, info_name="hfzmq")):
        assert f'.SS "{path}"' in told
        assert command.help, path
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert parameter.opts[-1] in told, (path, parameter.opts)
                seen += 1
    assert seen > 100
    assert all(f'.SS "hfzmq {name}"' in told for name, lazy in COMMANDS.items() if not lazy.hidden)


def test_no_text_is_taken_for_roff() -> None:
    assert escaped(".TH evil") == "\\&.TH evil"
    assert escaped("'quoted' \\n --x") == "\\&\\(aqquoted\\(aq \\en \\-\\-x"


@pytest.mark.skipif(not shutil.which("groff"), reason="groff is not installed")
def test_groff_has_nothing_to_complain_about(tmp_path: Path) -> None:
    file = tmp_path / "hfzmq.1"
    file.write_text(run("man").out)
    line = ["groff", "-ww", "-man", "-Tutf8", str(file)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "hfzmq backup verify" in " ".join(done.stdout.replace("\N{HYPHEN}\n", "").split())


@pytest.mark.skipif(not shutil.which("man"), reason="man is not installed")
def test_man_shows_it_without_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "hfzmq.1"
    file.write_text(run("man").out)
    done = subprocess.run(
        ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", str(file)],
        capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "MANWIDTH": "80"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_gets_its_script(shell: str) -> None:
    done = run("completion", shell)
    assert done.code == 0
    assert "_HFZMQ_COMPLETE" in done.out


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
def test_bash_takes_the_script() -> None:
    done = subprocess.run(
        ["bash", "-n"], input=run("completion", "bash").out, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def completed(words: str, number: int, code: str = "pass") -> str:
    """What a shell is told about the word of this number."""
    asking = {"_HFZMQ_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(number)}
    program = f"import sys; from hfzmq.cli.main import main; code = main(); {code}; sys.exit(code)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT, env={**os.environ, **asking}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_commands_options_and_choices_complete() -> None:
    assert completed("hfzmq ba", 1) == "plain,backup\n"
    assert "plain,--peer\n" in completed("hfzmq status --", 2)
    assert completed("hfzmq completion z", 2) == "plain,zsh\n"
    assert completed("hfzmq alarms a", 2) == "plain,ack\n"


def test_completing_a_command_imports_none() -> None:
    told = completed("hfzmq s", 1, "print([name for name in ('zmq', 'apsw', 'rich') if name in sys.modules])")
    assert told.endswith("[]\n")
    assert "plain,status\n" in told
