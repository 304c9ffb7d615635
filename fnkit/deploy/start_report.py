"""Reports what the API calls ``ready`` and what nevertheless does not work: failed imports and idle triggers.

As in production, a function whose handler cannot be imported is ``ready`` and answers each request with an error.
The local platform has started an instance of it, and knows. Scaleway's API does not tell.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from fnkit.client.api import FunctionsApi
from fnkit.contract.enums import Status
from fnkit.contract.platform import PlatformInfo, TriggerStatus
from fnkit.deploy.events import FunctionResult, IdleTrigger
from fnkit.deploy.retries import AdaptiveLimiter
from fnkit.errors import DeployError

_TRACEBACK_LINES: Final = 6
_DEPLOYED_FILE: Final = re.compile(r'File "[^"]*/deployments/[0-9a-f-]{36}-\d+/')
_TRIGGER_TIMEOUT_SECONDS: Final = 5.0  # brokers answer within milliseconds, a starting one within a second


def fail_unimportable(
    results: Sequence[FunctionResult], api: FunctionsApi, limiter: AdaptiveLimiter
) -> list[FunctionResult]:
    """Return the results, with a failure for each ready function that cannot import its handler.

    Functions that did not change are included: they do not work either.
    """
    if not any(one.status == Status.READY for one in results):
        return list(results)
    errors = import_errors(limiter.call(api.platform_info))
    return [
        replace(one, failure=import_failure((one.name,), errors[one.id]), import_error=errors[one.id])
        if one.failure is None and one.status == Status.READY and one.id in errors
        else one
        for one in results
    ]


def import_errors(info: PlatformInfo | None) -> dict[str, str]:
    """Return the end of the traceback by function id, of functions that cannot import their handler."""
    return {} if info is None else {one.function_id: one.error for one in info.failed_imports}


def shortened_traceback(error: str) -> str:
    """Return the last lines of a traceback, indented, and with the names of files in the project."""
    lines = _DEPLOYED_FILE.sub('File "', error.rstrip()).splitlines()[-_TRACEBACK_LINES:]
    return "\n".join(f"    {line}" for line in lines)


def import_failure(functions: Sequence[str], error: str) -> DeployError:
    """Return the failure of deployed functions whose handlers cannot be imported.

    Args:
        functions: Their names, at least one.
        error: The end of the traceback, which is the same for all of them.
    """
    names = ", ".join(functions)
    what = "was deployed, but its handler" if len(functions) == 1 else "were deployed, but their handlers"
    return DeployError(
        f"{names} {what} cannot be imported:\n{shortened_traceback(error)}",
        code="import-failed",
        hint="Every request gets an error until this is corrected and deployed.",
    )


def find_idle_triggers(
    declared: Mapping[str, tuple[str, int]], api: FunctionsApi, limiter: AdaptiveLimiter
) -> tuple[IdleTrigger, ...]:
    """Return the triggers that will receive nothing, because their broker is missing.

    Waits until the others are connected: the queue of a trigger can then be used.

    Args:
        declared: Name and number of triggers by function id, of deployed functions.
        api: The API.
        limiter: Limits concurrent requests.
    """
    if not any(number for _, number in declared.values()):
        return ()

    known: list[TriggerStatus] = []

    def all_known() -> bool | None:
        info = limiter.call(api.platform_info)
        if info is None:
            return True
        known[:] = [one for one in info.triggers if one.function_id in declared]
        is_complete = len(known) >= sum(number for _, number in declared.values())
        return True if is_complete and not any(one.is_connecting for one in known) else None

    limiter.poll(all_known, timeout_seconds=_TRIGGER_TIMEOUT_SECONDS, max_interval=0.15)
    return tuple(
        IdleTrigger(declared[one.function_id][0], one.name, one.words) for one in known if one.state == "idle"
    )
