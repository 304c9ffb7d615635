"""What languages other than Python share: the archive is the content of the function's folder.

A slice is the whole folder, with the lock of its dependencies and the inputs of its build: which files a handler of
these languages reaches cannot be known without running its compiler or its package manager.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from fnkit.bundler.archive.archive import is_archive_current, plan_archive, write_archive
from fnkit.bundler.archive.layer import Layer
from fnkit.bundler.builds.command import Build, find_result, run_build
from fnkit.bundler.files import ignore
from fnkit.bundler.files.content import ContentByPath, hash_file
from fnkit.bundler.files.secret_files import DOTENV_PREFIX
from fnkit.bundler.files.selection import SelectionRules, literal_pattern, select_included
from fnkit.bundler.languages.request import BundleRequest
from fnkit.bundler.model import Bundle, BundleProgress, Slice
from fnkit.errors import BundleError
from fnkit.project.model import FunctionSpec

ARCHIVES_KEPT: Final = 4
"""Archives of one runtime, folder and target that are kept: a concurrent deploy may still upload an older one."""
_DIGEST_VERSION: Final = 1
"""Increase when the same files must give another digest; every function is then updated once."""
_WITHHELD_SHOWN: Final = 10
_NAME_DIGITS: Final = 16
_DIGEST_PATTERN: Final = "[0-9a-f]" * _NAME_DIGITS


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderRules:
    """How a language selects the files of a folder. Patterns are in git's syntax and relative to the folder.

    Attributes:
        never: Patterns of what is never shipped, such as the output of a compiler.
        entered: Names of directories to enter that are otherwise never entered.
        built_in: The built-in patterns that apply.
    """

    never: tuple[str, ...] = ()
    entered: frozenset[str] = frozenset()
    built_in: tuple[str, ...] = ignore.BUILT_IN_PATTERNS


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderContent:
    """The selected files of a folder.

    Attributes:
        files: Content by path relative to the folder.
        withheld: What was left out because its name is a secret's, relative to the project.
    """

    files: ContentByPath
    withheld: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivePlan:
    """What a language puts into an archive.

    Attributes:
        files: The user's files by path in the archive, without what the build makes.
        layer: Dependencies that are in the archive.
        build: What makes further files, or ``None``.
        extra_files: Further files by path, made from what the build made.
        handler_files: Returns the paths of which one contains a function's handler; none for no check.
        notes: Sentences for the user.
    """

    files: ContentByPath
    layer: Layer
    build: Build | None = None
    extra_files: Callable[[ContentByPath], ContentByPath] | None = None
    handler_files: Callable[[FunctionSpec], tuple[str, ...]] = lambda _function: ()
    notes: tuple[str, ...] = ()


def select_folder(request: BundleRequest, rules: FolderRules, handler_files: Iterable[str] = ()) -> FolderContent:
    """Select and hash the files of the functions' folder.

    A file that contains a handler ships although a ``.gitignore`` or the built-in list excludes it, and so does the
    directory that it is in, or the whole folder: compiled code is usually ignored. Folders of functions in other
    languages are left out.

    Args:
        request: The archive.
        rules: The rules of the language.
        handler_files: Paths that contain handlers, relative to the folder.

    Raises:
        BundleError: A file cannot be part of an archive.
    """
    prefix = "" if request.root == "." else f"{request.root}/"
    base = literal_pattern(request.root) if prefix else ""
    never = tuple(f"{base}/{pattern}" for pattern in rules.never)
    selection_rules = SelectionRules(
        exclude=request.project.exclude, never=never, entered=rules.entered, built_in=rules.built_in
    )
    selection = request.select(selection_rules)
    chosen = set(selection.files)
    included = () if any(path.startswith(prefix) for path in chosen) else _folder_inclusion(request.root)
    named = [prefix + path for path in handler_files if (request.folder / path).is_file()]
    included += tuple(pattern for path in named if path not in chosen for pattern in _inclusion(path, prefix))
    if included:
        selection = request.select(replace(selection_rules, included=included))
    others = _other_folders(request)
    files = {
        path.removeprefix(prefix): hash_file(request.project.root / path, path)
        for path in selection.files
        if path.startswith(prefix) and not path.startswith(others)
    }
    return FolderContent(
        files=files, withheld=tuple(path for path in selection.withheld if path.startswith(prefix))
    )


def _folder_inclusion(root: str) -> tuple[str, ...]:
    """Return the patterns that include a whole folder: it was requested by name, as in ``path = "dist"``."""
    steps = [] if root == "." else root.split("/")
    return tuple(f"!{literal_pattern('/'.join(steps[: count + 1]))}/" for count in range(len(steps)))


def _inclusion(path: str, prefix: str) -> tuple[str, ...]:
    """Return the patterns that include a handler's file and the top directory of the function that it is in."""
    top = path.removeprefix(prefix).partition("/")[0]
    if prefix + top == path:
        return (f"!{literal_pattern(path)}",)
    directory = literal_pattern(prefix + top)
    return (f"!{directory}/", f"!{directory}/**")


