"""Is a command that some text names there, with its options?"""

from __future__ import annotations

import re

import click

from hfzmq.cli.main import root

MANY = "|"  # alarms ls|ack: each of them


def unknown_in(words: list[str]) -> str:
    """The first of ``words`` (those behind ``hfzmq``) that is no command or option; '' when all are."""
    here: list[click.Command] = [root]
    while words and not words[0].startswith("-") and all(isinstance(one, click.Group) for one in here):
        if not re.fullmatch(r"[a-z|-]+", words[0]) and all(getattr(one, "invoke_without_command", 0) for one in here):
            break  # no command but an argument: hfzmq backup FILE
        names, *words = words
        groups = [one for one in here if isinstance(one, click.Group)]
        found = [one.get_command(click.Context(one), name) for one in groups for name in names.split(MANY)]
        if None in found:
            return names
        here = [one for one in found if one is not None]
    known = {option for one in here for parameter in one.params for option in parameter.opts} | {"--help"}
    options = [word.strip("[].,;()") for word in words if word.strip("[").startswith("-")]
    return next((option for option in options if option != "-" and not set(option.split(MANY)) <= known), "")


def commands_said(line: str) -> list[list[str]]:
    """The words behind each ``hfzmq`` in a line for people that stands for a command: not behind ``newer``, ``of`` and
    the like, where it is the program's name, and not at the end of a path."""
    found = re.findall(rf"(?<![\w/.-]){_NAMED}hfzmq ([^;()>]+)", line)
    return [_ENDS.split(one)[0].split() for one in found]


_NAMED = "".join(f"(?<!{word} )" for word in ("newer", "older", "of", "the", "this", "that"))
_ENDS = re.compile(r",? (?:then|and|or|which|that|where|ran|makes|prints|shows|looks) |[,.?](?: |$)")
