"""Projects for the bundler: function specifications, projects, and a bundler run with its directories."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from fnkit.bundler.builds.permission import AllowBuildsCallback, refuse_builds
from fnkit.bundler.bundle import bundle_project
from fnkit.bundler.dependencies.locking import TargetKind
from fnkit.bundler.model import Bundle, BundleProgress
from fnkit.bundler.target import BundleTarget
from fnkit.project.included_directories import IncludedDirectory
from fnkit.project.model import BuildCommand, DependencyGroup, FunctionSpec, NamespaceSpec, Project, SourceLocation

LOCAL = f"cpython-{sys.version_info[0]}.{sys.version_info[1]}-x86_64-linux-gnu"
"""The running interpreter as a target, so that the tests can run what they bundle."""

_CALL_PROGRAM = """
import importlib, json, sys
root, handler = sys.argv[1:]
path, _, name = handler.rpartition(".")
folder, _, module = path.rpartition("/")
sys.path[:0] = [f"{root}/{folder}" if folder else root, root, f"{root}/package"]
print(json.dumps(getattr(importlib.import_module(module), name)({}, {})))
"""


def function_spec(
    name: str,
    handler: str,
    *,
    runtime: str = "python313",
    change_detection: str = "function",
    root: str = ".",
    build: BuildCommand | None = None,
    groups: tuple[str, ...] = (),
) -> FunctionSpec:
    return FunctionSpec(
        name=name,
        runtime=runtime,
        handler=handler,
        source=SourceLocation(handler.rpartition(".")[0] + ".py", 1),
        memory=256,
        min_scale=0,
        max_scale=5,
        timeout=300_000_000_000,
        privacy="public",
        http_option="enabled",
        sandbox="v2",
        description="",
        env={},
        secrets=(),
        tags=(),
        domains=(),
        private_network_id="",
        crons=(),
        triggers=(),
        change_detection=change_detection,
        preload=True,
        root=root,
        build=build,
        groups=groups,
        locked_groups=groups,
    )


def project_with(
    root: Path,
    *functions: FunctionSpec,
    requirements: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    source_builds: tuple[str, ...] = (),
    included: tuple[IncludedDirectory, ...] = (),
    dependency_groups: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
) -> Project:
    return Project(
        root=root,
        name="shop",
        stage="",
        region=None,
        namespace=NamespaceSpec(name="shop", shared=False, description="", env={}, secrets=(), tags=()),
        functions=functions,
        requirements=requirements,
        requirements_file="requirements.txt",
        exclude=exclude,
        source_builds=source_builds,
        included=included,
        dependency_groups=tuple(
            DependencyGroup(name=name, requirements=lines) for name, lines in sorted(dependency_groups.items())
        ),
    )


@dataclass
class BundleRun:
    """The archive and cache directories of one test, and the stages that the last run reported."""

    folder: Path
    stages: list[str] = field(default_factory=list)

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def bundle(
        self,
        project: Project,
        *,
        kind: TargetKind = "local",
        target: str = LOCAL,
        allow_builds: AllowBuildsCallback | None = refuse_builds,
    ) -> Bundle:
        """Bundle a project with a single archive."""
        [bundle] = self.bundle_all(project, kind=kind, target=target, allow_builds=allow_builds)
        return bundle

    def bundle_all(
        self,
        project: Project,
        *,
        kind: TargetKind = "local",
        target: str = LOCAL,
        allow_builds: AllowBuildsCallback | None = refuse_builds,
    ) -> tuple[Bundle, ...]:
        """Bundle a project."""
        self.stages.clear()
        runtimes = {one.runtime for one in project.functions}
        return bundle_project(
            project,
            {} if kind == "scaleway" else {runtime: BundleTarget.parse(runtime, target) for runtime in runtimes},
            out=self.out,
            cache=self.cache,
            kind=kind,
            report=self._on_progress,
            allow_builds=allow_builds,
        )

    def _on_progress(self, progress: BundleProgress) -> None:
        self.stages.append(progress.stage)


def call_handler(unpacked: Path, handler: str) -> str:
    """Run a handler from an unpacked archive in a new interpreter, and return its result as JSON text."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _CALL_PROGRAM, str(unpacked), handler],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
