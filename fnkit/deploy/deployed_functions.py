"""The deployed functions of a namespace, and their selection by name."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from fnkit.client import FunctionsApi
from fnkit.contract.resources import Function
from fnkit.deploy.observe import observe_namespace
from fnkit.deploy.retries import AdaptiveLimiter
from fnkit.errors import NotFoundError


def list_functions(api: FunctionsApi, namespace: str) -> list[Function]:
    """Return the functions of a namespace by name.

    Raises:
        NotFoundError: ``not-deployed``: the namespace does not exist.
        ApiError: The API rejected a request or could not be reached.
    """
    observed = observe_namespace(api, namespace, AdaptiveLimiter())
    if observed.namespace is None:
        raise NotFoundError(
            f"There is no namespace {namespace} in {api.endpoint.region}.",
            code="not-deployed",
            hint="Deploy the project first, or check --stage and --region.",
        )
    return sorted(observed.functions, key=lambda one: one.name)


def select_functions(functions: Sequence[Function], names: Sequence[str], namespace: str) -> list[Function]:
    """Return the functions with these names, or all without names.

    Raises:
        NotFoundError: ``not-deployed``: there is no function of a name; the hint suggests a similar one.
    """
    if not names:
        return list(functions)
    by_name = {one.name: one for one in functions}
    for name in names:
        if name not in by_name:
            close = get_close_matches(name, by_name, n=1)
            known = ", ".join(by_name) or "none"
            raise NotFoundError(
                f"There is no function {name} in namespace {namespace}.",
                code="not-deployed",
                hint=f"Did you mean {close[0]}?" if close else f"Its functions are: {known}.",
            )
    return [by_name[name] for name in dict.fromkeys(names)]
