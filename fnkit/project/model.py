"""The validated project: the input of bundling, planning and the command line.

Every default is filled in. A setting that was removed from the code is therefore planned as its documented default,
rather than left at the value of the last deployment.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fnkit.errors import Problem
from fnkit.project.included_directories import IncludedDirectory, locate_file, shown_path


@dataclass(frozen=True, slots=True)
class SourceLocation:
    """Location of a declaration.

    Attributes:
        file: Path relative to the project, with ``/``.
        line: Line in the file, counted from 1.
        column: First character in the line, counted from 1; ``None`` if unknown.
        end_column: The character after the last one; ``None`` for the end of the line.
    """

    file: str
    line: int
    column: int | None = field(default=None, compare=False)
    end_column: int | None = field(default=None, compare=False)

    def problem(self, code: str, message: str, hint: str | None) -> Problem:
        """Return a problem at this place."""
        return Problem(code, message, hint, self.file, self.line, self.column, self.end_column)


@dataclass(frozen=True, slots=True)
class DeclarationSource:
    """Where a decorator or a table of settings is written, and where each of its settings is."""

    whole: SourceLocation
    settings: Mapping[str, SourceLocation] = field(default_factory=dict)

    def of(self, setting: str) -> SourceLocation:
        """Return the place of a setting, else of the whole declaration."""
        return self.settings.get(setting, self.whole)


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


@dataclass(frozen=True, slots=True)
class EntryModule:
    """A module that is written for a handler which the platform cannot call itself (``docs/typed-handlers.md``).

    Attributes:
        handler: The user's handler, in the form of a handler string.
        handler_kind: What it is in words: ``a typed handler``.
    """

    handler: str
    handler_kind: str

    @property
    def file(self) -> str:
        """Path of the user's file, relative to the project."""
        return self.handler.rpartition(".")[0] + ".py"

    @property
    def entry_handler(self) -> str:
        """The handler string of the deployed function.

        >>> EntryModule("shop/books.add", "").entry_handler
        'shop/fnkit_entry_add_of_books.add'
        """
        location, _, name = self.handler.rpartition(".")
        folder, slash, stem = location.rpartition("/")
        # The separator within one of both would make two pairs of names one.
        digest = f"_{zlib.crc32(self.handler.encode()):08x}" if "_of_" in f"{name}/{stem}" else ""
        module = "".join(one if one.isalnum() or one == "_" else "_" for one in f"{name}_of_{stem}")
        return f"{folder}{slash}fnkit_entry_{module}{digest}.{name}"

    @property
    def entry_file(self) -> str:
        """Path of the module in an archive."""
        return self.entry_handler.rpartition(".")[0] + ".py"


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
        env: Variables whose values are known.
        function_urls: Further variables, each with the function of the project whose URL it holds.
        secrets: Names only. Values are read when planning.
        root: Folder of the function's code relative to the project; ``.``, the whole project, for Python.
        build: The declared build, or ``None``.
        notes: Sentences for the user about what is accepted, but may not work everywhere.
        entry: The module that ``handler`` refers to, or ``None`` where it refers to the user's own function.
        secrets_source: Where its secrets are declared; ``None`` for the function itself.
        groups: Normalized names of its dependency groups in this stage, sorted; Python only.
        locked_groups: Those that it has in any stage: lock files are for all stages.
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
    entry: EntryModule | None = None
    secrets_source: SourceLocation | None = field(default=None, compare=False)
    function_urls: Mapping[str, str] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    locked_groups: tuple[str, ...] = ()

    @property
    def user_handler(self) -> str:
        """The user's own handler, whatever the platform calls."""
        return self.handler if self.entry is None else self.entry.handler


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceSpec:
    """The namespace that the project deploys into.

    Attributes:
        name: Name of the namespace, with the stage appended.
        shared: Whether it may contain functions of other projects. fnkit does not change the settings of a shared
            namespace and never deletes it.
        source: Where the settings name the namespace.
        secrets_source: Where they name its secrets; ``None`` for the same place.
    """

    name: str
    shared: bool
    description: str
    env: Mapping[str, str]
    secrets: tuple[str, ...]
    tags: tuple[str, ...]
    source: SourceLocation = SourceLocation("pyproject.toml", 1)
    secrets_source: SourceLocation | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DependencyGroup:
    """A dependency group of ``pyproject.toml`` (PEP 735), with the groups that it includes.

    Attributes:
        name: Normalized (PEP 503).
        requirements: In PEP 508 format, without fnkit itself.
        requirement_sources: Where each of the requirements stands.
    """

    name: str
    requirements: tuple[str, ...]
    requirement_sources: tuple[SourceLocation, ...] = ()


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
        included: Directories outside the project's folder that count as part of it, sorted by name.
        dependency_groups: Those that a Python function uses in any stage, sorted by name.
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
    included: tuple[IncludedDirectory, ...] = ()
    dependency_groups: tuple[DependencyGroup, ...] = ()

    def file(self, path: str) -> Path:
        """Return where the file with a path in an archive of Python functions is on this machine."""
        return locate_file(self.root, self.included, path)

    def shown(self, path: str) -> str:
        """Return the path by which users know such a file."""
        return shown_path(self.included, path)

    def locked_groups(self, runtime: str) -> tuple[DependencyGroup, ...]:
        """Return the groups of the functions of a Python runtime, which its lock files cover."""
        used = {name for one in self.functions if one.runtime == runtime for name in one.locked_groups}
        return tuple(group for group in self.dependency_groups if group.name in used)
