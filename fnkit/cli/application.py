"""The table of verbs, and the run of one of them from arguments to exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Any, Final

import click

from fnkit import __version__
from fnkit.cli.failures import Failure, explain, render
from fnkit.cli.output import Document

__all__ = ["VERBS", "LazyGroup", "application", "run"]

VERBS: Final[dict[str, tuple[str, str]]] = {
    "new": ("fnkit.cli.commands.new:new", "Make a new project that deploys as it stands."),
    "scan": ("fnkit.cli.commands.scan:scan", "Show what the project declares, with every problem."),
    "bundle": ("fnkit.cli.commands.bundle:bundle", "Build the archives, and nothing else."),
    "lock": ("fnkit.cli.commands.lock:lock", "Resolve the dependencies and write the lock files."),
    "plan": ("fnkit.cli.commands.plan:plan", "Show what deploy would change."),
    "deploy": ("fnkit.cli.commands.deploy:deploy", "Make the platform match the project."),
    "status": ("fnkit.cli.commands.status:status", "Show the live state beside the project's."),
    "invoke": ("fnkit.cli.commands.invoke:invoke", "Run one handler: here, or on the platform with --remote."),
    "cron": ("fnkit.cli.commands.cron:cron", "Crons: when they fire, what they fired, and firing now."),
    "trigger": ("fnkit.cli.commands.trigger:trigger", "Triggers: what they delivered, and delivering again."),
    "destroy": ("fnkit.cli.commands.destroy:destroy", "Remove what this project and stage own."),
    "platform": ("fnkit.cli.commands.platform:platform", "Run the platform on this machine."),
}


class LazyGroup(click.Group):
    """A group that imports a verb's module only when the verb is used."""

    def __init__(self, *, verbs: dict[str, tuple[str, str]], **rest: Any) -> None:  # click's own keywords
        super().__init__(**rest)
        self.verbs = verbs

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs, in the order in which a project meets them."""
        del ctx
        return list(self.verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb's module and return its command."""
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
        """Refuse a verb that does not exist, naming the one that was probably meant."""
        if args and not args[0].startswith("-") and args[0] not in self.verbs:
            close = get_close_matches(args[0], self.verbs, n=1)
            meant = f" Did you mean `{ctx.command_path} {close[0]}`?" if close else ""
            raise click.UsageError(f"There is no command `{args[0]}`.{meant}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs from the table, importing none."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(verb, summary) for verb, (_, summary) in self.verbs.items()])


@click.group(
    cls=LazyGroup,
    verbs=VERBS,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "--version", message="fnkit %(version)s")
@click.pass_context
def application(context: click.Context) -> int | None:
    """Mark handlers, deploy them, run them anywhere."""
    if context.invoked_subcommand is not None:
        return None
    from fnkit.cli.landing import show_next_commands

    return show_next_commands()


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; every failure is rendered here, once."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character must not turn an answer into a crash.
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    document = Document()
    try:
        code = application.main(list(arguments), prog_name="fnkit", standalone_mode=False, obj=document)
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit):  # click turns the one into the other
        return _reader_left()
    except BaseException as error:  # noqa: BLE001 - the one place where anything becomes an answer
        return _fail(explain(error), document, arguments)
    return code if isinstance(code, int) else 0


def _fail(failure: Failure, document: Document, arguments: Sequence[str]) -> int:
    """Render the failure in the shape that was asked for; click may have failed before it could tell us."""
    before_dashes = arguments[: arguments.index("--")] if "--" in arguments else arguments
    try:
        render(failure, document, as_json="--json" in before_dashes, colour="--no-color" not in before_dashes)
        sys.stdout.flush()
    except BrokenPipeError:
        _reader_left()
    return failure.exit_code


def _reader_left() -> int:
    """Say nothing: whoever read our output has gone. The interpreter's own flush at exit must not complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1
