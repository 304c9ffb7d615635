"""What of a project is deployed: its namespace and functions, by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from fnkit.client import FunctionsApi
from fnkit.contract.resources import Function, Namespace
from fnkit.contract.text import natural_key
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
            NotFoundError: ``not-deployed``; the hint suggests a similar name, or lists the functions.
        """
        (function,) = self.select_functions((name,))
        return function

    def select_functions(self, names: Sequence[str]) -> list[Function]:
        """Return the functions with these names, each once, or all without names.

        Raises:
            NotFoundError: ``not-deployed``: there is no function of a name.
        """
        by_name = {one.name: one for one in self.functions}
        for name in names:
            if name not in by_name:
                raise self._missing_function(name, list(by_name))
        return [by_name[name] for name in dict.fromkeys(names)] if names else list(self.functions)

    def _missing_function(self, name: str, known: list[str]) -> NotFoundError:
        close = get_close_matches(name, known, n=1)
        others = f"Did you mean {close[0]}?" if close else f"Its functions are: {', '.join(known) or 'none'}."
        return NotFoundError(
            f"There is no function {name} in namespace {self.namespace.name}.",
            code="not-deployed",
            hint=f"{others} `fnkit deploy` deploys what the project declares.",
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
            hint="Deploy the project first, or check --stage and --region.",
        )
    functions = sorted(observed.functions, key=lambda one: natural_key(one.name))
    return DeployedNamespace(observed.namespace, tuple(functions))
