"""The build that a function declares with ``build``, ``build_inputs`` and ``build_output``."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from fnkit.bundler.builds.command import Build
from fnkit.bundler.files import ignore
from fnkit.bundler.files.content import ContentByPath, hash_file
from fnkit.bundler.files.selection import SelectionRules, select_included
from fnkit.bundler.languages.request import BundleRequest
from fnkit.errors import BundleError


def declared_build(
    request: BundleRequest,
    *,
    prepare: Callable[[Path], None] | None = None,
    prepare_key: str = "",
    always: tuple[str, ...] = (),
) -> Build | None:
    """Return the declared build of an archive's functions, or ``None``.

    Args:
        request: The archive.
        prepare: Called with the copy of the inputs before the command runs.
        prepare_key: Everything that determines what ``prepare`` does.
        always: Files that are inputs even if ``build_inputs`` does not name them, where they exist.

    Raises:
        BundleError: ``build-inputs``, or a file cannot be an input.
    """
    declared = request.build
    if declared is None:
        return None
    inputs = read_inputs(request, declared.inputs, always)
    if not inputs:
        function = request.group[0]
        raise BundleError(
            f"No file of {function.name} matches its build_inputs.",
            code="build-inputs",
            hint="Write patterns as in a .gitignore file, relative to the function's directory.",
            file=function.source.file,
            line=function.source.line,
        )
    return Build(
        root=request.project.root,
        command=_shell_command(declared.command),
        shown=declared.command,
        declaration=(request.root,),
        inputs=inputs,
        output=declared.output,
        prepare=prepare,
        prepare_key=prepare_key,
    )


def read_inputs(request: BundleRequest, patterns: tuple[str, ...], always: tuple[str, ...] = ()) -> ContentByPath:
    """Return the files of the functions' folder that a build may read, by path relative to the folder.

    These are all that git does not ignore, whether they ship or not, but no file whose name is a secret's.

    Args:
        request: The archive.
        patterns: Which of them, in git's syntax; none for all but the files of tools.
        always: Further ones.
    """
    built_in = () if patterns else ignore.TOOL_PATTERNS
    rules = SelectionRules(built_in=built_in, only_git=True)
    files = request.select(rules).files
    prefix = "" if request.root == "." else f"{request.root}/"
    layer = ignore.IgnoreLayer("", ignore.parse_patterns(patterns, "The setting build_inputs"))
    project = request.project
    if request.target.language == "python":  # whose archive is the project with its included directories
        files += select_included(project.root, rules, project.included).files
    return {
        path.removeprefix(prefix): hash_file(project.file(path), project.shown(path))
        for path in files
        if path.startswith(prefix)
        and (not patterns or _matches(layer, path.removeprefix(prefix)) or path.removeprefix(prefix) in always)
    }


def _matches(layer: ignore.IgnoreLayer, path: str) -> bool:
    """Return whether the patterns name a file, or a directory that it is in; the last decision counts."""
    steps = path.split("/")
    matched = False
    for count in range(1, len(steps) + 1):
        decision = layer.decide("/".join(steps[:count]), is_directory=count < len(steps))
        matched = matched if decision is None else decision
    return matched


def _shell_command(command: str) -> tuple[str, ...]:
    return ("cmd", "/d", "/s", "/c", command) if os.name == "nt" else ("/bin/sh", "-c", command)
