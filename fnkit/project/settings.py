"""The settings of ``[tool.fnkit]`` or ``fnkit.toml``, as types; every description is what editors show.

``None`` means "not given". What values mean together is judged in ``fnkit.project.building``; here they only
have their types. ``docs/settings.md`` documents each of them, held by a test.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from fnkit.contract.limits import CPU_BY_MEMORY, REGIONS
from fnkit.project.toml_lines import TomlLines

__all__ = [
    "CronTable",
    "FunctionDefaults",
    "FunctionOverrides",
    "FunctionTable",
    "NamespaceTable",
    "Settings",
    "SettingsTable",
    "StageTable",
    "TriggerTable",
]


def _one_of(*values: object) -> dict[str, object]:
    return {"examples": list(values)}


_REGION: Final = Meta(
    description="Region to deploy to, where no flag, variable or profile says.", extra_json_schema=_one_of(*REGIONS)
)
_ENV: Final = Meta(description="Environment variables: names and values, both strings.")
_SECRETS: Final = Meta(
    description="Names of secret variables; values come from the environment, .env.<stage> or .env."
)


class _Table(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What all tables share: unknown keys are refused."""


class NamespaceTable(_Table, frozen=True, kw_only=True):
    """The namespace that functions are deployed into."""

    name: Annotated[str | None, Meta(description="Its name; a stage is added to it. Default: the project's.")] = (
        None
    )
    shared: Annotated[
        bool, Meta(description="It belongs to others too: its own settings are never touched, nor is it deleted.")
    ] = False
    description: Annotated[str | None, Meta(description="For people.")] = None
    env: Annotated[dict[str, str], Meta(description="Variables that all its functions get.")] = {}
    secrets: Annotated[tuple[str, ...], Meta(description="Names of secrets that all its functions get.")] = ()
    tags: Annotated[tuple[str, ...], Meta(description="Labels of your own.")] = ()


class FunctionDefaults(_Table, frozen=True, kw_only=True):
    """Settings for every function that does not say otherwise."""

    runtime: Annotated[
        str | None,
        Meta(description="Runtime of Python functions; default: this machine's Python, where the platform has it."),
    ] = None
    memory: Annotated[
        int | None, Meta(description="MB, one of the platform's tiers.", extra_json_schema=_one_of(*CPU_BY_MEMORY))
    ] = None
    min_scale: Annotated[int | None, Meta(description="Instances kept warm.")] = None
    max_scale: Annotated[int | None, Meta(description="Instances at most; each answers one request at a time.")] = (
        None
    )
    timeout: Annotated[int | float | str | None, Meta(description='Seconds, or "30s", "5m": 10 s to 1 h.')] = None
    privacy: Annotated[
        str | None,
        Meta(
            description="Who may call: everyone, or holders of a token.",
            extra_json_schema=_one_of("public", "private"),
        ),
    ] = None
    http_option: Annotated[
        str | None,
        Meta(
            description="Plain HTTP is answered, or redirected to HTTPS.",
            extra_json_schema=_one_of("enabled", "redirected"),
        ),
    ] = None
    sandbox: Annotated[
        str | None,
        Meta(description="Execution environment; v2 is recommended.", extra_json_schema=_one_of("v2", "v1")),
    ] = None
    env: Annotated[dict[str, str], _ENV] = {}
    secrets: Annotated[tuple[str, ...], _SECRETS] = ()
    tags: Annotated[tuple[str, ...], Meta(description="Labels of your own.")] = ()
    private_network_id: Annotated[str | None, Meta(description="Private network to attach to (UUID).")] = None
    slice: Annotated[
        bool | None, Meta(description="false: deploy on any change of the project, not only what is reached.")
    ] = None
    preload: Annotated[bool | None, Meta(description="false: keep third-party imports out of warm-up.")] = None


class FunctionOverrides(FunctionDefaults, frozen=True, kw_only=True):
    """One function's settings."""

    description: Annotated[str | None, Meta(description="For people.")] = None
    domains: Annotated[tuple[str, ...] | None, Meta(description="Custom hostnames that it answers to.")] = None


