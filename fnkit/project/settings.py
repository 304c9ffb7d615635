"""Types of the settings in ``[tool.fnkit]`` or ``fnkit.toml``, and their JSON Schema for editors.

``None`` means that a setting is not given. The types only determine the structure; ``fnkit.project`` validates the
values. Editors show the descriptions. A test verifies that ``docs/settings.md`` documents every setting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from fnkit.contract.limits import CPU_BY_MEMORY, REGIONS
from fnkit.contract.toml_lines import TomlLines
from fnkit.project.model import DeclarationSource, SourceLocation

_SCHEMA_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def _setting(description: str, *examples: object) -> Meta:
    """Return what editors show for a setting."""
    return Meta(description=description, extra_json_schema={"examples": list(examples)} if examples else None)


_ENV: Final = _setting('Environment variables: names, and strings or { url_of = "function" }.')
_SECRETS: Final = _setting("Names of secret variables; values come from the environment, .env.<stage> or .env.")
_REGION: Final = _setting("Region to deploy to, unless a flag, environment variable or profile sets one.", *REGIONS)


class _Table(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Base class of all tables; rejects unknown keys."""


class FunctionUrlTable(_Table, frozen=True, kw_only=True):
    """URL of a function of this project, as the value of a variable."""

    url_of: Annotated[str, _setting("Name of the function.")]


class NamespaceTable(_Table, frozen=True, kw_only=True):
    """Namespace that functions are deployed into."""

    name: Annotated[str | None, _setting("Name; the stage is appended. Default: the project's name.")] = None
    shared: Annotated[
        bool, _setting("Used by other projects too; fnkit never changes its settings or deletes it.")
    ] = False
    description: Annotated[str | None, _setting("Free-form description.")] = None
    env: Annotated[dict[str, str], _setting("Environment variables of all its functions.")] = {}
    secrets: Annotated[tuple[str, ...], _setting("Names of secrets of all its functions.")] = ()
    tags: Annotated[tuple[str, ...], _setting("Custom labels.")] = ()


class FunctionDefaults(_Table, frozen=True, kw_only=True):
    """Default settings of functions."""

    runtime: Annotated[
        str | None,
        _setting("Runtime of decorated functions. Default: this machine's Python, if the platform has it."),
    ] = None
    memory: Annotated[int | None, _setting("MB, one of the platform's tiers.", *CPU_BY_MEMORY)] = None
    min_scale: Annotated[int | None, _setting("Number of instances kept warm.")] = None
    max_scale: Annotated[
        int | None, _setting("Maximum number of instances; each processes one request at a time.")
    ] = None
    timeout: Annotated[int | float | str | None, _setting('Seconds, or "30s", "5m"; 10 s to 1 h.')] = None
    privacy: Annotated[str | None, _setting("Callers: everyone, or holders of a token.", "public", "private")] = (
        None
    )
    http_option: Annotated[
        str | None, _setting("Plain HTTP is served, or redirected to HTTPS.", "enabled", "redirected")
    ] = None
    sandbox: Annotated[str | None, _setting("Execution environment; v2 is recommended.", "v2", "v1")] = None
    env: Annotated[dict[str, str | FunctionUrlTable], _ENV] = {}
    secrets: Annotated[tuple[str, ...], _SECRETS] = ()
    tags: Annotated[tuple[str, ...], _setting("Custom labels.")] = ()
    groups: Annotated[
        tuple[str, ...],
        _setting("Python only: names of [dependency-groups] of pyproject.toml that it needs besides.", ["aws"]),
    ] = ()
    private_network_id: Annotated[str | None, _setting("Private network to attach to (UUID).")] = None
    change_detection: Annotated[
        str | None,
        _setting(
            "Redeploy on changes of the function's own slice, or on any change in the project.",
            "function",
            "project",
        ),
    ] = None
    preload: Annotated[
        bool | None, _setting("false disables importing third-party modules ahead of a cold start.")
    ] = None


class FunctionOverrides(FunctionDefaults, frozen=True, kw_only=True):
    """Settings of one function."""

    description: Annotated[str | None, _setting("Free-form description.")] = None
    domains: Annotated[tuple[str, ...] | None, _setting("Custom hostnames.")] = None


class CronTable(_Table, frozen=True, kw_only=True):
    """Schedule of a function."""

    schedule: Annotated[str, _setting("Five UNIX cron fields, in UTC.", "*/5 * * * *")]
    args: Annotated[dict[str, object] | None, _setting("JSON object to POST.")] = None
    name: Annotated[str | None, _setting("Default: cron-1, cron-2, … in order.")] = None


class TriggerTable(_Table, frozen=True, kw_only=True):
    """Queue or subject whose messages call a function: exactly one of nats and sqs."""

    nats: Annotated[str | None, _setting("NATS subject; wildcards are allowed.")] = None
    sqs: Annotated[str | None, _setting("Name of an SQS queue.")] = None
    name: Annotated[str | None, _setting("Default: derived from the subject or queue.")] = None
    description: Annotated[str | None, _setting("Free-form description.")] = None
    account: Annotated[str | None, _setting("NATS account ID, if the platform requires one.")] = None
    project_id: Annotated[str | None, _setting("Project of the queue or account (UUID).")] = None
    region: Annotated[str | None, _setting("Region of the queue or account.")] = None


