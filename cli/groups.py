"""What all groups of commands share.

Touches the command line. Must not know any command.
"""

from __future__ import annotations

import click


class HelpGroup(click.Group):
    """A group that, given no command, shows its help on stderr and is a usage error, with every click alike."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See click."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True)
            ctx.exit(2)
        return super().parse_args(ctx, args)
