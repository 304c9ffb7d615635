"""The validated project: the input of bundling, planning and the command line.

Every default is filled in. A setting that was removed from the code is therefore planned as its documented default,
rather than left at the value of the last deployment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SourceLocation:
    """Location of a declaration; ``file`` is relative to the project, with ``/``, and ``line`` counts from 1."""

    file: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CronSpec:
    """One schedule of a function. ``name`` is unique within its function."""

    name: str
    schedule: str
    args: Mapping[str, object]
    source: SourceLocation


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerSpec:
    """One trigger of a function. ``kind`` is ``nats`` or ``sqs``, ``address`` the subject or queue name."""

    name: str
    kind: str
    address: str
    description: str
    account: str | None
    project_id: str | None
    region: str | None
    source: SourceLocation


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildCommand:
    """A command that makes files of a function's archive. It runs code of the project, so the user must allow it.

    Attributes:
        command: A line for the shell, run in a copy of the inputs.
        inputs: Which files of the function's folder it reads, in git's pattern syntax; empty for all.
        output: Folder that it writes, relative to the function's folder; ``.`` for all files that it makes.
    """

    command: str
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidSettings:
    """The settings of a function that can be validated without the rest of the project, with defaults.

    Attributes:
        memory: In MB.
        timeout: In nanoseconds.
        change_detection: ``function`` to redeploy when the function's own slice changes, or ``project`` to redeploy
            on any change in the project.
    """

    memory: int
    min_scale: int
    max_scale: int
    timeout: int
    privacy: str
    http_option: str
    sandbox: str
    change_detection: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionSpec(ValidSettings):
    """One function with all its settings.

    Attributes:
        handler: The API's handler string (``handlers/hello.say_hello``); the archive has the file at that path.
        secrets: Names only. Values are read when planning.
        root: Folder of the function's code relative to the project; ``.``, the whole project, for Python.
        build: The declared build, or ``None``.
        notes: Sentences for the user about what is accepted, but may not work everywhere.
    """

    name: str
    runtime: str
    handler: str
    source: SourceLocation
    description: str
    env: Mapping[str, str]
    secrets: tuple[str, ...]
    tags: tuple[str, ...]
    domains: tuple[str, ...]
    private_network_id: str
    crons: tuple[CronSpec, ...]
    triggers: tuple[TriggerSpec, ...]
    preload: bool
    root: str
    build: BuildCommand | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceSpec:
    """The namespace that the project deploys into.

    Attributes:
        name: Name of the namespace, with the stage appended.
        shared: Whether it may contain functions of other projects. fnkit does not change the settings of a shared
            namespace and never deletes it.
        source: Where the settings name the namespace.
    """

    name: str
    shared: bool
    description: str
    env: Mapping[str, str]
    secrets: tuple[str, ...]
    tags: tuple[str, ...]
    source: SourceLocation = SourceLocation("pyproject.toml", 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project for one stage.

    Attributes:
        root: Absolute path of the project folder.
        name: Identifies the project in tags (``fnkit.project=…``).
        stage: ``""`` for the default stage.
        region: ``None`` if the settings name none.
        requirements: Requirements of the Python functions in PEP 508 format, without fnkit itself.
        requirement_sources: Where each of the requirements stands; empty if unknown.
        requirements_file: The file that lists them, relative to the project, or ``None``.
        exclude: Ignore patterns from the settings, in git's syntax.
        source_builds: Normalized names of the packages that may be built from source.
    """

    root: Path
    name: str
    stage: str
    region: str | None
    namespace: NamespaceSpec
    functions: tuple[FunctionSpec, ...]
    requirements: tuple[str, ...]
    requirements_file: str | None
    exclude: tuple[str, ...]
    source_builds: tuple[str, ...]
    requirement_sources: tuple[SourceLocation, ...] = ()
