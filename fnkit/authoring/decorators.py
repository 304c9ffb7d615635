"""The ``@function``, ``@cron`` and ``@trigger`` decorators.

Each decorator attaches one frozen declaration to the handler, under ``DECLARATIONS_ATTRIBUTE``, and returns the
handler itself: there is no registry, wrapper or global state. fnkit normally reads decorators from the source
without executing it; only ``fnkit scan --import`` reads the attribute.

The decorators raise only where an argument would otherwise be lost. Values are validated by ``fnkit scan``, so
that all problems are reported together and a deployed handler still imports after the platform's limits change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias, TypedDict, TypeVar, Unpack, overload

from fnkit.authoring.declarations import (
    DECLARATIONS_ATTRIBUTE,
    CronDeclaration,
    Declaration,
    FunctionDeclaration,
    TriggerDeclaration,
)
from fnkit.authoring.function_url import FunctionUrl

Handler = TypeVar("Handler", bound=Callable[..., object])
"""A handler of any kind, or an ASGI or WSGI application. The decorators preserve its exact type."""
Memory: TypeAlias = Literal[128, 256, 512, 1024, 2048, 3072, 4096]
"""The platform's tiers, in MB."""
KnownRuntime: TypeAlias = Literal["python311", "python312", "python313", "python314"]
"""The names that editors suggest."""
Runtime: TypeAlias = KnownRuntime | str
"""The platform may have others."""
Region: TypeAlias = Literal["fr-par", "nl-ams", "pl-waw"]
"""The platform's regions."""


class FunctionOptions(TypedDict, total=False):
    """The arguments of ``@function``, which describes them."""

    name: str | None
    runtime: Runtime | None
    memory: Memory | None
    min_scale: int | None
    max_scale: int | None
    timeout: str | float | None
    privacy: Literal["public", "private"] | None
    http_option: Literal["enabled", "redirected"] | None
    sandbox: Literal["v1", "v2"] | None
    description: str | None
    env: Mapping[str, str | FunctionUrl] | None
    secrets: Iterable[str] | None
    tags: Iterable[str] | None
    groups: Iterable[str] | None
    domains: Iterable[str] | None
    private_network_id: str | None
    change_detection: Literal["function", "project"] | None
    preload: bool | None


@overload
def function(handler: Handler, /, **settings: Unpack[FunctionOptions]) -> Handler: ...


@overload
def function(**settings: Unpack[FunctionOptions]) -> Callable[[Handler], Handler]: ...


def function(  # noqa: PLR0913 - one keyword for each field of the API's CreateFunction
    handler: Handler | None = None,
    /,
    *,
    name: str | None = None,
    runtime: Runtime | None = None,
    memory: Memory | None = None,
    min_scale: int | None = None,
    max_scale: int | None = None,
    timeout: str | float | None = None,
    privacy: Literal["public", "private"] | None = None,
    http_option: Literal["enabled", "redirected"] | None = None,
    sandbox: Literal["v1", "v2"] | None = None,
    description: str | None = None,
    env: Mapping[str, str | FunctionUrl] | None = None,
    secrets: Iterable[str] | None = None,
    tags: Iterable[str] | None = None,
    groups: Iterable[str] | None = None,
    domains: Iterable[str] | None = None,
    private_network_id: str | None = None,
    change_detection: Literal["function", "project"] | None = None,
    preload: bool | None = None,
) -> Handler | Callable[[Handler], Handler]:
    """Deploy the decorated handler as a function.

    The decorator works with or without parentheses. Settings that are not given come from the project's settings,
    then from the platform's defaults. Several ``@function`` decorators on one handler are merged. An application
    is marked by a call: ``function(app, memory=512)``.

    Args:
        handler: The handler, when the decorator is used without parentheses, or an ASGI or WSGI application.
        name: Name of the function. Default: the Python name with ``_`` replaced by ``-``.
        runtime: A Python runtime such as ``python313``. Default: the runtime of the running interpreter.
        memory: Memory in MB, one of the platform's tiers (128, 256, 512, 1024, 2048, 3072, 4096).
        min_scale: Number of instances kept warm.
        max_scale: Maximum number of instances. Each instance processes one request at a time.
        timeout: Maximum duration of a request: seconds as a number, or a duration such as ``"30s"`` or ``"5m"``.
        privacy: ``public``, or ``private`` to require a token from callers.
        http_option: ``enabled``, or ``redirected`` to redirect plain HTTP to HTTPS.
        sandbox: Execution environment, ``v2`` (recommended) or ``v1``.
        description: Default: the first line of the handler's docstring.
        env: Environment variables: strings, or the URL of another function of the project as ``url_of("name")``.
        secrets: Names of secret environment variables. Their values are read on the deploying machine.
        tags: Custom labels.
        groups: Names of dependency groups of ``pyproject.toml`` that it needs, besides the project's dependencies.
        domains: Custom hostnames that route to this function.
        private_network_id: ID of the private network to attach to.
        change_detection: ``function`` redeploys when the function's own slice changes (its dependencies and the
            files it can reach), ``project`` on any change in the project. Default: ``function``.
        preload: ``False`` disables importing third-party modules ahead of a cold start.

    Returns:
        The same handler, with its declarations attached.

    Raises:
        TypeError: The positional argument is not callable, or a list setting is a single string.
    """
    declaration = FunctionDeclaration(
        name=name,
        runtime=runtime,
        memory=memory,
        min_scale=min_scale,
        max_scale=max_scale,
        timeout=timeout,
        privacy=privacy,
        http_option=http_option,
        sandbox=sandbox,
        description=description,
        env=None if env is None else MappingProxyType(dict(env)),
        secrets=_as_tuple("secrets", secrets),
        tags=_as_tuple("tags", tags),
        groups=_as_tuple("groups", groups),
        domains=_as_tuple("domains", domains),
        private_network_id=private_network_id,
        change_detection=change_detection,
        preload=preload,
    )
    if handler is None:
        return _declaring(declaration)
    return _add_declaration(handler, declaration)


