"""The door of ``hfzmq``: finds the command, and turns whatever goes wrong into two lines and an exit code.

Touches the command line, stderr and the exit code. Must not know what a command does: each is imported only when it is
run, so that ``hfzmq --help`` answers in about 150 ms. Keeps: this is the only place that prints an error; nobody sees a
traceback without ``--debug``; stdout carries data only.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import click

from hfzmq import __version__
from hfzmq.cli.groups import HelpGroup
from hfzmq.cli.stdout import CannotWrite, give_up_stdout, guarded_stdout, open_closed_streams
from hfzmq.errors import HfzmqError, InvalidInput

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

INTERRUPTED, PIPE_CLOSED = 130, 141  # what a shell says of a program ended by SIGINT, by SIGPIPE


class Lazy(NamedTuple):
    """Where a command lives, and its line in ``hfzmq --help``."""

    module: str
    attribute: str
    help: str
    hidden: bool = False


COMMANDS = {
    "demo": Lazy("hfzmq.cli.demo", "demo", "Peers, patients and a leader that dies, on this machine."),
    "config": Lazy("hfzmq.cli.config_commands", "config", "Write, check and show a peers.yaml."),
    "keys": Lazy("hfzmq.cli.access.commands", "keys", "Who may speak to the mesh: make, issue, revoke, show keys."),
    "serve": Lazy("hfzmq.cli.serve", "serve", "Run one daemon in the foreground."),
    "client": Lazy("hfzmq.cli.client_command", "client", "Judge patients at the bedside and report to the mesh."),
    "stream": Lazy("hfzmq.cli.stream_command", "stream", "Bring heart rates to the mesh, made up or recorded."),
    "status": Lazy("hfzmq.cli.status", "status", "Who leads, who is behind, who is away."),
    "reports": Lazy("hfzmq.cli.reports", "reports", "Read the stored reports, from a peer or from a file."),
    "readings": Lazy("hfzmq.cli.readings", "readings", "Read the stored heart rates and the alerts they gave rise to."),
    "alarms": Lazy("hfzmq.cli.alarms.commands", "alarms", "What is open, who has seen it; acknowledge, watch, count."),
    "dashboard": Lazy("hfzmq.cli.dashboard", "dashboard", "The live board of the mesh and the beds."),
    "peer": Lazy("hfzmq.cli.peer_commands", "peer", "The members of the mesh: list, add, remove, give the lead to."),
    "check": Lazy("hfzmq.cli.check", "check", "Is the mesh well: one line and an exit code for Nagios."),
    "doctor": Lazy("hfzmq.cli.doctor.commands", "doctor", "What is wrong here, why, and the command that mends it."),
    "backup": Lazy("hfzmq.cli.backup_commands", "backup", "All that the mesh has stored, in one checked file."),
    "restore": Lazy("hfzmq.cli.restore_command", "restore", "Found a new mesh on a backup."),
    "queue": Lazy("hfzmq.cli.queue_commands", "queue", "What waits on a client's disk; give it to a restored mesh."),
    "scenario": Lazy("hfzmq.cli.scenario.commands", "scenario", "Faults by name, injected into real processes."),
    "bench": Lazy("hfzmq.cli.bench.commands", "bench", "How fast it is, beside a bare sketch."),
    "units": Lazy("hfzmq.cli.units", "units", "systemd units and Prometheus alert rules: show, install."),
    "model": Lazy("hfzmq.cli.model_commands", "model", "The risk model: train it, evaluate it, ask it, and why."),
    "completion": Lazy(
        "hfzmq.cli.completion", "completion", "The script that completes commands in bash, zsh or fish."
    ),
    "man": Lazy("hfzmq.cli.manual", "manual", "The manual page of all commands, as roff."),
}


class LazyGroup(HelpGroup):
    """A group that imports a command only when it is run; its help comes from COMMANDS."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order a newcomer needs them."""
        return [name for name, lazy in COMMANDS.items() if not lazy.hidden]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import and return the command called ``name``."""
        lazy = COMMANDS.get(name)
        if lazy is None:
            return None
        command = getattr(importlib.import_module(lazy.module), lazy.attribute)
        assert isinstance(command, click.Command)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The commands, without importing one; then the options."""
        from click.shell_completion import CompletionItem

        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        found = [CompletionItem(name, help=COMMANDS[name].help) for name in names]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing one."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name].help) for name in self.list_commands(ctx)])


