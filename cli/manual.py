"""``hfzmq man``: the manual page, made from the commands themselves, so that it is never behind them.

Touches stdout; imports every command. Must not know what one does. Keeps: each visible command, argument and option is
in it, in the words of its ``--help``; what the text says is never taken for roff.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import click

from hfzmq import __version__

SECTION = 1
EXITS = (
    (0, "done"),
    (1, "failed"),
    (2, "wrong command line"),
    (3, "no daemon reached"),
    (4, "no leader or no quorum"),
    (5, "not found"),
    (6, "invalid input"),
    (7, "keys"),
    (8, "timed out"),
    (9, "this peer was removed from the mesh"),
)


@click.command("man")
def manual() -> None:
    """Print the manual page (roff) of all commands.

    \b
    hfzmq man | man -l -
    hfzmq man > /usr/local/share/man/man1/hfzmq.1
    """
    from hfzmq.cli.main import root

    click.echo(page(root), nl=False)


def page(root: click.Group) -> str:
    """The whole page."""
    lines = [
        f'.TH HFZMQ {SECTION} "" "hfzmq {__version__}" "hfzmq"',
        ".SH NAME",
        "hfzmq \\- bedside heart\\-failure risk, kept by a brokerless mesh",
        ".SH SYNOPSIS",
        ".B hfzmq",
        "[\\fIoptions\\fR] \\fIcommand\\fR [\\fIarguments\\fR]",
        ".SH DESCRIPTION",
        *_text(root.help or ""),
        ".SH OPTIONS",
        *_options(root, click.Context(root, info_name="hfzmq")),
        ".SH COMMANDS",
        *_commands(root, click.Context(root, info_name="hfzmq")),
        ".SH EXIT STATUS",
    ]
    for code, meaning in EXITS:
        lines += [".TP", f".B {code}", escaped(meaning)]
    lines += [
        ".SH FILES",
        ".TP",
        ".I peers.yaml",
        "the peers of the mesh and every setting: hfzmq config init",
        ".TP",
        ".I DIR/hfzmq_N.db",
        "all that peer N holds",
        ".SH NOTES",
        "Research software, not a medical device.",
    ]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """``text`` as roff shows it: no letter of it means anything else."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("^", "\\(ha")
    text = text.replace("`", "\\(ga").replace("~", "\\(ti").replace("\N{BULLET}", "\\(bu")
    return f"\\&{text}" if text.startswith((".", "'", "\\(aq")) else text


def _commands(group: click.Group, context: click.Context) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        inner = click.Context(command, parent=context, info_name=name)
        usage = " ".join(command.collect_usage_pieces(inner))
        yield f'.SS "{escaped(inner.command_path)}"'
        yield f"\\fB{escaped(inner.command_path)}\\fR {escaped(usage)}".rstrip()
        yield ".PP"
        yield from _text(command.help or "")
        yield from _options(command, inner)
        if isinstance(command, click.Group):
            yield from _commands(command, inner)


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.get_params(context):
        record: Any = parameter.get_help_record(context)
        if record is None:
            continue
        names, told = record
        yield ".TP"
        yield f".B {escaped(names)}"
        yield escaped(" ".join(told.split())) or "\\&"


def _text(help_text: str) -> Iterator[str]:
    """Paragraphs as in click's help: a line of \\b before one keeps its lines."""
    first = True
    for paragraph in re.split(r"\n\s*\n", help_text.strip()):
        lines = [line.strip() for line in paragraph.split("\n")]
        if not first:
            yield ".PP"
        first = False
        if lines[0] == "\b":
            yield ".nf"
            yield from (escaped(line) for line in lines[1:])
            yield ".fi"
        else:
            yield escaped(" ".join(lines))