def _other_folders(request: BundleRequest) -> tuple[str, ...]:
    """Return the folders inside this one that belong to functions in other languages, with ``/``."""
    prefix = "" if request.root == "." else f"{request.root}/"
    roots = {
        f"{one.root}/"
        for one in request.project.functions
        if one.root not in (".", request.root) and not _same_language(one, request.group[0])
    }
    return tuple(sorted(root for root in roots if root.startswith(prefix)))


def _same_language(one: FunctionSpec, other: FunctionSpec) -> bool:
    return one.runtime.rstrip("0123456789") == other.runtime.rstrip("0123456789")


def bundle_folder(request: BundleRequest, content: FolderContent, plan: ArchivePlan) -> Bundle:
    """Run the build if there is one, and write the archive.

    Raises:
        BundleError: A build failed or is not allowed, or the archive cannot be written.
    """
    build = plan.build
    made = _made_files(request, build)
    sources = dict(plan.files)
    if build is not None and build.output != ".":
        sources = {path: one for path, one in sources.items() if not path.startswith(f"{build.output}/")}
    digest = _content_digest(plan, build, sources)
    path = archive_path(request, archive_prefix(request), digest)
    notes = (*plan.notes, *function_notes(request), *withheld_notes(content.withheld), *_dotenv_notes(request))
    slices = tuple(_slice(request, one, plan, build, sources) for one in request.functions)
    if made is None:
        return Bundle(
            path=path,
            runtime=request.target.runtime,
            target=request.target.platform,
            digest=digest,
            size=0,
            unpacked_size=0,
            slices=slices,
            dependencies=plan.layer.index.dependencies,
            notes=notes,
            needs_build=True,
            groups=request.groups,
        )
    files = {**sources, **made}
    if plan.extra_files is not None:
        files |= plan.extra_files(files)
    for function in request.functions:
        check_handler_shipped(function, plan.handler_files(function), files)
    bundle = Bundle(
        path=path,
        runtime=request.target.runtime,
        target=request.target.platform,
        digest=digest,
        size=0,
        unpacked_size=0,
        slices=slices,
        dependencies=plan.layer.index.dependencies,
        notes=notes,
        contents=files,
        layer_key=plan.layer.key,
        groups=request.groups,
    )
    return ensure_archive(request, bundle, plan.layer, archive_prefix(request))


def ensure_archive(request: BundleRequest, bundle: Bundle, layer: Layer, prefix: str) -> Bundle:
    """Write the archive of a bundle unless it exists, or is not wanted; return the bundle with its sizes.

    Args:
        request: The request.
        bundle: The bundle without sizes.
        layer: Dependencies that are in the archive.
        prefix: Start of the names of the archives that this one replaces.

    Raises:
        BundleError: The archive cannot be written.
    """
    if not request.write_archive:
        return bundle
    archive = plan_archive(layer, bundle.contents, request.cache)
    if not is_archive_current(archive, bundle.path):
        request.report(BundleProgress(stage="archive", runtime=bundle.runtime, detail=bundle.path.name))
        write_archive(archive, bundle.path)
    prune_archives(bundle.path, prefix)
    return replace(bundle, size=archive.size, unpacked_size=archive.unpacked_size)


def _made_files(request: BundleRequest, build: Build | None) -> ContentByPath | None:
    """Return what the build makes, nothing without one, or ``None`` if it has not run and must not."""
    if build is None:
        return {}
    if not request.run_builds:
        return find_result(build, request.cache)
    return run_build(
        build,
        request.cache,
        runtime=request.target.runtime,
        report=request.report,
        allow_builds=request.allow_builds,
    )


def _content_digest(plan: ArchivePlan, build: Build | None, files: ContentByPath) -> str:
    """Return the digest of an archive, which covers the inputs of a build: a plan knows it before the build."""
    return hashlib.sha256(
        msgspec.json.encode([plan.layer.key, "" if build is None else build.key, _listed(files)])
    ).hexdigest()


