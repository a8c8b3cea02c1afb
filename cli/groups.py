"""What all groups of commands share.

Touches the command line. Must not know any command.
"""

from __future__ import annotations

import click


class HelpGroup(click.Group):
    """A group that, given no command, shows its help on stderr and is a usage error, with every click alike; a command
    that it does not know may be one that is misspelt."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """See click."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            from hfzmq.yaml_reader import likely

            known = self.list_commands(ctx)
            meant = likely(args[0], known).strip() or "There are: " + ", ".join(known) + "."
            ctx.fail(f"No such command {args[0]!r}. {meant[0].upper()}{meant[1:]}")
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See click."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True)
            ctx.exit(2)
        return super().parse_args(ctx, args)