def cron(
    schedule: str,
    *,
    args: Mapping[str, object] | None = None,
    name: str | None = None,
) -> Callable[[Handler], Handler]:
    """Call the decorated handler on a schedule, by POST with ``args`` as the JSON body.

    Args:
        schedule: Five UNIX cron fields, in UTC: minute, hour, day of month, month, day of week.
        args: The JSON object to send.
        name: Name of the cron. Default: ``cron-1``, ``cron-2``, … in source order.

    Returns:
        A decorator that returns the same handler. It implies ``@function``.

    Raises:
        TypeError: The decorator is used without a schedule.
    """
    if not isinstance(schedule, str):
        raise TypeError('@cron needs a schedule: @cron("*/5 * * * *")')
    frozen = None if args is None else MappingProxyType(dict(args))
    return _declaring(CronDeclaration(schedule=schedule, args=frozen, name=name))


@overload
def trigger(
    *,
    nats: str,
    name: str | None = None,
    description: str | None = None,
    account: str | None = None,
    project_id: str | None = None,
    region: Region | None = None,
) -> Callable[[Handler], Handler]: ...


@overload
def trigger(
    *,
    sqs: str,
    name: str | None = None,
    description: str | None = None,
    project_id: str | None = None,
    region: Region | None = None,
) -> Callable[[Handler], Handler]: ...


def trigger(
    *,
    nats: str | None = None,
    sqs: str | None = None,
    name: str | None = None,
    description: str | None = None,
    account: str | None = None,
    project_id: str | None = None,
    region: Region | None = None,
) -> Callable[[Handler], Handler]:
    """Call the decorated handler for each message of a NATS subject or SQS queue.

    Each message arrives as a POST request whose body is the raw message.

    Args:
        nats: A NATS subject. Wildcards are allowed.
        sqs: Name of an SQS queue.
        name: Name of the trigger. Default: derived from the subject or queue.
        description: A free-form description.
        account: ID of the NATS account, if the platform requires one.
        project_id: Project of the queue or account. Default: the project deployed to.
        region: Region of the queue or account. Default: the region deployed to.

    Returns:
        A decorator that returns the same handler. It implies ``@function``.
    """
    return _declaring(
        TriggerDeclaration(
            nats=nats,
            sqs=sqs,
            name=name,
            description=description,
            account=account,
            project_id=project_id,
            region=region,
        )
    )


def _declaring(declaration: Declaration) -> Callable[[Handler], Handler]:
    def decorate(handler: Handler) -> Handler:
        return _add_declaration(handler, declaration)

    return decorate


def _add_declaration(handler: Handler, declaration: Declaration) -> Handler:
    """Prepend a declaration: decorators are applied bottom-up, and the tuple keeps source order."""
    if not callable(handler):
        raise TypeError(f"a fnkit decorator applies to a handler, not {handler!r}; pass settings by name")
    earlier: tuple[Declaration, ...] = getattr(handler, DECLARATIONS_ATTRIBUTE, ())
    try:
        setattr(handler, DECLARATIONS_ATTRIBUTE, (declaration, *earlier))
    except AttributeError:
        raise TypeError(
            f"a {type(handler).__name__} cannot be marked; wrap it in a function or a class without __slots__"
        ) from None
    return handler


def _as_tuple(setting: str, values: Iterable[str] | None) -> tuple[str, ...] | None:
    if isinstance(values, str):
        raise TypeError(f"{setting} is a list of strings: {setting}=[{values!r}]")
    if isinstance(values, set | frozenset):
        # Sets iterate in a different order in each process, which the next deployment would see as a change.
        return tuple(sorted(values))
    return None if values is None else tuple(values)
