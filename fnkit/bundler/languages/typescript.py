"""Compiles TypeScript handlers of Node functions, with tools of the project.

1. A ``build`` script in ``package.json`` runs as it is. Where it writes elsewhere than beside the source, a file at
   the handler's path passes on what the compiled file exports.
2. Otherwise esbuild from the project's packages bundles the project's own modules into one file per handler, beside
   the source, with a source map. Production packages stay in ``node_modules``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from fnkit.bundler.builds.command import Build
from fnkit.bundler.dependencies.node_project import MANIFEST, NodeManifest
from fnkit.bundler.files.content import ContentByPath, FileContent, atomic_file, hash_file
from fnkit.bundler.languages.declared_build import read_inputs
from fnkit.bundler.languages.request import BundleRequest
from fnkit.contract.runtimes import find_runtime
from fnkit.errors import BundleError
from fnkit.project.languages.node import SCRIPT_SUFFIXES, TYPESCRIPT_SUFFIXES
from fnkit.project.model import FunctionSpec

_ESBUILD: Final = "esbuild"
_BUILD_SCRIPT: Final = "build"
_SCRIPTS_OF_BUILD: Final = ("prebuild", "build", "postbuild")
"""What `npm run build` runs."""


def script_files(function: FunctionSpec) -> tuple[str, ...]:
    """Return the paths of which one contains a function's handler when it runs."""
    path = function.handler.rpartition(".")[0]
    return tuple(f"{path}{suffix}" for suffix in (*SCRIPT_SUFFIXES, "/index.js", "/index.mjs", "/index.cjs"))


def typescript_functions(functions: Iterable[FunctionSpec], files: ContentByPath) -> tuple[FunctionSpec, ...]:
    """Return the functions whose handler is in a TypeScript file and in no JavaScript file."""
    return tuple(
        one
        for one in functions
        if _source_of(one, files) is not None and not any(path in files for path in script_files(one))
    )


def _source_of(function: FunctionSpec, files: ContentByPath) -> str | None:
    path = function.handler.rpartition(".")[0]
    return next((path + suffix for suffix in TYPESCRIPT_SUFFIXES if path + suffix in files), None)


def typescript_build(
    request: BundleRequest,
    functions: tuple[FunctionSpec, ...],
    manifest: NodeManifest | None,
    prepare: Callable[[Path], None] | None,
    prepare_key: str,
) -> Build:
    """Return the build that compiles the handlers.

    Args:
        request: The archive.
        functions: The functions with TypeScript handlers.
        manifest: The project's ``package.json``.
        prepare: Installs the project's packages, development ones included.
        prepare_key: Everything that determines what ``prepare`` does.

    Raises:
        BundleError: ``typescript-tool`` if the project has neither a build script nor esbuild, or no lock file.
    """
    inputs = read_inputs(request, ())
    script = None if manifest is None else manifest.script(_BUILD_SCRIPT)
    has_esbuild = manifest is not None and _ESBUILD in manifest.packages(development=True)
    if script is None and (not has_esbuild or prepare is None):
        raise _tool_error(request, functions, inputs, is_locked=not has_esbuild)
    command: tuple[str, ...] = ("npm", "run", "--silent", _BUILD_SCRIPT)
    shown = f"npm run {_BUILD_SCRIPT}"
    scripts = [] if manifest is None else [manifest.script(name) for name in _SCRIPTS_OF_BUILD]
    asked = f"{shown}: {' && '.join(filter(None, scripts))}"
    if script is None:
        scripts, asked = [], ""
        command = _esbuild_command(request, functions, inputs, manifest)
        shown = " ".join(command[:4]) + " …"
    return Build(
        root=request.project.root,
        command=command,
        shown=shown,
        declaration=(request.root, *scripts, *command),
        inputs=inputs,
        output=".",
        prepare=prepare,
        prepare_key=prepare_key,
        asked=asked,
    )