class CronTable(_Table, frozen=True, kw_only=True):
    """A schedule of a function."""

    schedule: Annotated[
        str, Meta(description="Five UNIX cron fields, in UTC.", extra_json_schema=_one_of("*/5 * * * *"))
    ]
    args: Annotated[dict[str, object] | None, Meta(description="The JSON object to POST.")] = None
    name: Annotated[str | None, Meta(description="Default: cron-1, cron-2, … in the order of writing.")] = None


class TriggerTable(_Table, frozen=True, kw_only=True):
    """A queue or subject that calls a function: exactly one of nats and sqs."""

    nats: Annotated[str | None, Meta(description="NATS subject; wildcards are allowed.")] = None
    sqs: Annotated[str | None, Meta(description="Name of an SQS queue.")] = None
    name: Annotated[str | None, Meta(description="Default: made from the subject or queue.")] = None
    description: Annotated[str | None, Meta(description="For people.")] = None
    account: Annotated[str | None, Meta(description="NATS account id, where the platform needs one.")] = None
    project_id: Annotated[str | None, Meta(description="Project of the queue or account (UUID).")] = None
    region: Annotated[str | None, Meta(description="Region of the queue or account.")] = None


class FunctionTable(FunctionOverrides, frozen=True, kw_only=True):
    """A function without a decorator: one in Node, Go, PHP or Rust, or Python code that stays as it is."""

    name: Annotated[str, Meta(description="Lower-case letters, digits and dashes, at most 34.")]
    path: Annotated[str, Meta(description="Folder of its code, relative to the settings.")] = "."
    handler: Annotated[
        str | None,
        Meta(description="As the platform names it; default: the runtime's (handler.handle, Handle, handle)."),
    ] = None
    crons: Annotated[tuple[CronTable, ...], Meta(description="Schedules.")] = ()
    triggers: Annotated[tuple[TriggerTable, ...], Meta(description="Queues and subjects.")] = ()


class StageTable(_Table, frozen=True, kw_only=True):
    """What differs in one stage."""

    region: Annotated[str | None, _REGION] = None
    env: Annotated[dict[str, str], Meta(description="Laid over every function's own environment.")] = {}
    secrets: Annotated[tuple[str, ...], Meta(description="Added to every function's secrets.")] = ()
    defaults: Annotated[FunctionDefaults, Meta(description="Laid over the project's defaults.")] = (
        FunctionDefaults()
    )
    functions: Annotated[
        dict[str, FunctionOverrides], Meta(description="By function name; wins over what its decorator says.")
    ] = {}


class SettingsTable(_Table, frozen=True, kw_only=True):
    """Settings of a fnkit project."""

    name: Annotated[
        str | None,
        Meta(description="Identifies the project on the platform; default: [project] name of pyproject.toml."),
    ] = None
    namespace: Annotated[
        str | NamespaceTable | None, Meta(description="Namespace to deploy into: a name, or a table.")
    ] = None
    region: Annotated[str | None, _REGION] = None
    defaults: Annotated[FunctionDefaults, Meta(description="For every function that does not say otherwise.")] = (
        FunctionDefaults()
    )
    stages: Annotated[dict[str, StageTable], Meta(description="What differs, by stage name.")] = {}
    exclude: Annotated[
        tuple[str, ...], Meta(description="Files to keep out of bundles, in .gitignore's syntax.")
    ] = ()
    source_builds: Annotated[
        tuple[str, ...], Meta(description="Packages that may be built from source, where no wheel fits.")
    ] = ()
    function: Annotated[tuple[FunctionTable, ...], Meta(description="Functions without decorators.")] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings with where they stand.

    file: ``pyproject.toml`` or ``fnkit.toml``. name: the project's, from ``table`` or ``[project]``.
    """

    file: str
    table: SettingsTable
    lines: TomlLines
    name: str
    exclude: tuple[str, ...]
