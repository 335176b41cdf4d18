"""Groups of commands of which one may be left out."""

from __future__ import annotations

from typer.core import TyperGroup


def group_with_default(default: str) -> type[TyperGroup]:
    """A group where `GROUP ARGUMENTS` is `GROUP default ARGUMENTS`."""

    class WithDefault(TyperGroup):
        default_command = default

        def parse_args(self, ctx, args):  # type: ignore[no-untyped-def]  # click's own types
            if (args or not self.no_args_is_help) and (
                not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names)
            ):
                args = [default, *args]
            return super().parse_args(ctx, args)

    return WithDefault
