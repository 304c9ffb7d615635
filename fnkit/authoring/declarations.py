"""Declarations: the arguments of the decorators as frozen, unvalidated values.

``None`` means that an argument was not given, so that project-wide settings can supply the value.
``fnkit.project`` validates declarations and fills in defaults, because only there can all problems of a project
be reported together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, FrozenInstanceError, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, TypeVar, dataclass_transform

from fnkit.authoring.function_url import FunctionUrl

DECLARATIONS_ATTRIBUTE = "__fnkit__"
"""Attribute of a handler that holds its declarations: one tuple, in source order."""


_Class = TypeVar("_Class")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def _frozen_keyword_dataclass(cls: type[_Class]) -> type[_Class]:
    """Turn a class into a frozen, keyword-only dataclass without generated methods.

    ``dataclass`` generates and compiles the methods of each class at import time, which adds 1.6 ms to every cold
    start of every function that imports fnkit. ``_FrozenDataclass`` implements the methods once for all
    declarations; ``dataclass`` then only collects the fields.
    """
    return dataclass(init=False, repr=False, eq=False, kw_only=True)(cls)


class _FrozenDataclass:
    """Generic versions of the methods that ``dataclass(frozen=True, kw_only=True)`` would generate."""

    if TYPE_CHECKING:
        __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    else:
        # Hidden from type checkers: they derive a precise __init__ for each class from dataclass_transform.

        def __init__(self, **given: object) -> None:
            kind = type(self)
            for field in fields(kind):
                if field.name in given:
                    self.__dict__[field.name] = given.pop(field.name)
                elif not hasattr(kind, field.name):
                    raise TypeError(f"{kind.__name__} needs {field.name}")
            if given:
                raise TypeError(f"{kind.__name__} has no {', '.join(given)}")

    def _field_values(self) -> tuple[object, ...]:
        return tuple(getattr(self, field.name) for field in fields(self))

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._field_values() == other._field_values()

    def __hash__(self) -> int:
        return hash(self._field_values())

    def __repr__(self) -> str:
        given = ", ".join(f"{field.name}={getattr(self, field.name)!r}" for field in fields(self))
        return f"{type(self).__qualname__}({given})"

    def __setattr__(self, name: str, value: object) -> None:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"cannot delete field {name!r}")


@_frozen_keyword_dataclass
class FunctionDeclaration(_FrozenDataclass):
    """Arguments of ``@function``.

    The fields cover the API's CreateFunction and CreateDomain requests.

    Attributes:
        memory: In MB.
        timeout: Seconds as a number, or a duration such as ``"30s"`` or ``"5m"``.
        secrets: Names of environment variables on the deploying machine.
        groups: Names of dependency groups of ``pyproject.toml``.
        domains: Custom hostnames.
        change_detection: ``"function"`` redeploys when the function's own slice changes, ``"project"`` on any
            change in the project.
        preload: ``False`` disables importing third-party modules ahead of a cold start.
    """

    name: str | None = None
    runtime: str | None = None
    memory: int | None = None
    min_scale: int | None = None
    max_scale: int | None = None
    timeout: str | int | float | None = None
    privacy: str | None = None
    http_option: str | None = None
    sandbox: str | None = None
    description: str | None = None
    env: Mapping[str, str | FunctionUrl] | None = None
    secrets: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None
    groups: tuple[str, ...] | None = None
    domains: tuple[str, ...] | None = None
    private_network_id: str | None = None
    change_detection: str | None = None
    preload: bool | None = None


@_frozen_keyword_dataclass
class CronDeclaration(_FrozenDataclass):
    """Arguments of ``@cron``.

    Attributes:
        schedule: Five UNIX cron fields, in UTC.
        args: The JSON object sent as the request body.
    """

    schedule: str
    args: Mapping[str, object] | None = None
    name: str | None = None


@_frozen_keyword_dataclass
class TriggerDeclaration(_FrozenDataclass):
    """Arguments of ``@trigger``; a valid trigger has exactly one of ``nats`` and ``sqs``.

    Attributes:
        nats: A NATS subject.
        sqs: The name of an SQS queue.
        account: ID of the NATS account.
        project_id: Project of the queue or account.
        region: Region of the queue or account.
    """

    nats: str | None = None
    sqs: str | None = None
    name: str | None = None
    description: str | None = None
    account: str | None = None
    project_id: str | None = None
    region: str | None = None


Declaration: TypeAlias = FunctionDeclaration | CronDeclaration | TriggerDeclaration
"""The arguments of one decorator. A handler can have any number of each kind, in any order."""
