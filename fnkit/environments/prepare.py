"""Prepares the environment of a function. A language is one row here, imported only where it is used."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias, cast

from fnkit.contract.runtimes import find_runtime
from fnkit.environments.model import EnvironmentRequest, HandlerEnvironment
from fnkit.errors import InvokeError

LanguageEnvironment: TypeAlias = Callable[[EnvironmentRequest], HandlerEnvironment]
"""Makes what the cache lacks, and returns what runs the function's handler."""

_LANGUAGES: Final[Mapping[str, tuple[str, str]]] = {
    "Python": ("python", "prepare_python"),
    "Node": ("interpreted", "prepare_node"),
    "PHP": ("interpreted", "prepare_php"),
    "Go": ("compiled", "prepare_compiled"),
    "Rust": ("compiled", "prepare_compiled"),
}
"""Module and function by language."""


def prepare_environment(request: EnvironmentRequest) -> HandlerEnvironment:
    """Return what runs the handler of a function, after making what the cache lacks.

    The same call without a change of the function makes nothing and takes a few milliseconds.

    Raises:
        InvokeError: ``language-not-here``, or the function cannot be compiled.
        PlatformError: ``no-toolchain``: this machine lacks the language.
        BundleError: The packages cannot be installed, or a build is not allowed.
    """
    runtime = find_runtime(request.function.runtime)
    row = _LANGUAGES.get(runtime.language) if runtime is not None else None
    if row is None:
        raise InvokeError(
            f"{request.function.name} uses the runtime {request.function.runtime}, which this fnkit does not know.",
            code="language-not-here",
            hint="Use another runtime, or a newer fnkit.",
        )
    module, name = row
    prepare = getattr(importlib.import_module(f"fnkit.environments.{module}"), name)
    return cast("LanguageEnvironment", prepare)(request)
