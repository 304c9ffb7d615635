"""Program of the child process that imports one module and writes its declarations to a JSON manifest.

Its arguments are the project folder, the module's file and the manifest's file. It imports the module as the
platform does: under its bare name, with the project folder and ``package/`` at the start of ``sys.path`` and the
file's folder at the end. Side effects of the import are confined to this process.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
import traceback
from dataclasses import fields
from json import dumps  # bound before the import, because the module may replace attributes of json
from pathlib import Path
from types import ModuleType
from typing import Final

from fnkit.authoring.calling import hint_name, signature_of
from fnkit.authoring.declarations import (
    DECLARATIONS_ATTRIBUTE,
    CronDeclaration,
    Declaration,
    FunctionDeclaration,
    TriggerDeclaration,
)
from fnkit.authoring.function_url import FunctionUrl
from fnkit.worker.python.included_directories import install_from_environment

_DECORATOR_NAMES: Final = {FunctionDeclaration: "function", CronDeclaration: "cron", TriggerDeclaration: "trigger"}


def main(root: str, file: str, manifest: str) -> None:
    """Import a module, write its manifest, and end the process.

    ``os._exit`` ends the process without waiting for threads that the module started.

    Args:
        root: Absolute path of the project folder.
        file: Path of the module relative to ``root``.
        manifest: Path of the file to write.
    """
    path = Path(root, file)
    sys.path[:0] = [root, str(Path(root, "package"))]
    sys.path.append(str(path.parent))
    install_from_environment(os.environ)
    try:
        module = _import_module(path)
        failures: list[object] = []
        handlers = [
            _describe_handler(name, value, path, failures) for name, value in _decorated_objects(module).items()
        ]
        content: dict[str, object] = {"handlers": handlers, "failures": failures}
    except BaseException as error:  # noqa: BLE001 - the manifest reports whatever a module raises, SystemExit included
        content = {"handlers": [], "failures": [_import_failure(error, path)]}
    Path(manifest).write_text(dumps(content), encoding="utf-8")
    os._exit(0)


def _import_module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path.name} has no import loader")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _decorated_objects(module: ModuleType) -> dict[str, object]:
    """Return the decorated objects of the module by name.

    Objects imported from another module are left out: they are found in the module that defines them.
    """
    own: dict[str, object] = {}
    for name, value in list(vars(module).items()):
        declarations = getattr(value, DECLARATIONS_ATTRIBUTE, None)
        if not isinstance(declarations, tuple) or not declarations or not callable(value):
            continue
        if not all(type(one) in _DECORATOR_NAMES for one in declarations):
            continue
        home = sys.modules.get(getattr(value, "__module__", None) or "")
        if home is None or home is module or all(other is not value for other in vars(home).values()):
            own[name] = value
    return _without_aliases(own)


def _without_aliases(decorated: dict[str, object]) -> dict[str, object]:
    """Return the objects without other names of one application: ``api = function(app)`` makes one function."""
    names = {id(value): name for name, value in decorated.items() if not inspect.isroutine(value)}
    return {name: value for name, value in decorated.items() if names.get(id(value), name) == name}


def _describe_handler(name: str, value: object, path: Path, failures: list[object]) -> dict[str, object]:
    """Describe a handler, and add a failure for each argument that cannot be serialized as JSON."""
    documentation = (inspect.getdoc(value) or "").strip().splitlines() if inspect.isroutine(value) else []
    line = _definition_line(value, path)
    declarations: list[object] = []
    for declaration in getattr(value, DECLARATIONS_ATTRIBUTE):
        arguments: dict[str, object] = {}
        given_arguments = _given_arguments(declaration)
        function_urls = _take_function_urls(given_arguments)
        for argument, given in given_arguments.items():
            try:
                dumps(given, allow_nan=False)
            except (TypeError, ValueError, RecursionError) as error:
                message = f"{argument} of {name} cannot be represented as JSON: {error}"
                failures.append({"code": "bad-argument", "message": message, "line": line})
            else:
                arguments[argument] = given
        kind = _DECORATOR_NAMES[type(declaration)]
        declarations.append({"kind": kind, "arguments": arguments, "function_urls": function_urls})
    return {
        "name": name,
        "line": line,
        "summary": documentation[0].strip() if documentation else "",
        "declarations": declarations,
        "signature": _describe_signature(value) if inspect.isroutine(value) else None,
        "is_application": not inspect.isroutine(value),
    }


def _given_arguments(declaration: Declaration) -> dict[str, object]:
    """Return the arguments that were given, with read-only mappings converted to dictionaries."""
    given = {field.name: getattr(declaration, field.name) for field in fields(declaration)}
    return {
        name: dict(value) if hasattr(value, "keys") else value for name, value in given.items() if value is not None
    }


def _take_function_urls(arguments: dict[str, object]) -> dict[str, str]:
    """Take the URLs of functions, which are no JSON, out of ``env``; return function by variable."""
    env = arguments.get("env")
    if not isinstance(env, dict):
        return {}
    urls = {name: value.function for name, value in env.items() if isinstance(value, FunctionUrl)}
    arguments["env"] = {name: value for name, value in env.items() if name not in urls}
    return urls


def _definition_line(value: object, path: Path) -> int:
    code = getattr(inspect.unwrap(value) if callable(value) else value, "__code__", None)
    same = code is not None and Path(code.co_filename) == path
    return int(code.co_firstlineno) if same and code is not None else 1


def _describe_signature(value: object) -> dict[str, object] | None:
    if not callable(value):
        return None
    try:
        parameters = signature_of(value).parameters.values()
    except (TypeError, ValueError):
        return None
    kinds = inspect.Parameter
    positional = [p for p in parameters if p.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)]
    return {
        "required_positionals": sum(p.default is p.empty for p in positional),
        "max_positionals": None if any(p.kind is kinds.VAR_POSITIONAL for p in parameters) else len(positional),
        "required_keywords": [p.name for p in parameters if p.kind is kinds.KEYWORD_ONLY and p.default is p.empty],
        "is_async": inspect.iscoroutinefunction(value),
        "is_generator": inspect.isgeneratorfunction(value) or inspect.isasyncgenfunction(value),
        "parameters": [_describe_parameter(one) for one in parameters],
    }


def _describe_parameter(parameter: inspect.Parameter) -> tuple[str, str | None, str, bool]:
    kinds: dict[object, str] = {
        inspect.Parameter.KEYWORD_ONLY: "keyword",
        inspect.Parameter.VAR_POSITIONAL: "*",
        inspect.Parameter.VAR_KEYWORD: "**",
    }
    hint = None if parameter.annotation is parameter.empty else hint_name(parameter.annotation)
    kind = kinds.get(parameter.kind, "positional")
    return parameter.name, hint, kind, parameter.default is parameter.empty and not kind.startswith("*")


def _import_failure(error: BaseException, path: Path) -> dict[str, object]:
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    if isinstance(error, SystemExit):
        message = "the module ends the process when it is imported (SystemExit)."
    else:
        text = str(error).strip().splitlines()
        message = f"importing it raised {type(error).__name__}{': ' + text[0][:300] if text else ''}"
    return {"code": "import-failed", "message": message, "line": lines[-1] if lines else None}


if __name__ == "__main__":
    main(*sys.argv[1:4])
