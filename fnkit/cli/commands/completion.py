"""``fnkit completion``: print the script that completes commands in a shell."""

from __future__ import annotations

import click

from fnkit.cli.help import command
from fnkit.cli.options import CommonOptions, common_options

_SHELLS = ("bash", "zsh", "fish")


@command()
@click.argument("shell", type=click.Choice(_SHELLS))
@common_options
@click.pass_context
def completion(context: click.Context, common: CommonOptions, *, shell: str) -> None:
    r"""Print the script that completes commands in a shell.

    Commands, options, and names of functions, crons, triggers and secrets of the project are completed.

    \b
        eval "$(fnkit completion bash)"                     in ~/.bashrc
        eval "$(fnkit completion zsh)"                      in ~/.zshrc
        fnkit completion fish | source                      in ~/.config/fish/config.fish
    """
    from click.shell_completion import get_completion_class

    from fnkit.cli.views.completion import CompletionView

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"click cannot complete commands in {shell}.", context)
    root = context.find_root()
    script = kind(root.command, {}, "fnkit", "_FNKIT_COMPLETE")
    # Not source(): for bash it runs the shell to find its version.
    common.output.result(CompletionView(shell, script.source_template % script.source_vars()))
