"""The options that several commands share, each defined once.

Touches the command line and, to load it, peers.yaml. Must not know what a command does with them.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from hfzmq.config import LOG_LEVELS, PEER_ID_MAX, Config, load
from hfzmq.environment import overlay
from hfzmq.secret_files import COMMAND_KEY, VARIABLE, with_own_key

DEFAULT_CONFIG = "peers.yaml"
ID_MAX = (1 << 63) - 1  # of a stored report: what SQLite keeps

SECONDS_MAX = 10 * 366 * 86_400  # ten years: nobody waits longer, and no clock or socket is asked for what it cannot

KEY_FILE = "hfzmq.key"  # where click keeps what --key says
NO_KEY = "none"  # for a command that speaks to nobody

F = TypeVar("F", bound=Callable[..., Any])


class Seconds(click.FloatRange):
    """A finite number of seconds: to click, ``nan`` lies within any range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        seconds = super().convert(value, param, ctx)
        if not math.isfinite(seconds):
            self.fail(f"{value} is not a finite number of seconds", param, ctx)
        return seconds


class Probability(click.FloatRange):
    """A probability that can be a threshold: above 0, at most 1."""

    def __init__(self) -> None:
        super().__init__(0, 1, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not 0 < number <= 1:  # NaN fails this too
            self.fail(
                f"{value!r} is no probability to begin at: a number above 0, at most 1, such as 0.5 (no percentage)",
                param,
                ctx,
            )
        return number


def config_option(function: F) -> F:
    """``--config FILE``, given to the command as ``config_path``; and ``--key FILE``, which ``load_config`` finds."""
    return _config_file(key_option(function))


def config_only_option(function: F) -> F:
    """``--config FILE`` alone, for what speaks to nobody."""
    return _config_file(function)


def key_option(function: F) -> F:
    """``--key FILE`` alone; ``load_config`` finds what it says."""

    def keep(ctx: click.Context, option: click.Parameter, value: str | None) -> None:
        ctx.find_root().meta[KEY_FILE] = value

    return click.option(
        "--key",
        metavar="FILE",
        envvar=VARIABLE,
        show_envvar=True,
        expose_value=False,
        is_eager=True,
        callback=keep,
        help="The secret key to speak with.  [default: one of keys/ beside the file of --config]",
    )(function)


def _config_file(function: F) -> F:
    return click.option(
        "--config",
        "config_path",
        metavar="FILE",
        default=DEFAULT_CONFIG,
        show_default=True,
        envvar="HFZMQ_CONFIG",
        show_envvar=True,
        help="The peers of the mesh.",
    )(function)


def peer_option(function: F) -> F:
    """``--peer N``: ask only this peer."""
    ids = click.IntRange(1, PEER_ID_MAX)
    return click.option("--peer", type=ids, metavar="N", help="Ask only this peer.")(function)


CSV_NOTE = (
    "csv has each text letter by letter, as programs read it back; to a spreadsheet a cell that begins with = + - or @ "
    "is a formula: have it take the columns as text."
)


def output_option(*formats: str) -> Callable[[F], F]:
    """``-o FORMAT``, given to the command as ``output``; the first of ``formats`` is the default."""

    def add(function: F) -> F:
        return click.option(
            "-o",
            "--output",
            type=click.Choice(formats, case_sensitive=False),
            default=formats[0],
            show_default=True,
            help="How to print it." + (f" {CSV_NOTE}" if "csv" in formats else ""),
        )(function)

    return add


def log_level_option(function: F) -> F:
    """``--log-level``, given to the command as ``log_level``; None: what the configuration says, LOG_LEVEL included."""
    return click.option(
        "--log-level",
        type=click.Choice(LOG_LEVELS, case_sensitive=False),
        help="What is worth a line: also LOG_LEVEL, or log.level in the file.  [default: info]",
    )(function)


def given(ctx: click.Context, name: str) -> bool:
    """Whether an option stands on the command line."""
    return ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def load_config(path: str, peer: int | None = None, *, key: str = COMMAND_KEY) -> Config:
    """The mesh of ``path``, with what the environment sets on top, and with the key that this process speaks with;
    ConfigError also when it has no peer ``peer``. ``key``: COMMAND_KEY, BEDSIDE_KEY, PEER_KEY or NO_KEY."""
    config = overlay(load(path), os.environ)
    if peer is not None:
        config.peer(peer)
    if key == NO_KEY:
        return config
    context = click.get_current_context(silent=True)
    explicit = context.find_root().meta.get(KEY_FILE) if context is not None else None
    return with_own_key(config, key, os.environ, explicit, peer or 0)
