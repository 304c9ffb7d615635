"""Creates functions without code: those whose URLs others need, before anything else of a plan.

The URL of a function is part of the request that completes another one, so it must exist before. One that was
only created has its owner tags but no digest: after an interrupt, the next plan deploys it, and finds its URL. The
API
returns ``domain_name`` from the creation on (``docs/api-behaviour.md``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from msgspec.structs import replace

from fnkit.contract.requests import CreateFunction
from fnkit.contract.resources import Function
from fnkit.deploy.apply_resources import ApplyContext, create_owned, delete_and_wait
from fnkit.deploy.target import function_url
from fnkit.errors import DeployError, FnkitError
from fnkit.plan.model import Action, FunctionChange, FunctionConfig, Plan

_MAX_WORKERS = 16


@dataclass(frozen=True, slots=True)
class CreatedFunctions:
    """The functions that were created before the others, and why some were not.

    Attributes:
        functions: The created ones by name, not yet deployed.
        urls: Their URLs by name.
        failures: The errors by name of those that could not be created.
    """

    functions: Mapping[str, Function] = field(default_factory=dict)
    urls: Mapping[str, str] = field(default_factory=dict)
    failures: Mapping[str, FnkitError] = field(default_factory=dict)

    def complete(self, change: FunctionChange) -> FunctionChange:
        """Return a change with the URLs that it waits for among its variables.

        Raises:
            FnkitError: The function itself, or one whose URL it needs, could not be created.
        """
        if change.name in self.failures:
            raise self.failures[change.name]
        for variable, function in change.function_urls.items():
            if function not in self.urls:
                raise _missing_url(change.name, variable, function)
        if change.settings is None or not change.function_urls:
            return change
        urls = {variable: self.urls[function] for variable, function in change.function_urls.items()}
        environment = change.settings.environment | urls
        return replace(change, settings=replace(change.settings, environment=environment), function_urls={})


def _missing_url(name: str, variable: str, function: str) -> DeployError:
    return DeployError(
        f"{name} was not deployed: {function}, whose URL is the value of {variable}, could not be created.",
        code="url-of-not-created",
        hint=f"Repair {function} and deploy again: the next deploy completes both.",
    )


def create_referenced_functions(plan: Plan, context: ApplyContext) -> CreatedFunctions:
    """Create the functions of a plan whose URLs are values of variables; delete before those that are replaced."""
    referenced = plan.referenced_functions
    changes = [
        change
        for change in plan.changes
        if isinstance(change, FunctionChange)
        and change.name in referenced
        and change.action in (Action.CREATE, Action.REPLACE)
    ]
    if not changes:
        return CreatedFunctions()
    results = dict(zip((change.name for change in changes), _create_all(changes, context), strict=True))
    created = {name: result for name, result in results.items() if isinstance(result, Function)}
    return CreatedFunctions(
        functions=created,
        urls={
            name: function_url(
                context.platform,
                function.domain_name,
                region=plan.region,
                namespace=plan.namespace,
                function=name,
            )
            for name, function in created.items()
        },
        failures={name: result for name, result in results.items() if isinstance(result, FnkitError)},
    )


def _create_all(changes: Iterable[FunctionChange], context: ApplyContext) -> list[Function | FnkitError]:
    def create(change: FunctionChange) -> Function | FnkitError:
        try:
            return create_function(change, context)
        except FnkitError as error:
            return error

    with ThreadPoolExecutor(max_workers=_MAX_WORKERS, thread_name_prefix="create") as pool:
        try:
            return list(pool.map(create, changes))
        except BaseException:
            context.limiter.interrupt()  # so that leaving the pool does not wait for pauses
            raise


def create_function(change: FunctionChange, context: ApplyContext) -> Function:
    """Create the function of a change; delete the existing one before if it is replaced.

    Raises:
        ApiError: The API rejected a request.
        DeployError: The deleted function did not disappear, or the change has no settings.
    """
    if change.settings is None:
        raise DeployError(f"The plan creates {change.name} without settings.", code="bad-plan")
    on_step = context.step_callback(change.name)
    if change.action is Action.REPLACE:
        on_step("deleting the old function")
        delete_function(change, context)
    on_step("creating")
    request = _create_request(change, change.settings, context.namespace_id)
    return create_owned(context.api.functions, request, context.namespace_id, context)


def delete_function(change: FunctionChange, context: ApplyContext) -> None:
    """Delete the function of a change, if it exists, and wait until it is gone.

    Raises:
        ApiError: The API rejected the deletion.
        DeployError: The function did not disappear.
    """
    if change.id is None:
        return
    context.step_callback(change.name)("deleting")
    delete_and_wait(context.api.functions, change.id, f"The function {change.name}", context)


def _create_request(change: FunctionChange, settings: FunctionConfig, namespace_id: str) -> CreateFunction:
    """Return the request that creates a function: name, runtime and owner tags only.

    All other settings follow in the final PATCH, together with the digest.
    """
    return CreateFunction(
        name=change.name,
        namespace_id=namespace_id,
        runtime=settings.runtime,
        handler=settings.handler,
        privacy=settings.privacy,
        tags=list(change.tags),
    )
