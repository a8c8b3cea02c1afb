"""``hfzmq completion bash|zsh|fish``: the script that makes a shell complete commands and options; and its questions.

Touches stdout, the environment (the shell asks through a variable). Must not know any command. Keeps: commands
complete without being imported: a Tab answers about as quickly as ``--help``.
"""

from __future__ import annotations

import os

import click
from click.shell_completion import get_completion_class, shell_complete

SHELLS = ("bash", "zsh", "fish")
ASKS = "_HFZMQ_COMPLETE"
PROGRAM = "hfzmq"


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the script that completes hfzmq's commands and options in a SHELL.

    \b
    bash: hfzmq completion bash > ~/.local/share/bash-completion/completions/hfzmq
    zsh:  hfzmq completion zsh > ~/.zfunc/_hfzmq    (a directory of $fpath)
    fish: hfzmq completion fish > ~/.config/fish/completions/hfzmq.fish
    """
    from hfzmq.cli.main import root

    made = get_completion_class(shell)
    assert made is not None
    one = made(root, {}, PROGRAM, ASKS)
    click.echo(one.source_template % one.source_vars())


def answer(root: click.Command) -> int | None:
    """What a shell asks through the environment; None when none does."""
    instruction = os.environ.get(ASKS)
    return shell_complete(root, {}, PROGRAM, ASKS, instruction) if instruction else None
