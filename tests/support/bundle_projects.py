"""Projects to bundle: folders with files in them, and the model that describes them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fnkit.bundler import Bundle, BundleProgress, BundleTarget, TargetKind, bundle_project
from fnkit.project.model import FunctionSpec, NamespaceSpec, Project, SourceLocation

LOCAL = f"cpython-{sys.version_info[0]}.{sys.version_info[1]}-x86_64-linux-gnu"
"""The running interpreter as a target: what is bundled for it can be run here."""

_CALL = """
import importlib, json, sys
root, handler = sys.argv[1:]
path, _, name = handler.rpartition(".")
folder, _, module = path.rpartition("/")
sys.path[:0] = [f"{root}/{folder}" if folder else root, root, f"{root}/package"]
print(json.dumps(getattr(importlib.import_module(module), name)({}, {})))
"""


def a_function(
    name: str, handler: str, *, runtime: str = "python313", change_detection: str = "function"
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
        root=".",
    )


def a_project(
    root: Path,
    *functions: FunctionSpec,
    requirements: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    source_builds: tuple[str, ...] = (),
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
    )


def write_files(root: Path, files: Mapping[str, str | bytes]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


@dataclass
class Bundling:
    """Where archives and the cache of one test lie, and what was reported."""

    folder: Path
    steps: list[str] = field(default_factory=list)

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def bundle(self, project: Project, *, kind: TargetKind = "local", target: str = LOCAL) -> Bundle:
        """Bundle a project of one runtime."""
        self.steps.clear()
        runtimes = {one.runtime for one in project.functions}
        [bundle] = bundle_project(
            project,
            {} if kind == "scaleway" else {runtime: BundleTarget.parse(runtime, target) for runtime in runtimes},
            out=self.out,
            cache=self.cache,
            kind=kind,
            report=self._step,
        )
        return bundle

    def _step(self, progress: BundleProgress) -> None:
        self.steps.append(progress.stage)


def call(unpacked: Path, handler: str) -> str:
    """Return a handler's answer as JSON text, run from an unpacked archive by a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _CALL, str(unpacked), handler],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