class Session:
    """What the options before the command said."""

    debug = False


def _set_debug(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    ctx.ensure_object(Session).debug = value


def _show_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        click.echo(f"hfzmq {__version__}\nresearch software, not a medical device")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show it.")
@click.option("--debug", is_flag=True, expose_value=False, callback=_set_debug, help="Show tracebacks of errors.")
def root() -> None:
    """Bedside heart-failure risk, kept by a brokerless mesh that loses no acknowledged report.

    Start with: hfzmq demo. Research software, not a medical device.
    """


def main(args: Sequence[str] | None = None) -> int:
    """Run one command line (without the program's name) and return its exit code; never raises."""
    session = Session()
    try:
        open_closed_streams()
        words = list(sys.argv[1:] if args is None else args)
        if args is None and (asked := _completed()) is not None:
            return asked
        with guarded_stdout(), root.make_context("hfzmq", words, obj=session) as ctx:
            result = root.invoke(ctx)
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # from click 8.2 on: a group without a command; no error line
            click.echo(error.format_message(), err=True)
            return error.exit_code
        return _say(session, error, _plain(error.format_message()), _usage_hint(error), error.exit_code)
    except HfzmqError as error:
        if isinstance(error, CannotWrite):
            give_up_stdout()
        return _say(session, error, str(error), error.hint, error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        return _pipe_closed()
    except PermissionError as error:
        if error.filename is None:
            return _internal(session, error)
        return _say(session, error, f"{error.filename}: permission denied", _rights_hint(str(error.filename)), 1)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG or error.filename is None:
            return _internal(session, error)
        hint = "a name has 255 bytes at most, a path 4095"
        return _say(session, error, f"{error.filename}: file name too long", hint, InvalidInput.exit_code)
    except Exception as error:
        return _internal(session, error)


def _internal(session: Session, error: Exception) -> int:
    cause = f"internal error: {type(error).__name__}: {error}"
    return _say(session, error, cause, "run it again as: hfzmq --debug ..., and report the traceback", 1)


def _completed() -> int | None:
    """The answer to a shell's question, which it asks in the environment (completion.py); None: nothing is asked."""
    if "_HFZMQ_COMPLETE" not in os.environ:
        return None
    from hfzmq.cli.completion import answer

    return answer(root)


def _say(session: Session, error: BaseException, message: str, hint: str, code: int) -> int:
    try:
        if session.debug:
            traceback.print_exception(error, file=sys.stderr)
        click.echo(f"error: {message}", err=True)
        if hint:
            click.echo(f"hint: {hint}", err=True)
    except BrokenPipeError:
        return _pipe_closed()
    except OSError:  # nobody can be told; the exit code says it
        pass
    return code


def _plain(message: str) -> str:
    """What click says, without its names of types: ``'two' is not a valid integer range``."""
    for kind, word in (("integer", "whole number"), ("float", "number")):
        message = message.replace(f"is not a valid {kind} range", f"is no {word}")
        message = message.replace(f"is not a valid {kind}", f"is no {word}")
    return message


def _usage_hint(error: click.ClickException) -> str:
    if isinstance(error, click.BadParameter):
        from hfzmq.cli.rights import refused_path

        path = refused_path(error.message)
        if path:
            return _rights_hint(path)
    ctx = getattr(error, "ctx", None)
    return f"{ctx.command_path} --help" if isinstance(ctx, click.Context) else ""


def _rights_hint(path: str) -> str:
    from hfzmq.cli.rights import rights_hint

    return rights_hint(path)


def _pipe_closed() -> int:
    give_up_stdout()  # whoever read our output has enough
    return PIPE_CLOSED


if __name__ == "__main__":
    sys.exit(main())
