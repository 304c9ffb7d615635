"""Makes the OpenAPI 3.1 document of a project: each function describes itself, in its own environment.

Descriptions are responses of entry modules that describe a handler instead of calling it, so that the process, its
packages and its variables are those of a local invocation. Secrets are empty unless the environment has them: a
document needs none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from fnkit.bundler.authoring_files import write_entry
from fnkit.environments.model import HandlerEnvironment
from fnkit.errors import InvokeError
from fnkit.invoke.early_start import handler_start
from fnkit.invoke.local import invoke_local
from fnkit.invoke.model import InvocationRequest
from fnkit.project import FunctionSpec, Project

_OK: Final = 200
_VERSION: Final = "3.1.0"
_METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_REFERENCE: Final = re.compile(r"#/components/([a-zA-Z]+)/([^/]+)")
_LINES_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class FunctionDescription:
    """The document of one function.

    Attributes:
        document: ``paths`` and ``components``; ``None`` for an application that has no document.
    """

    function: FunctionSpec
    document: Mapping[str, Any] | None


def describe_function(
    project: Project,
    function: FunctionSpec,
    environment: HandlerEnvironment,
    cache: Path,
    secret_values: Mapping[str, str],
    on_line: Callable[[str], None],
) -> FunctionDescription:
    """Return the description of a typed handler or an application.

    Args:
        project: The project.
        function: A function with an entry module.
        environment: What runs its handler.
        cache: The bundler's cache.
        secret_values: The value of each secret of the function and its namespace.
        on_line: Called with each line that the module prints.

    Raises:
        InvokeError: ``not-described``: its module cannot be imported, or a type has no description.
    """
    if function.entry is None:
        raise AssertionError(f"{function.name} has no entry module")
    directory = write_entry(function.entry, cache, describes=True).parent
    request = InvocationRequest(method="GET", target=f"/{function.name}", headers=(), body=b"", event={})
    described = replace(environment, entries=directory)
    with (
        TemporaryDirectory(prefix="fnkit-describe-") as folder,  # nothing is kept for the next time
        handler_start(Path(folder, "record"), has_terminal=False) as start,
    ):
        result = invoke_local(project, function, request, secret_values, described, start, on_line=on_line)
    if result.response.status != _OK:
        lines = [line for line in result.logs if line.strip()][-_LINES_SHOWN:]
        reason = lines[-1] if lines else result.response.body.decode("utf-8", "replace").strip()
        raise InvokeError(
            f"{function.name} cannot be described: {reason}",
            code="not-described",
            hint=f"Try `fnkit invoke {function.name}`, which imports the same module.",
            file=function.source.file,
            line=function.source.line,
        )
    document = json.loads(result.response.body)
    return FunctionDescription(function, document if isinstance(document, dict) else None)


def join_descriptions(project: Project, descriptions: list[FunctionDescription]) -> dict[str, Any]:
    """Return the document of a project.

    Each function has an address of its own, which its paths name as their server. Two functions may answer the same
    path: the second one's gets a fragment with its name, since a document has each path once.

    Args:
        project: The project.
        descriptions: Those of its functions, in any order.
    """
    paths: dict[str, Any] = {}
    components: dict[str, dict[str, Any]] = {}
    for one in sorted(descriptions, key=lambda each: each.function.name):
        if one.document is None:
            continue
        document = _with_own_names(one, components)
        for kind, members in document.get("components", {}).items():
            components.setdefault(kind, {}).update(members)
        for path, item in document.get("paths", {}).items():
            key = path if path not in paths else f"{path}#{one.function.name}"
            paths[key] = _path_item(one.function, item)
    joined: dict[str, Any] = {
        "openapi": _VERSION,
        "info": {"title": project.name, "version": project_version(project.root)},
        "paths": dict(sorted(paths.items())),
    }
    if components:
        joined["components"] = {kind: dict(sorted(members.items())) for kind, members in sorted(components.items())}
    return joined


def project_version(root: Path) -> str:
    """Return the version in ``pyproject.toml``, or ``0.0.0``, which OpenAPI requires some value for."""
    import tomllib

    try:
        document = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return "0.0.0"
    table = document.get("project")
    version = table.get("version") if isinstance(table, dict) else None
    return version if isinstance(version, str) else "0.0.0"


def _path_item(function: FunctionSpec, item: Mapping[str, Any]) -> dict[str, Any]:
    described = {
        name: {**value, "tags": value.get("tags") or [function.name]} if name in _METHODS else value
        for name, value in item.items()
    }
    return {"servers": _servers(function), **described}


def _servers(function: FunctionSpec) -> list[dict[str, Any]]:
    if function.domains:
        return [{"url": f"https://{domain}"} for domain in function.domains]
    host = {
        "default": f"{function.name}.localhost",
        "description": "The function's host, as `fnkit status` shows it",
    }
    return [{"url": "https://{host}", "variables": {"host": host}}]


def _with_own_names(described: FunctionDescription, taken: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return a document whose components have names that no other function uses for something else."""
    document = dict(described.document or {})
    renamed = {
        (kind, name): f"{described.function.name}_{name}"
        for kind, members in document.get("components", {}).items()
        for name, member in members.items()
        if taken.get(kind, {}).get(name, member) != member
    }
    if not renamed:
        return document

    def rename(value: Any) -> Any:
        match value:
            case {"$ref": str() as reference, **rest}:
                return {"$ref": _REFERENCE.sub(_renamed, reference), **rename(rest)}
            case dict():
                return {key: rename(one) for key, one in value.items()}
            case list():
                return [rename(one) for one in value]
            case _:
                return value

    def _renamed(found: re.Match[str]) -> str:
        name = renamed.get((found[1], found[2]), found[2])
        return f"#/components/{found[1]}/{name}"

    changed: dict[str, Any] = rename(document)
    changed["components"] = {
        kind: {renamed.get((kind, name), name): member for name, member in members.items()}
        for kind, members in changed["components"].items()
    }
    return changed