def _slice(
    request: BundleRequest, function: FunctionSpec, plan: ArchivePlan, build: Build | None, files: ContentByPath
) -> Slice:
    covered = files if function.change_detection == "function" else _whole_project(request)
    listed = _listed({**covered, **(build.inputs if build is not None else {})})
    dependencies = [plan.layer.key, "" if build is None else build.key]
    identity = [_DIGEST_VERSION, function.runtime, function.handler, dependencies, listed]
    shown = request.project.shown if request.target.language == "python" else str
    return Slice(
        function=function.name,
        digest=hashlib.sha256(msgspec.json.encode(identity)).hexdigest()[:32],
        files=tuple((shown(name), sha256) for name, sha256, _ in listed),
        dependencies=tuple(f"{one.name}=={one.version}" for one in plan.layer.index.dependencies),
    )


def _whole_project(request: BundleRequest) -> ContentByPath:
    project, rules = request.project, SelectionRules(exclude=request.project.exclude)
    files = request.select(rules).files
    if request.target.language == "python":  # included directories are part of it
        files += select_included(project.root, rules, project.included).files
    return {path: hash_file(project.file(path), project.shown(path)) for path in files}


def _listed(files: ContentByPath) -> list[tuple[str, str, bool]]:
    return sorted((name, one.sha256, one.executable) for name, one in files.items())


def check_handler_shipped(function: FunctionSpec, candidates: tuple[str, ...], files: ContentByPath) -> None:
    """Reject an archive without the file of a function's handler.

    Raises:
        BundleError: ``handler-not-shipped``.
    """
    if not candidates or any(path in files for path in candidates):
        return
    raise BundleError(
        f"{candidates[0]}, which contains the handler of {function.name}, is not among the selected files.",
        code="handler-not-shipped",
        hint="An ignore file or the setting exclude ignores it; re-include it with the line !" + candidates[0],
        file=function.source.file,
        line=function.source.line,
    )


def archive_prefix(request: BundleRequest) -> str:
    """Return the start of the file names of a group's archives, which no other group shares.

    Only what differs from the whole project without a build and groups is in it.
    """
    build = request.build
    start = f"{request.target.runtime}-{request.kind}-"
    if request.root == "." and build is None and not request.groups:
        return start
    group = "" if build is None else f"{build.command}\0{build.inputs}\0{build.output}"
    if request.groups:
        group += f"\0{','.join(request.groups)}"
    identity = hashlib.sha256(f"{request.root}\0{group}".encode()).hexdigest()[:8]
    return f"{start}{identity}-"


def archive_path(request: BundleRequest, prefix: str, digest: str) -> Path:
    """Return the path of the archive with a prefix and a content digest."""
    return request.out / f"{prefix}{digest[:_NAME_DIGITS]}.zip"


def prune_archives(path: Path, prefix: str) -> None:
    """Delete all but the newest archives with a prefix, without those whose longer prefix begins with it."""
    with suppress(OSError):
        path.touch()
        newest_first = sorted(
            path.parent.glob(f"{prefix}{_DIGEST_PATTERN}.zip"), key=lambda one: one.stat().st_mtime_ns, reverse=True
        )
        for old in newest_first[ARCHIVES_KEPT:]:
            old.unlink()


def function_notes(request: BundleRequest) -> tuple[str, ...]:
    """Return the notes of the selected functions."""
    return tuple(note for function in request.functions for note in function.notes)


def _dotenv_notes(request: BundleRequest) -> tuple[str, ...]:
    """Return a note about an ``.env`` of the functions' folder, which applications in other languages may read.

    The one in the project's folder is fnkit's own source of secrets.
    """
    if request.root == "." or not (request.folder / DOTENV_PREFIX).is_file():
        return ()
    where = request.project_path(DOTENV_PREFIX)
    return (f"Left out: {where}. Declare its variables with env and secrets; .env files never ship.",)


def withheld_notes(withheld: tuple[str, ...]) -> tuple[str, ...]:
    """Return a note about files that are left out because their names are those of secrets."""
    if not withheld:
        return ()
    more = len(withheld) - _WITHHELD_SHOWN
    listed = ", ".join(withheld[:_WITHHELD_SHOWN]) + (f" and {more} more" if more > 0 else "")
    note = f"Left out, because files of this name usually contain secrets: {listed}"
    return (f"{note}. To include one, name it in .fnkitignore: !{withheld[0]}",)
