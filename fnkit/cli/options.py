"""Options that commands share, and the types and parsers of option values.

Each decorator collects a group of options into one frozen value, which the command receives as an argument.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import click

from fnkit.cli.completion import complete_regions, complete_stages
from fnkit.cli.errors import is_colour_allowed
from fnkit.cli.help import API_GROUP, COMMON_GROUP, option_group
from fnkit.cli.output import Output
from fnkit.cli.run_state import RunState

_QUOTA_NAMES: Final = ("functions", "namespaces", "memory")
_PROJECT_QUOTA_NAMES: Final = ("functions", "memory")
_SIZE_PATTERN: Final = re.compile(r"(\d{1,12}) ?(?:([mgt])i?b?)?", re.IGNORECASE | re.ASCII)
_COUNT_PATTERN: Final = re.compile(r"\d{1,12}", re.ASCII)
_UNIT_IN_MEGABYTES: Final = {"m": 1, "g": 1024, "t": 1024 * 1024}

_COMMON_NAMES: Final = ("as_json", "directory", "stage", "quiet", "verbose", "no_color")

_MAX_PORT: Final = 65535
_MAX_PORT_DIGITS: Final = 5

_common_option = option_group(COMMON_GROUP)
_api_option = option_group(API_GROUP)

CommandFunction: TypeAlias = Callable[..., int | None]
OptionDecorator: TypeAlias = Callable[[CommandFunction], CommandFunction]


class FiniteRange(click.FloatRange):
    """A range of finite floating-point numbers: rejects ``nan`` and ``inf``."""

    def convert(self, value: float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Convert an option's value to a finite number, or fail with a usage error."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


def parse_quotas(
    _context: click.Context, option: click.Parameter, text: str | None
) -> dict[str, int | None] | None:
    """Parse ``--quota`` or ``--project-quota``, as a click callback.

    Returns:
        The limit of each quota named, memory in MB, ``None`` for no limit. Quotas not named keep their published
        default. ``None`` if the option is absent.

    Raises:
        click.BadParameter: The text is not a list of quotas.
    """
    if text is None:
        return None
    names = _PROJECT_QUOTA_NAMES if option.name == "project_quotas" else _QUOTA_NAMES
    if text == "none":
        return dict.fromkeys(names)
    quotas: dict[str, int | None] = {}
    for part in text.split(","):
        name, equals, amount = part.strip().partition("=")
        if name not in names or not equals:
            raise click.BadParameter(f"{part.strip()!r} is not one of {', '.join(f'{one}=N' for one in names)}.")
        quotas[name] = None if amount == "none" else _parse_quota(name, amount)
    return quotas


def parse_size(_context: click.Context, _option: click.Parameter, text: str | None) -> int | None:
    """Parse ``--memory-budget`` in MB, as a click callback; return ``None`` if the option is absent.

    Raises:
        click.BadParameter: The text is not a positive size.
    """
    if text is None:
        return None
    found = _SIZE_PATTERN.fullmatch(text.strip())
    if not found or int(found[1]) == 0:
        raise click.BadParameter(f"{text!r} is not a size such as 4GiB or 4096.")
    return _size_in_megabytes(found)


def parse_base_images(
    _context: click.Context, _option: click.Parameter, values: tuple[str, ...]
) -> dict[str, str] | None:
    """Parse ``--base-image``, as a click callback: return image by runtime, ``None`` if the option is absent.

    Raises:
        click.BadParameter: A value is not ``RUNTIME=IMAGE``, or names no runtime that exists.
    """
    if not values:
        return None
    from fnkit.contract.runtimes import find_runtime

    images: dict[str, str] = {}
    for value in values:
        runtime, _, image = value.partition("=")
        if find_runtime(runtime) is None or not image or any(character.isspace() for character in image):
            raise click.BadParameter(f"{value!r} is not RUNTIME=IMAGE, such as python313=python:3.13-slim.")
        images[runtime] = image
    return images


def parse_kube_labels(
    _context: click.Context, _option: click.Parameter, values: tuple[str, ...]
) -> dict[str, str] | None:
    """Parse ``--kube-label``, as a click callback: return value by key, ``None`` if the option is absent.

    Raises:
        click.BadParameter: A value is not ``KEY=VALUE``, or repeats a key.
    """
    if not values:
        return None
    labels: dict[str, str] = {}
    for text in values:
        key, equals, value = text.partition("=")
        if not equals:
            raise click.BadParameter(f"{text!r} is not KEY=VALUE, such as team=shop.")
        if key in labels:
            raise click.BadParameter(f"{key!r} is given twice.")
        labels[key] = value
    return labels


def _size_in_megabytes(match: re.Match[str]) -> int:
    return int(match[1]) * _UNIT_IN_MEGABYTES[(match[2] or "m").lower()]


def _parse_quota(name: str, amount: str) -> int:
    if name == "memory" and (found := _SIZE_PATTERN.fullmatch(amount)):
        return _size_in_megabytes(found)
    if name != "memory" and _COUNT_PATTERN.fullmatch(amount):
        return int(amount)
    wanted = "a size such as 600GiB" if name == "memory" else "a whole number"
    raise click.BadParameter(f"{name} is {amount!r}, not {wanted} or none.")


def parse_optional_port(
    _context: click.Context, _option: click.Parameter, text: str | None
) -> int | Literal["none"] | None:
    """Parse a port or ``none``, as a click callback; return ``None`` if the option is absent.

    Raises:
        click.BadParameter: The text is neither a port number nor ``none``.
    """
    if text is None:
        return None
    if text == "none":
        return "none"
    if text.isascii() and text.isdigit() and len(text) <= _MAX_PORT_DIGITS and int(text) <= _MAX_PORT:
        return int(text)
    raise click.BadParameter(f"{text!r} is not a port from 0 to {_MAX_PORT}, or none.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonOptions:
    """The options of every command.

    Args:
        directory: Absolute path of the directory given, or of the current one. The project's root is this
            directory or its nearest parent that has settings (``fnkit.project.find_root``).
        stage: Name of the stage; empty without one.
        output: Where the command writes its result and its messages.
    """

    directory: Path
    stage: str
    output: Output


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiOptions:
    """The API options as given by flags. ``None`` leaves the value to the environment and the profile."""

    project_id: str | None
    region: str | None
    profile: str | None
    api_url: str | None
    local: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryQuery:
    """Selection of deliveries to show or to replay.

    Args:
        failed: Whether to show only failed and dead deliveries.
        limit: Maximum number of deliveries to show.
        replay: IDs of the deliveries to replay.
        replay_failed: Whether to replay all failed deliveries that have not been replayed.
        further: The IDs after the first one of ``--replay A B C``. A click option takes a fixed number of values,
            so these are arguments.
    """

    failed: bool
    limit: int
    replay: tuple[str, ...]
    replay_failed: bool
    further: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOptions:
    """The options of ``fnkit logs``.

    Args:
        follow: Whether to show new lines until Ctrl-C.
        since: The text of ``--since``.
        level: The least level to show, in lower case.
        limit: Maximum number of lines, ``None`` for the default.
        build: Whether to show the output of builds.
        loki_url: A log server instead of the endpoint's.
        loki_token: Its token.
    """

    follow: bool
    since: str | None
    level: str | None
    limit: int | None
    build: bool
    loki_url: str | None
    loki_token: str | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmations:
    """What the user confirms in advance.

    Args:
        yes: Deletions.
        allow_builds: Builds that the project declares.
    """

    yes: bool
    allow_builds: bool


def common_options(command: CommandFunction) -> CommandFunction:
    """Add the common options to a command, which receives them as ``common``, a ``CommonOptions``."""
    return _with_common_options(command, is_about_project=True)


def output_options(command: CommandFunction) -> CommandFunction:
    """Add the common options to a command that uses no project.

    ``-C`` and ``--stage`` are accepted without effect, since scripts may add them to each command.
    """
    return _with_common_options(command, is_about_project=False)


def options_before_verb(command: CommandFunction) -> CommandFunction:
    """Add the common options to the top-level command, which stores their values in the ``RunState``."""

    @_with_decorators(_common_decorators(is_about_project=True))
    @click.pass_obj
    @functools.wraps(command)
    def wrapped(state: RunState, /, **values: object) -> int | None:
        given = {name: values.pop(name) for name in _COMMON_NAMES}
        state.before_verb = {name: value for name, value in given.items() if value}
        _note_directory(state, given["directory"])
        return command(**values)

    return wrapped


def _with_common_options(command: CommandFunction, *, is_about_project: bool) -> CommandFunction:
    @_with_decorators(_common_decorators(is_about_project=is_about_project))
    @click.pass_obj
    @functools.wraps(command)
    def wrapped(state: RunState, /, **values: Any) -> int | None:
        given: dict[str, Any] = {name: values.pop(name) or state.before_verb.get(name) for name in _COMMON_NAMES}
        directory = given["directory"]
        if is_about_project:
            _note_directory(state, directory or Path())
        output = Output(
            state.document,
            as_json=bool(given["as_json"]),
            verbosity=-1 if given["quiet"] else given["verbose"] or 0,
            colour=is_colour_allowed(no_color=bool(given["no_color"])),
        )
        folder = (directory or Path()).absolute()
        return command(common=CommonOptions(directory=folder, stage=given["stage"] or "", output=output), **values)

    return wrapped


def _note_directory(state: RunState, directory: object) -> None:
    if isinstance(directory, Path):
        state.directory = directory.absolute()


def _common_decorators(*, is_about_project: bool) -> tuple[OptionDecorator, ...]:
    is_hidden = not is_about_project
    return (
        _common_option("--json", "as_json", is_flag=True, help="Print the result as JSON."),
        _common_option(
            "-C",
            "--directory",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            metavar="DIR",
            hidden=is_hidden,
            help="Find the project in this directory or its parents.  [default: current directory]",
        ),
        _common_option(
            "--stage",
            default="",
            metavar="NAME",
            callback=_validate_stage,
            shell_complete=complete_stages,
            hidden=is_hidden,
            help="Use the namespace of this stage.",
        ),
        _common_option("-q", "--quiet", is_flag=True, help="Print only results, warnings and errors."),
        _common_option("-v", "--verbose", count=True, help="Print more details."),
        _common_option("--no-color", is_flag=True, help="Disable colours."),
    )


def _with_decorators(decorators: Iterable[OptionDecorator]) -> OptionDecorator:
    def decorate(command: CommandFunction) -> CommandFunction:
        for one in reversed(tuple(decorators)):
            command = one(command)
        return command

    return decorate


def _collected(
    command: CommandFunction,
    argument: str,
    kind: type[ApiOptions | Confirmations | DeliveryQuery | LogOptions],
    *decorators: OptionDecorator,
) -> CommandFunction:
    """Add options to a command, which receives their values in one value of ``kind``."""
    names = [one.name for one in fields(kind)]

    @functools.wraps(command)
    def wrapped(**values: Any) -> int | None:
        value = kind(**{name: values.pop(name) for name in names})
        return command(**{argument: value}, **values)

    return _with_decorators(decorators)(wrapped)


def api_options(command: CommandFunction) -> CommandFunction:
    """Add the API options to a command, which receives them as ``api``, an ``ApiOptions``."""
    return _collected(
        command,
        "api",
        ApiOptions,
        _api_option("--project-id", metavar="ID", help="Scaleway project ID. [env: SCW_DEFAULT_PROJECT_ID]"),
        _api_option(
            "--region",
            metavar="NAME",
            shell_complete=complete_regions,
            help="Scaleway region. [env: SCW_DEFAULT_REGION; default: fr-par]",
        ),
        _api_option("--profile", metavar="NAME", help="Profile in Scaleway's config file. [env: SCW_PROFILE]"),
        _api_option("--api-url", metavar="URL", help="URL of the API. [env: SCW_API_URL]"),
        _api_option(
            "--local",
            is_flag=True,
            envvar="FNKIT_LOCAL",
            help="Use the local platform; start it if it is not running. [env: FNKIT_LOCAL]",
        ),
    )


def allow_builds_option(command: CommandFunction) -> CommandFunction:
    """Add ``--allow-builds`` to a command, which receives it as ``allow_builds``."""
    return click.option(
        "--allow-builds",
        is_flag=True,
        envvar="FNKIT_ALLOW_BUILDS",
        help="Allow the builds that the project declares, which run its code. [env: FNKIT_ALLOW_BUILDS]",
    )(command)


def confirmation_options(command: CommandFunction) -> CommandFunction:
    """Add the options of ``deploy`` that confirm in advance as ``confirmed``, a ``Confirmations``."""
    return _collected(
        command,
        "confirmed",
        Confirmations,
        click.option("--yes", is_flag=True, help="Delete without asking for confirmation."),
        allow_builds_option,
    )


def _validate_stage(context: click.Context, parameter: click.Parameter, value: str) -> str:
    from fnkit.contract.names import STAGE_RULE

    if value and not STAGE_RULE.fullmatch(value):
        raise click.BadParameter(
            "a stage has 1 to 16 characters of a-z, 0-9 and '-', and starts with a letter or digit",
            context,
            parameter,
        )
    return value


def delivery_options(command: CommandFunction) -> CommandFunction:
    """Add the options of ``cron history`` and ``trigger deliveries`` as ``query``, a ``DeliveryQuery``."""
    return _collected(
        command,
        "query",
        DeliveryQuery,
        click.argument("further", metavar="", nargs=-1),
        click.option("--failed", is_flag=True, help="Show only failed and dead deliveries."),
        click.option(
            "--limit",
            metavar="N",
            type=click.IntRange(1, 1000),
            default=20,
            help="Maximum number of deliveries to show.  [default: 20]",
        ),
        click.option(
            "--replay", metavar="ID...", multiple=True, help="Replay these deliveries and show the results."
        ),
        click.option(
            "--replay-failed", is_flag=True, help="Replay all failed deliveries that have not been replayed."
        ),
    )


def log_options(command: CommandFunction) -> CommandFunction:
    """Add the options of ``fnkit logs`` as ``query``, a ``LogOptions``."""
    return _collected(
        command,
        "query",
        LogOptions,
        click.option("-f", "--follow", is_flag=True, help="Print new lines until Ctrl-C."),
        click.option(
            "--since", metavar="TIME", help="Show lines since this time: 10m, 2h, 14:05, 2026-11-29T14:05:00Z."
        ),
        click.option(
            "--level",
            type=click.Choice(["debug", "info", "warning", "error"]),
            help="Show only lines of at least this level.",
        ),
        click.option(
            "--limit",
            metavar="N",
            type=click.IntRange(0, 100_000),
            help="Show only the newest N lines.  [default: 100; 10 with --follow; all with --since]",
        ),
        click.option("--build", is_flag=True, help="Show the output of builds."),
        click.option(
            "--loki-url", metavar="URL", help="Read the logs from this Loki server. [env: FNKIT_LOKI_URL]"
        ),
        click.option("--loki-token", metavar="TOKEN", help="Token of the Loki server. [env: FNKIT_LOKI_TOKEN]"),
    )
