"""Bundles Node functions: their folder, with the production packages of the lock file in ``node_modules``.

The platform installs nothing, so the archive has the packages, for its machine and C library. They are installed in
a copy of the project by the package manager of the lock file, with all scripts off, and cached as a layer.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fnkit.bundler.archive.layer import Layer, empty_layer, open_layer_by_key, write_tree_layer
from fnkit.bundler.builds.command import Build, copy_files
from fnkit.bundler.dependencies.node_install import NodeInstallation, NodePlatform, install_packages
from fnkit.bundler.dependencies.node_project import (
    LOCK_FILES,
    MANIFEST,
    NodeLock,
    NodeManifest,
    read_lock,
    read_manifest,
)
from fnkit.bundler.files.content import ContentByPath, FileContent
from fnkit.bundler.files.tree import read_tree
from fnkit.bundler.languages.declared_build import declared_build
from fnkit.bundler.languages.folder import (
    ArchivePlan,
    FolderContent,
    FolderRules,
    bundle_folder,
    select_folder,
)
from fnkit.bundler.languages.request import BundleRequest
from fnkit.bundler.languages.typescript import (
    handler_stubs,
    script_files,
    typescript_build,
    typescript_functions,
)
from fnkit.bundler.model import Bundle, BundleProgress, Dependency
from fnkit.errors import BundleError
from fnkit.project.model import FunctionSpec

_PACKAGES: Final = "node_modules"
_UNSHIPPED_FILES: Final = frozenset({*LOCK_FILES, "pnpm-workspace.yaml", ".pnp.cjs", ".pnp.loader.mjs"})
_UNSHIPPED_DIRECTORIES: Final = (".yarn/",)
_MANAGER_FILES: Final = frozenset(
    {".package-lock.json", ".yarn-integrity", ".yarn-state.yml", ".modules.yaml", ".package-map.json"}
)
"""Files of package managers in ``node_modules``: they name registries, and no code reads them."""
_OUTSIDE_LOCATION: Final = re.compile(
    r"(?:\b(?:file|link|portal):|\bdirectory:\s*)[\"']?((?:/|~|[A-Za-z]:[\\/]|(?:[^\s\"'/]+/)*\.\.(?:/|[\"'\s]))[^\s\"']*)"
)
"""A location in a lock file that is a directory or file elsewhere on this machine."""
_MANAGER_PREFIX: Final = ".pnpm-workspace-state"
_MANAGER_DIRECTORIES: Final = frozenset({".bin", ".pnpm", ".cache"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Packages:
    """What a Node archive has in ``node_modules``.

    Attributes:
        files: Files of the project's own ``node_modules``.
        note: A sentence about them, or ``None``.
    """

    layer: Layer
    files: ContentByPath
    note: str | None = None


def bundle_node(request: BundleRequest) -> Bundle:
    """Build the archive of Node functions.

    Raises:
        BundleError: The packages cannot be installed, or TypeScript cannot be compiled.
    """
    shown = "" if request.root == "." else f"{request.root}/"
    manifest = read_manifest(request.folder, shown + MANIFEST)
    lock = read_lock(request.folder, shown)
    handler_paths = [path for one in request.group for path in script_files(one)]
    content = select_folder(request, FolderRules(), handler_paths)
    packages = _packages(request, content, manifest, lock)
    files = {path: one for path, one in content.files.items() if not _is_unshipped(path)}
    build, stubs = _build(request, manifest, lock, content)
    plan = ArchivePlan(
        files={**files, **packages.files},
        layer=packages.layer,
        build=build,
        extra_files=stubs,
        handler_files=script_files,
        notes=() if packages.note is None else (packages.note,),
    )
    return bundle_folder(request, content, plan)


def _is_unshipped(path: str) -> bool:
    return path in _UNSHIPPED_FILES or path.startswith(_UNSHIPPED_DIRECTORIES)


def _packages(
    request: BundleRequest, content: FolderContent, manifest: NodeManifest | None, lock: NodeLock | None
) -> _Packages:
    """Return the production packages: installed by the lock file, or the project's own without one."""
    if manifest is not None and lock is not None:
        if not manifest.packages():
            return _Packages(layer=empty_layer(), files={})
        return _Packages(layer=_installed_layer(request, content, manifest, lock), files={})
    own = _own_packages(request)
    if own:
        where = request.project_path(_PACKAGES)
        note = f"{where} ships as it is: there is no lock file to install its packages for the platform from."
        return _Packages(layer=empty_layer(), files=own, note=note)
    if manifest is None or not manifest.packages():
        return _Packages(layer=empty_layer(), files={})
    names = ", ".join(sorted(manifest.packages())[:5])
    raise BundleError(
        f"{manifest.shown} requires {names}, but no lock file beside it says which versions.",
        code="node-lock-missing",
        hint="Run `npm install --package-lock-only` in that directory, and commit package-lock.json; "
        "the lock file of a workspace above is not used.",
        file=manifest.shown,
    )