class FunctionTable(FunctionOverrides, frozen=True, kw_only=True):
    """Function without a decorator, in Node, Go, PHP, Rust or unmodified Python code."""

    name: Annotated[str, _setting("Lower-case letters, digits and dashes, at most 34.")]
    path: Annotated[str, _setting("Folder of its code, relative to the settings file.")] = "."
    handler: Annotated[
        str | None, _setting("Handler string. Default: the runtime's (handler.handle, Handle or handle).")
    ] = None
    build: Annotated[
        str | None, _setting("Command that makes files of the archive; the user must allow it.", "npm run build")
    ] = None
    build_inputs: Annotated[
        tuple[str, ...], _setting("Files that the command reads, in .gitignore syntax. Default: all.", "src/**")
    ] = ()
    build_output: Annotated[
        str | None, _setting("Folder that the command writes. Default: all files that it makes.", "dist")
    ] = None
    crons: Annotated[tuple[CronTable, ...], _setting("Schedules.")] = ()
    triggers: Annotated[tuple[TriggerTable, ...], _setting("Queues and subjects.")] = ()


class StageTable(_Table, frozen=True, kw_only=True):
    """Settings of one stage."""

    region: Annotated[str | None, _REGION] = None
    env: Annotated[
        dict[str, str | FunctionUrlTable], _setting("Environment variables; override every function's.")
    ] = {}
    secrets: Annotated[tuple[str, ...], _setting("Names of secrets added to every function.")] = ()
    defaults: Annotated[FunctionDefaults, _setting("Override the project's defaults.")] = FunctionDefaults()
    functions: Annotated[
        dict[str, FunctionOverrides], _setting("Settings by function name; override the decorator's.")
    ] = {}


class SettingsTable(_Table, frozen=True, kw_only=True):
    """Settings of a fnkit project."""

    name: Annotated[
        str | None, _setting("Identifies the project on the platform. Default: [project] name of pyproject.toml.")
    ] = None
    namespace: Annotated[str | NamespaceTable | None, _setting("Namespace to deploy into: a name, or a table.")] = (
        None
    )
    region: Annotated[str | None, _REGION] = None
    defaults: Annotated[FunctionDefaults, _setting("Default settings of functions.")] = FunctionDefaults()
    stages: Annotated[dict[str, StageTable], _setting("Settings by stage name.")] = {}
    exclude: Annotated[tuple[str, ...], _setting("Files to exclude from bundles, in .gitignore syntax.")] = ()
    include: Annotated[
        tuple[str, ...],
        _setting("Directories of the same git repository, outside the project's folder, to use.", "../shared"),
    ] = ()
    source_builds: Annotated[
        tuple[str, ...], _setting("Packages that may be built from source if no wheel fits.")
    ] = ()
    function: Annotated[tuple[FunctionTable, ...], _setting("Functions without decorators.")] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a project, with their locations.

    Attributes:
        file: ``pyproject.toml`` or ``fnkit.toml``.
        table: The settings.
        lines: Line numbers of the settings in ``file``.
        name: Name of the project, from ``table`` or ``[project]``.
    """

    file: str
    table: SettingsTable
    lines: TomlLines
    name: str

    def location(self, *path: str | int) -> SourceLocation:
        """Return the location of a setting, else of the nearest enclosing table."""
        return location_in(self.file, self.lines, *path)

    def declared(self, *path: str | int) -> DeclarationSource:
        """Return the location of a table and of the settings in it."""
        names = self.lines.names_below(*path)
        return DeclarationSource(self.location(*path), {name: self.location(*path, name) for name in names})


def location_in(file: str, lines: TomlLines, *path: str | int) -> SourceLocation:
    """Return the location of a setting of a file. That of a variable has no column, so its value is not shown."""
    place = lines.place(*path)
    if "env" in path:
        return SourceLocation(file, place.line)
    return SourceLocation(file, place.line, place.column, place.end_column)


def settings_schema() -> dict[str, object]:
    """Return the JSON Schema of ``fnkit.toml`` and ``[tool.fnkit]``, generated from the settings types."""
    schema = msgspec.json.schema(SettingsTable, schema_hook=_schema_of_object)
    # Encoding converts the defaults, which are tuples and structs, to JSON arrays and objects.
    plain = msgspec.json.decode(msgspec.json.encode(schema), type=dict[str, object])
    return {"$schema": _SCHEMA_DIALECT, "title": "fnkit settings", **plain}


def _schema_of_object(kind: type) -> dict[str, object]:
    """Return the schema of ``object``, which msgspec does not support: any JSON value, as in a cron's args."""
    if kind is object:
        return {"description": "Any JSON value."}
    raise NotImplementedError(kind)
