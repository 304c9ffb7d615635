"""The top-level command: the table of verbs, the run of one command, and the suggestions of a bare ``fnkit``.

Verbs are imported on use. ``fnkit --help`` reads the table alone, so it loads neither rich nor msgspec.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from fnkit import __version__
from fnkit.cli.errors import CommandFailure, failure_from, is_colour_allowed, render_failure
from fnkit.cli.examples import EXAMPLES
from fnkit.cli.help import HelpContext, is_help_coloured, write_examples, write_options
from fnkit.cli.options import options_before_verb
from fnkit.cli.run_state import RunState

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

VERBS: Final[dict[str, tuple[str, str]]] = {
    "new": ("fnkit.cli.commands.new:new", "Create a new project."),
    "init": ("fnkit.cli.commands.init:init", "Make an existing folder a project."),
    "login": ("fnkit.cli.commands.login:login", "Save credentials in Scaleway's configuration file."),
    "scan": ("fnkit.cli.commands.scan:scan", "Show the functions and problems of the project."),
    "bundle": ("fnkit.cli.commands.bundle:bundle", "Build the deployment archives."),
    "lock": ("fnkit.cli.commands.bundle:lock", "Resolve dependencies and write the lock files."),
    "plan": ("fnkit.cli.commands.plan:plan", "Show the changes that a deploy would make."),
    "deploy": ("fnkit.cli.commands.deploy:deploy", "Deploy the project."),
    "status": ("fnkit.cli.commands.status:status", "Show the status of deployed functions."),
    "dev": ("fnkit.cli.commands.dev:dev", "Serve the project, and deploy what changes as soon as it is saved."),
    "invoke": ("fnkit.cli.commands.invoke:invoke", "Invoke a function locally, or remotely with --remote."),
    "test": ("fnkit.cli.commands.test:test", "Run the project's tests in the project's environment."),
    "openapi": ("fnkit.cli.commands.openapi:openapi", "Print the OpenAPI 3.1 document of the project."),
    "event": ("fnkit.cli.commands.event:event", "Print events for tests and for invoke --event."),
    "logs": ("fnkit.cli.commands.logs:logs", "Show what deployed functions wrote."),
    "cron": ("fnkit.cli.commands.cron:cron", "Preview, run and inspect crons."),
    "trigger": ("fnkit.cli.commands.trigger:trigger", "Inspect triggers and their deliveries."),
    "open": ("fnkit.cli.commands.open:open_function", "Open a deployed function in the browser."),
    "token": ("fnkit.cli.commands.token:token", "Manage tokens, which open private functions."),
    "domain": ("fnkit.cli.commands.domain:domain", "Manage custom hostnames of deployed functions."),
    "secret": ("fnkit.cli.commands.secret:secret", "Manage the secrets of the project."),
    "destroy": ("fnkit.cli.commands.destroy:destroy", "Delete the deployed resources of the project."),
    "platform": ("fnkit.cli.commands.platform:platform", "Manage the local platform."),
    "doctor": ("fnkit.cli.commands.doctor:doctor", "Check this machine and this project."),
    "explain": ("fnkit.cli.commands.explain:explain", "Explain an error code."),
    "completion": (
        "fnkit.cli.commands.completion:completion",
        "Print the script that completes commands in a shell.",
    ),
}


VERB_GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "Start": ("new", "init", "login"),
    "Develop": ("scan", "dev", "invoke", "test", "event", "openapi", "secret"),
    "Deploy": ("bundle", "lock", "plan", "deploy", "status", "destroy"),
    "Operate": ("logs", "open", "cron", "trigger", "token", "domain"),
    "This machine": ("platform", "doctor", "explain", "completion"),
}
"""The verbs by their headings in `fnkit --help`."""


def suggested_commands(directory: Path) -> tuple[tuple[str, str], ...]:
    """Return three commands with a description each, depending on whether the directory is in a project."""
    from fnkit.project import find_root

    if find_root(directory) is not None:
        return (
            ("fnkit scan", "show the functions of this project"),
            ("fnkit deploy --local", "deploy to the local platform"),
            ("fnkit deploy", "deploy to Scaleway"),
        )
    from fnkit.scaffold.existing import has_code

    first = ("fnkit init", "make this folder a project") if has_code(directory) else None
    return (
        first or ("fnkit new shop", "create a project"),
        ("fnkit platform start", "start the local platform"),
        ("fnkit --help", "list all commands"),
    )


def show_suggested_commands() -> int:
    """Print the suggested commands for the current directory, and return the exit code."""
    commands = suggested_commands(Path.cwd())
    width = max(len(command) for command, _ in commands)
    click.echo("Next commands in this directory:\n")
    for command, reason in commands:
        click.echo(f"  {command:<{width}}  {reason}")
    return 0


class LazyGroup(click.Group):
    """A click group that imports the module of a command on first use.

    Args:
        verbs: For each verb, the command as ``module:attribute`` and its one-line help.
        headings: The verbs below each heading of the help; without any, all are below one.
        **rest: Keyword arguments of ``click.Group``.
    """

    context_class = HelpContext

    def __init__(
        self,
        *,
        verbs: dict[str, tuple[str, str]],
        headings: dict[str, tuple[str, ...]] | None = None,
        **rest: Any,  # keywords of click.Group
    ) -> None:
        super().__init__(**rest)
        self.verbs = verbs
        self.headings = {"Commands": tuple(verbs)} if headings is None else headings

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order of the table, which is the order of a project's life."""
        del ctx
        return list(self.verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, or return ``None`` for an unknown verb."""
        del ctx
        if cmd_name not in self.verbs:
            return None
        module, _, attribute = self.verbs[cmd_name][0].partition(":")
        command = getattr(import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}:{attribute} is not a command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Reject an unknown verb and suggest the closest match."""
        if args and not args[0].startswith("-") and args[0] not in self.verbs:
            close = get_close_matches(args[0], self.verbs, n=1)
            meant = f" Did you mean `{ctx.command_path} {close[0]}`?" if close else ""
            raise click.UsageError(f"There is no command `{args[0]}`.{meant}", ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return completions of a verb or an option, without importing the commands."""
        from click.shell_completion import CompletionItem

        verbs = [
            CompletionItem(verb, help=summary)
            for verb, (_, summary) in self.verbs.items()
            if verb.startswith(incomplete)
        ]
        return [*verbs, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, the verbs from the table, without importing the commands, and the options."""
        write_examples(formatter, EXAMPLES.get(ctx.command_path, ()))
        widest = max(map(len, self.verbs))
        for heading, verbs in self.headings.items():
            with formatter.section(heading):
                formatter.write_dl([(f"{verb:<{widest}}", self.verbs[verb][1]) for verb in verbs])
        write_options(self, ctx, formatter)


@click.group(
    cls=LazyGroup,
    verbs=VERBS,
    headings=VERB_GROUPS,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@options_before_verb
@click.version_option(__version__, "--version", message="fnkit %(version)s")
@click.pass_context
def application(context: click.Context) -> int | None:
    """Develop, run and deploy serverless functions."""
    if context.invoked_subcommand is not None:
        return None

    return show_suggested_commands()


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code.

    Render every exception, so that no failure leaves a traceback on the terminal.
    """
    for stream in (sys.stdout, sys.stderr):
        # File names and handlers' output may hold characters that the terminal's encoding lacks.
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    state = RunState()
    colour = None if is_help_coloured(arguments) else False
    try:
        code = application.main(list(arguments), prog_name="fnkit", standalone_mode=False, obj=state, color=colour)
        sys.stdout.flush()
    except BrokenPipeError:
        return _broken_pipe()
    except SystemExit as end:  # raised by click: after a completion with 0, on a broken pipe with 1
        return 0 if not end.code else _broken_pipe()
    except BaseException as error:  # noqa: BLE001 - the one place that renders every exception
        return _render_failure(failure_from(error), state, arguments)
    return code if isinstance(code, int) else 0


def _render_failure(failure: CommandFailure, state: RunState, arguments: Sequence[str]) -> int:
    """Render a failure and return its exit code.

    Flags are read from the raw arguments, since the failure may come from click's own parsing.
    """
    before_dashes = arguments[: arguments.index("--")] if "--" in arguments else arguments
    try:
        render_failure(
            failure,
            state.document,
            as_json="--json" in before_dashes,
            colour=is_colour_allowed(no_color="--no-color" in before_dashes),
            directory=state.directory,
        )
        sys.stdout.flush()
    except BrokenPipeError:
        _broken_pipe()
    return failure.exit_code


def _broken_pipe() -> int:
    """Return the exit code for a reader that closed stdout, and redirect stdout to the null device.

    Without the redirection, the interpreter's flush at exit fails and prints ``BrokenPipeError``.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1
