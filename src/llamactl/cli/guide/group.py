"""Groups of commands whose help is complete, and which understand what people meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from llamactl.cli.guide.examples import with_examples
from llamactl.cli.guide.names import MEMBER_ALIASES, meant, spelled_out

_LONG = 1000  # more characters than any help line has, so that none is cut


class Group(TyperGroup):
    """Shows each command's first sentence in full, and examples."""

    aliases: Mapping[str, Sequence[str]] = MEMBER_ALIASES

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        for command in self.commands.values():
            with_examples(command)
        with_examples(self)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([self.row(ctx, name) for name in self.list_commands(ctx)])

    def row(self, ctx: Any, name: str) -> tuple[str, str]:
        """The name with the first sentence of its help."""
        command = self.get_command(ctx, name)
        return name, command.get_short_help_str(_LONG) if command is not None else ""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        names = self.list_commands(ctx)
        aliases = {k: v for k, v in self.aliases.items() if v[0] in names or v[0][:1] == "-"}
        return super().parse_args(ctx, spelled_out(args, aliases))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if self.get_command(ctx, args[0]) is None and not ctx.resilient_parsing:
            near = meant(args[0], self.list_commands(ctx))
            hint = f"Did you mean {near!r}?" if near else f"See `{ctx.command_path} --help`."
            ctx.fail(f"No such command {args[0]!r}. {hint}")
        return super().resolve_command(ctx, args)


def group(text: str) -> typer.Typer:
    """For commands with a common first word. `text`: what they are for."""
    return typer.Typer(cls=Group, help=text, no_args_is_help=True, rich_markup_mode=None)
