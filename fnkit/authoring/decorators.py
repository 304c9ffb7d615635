"""``@function``, ``@cron`` and ``@trigger``: each attaches one frozen declaration and returns the same function.

There is no registry, no wrapper and no global: what a handler declares stands on the handler, under
``ATTRIBUTE``, as one tuple in the order in which it is written. The kit reads it from the source without
running it; only ``fnkit scan --import`` looks at the attribute itself.

Nothing is checked here beyond what would lose information: a handler must still import on a platform whose
limits changed, and all problems are told at once by ``fnkit scan``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Literal, Never, TypeVar, overload

from fnkit.authoring.declarations import (
    ATTRIBUTE,
    CronDeclaration,
    Declaration,
    FunctionDeclaration,
    TriggerDeclaration,
)

__all__ = ["cron", "function", "trigger"]

Handler = TypeVar("Handler", bound=Callable[[Never, Never], object])
"""Anything that can be called with an event and a context; the decorators give back the very same type."""


@overload
def function(handler: Handler, /) -> Handler: ...


@overload
def function(
    *,
    name: str | None = None,
    runtime: str | None = None,
    memory: int | None = None,
    min_scale: int | None = None,
    max_scale: int | None = None,
    timeout: str | float | None = None,
    privacy: Literal["public", "private"] | None = None,
    http_option: Literal["enabled", "redirected"] | None = None,
    sandbox: Literal["v1", "v2"] | None = None,
    description: str | None = None,
    env: Mapping[str, str] | None = None,
    secrets: Iterable[str] | None = None,
    tags: Iterable[str] | None = None,
    domains: Iterable[str] | None = None,
    private_network_id: str | None = None,
    slice: bool | None = None,
    preload: bool | None = None,
) -> Callable[[Handler], Handler]: ...


def function(  # noqa: PLR0913 - one keyword for each field of the API's CreateFunction
    handler: Handler | None = None,
    /,
    *,
    name: str | None = None,
    runtime: str | None = None,
    memory: int | None = None,
    min_scale: int | None = None,
    max_scale: int | None = None,
    timeout: str | float | None = None,
    privacy: Literal["public", "private"] | None = None,
    http_option: Literal["enabled", "redirected"] | None = None,
    sandbox: Literal["v1", "v2"] | None = None,
    description: str | None = None,
    env: Mapping[str, str] | None = None,
    secrets: Iterable[str] | None = None,
    tags: Iterable[str] | None = None,
    domains: Iterable[str] | None = None,
    private_network_id: str | None = None,
    slice: bool | None = None,  # noqa: A002 - the setting's plain name; nothing here slices
    preload: bool | None = None,
) -> Handler | Callable[[Handler], Handler]:
    """Deploy the handler below as a function.

    Bare (``@function``) or called; every setting that is left out comes from the project's settings, then from
    the platform's defaults. Several ``@function`` on one handler add up.

    Args:
        handler: the handler, when the decorator is used bare.
        name: the function's name; default: the Python name with ``_`` as ``-``.
        runtime: ``python313`` and the like; default: the running interpreter's.
        memory: MB, one of the platform's tiers (128, 256, 512, 1024, 2048, 3072, 4096).
        min_scale: instances kept warm.
        max_scale: instances at most; each answers one request at a time.
        timeout: seconds, or ``"30s"``, ``"5m"``: how long one request may take.
        privacy: ``public``, or ``private``: callers need a token.
        http_option: ``enabled``, or ``redirected``: plain HTTP is redirected to HTTPS.
        sandbox: ``v2`` (recommended) or ``v1``.
        description: default: the first line of the handler's docstring.
        env: environment variables.
        secrets: names of secret variables; their values are read on the deploying machine.
        tags: labels of your own.
        domains: custom hostnames that answer with this function.
        private_network_id: the private network to attach to.
        slice: False deploys this function on every change of the project.
        preload: False keeps third-party imports out of warm-up.

    Returns:
        The same handler, unchanged but for its declarations.

    Raises:
        TypeError: on a positional argument that is not a handler, or a string where a list is meant.
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
        secrets=_tuple("secrets", secrets),
        tags=_tuple("tags", tags),
        domains=_tuple("domains", domains),
        private_network_id=private_network_id,
        slice=slice,
        preload=preload,
    )
    if handler is None:
        return _attach(declaration)
    return _mark(handler, declaration)


def cron(
    schedule: str,
    *,
    args: Mapping[str, object] | None = None,
    name: str | None = None,
) -> Callable[[Handler], Handler]:
    """Call the handler below on a schedule, by POST with ``args`` as its JSON body.

    Args:
        schedule: five UNIX fields, in UTC: minute, hour, day of month, month, day of week.
        args: the JSON object to send.
        name: the cron's name; default: ``cron-1``, ``cron-2``, … in the order of writing.

    Returns:
        A decorator that returns the same handler. It implies ``@function``.

    Raises:
        TypeError: when it is used without a schedule.
    """
    if not isinstance(schedule, str):
        raise TypeError('@cron needs a schedule: @cron("*/5 * * * *")')
    frozen = None if args is None else MappingProxyType(dict(args))
    return _attach(CronDeclaration(schedule=schedule, args=frozen, name=name))


@overload
def trigger(
    *,
    nats: str,
    name: str | None = None,
    description: str | None = None,
    account: str | None = None,
    project_id: str | None = None,
    region: str | None = None,
) -> Callable[[Handler], Handler]: ...


@overload
def trigger(
    *,
    sqs: str,
    name: str | None = None,
    description: str | None = None,
    project_id: str | None = None,
    region: str | None = None,
) -> Callable[[Handler], Handler]: ...


def trigger(
    *,
    nats: str | None = None,
    sqs: str | None = None,
    name: str | None = None,
    description: str | None = None,
    account: str | None = None,
    project_id: str | None = None,
    region: str | None = None,
) -> Callable[[Handler], Handler]:
    """Call the handler below for each message of a NATS subject or an SQS queue, by POST with its raw body.

    Args:
        nats: a NATS subject; wildcards are allowed.
        sqs: the name of an SQS queue.
        name: the trigger's name; default: made from the subject or queue.
        description: for people.
        account: the NATS account's id, where the platform needs one.
        project_id: the project in which the queue or account lives; default: the one deployed to.
        region: the region in which it lives; default: the one deployed to.

    Returns:
        A decorator that returns the same handler. It implies ``@function``.
    """
    return _attach(
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


def _attach(declaration: Declaration) -> Callable[[Handler], Handler]:
    def decorate(handler: Handler) -> Handler:
        return _mark(handler, declaration)

    return decorate


def _mark(handler: Handler, declaration: Declaration) -> Handler:
    """Put one more declaration in front: decorators run bottom-up, and the tuple keeps the order of writing."""
    if not callable(handler):
        raise TypeError(f"a fnkit decorator marks a handler, not {handler!r}; give settings by name")
    earlier: tuple[Declaration, ...] = getattr(handler, ATTRIBUTE, ())
    setattr(handler, ATTRIBUTE, (declaration, *earlier))
    return handler


def _tuple(setting: str, values: Iterable[str] | None) -> tuple[str, ...] | None:
    if isinstance(values, str):
        raise TypeError(f"{setting} is a list of strings: {setting}=[{values!r}]")
    if isinstance(values, set | frozenset):
        return tuple(sorted(values))  # an order of its own would look like a change at the next deploy
    return None if values is None else tuple(values)
