"""Resolves the variables that hold the URL of a function, as far as the URLs are known before the plan is applied.

A function that the plan creates has no URL yet; one that it replaces gets another. Their variables stay names of
functions in the plan (``FunctionChange.function_urls``), and get their values when it is applied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import msgspec

from fnkit.contract.resources import Function
from fnkit.errors import UsageError
from fnkit.plan.ownership import read_ownership
from fnkit.plan.state import DesiredFunction, DesiredState, ObservedState


def check_referenced_functions(desired: DesiredState, observed: ObservedState) -> None:
    """Reject functions of a partial deploy whose variables hold URLs of functions that do not exist.

    Raises:
        UsageError: ``url-of-not-deployed``.
    """
    selected = {one.name for one in desired.functions}
    missing = [
        (wanted.name, variable, function)
        for wanted in desired.functions
        for variable, function in sorted(wanted.function_urls.items())
        if function not in selected and not _is_deployed(function, desired, observed)
    ]
    if not missing:
        return
    name, variable, function = missing[0]
    together = " ".join([*(one.name for one in desired.functions), *sorted({one[2] for one in missing})])
    raise UsageError(
        f"{name} needs the URL of {function} ({variable}), which is not deployed.",
        code="url-of-not-deployed",
        hint=f"Deploy them together: `fnkit deploy {together}`.",
    )


def _is_deployed(function: str, desired: DesiredState, observed: ObservedState) -> bool:
    live = observed.find_function(function)
    return live is not None and read_ownership(live.tags).belongs_to(desired.project, desired.stage)


def resolve_function_urls(
    desired: DesiredState, observed: ObservedState, is_recreated: Callable[[DesiredFunction, Function], bool]
) -> tuple[DesiredFunction, ...]:
    """Return the functions with every URL that is known among their variables.

    Their ``function_urls`` are the remaining ones. A variable that holds one of the URLs of its function keeps it.

    Args:
        desired: The declared state.
        observed: The live state.
        is_recreated: Returns whether a function is deleted and created again, so that its URL changes.
    """
    new = {
        wanted.name
        for wanted in desired.functions
        if (live := observed.find_function(wanted.name)) is None or is_recreated(wanted, live)
    }
    return tuple(
        _resolved(wanted, observed, new) if wanted.function_urls else wanted for wanted in desired.functions
    )


def _resolved(wanted: DesiredFunction, observed: ObservedState, new: Iterable[str]) -> DesiredFunction:
    live = observed.find_function(wanted.name)
    current: Mapping[str, str] = {} if live is None else live.environment_variables
    pending: dict[str, str] = {}
    known: dict[str, str] = {}
    for variable, function in wanted.function_urls.items():
        urls = () if function in new else observed.function_urls.get(function, ())
        if not urls:
            pending[variable] = function
        else:
            value = current.get(variable, "")
            known[variable] = value if value in urls else urls[0]
    settings = msgspec.structs.replace(wanted.settings, environment=wanted.settings.environment | known)
    return replace(wanted, settings=settings, function_urls=pending)


def pending_reasons(wanted: DesiredFunction) -> tuple[str, ...]:
    """Return a reason for each variable of a resolved function whose value is not known yet."""
    return tuple(
        f"variable {variable}: the URL of {function}, known after it is created"
        for variable, function in sorted(wanted.function_urls.items())
    )
