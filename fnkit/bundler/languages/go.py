"""Bundles Go functions: the source of their module, which the platform's builder compiles."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from fnkit.bundler.archive.layer import empty_layer
from fnkit.bundler.files.content import ContentByPath, FileContent, read_verified
from fnkit.bundler.files.ignore import TOOL_PATTERNS
from fnkit.bundler.languages.declared_build import declared_build
from fnkit.bundler.languages.folder import ArchivePlan, FolderRules, bundle_folder, select_folder
from fnkit.bundler.languages.request import BundleRequest, leaves_folder
from fnkit.bundler.model import Bundle
from fnkit.errors import BundleError
from fnkit.project.model import FunctionSpec

_MODULE_FILE: Final = "go.mod"
_PROGRAM_FORMATS: Final = (b"\x7fELF", b"MZ", b"\xfe\xed\xfa", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
_FORMAT_BYTES: Final = 4
_TEST_SUFFIXES: Final = (".test", ".exe")
_OUTPUT_NAMES: Final = frozenset({"main", "handler", "app", "server", "bootstrap", "__debug_bin"})
_OUTPUT_DIRECTORIES: Final = frozenset({"bin"})
_PATCH_RELEASE: Final = re.compile(r"^go\s+(\d+\.\d+)\.(\d+)\s*$", re.MULTILINE)
_MODULE_NAME: Final = re.compile(r"^module\s+\"?([^\s\"]+)", re.MULTILINE)
_REPLACED_PATH: Final = re.compile(r"=>\s+\"?(\.{1,2}/?[^\s\"]*|/[^\s\"]+)\"?\s*(?://.*)?$", re.MULTILINE)


def bundle_go(request: BundleRequest) -> Bundle:
    """Build the archive of Go functions.

    Raises:
        BundleError: ``dependency-outside``, or a file cannot be part of an archive.
    """
    content = select_folder(request, FolderRules(built_in=TOOL_PATTERNS))
    modules = {path: _text(one, path) for path, one in content.files.items() if _is_module_file(path)}
    for path, text in modules.items():
        _check_replacements(request, path, text)
    programs = tuple(_compiled_programs(content.files, modules))
    files = {path: one for path, one in content.files.items() if path not in programs}
    notes = [*_version_notes(request, modules)]
    if programs:
        listed = ", ".join(request.project_path(path) for path in programs[:5])
        notes.append(f"Left out, because it was compiled from the source: {listed}.")
    plan = ArchivePlan(
        files=files,
        layer=empty_layer(),
        build=declared_build(request),
        handler_files=_module_files,
        notes=tuple(notes),
    )
    return bundle_folder(request, content, plan)


def _module_files(function: FunctionSpec) -> tuple[str, ...]:
    """Return where the module of a handler may be: in its folder, or around a program."""
    path = PurePosixPath(function.handler)
    return tuple((folder / _MODULE_FILE).as_posix() for folder in (*path.parents, path))


def _is_module_file(path: str) -> bool:
    return (path == _MODULE_FILE or path.endswith(f"/{_MODULE_FILE}")) and "vendor/" not in path


def _text(content: FileContent, path: str) -> str:
    return read_verified(content, path).decode("utf-8", "replace")


def _check_replacements(request: BundleRequest, path: str, text: str) -> None:
    """Reject a module that is replaced by a directory which the archive does not contain."""
    for found in _REPLACED_PATH.finditer(text):
        target = found.group(1)
        if leaves_folder(path.removesuffix(_MODULE_FILE), target):
            line = text.count("\n", 0, found.start()) + 1
            raise BundleError(
                f"{request.project_path(path)} replaces a module by {target}, which is outside of the function's "
                "directory.",
                code="dependency-outside",
                hint="Run `go mod vendor` with the module in the directory, or publish it.",
                file=request.project_path(path),
                line=line,
            )


def _compiled_programs(files: ContentByPath, modules: dict[str, str]) -> Iterator[str]:
    """Yield the files that ``go build`` has made: programs with the names it chooses, or in ``bin/``."""
    names = set(_OUTPUT_NAMES)
    for path, text in modules.items():
        module = _MODULE_NAME.search(text)
        names |= {module.group(1).rpartition("/")[2]} if module else set()
        names.add(PurePosixPath(path).parent.name)
    for path, content in files.items():
        parts = path.split("/")
        may_be_output = (
            parts[-1].removesuffix(".exe") in names
            or parts[-1].endswith(_TEST_SUFFIXES)
            or (len(parts) > 1 and parts[-2] in _OUTPUT_DIRECTORIES)
        )
        if may_be_output and not parts[-1].endswith(".go") and _is_program(content):
            yield path


def _is_program(content: FileContent) -> bool:
    try:
        with content.source.open("rb") as file:
            return file.read(_FORMAT_BYTES).startswith(_PROGRAM_FORMATS)
    except OSError:
        return False


def _version_notes(request: BundleRequest, modules: dict[str, str]) -> Iterator[str]:
    """Yield notes about modules that require a patch release of Go."""
    if request.kind != "scaleway":
        return
    for path, text in modules.items():
        found = _PATCH_RELEASE.search(text)
        if found and int(found.group(2)) > 0:
            yield (
                f"{request.project_path(path)} requires Go {found.group(1)}.{found.group(2)}; Scaleway's builder "
                f"fails if its release is older. `go {found.group(1)}` accepts every release."
            )