def _esbuild_command(
    request: BundleRequest,
    functions: tuple[FunctionSpec, ...],
    inputs: ContentByPath,
    manifest: NodeManifest | None,
) -> tuple[str, ...]:
    row = find_runtime(request.target.runtime)
    version = row.version if row is not None else request.target.runtime.removeprefix("node")
    sources = sorted({source for one in functions if (source := _source_of(one, inputs)) is not None})
    form = "esm" if manifest is not None and manifest.is_module else "cjs"
    # Not all packages: aliases of the project's own modules (paths in tsconfig.json) look like packages, and
    # development packages are not in the archive.
    external = [f"--external:{name}" for name in sorted(manifest.packages() if manifest is not None else ())]
    return (
        *(_ESBUILD, *sources, "--bundle", "--platform=node", f"--target=node{version}", f"--format={form}"),
        *(*external, "--sourcemap", "--outbase=.", "--outdir=.", "--log-level=warning"),
    )


def _tool_error(
    request: BundleRequest, functions: tuple[FunctionSpec, ...], inputs: ContentByPath, *, is_locked: bool
) -> BundleError:
    source = request.project_path(_source_of(functions[0], inputs) or functions[0].handler)
    where = request.project_path(MANIFEST)
    missing = "has neither a build script nor esbuild" if is_locked else "has esbuild, but no lock file beside it"
    return BundleError(
        f"{functions[0].name} is written in TypeScript ({source}), and {where} {missing}.",
        code="typescript-tool",
        hint='Run `npm install --save-dev esbuild`, add "scripts": {"build": …}, or declare build.',
        file=functions[0].source.file,
        line=functions[0].source.line,
    )


def handler_stubs(
    functions: tuple[FunctionSpec, ...], manifest: NodeManifest | None, cache: Path
) -> Callable[[ContentByPath], ContentByPath]:
    """Return a function that makes the files that lead from the handlers' paths to the compiled files.

    Args:
        functions: The functions with TypeScript handlers.
        manifest: The project's ``package.json``.
        cache: Cache directory.
    """
    is_module = manifest is not None and manifest.is_module

    def make_stubs(files: ContentByPath) -> ContentByPath:
        stubs: dict[str, FileContent] = {}
        for path in sorted({one.handler.rpartition(".")[0] for one in functions}):
            if any(f"{path}{suffix}" in files for suffix in SCRIPT_SUFFIXES):
                continue
            compiled = _compiled_file(path, files)
            if compiled is not None:
                handlers = (one.handler.rpartition(".") for one in functions)
                names = sorted({name for file, _, name in handlers if file == path})
                text = _stub(path, compiled, names, is_module=is_module)
                stubs[f"{path}.js"] = _generated_file(text, cache)
        return stubs

    return make_stubs


def _compiled_file(path: str, files: ContentByPath) -> str | None:
    """Return the compiled file of a source: the one whose path has the longest common end with it.

    Compilers may keep the source directory, as in ``dist/src/a.js``, or drop it, as in ``dist/a.js``.
    """
    steps = path.split("/")
    for start in range(len(steps)):
        end = "/".join(steps[start:])
        found = [
            name
            for suffix in SCRIPT_SUFFIXES
            for name in files
            if name.endswith(f"/{end}{suffix}") and not name.startswith("node_modules/")
        ]
        if found:
            return min(found, key=lambda name: (name.count("/"), name))
    return None


def _stub(path: str, compiled: str, names: list[str], *, is_module: bool) -> str:
    target = "../" * path.count("/") + compiled
    target = target if target.startswith("../") else f"./{target}"
    if not is_module:
        return f"module.exports = require({json.dumps(target)});\n"
    lines = [f"import * as compiled from {json.dumps(target)};\n"]
    lines += [f"export const {name} = compiled.{name} ?? compiled.default?.{name};\n" for name in names]
    return "".join(lines)


def _generated_file(text: str, cache: Path) -> FileContent:
    """Return the content of a file that fnkit writes itself; it is kept in the cache."""
    data = text.encode()
    path = cache / "generated" / f"{hashlib.sha256(data).hexdigest()}.js"
    if not path.is_file() or path.read_bytes() != data:
        with atomic_file(path) as file:
            file.write(data)
    return hash_file(path, path.name)
