"""A function's settings from the fields of a request, and the lifecycle rules of runtimes.

A new function starts from defaults; an update changes only the given fields.
"""

from __future__ import annotations

from typing import Final

import msgspec

from fnkit.contract import limits
from fnkit.contract.enums import HttpOption, Privacy, RuntimeStatus, Sandbox, is_unset
from fnkit.contract.requests import CreateFunction, FunctionFields, UpdateFunction
from fnkit.contract.resources import ListRuntimesResponse, Runtime
from fnkit.contract.runtimes import RuntimeTable
from fnkit.platform.control.errors import ControlError, invalid, required
from fnkit.platform.control.resources import validation
from fnkit.platform.model.records import FunctionSettings, NamespaceRecord

_DEFAULT_TIMEOUT: Final = limits.DEFAULT_TIMEOUT_SECONDS * 10**9


def list_runtimes(table: RuntimeTable) -> ListRuntimesResponse:
    """Return the complete table, which the real API was recorded not to page."""
    return ListRuntimesResponse(runtimes=list(table.runtimes), total_count=len(table.runtimes))


def runtime_for_create(table: RuntimeTable, name: str | None) -> Runtime:
    """Return the runtime for a new function.

    Raises:
        ControlError: 400, the runtime is unknown or past its end of support. The messages are the real API's, from
            public reports.
    """
    if name is None or is_unset(name):
        raise required("runtime")
    runtime = _require_runtime(table, name)
    if runtime.status == RuntimeStatus.END_OF_SUPPORT:
        raise _end_of_support_error(runtime, "runtime reached end of support, could not create new functions")
    if runtime.status == RuntimeStatus.END_OF_LIFE:
        raise _end_of_support_error(runtime, "runtime reached end of life, could not create new functions")
    return runtime


def runtime_for_update(table: RuntimeTable, current: str, wanted: str | None) -> Runtime:
    """Return the runtime of a function after an update.

    Args:
        table: The runtime table.
        current: The function's runtime.
        wanted: The requested runtime; ``None`` and ``unknown_runtime`` leave it unchanged.

    Raises:
        ControlError: 400, the runtime is unknown, of another language, past its end of life, or newly chosen after
            its end of support.
    """
    runtime = _require_runtime(table, current if wanted is None or is_unset(wanted) else wanted)
    before = _require_runtime(table, current)
    if runtime.language != before.language:
        raise invalid("runtime", f"cannot change from {before.language} to {runtime.language}")
    if runtime.status == RuntimeStatus.END_OF_LIFE:
        raise _end_of_support_error(runtime, "runtime reached end of life, could not update functions")
    if runtime.name != current and runtime.status == RuntimeStatus.END_OF_SUPPORT:
        raise _end_of_support_error(runtime, "runtime reached end of support, could not update functions to it")
    return runtime


def _require_runtime(table: RuntimeTable, name: str) -> Runtime:
    runtime = table.find(name)
    if runtime is None:
        raise invalid("runtime", f"{name[:64]!r} is not one of this API's runtimes")
    return runtime


def _end_of_support_error(runtime: Runtime, reason: str) -> ControlError:
    text = f"message : {runtime.status_message}, error : rpc error: code = InvalidArgument desc = {reason}"
    return ControlError(400, text)


def new_settings(request: CreateFunction, runtimes: RuntimeTable) -> FunctionSettings:
    """Return the settings of a new function, without secrets, which the caller adds once they are hashed.

    Raises:
        ControlError: A field is invalid.
    """
    runtime = runtime_for_create(runtimes, request.runtime)
    defaults = FunctionSettings(
        runtime=runtime.name,
        handler=runtime.default_handler,
        memory=limits.DEFAULT_MEMORY,
        cpu=limits.CPU_BY_MEMORY[limits.DEFAULT_MEMORY],
        timeout=_DEFAULT_TIMEOUT,
        min_scale=limits.DEFAULT_MIN_SCALE,
        max_scale=limits.DEFAULT_MAX_SCALE,
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


def check_variable_counts(namespace: NamespaceRecord, name: str, settings: FunctionSettings) -> None:
    """Limit the variables, and the secrets, of a function and its namespace together.

    Args:
        namespace: The namespace.
        name: The function's name, for the message.
        settings: The function's settings.

    Raises:
        ControlError: 400.
    """
    variables = namespace.environment.keys() | settings.environment.keys()
    secrets = {secret.key for secret in (*namespace.secrets, *settings.secrets)}
    for field, count, most in (
        ("environment_variables", len(variables), limits.ENVIRONMENT_MAX_ENTRIES),
        ("secret_environment_variables", len(secrets), limits.SECRETS_MAX_ENTRIES),
    ):
        if count > most:
            both = f"those of the function {name} and its namespace together"
            raise invalid(field, f"must have at most {most} entries, {both}")


def _apply_request(settings: FunctionSettings, request: FunctionFields, language: str) -> FunctionSettings:
    memory = settings.memory if request.memory_limit is None else validation.memory(request.memory_limit)
    minimum = settings.min_scale if request.min_scale is None else request.min_scale
    maximum = settings.max_scale if request.max_scale is None else request.max_scale
    validation.scale(minimum, maximum)
    variables = request.environment_variables
    return msgspec.structs.replace(
        settings,
        handler=validation.handler(request.handler, language) if request.handler else settings.handler,
        memory=memory,
        cpu=limits.CPU_BY_MEMORY[memory],
        timeout=validation.timeout(request.timeout) if request.timeout else settings.timeout,
        min_scale=minimum,
        max_scale=maximum,
        privacy=validation.choice("privacy", request.privacy, settings.privacy, tuple(Privacy)),
        http_option=validation.choice("http_option", request.http_option, settings.http_option, tuple(HttpOption)),
        sandbox=validation.choice("sandbox", request.sandbox, settings.sandbox, tuple(Sandbox)),
        environment=settings.environment if variables is None else validation.environment(variables),
    )
