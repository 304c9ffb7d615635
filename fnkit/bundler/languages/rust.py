"""Bundles Rust functions: the source of their crate or workspace, which the platform's builder compiles."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Final

from fnkit.bundler.archive.layer import empty_layer
from fnkit.bundler.files.content import ContentByPath, read_verified
from fnkit.bundler.files.ignore import TOOL_PATTERNS
from fnkit.bundler.languages.declared_build import declared_build
from fnkit.bundler.languages.folder import ArchivePlan, FolderRules, bundle_folder, select_folder
from fnkit.bundler.languages.request import BundleRequest, leaves_folder
from fnkit.bundler.model import Bundle
from fnkit.errors import BundleError
from fnkit.project.model import FunctionSpec

_MANIFEST: Final = "Cargo.toml"
_OUTPUT: Final = "target/"
_DEPENDENCY_TABLES: Final = ("dependencies", "build-dependencies", "dev-dependencies")
_NEVER: Final = ("target/", ".cargo/credentials", ".cargo/credentials.toml")


def bundle_rust(request: BundleRequest) -> Bundle:
    """Build the archive of Rust functions.

    Raises:
        BundleError: ``cargo-toml``, ``dependency-outside``, or a file cannot be part of an archive.
    """
    content = select_folder(request, FolderRules(never=_NEVER, built_in=TOOL_PATTERNS))
    files = _without_outputs(content.files)
    for path in files:
        if path.rpartition("/")[2] == _MANIFEST:
            _check_manifest(request, path, _read_manifest(request, path, files))
    plan = ArchivePlan(files=files, layer=empty_layer(), build=declared_build(request), handler_files=_manifests)
    return bundle_folder(request, content, plan)


def _manifests(function: FunctionSpec) -> tuple[str, ...]:
    """Return where the crate of a handler may be: in its folder, or the handler itself for a program."""
    path = PurePosixPath(function.handler)
    return ((path.parent / _MANIFEST).as_posix(), (path / _MANIFEST).as_posix())


def _without_outputs(files: ContentByPath) -> ContentByPath:
    """Leave out each ``target/`` beside a manifest. Elsewhere it may be a module of that name."""
    manifests = [path for path in files if path.rpartition("/")[2] == _MANIFEST]
    outputs = tuple(f"{path.removesuffix(_MANIFEST)}{_OUTPUT}" for path in manifests)
    return {path: one for path, one in files.items() if not path.startswith(outputs)} if outputs else files


def _read_manifest(request: BundleRequest, path: str, files: ContentByPath) -> Mapping[str, object]:
    shown = request.project_path(path)
    try:
        return tomllib.loads(read_verified(files[path], shown).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BundleError(
            f"{shown} is not valid TOML: {error}.", code="cargo-toml", hint="Correct it.", file=shown
        ) from error


def _check_manifest(request: BundleRequest, path: str, manifest: Mapping[str, object]) -> None:
    """Reject a dependency on a directory that the archive does not contain."""
    for name, target in _path_dependencies(manifest):
        if leaves_folder(path.removesuffix(_MANIFEST), target):
            shown = request.project_path(path)
            raise BundleError(
                f"{shown} requires {name} from {target}, which is outside of the function's directory.",
                code="dependency-outside",
                hint="Set path to the directory of the workspace, and name the crate in handler, as in api/handle.",
                file=shown,
            )


def _path_dependencies(manifest: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield the names and paths of a manifest's dependencies on directories."""
    tables: list[object] = [manifest.get(name) for name in _DEPENDENCY_TABLES]
    workspace = manifest.get("workspace")
    if isinstance(workspace, dict):
        tables.append(workspace.get("dependencies"))
    targets = manifest.get("target")
    for one in targets.values() if isinstance(targets, dict) else ():
        if isinstance(one, dict):
            tables += [one.get(name) for name in _DEPENDENCY_TABLES]
    for table in tables:
        for name, value in table.items() if isinstance(table, dict) else ():
            path = value.get("path") if isinstance(value, dict) else None
            if isinstance(path, str):
                yield str(name), path
