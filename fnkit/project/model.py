"""The project as everything after it sees it: complete, checked, frozen.

``fnkit.project`` makes one ``Project`` from settings and a scan report; bundling, planning and the command line
read it and never look back at settings or source. Every default is filled in here, so that a setting that left
the code is planned as its documented default (decision 12).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CronSpec", "FunctionSpec", "NamespaceSpec", "Project", "Source", "TriggerSpec"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where something was declared; ``file`` is relative to the project with ``/``, ``line`` counts from 1."""

    file: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CronSpec:
    """One schedule of a function. ``name`` is unique within its function."""

    name: str
    schedule: str
    args: Mapping[str, object]
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerSpec:
    """One queue or subject of a function. ``kind`` is ``nats`` or ``sqs``; ``address`` the subject or queue."""

    name: str
    kind: str
    address: str
    description: str
    account: str | None
    project_id: str | None
    region: str | None
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionSpec:
    """One function, complete.

    handler: as the API wants it (``handlers/hello.say_hello``), with the file at that place in the archive.
    memory: MB. timeout: nanoseconds. secrets: names only; values are read at plan time.
    root: the folder of the function's code relative to the project (``.`` for Python: the whole project).
    """

    name: str
    runtime: str
    handler: str
    source: Source
    memory: int
    min_scale: int
    max_scale: int
    timeout: int
    privacy: str
    http_option: str
    sandbox: str
    description: str
    env: Mapping[str, str]
    secrets: tuple[str, ...]
    tags: tuple[str, ...]
    domains: tuple[str, ...]
    private_network_id: str
    crons: tuple[CronSpec, ...]
    triggers: tuple[TriggerSpec, ...]
    slice: bool
    preload: bool
    root: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceSpec:
    """The namespace that the project deploys into; ``name`` already carries the stage (decision 5).

    shared: it may hold other people's functions, and its own settings are never touched (decision 13).
    source: where settings name it.
    """

    name: str
    shared: bool
    description: str
    env: Mapping[str, str]
    secrets: tuple[str, ...]
    tags: tuple[str, ...]
    source: Source = Source("pyproject.toml", 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A whole project for one stage.

    root: absolute. name: identifies the project in tags (``fnkit.project=…``). stage: ``""`` for the default.
    region: ``None`` when settings do not say. requirements: what Python functions need, as PEP 508 lines, with
    fnkit itself removed (decision 1); requirements_file: where they stand, relative, for messages.
    exclude: further ignore patterns from settings, git's syntax.
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
