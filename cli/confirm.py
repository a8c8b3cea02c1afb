"""The yes that a command needs before it does what cannot be taken back.

Touches stdin, stderr. Must not know: what is done. Keeps: without a terminal nobody is asked, and nothing is done.
"""

from __future__ import annotations

import sys

import click

from hfzmq.errors import HfzmqError

YES_HINT = "if it must be, say it again with --yes"


def confirm(question: str, undone: str, hint: str = YES_HINT) -> None:
    """Return when somebody at the terminal says yes; else HfzmqError (exit 1, whatever was asked), which says what was
    left ``undone``. ``hint``: of the error where there is no terminal."""
    if not (sys.stdin and sys.stdin.isatty()):
        raise HfzmqError(f"{undone}: this needs a yes", hint=hint)
    if not click.confirm(question, err=True):
        raise HfzmqError(undone)
