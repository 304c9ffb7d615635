"""A function's settings from the fields of a request, and the lifecycle rules of runtimes.

A new function starts from defaults; an update changes only the given fields.
"""

from __future__ import annotations

from typing import Final

import msgspec

from fnkit.contract.enums import HttpOption, Privacy, Sandbox
from fnkit.contract.limits import (
    CPU_BY_MEMORY,
    DEFAULT_MAX_SCALE,
    DEFAULT_MEMORY,
    DEFAULT_MIN_SCALE,
    DEFAULT_TIMEOUT_SECONDS,
)
from fnkit.contract.requests import CreateFunction, UpdateFunction
from fnkit.contract.runtimes import RuntimeTable
from fnkit.platform.control import validation
from fnkit.platform.control.runtimes import runtime_for_create, runtime_for_update
from fnkit.platform.records.function import FunctionSettings

__all__ = ["new_settings", "updated_settings"]

_DEFAULT_TIMEOUT: Final = DEFAULT_TIMEOUT_SECONDS * 10**9


def new_settings(request: CreateFunction, runtimes: RuntimeTable) -> FunctionSettings:
    """Return the settings of a new function, without secrets, which the caller adds once they are hashed.

    Raises:
        ControlError: A field is invalid.
    """
    runtime = runtime_for_create(runtimes, request.runtime)
    defaults = FunctionSettings(
        runtime=runtime.name,
        handler=runtime.default_handler,
        memory=DEFAULT_MEMORY,
        cpu=CPU_BY_MEMORY[DEFAULT_MEMORY],
        timeout=_DEFAULT_TIMEOUT,
        min_scale=DEFAULT_MIN_SCALE,
        max_scale=DEFAULT_MAX_SCALE,
        privacy=Privacy.PUBLIC.value,
        http_option=HttpOption.ENABLED.value,
        sandbox=Sandbox.V2.value,
    )
    return _apply_request(defaults, request, runtime.language)


def updated_settings(
    settings: FunctionSettings, request: UpdateFunction, runtimes: RuntimeTable
) -> FunctionSettings:
    """Return the settings with the given fields changed. Null, absent and ``unknown_*`` mean "not given".

    Raises:
        ControlError: A field is invalid.
    """
    runtime = runtime_for_update(runtimes, settings.runtime, request.runtime)
    return _apply_request(msgspec.structs.replace(settings, runtime=runtime.name), request, runtime.language)


def _apply_request(
    settings: FunctionSettings, request: CreateFunction | UpdateFunction, language: str
) -> FunctionSettings:
    memory = settings.memory if request.memory_limit is None else validation.memory(request.memory_limit)
    minimum = settings.min_scale if request.min_scale is None else request.min_scale
    maximum = settings.max_scale if request.max_scale is None else request.max_scale
    validation.scale(minimum, maximum)
    variables = request.environment_variables
    return msgspec.structs.replace(
        settings,
        handler=validation.handler(request.handler, language) if request.handler else settings.handler,
        memory=memory,
        cpu=CPU_BY_MEMORY[memory],
        timeout=validation.timeout(request.timeout) if request.timeout else settings.timeout,
        min_scale=minimum,
        max_scale=maximum,
        privacy=validation.privacy(request.privacy, settings.privacy),
        http_option=validation.http_option(request.http_option, settings.http_option),
        sandbox=validation.sandbox(request.sandbox, settings.sandbox),
        environment=settings.environment if variables is None else validation.environment(variables),
    )
