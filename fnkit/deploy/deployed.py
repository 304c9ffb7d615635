"""What of a project is deployed: its namespace and functions, by name."""

from __future__ import annotations

from dataclasses import dataclass

from fnkit.client import FunctionsApi
from fnkit.contract.resources import Function, Namespace
from fnkit.deploy.observe import observe_namespace
from fnkit.deploy.retries import AdaptiveLimiter
from fnkit.errors import NotFoundError


@dataclass(frozen=True, slots=True)
class DeployedNamespace:
    """A live namespace with its functions, sorted by name."""

    namespace: Namespace
    functions: tuple[Function, ...]

    def find_function(self, name: str) -> Function:
        """Return the function with this name.

        Raises:
            NotFoundError: ``not-deployed``; the hint lists the functions.
        """
        for function in self.functions:
            if function.name == name:
                return function
        known = ", ".join(one.name for one in self.functions) or "none"
        raise NotFoundError(
            f"There is no function {name} in namespace {self.namespace.name}.",
            code="not-deployed",
            hint=f"Deploy it with `fnkit deploy`. Its functions are: {known}.",
        )


def read_deployed_namespace(api: FunctionsApi, namespace: str) -> DeployedNamespace:
    """Return the live namespace of a project and stage.

    Raises:
        NotFoundError: ``not-deployed``: there is no such namespace.
        ApiError: The endpoint rejected a request or could not be reached.
    """
    observed = observe_namespace(api, namespace, AdaptiveLimiter())
    if observed.namespace is None:
        raise NotFoundError(
            f"There is no namespace {namespace} in {api.endpoint.region}.",
            code="not-deployed",
            hint="Deploy the project first.",
        )
    return DeployedNamespace(observed.namespace, tuple(sorted(observed.functions, key=lambda one: one.name)))