def _own_packages(request: BundleRequest) -> ContentByPath:
    """Return the files of a ``node_modules`` in the folder that no ignore file excludes."""
    if not (request.folder / _PACKAGES).is_dir():
        return {}
    rules = FolderRules(entered=frozenset({_PACKAGES}))
    found = select_folder(request, rules).files
    return {
        path: one
        for path, one in found.items()
        if path.startswith(f"{_PACKAGES}/") and not _is_of_manager(path.removeprefix(f"{_PACKAGES}/"))
    }


def _is_of_manager(path: str) -> bool:
    """Return whether a path in ``node_modules``, with ``/`` for a directory, belongs to a package manager."""
    parts = path.rstrip("/").split("/")
    if path.endswith("/"):
        return parts[-1] in _MANAGER_DIRECTORIES and (len(parts) == 1 or parts[-2] == _PACKAGES)
    return (
        parts[-1] in _MANAGER_FILES
        or parts[-1].startswith(_MANAGER_PREFIX)
        or (parts[0] in _MANAGER_DIRECTORIES and len(parts) > 1)
    )


def _installed_layer(
    request: BundleRequest, content: FolderContent, manifest: NodeManifest, lock: NodeLock
) -> Layer:
    """Return the layer of the production packages; install them unless it is in the cache."""
    platform = node_platform(request)
    installation = NodeInstallation(folder=request.folder, manifest=manifest, lock=lock, platform=platform)
    _check_local_packages(manifest)
    _check_locked_locations(request, lock)
    sources = content.files if manifest.local_packages() else {}
    key = installation.key_with(sources)
    found = open_layer_by_key(key, request.cache)
    if found is not None:
        return found
    request.report(BundleProgress(stage="install", runtime=request.target.runtime, detail=lock.name))
    with tempfile.TemporaryDirectory(prefix="fnkit-install-", ignore_cleanup_errors=True) as name:
        staging = Path(name, "project")
        copy_files(sources, staging)
        install_packages(installation, staging)
        if (staging / _PACKAGES).is_dir():
            files = _installed_files(staging, platform)
            request.report(BundleProgress(stage="layer", runtime=request.target.runtime, total=len(files)))
            write_tree_layer(key, files, _installed_packages(files), request.cache)
        else:
            write_tree_layer(key, {}, (), request.cache)
    layer = open_layer_by_key(key, request.cache)
    if layer is None:
        raise BundleError(
            "The layer of packages disappeared from the cache while it was in use.",
            code="cache-unusable",
            hint=f"Check which other program changes {request.cache}, then run the command again.",
        )
    return layer


def node_platform(request: BundleRequest) -> NodePlatform:
    """Return the platform of an archive's target in the terms of package managers."""
    machine, _, system, *libc = f"{request.target.uv_platform}-".split("-")
    libraries = {"musl": "musl", "gnu": "glibc"}
    return NodePlatform(
        system="linux" if system == "linux" else "darwin",
        machine="arm64" if machine == "aarch64" else "x64",
        libc=libraries.get(libc[0], "") if libc else "",
    )


def _check_local_packages(manifest: NodeManifest) -> None:
    """Reject packages that are directories outside of the function's folder."""
    for name, version in sorted(manifest.local_packages().items()):
        path = version.partition(":")[2]
        if version.startswith("workspace:") or path.startswith(("/", "~", "..")) or "/../" in path:
            raise BundleError(
                f"{manifest.shown} requires {name} from {version}, which is outside of the function's directory.",
                code="dependency-outside",
                hint="Publish it to a registry, or move it into the directory.",
                file=manifest.shown,
            )


