"""The runtime table and the rules of its lifecycle."""

from __future__ import annotations

from fnkit.contract.enums import RuntimeStatus, is_unset
from fnkit.contract.resources import ListRuntimesResponse, Runtime
from fnkit.contract.runtimes import RuntimeTable
from fnkit.platform.control.refusals import ControlError, invalid, required

__all__ = ["runtime_for_create", "list_runtimes", "runtime_for_update"]


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
    return ControlError(
        400,
        f"message : {runtime.status_message}, error : rpc error: code = InvalidArgument desc = {reason}",
    )
