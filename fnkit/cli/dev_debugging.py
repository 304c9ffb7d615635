"""Debugging in ``fnkit dev``: prepares the debugger of one function, and the configuration of the editor."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fnkit.errors import UsageError

if TYPE_CHECKING:
    from fnkit.cli.options import CommonOptions
    from fnkit.cli.views.dev import DebuggingView
    from fnkit.deploy.loading import ProjectIdentity
    from fnkit.deploy.user_cache import CacheDirectory
    from fnkit.platform.supervisor.launcher import Debugger
    from fnkit.project import FunctionSpec

_LANGUAGES: Final = ("Python", "Node")
_KEY_BYTES: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class DebuggedFunction:
    """A function that can be debugged for as long as the session lasts.

    Attributes:
        debugger: What its platform needs.
        view: How to attach.
    """

    debugger: Debugger
    view: DebuggingView


@contextmanager
def debugged_function(
    common: CommonOptions, identity: ProjectIdentity, cache: CacheDirectory, name: str, port: int | None
) -> Iterator[DebuggedFunction]:
    """Prepare the debugger of a function, and listen for those who attach until the block ends.

    Raises:
        UsageError: ``no-function``, or ``debug-language``: there is no debugger for its language.
        PlatformError: ``debug-port``.
        FnkitError: The project is invalid, or the debugger cannot be installed.
    """
    from fnkit.cli.views.dev import DebuggingView
    from fnkit.contract.runtimes import find_runtime
    from fnkit.deploy.loading import load_project
    from fnkit.dev.debugging.launch_file import launch_configuration, save_launch_configuration
    from fnkit.dev.debugging.relay import DebugRelay, open_debug_port
    from fnkit.platform.supervisor.launcher import Debugger

    project = load_project(identity.root, stage=identity.stage)
    by_name = {one.name: one for one in project.functions}
    function = _find_function(by_name, name)
    row = find_runtime(function.runtime)
    language = row.language if row is not None else ""
    if language not in _LANGUAGES:
        raise UsageError(
            f"{name} cannot be debugged here: it is written in {language or function.runtime}.",
            code="debug-language",
            hint="--debug is for functions in Python and Node. What other functions print is shown here, too.",
        )
    directory = _prepare_python(common, identity, cache, function) if language == "Python" else ""
    with open_debug_port(port) as listener:
        key = secrets.token_hex(_KEY_BYTES)
        relay = DebugRelay(
            listener,
            key=key,
            source_root=identity.root / function.root,
            has_adapter=language == "Python",
            included={one.name: one.directory for one in project.included},
        )
        configuration = launch_configuration(name, language, folder=str(function.root), port=relay.port)
        is_saved = save_launch_configuration(identity.root, configuration, relay.port)
        relay.start()
        try:
            yield DebuggedFunction(
                debugger=Debugger(function=name, directory=directory, port=relay.report_port, key=key),
                view=DebuggingView(function=name, port=relay.port, configuration=configuration, is_saved=is_saved),
            )
        finally:
            relay.stop()


def _find_function(by_name: Mapping[str, FunctionSpec], name: str) -> FunctionSpec:
    if (function := by_name.get(name)) is not None:
        return function
    known = ", ".join(by_name) or "none"
    raise UsageError(
        f"The project has no function {name}.", code="no-function", hint=f"Its functions are: {known}."
    )


def _prepare_python(
    common: CommonOptions, identity: ProjectIdentity, cache: CacheDirectory, function: FunctionSpec
) -> str:
    """Return the directory with debugpy for the interpreter that the platform will run this function with."""
    from fnkit.environments.debugger import prepare_debugger
    from fnkit.toolchains.resolution import Toolchains

    with common.output.progress("Preparing the debugger"):
        interpreter = Toolchains(cache=cache.toolchains).resolve(function.runtime).interpreter
        return str(prepare_debugger(interpreter, identity.root, cache.environments).resolve())