def _check_locked_locations(request: BundleRequest, lock: NodeLock) -> None:
    """Reject a lock file that takes packages from other directories of this machine."""
    text = lock.content.decode("utf-8", "replace")
    found = _OUTSIDE_LOCATION.search(text)
    if found is None:
        return
    shown = request.project_path(lock.name)
    raise BundleError(
        f"{shown} takes a package from {found.group(1)[:200]}, which is outside of the function's directory.",
        code="dependency-outside",
        hint="Publish it to a registry, or move it into the directory.",
        file=shown,
        line=text.count("\n", 0, found.start()) + 1,
    )


def _installed_files(staging: Path, platform: NodePlatform) -> dict[str, FileContent]:
    """Return the installed files by path in the archive, without packages for another platform.

    Yarn 1 knows no C libraries and no other system than this machine's, so it installs the packages for all.
    """
    # Links to directories of the project lead out of node_modules, so the walk starts above it.
    files = read_tree(
        staging,
        "node_modules",
        skip=lambda path: (
            not path.startswith(f"{_PACKAGES}/")
            or (path != f"{_PACKAGES}/" and _is_of_manager(path.removeprefix(f"{_PACKAGES}/")))
        ),
    )
    foreign = tuple(
        path.removesuffix(MANIFEST)
        for path, one in files.items()
        if path.endswith(f"/{MANIFEST}") and not _fits(one.source, platform)
    )
    return {path: one for path, one in files.items() if not path.startswith(foreign)} if foreign else files


def _fits(manifest: Path, platform: NodePlatform) -> bool:
    """Return whether a package is for the platform, by ``os``, ``cpu`` and ``libc`` of its ``package.json``."""
    document = _read_json(manifest)
    return (
        _allows(document.get("os"), platform.system)
        and _allows(document.get("cpu"), platform.machine)
        and (not platform.libc or _allows(document.get("libc"), platform.libc))
    )


def _allows(values: object, name: str) -> bool:
    """Return whether a list such as ``["linux"]`` or ``["!win32"]`` allows a name."""
    given = [one for one in values if isinstance(one, str)] if isinstance(values, list) else []
    wanted = [one for one in given if not one.startswith("!")]
    return f"!{name}" not in given and (not wanted or name in wanted or "any" in wanted)


def _read_json(file: Path) -> dict[str, object]:
    try:
        document = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _installed_packages(files: dict[str, FileContent]) -> tuple[Dependency, ...]:
    """Return the packages directly in ``node_modules``, by name, with the sizes of their files."""
    sizes: dict[str, int] = {}
    for path, one in files.items():
        parts = path.split("/")
        name = "/".join(parts[1:3]) if parts[1].startswith("@") else parts[1]
        sizes[name] = sizes.get(name, 0) + one.size
    found = []
    for name in sorted(sizes):
        manifest = files.get(f"{_PACKAGES}/{name}/{MANIFEST}")
        version = _read_json(manifest.source).get("version") if manifest is not None else None
        if isinstance(version, str):
            found.append(Dependency(name, version, sizes[name]))
    return tuple(found)


def _build(
    request: BundleRequest, manifest: NodeManifest | None, lock: NodeLock | None, content: FolderContent
) -> tuple[Build | None, Callable[[ContentByPath], ContentByPath] | None]:
    """Return the build of the archive, declared or of TypeScript, and what makes stubs from its result."""
    prepare: Callable[[Path], None] | None = None
    prepare_key = ""
    if manifest is not None and lock is not None and manifest.packages(development=True):
        development = NodeInstallation(folder=request.folder, manifest=manifest, lock=lock, platform=None)

        def install(staging: Path) -> None:
            install_packages(development, staging)

        prepare, prepare_key = install, development.key
    functions: tuple[FunctionSpec, ...] = typescript_functions(request.group, content.files)
    if request.build is not None:
        declared = declared_build(
            request, prepare=prepare, prepare_key=prepare_key, always=(MANIFEST, *LOCK_FILES, "tsconfig.json")
        )
        return declared, handler_stubs(functions, manifest, request.cache) if functions else None
    if not functions:
        return None, None
    build = typescript_build(request, functions, manifest, prepare, prepare_key)
    return build, handler_stubs(functions, manifest, request.cache)
